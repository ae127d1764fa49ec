//! PURE. Changes of a network's definition, by replacing byte ranges: what is not meant stays to the byte.

use std::net::IpAddr;

use ipnet::IpNet;
use roxmltree::Node;

use super::element::{self, Unreadable, append, child, parse, remove, replace};
use super::spec::{SubnetSpec, link, subnet_xml};
use super::update::{dhcp_host_xml, dns_host_xml, portgroup_xml, range_xml};
use crate::change::splice::escape;
use crate::model::network::{Bandwidth, DhcpRange, DnsHost, NetworkDefinition, Rate, StaticHost};
use crate::model::{IfName, Mac};

/// What shall change in a definition; what is not said stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// The only link its packets may leave by.
    pub forward_dev: Option<ForwardDev>,
    /// What DHCP of its first IPv4 subnet hands out.
    pub dhcp: Option<DhcpRange>,
    /// The whole text, written by somebody; everything else here is changed in that.
    pub text: Option<String>,
    /// Ports that masquerading uses.
    pub nat_ports: Option<Setting<(u16, u16)>>,
    /// Bytes per packet.
    pub mtu: Option<Setting<u32>>,
    /// The DNS domain of its guests.
    pub domain: Option<Setting<String>>,
    /// What the whole network may get: from outside to the guests.
    pub inbound: Option<Setting<Rate>>,
    /// What the whole network may send.
    pub outbound: Option<Setting<Rate>>,
    /// Subnets that go, by any address in them.
    pub subnets_gone: Vec<IpNet>,
    /// Subnets that come.
    pub subnets: Vec<SubnetSpec>,
    /// Static leases that go.
    pub hosts_gone: Vec<Mac>,
    /// Static leases that come, or take the place of the MAC's own.
    pub hosts: Vec<StaticHost>,
    /// Addresses whose names go.
    pub dns_hosts_gone: Vec<IpAddr>,
    /// Names that come, or take the place of the address's own.
    pub dns_hosts: Vec<DnsHost>,
    /// Port groups that go.
    pub portgroups_gone: Vec<String>,
    /// Port groups that come, or take the place of the one with this name.
    pub portgroups: Vec<Portgroup>,
}

/// A value, or libvirt's own choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting<T> {
    /// This.
    To(T),
    /// None: what libvirt does when nothing is said.
    Default,
}

impl<T> Setting<T> {
    const fn value(&self) -> Option<&T> {
        match self {
            Self::To(value) => Some(value),
            Self::Default => None,
        }
    }
}

/// The way out of a NAT or routed network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardDev {
    /// This link only.
    Only(IfName),
    /// Whatever the routes say.
    Any,
}

/// A group of NICs with the same limits: a NIC names it beside its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portgroup {
    /// Its name.
    pub name: String,
    /// NICs that name none are in it.
    pub default: bool,
    /// What each of its NICs may get and send.
    pub bandwidth: Bandwidth,
}

impl Edit {
    /// The same without what libvirt changes in a running network.
    pub(super) fn without_live(&self) -> Self {
        Self {
            dhcp: None,
            hosts_gone: Vec::new(),
            hosts: Vec::new(),
            dns_hosts_gone: Vec::new(),
            dns_hosts: Vec::new(),
            portgroups_gone: Vec::new(),
            portgroups: Vec::new(),
            ..self.clone()
        }
    }
}

/// The definition with the edit in it; the error is a sentence.
pub(super) fn apply(xml: &str, edit: &Edit) -> Result<String, Unreadable> {
    let mut xml = edit.text.clone().unwrap_or_else(|| xml.to_owned());
    if let Some(dev) = edit.forward_dev {
        xml = set_forward_dev(&xml, dev)?;
    }
    if let Some(ports) = &edit.nat_ports {
        xml = set_nat_ports(&xml, ports.value().copied())?;
    }
    if let Some(mtu) = &edit.mtu {
        let mtu = mtu.value().map(|mtu| format!("<mtu size='{mtu}'/>"));
        xml = element::set(&xml, "mtu", mtu.as_deref())?;
    }
    if let Some(domain) = &edit.domain {
        let domain = domain.value().map(|name| format!("<domain name='{}' localOnly='yes'/>", escape(name)));
        xml = element::set(&xml, "domain", domain.as_deref())?;
    }
    if edit.inbound.is_some() || edit.outbound.is_some() {
        xml = set_bandwidth(&xml, edit)?;
    }
    for gone in &edit.subnets_gone {
        xml = remove_subnet(&xml, *gone)?;
    }
    for subnet in &edit.subnets {
        let document = parse(&xml)?;
        xml = append(&xml, document.root_element(), subnet_xml(subnet).trim())?;
    }
    if let Some(range) = edit.dhcp {
        xml = set_dhcp(&xml, range)?;
    }
    xml = edit.hosts_gone.iter().try_fold(xml, |xml, mac| remove_host(&xml, *mac))?;
    xml = edit.hosts.iter().try_fold(xml, |xml, host| set_host(&xml, host))?;
    xml = edit.dns_hosts_gone.iter().try_fold(xml, |xml, address| remove_dns_host(&xml, *address))?;
    xml = edit.dns_hosts.iter().try_fold(xml, |xml, host| set_dns_host(&xml, host))?;
    xml = edit.portgroups_gone.iter().try_fold(xml, |xml, name| remove_portgroup(&xml, name))?;
    edit.portgroups.iter().try_fold(xml, |xml, group| set_portgroup(&xml, group))
}

fn set_forward_dev(xml: &str, dev: ForwardDev) -> Result<String, Unreadable> {
    let document = parse(xml)?;
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
    Ok(replace(xml, forward, &element))
}

fn set_nat_ports(xml: &str, ports: Option<(u16, u16)>) -> Result<String, Unreadable> {
    const NO_NAT: &str = "it does not masquerade: there are no ports to choose";
    let document = parse(xml)?;
    let forward = child(document.root_element(), "forward").ok_or(NO_NAT)?;
    if forward.attribute("mode").unwrap_or("nat") != "nat" {
        return Err(NO_NAT.to_owned());
    }
    let port = ports.map(|(start, end)| format!("<port start='{start}' end='{end}'/>"));
    let nat = child(forward, "nat");
    match (nat.and_then(|nat| child(nat, "port")), nat, port) {
        (Some(now), _, Some(port)) => Ok(replace(xml, now, &port)),
        (None, Some(nat), Some(port)) => append(xml, nat, &port),
        (None, None, Some(port)) => append(xml, forward, &format!("<nat>\n      {port}\n    </nat>")),
        (Some(now), Some(nat), None) if nat.children().filter(Node::is_element).count() > 1 => {
            Ok(remove(xml, now))
        }
        (Some(_), Some(nat), None) => Ok(remove(xml, nat)),
        (_, _, None) => Ok(xml.to_owned()),
    }
}

fn set_bandwidth(xml: &str, edit: &Edit) -> Result<String, Unreadable> {
    let now = NetworkDefinition::parse(xml).map_err(|error| error.reason)?.bandwidth.unwrap_or_default();
    let rate = |now: Option<Rate>, wanted: Option<&Setting<Rate>>| match wanted {
        None => now,
        Some(wanted) => wanted.value().copied(),
    };
    let wanted = Bandwidth {
        inbound: rate(now.inbound, edit.inbound.as_ref()),
        outbound: rate(now.outbound, edit.outbound.as_ref()),
    };
    let wanted = (wanted != Bandwidth::default()).then(|| bandwidth_xml(&wanted, 1));
    element::set(xml, "bandwidth", wanted.as_deref())
}

/// A `<bandwidth>` at this depth.
pub(super) fn bandwidth_xml(bandwidth: &Bandwidth, depth: usize) -> String {
    let (pad, outer) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    let rate = |name: &str, rate: Option<Rate>| {
        let Some(Rate { average, peak, burst }) = rate else { return String::new() };
        let peak = peak.map(|peak| format!(" peak='{peak}'")).unwrap_or_default();
        let burst = burst.map(|burst| format!(" burst='{burst}'")).unwrap_or_default();
        format!("{pad}<{name} average='{average}'{peak}{burst}/>\n")
    };
    let rates = rate("inbound", bandwidth.inbound) + &rate("outbound", bandwidth.outbound);
    format!("<bandwidth>\n{rates}{outer}</bandwidth>")
}

fn remove_subnet(xml: &str, subnet: IpNet) -> Result<String, Unreadable> {
    let at = NetworkDefinition::parse(xml).map_err(|error| error.reason)?;
    let at = at.subnets.iter().position(|other| other.gateway.trunc() == subnet.trunc());
    let at = at.ok_or_else(|| format!("it has no subnet {}", subnet.trunc()))?;
    let document = parse(xml)?;
    let node = document.root_element().children().filter(|node| node.has_tag_name("ip")).nth(at);
    Ok(node.map_or_else(|| xml.to_owned(), |node| remove(xml, node)))
}

fn set_dhcp(xml: &str, range: DhcpRange) -> Result<String, Unreadable> {
    let document = parse(xml)?;
    let is_v4 = |node: &Node<'_, '_>| {
        node.has_tag_name("ip")
            && node.attribute("address").is_some_and(|a| a.parse::<IpNet>().is_ok() || a.contains('.'))
    };
    let ip = document.root_element().children().find(is_v4).ok_or("it has no IPv4 subnet to hand out of")?;
    let element = range_xml(&range);
    let Some(dhcp) = child(ip, "dhcp") else {
        return append(xml, ip, &format!("<dhcp>\n      {element}\n    </dhcp>"));
    };
    let ranges: Vec<Node<'_, '_>> = dhcp.children().filter(|node| node.has_tag_name("range")).collect();
    match ranges.as_slice() {
        [one] => Ok(replace(xml, *one, &element)),
        [] => {
            let text = xml.get(dhcp.range()).unwrap_or_default();
            let inner =
                text.strip_prefix("<dhcp>").and_then(|text| text.strip_suffix("</dhcp>")).unwrap_or("\n    ");
            Ok(replace(xml, dhcp, &format!("<dhcp>\n      {element}{inner}</dhcp>")))
        }
        _ => Err("it has several DHCP ranges; edit the text with --xml".to_owned()),
    }
}

fn remove_host(xml: &str, mac: Mac) -> Result<String, Unreadable> {
    let document = parse(xml)?;
    let node = dhcp_host(document.root_element(), mac);
    let node = node.ok_or_else(|| format!("{mac} has no static lease"))?;
    Ok(remove(xml, node))
}

fn dhcp_host<'a, 'i>(root: Node<'a, 'i>, mac: Mac) -> Option<Node<'a, 'i>> {
    let subnets = root.children().filter(|node| node.has_tag_name("ip"));
    let mut hosts = subnets.filter_map(|ip| child(ip, "dhcp")).flat_map(|dhcp| dhcp.children());
    hosts.find(|node| {
        node.has_tag_name("host") && node.attribute("mac").and_then(|text| text.parse().ok()) == Some(mac)
    })
}

fn set_host(xml: &str, host: &StaticHost) -> Result<String, Unreadable> {
    let element = dhcp_host_xml(host);
    let document = parse(xml)?;
    let root = document.root_element();
    let before = host.mac.and_then(|mac| dhcp_host(root, mac));
    // Another address may be in another subnet: out first, then in where it belongs.
    let without = before.map_or_else(|| xml.to_owned(), |node| remove(xml, node));
    let definition = NetworkDefinition::parse(&without).map_err(|error| error.reason)?;
    let address = host.address.ok_or("a static lease needs an address")?;
    let at = subnet_of(&definition, address)?;
    let document = parse(&without)?;
    let ip = document.root_element().children().filter(|node| node.has_tag_name("ip")).nth(at);
    let ip = ip.ok_or("its subnets cannot be read")?;
    match child(ip, "dhcp") {
        Some(dhcp) => append(&without, dhcp, &element),
        None => append(&without, ip, &format!("<dhcp>\n      {element}\n    </dhcp>")),
    }
}

/// Which of the network's subnets has the address.
pub(super) fn subnet_of(definition: &NetworkDefinition, address: IpAddr) -> Result<usize, Unreadable> {
    let at = definition.subnets.iter().position(|subnet| subnet.gateway.contains(&address));
    let all: Vec<String> =
        definition.subnets.iter().map(|subnet| subnet.gateway.trunc().to_string()).collect();
    at.ok_or_else(|| match all.as_slice() {
        [] => format!("{address}: the network has no subnet"),
        _ => format!("{address} is not in {}", all.join(", ")),
    })
}

fn dns_host<'a, 'i>(root: Node<'a, 'i>, address: IpAddr) -> Option<Node<'a, 'i>> {
    let dns = child(root, "dns")?;
    dns.children().find(|node| {
        node.has_tag_name("host") && node.attribute("ip").and_then(|ip| ip.parse().ok()) == Some(address)
    })
}

fn remove_dns_host(xml: &str, address: IpAddr) -> Result<String, Unreadable> {
    let document = parse(xml)?;
    let node = dns_host(document.root_element(), address);
    Ok(remove(xml, node.ok_or_else(|| format!("{address} has no names there"))?))
}

fn set_dns_host(xml: &str, host: &DnsHost) -> Result<String, Unreadable> {
    let element = dns_host_xml(host);
    let document = parse(xml)?;
    let root = document.root_element();
    match (dns_host(root, host.address), child(root, "dns")) {
        (Some(before), _) => Ok(replace(xml, before, &element)),
        (None, Some(dns)) => append(xml, dns, &element),
        (None, None) => append(xml, root, &format!("<dns>\n    {element}\n  </dns>")),
    }
}

fn portgroup<'a, 'i>(root: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    root.children().find(|node| node.has_tag_name("portgroup") && node.attribute("name") == Some(name))
}

fn remove_portgroup(xml: &str, name: &str) -> Result<String, Unreadable> {
    let document = parse(xml)?;
    let node = portgroup(document.root_element(), name);
    Ok(remove(xml, node.ok_or_else(|| format!("it has no port group {name}"))?))
}

fn set_portgroup(xml: &str, group: &Portgroup) -> Result<String, Unreadable> {
    let document = parse(xml)?;
    let root = document.root_element();
    match portgroup(root, &group.name) {
        Some(before) => Ok(replace(xml, before, &portgroup_xml(group))),
        None => append(xml, root, &portgroup_xml(group)),
    }
}
