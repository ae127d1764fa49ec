//! A bridge over the NIC that carries the session: kept only when confirmed, and the old state is back
//! to the byte after every other end.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use virt_net::change::bridge::evidence::Evidence;
use virt_net::change::bridge::hands::Hands;
use virt_net::change::bridge::kernel::Kernel;
use virt_net::change::bridge::neighbour;
use virt_net::change::bridge::record::Records;
use virt_net::change::bridge::{Addressing, BridgePlan, BridgeWant, Lasting, Step, Stp, plan};
use virt_net::change::host::{self, HostWant};
use virt_net::change::{Outcome, apply};
use virt_net::model::facts::HostFacts;
use virt_net::model::{Snapshot, SourceState};
use virt_net::source::collector::Collector;
use virt_net::source::{Update, netlink};

use crate::lab::Lab;
use crate::netlink::{in_namespace, run};
use crate::screen;

/// Everything that a change of a bridge may touch; what only counts or ages is left out.
pub(crate) const STATE: &str = "ip -d -o link | sed 's/ state [A-Z]*//; s/bridge_id.*//; s/[a-z_]*timer *[0-9.]*//g; s/ageing_time [0-9]*//'; ip -4 -o address; \
    ip -6 -o address show scope global; ip route show table all | sed '/^broadcast/d; /^local/d; /ff00::/d; /fe80/d'";

/// The files that a change may touch, and what it might leave beside them.
pub(crate) const FILES: &str = "find /etc/network /run/systemd/network /etc/systemd/network /etc/netplan /run/netplan \
    /etc/NetworkManager/system-connections -type f -exec cksum {} + 2>/dev/null; true";

fn state() -> String {
    let output = Command::new("sh").args(["-c", STATE]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace(" tentative", "")
}

async fn snapshot() -> Arc<Snapshot> {
    let mut collector = Collector::new(HostFacts::default());
    let facts = netlink::read_once().await.unwrap();
    collector.take(Update::Kernel { state: SourceState::Ok, facts: Some(Arc::new(facts)) });
    collector.join()
}

async fn planned() -> BridgePlan {
    let want = BridgeWant::Create {
        bridge: "br0".parse().unwrap(),
        port: "eth0".parse().unwrap(),
        stp: Stp::Off,
        address: Addressing::Move,
        persist: Lasting::No,
    };
    let snapshot = snapshot().await;
    plan::plan(&snapshot, &looked(), &want).unwrap()
}

/// It was looked for owners and DHCP clients, and there are none.
fn looked() -> Evidence {
    Evidence { clients: Some(Vec::new()), ..Evidence::default() }
}

fn set_up() {
    run("ip link add eth0 address 02:00:00:00:00:01 mtu 1400 type veth peer name lan; \
         ip link set lo up; ip link set eth0 up; ip link set lan up; \
         ip address add 10.0.0.8/16 dev eth0; \
         ip address add 192.0.2.7/24 dev eth0; \
         ip -6 address add 2001:db8::8/64 dev eth0 nodad valid_lft 3600 preferred_lft 3600; \
         ip route add default via 10.0.0.2 dev eth0 metric 100; \
         ip route add 172.16.0.0/12 via 10.0.0.3 src 192.0.2.7; \
         ip route add 198.51.100.0/24 nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3; \
         ip route add 203.0.113.0/24 via 10.0.0.9 table 77; \
         ip route add default via 203.0.113.1 dev eth0 onlink metric 200; \
         ip route add 198.51.101.0/24 nexthop via 203.0.113.1 dev eth0 onlink nexthop via 203.0.113.2 dev eth0 onlink; \
         ip -6 route add 2001:db8:9::/48 via 2001:db8:8::1 dev eth0 onlink; \
         ip -6 route add default via 2001:db8::1 metric 50");
}

/// Lifetimes go on running; everything else must be as it was.
pub(crate) fn without_seconds(text: &str) -> Vec<String> {
    let steady = |line: &str| -> String {
        line.split_whitespace().filter(|word| !word.ends_with("sec")).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(steady).collect();
    lines.sort();
    lines
}

/// Fails with the lines that differ, and only those.
pub(crate) fn assert_same(now: &[String], before: &[String], when: &str) {
    let gone: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
    let new: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
    assert!(gone.is_empty() && new.is_empty(), "{when}\ngone: {gone:#?}\nnew: {new:#?}");
}

#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn whatever_was_done_is_taken_back_from_every_step() {
    in_namespace(|| async {
        set_up();
        let before = without_seconds(&state());
        let plan = planned().await;
        let kernel = Kernel::open().unwrap();
        for done in 0..=plan.steps.len() {
            for step in &plan.steps[..done] {
                kernel.run(step).await.unwrap();
            }
            for step in &plan.undo {
                // A step of the way back may find nothing to do.
                kernel.run(step).await.unwrap();
            }
            assert_same(&without_seconds(&state()), &before, &format!("after {done} steps and back"));
            assert_eq!(plan.before.missing(&netlink::read_once().await.unwrap()), None);
        }
    });
}

/// A hoster's gateway is in no subnet of the host: the route says that it is on the link all the same.
#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn what_a_link_lost_comes_back_with_gateways_out_of_its_subnets() {
    in_namespace(|| async {
        run("ip link add eth0 type veth peer name lan; ip link set eth0 up; ip link set lan up; \
             ip address add 192.0.2.7/32 dev eth0; ip route add default via 203.0.113.1 dev eth0 onlink metric 200; \
             ip -6 address add 2001:db8::8/128 dev eth0; \
             ip -6 route add default via 2001:db8:8::1 dev eth0 onlink metric 50");
        let before = without_seconds(&state());
        let plan = planned().await;
        assert!(
            plan.picture.iter().any(|row| row.after == "default via 203.0.113.1 dev br0 metric 200 onlink")
        );
        let Some(restore @ Step::Restore { .. }) = plan.undo.last() else { panic!("{:?}", plan.undo) };
        let mut undo = [restore.clone()];
        let directory = tempfile::tempdir().unwrap();
        let hands = Hands::open(&Records::at(directory.path()), Duration::ZERO).unwrap();
        hands.complete(&mut undo).await.unwrap();
        run("ip address flush dev eth0; ip route flush dev eth0; ip -6 route del default");
        Kernel::open().unwrap().run(&undo[0]).await.unwrap();
        assert_same(&without_seconds(&state()), &before, "flushed and restored");
    });
}

/// Two addresses of three of a subnet are taken off: the third stays. A program that puts one back is told of, and
/// what was there is there again, in its order.
#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn addresses_are_taken_off_alone_and_come_back_in_their_order() {
    in_namespace(|| async {
        run("ip link add eth0 type veth peer name lan; ip link set eth0 up; ip link set lan up; \
             echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries; \
             for last in 8 9 10; do ip address add 10.0.0.$last/24 dev eth0; done; \
             ip route add default via 10.0.0.2 src 10.0.0.9");
        let before = without_seconds(&state());
        let want = HostWant::RemoveAddresses {
            link: "eth0".parse().unwrap(),
            addresses: ["10.0.0.8/24", "10.0.0.9/24"].map(|address| address.parse().unwrap()).to_vec(),
        };
        let (tell, _told) = tokio::sync::mpsc::unbounded_channel();
        let plan = host::plan(&*snapshot().await, &want).unwrap();

        // It has the processor before others have it, for longer than it is looked at; its whole group ends.
        let add = "{ echo address add 192.0.2.7/32 dev lan; exec yes address add 10.0.0.9/24 dev eth0; } \
             | ip -force -batch - >/dev/null 2>&1";
        let mut program =
            Command::new("nice").args(["-n", "-20", "timeout", "6", "sh", "-c", add]).spawn().unwrap();
        run("until ip -4 -o address show dev lan | grep -q inet; do :; done");
        let outcome = apply::host::run(&plan, &tell).await;
        program.wait().unwrap();
        run("ip address del 192.0.2.7/32 dev lan");
        assert!(matches!(outcome, Outcome::Reverted { .. }), "{outcome:?}");
        assert_same(&without_seconds(&state()), &before, "somebody puts it back all the time");

        let outcome = apply::host::run(&plan, &tell).await;
        assert!(matches!(outcome, Outcome::Verified { .. }), "{outcome:?}");
        let text = state();
        assert!(text.contains("10.0.0.10/24") && !text.contains("10.0.0.8/24"), "{text}");
        assert!(!text.contains("10.0.0.9/24"), "{text}");
    });
}

/// The same link-local address may be another router's, or nobody's, on the next link.
#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn a_neighbour_answers_on_its_own_link_only() {
    in_namespace(|| async {
        run(
            "for n in 0 1; do ip link add eth$n type veth peer name lan$n; ip link set eth$n up; ip link set lan$n up; done; \
             ip address add 192.0.2.7/32 dev eth1; ip address add 203.0.113.1/32 dev lan1; \
             ip -6 address add fe80::1/64 dev lan1 nodad; \
             until ! ip -6 address show tentative | grep -q inet6; do sleep 0.1; done",
        );
        let asked = async |address: &str, link: &str| {
            neighbour::answers(address.parse().unwrap(), link.parse().unwrap(), Duration::from_secs(1)).await
        };
        assert_eq!(asked("fe80::1", "eth1").await, Ok(()));
        let silent = "fe80::1, which answered before, does not answer on eth0 any more";
        assert_eq!(asked("fe80::1", "eth0").await, Err(silent.to_owned()));
        assert!(asked("fe80::1", "eth7").await.unwrap_err().contains("no link eth7"));
    });
}

/// A router tells the hosts on a link of itself, and of the subnet from which they give themselves addresses.
fn announce(link: &str) {
    use nix::sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn6, sendto, setsockopt, socket,
        sockopt,
    };
    use std::os::fd::AsRawFd as _;
    const LINK_AND_SELF: u8 = 0xc0;
    let lifetime = |seconds: u32| seconds.to_be_bytes();
    // RFC 4861, 4.2 and 4.6.2: a router for 1800 s, a prefix for 600 s.
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 64, LINK_AND_SELF];
    message.extend([lifetime(600), lifetime(600), lifetime(0)].concat());
    message.extend("2001:db8:7::".parse::<std::net::Ipv6Addr>().unwrap().octets());
    let socket =
        socket(AddressFamily::Inet6, SockType::Raw, SockFlag::empty(), SockProtocol::IcmpV6).unwrap();
    setsockopt(&socket, sockopt::BindToDevice, &link.into()).unwrap();
    setsockopt(&socket, sockopt::Ipv6MulticastHops, &255).unwrap();
    let all = SockaddrIn6::from(std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, 0));
    sendto(socket.as_raw_fd(), &message, &all, MsgFlags::empty()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
}

fn ipv6_defaults() -> Vec<String> {
    let output = Command::new("sh").args(["-c", "ip -6 route show default"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Routers go on being heard, what they announced keeps its end, and another NIC keeps its route.
#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn what_a_router_announced_is_there_until_it_is_heard_on_the_bridge() {
    in_namespace(|| async {
        run("cd /proc/sys/net/ipv6/conf; echo 1 >default/accept_ra_from_local; \
             for n in 0 1; do ip link add eth$n type veth peer name lan$n; echo 0 >lan$n/accept_ra; ip link set eth$n up; ip link set lan$n up; done; \
             echo 1 >all/forwarding; echo 2 >eth0/accept_ra; echo 2 >eth1/accept_ra; \
             until ! ip -6 address show tentative | grep -q inet6; do sleep 0.1; done");
        announce("lan1");
        announce("lan0");
        let eth1: Vec<String> = ipv6_defaults().into_iter().filter(|line| line.contains(" eth1 ")).collect();
        assert_eq!((eth1.len(), ipv6_defaults().len()), (1, 2), "{:?}", ipv6_defaults());
        let plan = planned().await;
        let kernel = Kernel::open().unwrap();
        for step in &plan.steps {
            kernel.run(step).await.unwrap();
        }
        let of = |link: &str, metric: &str| {
            let all = ipv6_defaults();
            let is_it =
                |line: &&String| line.contains(&format!(" dev {link} proto ra metric {metric} expires 1"));
            all.iter().filter(is_it).count()
        };
        assert_eq!(
            (of("br0", "1025"), of("eth1", "1024"), ipv6_defaults().len()),
            (1, 1, 2),
            "{:?}",
            ipv6_defaults()
        );
        announce("lan0");
        assert_eq!((of("br0", "1025"), of("br0", "1024")), (1, 1), "{:?}", ipv6_defaults());
        for step in &plan.undo {
            kernel.run(step).await.unwrap();
        }
        assert_eq!(
            (of("eth0", "1025"), of("eth1", "1024"), ipv6_defaults().len()),
            (1, 1, 2),
            "{:?}",
            ipv6_defaults()
        );
        announce("lan0");
        assert_eq!(
            (of("eth0", "1025"), of("eth0", "1024"), ipv6_defaults().len()),
            (1, 1, 3),
            "{:?}",
            ipv6_defaults()
        );
    });
}

/// The kernel would take the later addresses of its subnet along, and the routes by them.
#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn the_first_address_of_a_subnet_goes_alone() {
    in_namespace(|| async {
        set_up();
        run("echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries; ip address add 10.0.0.88/16 dev eth0");
        let step =
            Step::DropAddress { link: "eth0".parse().unwrap(), address: "10.0.0.8/16".parse().unwrap() };
        Kernel::open().unwrap().run(&step).await.unwrap();
        let text = state();
        assert!(!text.contains("10.0.0.8/16") && text.contains("10.0.0.88/16"), "{text}");
        assert!(text.contains("default via 10.0.0.2 dev eth0"), "{text}");
    });
}

#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn the_bridge_takes_over_all_that_the_nic_had() {
    in_namespace(|| async {
        set_up();
        let before = without_seconds(&state());
        let plan = planned().await;
        let kernel = Kernel::open().unwrap();
        for step in &plan.steps {
            kernel.run(step).await.unwrap();
            // Once more does no harm.
            kernel.run(step).await.unwrap();
        }
        let snapshot = snapshot().await;
        assert_eq!(plan.after.missing(&snapshot.kernel), None);
        let bridge = snapshot.link_named("br0".parse().unwrap()).unwrap();
        assert_eq!((bridge.mac.unwrap().to_string().as_str(), bridge.mtu), ("02:00:00:00:00:01", 1400));
        let routes = |text: &str| text.lines().filter(|line| line.contains(" via ")).count();
        let text = state();
        assert!(text.contains("10.0.0.8/16 brd") || text.contains("10.0.0.8/16 scope"), "{text}");
        assert!(!text.lines().any(|line| line.contains(" via ") && line.contains("dev eth0")), "{text}");
        assert!(routes(&text) >= 4, "{text}");
        // And the bridge is deleted again as any other one, with a way back that knows its port's settings.
        run("bridge link set dev eth0 isolated on hairpin on learning off cost 7 priority 9");
        let as_bridge = without_seconds(&state());
        let snapshot = self::snapshot().await;
        let want = BridgeWant::Delete { bridge: "br0".parse().unwrap(), persist: Lasting::No };
        let delete = plan::plan(&snapshot, &looked(), &want).unwrap();
        for step in delete.steps.iter().chain(&delete.undo) {
            kernel.run(step).await.unwrap();
        }
        let indices = |lines: Vec<String>| -> Vec<String> {
            lines
                .iter()
                .map(|line| line.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())
                .collect()
        };
        assert_same(&indices(without_seconds(&state())), &indices(as_bridge), "deleted and taken back");
        run("ip link set br0 type bridge mcast_snooping 0; bridge link set dev eth0 flood off");
        let refused = plan::plan(&*self::snapshot().await, &looked(), &want).unwrap_err();
        assert_eq!(refused.reason, "the way back would lose settings of it: mcast_snooping off");
        run("ip link set br0 type bridge mcast_snooping 1");
        let refused = plan::plan(&*self::snapshot().await, &looked(), &want).unwrap_err();
        assert_eq!(refused.reason, "the way back would lose settings of port eth0: flood off");
        for step in &delete.steps {
            kernel.run(step).await.unwrap();
        }
        assert_same(&without_seconds(&state()), &before, "deleted");
    });
}

/// A DHCP client and its script.
pub(crate) const UDHCPC: &str = "ln -sf /usr/bin/busybox /usr/sbin/udhcpc; mkdir -p /etc/udhcpc; cat >/etc/udhcpc/default.script <<'X'\n\
    #!/bin/sh\ncase $1 in\ndeconfig) ip -4 address flush dev $interface; ip link set $interface up;;\n\
    bound|renew) ip address replace $ip/$mask dev $interface; ip route replace default via $router dev $interface;;\nesac\nX\n\
    chmod 755 /etc/udhcpc/default.script";

/// A change that waits is looked for until then.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `show` says of the change that is under way: its state, or nothing.
fn waiting(lab: &Lab) -> Option<String> {
    let shown = lab.json("kvm1", "virt-net show bridges --json 2>/dev/null || true");
    shown["waiting"]["progress"]["state"].as_str().map(str::to_owned)
}

/// What the record says, without starting virt-net.
pub(crate) fn record(lab: &Lab) -> serde_json::Value {
    let path = format!("/proc/{}/root/var/lib/virt-net/bridge.json", lab.pid("kvm1"));
    let text = std::fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// How far it says that the change came, and why.
pub(crate) fn recorded(lab: &Lab) -> (String, String) {
    let record = record(lab);
    let word = |key: &str| record["progress"][key].as_str().unwrap_or_default().to_owned();
    (word("state"), word("why"))
}

/// The agent itself takes it back, because its time is over and for no other reason.
fn runs_out(lab: &Lab) {
    until("it is taken back", || recorded(lab).0 == "rolled-back");
    assert_eq!(recorded(lab).1, "nobody confirmed it in time");
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Kills the agent when its record says that so many steps are done; what the record said then.
fn kill_at(lab: &Lab, done: usize) -> String {
    let own = std::fs::read_link(format!("/proc/{}/ns/net", lab.pid("kvm1"))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let agent = || {
        std::fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let is_agent = line.split(|byte| *byte == 0).any(|word| word == b"bridge-agent");
            let here = std::fs::read_link(entry.path().join("ns/net")).ok()? == own;
            (is_agent && here).then(|| entry.file_name().to_str()?.parse().ok())?
        })
    };
    let pid: i32 = loop {
        if let Some(pid) = agent() {
            break pid;
        }
        assert!(Instant::now() < deadline, "no agent was started");
    };
    loop {
        let record = record(lab);
        let progress = &record["progress"];
        let far = match progress["state"].as_str() {
            Some("applying") => progress["done"].as_u64().is_some_and(|at| at >= done as u64),
            Some("waiting") => true,
            _ => false,
        };
        if far {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
                .unwrap();
            return progress["state"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "step {done} was not reached: {progress}");
    }
}

#[test]
#[ignore = "needs root: starts the lab"]
fn the_session_survives_and_the_old_state_comes_back_unless_confirmed() {
    let lab = Lab::up("bridge", &["--managers"]);
    lab.run(
        "kvm1",
        "cat >/etc/network/interfaces <<'X'\n# mine\nauto lo\niface lo inet loopback\n\nauto eth0\n\
        iface eth0 inet static\n    address 10.0.0.8/16\n    gateway 10.0.0.2 # why\nX\n",
    );
    let state = || without_seconds(&lab.run("kvm1", &format!("{STATE}; {FILES}")));
    let before = state();
    let mut server = lab.start("kvm1", "socat TCP-LISTEN:7777,fork,reuseaddr EXEC:cat");
    lab.run("kvm1", "until ss -ltn | grep -q :7777; do sleep 0.1; done");
    let mut session = lab.start(
        "pc",
        "(n=0; until [ -e /tmp/enough ]; do n=$((n+1)); echo line $n; sleep 0.1; done) | socat -t3 - TCP:10.0.0.8:7777",
    );
    let create =
        "env SSH_CONNECTION='10.0.0.1 50022 10.0.0.8 22' virt-net bridge create br7 --port eth0 --yes";

    refusals(&lab, create);
    assert_same(&state(), &before, "refused");

    // Nobody confirms; what waits is told, and nothing else may begin.
    let text = lab.run("kvm1", &format!("{create} --confirm 15s"));
    assert!(text.contains("this path carries your session: 10.0.0.1 → eth0"), "{text}");
    assert!(text.contains("default via 10.0.0.2 dev br7") && text.contains("no packet is lost"), "{text}");
    assert!(text.contains("+     bridge_ports eth0") && text.contains("virt-net confirm"), "{text}");
    assert_eq!(waiting(&lab).as_deref(), Some("waiting"));
    let made =
        lab.run("kvm1", "ip -br address show br7; bridge link show dev eth0; virt-net show bridges 2>&1");
    assert!(made.contains("10.0.0.8/16") && made.contains("state forwarding"), "{made}");
    assert!(made.contains("waits for its confirmation"), "{made}");
    let refused = lab.run("kvm1", "virt-net bridge delete br7 --persist none --yes 2>&1; echo status $?");
    assert!(refused.contains("another change") && refused.contains("status 3"), "{refused}");
    runs_out(&lab);
    assert_same(&state(), &before, "not confirmed");

    // Asked for.
    lab.run("kvm1", &format!("{create} --confirm 60s"));
    let text = lab.run("kvm1", "virt-net rollback");
    assert!(text.contains("taken back"), "{text}");
    assert_same(&state(), &before, "rolled back");

    // The agent is killed at each step, and while it waits: the next start finishes the way back, or
    // the agent itself when it is started again, as systemd does.
    for done in 0..=4 {
        let mut change = lab.start("kvm1", &format!("{create} --confirm 60s"));
        let at = kill_at(&lab, done.min(3));
        // The one who asked for it is killed as well, before it can finish for the agent.
        lab.run("kvm1", KILL);
        change.wait().unwrap();
        let again = if done % 2 == 0 {
            "virt-net show bridges >/dev/null"
        } else {
            "virt-net bridge-agent --take-lock /var/lib/virt-net"
        };
        lab.run("kvm1", again);
        assert_same(&state(), &before, &format!("agent killed while {at}, after {done} steps"));
    }

    // virt-net is killed, or its terminal hangs up: the agent goes on, and nobody confirms.
    let mut change = lab.start("kvm1", &format!("{create} --confirm 5s"));
    until("it waits", || recorded(&lab).0 == "waiting");
    change.kill().unwrap();
    change.wait().unwrap();
    runs_out(&lab);
    assert_same(&state(), &before, "virt-net killed");
    hang_up(&lab);
    runs_out(&lab);
    assert_same(&state(), &before, "terminal hung up");

    // A reboot while it waits: the files are the old ones, and the next start says so.
    lab.run("kvm1", &format!("{create} --confirm 60s"));
    lab.run("kvm1", "kill -9 $(pidof virt-net); sed -i 's/\"boot\": \"[^\"]*\"/\"boot\": \"an earlier one\"/' /var/lib/virt-net/bridge.json");
    let text = lab.run("kvm1", "virt-net show bridges 2>&1; ls -A /etc/network; cat /etc/network/interfaces");
    assert!(text.contains("the host was restarted") && !text.contains("virt-net-new"), "{text}");
    assert!(text.contains("iface eth0 inet static") && !text.contains("br7 inet"), "{text}");
    lab.run("kvm1", "virt-net bridge delete br7 --persist none --yes && virt-net confirm");
    assert_same(&state(), &before, "put back by hand");

    // Somebody else frees the port while it waits: that cannot be kept.
    lab.run("kvm1", &format!("{create} --confirm 60s"));
    let text = lab.run("kvm1", "ip link set eth0 nomaster; virt-net confirm; echo status $?");
    assert!(text.contains("eth0 is no port of br7") && text.contains("status 1"), "{text}");
    assert_same(&state(), &before, "changed by somebody else");

    // Confirmed, and deleted again.
    lab.run("kvm1", &format!("{create} --confirm 5s"));
    let text = lab.run("kvm1", "virt-net confirm; cat /etc/network/interfaces");
    assert!(text.contains("kept, also at the next boot (ifupdown)"), "{text}");
    assert!(text.contains("# mine") && text.contains("gateway 10.0.0.2 # why"), "{text}");
    lab.run("kvm1", "sleep 6; ip -br address show br7 | grep 10.0.0.8/16");
    lab.run("pc", "ping -c 2 -i 0.2 -W 1 10.0.0.8");
    lab.run("kvm1", "virt-net bridge delete br7 --yes && virt-net confirm");
    assert_same(&state(), &before, "deleted");

    // Another address: the old one, and the session over it, stay until it is confirmed.
    lab.run(
        "kvm1",
        "virt-net bridge create br7 --port eth0 --address 10.0.0.88/24 --stp on --persist none --yes",
    );
    let text = lab.run("kvm1", "ip -br address show br7; cat /sys/class/net/br7/bridge/stp_state");
    assert!(text.contains("10.0.0.8/16") && text.contains("10.0.0.88/24") && text.ends_with("1\n"), "{text}");
    lab.run("kvm1", "virt-net rollback");
    assert_same(&state(), &before, "another address");

    // From a DHCP server: the client takes the old address away at once, and it comes back.
    lab.run("kvm1", UDHCPC);
    let text =
        lab.run("kvm1", "virt-net bridge create br7 --port eth0 --address dhcp --persist none --yes; ip -br -4 address show br7");
    assert!(text.contains("run udhcpc -n -i br7") && text.contains("10.0.0.2"), "{text}");
    lab.run("kvm1", "virt-net rollback; ! pidof udhcpc");
    assert_same(&state(), &before, "address by DHCP");

    lab.run("pc", "touch /tmp/enough");
    let mut heard = String::new();
    session.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    let lines: Vec<String> = heard.lines().map(str::to_owned).collect();
    let wanted: Vec<String> = (1..=lines.len()).map(|number| format!("line {number}")).collect();
    assert!(lines.len() > 100, "the session ended early: {heard}");
    assert_eq!(lines, wanted, "the session lost lines");
    session.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Nothing is begun without the right, the room, and a NIC that can be a port.
fn refusals(lab: &Lab, create: &str) {
    let refused = |prepare: &str, command: &str, tidy: &str| {
        let text = lab.run("kvm1", &format!("{prepare}; {command} 2>&1; echo status $?; {tidy}"));
        assert!(text.contains("status 3"), "{command}: {text}");
        text
    };
    let guests = refused("true", "virt-net bridge create br7 --port eth1 --yes", "true");
    assert!(guests.contains("macvtaps are on eth1: web01 (macvtap"), "{guests}");
    let text = refused("true", &format!("setpriv --reuid 65534 --clear-groups {create}"), "true");
    assert!(text.contains("root only"), "{text}");
    let read_only = "mount --bind /etc/network /etc/network && mount -o remount,bind,ro /etc/network";
    let text = refused(read_only, create, "umount /etc/network");
    assert!(text.contains("Read-only file system"), "{text}");
    let full = "cp -a /etc/network /tmp/network; mount -t tmpfs -o size=64k tmpfs /etc/network; \
        cp -a /tmp/network/. /etc/network; cat /dev/zero >/etc/network/zero 2>/dev/null";
    let text = refused(full, create, "umount /etc/network");
    assert!(text.contains("No space left"), "{text}");
    let full = "mkdir -p /var/lib/virt-net; mount -t tmpfs -o size=16k tmpfs /var/lib/virt-net; \
        cat /dev/zero >/var/lib/virt-net/zero 2>/dev/null";
    let text = refused(full, create, "umount /var/lib/virt-net");
    assert!(text.contains("No space left"), "{text}");
    let text = refused("true", "virt-net bridge create br7 --port eth0 --persist netplan --yes", "true");
    assert!(text.contains("belongs to ifupdown"), "{text}");
    changed_since_the_preview(lab);
}

/// Somebody gives the NIC an address while the preview is read: it is not what was agreed to.
fn changed_since_the_preview(lab: &Lab) {
    let links = "ip -o link | grep -c . ; ip -4 -o address show dev eth0 | grep -o 'inet [0-9./]*'";
    let create: Vec<&str> = "virt-net bridge create br7 --port eth0 --confirm 20s".split(' ').collect();
    let mut terminal = screen::terminal(lab, &create);
    terminal.shows("Do it?");
    lab.run("kvm1", "ip address add 10.0.77.7/32 dev eth0");
    let before = lab.run("kvm1", links);
    terminal.keys("y\r");
    terminal.shows("10.0.77.7/32 is on eth0 now");
    assert_eq!(terminal.end(), 1);
    assert_eq!(lab.run("kvm1", links), before);
    lab.run("kvm1", "ip address del 10.0.77.7/32 dev eth0");
}

/// All of virt-net, and waits until they are gone: until then the agent has its lock.
pub(crate) const KILL: &str =
    "kill -9 $(pidof virt-net) 2>/dev/null; while pidof virt-net >/dev/null; do sleep 0.05; done";

/// Begins a change in a terminal, and takes the terminal away while it waits.
fn hang_up(lab: &Lab) {
    let pty = portable_pty::native_pty_system();
    let pair = pty.openpty(portable_pty::PtySize::default()).unwrap();
    let mut command = portable_pty::CommandBuilder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/lab"));
    command.args([
        "exec",
        "kvm1",
        "--",
        "sh",
        "-c",
        // Else the terminal's writer would type an empty line and the end of file as it goes, which is an answer.
        "stty eof undef; exec virt-net bridge create br7 --port eth0 --confirm 5s",
    ]);
    command.env("VIRT_NET_LAB", lab.instance());
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut writer = pair.master.take_writer().unwrap();
    let mut heard = String::new();
    let mut is_asked = false;
    let mut buffer = [0; 4096];
    while !heard.contains("Type keep within") {
        let read = reader.read(&mut buffer).unwrap();
        assert!(read > 0, "it ended: {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if !is_asked && heard.contains("Do it?") {
            is_asked = true;
            writer.write_all(b"y\n").unwrap();
        }
    }
    drop((reader, writer, pair.master));
    child.wait().unwrap();
}
