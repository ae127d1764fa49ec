//! PURE. Edits of a running network as what libvirt changes live (`net-update`), without a restart: static
//! leases, DHCP ranges, DNS names and port groups.

use roxmltree::Document;

use super::edit::{Edit, Portgroup, bandwidth_xml, subnet_of};
use crate::change::splice::escape;
use crate::change::target::quote;
use crate::model::network::{Bandwidth, DhcpRange, DnsHost, NetworkDefinition, StaticHost};
use crate::model::network_update::{Section, Update, UpdateChange};

/// The same by virsh.
pub(super) fn command(update: &Update, network: &str, active: bool) -> String {
    let verb = match update.change {
        UpdateChange::Add => "add-last",
        UpdateChange::Delete => "delete",
    };
    let section = match update.section {
        Section::DhcpHost => "ip-dhcp-host",
        Section::DhcpRange => "ip-dhcp-range",
        Section::DnsHost => "dns-host",
        Section::Portgroup => "portgroup",
    };
    let subnet = update.subnet.filter(|at| *at > 0).map(|at| format!(" --parent-index {at}"));
    let impact = if active { "--live --config" } else { "--config" };
    let (name, element) = (quote(network), quote(&update.element));
    format!("virsh net-update {name} {verb} {section} {element} {impact}{}", subnet.unwrap_or_default())
}

/// What is done, in words.
pub(super) fn text(update: &Update) -> String {
    let document = Document::parse(&update.element).ok();
    let node = document.as_ref().map(Document::root_element);
    let attribute = |key| node.and_then(|node| node.attribute(key)).unwrap_or_default();
    let comes = update.change == UpdateChange::Add;
    match update.section {
        Section::DhcpHost if comes => format!("{} always gets {}", attribute("mac"), attribute("ip")),
        Section::DhcpHost => format!("{} no longer keeps {}", attribute("mac"), attribute("ip")),
        Section::DhcpRange if comes => {
            format!("DHCP hands out {} to {}", attribute("start"), attribute("end"))
        }
        Section::DhcpRange => {
            format!("DHCP no longer hands out {} to {}", attribute("start"), attribute("end"))
        }
        Section::DnsHost if comes => format!("DNS has names for {}", attribute("ip")),
        Section::DnsHost => format!("DNS forgets the names of {}", attribute("ip")),
        Section::Portgroup if comes => format!("port group {}", attribute("name")),
        Section::Portgroup => format!("no port group {} any more", attribute("name")),
    }
}

/// The edit as updates of a running network, each element out before its successor comes in; `None` when
/// something in it needs a restart.
pub(super) fn live(definition: &NetworkDefinition, edit: &Edit) -> Option<Vec<Update>> {
    if edit.without_live() != Edit::default() {
        return None;
    }
    let mut updates = Vec::new();
    let mut push = |section, change, element, subnet| {
        updates.push(Update { section, change, element, subnet });
    };
    let subnets = || definition.subnets.iter().enumerate();
    if let Some(range) = &edit.dhcp {
        let (at, subnet) = subnets().find(|(_, subnet)| subnet.gateway.addr().is_ipv4())?;
        if let [one] = subnet.ranges.as_slice() {
            push(Section::DhcpRange, UpdateChange::Delete, range_xml(one), Some(at));
        }
        push(Section::DhcpRange, UpdateChange::Add, range_xml(range), Some(at));
    }
    let hosts_gone = edit.hosts_gone.iter().copied().chain(edit.hosts.iter().filter_map(|host| host.mac));
    for mac in hosts_gone {
        for (at, subnet) in subnets() {
            for host in subnet.hosts.iter().filter(|host| host.mac == Some(mac)) {
                push(Section::DhcpHost, UpdateChange::Delete, dhcp_host_xml(host), Some(at));
            }
        }
    }
    for host in &edit.hosts {
        let at = subnet_of(definition, host.address?).ok()?;
        push(Section::DhcpHost, UpdateChange::Add, dhcp_host_xml(host), Some(at));
    }
    let names_gone =
        edit.dns_hosts_gone.iter().copied().chain(edit.dns_hosts.iter().map(|host| host.address));
    for address in names_gone {
        for host in definition.dns_hosts.iter().filter(|host| host.address == address) {
            push(Section::DnsHost, UpdateChange::Delete, dns_host_xml(host), None);
        }
    }
    for host in &edit.dns_hosts {
        push(Section::DnsHost, UpdateChange::Add, dns_host_xml(host), None);
    }
    let groups_gone = edit.portgroups_gone.iter().chain(edit.portgroups.iter().map(|group| &group.name));
    for name in groups_gone {
        if let Some(element) = portgroup_element(definition, name) {
            push(Section::Portgroup, UpdateChange::Delete, element, None);
        }
    }
    for group in &edit.portgroups {
        push(Section::Portgroup, UpdateChange::Add, portgroup_xml(group), None);
    }
    Some(updates)
}

/// The element as it is, so that the way back brings the same again.
fn portgroup_element(definition: &NetworkDefinition, name: &str) -> Option<String> {
    let document = Document::parse(&definition.xml).ok()?;
    let mut groups = document.root_element().children().filter(|node| node.has_tag_name("portgroup"));
    let group = groups.find(|node| node.attribute("name") == Some(name))?;
    definition.xml.get(group.range()).map(str::to_owned)
}

/// A `<range>` of DHCP.
pub(super) fn range_xml(range: &DhcpRange) -> String {
    format!("<range start='{}' end='{}'/>", range.start, range.end)
}

/// A `<host>` of DHCP.
pub(super) fn dhcp_host_xml(host: &StaticHost) -> String {
    let mac = host.mac.map(|mac| format!(" mac='{mac}'")).unwrap_or_default();
    let name = host.name.as_ref().map(|name| format!(" name='{}'", escape(name))).unwrap_or_default();
    let address = host.address.map(|address| format!(" ip='{address}'")).unwrap_or_default();
    format!("<host{mac}{name}{address}/>")
}

/// A `<host>` of DNS.
pub(super) fn dns_host_xml(host: &DnsHost) -> String {
    let name = |name: &String| format!("<hostname>{}</hostname>", escape(name));
    let names: String = host.names.iter().map(name).collect();
    format!("<host ip='{}'>{names}</host>", host.address)
}

/// A `<portgroup>`.
pub(super) fn portgroup_xml(group: &Portgroup) -> String {
    let open = format!("<portgroup name='{}'", escape(&group.name));
    let open = if group.default { format!("{open} default='yes'") } else { open };
    if group.bandwidth == Bandwidth::default() {
        return format!("{open}/>");
    }
    format!("{open}>\n    {}\n  </portgroup>", bandwidth_xml(&group.bandwidth, 2))
}
