//! PURE. The payloads of xtables matches and targets, as `iptables-nft` hands them to the kernel.
//! Structures of `linux/netfilter/*.h`, in the host's byte order unless said otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::firewall::{Action, Match};

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
