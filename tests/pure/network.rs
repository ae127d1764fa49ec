//! What a network shall be, checked against a recorded host: kvm1 of the lab with eth0 10.0.0.8/16, bridge
//! virbr1 over eth1, and networks default (NAT), lan (over virbr1) and lab-iso (inactive).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use virt_net::change::Refusal;
use virt_net::change::network::{
    Action, Edit, ForwardDev, Mode, NetworkPlan, NetworkSpec, NetworkWant, StaticLease, SubnetSpec, plan,
    propose_bridge, propose_subnet,
};
use virt_net::model::facts::Recording;
use virt_net::model::network::{DhcpRange, NetworkDefinition};
use virt_net::model::rates::History;
use virt_net::model::{ForwardMode, MacvtapMode, Snapshot, topology};

fn host() -> Snapshot {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    topology::join(recording.frames.into_iter().next().unwrap(), Arc::new(History::default()), None)
}

fn spec(mode: Mode, snapshot: &Snapshot) -> NetworkSpec {
    let own = mode.has_own_bridge();
    NetworkSpec {
        name: "new".to_owned(),
        mode,
        bridge: own.then(|| propose_bridge(snapshot).unwrap()),
        subnets: own.then(|| SubnetSpec::whole(propose_subnet(snapshot).unwrap())).into_iter().collect(),
        forward_devs: Vec::new(),
        nat_ports: None,
        mtu: None,
        domain: None,
    }
}

fn create(snapshot: &Snapshot, spec: NetworkSpec) -> Result<NetworkPlan, Refusal> {
    plan(snapshot, &NetworkWant::Create(Box::new(spec)))
}

/// The reason why it is refused.
fn refused(snapshot: &Snapshot, spec: NetworkSpec) -> Refusal {
    create(snapshot, spec).unwrap_err()
}

fn edit(edit: Edit) -> Result<NetworkPlan, Refusal> {
    plan(&host(), &NetworkWant::Edit { name: "default".to_owned(), edit: Box::new(edit) })
}

fn range(start: &str, end: &str) -> DhcpRange {
    DhcpRange { start: start.parse().unwrap(), end: end.parse().unwrap() }
}

#[test]
fn what_is_proposed_is_free() {
    let snapshot = host();
    let subnet = propose_subnet(&snapshot).unwrap();
    let networks =
        snapshot.libvirt.networks.iter().flat_map(|network| network.next.iter().chain(&network.live));
    let taken = networks.flat_map(|definition| &definition.subnets).map(|subnet| subnet.gateway);
    for other in taken.chain(snapshot.kernel.addresses.iter().map(|address| address.address)) {
        assert!(!other.contains(&subnet.network()) && !subnet.contains(&other.addr()), "{subnet} {other}");
    }
    let bridge = propose_bridge(&snapshot).unwrap();
    assert!(snapshot.link_named(bridge).is_none());
    assert!(snapshot.libvirt.networks.iter().all(|network| network.bridge() != Some(bridge)));
}

#[test]
fn each_mode_is_the_xml_that_libvirt_means() {
    let snapshot = host();
    let eth0 = "eth0".parse().unwrap();
    for (mode, forward) in [
        (Mode::Nat, ForwardMode::Nat),
        (Mode::Route, ForwardMode::Route),
        (Mode::Open, ForwardMode::Open),
        (Mode::Isolated, ForwardMode::Isolated),
        (Mode::Bridge, ForwardMode::Bridge),
        (Mode::Macvtap(MacvtapMode::Bridge), ForwardMode::Bridge),
        (Mode::Macvtap(MacvtapMode::Private), ForwardMode::Macvtap(MacvtapMode::Private)),
        (Mode::Sriov, ForwardMode::Hostdev),
    ] {
        let mut spec = spec(mode, &snapshot);
        if mode == Mode::Bridge {
            spec.bridge = "virbr1".parse().ok();
        }
        if matches!(mode, Mode::Macvtap(_) | Mode::Sriov) {
            spec.forward_devs = vec![eth0];
        }
        let plan = create(&snapshot, spec.clone()).unwrap();
        let read = NetworkDefinition::parse(plan.after.as_deref().unwrap()).unwrap();
        assert_eq!((&read.forward, read.bridge), (&forward, spec.bridge), "{mode:?}");
        let gateways: Vec<_> = read.subnets.iter().map(|subnet| subnet.gateway).collect();
        assert_eq!(gateways, spec.subnets.iter().map(|subnet| subnet.gateway).collect::<Vec<_>>());
        if matches!(mode, Mode::Macvtap(_)) {
            assert_eq!(read.forward_devs, [eth0]);
        }
    }
}

#[test]
fn a_nat_network_keeps_all_that_was_said() {
    let snapshot = host();
    let mut spec = spec(Mode::Nat, &snapshot);
    spec.forward_devs = vec!["eth0".parse().unwrap()];
    spec.nat_ports = Some((2000, 3000));
    spec.mtu = Some(1400);
    spec.domain = Some("a&'b".to_owned());
    assert!(refused(&snapshot, spec.clone()).reason.contains("no name for DNS"));
    spec.domain = Some("lab.example".to_owned());
    spec.name = "<hostile'>".to_owned();
    spec.subnets.push(SubnetSpec::whole("fd00:1::/64".parse().unwrap()));
    let plan = create(&snapshot, spec).unwrap();
    let read = NetworkDefinition::parse(plan.after.as_deref().unwrap()).unwrap();
    assert_eq!(
        (read.nat_ports, read.mtu, read.domain.as_deref()),
        (Some((2000, 3000)), Some(1400), Some("lab.example"))
    );
    assert_eq!(read.subnets[1].gateway.to_string(), "fd00:1::1/64");
    assert!(
        plan.commands.iter().any(|line| line == r"virsh net-start '<hostile'\''>'"),
        "{:?}",
        plan.commands
    );
}

#[test]
fn what_the_host_has_already_is_refused_with_the_way_out() {
    let snapshot = host();
    let whole = |subnet: &str| vec![SubnetSpec::whole(subnet.parse().unwrap())];
    let base = || spec(Mode::Nat, &snapshot);
    let cases: [(NetworkSpec, &str); 12] = [
        (
            NetworkSpec { subnets: whole("10.0.5.0/24"), ..base() },
            "overlaps with the route 10.0.0.0/16 by eth0",
        ),
        (NetworkSpec { subnets: whole("192.168.0.0/16"), ..base() }, "overlaps with network default"),
        (NetworkSpec { name: "default".to_owned(), ..base() }, "there is a network of this name"),
        (NetworkSpec { name: String::new(), ..base() }, "not empty"),
        (NetworkSpec { bridge: "virbr0".parse().ok(), ..base() }, "virbr0 is the bridge of network default"),
        (NetworkSpec { bridge: "eth0".parse().ok(), ..base() }, "there is a link eth0 already"),
        (NetworkSpec { forward_devs: vec!["nope0".parse().unwrap()], ..base() }, "there is no link nope0"),
        (NetworkSpec { forward_devs: vec!["lo".parse().unwrap()], ..base() }, "lo leads nowhere"),
        (NetworkSpec { nat_ports: Some((9, 8)), ..base() }, "no ports"),
        (
            NetworkSpec { bridge: "virbr0".parse().ok(), ..spec(Mode::Bridge, &snapshot) },
            "virbr0 belongs to network default",
        ),
        (NetworkSpec { bridge: "eth0".parse().ok(), ..spec(Mode::Bridge, &snapshot) }, "eth0 is no bridge"),
        (
            NetworkSpec {
                forward_devs: vec!["eth1".parse().unwrap()],
                ..spec(Mode::Macvtap(MacvtapMode::Bridge), &snapshot)
            },
            "eth1 is a port of virbr1",
        ),
    ];
    for (spec, reason) in cases {
        let refusal = refused(&snapshot, spec);
        assert!(refusal.reason.contains(reason), "{reason}: {refusal}");
        assert!(!refusal.way_out.is_empty());
    }
}

#[test]
fn a_range_must_lie_in_its_subnet_beside_the_host() {
    let snapshot = host();
    let with = |start: &str, end: &str| {
        let dhcp = Some(range(start, end));
        NetworkSpec {
            subnets: vec![SubnetSpec { gateway: "192.168.200.1/24".parse().unwrap(), dhcp }],
            ..spec(Mode::Nat, &snapshot)
        }
    };
    assert!(create(&snapshot, with("192.168.200.10", "192.168.200.20")).is_ok());
    for (start, end, reason) in [
        ("192.168.201.10", "192.168.201.20", "no range in"),
        ("192.168.200.20", "192.168.200.10", "no range in"),
        ("192.168.200.1", "192.168.200.10", "the host's own address"),
    ] {
        let refusal = refused(&snapshot, with(start, end));
        assert!(refusal.reason.contains(reason), "{refusal}");
        assert_eq!(refusal.way_out, "--dhcp 192.168.200.2-192.168.200.254");
    }
    for subnet in ["192.168.200.0/31", "192.168.200.0/24", "192.168.200.255/24"] {
        let subnets = vec![SubnetSpec { gateway: subnet.parse().unwrap(), dhcp: None }];
        refused(&snapshot, NetworkSpec { subnets, ..spec(Mode::Nat, &snapshot) });
    }
}

#[test]
fn every_step_of_a_create_has_its_way_back() {
    let snapshot = host();
    let plan = create(&snapshot, spec(Mode::Nat, &snapshot)).unwrap();
    let bridge = propose_bridge(&snapshot);
    assert_eq!(plan.steps[0].undo, [Action::Undefine]);
    assert_eq!(plan.steps[1].action, Action::Start { bridge });
    assert_eq!(plan.steps[1].undo, [Action::Stop { bridge }]);
}

#[test]
fn a_restart_puts_back_every_tap_and_so_does_its_way_back() {
    let plan = plan(&host(), &NetworkWant::Restart { name: "default".to_owned() }).unwrap();
    let Some(Action::Enslave(leashes)) = plan.steps.last().map(|step| &step.action) else {
        panic!("{plan:?}")
    };
    assert!(!leashes.is_empty());
    assert!(leashes.iter().all(|leash| leash.bridge.to_string() == "virbr0"));
    assert_eq!(plan.steps[0].undo.last(), Some(&Action::Enslave(leashes.clone())));
    assert!(plan.consequences[0].contains("centos7"), "{:?}", plan.consequences);
}

#[test]
fn an_edit_changes_only_what_is_meant() {
    let before = host().network_named("default").unwrap().next.as_ref().unwrap().xml.to_string();
    let plan = edit(Edit { forward_dev: Some(ForwardDev::Only("eth0".parse().unwrap())), ..Edit::default() })
        .unwrap();
    let after = plan.after.unwrap();
    assert_eq!(NetworkDefinition::parse(&after).unwrap().forward_devs, ["eth0".parse().unwrap()]);
    assert_eq!(after.replace("<forward mode='nat' dev='eth0'/>", "<forward mode='nat'/>"), before);
    assert!(matches!(&plan.steps[0].undo[..], [Action::Define(xml)] if *xml == before));

    let plan =
        edit(Edit { dhcp: Some(range("192.168.122.100", "192.168.122.110")), ..Edit::default() }).unwrap();
    let after = plan.after.unwrap();
    assert!(after.contains("<range start='192.168.122.100' end='192.168.122.110'/>"));
    assert_eq!(after.lines().count(), before.lines().count());
    assert!(
        plan.consequences.iter().any(|sentence| sentence.contains("192.168.122.208")),
        "a lease outside is told: {:?}",
        plan.consequences
    );
}

#[test]
fn an_edit_that_is_no_edit_of_this_network_is_refused() {
    let before = host().network_named("default").unwrap().next.as_ref().unwrap().xml.to_string();
    let text = |text: String| edit(Edit { text: Some(text), ..Edit::default() }).unwrap_err().reason;
    assert!(text(before.clone()).contains("like that already"));
    assert!(!text("<network>".to_owned()).is_empty());
    assert!(text(before.replace("<name>default", "<name>other")).contains("another network's"));
    assert!(text(before.replace("192.168.122.", "10.0.0.")).contains("overlaps with"));
    let dhcp = Some(range("10.9.9.1", "10.9.9.9"));
    assert!(edit(Edit { dhcp, ..Edit::default() }).unwrap_err().reason.contains("no range in"));
}

#[test]
fn a_static_lease_is_the_current_one_unless_said_otherwise() {
    let snapshot = host();
    let want = |mac: &str, address: Option<&str>| NetworkWant::Lease {
        name: "default".to_owned(),
        lease: StaticLease {
            mac: mac.parse().unwrap(),
            address: address.map(|address| address.parse().unwrap()),
            hostname: None,
        },
    };
    let added = plan(&snapshot, &want("52:54:00:aa:fc:1c", None)).unwrap();
    let Action::Update(update) = &added.steps[0].action else { panic!("{added:?}") };
    assert_eq!(update.element, "<host mac='52:54:00:aa:fc:1c' name='centos7' ip='192.168.122.208'/>");
    assert_eq!(added.steps[0].undo, [Action::Update(update.inverse())]);
    let reason = |want| plan(&snapshot, &want).unwrap_err().reason;
    assert!(reason(want("52:54:00:00:00:99", None)).contains("has no lease now"));
    assert!(reason(want("52:54:00:00:00:99", Some("192.168.122.208"))).contains("has 192.168.122.208 now"));
    assert!(reason(want("52:54:00:00:00:99", Some("192.168.122.1"))).contains("the host's own"));
    assert!(reason(want("52:54:00:00:00:99", Some("10.1.1.1"))).contains("is not in 192.168.122.0/24"));
}

#[test]
fn a_network_with_guests_is_not_deleted() {
    let refusal = plan(&host(), &NetworkWant::Delete { name: "default".to_owned() }).unwrap_err();
    assert!(refusal.reason.contains("centos7"), "{refusal}");
}

#[test]
fn a_repair_touches_only_taps_that_are_astray() {
    let repair =
        |snapshot: &Snapshot| plan(snapshot, &NetworkWant::Repair { name: "default".to_owned() }).unwrap();
    let snapshot = host();
    let is_enslave = |plan: &NetworkPlan| matches!(plan.steps[0].action, Action::Enslave(_));
    assert!(!is_enslave(&repair(&snapshot)));
    let mut facts = snapshot.facts;
    let kernel = Arc::make_mut(&mut facts.kernel);
    kernel
        .links
        .iter_mut()
        .filter(|link| link.name.to_string() == "vnet0")
        .for_each(|link| link.master = None);
    let plan = repair(&topology::join(facts, Arc::new(History::default()), None));
    let Action::Enslave(leashes) = &plan.steps[0].action else { panic!("{plan:?}") };
    assert_eq!(leashes.len(), 1);
    let Action::Reload(services) = &plan.steps[1].action else { panic!("{plan:?}") };
    assert!(services.dhcp && services.masqueraded == ["192.168.122.0/24".parse().unwrap()]);
}

#[test]
fn the_operators_own_session_is_not_cut_off() {
    let mut facts = host().facts;
    facts.host.ssh_link = "virbr0".parse().ok();
    let snapshot = topology::join(facts, Arc::new(History::default()), None);
    let name = "default".to_owned();
    let refusal = plan(&snapshot, &NetworkWant::Stop { name: name.clone() }).unwrap_err();
    assert!(refusal.reason.contains("your own session"), "{refusal}");
    let restart = plan(&snapshot, &NetworkWant::Restart { name }).unwrap();
    assert!(restart.consequences[0].contains("it stalls"), "{:?}", restart.consequences);
}

proptest! {
    /// Whatever the subnet: the host has an address of it, and DHCP never hands that out.
    #[test]
    fn a_whole_subnet_makes_sense(address: u32, prefix in 8_u8..=30) {
        let subnet = format!("{}/{prefix}", std::net::Ipv4Addr::from(address)).parse().unwrap();
        let whole = SubnetSpec::whole(subnet);
        prop_assert!(whole.gateway.contains(&whole.gateway.addr()));
        if let Some(dhcp) = whole.dhcp {
            prop_assert!(dhcp.size() > 0);
            prop_assert!(!(dhcp.start..=dhcp.end).contains(&whole.gateway.addr()));
            prop_assert!(whole.gateway.contains(&dhcp.start) && whole.gateway.contains(&dhcp.end));
            prop_assert!(dhcp.end < whole.gateway.broadcast() && dhcp.start > whole.gateway.network());
        }
    }
}
