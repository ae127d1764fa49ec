//! What the kernel says: links, bridges, ports, addresses, routes, neighbours, FDB and counters.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::guest::MacvtapMode;
use super::ids::{IfIndex, IfName, Mac};

/// One consistent read of the kernel's network state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KernelFacts {
    /// All links, by index.
    pub links: Vec<Link>,
    /// All addresses of all links.
    pub addresses: Vec<Address>,
    /// Unicast routes of the main table (and local ones only where they matter to a guest).
    pub routes: Vec<Route>,
    /// ARP and NDP entries with a MAC.
    pub neighbours: Vec<Neighbour>,
    /// Which MAC was learned on which port.
    pub fdb: Vec<FdbEntry>,
    /// Settings outside netlink that decide about packets.
    pub settings: Settings,
}

/// Settings outside netlink that decide about packets; `None` = could not be read or does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// `/proc/sys/net/ipv4/ip_forward`.
    pub ip_forward: Option<bool>,
    /// `/proc/sys/net/ipv6/conf/all/forwarding`.
    pub ip6_forward: Option<bool>,
    /// `/proc/sys/net/bridge/bridge-nf-call-iptables`.
    pub nf_call_iptables: Option<bool>,
    /// `/proc/sys/net/bridge/bridge-nf-call-ip6tables`.
    pub nf_call_ip6tables: Option<bool>,
    /// `/proc/sys/net/bridge/bridge-nf-call-arptables`.
    pub nf_call_arptables: Option<bool>,
    /// `/proc/sys/net/ipv4/conf/all/arp_ignore`: 0 answers for any address of the host on any link, 1 only for
    /// those of the link itself.
    pub arp_ignore: Option<u8>,
    /// `ip rule` has more than the kernel's own rules: routes of other tables may count.
    pub policy_routing: Option<bool>,
    /// Who listens on TCP port 53 of all IPv4 addresses: `dnsmasq (4711)`.
    pub dns_everywhere: Option<String>,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: IfName,
    /// Its Ethernet address; `None` for links without one.
    pub mac: Option<Mac>,
    /// Bytes per packet.
    pub mtu: u32,
    /// `IFF_UP`: switched on by the administrator.
    pub up: bool,
    /// `IFLA_CARRIER`: a cable or a peer is there.
    pub carrier: bool,
    /// `IFLA_OPERSTATE` in the words of `ip link` (`up`, `down`, `unknown`, `lowerlayerdown`, …).
    pub oper_state: String,
    /// The bridge or bond it is enslaved to.
    pub master: Option<IfIndex>,
    /// The link below it: macvtap's and VLAN's lower link, veth's peer when in the same namespace.
    pub lower: Option<IfIndex>,
    /// `lower` is in another network namespace, so the index means nothing here.
    #[serde(default)]
    pub lower_elsewhere: bool,
    /// Has `IFF_LOOPBACK`.
    #[serde(default)]
    pub loopback: bool,
    /// Is a Wi-Fi station: it carries frames of its own MAC only.
    #[serde(default)]
    pub wireless: bool,
    /// What kind of link, with the kind's own data.
    pub kind: LinkKind,
    /// Data of a bridge's port; `None` when it is not a port of a bridge.
    pub port: Option<PortInfo>,
}

impl Link {
    /// A port's state lets frames through, or it is no bridge port at all.
    #[must_use]
    pub fn forwards(&self) -> bool {
        self.port.as_ref().is_none_or(|port| port.state == PortState::Forwarding)
    }

    /// It discards whatever is sent by it (`drivers/net/dummy.c`), and is always up with a carrier.
    #[must_use]
    pub fn is_dummy(&self) -> bool {
        matches!(&self.kind, LinkKind::Other { name } if name == "dummy")
    }
}

/// `IFLA_INFO_KIND` with the data that matters here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LinkKind {
    /// No kind: a physical NIC, or loopback.
    Device,
    /// A bridge.
    Bridge(BridgeInfo),
    /// A tap (what a guest's NIC is on the host).
    Tap,
    /// A tun.
    Tun,
    /// A macvtap on the link `lower`.
    Macvtap {
        /// How it sees its siblings.
        mode: MacvtapMode,
    },
    /// A macvlan on the link `lower`.
    Macvlan {
        /// How it sees its siblings.
        mode: MacvtapMode,
    },
    /// One end of a pair.
    Veth,
    /// A bond.
    Bond,
    /// A VLAN on the link `lower`.
    Vlan {
        /// Its tag.
        id: u16,
    },
    /// Any other kind, as the kernel names it.
    Other {
        /// `IFLA_INFO_KIND`.
        name: String,
    },
}

impl LinkKind {
    /// The word `ip -d link` uses.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Device => "device",
            Self::Bridge(_) => "bridge",
            Self::Tap => "tap",
            Self::Tun => "tun",
            Self::Macvtap { .. } => "macvtap",
            Self::Macvlan { .. } => "macvlan",
            Self::Veth => "veth",
            Self::Bond => "bond",
            Self::Vlan { .. } => "vlan",
            Self::Other { name } => name,
        }
    }
}

/// A bridge's own settings (`IFLA_INFO_DATA`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BridgeInfo {
    /// Spanning tree is on, in the kernel or in user space.
    pub stp: bool,
    /// Forward delay in hundredths of a second; a new port needs twice that to forward when STP is on.
    pub forward_delay: u32,
    /// `8000.525400ef6aec`, as `brctl show` prints it.
    pub bridge_id: String,
    /// Seconds/100 after which a silent MAC is forgotten.
    pub ageing_time: u32,
    /// VLAN filtering is on.
    pub vlan_filtering: bool,
    /// The bridge hands frames to iptables whatever the sysctl says.
    pub nf_call_iptables: bool,
    /// The same for ip6tables.
    pub nf_call_ip6tables: bool,
    /// The same for arptables.
    pub nf_call_arptables: bool,
    /// What else is set otherwise than the kernel does it by itself, as `ip link` says it: it is lost with the bridge.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<String>,
}

/// A bridge port's settings (`IFLA_INFO_SLAVE_DATA`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortInfo {
    /// STP state; without STP a port that is up forwards.
    pub state: PortState,
    /// Path cost.
    pub cost: u32,
    /// Port priority.
    pub priority: u16,
    /// Talks to non-isolated ports only.
    pub isolated: bool,
    /// Sends frames back where they came from.
    pub hairpin: bool,
    /// Learns MAC addresses.
    pub learning: bool,
    /// What else is set otherwise than the kernel does it by itself, as `bridge link` says it: it is lost when the port
    /// leaves its bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<String>,
}

/// `BR_STATE_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// Off: the link is down.
    Disabled,
    /// STP: listens only.
    Listening,
    /// STP: learns, does not forward yet.
    Learning,
    /// Passes frames.
    Forwarding,
    /// STP: held back as redundant.
    Blocking,
}

impl PortState {
    /// The word `bridge link` prints.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Listening => "listening",
            Self::Learning => "learning",
            Self::Forwarding => "forwarding",
            Self::Blocking => "blocking",
        }
    }
}

/// An address on a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The link.
    pub index: IfIndex,
    /// The address with its prefix.
    pub address: IpNet,
    /// `RT_SCOPE_*` in the words of `ip address` (`global`, `link`, `host`).
    pub scope: String,
    /// Added by hand or by a manager, without an end (not by a DHCP client with a lifetime).
    pub permanent: bool,
}

impl Address {
    /// Others can reach the host by it.
    #[must_use]
    pub fn is_global(&self) -> bool {
        !matches!(self.scope.as_str(), "link" | "host" | "nowhere")
    }
}

/// A unicast route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where to; `0.0.0.0/0` for the default route.
    pub destination: IpNet,
    /// The next hop, if not directly reachable.
    pub gateway: Option<IpAddr>,
    /// The outgoing link; `None` for unreachable and the like.
    pub oif: Option<IfIndex>,
    /// Lower wins.
    pub metric: u32,
    /// `RTA_PREFSRC`.
    pub prefsrc: Option<IpAddr>,
    /// Routing table; [`Route::MAIN`] or another.
    pub table: u32,
    /// `RTPROT_*` in the words of `ip route` (`kernel`, `boot`, `static`, `dhcp`, `ra`, …).
    pub protocol: String,
    /// The kernel marks the next hop's link as without carrier.
    pub linkdown: bool,
    /// The next hop is on the link though no other route says so (`RTNH_F_ONLINK`).
    #[serde(default)]
    pub onlink: bool,
    /// `unicast`, `unreachable`, `blackhole`, … .
    pub kind: String,
}

impl Route {
    /// The table that packets meet without a rule that names another (`RT_TABLE_MAIN`).
    pub const MAIN: u32 = 254;

    /// As `ip route` prints it, by this link.
    #[must_use]
    pub fn words(&self, over: IfName) -> String {
        let to = match self.destination.prefix_len() {
            0 => "default".to_owned(),
            _ => self.destination.to_string(),
        };
        let via = self.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        let metric = if self.metric == 0 { String::new() } else { format!(" metric {}", self.metric) };
        let table = if self.table == Self::MAIN { String::new() } else { format!(" table {}", self.table) };
        let onlink = if self.onlink { " onlink" } else { "" };
        format!("{to}{via} dev {over}{metric}{table}{onlink}")
    }
}

/// An ARP or NDP entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// The link it was seen on.
    pub index: IfIndex,
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its MAC.
    pub mac: Mac,
    /// `NUD_*` in the words of `ip neigh` (`reachable`, `stale`, …).
    pub state: String,
}

/// A learned or own MAC of a bridge's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    /// The port.
    pub port: IfIndex,
    /// The bridge; `None` for a `self` entry.
    pub bridge: Option<IfIndex>,
    /// The MAC.
    pub mac: Mac,
    /// The port's own address, not a learned one.
    pub permanent: bool,
}

/// Counters of one link, from the host's side, as the kernel counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Bytes the host received from the link.
    pub rx_bytes: u64,
    /// Packets likewise.
    pub rx_packets: u64,
    /// Errors likewise.
    pub rx_errors: u64,
    /// Drops likewise.
    pub rx_dropped: u64,
    /// Bytes the host sent to the link.
    pub tx_bytes: u64,
    /// Packets likewise.
    pub tx_packets: u64,
    /// Errors likewise.
    pub tx_errors: u64,
    /// Drops likewise.
    pub tx_dropped: u64,
}

impl Counters {
    /// The same counters with the directions changed: a tap's, from the guest's side.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self {
            rx_bytes: self.tx_bytes,
            rx_packets: self.tx_packets,
            rx_errors: self.tx_errors,
            rx_dropped: self.tx_dropped,
            tx_bytes: self.rx_bytes,
            tx_packets: self.rx_packets,
            tx_errors: self.rx_errors,
            tx_dropped: self.rx_dropped,
        }
    }
}

/// The counters of all links at one moment.
pub type CounterTable = BTreeMap<IfIndex, Counters>;

impl KernelFacts {
    /// The route of the main table that the kernel would take to `address`: the longest prefix, then
    /// the lowest metric. Routing rules and other tables are not looked at.
    #[must_use]
    pub fn route_to(&self, address: IpAddr) -> Option<&Route> {
        self.routes
            .iter()
            .filter(|route| route.table == Route::MAIN && route.destination.contains(&address))
            .min_by_key(|route| (std::cmp::Reverse(route.destination.prefix_len()), route.metric))
    }
}
