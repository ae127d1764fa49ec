//! PURE. A path and a reachability matrix as lines of text; the terminal and the pipe draw the same ones.
//!
//! ```text
//!  guest        centos7    52:54:00:aa:fc:1c 192.168.122.208
//!  tap          vnet0      port of virbr0, forwarding                      84.0k/s   123
//!  bridge       virbr0     192.168.122.1/24, network default (nat)         84.0k/s   118
//!  route        route      default by 10.0.0.2, eth0
//!  forward
//!    filter LIBVIRT_FWO  accept   192.168.122.0/24 → anywhere in virbr0            112
//!  uplink       eth0       veth                                            84.1k/s   112
//! ```

use super::text::{count, escape, rate};
use super::words;
use crate::doctor::{Finding, Severity, Subject};
use crate::model::{IfName, Nic};
use crate::path::reach::{Cell, Direction, Peer, Reach};
use crate::path::{Answer, Hop, HopKind, HopState, Leg, Passed, Path, Protocol};

/// How a line is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A station that is passed.
    Passes,
    /// A rule.
    Rule,
    /// Not decided.
    Undecided,
    /// The end of the way.
    Stops,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How to read it.
    pub tone: Tone,
    /// `│`, `?` or `✖`.
    pub mark: &'static str,
    /// `tap`, `bridge`, a chain's name.
    pub kind: String,
    /// The link's, guest's or address's name; what a rule does.
    pub name: String,
    /// What is special, or why it stops.
    pub detail: String,
    /// Bytes per second; of a rule packets per second.
    pub rate: String,
    /// Packets so far.
    pub packets: String,
}

/// `vnet0 ═ virbr0 ═ forward ═ postrouting ═ eth0 ═ 10.0.0.2`: the whole way in one line.
#[must_use]
pub fn chain(leg: &Leg) -> Vec<(Tone, String)> {
    leg.hops.iter().map(|hop| (tone(hop), escape(&short(hop)).into_owned())).collect()
}

fn short(hop: &Hop) -> String {
    match hop.kind {
        HopKind::Hook { .. } => {
            let verdict = hop.rules.iter().rev().find(|rule| rule.sure && decides(rule));
            let word = verdict.map(|passed| words::rule_action(&passed.rule)).unwrap_or_default();
            let word = word.split(' ').next().unwrap_or_default().to_owned();
            if word.is_empty() { hop.name.clone() } else { format!("{} {word}", hop.name) }
        }
        _ => hop.name.clone(),
    }
}

fn decides(passed: &Passed) -> bool {
    let action = passed.rule.action.as_ref();
    action.is_some_and(|action| action.target().is_none())
        && !matches!(action, Some(crate::model::firewall::Action::Opaque { .. }))
}

/// The stations of one direction with the rules met at each.
#[must_use]
pub fn lines(leg: &Leg) -> Vec<Line> {
    leg.hops.iter().flat_map(station).collect()
}

fn tone(hop: &Hop) -> Tone {
    match hop.state {
        HopState::Passes => Tone::Passes,
        HopState::Undecided { .. } => Tone::Undecided,
        HopState::Stops { .. } => Tone::Stops,
    }
}

const fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Passes | Tone::Rule => "│",
        Tone::Undecided => "?",
        Tone::Stops => "✖",
    }
}

fn station(hop: &Hop) -> Vec<Line> {
    let (rates, packets) = hop.link.map_or((None, None), |link| (link.bytes_per_second, link.packets));
    let line = |tone, detail: &str| Line {
        tone,
        mark: mark(tone),
        kind: String::new(),
        name: String::new(),
        detail: escape(detail).into_owned(),
        rate: String::new(),
        packets: String::new(),
    };
    let hook = matches!(hop.kind, HopKind::Hook { .. });
    let mut lines = vec![Line {
        kind: if hook { hop.name.clone() } else { word(hop.kind).to_owned() },
        name: if hook || hop.kind == HopKind::Route { String::new() } else { escape(&hop.name).into_owned() },
        rate: rates.map(|per_second| rate(per_second) + "/s").unwrap_or_default(),
        packets: packets.map(count).unwrap_or_default(),
        ..line(tone(hop), &hop.detail)
    }];
    lines.extend(hop.rules.iter().map(|passed| rule(passed, &line)));
    if let Some(reason) = hop.state.reason() {
        lines.push(line(tone(hop), reason));
    }
    lines
}

fn rule(passed: &Passed, line: &dyn Fn(Tone, &str) -> Line) -> Line {
    let id = &passed.rule.chain;
    let indent = "  ".repeat(usize::from(passed.depth.min(6)));
    let tone = if passed.sure { Tone::Rule } else { Tone::Undecided };
    Line {
        kind: escape(&format!("  {indent}{} {}", id.table, id.chain)).into_owned(),
        name: words::rule_action(&passed.rule),
        detail: words::rule_match(&passed.rule),
        rate: passed.packets_per_second.filter(|rate| *rate > 0.0).map(packets_rate).unwrap_or_default(),
        packets: passed.rule.counter.map(|counter| count(counter.packets)).unwrap_or_default(),
        ..line(tone, "")
    }
}

/// `12 pkt/s`.
fn packets_rate(per_second: f64) -> String {
    format!("{} pkt/s", rate(per_second))
}

/// What the doctor says about the station that stops the packet or leaves it undecided.
#[must_use]
pub fn findings<'a>(path: &Path, nic: &Nic, findings: &'a [Finding]) -> Vec<&'a Finding> {
    let legs = std::iter::once(&path.there).chain(&path.back);
    let Some(hop) = legs.filter(|leg| leg.answer != Answer::Yes).find_map(Leg::trouble) else {
        return Vec::new();
    };
    let decides = matches!(hop.kind, HopKind::Hook { .. } | HopKind::Route);
    let here = |name: IfName| {
        let name = name.to_string();
        hop.name == name || (decides && path.there.hops.iter().any(|hop| hop.name == name))
    };
    let about = |finding: &&Finding| match finding.subject {
        Subject::Nic(id) => id == nic.id,
        Subject::Link(name) | Subject::Bridge(name) => here(name),
        Subject::Network(id) => Some(id) == nic.network,
        Subject::Host => decides,
    };
    findings.iter().filter(|finding| finding.severity != Severity::Note).filter(about).collect()
}

/// The word of a station.
const fn word(kind: HopKind) -> &'static str {
    match kind {
        HopKind::Guest => "guest",
        HopKind::Tap => "tap",
        HopKind::Macvtap => "macvtap",
        HopKind::Bridge => "bridge",
        HopKind::Host => "host",
        HopKind::Route => "route",
        HopKind::Hook { .. } => "hook",
        HopKind::Uplink => "link",
        HopKind::Outside => "outside",
    }
}

/// `centos7 192.168.122.208 → internet 198.51.100.1, ping; seen outside as 10.0.0.8`.
#[must_use]
pub fn title(path: &Path) -> String {
    let end = |name: &str, net: ipnet::IpNet| {
        let address = net_words(net);
        let name = escape(name);
        if name == address || address.is_empty() { name.into_owned() } else { format!("{name} {address}") }
    };
    let protocol = match path.protocol {
        Protocol::Ping => "ping".to_owned(),
        Protocol::Tcp(port) => format!("tcp {port}"),
        Protocol::Udp(port) => format!("udp {port}"),
    };
    let seen = path.seen_as.map(|address| format!("; seen outside as {address}")).unwrap_or_default();
    format!("{} → {}, {protocol}{seen}", end(&path.from, path.source), end(&path.to, path.destination))
}

fn net_words(net: ipnet::IpNet) -> String {
    match net.prefix_len() {
        0 => String::new(),
        prefix if prefix == net.max_prefix_len() => net.addr().to_string(),
        _ => net.to_string(),
    }
}

/// `yes`, or `no: …`.
#[must_use]
pub fn answer(answer: Answer, reason: &str) -> String {
    format!("{}: {}", answer.word(), escape(reason))
}

/// `→ host`, `← LAN`, `→ guest web01`.
#[must_use]
pub fn relation(cell: &Cell) -> String {
    let peer = match (cell.peer, &cell.guest) {
        (Peer::Host, _) => "host".to_owned(),
        (Peer::Internet, _) => "internet".to_owned(),
        (Peer::Lan, _) => "LAN".to_owned(),
        (Peer::Guest, Some(guest)) => format!("guest {}", escape(guest)),
        (Peer::Guest, None) => "guest".to_owned(),
        (Peer::OtherHost, _) => "other host's guest".to_owned(),
    };
    match cell.direction {
        Direction::To => format!("to {peer}"),
        Direction::From => format!("from {peer}"),
    }
}

/// ` and 384 more guests: …`; empty when all are listed.
#[must_use]
pub fn unlisted(reach: &Reach) -> String {
    match reach.unlisted {
        0 => String::new(),
        more => format!(
            "and {more} more addresses of guests: virt-net path {} --to ADDRESS",
            escape(&reach.guest)
        ),
    }
}

/// The guest's name and its link.
#[must_use]
pub fn subject(reach: &Reach) -> String {
    let link = reach.link.map_or_else(|| reach.nic.mac.to_string(), |link| link.to_string());
    format!("{} {link}", escape(&reach.guest))
}
