//! Networks that change while somebody else changes something too.

use std::io::{BufRead as _, BufReader};

use crate::lab::Lab;

const MAC: &str = "52:54:00:aa:fc:1c";

impl Lab {
    /// Plugs the running centos7 elsewhere as virsh does it.
    fn virsh_plug(&self, network: &str) {
        self.run("kvm1", &plug(network));
    }

    fn master(&self, tap: &str) -> String {
        let read = format!("basename $(readlink /sys/class/net/{tap}/master) 2>/dev/null || true");
        self.run("kvm1", &read).trim().to_owned()
    }
}

fn plug(network: &str) -> String {
    format!(
        "echo \"<interface type='network'><mac address='{MAC}'/><source network='{network}'/><model type='virtio'/></interface>\" >/tmp/plug.xml && \
        virsh -q update-device centos7 /tmp/plug.xml --live"
    )
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_nic_that_was_plugged_elsewhere_meanwhile_stays_there() {
    let lab = Lab::up("leaves", &[]);
    let created = lab.run("kvm1", "virt-net network create other --mode isolated --yes 2>&1");
    assert!(created.contains("verified"), "{created}");
    let tap = lab.run("kvm1", &format!("virsh domiflist centos7 | awk '/{MAC}/ {{print $1}}'"));
    let tap = tap.trim();
    let elsewhere = lab.run("kvm1", "virsh net-info other | awk '/Bridge/ {print $2}'").trim().to_owned();
    assert_eq!(lab.master(tap), "virbr0");

    // Between the preview and the answer: nothing is begun, and it says why.
    let index = || lab.run("kvm1", "cat /sys/class/net/virbr0/ifindex");
    let before = index();
    let script = format!(
        "rm -f /tmp/answer /tmp/asked; mkfifo /tmp/answer
        script -qefc 'virt-net network restart default' /tmp/asked </tmp/answer >/dev/null 2>&1 & exec 3>/tmp/answer
        for n in $(seq 300); do grep -q 'y/N' /tmp/asked 2>/dev/null && break; sleep 0.1; done
        {}; echo y >&3; wait $!; status=$?; cat /tmp/asked; echo \"status $status\"",
        plug("other")
    );
    let printed = lab.run("kvm1", &script);
    let says = format!("centos7's {tap} is plugged into network other now: that changed since the preview");
    assert!(printed.contains(&says) && printed.ends_with("status 3\n"), "{printed}");
    assert_eq!((index(), lab.master(tap)), (before, elsewhere.clone()));

    // Between stop and start: everybody else is put back, this one stays where it was plugged.
    lab.virsh_plug("default");
    assert_eq!(lab.master(tap), "virbr0");
    let mut process =
        lab.start("kvm1", "VIRT_NET_TEST_PAUSE=start:4000 virt-net network restart default --yes");
    let mut printed = String::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("✔ stop it") {
            lab.virsh_plug("other");
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    assert!(process.wait().unwrap().success(), "{printed}");
    assert!(
        printed.contains("is plugged into network other now") && printed.contains("verified"),
        "{printed}"
    );
    assert_eq!(lab.master(tap), elsewhere, "{printed}");
    lab.guest("kvm1", "centos7", "true");

    // And one that comes in while the bridge is away is put on it, though the preview did not know of it.
    let mut process =
        lab.start("kvm1", "VIRT_NET_TEST_PAUSE=enslave:3000 virt-net network restart default --yes");
    let mut printed = String::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("✔ start it") {
            lab.virsh_plug("default");
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    assert!(process.wait().unwrap().success(), "{printed}");
    assert_eq!(lab.master(tap), "virbr0", "{printed}");
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_change_that_was_killed_is_told_and_put_right() {
    let lab = Lab::up("killed", &[]);
    let taps = || lab.run("kvm1", "ls /sys/class/net/virbr0/brif");
    let xml = || lab.run("kvm1", "virsh net-dumpxml default --inactive");
    let reaches =
        || lab.guest("kvm1", "centos7", "ping -c 1 -W 2 192.168.122.1 >/dev/null && echo yes || echo no");
    let (taps_before, xml_before) = (taps(), xml());
    let kill_at = |step: &str, arguments: &str| {
        let pause = if step == "put" { "enslave" } else { step };
        let script = format!(
            "VIRT_NET_TEST_PAUSE={pause}:60000 virt-net {arguments} --yes >/tmp/out 2>&1 & pid=$!
            for n in $(seq 300); do grep -q '\"step\": \"{step} ' /var/lib/virt-net/unfinished/*.json 2>/dev/null && break; sleep 0.1; done
            kill -9 $pid; wait $pid; cat /tmp/out"
        );
        lab.run("kvm1", &script)
    };
    let repaired = || {
        let printed = lab.run("kvm1", "virt-net network repair default --yes 2>&1");
        assert!(printed.contains("verified"), "{printed}");
        assert_eq!(lab.run("kvm1", "virt-net show networks 2>&1 >/dev/null"), "");
        assert_eq!((taps(), xml()), (taps_before.clone(), xml_before.clone()), "{printed}");
        assert_eq!(reaches().trim(), "yes", "{printed}");
        printed
    };

    // Between stop and start: the definition is the new one, the network is down, every guest is off.
    kill_at("start", "network edit default --mtu 1400");
    assert_ne!(xml(), xml_before);
    assert_eq!(reaches().trim(), "no");
    let told = lab.run("kvm1", "virt-net show networks 2>&1 >/dev/null");
    assert!(told.contains("edit network default was interrupted at step 3 of 4"), "{told}");
    assert!(told.contains("virt-net network repair default"), "{told}");
    let found = lab.run("kvm1", "virt-net doctor 2>&1 || true");
    assert!(found.contains("edit network default was interrupted"), "{found}");
    assert!(repaired().contains("The definition and the state from before come back"));

    // It runs already with the new definition, and its taps are on no bridge.
    kill_at("put", "network edit default --mtu 1400");
    let printed = repaired();
    assert!(printed.contains("interrupted at step 4 of 4"), "{printed}");
    assert!(!lab.run("kvm1", "ip link show virbr0").contains("mtu 1400"));

    // A restart changes no definition: only the taps come back.
    kill_at("put", "network restart default");
    assert_eq!(reaches().trim(), "no");
    let printed = repaired();
    assert!(printed.contains("Its definition was not to change"), "{printed}");
}
