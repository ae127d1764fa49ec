//! The joined picture: every NIC knows its link, bridge, network and addresses; every bridge its
//! ports; every rule the networks it is about. Made by [`super::topology::join`], never by hand.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;

use super::facts::Facts;
use super::firewall::Rule;
use super::guest::{DomainState, Guest, NicConfig, NicSource};
use super::ids::{IfIndex, IfName, Mac, NetworkId, NicId, Timestamp};
use super::kernel::{BridgeInfo, Counters, Link, PortInfo};
use super::network::Network;
use super::pci::PciAddress;
use super::rates::{History, LinkRate};

/// One whole, consistent picture of the host. Cheap to clone and to share.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Rises with every snapshot handed out.
    pub generation: u64,
    /// Rises only when something other than counters, rates and ages changed: what a plan is checked against.
    pub structure: u64,
    /// What was read. `Snapshot` derefs to it.
    pub facts: Facts,
    /// All NICs of all guests, in order of guest name and position.
    pub nics: Vec<Nic>,
    /// All bridges, in order of name (libvirt's first).
    pub bridges: Vec<Bridge>,
    /// The rules that concern guests, in kernel order.
    pub rules: Vec<GuestRule>,
    /// Links by index: positions in `facts.kernel.links`.
    pub link_positions: BTreeMap<IfIndex, usize>,
    /// Rates and their last five minutes.
    pub history: Arc<History>,
}

impl Deref for Snapshot {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Snapshot {
    /// The link with this index.
    #[must_use]
    pub fn link(&self, index: IfIndex) -> Option<&Link> {
        self.facts.kernel.links.get(*self.link_positions.get(&index)?)
    }

    /// The link with this name.
    #[must_use]
    pub fn link_named(&self, name: IfName) -> Option<&Link> {
        self.facts.kernel.links.iter().find(|link| link.name == name)
    }

    /// The guest of a NIC.
    #[must_use]
    pub fn guest(&self, id: super::ids::DomainId) -> Option<&Guest> {
        self.facts.libvirt.guests.iter().find(|guest| guest.id == id)
    }

    /// The NIC with this id.
    #[must_use]
    pub fn nic(&self, id: NicId) -> Option<&Nic> {
        self.nics.iter().find(|nic| nic.id == id)
    }

    /// The network with this name.
    #[must_use]
    pub fn network_named(&self, name: &str) -> Option<&Network> {
        self.facts.libvirt.networks.iter().find(|network| network.name == name)
    }

    /// The network with this id.
    #[must_use]
    pub fn network(&self, id: NetworkId) -> Option<&Network> {
        self.facts.libvirt.networks.iter().find(|network| network.id == id)
    }

    /// The bridge with this name.
    #[must_use]
    pub fn bridge_named(&self, name: IfName) -> Option<&Bridge> {
        self.bridges.iter().find(|bridge| bridge.name == name)
    }

    /// A guest on this bridge may be the router of others there: it has another NIC elsewhere.
    #[must_use]
    pub fn may_have_router(&self, bridge: IfName) -> bool {
        let here = |nic: &&Nic| nic.bridge == Some(bridge) && nic.state.is_active();
        let elsewhere = |router: &Nic| {
            self.nics.iter().any(|nic| nic.id.domain == router.id.domain && nic.bridge != Some(bridge))
        };
        let others =
            |router: &Nic| self.nics.iter().filter(here).any(|nic| nic.id.domain != router.id.domain);
        self.nics.iter().filter(here).any(|nic| elsewhere(nic) && others(nic))
    }

    /// Nothing leads out of a bridge: no port, nobody on it who might route, and no address of the host by which it
    /// might.
    #[must_use]
    pub fn is_dead_end(&self, bridge: &Bridge) -> bool {
        bridge.uplinks().chain(bridge.strangers()).next().is_none()
            && bridge.global_addresses().next().is_none()
            && !self.may_have_router(bridge.name)
    }

    /// Counters of a link from the host's side.
    #[must_use]
    pub fn counters(&self, index: IfIndex) -> Option<Counters> {
        self.facts.counters.get(&index).copied()
    }
}

/// One NIC of one guest, joined with everything it touches on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Nic {
    /// Its identity.
    pub id: NicId,
    /// The guest's name: hostile text.
    pub guest: String,
    /// The guest's state.
    pub state: DomainState,
    /// Position among the guest's NICs, from 0, in the definition that applies now.
    pub position: usize,
    /// The live definition's element; `None` when off or not plugged now.
    pub live: Option<NicConfig>,
    /// The next boot's element; `None` for a transient guest or a NIC that goes at shutdown.
    pub next: Option<NicConfig>,
    /// Live and next boot differ in what matters (source, model, link state, MTU, VLAN, filter, or one is missing).
    pub pending: bool,
    /// The host's link (tap or macvtap) while the guest runs.
    pub link: Option<IfIndex>,
    /// That link's name.
    pub link_name: Option<IfName>,
    /// The bridge the *kernel* says the link is on.
    pub bridge: Option<IfName>,
    /// The bridge of the kernel that libvirt believes it is on; `None` on an Open vSwitch, whose ports the kernel
    /// does not show.
    pub expected_bridge: Option<IfName>,
    /// The libvirt network it is on.
    pub network: Option<NetworkId>,
    /// For a macvtap: the link below it, as the kernel says.
    pub lower: Option<IfName>,
    /// Addresses, best first, each with where it was seen.
    pub addresses: Vec<NicAddress>,
    /// Counters from the guest's side.
    pub counters: Option<Counters>,
    /// Current rate from the guest's side.
    pub rate: Option<LinkRate>,
    /// Counters must be swapped to be the guest's (a tap), or not (a macvtap).
    pub swapped: bool,
    /// Links its packets leave the host by, nearest first: the uplink ports of its bridge, the macvtap's
    /// lower link, or for NAT/route networks the links of the default route.
    pub uplinks: Vec<IfName>,
    /// The device of the host that it is: assigned, or out of a network's pool while the guest runs.
    pub device: Option<PciAddress>,
    /// For a virtual function that the guest has: its card on the host (`enp1s0f0`, else its PCI address).
    pub card: Option<String>,
}

impl Nic {
    /// The element that applies now: live, else next boot.
    #[must_use]
    pub fn config(&self) -> Option<&NicConfig> {
        self.live.as_ref().or(self.next.as_ref())
    }

    /// Where it is plugged now.
    #[must_use]
    pub fn source(&self) -> Option<&NicSource> {
        self.config().map(|config| &config.source)
    }

    /// The bridge, or the link below a macvtap, that it is on now.
    #[must_use]
    pub fn place(&self) -> Option<IfName> {
        self.bridge.or(self.lower)
    }

    /// Its MAC address; `–` when its definition has none.
    #[must_use]
    pub fn mac_text(&self) -> String {
        if self.id.mac.is_real() { self.id.mac.to_string() } else { "–".to_owned() }
    }

    /// The kernel has the tap on another bridge (or none) than libvirt believes.
    #[must_use]
    pub fn drifted(&self) -> bool {
        self.link.is_some() && self.expected_bridge.is_some() && self.bridge != self.expected_bridge
    }
}

/// An address of a NIC and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicAddress {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length, where the origin tells.
    pub prefix: Option<u8>,
    /// Where it was seen.
    pub origin: Origin,
    /// The name the guest gave with it (DHCP): hostile text.
    pub hostname: Option<String>,
    /// A lease's end.
    pub expires: Option<Timestamp>,
    /// The origin doubts it: a lease of a network the NIC is not on any more, a failed neighbour.
    pub stale: bool,
}

/// How an address is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The guest's own agent.
    Agent,
    /// A lease of libvirt's DHCP.
    Lease,
    /// The host's neighbour table.
    Neighbour,
    /// Seen in a DHCP or ARP packet.
    Packet,
}

impl Origin {
    /// The letter behind the address.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Agent => 'A',
            Self::Lease => 'L',
            Self::Neighbour => 'N',
            Self::Packet => 'D',
        }
    }

    /// The word in the details.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Agent => "guest agent",
            Self::Lease => "DHCP lease",
            Self::Neighbour => "neighbour table",
            Self::Packet => "seen packet",
        }
    }
}

/// A bridge of the host with its ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: IfName,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Is up.
    pub up: bool,
    /// Its settings.
    pub info: BridgeInfo,
    /// Its addresses, global ones first.
    pub addresses: Vec<IpNet>,
    /// The libvirt network that made it or uses it.
    pub network: Option<NetworkId>,
    /// That network's name: hostile text.
    pub network_name: Option<String>,
    /// Its ports: uplinks first, then guests' by name.
    pub ports: Vec<Port>,
}

impl Bridge {
    /// The ports that lead out of the host.
    pub fn uplinks(&self) -> impl Iterator<Item = &Port> {
        self.ports.iter().filter(|port| port.role == PortRole::Uplink)
    }

    /// Its addresses but those that every link makes itself: guests may use the host as their router.
    pub fn global_addresses(&self) -> impl Iterator<Item = IpNet> {
        let global = |address: &&IpNet| match address.addr() {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        };
        self.addresses.iter().filter(global).copied()
    }

    /// Ports with somebody behind them whom nobody here knows: a container, or a program with a tap.
    pub fn strangers(&self) -> impl Iterator<Item = &Port> {
        let strange = |port: &&Port| matches!(port.role, PortRole::Tap | PortRole::Container);
        self.ports.iter().filter(strange)
    }
}

/// A link enslaved to a bridge.
#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    /// Its index.
    pub index: IfIndex,
    /// Its name.
    pub name: IfName,
    /// Its port data.
    pub info: Option<PortInfo>,
    /// What it is for.
    pub role: PortRole,
    /// The NIC behind it.
    pub nic: Option<NicId>,
    /// The guest's name: hostile text.
    pub guest: Option<String>,
    /// Rate: the guest's side for a guest's tap, the host's side for an uplink.
    pub rate: Option<LinkRate>,
    /// Counters, on the same side as the rate.
    pub counters: Option<Counters>,
    /// Is up, with carrier.
    pub carrier: bool,
}

/// What a bridge port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortRole {
    /// A NIC, bond, VLAN or veth: leads out of the host.
    Uplink,
    /// A guest's tap.
    Guest,
    /// A tap that belongs to no known guest.
    Tap,
    /// A veth that leads into a container rather than out of the host.
    Container,
    /// A link that discards whatever it is given.
    Dummy,
}

/// A rule that concerns guests.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestRule {
    /// The rule.
    pub rule: Rule,
    /// The base chain it is reached from, the first one if several.
    pub hook: Option<super::firewall::BaseHook>,
    /// It is in a nat hook or reached from one.
    pub nat: bool,
    /// Networks whose subnet or bridge it names.
    pub networks: Vec<NetworkId>,
    /// Bridges it names, or whose subnet it names.
    pub bridges: Vec<IfName>,
    /// Packets and bytes per second since the last sample.
    pub rate: Option<RuleRate>,
}

/// A rule counter's rate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RuleRate {
    /// Packets per second.
    pub packets: f64,
    /// Bytes per second.
    pub bytes: f64,
}
