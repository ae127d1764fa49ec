//! PURE. Who can reach whom: for one NIC the answers that people ask for, each derived from a path.

use std::net::IpAddr;

use serde::Serialize;

use super::hooks::Rules;
use super::packet::Answer;
use super::walk::{self, bridged_out};
use super::{INTERNET, INTERNET6, Path, Protocol, Question, Way};
use crate::model::{ForwardMode, IfName, Nic, NicId, Snapshot};

/// The other end of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// This host.
    Host,
    /// The internet.
    Internet,
    /// A machine on the LAN of the host.
    Lan,
    /// A guest on this host.
    Guest,
    /// A guest on another host that is plugged the same way.
    OtherHost,
}

/// Who starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The guest.
    To,
    /// The peer.
    From,
}

/// One relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Who starts.
    pub direction: Direction,
    /// The other end.
    pub peer: Peer,
    /// The other guest's name: hostile text.
    pub guest: Option<String>,
    /// The address that stands for the peer.
    pub address: Option<IpAddr>,
    /// Whether a ping and its answer pass.
    pub answer: Answer,
    /// Why, in one line.
    pub reason: String,
}

/// All relations of one NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// The NIC.
    pub nic: NicId,
    /// Its guest: hostile text.
    pub guest: String,
    /// Its link on the host.
    pub link: Option<IfName>,
    /// The relations, the guest's own first.
    pub cells: Vec<Cell>,
    /// Other guests' addresses that are not among them: on a full host there are too many to list.
    pub unlisted: usize,
}

/// Other guests' NICs that are listed.
const MOST_GUESTS: usize = 16;

/// The matrix of one NIC; `None` when there is no such NIC.
#[must_use]
pub fn matrix(snapshot: &Snapshot, id: NicId) -> Option<Reach> {
    let nic = snapshot.nic(id)?;
    Some(of_nic(&Rules::of(snapshot), nic))
}

/// The matrices of several NICs.
#[must_use]
pub fn matrices(snapshot: &Snapshot, ids: &[NicId]) -> Vec<Reach> {
    let rules = Rules::of(snapshot);
    ids.iter().filter_map(|id| snapshot.nic(*id)).map(|nic| of_nic(&rules, nic)).collect()
}

fn of_nic(rules: &Rules<'_>, nic: &Nic) -> Reach {
    let snapshot = rules.snapshot;
    let v4 = speaks_v4(snapshot, nic);
    let host = host_address(snapshot, nic, v4);
    let lan = lan_address(snapshot, nic, v4);
    let internet = if v4 { INTERNET } else { INTERNET6 };
    let mut cells = vec![
        cell(rules, nic, Peer::Host, Direction::To, host),
        cell(rules, nic, Peer::Internet, Direction::To, Some(internet)),
        cell(rules, nic, Peer::Lan, Direction::To, lan),
    ];
    let others: Vec<(&Nic, IpAddr)> = snapshot
        .nics
        .iter()
        .filter(|other| other.id.domain != nic.id.domain && other.state.is_active())
        .filter_map(|other| {
            let mut fresh = other.addresses.iter().filter(|own| !own.stale && own.address.is_ipv4() == v4);
            Some((other, fresh.next()?.address))
        })
        .collect();
    for (other, address) in others.iter().take(MOST_GUESTS) {
        let mut cell = cell(rules, nic, Peer::Guest, Direction::To, Some(*address));
        cell.guest = Some(other.guest.clone());
        cells.push(cell);
    }
    cells.push(other_host(rules, nic, lan));
    cells.push(cell(rules, nic, Peer::Host, Direction::From, host));
    cells.push(cell(rules, nic, Peer::Lan, Direction::From, lan));
    let unlisted = others.len().saturating_sub(MOST_GUESTS);
    Reach { nic: nic.id, guest: nic.guest.clone(), link: nic.link_name, cells, unlisted }
}

fn cell(rules: &Rules<'_>, nic: &Nic, peer: Peer, direction: Direction, address: Option<IpAddr>) -> Cell {
    let empty = Cell {
        direction,
        peer,
        guest: None,
        address,
        answer: Answer::Unknown,
        reason: match peer {
            Peer::Lan => "no machine on the LAN is known".to_owned(),
            _ => "the host has no address there".to_owned(),
        },
    };
    let Some(address) = address else { return empty };
    let way = match direction {
        Direction::To => Way::To(address),
        Direction::From => Way::From(address),
    };
    let Path { answer, reason, .. } =
        walk::trace(rules, nic, &Question { nic: nic.id, way, protocol: Protocol::Ping });
    Cell { answer, reason, ..empty }
}

/// A guest on another host, plugged as this one is.
fn other_host(rules: &Rules<'_>, nic: &Nic, lan: Option<IpAddr>) -> Cell {
    let snapshot = rules.snapshot;
    let network = nic.network.and_then(|id| snapshot.network(id));
    let subnet = network
        .and_then(crate::model::Network::current)
        .and_then(|definition| definition.subnets.first())
        .map(|subnet| subnet.gateway.trunc());
    let like_lan = cell(rules, nic, Peer::Lan, Direction::To, lan);
    let mut cell = Cell { peer: Peer::OtherHost, address: None, ..like_lan };
    if bridged_out(snapshot, nic) || !nic.state.is_active() || nic.link.is_none() {
        return cell;
    }
    let on = nic.bridge.and_then(|name| snapshot.bridge_named(name));
    let has_strangers =
        on.is_some_and(|on| on.strangers().next().is_some() || snapshot.may_have_router(on.name));
    let routed = on.and_then(|on| on.global_addresses().next());
    let bridge = nic.bridge.map_or_else(|| "its bridge".to_owned(), |bridge| bridge.to_string());
    let (answer, reason) = match (network.map(crate::model::Network::forward), subnet) {
        (Some(ForwardMode::Nat), Some(subnet)) => (
            Answer::No,
            format!(
                "each is behind its own host's NAT: an address of {subnet} is only looked for on {bridge}"
            ),
        ),
        (Some(ForwardMode::Route | ForwardMode::Open), Some(subnet)) => (
            Answer::Unknown,
            format!("only if both hosts have routes to each other's nets; {subnet} itself is on {bridge}"),
        ),
        (None | Some(ForwardMode::Bridge), _) if routed.is_some() => (
            Answer::Unknown,
            format!("only if both hosts route: {bridge} has no uplink, and an address of this host"),
        ),
        _ if has_strangers => (
            Answer::Unknown,
            format!("{bridge} has no uplink; whether somebody on it leads further is not known"),
        ),
        _ => (Answer::No, format!("{bridge} has no uplink: it ends at this host")),
    };
    cell.answer = answer;
    cell.reason = reason;
    cell
}

/// IPv4 unless the NIC has only IPv6.
fn speaks_v4(snapshot: &Snapshot, nic: &Nic) -> bool {
    let known: Vec<IpAddr> = nic
        .addresses
        .iter()
        .filter(|own| !own.stale)
        .map(|own| own.address)
        .filter(|own| !link_local(*own))
        .collect();
    if !known.is_empty() {
        return known.iter().any(IpAddr::is_ipv4);
    }
    let network = nic.network.and_then(|id| snapshot.network(id)).and_then(crate::model::Network::current);
    network.is_none_or(|network| {
        network.subnets.is_empty() || network.subnets.iter().any(|subnet| subnet.gateway.addr().is_ipv4())
    })
}

fn link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The host's address that the guest would use: on its bridge or lower link, on its LAN, or by the default route.
#[must_use]
pub fn host_address(snapshot: &Snapshot, nic: &Nic, v4: bool) -> Option<IpAddr> {
    let own = snapshot.kernel.addresses.iter().filter(|own| {
        own.address.addr().is_ipv4() == v4
            && !own.address.addr().is_loopback()
            && !link_local(own.address.addr())
    });
    let near = nic.bridge.or(nic.lower).and_then(|name| snapshot.link_named(name)).map(|link| link.index);
    let guest = nic.addresses.iter().find(|seen| !seen.stale && seen.address.is_ipv4() == v4);
    let default = snapshot.kernel.route_to(if v4 { INTERNET } else { INTERNET6 }).and_then(|route| route.oif);
    let find = |wanted: &dyn Fn(&crate::model::kernel::Address) -> bool| own.clone().find(|own| wanted(own));
    find(&|own| Some(own.index) == near)
        .or_else(|| find(&|own| guest.is_some_and(|guest| own.address.contains(&guest.address))))
        .or_else(|| find(&|own| Some(own.index) == default))
        .map(|own| own.address.addr())
}

/// A machine on the host's LAN: a neighbour that is no guest and no router if one is known, else the router.
fn lan_address(snapshot: &Snapshot, nic: &Nic, v4: bool) -> Option<IpAddr> {
    let kernel = &snapshot.kernel;
    let default = kernel.route_to(if v4 { INTERNET } else { INTERNET6 });
    let gateway = default.and_then(|route| route.gateway);
    let guest = nic.addresses.iter().find(|seen| !seen.stale && seen.address.is_ipv4() == v4);
    // The link whose LAN the guest is on, else the one of the default route.
    let beside = kernel.addresses.iter().find(|own| {
        bridged_out(snapshot, nic) && guest.is_some_and(|guest| own.address.contains(&guest.address))
    });
    let link = beside.map(|own| own.index).or_else(|| default.and_then(|route| route.oif))?;
    let is_guest = |mac| snapshot.nics.iter().any(|nic| nic.id.mac == mac);
    let neighbour = kernel.neighbours.iter().find(|seen| {
        seen.index == link
            && seen.address.is_ipv4() == v4
            && !link_local(seen.address)
            && Some(seen.address) != gateway
            && !is_guest(seen.mac)
            && !matches!(seen.state.as_str(), "failed" | "incomplete")
    });
    neighbour.map(|seen| seen.address).or(gateway)
}
