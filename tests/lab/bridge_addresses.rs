//! Where a new bridge's address comes from, with each owner of the NIC: it has it now, keeps it, and has it
//! after a reboot, which is played; without a lease it is taken back.

use crate::bridge::{UDHCPC, recorded};
use crate::bridge_owners::{
    IFUPDOWN, NETPLAN, NETWORKD_STATIC, NETWORKMANAGER, Played, address_of, files, forget, until,
};
use crate::lab::Lab;

const GIVEN: &str = "10.0.0.88/16";

/// Made with this address, kept, and there after a reboot.
fn has_it(lab: &Lab, played: &Played, wanted: &str, is_so: &str) {
    let owner = played.owner;
    played.set_up(lab);
    let old_files = files(lab);
    let old = address_of(lab, "eth0");
    let create = format!("virt-net bridge create br7 --port eth0 --address {wanted} --yes --confirm 60s");

    let text = lab.run("kvm1", &create);
    assert!(text.contains(&format!("eth0 belongs to {owner}")), "{text}");
    until(lab, &format!("{owner}: {wanted} at once"), is_so);
    assert_eq!(files(lab), old_files, "{owner}: nothing that a boot reads changes before it is confirmed");
    let text = lab.run("kvm1", "virt-net rollback");
    assert!(text.contains("the old state is seen in the kernel"), "{owner}: {text}");
    assert_eq!(address_of(lab, "eth0"), old, "{owner} {wanted}: taken back");
    until(lab, owner, "ip route | grep -q '^default.* dev eth0'");
    assert_eq!(files(lab), old_files, "{owner} {wanted}");

    lab.run("kvm1", &create);
    let text = lab.run("kvm1", "virt-net confirm");
    assert!(text.contains(&format!("kept, also at the next boot ({owner})")), "{text}");
    until(lab, &format!("{owner}: {wanted} kept"), is_so);
    let kept = address_of(lab, "br7");
    assert!(!kept.contains(&old), "{owner}: {wanted}: the old address is still there: {kept}");
    lab.run("pc", &format!("ping -c 2 -i 0.2 -W 2 {}", kept.split('/').next().unwrap()));

    played.end(lab);
    played.boot(lab);
    until(lab, &format!("{owner}: {wanted} after a reboot"), is_so);
    assert_eq!(address_of(lab, "br7"), kept, "{owner}: {wanted} after a reboot");
    assert_eq!(address_of(lab, "eth0"), "", "{owner}: {wanted} after a reboot");
    played.end(lab);
    lab.run("kvm1", "kill -9 $(pidof udhcpc) 2>/dev/null; true");
    forget(lab, played);
}

/// Nobody lends it an address: everything is as it was, without a question.
fn without_a_lease(lab: &Lab, played: &Played) {
    played.set_up(lab);
    let old = address_of(lab, "eth0");
    lab.run("lan", "kill -STOP $(cat /run/lan-dnsmasq.pid)");
    let text = lab.run(
        "kvm1",
        "virt-net bridge create br7 --port eth0 --address dhcp --yes --confirm 60s 2>&1; echo status $?",
    );
    lab.run("lan", "kill -CONT $(cat /run/lan-dnsmasq.pid)");
    assert!(text.ends_with("status 1\n"), "{}: {text}", played.owner);
    assert!(text.contains("lent br7 an address") || text.contains("no lease, failing"), "{text}");
    assert_eq!(recorded(lab).0, "rolled-back");
    assert_eq!(address_of(lab, "eth0"), old, "{}", played.owner);
    assert_eq!(lab.run("kvm1", "ip link show br7 2>&1 || true").lines().count(), 1);
    forget(lab, played);
}

#[test]
#[ignore = "needs root: starts the lab"]
fn every_owner_gives_the_bridge_the_address_that_was_asked_for() {
    let lab = Lab::up("bridge-addresses", &["--managers"]);
    lab.run("kvm1", UDHCPC);
    let given = format!(
        "ip -4 -o address show dev br7 | grep -q ' {GIVEN} ' && ip -o link show dev eth0 | grep -q 'master br7' && ip route | grep -q '^default via 10.0.0.2 dev br7'"
    );
    let lent = "ip -4 -o address show dev br7 | grep -v ' 10.0.0.8/' | grep -q inet && ip -o link show dev eth0 | grep -q 'master br7' && ip route | grep -q '^default via 10.0.0.2 dev br7'";
    for played in [&IFUPDOWN, &NETWORKD_STATIC, &NETPLAN, &NETWORKMANAGER] {
        has_it(&lab, played, GIVEN, &given);
        has_it(&lab, played, "dhcp", lent);
        without_a_lease(&lab, played);
    }
}
