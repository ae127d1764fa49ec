//! Where the kernel does something else than the obvious: what is not sure is unknown, never a wrong yes or no.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::doctor;
use virt_net::model::facts::Facts;
use virt_net::model::firewall::{
    Action, BaseHook, Chain, ChainId, Family, FirewallFacts, Hook, MapArm, Match, Rule, Verdict,
};
use virt_net::model::kernel::{Address, KernelFacts};
use virt_net::model::snapshot::PortRole;
use virt_net::model::{ForwardMode, IfIndex, Link, LinkKind, Snapshot};
use virt_net::path::reach::{self, Cell, Direction, Peer};
use virt_net::path::{Answer, HopKind, Way};
use virt_net::ui::words;

use crate::path::{facts, firewall, ip, kernel, link, nic, out, snapshot, stops, trace};

/// One link more, as port of a bridge.
fn plug(kernel: &mut KernelFacts, name: &str, kind: LinkKind, bridge: &str) {
    let master = link(kernel, bridge).index;
    let lower_elsewhere = kind == LinkKind::Veth;
    let like = link(kernel, "vnet0").clone();
    let index = IfIndex(40 + u32::try_from(kernel.links.len()).unwrap());
    kernel.links.push(Link {
        index,
        name: name.parse().unwrap(),
        mac: None,
        master: Some(master),
        lower: None,
        lower_elsewhere,
        kind,
        ..like
    });
}

fn dummy() -> LinkKind {
    LinkKind::Other { name: "dummy".to_owned() }
}

fn cell(host: &Snapshot, tap: &str, direction: Direction, peer: Peer) -> Cell {
    let cells = reach::matrix(host, nic(host, tap)).unwrap().cells;
    cells.into_iter().find(|cell| (cell.direction, cell.peer) == (direction, peer)).unwrap()
}

fn is_isolated(host: Snapshot) -> Snapshot {
    let mut facts = host.facts;
    let networks = &mut Arc::make_mut(&mut facts.libvirt).networks;
    networks.iter_mut().find_map(|network| network.live.as_mut()).unwrap().forward = ForwardMode::Isolated;
    snapshot(facts)
}

// ------------------------------------------------------------------ ways that are not followed to their end

#[test]
fn of_a_packet_whose_way_is_not_known_nobody_says_that_its_answer_does_not_come_back() {
    // The host routes on virbr1, or somebody there does.
    let host = kernel(|kernel| {
        link(kernel, "eth1").master = None;
        let index = link(kernel, "virbr1").index;
        let own = Address { index, address: "10.9.0.1/24".parse().unwrap(), ..kernel.addresses[1].clone() };
        kernel.addresses.push(own);
    });
    let path = out(&host, "vnet1");
    assert_eq!((path.there.answer, path.answer), (Answer::Unknown, Answer::Unknown), "{path:#?}");
    assert_eq!(path.back, None);
}

// ------------------------------------------------------------------ ports that lead nowhere

#[test]
fn a_containers_port_is_no_way_out_of_a_nat_network() {
    let host = kernel(|kernel| plug(kernel, "lxc0eth", LinkKind::Veth, "virbr0"));
    let from_lan = cell(&host, "vnet0", Direction::From, Peer::Lan);
    assert_eq!(from_lan.answer, Answer::No, "{from_lan:#?}");
    let other = cell(&host, "vnet0", Direction::To, Peer::OtherHost);
    assert_eq!(other.answer, Answer::No, "{other:#?}");
    assert_eq!(out(&host, "vnet0").answer, Answer::Yes);
    // The container may have the address that is looked for on its bridge.
    let path = trace(&host, "vnet0", Way::To(ip("192.168.122.99")));
    assert_eq!(path.answer, Answer::Unknown, "{path:#?}");
    let stopped = kernel(|kernel| {
        plug(kernel, "lxc0eth", LinkKind::Veth, "virbr0");
        link(kernel, "lxc0eth").carrier = false;
    });
    let found = doctor::examine(&stopped, &["uplink-no-carrier"]).findings;
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn whether_a_container_routes_for_an_isolated_network_is_not_known() {
    let host = kernel(|kernel| plug(kernel, "lxc0eth", LinkKind::Veth, "virbr0"));
    let other = cell(&is_isolated(host), "vnet0", Direction::To, Peer::OtherHost);
    assert_eq!(other.answer, Answer::Unknown, "{other:#?}");
    let alone = is_isolated(kernel(|kernel| link(kernel, "vnet2").master = None));
    let alone = cell(&alone, "vnet0", Direction::To, Peer::OtherHost);
    assert_eq!(alone.answer, Answer::No, "{alone:#?}");
}

#[test]
fn a_hosts_own_bridge_goes_out_by_a_veth_but_not_by_one_with_a_containers_name() {
    assert_eq!(out(&snapshot(facts()), "vnet1").answer, Answer::Yes, "eth1 is a veth in this lab");
    let host = kernel(|kernel| {
        link(kernel, "eth1").master = None;
        plug(kernel, "veth1a2b3c", LinkKind::Veth, "virbr1");
    });
    let path = out(&host, "vnet1");
    assert_eq!(path.answer, Answer::Unknown, "{path:#?}");
    let found = doctor::examine(&host, &["bridge-without-uplink"]).findings;
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_dummy_passes_nothing_on() {
    let host = kernel(|kernel| {
        link(kernel, "eth1").master = None;
        plug(kernel, "dummy0", dummy(), "virbr1");
    });
    stops(&out(&host, "vnet1"), HopKind::Bridge, "no uplink");
    let roles: Vec<PortRole> = host
        .bridges
        .iter()
        .flat_map(|bridge| &bridge.ports)
        .filter(|port| port.name.to_string() == "dummy0")
        .map(|port| port.role)
        .collect();
    assert_eq!(roles, [PortRole::Dummy]);
    let routed = kernel(|kernel| link(kernel, "eth0").kind = dummy());
    stops(&out(&routed, "vnet0"), HopKind::Uplink, "eth0 is a dummy");
}

#[test]
fn a_tap_of_no_known_guest_may_have_the_address() {
    let host = kernel(|kernel| plug(kernel, "tap7", LinkKind::Tap, "virbr0"));
    let path = trace(&host, "vnet0", Way::To(ip("192.168.122.99")));
    assert_eq!(path.answer, Answer::Unknown, "{path:#?}");
}

// ------------------------------------------------------------------ bridges of the host's own that it routes for

/// virbr1 has no port that leads out, and the host an address on it, of no network of libvirt.
fn routed_bridge() -> Facts {
    let host = kernel(|kernel| {
        link(kernel, "eth1").master = None;
        let index = link(kernel, "virbr1").index;
        let own = Address { index, address: "10.9.0.1/24".parse().unwrap(), ..kernel.addresses[1].clone() };
        kernel.addresses.push(own);
    });
    let mut facts = host.facts;
    Arc::make_mut(&mut facts.libvirt).networks.retain(|network| network.name != "lan");
    facts
}

#[test]
fn a_bridge_that_the_host_may_route_for_is_not_isolated() {
    let host = snapshot(routed_bridge());
    let other = cell(&host, "vnet1", Direction::To, Peer::OtherHost);
    assert_eq!(other.answer, Answer::Unknown, "{other:#?}");
    let internet = cell(&host, "vnet1", Direction::To, Peer::Internet);
    assert_eq!(internet.answer, Answer::Unknown, "{internet:#?}");
    let web01 = host.nic(nic(&host, "vnet1")).unwrap();
    assert_eq!(words::way_out(&host, web01).as_deref(), Some("the host, if it routes"));
    let bridge = |host: &Snapshot| {
        let found = host.bridges.iter().find(|bridge| bridge.name.to_string() == "virbr1");
        host.is_dead_end(found.unwrap())
    };
    assert!(!bridge(&host));
    assert!(bridge(&kernel(|kernel| link(kernel, "eth1").master = None)));
}

/// Only of a net that this host should translate nobody else does: a router of the LAN may know any other.
#[test]
fn whether_a_private_address_that_is_not_translated_here_is_answered_is_not_known() {
    let mut routed = facts();
    Arc::make_mut(&mut routed.firewall).rules.retain(|rule| rule.chain.table != "nat");
    let path = out(&is_isolated(snapshot(routed)), "vnet0");
    assert_eq!(path.answer, Answer::Unknown, "{path:#?}");
}

// ------------------------------------------------------------------ rules that depend on more than the packet

#[test]
fn a_drop_behind_a_limit_is_no_sure_drop() {
    let path = out(&firewall(crate::firewall::recorded("stateful")), "vnet0");
    assert_eq!(path.there.answer, Answer::Unknown, "{path:#?}");
    let reason = path.there.trouble().and_then(|hop| hop.state.reason()).unwrap();
    assert!(reason.contains("add @flood"), "{reason}");
}

/// The recorded host with one more chain, of policy accept, that drops what these conditions hold for.
fn dropping(family: Family, hook: Hook, matches: Vec<Match>) -> Snapshot {
    let mut changed = facts();
    let rules = Arc::make_mut(&mut changed.firewall);
    let id = ChainId { family, table: "own".to_owned(), chain: hook.word().to_owned() };
    let base = BaseHook {
        hook,
        kind: "filter".to_owned(),
        priority: 10,
        policy: Verdict::Accept,
        devices: Vec::new(),
    };
    rules.chains.push(Chain { id: id.clone(), hook: Some(base), policy_counter: None });
    let action = Some(Action::Verdict { verdict: Verdict::Drop });
    let rule = Rule { chain: id, matches, action, ..rules.rules[0].clone() };
    rules.rules.push(rule);
    snapshot(changed)
}

fn comes_by(name: &str, negated: bool) -> Match {
    Match::InInterface { name: name.to_owned(), negated }
}

#[test]
fn a_link_that_is_not_there_is_not_the_one_that_is_asked_for() {
    let guest = ip("192.168.122.208");
    let output = |part| {
        let host = dropping(Family::Ip, Hook::Output, vec![part]);
        trace(&host, "vnet0", Way::From(ip("192.168.122.1"))).answer
    };
    assert!(snapshot(facts()).nics.iter().any(|nic| nic.addresses.iter().any(|own| own.address == guest)));
    assert_eq!(output(comes_by("lan0", true)), Answer::No, "iifname != lan0 holds for what the host sends");
    assert_eq!(output(comes_by("lan0", false)), Answer::Yes);
    let goes_by = Match::OutInterface { name: "lan0".to_owned(), negated: true };
    let host = dropping(Family::Ip, Hook::Input, vec![goes_by]);
    assert_eq!(trace(&host, "vnet0", Way::To(ip("192.168.122.1"))).answer, Answer::No);
}

#[test]
fn after_routing_the_link_it_came_by_is_known_to_newer_kernels_only() {
    let post =
        |family, link: &str, part| out(&dropping(family, Hook::Postrouting, vec![part]), link).there.answer;
    assert_eq!(post(Family::Ip, "vnet0", comes_by("virbr0", false)), Answer::Unknown);
    assert_eq!(post(Family::Ip, "vnet0", comes_by("eth7", false)), Answer::Yes);
    assert_eq!(post(Family::Ip, "vnet0", comes_by("eth7", true)), Answer::No);
    // A frame that crosses a bridge has none there.
    assert_eq!(post(Family::Ip, "vnet1", comes_by("virbr1", false)), Answer::Yes);
    assert_eq!(post(Family::Bridge, "vnet1", comes_by("vnet1", false)), Answer::Yes);
    assert_eq!(post(Family::Bridge, "vnet1", comes_by("vnet1", true)), Answer::No);
}

/// `notrack accept` and `meta mark set 5 accept` are as good as their first half.
#[test]
fn what_a_rule_does_before_its_verdict_counts() {
    let forward = |also: &str, part: Match| {
        let mut changed = dropping(Family::Ip, Hook::Forward, vec![part]).facts;
        let rules = Arc::make_mut(&mut changed.firewall);
        let id = ChainId { family: Family::Ip, table: "own".to_owned(), chain: "early".to_owned() };
        let hook = BaseHook {
            hook: Hook::Prerouting,
            kind: "filter".to_owned(),
            priority: -300,
            policy: Verdict::Accept,
            devices: Vec::new(),
        };
        rules.chains.push(Chain { id: id.clone(), hook: Some(hook), policy_counter: None });
        let rule = Rule {
            chain: id,
            matches: Vec::new(),
            also: vec![also.to_owned()],
            action: Some(Action::Verdict { verdict: Verdict::Accept }),
            ..rules.rules[0].clone()
        };
        rules.rules.push(rule);
        out(&snapshot(changed), "vnet0").there.answer
    };
    let marked = || Match::Mark { value: 5, mask: u32::MAX, negated: false };
    let untracked = || Match::CtState { states: vec!["untracked".to_owned()], negated: false };
    assert_eq!(forward("log", marked()), Answer::Yes);
    assert_eq!(forward("meta set", marked()), Answer::Unknown);
    assert_eq!(forward("notrack", untracked()), Answer::Unknown);
    assert_eq!(forward("header set", untracked()), Answer::Yes);
}

#[test]
fn a_ping_has_no_ports_but_bytes_where_they_would_be() {
    let ports = || Match::DestinationPort { ranges: vec![(22, 22)], negated: true };
    let tcp = Match::Protocol { protocols: vec![6], negated: false };
    let there = |matches| out(&dropping(Family::Ip, Hook::Forward, matches), "vnet0").there.answer;
    assert_eq!(there(vec![ports()]), Answer::Unknown, "th dport != 22 drop");
    assert_eq!(there(vec![tcp, ports()]), Answer::Yes);
}

#[test]
fn a_list_of_bogons_does_not_keep_a_guest_from_the_internet() {
    let bogons =
        |of: &str| -> Vec<ipnet::IpNet> { vec!["192.0.2.0/24".parse().unwrap(), of.parse().unwrap()] };
    let to = |net: &str| {
        let part = Match::Destination { nets: bogons(net), negated: false };
        out(&dropping(Family::Ip, Hook::Forward, vec![part]), "vnet0").there.answer
    };
    assert_eq!(to("198.51.100.0/24"), Answer::Yes);
    assert_eq!(to("198.0.0.0/8"), Answer::No);
}

#[test]
fn a_packet_comes_in_by_the_port_of_a_bridge_that_works() {
    let host = kernel(|kernel| {
        // The host's address is on virbr1, whose first uplink is dead and whose second is not.
        let bridge = link(kernel, "virbr1").index;
        link(kernel, "eth1").carrier = false;
        plug(kernel, "eth2", LinkKind::Veth, "virbr1");
        for own in &mut kernel.addresses {
            if own.address.addr() == ip("10.0.0.8") {
                own.index = bridge;
            }
        }
        for route in &mut kernel.routes {
            if route.oif == Some(IfIndex(2)) {
                route.oif = Some(bridge);
            }
        }
    });
    let path = out(&host, "vnet0");
    assert_eq!(path.answer, Answer::Yes, "{path:#?}");
}

#[test]
fn what_a_bridge_sends_elsewhere_by_a_new_destination_is_not_followed() {
    let mut changed = facts();
    let rules = Arc::make_mut(&mut changed.firewall);
    let prerouting =
        rules.chains.iter().find(|chain| chain.hook.as_ref().is_some_and(|hook| hook.kind == "nat"));
    let table = prerouting.unwrap().id.clone();
    let id = ChainId { chain: "own".to_owned(), ..table };
    let hook = BaseHook {
        hook: Hook::Prerouting,
        kind: "nat".to_owned(),
        priority: -100,
        policy: Verdict::Accept,
        devices: Vec::new(),
    };
    rules.chains.push(Chain { id: id.clone(), hook: Some(hook), policy_counter: None });
    let to = ip("192.168.122.208");
    let action = Some(Action::Dnat { address: Some((to, to)), ports: None });
    let rule = Rule { chain: id, matches: Vec::new(), action, ..rules.rules[0].clone() };
    rules.rules.push(rule);
    let path = out(&snapshot(changed), "vnet1");
    assert_eq!(path.answer, Answer::Unknown, "{path:#?}");
}

/// web01 has a NIC on each bridge; centos7 is moved next to its first one.
#[test]
fn a_guest_with_two_nics_may_be_the_router_of_its_neighbours() {
    let host = kernel(|kernel| {
        link(kernel, "eth1").master = None;
        let virbr1 = link(kernel, "virbr1").index;
        link(kernel, "vnet0").master = Some(virbr1);
    });
    let path = out(&host, "vnet0");
    assert_eq!(path.there.answer, Answer::Unknown, "{path:#?}");
    let found = doctor::examine(&host, &["bridge-without-uplink"]).findings;
    assert!(found.is_empty(), "{found:#?}");
    let alone = kernel(|kernel| link(kernel, "eth1").master = None);
    assert_eq!(out(&alone, "vnet1").answer, Answer::No);
}

/// The host's own rule for all that leaves by eth0, which a map leads to, does for libvirt's as well.
#[test]
fn a_network_that_another_rule_masquerades_lacks_none() {
    let mut changed = facts();
    let rules = Arc::make_mut(&mut changed.firewall);
    let is_nat = |chain: &Chain| {
        chain.hook.as_ref().is_some_and(|hook| (hook.kind.as_str(), hook.hook) == ("nat", Hook::Postrouting))
    };
    let base = rules.chains.iter().find(|chain| is_nat(chain)).unwrap().id.clone();
    let like = rules.rules[0].clone();
    rules.rules.retain(|rule| rule.chain.table != base.table);
    let own = ChainId { chain: "own".to_owned(), ..base.clone() };
    rules.chains.push(Chain { id: own.clone(), hook: None, policy_counter: None });
    let missing = |rules: &FirewallFacts| {
        let mut changed = facts();
        changed.firewall = Arc::new(rules.clone());
        doctor::examine(&snapshot(changed), &["nat-rules-missing"]).findings.len()
    };
    let masquerade = Some(Action::Masquerade { ports: None });
    let rule = |chain: &ChainId, action| Rule {
        chain: chain.clone(),
        matches: Vec::new(),
        also: Vec::new(),
        action,
        ..like.clone()
    };
    rules.rules.push(rule(&own, masquerade));
    assert_eq!(missing(rules), 1, "nothing leads to it");
    let when = Match::OutInterface { name: "eth0".to_owned(), negated: false };
    let arms = vec![MapArm { when, then: Action::Jump { chain: "own".to_owned() } }];
    rules.rules.push(rule(&base, Some(Action::Map { arms })));
    assert_eq!(missing(rules), 0);
}
