//! PURE. The addresses of a NIC: from its agent, from leases, from the neighbour table.
//!
//! Bridged guests have no lease that libvirt knows of, so every origin is asked and each answer says
//! where it comes from. An answer that no longer fits where the NIC is plugged is kept, marked stale.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Host;
use crate::model::guest::Guest;
use crate::model::ids::{IfName, Mac};
use crate::model::kernel::Neighbour;
use crate::model::network::{ForwardMode, Network};
use crate::model::snapshot::{NicAddress, Origin};

pub(super) fn of_nic(
    host: &Host<'_>,
    guest: &Guest,
    mac: Mac,
    network: Option<&Network>,
    bridge: Option<IfName>,
    lower: Option<IfName>,
) -> Vec<NicAddress> {
    if !guest.state.is_active() || !mac.is_real() {
        return Vec::new();
    }
    let mut found: Vec<NicAddress> = Vec::new();
    found.extend(from_agent(guest, mac));
    found.extend(from_leases(host, mac, network));
    found.extend(from_neighbours(host, mac, network, bridge));
    found.extend(from_packets(host, mac, network, bridge.or(lower)));
    best_of(found)
}

/// Whether the NIC is on a network whose subnets do not have this address.
fn foreign(network: Option<&Network>, address: IpAddr) -> bool {
    let subnets = network.and_then(Network::current).map(|definition| &definition.subnets);
    subnets.is_some_and(|subnets| {
        !subnets.is_empty() && !subnets.iter().any(|subnet| subnet.gateway.contains(&address))
    })
}

/// What was seen on the wire fits only as long as the NIC is where it was, and not on a network whose subnets say
/// otherwise.
fn from_packets(
    host: &Host<'_>,
    mac: Mac,
    network: Option<&Network>,
    here: Option<IfName>,
) -> Option<NicAddress> {
    let seen = host.facts.seen.iter().find(|seen| seen.mac == mac)?;
    Some(NicAddress {
        address: seen.address,
        prefix: None,
        origin: Origin::Packet,
        hostname: None,
        expires: None,
        stale: seen.on.is_some_and(|on| here != Some(on)) || foreign(network, seen.address),
    })
}

fn from_agent(guest: &Guest, mac: Mac) -> impl Iterator<Item = NicAddress> {
    guest
        .agent_addresses
        .iter()
        .filter(move |seen| seen.mac == mac && !seen.address.addr().is_loopback())
        .map(|seen| NicAddress {
            address: seen.address.addr(),
            prefix: Some(seen.address.prefix_len()),
            origin: Origin::Agent,
            hostname: None,
            expires: None,
            stale: false,
        })
}

fn from_leases(host: &Host<'_>, mac: Mac, network: Option<&Network>) -> Vec<NicAddress> {
    let here = network.map(|network| network.id);
    let mut found = Vec::new();
    for other in &host.facts.libvirt.networks {
        for lease in other.leases.iter().filter(|lease| lease.mac == Some(mac)) {
            let expired = lease.expires.is_some_and(|end| end < host.facts.taken_at);
            found.push(NicAddress {
                address: lease.address.addr(),
                prefix: Some(lease.address.prefix_len()),
                origin: Origin::Lease,
                hostname: lease.hostname.clone(),
                expires: lease.expires,
                stale: Some(other.id) != here || expired,
            });
        }
    }
    found
}

fn from_neighbours(
    host: &Host<'_>,
    mac: Mac,
    network: Option<&Network>,
    bridge: Option<IfName>,
) -> impl Iterator<Item = NicAddress> {
    // IPv6 has link-local addresses besides those of the subnet.
    let outside = move |address: IpAddr| address.is_ipv4() && foreign(network, address);
    host.facts.kernel.neighbours.iter().filter(move |seen| seen.mac == mac).map(move |seen| NicAddress {
        address: seen.address,
        prefix: None,
        origin: Origin::Neighbour,
        hostname: None,
        expires: None,
        stale: outside(seen.address) || left_behind(host, seen, bridge),
    })
}

/// An entry on a libvirt bridge that the NIC is not on any more. An entry on another link is no
/// contradiction: the host may well see a bridged guest through its own uplink.
fn left_behind(host: &Host<'_>, seen: &Neighbour, bridge: Option<IfName>) -> bool {
    if matches!(seen.state.as_str(), "failed" | "incomplete") {
        return true;
    }
    let Some(link) = host.link(seen.index) else { return true };
    Some(link.name) != bridge
        && host.network_of_bridge(link.name).is_some_and(|network| network.forward() != ForwardMode::Bridge)
}

/// One entry per address, fresh before stale, IPv4 before IPv6, link-local last, better origin first.
fn best_of(found: Vec<NicAddress>) -> Vec<NicAddress> {
    let mut by_address: BTreeMap<IpAddr, NicAddress> = BTreeMap::new();
    for seen in found {
        match by_address.get_mut(&seen.address) {
            Some(best) if (best.stale, best.origin) <= (seen.stale, seen.origin) => {
                best.hostname = best.hostname.take().or(seen.hostname);
                best.prefix = best.prefix.or(seen.prefix);
            }
            _ => {
                by_address.insert(seen.address, seen);
            }
        }
    }
    let mut addresses: Vec<NicAddress> = by_address.into_values().collect();
    addresses.sort_by_key(|seen| (seen.stale, link_local(seen.address), seen.address.is_ipv6(), seen.origin));
    addresses
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    }
}
