//! Reads libvirt's `<domain>` XML into [`NicConfig`]s.
//!
//! Reads only: a change splices bytes into the text (see `change::splice`), it never prints a tree.

use roxmltree::{Document, Node};
use thiserror::Error;

use super::guest::{Machine, MacvtapMode, NicConfig, NicSource, is_nic_alias, mac_of_alias};
use super::ids::{IfName, Mac};
use super::node_device::address_of;

/// A definition that is not the XML document it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("read the definition of {what}: {reason}")]
pub struct ParseXmlError {
    /// `a domain`, `a network` or `a NIC`.
    pub what: &'static str,
    /// Why it cannot be read.
    pub reason: String,
}

impl ParseXmlError {
    pub(super) fn new(what: &'static str, reason: impl Into<String>) -> Self {
        Self { what, reason: reason.into() }
    }
}

/// What a domain's document says: its NICs, the other PCI devices handed to it, and the machine.
pub(super) type Domain = (Vec<NicConfig>, Vec<NicConfig>, Machine);

pub(super) fn parse_domain(xml: &str) -> Result<Domain, ParseXmlError> {
    let document = Document::parse(xml).map_err(|error| ParseXmlError::new("a domain", error.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name("domain") {
        return Err(ParseXmlError::new("a domain", format!("the root is <{}>", root.tag_name().name())));
    }
    let devices = child(root, "devices");
    let mut nics = Vec::new();
    let mut others = Vec::new();
    for node in devices.iter().flat_map(roxmltree::Node::children) {
        let Some(nic) = parse_device(node) else { continue };
        // Of a whole PCI device the definition does not say that it is a NIC, unless its alias does.
        let known = node.has_tag_name("interface") || nic.alias.as_deref().is_some_and(is_nic_alias);
        if known { nics.push(nic) } else { others.push(nic) }
    }
    Ok((nics, others, parse_machine(root, devices)))
}

pub(super) fn parse_element(element: &str) -> Result<NicConfig, ParseXmlError> {
    const WHAT: &str = "a NIC";
    let document = Document::parse(element).map_err(|error| ParseXmlError::new(WHAT, error.to_string()))?;
    let root = document.root_element();
    let wrong = || ParseXmlError::new(WHAT, format!("the element is <{}>", root.tag_name().name()));
    parse_device(root).ok_or_else(wrong)
}

/// The child element of this name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// An attribute of the child element of this name.
pub(super) fn child_attribute<'a>(node: Node<'a, '_>, name: &str, attribute: &str) -> Option<&'a str> {
    child(node, name)?.attribute(attribute)
}

fn parse_machine(root: Node<'_, '_>, devices: Option<Node<'_, '_>>) -> Machine {
    let os_type = child(root, "os").and_then(|os| child(os, "type"));
    let attribute = |name| os_type.and_then(|node| node.attribute(name)).map(str::to_owned);
    let agent = devices.into_iter().flat_map(|devices| devices.children()).find_map(|node| {
        let target = child(node, "target").filter(|_| node.has_tag_name("channel"))?;
        (target.attribute("name") == Some("org.qemu.guest_agent.0")).then_some(target)
    });
    Machine {
        machine: attribute("machine"),
        arch: attribute("arch"),
        acpi: child(root, "features").is_some_and(|features| child(features, "acpi").is_some()),
        virt_type: root.attribute("type").map(str::to_owned),
        emulator: devices
            .and_then(|devices| child(devices, "emulator"))
            .and_then(|node| node.text())
            .map(str::to_owned),
        agent_channel: agent.is_some(),
        agent_connected: agent.and_then(|target| target.attribute("state")) == Some("connected"),
    }
}

/// An `<interface>`, or a `<hostdev>` that is a PCI device.
fn parse_device(node: Node<'_, '_>) -> Option<NicConfig> {
    if node.has_tag_name("interface") {
        return Some(parse_interface(node));
    }
    let is_pci = node.has_tag_name("hostdev")
        && node.attribute("mode") == Some("subsystem")
        && node.attribute("type") == Some("pci");
    if !is_pci {
        return None;
    }
    let mut nic = parse_interface(node);
    let address = child(node, "source").and_then(|source| child(source, "address")).and_then(address_of);
    nic.source = NicSource::Hostdev { address };
    nic.mac = nic.alias.as_deref().and_then(mac_of_alias).or_else(|| address.map(Mac::of_place));
    Some(nic)
}

fn parse_interface(node: Node<'_, '_>) -> NicConfig {
    let text = |name, attribute| child_attribute(node, name, attribute).map(str::to_owned);
    let number = |name, attribute| child_attribute(node, name, attribute).and_then(|n| n.parse().ok());
    NicConfig {
        mac: child_attribute(node, "mac", "address").and_then(|mac| mac.parse().ok()),
        source: parse_source(node),
        target: child_attribute(node, "target", "dev").and_then(name),
        model: text("model", "type"),
        alias: text("alias", "name"),
        link_down: child_attribute(node, "link", "state") == Some("down"),
        mtu: number("mtu", "size"),
        boot_order: number("boot", "order"),
        filter: text("filterref", "filter"),
        isolated: child_attribute(node, "port", "isolated") == Some("yes"),
        vlans: child(node, "vlan")
            .iter()
            .flat_map(roxmltree::Node::children)
            .filter(|tag| tag.has_tag_name("tag"))
            .filter_map(|tag| tag.attribute("id")?.parse().ok())
            .collect(),
        virtualport: text("virtualport", "type"),
        bandwidth: child(node, "bandwidth").is_some(),
        queues: number("driver", "queues"),
        pci: child(node, "address").and_then(address_of).map(|address| address.to_string()),
        span: node.range(),
    }
}

fn name(text: &str) -> Option<IfName> {
    IfName::from_bytes(text.as_bytes())
}

fn parse_source(node: Node<'_, '_>) -> NicSource {
    let kind = node.attribute("type").unwrap_or("unknown");
    let source = child(node, "source");
    let attribute = |name: &str| source.and_then(|source| source.attribute(name));
    let interface = |key: &str| attribute(key).and_then(name);
    let other = || NicSource::Other { r#type: kind.to_owned(), detail: source.and_then(other_detail) };
    if let Some(network) = attribute("network") {
        return NicSource::Network {
            network: network.to_owned(),
            portgroup: attribute("portgroup").map(str::to_owned),
            bridge: interface("bridge"),
            dev: interface("dev"),
        };
    }
    match kind {
        "bridge" => interface("bridge").map_or_else(other, |bridge| NicSource::Bridge { bridge }),
        "direct" => interface("dev").map_or_else(other, |dev| NicSource::Direct {
            dev,
            mode: attribute("mode").and_then(MacvtapMode::from_word).unwrap_or(MacvtapMode::Vepa),
        }),
        "hostdev" => NicSource::Hostdev {
            address: source.and_then(|source| child(source, "address")).and_then(address_of),
        },
        "ethernet" => NicSource::Ethernet,
        "user" => NicSource::User,
        "vhostuser" => NicSource::Vhostuser { path: attribute("path").map(str::to_owned) },
        _ => other(),
    }
}

fn other_detail(source: Node<'_, '_>) -> Option<String> {
    if let (Some(address), Some(port)) = (source.attribute("address"), source.attribute("port")) {
        return Some(format!("{address}:{port}"));
    }
    ["name", "dev", "path", "address", "switchid", "bridge"]
        .into_iter()
        .find_map(|key| source.attribute(key))
        .map(str::to_owned)
}
