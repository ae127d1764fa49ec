//! PURE. What libvirt would take into a definition and its DHCP and DNS server then stumbles over.

use std::collections::BTreeSet;

use super::{Objection, objection};
use crate::model::network::{NetworkDefinition, StaticHost, Subnet};
use crate::model::{ForwardMode, Snapshot};

/// Whether the names, static leases and port groups in it make sense together.
pub(in crate::change::network) fn definition_fits(
    snapshot: &Snapshot,
    definition: &NetworkDefinition,
) -> Result<(), Objection> {
    names_can_be_served(snapshot, definition)?;
    let mut seen = BTreeSet::new();
    for subnet in &definition.subnets {
        for host in &subnet.hosts {
            static_lease(subnet, host)?;
            if !seen.insert(host.mac.map(|mac| mac.to_string()).unwrap_or_default()) && host.mac.is_some() {
                let mac = host.mac.map(|mac| mac.to_string()).unwrap_or_default();
                return objection(format!("{mac} has two static leases"), "give each MAC one");
            }
            if let Some(address) = host.address.filter(|address| !seen.insert(address.to_string())) {
                let way_out = "give each its own address";
                return objection(format!("{address} is the static lease of two guests"), way_out);
            }
        }
    }
    for host in &definition.dns_hosts {
        if host.names.is_empty() {
            return objection(format!("{} has no name", host.address), "ADDRESS=NAME[,NAME]");
        }
        host.names.iter().try_for_each(|name| dns_name(name))?;
    }
    definition.domain.iter().try_for_each(|name| dns_name(name))?;
    let groups: BTreeSet<&String> = definition.portgroups.iter().collect();
    if groups.len() < definition.portgroups.len() || groups.iter().any(|name| name.is_empty()) {
        return objection("port groups need names, each its own", "choose other names");
    }
    if definition.xml.matches("<portgroup ").count() > 1
        && definition.xml.matches("default='yes'").count() > 1
    {
        return objection("two port groups are the default", "make one of them the default");
    }
    Ok(())
}

fn static_lease(subnet: &Subnet, host: &StaticHost) -> Result<(), Objection> {
    if let Some(name) = &host.name {
        dns_name(name)?;
    }
    let Some(address) = host.address else { return Ok(()) };
    let gateway = subnet.gateway;
    if !gateway.contains(&address) {
        return objection(format!("{address} is not in {}", gateway.trunc()), "choose an address inside");
    }
    if gateway.addr() == address {
        return objection(format!("{address} is the host's own"), "choose another address");
    }
    if address.is_ipv4() && (address == gateway.network() || address == gateway.broadcast()) {
        return objection(format!("{address} is no guest's address"), "choose another address");
    }
    if address.is_ipv6() && host.mac.is_some() {
        let way_out = "virsh net-edit: <host id='DUID' ip='…'/>";
        return objection("DHCPv6 knows guests by their DUID, not by their MAC", way_out);
    }
    Ok(())
}

/// A name that dnsmasq's files can hold: libvirt writes it there as it is.
pub(in crate::change::network) fn is_dns_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with(['-', '.'])
}

fn dns_name(name: &str) -> Result<(), Objection> {
    if is_dns_name(name) {
        return Ok(());
    }
    objection(format!("{name} is no name for DNS"), "letters, digits, dots and hyphens")
}

/// libvirt's dnsmasq answers names on the network's address; a server that holds port 53 of all addresses
/// keeps it from starting, and so the network.
pub(in crate::change::network) fn names_can_be_served(
    snapshot: &Snapshot,
    definition: &NetworkDefinition,
) -> Result<(), Objection> {
    let own = matches!(
        definition.forward,
        ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open | ForwardMode::Isolated
    );
    let serves = own && !definition.subnets.is_empty() && !definition.dns_off;
    match snapshot.kernel.settings.dns_everywhere.as_ref().filter(|_| serves) {
        None => Ok(()),
        Some(holder) => objection(
            format!("{holder} holds port 53 of every address: libvirt's dnsmasq could not start"),
            "have it listen on its own addresses only (dnsmasq: bind-interfaces and interface=…), or stop it",
        ),
    }
}
