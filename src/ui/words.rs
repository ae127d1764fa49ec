//! PURE. The model in words, the same on the screen, in `show` and in a preview. Everything a guest
//! or its owner chose comes out escaped.

use crate::model::firewall::{Action, MapArm, Match, Rule, Verdict};
use crate::model::guest::NicSource;
use crate::model::snapshot::{GuestRule, NicAddress};
use crate::model::{Network, Nic, Snapshot, SourceState, Timestamp};

use super::text::{escape, span};

/// `network default`, `bridge virbr1`, `macvtap eth1 (bridge)`.
#[must_use]
pub fn source(source: &NicSource) -> String {
    let plug = source.plug();
    let text = match source {
        NicSource::Direct { mode, .. } => format!("macvtap {plug} ({})", mode.word()),
        NicSource::Network { portgroup: Some(group), .. } => format!("network {plug} ({group})"),
        _ if plug.is_empty() => source.kind_word().to_owned(),
        _ => format!("{} {plug}", source.kind_word()),
    };
    escape(&text).into_owned()
}

/// What letters and signs mean, for the help and the README.
pub const SIGNS: &[(&str, &str)] = &[
    ("L", "address of a DHCP lease"),
    ("A", "address that the guest's agent tells"),
    ("N", "address in the host's neighbour table"),
    ("D", "address in a DHCP or ARP packet that was seen"),
    ("?", "address that no longer fits where the NIC is plugged in"),
    ("⧗", "the next boot differs, or has what stands behind it"),
    ("◆", "marked: s switches all marked NICs together"),
    ("✖ ▲", "an error, or something to look at; d tells of what stands before a name"),
    ("stp 2s", "the bridge's spanning tree is on: a new port forwards after twice the 2 s"),
    (
        "rx",
        "what the host sent to the guest's tap, also while its cable is pulled or it does not listen; an uplink's is what the host received",
    ),
    ("tx", "what the guest sent; an uplink's is what the host sent"),
];

/// The source of a NIC.
#[must_use]
pub fn nic_now(nic: &Nic) -> String {
    match (nic.device, &nic.card) {
        (Some(device), card) if nic.source().is_some_and(|source| source.device().is_none()) => {
            let of = card.as_deref().map(|card| format!(" of {}", escape(card))).unwrap_or_default();
            format!("{}, VF {device}{of}", nic.source().map(source).unwrap_or_default())
        }
        (Some(device), Some(card)) => format!("VF {device} of {}", escape(card)),
        _ => nic.source().map_or_else(|| "–".to_owned(), source),
    }
}

/// What is wrong with a NIC at a glance, the telling word first: `▲ cable pulled`, `▲ no bridge`.
#[must_use]
pub fn nic_troubles(nic: &Nic) -> Vec<String> {
    let mut troubles = Vec::new();
    if nic.config().is_some_and(|config| config.link_down) {
        troubles.push("▲ cable pulled".to_owned());
    }
    if nic.drifted() {
        let has = nic.bridge.map_or_else(|| "no bridge".to_owned(), |bridge| format!("on {bridge}"));
        troubles.push(format!("▲ {has}"));
    }
    troubles
}

/// What the next boot makes of a NIC, where that is something else: `⧗ next boot: bridge virbr1`.
#[must_use]
pub fn next_boot(nic: &Nic) -> Option<String> {
    let text = match (&nic.live, &nic.next) {
        _ if !nic.pending => return None,
        (Some(live), Some(next)) if !live.source.same_plug(&next.source) => {
            format!("⧗ next boot: {}", source(&next.source))
        }
        (Some(_), None) => "⧗ gone at the next boot".to_owned(),
        (None, Some(_)) => "⧗ from the next boot on".to_owned(),
        _ => "⧗ the next boot differs".to_owned(),
    };
    Some(text)
}

/// The source of a NIC with what the next boot has instead: `network default ⧗ bridge virbr1`.
#[must_use]
pub fn nic_source(nic: &Nic, clock: &str) -> String {
    let now = nic_now(nic);
    if !nic.pending {
        return now;
    }
    match (&nic.live, &nic.next) {
        (Some(live), Some(next)) if !live.source.same_plug(&next.source) => {
            format!("{now} {clock}{}", source(&next.source))
        }
        (Some(_), None) => format!("{now} {clock}none"),
        (None, Some(_)) => format!("{clock}{now}"),
        _ => format!("{now} {clock}"),
    }
}

/// The NIC's name on the host (tap or macvtap); `–` when it has none.
#[must_use]
pub fn nic_name(nic: &Nic) -> String {
    nic.link_name.map_or_else(|| "–".to_owned(), |name| name.to_string())
}

/// The best address with the letter of its origin, or `–`.
#[must_use]
pub fn address(nic: &Nic) -> (String, char) {
    nic.addresses
        .iter()
        .find(|seen| !seen.stale)
        .or(nic.addresses.first())
        .map_or_else(|| ("–".to_owned(), ' '), |seen| (seen.address.to_string(), origin_letter(seen)))
}

/// The letter of the origin; `?` for one that no longer fits where the NIC is plugged.
#[must_use]
pub fn origin_letter(seen: &NicAddress) -> char {
    if seen.stale { '?' } else { seen.origin.letter() }
}

/// `.2–.254` where the prefix says the rest, else the whole range.
#[must_use]
pub fn dhcp(network: &Network) -> String {
    let Some(definition) = network.current() else { return "–".to_owned() };
    let mut texts: Vec<String> = Vec::new();
    for subnet in &definition.subnets {
        for range in &subnet.ranges {
            texts.push(match (subnet.gateway.prefix_len(), range.start, range.end) {
                (24.., std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
                    let ([.., from], [.., to]) = (from.octets(), to.octets());
                    format!(".{from}–.{to}")
                }
                (_, from, to) => format!("{from}–{to}"),
            });
        }
    }
    if texts.is_empty() { "–".to_owned() } else { texts.join(", ") }
}

/// `192.168.122.0/24`, all subnets of a network.
#[must_use]
pub fn subnets(network: &Network) -> String {
    let Some(definition) = network.current() else { return "–".to_owned() };
    let texts: Vec<String> =
        definition.subnets.iter().map(|subnet| subnet.gateway.trunc().to_string()).collect();
    if texts.is_empty() { "–".to_owned() } else { texts.join(", ") }
}

/// `1/253`: leases in use and addresses there are; `–` without DHCP.
#[must_use]
pub fn leases(network: &Network) -> String {
    match network.dhcp_size() {
        0 => "–".to_owned(),
        size => format!("{}/{size}", network.leases.len()),
    }
}

/// Health of a source in a few words; the age is against `now`.
#[must_use]
pub fn health(state: &SourceState, now: Timestamp) -> String {
    match state {
        SourceState::Starting => "starting".to_owned(),
        SourceState::Ok => "ok".to_owned(),
        SourceState::Stale { since, reason } => {
            format!("stale since {}: {}", span(now.millis_since(*since)), escape(reason))
        }
        SourceState::Denied { hint } => format!("no right: {}", escape(hint)),
        SourceState::Down { since, error } => {
            format!("down since {}: {}", span(now.millis_since(*since)), escape(error))
        }
    }
}

/// What a rule matches, in words.
#[must_use]
pub fn rule_match(rule: &Rule) -> String {
    let mut from = None;
    let mut to = None;
    let mut rest: Vec<String> = Vec::new();
    for part in &rule.matches {
        match part {
            Match::Source { nets, negated } => from = Some(nets_words(nets, *negated)),
            Match::Destination { nets, negated: true } if Some(&nets_words(nets, false)) == from.as_ref() => {
                to = Some("elsewhere".to_owned());
            }
            Match::Destination { nets, negated } => to = Some(nets_words(nets, *negated)),
            Match::NfProto { .. } => {}
            other => rest.push(match_word(other)),
        }
    }
    let mut words = match (from, to) {
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (Some(from), None) => format!("{from} → anywhere"),
        (None, Some(to)) => format!("→ {to}"),
        (None, None) => String::new(),
    };
    if !rest.is_empty() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(&rest.join(" "));
    }
    if words.is_empty() {
        words.push_str("everything");
    }
    escape(&words).into_owned()
}

/// What a rule does, in words: `masquerade`, `dnat to 192.168.122.76:22`, `jump LIBVIRT_FWO`.
#[must_use]
pub fn rule_action(rule: &Rule) -> String {
    escape(&action_word(rule.action.as_ref())).into_owned()
}

/// A condition that is neither an address nor a port, in words.
fn match_word(part: &Match) -> String {
    match part {
        Match::InInterface { name, negated } => format!("in {}{name}", not(*negated)),
        Match::OutInterface { name, negated } => format!("out {}{name}", not(*negated)),
        Match::Source { nets, negated } => format!("from {}", nets_words(nets, *negated)),
        Match::Destination { nets, negated } => format!("to {}", nets_words(nets, *negated)),
        Match::Protocol { protocols, negated } => {
            let names: Vec<String> = protocols.iter().map(|p| protocol(*p)).collect();
            format!("{}{}", not(*negated), names.join(","))
        }
        Match::SourcePort { ranges, negated } => format!("from port {}{}", not(*negated), ports(ranges)),
        Match::DestinationPort { ranges, negated } => format!("{}{}", not(*negated), ports(ranges)),
        Match::CtState { states, negated } => format!("{}{}", not(*negated), states.join(",")),
        Match::NfProto { family } => family.word().to_owned(),
        Match::EtherType { types, negated } => {
            let types: Vec<String> = types.iter().map(|kind| format!("{kind:#06x}")).collect();
            format!("ether type {}{}", not(*negated), types.join(","))
        }
        Match::EtherAddress { of, mac, negated } => format!("{} {}{mac}", of.word(), not(*negated)),
        Match::AddressKind { of, kinds, negated } => {
            format!("{} {}{}", of.word(), not(*negated), kinds.join(","))
        }
        Match::IcmpType { ranges, negated } => {
            let ranges: Vec<(u16, u16)> = ranges.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
            format!("icmp type {}{}", not(*negated), ports(&ranges))
        }
        Match::PacketType { types, negated } => format!("{}{}", not(*negated), types.join(",")),
        Match::InPort { name, negated } => format!("in port {}{name}", not(*negated)),
        Match::OutPort { name, negated } => format!("out port {}{name}", not(*negated)),
        Match::Bridged { negated } => format!("{}bridged", not(*negated)),
        Match::RoutingHeader { negated } => format!("{}with routing header", not(*negated)),
        Match::Mark { value, mask, negated } => format!("mark {}{value:#x}/{mask:#x}", not(*negated)),
        Match::AnyOf { any, negated } => {
            let any: Vec<String> = any.iter().map(match_word).collect();
            format!("{}{{{}}}", not(*negated), any.join(", "))
        }
        Match::Opaque { text } => format!("[{text}]"),
    }
}

fn action_word(action: Option<&Action>) -> String {
    match action {
        None => "count".to_owned(),
        Some(Action::Verdict { verdict }) => verdict_word(*verdict).to_owned(),
        Some(Action::Jump { chain }) => format!("jump {chain}"),
        Some(Action::Goto { chain }) => format!("goto {chain}"),
        Some(Action::Reject { with: Some(with) }) => format!("reject ({with})"),
        Some(Action::Reject { with: None }) => "reject".to_owned(),
        Some(Action::Masquerade { ports: None }) => "masquerade".to_owned(),
        Some(Action::Masquerade { ports: Some((from, to)) }) => format!("masquerade ports {from}-{to}"),
        Some(Action::Snat { address, ports }) => format!("snat to {}", nat_target(*address, *ports)),
        Some(Action::Dnat { address, ports }) => format!("dnat to {}", nat_target(*address, *ports)),
        Some(Action::Redirect { ports }) => format!("redirect {}", nat_target(None, *ports)),
        Some(Action::Map { arms }) => {
            let arm = |arm: &MapArm| {
                let then = action_word(Some(&arm.then));
                format!("{} {then}", match_word(&arm.when))
            };
            arms.iter().map(arm).collect::<Vec<_>>().join("; ")
        }
        Some(Action::Opaque { text }) => text.clone(),
    }
}

/// The networks a rule is about, by name.
#[must_use]
pub fn rule_networks(snapshot: &Snapshot, rule: &GuestRule) -> String {
    let names: Vec<String> = rule
        .networks
        .iter()
        .filter_map(|id| snapshot.network(*id))
        .map(|network| escape(&network.name).into_owned())
        .collect();
    names.join(", ")
}

const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accept => "accept",
        Verdict::Drop => "drop",
        Verdict::Return => "return",
        Verdict::Continue => "continue",
        Verdict::Queue => "queue",
    }
}

fn nat_target(address: Option<(std::net::IpAddr, std::net::IpAddr)>, ports: Option<(u16, u16)>) -> String {
    let mut text = match address {
        Some((from, to)) if from == to => from.to_string(),
        Some((from, to)) => format!("{from}-{to}"),
        None => String::new(),
    };
    match ports {
        Some((from, to)) if from == to => text.push_str(&format!(":{from}")),
        Some((from, to)) => text.push_str(&format!(":{from}-{to}")),
        None => {}
    }
    text
}

fn nets_words(nets: &[ipnet::IpNet], negated: bool) -> String {
    let words: Vec<String> =
        nets.iter()
            .map(|net| {
                if net.prefix_len() == net.max_prefix_len() {
                    net.addr().to_string()
                } else {
                    net.to_string()
                }
            })
            .collect();
    format!("{}{}", not(negated), words.join(","))
}

const fn not(negated: bool) -> &'static str {
    if negated { "not " } else { "" }
}

fn ports(ranges: &[(u16, u16)]) -> String {
    let words: Vec<String> = ranges
        .iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
        .collect();
    words.join(",")
}

/// `tcp`, `udp`, …; the number for the rest.
#[must_use]
pub fn protocol(number: u8) -> String {
    match number {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        47 => "gre",
        50 => "esp",
        58 => "icmpv6",
        132 => "sctp",
        other => return format!("proto {other}"),
    }
    .to_owned()
}

/// The links by which a NIC's packets leave the host. On a bridge of the host's own that has none but an address they
/// may leave by its routes. `None` where nothing leads out.
#[must_use]
pub fn way_out(snapshot: &Snapshot, nic: &Nic) -> Option<String> {
    if !nic.uplinks.is_empty() {
        let uplinks: Vec<String> = nic.uplinks.iter().map(ToString::to_string).collect();
        return Some(uplinks.join(" "));
    }
    let bridge = snapshot.bridge_named(nic.bridge?)?;
    let network = bridge.network.and_then(|id| snapshot.network(id));
    let is_libvirts = network.is_some_and(|network| network.active && network.owns_bridge());
    let routed = !is_libvirts && bridge.global_addresses().next().is_some();
    routed.then(|| "the host, if it routes".to_owned())
}
