//! PURE. The host's bridges with their ports, owners and addresses.

use ipnet::IpNet;

use super::Host;
use crate::model::kernel::{BridgeInfo, Counters, Link, LinkKind};
use crate::model::rates::{History, LinkRate};
use crate::model::snapshot::{Bridge, Nic, Port, PortRole};

pub(super) fn join(host: &Host<'_>, nics: &[Nic], history: &History) -> Vec<Bridge> {
    let mut bridges: Vec<Bridge> = host
        .facts
        .kernel
        .links
        .iter()
        .filter_map(|link| match &link.kind {
            LinkKind::Bridge(info) => Some(bridge(host, nics, history, link, info)),
            _ => None,
        })
        .collect();
    bridges.sort_by_key(|bridge| (bridge.network.is_none(), bridge.name));
    bridges
}

fn bridge(host: &Host<'_>, nics: &[Nic], history: &History, link: &Link, info: &BridgeInfo) -> Bridge {
    let network = host.network_of_bridge(link.name);
    let mut ports: Vec<Port> = host
        .facts
        .kernel
        .links
        .iter()
        .filter(|port| port.master == Some(link.index))
        .map(|port| self::port(host, nics, history, port, link))
        .collect();
    ports.sort_by_key(|port| (port.role, port.index));
    Bridge {
        index: link.index,
        name: link.name,
        mac: link.mac,
        up: link.up,
        info: info.clone(),
        addresses: addresses(host, link),
        network: network.map(|network| network.id),
        network_name: network.map(|network| network.name.clone()),
        ports,
    }
}

fn addresses(host: &Host<'_>, link: &Link) -> Vec<IpNet> {
    let mut addresses: Vec<_> =
        host.facts.kernel.addresses.iter().filter(|address| address.index == link.index).collect();
    addresses.sort_by_key(|address| (!address.is_global(), address.address.addr().is_ipv6()));
    addresses.into_iter().map(|address| address.address).collect()
}

fn port(host: &Host<'_>, nics: &[Nic], history: &History, link: &Link, bridge: &Link) -> Port {
    let nic = nics.iter().find(|nic| nic.link == Some(link.index));
    let role = if nic.is_some() { PortRole::Guest } else { host.role_of_port(link, bridge) };
    // A tap is read from the other end of the cable: what the host sends is what the guest receives.
    let swapped = matches!(role, PortRole::Guest | PortRole::Tap);
    let rate = history.rate(link.index);
    let counters = host.facts.counters.get(&link.index).copied();
    Port {
        index: link.index,
        name: link.name,
        info: link.port.clone(),
        role,
        nic: nic.map(|nic| nic.id),
        guest: nic.map(|nic| nic.guest.clone()),
        rate: if swapped { rate.map(LinkRate::swapped) } else { rate },
        counters: if swapped { counters.map(Counters::swapped) } else { counters },
        carrier: link.up && link.carrier,
    }
}
