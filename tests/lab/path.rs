//! What a path and the reachability matrix say, against real pings on two hosts; counters of the hops named.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::Lab;

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn who_reaches_whom_is_what_pings_say() {
    let lab = Lab::up("path", &["--hosts", "2", "--bridge"]);
    // A machine of the LAN that knows the way to the guests' net: it is the host that keeps it out.
    lab.run("pc", "ip route add 192.168.122.0/24 via 10.0.0.8; ip route add 192.168.50.0/24 via 10.0.0.8");
    nat(&lab);
    counters_rise(&lab);
    captured(&lab);
    probed(&lab);
    docker_like_policy(&lab);
    routed_with_ipv6(&lab);
    isolated(&lab);
    bridged_on_two_hosts(&lab);
    macvtap(&lab);
}

/// A guest on a host, and the address it is reached by.
struct Seat<'a> {
    host: &'a str,
    guest: &'a str,
    nic: &'a str,
    inside: &'a str,
    address: &'a str,
}

/// Every cell with an address is pinged for real; the expected answers are those of the customer's notes.
#[track_caller]
fn compare(lab: &Lab, seat: &Seat<'_>, expected: &[(&str, &str, &str)]) {
    let command = format!("virt-net reach {} {} --json", seat.guest, seat.nic);
    let matrix = lab.json(seat.host, &command);
    let cells = matrix[0]["cells"].as_array().unwrap().clone();
    let mut seen: Vec<(&str, &str, &str)> = Vec::new();
    for cell in &cells {
        let text = |key: &str| cell[key].as_str().unwrap_or_default();
        let (direction, peer, answer) = (text("direction"), text("peer"), text("answer"));
        if !seen.contains(&(direction, peer, answer)) {
            seen.push((direction, peer, answer));
        }
        if text("address").is_empty() || answer == "unknown" {
            continue;
        }
        let yes = answer == "yes";
        match (direction, peer) {
            ("to", _) => guest_pings(lab, seat, text("address"), yes),
            ("from", "host") => pings(lab, seat.host, seat.address, yes),
            _ => pings(lab, "pc", seat.address, yes),
        }
    }
    for relation in expected {
        assert!(seen.contains(relation), "{relation:?} is not in {seen:?}\n{cells:#?}");
    }
}

/// A yes gets as long as a slow machine may need, a no is tried twice.
const YES: &str = "for try in 1 2 3 4 5; do PING && exit; done >/dev/null 2>&1; echo no";
const NO: &str = "for try in 1 2; do PING && exit; done >/dev/null 2>&1; echo no";

fn script(expected: bool, ping: &str) -> String {
    let ping = format!("{ping} && echo yes >&3");
    let script = if expected { YES } else { NO };
    format!("exec 3>&1; {}", script.replace("PING", &ping))
}

#[track_caller]
fn guest_pings(lab: &Lab, seat: &Seat<'_>, address: &str, expected: bool) {
    let ping = format!("ping -c 1 -W {} -I {} {address}", if expected { 4 } else { 1 }, seat.inside);
    let real = lab.guest(seat.host, seat.guest, &script(expected, &ping));
    assert_eq!(real.trim() == "yes", expected, "{} {} to {address}: {real}", seat.host, seat.guest);
}

#[track_caller]
fn pings(lab: &Lab, from: &str, address: &str, expected: bool) {
    let ping = format!("ping -c 1 -W {} {address}", if expected { 4 } else { 1 });
    let real = lab.run(from, &script(expected, &ping));
    assert_eq!(real.trim() == "yes", expected, "{from} to {address}: {real}");
}

/// The default network: out yes, in no; the other host's guest has an address of the own net.
fn nat(lab: &Lab) {
    let expected = [
        ("to", "host", "yes"),
        ("to", "internet", "yes"),
        ("to", "lan", "yes"),
        ("to", "guest", "yes"),
        ("to", "other-host", "no"),
        ("from", "host", "yes"),
        ("from", "lan", "no"),
    ];
    for (host, address) in [("kvm1", "192.168.122.208"), ("kvm2", "192.168.122.211")] {
        let seat = Seat { host, guest: "centos7", nic: "vnet0", inside: "eth0", address };
        // On the second host there is no other guest.
        let expected: Vec<_> =
            expected.into_iter().filter(|(_, peer, _)| host == "kvm1" || *peer != "guest").collect();
        compare(lab, &seat, &expected);
    }
    let kvm1 = Seat { host: "kvm1", guest: "centos7", nic: "vnet0", inside: "eth0", address: "" };
    let path = lab.json("kvm1", "virt-net path centos7 --to 192.168.122.211 --json");
    assert_eq!(path["answer"], "no", "{path:#}");
    guest_pings(lab, &kvm1, "192.168.122.211", false);
    // What the other host sees is this host's address.
    let path = lab.json("kvm1", "virt-net path centos7 --to 10.0.0.18 --json");
    assert_eq!((&path["answer"], &path["seen_as"]), (&"yes".into(), &"10.0.0.8".into()), "{path:#}");
    let peer = lab.guest("kvm1", "centos7", "nc 10.0.0.2 7 </dev/null | head -n 1");
    assert_eq!(peer.trim(), "10.0.0.8");
}

/// After N pings every hop that is named with a counter has counted N of them.
fn counters_rise(lab: &Lab) {
    const PINGS: u64 = 7;
    let read = || lab.json("kvm1", "virt-net path centos7 --to 198.51.100.1 --json");
    let before = read();
    lab.guest("kvm1", "centos7", &format!("ping -c {PINGS} -i 0.2 198.51.100.1"));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let after = read();
        let (risen, late) = compare_counters(&before, &after, PINGS);
        if late.is_empty() {
            // tap, bridge, uplink there; uplink, bridge, tap back; rules of forward and postrouting.
            assert!(risen >= 9, "only {risen} counters in {after:#}");
            return;
        }
        assert!(Instant::now() < deadline, "{late:?}\n{after:#}");
    }
}

fn compare_counters(before: &Value, after: &Value, pings: u64) -> (usize, Vec<String>) {
    let mut risen = 0;
    let mut late = Vec::new();
    let mut check = |name: &str, old: &Value, new: &Value, least: u64| {
        let (Some(old), Some(new)) = (old.as_u64(), new.as_u64()) else { return };
        if new >= old + least { risen += 1 } else { late.push(format!("{name}: {old} → {new}")) }
    };
    for leg in ["there", "back"] {
        let hops = |path: &Value| path[leg]["hops"].as_array().unwrap().clone();
        let (old, new) = (hops(before), hops(after));
        assert_eq!(old.len(), new.len(), "the same hops");
        for (old, new) in old.iter().zip(&new) {
            let name = format!("{leg} {}", new["name"]);
            check(&name, &old["link"]["packets"], &new["link"]["packets"], pings);
            let rules = |hop: &Value| hop["rules"].as_array().cloned().unwrap_or_default();
            for (old, new) in rules(old).iter().zip(&rules(new)) {
                let rule = &new["rule"];
                assert_eq!(new["sure"], true, "{rule}");
                // Only the first packet of a connection meets the nat rules.
                let least = if rule["chain"]["table"] == "nat" { 1 } else { pings };
                let name = format!("{name} {}", rule["raw"]);
                check(&name, &old["rule"]["counter"]["packets"], &rule["counter"]["packets"], least);
            }
        }
    }
    (risen, late)
}

/// The packets of a NIC are listed, with their direction, and tcpdump reads the file; nothing a guest writes
/// reaches the terminal raw.
fn captured(lab: &Lab) {
    let list = |arguments: &str, act: &str| {
        let command = format!("virt-net capture centos7 vnet0 --seconds 60 {arguments}");
        let process = lab.start("kvm1", &command);
        // Packets from before the socket is open are not seen: the guest goes on until all are there.
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    lab.guest("kvm1", "centos7", act);
                }
            });
            let output = process.wait_with_output().unwrap();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            String::from_utf8(output.stdout).unwrap()
        })
    };
    let printed =
        list("--only icmp --count 6 --write /tmp/seen.pcap", "ping -c 3 -i 0.3 192.168.122.1 || true");
    let lines = |text: &str| printed.lines().filter(|line| line.contains(text)).count();
    assert_eq!(printed.lines().filter(|line| line.contains("ICMP")).count(), 6, "{printed}");
    assert!(lines("guest →") > 0 && lines("→ guest") > 0 && lines("echo request") > 0, "{printed}");
    let read = lab.run("kvm1", "tcpdump -nn -r /tmp/seen.pcap 2>/dev/null | wc -l");
    assert_eq!(read.trim(), "6");
    let hostile =
        r"udhcpc -f -n -q -t 1 -T 1 -i eth0 -s /bin/true -x hostname:$(printf 'x\033[31mx') || true";
    let printed = list("--only dhcp --count 1", hostile);
    assert!(printed.contains(r"x\x1b[31mx") && !printed.contains('\u{1b}'), "{printed:?}");
}

/// Asking agrees with what is derived; a guest that does not answer pings is a contradiction, and said so.
fn probed(lab: &Lab) {
    let rows = lab.json("kvm1", "virt-net probe web01 0 --json");
    let rows = rows.as_array().unwrap();
    let asked = rows.iter().filter(|row| row["found"]["probe"] != "not-asked").count();
    assert!(asked >= 5, "{rows:#?}");
    assert!(rows.iter().all(|row| row["judgement"] == "agrees"), "{rows:#?}");
    lab.guest("kvm1", "centos7", "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all");
    let printed = lab.run("kvm1", "virt-net probe centos7 --host-only; echo status $?");
    assert!(
        printed.contains("CONTRADICTION") && printed.contains("52:54:00:aa:fc:1c answers ARP"),
        "{printed}"
    );
    assert!(printed.contains("status 1"), "{printed}");
    lab.guest("kvm1", "centos7", "echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_all");
}

/// Docker's policy: libvirt's accepts come first in the same base chain, so NAT still works; another base
/// chain of its own stops everything, whatever libvirt accepts.
fn docker_like_policy(lab: &Lab) {
    let seat =
        Seat { host: "kvm1", guest: "centos7", nic: "vnet0", inside: "eth0", address: "192.168.122.208" };
    lab.run("kvm1", "iptables -P FORWARD DROP");
    compare(lab, &seat, &[("to", "internet", "yes"), ("from", "lan", "no")]);
    let strict = "nft add table inet strict
        nft add chain inet strict forward '{ type filter hook forward priority 10; policy drop; }'";
    lab.run("kvm1", strict);
    compare(lab, &seat, &[("to", "host", "yes"), ("to", "internet", "no"), ("to", "lan", "no")]);
    let path = lab.json("kvm1", "virt-net path centos7 --json");
    assert!(path["reason"].as_str().unwrap().contains("inet strict forward"), "{path:#}");
    lab.run("kvm1", "nft delete table inet strict; iptables -P FORWARD ACCEPT");
    lab.run("kvm1", "echo 0 >/proc/sys/net/ipv4/ip_forward");
    compare(lab, &seat, &[("to", "host", "yes"), ("to", "internet", "no")]);
    let drawn = lab.run("kvm1", "virt-net path centos7");
    assert!(drawn.contains("✖") && drawn.contains("doctor: ip-forward-off"), "{drawn}");
    lab.run("kvm1", "echo 1 >/proc/sys/net/ipv4/ip_forward");
}

/// A routed network with an IPv6 subnet: its guest reaches what has a route back.
fn routed_with_ipv6(lab: &Lab) {
    lab.run("kvm1", "ip addr add fd00:10::8/64 dev eth0 nodad; ip route add default via fd00:10::2");
    lab.run("lan", "ip addr add fd00:10::2/64 dev lan0 nodad");
    lab.virt_net("network create six --mode route --subnet 10.77.0.0/24 --subnet fd00:7::/64 --yes")
        .verified();
    lab.virt_net("switch centos7 --to network=six --yes").verified();
    lab.guest("kvm1", "centos7", "ip addr add fd00:7::20/64 dev eth0");
    // Its router is told to it by an advertisement, which it may have to ask for again.
    let told =
        "for n in $(seq 60); do ip -6 route | grep -q ^default && exit; sleep 1; done; ip -6 route; exit 1";
    lab.guest("kvm1", "centos7", told);
    let goes = |to: &str, answer: &str, reason: &str, real: bool| {
        let path = lab.json("kvm1", &format!("virt-net path centos7 --to {to} --json"));
        let told = path["reason"].as_str().unwrap_or_default();
        assert!(path["answer"] == answer && told.contains(reason), "{to}: {answer}, {reason}: {path:#}");
        let ping = format!("ping -c 1 -W {} {to}", if real { 4 } else { 1 });
        let answered = lab.guest("kvm1", "centos7", &script(real, &ping));
        assert_eq!(answered.trim() == "yes", real, "{to}: {answered}\n{path:#}");
    };
    goes("fd00:7::1", "yes", "", true);
    goes("fd00:10::8", "yes", "", true);
    // Only the LAN's router knows whether it has a route.
    let route = "only if the sender has a route to fd00:7::/64 by this host";
    goes("fd00:10::2", "unknown", route, false);
    lab.run("lan", "ip route add fd00:7::/64 via fd00:10::8");
    goes("fd00:10::2", "unknown", route, true);
    goes("2001:db8::1", "unknown", "translates the private address fd00:7::20", false);
    goes("198.51.100.1", "unknown", "translates the private address 10.77.0.208", false);
    lab.run("kvm1", "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding");
    goes("fd00:10::2", "no", "net.ipv6.conf.all.forwarding is 0", false);
    lab.run("kvm1", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
    lab.run("lan", "ip route del fd00:7::/64; ip addr del fd00:10::2/64 dev lan0");
    lab.guest("kvm1", "centos7", "ip addr del fd00:7::20/64 dev eth0");
    lab.virt_net("switch centos7 --to network=default --yes").verified();
    lab.virt_net("network delete six --yes").verified();
    lab.run("kvm1", "ip route del default via fd00:10::2; ip addr del fd00:10::8/64 dev eth0");
}

fn isolated(lab: &Lab) {
    let xml = "<network><name>iso</name><bridge name='virbr5'/><ip address='192.168.50.1' \
               netmask='255.255.255.0'><dhcp><range start='192.168.50.10' end='192.168.50.99'/></dhcp></ip></network>";
    lab.run(
        "kvm1",
        &format!(
            "cat >/tmp/iso.xml <<'XML'\n{xml}\nXML\nvirsh net-define /tmp/iso.xml && virsh net-start iso"
        ),
    );
    lab.virt_net("switch centos7 --to network=iso --yes").verified();
    let own = own_address(lab, "kvm1", "centos7", "eth0");
    let seat = Seat { host: "kvm1", guest: "centos7", nic: "0", inside: "eth0", address: &own };
    let expected = [
        ("to", "host", "yes"),
        ("to", "internet", "no"),
        ("to", "lan", "no"),
        ("to", "other-host", "no"),
        ("from", "host", "yes"),
        ("from", "lan", "no"),
    ];
    compare(lab, &seat, &expected);
}

fn own_address(lab: &Lab, host: &str, guest: &str, nic: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let seen = lab.guest(host, guest, &format!("ip -4 -o addr show dev {nic} scope global"));
        if let Some(address) = seen.split("inet ").nth(1).and_then(|rest| rest.split('/').next()) {
            return address.to_owned();
        }
        assert!(Instant::now() < deadline, "{guest} has no address on {nic}");
    }
}

/// On the bridge with the uplink a guest is a machine of the LAN, also for the other host's guest.
fn bridged_on_two_hosts(lab: &Lab) {
    lab.virt_net("switch centos7 --to bridge=virbr1 --yes").verified();
    lab.run("kvm2", "virt-net switch centos7 --to bridge=virbr1 --yes");
    let expected = [
        ("to", "host", "yes"),
        ("to", "internet", "yes"),
        ("to", "lan", "yes"),
        ("to", "other-host", "yes"),
        ("from", "host", "yes"),
        ("from", "lan", "yes"),
    ];
    let one = Seat { host: "kvm1", guest: "centos7", nic: "0", inside: "eth0", address: "10.0.0.208" };
    let two = Seat { host: "kvm2", guest: "centos7", nic: "0", inside: "eth0", address: "10.0.0.210" };
    for (seat, other) in [(&one, &two), (&two, &one)] {
        // The host learns a bridged guest's address from its own neighbour table.
        pings(lab, seat.host, seat.address, true);
        compare(lab, seat, &expected);
        let path = lab.json(seat.host, &format!("virt-net path centos7 --to {} --json", other.address));
        assert_eq!(path["answer"], "yes", "{path:#}");
        guest_pings(lab, seat, other.address, true);
    }
    // Two isolated ports of one bridge do not talk; the LAN is not shut out by that.
    let isolate = "for tap in $(cd /sys/class/net/virbr1/brif && ls -d vnet*); do bridge link set dev $tap isolated HOW; done";
    lab.run("kvm1", &isolate.replace("HOW", "on"));
    compare(lab, &one, &[("to", "guest", "no"), ("to", "internet", "yes")]);
    lab.run("kvm1", &isolate.replace("HOW", "off"));
    // Through the host's firewall frames pass only if it lets them.
    lab.run("kvm1", "iptables -P FORWARD DROP");
    compare(lab, &one, &[("to", "internet", "no"), ("from", "lan", "no")]);
    lab.run("kvm1", "echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables");
    compare(lab, &one, &[("to", "internet", "yes"), ("from", "lan", "yes")]);
    lab.run("kvm1", "iptables -P FORWARD ACCEPT; echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables");
}

/// A macvtap reaches the LAN, never the host on its own link, and its siblings as its mode says.
fn macvtap(lab: &Lab) {
    lab.virt_net("switch centos7 --to macvtap=eth0 --yes").verified();
    let one = Seat { host: "kvm1", guest: "centos7", nic: "0", inside: "eth0", address: "10.0.0.208" };
    let expected = [
        ("to", "host", "no"),
        ("to", "internet", "yes"),
        ("to", "lan", "yes"),
        ("to", "other-host", "yes"),
        ("from", "host", "no"),
        ("from", "lan", "yes"),
    ];
    compare(lab, &one, &expected);
    // A sibling with only this way to the LAN, whose address the agent tells.
    lab.run("kvm1", "virsh domif-setlink web01 52:54:00:11:22:33 down");
    lab.guest("kvm1", "web01", "ip addr flush dev eth0");
    lab.run("kvm1", "virsh attach-interface web01 direct eth0 --model virtio --mac 52:54:00:11:22:77 --live");
    let own = own_address(lab, "kvm1", "web01", "eth2");
    let sibling = |answer: &str| {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let matrix = lab.json("kvm1", "virt-net reach centos7 --json");
            let cells = matrix[0]["cells"].as_array().unwrap().clone();
            if let Some(cell) = cells.iter().find(|cell| cell["address"] == own.as_str()) {
                assert_eq!(cell["answer"], answer, "{cell:#}");
                guest_pings(lab, &one, &own, answer == "yes");
                return;
            }
            assert!(Instant::now() < deadline, "the agent never told web01's address: {matrix:#}");
        }
    };
    for (mode, answer) in [("bridge", "yes"), ("vepa", "no"), ("private", "no")] {
        let change =
            "for tap in /sys/class/net/macvtap*; do ip link set ${tap##*/} type macvtap mode MODE; done";
        lab.run("kvm1", &change.replace("MODE", mode));
        sibling(answer);
    }
    compare(lab, &one, &expected);
    // The way around: the host's own macvlan in bridge mode with a route to the guest.
    let shim = "for tap in /sys/class/net/macvtap*; do ip link set ${tap##*/} type macvtap mode bridge; done
        ip link add shim0 link eth0 type macvlan mode bridge; ip addr add 10.0.0.9/32 dev shim0
        ip link set shim0 up; ip route add 10.0.0.208/32 dev shim0";
    lab.run("kvm1", shim);
    pings(lab, "kvm1", "10.0.0.208", true);
    compare(lab, &one, &[("from", "host", "yes"), ("from", "lan", "yes")]);
    // A link for itself: what is not on that link answers by the LAN, the host too.
    lab.run(
        "kvm1",
        "ip route del 10.0.0.208/32; ip link del shim0; virsh destroy web01; ip link set eth1 nomaster",
    );
    lab.virt_net("switch centos7 --to macvtap=eth1,mode=passthrough --yes").verified();
    pings(lab, "kvm1", "10.0.0.208", true);
    let expected =
        [("to", "host", "yes"), ("to", "internet", "yes"), ("to", "lan", "yes"), ("from", "lan", "yes")];
    compare(lab, &one, &expected);
}
