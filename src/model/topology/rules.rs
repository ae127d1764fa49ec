//! PURE. Which firewall rules concern guests, in the order a packet meets them.
//!
//! A rule concerns guests when it names a guest network's bridge or subnet. Chains that are jumped to
//! are walked where the jump stands, so libvirt's own chains appear under their hook.

use ipnet::IpNet;

use super::Host;
use crate::model::firewall::{Action, BaseHook, Chain, ChainId, Hook, Match, Rule};
use crate::model::ids::{IfName, NetworkId};
use crate::model::kernel::LinkKind;
use crate::model::network::ForwardMode;
use crate::model::rates::per_second;
use crate::model::snapshot::{GuestRule, RuleRate, Snapshot};

/// A network of guests as the firewall can name it.
struct Territory {
    network: Option<NetworkId>,
    bridge: Option<IfName>,
    subnets: Vec<IpNet>,
}

pub(super) fn join(host: &Host<'_>, before: Option<&Snapshot>) -> Vec<GuestRule> {
    let territories = territories(host);
    let firewall = &host.facts.firewall;
    let mut bases: Vec<(&Chain, &BaseHook)> =
        firewall.chains.iter().filter_map(|chain| Some((chain, chain.hook.as_ref()?))).collect();
    bases.sort_by_key(|(_, hook)| (hook.kind != "nat", order(hook.hook), hook.priority));
    let mut walk = Walk { host, territories: &territories, seen: Vec::new(), found: Vec::new() };
    for (chain, hook) in bases {
        walk.chain(&chain.id, hook);
    }
    let mut found = walk.found;
    for rule in &mut found {
        rule.rate = rate(host, rule, before);
    }
    found
}

/// Postrouting first: the masquerade rules are what people look for.
const fn order(hook: Hook) -> u8 {
    match hook {
        Hook::Postrouting => 0,
        Hook::Prerouting => 1,
        Hook::Forward => 2,
        Hook::Input => 3,
        Hook::Output => 4,
        Hook::Ingress | Hook::Egress => 5,
    }
}

fn territories(host: &Host<'_>) -> Vec<Territory> {
    let mut territories: Vec<Territory> = Vec::new();
    for network in &host.facts.libvirt.networks {
        let Some(definition) = network.current() else { continue };
        if matches!(network.forward(), ForwardMode::Bridge | ForwardMode::Macvtap(_) | ForwardMode::Hostdev) {
            continue;
        }
        territories.push(Territory {
            network: Some(network.id),
            bridge: definition.bridge,
            subnets: definition.subnets.iter().map(|subnet| subnet.gateway.trunc()).collect(),
        });
    }
    // Bridges of the host's own that guests are plugged into.
    for link in &host.facts.kernel.links {
        let known = territories.iter().any(|territory| territory.bridge == Some(link.name));
        if matches!(link.kind, LinkKind::Bridge(_)) && !known {
            territories.push(Territory { network: None, bridge: Some(link.name), subnets: Vec::new() });
        }
    }
    territories
}

struct Walk<'a> {
    host: &'a Host<'a>,
    territories: &'a [Territory],
    seen: Vec<&'a ChainId>,
    found: Vec<GuestRule>,
}

impl Walk<'_> {
    fn chain(&mut self, id: &ChainId, hook: &BaseHook) {
        let rules = self.host.facts.firewall.rules.iter().filter(|rule| rule.chain == *id);
        for rule in rules {
            self.rule(rule, hook);
            for chain in rule.targets() {
                let target = ChainId { chain: chain.to_owned(), ..rule.chain.clone() };
                let known =
                    self.host.facts.firewall.chains.iter().map(|chain| &chain.id).find(|id| **id == target);
                // A chain is listed once, under the hook that reaches it first.
                if let Some(target) = known.filter(|target| !self.seen.contains(target)) {
                    self.seen.push(target);
                    self.chain(target, hook);
                }
            }
        }
    }

    fn rule(&mut self, rule: &Rule, hook: &BaseHook) {
        let mut networks = Vec::new();
        let mut bridges = Vec::new();
        for territory in self.territories.iter().filter(|territory| names(rule, territory)) {
            networks.extend(territory.network);
            bridges.extend(territory.bridge);
        }
        if networks.is_empty() && bridges.is_empty() {
            return;
        }
        let nat = hook.kind == "nat";
        self.found.push(GuestRule {
            rule: rule.clone(),
            hook: Some(hook.clone()),
            nat,
            networks,
            bridges,
            rate: None,
        });
    }
}

fn names(rule: &Rule, territory: &Territory) -> bool {
    let inside = |net: &IpNet| territory.subnets.iter().any(|subnet| subnet.contains(net));
    let bridge = |name: &str| territory.bridge.is_some_and(|bridge| bridge.as_bytes() == name.as_bytes());
    let target = match &rule.action {
        Some(Action::Dnat { address: Some((from, _)), .. }) => inside(&IpNet::from(*from)),
        _ => false,
    };
    target
        || rule.matches.iter().any(|part| match part {
            Match::Source { nets, .. } | Match::Destination { nets, .. } => nets.iter().any(inside),
            Match::InInterface { name, .. } | Match::OutInterface { name, .. } => bridge(name),
            _ => false,
        })
}

fn rate(host: &Host<'_>, rule: &GuestRule, before: Option<&Snapshot>) -> Option<RuleRate> {
    let before = before?;
    let same =
        |other: &&GuestRule| other.rule.handle == rule.rule.handle && other.rule.chain == rule.rule.chain;
    let old = before.rules.iter().find(same)?;
    // Counters of rules are read more rarely than snapshots are made: in between the rate stays.
    if std::sync::Arc::ptr_eq(&before.facts.firewall, &host.facts.firewall) {
        return old.rate;
    }
    let millis = host.facts.firewall.read_at.millis_since(before.facts.firewall.read_at);
    let (old, new) = (old.rule.counter?, rule.rule.counter?);
    Some(RuleRate {
        packets: per_second(old.packets, new.packets, millis)?,
        bytes: per_second(old.bytes, new.bytes, millis)?,
    })
}
