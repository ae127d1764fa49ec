//! PCI NICs and virtual functions: read from trees as sysfs has them, planned for guests of a recorded host, and
//! refused by name. No card is behind it: what libvirt and the kernel do with one is not shown here.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::change::device::{self, NewDevice, attach};
use virt_net::change::undo::{self, Came};
use virt_net::change::{Plan, PowerPlan, Refusal, Verdict, When, nic, power};
use virt_net::model::facts::{Facts, Recording};
use virt_net::model::guest::{AgentAddress, Definition};
use virt_net::model::ids::Timestamp;
use virt_net::model::pci::{Iommu, PciFacts, Processor};
use virt_net::model::rates::History;
use virt_net::model::{DomainId, LinkKind, Mac, NicSource, PciAddress, Snapshot, topology};

use virt_net::path::reach;
use virt_net::path::{self, Answer, Protocol, Question, Way};

use crate::device_tree::{Device, Tree, nic as pci_nic};
use crate::plan::told;

const CARD: &str = "0000:01:00.0";
const VF: [&str; 2] = ["0000:01:10.0", "0000:01:10.2"];
const PLAIN: &str = "0000:03:00.0";

/// A card over the recorded host's eth2 with two functions, the host's own NIC, and one that nobody uses.
fn devices() -> Vec<Device> {
    vec![
        pci_nic(CARD, "ixgbe", "15", "eth2"),
        pci_nic(VF[0], "ixgbevf", "20", "eth2v0"),
        pci_nic(VF[1], "vfio-pci", "21", ""),
        pci_nic("0000:02:00.0", "e1000e", "30", "eth0"),
        pci_nic(PLAIN, "igb", "31", "eth3"),
        Device { class: "0x030000", ..pci_nic("0000:04:00.0", "nouveau", "40", "") },
    ]
}

fn tree() -> Tree {
    let tree = Tree::new(&devices());
    tree.card(CARD, &VF);
    tree
}

fn at(text: &str) -> PciAddress {
    text.parse().unwrap()
}

fn facts(pci: PciFacts) -> Facts {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    let mut facts = recording.frames.into_iter().next().unwrap();
    let kernel = Arc::make_mut(&mut facts.kernel);
    let eth1 = kernel.links.iter().find(|link| link.name.to_string() == "eth1").unwrap().clone();
    for (number, name) in ["eth2", "eth2v0", "eth3"].into_iter().enumerate() {
        let mut link = eth1.clone();
        let number = u8::try_from(number).unwrap();
        link.index.0 = 100 + u32::from(number);
        link.name = name.parse().unwrap();
        link.mac = Some(Mac([0x0c, 0xc4, 0x7a, 0, 0, number]));
        (link.kind, link.master, link.lower, link.port) = (LinkKind::Device, None, None, None);
        link.lower_elsewhere = false;
        kernel.links.push(link);
    }
    facts.pci = PciFacts { read_at: Timestamp(1), ..pci }.into();
    facts
}

fn host(facts: Facts) -> Snapshot {
    topology::join(facts, Arc::new(History::default()), None)
}

fn usual() -> Snapshot {
    host(facts(tree().read()))
}

fn guest(snapshot: &Snapshot, name: &str) -> DomainId {
    snapshot.libvirt.guests.iter().find(|guest| guest.name == name).unwrap().id
}

fn wanted(snapshot: &Snapshot, name: &str, device: &str) -> NewDevice {
    let guest = guest(snapshot, name);
    NewDevice { guest, device: at(device), mac: None, vlan: None, when: When::NowAndNextBoot }
}

#[track_caller]
fn refused(result: Result<Plan, Refusal>, reason: &str, way_out: &str) {
    let refusal = result.unwrap_err();
    assert!(refusal.reason.contains(reason), "{refusal}");
    assert!(refusal.way_out.contains(way_out), "{}", refusal.way_out);
}

/// The host as it is when a plan for a guest that is off has been done.
fn after(plan: &Plan) -> Snapshot {
    let mut facts = facts(tree().read());
    let guests = &mut Arc::make_mut(&mut facts.libvirt).guests;
    let next = guests.iter_mut().find(|guest| guest.name == plan.guest).unwrap().next.as_mut().unwrap();
    let edit = plan.next.as_ref().unwrap();
    let text = if edit.before.is_empty() {
        next.xml.replace("</devices>", &format!("{}</devices>", edit.after))
    } else {
        next.xml.replace(&edit.before, &edit.after)
    };
    *next = Definition::parse(&text).unwrap();
    host(facts)
}

#[test]
fn a_tree_is_read_as_the_devices_that_it_shows() {
    let tree = tree();
    // A bridge in a group is in nobody's way, another device of the card is.
    let bridge = Device { class: "0x060400", ..pci_nic("0000:00:01.0", "pcieport", "31", "") };
    let tree_with =
        Tree::new(&[bridge, pci_nic(PLAIN, "igb", "31", "eth3"), pci_nic("0000:03:00.1", "igb", "31", "")]);
    let facts = tree.read();
    assert_eq!((facts.readable, facts.iommu, facts.processor), (true, Iommu::On, Processor::Intel));
    assert!(!facts.virtual_machine);
    assert_eq!(facts.nics.len(), 5, "the graphics card is no NIC");
    let find = |text: &str| facts.nics.iter().find(|nic| nic.address == at(text)).unwrap();
    let card = find(CARD);
    assert_eq!((card.driver.as_deref(), card.id.as_str()), (Some("ixgbe"), "8086:10ed"));
    assert_eq!((card.functions.clone(), card.most_functions), (VF.map(at).to_vec(), 63));
    assert_eq!(card.links, ["eth2".parse().unwrap()]);
    assert_eq!(find(VF[1]).physical, Some(at(CARD)));
    assert_eq!(find(VF[1]).group.as_ref().map(|group| group.number), Some(21));
    let shared = tree_with.read().nics;
    let others: Vec<PciAddress> =
        shared[0].group.iter().flat_map(|group| &group.others).map(|other| other.address).collect();
    assert_eq!(others, [at("0000:03:00.1")]);
}

#[test]
fn a_virtio_nic_of_a_virtual_machine_is_read_with_its_link() {
    let tree = Tree::new(&[pci_nic("0000:00:03.0", "virtio-pci", "", "virtio2/eth0")]);
    tree.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu svm hypervisor\n");
    let facts = tree.read();
    assert_eq!((facts.iommu, facts.processor, facts.virtual_machine), (Iommu::Off, Processor::Amd, true));
    assert_eq!(facts.nics[0].links, ["eth0".parse().unwrap()]);
}

#[test]
fn a_device_that_comes_goes_or_changes_its_driver_is_seen() {
    let tree = tree();
    let mut bus = tree.bus();
    assert_eq!(bus.read().nics.len(), 5);
    std::fs::remove_file(tree.device(PLAIN).join("driver")).unwrap();
    std::fs::remove_dir_all(tree.device(VF[1])).unwrap();
    let facts = bus.read();
    assert_eq!(facts.nics.len(), 4);
    assert_eq!(facts.nics.iter().find(|nic| nic.address == at(PLAIN)).unwrap().driver, None);
}

fn missing(snapshot: &Snapshot) -> String {
    let all = device::missing(snapshot).into_iter();
    all.flat_map(|missing| [missing.reason, "\n  ".to_owned(), missing.way_out, "\n".to_owned()]).collect()
}

#[test]
fn what_is_missing_is_said() {
    assert_eq!(missing(&usual()), "");
    let intel = Tree::new(&[pci_nic(CARD, "ixgbe", "", "eth2")]);
    intel.card(CARD, &[]);
    let amd = Tree::new(&[pci_nic(CARD, "ixgbe", "", "eth2")]);
    amd.write("proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
    let asked = Tree::new(&[pci_nic(CARD, "ixgbe", "", "eth2")]);
    asked.write("proc/cmdline", "quiet intel_iommu=on\n");
    let virtual_machine = Tree::new(&[]);
    virtual_machine.write("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: hypervisor\n");
    let mut told = String::new();
    for (name, tree) in
        [("Intel", intel), ("AMD", amd), ("asked for", asked), ("virtual machine", virtual_machine)]
    {
        told.push_str(&format!("== {name}\n{}", missing(&host(facts(tree.read())))));
    }
    insta::assert_snapshot!(told);
    let mut elsewhere = facts(tree().read());
    elsewhere.host.foreign_namespace = true;
    assert!(missing(&host(elsewhere)).contains("run virt-net where libvirt runs"));
}

#[test]
fn a_function_is_assigned_to_a_running_guest_with_a_mac_and_a_vlan() {
    let snapshot = usual();
    let new = NewDevice { vlan: Some(42), ..wanted(&snapshot, "centos7", VF[0]) };
    insta::assert_snapshot!(told(&attach(&snapshot, &new).unwrap()));
}

#[test]
fn a_nic_is_assigned_whole_to_a_guest_that_is_off_with_its_own_mac() {
    let snapshot = usual();
    let plan = attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)).unwrap();
    insta::assert_snapshot!(told(&plan));
    // What its definition then says is a NIC of the guest with that address.
    let snapshot = after(&plan);
    let nic = snapshot.nic(plan.nic).unwrap();
    assert_eq!(nic.mac_text(), "0c:c4:7a:00:00:02");
    assert_eq!(nic.source(), Some(&NicSource::Hostdev { address: Some(at(PLAIN)) }));
    assert_eq!((nic.link, nic.counters, nic.rate), (None, None, None));
}

#[test]
fn what_was_assigned_is_removed_and_taken_back_to_the_byte() {
    let before = usual();
    for device in [VF[0], PLAIN] {
        let plan = attach(&before, &wanted(&before, "db01", device)).unwrap();
        let with = after(&plan);
        let gone = nic::remove(&with, plan.nic, When::NowAndNextBoot).unwrap();
        assert_eq!((gone.verdict, gone.live.is_none()), (Verdict::NextBootOnly, true));
        let edit = gone.next.unwrap();
        assert_eq!((edit.before, edit.after.as_str()), (plan.next.clone().unwrap().after, ""));
        let back = undo::plan(&with, &plan, Came::Through).unwrap().unwrap();
        assert_eq!(back.next.unwrap().after, "");
        assert_eq!(undo::plan(&before, &plan, Came::Through), Ok(None), "it is not there any more");
    }
}

#[test]
fn what_carries_anything_of_the_host_is_refused_by_name() {
    let refuse = |change: &dyn Fn(&mut Facts), device: &str, reason: &str, way_out: &str| {
        let mut facts = facts(tree().read());
        change(&mut facts);
        let snapshot = host(facts);
        for when in [When::NowAndNextBoot, When::NextBoot] {
            let new = NewDevice { when, ..wanted(&snapshot, "centos7", device) };
            refused(attach(&snapshot, &new), reason, way_out);
        }
    };
    let eth3 = |facts: &mut Facts, change: &dyn Fn(&mut virt_net::model::Link)| {
        let kernel = Arc::make_mut(&mut facts.kernel);
        change(kernel.links.iter_mut().find(|link| link.name.to_string() == "eth3").unwrap());
    };
    let index = |facts: &Facts, name: &str| {
        facts.kernel.links.iter().find(|link| link.name.to_string() == name).unwrap().index
    };
    refuse(&|_| {}, "0000:02:00.0", "the host has 10.0.0.8/16 on eth0", "");
    refuse(
        &|facts| {
            facts.host.ssh_peer = "10.0.0.1".parse().ok();
            facts.host.ssh_link = "eth0".parse().ok();
        },
        "0000:02:00.0",
        "eth0 carries your own session from 10.0.0.1",
        "another device",
    );
    // The session goes by the bridge that the NIC is a port of.
    let port = |facts: &mut Facts| {
        let bridge = index(facts, "virbr1");
        eth3(facts, &|link| link.master = Some(bridge));
    };
    refuse(&port, PLAIN, "eth3 is a port of virbr1", "bridge remove-port virbr1 eth3");
    refuse(
        &|facts| {
            port(facts);
            facts.host.ssh_link = "virbr1".parse().ok();
        },
        PLAIN,
        "eth3 (by virbr1) carries your own session",
        "",
    );
    refuse(
        &|facts| {
            let below = index(facts, "eth3");
            let kernel = Arc::make_mut(&mut facts.kernel);
            let mut vlan = kernel.links.iter().find(|link| link.name.to_string() == "eth3").unwrap().clone();
            (vlan.index.0, vlan.name) = (200, "eth3.7".parse().unwrap());
            (vlan.kind, vlan.lower) = (LinkKind::Vlan { id: 7 }, Some(below));
            kernel.links.push(vlan);
        },
        PLAIN,
        "eth3.7 sits on eth3",
        "",
    );
    refuse(
        &|facts| {
            let oif = Some(index(facts, "eth3"));
            let kernel = Arc::make_mut(&mut facts.kernel);
            let mut route = kernel.routes[0].clone();
            (route.destination, route.oif) = ("10.9.0.0/16".parse().unwrap(), oif);
            kernel.routes.push(route);
        },
        PLAIN,
        "the host's route 10.9.0.0/16",
        "",
    );
}

#[test]
fn a_link_that_is_not_seen_may_carry_anything() {
    let snapshot = host(facts(Tree::new(&[pci_nic(PLAIN, "igb", "31", "")]).read()));
    refused(attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)), "another network namespace", "lsns");
    let snapshot = host(facts(Tree::new(&[pci_nic(PLAIN, "igb", "31", "eth9")]).read()));
    refused(attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)), "eth9 carries is not known", "");
}

#[test]
fn what_a_guest_cannot_have_is_refused_with_the_reason() {
    let snapshot = usual();
    let device = |device: &str| attach(&snapshot, &wanted(&snapshot, "db01", device));
    refused(device(CARD), "2 virtual functions", "0000:01:10.0, 0000:01:10.2");
    refused(device("0000:09:00.0"), "no such PCI NIC", "nic devices");
    let new = wanted(&snapshot, "db01", PLAIN);
    refused(attach(&snapshot, &NewDevice { vlan: Some(7), ..new.clone() }), "whole", "assign a VF");
    let vf = wanted(&snapshot, "db01", VF[0]);
    refused(attach(&snapshot, &NewDevice { vlan: Some(4095), ..vf.clone() }), "4095 is no VLAN", "");
    let taken = snapshot.nics.iter().find(|nic| nic.guest == "centos7").unwrap().id.mac;
    refused(attach(&snapshot, &NewDevice { mac: Some(taken), ..vf }), "a NIC of centos7", "");

    let off = Tree::new(&[pci_nic(PLAIN, "igb", "", "eth3")]);
    let snapshot = host(facts(off.read()));
    refused(attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)), "the IOMMU is off", "intel_iommu=on");

    let shared =
        Tree::new(&[pci_nic(PLAIN, "igb", "31", "eth3"), pci_nic("0000:03:00.1", "igb", "31", "eth0")]);
    let snapshot = host(facts(shared.read()));
    refused(
        attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)),
        "IOMMU group 31 is shared with 0000:03:00.1 (igb, eth0)",
        "as a whole",
    );
    let free =
        Tree::new(&[pci_nic(PLAIN, "igb", "31", "eth3"), pci_nic("0000:03:00.1", "vfio-pci", "31", "")]);
    let snapshot = host(facts(free.read()));
    assert!(attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)).is_ok());
}

#[test]
fn a_card_that_is_down_is_told_before_libvirt_says_so() {
    let mut facts = facts(tree().read());
    let kernel = Arc::make_mut(&mut facts.kernel);
    kernel.links.iter_mut().find(|link| link.name.to_string() == "eth2").unwrap().up = false;
    let snapshot = host(facts);
    let new = wanted(&snapshot, "centos7", VF[0]);
    refused(attach(&snapshot, &new), "its card eth2 is down", "ip link set eth2 up");
    let later = attach(&snapshot, &NewDevice { when: When::NextBoot, ..new }).unwrap();
    assert!(later.consequences.iter().any(|sentence| sentence.contains("eth2 is down")), "{later:?}");
}

/// What a guest has, in the words of whoever defined it: not by this program.
fn with_hostdev(name: &str, live: bool) -> Facts {
    let element = format!(
        "<hostdev mode='subsystem' type='pci' managed='yes'><source><address {}/></source></hostdev>\
         <hostdev mode='subsystem' type='pci'><source><address domain='0' bus='4' slot='0' function='0'/></source></hostdev>\
         </devices>",
        at(PLAIN).attributes()
    );
    let mut facts = facts(tree().read());
    let guests = &mut Arc::make_mut(&mut facts.libvirt).guests;
    let guest = guests.iter_mut().find(|guest| guest.name == name).unwrap();
    for definition in guest.next.iter_mut().chain(guest.live.as_mut().filter(|_| live)) {
        *definition = Definition::parse(&definition.xml.replace("</devices>", &element)).unwrap();
    }
    facts
}

#[test]
fn a_device_handed_over_by_others_is_a_row_and_can_be_removed() {
    let snapshot = host(with_hostdev("centos7", true));
    let rows: Vec<_> = snapshot
        .nics
        .iter()
        .filter(|nic| nic.guest == "centos7" && matches!(nic.source(), Some(NicSource::Hostdev { .. })))
        .collect();
    let [row] = rows.as_slice() else { panic!("one NIC, and not the graphics card: {rows:?}") };
    assert_eq!((row.mac_text().as_str(), row.pending, row.link), ("–", false, None));
    let gone = nic::remove(&snapshot, row.id, When::NextBoot).unwrap();
    assert!(gone.next.unwrap().before.starts_with("<hostdev"), "its element");
    refused(
        nic::link(&snapshot, row.id, virt_net::change::splice::LinkState::Down, When::NowAndNextBoot),
        "no hold on its cable",
        "",
    );
    // Another guest cannot have it as well while this one runs, and is told so when it is off.
    refused(
        attach(&snapshot, &wanted(&snapshot, "web01", PLAIN)),
        "centos7 has it and runs",
        "nic remove centos7",
    );
    let snapshot = host(with_hostdev("db01", false));
    let plan = attach(&snapshot, &wanted(&snapshot, "centos7", PLAIN)).unwrap();
    assert!(plan.consequences.iter().any(|sentence| sentence.contains("db01 (off) has it")), "{plan:?}");
    refused(attach(&snapshot, &wanted(&snapshot, "db01", PLAIN)), "next boot has it already", "");
}

/// A start that would take a NIC that the host came to use since is the lock-out that the preview has to stop.
#[test]
fn a_guest_is_not_started_with_what_the_host_uses() {
    let start = |facts: Facts| -> Result<PowerPlan, Refusal> {
        let snapshot = host(facts);
        power::plan(&snapshot, guest(&snapshot, "db01"), power::Power::Start)
    };
    assert!(start(with_hostdev("db01", false)).is_ok());
    let mut facts = with_hostdev("db01", false);
    let kernel = Arc::make_mut(&mut facts.kernel);
    let eth3 = kernel.links.iter().find(|link| link.name.to_string() == "eth3").unwrap().index;
    let mut address = kernel.addresses[1].clone();
    (address.index, address.address) = (eth3, "192.0.2.7/24".parse().unwrap());
    kernel.addresses.push(address);
    let refusal = start(facts).unwrap_err();
    assert!(refusal.reason.contains("the host has 192.0.2.7/24 on eth3"), "{refusal}");
}

#[test]
fn what_stands_for_an_address_is_no_address() {
    let place = Mac::of_place(at(PLAIN));
    assert_eq!((place.to_string().as_str(), place.is_real()), ("pci@0000:03:00.0", false));
    assert_eq!("pci@0000:03:00.0".parse(), Ok(place));
    assert!(!Mac::NONE.is_real());
    assert!(Mac([0x52, 0x54, 0, 0, 0, 1]).is_real());
}

/// What goes by a card is not seen here: no relation of such a NIC is told as a yes or a no.
#[test]
fn no_path_of_a_card_of_its_own_is_guessed() {
    let mut facts = facts(tree().read());
    let guests = &mut Arc::make_mut(&mut facts.libvirt).guests;
    let centos7 = guests.iter_mut().find(|guest| guest.name == "centos7").unwrap();
    let element = format!(
        "<interface type='hostdev' managed='yes'><mac address='52:54:00:6d:90:02'/><source><address type='pci' {}/></source>\
         </interface></devices>",
        at(VF[1]).attributes()
    );
    for definition in centos7.live.iter_mut().chain(&mut centos7.next) {
        *definition = Definition::parse(&definition.xml.replace("</devices>", &element)).unwrap();
    }
    let mac = "52:54:00:6d:90:02".parse().unwrap();
    let address = "10.0.7.7/16".parse().unwrap();
    centos7.agent_addresses.push(AgentAddress { mac, name: "eth1".to_owned(), address });
    let snapshot = host(facts);
    let own = snapshot.nics.iter().find(|nic| nic.id.mac == mac).unwrap();
    assert_eq!((own.addresses.len(), own.card.as_deref()), (1, Some("eth2")));
    let others = snapshot.nics.iter().filter(|nic| nic.guest == "web01");
    let others = others.filter_map(|other| reach::matrix(&snapshot, other.id));
    let to_it =
        others.flat_map(|reach| reach.cells).filter(|cell| cell.address == Some(own.addresses[0].address));
    let its_own = reach::matrix(&snapshot, own.id).unwrap().cells;
    let mut seen = 0;
    for cell in its_own.into_iter().chain(to_it) {
        seen += 1;
        assert_eq!(cell.answer, Answer::Unknown, "{cell:?}");
    }
    assert!(seen > 6, "{seen}");
    let question =
        Question { nic: own.id, way: Way::From("10.0.0.8".parse().unwrap()), protocol: Protocol::Ping };
    let path = path::trace(&snapshot, &question).unwrap();
    assert!(path.reason.contains("a device of its own"), "{}", path.reason);
}

/// The recorded host with a running SR-IOV pool of both functions; a guest has the first out of it, or only will.
fn with_pool(runs: bool) -> Facts {
    let mut facts = facts(tree().read());
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let mut pool = libvirt.networks[0].clone();
    let devices: String = VF.map(|vf| format!("<address type='pci' {}/>", at(vf).attributes())).concat();
    let xml = format!(
        "<network><name>pool</name><forward mode='hostdev' managed='yes'><pf dev='eth2'/>{devices}</forward></network>"
    );
    let definition = virt_net::model::network::NetworkDefinition::parse(&xml).unwrap();
    pool.id.0 = [7; 16];
    pool.name = String::from("pool");
    (pool.live, pool.next) = (Some(definition.clone()), Some(definition));
    libvirt.networks.push(pool);
    let guest = libvirt.guests.iter_mut().find(|guest| guest.name == "centos7").unwrap();
    let nic = |kind: &str, source: &str| {
        format!(
            "<interface type='{kind}'><mac address='52:54:00:5a:00:01'/>{source}<address type='pci' domain='0' bus='8' slot='0' function='0'/></interface></devices>"
        )
    };
    let device =
        format!("<driver name='vfio'/><source><address type='pci' {}/></source>", at(VF[0]).attributes());
    for (definition, element) in [
        (guest.live.as_mut().filter(|_| runs), nic("hostdev", &device)),
        (guest.next.as_mut(), nic("network", "<source network='pool'/>")),
    ] {
        let Some(definition) = definition else { continue };
        *definition = Definition::parse(&definition.xml.replace("</devices>", &element)).unwrap();
    }
    facts
}

#[test]
fn a_nic_out_of_a_pool_is_the_pools_whose_device_it_holds() {
    let snapshot = host(with_pool(true));
    let pool = snapshot.network_named("pool").unwrap();
    let nic = snapshot.nics.iter().find(|nic| nic.mac_text() == "52:54:00:5a:00:01").unwrap();
    assert_eq!((nic.device, nic.network, nic.pending), (Some(at(VF[0])), Some(pool.id), false));
    refused(attach(&snapshot, &wanted(&snapshot, "web01", VF[0])), "centos7 has it and runs", "nic remove");

    let gone = nic::remove(&snapshot, nic.id, When::NowAndNextBoot).unwrap();
    assert!(gone.live.as_ref().unwrap().before.contains("type='hostdev'"), "what the guest has");
    let mut without = with_pool(true);
    let guests = &mut Arc::make_mut(&mut without.libvirt).guests;
    let guest = guests.iter_mut().find(|guest| guest.name == "centos7").unwrap();
    for (definition, edit) in [(&mut guest.live, &gone.live), (&mut guest.next, &gone.next)] {
        let definition = definition.as_mut().unwrap();
        *definition = Definition::parse(&definition.xml.replace(&edit.as_ref().unwrap().before, "")).unwrap();
    }
    let back = undo::plan(&host(without), &gone, Came::Through).unwrap().unwrap();
    let live = back.live.unwrap().after;
    assert!(
        live.contains("type='network'") && live.contains("network='pool'"),
        "out of the pool again: {live}"
    );
    assert!(!live.contains("vfio") && !live.contains("slot='0x10'"), "{live}");
}

#[test]
fn a_pool_whose_next_device_is_taken_gives_none() {
    let new = |snapshot: &Snapshot| {
        let target = virt_net::change::Target::Network { network: "pool".to_owned() };
        let guest = guest(snapshot, "db01");
        let (model, when) = ("virtio".to_owned(), When::NowAndNextBoot);
        nic::attach(snapshot, &nic::NewNic { guest, target, model, mac: None, when })
    };
    let plan = new(&host(with_pool(false))).unwrap();
    assert!(!plan.next.unwrap().after.contains("model"), "a device is what its card is");
    assert!(new(&host(with_pool(true))).is_ok(), "the second is free");
    let mut facts = with_pool(false);
    let link = facts.kernel.links.iter().find(|link| link.name.to_string() == "eth2v0").unwrap().index;
    let kernel = Arc::make_mut(&mut facts.kernel);
    let mut address = kernel.addresses[0].clone();
    (address.index, address.address) = (link, "203.0.113.9/24".parse().unwrap());
    kernel.addresses.push(address);
    refused(new(&host(facts)), "libvirt would give it 0000:01:10.0, but the host has 203.0.113.9/24", "");
}
