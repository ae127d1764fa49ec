//! The other changes of guests on real ones: cable, NICs that come and go, pending changes, power.

use crate::lab::Lab;
use crate::screen;

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn nics_come_and_go_and_guests_start_and_stop() {
    let lab = Lab::up("devices", &["--bridge"]);
    cable(&lab);
    console(&lab);
    add_and_remove(&lab);
    pending(&lab);
    orphaned_tap(&lab);
    power(&lab);
    all_of_a_network(&lab);
    switch_by_restart(&lab);
    a_guest_that_does_not_shut_down(&lab);
}

fn cable(lab: &Lab) {
    let carrier = || lab.guest("kvm1", "centos7", "cat /sys/class/net/eth0/carrier");
    lab.virt_net("nic down centos7 --yes").verified();
    assert_eq!(carrier().trim(), "0");
    lab.virt_net("nic down centos7 --yes").ended(3, "so already");
    lab.virt_net("undo --yes").verified();
    assert_eq!(carrier().trim(), "1");
    lab.virt_net("nic down centos7 --next-boot --yes").verified();
    assert_eq!(carrier().trim(), "1");
    lab.virt_net("nic discard centos7 --yes").verified();
    lab.virt_net("nic discard centos7 --yes").ended(3, "do not differ");
}

/// What is typed reaches the guest, what it says comes back, and the terminal is as it was before.
fn console(lab: &Lab) {
    let script = r#"trap '' PIPE; rm -f /tmp/keys /tmp/seen; mkfifo /tmp/keys; mkdir -p /run/lock
        script -qefc 'stty -a >/tmp/before; virt-net console centos7; s=$?; stty -a >/tmp/after; exit $s' \
            /tmp/seen </tmp/keys >/dev/null 2>&1 & exec 3>/tmp/keys
        until_seen() { for n in $(seq 300); do grep -aq "$1" /tmp/seen 2>/dev/null && return; sleep 0.1; done; cat -v /tmp/seen; exit 1; }
        until_seen 'Escape character'
        echo "echo said-\$((40 + 2))" >&3; until_seen said-42
        printf '\035' >&3; wait $!; status=$?; cmp /tmp/before /tmp/after && echo "status $status""#;
    assert_eq!(lab.run("kvm1", script), "status 0\n");
    lab.virt_net("console db01").ended(2, "not a terminal");
    lab.virt_net("new web02 --to bridge=nobr9 --pxe --dry-run").ended(2, "nobr9");
    lab.virt_net("new web02 --to bridge=virbr1 --pxe --yes").ended(3, "package virtinst");
}

fn add_and_remove(lab: &Lab) {
    lab.virt_net("nic add centos7 --to bridge=virbr1 --mac 52:54:00:aa:fc:1c --yes")
        .ended(3, "a NIC of centos7");
    lab.virt_net("nic add centos7 --to bridge=virbr1 --model virtoi --yes")
        .ended(3, "the guest's emulator has no NIC model virtoi");
    lab.virt_net("nic add centos7 --to bridge=virbr1 --yes").verified();
    lab.guest("kvm1", "centos7", "ip -4 -o addr show eth1 | grep -q 'inet 10.0.0.'");
    assert_eq!(lab.nic("centos7", "--inactive").matches("<interface").count(), 2);
    let run = lab.virt_net("nic remove centos7 1 --yes");
    run.ended(0, "is gone");
    lab.guest("kvm1", "centos7", "test ! -e /sys/class/net/eth1");
    assert_eq!(lab.nic("centos7", "--inactive").matches("<interface").count(), 1);
    lab.virt_net("undo --yes").verified();
    lab.guest("kvm1", "centos7", "test -e /sys/class/net/eth1");
    lab.virt_net("nic remove centos7 1 --yes").verified();
}

/// A change for the next boot, taken now: live where that goes, by hot-replug where not.
fn pending(lab: &Lab) {
    for (target, source) in [("bridge=virbr1", "bridge='virbr1'"), ("macvtap=eth0", "dev='eth0'")] {
        lab.virt_net(&format!("switch centos7 --to {target} --next-boot --yes")).verified();
        lab.virt_net("nic apply centos7 --yes").verified();
        assert!(lab.nic("centos7", "").contains(source));
        lab.virt_net("switch centos7 --to network=default --bounce 1 --yes").verified();
        lab.is_on("virbr0", "network='default'");
    }
}

/// A network's stop and start leaves the taps without a bridge, and libvirt says nothing of it.
fn orphaned_tap(lab: &Lab) {
    lab.virt_net("nic reseat centos7 --yes").ended(3, "where libvirt says");
    lab.run("kvm1", "virsh net-destroy default && virsh net-start default");
    lab.virt_net("switch centos7 --to network=default --yes").ended(3, "virt-net nic reseat");
    lab.virt_net("nic reseat centos7 --yes").ended(0, "forwarding");
    lab.is_on("virbr0", "network='default'");
    lab.pings("192.168.122.208", false);
}

fn power(lab: &Lab) {
    lab.virt_net("guest resume db01 --yes").ended(3, "the guest is off");
    lab.virt_net("guest start db01 --yes").ended(0, "master virbr0");
    lab.virt_net("guest pause db01 --yes").verified();
    assert_eq!(lab.run("kvm1", "virsh domstate db01").trim(), "paused");
    lab.virt_net("guest resume db01 --yes").verified();
    lab.virt_net("guest force-off db01 --yes").verified();
    assert_eq!(lab.run("kvm1", "virsh domstate db01").trim(), "shut off");
    // A bridge that is not there is told before libvirt tries.
    lab.run(
        "kvm1",
        "virsh dumpxml db01 --inactive | sed \"s|<interface type='network'>|<interface type='bridge'>|; \
        s|<source network='default'/>|<source bridge='nobr9'/>|\" | virsh define /dev/stdin",
    );
    lab.virt_net("guest start db01 --yes").ended(3, "no such bridge");
    lab.virt_net("guest autostart-on db01 --yes").verified();
    assert!(lab.run("kvm1", "virsh dominfo db01").contains("Autostart:      enable"));
}

/// Every NIC of the NAT network to the bridge and back; and all of them back when one cannot.
fn all_of_a_network(lab: &Lab) {
    let bridged = || {
        let list = "virsh domiflist centos7; virsh domiflist web01";
        lab.run("kvm1", list).lines().filter(|line| line.contains("virbr1")).count()
    };
    let before = bridged();
    let all = "switch-all --from network=default --to bridge=virbr1 --bounce 1";
    lab.virt_net(&format!("{all} --dry-run")).ended(0, "web01 52:54:00:11:22:34: network default");
    assert_eq!(bridged(), before);
    lab.virt_net(&format!("{all} --yes")).ended(0, "web01 52:54:00:11:22:34: verified");
    assert_eq!(bridged(), before + 2);
    screen::undo_by_keys(lab, "2 NICs back: → network default");
    lab.virt_net("switch-all --from network=default --to network=default --yes")
        .ended(3, "plugged there already");
    assert_eq!(bridged(), before);
    // web01 stops answering after the preview: its NIC cannot follow, and centos7's is taken back.
    let run = lab.virt_net_until(
        "switch-all --from network=default --to macvtap=eth0 --yes",
        "unplug:3000",
        "✔ next boot",
        || drop(lab.run("kvm1", "virsh destroy web01")),
    );
    run.ended(1, "taken back");
    run.ended(1, "web01 52:54:00:11:22:34: put back as it was");
    lab.is_on("virbr0", "network='default'");
    lab.run("kvm1", "virsh start web01");
}

/// The lab's guests have no power button: somebody inside follows the request.
fn switch_by_restart(lab: &Lab) {
    lab.virt_net("switch centos7 --to bridge=virbr1 --restart --next-boot --yes").ended(2, "cannot be used");
    let run = lab.virt_net_until("switch centos7 --to bridge=virbr1 --restart --yes", "", "asked to shut down", || {
        // It goes before it can answer.
        lab.run("kvm1", "(VIRT_NET_GUEST_TIMEOUT=1 bash /opt/lab/lab __guest centos7 'poweroff -f') >/dev/null 2>&1 || true");
    });
    run.ended(0, "address    10.0.0.208");
    lab.is_on("virbr1", "<source bridge='virbr1'/>");
    lab.virt_net("undo --yes").verified();
    lab.is_on("virbr0", "network='default'");
}

/// It was asked and may follow later: the definition is put back, and nobody is told that nothing happened.
fn a_guest_that_does_not_shut_down(lab: &Lab) {
    let before = (lab.nic("centos7", ""), lab.nic("centos7", "--inactive"));
    let switch = "VIRT_NET_TEST_SHUTDOWN=4 virt-net switch centos7 --to bridge=virbr1 --restart --yes";
    let told = lab.run("kvm1", &format!("{switch} 2>&1 || echo status $?"));
    for text in ["after 4 s the guest is running", "may still do so", "status 1"] {
        assert!(told.contains(text), "no {text:?} in\n{told}");
    }
    assert_eq!((lab.nic("centos7", ""), lab.nic("centos7", "--inactive")), before);
    lab.virt_net("undo --yes").ended(3, "everything is as it was before it already");
}
