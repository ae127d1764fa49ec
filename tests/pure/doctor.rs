//! Each check on a recorded host: what is in order gives no finding, and each fault gives its own finding with the
//! right evidence, and no other.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod truth;

use std::sync::Arc;

use virt_net::app::{App, Code, Effect, Event, Key, Overlay, Pane, RowId, remedy, update};
use virt_net::change::network::{self, Edit, NetworkWant, Setting};
use virt_net::doctor::{CHECKS, Finding, Report, Severity, Subject, examine};
use virt_net::model::facts::Recording;
use virt_net::model::firewall::{
    Action, BaseHook, Chain, ChainId, Family, Hook, Match, Rule, RuleCounter, Verdict,
};
use virt_net::model::kernel::{Address, BridgeInfo, FdbEntry, Link, LinkKind, Route};
use virt_net::model::network::NetworkDefinition;
use virt_net::model::rates::History;
use virt_net::model::services::{Dnsmasq, ServiceFacts, UdpSocket};
use virt_net::model::unfinished::{Changed, Unfinished};
use virt_net::model::{
    Definition, DomainState, Facts, ForwardMode, IfIndex, IfName, MacvtapMode, Snapshot, SourceState,
    Timestamp, topology,
};

/// A change of network default whose process is gone.
fn interrupted_edit() -> Unfinished {
    let snapshot = topology::join(host(), Arc::default(), None);
    let mtu = Some(Setting::To(1400));
    let edit = Box::new(Edit { mtu, ..Edit::default() });
    let want = NetworkWant::Edit { name: "default".to_owned(), edit };
    let plan = network::plan(&snapshot, &want).unwrap();
    Unfinished {
        begun: Timestamp(1),
        pid: 4711,
        process_began: 1,
        of: Changed::Network("default".to_owned()),
        title: plan.title.clone(),
        step: plan.steps[2].text.clone(),
        at: 2,
        steps: plan.steps.len(),
        failed: None,
        plan: serde_json::to_string(&plan).unwrap(),
    }
}

#[test]
fn an_interrupted_edit_is_put_right_by_the_definition_from_before() {
    let mut facts = host();
    Arc::make_mut(&mut facts.services).unfinished.push(interrupted_edit());
    let repair = |facts: &Facts| {
        let snapshot = topology::join(facts.clone(), Arc::default(), None);
        network::plan(&snapshot, &NetworkWant::Repair { name: "default".to_owned() }).unwrap()
    };
    let words = |plan: &network::NetworkPlan| -> Vec<&str> {
        plan.steps.iter().map(|step| step.action.word()).collect()
    };
    // It may have been started with the new definition, so it restarts with the old one.
    assert_eq!(words(&repair(&facts)), ["stop", "start", "enslave"]);
    // Killed while it was stopped, with the new definition in place.
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let default = libvirt.networks.iter_mut().find(|network| network.name == "default").unwrap();
    let old = default.next.clone().unwrap();
    let new = old.xml.replace("</name>", "</name><mtu size='1400'/>");
    (default.active, default.live, default.next) = (false, None, NetworkDefinition::parse(&new).ok());
    let plan = repair(&facts);
    assert_eq!(words(&plan), ["define", "start", "enslave"]);
    assert_eq!(plan.after.as_deref(), Some(&*old.xml));
    assert!(plan.mends.is_some());
}

/// The recorded host with its programs as they ran.
fn host() -> Facts {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    let mut facts = recording.frames.into_iter().next().unwrap();
    facts.services = Arc::new(ServiceFacts {
        read_at: facts.taken_at,
        udp: Some(vec![
            UdpSocket { address: "0.0.0.0".parse().unwrap(), port: 67 },
            UdpSocket { address: "192.168.122.1".parse().unwrap(), port: 53 },
        ]),
        dnsmasq: Some(vec![Dnsmasq { pid: 168, network: "default".to_owned() }]),
        managers: Vec::new(),
        ..ServiceFacts::default()
    });
    facts
}

fn snapshot(facts: Facts) -> Snapshot {
    topology::join(facts, Arc::new(History::default()), None)
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn link<'a>(facts: &'a mut Facts, wanted: &str) -> &'a mut Link {
    let wanted = name(wanted);
    Arc::make_mut(&mut facts.kernel).links.iter_mut().find(|link| link.name == wanted).unwrap()
}

fn index(facts: &Facts, wanted: &str) -> IfIndex {
    let wanted = name(wanted);
    facts.kernel.links.iter().find(|link| link.name == wanted).unwrap().index
}

fn add_link(facts: &mut Facts, wanted: &str, kind: LinkKind, lower: Option<&str>) {
    let lower = lower.map(|lower| index(facts, lower));
    let kernel = Arc::make_mut(&mut facts.kernel);
    let mut link = kernel.links.iter().find(|link| link.name == name("vnet2")).unwrap().clone();
    link.index = IfIndex(100 + u32::try_from(kernel.links.len()).unwrap());
    (link.name, link.kind, link.lower, link.master, link.port) = (name(wanted), kind, lower, None, None);
    kernel.links.push(link);
}

fn add_address(facts: &mut Facts, on: &str, address: &str) {
    let index = index(facts, on);
    let address =
        Address { index, address: address.parse().unwrap(), scope: "global".to_owned(), permanent: true };
    Arc::make_mut(&mut facts.kernel).addresses.push(address);
}

fn add_route(facts: &mut Facts, to: &str, via: Option<&str>, by: &str, metric: u32) {
    let oif = Some(index(facts, by));
    Arc::make_mut(&mut facts.kernel).routes.push(Route {
        destination: to.parse().unwrap(),
        gateway: via.map(|via| via.parse().unwrap()),
        oif,
        metric,
        prefsrc: None,
        table: 254,
        protocol: "static".to_owned(),
        linkdown: false,
        onlink: false,
        kind: "unicast".to_owned(),
    });
}

/// Which of a guest's definitions.
#[derive(Clone, Copy, PartialEq)]
enum Of {
    Live,
    Next,
    Both,
}

/// Replaces text in a guest's definitions.
fn edit(facts: &mut Facts, guest: &str, of: Of, from: &str, to: &str) {
    let guests = &mut Arc::make_mut(&mut facts.libvirt).guests;
    let guest = guests.iter_mut().find(|other| other.name == guest).unwrap();
    let mut changed = 0;
    for (which, definition) in [(Of::Live, &mut guest.live), (Of::Next, &mut guest.next)] {
        let Some(definition) = definition.as_mut().filter(|_| of == which || of == Of::Both) else {
            continue;
        };
        changed += definition.xml.matches(from).count();
        *definition = Definition::parse(&definition.xml.replace(from, to)).unwrap();
    }
    assert!(changed > 0, "{from} is in no definition");
}

/// The next boot of db01 has a device of the host, which has these.
fn give_db01_a_device(facts: &mut Facts, nics: Vec<virt_net::model::PciNic>) {
    let device = "<source><address type='pci' domain='0' bus='3' slot='0' function='0'/></source>";
    edit(facts, "db01", Of::Next, "<interface type='network'>", "<interface type='hostdev' managed='yes'>");
    edit(facts, "db01", Of::Next, "<source network='default'/>", device);
    let pci = Arc::make_mut(&mut facts.pci);
    (pci.read_at, pci.readable, pci.nics) = (virt_net::model::Timestamp(1), true, nics);
}

const CENTOS7_LIVE: &str =
    "<source network='default' portid='52eedb82-4daa-43f8-a011-08db8cdf7c87' bridge='virbr0'/>";

/// Puts centos7's tap onto another bridge, as a switch without a link bounce does.
fn switch_centos7(facts: &mut Facts, source: &str, bridge: &str) {
    let kind = if source.contains("bridge=") { "bridge" } else { "network" };
    edit(facts, "centos7", Of::Live, CENTOS7_LIVE, source);
    edit(facts, "centos7", Of::Next, "<source network='default'/>", source);
    edit(facts, "centos7", Of::Both, "<interface type='network'>", &format!("<interface type='{kind}'>"));
    link(facts, "vnet0").master = Some(index(facts, bridge));
}

fn on_macvtap(facts: &mut Facts, lower: &str, mode: MacvtapMode) {
    add_link(facts, "macvtap0", LinkKind::Macvtap { mode }, Some(lower));
    edit(facts, "centos7", Of::Both, "<interface type='network'>", "<interface type='direct'>");
    let source = format!("<source dev='{lower}' mode='{}'/>", mode.word());
    edit(facts, "centos7", Of::Live, CENTOS7_LIVE, &source);
    edit(facts, "centos7", Of::Next, "<source network='default'/>", &source);
    edit(facts, "centos7", Of::Live, "vnet0", "macvtap0");
    Arc::make_mut(&mut facts.kernel).links.retain(|link| link.name != name("vnet0"));
}

fn network(facts: &mut Facts, wanted: &str, change: impl Fn(&mut virt_net::model::Network)) {
    let networks = &mut Arc::make_mut(&mut facts.libvirt).networks;
    change(networks.iter_mut().find(|network| network.name == wanted).unwrap());
}

fn chain(family: Family, table: &str, chain: &str) -> ChainId {
    ChainId { family, table: table.to_owned(), chain: chain.to_owned() }
}

fn add_base(facts: &mut Facts, id: ChainId, hook: Hook, policy: Verdict) {
    let hook = BaseHook { hook, kind: "filter".to_owned(), priority: 0, policy, devices: Vec::new() };
    let counter = RuleCounter { packets: 12, bytes: 720 };
    let mut chain: Chain = facts.firewall.chains.first().unwrap().clone();
    (chain.id, chain.hook, chain.policy_counter) = (id, Some(hook), Some(counter));
    Arc::make_mut(&mut facts.firewall).chains.push(chain);
}

fn set_policy(facts: &mut Facts, wanted: &ChainId, policy: Verdict) {
    let chains = &mut Arc::make_mut(&mut facts.firewall).chains;
    chains.iter_mut().find(|chain| chain.id == *wanted).unwrap().hook.as_mut().unwrap().policy = policy;
}

fn add_rule(facts: &mut Facts, id: ChainId, matches: Vec<Match>, action: Action) {
    Arc::make_mut(&mut facts.firewall).rules.push(Rule {
        chain: id,
        handle: 9000,
        matches,
        also: Vec::new(),
        action: Some(action),
        counter: None,
        comment: None,
        raw: "a rule of this test".to_owned(),
    });
}

fn accept() -> Action {
    Action::Verdict { verdict: Verdict::Accept }
}

fn from(link: &str) -> Match {
    Match::InInterface { name: link.to_owned(), negated: false }
}

fn checked(facts: &Facts) -> Report {
    examine(&snapshot(facts.clone()), &[])
}

fn ids(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.check).collect()
}

/// A check, how bad its finding is, the fault, what the evidence must name, and whether virt-net mends it.
struct Case {
    check: &'static str,
    severity: Severity,
    fault: Change,
    names: &'static [&'static str],
    mends: Mends,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mends {
    Itself,
    ByHand,
}

const fn case(
    check: &'static str,
    severity: Severity,
    fault: Change,
    names: &'static [&'static str],
    mends: Mends,
) -> Case {
    Case { check, severity, fault, names, mends }
}

use Mends::{ByHand, Itself};
use Severity::{Error, Note, Warning};

const CASES: &[Case] = &[
    case(
        "nat-rules-missing",
        Error,
        |facts| {
            Arc::make_mut(&mut facts.firewall)
                .rules
                .retain(|rule| !matches!(rule.action, Some(Action::Masquerade { .. })));
        },
        &[
            "network default active, nat, 192.168.122.0/24",
            "translates 192.168.122.0/24 on its way out by eth0",
        ],
        Itself,
    ),
    case(
        "nat-rules-missing",
        Error,
        |facts| {
            // The rules are there, but nothing jumps to them any more.
            let post = chain(Family::Ip, "nat", "POSTROUTING");
            Arc::make_mut(&mut facts.firewall).rules.retain(|rule| rule.chain != post);
        },
        &["nothing jumps to libvirt's own chain"],
        ByHand,
    ),
    case(
        "network-unguarded",
        Warning,
        |facts| {
            let forward = chain(Family::Ip, "filter", "FORWARD");
            Arc::make_mut(&mut facts.firewall).rules.retain(|rule| rule.chain != forward);
        },
        &["network default active, nat", "nothing jumps to LIBVIRT_FWI, LIBVIRT_FWO, LIBVIRT_FWX"],
        ByHand,
    ),
    case(
        "dnsmasq-dead",
        Error,
        |facts| {
            let services = Arc::make_mut(&mut facts.services);
            (services.dnsmasq, services.udp) = (Some(Vec::new()), Some(Vec::new()));
        },
        &["DHCP on 192.168.122.1/24", "default.conf", "UDP 192.168.122.1:53"],
        Itself,
    ),
    case(
        "change-interrupted",
        Error,
        |facts| Arc::make_mut(&mut facts.services).unfinished.push(interrupted_edit()),
        &["process 4711", "network default runs"],
        Itself,
    ),
    case(
        "ip-forward-off",
        Error,
        |facts| {
            Arc::make_mut(&mut facts.kernel).settings.ip_forward = Some(false);
        },
        &["network default active, nat", "net.ipv4.ip_forward = 0"],
        Itself,
    ),
    case(
        "forward-policy-drop",
        Error,
        |facts| {
            Arc::make_mut(&mut facts.kernel).settings.nf_call_iptables = Some(false);
            add_base(facts, chain(Family::Inet, "docker", "forward"), Hook::Forward, Verdict::Drop);
        },
        &["the policy of inet docker forward drops what no rule accepted (12 packets"],
        ByHand,
    ),
    case(
        "bridge-nf-call",
        Error,
        |facts| {
            // As Docker does it: libvirt's own accepts are in the same chain, bridged frames meet none.
            set_policy(facts, &chain(Family::Ip, "filter", "FORWARD"), Verdict::Drop);
        },
        &["net.bridge.bridge-nf-call-iptables = 1", "the policy of ip filter FORWARD drops"],
        Itself,
    ),
    case(
        "no-input-for-dhcp",
        Error,
        |facts| {
            add_base(facts, chain(Family::Inet, "host", "input"), Hook::Input, Verdict::Drop);
        },
        &["DHCP (udp 67 from virbr0)", "DNS (udp 53 from virbr0)", "the policy of inet host input drops"],
        ByHand,
    ),
    case(
        "tap-orphaned",
        Error,
        |facts| {
            let tap = link(facts, "vnet0");
            (tap.master, tap.port) = (None, None);
        },
        &["plugged into network default: bridge virbr0", "vnet0 has master none"],
        Itself,
    ),
    case("tap-down", Error, |facts| link(facts, "vnet0").up = false, &["vnet0 is down (no IFF_UP)"], Itself),
    case("tap-down", Error, |facts| link(facts, "virbr1").up = false, &["virbr1 is down", "web01"], Itself),
    case(
        "nic-link-down",
        Warning,
        |facts| {
            edit(
                facts,
                "centos7",
                Of::Both,
                "<model type='virtio'/>",
                "<model type='virtio'/><link state='down'/>",
            );
        },
        &["<link state='down'/>"],
        Itself,
    ),
    case(
        "uplink-no-carrier",
        Error,
        |facts| link(facts, "eth1").carrier = false,
        &["eth1 up, no carrier", "web01"],
        ByHand,
    ),
    case(
        "uplink-no-carrier",
        Error,
        |facts| {
            let eth1 = link(facts, "eth1");
            (eth1.up, eth1.carrier) = (false, false);
        },
        &["eth1 down, no carrier"],
        Itself,
    ),
    case(
        "bridge-lockout",
        Error,
        |facts| {
            link(facts, "nobr0").up = true;
            add_address(facts, "nobr0", "10.0.0.88/24");
            add_route(facts, "10.0.0.0/24", None, "nobr0", 0);
        },
        &["nobr0 has 10.0.0.88/24 and no port", "eth0 has 10.0.0.8/16", "route 10.0.0.0/24 dev nobr0"],
        Itself,
    ),
    case(
        "address-on-port",
        Error,
        |facts| {
            add_address(facts, "eth1", "192.0.2.7/24");
            add_route(facts, "192.0.2.0/24", None, "eth1", 0);
        },
        &["eth1 has master virbr1", "eth1 has 192.0.2.7/24", "route 192.0.2.0/24 dev eth1"],
        Itself,
    ),
    case(
        "dual-default-route",
        Warning,
        |facts| {
            add_address(facts, "virbr1", "10.0.0.88/24");
            add_route(facts, "0.0.0.0/0", Some("10.0.0.2"), "virbr1", 426);
        },
        &["route default via 10.0.0.2 dev eth0", "route default via 10.0.0.2 dev virbr1 metric 426"],
        Itself,
    ),
    case(
        "subnet-overlap",
        Error,
        |facts| {
            add_route(facts, "192.168.122.0/25", None, "eth0", 0);
        },
        &["network default active, 192.168.122.0/24", "route 192.168.122.0/25 dev eth0"],
        ByHand,
    ),
    case(
        "subnet-overlap",
        Warning,
        |facts| {
            add_route(facts, "192.168.50.0/24", Some("10.0.0.9"), "eth0", 0);
        },
        &["network lab-iso not active, 192.168.50.0/24", "route 192.168.50.0/24 via 10.0.0.9 dev eth0"],
        ByHand,
    ),
    case(
        "duplicate-mac",
        Error,
        |facts| {
            edit(facts, "web01", Of::Both, "52:54:00:11:22:34", "52:54:00:aa:fc:1c");
        },
        &["centos7 (running) has a NIC with 52:54:00:aa:fc:1c", "web01 (running)"],
        ByHand,
    ),
    case(
        "duplicate-mac",
        Warning,
        |facts| {
            edit(facts, "db01", Of::Next, "52:54:00:44:55:66", "52:54:00:aa:fc:1c");
        },
        &["db01 (off)"],
        ByHand,
    ),
    case(
        "duplicate-mac",
        Warning,
        |facts| {
            let (port, bridge) = (index(facts, "eth1"), Some(index(facts, "virbr1")));
            let mac = "52:54:00:11:22:33".parse().unwrap();
            let fdb = &mut Arc::make_mut(&mut facts.kernel).fdb;
            fdb.retain(|entry| entry.mac != mac);
            fdb.push(FdbEntry { port, bridge, mac, permanent: false });
        },
        &["virbr1 learned 52:54:00:11:22:33 at port eth1"],
        ByHand,
    ),
    case("mtu-mismatch", Warning, |facts| link(facts, "eth1").mtu = 1400, &["vnet1 1500, eth1 1400"], Itself),
    case(
        "mtu-mismatch",
        Warning,
        |facts| {
            edit(
                facts,
                "web01",
                Of::Both,
                "<model type='virtio'/>",
                "<model type='virtio'/><mtu size='9000'/>",
            );
            link(facts, "vnet1").mtu = 9000;
            link(facts, "vnet2").mtu = 1500;
        },
        &["vnet1 9000, eth1 1500"],
        ByHand,
    ),
    case(
        "stp-delay",
        Warning,
        |facts| {
            link(facts, "virbr1").kind =
                LinkKind::Bridge(BridgeInfo { stp: true, forward_delay: 1500, ..BridgeInfo::default() });
        },
        &["virbr1 has STP on, forward delay 15.0 s"],
        Itself,
    ),
    case(
        "port-isolation-lie",
        Warning,
        |facts| {
            edit(
                facts,
                "centos7",
                Of::Both,
                "<model type='virtio'/>",
                "<model type='virtio'/><port isolated='yes'/>",
            );
        },
        &["<port isolated='yes'/>", "isolated off"],
        Itself,
    ),
    case(
        "pending-change",
        Warning,
        |facts| {
            edit(facts, "centos7", Of::Next, "<source network='default'/>", "<source network='lan'/>");
        },
        &["live: network default", "next boot: network lan"],
        Itself,
    ),
    case(
        "missing-bridge-next-boot",
        Error,
        |facts| {
            edit(facts, "db01", Of::Next, "<interface type='network'>", "<interface type='bridge'>");
            edit(facts, "db01", Of::Next, "<source network='default'/>", "<source bridge='nobr9'/>");
        },
        &["db01 52:54:00:44:55:66 at next boot: bridge nobr9", "there is no bridge nobr9"],
        ByHand,
    ),
    case(
        "missing-bridge-next-boot",
        Warning,
        |facts| {
            edit(facts, "db01", Of::Next, "<source network='default'/>", "<source network='lab-iso'/>");
        },
        &["network lab-iso is not active"],
        Itself,
    ),
    case(
        "device-next-boot",
        Error,
        |facts| give_db01_a_device(facts, Vec::new()),
        &["db01 52:54:00:44:55:66 at next boot: hostdev 0000:03:00.0", "no PCI NIC 0000:03:00.0"],
        ByHand,
    ),
    case(
        "device-next-boot",
        Error,
        |facts| {
            let eth0 = virt_net::model::PciNic {
                address: "0000:03:00.0".parse().unwrap(),
                links: vec![name("eth0")],
                driver: Some("igb".to_owned()),
                id: "8086:1533".to_owned(),
                name: None,
                physical: None,
                functions: Vec::new(),
                most_functions: 0,
                group: None,
            };
            give_db01_a_device(facts, vec![eth0]);
        },
        &["db01 52:54:00:44:55:66 at next boot", "the host has 10.0.0.8/16 on eth0"],
        ByHand,
    ),
    case(
        "macvtap-lower-busy",
        Error,
        |facts| {
            edit(facts, "db01", Of::Next, "<interface type='network'>", "<interface type='direct'>");
            edit(
                facts,
                "db01",
                Of::Next,
                "<source network='default'/>",
                "<source dev='eth1' mode='bridge'/>",
            );
        },
        &["at next boot: macvtap eth1", "eth1: it is a port of virbr1"],
        Itself,
    ),
    case(
        "macvtap-host-isolation",
        Warning,
        |facts| {
            on_macvtap(facts, "eth0", MacvtapMode::Bridge);
            agent_of_centos7(facts, "10.0.0.208/16");
        },
        &["macvtap on eth0, mode bridge", "eth0 has the host's address 10.0.0.8/16"],
        Itself,
    ),
    case(
        "wifi-uplink",
        Error,
        |facts| link(facts, "eth1").wireless = true,
        &["eth1 is a Wi-Fi link"],
        ByHand,
    ),
    case(
        "stale-lease",
        Warning,
        |facts| {
            switch_centos7(facts, "<source bridge='virbr1'/>", "virbr1");
            agent_of_centos7(facts, "192.168.122.208/24");
        },
        &[
            "plugged into bridge virbr1",
            "lease of network default is 192.168.122.208",
            "agent reports 192.168.122.208",
        ],
        Itself,
    ),
    case(
        "guest-ip-unknown",
        Note,
        |facts| {
            switch_centos7(facts, "<source bridge='virbr1'/>", "virbr1");
            network(facts, "default", |network| network.leases.clear());
        },
        &["its DHCP server is not libvirt's", "no channel for a guest agent", "52:54:00:aa:fc:1c"],
        ByHand,
    ),
    case(
        "bridge-without-uplink",
        Note,
        |facts| {
            let eth1 = link(facts, "eth1");
            (eth1.master, eth1.port) = (None, None);
        },
        &["ports of virbr1: vnet1", "virbr1 has no address"],
        ByHand,
    ),
    case(
        "slow-nic-model",
        Note,
        |facts| {
            edit(facts, "centos7", Of::Both, "<model type='virtio'/>", "<model type='rtl8139'/>");
        },
        &["centos7 52:54:00:aa:fc:1c has model rtl8139"],
        Itself,
    ),
];

fn agent_of_centos7(facts: &mut Facts, address: &str) {
    let guests = &mut Arc::make_mut(&mut facts.libvirt).guests;
    let guest = guests.iter_mut().find(|guest| guest.name == "centos7").unwrap();
    guest.agent = true;
    guest.agent_addresses = vec![virt_net::model::guest::AgentAddress {
        mac: "52:54:00:aa:fc:1c".parse().unwrap(),
        name: "eth0".to_owned(),
        address: address.parse().unwrap(),
    }];
}

#[test]
fn a_host_in_order_has_no_finding() {
    let report = checked(&host());
    assert_eq!(report, Report::default());
}

#[test]
fn each_fault_is_found_and_no_other() {
    for case in CASES {
        let mut facts = host();
        (case.fault)(&mut facts);
        let snapshot = snapshot(facts);
        let report = examine(&snapshot, &[]);
        let [finding] = report.findings.as_slice() else {
            panic!(
                "{}: {:?}",
                case.check,
                report.findings.iter().map(|f| (f.check, &f.title)).collect::<Vec<_>>()
            );
        };
        assert_eq!((finding.check, finding.severity), (case.check, case.severity), "{}", finding.title);
        let evidence: Vec<&str> = finding.evidence.iter().map(|evidence| evidence.text.as_str()).collect();
        for wanted in case.names {
            assert!(
                evidence.iter().any(|text| text.contains(wanted)),
                "{}: no {wanted:?} in {evidence:#?}",
                case.check
            );
        }
        assert!(!finding.meaning.is_empty());
        mendable(case, &snapshot, finding);
        assert_eq!(examine(&snapshot, &[case.check]).findings, report.findings);
    }
}

/// Every fix leads somewhere: a plan with steps and commands, or commands for the operator.
fn mendable(case: &Case, snapshot: &Snapshot, finding: &Finding) {
    let first = finding.fixes.first().unwrap();
    let by = if first.remedy.is_some() { Itself } else { ByHand };
    assert_eq!(by, case.mends, "{}", case.check);
    for fix in &finding.fixes {
        let commands = match &fix.remedy {
            Some(remedy) => {
                let planned = remedy::plan(snapshot, remedy);
                let job = planned.unwrap_or_else(|refusal| panic!("{}: {refusal}", case.check));
                assert!(!job.steps().is_empty(), "{}", case.check);
                job.preview().commands
            }
            None => fix.commands.clone(),
        };
        assert!(!commands.is_empty() && commands.iter().all(|command| !command.is_empty()), "{}", case.check);
    }
}

#[test]
fn every_check_is_tested() {
    for check in CHECKS {
        assert!(CASES.iter().any(|case| case.check == check.id), "{}", check.id);
    }
}

/// An agent that has no channel cannot be asked.
#[test]
fn the_way_to_an_unknown_address_fits_the_evidence() {
    let commands = |channel: bool| {
        let mut facts = host();
        switch_centos7(&mut facts, "<source bridge='virbr1'/>", "virbr1");
        network(&mut facts, "default", |network| network.leases.clear());
        for guest in &mut Arc::make_mut(&mut facts.libvirt).guests {
            for definition in guest.live.iter_mut().chain(&mut guest.next) {
                definition.machine.agent_channel = channel;
            }
        }
        let report = checked(&facts);
        assert_eq!(ids(&report), ["guest-ip-unknown"]);
        let fixes = report.findings[0].fixes.iter();
        fixes.flat_map(|fix| fix.commands.clone()).collect::<Vec<_>>().join("\n")
    };
    let (with, without) = (commands(true), commands(false));
    assert!(with.contains("qemu-agent-command centos7") && !with.contains("attach-device"), "{with}");
    assert!(without.contains("attach-device centos7") && !without.contains("agent-command"), "{without}");
    for text in [with, without] {
        assert!(text.starts_with("virt-net console centos7"), "{text}");
    }
}

/// What is done to a host's facts.
type Change = fn(&mut Facts);

/// What looks like a fault and is none.
#[test]
fn what_is_in_order_or_a_choice_is_no_finding() {
    let in_order: &[(&str, Change)] = &[
        ("a policy that libvirt's own accepts in the same chain pass", |facts| {
            Arc::make_mut(&mut facts.kernel).settings.nf_call_iptables = Some(false);
            set_policy(facts, &chain(Family::Ip, "filter", "FORWARD"), Verdict::Drop);
            set_policy(facts, &chain(Family::Ip, "filter", "INPUT"), Verdict::Drop);
        }),
        ("another table that lets the bridges pass", |facts| {
            let id = chain(Family::Inet, "docker", "forward");
            add_base(facts, id.clone(), Hook::Forward, Verdict::Drop);
            add_rule(facts, id.clone(), vec![from("virbr*")], accept());
        }),
        ("another table whose rule cannot be judged", |facts| {
            let id = chain(Family::Inet, "docker", "forward");
            add_base(facts, id.clone(), Hook::Forward, Verdict::Drop);
            add_rule(facts, id, vec![Match::Opaque { text: "mark 7".to_owned() }], accept());
        }),
        ("dnsmasq under a name that is not seen, but it listens", |facts| {
            Arc::make_mut(&mut facts.services).dnsmasq = Some(Vec::new());
        }),
        ("two default routes to two gateways", |facts| {
            add_address(facts, "eth1", "203.0.113.5/24");
            link(facts, "eth1").master = None;
            link(facts, "eth1").port = None;
            link(facts, "vnet1").master = None;
            add_route(facts, "0.0.0.0/0", Some("203.0.113.1"), "eth1", 200);
            Arc::make_mut(&mut facts.libvirt).guests.retain(|guest| guest.name != "web01");
        }),
        ("a network over a host's bridge", |facts| {
            edit(facts, "web01", Of::Next, "<interface type='bridge'>", "<interface type='network'>");
            edit(facts, "web01", Of::Next, "<source bridge='virbr1'/>", "<source network='lan'/>");
            edit(
                facts,
                "web01",
                Of::Live,
                "<source bridge='virbr1'/>",
                "<source network='lan' portid='1fad4673-7ccc-42e5-b8dd-75fc915c0726' bridge='virbr1'/>",
            );
        }),
        ("a macvtap on a link without an address of the host", |facts| {
            link(facts, "eth1").master = None;
            link(facts, "eth1").port = None;
            Arc::make_mut(&mut facts.libvirt).guests.retain(|guest| guest.name != "web01");
            on_macvtap(facts, "eth1", MacvtapMode::Bridge);
            agent_of_centos7(facts, "10.0.0.208/16");
        }),
        ("a macvtap beside a macvlan of the host", |facts| {
            on_macvtap(facts, "eth0", MacvtapMode::Bridge);
            agent_of_centos7(facts, "10.0.0.208/16");
            add_link(facts, "shim0", LinkKind::Macvlan { mode: MacvtapMode::Bridge }, Some("eth0"));
            add_route(facts, "10.0.0.208/32", None, "shim0", 0);
        }),
        ("an isolated network", |facts| {
            network(facts, "default", |network| {
                for definition in network.live.iter_mut().chain(&mut network.next) {
                    definition.forward = ForwardMode::Isolated;
                }
            });
            Arc::make_mut(&mut facts.kernel).settings.ip_forward = Some(false);
            Arc::make_mut(&mut facts.firewall)
                .rules
                .retain(|rule| !matches!(rule.action, Some(Action::Masquerade { .. })));
        }),
        ("a VPN's wide route around a network", |facts| {
            add_route(facts, "192.168.0.0/16", Some("10.0.0.9"), "eth0", 0);
        }),
        ("a spanning tree with libvirt's delay", |facts| {
            let LinkKind::Bridge(info) = &mut link(facts, "virbr1").kind else { panic!() };
            (info.stp, info.forward_delay) = (true, 200);
        }),
        ("an old card in a guest that is off", |facts| {
            edit(facts, "db01", Of::Next, "e1000", "rtl8139");
        }),
        ("a lease that ended before the guest was switched", |facts| {
            switch_centos7(facts, "<source bridge='virbr1'/>", "virbr1");
            agent_of_centos7(facts, "10.0.0.208/16");
        }),
        ("a paused guest", |facts| {
            let guests = &mut Arc::make_mut(&mut facts.libvirt).guests;
            guests.iter_mut().find(|guest| guest.name == "centos7").unwrap().state = DomainState::Paused;
            link(facts, "vnet0").up = false;
        }),
    ];
    for (what, change) in in_order {
        let mut facts = host();
        change(&mut facts);
        let report = checked(&facts);
        let found: Vec<_> = report.findings.iter().map(|finding| (finding.check, &finding.title)).collect();
        assert_eq!(found, [], "{what}");
    }
}

/// Rule sets as those programs really make them, beside libvirt's of either back end.
#[test]
fn what_other_programs_do_to_guests_is_found_and_nothing_else() {
    let expected: &[(&str, bool, &[&str])] = &[
        ("libvirt-iptables", true, &[]),
        ("libvirt-native", true, &[]),
        // libvirt's accepts are in Docker's chain: NAT works, bridged frames meet none.
        ("docker", false, &[]),
        ("docker", true, &["bridge-nf-call virbr1"]),
        ("docker-native", false, &["forward-policy-drop default"]),
        ("firewalld", false, &[]),
        ("ufw", false, &[]),
        ("ufw-native", false, &["forward-policy-drop default", "no-input-for-dhcp default"]),
    ];
    for (case, nf_call, wanted) in expected {
        let mut facts = host();
        facts.firewall = Arc::new(crate::firewall::recorded(case));
        Arc::make_mut(&mut facts.kernel).settings.nf_call_iptables = Some(*nf_call);
        let snapshot = snapshot(facts);
        let report = examine(&snapshot, &[]);
        let of = |finding: &Finding| match &finding.subject {
            Subject::Network(id) => format!("{} {}", finding.check, snapshot.network(*id).unwrap().name),
            Subject::Bridge(name) => format!("{} {name}", finding.check),
            other => format!("{} {other:?}", finding.check),
        };
        let found: Vec<String> = report.findings.iter().map(of).collect();
        assert_eq!(
            found,
            *wanted,
            "{case}: {:#?}",
            report.findings.iter().map(|f| &f.evidence).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_cannot_be_read_is_told_and_never_guessed() {
    let mut facts = host();
    Arc::make_mut(&mut facts.firewall).rules.clear();
    facts.health.firewall = SourceState::Denied { hint: "run as root".to_owned() };
    facts.services = Arc::default();
    let report = checked(&facts);
    assert_eq!(ids(&report), Vec::<&str>::new());
    let unchecked: Vec<&str> = report.unchecked.iter().map(|unchecked| unchecked.check).collect();
    let expected = [
        "nat-rules-missing",
        "network-unguarded",
        "dnsmasq-dead",
        "forward-policy-drop",
        "no-input-for-dhcp",
        "bridge-nf-call",
    ];
    assert_eq!(unchecked, expected);
    assert!(report.unchecked.first().unwrap().why.contains("run as root"));
    // A daemon that is away: nothing is said from its old figures.
    let mut facts = host();
    (CASES.first().unwrap().fault)(&mut facts);
    facts.health.libvirt = SourceState::Down { since: Timestamp(1), error: "no socket".to_owned() };
    let report = checked(&facts);
    assert!(report.findings.is_empty() && report.unchecked.iter().any(|one| one.why.contains("no socket")));
    // Rules of the old kind are not seen: their absence says nothing.
    let mut facts = host();
    (CASES.first().unwrap().fault)(&mut facts);
    Arc::make_mut(&mut facts.firewall).legacy_tables = vec!["nat".to_owned()];
    let report = checked(&facts);
    assert!(report.findings.is_empty() && report.unchecked.iter().any(|one| one.why.contains("legacy")));
    // A daemon elsewhere gives names of other links.
    let mut facts = host();
    facts.host.foreign_namespace = true;
    assert!(checked(&facts).findings.is_empty());
}

#[test]
fn the_way_out_of_two_default_routes_keeps_what_works() {
    for (address, port, loses) in [
        ("10.0.0.88/24", None, "eth0"),
        ("10.9.0.1/24", None, "virbr1"),
        ("10.0.0.88/24", Some("eth0"), "eth0"),
    ] {
        let mut facts = host();
        add_address(&mut facts, "virbr1", address);
        add_route(&mut facts, "0.0.0.0/0", Some("10.0.0.2"), "virbr1", 426);
        if let Some(port) = port {
            link(&mut facts, port).master = Some(index(&facts, "virbr1"));
        }
        let report = examine(&snapshot(facts), &["dual-default-route"]);
        let words = &report.findings.first().unwrap().fixes.first().unwrap().words;
        assert!(words.ends_with(&format!("remove the one by {loses}")), "{words}");
    }
}

/// Two snapshots of the same host at two times.
fn at(facts: &Facts, millis: u64) -> Arc<Snapshot> {
    Arc::new(snapshot(Facts { taken_at: Timestamp(facts.taken_at.0 + millis), ..facts.clone() }))
}

fn key(app: &mut App, code: Code) -> Vec<Effect> {
    update(app, Event::Key(Key { code, ctrl: false }))
}

#[test]
fn on_the_screen_a_finding_shows_when_it_lasts_and_leads_to_its_row_and_its_fix() {
    let mut facts = host();
    let mut app = App::new(at(&facts, 0), facts.taken_at, (120, 40));
    update(&mut app, Event::Snapshot(at(&facts, 0)));
    let tap = link(&mut facts, "vnet0");
    (tap.master, tap.port) = (None, None);
    update(&mut app, Event::Snapshot(at(&facts, 1_000)));
    assert_eq!(app.doctor.report().count(Severity::Error), 0, "it may be gone with the next read");
    update(&mut app, Event::Snapshot(at(&facts, 3_500)));
    assert_eq!(app.doctor.report().count(Severity::Error), 1);
    let snapshot = Arc::clone(app.live());
    let nic = snapshot.nics.iter().find(|nic| nic.guest == "centos7").unwrap().id;
    assert_eq!(app.trouble(&RowId::Nic(nic)), Some(Severity::Error));
    assert_eq!(app.trouble(&RowId::Bridge(name("virbr1"))), None);

    app.focus = Pane::Networks;
    key(&mut app, Code::Char('d'));
    assert!(matches!(app.overlays.as_slice(), [Overlay::Doctor { .. }]));
    key(&mut app, Code::Enter);
    assert_eq!(
        (app.focus, app.cursor(Pane::Nics), app.overlays.len()),
        (Pane::Nics, Some(RowId::Nic(nic)), 0)
    );
    key(&mut app, Code::Char('d'));
    assert_eq!(app.chosen_finding().unwrap().1.check, "tap-orphaned");
    assert_eq!(key(&mut app, Code::Char('f')), []);
    assert!(
        matches!(app.overlays.as_slice(), [Overlay::Doctor { .. }, Overlay::Confirm { .. }]),
        "a preview first"
    );
    let effects = key(&mut app, Code::Enter);
    assert!(
        matches!(effects.as_slice(), [Effect::Apply(job)] if job.title().contains("vnet0")),
        "{effects:?}"
    );
}

#[test]
fn several_ways_are_offered_and_a_fix_by_hand_is_said() {
    let mut facts = host();
    edit(&mut facts, "centos7", Of::Next, "<source network='default'/>", "<source network='lan'/>");
    edit(&mut facts, "web01", Of::Both, "52:54:00:11:22:34", "52:54:00:aa:fc:1d");
    add_route(&mut facts, "192.168.122.0/25", None, "eth0", 0);
    let mut app = App::new(at(&facts, 0), facts.taken_at, (120, 40));
    update(&mut app, Event::Snapshot(at(&facts, 0)));
    update(&mut app, Event::Snapshot(at(&facts, 2_500)));
    key(&mut app, Code::Char('d'));
    key(&mut app, Code::Char('f'));
    assert!(app.messages.back().unwrap().1.contains("by hand only"), "{:?}", app.messages);
    key(&mut app, Code::Down);
    key(&mut app, Code::Char('f'));
    let Some(Overlay::Menu(menu)) = app.overlays.last() else { panic!("{:?}", app.overlays) };
    assert_eq!(menu.items.len(), 2);
    key(&mut app, Code::Char('2'));
    let Some(Overlay::Confirm { job, .. }) = app.overlays.last() else { panic!("{:?}", app.overlays) };
    assert!(job.title().contains("discard"), "{}", job.title());
}

#[test]
fn how_it_looks() {
    use virt_net::ui::glyphs::Glyphs;
    use virt_net::ui::theme::Theme;
    let mut facts = host();
    (CASES.first().unwrap().fault)(&mut facts);
    edit(&mut facts, "web01", Of::Next, "<source network='default'/>", "<source network='lan'/>");
    edit(&mut facts, "centos7", Of::Both, "<model type='virtio'/>", "<model type='rtl8139'/>");
    facts.services = Arc::default();
    for (size, glyphs, picture) in [
        ((120, 40), Glyphs::Unicode, "doctor_120x40"),
        ((80, 24), Glyphs::Unicode, "doctor_80x24"),
        ((80, 24), Glyphs::Ascii, "doctor_80x24_ascii"),
    ] {
        let mut app = App::new(at(&facts, 0), facts.taken_at, size);
        update(&mut app, Event::Snapshot(at(&facts, 0)));
        update(&mut app, Event::Snapshot(at(&facts, 2_500)));
        key(&mut app, Code::Char('d'));
        insta::assert_snapshot!(picture, crate::view::text(&crate::view::buffer(&app, Theme::Mono, glyphs)));
    }
    let mut app = App::new(at(&host(), 0), facts.taken_at, (80, 24));
    update(&mut app, Event::Snapshot(at(&host(), 0)));
    key(&mut app, Code::Char('d'));
    insta::assert_snapshot!(
        "doctor_in_order",
        crate::view::text(&crate::view::buffer(&app, Theme::Mono, Glyphs::Unicode))
    );
}
