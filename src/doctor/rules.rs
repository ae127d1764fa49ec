//! PURE. What stops a packet at a hook, as evidence, and the commands that let it pass there.

use crate::model::Snapshot;
use crate::model::firewall::{BaseHook, ChainId, Family, FirewallFacts, Hook, Verdict};
use crate::path::Stop;

/// `the policy of inet docker forward drops what no rule accepted (12 packets so far)`.
pub(super) fn words(snapshot: &Snapshot, stop: &Stop) -> String {
    let base = snapshot.firewall.chains.iter().find(|chain| chain.id == stop.base);
    let policy = base.and_then(|chain| chain.hook.as_ref()).is_some_and(|hook| hook.policy == Verdict::Drop);
    let counter = base.and_then(|chain| chain.policy_counter).filter(|_| policy);
    let fallen = counter.map(|counter| format!(" ({} fell to it so far)", counter.packets_words()));
    format!("{}{}", stop.reason, fallen.unwrap_or_default())
}

/// The command that lets packets through in front of what stops them; `nft` is what they must match in nft's words,
/// `iptables` the same in those of iptables.
pub(super) fn accept(firewall: &FirewallFacts, stop: &Stop, nft: &str, iptables: &str) -> String {
    let ChainId { family, table, chain } = &stop.base;
    let of_iptables =
        *family == Family::Ip && table == "filter" && chain.chars().all(|letter| letter.is_ascii_uppercase());
    if !of_iptables {
        return format!("nft insert rule {} {table} {chain} {nft} accept", family.word());
    }
    // Docker keeps this chain for the administrator and jumps to it first.
    let docker = ChainId { chain: "DOCKER-USER".to_owned(), ..stop.base.clone() };
    let forward = |hook: &BaseHook| hook.hook == Hook::Forward;
    let base =
        firewall.chains.iter().find(|chain| chain.id == stop.base).and_then(|chain| chain.hook.as_ref());
    let user_chain = base.is_some_and(forward) && firewall.is_reached(&docker);
    let chain = if user_chain { docker.chain.as_str() } else { chain };
    format!("iptables -I {chain} {iptables} -j ACCEPT")
}
