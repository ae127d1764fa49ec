//! PURE. Guests' NICs, each joined with its link, bridge, network, addresses and rates.

use super::{Host, addresses, nth_of};
use crate::model::guest::{Guest, NicConfig, NicSource};
use crate::model::ids::{IfName, NicId};
use crate::model::kernel::{Link, LinkKind};
use crate::model::network::{ForwardMode, Network};
use crate::model::rates::{History, LinkRate};
use crate::model::snapshot::Nic;

pub(super) fn join(host: &Host<'_>, history: &History) -> Vec<Nic> {
    let mut guests: Vec<&Guest> = host.facts.libvirt.guests.iter().collect();
    guests.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    guests.into_iter().flat_map(|guest| of_guest(host, history, guest)).collect()
}

fn of_guest(host: &Host<'_>, history: &History, guest: &Guest) -> Vec<Nic> {
    let live = guest.live.as_ref().map(|definition| nth_of(&definition.nics, guest.id)).unwrap_or_default();
    let next = guest.next.as_ref().map(|definition| nth_of(&definition.nics, guest.id)).unwrap_or_default();
    let find = |nics: &[(NicId, &NicConfig)], id: NicId| {
        nics.iter().find(|(other, _)| *other == id).map(|(_, nic)| (*nic).clone())
    };
    let mut ids: Vec<NicId> = live.iter().map(|(id, _)| *id).collect();
    ids.extend(next.iter().map(|(id, _)| *id).filter(|id| find(&live, *id).is_none()));
    ids.into_iter()
        .enumerate()
        .map(|(position, id)| one(host, history, guest, id, position, find(&live, id), find(&next, id)))
        .collect()
}

fn one(
    host: &Host<'_>,
    history: &History,
    guest: &Guest,
    id: NicId,
    position: usize,
    live: Option<NicConfig>,
    next: Option<NicConfig>,
) -> Nic {
    let pending = guest.live.is_some() && guest.next.is_some() && pending(live.as_ref(), next.as_ref());
    let link = live.as_ref().and_then(|nic| host.by_name.get(&nic.target?).copied());
    let swapped =
        !link.is_some_and(|link| matches!(link.kind, LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. }));
    let source = live.as_ref().or(next.as_ref()).map(|nic| &nic.source);
    let network = source.and_then(|source| network_of(host, source));
    let bridge = link.and_then(|link| host.bridge_of(link)).map(|bridge| bridge.name);
    let lower = link.and_then(|link| lower_of(host, link));
    let from_guest = |rate: LinkRate| if swapped { rate.swapped() } else { rate };
    let counters = link.and_then(|link| host.facts.counters.get(&link.index).copied());
    Nic {
        id,
        guest: guest.name.clone(),
        state: guest.state,
        position,
        pending,
        link: link.map(|link| link.index),
        link_name: link.map(|link| link.name).or_else(|| live.as_ref().and_then(|nic| nic.target)),
        bridge,
        expected_bridge: live.as_ref().and_then(|nic| expected_bridge(&nic.source, network)),
        network: network.map(|network| network.id),
        lower,
        addresses: addresses::of_nic(host, guest, id.mac, network, bridge),
        counters: counters.map(|counters| if swapped { counters.swapped() } else { counters }),
        rate: link.and_then(|link| history.rate(link.index)).map(from_guest),
        swapped,
        uplinks: uplinks(host, network, bridge, lower),
        live,
        next,
    }
}

/// What differs between now and the next boot is worth a mark.
fn pending(live: Option<&NicConfig>, next: Option<&NicConfig>) -> bool {
    let (Some(live), Some(next)) = (live, next) else { return true };
    // A network keeps its name in the live XML whatever type it was resolved to, so a
    // `<forward mode='bridge'/>` network is no difference.
    !live.same_as(next)
}

fn network_of<'a>(host: &Host<'a>, source: &NicSource) -> Option<&'a Network> {
    match source {
        NicSource::Network { network, .. } => host.network_named(network),
        // A tap on a NAT network's bridge is on that network, whatever its definition calls it.
        NicSource::Bridge { bridge } => {
            host.network_of_bridge(*bridge).filter(|network| network.forward() != ForwardMode::Bridge)
        }
        _ => None,
    }
}

fn expected_bridge(source: &NicSource, network: Option<&Network>) -> Option<IfName> {
    match source {
        NicSource::Network { bridge: Some(bridge), .. } | NicSource::Bridge { bridge } => Some(*bridge),
        NicSource::Network { dev: None, .. } => network.and_then(Network::bridge),
        _ => None,
    }
}

fn lower_of(host: &Host<'_>, link: &Link) -> Option<IfName> {
    if link.lower_elsewhere || !matches!(link.kind, LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. }) {
        return None;
    }
    host.link(link.lower?).map(|lower| lower.name)
}

/// The links by which the NIC's packets leave the host.
fn uplinks(
    host: &Host<'_>,
    network: Option<&Network>,
    bridge: Option<IfName>,
    lower: Option<IfName>,
) -> Vec<IfName> {
    if let Some(lower) = lower {
        return vec![lower];
    }
    let Some(bridge) = bridge.and_then(|bridge| host.by_name.get(&bridge)) else { return Vec::new() };
    let routed = |network: &&Network| {
        matches!(network.forward(), ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open)
    };
    if let Some(network) = network.filter(routed) {
        let limited = network.current().map(|definition| definition.forward_devs.clone()).unwrap_or_default();
        return if limited.is_empty() { host.default_links() } else { limited };
    }
    host.facts
        .kernel
        .links
        .iter()
        .filter(|link| {
            link.master == Some(bridge.index) && !matches!(link.kind, LinkKind::Tap | LinkKind::Tun)
        })
        .map(|link| link.name)
        .collect()
}
