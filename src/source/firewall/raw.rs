//! PURE. A decoded rule as one line in the style of `nft list ruleset`, for the detail view.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::firewall::{Action, MapArm, Match, Rule, Verdict};

/// `ip saddr 192.168.122.0/24 meta l4proto 6 counter packets 1 bytes 60 masquerade to :1024-65535`.
pub(super) fn line(rule: &Rule) -> String {
    let mut parts: Vec<String> = rule.matches.iter().map(part).collect();
    if let Some(counter) = rule.counter {
        parts.push(format!("counter packets {} bytes {}", counter.packets, counter.bytes));
    }
    parts.extend(rule.also.iter().cloned());
    parts.extend(rule.action.as_ref().map(action));
    parts.extend(rule.comment.as_ref().map(|comment| format!("comment {comment:?}")));
    parts.join(" ")
}

fn part(part: &Match) -> String {
    match part {
        Match::InInterface { name, negated } => format!("iifname {}{name:?}", not(*negated)),
        Match::OutInterface { name, negated } => format!("oifname {}{name:?}", not(*negated)),
        Match::Source { nets, negated } => format!("{} saddr {}{}", family(nets), not(*negated), set(nets)),
        Match::Destination { nets, negated } => {
            format!("{} daddr {}{}", family(nets), not(*negated), set(nets))
        }
        Match::Protocol { protocols, negated } => format!("meta l4proto {}{}", not(*negated), set(protocols)),
        Match::SourcePort { ranges, negated } => format!("th sport {}{}", not(*negated), set(&spans(ranges))),
        Match::DestinationPort { ranges, negated } => {
            format!("th dport {}{}", not(*negated), set(&spans(ranges)))
        }
        Match::CtState { states, negated } => format!("ct state {}{}", not(*negated), states.join(",")),
        Match::NfProto { family } => format!("meta nfproto {}", family.word()),
        Match::EtherType { types, negated } => {
            let types: Vec<String> = types.iter().map(|kind| format!("0x{kind:04x}")).collect();
            format!("ether type {}{}", not(*negated), set(&types))
        }
        Match::EtherAddress { of, mac, negated } => format!("ether {} {}{mac}", of.word(), not(*negated)),
        Match::AddressKind { of, kinds, negated } => {
            format!("fib {} type {}{}", of.word(), not(*negated), set(kinds))
        }
        Match::IcmpType { ranges, negated } => format!("icmp type {}{}", not(*negated), set(&spans(ranges))),
        Match::PacketType { types, negated } => format!("meta pkttype {}{}", not(*negated), set(types)),
        Match::InPort { name, negated } => format!("physdev in {}{name:?}", not(*negated)),
        Match::OutPort { name, negated } => format!("physdev out {}{name:?}", not(*negated)),
        Match::Bridged { negated } => format!("physdev {}bridged", not(*negated)),
        Match::RoutingHeader { negated } => format!("rt {}present", not(*negated)),
        Match::Mark { value, mask, negated } => format!("meta mark & {mask:#x} {}{value:#x}", not(*negated)),
        Match::AnyOf { any, negated } => {
            let any: Vec<String> = any.iter().map(self::part).collect();
            format!("{}{}", not(*negated), set(&any))
        }
        Match::Opaque { text } => text.clone(),
    }
}

fn action(action: &Action) -> String {
    match action {
        Action::Verdict { verdict: Verdict::Accept } => "accept".to_owned(),
        Action::Verdict { verdict: Verdict::Drop } => "drop".to_owned(),
        Action::Verdict { verdict: Verdict::Return } => "return".to_owned(),
        Action::Verdict { verdict: Verdict::Continue } => "continue".to_owned(),
        Action::Verdict { verdict: Verdict::Queue } => "queue".to_owned(),
        Action::Jump { chain } => format!("jump {chain}"),
        Action::Goto { chain } => format!("goto {chain}"),
        Action::Reject { with } => {
            with.as_ref().map_or("reject".to_owned(), |with| format!("reject with {with}"))
        }
        Action::Masquerade { ports } => target("masquerade", None, *ports),
        Action::Snat { address, ports } => target("snat", *address, *ports),
        Action::Dnat { address, ports } => target("dnat", *address, *ports),
        Action::Redirect { ports } => target("redirect", None, *ports),
        Action::Map { arms } => {
            let arm = |arm: &MapArm| format!("{} : {}", part(&arm.when), self::action(&arm.then));
            format!("vmap {{ {} }}", arms.iter().map(arm).collect::<Vec<_>>().join(", "))
        }
        Action::Opaque { text } => text.clone(),
    }
}

fn target(word: &str, address: Option<(IpAddr, IpAddr)>, ports: Option<(u16, u16)>) -> String {
    let address =
        address.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") });
    let ports = ports.map(|span| format!(":{}", spans(&[span]).concat()));
    match (address, ports) {
        (None, None) => word.to_owned(),
        (address, ports) => format!("{word} to {}{}", address.unwrap_or_default(), ports.unwrap_or_default()),
    }
}

fn family(nets: &[IpNet]) -> &'static str {
    if nets.first().is_some_and(|net| net.addr().is_ipv6()) { "ip6" } else { "ip" }
}

const fn not(negated: bool) -> &'static str {
    if negated { "!= " } else { "" }
}

fn spans<T: PartialEq + std::fmt::Display>(ranges: &[(T, T)]) -> Vec<String> {
    ranges
        .iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
        .collect()
}

fn set<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    if items.len() == 1 { items.concat() } else { format!("{{ {} }}", items.join(", ")) }
}
