//! The whole workflow as a person does it: keys into a terminal on the real host, cells of the screen out.

use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;

use crate::lab::Lab;
use crate::picture;
use crate::pty::Terminal;

const MAC: &str = "52:54:00:aa:fc:1c";
/// How every change ends: never in silence.
const ENDS: [&str; 4] =
    ["verified by the kernel", "everything is as it was", "nothing was changed", "failed, and not put back"];

/// A terminal on kvm1 in which this runs.
pub(crate) fn terminal(lab: &Lab, call: &[&str]) -> Terminal {
    let mut command = CommandBuilder::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/lab"));
    command.args(["exec", "kvm1", "--"]);
    command.args(call);
    command.env("VIRT_NET_LAB", lab.instance());
    for (variable, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")] {
        command.env(variable, value);
    }
    command.env_remove("NO_COLOR");
    command.env_remove("LC_ALL");
    Terminal::start(120, 40, command)
}

fn open(lab: &Lab, environment: &[&str]) -> Terminal {
    terminal(lab, &[&["env"], environment, &["virt-net"]].concat())
}

/// Waits until the NIC's row has all of these cells, and no box lies over it.
fn nic_row(terminal: &Terminal, cells: &[&str]) {
    terminal.until(&format!("the NIC's row with {cells:?}"), |screen| {
        let rows: Vec<String> = screen.rows(0, 120).collect();
        rows.iter().any(|row| row.contains(MAC) && cells.iter().all(|cell| row.contains(cell)))
    });
}

fn header(terminal: &Terminal, text: &str) {
    terminal.until(&format!("{text} in the header"), |screen| {
        screen.rows(0, 120).next().is_some_and(|row| row.contains(text))
    });
}

/// The help opens and closes, each soon after its key.
fn keys_answer(terminal: &mut Terminal) {
    for (key, wanted) in [("?", true), ("\x1b", false)] {
        terminal.keys(key);
        // Far below libvirt's own limit of 20 s, and far above what a busy machine needs.
        terminal.within(Duration::from_secs(8), &format!("an answer to {key:?}"), |screen| {
            screen.contents().contains("╭ Keys") == wanted
        });
    }
}

/// Opens the switch form and puts the pointer on this target.
fn choose(terminal: &mut Terminal, target: &str) {
    terminal.keys("s");
    terminal.shows("Switch centos7");
    let pointed = |screen: &vt100::Screen| {
        let mut rows = screen.rows(0, 120);
        rows.any(|row| {
            row.split('▸')
                .skip(1)
                .any(|behind| behind.split_whitespace().take(2).collect::<Vec<_>>().join(" ") == target)
        })
    };
    for _ in 0..10 {
        if terminal.look(pointed) {
            return;
        }
        terminal.keys("j");
        std::thread::sleep(Duration::from_millis(300));
    }
    panic!("no target {target}:\n{}", terminal.text());
}

/// Waits for the end of the change; how it ended.
fn ends(terminal: &Terminal) -> &'static str {
    let limit = Duration::from_secs(150);
    terminal.within(limit, "the end of the change", |screen| {
        let text = screen.contents();
        ENDS.iter().any(|end| text.contains(end))
    });
    let text = terminal.text();
    ENDS.into_iter().find(|end| text.contains(end)).expect("one of them")
}

fn master(lab: &Lab) -> String {
    lab.run("kvm1", "basename $(readlink /sys/class/net/vnet0/master)").trim().to_owned()
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_nic_is_switched_and_taken_back_by_keys() {
    let lab = Lab::up("screen", &["--bridge"]);
    let mut terminal = open(&lab, &[]);
    nic_row(&terminal, &["centos7", "running", "vnet0", "network default", "virtio", "192.168.122.208 L"]);
    header(&terminal, "libvirt ● kernel ● firewall ●");
    header(&terminal, "3 guests 4 NICs");
    for text in ["192.168.122.1/24", "masquerade", "2/253", "forwarding"] {
        terminal.shows(text);
    }

    draw(&lab, &terminal);

    choose(&mut terminal, "bridge virbr1");
    for text in
        ["Live. The guest keeps its device", "192.168.122.208 is lost", "+   <source bridge='virbr1'/>"]
    {
        terminal.shows(text);
    }
    assert_eq!(master(&lab), "virbr0", "a preview changes nothing");
    terminal.keys("\r");
    // While the guest's link is down the screen is nobody's prisoner.
    terminal.shows("down for 6 s");
    terminal.keys("\x1b");
    header(&terminal, "a change is running");
    keys_answer(&mut terminal);
    terminal.keys("c");
    assert_eq!(ends(&terminal), "verified by the kernel");
    for (step, proof) in [
        ("next boot", "bridge virbr1"),
        ("live", "accepted by libvirt"),
        ("kernel", "vnet0 master virbr1"),
        ("port", "vnet0 forwarding"),
        ("link", "down 6 s, up"),
        ("address", "10.0.0.208"),
    ] {
        let row = terminal.row(&format!("✔ {step}"));
        assert!(row.contains(proof), "{row}");
    }
    assert_eq!(master(&lab), "virbr1");
    terminal.keys("\x1b");
    nic_row(&terminal, &["bridge virbr1", "10.0.0.208"]);
    assert!(lab.guest("kvm1", "centos7", "ip -4 -o addr show eth0").contains("10.0.0.208/16"));

    terminal.keys("u");
    terminal.shows("back: bridge virbr1 → network default");
    terminal.keys("\r");
    assert_eq!(ends(&terminal), "verified by the kernel");
    terminal.keys("\x1b");
    nic_row(&terminal, &["network default", "192.168.122.208 L"]);
    assert_eq!(master(&lab), "virbr0");

    the_daemon_goes_and_comes(&lab, &mut terminal);
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    terminal.is_restored();

    let there = if master(&lab) == "virbr1" { "network default" } else { "bridge virbr1" };
    a_bug_in_a_change_is_told(&lab, there);
    a_change_outlives_its_terminal(&lab, there);
}

/// Takes the last change back: `title` is what the preview calls it.
pub(crate) fn undo_by_keys(lab: &Lab, title: &str) {
    let mut terminal = open(lab, &[]);
    nic_row(&terminal, &["centos7", "running"]);
    terminal.keys("u");
    terminal.shows(title);
    terminal.keys("\r");
    assert_eq!(ends(&terminal), "verified by the kernel");
    terminal.keys("\x1bq");
    assert_eq!(terminal.end(), 0);
}

/// The change panics; the screen goes on and says so.
fn a_bug_in_a_change_is_told(lab: &Lab, target: &str) {
    let before = master(lab);
    let mut terminal = open(lab, &["VIRT_NET_TEST_PANIC=change"]);
    nic_row(&terminal, &["centos7", "running"]);
    choose(&mut terminal, target);
    terminal.keys("\r");
    assert_eq!(ends(&terminal), "failed, and not put back");
    terminal.shows("a bug of this program");
    terminal.keys("\x1b");
    keys_answer(&mut terminal);
    assert_eq!(master(lab), before);
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    terminal.is_restored();
}

/// The connection breaks while the guest's link is down: the change goes on to its proven end.
fn a_change_outlives_its_terminal(lab: &Lab, target: &str) {
    let before = master(lab);
    let mut terminal = open(lab, &[]);
    nic_row(&terminal, &["centos7", "running"]);
    choose(&mut terminal, target);
    terminal.keys("\r");
    terminal.shows("down for 6 s");
    terminal.hang_up();
    let begun = Instant::now();
    while !lab.run("kvm1", "pgrep -x virt-net || true").trim().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(90), "it does not end");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_ne!(master(lab), before);
    assert!(lab.run("kvm1", &format!("virsh domif-getlink centos7 {MAC}")).contains("up"));
    let told = lab.run("kvm1", "virt-net show nics 2>&1 >/dev/null");
    assert_eq!(told, "", "nothing ended half way");
    lab.run("kvm1", "virt-net undo --yes");
    assert_eq!(master(lab), before);
}

/// The overview as it stands, while guests send, as the README's picture if that is asked for.
fn draw(lab: &Lab, terminal: &Terminal) {
    let ask = |from: &str, to: &str| lab.start("kvm1", &format!("ping -q -i 0.01 -c 800 -s {from} {to}"));
    let mut traffic = vec![ask("300", "192.168.122.208"), ask("1100", "192.168.122.208")];
    lab.guest("kvm1", "centos7", "ping -q -c 9 198.51.100.1");
    let drawn = terminal.look(picture::svg);
    for word in ["centos7", "192.168.122.208", "masquerade", "▸"] {
        assert!(drawn.contains(word), "no {word} in the picture");
    }
    if let Some(path) = std::env::var_os("VIRT_NET_PICTURE") {
        std::fs::write(path, drawn).expect("written");
    }
    for process in &mut traffic {
        process.wait().expect("ends");
    }
}

fn the_daemon_goes_and_comes(lab: &Lab, terminal: &mut Terminal) {
    lab.libvirtd("kvm1", "kill");
    header(terminal, "libvirt ✖ down");
    // The figures stay, with their age; the kernel's go on.
    nic_row(terminal, &["centos7", "network default", "192.168.122.208"]);
    terminal.shows("down since");
    keys_answer(terminal);
    lab.libvirtd("kvm1", "start");
    header(terminal, "libvirt ● kernel ●");
    nic_row(terminal, &["centos7", "running", "192.168.122.208 L"]);

    lab.libvirtd("kvm1", "freeze");
    header(terminal, "libvirt ! stale");
    terminal.shows("stale since");
    nic_row(terminal, &["centos7", "network default", "192.168.122.208"]);
    keys_answer(terminal);
    choose(terminal, "bridge virbr1");
    terminal.keys("\r");
    terminal.shows("running; Esc closes this");
    let frozen = Instant::now();
    while frozen.elapsed() < Duration::from_secs(8) {
        keys_answer(terminal);
        std::thread::sleep(Duration::from_millis(500));
    }
    lab.libvirtd("kvm1", "thaw");
    let end = ends(terminal);
    terminal.keys("\x1b");
    header(terminal, "libvirt ● kernel ●");
    // Whatever the words are, screen and kernel agree with them.
    let (bridge, source) =
        if end == ENDS[0] { ("virbr1", "bridge virbr1") } else { ("virbr0", "network default") };
    nic_row(terminal, &["centos7", "running", source]);
    assert_eq!(master(lab), bridge, "{end}");
}

/// Waits until the change of a network is verified, and closes its box.
fn verified(terminal: &mut Terminal) {
    terminal.within(Duration::from_secs(90), "the end of the change", |screen| {
        screen.contents().contains("✔ verified")
    });
    terminal.keys("\x1b");
    terminal.until("no box", |screen| !screen.contents().contains("✔ verified"));
}

/// Opens a form from the menu of network default.
fn form(terminal: &mut Terminal, letter: &str, title: &str) {
    terminal.keys("4");
    terminal.keys("a");
    terminal.shows("network: DNS names");
    terminal.keys(letter);
    terminal.shows(&format!("{title} of network default"));
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn names_limits_and_ipv6_of_a_network_by_keys() {
    let lab = Lab::up("forms", &[]);
    let mut terminal = open(&lab, &[]);
    nic_row(&terminal, &["centos7", "running", "vnet0", "network default", "192.168.122.208 L"]);

    form(&mut terminal, "n", "DNS names");
    terminal.keys("192.168.122.9\tprinter,scanner");
    terminal.shows("Live: no guest notices.");
    terminal.keys("\r");
    verified(&mut terminal);
    for name in ["printer", "scanner"] {
        let found = lab.guest("kvm1", "centos7", &format!("nslookup {name} 192.168.122.1"));
        assert!(found.contains("192.168.122.9"), "{found}");
    }

    form(&mut terminal, "b", "Limits");
    terminal.keys("1000,2000,512");
    terminal.shows("lose the network for");
    terminal.keys("\r");
    // libvirt shapes by qdiscs that this kernel may not have: then everything is put back, and it says why.
    let put_back = "everything is as it was";
    terminal.within(Duration::from_secs(90), "the end of the change", |screen| {
        ["✔ verified", put_back].iter().any(|end| screen.contents().contains(end))
    });
    let limits = lab.run("kvm1", "virsh net-dumpxml default");
    let is_limited = limits.contains("average='1000' peak='2000' burst='512'");
    if terminal.text().contains(put_back) {
        terminal.shows("qdisc");
        assert!(!is_limited, "{limits}");
        assert_eq!(master(&lab), "virbr0");
        terminal.keys("\x1b");
        terminal.until("no box", |screen| !screen.contents().contains(put_back));
    } else {
        assert!(is_limited, "{limits}");
        let shaped = lab.run("kvm1", "tc class show dev virbr0");
        assert!(shaped.contains("rate 8192Kbit") || shaped.contains("rate 8Mbit"), "{shaped}");
        verified(&mut terminal);
    }

    form(&mut terminal, "6", "Subnets");
    terminal.shows("fd");
    terminal.keys("\toff");
    terminal.shows("lose the network for");
    terminal.keys("\r");
    verified(&mut terminal);
    let host = lab.run("kvm1", "ip -6 -o addr show dev virbr0 scope global | awk '{print $4}'");
    let host = host.trim().split('/').next().unwrap_or_default().to_owned();
    assert!(host.starts_with("fd"), "{host}");
    let net = host.trim_end_matches(":1");
    // The router's word comes when it comes, and the address is asked for by others before it is used.
    let patience = Instant::now();
    loop {
        let seen = lab.guest("kvm1", "centos7", "ip -6 addr show eth0");
        if seen.lines().any(|line| line.contains(net) && !line.contains("tentative")) {
            break;
        }
        assert!(patience.elapsed() < Duration::from_secs(120), "no {net} in {seen}");
        std::thread::sleep(Duration::from_secs(2));
    }
    lab.guest("kvm1", "centos7", &format!("ping -6 -c 3 -W 2 {host}"));
    lab.guest("kvm1", "centos7", "! ping -6 -c 1 -W 2 2001:db8::1");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}
