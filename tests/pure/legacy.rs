//! What `iptables-legacy-save -c` prints, recorded in a network namespace: the same shape as what is read from
//! nf_tables, and what is not known stays as text.

use proptest::prelude::*;
use virt_net::model::firewall::{Action, Family, Hook, Match, Rule, RuleCounter, Verdict};
use virt_net::model::topology;
use virt_net::source::firewall::legacy::{Legacy, parse};

const SAVED: &str = include_str!("../fixtures/firewall/legacy.save");

fn saved() -> Legacy {
    parse(Family::Ip, SAVED)
}

fn rules(legacy: &Legacy, table: &str, chain: &str) -> Vec<Rule> {
    let here = |rule: &&Rule| rule.chain.table == format!("legacy {table}") && rule.chain.chain == chain;
    legacy.rules.iter().filter(here).cloned().collect()
}

#[test]
fn libvirts_chains_read_as_from_nf_tables() {
    let legacy = saved();
    let nat = rules(&legacy, "nat", "LIBVIRT_PRT");
    let raw: Vec<&str> = nat.iter().map(|rule| rule.raw.as_str()).collect();
    assert_eq!(
        raw,
        [
            "ip saddr 192.168.122.0/24 ip daddr 224.0.0.0/24 counter packets 3 bytes 120 return",
            "ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 meta l4proto 6 counter packets 7 bytes 420 \
             masquerade to :1024-65535",
            "ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter packets 0 bytes 0 masquerade",
        ]
    );
    assert_eq!(nat[1].counter, Some(RuleCounter { packets: 7, bytes: 420 }));
    assert!(nat.iter().all(Rule::understood));
    let jump = &rules(&legacy, "nat", "POSTROUTING")[0];
    assert_eq!(jump.action, Some(Action::Jump { chain: "LIBVIRT_PRT".to_owned() }));
    let forward = rules(&legacy, "filter", "LIBVIRT_FWX");
    assert_eq!(
        forward[1].matches[2],
        Match::CtState { states: vec!["related".to_owned(), "established".to_owned()], negated: false }
    );
    assert_eq!(forward[2].action, Some(Action::Reject { with: Some("icmp-port-unreachable".to_owned()) }));
}

#[test]
fn base_chains_have_their_hooks_policies_and_counters() {
    let legacy = saved();
    let chain = |table: &str, name: &str| {
        legacy
            .chains
            .iter()
            .find(|chain| chain.id.table == format!("legacy {table}") && chain.id.chain == name)
            .unwrap()
            .clone()
    };
    let forward = chain("filter", "FORWARD");
    let hook = forward.hook.unwrap();
    assert_eq!((hook.hook, hook.priority, hook.policy), (Hook::Forward, 0, Verdict::Drop));
    assert_eq!(forward.policy_counter, Some(RuleCounter::default()));
    let nat = |name: &str| chain("nat", name).hook.unwrap();
    assert_eq!((nat("PREROUTING").priority, nat("POSTROUTING").priority), (-100, 100));
    assert!(chain("nat", "LIBVIRT_PRT").hook.is_none());
    let handles: std::collections::BTreeSet<u64> = legacy.rules.iter().map(|rule| rule.handle).collect();
    assert_eq!(handles.len(), legacy.rules.len(), "each rule has an identity");
}

#[test]
fn addresses_ports_and_negations() {
    let legacy = saved();
    let dnat = &rules(&legacy, "nat", "PREROUTING")[0];
    let guest = "192.168.122.208".parse().unwrap();
    assert_eq!(dnat.action, Some(Action::Dnat { address: Some((guest, guest)), ports: Some((22, 22)) }));
    assert_eq!(dnat.matches[2], Match::DestinationPort { ranges: vec![(2222, 2222)], negated: false });
    let snat = &rules(&legacy, "nat", "POSTROUTING")[1];
    assert_eq!(snat.matches[1], Match::OutInterface { name: "eth*".to_owned(), negated: false });
    let input = rules(&legacy, "filter", "INPUT");
    let ports = vec![(80, 80), (443, 443), (8000, 8010)];
    assert_eq!(input[1].matches[1], Match::DestinationPort { ranges: ports, negated: false });
    assert_eq!(input[1].comment.as_deref(), Some("web \"x\" y"));
}

#[test]
fn what_is_not_known_is_kept_as_text() {
    let input = rules(&saved(), "filter", "INPUT");
    assert_eq!(input[2].action, Some(Action::Opaque { text: "LOG --log-prefix x y: ".to_owned() }));
    let opaque = |rule: &Rule| -> Vec<String> {
        let text = |part: &Match| match part {
            Match::Opaque { text } => Some(text.clone()),
            _ => None,
        };
        rule.matches.iter().filter_map(text).collect()
    };
    assert_eq!(opaque(&input[2]), ["-m limit", "--limit 5/min"]);
    assert_eq!(opaque(&input[4]), ["-m mac", "--mac-source 52:54:00:aa:fc:1c", "-m mark", "! --mark 0x1"]);
    assert!(!input[4].understood());
    assert_eq!(input[3].action, Some(Action::Goto { chain: "LIBVIRT_FWX".to_owned() }));
}

/// The rules of a host whose libvirt writes legacy tables are the guests' rules as on any other.
#[test]
fn the_guests_rules_are_found_in_it() {
    let mut facts = crate::update::host().facts.clone();
    let legacy = saved();
    let firewall = std::sync::Arc::make_mut(&mut facts.firewall);
    (firewall.chains, firewall.rules) = (legacy.chains, legacy.rules);
    let snapshot = topology::join(facts, std::sync::Arc::default(), None);
    let masquerade = snapshot.rules.iter().filter(|rule| {
        rule.nat && matches!(rule.rule.action, Some(Action::Masquerade { .. })) && !rule.networks.is_empty()
    });
    assert_eq!(masquerade.count(), 2);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(lines in prop::collection::vec("[*:\\[!-]?[ -~é\"\\\\]{0,60}", 0..20)) {
        let _ = parse(Family::Ip, &lines.join("\n"));
    }

    #[test]
    fn rules_cut_off_anywhere_do_not_panic(at in 0..SAVED.len()) {
        let _ = parse(Family::Ip, SAVED.get(..at).unwrap_or_default());
    }
}
