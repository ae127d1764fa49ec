//! PURE. Which rules packets get to at all: a rule in a chain that nothing jumps to does nothing.

use ipnet::IpNet;

use super::{Action, ChainId, FirewallFacts, Match, Rule};

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
