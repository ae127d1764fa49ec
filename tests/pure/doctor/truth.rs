//! What a finding says is so: nothing is asserted that the kernel, libvirt or the rules do not say, and what is
//! printed for the operator's hands loses nothing.

use super::*;
use virt_net::model::facts::SeenAddress;
use virt_net::model::kernel::Neighbour;

/// centos7's tap is a port of an Open vSwitch, which the kernel shows as `ovs-system`.
fn on_open_vswitch(facts: &mut Facts, live: &str, next: &str) {
    let kind = || LinkKind::Other { name: "openvswitch".to_owned() };
    add_link(facts, "ovs-system", kind(), None);
    add_link(facts, "ovsbr0", kind(), None);
    switch_centos7(facts, "<source bridge='ovsbr0'/>", "ovs-system");
    for (of, virtualport) in [(Of::Live, live), (Of::Next, next)] {
        let source = "<source bridge='ovsbr0'/>";
        edit(facts, "centos7", of, source, &format!("{source}{virtualport}"));
    }
    network(facts, "default", |network| network.leases.clear());
}

#[test]
fn a_guest_on_an_open_vswitch_is_where_libvirt_says() {
    let port = "<virtualport type='openvswitch'/>";
    let mut facts = host();
    on_open_vswitch(&mut facts, port, port);
    let report = checked(&facts);
    assert_eq!(report.findings, [], "by its own virtual port");
    let joined = snapshot(facts);
    let nic = joined.nics.iter().find(|nic| nic.guest == "centos7").unwrap();
    assert_eq!((nic.expected_bridge, nic.drifted()), (None, false));
    assert_eq!(virt_net::ui::words::nic_troubles(nic), Vec::<String>::new());

    // The live definition does not tell of the virtual port.
    let mut facts = host();
    on_open_vswitch(&mut facts, "", port);
    assert_eq!(ids(&checked(&facts)), Vec::<&str>::new(), "by what its tap is on");

    // A tap that went from a bridge of the kernel to a switch is astray all the same.
    let mut facts = host();
    add_link(&mut facts, "ovs-system", LinkKind::Other { name: "openvswitch".to_owned() }, None);
    link(&mut facts, "vnet0").master = Some(index(&facts, "ovs-system"));
    let report = checked(&facts);
    assert_eq!(ids(&report), ["tap-orphaned"]);
    let finding = report.findings.first().unwrap();
    assert!(finding.title.ends_with("is on ovs-system instead of virbr0"), "{}", finding.title);
    assert!(finding.evidence.iter().any(|seen| seen.text == "vnet0 has master ovs-system"));
}

/// The same definition of network default, with a second subnet.
fn with_a_second_subnet(facts: &mut Facts) {
    network(facts, "default", |network| {
        for definition in [&mut network.live, &mut network.next] {
            let second = "<ip address='192.168.123.1' netmask='255.255.255.0'/></network>";
            let xml = definition.as_ref().unwrap().xml.replace("</network>", second);
            *definition = Some(NetworkDefinition::parse(&xml).unwrap());
        }
    });
}

#[test]
fn each_finding_can_be_chosen_and_mended_by_itself() {
    let faults: &[(&str, Change, usize)] = &[
        (
            "ip-forward-off",
            |facts| {
                network(facts, "default", |network| {
                    let ip6 = "<ip family='ipv6' address='fd00:1::1' prefix='64'/></network>";
                    let xml = network.live.as_ref().unwrap().xml.replace("</network>", ip6);
                    network.live = Some(NetworkDefinition::parse(&xml).unwrap());
                });
                Arc::make_mut(&mut facts.kernel).settings.ip_forward = Some(false);
            },
            2,
        ),
        (
            "nat-rules-missing",
            |facts| {
                with_a_second_subnet(facts);
                (CASES.first().unwrap().fault)(facts);
            },
            2,
        ),
        (
            "duplicate-mac",
            |facts| {
                // Its earlier twin is centos7, and a switch outside has it too.
                edit(facts, "web01", Of::Both, "52:54:00:11:22:33", "52:54:00:aa:fc:1c");
                let (port, bridge) = (index(facts, "eth1"), Some(index(facts, "virbr1")));
                let mac = "52:54:00:aa:fc:1c".parse().unwrap();
                Arc::make_mut(&mut facts.kernel).fdb.push(FdbEntry { port, bridge, mac, permanent: false });
            },
            2,
        ),
        (
            "change-interrupted",
            |facts| {
                for gone in ["one", "two"] {
                    let of = Changed::Network(gone.to_owned());
                    let left = Unfinished { of, ..interrupted_edit() };
                    Arc::make_mut(&mut facts.services).unfinished.push(left);
                }
            },
            2,
        ),
    ];
    for (check, fault, count) in faults {
        let mut facts = host();
        fault(&mut facts);
        let found = examine(&snapshot(facts.clone()), &[check]).findings;
        assert_eq!(found.len(), *count, "{check}: {found:#?}");
        let keys: Vec<_> = found.iter().map(Finding::key).collect();
        assert_ne!(keys.first(), keys.last(), "{check}");
        // On the screen the cursor gets to each of them, and to what is below.
        let mut app = App::new(at(&facts, 0), facts.taken_at, (120, 40));
        update(&mut app, Event::Snapshot(at(&facts, 0)));
        update(&mut app, Event::Snapshot(at(&facts, 60_000)));
        key(&mut app, Code::Char('d'));
        let all = app.doctor.report().findings.len();
        let reached = (0..all).map(|_| {
            let at = app.chosen_finding().unwrap().0;
            key(&mut app, Code::Down);
            at
        });
        assert_eq!(reached.collect::<Vec<_>>(), (0..all).collect::<Vec<_>>(), "{check}");
    }
}

#[test]
fn what_was_mended_of_two_faults_is_found_no_more() {
    let mut facts = host();
    with_a_second_subnet(&mut facts);
    let masquerade = Action::Masquerade { ports: None };
    let source = |net: &str| vec![Match::Source { nets: vec![net.parse().unwrap()], negated: false }];
    let found = |facts: &Facts| examine(&snapshot(facts.clone()), &["nat-rules-missing"]).findings;
    (CASES.first().unwrap().fault)(&mut facts);
    let before = found(&facts);
    let chain = chain(Family::Ip, "nat", "LIBVIRT_PRT");
    add_rule(&mut facts, chain, source("192.168.122.0/24"), masquerade);
    let after: Vec<_> = found(&facts).iter().map(Finding::key).collect();
    let keys: Vec<_> = before.iter().map(|finding| after.contains(&finding.key())).collect();
    assert_eq!(keys, [false, true]);
}

/// centos7 on another network with DHCP, which has no lease for it; its lease of network default lives on.
fn moved_to_n2() -> Facts {
    let mut facts = host();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let mut other = libvirt.networks.iter().find(|network| network.name == "default").unwrap().clone();
    (other.name, other.leases) = ("n2".to_owned(), Vec::new());
    other.id = "00000000-0000-0000-0000-0000000000a2".parse().unwrap();
    for definition in [&mut other.live, &mut other.next] {
        let xml = definition.as_ref().unwrap().xml.replace("192.168.122.", "192.168.150.");
        let xml = xml.replace("virbr0", "nobr0").replace(">default<", ">n2<");
        *definition = Some(NetworkDefinition::parse(&xml).unwrap());
    }
    libvirt.networks.push(other);
    link(&mut facts, "nobr0").up = true;
    switch_centos7(&mut facts, "<source network='n2'/>", "nobr0");
    facts
}

#[test]
fn that_a_guest_keeps_its_old_address_is_said_only_when_it_shows_it() {
    let mac = "52:54:00:aa:fc:1c".parse().unwrap();
    let address = "192.168.122.208".parse().unwrap();
    let cases: &[(&str, Change, Severity, &str)] = &[
        ("nothing but the old lease", |_| {}, Note, "network n2 has no lease for it"),
        (
            "its agent",
            |facts| agent_of_centos7(facts, "192.168.122.208/24"),
            Warning,
            "the guest's agent reports 192.168.122.208",
        ),
    ];
    for (what, change, severity, evidence) in cases {
        let mut facts = moved_to_n2();
        change(&mut facts);
        said(&facts, what, *severity, evidence);
    }
    let mut facts = moved_to_n2();
    let index = index(&facts, "nobr0");
    let state = "reachable".to_owned();
    Arc::make_mut(&mut facts.kernel).neighbours = vec![Neighbour { index, address, mac, state }];
    said(
        &facts,
        "it answers here",
        Warning,
        "it answers for 192.168.122.208 where it is now (neighbour table)",
    );

    for (on, age, severity) in [("nobr0", 5_000, Warning), ("nobr0", 600_000, Note), ("virbr0", 5_000, Note)]
    {
        let mut facts = moved_to_n2();
        let at = Timestamp(facts.taken_at.0 - age);
        facts.seen = vec![SeenAddress { mac, address, on: Some(name(on)), at }];
        let evidence =
            if severity == Note { "no lease for it" } else { "a packet of it from 192.168.122.208" };
        said(&facts, &format!("seen on {on} {age} ms ago"), severity, evidence);
    }
}

/// The one finding, in words that fit what is known.
fn said(facts: &Facts, what: &str, severity: Severity, evidence: &str) {
    let report = examine(&snapshot(facts.clone()), &["stale-lease"]);
    let [finding] = report.findings.as_slice() else { panic!("{what}: {report:#?}") };
    assert_eq!(finding.severity, severity, "{what}: {}", finding.title);
    assert!(finding.evidence.iter().any(|seen| seen.text.contains(evidence)), "{what}: {finding:#?}");
    let knows = severity == Warning;
    assert_eq!(finding.title.contains("still has 192.168.122.208"), knows, "{what}: {}", finding.title);
    assert_eq!(finding.meaning.contains("saw nothing"), knows, "{what}");
    assert_eq!(
        finding.fixes.iter().any(|fix| fix.remedy.is_some()),
        knows,
        "{what}: only then a link goes down"
    );
}

#[test]
fn a_bridge_takes_the_lan_only_where_its_route_wins() {
    let cases: &[(&str, Change, Option<Severity>)] = &[
        ("the more specific route", |facts| add_route(facts, "10.0.0.0/24", None, "nobr0", 0), Some(Error)),
        (
            "a higher metric than the NIC's",
            |facts| add_route(facts, "10.0.0.0/16", None, "nobr0", 20_425),
            Some(Warning),
        ),
        ("no route at all", |_| {}, Some(Warning)),
        (
            "rules that may choose another table",
            |facts| {
                add_route(facts, "10.0.0.0/24", None, "nobr0", 0);
                Arc::make_mut(&mut facts.kernel).settings.policy_routing = Some(true);
            },
            Some(Warning),
        ),
        ("switched off", |facts| link(facts, "nobr0").up = false, None),
    ];
    for (what, change, severity) in cases {
        let mut facts = host();
        link(&mut facts, "nobr0").up = true;
        let prefix = if what.contains("metric") { 16 } else { 24 };
        add_address(&mut facts, "nobr0", &format!("10.0.0.88/{prefix}"));
        change(&mut facts);
        let report = examine(&snapshot(facts), &["bridge-lockout"]);
        let found: Vec<_> = report.findings.iter().map(|finding| finding.severity).collect();
        assert_eq!(found, Vec::from_iter(*severity), "{what}");
        let Some(finding) = report.findings.first() else { continue };
        let takes = *severity == Some(Error);
        assert_eq!(finding.title.contains("takes the replies"), takes, "{what}: {}", finding.title);
        assert_eq!(finding.meaning.contains("go to a bridge without a cable"), takes, "{what}");
        let told =
            finding.evidence.iter().any(|seen| seen.text == "packets to 10.0.0.2 take 10.0.0.0/24 dev nobr0");
        assert!(told || !takes, "{what}: {:#?}", finding.evidence);
    }
}

#[test]
fn a_nat_network_lacks_a_rule_only_where_no_rule_at_all_translates_it() {
    fn source(net: &str) -> Match {
        Match::Source { nets: vec![net.parse().unwrap()], negated: false }
    }
    fn out_by(link: &str) -> Match {
        Match::OutInterface { name: link.to_owned(), negated: false }
    }
    fn masquerade(facts: &mut Facts, matches: Vec<Match>) {
        let post = chain(Family::Ip, "nat", "POSTROUTING");
        add_rule(facts, post, matches, Action::Masquerade { ports: None });
    }
    let cases: &[(&str, Change, bool)] = &[
        ("nothing", |_| {}, true),
        ("all that leaves by the uplink", |facts| masquerade(facts, vec![out_by("eth0")]), false),
        ("a wider net", |facts| masquerade(facts, vec![source("192.168.0.0/16")]), false),
        ("half of it", |facts| masquerade(facts, vec![source("192.168.122.128/25")]), false),
        (
            "what cannot be judged",
            |facts| masquerade(facts, vec![Match::Opaque { text: "x 1".to_owned() }]),
            false,
        ),
        ("another net", |facts| masquerade(facts, vec![source("10.9.0.0/16")]), true),
        ("another way out", |facts| masquerade(facts, vec![out_by("eth1")]), true),
        (
            "packets with a mark that a rule before sets",
            |facts| {
                let mark = Match::Mark { value: 0x4000, mask: 0x4000, negated: false };
                masquerade(facts, vec![mark]);
                let forward = chain(Family::Ip, "filter", "FORWARD");
                let sets = Action::Opaque { text: "MARK 0x4000".to_owned() };
                Arc::make_mut(&mut facts.firewall).rules.retain(|rule| rule.chain != forward);
                add_rule(facts, forward, vec![from("virbr0")], sets);
            },
            false,
        ),
        (
            "packets with a mark that nobody sets",
            |facts| masquerade(facts, vec![Match::Mark { value: 0x4000, mask: 0x4000, negated: false }]),
            true,
        ),
    ];
    for (what, change, missing) in cases {
        let mut facts = host();
        (CASES.first().unwrap().fault)(&mut facts);
        change(&mut facts);
        let found = examine(&snapshot(facts), &["nat-rules-missing"]).findings;
        assert_eq!(!found.is_empty(), *missing, "{what}: {found:#?}");
    }
}

#[test]
fn a_chain_that_a_verdict_map_leads_to_is_reached() {
    use virt_net::model::firewall::MapArm;
    let post = chain(Family::Ip, "nat", "POSTROUTING");
    let through_a_map = |facts: &mut Facts| {
        Arc::make_mut(&mut facts.firewall).rules.retain(|rule| rule.chain != post);
        let when = Match::OutInterface { name: "eth0".to_owned(), negated: false };
        let then = Action::Jump { chain: "LIBVIRT_PRT".to_owned() };
        add_rule(facts, post.clone(), Vec::new(), Action::Map { arms: vec![MapArm { when, then }] });
    };
    let mut facts = host();
    through_a_map(&mut facts);
    assert_eq!(examine(&snapshot(facts.clone()), &["nat-rules-missing"]).findings, []);
    let subnet = "192.168.122.0/24".parse().unwrap();
    assert!(facts.firewall.masquerades(subnet), "what a reload must bring back is there");
    // Without its rules the chain is reached all the same, so libvirt can fill it again.
    (CASES.first().unwrap().fault)(&mut facts);
    let found = examine(&snapshot(facts), &["nat-rules-missing"]).findings;
    assert!(found.first().unwrap().fixes.first().unwrap().remedy.is_some(), "{found:#?}");
}

#[test]
fn the_counter_is_of_the_rule_of_that_bridge() {
    let mut facts = host();
    Arc::make_mut(&mut facts.kernel).settings.nf_call_iptables = Some(false);
    add_base(&mut facts, chain(Family::Inet, "docker", "forward"), Hook::Forward, Verdict::Drop);
    let rules = &mut Arc::make_mut(&mut facts.firewall).rules;
    let out = |rule: &&mut Rule| rule.chain.chain == "LIBVIRT_FWO" && rule.handle == 25;
    rules.iter_mut().find(out).unwrap().counter = Some(RuleCounter { packets: 5, bytes: 300 });
    // Another network's rule; a rule of table nat about this one has the same handle.
    let mut other = rules.iter_mut().find(out).unwrap().clone();
    (other.handle, other.matches) = (8, vec![from("virbr9")]);
    other.counter = Some(RuleCounter { packets: 777, bytes: 777 });
    rules.insert(0, other);
    let found = examine(&snapshot(facts), &["forward-policy-drop"]).findings;
    let evidence: Vec<_> = found.first().unwrap().evidence.iter().map(|seen| seen.text.as_str()).collect();
    assert!(evidence.contains(&"libvirt's own rule accepted 5 packets in its chain"), "{evidence:#?}");
}

#[test]
fn what_a_start_in_a_used_subnet_does_is_told_as_libvirt_does_it() {
    let cases: &[(&[&str], &str)] = &[
        (&["192.168.50.0/24"], "refuses to start it"),
        (&["192.168.50.128/25", "192.168.50.0/24"], "refuses to start it"),
        (&["192.168.50.128/25"], "does not reach guests with an address of 192.168.50.128/25"),
        (&["192.168.0.0/16"], "do not reach what has an address of 192.168.50.0/24 behind eth0"),
    ];
    for (routes, wanted) in cases {
        let mut facts = host();
        for route in *routes {
            add_route(&mut facts, route, None, "eth0", 0);
        }
        let found = examine(&snapshot(facts), &["subnet-overlap"]).findings;
        let of_iso = found.iter().find(|finding| finding.title.contains("lab-iso")).unwrap();
        assert!(of_iso.meaning.contains(wanted), "{routes:?}: {}", of_iso.meaning);
        assert_eq!(of_iso.meaning.contains("refuses to start it"), wanted.contains("refuses"), "{routes:?}");
    }
}

#[test]
fn a_nic_is_made_again_by_hand_only_where_nothing_of_it_is_lost() {
    let cases: &[(&str, Change, Option<&str>)] = &[
        ("a plain one", |_| {}, Some("--to network=default --model e1000")),
        (
            "a macvtap keeps its mode",
            |facts| {
                edit(facts, "db01", Of::Next, "<interface type='network'>", "<interface type='direct'>");
                let source = "<source dev='eth0' mode='private'/>";
                edit(facts, "db01", Of::Next, "<source network='default'/>", source);
            },
            Some("--to macvtap=eth0,mode=private --model e1000"),
        ),
        (
            "a filter",
            |facts| {
                let with = "<model type='e1000'/><filterref filter='clean-traffic'/>";
                edit(facts, "db01", Of::Next, "<model type='e1000'/>", with);
            },
            None,
        ),
        (
            "a bandwidth",
            |facts| {
                let with = "<model type='e1000'/><bandwidth><inbound average='1000'/></bandwidth>";
                edit(facts, "db01", Of::Next, "<model type='e1000'/>", with);
            },
            None,
        ),
        (
            "a place in the boot order",
            |facts| {
                edit(
                    facts,
                    "db01",
                    Of::Next,
                    "<model type='e1000'/>",
                    "<model type='e1000'/><boot order='1'/>",
                );
            },
            None,
        ),
        (
            "a tap with a name of its own",
            |facts| {
                let with = "<target dev='db-tap'/><model type='e1000'/>";
                edit(facts, "db01", Of::Next, "<model type='e1000'/>", with);
            },
            None,
        ),
        (
            "a portgroup",
            |facts| {
                let source = "<source network='default' portgroup='office'/>";
                edit(facts, "db01", Of::Next, "<source network='default'/>", source);
            },
            None,
        ),
        (
            "user-mode networking",
            |facts| {
                edit(facts, "db01", Of::Next, "<interface type='network'>", "<interface type='user'>");
                edit(facts, "db01", Of::Next, "<source network='default'/>", "");
            },
            None,
        ),
    ];
    for (what, change, add) in cases {
        let mut facts = host();
        edit(&mut facts, "db01", Of::Next, "52:54:00:44:55:66", "52:54:00:aa:fc:1c");
        change(&mut facts);
        let found = examine(&snapshot(facts), &["duplicate-mac"]).findings;
        let commands = &found.first().unwrap().fixes.first().unwrap().commands;
        assert!(!commands.iter().any(|command| command.contains("--yes")), "{what}: it asks: {commands:?}");
        match (add, commands.as_slice()) {
            (Some(add), [_, last]) => assert!(last.contains(add), "{what}: {last}"),
            (None, [only]) => {
                assert!(only.starts_with("virsh edit db01 ") && only.contains("52:54:00:aa:fc:1c"));
            }
            other => panic!("{what}: {other:?}"),
        }
    }
}
