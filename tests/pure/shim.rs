//! What is planned for a shim between the host and macvtaps, and what is refused, on a recorded host: kvm1 of
//! the lab with bridge virbr1 over eth1.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

use virt_net::change::Refusal;
use virt_net::change::bridge::Lasting;
use virt_net::change::bridge::persist::{Backend, Owner, Text};
use virt_net::change::journal::{Journal, Recorded, State};
use virt_net::change::shim::{After, ShimEvidence, ShimPlan, ShimStep, ShimWant, TakesBack, plan};
use virt_net::change::undo::Came;
use virt_net::model::facts::Facts;
use virt_net::model::kernel::{Link, LinkKind, Route};
use virt_net::model::{IfIndex, MacvtapMode, Timestamp};

use crate::bridge::{facts, host, name};

const SHIM: IfIndex = IfIndex(900);
const INTERFACES: &str =
    "# mine\nauto eth0\niface eth0 inet static\n    address 10.0.0.8/16\n\n# other\niface eth0 inet6 auto\n";

fn create(to: &[&str], addresses: &[&str], persist: Lasting) -> ShimWant {
    let net = |text: &&str| {
        text.parse::<std::net::IpAddr>().map_or_else(|_| text.parse().unwrap(), ipnet::IpNet::from)
    };
    let to = to.iter().map(net).collect();
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    ShimWant::Create { over: name("eth0"), addresses, to, persist }
}

fn planned(facts: Facts, want: &ShimWant) -> Result<ShimPlan, Refusal> {
    plan::plan(&host(facts), &ShimEvidence::default(), want)
}

fn reason(facts: Facts, to: &[&str], addresses: &[&str]) -> String {
    planned(facts, &create(to, addresses, Lasting::No)).unwrap_err().reason
}

pub(crate) fn with_shim(facts: &mut Facts, routes: &[&str]) {
    let kernel = Arc::make_mut(&mut facts.kernel);
    let eth0 = kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().clone();
    let kind = LinkKind::Macvlan { mode: MacvtapMode::Bridge };
    let (index, lower) = (SHIM, Some(eth0.index));
    kernel.links.push(Link { index, name: name("eth0-shim"), lower, lower_elsewhere: false, kind, ..eth0 });
    kernel.routes.extend(routes.iter().map(|to| Route {
        destination: to.parse().unwrap(),
        gateway: None,
        oif: Some(SHIM),
        metric: 0,
        prefsrc: "10.0.0.8".parse().ok(),
        table: 254,
        protocol: "static".to_owned(),
        linkdown: false,
        onlink: false,
        kind: "unicast".to_owned(),
    }));
}

#[test]
fn the_nic_is_not_touched_and_the_filter_comes_before_the_link_is_up() {
    let plan = planned(facts(), &create(&["10.0.0.208"], &[], Lasting::No)).unwrap();
    let (shim, over) = (name("eth0-shim"), name("eth0"));
    let [ShimStep::Hold { .. }, ShimStep::Make { shim: made, over: below, .. }, ShimStep::Up { .. }, route] =
        plan.steps.as_slice()
    else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!((*made, *below), (shim, over));
    let (to, source) = ("10.0.0.208/32".parse().unwrap(), "10.0.0.8".parse().ok());
    assert_eq!(*route, ShimStep::Route { shim, to, source });
    assert_eq!(plan.undo.first(), Some(&ShimStep::Remove { shim }));
    let at = |word: &str| plan.commands.iter().position(|line| line.contains(word)).unwrap();
    assert!(at("arp_filter") < at(" up") && at("disable_ipv6") < at(" up"), "{:?}", plan.commands);
    assert!(plan.after.missing(shim, &facts().kernel).is_some());
}

#[test]
fn what_would_move_the_operators_way_is_refused() {
    let mut own = facts();
    own.host.ssh_peer = "10.0.0.77".parse().ok();
    assert!(reason(own, &["10.0.0.64/27"], &[]).contains("your own session"));
    let cases = [
        ("10.0.0.2", "gateway"),
        ("0.0.0.0/0", "gateway"),
        ("10.0.0.8", "this host's own"),
        ("10.0.0.0/29", "gateway"),
        ("224.0.0.1", "no guest's address"),
        ("fd00::5", "IPv6"),
    ];
    for (to, why) in cases {
        let reason = reason(facts(), &[to], &[]);
        assert!(reason.contains(why), "{to}: {reason}");
    }
    for (spare, why) in
        [("10.0.0.8", "is on eth0 already"), ("172.16.0.9", "is not in"), ("224.0.0.9", "no host's")]
    {
        let reason = reason(facts(), &["10.0.0.208"], &[spare]);
        assert!(reason.contains(why), "{spare}: {reason}");
    }
    assert!(reason(facts(), &[], &[]).contains("no guest's address on eth0 is known"));
    let mut strict = facts();
    Arc::make_mut(&mut strict.kernel).settings.arp_ignore = Some(1);
    assert!(reason(strict.clone(), &["10.0.0.208"], &[]).contains("arp_ignore"));
    assert!(planned(strict, &create(&["10.0.0.208"], &["10.0.0.99"], Lasting::No)).is_ok());
    let want = ShimWant::Create { over: name("eth1"), addresses: vec![], to: vec![], persist: Lasting::No };
    assert!(planned(facts(), &want).unwrap_err().reason.contains("a port of virbr1"));
}

#[test]
fn again_only_what_differs_is_done() {
    let mut old = facts();
    with_shim(&mut old, &["10.0.0.208/32", "10.0.0.99/32"]);
    let plan = planned(old, &create(&["10.0.0.208", "10.0.0.211"], &[], Lasting::No)).unwrap();
    let shim = name("eth0-shim");
    let source = "10.0.0.8".parse().ok();
    let drop = ShimStep::DropRoute { shim, to: "10.0.0.99/32".parse().unwrap() };
    let add = ShimStep::Route { shim, to: "10.0.0.211/32".parse().unwrap(), source };
    assert_eq!(plan.steps, [drop, add]);
    let back = ShimStep::Route { shim, to: "10.0.0.99/32".parse().unwrap(), source };
    assert_eq!(plan.undo.last(), Some(&back));
    let mut same = facts();
    with_shim(&mut same, &["10.0.0.208/32"]);
    let plan = planned(same.clone(), &create(&["10.0.0.208"], &[], Lasting::No)).unwrap();
    assert!(plan.steps.is_empty() && plan.title.contains("has all it needs"), "{plan:?}");
    assert_eq!(plan.after.missing(shim, &same.kernel), None);
}

#[test]
fn a_shim_that_carries_more_than_guests_is_not_deleted() {
    let want = ShimWant::Delete { shim: name("eth0-shim") };
    assert!(planned(facts(), &want).unwrap_err().reason.contains("there is no link"));
    let wrong = ShimWant::Delete { shim: name("eth0") };
    assert!(planned(facts(), &wrong).unwrap_err().reason.contains("is no shim"));
    let mut vital = facts();
    with_shim(&mut vital, &["0.0.0.0/0"]);
    assert!(planned(vital, &want).unwrap_err().reason.contains("more than guests"));
    let mut own = facts();
    with_shim(&mut own, &["10.0.0.208/32"]);
    let plan = planned(own, &want).unwrap();
    assert_eq!(plan.steps.first(), Some(&ShimStep::Remove { shim: name("eth0-shim") }));
}

#[test]
fn the_nics_stanza_gets_marked_lines_and_loses_them_again() {
    let path = PathBuf::from("/etc/network/interfaces");
    let file = Text { path: path.clone(), text: INTERFACES.to_owned() };
    let owner = |file: Text| Owner::Ifupdown { file, others: vec![], bridges: false };
    let mut evidence = ShimEvidence { owners: vec![owner(file)], ..ShimEvidence::default() };
    let want = create(&["10.0.0.208"], &[], Lasting::Auto);
    let planned = plan::plan(&host(facts()), &evidence, &want).unwrap();
    assert_eq!(planned.backend, Some(Backend::Ifupdown));
    let after = planned.lasting[0].after.clone().unwrap();
    let lines: Vec<&str> = after.lines().map(str::trim).collect();
    let at = |line: &str| {
        lines.iter().position(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{line}: {after}"))
    };
    assert!(at("address") < at("# virt-net: shim") && at("# virt-net: end") < at("# other"), "{after}");
    // Nothing of it can make the NIC itself fail.
    assert!(
        lines.iter().filter(|line| line.starts_with("up ")).all(|line| line.ends_with("|| true")),
        "{after}"
    );

    let mut there = facts();
    with_shim(&mut there, &["10.0.0.208/32"]);
    let now = Text { path, text: after.clone() };
    (evidence.owners, evidence.own_files) = (vec![owner(now.clone())], vec![now]);
    let again = plan::plan(&host(there.clone()), &evidence, &want).unwrap();
    assert!(again.lasting.is_empty(), "{:?}", again.lasting);
    let gone = plan::plan(&host(there), &evidence, &ShimWant::Delete { shim: name("eth0-shim") }).unwrap();
    assert_eq!(gone.lasting[0].after.as_deref(), Some(INTERFACES));
}

#[test]
fn owners_without_a_word_for_it_call_a_script() {
    let text = |path: &str| Text { path: path.into(), text: String::new() };
    let profile = text("/etc/NetworkManager/system-connections/lan.nmconnection");
    let (others, uuid, fresh) = (vec![], String::new(), [String::new(), String::new()]);
    let manager = Owner::NetworkManager { profile, others, uuid, fresh, checkpoint: false };
    let ifcfg = Owner::Ifcfg { file: text("/etc/sysconfig/network-scripts/ifcfg-eth0"), others: vec![] };
    let evidence = |owner: &Owner, ifup_local: Option<&str>| ShimEvidence {
        owners: vec![owner.clone()],
        ifup_local: ifup_local.map(str::to_owned),
        ..ShimEvidence::default()
    };
    let of = |evidence: &ShimEvidence, persist| {
        plan::plan(&host(facts()), evidence, &create(&["10.0.0.208"], &[], persist))
    };
    let commands = [
        "ip link add eth0-shim link eth0 type macvlan mode bridge || true",
        "echo 1 >/proc/sys/net/ipv6/conf/eth0-shim/disable_ipv6 || true",
        "echo 1 >/proc/sys/net/ipv4/conf/eth0-shim/arp_filter && ip link set eth0-shim up || true",
        "ip route add 10.0.0.208/32 dev eth0-shim src 10.0.0.8 || true",
    ];
    let by_dispatcher = of(&evidence(&manager, None), Lasting::Auto).unwrap();
    let [file] = by_dispatcher.lasting.as_slice() else { panic!("{by_dispatcher:?}") };
    assert_eq!(file.path, PathBuf::from("/etc/NetworkManager/dispatcher.d/90-virt-net-eth0-shim"));
    let head =
        "#!/bin/sh\n# virt-net: shim eth0-shim over eth0\n[ \"$1\" = eth0 ] && [ \"$2\" = up ] || exit 0\n";
    assert_eq!(file.after.clone().unwrap(), format!("{head}{}\n", commands.join("\n")));
    assert_eq!((file.mode, by_dispatcher.until_boot), (0o755, None));

    let block = format!(
        "# virt-net: shim eth0-shim over eth0\nif [ \"$1\" = eth0 ]; then\n    {}\nfi\n# virt-net: end of shim eth0-shim\n",
        commands.join("\n    ")
    );
    for (before, rest) in [(None, ""), (Some("#!/bin/bash\nlogger up\nexit 0\n"), "logger up\nexit 0\n")] {
        let planned = of(&evidence(&ifcfg, before), Lasting::Auto).unwrap();
        let [file] = planned.lasting.as_slice() else { panic!("{planned:?}") };
        let shell = before.map_or("#!/bin/sh", |_| "#!/bin/bash");
        assert_eq!(file.after.clone().unwrap(), format!("{shell}\n{block}{rest}"));
        // Made again, nothing changes; taken away, the old text is back, or no file.
        let written = file.after.clone().unwrap();
        let own = ShimEvidence {
            own_files: vec![Text { path: file.path.clone(), text: written.clone() }],
            ..evidence(&ifcfg, Some(&written))
        };
        assert!(of(&own, Lasting::Auto).unwrap().lasting.is_empty());
        let mut there = facts();
        with_shim(&mut there, &["10.0.0.208/32"]);
        let want = ShimWant::Delete { shim: name("eth0-shim") };
        let gone = plan::plan(&host(there), &own, &want).unwrap();
        assert_eq!(gone.lasting[0].after.as_deref(), before);
    }
    let binary = evidence(&ifcfg, Some("\u{7f}ELF"));
    let auto = of(&binary, Lasting::Auto).unwrap();
    assert!(auto.lasting.is_empty() && auto.until_boot.unwrap().contains("is no shell script"));
    assert!(of(&binary, Lasting::By(Backend::Ifcfg)).unwrap_err().reason.contains("is no shell script"));

    let evidence = ShimEvidence { owners: vec![manager], uuid: "u".to_owned(), ..ShimEvidence::default() };
    let want = create(&["10.0.0.208"], &["10.0.0.99"], Lasting::Auto);
    let plan = plan::plan(&host(facts()), &evidence, &want).unwrap();
    let profile = plan.lasting.iter().find(|file| file.path.ends_with("eth0-shim.nmconnection")).unwrap();
    let written = profile.after.clone().unwrap();
    for line in
        ["type=macvlan", "mode=2", "parent=eth0", "address1=10.0.0.99/32", "route1_options=src=10.0.0.99"]
    {
        assert!(written.contains(line), "{line}: {written}");
    }
    assert_eq!(profile.mode, 0o600);
}

fn back(facts: Facts, done: &ShimPlan, came: Came, evidence: &ShimEvidence) -> Result<ShimPlan, Refusal> {
    let takes = TakesBack { begun: Timestamp(7), came };
    plan::plan(&host(facts), evidence, &ShimWant::Back { done: Box::new(done.clone()), takes })
}

#[test]
fn a_shim_is_taken_back_if_it_is_still_what_was_made() {
    let shim = name("eth0-shim");
    let made = planned(facts(), &create(&["10.0.0.208"], &[], Lasting::No)).unwrap();
    let none = ShimEvidence::default();
    let mut now = facts();
    with_shim(&mut now, &["10.0.0.208/32"]);
    let plan = back(now.clone(), &made, Came::Through, &none).unwrap();
    assert_eq!(plan.steps, [ShimStep::Remove { shim }, ShimStep::Release { shim }]);
    assert_eq!((&plan.after, &plan.before), (&made.before, &made.after));
    // If that fails, the very same link comes again.
    let mac = now.kernel.links.last().unwrap().mac;
    assert!(plan.undo.iter().any(|step| matches!(step, ShimStep::Make { mac: again, .. } if *again == mac)));

    let deleted = planned(now.clone(), &ShimWant::Delete { shim }).unwrap();
    let plan = back(facts(), &deleted, Came::Through, &none).unwrap();
    assert_eq!((&plan.steps, &plan.after), (&deleted.undo, &deleted.before));

    with_shim(&mut now, &["10.0.0.99/32"]);
    let reason = back(now, &made, Came::Through, &none).unwrap_err().reason;
    assert!(reason.contains("somebody else has made a route to 10.0.0.99/32"), "{reason}");
    assert!(back(facts(), &made, Came::Through, &none).unwrap().is_nothing(), "it is gone already");
    // Where the way to the guest is another one by now, it stays.
    let mut peer = facts();
    peer.host.ssh_peer = "10.0.0.208".parse().ok();
    let reason = back(peer, &deleted, Came::Through, &none).unwrap_err().reason;
    assert!(reason.contains("your own session"), "{reason}");
}

#[test]
fn an_interrupted_shim_goes_with_whatever_files_it_had_written() {
    let shim = name("eth0-shim");
    let owners = vec![Owner::Ifupdown {
        file: Text { path: "/etc/network/interfaces".into(), text: INTERFACES.to_owned() },
        others: vec![],
        bridges: false,
    }];
    let evidence = ShimEvidence { owners, ..ShimEvidence::default() };
    let made = plan::plan(&host(facts()), &evidence, &create(&["10.0.0.208"], &[], Lasting::Auto)).unwrap();
    let [file] = made.lasting.as_slice() else { panic!("{:?}", made.lasting) };
    let found = |text: Option<String>| ShimEvidence {
        written: vec![(file.path.clone(), text)],
        ..ShimEvidence::default()
    };
    for now in [file.before.clone(), file.after.clone()] {
        let plan = back(facts(), &made, Came::HalfWay, &found(now.clone())).unwrap();
        assert_eq!(
            plan.steps,
            [ShimStep::Remove { shim }, ShimStep::Release { shim }],
            "also where it is gone"
        );
        assert_eq!((&plan.lasting[0].before, &plan.lasting[0].after), (&now, &file.before));
    }
    let mut now = facts();
    with_shim(&mut now, &["10.0.0.208/32"]);
    let edited = found(Some("# mine".to_owned()));
    for came in [Came::HalfWay, Came::Through] {
        let reason = back(now.clone(), &made, came, &edited).unwrap_err().reason;
        assert_eq!(reason, "/etc/network/interfaces was changed since");
    }
}

#[test]
fn a_shim_is_the_newest_change_of_the_journal_until_it_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::at(directory.path()).unwrap();
    let made = planned(facts(), &create(&["10.0.0.208"], &[], Lasting::No)).unwrap();
    assert_eq!(made.before, After::Gone);
    let recorded = Recorded::Shim(Box::new(made));
    let record = journal.done(recorded.clone(), Timestamp(7)).unwrap();
    assert_eq!(journal.records(), std::slice::from_ref(&record), "read as it was written");
    assert_eq!(journal.last_open(), Some(record));
    assert!(journal.half_done().is_empty());
    journal.undone(Timestamp(7), &recorded).unwrap();
    assert_eq!(journal.records()[0].state, State::Undone);
    assert_eq!(journal.last_open(), None);
}
