//! Decodes what a kernel once sent for `tests/fixtures/netlink/setup`, and anything else without panic.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::convert;
use super::raw::{self, RawFacts};
use crate::model::guest::MacvtapMode;
use crate::model::ids::IfName;
use crate::model::kernel::{KernelFacts, Link, LinkKind, PortState};

const PARTS: [&str; 5] = ["links", "addresses", "routes", "neighbours", "fdb"];

fn fixture(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/netlink").join(part).with_extension("bin")
}

fn recorded() -> KernelFacts {
    let [links, addresses, routes, neighbours, fdb] = PARTS.map(|part| std::fs::read(fixture(part)).unwrap());
    convert::facts(&RawFacts { links, addresses, routes, neighbours, fdb })
}

fn named<'a>(facts: &'a KernelFacts, name: &[u8]) -> &'a Link {
    let name = IfName::from_bytes(name).unwrap();
    facts.links.iter().find(|link| link.name == name).unwrap()
}

#[test]
fn every_kind_of_link_is_told_apart() {
    let facts = recorded();
    let kind = |name: &str| named(&facts, name.as_bytes()).kind.clone();
    assert_eq!(kind("lo"), LinkKind::Device);
    assert_eq!(kind("eth0"), LinkKind::Veth);
    assert_eq!(kind("vnet0"), LinkKind::Tap);
    assert_eq!(kind("tun0"), LinkKind::Tun);
    assert_eq!(kind("macvtap0"), LinkKind::Macvtap { mode: MacvtapMode::Bridge });
    assert_eq!(kind("macvlan0"), LinkKind::Macvlan { mode: MacvtapMode::Private });
    let LinkKind::Bridge(bridge) = kind("br0") else { panic!("br0 is a bridge") };
    assert_eq!(bridge.bridge_id, "8000.525400ef6aec");
    assert_eq!((bridge.stp, bridge.forward_delay), (true, 200));
}

#[test]
fn links_know_their_master_and_lower_link() {
    let facts = recorded();
    let index = |name: &str| Some(named(&facts, name.as_bytes()).index);
    assert_eq!(named(&facts, b"vnet0").master, index("br0"));
    assert_eq!(named(&facts, b"macvtap0").lower, index("eth0"));
    assert_eq!(named(&facts, b"macvtap0").master, None);
    assert_eq!(named(&facts, b"eth1").mtu, 1400);
    assert!(named(&facts, b"lo").loopback);
}

#[test]
fn port_data_is_read() {
    let facts = recorded();
    let port = named(&facts, b"vnet0").port.clone().unwrap();
    assert!(port.isolated && port.hairpin && port.learning);
    assert_eq!(port.cost, 7);
    // A tap without a program at its other end has no carrier.
    assert_eq!(port.state, PortState::Disabled);
    assert_eq!(named(&facts, b"eth1").port.as_ref().unwrap().state, PortState::Listening);
    assert_eq!(named(&facts, b"br0").port, None);
}

#[test]
fn names_and_aliases_that_are_not_utf8_hide_no_link() {
    let facts = recorded();
    assert_eq!(named(&facts, b"bad\xffname").name.to_string(), r"bad\xffname");
    assert_eq!(named(&facts, b"esc\x1b[1m").name.to_string(), r"esc\x1b[1m");
    assert!(named(&facts, b"peer1").up);
}

#[test]
fn addresses_are_the_hosts_end() {
    let facts = recorded();
    let on = |name: &str| -> Vec<String> {
        let index = named(&facts, name.as_bytes()).index;
        let global = facts.addresses.iter().filter(|a| a.index == index && a.scope == "global");
        global.map(|a| a.address.to_string()).collect()
    };
    assert_eq!(on("br0"), ["192.168.122.1/24"]);
    assert_eq!(on("eth0"), ["10.0.0.8/16", "2001:db8::8/64"]);
    assert_eq!(on("tun0"), ["10.1.0.1/32"]);
    assert!(facts.addresses.iter().filter(|a| a.scope == "global").all(|a| a.permanent));
}

#[test]
fn routes_are_in_the_words_of_ip_route() {
    let facts = recorded();
    let eth0 = Some(named(&facts, b"eth0").index);
    let to = |net: &str| {
        let net = net.parse().unwrap();
        facts.routes.iter().find(|route| route.destination == net && route.kind != "local").unwrap()
    };
    let default = to("0.0.0.0/0");
    assert_eq!((default.oif, default.metric, default.table), (eth0, 100, 254));
    assert_eq!(default.gateway, "10.0.0.2".parse().ok());
    assert_eq!(default.protocol, "boot");
    let kernel = to("10.0.0.0/16");
    assert_eq!((kernel.protocol.as_str(), kernel.prefsrc), ("kernel", "10.0.0.8".parse().ok()));
    let several = to("172.16.0.0/12");
    assert_eq!((several.oif, several.gateway), (eth0, "10.0.0.2".parse().ok()));
    assert_eq!((to("192.0.2.0/24").kind.as_str(), to("192.0.2.0/24").oif), ("blackhole", None));
    assert_eq!(to("198.51.100.0/24").table, 77);
    assert_eq!(to("::/0").gateway, "2001:db8::1".parse().ok());
    assert!(facts.routes.iter().all(|route| !matches!(route.kind.as_str(), "local" | "broadcast")));
}

#[test]
fn neighbours_and_learned_macs_are_read() {
    let facts = recorded();
    let seen: Vec<String> =
        facts.neighbours.iter().map(|seen| format!("{} {}", seen.address, seen.mac)).collect();
    assert_eq!(seen, ["10.0.0.2 02:00:00:00:00:99"]);
    let vnet0 = named(&facts, b"vnet0").index;
    let guest = "52:54:00:aa:fc:1c".parse().unwrap();
    let entry = facts.fdb.iter().find(|entry| entry.mac == guest).unwrap();
    assert_eq!((entry.port, entry.bridge), (vnet0, Some(named(&facts, b"br0").index)));
}

/// With `VIRT_NET_RECORD` set the fixtures are written anew.
#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn the_recording_is_what_the_kernel_says_of_such_links() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/netlink/setup");
    assert!(std::process::Command::new("sh").arg(setup).status().unwrap().success());
    let raw = raw::read().unwrap();
    let links = |facts: &KernelFacts| -> Vec<_> {
        facts.links.iter().map(|link| (link.name, link.kind.word().to_owned())).collect()
    };
    if std::env::var_os("VIRT_NET_RECORD").is_none() {
        assert_eq!(links(&convert::facts(&raw)), links(&recorded()));
        return;
    }
    for (part, bytes) in PARTS.iter().zip([raw.links, raw.addresses, raw.routes, raw.neighbours, raw.fdb]) {
        std::fs::write(fixture(part), bytes).unwrap();
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let part = || bytes.clone();
        let raw = RawFacts { links: part(), addresses: part(), routes: part(), neighbours: part(), fdb: part() };
        convert::facts(&raw);
    }

    /// One wrong byte anywhere may cost what that byte says, never a panic.
    #[test]
    fn a_flipped_byte_does_not_make_it_panic(part in 0..PARTS.len(), at in any::<prop::sample::Index>(), to: u8) {
        let mut bytes = std::fs::read(fixture(PARTS[part])).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let mut raw = RawFacts::default();
        *[&mut raw.links, &mut raw.addresses, &mut raw.routes, &mut raw.neighbours, &mut raw.fdb][part] = bytes;
        convert::facts(&raw);
    }
}
