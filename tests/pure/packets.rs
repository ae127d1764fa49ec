//! Packets of guests: whatever bytes they send, one line comes of it and nothing breaks.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use virt_net::config::Config;
use virt_net::model::facts::{Facts, SeenAddress};
use virt_net::model::{Mac, Snapshot, Timestamp, topology};
use virt_net::source::packets::filter::{Instruction, Only, program};
use virt_net::source::packets::listen::{Listen, is_news};
use virt_net::source::packets::{Heading, SNAP, Seen, decode, pcap};
use virt_net::source::replay;

const GUEST: [u8; 6] = [0x52, 0x54, 0, 0xaa, 0xfc, 0x1c];

fn ethernet(kind: u16, body: &[u8]) -> Vec<u8> {
    [&[0xff; 6], &GUEST[..], &kind.to_be_bytes(), body].concat()
}

fn udp(ports: (u16, u16), body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + body.len()).unwrap();
    let udp =
        [&ports.0.to_be_bytes()[..], &ports.1.to_be_bytes(), &length.to_be_bytes(), &[0, 0], body].concat();
    let total = u16::try_from(20 + udp.len()).unwrap().to_be_bytes();
    let header = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
    ethernet(0x0800, &[&header[..], &udp].concat())
}

fn dhcp(kind: u8, given: [u8; 4], hostname: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 240];
    body[0] = 1;
    body.splice(16..20, given);
    body.splice(28..34, GUEST);
    body.splice(236..240, [99, 130, 83, 99]);
    body.extend([53, 1, kind, 12, u8::try_from(hostname.len()).unwrap()]);
    body.extend(hostname);
    body.push(255);
    udp((67, 68), &body)
}

#[test]
fn dhcp_is_told_in_its_own_words_and_shows_the_address() {
    let bytes = dhcp(5, [10, 0, 0, 208], b"centos7");
    let summary = decode::summary(&bytes);
    assert_eq!((summary.kind.as_str(), summary.from), ("DHCP", Some(Mac(GUEST))));
    assert_eq!(summary.text, "ack 52:54:00:aa:fc:1c gets 10.0.0.208 name centos7");
    let shown = decode::shown(&bytes).unwrap();
    assert_eq!((shown.mac, shown.address.to_string()), (Mac(GUEST), "10.0.0.208".to_owned()));
    // An offer is not taken yet.
    assert_eq!(decode::shown(&dhcp(2, [10, 0, 0, 208], b"")), None);
}

#[test]
fn an_arp_probe_shows_no_address() {
    let arp = |sender: [u8; 4]| {
        let body = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &GUEST, &sender, &[0; 6], &[10, 0, 0, 208]].concat();
        decode::shown(&ethernet(0x0806, &body))
    };
    assert_eq!(arp([0, 0, 0, 0]), None);
    assert_eq!(arp([10, 0, 0, 208]).unwrap().address.to_string(), "10.0.0.208");
}

/// Only what guests show of themselves is told, and once a minute; nobody's word for another counts.
#[test]
fn only_guests_are_listened_to_and_only_about_themselves() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kvm1.json");
    let mut facts = replay::read(&file).unwrap().frames[0].clone();
    let host = |facts: &Facts| topology::join(facts.clone(), std::sync::Arc::default(), None);
    let address = "10.0.0.208".parse().unwrap();
    let at = Timestamp(1_000_000);
    let guest = decode::Shown { mac: Mac(GUEST), address };
    assert!(is_news(&host(&facts), guest, at));
    assert!(!is_news(&host(&facts), decode::Shown { mac: Mac([2; 6]), address }, at));
    let nic = |host: &Snapshot| host.nics.iter().find(|nic| nic.id.mac == Mac(GUEST)).unwrap().clone();
    let on = nic(&host(&facts)).place();
    facts.seen.push(SeenAddress { mac: Mac(GUEST), address, on, at });
    assert!(!is_news(&host(&facts), guest, Timestamp(at.0 + 59_000)));
    assert!(is_news(&host(&facts), guest, Timestamp(at.0 + 61_000)));
    // What was seen on another bridge says nothing about where it is now.
    let address = "192.168.122.77".parse().unwrap();
    let shown = decode::Shown { mac: Mac(GUEST), address };
    for (on, outdated) in [(on, false), (Some("other0".parse().unwrap()), true)] {
        facts.seen[0] = SeenAddress { mac: Mac(GUEST), address, on, at };
        let host = host(&facts);
        let stale = nic(&host).addresses.iter().find(|seen| seen.address == address).unwrap().stale;
        assert_eq!((stale, is_news(&host, shown, at)), (outdated, outdated));
    }
    let body = [&[0, 1, 8, 0, 6, 4, 0, 2][..], &[2; 6], &[10, 0, 0, 9], &GUEST, &[10, 0, 0, 208]].concat();
    assert_eq!(decode::shown(&ethernet(0x0806, &body)), None, "the frame comes from another station");
    let settings = |text: &str| Config::parse(&file, text).unwrap().listen;
    assert_eq!((settings(""), settings("listen-for-addresses = true")), (Listen::Off, Listen::On));
}

#[test]
fn a_file_has_the_header_and_the_lengths_that_wireshark_wants() {
    let header = pcap::header();
    assert_eq!((header.len(), &header[..4], header[20]), (24, &[0xd4, 0xc3, 0xb2, 0xa1][..], 1));
    let seen = Seen {
        at: Timestamp(1_500),
        micros: 7,
        heading: Heading::Inward,
        length: 9000,
        bytes: vec![1, 2, 3],
    };
    let record = pcap::record(&seen);
    let field = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    assert_eq!([field(0), field(4), field(8), field(12)], [1, 500_007, 3, 9000]);
    assert_eq!(record[16..], [1, 2, 3]);
}

/// What the kernel would do with the program (`linux/filter.h`).
fn run(program: &[Instruction], packet: &[u8]) -> u32 {
    let half = |at: usize| packet.get(at..at + 2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]])));
    let byte = |at: usize| packet.get(at).copied().map(u32::from);
    let (mut a, mut x, mut at) = (0, 0, 0);
    loop {
        let one = program[at];
        let k = usize::try_from(one.k).unwrap();
        let loaded = match one.code {
            0x06 => return one.k,
            0x15 => {
                at += usize::from(if a == one.k { one.jt } else { one.jf });
                Some(a)
            }
            0x28 => half(k),
            0x30 => byte(k),
            0x48 => half(usize::try_from(x).unwrap() + k),
            0xb1 => {
                let Some(first) = byte(k) else { return 0 };
                x = (first & 15) * 4;
                Some(a)
            }
            other => panic!("{other:#x}"),
        };
        // A load beyond the packet ends the program with "drop".
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
        at += 1;
    }
}

#[test]
fn the_kernels_filter_keeps_what_is_wanted_and_nothing_else() {
    let ip4 = |protocol: u8| {
        ethernet(0x0800, &[&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol][..], &[0; 18]].concat())
    };
    let ip6 = |protocol: u8| ethernet(0x86dd, &[&[0x60, 0, 0, 0, 0, 8, protocol, 64][..], &[0; 40]].concat());
    let packets = [
        ("arp", ethernet(0x0806, &[0; 28])),
        ("dhcp", dhcp(1, [0; 4], b"x")),
        ("dns", udp((53, 40_000), b"")),
        ("ping", ip4(1)),
        ("ping6", ip6(58)),
        ("tcp", ip4(6)),
        ("tcp6", ip6(6)),
        ("udp6", ip6(17)),
        ("short", vec![0; 13]),
        ("stp", ethernet(38, &[0; 38])),
    ];
    let kept = |only: &[Only]| -> Vec<&str> {
        let program = program(only, SNAP);
        packets.iter().filter(|(_, packet)| run(&program, packet) != 0).map(|(name, _)| *name).collect()
    };
    assert_eq!(kept(&[]).len(), packets.len());
    assert_eq!(kept(&[Only::Arp]), ["arp"]);
    assert_eq!(kept(&[Only::Dhcp]), ["dhcp"]);
    assert_eq!(kept(&[Only::Icmp]), ["ping", "ping6"]);
    assert_eq!(kept(&[Only::Tcp]), ["tcp", "tcp6"]);
    assert_eq!(kept(&[Only::Udp]), ["dhcp", "dns", "udp6"]);
    assert_eq!(kept(&[Only::Ip6]), ["ping6", "tcp6", "udp6"]);
    assert_eq!(kept(&[Only::Dhcp, Only::Arp]), ["arp", "dhcp"]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, 0x8100])) {
        for bytes in [bytes.clone(), ethernet(kind, &bytes), udp((68, 67), &bytes), dhcp(1, [0; 4], &bytes)] {
            let summary = decode::summary(&bytes);
            prop_assert!(!summary.kind.is_empty());
            let _ = decode::shown(&bytes);
        }
    }
}
