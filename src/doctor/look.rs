//! PURE. What several checks look at.

use std::net::IpAddr;

use ipnet::IpNet;

use super::finding::Fix;
use crate::change::target::quote;
use crate::model::kernel::{Link, LinkKind, Route};
use crate::model::network::ForwardMode;
use crate::model::{Bridge, DomainState, IfIndex, IfName, Network, Nic, Snapshot};

/// NICs of guests that run (not paused or on their way down).
pub(super) fn running(snapshot: &Snapshot) -> impl Iterator<Item = &Nic> {
    snapshot
        .nics
        .iter()
        .filter(|nic| nic.live.is_some() && matches!(nic.state, DomainState::Running | DomainState::Blocked))
}

/// Running NICs whose tap the kernel has on this bridge.
pub(super) fn on_bridge(snapshot: &Snapshot, bridge: IfName) -> impl Iterator<Item = &Nic> {
    running(snapshot).filter(move |nic| nic.bridge == Some(bridge))
}

/// Their guests' names.
pub(super) fn guests(nics: &[&Nic]) -> String {
    let mut names: Vec<&str> = nics.iter().map(|nic| nic.guest.as_str()).collect();
    names.dedup();
    match names.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        names => names.join(", "),
    }
}

/// `centos7 vnet0`, or with its MAC where it has no link.
pub(super) fn name(nic: &Nic) -> String {
    let link = nic.link_name.map_or_else(|| nic.mac_text(), |link| link.to_string());
    format!("{} {link}", nic.guest)
}

/// Active networks with a bridge of libvirt's own that the kernel has.
pub(super) fn own_networks(snapshot: &Snapshot) -> impl Iterator<Item = (&Network, &Bridge)> {
    snapshot
        .libvirt
        .networks
        .iter()
        .filter(|network| network.active && network.owns_bridge())
        .filter_map(|network| Some((network, snapshot.bridge_named(network.bridge()?)?)))
}

/// The network whose own bridge this is.
pub(super) fn owner<'a>(snapshot: &'a Snapshot, bridge: &Bridge) -> Option<&'a Network> {
    snapshot.network(bridge.network?).filter(|network| network.owns_bridge())
}

/// Addresses of a link that others can reach it by.
pub(super) fn global(snapshot: &Snapshot, link: IfIndex) -> Vec<IpNet> {
    let of_link =
        snapshot.kernel.addresses.iter().filter(|address| address.index == link && address.is_global());
    of_link.map(|address| address.address).collect()
}

/// IPv4 default routes of the main table, best first.
pub(super) fn defaults(snapshot: &Snapshot) -> Vec<(&Route, &Link)> {
    let mut routes: Vec<(&Route, &Link)> = snapshot
        .kernel
        .routes
        .iter()
        .filter(|route| {
            route.table == Route::MAIN
                && route.destination.prefix_len() == 0
                && route.destination.addr().is_ipv4()
        })
        .filter_map(|route| Some((route, snapshot.link(route.oif?)?)))
        .collect();
    routes.sort_by_key(|(route, _)| route.metric);
    routes
}

/// Routes of the main table that lead somewhere.
pub(super) fn routes(snapshot: &Snapshot) -> impl Iterator<Item = (&Route, &Link)> {
    snapshot
        .kernel
        .routes
        .iter()
        .filter(|route| route.table == Route::MAIN && route.destination.prefix_len() > 0)
        .filter_map(|route| Some((route, snapshot.link(route.oif?)?)))
}

/// A place where a NIC can be plugged in now, in the words of the command line; `without` is the network in question.
pub(super) fn refuge(snapshot: &Snapshot, without: Option<&str>) -> String {
    let mut networks: Vec<&Network> = own_networks(snapshot)
        .map(|(network, _)| network)
        .filter(|network| Some(network.name.as_str()) != without)
        .collect();
    networks.sort_by_key(|network| (network.name != "default", network.forward() != ForwardMode::Nat));
    let bridge =
        snapshot.bridges.iter().find(|bridge| bridge.network.is_none() && bridge.uplinks().next().is_some());
    match (networks.first(), bridge) {
        (Some(network), _) => format!("network={}", quote(&network.name)),
        (None, Some(bridge)) => format!("bridge={}", bridge.name),
        (None, None) => "network=NAME".to_owned(),
    }
}

/// The command that plugs a NIC in there.
pub(super) fn switch_elsewhere(snapshot: &Snapshot, nic: &Nic, without: Option<&str>) -> String {
    format!("virt-net switch {} {} --to {}", quote(&nic.guest), nic.id.mac, refuge(snapshot, without))
}

/// Two nets have an address in common.
pub(super) fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// The bridge that a link is a port of.
pub(super) fn master<'a>(snapshot: &'a Snapshot, link: &Link) -> Option<&'a Link> {
    snapshot.link(link.master?).filter(|master| matches!(master.kind, LinkKind::Bridge(_)))
}

/// The first address of a subnet that is not the host's own: one that a guest might have.
pub(super) fn some_guest_address(gateway: IpNet) -> Option<IpAddr> {
    gateway.hosts().find(|address| *address != gateway.addr())
}

/// The jumps to its own chains libvirt makes only when it starts.
pub(super) fn restart_of_the_daemon() -> Fix {
    Fix::by_hand(
        "restart the network daemon: guests and their taps stay (never net-destroy and net-start)",
        ["systemctl restart libvirtd || systemctl restart virtnetworkd".to_owned()],
    )
}

/// Who changed the firewall last, if the kernel told.
pub(super) fn last_change(snapshot: &Snapshot) -> String {
    snapshot
        .firewall
        .last_change
        .as_ref()
        .map(|change| format!("; last changed by \"{}\", process {}", change.process, change.pid))
        .unwrap_or_default()
}

/// An address that every link makes itself.
pub(super) const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
