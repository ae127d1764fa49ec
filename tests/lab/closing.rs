//! Whoever ends closes its connections to libvirt in order: libvirtd 9.0 may crash over a client that hangs up
//! while one of its calls is under way. Told by libvirtd's own log of each message of each client.

use std::collections::{BTreeMap, BTreeSet};

use crate::lab::Lab;
use crate::screen;

/// `REMOTE_PROGRAM` and `REMOTE_PROC_…` of `remote_protocol.x`.
const PROGRAM: &str = "536903814";
const CLOSE: u32 = 2;
const LIST_ALL_NODE_DEVICES: u32 = 285;
/// Addresses from an agent, capabilities of an emulator.
const LONG: [u32; 2] = [353, 342];
const REGISTER: [u32; 2] = [316, 313];
const DEREGISTER: [u32; 2] = [317, 314];

/// What libvirtd was asked by one client, in order, as procedures' numbers.
type Calls = Vec<u32>;

impl Lab {
    /// libvirtd notes all its clients' messages from now on.
    fn note_clients(&self) {
        self.run(
            "kvm1",
            "virt-admin daemon-log-filters 2:rpc.netserverclient && virt-admin daemon-log-outputs 2:file:/tmp/clients",
        );
    }

    /// Runs a shell command while guests come and go; libvirtd's clients meanwhile.
    fn clients_of(&self, command: &str) -> Vec<Calls> {
        let stir = "while [ ! -e /tmp/enough ]; do virsh -q suspend centos7; virsh -q resume centos7; done";
        let around = "s=$?; touch /tmp/enough; wait; rm /tmp/enough; exit $s";
        self.run("kvm1", &format!("({stir}) & ({command}) >/dev/null; {around}"));
        self.clients()
    }

    /// The clients since the last time, all of which must be gone.
    fn clients(&self) -> Vec<Calls> {
        // A client is gone for libvirtd a moment after its last message.
        self.run("kvm1", "for n in $(seq 100); do virt-admin client-list libvirtd | grep -q unix || exit 0; sleep 0.1; done; exit 1");
        let noted = self.run("kvm1", "cat /tmp/clients; : >/tmp/clients");
        let (mut open, mut gone): (BTreeMap<&str, Calls>, Vec<Calls>) = (BTreeMap::new(), Vec::new());
        for line in noted.lines() {
            let words: BTreeMap<&str, &str> =
                line.split_whitespace().filter_map(|word| word.split_once('=')).collect();
            let Some(client) = words.get("client") else { continue };
            // Not those of virt-admin, which has a program of its own.
            if line.contains("RPC_SERVER_CLIENT_MSG_RX") && words["prog"] == PROGRAM {
                open.entry(client).or_default().push(words["proc"].parse().expect("a number"));
            } else if line.contains("RPC_SERVER_CLIENT_DISPOSE") {
                // Its address is free for another client.
                gone.extend(open.remove(client));
            }
        }
        assert!(open.is_empty(), "not gone: {open:?}");
        gone
    }

    fn libvirtd_pid(&self) -> String {
        self.run("kvm1", "cat /run/libvirtd.pid")
    }
}

/// Each of them took its callbacks back and said good bye. One without callbacks may be left in a call that hangs
/// on a guest or an emulator.
#[track_caller]
fn all_closed(clients: &[Calls]) {
    let left = |calls: &&Calls| {
        !calls.contains(&REGISTER[0]) && calls.last().is_some_and(|call| LONG.contains(call))
    };
    let count = |calls: &Calls, which: [u32; 2]| calls.iter().filter(|call| which.contains(call)).count();
    for calls in clients.iter().filter(|calls| !left(calls)) {
        assert_eq!(calls.last(), Some(&CLOSE), "hung up: {calls:?}");
        assert_eq!(count(calls, REGISTER), count(calls, DEREGISTER), "callbacks are left: {calls:?}");
    }
}

fn with_callbacks(clients: &[Calls]) -> usize {
    clients.iter().filter(|calls| calls.contains(&REGISTER[0])).count()
}

fn all_calls(clients: &[Calls]) -> BTreeSet<u32> {
    clients.iter().flatten().copied().collect()
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn every_connection_is_closed_and_libvirtd_lives_on() {
    let lab = Lab::up("closing", &[]);
    let daemon = lab.libvirtd_pid();
    lab.note_clients();
    many_commands(&lab);
    told_to_end(&lab);
    told_to_end_at_the_question(&lab);
    screens(&lab);
    changes(&lab);
    assert_eq!(lab.libvirtd_pid(), daemon);
    lab.run("kvm1", &format!("kill -0 {daemon}"));
    a_frozen_daemon(&lab);
}

/// One after the other and several at once.
fn many_commands(lab: &Lab) {
    let clients = lab.clients_of(
        "for n in $(seq 6); do for m in $(seq 5); do virt-net show & done; wait; done
         for n in $(seq 30); do virt-net reach centos7 || exit 1; done",
    );
    assert!(with_callbacks(&clients) >= 60, "{}", with_callbacks(&clients));
    all_closed(&clients);
    // Hundreds on a big host, and nobody needs them here.
    assert!(!all_calls(&clients).contains(&LIST_ALL_NODE_DEVICES));
    let clients = lab.clients_of("for n in $(seq 10); do virt-net nic devices || exit 1; done");
    all_closed(&clients);
    assert!(all_calls(&clients).contains(&LIST_ALL_NODE_DEVICES));
}

/// At any moment, by each signal that ends it.
fn told_to_end(lab: &Lab) {
    for (signal, status) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let clients = lab.clients_of(&format!(
            "for n in 0.02 0.03 0.04 0.05 0.06 0.08 0.1 0.2 0.4; do
                 timeout --preserve-status -s {signal} $n virt-net show; [ $? = {status} ] || exit 1
             done"
        ));
        assert!(with_callbacks(&clients) > 0, "{signal}");
        all_closed(&clients);
    }
}

/// Nothing has begun yet.
fn told_to_end_at_the_question(lab: &Lab) {
    for (signal, status) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let mut terminal = screen::terminal(lab, &["virt-net", "nic", "down", "centos7"]);
        terminal.shows("Do it?");
        lab.run("kvm1", &format!("kill -{signal} $(pidof virt-net)"));
        assert_eq!(terminal.end(), status, "{signal}");
        let clients = lab.clients();
        assert!(with_callbacks(&clients) > 0, "{signal}");
        all_closed(&clients);
    }
    assert!(!lab.run("kvm1", "virsh domif-getlink centos7 vnet0").contains("down"));
}

/// By a key, and by signals.
fn screens(lab: &Lab) {
    for end in ["q", "TERM", "HUP"] {
        let mut terminal = screen::terminal(lab, &["virt-net"]);
        terminal.shows("centos7");
        match end {
            "q" => terminal.keys("q"),
            signal => drop(lab.run("kvm1", &format!("kill -{signal} $(pidof virt-net)"))),
        }
        terminal.end();
        let clients = lab.clients();
        assert_eq!(with_callbacks(&clients), 1, "{end}");
        all_closed(&clients);
    }
}

/// What writes has connections of its own.
fn changes(lab: &Lab) {
    for change in [
        "nic down centos7",
        "undo",
        "guest pause centos7",
        "guest resume centos7",
        "network autostart default off",
    ] {
        lab.virt_net(&format!("{change} --yes")).ended(0, "");
        all_closed(&lab.clients());
    }
    lab.virt_net("probe centos7");
    all_closed(&lab.clients());
}

/// It answers nothing for as long as it is frozen; libvirt's own limit is 20 s.
fn a_frozen_daemon(lab: &Lab) {
    // Far below that, and far above what a busy machine needs.
    const SOON: &str = "timeout 12";
    let mut terminal = screen::terminal(lab, &["virt-net"]);
    terminal.shows("centos7");
    lab.libvirtd("kvm1", "freeze");
    terminal.keys("q");
    lab.run("kvm1", &format!("{SOON} sh -c 'while pidof virt-net >/dev/null; do sleep 0.1; done'"));
    let ended = lab.run("kvm1", &format!("{SOON} virt-net show >/dev/null 2>&1; echo $?"));
    assert_eq!(ended.trim(), "1", "libvirt is told as stale");
    lab.libvirtd("kvm1", "thaw");
    lab.run("kvm1", "virsh list");
}
