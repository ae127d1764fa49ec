//! Edits of networks on the recorded host: what goes live, what needs a restart, what a copy keeps, and that
//! nothing else changes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use virt_net::change::Refusal;
use virt_net::change::network::{
    Action, Autostart, CloneSpec, Edit, Mode, NetworkPlan, NetworkSpec, NetworkStep, NetworkWant, Portgroup,
    Setting, StaticLease, SubnetSpec, plan, propose_bridge, propose_name, propose_subnet,
    propose_subnet_like, propose_subnet6,
};
use virt_net::model::facts::Recording;
use virt_net::model::network::{Bandwidth, DnsHost, NetworkDefinition, Rate, StaticHost};
use virt_net::model::network_update::{Section, Update, UpdateChange};
use virt_net::model::rates::History;
use virt_net::model::{Snapshot, topology};

const CENTOS: &str = "52:54:00:aa:fc:1c";

fn host() -> Snapshot {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    topology::join(recording.frames.into_iter().next().unwrap(), Arc::new(History::default()), None)
}

/// The recorded host, where the definition of `default` has been replaced, live and persistent.
fn host_with(xml: &str) -> Snapshot {
    let mut facts = host().facts;
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let network = libvirt.networks.iter_mut().find(|network| network.name == "default").unwrap();
    network.next = Some(NetworkDefinition::parse(xml).unwrap());
    network.live = network.next.clone();
    topology::join(facts, Arc::new(History::default()), None)
}

fn definition() -> String {
    host().network_named("default").unwrap().next.as_ref().unwrap().xml.to_string()
}

fn edit_on(snapshot: &Snapshot, edit: Edit) -> Result<NetworkPlan, Refusal> {
    plan(snapshot, &NetworkWant::Edit { name: "default".to_owned(), edit: Box::new(edit) })
}

fn edit(edit: Edit) -> Result<NetworkPlan, Refusal> {
    edit_on(&host(), edit)
}

fn static_host(mac: &str, address: &str, name: Option<&str>) -> StaticHost {
    StaticHost {
        mac: Some(mac.parse().unwrap()),
        name: name.map(str::to_owned),
        address: Some(address.parse().unwrap()),
    }
}

fn dns(address: &str, names: &[&str]) -> DnsHost {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    DnsHost { address: address.parse().unwrap(), names }
}

fn updates(plan: &NetworkPlan) -> Vec<Update> {
    let update = |step: &'_ NetworkStep| match &step.action {
        Action::Update(update) => update.clone(),
        other => panic!("a restart: {other:?}"),
    };
    plan.steps.iter().map(update).collect()
}

#[test]
fn what_libvirt_updates_live_needs_no_restart_and_each_step_has_its_way_back() {
    let group = Portgroup { name: "slow".to_owned(), default: false, bandwidth: Bandwidth::default() };
    let all = Edit {
        hosts: vec![static_host(CENTOS, "192.168.122.50", Some("web"))],
        dns_hosts: vec![dns("192.168.122.50", &["web", "www"])],
        portgroups: vec![group],
        ..Edit::default()
    };
    let live = edit(all.clone()).unwrap();
    let sections: Vec<Section> = updates(&live).iter().map(|update| update.section).collect();
    assert_eq!(sections, [Section::DhcpHost, Section::DnsHost, Section::Portgroup]);
    assert!(live.consequences[0].contains("no guest notices"), "{:?}", live.consequences);
    let after = NetworkDefinition::parse(live.after.as_deref().unwrap()).unwrap();
    let before = NetworkDefinition::parse(live.before.as_deref().unwrap()).unwrap();
    for step in &live.steps {
        let [Action::Update(back)] = &step.undo[..] else { panic!("{step:?}") };
        let Action::Update(update) = &step.action else { panic!("{step:?}") };
        assert!(update.is_done_in(&after) && !update.is_done_in(&before), "{update:?}");
        assert!(back.is_done_in(&before) && !back.is_done_in(&after), "{back:?}");
    }

    // The same again is no change; another address takes the first one's place, out before in.
    let now = host_with(live.after.as_deref().unwrap());
    assert!(edit_on(&now, all).unwrap_err().reason.contains("like that already"));
    let moved = Edit { hosts: vec![static_host(CENTOS, "192.168.122.51", None)], ..Edit::default() };
    let moved = edit_on(&now, moved).unwrap();
    let changes: Vec<UpdateChange> = updates(&moved).iter().map(|update| update.change).collect();
    assert_eq!(changes, [UpdateChange::Delete, UpdateChange::Add]);
    assert!(
        moved.commands[0].contains("virsh net-update default delete ip-dhcp-host"),
        "{:?}",
        moved.commands
    );
    let gone = Edit {
        hosts_gone: vec![CENTOS.parse().unwrap()],
        dns_hosts_gone: vec!["192.168.122.50".parse().unwrap()],
        portgroups_gone: vec!["slow".to_owned()],
        ..Edit::default()
    };
    let gone = edit_on(&now, gone).unwrap();
    assert!(updates(&gone).iter().all(|update| update.change == UpdateChange::Delete));
    let left = NetworkDefinition::parse(gone.after.as_deref().unwrap()).unwrap();
    assert!(left.dns_hosts.is_empty() && left.portgroups.is_empty() && left.subnets[0].hosts.is_empty());
}

#[test]
fn the_rest_goes_by_a_safe_restart() {
    let slow = Rate { average: 1000, peak: Some(2000), burst: None };
    for wanted in [
        Edit { nat_ports: Some(Setting::To((2000, 3000))), ..Edit::default() },
        Edit { mtu: Some(Setting::To(1400)), ..Edit::default() },
        Edit { domain: Some(Setting::To("lab.example".to_owned())), ..Edit::default() },
        Edit { outbound: Some(Setting::To(slow)), ..Edit::default() },
        Edit { subnets: vec![SubnetSpec::whole("fd00:5::/64".parse().unwrap())], ..Edit::default() },
    ] {
        let planned = edit(wanted.clone()).unwrap();
        assert!(matches!(planned.steps[0].action, Action::Define(_)), "{wanted:?}");
        assert!(planned.steps.iter().any(|step| matches!(step.action, Action::Enslave(_))), "{wanted:?}");
        // Taken back by an edit, the text is what it was.
        let back = Edit {
            nat_ports: wanted.nat_ports.map(|_| Setting::Default),
            mtu: wanted.mtu.map(|_| Setting::Default),
            domain: wanted.domain.map(|_| Setting::Default),
            outbound: wanted.outbound.map(|_| Setting::Default),
            subnets_gone: wanted.subnets.iter().map(|subnet| subnet.gateway).collect(),
            ..Edit::default()
        };
        let after = edit_on(&host_with(planned.after.as_deref().unwrap()), back).unwrap().after.unwrap();
        let (is, was) = (NetworkDefinition::parse(&after).unwrap(), definition());
        let was = NetworkDefinition::parse(&was).unwrap();
        assert_eq!((is.nat_ports, is.mtu, &is.domain), (was.nat_ports, was.mtu, &was.domain), "{after}");
        assert_eq!((is.subnets, is.bandwidth, is.forward), (was.subnets, was.bandwidth, was.forward));
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let reason = |wanted| edit(wanted).unwrap_err().reason;
    let hosts = |hosts| reason(Edit { hosts, ..Edit::default() });
    assert!(hosts(vec![static_host(CENTOS, "10.1.1.1", None)]).contains("is not in 192.168.122.0/24"));
    assert!(hosts(vec![static_host(CENTOS, "192.168.122.1", None)]).contains("the host's own"));
    assert!(hosts(vec![static_host(CENTOS, "192.168.122.255", None)]).contains("no guest's address"));
    assert!(hosts(vec![static_host(CENTOS, "192.168.122.9", Some("a,b"))]).contains("no name for DNS"));
    let twice = ["52:54:00:00:00:01", "52:54:00:00:00:02"].map(|mac| static_host(mac, "192.168.122.9", None));
    assert!(hosts(twice.to_vec()).contains("of two guests"));
    let names = Edit { dns_hosts: vec![dns("192.168.122.9", &["bad name"])], ..Edit::default() };
    assert!(reason(names).contains("no name for DNS"));
    let group =
        |name: &str| Portgroup { name: name.to_owned(), default: true, bandwidth: Bandwidth::default() };
    let groups = Edit { portgroups: vec![group("a"), group("b")], ..Edit::default() };
    assert!(reason(groups).contains("two port groups are the default"));
    let gone = Edit { hosts_gone: vec!["52:54:00:00:00:01".parse().unwrap()], ..Edit::default() };
    assert!(reason(gone).contains("has no static lease"));
    let overlap =
        Edit { subnets: vec![SubnetSpec::whole("10.0.9.0/24".parse().unwrap())], ..Edit::default() };
    assert!(reason(overlap).contains("overlaps with the route"));

    let v6 = Edit { subnets: vec![SubnetSpec::whole("fd00:5::/64".parse().unwrap())], ..Edit::default() };
    let with_v6 = host_with(edit(v6).unwrap().after.as_deref().unwrap());
    let by_mac = Edit { hosts: vec![static_host(CENTOS, "fd00:5::9", None)], ..Edit::default() };
    assert!(edit_on(&with_v6, by_mac).unwrap_err().reason.contains("DUID"));
}

#[test]
fn a_guest_that_calls_itself_nonsense_gets_its_lease_without_a_name() {
    let mut facts = host().facts;
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let network = libvirt.networks.iter_mut().find(|network| network.name == "default").unwrap();
    network.leases.iter_mut().for_each(|lease| lease.hostname = Some("x,192.168.122.1'/>".to_owned()));
    let snapshot = topology::join(facts, Arc::new(History::default()), None);
    let lease = StaticLease { mac: CENTOS.parse().unwrap(), address: None, hostname: None };
    let plan = plan(&snapshot, &NetworkWant::Lease { name: "default".to_owned(), lease }).unwrap();
    assert_eq!(updates(&plan)[0].element, format!("<host mac='{CENTOS}' ip='192.168.122.208'/>"));
}

#[test]
fn a_server_on_port_53_of_every_address_keeps_a_network_from_starting() {
    let mut facts = host().facts;
    Arc::make_mut(&mut facts.kernel).settings.dns_everywhere = Some("dnsmasq (42)".to_owned());
    let snapshot = topology::join(facts, Arc::new(History::default()), None);
    let spec = NetworkSpec {
        name: "new".to_owned(),
        mode: Mode::Nat,
        bridge: propose_bridge(&snapshot),
        subnets: propose_subnet(&snapshot).map(SubnetSpec::whole).into_iter().collect(),
        forward_devs: Vec::new(),
        nat_ports: None,
        mtu: None,
        domain: None,
    };
    let refusal = plan(&snapshot, &NetworkWant::Create(Box::new(spec.clone()))).unwrap_err();
    assert!(refusal.reason.starts_with("dnsmasq (42) holds port 53"), "{refusal}");
    let without = NetworkSpec { subnets: Vec::new(), mode: Mode::Isolated, ..spec };
    assert!(plan(&snapshot, &NetworkWant::Create(Box::new(without))).is_ok());
    let refusal = plan(&snapshot, &NetworkWant::Start { name: "lab-iso".to_owned() }).unwrap_err();
    assert!(refusal.reason.contains("port 53"), "{refusal}");
}

#[test]
fn a_copy_has_all_of_the_original_but_what_must_be_its_own() {
    let rich = edit(Edit {
        hosts: vec![static_host(CENTOS, "192.168.122.50", Some("web"))],
        dns_hosts: vec![dns("192.168.122.50", &["web"]), dns("198.51.100.1", &["far"])],
        mtu: Some(Setting::To(1400)),
        subnets: vec![SubnetSpec::whole("fd00:5::/64".parse().unwrap())],
        ..Edit::default()
    });
    let snapshot = host_with(rich.unwrap().after.as_deref().unwrap());
    let copy = CloneSpec { name: propose_name(&snapshot, "default"), bridge: None, subnet: None };
    let copied =
        plan(&snapshot, &NetworkWant::Clone { name: "default".to_owned(), copy: copy.clone() }).unwrap();
    let xml = copied.after.clone().unwrap();
    let (was, is) = (
        snapshot.network_named("default").unwrap().next.clone().unwrap(),
        NetworkDefinition::parse(&xml).unwrap(),
    );
    assert!(xml.contains("<name>default-2</name>") && !xml.contains("<uuid>") && !xml.contains("<mac "));
    assert_eq!((is.forward, is.mtu, is.stp), (was.forward.clone(), was.mtu, was.stp));
    assert_eq!(is.bridge, propose_bridge(&snapshot));
    assert_eq!((is.subnets[0].gateway.to_string(), is.subnets.len()), ("192.168.123.1/24".to_owned(), 2));
    assert_eq!(is.subnets[0].hosts[0].address, "192.168.123.50".parse().ok());
    assert_eq!(is.subnets[0].ranges[0].end, "192.168.123.254".parse::<std::net::IpAddr>().unwrap());
    assert_ne!(is.subnets[1].gateway.trunc(), was.subnets[1].gateway.trunc());
    let addresses: Vec<String> = is.dns_hosts.iter().map(|host| host.address.to_string()).collect();
    assert_eq!(addresses, ["192.168.123.50", "198.51.100.1"], "an address outside stays");
    assert_eq!(copied.steps[0].undo, [Action::Undefine]);

    let refused =
        |copy| plan(&snapshot, &NetworkWant::Clone { name: "default".to_owned(), copy }).unwrap_err();
    let subnet = |text: &str| Some(text.parse().unwrap());
    assert!(refused(CloneSpec { name: "lan".to_owned(), ..copy.clone() }).reason.contains("of this name"));
    assert!(
        refused(CloneSpec { subnet: subnet("10.9.0.0/16"), ..copy.clone() }).reason.contains("another size")
    );
    assert!(refused(CloneSpec { subnet: subnet("10.0.9.0/24"), ..copy }).reason.contains("overlaps"));

    // One over a bridge that is there stays on that bridge.
    let copy = CloneSpec { name: "lan-2".to_owned(), bridge: None, subnet: None };
    let xml = plan(&host(), &NetworkWant::Clone { name: "lan".to_owned(), copy }).unwrap().after.unwrap();
    assert!(xml.contains("<bridge name='virbr1'/>"), "{xml}");
}

#[test]
fn autostart_is_set_and_taken_back() {
    let want = |autostart| NetworkWant::Autostart { name: "default".to_owned(), autostart };
    assert!(plan(&host(), &want(Autostart::On)).unwrap_err().reason.contains("already"));
    let off = plan(&host(), &want(Autostart::Off)).unwrap();
    assert_eq!(off.steps[0].action, Action::ClearAutostart);
    assert_eq!(off.steps[0].undo, [Action::SetAutostart]);
    assert_eq!(off.commands, ["virsh net-autostart default --disable"]);
}

#[test]
fn subnets_of_every_size_are_proposed_free_and_private() {
    let snapshot = host();
    for like in ["172.20.0.0/16", "192.168.122.0/24", "192.168.7.0/28", "fd00:9::/64"] {
        let first = propose_subnet_like(&snapshot, like.parse().unwrap(), &[]).unwrap();
        let second = propose_subnet_like(&snapshot, like.parse().unwrap(), &[first]).unwrap();
        assert_eq!(first.prefix_len(), like.split('/').nth(1).unwrap().parse::<u8>().unwrap());
        assert!(!first.contains(&second) && !second.contains(&first), "{first} {second}");
        let taken = |subnet: ipnet::IpNet| {
            snapshot.kernel.addresses.iter().any(|other| subnet.contains(&other.address.addr()))
        };
        assert!(!taken(first) && !taken(second));
    }
    assert!(propose_subnet6(&snapshot).unwrap().to_string().starts_with("fd"));
}

proptest! {
    /// Whatever comes in and goes out again: the text is what it was, to the byte.
    #[test]
    fn what_comes_and_goes_leaves_no_trace(last in 2_u8..200, name in "[a-z][a-z0-9-]{0,20}") {
        let before = edit(Edit {
            hosts: vec![static_host("52:54:00:00:00:77", "192.168.122.250", None)],
            dns_hosts: vec![dns("192.168.122.250", &["stays"])],
            ..Edit::default()
        }).unwrap().after.unwrap();
        let address = format!("192.168.122.{last}");
        let group = Portgroup { name: name.clone(), default: true, bandwidth: Bandwidth::default() };
        let come = Edit {
            hosts: vec![static_host("52:54:00:00:00:78", &address, Some(&name))],
            dns_hosts: vec![dns(&address, &[&name])],
            portgroups: vec![group],
            mtu: Some(Setting::To(1400)),
            ..Edit::default()
        };
        let with = edit_on(&host_with(&before), come).unwrap().after.unwrap();
        let go = Edit {
            hosts_gone: vec!["52:54:00:00:00:78".parse().unwrap()],
            dns_hosts_gone: vec![address.parse().unwrap()],
            portgroups_gone: vec![name],
            mtu: Some(Setting::Default),
            ..Edit::default()
        };
        let after = edit_on(&host_with(&with), go).unwrap().after.unwrap();
        prop_assert_eq!(after, before);
    }
}
