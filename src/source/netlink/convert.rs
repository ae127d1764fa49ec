//! PURE. rtnetlink messages → the model's kernel facts. What a message does not say stays at the
//! kernel's own default; nothing is guessed.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::Nla as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    BridgeId, BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoMacVlan,
    InfoMacVtap, InfoPortData, InfoTun, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    MacVlanMode, State,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType, RouteVia,
};

use crate::model::guest::MacvtapMode;
use crate::model::ids::{IfIndex, IfName, Mac};
use crate::model::kernel::{
    Address, BridgeInfo, FdbEntry, Link, LinkKind, Neighbour, PortInfo, PortState, Route,
};

/// A link; `None` for a message without a name, which the kernel never sends in a dump.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    let mut link = Link {
        index: IfIndex(message.header.index),
        name: IfName::from_bytes(b"?")?,
        mac: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        oper_state: "unknown".to_owned(),
        master: None,
        lower: None,
        lower_elsewhere: false,
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        wireless: false,
        kind: LinkKind::Device,
        port: None,
    };
    let mut name = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = IfName::from_bytes(text.as_bytes()),
            LinkAttribute::Address(bytes) => link.mac = Mac::from_slice(bytes),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Carrier(carrier) => link.carrier = *carrier == 1,
            LinkAttribute::OperState(state) => oper_state(*state).clone_into(&mut link.oper_state),
            LinkAttribute::Controller(index) => link.master = Some(IfIndex(*index)),
            // A link without a lower one points at itself in some kinds (tunnels).
            LinkAttribute::Link(index) if *index != 0 && *index != message.header.index => {
                link.lower = Some(IfIndex(*index));
            }
            LinkAttribute::LinkNetNsId(_) => link.lower_elsewhere = true,
            LinkAttribute::LinkInfo(infos) => link_info(&mut link, infos),
            _ => {}
        }
    }
    link.name = name?;
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
        LinkInfo::PortData(InfoPortData::BridgePort(data)) => Some(port_info(data)),
        _ => None,
    });
}

fn link_kind(kind: &InfoKind, data: Option<&InfoData>) -> LinkKind {
    match (kind, data) {
        (InfoKind::Bridge, Some(InfoData::Bridge(data))) => LinkKind::Bridge(bridge_info(data)),
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

fn bridge_info(data: &[InfoBridge]) -> BridgeInfo {
    let mut bridge = BridgeInfo::default();
    for info in data {
        match info {
            InfoBridge::StpState(state) => bridge.stp = *state != BridgeStpState::Disabled,
            InfoBridge::ForwardDelay(delay) => bridge.forward_delay = *delay,
            InfoBridge::BridgeId(id) => bridge.bridge_id = bridge_id(id),
            InfoBridge::AgeingTime(time) => bridge.ageing_time = *time,
            InfoBridge::VlanFiltering(on) => bridge.vlan_filtering = *on,
            InfoBridge::NfCallIpTables(on) => bridge.nf_call_iptables = *on,
            InfoBridge::NfCallIp6Tables(on) => bridge.nf_call_ip6tables = *on,
            InfoBridge::NfCallArpTables(on) => bridge.nf_call_arptables = *on,
            _ => {}
        }
    }
    bridge
}

/// As `brctl show` prints it: `8000.525400ef6aec`.
#[expect(clippy::many_single_char_names, reason = "six bytes of an address")]
fn bridge_id(id: &BridgeId) -> String {
    let [a, b, c, d, e, f] = id.address;
    format!("{:04x}.{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}", id.priority)
}

fn port_info(data: &[InfoBridgePort]) -> PortInfo {
    let mut port = PortInfo {
        state: PortState::Disabled,
        cost: 0,
        priority: 0,
        isolated: false,
        hairpin: false,
        learning: true,
    };
    for info in data {
        match info {
            InfoBridgePort::State(state) => port.state = port_state(*state),
            InfoBridgePort::Cost(cost) => port.cost = *cost,
            InfoBridgePort::Priority(priority) => port.priority = *priority,
            InfoBridgePort::Isolated(on) => port.isolated = *on,
            InfoBridgePort::HairpinMode(on) => port.hairpin = *on,
            InfoBridgePort::Learning(on) => port.learning = *on,
            _ => {}
        }
    }
    port
}

fn port_state(state: BridgePortState) -> PortState {
    match state {
        BridgePortState::Listening => PortState::Listening,
        BridgePortState::Learning => PortState::Learning,
        BridgePortState::Forwarding => PortState::Forwarding,
        BridgePortState::Blocking => PortState::Blocking,
        _ => PortState::Disabled,
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

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let header = &message.header;
    let mut local = None;
    let mut peer = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            _ => {}
        }
    }
    Some(Address {
        index: IfIndex(header.index),
        // IPv6 has no IFA_LOCAL; on IPv4 IFA_ADDRESS is the peer of a point-to-point link.
        address: IpNet::new(local.or(peer)?, header.prefix_len).ok()?,
        scope: header.scope.to_string(),
        permanent: header.flags.contains(AddressHeaderFlags::Permanent),
    })
}

pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
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
        protocol: header.protocol.to_string(),
        linkdown: header.flags.contains(RouteFlags::Linkdown),
        kind: format!("{:?}", header.kind).to_lowercase(),
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => {
                route.destination = IpNet::new(ip(to)?, header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Gateway(gateway) => route.gateway = ip(gateway),
            RouteAttribute::Via(RouteVia::Inet(gateway)) => route.gateway = Some(IpAddr::V4(*gateway)),
            RouteAttribute::Via(RouteVia::Inet6(gateway)) => route.gateway = Some(IpAddr::V6(*gateway)),
            RouteAttribute::Oif(index) => route.oif = Some(IfIndex(*index)),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::PrefSource(source) => route.prefsrc = ip(source),
            RouteAttribute::Table(table) => route.table = *table,
            _ => {}
        }
    }
    Some(route)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

/// An ARP or NDP entry of a unicast neighbour with a MAC.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<Neighbour> {
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
        mac: neighbour_mac(message)?,
        state: message.header.state.to_string(),
    })
}

/// A bridge's forwarding entry; multicast and `self` ones say nothing about guests.
pub(super) fn fdb(message: &NeighbourMessage) -> Option<FdbEntry> {
    let mac = neighbour_mac(message)?;
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
