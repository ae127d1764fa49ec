//! Reads libvirt's `<device>` XML of a PCI node device.

use roxmltree::{Document, Node};

use super::guest_xml::{ParseXmlError, child};
use super::pci::{GroupMember, IommuGroup, PciAddress, PciNic};

/// The NIC that a node device is; `None` for a device of another class.
///
/// # Errors
/// Not a node device's document.
pub fn parse(xml: &str) -> Result<Option<PciNic>, ParseXmlError> {
    const WHAT: &str = "a node device";
    let document = Document::parse(xml).map_err(|error| ParseXmlError::new(WHAT, error.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name("device") {
        return Err(ParseXmlError::new(WHAT, format!("the root is <{}>", root.tag_name().name())));
    }
    let pci = capability(root, "pci").filter(|pci| text(*pci, "class").starts_with("0x02"));
    Ok(pci.and_then(|pci| nic(root, pci)))
}

fn nic(root: Node<'_, '_>, pci: Node<'_, '_>) -> Option<PciNic> {
    let part = |name: &str| text(pci, name).parse::<u32>().ok();
    let byte = |name: &str| u8::try_from(part(name)?).ok();
    let address = PciAddress {
        domain: part("domain")?,
        bus: byte("bus")?,
        slot: byte("slot")?,
        function: byte("function")?,
    };
    let id = |name: &str| {
        let id = child(pci, name).and_then(|node| node.attribute("id")).unwrap_or("?");
        id.trim_start_matches("0x").to_owned()
    };
    let names = [text(pci, "vendor"), text(pci, "product")];
    let name = names.iter().filter(|name| !name.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let functions = capability(pci, "virt_functions");
    let addresses = |node: Option<Node<'_, '_>>| -> Vec<PciAddress> {
        let children = node.into_iter().flat_map(|node| node.children());
        children.filter(|node| node.has_tag_name("address")).filter_map(address_of).collect()
    };
    let group = child(pci, "iommuGroup").and_then(|group| {
        let number = group.attribute("number")?.parse().ok()?;
        let others = addresses(Some(group)).into_iter().filter(|other| *other != address);
        // libvirt does not say whose they are.
        let others = others.map(|address| GroupMember { address, driver: None }).collect();
        Some(IommuGroup { number, others })
    });
    Some(PciNic {
        address,
        links: Vec::new(),
        driver: child(root, "driver").map(|driver| text(driver, "name").to_owned()),
        id: format!("{}:{}", id("vendor"), id("product")),
        name: (!name.is_empty()).then_some(name),
        physical: addresses(capability(pci, "phys_function")).first().copied(),
        most_functions: functions
            .and_then(|node| node.attribute("maxCount")?.parse().ok())
            .unwrap_or_default(),
        functions: addresses(functions),
        group,
    })
}

fn capability<'a, 'i>(node: Node<'a, 'i>, kind: &str) -> Option<Node<'a, 'i>> {
    let mut children = node.children().filter(|child| child.has_tag_name("capability"));
    children.find(|child| child.attribute("type") == Some(kind))
}

fn text<'a>(node: Node<'a, '_>, name: &str) -> &'a str {
    child(node, name).and_then(|node| node.text()).unwrap_or_default().trim()
}

/// `<address domain='0x0000' bus='0x03' slot='0x10' function='0x2'/>`.
pub(super) fn address_of(node: Node<'_, '_>) -> Option<PciAddress> {
    let part = |key| {
        let text = node.attribute(key)?;
        u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    let byte = |key| u8::try_from(part(key)?).ok();
    let domain = part("domain").unwrap_or(0);
    Some(PciAddress { domain, bus: byte("bus")?, slot: byte("slot")?, function: byte("function")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port of a card with two virtual functions, as libvirt describes it.
    const CARD: &str = "<device><name>pci_0000_01_00_0</name><path>/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0</path>
        <parent>pci_0000_00_01_0</parent><driver><name>ixgbe</name></driver>
        <capability type='pci'><class>0x020000</class><domain>0</domain><bus>1</bus><slot>0</slot><function>0</function>
        <product id='0x10fb'>82599ES SFI/SFP+</product><vendor id='0x8086'>Intel Corporation</vendor>
        <capability type='virt_functions' maxCount='63'><address domain='0x0000' bus='0x01' slot='0x10' function='0x0'/>
        <address domain='0x0000' bus='0x01' slot='0x10' function='0x2'/></capability>
        <iommuGroup number='15'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
        <address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></iommuGroup><numa node='0'/></capability></device>";

    #[test]
    fn a_card_has_its_name_driver_functions_and_group() {
        let nic = parse(CARD).unwrap().unwrap();
        let texts = |all: &[PciAddress]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(nic.address.to_string(), "0000:01:00.0");
        assert_eq!(nic.name.as_deref(), Some("Intel Corporation 82599ES SFI/SFP+"));
        assert_eq!(
            (nic.driver.as_deref(), nic.id.as_str(), nic.most_functions),
            (Some("ixgbe"), "8086:10fb", 63)
        );
        assert_eq!(texts(&nic.functions), ["0000:01:10.0", "0000:01:10.2"]);
        let group = nic.group.unwrap();
        assert_eq!(group.number, 15);
        assert_eq!(
            group.others.iter().map(|other| other.address.to_string()).collect::<Vec<_>>(),
            ["0000:01:00.1"]
        );
    }

    #[test]
    fn a_virtual_function_names_its_card_and_another_class_is_no_nic() {
        let function = CARD.replace("virt_functions", "other").replace(
            "<iommuGroup number",
            "<capability type='phys_function'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></capability><x n",
        );
        let function = function.replace("</iommuGroup>", "</x>");
        let nic = parse(&function).unwrap().unwrap();
        assert_eq!(nic.physical.map(|address| address.to_string()).as_deref(), Some("0000:01:00.0"));
        assert_eq!(nic.group, None);
        assert_eq!(parse(&CARD.replace("0x020000", "0x030000")), Ok(None));
        assert!(parse("<domain/>").is_err());
        assert!(parse("").is_err());
    }
}
