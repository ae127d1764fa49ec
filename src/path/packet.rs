//! PURE. The packet in question, as far as it is known, and whether a rule's condition holds for it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::model::firewall::{Family, Hook, Match, Side};
use crate::model::kernel::KernelFacts;
use crate::model::{IfName, Mac, Snapshot};
use crate::path::{INTERNET, INTERNET6};

/// Yes, no, or not to be decided from what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Certain.
    Yes,
    /// Certain.
    No,
    /// What is known does not decide it.
    Unknown,
}

impl Answer {
    /// The word on the screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    const fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// The opposite, if asked for.
    const fn negated(self, negated: bool) -> Self {
        match (self, negated) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            (answer, _) => answer,
        }
    }

    /// Both must hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    /// One is enough.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            _ => Self::Unknown,
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "protocol", content = "port", rename_all = "kebab-case")]
pub enum Protocol {
    /// An ICMP or ICMPv6 echo and its reply.
    #[default]
    Ping,
    /// TCP to this port.
    Tcp(u16),
    /// UDP to this port.
    Udp(u16),
}

/// Where the packet stands in its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// The first one.
    New,
    /// The answer to it.
    Reply,
}

/// The packet as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from: one address, or the net it must be in (`0.0.0.0/0` when nothing is known).
    pub source: IpNet,
    /// Where it goes, likewise.
    pub destination: IpNet,
    /// What it is.
    pub protocol: Protocol,
    /// Its place in its connection; `None` when a rule may have switched tracking off.
    pub flow: Option<Flow>,
    /// Its connection's destination, source was translated.
    pub translated: (Answer, Answer),
    /// The station that sent the frame it is in, where that is known.
    pub station: Option<Mac>,
    /// Its mark; `None` when a rule may have set it.
    pub mark: Option<u32>,
}

impl Packet {
    /// The first packet from one end to the other.
    #[must_use]
    pub const fn new(source: IpNet, destination: IpNet, protocol: Protocol, flow: Flow) -> Self {
        Self {
            source,
            destination,
            protocol,
            flow: Some(flow),
            translated: (Answer::No, Answer::No),
            station: None,
            mark: Some(0),
        }
    }

    /// Its IP family.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.destination {
            IpNet::V4(_) => Family::Ip,
            IpNet::V6(_) => Family::Ip6,
        }
    }

    const fn protocol_number(&self) -> u8 {
        match (self.protocol, self.destination) {
            (Protocol::Ping, IpNet::V4(_)) => 1,
            (Protocol::Ping, IpNet::V6(_)) => 58,
            (Protocol::Tcp(_), _) => 6,
            (Protocol::Udp(_), _) => 17,
        }
    }

    /// Source and destination port as ranges; an end that picks its port by chance may have any. `None` where what a
    /// rule without a protocol takes for ports is something else (`th dport` of a ping).
    const fn ports(&self) -> Option<((u16, u16), (u16, u16))> {
        const ANY: (u16, u16) = (1, u16::MAX);
        match (self.protocol, self.flow) {
            (Protocol::Ping, _) => None,
            (Protocol::Tcp(port) | Protocol::Udp(port), Some(Flow::Reply)) => Some(((port, port), ANY)),
            (Protocol::Tcp(port) | Protocol::Udp(port), _) => Some((ANY, (port, port))),
        }
    }

    const fn icmp_type(&self) -> Option<u8> {
        match (self.protocol, self.destination, self.flow) {
            (Protocol::Ping, IpNet::V4(_), Some(Flow::Reply)) => Some(0),
            (Protocol::Ping, IpNet::V4(_), _) => Some(8),
            (Protocol::Ping, IpNet::V6(_), Some(Flow::Reply)) => Some(129),
            (Protocol::Ping, IpNet::V6(_), _) => Some(128),
            _ => None,
        }
    }
}

/// One address, if no more than that is possible.
#[must_use]
pub fn single(net: IpNet) -> Option<IpAddr> {
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

/// Where in the kernel the packet is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The links it may have come in by; empty for one made here.
    pub inward: Vec<IfName>,
    /// The links it may go out by; empty before routing and for one that stays.
    pub outward: Vec<IfName>,
    /// The bridge port it came in by, where the bridge told netfilter.
    pub in_port: Option<IfName>,
    /// The bridge port it goes out by, for a frame that only crosses a bridge.
    pub out_port: Option<IfName>,
}

/// Whether a condition holds at this place and hook, as seen by a chain of this family.
pub(super) fn holds(
    snapshot: &Snapshot,
    packet: &Packet,
    place: &Place,
    at: (Hook, Family),
    part: &Match,
) -> Answer {
    match part {
        Match::InInterface { name, negated } => match (at.0, interface(name, &place.inward)) {
            // Linux tells it there since 5.7 only; before that the name is empty.
            (Hook::Postrouting, Answer::Yes) => Answer::Unknown,
            (_, answer) => answer.negated(*negated),
        },
        Match::OutInterface { name, negated } => interface(name, &place.outward).negated(*negated),
        Match::Source { nets, negated } => within(packet.source, nets).negated(*negated),
        Match::Destination { nets, negated } => within(packet.destination, nets).negated(*negated),
        Match::Protocol { protocols, negated } => {
            Answer::of(protocols.contains(&packet.protocol_number())).negated(*negated)
        }
        Match::SourcePort { ranges, negated } => {
            packet.ports().map_or(Answer::Unknown, |(source, _)| port(source, ranges).negated(*negated))
        }
        Match::DestinationPort { ranges, negated } => {
            let ports = packet.ports();
            ports.map_or(Answer::Unknown, |(_, destination)| port(destination, ranges).negated(*negated))
        }
        Match::CtState { states, negated } => {
            let none = if states.is_empty() { Answer::Unknown } else { Answer::No };
            let any = states.iter().map(|state| tracked(packet, state)).fold(none, Answer::or);
            any.negated(*negated)
        }
        Match::NfProto { family } => Answer::of(*family == packet.family()),
        Match::EtherType { types, negated } => {
            let own = if packet.family() == Family::Ip { 0x0800 } else { 0x86dd };
            Answer::of(types.contains(&own)).negated(*negated)
        }
        Match::EtherAddress { of: Side::Source, mac, negated } => {
            packet.station.map_or(Answer::Unknown, |own| Answer::of(own == *mac)).negated(*negated)
        }
        Match::AddressKind { of, kinds, negated } => {
            let net = if *of == Side::Source { packet.source } else { packet.destination };
            kind_of(&snapshot.kernel, net)
                .map_or(Answer::Unknown, |kind| Answer::of(kinds.iter().any(|other| other == kind)))
                .negated(*negated)
        }
        Match::IcmpType { ranges, negated } => packet.icmp_type().map_or(Answer::No, |own| {
            Answer::of(ranges.iter().any(|(from, to)| (*from..=*to).contains(&own))).negated(*negated)
        }),
        Match::PacketType { types, negated } => {
            let unicast = types.iter().any(|word| word == "unicast");
            let other = types.iter().any(|word| word == "other");
            // A frame that crosses a bridge is for another machine, and netfilter may be told so.
            let answer = match (at.1, unicast, other) {
                (_, false, false) => Answer::No,
                (Family::Bridge, ..) => Answer::Unknown,
                (_, unicast, _) => Answer::of(unicast),
            };
            answer.negated(*negated)
        }
        Match::InPort { name, negated } => bridge_port(name, place.in_port, *negated),
        Match::OutPort { name, negated } => bridge_port(name, place.out_port, *negated),
        Match::Bridged { negated } => {
            let decided = matches!(at.0, Hook::Forward | Hook::Postrouting);
            Answer::of(decided && place.out_port.is_some()).negated(*negated)
        }
        Match::RoutingHeader { negated } => Answer::No.negated(*negated),
        Match::Mark { value, mask, negated } => {
            packet.mark.map_or(Answer::Unknown, |mark| Answer::of(mark & mask == *value)).negated(*negated)
        }
        Match::AnyOf { any, negated } => {
            let answers = any.iter().map(|part| holds(snapshot, packet, place, at, part));
            answers.fold(Answer::No, Answer::or).negated(*negated)
        }
        Match::EtherAddress { .. } | Match::Opaque { .. } => Answer::Unknown,
    }
}

/// A link that is not there at this hook has an empty name (`nft_meta_store_ifname`): it is not the one asked for.
fn interface(name: &str, links: &[IfName]) -> Answer {
    let mut answers = links.iter().map(|link| Answer::of(is_called(name, *link)));
    let Some(first) = answers.next() else { return Answer::No };
    answers.fold(first, |all, answer| if all == answer { all } else { Answer::Unknown })
}

/// Without knowledge of bridge ports only what asks for "not this one" holds (`xt_physdev.c`).
fn bridge_port(name: &str, port: Option<IfName>, negated: bool) -> Answer {
    Answer::of(port.is_some_and(|port| is_called(name, port))).negated(negated)
}

fn is_called(name: &str, link: IfName) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) => link.as_bytes().starts_with(prefix.as_bytes()),
        None => link.as_bytes() == name.as_bytes(),
    }
}

fn within(own: IpNet, nets: &[IpNet]) -> Answer {
    // What stands for the internet is not meant by rules about nets for documentation: those keep bogons out.
    let bogons = [IpNet::new(INTERNET, 24), IpNet::new(INTERNET6, 32)];
    let stands_in = single(own).is_some_and(|own| own == INTERNET || own == INTERNET6);
    let bogon = |net: &IpNet| bogons.iter().flatten().any(|bogons| bogons.trunc().contains(net));
    let nets: Vec<IpNet> = nets.iter().filter(|net| !(stands_in && bogon(net))).copied().collect();
    let overlaps = |net: &IpNet| net.contains(&own) || own.contains(net);
    if nets.iter().any(|net| net.contains(&own)) {
        Answer::Yes
    } else if nets.iter().any(overlaps) {
        Answer::Unknown
    } else {
        Answer::No
    }
}

fn port(own: (u16, u16), ranges: &[(u16, u16)]) -> Answer {
    if ranges.iter().any(|(from, to)| *from <= own.0 && own.1 <= *to) {
        Answer::Yes
    } else if ranges.iter().any(|(from, to)| *from <= own.1 && own.0 <= *to) {
        Answer::Unknown
    } else {
        Answer::No
    }
}

fn tracked(packet: &Packet, state: &str) -> Answer {
    let Some(flow) = packet.flow else { return Answer::Unknown };
    match state {
        "new" => Answer::of(flow == Flow::New),
        "established" => Answer::of(flow == Flow::Reply),
        "related" | "invalid" | "untracked" => Answer::No,
        "dnat" => packet.translated.0,
        "snat" => packet.translated.1,
        _ => Answer::Unknown,
    }
}

/// What the routing table takes these addresses for; `None` when they are of more than one kind.
fn kind_of(kernel: &KernelFacts, net: IpNet) -> Option<&'static str> {
    let local = |address: IpAddr| is_local(kernel, address);
    match single(net) {
        Some(address) if local(address) => Some("local"),
        Some(address) if address.is_multicast() => Some("multicast"),
        Some(address) if is_broadcast(kernel, address) => Some("broadcast"),
        Some(_) => Some("unicast"),
        None => None,
    }
}

/// One of the host's own addresses.
pub(super) fn is_local(kernel: &KernelFacts, address: IpAddr) -> bool {
    address.is_loopback() || kernel.addresses.iter().any(|own| own.address.addr() == address)
}

fn is_broadcast(kernel: &KernelFacts, address: IpAddr) -> bool {
    let IpAddr::V4(v4) = address else { return false };
    v4.is_broadcast()
        || kernel
            .addresses
            .iter()
            .any(|own| own.address.prefix_len() < 31 && own.address.broadcast() == address)
}
