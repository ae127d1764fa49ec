//! PURE. What registers hold, and how a value that must be equal to, or in a set of, constants becomes a condition.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::attributes::{be32, find, string};
use super::decode::SetElement;
use super::xt;
use crate::model::firewall::{Match, Side};

/// Where a register's value came from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    InName,
    OutName,
    InIndex,
    OutIndex,
    NfProto,
    L4Proto,
    /// Source address, bytes loaded.
    Source(usize),
    /// Destination address, bytes loaded.
    Destination(usize),
    SourcePort,
    DestinationPort,
    /// Both ports at once.
    Ports,
    CtState,
    CtStatus,
    EtherType,
    EtherAddress(Side),
    IcmpType,
    PacketType,
    Mark,
    AddressKind(Side),
    /// An address under a mask.
    Masked(Box<Value>, Vec<u8>),
    Constant(Vec<u8>),
    Opaque(String),
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Registers 1 to 4 are 16 bytes each, those from 8 on are their quarters.
pub(super) const fn slot(register: u32) -> u32 {
    match register {
        1..=4 => (register - 1) * 4,
        8.. => register - 8,
        _ => u32::MAX,
    }
}

pub(super) fn meta_word(key: u32) -> String {
    match key {
        2 => "meta priority",
        8 => "meta iiftype",
        17 => "meta ibrname",
        18 => "meta obrname",
        other => return format!("meta key {other}"),
    }
    .to_owned()
}

pub(super) const fn payload_base(base: u32) -> &'static str {
    match base {
        0 => "ll",
        1 => "nh",
        2 => "th",
        _ => "ih",
    }
}

/// iptables compares names with their NUL; without it, it is a prefix (`vnet+`).
pub(super) fn interface(constant: &[u8]) -> String {
    let name = string(constant);
    if constant.contains(&0) || constant.len() >= 16 { name } else { format!("{name}*") }
}

pub(super) fn address(value: &Value, nets: Vec<IpNet>, negated: bool) -> Option<Match> {
    match value {
        Value::Source(_) => Some(Match::Source { nets, negated }),
        Value::Destination(_) => Some(Match::Destination { nets, negated }),
        _ => None,
    }
}

pub(super) fn ports(value: &Value, ranges: Vec<(u16, u16)>, negated: bool) -> Option<Match> {
    match value {
        Value::SourcePort => Some(Match::SourcePort { ranges, negated }),
        Value::DestinationPort => Some(Match::DestinationPort { ranges, negated }),
        _ => None,
    }
}

pub(super) fn prefix_of(mask: &[u8]) -> Option<usize> {
    let ones: usize = mask.iter().map(|byte| byte.leading_ones() as usize).sum();
    let contiguous = mask.iter().enumerate().all(|(at, byte)| {
        let bits = ones.saturating_sub(at * 8).min(8);
        u32::from(*byte) == (0xff00_u32 >> bits) & 0xff
    });
    contiguous.then_some(ones)
}

pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(*bytes.first_chunk::<4>()?))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(*bytes.first_chunk::<16>()?))),
        _ => None,
    }
}

pub(super) fn nets_between(from: &[u8], to: &[u8]) -> Option<Vec<IpNet>> {
    // A range of IPv6 addresses may take 254 nets; more than that is not worth showing.
    match (ip(from)?, ip(to)?) {
        (IpAddr::V4(a), IpAddr::V4(b)) => Some(Ipv4Subnets::new(a, b, 0).map(IpNet::V4).collect()),
        (IpAddr::V6(a), IpAddr::V6(b)) => Some(Ipv6Subnets::new(a, b, 0).map(IpNet::V6).collect()),
        _ => None,
    }
}

/// Bytes that a value fills in a register and in a set's key.
pub(super) const fn width(value: &Value) -> Option<usize> {
    Some(match value {
        Value::InName | Value::OutName => 16,
        Value::InIndex
        | Value::OutIndex
        | Value::CtState
        | Value::CtStatus
        | Value::AddressKind(_)
        | Value::Mark => 4,
        Value::NfProto | Value::L4Proto | Value::IcmpType | Value::PacketType => 1,
        Value::SourcePort | Value::DestinationPort | Value::EtherType => 2,
        Value::EtherAddress(_) => 6,
        Value::Source(bytes) | Value::Destination(bytes) => *bytes,
        Value::Ports | Value::Masked(..) | Value::Constant(_) | Value::Opaque(_) => return None,
    })
}

pub(super) fn set_match(value: &Value, elements: &[SetElement], negated: bool) -> Option<Match> {
    let intervals = intervals(elements);
    match value {
        Value::Source(_) | Value::Destination(_) => {
            let nets: Option<Vec<Vec<IpNet>>> =
                intervals.iter().map(|(from, to)| nets_between(from, to)).collect();
            address(value, nets?.concat(), negated)
        }
        Value::SourcePort | Value::DestinationPort => {
            let port = |bytes: &[u8]| Some(u16::from_be_bytes(*bytes.first_chunk()?));
            let ranges: Option<Vec<_>> =
                intervals.iter().map(|(from, to)| Some((port(from)?, port(to)?))).collect();
            ports(value, ranges?, negated)
        }
        Value::L4Proto => {
            let protocols: Option<Vec<u8>> =
                intervals.iter().map(|(from, to)| from.first().filter(|_| from == to).copied()).collect();
            Some(Match::Protocol { protocols: protocols?, negated })
        }
        Value::CtState => {
            let states = elements.iter().flat_map(|element| state_words(&element.key)).collect();
            Some(Match::CtState { states, negated })
        }
        Value::IcmpType => {
            let ranges: Option<Vec<_>> =
                intervals.iter().map(|(from, to)| Some((*from.first()?, *to.first()?))).collect();
            Some(Match::IcmpType { ranges: ranges?, negated })
        }
        _ => None,
    }
}

/// Inclusive intervals of a set: single keys, or pairs of a start and the exclusive end after it.
pub(super) fn intervals(elements: &[SetElement]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut sorted: Vec<_> = elements.iter().map(|element| (element.key.clone(), element.end)).collect();
    // At the same key an interval ends before the next begins.
    sorted.sort_by(|(a, a_end), (b, b_end)| (a, !a_end).cmp(&(b, !b_end)));
    if !sorted.iter().any(|(_, end)| *end) {
        return sorted.into_iter().map(|(key, _)| (key.clone(), key)).collect();
    }
    let mut intervals = Vec::new();
    let mut start: Option<Vec<u8>> = None;
    for (key, end) in sorted {
        match (end, start.take()) {
            (true, Some(from)) => intervals.push((from, before(&key))),
            (true, None) => {}
            (false, _) => start = Some(key),
        }
    }
    if let Some(from) = start {
        let last = vec![0xff; from.len()];
        intervals.push((from, last));
    }
    intervals
}

/// The key before this one, as a big-endian number.
pub(super) fn before(key: &[u8]) -> Vec<u8> {
    let mut key = key.to_vec();
    for byte in key.iter_mut().rev() {
        let (value, borrowed) = byte.overflowing_sub(1);
        *byte = value;
        if !borrowed {
            break;
        }
    }
    key
}

/// `ct state` bits, in the host's byte order as the kernel loads them.
pub(super) fn state_words(bits: &[u8]) -> Vec<String> {
    let Some(bits) = bits.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)) else { return Vec::new() };
    let words = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    words.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| (*word).to_owned()).collect()
}

pub(super) fn status_words(bits: &[u8]) -> Vec<String> {
    let Some(bits) = bits.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes)) else { return Vec::new() };
    let words = [
        (1, "expected"),
        (1 << 1, "seen-reply"),
        (1 << 2, "assured"),
        (1 << 3, "confirmed"),
        (1 << 4, "snat"),
        (1 << 5, "dnat"),
        (1 << 9, "dying"),
    ];
    words.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, word)| (*word).to_owned()).collect()
}

pub(super) fn reject_words(data: &[u8]) -> Option<String> {
    let code = find(data, 2).and_then(|bytes| bytes.first().copied()).unwrap_or(0);
    match find(data, 1).and_then(be32)? {
        1 => Some("tcp-reset".to_owned()),
        0 => Some(xt::icmp_words(code).to_owned()),
        2 => Some(
            ["no-route", "port-unreachable", "host-unreachable", "admin-prohibited"]
                .get(usize::from(code))
                .map_or("icmp", |word| word)
                .to_owned(),
        ),
        _ => None,
    }
}
