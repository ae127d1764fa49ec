//! PURE. rtnetlink messages → the model's kernel facts. What a message does not say stays at the
//! kernel's own default; nothing is guessed. An attribute that does not decode is passed over, so that
//! one odd link never hides another.

mod bridge;

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{Nla as _, NlaBuffer, NlasIterator, Parseable as _, ParseableParametrized as _};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeader, AddressHeaderFlags, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, InfoMacVtap, InfoPortData, InfoTun, InfoVlan, LinkAttribute, LinkFlags,
    LinkHeader, LinkInfo, MacVlanMode, State,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteLwEnCapType, RouteNextHopFlags,
    RouteProtocol, RouteType, RouteVia,
};

use super::raw::{RawFacts, messages};
use crate::model::guest::MacvtapMode;
use crate::model::ids::{IfIndex, IfName, Mac};
use crate::model::kernel::{Address, BridgeInfo, FdbEntry, KernelFacts, Link, LinkKind, Neighbour, Route};

/// All that a dump says, in an order that does not depend on the kernel's hash tables.
pub(super) fn facts(raw: &RawFacts) -> KernelFacts {
    let payloads = |bytes| messages(bytes).map(|message| message.payload());
    let mut facts = KernelFacts {
        links: payloads(&raw.links).filter_map(link).collect(),
        addresses: payloads(&raw.addresses).filter_map(address).collect(),
        routes: payloads(&raw.routes).filter_map(route).collect(),
        neighbours: payloads(&raw.neighbours).filter_map(neighbour).collect(),
        fdb: payloads(&raw.fdb).filter_map(fdb).collect(),
        ..KernelFacts::default()
    };
    facts.links.sort_by_key(|link| link.index);
    facts.routes.sort_by_key(|route| (route.destination.addr().is_ipv6(), route.destination, route.metric));
    facts.neighbours.sort_by_key(|seen| (seen.index, seen.address));
    facts.fdb.sort_by_key(|entry| (entry.port, entry.mac));
    facts
}

/// The attributes behind a header of `header` bytes; ends where they are cut off.
fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok)
}

/// A link; `None` for a message without a name, which the kernel never sends in a dump.
fn link(payload: &[u8]) -> Option<Link> {
    const IFLA_IFNAME: u16 = 3;
    let header = LinkHeader::parse(payload).ok()?;
    let mut name = None;
    let mut known = Vec::new();
    for attribute in attributes(payload, 16) {
        if attribute.kind() == IFLA_IFNAME {
            // Any bytes: the crate would refuse what is not UTF-8.
            name = attribute.value().split(|byte| *byte == 0).next().and_then(IfName::from_bytes);
        } else if let Ok(attribute) = LinkAttribute::parse_with_param(&attribute, header.interface_family) {
            known.push(attribute);
        }
    }
    let mut link = Link {
        index: IfIndex(header.index),
        name: name?,
        mac: None,
        mtu: 0,
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        oper_state: "unknown".to_owned(),
        master: None,
        lower: None,
        lower_elsewhere: false,
        loopback: header.flags.contains(LinkFlags::Loopback),
        wireless: false,
        kind: LinkKind::Device,
        port: None,
    };
    for attribute in &known {
        match attribute {
            LinkAttribute::Address(bytes) => link.mac = Mac::from_slice(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Carrier(carrier) => link.carrier = *carrier == 1,
            LinkAttribute::OperState(state) => oper_state(*state).clone_into(&mut link.oper_state),
            LinkAttribute::Controller(index) => link.master = Some(IfIndex(*index)),
            // A link without a lower one points at itself in some kinds (tunnels).
            LinkAttribute::Link(index) if *index != 0 && *index != header.index => {
                link.lower = Some(IfIndex(*index));
            }
            LinkAttribute::LinkNetNsId(_) => link.lower_elsewhere = true,
            LinkAttribute::LinkInfo(infos) => link_info(&mut link, infos),
            _ => {}
        }
    }
    Some(link)
}

fn link_info(link: &mut Link, infos: &[LinkInfo]) {
    let kind = infos.iter().find_map(|info| match info {
        LinkInfo::Kind(kind) => Some(kind),
        _ => None,
    });
    let data = infos.iter().find_map(|info| match info {
        LinkInfo::Data(data) => Some(data),
        _ => None,
    });
    if let Some(kind) = kind {
        link.kind = link_kind(kind, data);
    }
    link.port = infos.iter().find_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BridgePort(data)) => Some(bridge::port(data)),
        _ => None,
    });
}

fn link_kind(kind: &InfoKind, data: Option<&InfoData>) -> LinkKind {
    match (kind, data) {
        (InfoKind::Bridge, Some(InfoData::Bridge(data))) => LinkKind::Bridge(bridge::info(data)),
        (InfoKind::Bridge, _) => LinkKind::Bridge(BridgeInfo::default()),
        (InfoKind::Tun, Some(InfoData::Tun(data))) if !is_tap(data) => LinkKind::Tun,
        (InfoKind::Tun, _) => LinkKind::Tap,
        (InfoKind::MacVtap, data) => LinkKind::Macvtap { mode: macvtap_mode(data) },
        (InfoKind::MacVlan, data) => LinkKind::Macvlan { mode: macvtap_mode(data) },
        (InfoKind::Veth, _) => LinkKind::Veth,
        (InfoKind::Bond, _) => LinkKind::Bond,
        (InfoKind::Vlan, Some(InfoData::Vlan(data))) => LinkKind::Vlan {
            id: data
                .iter()
                .find_map(|info| match info {
                    InfoVlan::Id(id) => Some(*id),
                    _ => None,
                })
                .unwrap_or(0),
        },
        (InfoKind::Vlan, _) => LinkKind::Vlan { id: 0 },
        (other, _) => LinkKind::Other { name: other.to_string() },
    }
}

/// `IFLA_TUN_TYPE` (3) is `IFF_TUN` (1) or `IFF_TAP` (2); the crate hands it over undecoded.
fn is_tap(data: &[InfoTun]) -> bool {
    const IFLA_TUN_TYPE: u16 = 3;
    const IFF_TAP: u8 = 2;
    data.iter().all(|info| {
        let InfoTun::Other(nla) = info else { return true };
        if nla.kind() != IFLA_TUN_TYPE {
            return true;
        }
        let mut value = vec![0; nla.value_len()];
        nla.emit_value(&mut value);
        value.first().is_none_or(|kind| *kind == IFF_TAP)
    })
}

fn macvtap_mode(data: Option<&InfoData>) -> MacvtapMode {
    let mode = match data {
        Some(InfoData::MacVtap(data)) => data.iter().find_map(|info| match info {
            InfoMacVtap::Mode(mode) => Some(mode),
            _ => None,
        }),
        Some(InfoData::MacVlan(data)) => data.iter().find_map(|info| match info {
            InfoMacVlan::Mode(mode) => Some(mode),
            _ => None,
        }),
        _ => None,
    };
    match mode {
        Some(MacVlanMode::Private) => MacvtapMode::Private,
        Some(MacVlanMode::Bridge) => MacvtapMode::Bridge,
        Some(MacVlanMode::Passthrough) => MacvtapMode::Passthrough,
        // The kernel's own default (`macvlan_common_newlink`).
        _ => MacvtapMode::Vepa,
    }
}

fn oper_state(state: State) -> &'static str {
    match state {
        State::NotPresent => "notpresent",
        State::Down => "down",
        State::LowerLayerDown => "lowerlayerdown",
        State::Testing => "testing",
        State::Dormant => "dormant",
        State::Up => "up",
        _ => "unknown",
    }
}

fn address(payload: &[u8]) -> Option<Address> {
    let header = AddressHeader::parse(payload).ok()?;
    let mut local = None;
    let mut peer = None;
    for attribute in attributes(payload, 8) {
        match AddressAttribute::parse(&attribute) {
            Ok(AddressAttribute::Local(address)) => local = Some(address),
            Ok(AddressAttribute::Address(address)) => peer = Some(address),
            _ => {}
        }
    }
    Some(Address {
        index: IfIndex(header.index),
        // IPv6 has no IFA_LOCAL; on IPv4 IFA_ADDRESS is the peer of a point-to-point link.
        address: IpNet::new(local.or(peer)?, header.prefix_len).ok()?,
        scope: scope(header.scope),
        permanent: header.flags.contains(AddressHeaderFlags::Permanent),
    })
}

/// The words of `ip address`; a number where it has none.
fn scope(scope: AddressScope) -> String {
    match scope {
        AddressScope::Universe => "global".to_owned(),
        other => other.to_string(),
    }
}

/// The words of `ip route` (`/etc/iproute2/rt_protos`); a number where it has none.
fn protocol(protocol: RouteProtocol) -> String {
    let word = match protocol {
        RouteProtocol::Unspec => "unspec",
        RouteProtocol::IcmpRedirect => "redirect",
        RouteProtocol::Kernel => "kernel",
        RouteProtocol::Boot => "boot",
        RouteProtocol::Static => "static",
        RouteProtocol::Ra => "ra",
        RouteProtocol::Zebra => "zebra",
        RouteProtocol::Bird => "bird",
        RouteProtocol::Dhcp => "dhcp",
        RouteProtocol::KeepAlived => "keepalived",
        RouteProtocol::Babel => "babel",
        RouteProtocol::Bgp => "bgp",
        RouteProtocol::Isis => "isis",
        RouteProtocol::Ospf => "ospf",
        RouteProtocol::Rip => "rip",
        other => return u8::from(other).to_string(),
    };
    word.to_owned()
}

fn route(payload: &[u8]) -> Option<Route> {
    let header = RouteHeader::parse(payload).ok()?;
    // Broadcast, local and multicast routes follow from the addresses.
    if matches!(
        header.kind,
        RouteType::Broadcast | RouteType::Local | RouteType::Multicast | RouteType::Anycast
    ) {
        return None;
    }
    let unspecified = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut route = Route {
        destination: IpNet::new(unspecified, header.destination_prefix_length).ok()?,
        gateway: None,
        oif: None,
        metric: 0,
        prefsrc: None,
        table: u32::from(header.table),
        protocol: protocol(header.protocol),
        linkdown: header.flags.contains(RouteFlags::Linkdown),
        onlink: header.flags.contains(RouteFlags::Onlink),
        kind: format!("{:?}", header.kind).to_lowercase(),
    };
    let context = (header.address_family, header.kind, RouteLwEnCapType::None);
    for attribute in attributes(payload, 12) {
        let Ok(attribute) = RouteAttribute::parse_with_param(&attribute, context) else { continue };
        match attribute {
            RouteAttribute::Destination(to) => {
                route.destination = IpNet::new(ip(&to)?, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Oif(index) => route.oif = Some(IfIndex(index)),
            RouteAttribute::Priority(metric) => route.metric = metric,
            RouteAttribute::PrefSource(source) => route.prefsrc = ip(&source),
            RouteAttribute::Table(table) => route.table = table,
            RouteAttribute::MultiPath(hops) => {
                // One of several equal ways stands for all of them.
                let Some(hop) = hops.first() else { continue };
                route.oif = Some(IfIndex(hop.interface_index));
                route.gateway = hop.attributes.iter().find_map(gateway);
                route.onlink = hop.flags.contains(RouteNextHopFlags::Onlink);
            }
            other => route.gateway = gateway(&other).or(route.gateway),
        }
    }
    Some(route)
}

fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(gateway) => ip(gateway),
        RouteAttribute::Via(RouteVia::Inet(gateway)) => Some(IpAddr::V4(*gateway)),
        RouteAttribute::Via(RouteVia::Inet6(gateway)) => Some(IpAddr::V6(*gateway)),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// An ARP or NDP entry of a unicast neighbour with a MAC.
fn neighbour(payload: &[u8]) -> Option<Neighbour> {
    let message = NeighbourMessage::parse(payload).ok()?;
    if matches!(message.header.state, NeighbourState::Noarp | NeighbourState::Permanent) {
        return None;
    }
    let mut address = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            _ => {}
        }
    }
    Some(Neighbour {
        index: IfIndex(message.header.ifindex),
        address: address?,
        mac: neighbour_mac(&message)?,
        state: message.header.state.to_string(),
    })
}

/// A bridge's forwarding entry; multicast and `self` ones say nothing about guests.
fn fdb(payload: &[u8]) -> Option<FdbEntry> {
    let message = NeighbourMessage::parse(payload).ok()?;
    let mac = neighbour_mac(&message)?;
    let multicast = mac.0.first().is_some_and(|first| first & 1 == 1);
    if multicast || message.header.flags.contains(NeighbourFlags::Own) {
        return None;
    }
    let bridge = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Controller(index) => Some(IfIndex(*index)),
        _ => None,
    });
    Some(FdbEntry {
        port: IfIndex(message.header.ifindex),
        bridge,
        mac,
        permanent: message.header.state == NeighbourState::Permanent,
    })
}

fn neighbour_mac(message: &NeighbourMessage) -> Option<Mac> {
    message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::from_slice(bytes),
        _ => None,
    })
}
