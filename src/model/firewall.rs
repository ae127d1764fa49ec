//! Firewall rules in kernel order, decoded as far as this program understands them.
//!
//! One shape for nf_tables' own rules, for those that `iptables-nft` wrote, and for what
//! `iptables-save -c` prints of legacy tables. What was not understood is kept as text and marked,
//! so that nobody takes half a rule for the whole.

mod reach;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The whole rule set of one namespace at one generation.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FirewallFacts {
    /// When it was read.
    pub read_at: super::ids::Timestamp,
    /// nf_tables generation id the dump belongs to; 0 for a fallback source.
    pub generation: u32,
    /// Where the rules were read from.
    pub origin: RuleOrigin,
    /// Who committed the last change seen, if the kernel said so.
    pub last_change: Option<RulesChanged>,
    /// All chains, in dump order.
    pub chains: Vec<Chain>,
    /// All rules, in kernel order within their chain.
    pub rules: Vec<Rule>,
    /// Legacy iptables tables that are in use beside nf_tables and could not be read (`filter`, `nat`): the
    /// program that shows them is not there.
    pub legacy_tables: Vec<String>,
}

/// Where firewall rules were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleOrigin {
    /// nf_tables by netlink.
    #[default]
    Netlink,
    /// `iptables-save -c`.
    IptablesSave,
}

/// A commit that the kernel announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesChanged {
    /// When it was seen.
    pub at: super::ids::Timestamp,
    /// The process that committed.
    pub pid: u32,
    /// Its name, as the kernel gives it.
    pub process: String,
}

/// Address family of a table (`NFPROTO_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Both.
    Inet,
    /// ARP.
    Arp,
    /// Bridge frames.
    Bridge,
    /// One link's ingress.
    Netdev,
}

impl Family {
    /// The word `nft` uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
            Self::Inet => "inet",
            Self::Arp => "arp",
            Self::Bridge => "bridge",
            Self::Netdev => "netdev",
        }
    }
}

/// A chain's full name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChainId {
    /// The table's family.
    pub family: Family,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
}

/// A chain; a base chain has a hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Its name.
    pub id: ChainId,
    /// Where packets enter it; `None` for one that is jumped to.
    pub hook: Option<BaseHook>,
    /// Packets that fell to the policy, where the kernel counts them.
    pub policy_counter: Option<RuleCounter>,
}

/// How a base chain is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseHook {
    /// The hook.
    pub hook: Hook,
    /// `filter`, `nat` or `route`.
    pub kind: String,
    /// Lower runs first.
    pub priority: i32,
    /// What happens to a packet no rule decided: [`Verdict::Accept`] or [`Verdict::Drop`].
    pub policy: Verdict,
    /// The links it is attached to, for ingress and egress; empty elsewhere.
    #[serde(default)]
    pub devices: Vec<String>,
}

/// Netfilter hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Before routing.
    Prerouting,
    /// To this host.
    Input,
    /// Through this host.
    Forward,
    /// From this host.
    Output,
    /// After routing.
    Postrouting,
    /// At a link (netdev).
    Ingress,
    /// At a link, leaving.
    Egress,
}

impl Hook {
    /// The word `nft` uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The chain it is in.
    pub chain: ChainId,
    /// The kernel's handle: identity within the table.
    pub handle: u64,
    /// What a packet must match, in order; all must hold.
    pub matches: Vec<Match>,
    /// What it does besides, before that: sets a mark, switches tracking off (as [`Action::Opaque`] names it).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What then happens; `None` for a rule that only counts.
    pub action: Option<Action>,
    /// Its counter, if it has one.
    pub counter: Option<RuleCounter>,
    /// A comment on it.
    pub comment: Option<String>,
    /// The whole rule as text, one line, `nft`-like; guests' names cannot get in, but comments can: escape.
    pub raw: String,
}

impl Rule {
    /// Nothing in it was beyond the decoder.
    #[must_use]
    pub fn understood(&self) -> bool {
        !self.matches.iter().any(|m| matches!(m, Match::Opaque { .. }))
            && !matches!(self.action, Some(Action::Opaque { .. }))
    }

    /// The chains it may continue in.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        let arms: &[MapArm] = match &self.action {
            Some(Action::Map { arms }) => arms,
            _ => &[],
        };
        self.action.iter().chain(arms.iter().map(|arm| &arm.then)).filter_map(Action::target)
    }
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuleCounter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl RuleCounter {
    /// `1 packet`, `7 packets`.
    #[must_use]
    pub fn packets_words(&self) -> String {
        packets_words(self.packets)
    }
}

/// `1 packet`, `7 packets`.
#[must_use]
pub fn packets_words(packets: u64) -> String {
    if packets == 1 { "1 packet".to_owned() } else { format!("{packets} packets") }
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "match", rename_all = "kebab-case")]
pub enum Match {
    /// Incoming interface, by name; a trailing `*` (iptables' `+`) matches any rest.
    InInterface {
        /// The name or prefix; an `iif` index is resolved to its name when the link exists, else `#7`.
        name: String,
        /// It must *not* be that.
        negated: bool,
    },
    /// Outgoing interface, likewise.
    OutInterface {
        /// The name or prefix.
        name: String,
        /// It must *not* be that.
        negated: bool,
    },
    /// Source address in one of these.
    Source {
        /// The nets; more than one for a set.
        nets: Vec<IpNet>,
        /// It must *not* be in them.
        negated: bool,
    },
    /// Destination address in one of these.
    Destination {
        /// The nets.
        nets: Vec<IpNet>,
        /// It must *not* be in them.
        negated: bool,
    },
    /// Layer-4 protocol (`IPPROTO_*`).
    Protocol {
        /// The numbers; more than one for a set.
        protocols: Vec<u8>,
        /// It must *not* be one of them.
        negated: bool,
    },
    /// Layer-4 source port.
    SourcePort {
        /// Inclusive ranges.
        ranges: Vec<(u16, u16)>,
        /// It must *not* be in them.
        negated: bool,
    },
    /// Layer-4 destination port.
    DestinationPort {
        /// Inclusive ranges.
        ranges: Vec<(u16, u16)>,
        /// It must *not* be in them.
        negated: bool,
    },
    /// Connection-tracking state: `new`, `established`, `related`, `invalid`, `untracked`, …, also `dnat`/`snat` status.
    CtState {
        /// Any of these.
        states: Vec<String>,
        /// None of these.
        negated: bool,
    },
    /// Layer-3 family (`meta nfproto`).
    NfProto {
        /// The family.
        family: Family,
    },
    /// Type of the Ethernet frame (`0x0800` is IPv4).
    EtherType {
        /// The types.
        types: Vec<u16>,
        /// It must *not* be one of them.
        negated: bool,
    },
    /// The frame's Ethernet address.
    EtherAddress {
        /// Which end.
        of: Side,
        /// The address.
        mac: super::ids::Mac,
        /// It must *not* be that.
        negated: bool,
    },
    /// What the routing table takes an address for (`fib daddr type`, `-m addrtype`).
    AddressKind {
        /// Which address.
        of: Side,
        /// `local`, `unicast`, `broadcast`, `multicast`, …
        kinds: Vec<String>,
        /// It must *not* be one of them.
        negated: bool,
    },
    /// ICMP or ICMPv6 type.
    IcmpType {
        /// Inclusive ranges.
        ranges: Vec<(u8, u8)>,
        /// It must *not* be in them.
        negated: bool,
    },
    /// The frame's link-layer address is for one, many or all (`unicast`, `multicast`, `broadcast`, `other`).
    PacketType {
        /// The words.
        types: Vec<String>,
        /// It must *not* be one of them.
        negated: bool,
    },
    /// The bridge port a bridged packet came in by (`-m physdev --physdev-in`).
    InPort {
        /// The name or prefix.
        name: String,
        /// It must *not* be that.
        negated: bool,
    },
    /// The bridge port a bridged packet goes out by.
    OutPort {
        /// The name or prefix.
        name: String,
        /// It must *not* be that.
        negated: bool,
    },
    /// The packet passes from port to port of one bridge (`-m physdev --physdev-is-bridged`).
    Bridged {
        /// It must *not*.
        negated: bool,
    },
    /// Has an IPv6 routing header, which next to no packet has.
    RoutingHeader {
        /// It must *not* have one.
        negated: bool,
    },
    /// The packet's mark under a mask.
    Mark {
        /// The value under the mask.
        value: u32,
        /// The mask.
        mask: u32,
        /// It must *not* be that.
        negated: bool,
    },
    /// At least one of these holds: a set of interface names and the like.
    AnyOf {
        /// The conditions.
        any: Vec<Match>,
        /// None of them may hold.
        negated: bool,
    },
    /// Anything the decoder does not model: as `nft`-like text or `name 0xhex`.
    Opaque {
        /// What is known of it.
        text: String,
    },
}

/// Which end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

impl Side {
    /// `saddr` or `daddr`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Source => "saddr",
            Self::Destination => "daddr",
        }
    }
}

/// One element of a verdict map: what a packet must match, and what then happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapArm {
    /// The key.
    pub when: Match,
    /// The verdict, jump or goto.
    pub then: Action,
}

/// What a rule does with a packet that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// A final or returning verdict.
    Verdict {
        /// Which.
        verdict: Verdict,
    },
    /// Continue in another chain and come back.
    Jump {
        /// The chain, in the same table.
        chain: String,
    },
    /// Continue in another chain and do not come back here.
    Goto {
        /// The chain, in the same table.
        chain: String,
    },
    /// Reject with an ICMP error or a reset.
    Reject {
        /// `icmp-port-unreachable`, …, where known.
        with: Option<String>,
    },
    /// Source becomes the outgoing link's own address.
    Masquerade {
        /// Ports the source is mapped into.
        ports: Option<(u16, u16)>,
    },
    /// Source becomes this address.
    Snat {
        /// First and last address.
        address: Option<(IpAddr, IpAddr)>,
        /// Ports.
        ports: Option<(u16, u16)>,
    },
    /// Destination becomes this address.
    Dnat {
        /// First and last address.
        address: Option<(IpAddr, IpAddr)>,
        /// Ports.
        ports: Option<(u16, u16)>,
    },
    /// Destination becomes this host.
    Redirect {
        /// Ports.
        ports: Option<(u16, u16)>,
    },
    /// The first arm that matches; a packet that matches none goes on to the next rule.
    Map {
        /// The elements of the map.
        arms: Vec<MapArm>,
    },
    /// Anything else: the packet goes on to the next rule unless the name says otherwise.
    Opaque {
        /// What is known of it (`LOG`, `CHECKSUM`, `TCPMSS 0x…`).
        text: String,
    },
}

impl Action {
    /// The chain of a jump or goto.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Jump { chain } | Self::Goto { chain } => Some(chain),
            _ => None,
        }
    }
}

/// `NF_*` and nf_tables verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Passes this base chain.
    Accept,
    /// Gone.
    Drop,
    /// Back to the calling chain, or to the policy.
    Return,
    /// On to the next rule.
    Continue,
    /// To user space.
    Queue,
}
