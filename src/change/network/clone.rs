//! PURE. A network's definition as that of another one: what must not be there twice on a host (name, UUID,
//! MAC, bridge, subnets) is replaced, all else stays to the byte.

use std::net::IpAddr;
use std::ops::Range;

use ipnet::IpNet;
use roxmltree::Node;

use super::element::{Unreadable, child, parse};
use super::propose::{propose_bridge, propose_subnet_like};
use super::spec::link;
use crate::change::splice::escape;
use crate::model::network::NetworkDefinition;
use crate::model::{IfName, Snapshot};

/// What a copy shall be called, and what it gets of its own; `None`: what is free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneSpec {
    /// Its name.
    pub name: String,
    /// The name of the bridge that libvirt makes for it.
    pub bridge: Option<IfName>,
    /// The subnet in the place of the original's first one, of the same size.
    pub subnet: Option<IpNet>,
}

/// The definition of the copy; the error is a sentence.
pub(super) fn clone(
    snapshot: &Snapshot,
    original: &NetworkDefinition,
    owns_bridge: bool,
    wanted: &CloneSpec,
) -> Result<String, Unreadable> {
    let xml: &str = &original.xml;
    let document = parse(xml)?;
    let root = document.root_element();
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    let name = child(root, "name").ok_or("it has no name")?;
    edits.push((name.range(), format!("<name>{}</name>", escape(&wanted.name))));
    for gone in ["uuid", "mac"].iter().filter_map(|name| child(root, name)) {
        let start = xml.get(..gone.range().start).unwrap_or_default().trim_end().len();
        edits.push((start..gone.range().end, String::new()));
    }
    let bridge = child(root, "bridge").and_then(|bridge| bridge.attribute_node("name"));
    if let Some(attribute) = bridge.filter(|_| owns_bridge) {
        let free = wanted.bridge.or_else(|| propose_bridge(snapshot)).ok_or("no bridge name is free")?;
        edits.push((attribute.range_value(), link(free)));
    }
    let mut moved: Vec<(IpNet, IpNet)> = Vec::new();
    for (at, subnet) in original.subnets.iter().enumerate() {
        let old = subnet.gateway.trunc();
        let taken: Vec<IpNet> = moved.iter().map(|(_, new)| *new).collect();
        let said = wanted.subnet.filter(|_| at == 0);
        let new = said.or_else(|| propose_subnet_like(snapshot, old, &taken));
        let new = new.ok_or_else(|| format!("no subnet like {old} is free; say which"))?;
        if new.prefix_len() != old.prefix_len() || new.addr().is_ipv4() != old.addr().is_ipv4() {
            return Err(format!("{new} has another size than {old}: the addresses in it have no place"));
        }
        moved.push((old, new.trunc()));
    }
    edits.extend(addresses(root).into_iter().filter_map(|(range, address)| {
        let (old, new) = moved.iter().find(|(old, _)| old.contains(&address))?;
        Some((range, shifted(address, *old, *new)?.to_string()))
    }));
    Ok(apply(xml, edits))
}

/// The attributes of a definition that hold addresses of its own subnets.
fn addresses(root: Node<'_, '_>) -> Vec<(Range<usize>, IpAddr)> {
    const PLACES: [(&str, &[&str]); 4] =
        [("ip", &["address"]), ("range", &["start", "end"]), ("host", &["ip"]), ("bootp", &["server"])];
    let nodes = root.descendants().filter(Node::is_element);
    let attributes = nodes.flat_map(|node| {
        let names =
            PLACES.iter().find(|(tag, _)| node.has_tag_name(*tag)).map_or(&[][..], |(_, names)| names);
        names.iter().filter_map(move |name| node.attribute_node(*name))
    });
    attributes.filter_map(|it| Some((it.range_value(), it.value().parse().ok()?))).collect()
}

/// The address at the same place of the other subnet.
fn shifted(address: IpAddr, old: IpNet, new: IpNet) -> Option<IpAddr> {
    match (address, old.network(), new.network()) {
        (IpAddr::V4(address), IpAddr::V4(old), IpAddr::V4(new)) => {
            let offset = u32::from(address).checked_sub(u32::from(old))?;
            Some(IpAddr::V4(u32::from(new).checked_add(offset)?.into()))
        }
        (IpAddr::V6(address), IpAddr::V6(old), IpAddr::V6(new)) => {
            let offset = u128::from(address).checked_sub(u128::from(old))?;
            Some(IpAddr::V6(u128::from(new).checked_add(offset)?.into()))
        }
        _ => None,
    }
}

fn apply(xml: &str, mut edits: Vec<(Range<usize>, String)>) -> String {
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut out = xml.to_owned();
    for (range, text) in edits {
        out.replace_range(range, &text);
    }
    out
}

/// The name of the copy of a network: the first free one of `NAME-2`, `NAME-3`, …
#[must_use]
pub fn propose_name(snapshot: &Snapshot, original: &str) -> String {
    let names = (2..1000).map(|number| format!("{original}-{number}"));
    let mut free = names.filter(|name| snapshot.network_named(name).is_none());
    free.next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use roxmltree::Document;

    use super::*;

    #[test]
    fn an_address_keeps_its_place() {
        let net = |text: &str| text.parse::<IpNet>().ok();
        let (old, new) = (net("192.168.122.0/24"), net("10.9.8.0/24"));
        let moved = old.zip(new).and_then(|(old, new)| shifted("192.168.122.77".parse().ok()?, old, new));
        assert_eq!(moved, "10.9.8.77".parse().ok());
        let document = Document::parse("<a><ip address='1.2.3.4'/></a>");
        assert_eq!(document.map(|document| addresses(document.root_element()).len()), Ok(1));
    }
}
