//! What others do while a bridge is being made: a network of libvirt takes its name, the gateway goes
//! away, nobody lends an address. It is noticed, taken back without asking, and nothing of theirs is lost.

use crate::bridge::{FILES, STATE, assert_same, record, recorded, until, without_seconds};
use crate::bridge_owners::IFUPDOWN;
use crate::lab::Lab;
use crate::screen;

const NETWORK: &str = "printf \"<network><name>other</name><forward mode='nat'/><bridge name='br7'/>\
    <ip address='192.168.77.1' netmask='255.255.255.0'><dhcp><range start='192.168.77.2' end='192.168.77.9'/></dhcp></ip></network>\" >/tmp/other.xml; \
    virsh -q net-define /tmp/other.xml";
/// The network as the kernel has it, with its DHCP server.
const THEIRS: &str = "ip -o link show br7 | sed 's/ state [A-Z]*//'; ip -4 -o address show dev br7; kill -0 $(cat /run/libvirt/network/other.pid) && cat /run/libvirt/network/other.pid; virsh -q net-list --name | grep other";

fn state(lab: &Lab) -> Vec<String> {
    without_seconds(&lab.run("kvm1", &format!("{STATE}; {FILES}")))
}

/// Holds the change before one of its steps, and does something on a host then.
fn meanwhile(lab: &Lab, step: u64, host: &str, act: &str) {
    let create = "virt-net bridge create br7 --port eth0 --yes --confirm 60s";
    let mut change = lab.start("kvm1", &format!("VIRT_NET_TEST_PAUSE=bridge-{step}:5000 {create}"));
    until("it comes to the step", || {
        let progress = &record(lab)["progress"];
        progress["state"] == "applying" && progress["done"] == step - 1
    });
    lab.run(host, act);
    change.wait().unwrap();
}

/// libvirt starts a network whose bridge has the name.
fn a_network_takes_the_name(lab: &Lab) {
    // While the preview is read.
    let create: Vec<&str> = "virt-net bridge create br7 --port eth0 --confirm 20s".split(' ').collect();
    let before = state(lab);
    let mut terminal = screen::terminal(lab, &create);
    terminal.shows("Do it?");
    let theirs = lab.run("kvm1", &format!("{NETWORK} && virsh -q net-start other && {THEIRS}"));
    terminal.keys("y\r");
    terminal.shows("somebody has made br7 meanwhile");
    assert_eq!(terminal.end(), 1);
    assert_eq!(lab.run("kvm1", THEIRS), theirs);
    lab.run("kvm1", "virsh -q net-destroy other; virsh -q net-undefine other");
    assert_same(&state(lab), &before, "refused");

    // When the first step is about to be done.
    meanwhile(lab, 1, "kvm1", &format!("{NETWORK} && virsh -q net-start other && ({THEIRS}) >/tmp/theirs"));
    let (ended, why) = recorded(lab);
    assert_eq!(ended, "rolled-back", "{why}");
    assert!(why.contains("make bridge br7") && why.contains("is left as it is"), "{why}");
    assert_eq!(lab.run("kvm1", THEIRS), lab.run("kvm1", "cat /tmp/theirs"));
    lab.run("kvm1", "virsh -q net-destroy other; virsh -q net-undefine other");
    assert_same(&state(lab), &before, "the name was taken");

    // When the bridge is there: libvirt has the loss.
    meanwhile(lab, 2, "kvm1", &format!("{NETWORK}; virsh net-start other >/tmp/refused 2>&1; true"));
    let refused = lab.run("kvm1", "cat /tmp/refused; virsh -q net-undefine other");
    assert!(refused.contains("br7"), "{refused}");
    assert_eq!(recorded(lab).0, "waiting");
    lab.run("kvm1", "virt-net rollback");
    assert_same(&state(lab), &before, "the network was refused");
}

/// What the bridge needs is not there in the end.
fn what_it_needs_is_missing(lab: &Lab) {
    let before = state(lab);
    meanwhile(lab, 3, "lan", "true");
    assert_eq!(recorded(lab).0, "waiting", "with the gateway it is made");
    lab.run("kvm1", "virt-net rollback");

    meanwhile(lab, 3, "lan", "ip link set lan0 arp off");
    lab.run("lan", "ip link set lan0 arp on");
    let (ended, why) = recorded(lab);
    assert_eq!(ended, "rolled-back", "{why}");
    assert!(why.contains("10.0.0.2, which answered before, does not answer on br7 any more"), "{why}");
    assert_same(&state(lab), &before, "the gateway did not answer");
}

#[test]
#[ignore = "needs root: starts the lab"]
fn what_others_do_meanwhile_is_noticed_and_left_alone() {
    let lab = Lab::up("bridge-meanwhile", &["--managers"]);
    IFUPDOWN.set_up(&lab);
    a_network_takes_the_name(&lab);
    what_it_needs_is_missing(&lab);
}
