//! Rule sets that Docker, firewalld, ufw and libvirt really made, as the kernel sent them: decoded whole, and
//! followed to the answers that these programs stand for.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use virt_net::model::firewall::{Action, Chain, FirewallFacts, Match, Rule};
use virt_net::model::ids::IfIndex;
use virt_net::source::firewall::decode::{self, Names, SetElements};

pub(crate) const CASES: [&str; 7] =
    ["libvirt-iptables", "libvirt-native", "docker", "docker-native", "firewalld", "ufw", "ufw-native"];

/// The parts of a recording: kind, family, payload (see `src/source/firewall/tests.rs`).
fn parts(mut bytes: &[u8]) -> Vec<(u8, u8, &[u8])> {
    let mut parts = Vec::new();
    while let Some((&[kind, family, a, b, c, d], rest)) = bytes.split_first_chunk::<6>() {
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap();
        let Some(payload) = rest.get(..length) else { break };
        parts.push((kind, family, payload));
        bytes = &rest[length..];
    }
    parts
}

#[derive(Default)]
struct Recorded {
    links: BTreeMap<u32, String>,
    sets: BTreeMap<(u8, String, String), Option<SetElements>>,
}

impl Names for Recorded {
    fn link(&self, index: IfIndex) -> Option<String> {
        self.links.get(&index.0).cloned()
    }

    fn set(&mut self, family: u8, table: &str, set: &str) -> Option<SetElements> {
        self.sets.get(&(family, table.to_owned(), set.to_owned())).cloned().flatten()
    }
}

fn decoded(bytes: &[u8]) -> FirewallFacts {
    let parts = parts(bytes);
    let mut names = Recorded::default();
    let mut set = (0, String::new(), String::new());
    for (kind, family, payload) in &parts {
        let text = String::from_utf8_lossy(payload);
        match kind {
            4 => {
                let (table, name) = text.split_once('\0').unwrap_or_default();
                set = (*family, table.to_owned(), name.to_owned());
                names.sets.insert(set.clone(), Some(Vec::new()));
            }
            5 => {
                let known = names.sets.entry(set.clone()).or_default();
                *known = known.take().and_then(|known| Some([known, decode::elements(payload)?].concat()));
            }
            6 => {
                let Some((index, name)) = payload.split_first_chunk::<4>() else { continue };
                names.links.insert(u32::from_le_bytes(*index), String::from_utf8_lossy(name).into_owned());
            }
            _ => {}
        }
    }
    let of = |wanted: u8| parts.iter().filter(move |(kind, ..)| *kind == wanted);
    let mut chains: Vec<Chain> =
        of(2).filter_map(|(_, family, payload)| decode::chain(*family, payload)).collect();
    let tables = of(1).filter_map(|(_, family, payload)| decode::table(*family, payload));
    decode::put_to_sleep(&mut chains, tables);
    FirewallFacts {
        generation: 1,
        chains,
        rules: of(3).filter_map(|(_, family, payload)| decode::rule(*family, payload, &mut names)).collect(),
        ..FirewallFacts::default()
    }
}

fn bytes(case: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/firewall").join(case);
    std::fs::read(file.with_extension("bin")).unwrap()
}

/// A recorded rule set.
pub(crate) fn recorded(case: &str) -> FirewallFacts {
    decoded(&bytes(case))
}

/// What may stay as text: rates (a packet's answer depends on others), hop limits, and what only changes a packet.
const KNOWN_GAPS: [&str; 6] = ["objref", "limit 0x", "match 0x07000100686c", "CHECKSUM", "LOG", "fib =="];

#[test]
fn every_rule_of_docker_firewalld_ufw_and_libvirt_is_understood() {
    let counts = [26, 11, 41, 24, 120, 180, 160];
    for (case, least) in CASES.into_iter().zip(counts) {
        let facts = recorded(case);
        assert!(facts.rules.len() >= least, "{case}: {} rules", facts.rules.len());
        let mut unknown = facts.rules.iter().filter(|rule| !rule.understood());
        let gap = unknown.find(|rule| !KNOWN_GAPS.iter().any(|gap| rule.raw.contains(gap)));
        assert!(gap.is_none(), "{case}: {gap:#?}");
        let known: Vec<_> = facts.chains.iter().map(|chain| &chain.id).collect();
        for rule in &facts.rules {
            assert!(known.contains(&&rule.chain), "{rule:#?}");
            let targets: Vec<&str> = rule.targets().collect();
            let found =
                |target: &&str| known.iter().any(|id| id.chain == *target && id.table == rule.chain.table);
            assert!(targets.iter().all(found), "{rule:#?}");
        }
    }
}

fn rules<'a>(facts: &'a FirewallFacts, chain: &str) -> Vec<&'a Rule> {
    facts.rules.iter().filter(|rule| rule.chain.chain == chain).collect()
}

#[test]
fn policies_and_hooks_are_those_of_the_programs() {
    let base = |case: &str, chain: &str| {
        let found: Vec<Chain> = recorded(case).chains;
        let mut chains = found.into_iter().filter(|one| one.id.chain == chain && one.hook.is_some());
        let hook = chains.next().unwrap().hook.unwrap();
        format!("{} {} {} {:?}", hook.kind, hook.hook.word(), hook.priority, hook.policy)
    };
    assert_eq!(base("libvirt-native", "forward"), "filter forward 0 Accept");
    assert_eq!(base("libvirt-native", "guest_nat"), "nat postrouting 100 Accept");
    assert_eq!(base("docker", "FORWARD"), "filter forward 0 Drop");
    assert_eq!(base("docker", "PREROUTING"), "nat prerouting -100 Accept");
    assert_eq!(base("firewalld", "filter_FORWARD"), "filter forward 10 Accept");
    assert_eq!(base("ufw", "FORWARD"), "filter forward 0 Drop");
}

/// A dormant table sees no packet, maps have their arms, and a set of more than one value stays unknown.
#[test]
fn maps_and_sets_of_every_kind() {
    let maps = recorded("maps");
    let asleep = maps.chains.iter().find(|chain| chain.id.table == "asleep").unwrap();
    assert_eq!(asleep.hook, None);
    let forward = rules(&maps, "forward");
    let raws: Vec<&str> = forward.iter().map(|rule| rule.raw.as_str()).collect();
    let has = |text: &str| raws.iter().any(|raw| raw.contains(text));
    assert!(has("ct state established : accept"), "{raws:#?}");
    assert!(has("iifname \"virbr0\" : jump from_nat") && has("iifname \"virbr9\" : goto rest"), "{raws:#?}");
    assert!(
        has("oifname \"nosuch0\", oifname \"nosuch1\"") || has("oifname \"nosuch1\", oifname \"nosuch0\""),
        "{raws:#?}"
    );
    assert!(has("in @pairs") && has("meta mark & 0xff 0x1") && has("icmp type { 0, 8 }"), "{raws:#?}");
    let sources = &rules(&maps, "from_nat")[0].matches;
    let Some(Match::Source { nets, negated: false }) = sources.last() else { panic!("{sources:?}") };
    let nets: Vec<String> = nets.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.0.0.200/29", "10.0.0.208/31", "192.168.122.0/24"]);
}

/// A limit, a quota, a set that may be full: in the kernel they end a rule for one packet and not for the next.
#[test]
fn what_depends_on_other_packets_is_never_sure() {
    let stateful = recorded("stateful");
    let forward = rules(&stateful, "forward");
    let unsure: Vec<bool> = forward.iter().map(|rule| !rule.understood()).collect();
    let raws: Vec<&str> = forward.iter().map(|rule| rule.raw.as_str()).collect();
    assert_eq!(unsure, [true, true, true, true, true, true, true, false], "{raws:#?}");
    let asks = |rule: &Rule| rule.matches.iter().any(|part| matches!(part, Match::Opaque { .. }));
    let asked: Vec<bool> = forward.iter().map(|rule| asks(rule)).collect();
    assert_eq!(asked, [true, true, true, true, true, true, false, false], "{raws:#?}");
    assert!(raws[0].contains("add @flood") && raws[3].contains("limit name \"storm\""), "{raws:#?}");
}

#[test]
fn what_a_rule_does_before_its_verdict_is_kept() {
    let stateful = recorded("stateful");
    let early = rules(&stateful, "early");
    let also: Vec<Vec<&str>> =
        early.iter().map(|rule| rule.also.iter().map(String::as_str).collect()).collect();
    let expected: [&[&str]; 4] = [&["log", "meta set"], &["notrack"], &["header set"], &["payload set"]];
    // The first note was taken for the action until the verdict came.
    let sorted = |mut words: Vec<&'static str>| {
        words.sort_unstable();
        words
    };
    for (found, expected) in also.iter().zip(expected) {
        let mut found = found.clone();
        found.sort_unstable();
        assert_eq!(found, sorted(expected.to_vec()), "{also:?}");
    }
    let accepts = |rule: &&Rule| {
        rule.action == Some(Action::Verdict { verdict: virt_net::model::firewall::Verdict::Accept })
    };
    assert!(early.iter().all(accepts) && early.len() == 4, "{early:#?}");
}

#[test]
fn what_iptables_writes_as_payload_comes_out_as_conditions() {
    let docker = recorded("docker");
    let isolation = rules(&docker, "DOCKER-ISOLATION-STAGE-1");
    let name = "docker0".to_owned();
    let expected = [
        Match::InInterface { name: name.clone(), negated: false },
        Match::OutInterface { name: name.clone(), negated: true },
    ];
    assert_eq!(isolation[0].matches, expected);
    let nat: Vec<&str> =
        docker.rules.iter().filter(|rule| rule.chain.table == "nat").map(|rule| rule.raw.as_str()).collect();
    assert!(nat.iter().any(|raw| raw.contains("fib daddr type local")), "{nat:#?}");
    let ufw = recorded("ufw");
    let pings = rules(&ufw, "ufw-before-forward");
    assert!(pings.iter().any(|rule| rule.raw.contains("icmp type 8")), "{pings:#?}");
}

#[test]
fn firewalld_dispatches_by_maps_and_sets() {
    let firewalld = recorded("firewalld");
    let targets = firewalld.rules.iter().flat_map(Rule::targets).collect::<Vec<_>>();
    assert!(targets.contains(&"filter_FWD_libvirt"), "{targets:?}");
    let state = rules(&firewalld, "filter_FORWARD")[0];
    let states = vec!["related".to_owned(), "established".to_owned()];
    assert_eq!(state.matches, [Match::CtState { states, negated: false }]);
    let verdicts =
        firewalld.rules.iter().filter(|rule| matches!(rule.action, Some(Action::Goto { .. }))).count();
    assert!(verdicts > 0);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decoded(&bytes);
        let mut names = Recorded::default();
        for family in [1, 2, 7, 10] {
            decode::rule(family, &bytes, &mut names);
            let _ = decode::chain(family, &bytes);
            let _ = decode::elements(&bytes);
        }
    }

    /// One wrong byte anywhere may cost what it says, never a panic; and what is followed then has an answer.
    #[test]
    fn a_flipped_byte_does_not_make_decoder_or_walk_panic(
        case in 0..CASES.len(), at in any::<prop::sample::Index>(), to: u8,
    ) {
        let mut bytes = bytes(CASES[case]);
        let at = at.index(bytes.len());
        bytes[at] = to;
        crate::path::follow(decoded(&bytes));
    }
}
