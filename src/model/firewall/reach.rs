//! PURE. Which rules packets get to at all: a rule in a chain that nothing jumps to does nothing.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{Action, ChainId, Family, FirewallFacts, Match, Rule};
use crate::model::IfName;

impl FirewallFacts {
    /// Jumps followed before a chain counts as not reached; the kernel's own limit is 16.
    const DEEPEST: u8 = 16;

    /// A masquerade or SNAT rule for exactly this subnet, as libvirt makes it, stands in a chain that packets get
    /// to. Other rules may translate it too.
    #[must_use]
    pub fn masquerades(&self, subnet: IpNet) -> bool {
        let names = |rule: &Rule| {
            let of = |part: &Match| matches!(part, Match::Source { nets, negated: false } if nets.contains(&subnet));
            rule.matches.iter().any(of)
        };
        let hides =
            |rule: &&Rule| matches!(rule.action, Some(Action::Masquerade { .. } | Action::Snat { .. }));
        self.rules.iter().filter(hides).any(|rule| names(rule) && self.is_reached(&rule.chain))
    }

    /// A rule about packets to or from this bridge stands in a chain that forwarded packets get to.
    #[must_use]
    pub fn guards(&self, bridge: IfName) -> bool {
        self.about(bridge).any(|rule| self.is_reached(&rule.chain))
    }

    /// Names of chains with rules about packets to or from this bridge that packets do not get to.
    #[must_use]
    pub fn unreached(&self, bridge: IfName) -> BTreeSet<String> {
        let chains = self.about(bridge).map(|rule| &rule.chain).filter(|chain| !self.is_reached(chain));
        chains.map(|chain| chain.chain.clone()).collect()
    }

    /// Rules of the filter for packets through the host to or from this bridge.
    fn about(&self, bridge: IfName) -> impl Iterator<Item = &Rule> {
        let name = bridge.to_string();
        let is_about = move |rule: &&Rule| {
            let is_forward = match rule.chain.table.as_str() {
                "filter" => rule.chain.chain.contains("FW") || rule.chain.chain == "FORWARD",
                "libvirt_network" => !rule.chain.chain.contains("nat"),
                _ => false,
            };
            let names = |part: &Match| match part {
                Match::InInterface { name: link, negated: false }
                | Match::OutInterface { name: link, negated: false } => *link == name,
                _ => false,
            };
            is_forward && rule.chain.family != Family::Ip6 && rule.matches.iter().any(names)
        };
        self.rules.iter().filter(is_about)
    }

    /// The chain hangs on a hook, or one that does jumps to it.
    #[must_use]
    pub fn is_reached(&self, chain: &ChainId) -> bool {
        self.is_reached_within(chain, Self::DEEPEST)
    }

    fn is_reached_within(&self, chain: &ChainId, depth: u8) -> bool {
        if self.chains.iter().any(|known| known.id == *chain && known.hook.is_some()) {
            return true;
        }
        let same_table = |other: &ChainId| other.family == chain.family && other.table == chain.table;
        let jumps = |rule: &Rule| rule.targets().any(|to| to == chain.chain);
        let mut callers = self.rules.iter().filter(|rule| jumps(rule) && same_table(&rule.chain));
        depth > 0
            && callers.any(|rule| rule.chain != *chain && self.is_reached_within(&rule.chain, depth - 1))
    }
}
