//! PURE. Guests' NICs, each joined with its link, bridge, network, addresses and rates.

use super::{Host, addresses, nth_of};
use crate::model::guest::{Definition, Guest, NicConfig, NicSource};
use crate::model::ids::{DomainId, IfName, NicId};
use crate::model::kernel::{Link, LinkKind};
use crate::model::network::{ForwardMode, Network};
use crate::model::pci::PciAddress;
use crate::model::rates::{History, LinkRate};
use crate::model::snapshot::{Nic, PortRole};

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
    let (live, next) = (
        with_devices(host, live, guest.live.as_ref(), guest.id),
        with_devices(host, next, guest.next.as_ref(), guest.id),
    );
    let mut ids: Vec<NicId> = live.iter().map(|(id, _)| *id).collect();
    ids.extend(next.iter().map(|(id, _)| *id).filter(|id| find(&live, *id).is_none()));
    ids.into_iter()
        .enumerate()
        .map(|(position, id)| one(host, history, guest, id, position, find(&live, id), find(&next, id)))
        .collect()
}

/// And the PCI NICs handed over whole that only the host's devices tell to be NICs.
fn with_devices<'a>(
    host: &Host<'_>,
    mut nics: Vec<(NicId, &'a NicConfig)>,
    definition: Option<&'a Definition>,
    domain: DomainId,
) -> Vec<(NicId, &'a NicConfig)> {
    let devices = definition.map(|definition| definition.devices.as_slice()).unwrap_or_default();
    nics.extend(devices.iter().filter_map(|device| {
        let NicSource::Hostdev { address: Some(address) } = device.source else { return None };
        let is_nic = host.pci.iter().any(|nic| nic.address == address);
        is_nic.then_some((NicId { domain, mac: device.mac?, nth: 0 }, device))
    }));
    nics
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
    let device = live.as_ref().or(next.as_ref()).and_then(|nic| nic.source.device());
    let live = live.map(|live| out_of_pool(host, live, next.as_ref()));
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
        expected_bridge: live.as_ref().and_then(|nic| expected_bridge(host, nic, network, link)),
        network: network.map(|network| network.id),
        lower,
        addresses: addresses::of_nic(host, guest, id.mac, network, bridge, lower),
        counters: counters.map(|counters| if swapped { counters.swapped() } else { counters }),
        rate: link.and_then(|link| history.rate(link.index)).map(from_guest),
        swapped,
        uplinks: uplinks(host, network, bridge, lower),
        device,
        card: device.and_then(|device| card(host, device)),
        live,
        next,
    }
}

/// A live definition names a device, not the network whose pool it came from: the next boot's does.
fn out_of_pool(host: &Host<'_>, mut live: NicConfig, next: Option<&NicConfig>) -> NicConfig {
    let Some(next) = next else { return live };
    let (NicSource::Network { network, .. }, Some(device)) = (&next.source, live.source.device()) else {
        return live;
    };
    let hands_out = |pool: &Network| {
        pool.is_pool() && pool.live.as_ref().is_none_or(|definition| definition.devices.contains(&device))
    };
    if host.network_named(network).is_some_and(hands_out) {
        live.source = next.source.clone();
        live.model.clone_from(&next.model);
    }
    live
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

fn expected_bridge(
    host: &Host<'_>,
    nic: &NicConfig,
    network: Option<&Network>,
    link: Option<&Link>,
) -> Option<IfName> {
    let bridge = match &nic.source {
        NicSource::Network { bridge: Some(bridge), .. } | NicSource::Bridge { bridge } => *bridge,
        NicSource::Network { dev: None, .. } => network.and_then(Network::bridge)?,
        _ => return None,
    };
    // A switch in user space (Open vSwitch, MidoNet) has the tap under a name that no master of the kernel has.
    if nic.virtualport.is_some() {
        return None;
    }
    let of_kernel = host.by_name.get(&bridge).is_some_and(|found| matches!(found.kind, LinkKind::Bridge(_)));
    let elsewhere = link.is_some_and(|link| link.master.is_some() && host.bridge_of(link).is_none());
    (of_kernel || !elsewhere).then_some(bridge)
}

/// The card whose virtual function it is, by its link's name on the host, else by its address.
fn card(host: &Host<'_>, device: PciAddress) -> Option<String> {
    let at = |address| host.pci.iter().find(|nic| nic.address == address);
    let physical = at(device)?.physical?;
    let link = at(physical).and_then(|card| card.links.first());
    Some(link.map_or_else(|| physical.to_string(), ToString::to_string))
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
        .filter(|link| link.master == Some(bridge.index))
        .filter(|link| host.role_of_port(link, bridge) == PortRole::Uplink)
        .map(|link| link.name)
        .collect()
}
