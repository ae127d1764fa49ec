//! PURE. nf_tables messages → chains and rules. Never panics on any bytes; what it does not know it
//! keeps as text (`Match::Opaque`), so that half a rule is never taken for the whole.
//!
//! Layout: `include/uapi/linux/netfilter/nf_tables.h`; numbers are big-endian, registers as loaded.

use super::attributes::{attributes, be32, be64, find, find_be32, find_string, string};
use super::expression::Expressions;
use super::{raw, stateful};
use crate::model::firewall::{Action, BaseHook, Chain, ChainId, Family, Hook, Rule, RuleCounter, Verdict};
use crate::model::ids::IfIndex;

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetElement {
    /// Its key.
    pub key: Vec<u8>,
    /// It is the exclusive end of an interval.
    pub end: bool,
    /// What a verdict map says for it.
    pub verdict: Option<Action>,
}
/// All elements of a set.
pub type SetElements = Vec<SetElement>;

/// What a rule only refers to.
pub trait Names {
    /// The name of the link with this index.
    fn link(&self, index: IfIndex) -> Option<String>;
    /// The elements of a set of the rule's table.
    fn set(&mut self, family: u8, table: &str, set: &str) -> Option<SetElements>;
}

fn family(number: u8) -> Option<Family> {
    Some(match number {
        1 => Family::Inet,
        2 => Family::Ip,
        3 => Family::Arp,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        _ => return None,
    })
}

fn hook(family: Family, number: u32) -> Option<Hook> {
    Some(match (family, number) {
        (Family::Netdev, 0) | (_, 5) => Hook::Ingress,
        (Family::Netdev, 1) => Hook::Egress,
        (Family::Arp, 0) | (_, 1) => Hook::Input,
        (_, 0) => Hook::Prerouting,
        (_, 2) => Hook::Forward,
        (_, 3) => Hook::Output,
        (_, 4) => Hook::Postrouting,
        _ => return None,
    })
}

/// A chain from the payload of `NFT_MSG_NEWCHAIN`.
#[must_use]
pub fn chain(number: u8, bytes: &[u8]) -> Option<Chain> {
    let family = family(number)?;
    let id = ChainId { family, table: find_string(bytes, 1)?, chain: find_string(bytes, 3)? };
    let base = find(bytes, 4).and_then(|nested| {
        Some(BaseHook {
            hook: hook(family, find_be32(nested, 1)?)?,
            kind: find_string(bytes, 7).unwrap_or_default(),
            priority: find_be32(nested, 2)?.cast_signed(),
            policy: if find_be32(bytes, 5) == Some(0) { Verdict::Drop } else { Verdict::Accept },
            devices: devices(nested),
        })
    });
    Some(Chain { id, hook: base, policy_counter: find(bytes, 8).map(counter) })
}

/// The names in `NFTA_HOOK_DEV` or `NFTA_HOOK_DEVS`.
fn devices(hook: &[u8]) -> Vec<String> {
    let many = find(hook, 4).into_iter().flat_map(attributes).map(|(_, name)| string(name));
    find_string(hook, 3).into_iter().chain(many).collect()
}

/// The family, name and whether it is switched off (`dormant`) from the payload of `NFT_MSG_NEWTABLE`.
#[must_use]
pub fn table(number: u8, bytes: &[u8]) -> Option<(Family, String, bool)> {
    const DORMANT: u32 = 1;
    Some((family(number)?, find_string(bytes, 1)?, find_be32(bytes, 2)? & DORMANT != 0))
}

/// No packet enters the base chains of a dormant table.
pub fn put_to_sleep(chains: &mut [Chain], tables: impl Iterator<Item = (Family, String, bool)>) {
    for (family, table, _) in tables.filter(|(.., dormant)| *dormant) {
        for chain in chains.iter_mut().filter(|chain| chain.id.family == family && chain.id.table == table) {
            chain.hook = None;
        }
    }
}

/// What the payload of a verdict says to do.
pub(super) fn verdict(bytes: &[u8]) -> Option<Action> {
    let chain = || find_string(bytes, 2);
    Some(match find_be32(bytes, 1)?.cast_signed() {
        0 => Action::Verdict { verdict: Verdict::Drop },
        1 => Action::Verdict { verdict: Verdict::Accept },
        -1 => Action::Verdict { verdict: Verdict::Continue },
        -3 => Action::Jump { chain: chain()? },
        -4 => Action::Goto { chain: chain()? },
        -5 => Action::Verdict { verdict: Verdict::Return },
        code if code & 0xff == 3 => Action::Verdict { verdict: Verdict::Queue },
        _ => return None,
    })
}

/// A rule from the payload of `NFT_MSG_NEWRULE`.
pub fn rule(number: u8, bytes: &[u8], names: &mut dyn Names) -> Option<Rule> {
    let chain =
        ChainId { family: family(number)?, table: find_string(bytes, 1)?, chain: find_string(bytes, 2)? };
    let mut expressions = Expressions::new(number, &chain.table, names);
    for (_, element) in find(bytes, 4).into_iter().flat_map(attributes) {
        let name = find_string(element, 1).unwrap_or_default();
        expressions.take(&name, find(element, 2).unwrap_or_default());
    }
    let decoded = expressions.finish();
    let mut rule = Rule {
        chain,
        handle: find(bytes, 3).and_then(be64).unwrap_or(0),
        matches: decoded.matches,
        also: decoded.also,
        action: decoded.action,
        counter: decoded.counter,
        comment: decoded.comment.or_else(|| find(bytes, 7).and_then(comment)),
        raw: String::new(),
    };
    rule.raw = raw::line(&rule);
    Some(rule)
}

/// The comment in a rule's user data: type 0, length, text.
fn comment(mut bytes: &[u8]) -> Option<String> {
    loop {
        let (&[kind, length], rest) = bytes.split_first_chunk::<2>()?;
        let value = rest.get(..usize::from(length))?;
        if kind == 0 {
            return Some(string(value));
        }
        bytes = rest.get(usize::from(length)..)?;
    }
}

/// Packets and bytes from nested counter attributes.
pub(super) fn counter(bytes: &[u8]) -> RuleCounter {
    RuleCounter {
        packets: find(bytes, 2).and_then(be64).unwrap_or(0),
        bytes: find(bytes, 1).and_then(be64).unwrap_or(0),
    }
}

/// The elements in the payload of `NFT_MSG_NEWSETELEM`; `None` when one of them has no key (a catch-all), or asks for
/// more than its key (a limit).
#[must_use]
pub fn elements(bytes: &[u8]) -> Option<SetElements> {
    const INTERVAL_END: u32 = 1;
    let mut elements = Vec::new();
    for (_, element) in find(bytes, 3).into_iter().flat_map(attributes) {
        let key = |kind| find(element, kind).and_then(|nested| find(nested, 1)).map(<[u8]>::to_vec);
        let start = key(1).filter(|_| stateful::only_counts(element))?;
        let end = find(element, 3).and_then(be32).unwrap_or(0) & INTERVAL_END != 0;
        let verdict = find(element, 2).and_then(|data| verdict(find(data, 2)?));
        elements.push(SetElement { key: start, end, verdict });
        if let Some(last) = key(10) {
            elements.push(SetElement { key: last, end: true, verdict: None });
        }
    }
    Some(elements)
}
