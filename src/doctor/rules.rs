//! PURE. What becomes of one imagined packet in all base chains of a hook: an accept is final only in its own
//! base chain, so every one of them must let it pass. What a rule asks that is not known here never decides.

use std::net::IpAddr;

use crate::model::IfName;
use crate::model::firewall::{
    Action, BaseHook, Chain, ChainId, Family, FirewallFacts, Hook, Match, Rule, RuleCounter, Verdict,
};

/// A first packet of a connection; `None` is not known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub(super) family: Family,
    pub(super) input: IfName,
    pub(super) output: Option<IfName>,
    pub(super) source: Option<IpAddr>,
    pub(super) destination: Option<IpAddr>,
    pub(super) protocol: u8,
    pub(super) port: u16,
}

/// `IPPROTO_TCP` and `IPPROTO_UDP`.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;

/// Where a packet ends.
#[derive(Debug, Clone)]
pub(super) struct Stop<'a> {
    /// The base chain it entered.
    pub(super) base: &'a Chain,
    /// The rule that stops it; `None` for the policy.
    pub(super) rule: Option<&'a Rule>,
}

impl Stop<'_> {
    /// `table inet docker, chain forward: policy drop, 12 packets`.
    pub(super) fn words(&self) -> String {
        let name = |id: &ChainId| format!("table {} {}, chain {}", id.family.word(), id.table, id.chain);
        let counted = |counter: Option<RuleCounter>| {
            counter.map(|c| format!(", {} packets", c.packets)).unwrap_or_default()
        };
        match self.rule {
            Some(rule) => format!("{}: {}{}", name(&rule.chain), rule.raw, counted(rule.counter)),
            None => format!("{}: policy drop{}", name(&self.base.id), counted(self.base.policy_counter)),
        }
    }

    /// The commands that let packets through in front of what stops them; `matches` is in nft's words, `iptables`
    /// in those of iptables.
    pub(super) fn accept(&self, firewall: &FirewallFacts, matches: &str, iptables: &str) -> Vec<String> {
        let ChainId { family, table, chain } = &self.base.id;
        let written_by_iptables =
            *family == Family::Ip && table == "filter" && chain.chars().all(char::is_uppercase);
        if !written_by_iptables {
            return vec![format!("nft insert rule {} {table} {chain} {matches} accept", family.word())];
        }
        // Docker keeps this chain for the administrator and jumps to it first.
        let docker = ChainId { chain: "DOCKER-USER".to_owned(), ..self.base.id.clone() };
        let chain = if self.base.hook.as_ref().is_some_and(|hook| hook.hook == Hook::Forward)
            && firewall.is_reached(&docker)
        {
            "DOCKER-USER"
        } else {
            chain
        };
        vec![format!("iptables -I {chain} {iptables} -j ACCEPT")]
    }
}

/// Where the packet is stopped for certain; `None` when it passes, or when nobody can tell.
pub(super) fn stop<'a>(firewall: &'a FirewallFacts, hook: Hook, packet: &Packet) -> Option<Stop<'a>> {
    let mut bases: Vec<(&Chain, &BaseHook)> = firewall
        .chains
        .iter()
        .filter_map(|chain| Some((chain, chain.hook.as_ref()?)))
        .filter(|(chain, base)| {
            let family = chain.id.family == packet.family || chain.id.family == Family::Inet;
            family && base.hook == hook && base.kind == "filter"
        })
        .collect();
    bases.sort_by_key(|(_, base)| base.priority);
    bases.into_iter().find_map(|(chain, base)| {
        let mut walk = Walk { firewall, packet, doubtful: false };
        let end = walk.chain(&chain.id, 0).unwrap_or(match base.policy {
            Verdict::Drop => End::Stopped(None),
            _ => End::Passes,
        });
        match end {
            End::Stopped(rule) if !walk.doubtful => Some(Stop { base: chain, rule }),
            _ => None,
        }
    })
}

enum End<'a> {
    Passes,
    Stopped(Option<&'a Rule>),
}

struct Walk<'a, 'p> {
    firewall: &'a FirewallFacts,
    packet: &'p Packet,
    /// A rule that may match might have let it pass before.
    doubtful: bool,
}

/// Deeper than the kernel allows: a chain that jumps to itself.
const DEEPEST: u8 = 16;

impl<'a> Walk<'a, '_> {
    /// `None`: it falls out of the end of the chain.
    fn chain(&mut self, id: &ChainId, depth: u8) -> Option<End<'a>> {
        if depth > DEEPEST {
            self.doubtful = true;
            return None;
        }
        let firewall = self.firewall;
        for rule in firewall.rules.iter().filter(|rule| rule.chain == *id) {
            let certain = match applies(rule, self.packet) {
                Some(false) => continue,
                other => other == Some(true),
            };
            match &rule.action {
                Some(Action::Jump { chain } | Action::Goto { chain }) => {
                    let target = ChainId { chain: chain.clone(), ..id.clone() };
                    let goes = matches!(rule.action, Some(Action::Goto { .. }));
                    match self.chain(&target, depth + 1) {
                        Some(end) if certain => return Some(end),
                        Some(End::Passes) => self.doubtful = true,
                        None if goes && certain => return None,
                        _ => {}
                    }
                }
                Some(Action::Verdict { verdict: Verdict::Accept }) if certain => return Some(End::Passes),
                Some(Action::Verdict { verdict: Verdict::Drop } | Action::Reject { .. }) if certain => {
                    return Some(End::Stopped(Some(rule)));
                }
                Some(Action::Verdict { verdict: Verdict::Return }) if certain => return None,
                Some(
                    Action::Verdict { verdict: Verdict::Accept | Verdict::Return | Verdict::Queue }
                    | Action::Map { .. },
                ) => {
                    self.doubtful = true;
                }
                _ => {}
            }
        }
        None
    }
}

/// Whether all conditions hold; `None` when that cannot be told.
fn applies(rule: &Rule, packet: &Packet) -> Option<bool> {
    let mut certain = true;
    for part in &rule.matches {
        match holds(part, packet) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => certain = false,
        }
    }
    certain.then_some(true)
}

fn holds(part: &Match, packet: &Packet) -> Option<bool> {
    let link = |pattern: &str, name: IfName| {
        let name = name.as_bytes();
        match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix.as_bytes()),
            None => name == pattern.as_bytes(),
        }
    };
    let any_port =
        |ranges: &[(u16, u16)], port: u16| ranges.iter().any(|(from, to)| (*from..=*to).contains(&port));
    let (positive, negated) = match part {
        Match::InInterface { name, negated } => (Some(link(name, packet.input)), *negated),
        Match::OutInterface { name, negated } => (packet.output.map(|output| link(name, output)), *negated),
        Match::Source { nets, negated } => (within(nets, packet.source), *negated),
        Match::Destination { nets, negated } => (within(nets, packet.destination), *negated),
        Match::Protocol { protocols, negated } => (Some(protocols.contains(&packet.protocol)), *negated),
        Match::DestinationPort { ranges, negated } => (Some(any_port(ranges, packet.port)), *negated),
        Match::CtState { states, negated } => (Some(states.iter().any(|state| state == "new")), *negated),
        Match::NfProto { family } => (Some(*family == packet.family), false),
        _ => (None, false),
    };
    positive.map(|positive| positive != negated)
}

fn within(nets: &[ipnet::IpNet], address: Option<IpAddr>) -> Option<bool> {
    if nets.iter().any(|net| net.prefix_len() == 0) {
        return Some(true);
    }
    address.map(|address| nets.iter().any(|net| net.contains(&address)))
}
