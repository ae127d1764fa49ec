//! What is planned for a bridge of the host, and what is refused, on a recorded host: kvm1 of the lab
//! with bridge virbr1 over eth1.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use virt_net::change::Refusal;
use virt_net::change::bridge::agent;
use virt_net::change::bridge::by_hand;
use virt_net::change::bridge::client::Client;
use virt_net::change::bridge::course;
use virt_net::change::bridge::evidence::Evidence;
use virt_net::change::bridge::persist::{Owner, Text};
use virt_net::change::bridge::record::{Answer, Progress, RecordError, Records};
use virt_net::change::bridge::{
    Addressing, Backend, BridgePlan, BridgeWant, FileChange, Gateway, Lasting, Memory, Step, Stp, plan,
};
use virt_net::model::facts::{Facts, Recording};
use virt_net::model::kernel::{BridgeInfo, LinkKind, PortInfo, Route};
use virt_net::model::rates::History;
use virt_net::model::{IfName, MacvtapMode, Snapshot, Timestamp, topology};

pub(crate) fn facts() -> Facts {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    recording.frames.into_iter().next().unwrap()
}

pub(crate) fn host(facts: Facts) -> Snapshot {
    topology::join(facts, Arc::new(History::default()), None)
}

pub(crate) fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn create(snapshot: &Snapshot, bridge: &str, port: &str) -> Result<BridgePlan, Refusal> {
    let (bridge, port, address, persist) = (name(bridge), name(port), Addressing::Move, Lasting::Auto);
    let want = BridgeWant::Create { bridge, port, stp: Stp::Off, address, persist };
    plan::plan(snapshot, &Evidence::default(), &want)
}

fn reason(planned: Result<BridgePlan, Refusal>) -> String {
    planned.unwrap_err().reason
}

#[test]
fn the_bridge_gets_what_the_nic_has_and_the_way_back_is_the_reverse() {
    let snapshot = host(facts());
    let eth0 = snapshot.link_named(name("eth0")).unwrap();
    let plan = create(&snapshot, "br0", "eth0").unwrap();
    let [Step::AddBridge { mac, mtu, .. }, Step::Attach { .. }, Step::Move { from, to }] =
        plan.steps.as_slice()
    else {
        panic!("{:?}", plan.steps)
    };
    assert_eq!((*mac, *mtu, *from, *to), (eth0.mac, eth0.mtu, name("eth0"), name("br0")));
    assert_eq!(
        plan.undo[..3],
        [
            Step::Move { from: name("br0"), to: name("eth0") },
            Step::Detach { port: name("eth0") },
            Step::DeleteBridge { bridge: name("br0") },
        ]
    );
    let Some(Step::Restore { link, addresses, routes, .. }) = plan.undo.last() else {
        panic!("{:?}", plan.undo)
    };
    assert_eq!((*link, addresses.as_slice()), (name("eth0"), &["10.0.0.8/16".parse().unwrap()][..]));
    assert_eq!(routes.len(), 1, "{routes:?}");
    assert_eq!(plan.after.addresses, [(name("br0"), "10.0.0.8/16".parse().unwrap())]);
    assert_eq!(plan.before.missing(&snapshot.kernel), None);
    assert!(plan.after.missing(&snapshot.kernel).is_some());
}

/// Rules decide about another table: its default route has no part in what the main one does.
#[test]
fn only_routes_of_the_main_table_give_metric_and_gateway() {
    let mut facts = facts();
    let eth0 = facts.kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().index;
    let kernel = Arc::make_mut(&mut facts.kernel);
    let is_default = |route: &&mut Route| route.oif == Some(eth0) && route.destination.prefix_len() == 0;
    let main = kernel.routes.iter_mut().find(is_default).unwrap();
    main.metric = 100;
    let other = Route { table: 77, metric: 7, gateway: "10.0.0.99".parse().ok(), ..main.clone() };
    kernel.routes.insert(0, other);
    let profile =
        "[connection]\nid=lan\ntype=ethernet\n\n[ipv4]\naddress1=10.0.0.8/16,10.0.0.2\nmethod=manual\n";
    let owner = Owner::NetworkManager {
        profile: Text {
            path: "/etc/NetworkManager/system-connections/lan.nmconnection".into(),
            text: profile.to_owned(),
        },
        others: Vec::new(),
        uuid: "old".to_owned(),
        fresh: ["bridge".to_owned(), "port".to_owned()],
        checkpoint: false,
    };
    let evidence = Evidence { owners: vec![owner], ..Evidence::default() };
    let want = BridgeWant::Create {
        bridge: name("br0"),
        port: name("eth0"),
        stp: Stp::Off,
        address: Addressing::Static("10.0.0.88/16".parse().unwrap()),
        persist: Lasting::Auto,
    };
    let plan = plan::plan(&host(facts), &evidence, &want).unwrap();
    let written: String = plan.lasting.iter().filter_map(|file| file.after.clone()).collect();
    assert!(written.contains("route-metric=100\n") && !written.contains("route-metric=7\n"), "{written}");
    assert!(written.contains("address1=10.0.0.88/16,10.0.0.2\n"), "{written}");
}

/// Without its default route the host may be out of reach: that is not the old state.
#[test]
fn the_old_state_is_not_seen_without_its_routes() {
    let seen = |plan: &BridgePlan, change: &dyn Fn(&mut Route)| {
        let mut kernel = (*host(facts()).kernel).clone();
        let eth0 = kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().index;
        let is_default = |route: &&mut Route| route.oif == Some(eth0) && route.gateway.is_some();
        change(kernel.routes.iter_mut().find(is_default).unwrap());
        plan.before.missing(&kernel)
    };
    let mut plan = create(&host(facts()), "br0", "eth0").unwrap();
    let proven: Vec<String> = plan.after.routes.iter().map(|way| format!("{way} on {}", way.link)).collect();
    assert_eq!(proven, ["default via 10.0.0.2 on br0"]);
    assert_eq!(seen(&plan, &|_| {}), None);
    let missing = Some("the route default via 10.0.0.2 is not on eth0".to_owned());
    assert_eq!(seen(&plan, &|route| route.oif = None), missing);
    assert_eq!(seen(&plan, &|route| route.table = 77), missing);
    assert_eq!(seen(&plan, &|route| route.metric = 7), missing);
    plan.before.leave_metrics();
    assert_eq!(seen(&plan, &|route| route.metric = 7), None);
    assert_eq!(seen(&plan, &|route| route.gateway = "10.0.0.3".parse().ok()), missing);
    // Routers announce theirs in their own time.
    let mut facts = facts();
    let eth0 = facts.kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().index;
    let routes = &mut Arc::make_mut(&mut facts.kernel).routes;
    let default = routes.iter_mut().find(|route| route.oif == Some(eth0) && route.gateway.is_some()).unwrap();
    "ra".clone_into(&mut default.protocol);
    assert_eq!(create(&host(facts), "br0", "eth0").unwrap().before.routes, []);
}

/// A router's link-local address says nothing without its link.
#[test]
fn a_gateway_is_asked_by_its_link() {
    let mut facts = facts();
    let eth0 = facts.kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().index;
    let routes = &mut Arc::make_mut(&mut facts.kernel).routes;
    let default = routes.iter_mut().find(|route| route.oif == Some(eth0) && route.gateway.is_some()).unwrap();
    let protocol = "ra".to_owned();
    let announced = Route {
        protocol,
        destination: "::/0".parse().unwrap(),
        gateway: "fe80::1".parse().ok(),
        ..default.clone()
    };
    routes.push(announced);
    let plan = create(&host(facts), "br0", "eth0").unwrap();
    let row = plan.picture.iter().find(|row| row.before == "default via fe80::1 dev eth0").unwrap();
    assert_eq!(row.after, "as router fe80::1 announces on br0");
    let gateway = |address: &str| Gateway {
        address: address.parse().unwrap(),
        before: name("eth0"),
        after: name("br0"),
    };
    assert_eq!(plan.gateways, [gateway("10.0.0.2"), gateway("fe80::1")]);
    let lines = by_hand::commands(&plan);
    assert!(lines.iter().any(|line| line.starts_with("ping -c 1 fe80::1%br0 ")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("ip route add default via fe80::1")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("ping -c 1 10.0.0.2 ")), "{lines:#?}");
}

#[test]
fn a_bridge_that_somebody_else_made_is_left_to_its_maker() {
    let snapshot = host(facts());
    let mut plan = create(&snapshot, "br0", "eth0").unwrap();
    let mut kernel = (*snapshot.kernel).clone();
    let mut own = kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().clone();
    own.name = name("br0");
    let mut other = own.clone();
    other.mac = "52:54:00:00:00:01".parse().ok();
    assert!(plan.made(&own, &kernel) && !plan.made(&other, &kernel));

    kernel.links.push(other);
    assert_eq!(plan.before.appeared(&kernel).as_deref(), Some("somebody has made br0 meanwhile"));
    assert!(plan.before.missing(&kernel).is_some());
    plan.leave_bridge();
    let [Step::Detach { port }, Step::Restore { link, .. }] = plan.undo.as_slice() else {
        panic!("{:?}", plan.undo)
    };
    assert_eq!((*port, *link), (name("eth0"), name("eth0")));
    assert_eq!(plan.before.missing(&kernel), None);
}

#[test]
fn the_clients_of_somebody_elses_bridge_are_left_alone() {
    let (bridge, port, address, persist) = (name("br0"), name("eth0"), Addressing::Dhcp, Lasting::Auto);
    let want = BridgeWant::Create { bridge, port, stp: Stp::Off, address, persist };
    let argv = ["dhclient", "eth0"].map(str::to_owned).to_vec();
    let client = Client { pid: 7, program: "/usr/sbin/dhclient".into(), argv };
    let command = Some(vec!["udhcpc".to_owned()]);
    for clients in [vec![client], Vec::new()] {
        let evidence =
            Evidence { clients: Some(clients), client_command: command.clone(), ..Evidence::default() };
        let mut plan = plan::plan(&host(facts()), &evidence, &want).unwrap();
        let ends = |step: &Step| match step {
            Step::MoveClient { from, .. } => *from == bridge,
            Step::StopClient { link } => *link == bridge,
            _ => false,
        };
        assert!(plan.undo.iter().any(ends), "{:?}", plan.undo);
        plan.leave_bridge();
        assert!(!plan.undo.iter().any(ends), "{:?}", plan.undo);
    }
}

#[test]
fn the_commands_by_hand_move_addresses_and_routes_in_one_line() {
    let plan = create(&host(facts()), "br0", "eth0").unwrap();
    let lines = by_hand::commands(&plan);
    let moving: Vec<&String> = lines.iter().filter(|line| line.contains("ip address del")).collect();
    let expected = "ip address del 10.0.0.8/16 dev eth0; ip address add 10.0.0.8/16 dev br0; \
                    ip route add default via 10.0.0.2 dev br0";
    assert_eq!(moving, [expected]);
    let mut facts = facts();
    let eth0 = facts.kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().index;
    let routes = &mut Arc::make_mut(&mut facts.kernel).routes;
    let default = routes.iter_mut().find(|route| route.oif == Some(eth0) && route.gateway.is_some()).unwrap();
    (default.gateway, default.onlink) = ("203.0.113.1".parse().ok(), true);
    let lines = by_hand::commands(&create(&host(facts), "br0", "eth0").unwrap());
    let onlink = "ip route add default via 203.0.113.1 dev br0 onlink";
    assert!(lines.iter().any(|line| line.ends_with(onlink)), "{lines:#?}");
}

#[test]
fn a_leased_address_without_a_known_client_is_refused() {
    let want = BridgeWant::Create {
        bridge: name("br0"),
        port: name("eth0"),
        stp: Stp::Off,
        address: Addressing::Move,
        persist: Lasting::Auto,
    };
    let looked = Evidence { clients: Some(Vec::new()), ..Evidence::default() };
    assert!(plan::plan(&host(facts()), &looked, &want).is_ok());
    let mut facts = facts();
    let eth0 = facts.kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().index;
    for address in &mut Arc::make_mut(&mut facts.kernel).addresses {
        address.permanent &= address.index != eth0;
    }
    let snapshot = host(facts);
    let told = plan::plan(&snapshot, &looked, &want).unwrap_err();
    assert!(told.reason.starts_with("10.0.0.8/16 on eth0 is lent by a DHCP server"), "{told}");
    assert!(told.way_out.contains("valid_lft forever"), "{told}");
    let wicked = Evidence { stranger: Some("wicked"), ..looked.clone() };
    assert!(reason(plan::plan(&snapshot, &wicked, &want)).contains("wicked runs here"));
    // A client that is known goes along, and where nobody looked nothing is claimed.
    let argv = vec!["udhcpc".to_owned(), "-i".to_owned(), "eth0".to_owned()];
    let client = Client { pid: 1, program: "/bin/busybox".into(), argv };
    let known = Evidence { clients: Some(vec![client.clone()]), ..looked.clone() };
    let plan = plan::plan(&snapshot, &known, &want).unwrap();
    assert!(plan.steps.iter().any(|step| matches!(step, Step::MoveClient { .. })), "{:?}", plan.steps);
    // One that asks for an IPv6 address does not renew it.
    let six = Client { argv: ["dhclient", "-6", "eth0"].map(str::to_owned).to_vec(), ..client };
    let other = Evidence { clients: Some(vec![six]), ..looked };
    assert!(reason(plan::plan(&snapshot, &other, &want)).contains("lent by a DHCP server"));
    assert!(plan::plan(&snapshot, &Evidence::default(), &want).is_ok());
}

/// ifupdown with `inet dhcp` and `inet6 dhcp` runs two.
#[test]
fn every_dhcp_client_of_the_nic_goes_along() {
    let client = |pid: i32, words: &str| {
        let argv = words.split(' ').map(str::to_owned).collect();
        Client { pid, program: "/usr/sbin/dhclient".into(), argv }
    };
    let want = |address: Addressing| BridgeWant::Create {
        bridge: name("br0"),
        port: name("eth0"),
        stp: Stp::Off,
        address,
        persist: Lasting::Auto,
    };
    let four = client(7, "/sbin/dhclient -4 -pf /run/dhclient.eth0.pid eth0");
    let six = client(8, "/sbin/dhclient -6 -pf /run/dhclient6.eth0.pid eth0");
    let both = Evidence { clients: Some(vec![four.clone(), six.clone()]), ..Evidence::default() };
    let snapshot = host(facts());
    let plan = plan::plan(&snapshot, &both, &want(Addressing::Move)).unwrap();
    let moved = |steps: &[Step]| -> Vec<String> {
        let client = |step: &Step| match step {
            Step::MoveClient { program, argv, .. }
                if program == std::path::Path::new("/usr/sbin/dhclient") =>
            {
                Some(format!("{}: {}", step.text(), argv.join(" ")))
            }
            _ => None,
        };
        steps.iter().filter_map(client).collect()
    };
    assert_eq!(
        moved(&plan.steps),
        [
            "let the DHCP client of eth0 run on br0: /sbin/dhclient -4 -pf /run/dhclient.br0.pid br0",
            "let the DHCPv6 client of eth0 run on br0: /sbin/dhclient -6 -pf /run/dhclient6.br0.pid br0",
        ]
    );
    assert_eq!(
        moved(&plan.undo),
        [
            "let the DHCP client of br0 run on eth0: /sbin/dhclient -4 -pf /run/dhclient.eth0.pid eth0",
            "let the DHCPv6 client of br0 run on eth0: /sbin/dhclient -6 -pf /run/dhclient6.eth0.pid eth0",
        ]
    );
    // With another address its client would bring the old one back.
    let given = Addressing::Static("10.0.0.88/16".parse().unwrap());
    let plan = plan::plan(&snapshot, &both, &want(given)).unwrap();
    assert_eq!(plan.keep.first(), Some(&Step::StopClient { link: name("br0") }));
    // The client of IPv6 gets the bridge no IPv4 address.
    let command = Some(vec!["udhcpc".to_owned()]);
    let only_six = Evidence { clients: Some(vec![six]), client_command: command, ..Evidence::default() };
    let plan = plan::plan(&snapshot, &only_six, &want(Addressing::Dhcp)).unwrap();
    assert!(plan.steps.iter().any(|step| matches!(step, Step::Call { .. })), "{:?}", plan.steps);
    // Two for the same cannot both be right.
    let again = client(9, "dhclient eth0");
    let twice = Evidence { clients: Some(vec![four, again]), ..Evidence::default() };
    let told = reason(plan::plan(&snapshot, &twice, &want(Addressing::Move)));
    assert!(told.starts_with("two DHCP clients run on eth0") && told.contains("dhclient eth0 (9)"), "{told}");
}

#[tokio::test]
async fn a_change_that_another_one_replaced_is_followed_no_longer() {
    let directory = tempfile::tempdir().unwrap();
    let records = Records::at(directory.path());
    let lock = records.lock().unwrap();
    let patience = Duration::from_secs(60);
    let first = create(&host(facts()), "br0", "eth0").unwrap();
    let first = records.prepare(first, patience, Timestamp(7)).unwrap();
    let second = create(&host(facts()), "br1", "eth0").unwrap();
    records.prepare(second, patience, Timestamp(8)).unwrap();
    let follow = course::follow(&records, first, |record| record.progress.is_final());
    let ended = tokio::time::timeout(Duration::from_secs(5), follow).await.unwrap();
    assert_eq!(ended.begun, Timestamp(7));
    let Progress::Failed { known } = ended.progress else { panic!("{:?}", ended.progress) };
    assert!(known.contains("make bridge br1 over eth0"), "{known}");
    drop(lock);
}

#[test]
fn addresses_of_a_port_are_moved_under_a_session_at_a_risk_and_never_beside_others() {
    let want = BridgeWant::MoveAddresses { port: name("eth1"), bridge: name("virbr1") };
    let plan_of = |facts: Facts| plan::plan(&host(facts), &Evidence::default(), &want);
    let with_address = |on: &[&str]| {
        let mut facts = facts();
        let kernel = Arc::make_mut(&mut facts.kernel);
        let index = |wanted: &str| kernel.links.iter().find(|link| link.name == name(wanted)).unwrap().index;
        let indices: Vec<_> = on.iter().map(|link| index(link)).collect();
        let mut address = kernel.addresses.iter().find(|found| found.index == index("eth0")).unwrap().clone();
        for (last, index) in (7..).zip(indices) {
            address.index = index;
            address.address = format!("192.0.2.{last}/24").parse().unwrap();
            kernel.addresses.push(address.clone());
        }
        facts
    };
    let mut facts = with_address(&["eth1"]);
    assert_eq!(plan_of(facts.clone()).unwrap().risk, None);
    facts.host.ssh_peer = "192.0.2.1".parse().ok();
    facts.host.ssh_link = Some(name("eth1"));
    let planned = plan_of(facts.clone()).unwrap();
    assert_eq!(planned.risk.as_deref(), Some("this path carries your session: 192.0.2.1 → eth1"));
    let address = "192.0.2.7/24".parse().unwrap();
    assert_eq!(planned.before.addresses, [(name("eth1"), address)]);
    assert_eq!(planned.after.addresses, [(name("virbr1"), address)]);
    assert!(
        planned.before.missing(&facts.kernel).is_none() && planned.after.missing(&facts.kernel).is_some()
    );
    let refused = plan_of(with_address(&["eth1", "virbr1"])).unwrap_err();
    assert!(refused.reason.starts_with("virbr1 has 192.0.2.8/24 of its own"), "{refused}");
    assert_eq!(plan_of(self::facts()).unwrap_err().reason, "eth1 has no address");
}

#[test]
fn the_link_of_the_session_is_a_risk() {
    let mut facts = facts();
    facts.host.ssh_peer = "10.0.0.1".parse().ok();
    facts.host.ssh_link = Some(name("eth0"));
    let risk = create(&host(facts), "br0", "eth0").unwrap().risk.unwrap();
    assert_eq!(risk, "this path carries your session: 10.0.0.1 → eth0");
}

#[test]
fn what_cannot_be_a_port_is_refused_with_the_reason() {
    let snapshot = host(facts());
    let tap = snapshot.kernel.links.iter().find(|link| link.kind == LinkKind::Tap).unwrap().name.to_string();
    assert_eq!(reason(create(&snapshot, "br0", "eth1")), "eth1 is already a port of virbr1");
    assert_eq!(reason(create(&snapshot, "virbr1", "eth0")), "virbr1 is there already");
    assert_eq!(reason(create(&snapshot, "br0", "virbr0")), "virbr0 is a bridge itself");
    assert_eq!(reason(create(&snapshot, "br0", "nope0")), "there is no link nope0");
    assert_eq!(reason(create(&snapshot, "br0", "lo")), "loopback cannot be a port");
    assert!(create(&snapshot, "br0", &tap).is_err());
    let mut facts = facts();
    let kernel = Arc::make_mut(&mut facts.kernel);
    kernel.links.iter_mut().find(|link| link.name == name("eth0")).unwrap().wireless = true;
    assert!(reason(create(&host(facts), "br0", "eth0")).contains("Wi-Fi"));
}

#[test]
fn a_nic_with_macvtaps_is_refused_with_their_names() {
    let mut facts = facts();
    let kernel = Arc::make_mut(&mut facts.kernel);
    let eth0 = kernel.links.iter().find(|link| link.name == name("eth0")).unwrap().clone();
    let mut macvtap = eth0.clone();
    macvtap.name = name("macvtap7");
    macvtap.index = virt_net::model::IfIndex(9_999);
    macvtap.lower = Some(eth0.index);
    macvtap.lower_elsewhere = false;
    macvtap.kind = LinkKind::Macvtap { mode: MacvtapMode::Bridge };
    kernel.links.push(macvtap);
    assert_eq!(reason(create(&host(facts), "br0", "eth0")), "macvtaps are on eth0: macvtap7");
}

#[test]
fn a_bridge_in_use_is_not_deleted() {
    let snapshot = host(facts());
    let delete = |bridge: &str| {
        let want = BridgeWant::Delete { bridge: name(bridge), persist: Lasting::Auto };
        plan::plan(&snapshot, &Evidence::default(), &want)
    };
    assert_eq!(reason(delete("virbr0")), "network default uses it");
    assert_eq!(reason(delete("eth0")), "eth0 is no bridge");
}

/// What the way back could not restore is not taken away.
#[test]
fn settings_that_the_way_back_would_lose_are_a_reason_against() {
    let remove = |change: &dyn Fn(&mut BridgeInfo, &mut PortInfo)| {
        let mut facts = facts();
        let kernel = Arc::make_mut(&mut facts.kernel);
        let (mut info, mut port) = (BridgeInfo::default(), None);
        for link in &mut kernel.links {
            match &mut link.kind {
                LinkKind::Bridge(own) if link.name == name("virbr1") => info = own.clone(),
                _ if link.name == name("eth1") => port = link.port.clone(),
                _ => {}
            }
        }
        let mut port = port.unwrap();
        change(&mut info, &mut port);
        for link in &mut kernel.links {
            match &mut link.kind {
                LinkKind::Bridge(own) if link.name == name("virbr1") => *own = info.clone(),
                _ if link.name == name("eth1") => link.port = Some(port.clone()),
                _ => {}
            }
        }
        let want =
            BridgeWant::RemovePort { bridge: name("virbr1"), port: name("eth1"), persist: Lasting::Auto };
        plan::plan(&host(facts), &Evidence::default(), &want)
    };
    let plan = remove(&|_, port| port.isolated = true).unwrap();
    let Some(Step::SetPort { port, like }) = plan.undo.last() else { panic!("{:?}", plan.undo) };
    assert!(*port == name("eth1") && like.isolated);
    let filtered = reason(remove(&|info, _| info.vlan_filtering = true));
    assert_eq!(filtered, "virbr1 filters VLANs, and the way back would lose those of its ports");
    let guarded = reason(remove(&|_, port| port.other = vec!["guard on".to_owned()]));
    assert_eq!(guarded, "the way back would lose settings of port eth1: guard on");
}

#[test]
fn a_link_with_an_address_is_no_port() {
    let snapshot = host(facts());
    let (bridge, port, persist) = (name("virbr1"), name("eth0"), Lasting::Auto);
    let want = BridgeWant::AddPort { bridge, port, persist };
    assert_eq!(
        reason(plan::plan(&snapshot, &Evidence::default(), &want)),
        "eth0 has 10.0.0.8/16, which a port cannot use"
    );
}

#[test]
fn only_one_change_at_a_time_and_answers_are_for_one_change() {
    let directory = tempfile::tempdir().unwrap();
    let records = Records::at(directory.path());
    assert_eq!(records.read(), None);
    let lock = records.lock().unwrap();
    assert!(matches!(records.lock(), Err(RecordError::Busy)));
    let plan = create(&host(facts()), "br0", "eth0").unwrap();
    let record = records.prepare(plan, Duration::from_secs(60), Timestamp(7)).unwrap();
    assert_eq!(record.progress, Progress::Prepared);
    assert_eq!(records.read(), Some(record));
    records.answer(Timestamp(6), Answer::Confirm).unwrap();
    assert_eq!(records.answered(Timestamp(7)), None);
    records.answer(Timestamp(7), Answer::Rollback).unwrap();
    assert_eq!(records.answered(Timestamp(7)), Some(Answer::Rollback));
    // One that comes late for the change before does not take its place.
    records.answer(Timestamp(6), Answer::Confirm).unwrap();
    assert_eq!(records.answered(Timestamp(7)), Some(Answer::Rollback));
    drop(lock);
    assert!(records.lock().is_ok());
}

/// The agent and those who answer it are processes of their own.
#[test]
fn the_record_and_an_answer_are_written_at_the_same_time() {
    let directory = tempfile::tempdir().unwrap();
    let records = Records::at(directory.path());
    let _lock = records.lock().unwrap();
    // What a writer has left that was killed: no process has that number.
    let dead = directory.path().join("bridge.json.4194305-0.new");
    std::fs::write(&dead, "half").unwrap();
    let plan = create(&host(facts()), "br0", "eth0").unwrap();
    let mut record = records.prepare(plan, Duration::from_secs(60), Timestamp(7)).unwrap();
    let others = [0, 1].map(|_| {
        let records = records.clone();
        std::thread::spawn(move || {
            for _ in 0..200 {
                records.answer(Timestamp(7), Answer::Confirm).unwrap();
                assert_eq!(records.answered(Timestamp(7)), Some(Answer::Confirm));
            }
        })
    });
    for done in 0..200 {
        record.progress = Progress::Applying { done, doing: "wait".to_owned() };
        records.write(&record).unwrap();
        assert_eq!(records.read().as_ref(), Some(&record));
    }
    for other in others {
        other.join().unwrap();
    }
    let mut left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["bridge.answer", "bridge.json", "bridge.lock"]);
}

#[test]
fn a_change_of_an_earlier_boot_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let records = Records::at(directory.path());
    let _lock = records.lock().unwrap();
    let plan = create(&host(facts()), "br0", "eth0").unwrap();
    let mut record = records.prepare(plan, Duration::from_secs(60), Timestamp(7)).unwrap();
    record.boot = "another".to_owned();
    records.write(&record).unwrap();
    assert_eq!(records.read(), None);
}

/// A reboot between the confirmation and the last file: forward, and the bridge can be deleted later.
#[tokio::test]
async fn what_was_confirmed_is_kept_and_remembered_over_a_reboot() {
    let directory = tempfile::tempdir().unwrap();
    let records = Records::at(directory.path());
    let file = FileChange {
        path: directory.path().join("interfaces"),
        before: Some("old\n".to_owned()),
        after: Some("new\n".to_owned()),
        mode: 0o644,
    };
    let mut plan = create(&host(facts()), "br0", "eth0").unwrap();
    plan.backend = Some(Backend::Ifupdown);
    plan.memory = Some(Memory { backend: Backend::Ifupdown, down: Vec::new(), up: Vec::new() });
    plan.lasting = vec![file.clone()];
    let cut_off = |plan: &BridgePlan, found: &str| {
        std::fs::write(&file.path, found).unwrap();
        let _ = records.keep(plan.bridge, None);
        let _lock = records.lock().unwrap();
        let mut record = records.prepare(plan.clone(), Duration::from_secs(60), Timestamp(7)).unwrap();
        record.boot = "another".to_owned();
        record.progress = Progress::Keeping;
        records.write(&record).unwrap();
    };
    // The file was in place already: the boot has read it.
    cut_off(&plan, "new\n");
    let record = agent::recover(&records).await.unwrap();
    assert_eq!(record.progress, Progress::Confirmed);
    assert_eq!(records.kept(name("br0")).unwrap().files.as_slice(), std::slice::from_ref(&file));
    // It was not: the boot has read the old one.
    cut_off(&plan, "old\n");
    let record = agent::recover(&records).await.unwrap();
    let told = course::words(&record);
    assert!(told.contains("from the next boot on"), "{told}");
    assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "new\n");
    assert_eq!(records.kept(name("br0")).unwrap().files.as_slice(), std::slice::from_ref(&file));
    // Nobody wrote it down: it is gone, and that the old state was seen is not claimed.
    let until_then = BridgePlan { backend: None, memory: None, lasting: Vec::new(), ..plan };
    cut_off(&until_then, "old\n");
    let told = course::words(&agent::recover(&records).await.unwrap());
    assert!(told.starts_with("taken back") && told.contains("it was to last until then"), "{told}");
    assert!(!told.contains("seen"), "{told}");
    assert_eq!(agent::recover(&records).await, None);
}

/// systemd starts one again whose change somebody else has brought to its end meanwhile.
#[tokio::test]
async fn an_agent_carries_out_the_change_that_it_was_started_for_and_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let records = Records::at(directory.path());
    let plan = create(&host(facts()), "br0", "eth0").unwrap();
    records.prepare(plan, Duration::from_secs(60), Timestamp(7)).unwrap();
    let earlier = Some(Timestamp(6));
    agent::run(directory.path(), agent::Lock::Inherited, earlier).await.unwrap();
    assert_eq!(records.read().unwrap().progress, Progress::Prepared);
}

/// A unit whose DHCP client lives is there for long, and with it its name.
#[test]
fn each_change_has_a_unit_of_its_own_with_time_to_take_it_back() {
    let unit = |begun: u64| {
        agent::unit("/usr/bin/virt-net".as_ref(), "/var/lib/virt-net".as_ref(), Timestamp(begun))
    };
    let named = |begun: u64| unit(begun).into_iter().find(|word| word.starts_with("--unit="));
    assert_eq!(named(7).as_deref(), Some("--unit=virt-net-bridge-7"));
    assert_ne!(named(7), named(8));
    assert!(unit(7).contains(&"--property=TimeoutStopSec=600".to_owned()));
    assert!(
        unit(7).ends_with(
            &["bridge-agent", "--take-lock", "--begun", "7", "/var/lib/virt-net"].map(str::to_owned)
        )
    );
}
