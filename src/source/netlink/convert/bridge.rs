//! PURE. What rtnetlink says of a bridge and of its ports.

use netlink_packet_route::link::{
    BridgeId, BridgeMulticastRouterType, BridgePortState, BridgeStpState, InfoBridge, InfoBridgePort,
};

use crate::model::kernel::{BridgeInfo, PortInfo, PortState};

pub(super) fn info(data: &[InfoBridge]) -> BridgeInfo {
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
        bridge.other.extend(unusual(info));
    }
    bridge
}

/// As `brctl show` prints it: `8000.525400ef6aec`.
#[expect(clippy::many_single_char_names, reason = "six bytes of an address")]
fn bridge_id(id: &BridgeId) -> String {
    let [a, b, c, d, e, f] = id.address;
    format!("{:04x}.{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}", id.priority)
}

pub(super) fn port(data: &[InfoBridgePort]) -> PortInfo {
    let mut port = PortInfo {
        state: PortState::Disabled,
        cost: 0,
        priority: 0,
        isolated: false,
        hairpin: false,
        learning: true,
        other: Vec::new(),
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
        port.other.extend(unusual_of_port(info));
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

fn on(name: &str, is_unusual: bool) -> Option<String> {
    is_unusual.then(|| format!("{name} on"))
}

fn off(name: &str, is_unusual: bool) -> Option<String> {
    is_unusual.then(|| format!("{name} off"))
}

fn number<N: Copy + PartialEq + std::fmt::Display>(name: &str, value: N, usual: N) -> Option<String> {
    (value != usual).then(|| format!("{name} {value}"))
}

/// A setting that is not the kernel's own (`br_dev_setup`), in the words of `ip link`. How long MACs are remembered
/// is left out: with STP that changes by itself.
fn unusual(info: &InfoBridge) -> Option<String> {
    match info {
        InfoBridge::Priority(value) => number("priority", *value, 0x8000),
        InfoBridge::HelloTime(value) => number("hello_time", *value, 200),
        InfoBridge::MaxAge(value) => number("max_age", *value, 2_000),
        InfoBridge::GroupFwdMask(value) => number("group_fwd_mask", *value, 0),
        InfoBridge::VlanDefaultPvid(value) => number("vlan_default_pvid", *value, 1),
        InfoBridge::FdbMaxLearned(value) => number("fdb_max_learned", *value, 0),
        InfoBridge::MulticastSnooping(is_on) => off("mcast_snooping", !is_on),
        InfoBridge::MulticastQuerier(is_on) => on("mcast_querier", *is_on),
        InfoBridge::NfCallIpTables(is_on) => on("nf_call_iptables", *is_on),
        InfoBridge::NfCallIp6Tables(is_on) => on("nf_call_ip6tables", *is_on),
        InfoBridge::NfCallArpTables(is_on) => on("nf_call_arptables", *is_on),
        InfoBridge::MulticastRouter(kind) => router(*kind),
        _ => None,
    }
}

/// The same of a port (`new_nbp`), in the words of `bridge link`.
fn unusual_of_port(info: &InfoBridgePort) -> Option<String> {
    match info {
        InfoBridgePort::Guard(is_on) => on("guard", *is_on),
        InfoBridgePort::Protect(is_on) => on("root_block", *is_on),
        InfoBridgePort::FastLeave(is_on) => on("fastleave", *is_on),
        InfoBridgePort::UnicastFlood(is_on) => off("flood", !is_on),
        InfoBridgePort::MulticastFlood(is_on) => off("mcast_flood", !is_on),
        InfoBridgePort::BroadcastFlood(is_on) => off("bcast_flood", !is_on),
        InfoBridgePort::MulticastToUnicast(is_on) => on("mcast_to_unicast", *is_on),
        InfoBridgePort::ProxyARP(is_on) => on("proxy_arp", *is_on),
        InfoBridgePort::ProxyARPWifi(is_on) => on("proxy_arp_wifi", *is_on),
        InfoBridgePort::VlanTunnel(is_on) => on("vlan_tunnel", *is_on),
        InfoBridgePort::NeighSupress(is_on) => on("neigh_suppress", *is_on),
        InfoBridgePort::NeighVlanSuppress(is_on) => on("neigh_vlan_suppress", *is_on),
        InfoBridgePort::Locked(is_on) => on("locked", *is_on),
        InfoBridgePort::Mab(is_on) => on("mab", *is_on),
        InfoBridgePort::GroupFwdMask(value) => number("group_fwd_mask", *value, 0),
        InfoBridgePort::MulticastMaxGroups(value) => number("mcast_max_groups", *value, 0),
        InfoBridgePort::BackupPort(index) => Some(format!("backup_port {index}")),
        InfoBridgePort::MulticastRouter(kind) => router(*kind),
        _ => None,
    }
}

fn router(kind: BridgeMulticastRouterType) -> Option<String> {
    number("mcast_router", u8::from(kind), u8::from(BridgeMulticastRouterType::TempQuery))
}
