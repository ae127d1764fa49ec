//! PURE. A packet at a netfilter hook: the very rules it meets, in the kernel's order, and what becomes of it.
//!
//! Base chains run by priority. An accept is final only in its own base chain, a drop everywhere. A rule
//! that cannot be decided may take the packet or not: both are followed, and what comes of them is only
//! certain where both agree. So an answer is never guessed, and a policy of drop without an accept is
//! never a yes.

use std::collections::HashMap;

use serde::Serialize;

use super::packet::{Answer, Flow, Packet, Place, holds};
use crate::model::Snapshot;
use crate::model::firewall::{Action, BaseHook, ChainId, Family, Hook, Rule, Verdict};

/// A rule on the packet's way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passed {
    /// The rule, with its live counter.
    pub rule: Rule,
    /// The packet matches it for certain; else it may.
    pub sure: bool,
    /// How many jumps below its base chain.
    pub depth: u8,
    /// Packets per second that it matches now; known of rules that name guests' bridges or nets.
    pub packets_per_second: Option<f64>,
}

/// How the packet's address changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Translation {
    pub(super) action: Action,
    pub(super) sure: bool,
}

/// What became of the packet at one hook.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crossed {
    /// There is a base chain at all.
    pub(super) any: bool,
    pub(super) passed: Vec<Passed>,
    /// It passes.
    pub(super) answer: Answer,
    /// Why it does not, or why that cannot be told.
    pub(super) reason: Option<String>,
    /// The base chain that it does not pass for certain.
    pub(super) stopped: Option<ChainId>,
    pub(super) translation: Option<Translation>,
}

/// What may happen to a packet in a chain; exactly one of them when it is certain.
#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    accept: bool,
    drop: bool,
    /// Comes out at the end, or returned.
    through: bool,
}

impl Outcome {
    const ANYTHING: Self = Self { accept: true, drop: true, through: true };

    const fn ends(self) -> bool {
        self.accept || self.drop
    }
}

/// nf_tables refuses deeper nesting (`NFT_JUMP_STACK_SIZE`).
const DEEPEST: u8 = 16;
/// Rules looked at in one hook at most; a set of chains that calls itself over and over ends here, undecided.
const MOST_RULES: u32 = 100_000;
/// Source translation comes before chains of a higher priority see the packet, destination translation likewise.
const NAT_DESTINATION: i32 = -100;

/// The rules of a snapshot by chain.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) snapshot: &'a Snapshot,
    by_chain: HashMap<&'a ChainId, Vec<&'a Rule>>,
    rates: HashMap<(&'a ChainId, u64), f64>,
}

impl<'a> Rules<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut by_chain: HashMap<&ChainId, Vec<&Rule>> =
            snapshot.firewall.chains.iter().map(|chain| (&chain.id, Vec::new())).collect();
        for rule in &snapshot.firewall.rules {
            by_chain.entry(&rule.chain).or_default().push(rule);
        }
        let rates = snapshot
            .rules
            .iter()
            .filter_map(|guest| Some(((&guest.rule.chain, guest.rule.handle), guest.rate?.packets)));
        Self { snapshot, by_chain, rates: rates.collect() }
    }
}

/// What stops a packet for certain.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// The base chain it entered.
    pub(crate) base: ChainId,
    /// The policy or the rule, in words.
    pub(crate) reason: String,
}

/// The hooks of a snapshot, for asking about single packets.
#[derive(Debug)]
pub(crate) struct Hooks<'a>(Rules<'a>);

impl<'a> Hooks<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        Self(Rules::of(snapshot))
    }

    /// Where an IPv4 packet ends at this hook; `None` when it passes, or when nobody can tell.
    pub(crate) fn stop(&self, mut packet: Packet, place: &Place, hook: Hook) -> Option<Stop> {
        let crossed = cross(&self.0, &mut packet, place, hook, Family::Ip, None);
        Some(Stop { base: crossed.stopped?, reason: crossed.reason.unwrap_or_default() })
    }

    /// An IPv4 packet that the host sends on leaves it with the source it came with, for certain.
    pub(crate) fn keeps_source(&self, mut packet: Packet, place: &Place) -> bool {
        let before = Place { outward: Vec::new(), ..place.clone() };
        // What comes first may mark the packet, or send it elsewhere.
        let arrives = cross(&self.0, &mut packet, &before, Hook::Prerouting, Family::Ip, None);
        cross(&self.0, &mut packet, place, Hook::Forward, Family::Ip, None);
        let leaves = cross(&self.0, &mut packet, place, Hook::Postrouting, Family::Ip, None);
        arrives.translation.is_none() && leaves.translation.is_none() && leaves.answer == Answer::Yes
    }
}

/// Takes the packet through all base chains of a hook. `outer` is the destination that chains before
/// address translation see.
pub(super) fn cross(
    rules: &Rules<'_>,
    packet: &mut Packet,
    place: &Place,
    hook: Hook,
    layer: Family,
    outer: Option<ipnet::IpNet>,
) -> Crossed {
    let snapshot = rules.snapshot;
    let mut crossed = Crossed {
        any: false,
        passed: Vec::new(),
        answer: Answer::Yes,
        reason: None,
        stopped: None,
        translation: None,
    };
    if let Some(reason) = unreadable(snapshot, layer) {
        crossed.answer = Answer::Unknown;
        crossed.reason = Some(reason);
        return crossed;
    }
    for (id, base) in base_chains(snapshot, hook, layer) {
        crossed.any = true;
        let nat = base.kind == "nat";
        let known = crossed.translation.as_ref().is_some_and(|translation| translation.sure);
        // Only the first packet of a connection sees the nat chains, and only until one has decided.
        if nat && (known || packet.flow == Some(Flow::Reply)) {
            continue;
        }
        let inner = packet.destination;
        if let (Hook::Prerouting, Some(outer)) = (hook, outer.filter(|_| base.priority < NAT_DESTINATION)) {
            packet.destination = outer;
        }
        let sure = crossed.answer == Answer::Yes;
        let mut walk = Walk {
            rules,
            packet,
            place,
            at: (hook, layer),
            crossed: &mut crossed,
            drop: None,
            doubt: None,
            left: MOST_RULES,
        };
        let mut outcome = walk.chain(id, sure, 0);
        let (drop, doubt) = (walk.drop.take(), walk.doubt.take());
        packet.destination = inner;
        let mut reason = drop;
        if outcome.through && base.policy == Verdict::Drop {
            let policy = format!("the policy of {} drops what no rule accepted", words(id));
            reason = reason.filter(|(sure, _)| *sure).or(Some((!outcome.ends(), policy)));
            outcome.drop = true;
        } else {
            outcome.accept |= outcome.through;
        }
        match (outcome.accept, outcome.drop) {
            (true, false) => {}
            (true, true) => {
                crossed.answer = Answer::Unknown;
                let why = doubt.or(reason.map(|(_, reason)| reason));
                crossed.reason = crossed.reason.take().or(why);
            }
            (false, _) => {
                crossed.answer = Answer::No;
                crossed.reason = reason.map(|(_, reason)| reason);
                crossed.stopped = Some(id.clone());
                return crossed;
            }
        }
    }
    crossed
}

/// Why the rules are not known whole.
fn unreadable(snapshot: &Snapshot, layer: Family) -> Option<String> {
    let health = &snapshot.health.firewall;
    let known = health.is_ok() || snapshot.firewall.generation != 0;
    if !known {
        return Some("the firewall rules could not be read".to_owned());
    }
    let legacy = &snapshot.firewall.legacy_tables;
    (layer != Family::Bridge && !legacy.is_empty())
        .then(|| format!("legacy iptables rules (table {}) cannot be read", legacy.join(", ")))
}

/// `ip filter FORWARD`.
pub(super) fn words(id: &ChainId) -> String {
    format!("{} {} {}", id.family.word(), id.table, id.chain)
}

/// The base chains of a hook in the order in which the kernel runs them: by priority, and of the same
/// priority the one registered last first (`nf_hook_entries_grow`). Chains of kind nat share one place.
fn base_chains(snapshot: &Snapshot, hook: Hook, layer: Family) -> Vec<(&ChainId, &BaseHook)> {
    let mut chains: Vec<(usize, &ChainId, &BaseHook)> = snapshot
        .firewall
        .chains
        .iter()
        .enumerate()
        .filter_map(|(at, chain)| Some((at, &chain.id, chain.hook.as_ref()?)))
        .filter(|(_, id, base)| {
            let family = id.family == layer || (layer != Family::Bridge && id.family == Family::Inet);
            base.hook == hook && family
        })
        .collect();
    chains.sort_by_key(|(at, _, base)| {
        let nat = match hook {
            Hook::Prerouting | Hook::Output => -100,
            _ => 100,
        };
        let place = if base.kind == "nat" && layer != Family::Bridge { nat } else { base.priority };
        (place, base.priority, std::cmp::Reverse(*at))
    });
    chains.into_iter().map(|(_, id, base)| (id, base)).collect()
}

struct Walk<'a> {
    rules: &'a Rules<'a>,
    packet: &'a mut Packet,
    place: &'a Place,
    at: (Hook, Family),
    crossed: &'a mut Crossed,
    /// The first rule that drops, and whether for certain.
    drop: Option<(bool, String)>,
    /// The first rule that could not be decided and matters.
    doubt: Option<String>,
    left: u32,
}

impl Walk<'_> {
    fn chain(&mut self, id: &ChainId, sure: bool, depth: u8) -> Outcome {
        let mut out = Outcome::default();
        let mut sure = sure;
        let rules = self.rules;
        let known = rules.by_chain.get(id).filter(|_| depth <= DEEPEST);
        let Some(known) = known else {
            self.doubt.get_or_insert_with(|| format!("{} could not be followed", words(id)));
            return Outcome::ANYTHING;
        };
        for rule in known.iter().copied() {
            let Some(left) = self.left.checked_sub(1) else {
                self.doubt.get_or_insert_with(|| "the rules are too many to follow".to_owned());
                return Outcome::ANYTHING;
            };
            self.left = left;
            let mut matched = Answer::Yes;
            for part in &rule.matches {
                matched = matched.and(holds(rules.snapshot, self.packet, self.place, self.at, part));
                if matched == Answer::No {
                    break;
                }
            }
            if matched == Answer::No {
                continue;
            }
            let before = self.notes(rule);
            let here = sure && matched == Answer::Yes && !before.matters();
            let at = self.crossed.passed.len();
            let packets_per_second = rules.rates.get(&(&rule.chain, rule.handle)).copied();
            self.crossed.passed.push(Passed { rule: rule.clone(), sure: here, depth, packets_per_second });
            let effect =
                rule.action.as_ref().map_or(Effect::NOTHING, |action| self.act(rule, action, here, depth));
            let matters = effect.matters() || before.matters();
            if matched == Answer::Unknown && !matters {
                // It may count the packet; nothing depends on it.
                self.crossed.passed.truncate(at);
            }
            out.accept |= effect.accept || before.accept;
            out.drop |= effect.drop || before.drop;
            out.through |= effect.leaves;
            if matched == Answer::Unknown && matters {
                self.doubt.get_or_insert_with(|| format!("{}: {} is not decided", words(id), asked(rule)));
            }
            if matched == Answer::Yes && !effect.goes_on {
                return out;
            }
            sure &= !matters;
        }
        out.through = true;
        out
    }

    /// What a rule does to the packet before its verdict.
    fn notes(&mut self, rule: &Rule) -> Effect {
        let mut all = Effect::NOTHING;
        for text in &rule.also {
            let effect = self.opaque(rule, text);
            all.accept |= effect.accept;
            all.drop |= effect.drop;
        }
        all
    }

    fn act(&mut self, rule: &Rule, action: &Action, sure: bool, depth: u8) -> Effect {
        match action {
            Action::Verdict { verdict: Verdict::Accept } => Effect::ACCEPT,
            Action::Verdict { verdict: Verdict::Drop } => self.dropped(rule, "drops it", sure),
            Action::Verdict { verdict: Verdict::Return } => Effect { leaves: true, ..Effect::STOP },
            Action::Verdict { verdict: Verdict::Continue } => Effect::NOTHING,
            Action::Verdict { verdict: Verdict::Queue } => {
                let text = format!("{}: a program in user space decides", words(&rule.chain));
                self.doubt.get_or_insert(text);
                Effect { accept: true, drop: true, ..Effect::STOP }
            }
            Action::Reject { with } => {
                let with = with.as_ref().map(|with| format!(" ({with})")).unwrap_or_default();
                self.dropped(rule, &format!("rejects it{with}"), sure)
            }
            Action::Jump { chain } | Action::Goto { chain } => {
                let target = ChainId { chain: chain.clone(), ..rule.chain.clone() };
                let inner = self.chain(&target, sure, depth + 1);
                let goto = matches!(action, Action::Goto { .. });
                Effect {
                    accept: inner.accept,
                    drop: inner.drop,
                    leaves: inner.through && goto,
                    goes_on: inner.through && !goto,
                }
            }
            Action::Map { arms } => self.map(rule, arms, sure, depth),
            Action::Masquerade { .. }
            | Action::Snat { .. }
            | Action::Dnat { .. }
            | Action::Redirect { .. } => {
                if self.crossed.translation.is_none() {
                    // What is not tracked is not translated.
                    let sure = sure && self.packet.flow.is_some();
                    self.crossed.translation = Some(Translation { action: action.clone(), sure });
                }
                Effect::ACCEPT
            }
            Action::Opaque { text } => self.opaque(rule, text),
        }
    }

    fn map(&mut self, rule: &Rule, arms: &[crate::model::firewall::MapArm], sure: bool, depth: u8) -> Effect {
        let mut all = Effect { goes_on: true, ..Effect::STOP };
        let mut sure = sure;
        for arm in arms {
            let matched = holds(self.rules.snapshot, self.packet, self.place, self.at, &arm.when);
            if matched == Answer::No {
                continue;
            }
            let effect = self.act(rule, &arm.then, sure && matched == Answer::Yes, depth);
            all.accept |= effect.accept;
            all.drop |= effect.drop;
            all.leaves |= effect.leaves;
            if matched == Answer::Yes {
                all.goes_on = effect.goes_on;
                return all;
            }
            sure = false;
            self.doubt.get_or_insert_with(|| format!("{}: its map is not decided", words(&rule.chain)));
        }
        all
    }

    fn dropped(&mut self, rule: &Rule, what: &str, sure: bool) -> Effect {
        let text = format!("a rule of {} {what}: {}", words(&rule.chain), asked(rule));
        match &self.drop {
            Some((true, _)) => {}
            Some((false, _)) if !sure => {}
            _ => self.drop = Some((sure, text)),
        }
        Effect { drop: true, ..Effect::STOP }
    }

    /// Targets that only change or note something let the packet go on; any other may do anything.
    fn opaque(&mut self, rule: &Rule, text: &str) -> Effect {
        let name = text.split(' ').next().unwrap_or_default();
        match name {
            "MARK" | "CONNMARK" | "meta" => self.packet.mark = None,
            "CT" | "NOTRACK" | "notrack" => self.packet.flow = None,
            _ if HARMLESS.contains(&name) => {}
            _ => {
                self.doubt.get_or_insert_with(|| format!("{}: {name} is not known", words(&rule.chain)));
                return Effect { accept: true, drop: true, leaves: false, goes_on: true };
            }
        }
        Effect::NOTHING
    }
}

/// Targets and statements after which the packet goes on to the next rule, unchanged in what is looked at here.
const HARMLESS: [&str; 26] = [
    "header",
    "LOG",
    "NFLOG",
    "ULOG",
    "CONNSECMARK",
    "SECMARK",
    "CLASSIFY",
    "CHECKSUM",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TTL",
    "HL",
    "DSCP",
    "TOS",
    "ECN",
    "SET",
    "TRACE",
    "TEE",
    "AUDIT",
    "log",
    "dynset",
    "objref",
    "dup",
    "last",
    "ct",
    "flow_offload",
];

/// What a rule's action may do to the packet.
#[derive(Debug, Clone, Copy)]
struct Effect {
    accept: bool,
    drop: bool,
    /// The packet leaves this chain for the one that called it, or for the policy.
    leaves: bool,
    /// The packet goes on to the next rule.
    goes_on: bool,
}

impl Effect {
    const STOP: Self = Self { accept: false, drop: false, leaves: false, goes_on: false };
    const NOTHING: Self = Self { goes_on: true, ..Self::STOP };
    const ACCEPT: Self = Self { accept: true, ..Self::STOP };

    const fn matters(self) -> bool {
        self.accept || self.drop || self.leaves
    }
}

/// The rule's own text without its counter, which changes all the time.
fn asked(rule: &Rule) -> String {
    let words: Vec<&str> = rule.raw.split(' ').collect();
    let counter = words.iter().position(|word| *word == "counter");
    let mut kept: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if counter.is_none_or(|counter| at < counter || at > counter + 4) {
            kept.push(word);
        }
    }
    kept.join(" ")
}
