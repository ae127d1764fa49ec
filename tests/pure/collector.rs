//! The collector keeps the last facts of a source that fails, and tells structure from figures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::model::facts::{HostFacts, LibvirtFacts};
use virt_net::model::ids::IfIndex;
use virt_net::model::kernel::{Address, BridgeInfo, Counters, KernelFacts, Link, LinkKind, Neighbour, Route};
use virt_net::model::{SourceState, Timestamp};
use virt_net::source::Update;
use virt_net::source::collector::Collector;

fn link(index: u32, name: &str, kind: LinkKind) -> Link {
    let json = serde_json::json!({
        "index": index, "name": name, "mac": null, "mtu": 1500, "up": true, "carrier": true,
        "oper_state": "up", "master": null, "lower": null, "kind": {"kind": "device"}, "port": null,
    });
    Link { kind, ..serde_json::from_value(json).unwrap() }
}

fn kernel() -> KernelFacts {
    let mut tap = link(5, "vnet0", LinkKind::Tap);
    tap.master = Some(IfIndex(4));
    KernelFacts {
        links: vec![
            link(2, "eth0", LinkKind::Device),
            link(4, "virbr0", LinkKind::Bridge(BridgeInfo::default())),
            tap,
        ],
        addresses: vec![Address {
            index: IfIndex(2),
            address: "10.0.0.8/16".parse().unwrap(),
            scope: "global".to_owned(),
            permanent: true,
        }],
        routes: vec![Route {
            destination: "10.0.0.0/16".parse().unwrap(),
            gateway: None,
            oif: Some(IfIndex(2)),
            metric: 0,
            prefsrc: None,
            table: 254,
            protocol: "kernel".to_owned(),
            linkdown: false,
            onlink: false,
            kind: "unicast".to_owned(),
        }],
        ..KernelFacts::default()
    }
}

fn read(facts: KernelFacts) -> Update {
    Update::Kernel { state: SourceState::Ok, facts: Some(Arc::new(facts)) }
}

fn down() -> SourceState {
    SourceState::Down { since: Timestamp(7), error: "gone".to_owned() }
}

#[test]
fn a_failed_source_keeps_its_last_figures() {
    let mut collector = Collector::new(HostFacts::default());
    collector.take(read(kernel()));
    collector.take(Update::Kernel { state: down(), facts: None });
    let snapshot = collector.join();
    assert_eq!(snapshot.kernel.links.len(), 3);
    assert_eq!(snapshot.health.kernel, down());
    collector.take(read(KernelFacts::default()));
    let snapshot = collector.join();
    assert_eq!((snapshot.kernel.links.len(), &snapshot.health.kernel), (0, &SourceState::Ok));
}

#[test]
fn a_daemon_that_went_keeps_its_version() {
    let mut collector = Collector::new(HostFacts::default());
    let facts = Some(Arc::new(LibvirtFacts::default()));
    collector.take(Update::Libvirt { state: SourceState::Ok, facts, version: Some("9.0.0".to_owned()) });
    collector.take(Update::Libvirt { state: down(), facts: None, version: None });
    assert_eq!(collector.join().host.libvirt_version.as_deref(), Some("9.0.0"));
}

#[test]
fn figures_are_no_structure() {
    let mut collector = Collector::new(HostFacts::default());
    collector.take(read(kernel()));
    let before = collector.join();
    let counters = [(IfIndex(2), Counters { rx_bytes: 9, ..Counters::default() })];
    collector.take(Update::Counters { at: Timestamp(1_000), table: Arc::new(counters.into()) });
    let mut talked = kernel();
    talked.neighbours.push(Neighbour {
        index: IfIndex(2),
        address: "10.0.0.1".parse().unwrap(),
        mac: "02:00:00:00:00:01".parse().unwrap(),
        state: "reachable".to_owned(),
    });
    collector.take(read(talked));
    let after = collector.join();
    assert_eq!(after.structure, before.structure);
    assert!(after.generation > before.generation);
}

#[test]
fn a_moved_port_is_structure_and_asks_libvirt() {
    let mut collector = Collector::new(HostFacts::default());
    collector.take(read(kernel()));
    let before = collector.join().structure;
    let mut moved = kernel();
    moved.links[2].master = None;
    let update = read(moved);
    assert!(collector.plugs_moved(&update));
    collector.take(update);
    assert!(collector.join().structure > before);
    assert!(!collector.plugs_moved(&Update::Kernel { state: down(), facts: None }));
}

#[test]
fn the_link_of_the_session_follows_the_route() {
    let host = HostFacts { ssh_peer: "10.0.0.1".parse().ok(), ..HostFacts::default() };
    let mut collector = Collector::new(host);
    assert_eq!(collector.join().host.ssh_link, None);
    collector.take(read(kernel()));
    assert_eq!(collector.join().host.ssh_link, "eth0".parse().ok());
}
