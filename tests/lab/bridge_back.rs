//! The way back of a bridge's change is killed in the middle: whoever comes next finishes it, and the old
//! state is there to the byte.

use crate::bridge::{FILES, STATE, assert_same, record, recorded, until, without_seconds};
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
        lab.run("kvm1", "kill -9 $(pidof virt-net)");
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
