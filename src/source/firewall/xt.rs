//! PURE. The payloads of xtables matches and targets, as `iptables-nft` hands them to the kernel.
//! Structures of `linux/netfilter/*.h`, in the host's byte order unless said otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::model::firewall::{Action, Match, Side};

fn u16_at(info: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*info.get(at..)?.first_chunk()?))
}

fn u32_at(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?))
}

/// What a match asks for; `None` when it is not known here.
pub(super) fn matches(name: &str, revision: u32, info: &[u8]) -> Option<Vec<Match>> {
    match (name, revision) {
        ("tcp", 0) => port_matches(info, *info.get(11)?),
        ("udp", 0) => port_matches(info, *info.get(8)?),
        ("state", 0) => Some(vec![Match::CtState { states: states(u32_at(info, 0)?), negated: false }]),
        ("conntrack", 1..=3) => conntrack(info),
        ("addrtype", 1) => address_kinds(info),
        ("icmp" | "icmp6", 0) => icmp(info),
        ("pkttype", 0) => {
            let types = vec![packet_type(u8::try_from(u32_at(info, 0)?).ok()?)?.to_owned()];
            Some(vec![Match::PacketType { types, negated: u32_at(info, 4)? != 0 }])
        }
        // `struct ip6t_rt`: the flags' bit 0 asks for a type, its inversion means any other type.
        ("rt", 0) => (*info.get(13)? == 0).then(|| vec![Match::RoutingHeader { negated: false }]),
        ("mark", 1) => {
            let (value, mask) = (u32_at(info, 0)?, u32_at(info, 4)?);
            Some(vec![Match::Mark { value, mask, negated: *info.get(8)? != 0 }])
        }
        ("physdev", 0) => physdev(info),
        ("ip", 0) => ebtables_ip(info),
        ("multiport", 1) => multiport(info),
        _ => None,
    }
}

/// `struct xt_tcp` and `xt_udp` begin alike: source ports, destination ports; flags 1 and 2 invert.
/// TCP flags and options beyond the ports are not decoded, so a rule that asks for them is left opaque.
fn port_matches(info: &[u8], inverted: u8) -> Option<Vec<Match>> {
    let pair = |at| Some((u16_at(info, at)?, u16_at(info, at + 2)?));
    let (source, destination) = (pair(0)?, pair(4)?);
    let flags_asked = info.len() >= 12 && info.get(8..10)? != [0, 0];
    if flags_asked {
        return None;
    }
    let all = (0, u16::MAX);
    let mut parts = Vec::new();
    if source != all {
        parts.push(Match::SourcePort { ranges: vec![source], negated: inverted & 1 != 0 });
    }
    if destination != all {
        parts.push(Match::DestinationPort { ranges: vec![destination], negated: inverted & 2 != 0 });
    }
    Some(parts)
}

/// `struct xt_addrtype_info_v1`: two masks of `RTN_*` and flags; one that looks at a link as well is not known.
fn address_kinds(info: &[u8]) -> Option<Vec<Match>> {
    let (source, destination, flags) = (u16_at(info, 0)?, u16_at(info, 2)?, u32_at(info, 4)?);
    if flags & !3 != 0 {
        return None;
    }
    let kinds = |mask: u16| -> Option<Vec<String>> {
        let bits = (0..16).filter(|bit| mask & (1 << bit) != 0);
        bits.map(|bit| address_kind(bit).map(str::to_owned)).collect()
    };
    let mut parts = Vec::new();
    for (of, mask, negated) in
        [(Side::Source, source, flags & 1 != 0), (Side::Destination, destination, flags & 2 != 0)]
    {
        if mask != 0 {
            parts.push(Match::AddressKind { of, kinds: kinds(mask)?, negated });
        }
    }
    Some(parts)
}

/// `RTN_*` in the words of nft.
pub(super) const fn address_kind(kind: u32) -> Option<&'static str> {
    Some(match kind {
        0 => "unspec",
        1 => "unicast",
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        _ => return None,
    })
}

/// `PACKET_*`.
pub(super) const fn packet_type(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "unicast",
        1 => "broadcast",
        2 => "multicast",
        3 => "other",
        _ => return None,
    })
}

/// `struct ipt_icmp` and `ip6t_icmp`: type, codes from and to, inverted. A single code is not modelled,
/// so a rule that asks for one is left opaque; type 255 of IPv4 is any.
fn icmp(info: &[u8]) -> Option<Vec<Match>> {
    let &[kind, from, to, inverted] = info.first_chunk()?;
    match (kind, from, to) {
        (255, 0, 255) if inverted == 0 => Some(Vec::new()),
        (_, 0, 255) => Some(vec![Match::IcmpType { ranges: vec![(kind, kind)], negated: inverted & 1 != 0 }]),
        // An echo has no code but 0.
        (0 | 8 | 128 | 129, 0, 0) => {
            Some(vec![Match::IcmpType { ranges: vec![(kind, kind)], negated: inverted & 1 != 0 }])
        }
        _ => None,
    }
}

/// `struct xt_physdev_info`: four names of 16 bytes (in, its mask, out, its mask), what is inverted, what is asked.
fn physdev(info: &[u8]) -> Option<Vec<Match>> {
    const IN: u8 = 1;
    const OUT: u8 = 2;
    const BRIDGED: u8 = 4;
    let (inverted, asked) = (*info.get(64)?, *info.get(65)?);
    if asked & !(IN | OUT | BRIDGED) != 0 {
        return None;
    }
    let name = |at: usize| {
        let (bytes, mask) = (info.get(at..at + 16)?, info.get(at + 16..at + 32)?);
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(16);
        let name = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
        // Without the NUL in the mask it is a prefix (`vnet+`).
        Some(if mask.get(end).is_some_and(|byte| *byte != 0) { name } else { name + "*" })
    };
    let mut parts = Vec::new();
    if asked & IN != 0 {
        parts.push(Match::InPort { name: name(0)?, negated: inverted & IN != 0 });
    }
    if asked & OUT != 0 {
        parts.push(Match::OutPort { name: name(32)?, negated: inverted & OUT != 0 });
    }
    if asked & BRIDGED != 0 {
        parts.push(Match::Bridged { negated: inverted & BRIDGED != 0 });
    }
    Some(parts)
}

/// `struct ebt_ip_info`: both addresses, both masks, TOS, protocol, what is asked, what is inverted, port ranges.
fn ebtables_ip(info: &[u8]) -> Option<Vec<Match>> {
    const SOURCE: u8 = 0x01;
    const DESTINATION: u8 = 0x02;
    const PROTOCOL: u8 = 0x08;
    const SOURCE_PORT: u8 = 0x10;
    const DESTINATION_PORT: u8 = 0x20;
    let (protocol, asked, inverted) = (*info.get(17)?, *info.get(18)?, *info.get(19)?);
    if asked & !(SOURCE | DESTINATION | PROTOCOL | SOURCE_PORT | DESTINATION_PORT) != 0 {
        return None;
    }
    let v4 = |at: usize| Some(Ipv4Addr::from(*info.get(at..)?.first_chunk::<4>()?));
    let net = |address: usize, mask: usize| {
        let prefix = ipnet::ipv4_mask_to_prefix(v4(mask)?).ok()?;
        Some(vec![IpNet::V4(Ipv4Net::new(v4(address)?, prefix).ok()?.trunc())])
    };
    let range = |at: usize| Some(vec![(u16_at(info, at)?, u16_at(info, at + 2)?)]);
    let negated = |bit: u8| inverted & bit != 0;
    let mut parts = Vec::new();
    if asked & SOURCE != 0 {
        parts.push(Match::Source { nets: net(0, 8)?, negated: negated(SOURCE) });
    }
    if asked & DESTINATION != 0 {
        parts.push(Match::Destination { nets: net(4, 12)?, negated: negated(DESTINATION) });
    }
    if asked & PROTOCOL != 0 {
        parts.push(Match::Protocol { protocols: vec![protocol], negated: negated(PROTOCOL) });
    }
    if asked & SOURCE_PORT != 0 {
        parts.push(Match::SourcePort { ranges: range(20)?, negated: negated(SOURCE_PORT) });
    }
    if asked & DESTINATION_PORT != 0 {
        parts.push(Match::DestinationPort { ranges: range(24)?, negated: negated(DESTINATION_PORT) });
    }
    Some(parts)
}

/// `struct xt_multiport_v1`: which ports, how many, fifteen ports, fifteen marks of a range's start, inverted.
fn multiport(info: &[u8]) -> Option<Vec<Match>> {
    let (&which, &count) = (info.first()?, info.get(1)?);
    let negated = *info.get(47)? != 0;
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < usize::from(count) {
        let from = u16_at(info, 2 + at * 2)?;
        let range = *info.get(32 + at)? != 0;
        let to = if range { u16_at(info, 2 + (at + 1) * 2)? } else { from };
        ranges.push((from, to));
        at += 1 + usize::from(range);
    }
    match which {
        0 => Some(vec![Match::SourcePort { ranges, negated }]),
        1 => Some(vec![Match::DestinationPort { ranges, negated }]),
        _ => None,
    }
}

/// `struct xt_conntrack_mtinfo1..3`: only a rule that asks for nothing but the state is decoded.
fn conntrack(info: &[u8]) -> Option<Vec<Match>> {
    const STATE: u16 = 1;
    let (asked, inverted, mask) = (u16_at(info, 146)?, u16_at(info, 148)?, u16_at(info, 150)?);
    if asked != STATE {
        return None;
    }
    Some(vec![Match::CtState { states: states(mask.into()), negated: inverted & STATE != 0 }])
}

/// `XT_CONNTRACK_STATE_*`.
fn states(mask: u32) -> Vec<String> {
    let words = [
        (1, "invalid"),
        (2, "established"),
        (4, "related"),
        (8, "new"),
        (1 << 6, "snat"),
        (1 << 7, "dnat"),
        (1 << 8, "untracked"),
    ];
    words.iter().filter(|(bit, _)| mask & bit != 0).map(|(_, word)| (*word).to_owned()).collect()
}

/// What a target does; `None` when it is not known here.
pub(super) fn target(name: &str, revision: u32, info: &[u8]) -> Option<Action> {
    match name {
        "MASQUERADE" => Some(Action::Masquerade { ports: range(revision, info)?.ports }),
        "REDIRECT" => Some(Action::Redirect { ports: range(revision, info)?.ports }),
        "SNAT" => {
            let range = range(revision, info)?;
            Some(Action::Snat { address: range.address, ports: range.ports })
        }
        "DNAT" => {
            let range = range(revision, info)?;
            Some(Action::Dnat { address: range.address, ports: range.ports })
        }
        "REJECT" => Some(Action::Reject { with: Some(reject_words(u32_at(info, 0)?).to_owned()) }),
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Range {
    address: Option<(IpAddr, IpAddr)>,
    ports: Option<(u16, u16)>,
}

/// Revision 0: `nf_nat_ipv4_multi_range_compat` with one range; later ones `nf_nat_range`. Addresses and
/// ports are big-endian.
fn range(revision: u32, info: &[u8]) -> Option<Range> {
    const MAP_IPS: u32 = 1;
    const PROTO_SPECIFIED: u32 = 2;
    let (flags, ports_at, addresses) = if revision == 0 {
        let v4 = |at: usize| Some(IpAddr::V4(Ipv4Addr::from(*info.get(at..)?.first_chunk::<4>()?)));
        (u32_at(info, 4)?, 16, v4(8).zip(v4(12)))
    } else {
        // IPv6 addresses have bytes behind the first four; IPv4 ones do not.
        let any = |at: usize| {
            let bytes: [u8; 16] = *info.get(at..)?.first_chunk()?;
            let (v4, rest) = bytes.split_first_chunk::<4>()?;
            let is_v4 = rest.iter().all(|byte| *byte == 0);
            Some(if is_v4 { IpAddr::V4(Ipv4Addr::from(*v4)) } else { IpAddr::V6(Ipv6Addr::from(bytes)) })
        };
        (u32_at(info, 0)?, 36, any(4).zip(any(20)))
    };
    let port = |at: usize| Some(u16::from_be_bytes(*info.get(at..)?.first_chunk()?));
    Some(Range {
        address: addresses.filter(|_| flags & MAP_IPS != 0),
        ports: port(ports_at).zip(port(ports_at + 2)).filter(|_| flags & PROTO_SPECIFIED != 0),
    })
}

/// `enum ipt_reject_with`.
const fn reject_words(with: u32) -> &'static str {
    match with {
        0 => "icmp-net-unreachable",
        1 => "icmp-host-unreachable",
        2 => "icmp-proto-unreachable",
        3 => "icmp-port-unreachable",
        5 => "icmp-net-prohibited",
        6 => "icmp-host-prohibited",
        7 => "tcp-reset",
        8 => "icmp-admin-prohibited",
        _ => "icmp",
    }
}

/// Codes of ICMP "destination unreachable".
pub(super) const fn icmp_words(code: u8) -> &'static str {
    match code {
        0 => "icmp-net-unreachable",
        1 => "icmp-host-unreachable",
        2 => "icmp-proto-unreachable",
        3 => "icmp-port-unreachable",
        9 => "icmp-net-prohibited",
        10 => "icmp-host-prohibited",
        13 => "icmp-admin-prohibited",
        _ => "icmp",
    }
}
