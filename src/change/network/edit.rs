//! PURE. Changes of a network's definition, by replacing byte ranges: what is not meant stays to the byte.

use ipnet::IpNet;
use roxmltree::{Document, Node};

use super::spec::link;
use crate::model::IfName;
use crate::model::network::DhcpRange;

/// What shall change in a definition; `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// The only link its packets may leave by.
    pub forward_dev: Option<ForwardDev>,
    /// What DHCP of its first IPv4 subnet hands out.
    pub dhcp: Option<DhcpRange>,
    /// The whole text, written by somebody.
    pub text: Option<String>,
}

/// The way out of a NAT or routed network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardDev {
    /// This link only.
    Only(IfName),
    /// Whatever the routes say.
    Any,
}

/// The definition with the edit in it; the error is a sentence.
pub(super) fn apply(xml: &str, edit: &Edit) -> Result<String, String> {
    let mut xml = edit.text.clone().unwrap_or_else(|| xml.to_owned());
    if let Some(dev) = edit.forward_dev {
        xml = set_forward_dev(&xml, dev)?;
    }
    if let Some(range) = edit.dhcp {
        xml = set_dhcp(&xml, range)?;
    }
    Ok(xml)
}

fn set_forward_dev(xml: &str, dev: ForwardDev) -> Result<String, String> {
    let document = Document::parse(xml).map_err(|error| error.to_string())?;
    let forward = child(document.root_element(), "forward").ok_or("it is isolated: there is no way out")?;
    let mode = forward.attribute("mode").unwrap_or("nat");
    if !matches!(mode, "nat" | "route") {
        return Err(format!("mode {mode} has no single way out"));
    }
    let dev = match dev {
        ForwardDev::Only(dev) => format!(" dev='{}'", link(dev)),
        ForwardDev::Any => String::new(),
    };
    // libvirt repeats the device as a child; all other children stay.
    let inner: String = forward
        .children()
        .filter(|node| !node.has_tag_name("interface"))
        .filter_map(|node| xml.get(node.range()))
        .collect();
    let element = if inner.trim().is_empty() {
        format!("<forward mode='{mode}'{dev}/>")
    } else {
        format!("<forward mode='{mode}'{dev}>{}\n  </forward>", inner.trim_end())
    };
    Ok(splice(xml, forward, &element))
}

fn set_dhcp(xml: &str, range: DhcpRange) -> Result<String, String> {
    let document = Document::parse(xml).map_err(|error| error.to_string())?;
    let is_v4 = |node: &Node<'_, '_>| {
        node.has_tag_name("ip")
            && node.attribute("address").is_some_and(|a| a.parse::<IpNet>().is_ok() || a.contains('.'))
    };
    let ip = document.root_element().children().find(is_v4).ok_or("it has no IPv4 subnet to hand out of")?;
    let element = format!("<range start='{}' end='{}'/>", range.start, range.end);
    let Some(dhcp) = child(ip, "dhcp") else {
        let text = xml.get(ip.range()).unwrap_or_default();
        let dhcp = format!("\n    <dhcp>\n      {element}\n    </dhcp>\n  </ip>");
        let opened = text.strip_suffix("/>").map(|open| format!("{open}>"));
        let opened = opened.or_else(|| text.strip_suffix("</ip>").map(|inner| inner.trim_end().to_owned()));
        return Ok(splice(xml, ip, &(opened.ok_or("its <ip> element cannot be read")? + &dhcp)));
    };
    let ranges: Vec<Node<'_, '_>> = dhcp.children().filter(|node| node.has_tag_name("range")).collect();
    match ranges.as_slice() {
        [one] => Ok(splice(xml, *one, &element)),
        [] => {
            let text = xml.get(dhcp.range()).unwrap_or_default();
            let inner =
                text.strip_prefix("<dhcp>").and_then(|text| text.strip_suffix("</dhcp>")).unwrap_or("\n    ");
            Ok(splice(xml, dhcp, &format!("<dhcp>\n      {element}{inner}</dhcp>")))
        }
        _ => Err("it has several DHCP ranges; edit the text with --xml".to_owned()),
    }
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

fn splice(xml: &str, node: Node<'_, '_>, text: &str) -> String {
    let mut out = xml.to_owned();
    out.replace_range(node.range(), text);
    out
}
