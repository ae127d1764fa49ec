//! A bridge over the NIC that carries the session: kept only when confirmed, and the old state is back
//! to the byte after every other end.

use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;

use virt_net::change::bridge::evidence::Evidence;
use virt_net::change::bridge::kernel::Kernel;
use virt_net::change::bridge::{Addressing, BridgePlan, BridgeWant, Lasting, Stp, plan};
use virt_net::model::facts::HostFacts;
use virt_net::model::{Snapshot, SourceState};
use virt_net::source::collector::Collector;
use virt_net::source::{Update, netlink};

use crate::lab::Lab;
use crate::netlink::{in_namespace, run};

/// Everything that a change of a bridge may touch; what only counts or ages is left out.
const STATE: &str = "ip -d -o link | sed 's/ state [A-Z]*//; s/bridge_id.*//; s/[a-z_]*timer *[0-9.]*//g; s/ageing_time [0-9]*//'; ip -4 -o address; \
    ip -6 -o address show scope global; ip route show table all | sed '/^broadcast/d; /^local/d; /ff00::/d; /fe80/d'";

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
    plan::plan(&snapshot, &Evidence::default(), &want).unwrap()
}

fn set_up() {
    run("ip link add eth0 address 02:00:00:00:00:01 mtu 1400 type veth peer name lan; \
         ip link set lo up; ip link set eth0 up; ip link set lan up; \
         ip address add 10.0.0.8/16 dev eth0 valid_lft 3600 preferred_lft 3600; \
         ip address add 192.0.2.7/24 dev eth0; \
         ip -6 address add 2001:db8::8/64 dev eth0 nodad; \
         ip route add default via 10.0.0.2 dev eth0 metric 100; \
         ip route add 172.16.0.0/12 via 10.0.0.3 src 192.0.2.7; \
         ip route add 198.51.100.0/24 nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3; \
         ip route add 203.0.113.0/24 via 10.0.0.9 table 77; \
         ip -6 route add default via 2001:db8::1 metric 50");
}

/// Lifetimes go on running; everything else must be as it was.
fn without_seconds(text: &str) -> Vec<String> {
    let steady = |line: &str| -> String {
        line.split_whitespace().filter(|word| !word.ends_with("sec")).collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(steady).collect();
    lines.sort();
    lines
}

/// Fails with the lines that differ, and only those.
fn assert_same(now: &[String], before: &[String], when: &str) {
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
        // And the bridge is deleted again as any other one.
        let want = BridgeWant::Delete { bridge: "br0".parse().unwrap(), persist: Lasting::No };
        let delete = plan::plan(&snapshot, &Evidence::default(), &want).unwrap();
        for step in &delete.steps {
            kernel.run(step).await.unwrap();
        }
        assert_same(&without_seconds(&state()), &before, "deleted");
    });
}

#[test]
#[ignore = "needs root: starts the lab"]
fn the_session_survives_and_the_old_state_comes_back_unless_confirmed() {
    let lab = Lab::up("bridge", &[]);
    let state = || without_seconds(&lab.run("kvm1", STATE));
    let before = state();
    let mut server = lab.start("kvm1", "socat TCP-LISTEN:7777,fork,reuseaddr EXEC:cat");
    lab.run("kvm1", "until ss -ltn | grep -q :7777; do sleep 0.1; done");
    let mut session = lab.start(
        "pc",
        "(for n in $(seq 300); do echo line $n; sleep 0.1; done) | socat -t3 - TCP:10.0.0.8:7777",
    );
    let create = "SSH_CONNECTION='10.0.0.1 50022 10.0.0.8 22' virt-net bridge create br7 --port eth0 --yes";

    // Nobody confirms.
    let text = lab.run("kvm1", &format!("{create} --confirm 5s"));
    assert!(text.contains("this path carries your session: 10.0.0.1 → eth0"), "{text}");
    assert!(text.contains("virt-net confirm"), "{text}");
    let made =
        lab.run("kvm1", "ip -br address show br7; bridge link show dev eth0; virt-net show bridges 2>&1");
    assert!(made.contains("10.0.0.8/16") && made.contains("state forwarding"), "{made}");
    assert!(made.contains("waits for its confirmation"), "{made}");
    let refused = lab.run("kvm1", "virt-net bridge delete br7 --yes 2>&1; echo status $?");
    assert!(refused.contains("another change") && refused.contains("status 3"), "{refused}");
    lab.run("kvm1", "sleep 6");
    assert_same(&state(), &before, "not confirmed");

    // Asked for.
    lab.run("kvm1", &format!("{create} --confirm 60s"));
    let text = lab.run("kvm1", "virt-net rollback");
    assert!(text.contains("taken back"), "{text}");
    assert_same(&state(), &before, "rolled back");

    // The agent is killed while it waits: the next start finishes the way back.
    lab.run("kvm1", &format!("{create} --confirm 60s"));
    lab.run("kvm1", "kill -9 $(pidof virt-net)");
    let text = lab.run("kvm1", "virt-net show bridges 2>&1");
    assert!(text.contains("taken back"), "{text}");
    assert_same(&state(), &before, "agent killed");

    // Killed at some moment in the middle.
    for moment in ["0.00", "0.02", "0.04", "0.06", "0.1"] {
        lab.run("kvm1", &format!("({create} --confirm 60s >/dev/null 2>&1 &) ; \
            for n in $(seq 400); do p=$(pgrep -f [b]ridge-agent) && break; sleep 0.01; done; \
            sleep {moment}; kill -9 $p $(pidof virt-net) 2>/dev/null; sleep 0.2; virt-net show bridges >/dev/null 2>&1"));
        assert_same(&state(), &before, &format!("agent killed {moment} s after it began"));
    }

    // Confirmed, and deleted again.
    lab.run("kvm1", &format!("{create} --confirm 5s"));
    assert!(lab.run("kvm1", "virt-net confirm").contains("kept"));
    lab.run("kvm1", "sleep 6; ip -br address show br7 | grep 10.0.0.8/16");
    lab.run("pc", "ping -c 2 -i 0.2 -W 1 10.0.0.8");
    lab.run("kvm1", "virt-net bridge delete br7 --yes && virt-net confirm");
    assert_same(&state(), &before, "deleted");

    let mut heard = String::new();
    session.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    assert_eq!(heard.lines().count(), 300, "the session lost lines: {heard}");
    session.wait().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
}
