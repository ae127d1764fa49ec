//! The way back of a bridge's change is killed in the middle: whoever comes next finishes it, and the old
//! state is there to the byte. Told to end, the process that carries it out goes back by itself.

use crate::bridge::{FILES, KILL, STATE, assert_same, record, recorded, until, without_seconds};
use crate::bridge_owners::{self, IFUPDOWN, NETWORKD_STATIC, NETWORKMANAGER, Played};
use crate::lab::Lab;

const CREATE: &str = "virt-net bridge create br7 --port eth0 --yes --confirm 300s";
const SETTLED: &str =
    "ip -4 -o address show dev eth0 scope global | grep -q inet && ip route | grep -q '^default.* dev eth0'";

fn state(lab: &Lab) -> Vec<String> {
    // Managers make some links anew, and count their own files.
    let text = lab.run("kvm1", &format!("{STATE}; {FILES}"));
    without_seconds(&text)
}

/// Killed before each step back; what comes next is virt-net's start, or the agent's own by systemd.
fn killed_at_each_step_back(lab: &Lab, played: &Played) {
    let owner = played.owner;
    lab.run("kvm1", played.files);
    played.boot(lab);
    bridge_owners::until(lab, owner, SETTLED);
    let before = state(lab);
    for back in 1.. {
        lab.run("kvm1", &format!("VIRT_NET_TEST_PAUSE=bridge-back-{back}:600000 {CREATE}"));
        let steps = record(lab)["plan"]["undo"].as_array().unwrap().len();
        let mut rollback = lab.start("kvm1", "virt-net rollback");
        until(&format!("{owner}: step back {back}"), || {
            let progress = &record(lab)["progress"];
            progress["state"] == "rolling-back" && progress["done"] == back - 1
        });
        // The one who asked for it goes as well, before it can finish for the agent.
        lab.run("kvm1", KILL);
        rollback.wait().unwrap();
        assert_eq!(recorded(lab), ("rolling-back".to_owned(), "somebody asked for it".to_owned()));
        let again = if back % 2 == 0 {
            "virt-net show bridges >/dev/null"
        } else {
            "virt-net bridge-agent --take-lock /var/lib/virt-net"
        };
        lab.run("kvm1", again);
        let ended = recorded(lab);
        assert_eq!(ended, ("rolled-back".to_owned(), "somebody asked for it".to_owned()), "{owner} {back}");
        bridge_owners::until(lab, owner, SETTLED);
        assert_same(&state(lab), &before, &format!("{owner}: killed before step back {back} of {steps}"));
        if back == steps {
            break;
        }
    }
    bridge_owners::forget(lab, played);
}

#[test]
#[ignore = "needs root: starts the lab"]
fn a_way_back_that_was_killed_is_finished() {
    let lab = Lab::up("bridge-back", &["--managers"]);
    for played in [&IFUPDOWN, &NETWORKD_STATIC, &NETWORKMANAGER] {
        killed_at_each_step_back(&lab, played);
    }
}

/// Signals for the process that carries the change out.
fn tell(lab: &Lab, signals: &str) {
    let agent = "pgrep -f '^[^ ]*virt-net bridge-agent'";
    lab.run("kvm1", &format!("for signal in {signals}; do kill -$signal $({agent}); done"));
}

fn ended(lab: &Lab, why: &str) {
    assert_eq!(recorded(lab), ("rolled-back".to_owned(), why.to_owned()));
}

#[test]
#[ignore = "needs root: starts the lab"]
fn told_to_end_it_takes_everything_back_and_the_way_back_goes_on() {
    let lab = Lab::up("bridge-told", &["--managers"]);
    IFUPDOWN.set_up(&lab);
    bridge_owners::until(&lab, "ifupdown", SETTLED);
    let before = state(&lab);
    for (step, signal) in [(1, "TERM"), (2, "INT"), (3, "QUIT")] {
        let mut change = lab.start("kvm1", &format!("VIRT_NET_TEST_PAUSE=bridge-{step}:2000 {CREATE}"));
        until("it comes to the step", || {
            let progress = &record(&lab)["progress"];
            progress["state"] == "applying" && progress["done"] == step - 1
        });
        tell(&lab, signal);
        change.wait().unwrap();
        ended(&lab, "its process was told to end");
        assert_eq!(record(&lab)["took"].as_array().unwrap().len(), step - 1, "it has gone on after {signal}");
        assert_same(&state(&lab), &before, &format!("told to end before step {step}"));
    }

    // While the gateway is waited for, which does not answer.
    let mut change = lab.start("kvm1", &format!("VIRT_NET_TEST_PAUSE=bridge-3:2000 {CREATE}"));
    until("the last step", || record(&lab)["progress"]["done"] == 2);
    lab.run("lan", "ip link set lan0 arp off");
    until("the proof", || {
        record(&lab)["progress"]["doing"].as_str().is_some_and(|doing| doing.contains("to answer"))
    });
    tell(&lab, "TERM");
    change.wait().unwrap();
    lab.run("lan", "ip link set lan0 arp on");
    ended(&lab, "its process was told to end");
    assert_same(&state(&lab), &before, "told to end while it is proven");

    // On the way back it goes on, and while it waits it turns back.
    lab.run("kvm1", &format!("VIRT_NET_TEST_PAUSE=bridge-back-2:2000 {CREATE}"));
    let mut rollback = lab.start("kvm1", "virt-net rollback");
    until("the way back", || {
        let progress = &record(&lab)["progress"];
        progress["state"] == "rolling-back" && progress["done"] == 1
    });
    tell(&lab, "HUP TERM INT QUIT USR1 TERM");
    rollback.wait().unwrap();
    ended(&lab, "somebody asked for it");
    assert_same(&state(&lab), &before, "told to end on the way back");
    lab.run("kvm1", CREATE);
    tell(&lab, "TERM");
    until("it turns back", || recorded(&lab).0 == "rolled-back");
    ended(&lab, "its process was told to end");
    assert_same(&state(&lab), &before, "told to end while it waits");

    without_systemd(&lab);
    assert_same(&state(&lab), &before, "systemd would not");
}

/// systemd refuses the unit, or says so and runs it all the same.
fn without_systemd(lab: &Lab) {
    let systemd_run = |script: &str| {
        lab.run(
            "kvm1",
            &format!(
                "printf '#!/bin/sh\\n{script}\\n' >/usr/bin/systemd-run; chmod 755 /usr/bin/systemd-run"
            ),
        );
    };
    lab.run("kvm1", "mkdir -p /run/systemd/system");
    systemd_run("echo Unit was already loaded >&2; exit 1");
    let told = "systemd does not look after the process that takes it back (systemd-run: exit status: 1: Unit was already loaded)";
    let text = lab.run("kvm1", &format!("{CREATE} 2>&1"));
    assert!(text.contains(told) && text.contains("virt-net confirm"), "{text}");
    let text = lab.run("kvm1", "virt-net show bridges 2>&1 >/dev/null");
    assert!(text.contains(told), "{text}");
    lab.run("kvm1", "virt-net rollback");

    systemd_run(
        "while [ \"$1\" != -- ]; do shift; done; shift; setsid \"$@\" >/dev/null 2>&1 </dev/null & sleep 0.5; exit 1",
    );
    let text = lab.run("kvm1", &format!("{CREATE} 2>&1"));
    assert!(!text.contains("systemd does not"), "{text}");
    assert_eq!(lab.run("kvm1", "pgrep -c -f '^[^ ]*virt-net bridge-agent'"), "1\n");
    lab.run("kvm1", "virt-net rollback; rm -rf /run/systemd/system");
}
