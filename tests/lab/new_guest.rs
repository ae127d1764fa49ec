//! New guests by the real virt-install: from the command line and by keys, on the chosen network for real,
//! selected afterwards; and what a failure or a stop leaves is what is told.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::Lab;
use crate::pty::Terminal;
use crate::screen;

/// Small enough for an emulated guest, and nobody's screen.
const SMALL: &str = "--memory 128 --vcpus 1 --graphics none --virt-type qemu --os generic";
/// Stops virt-install as soon as it runs, and not the one that is asked for its version; the brackets keep
/// the pattern from finding itself.
const FREEZE: &str = "until pkill -STOP -f 'virt-instal[l] --connect'; do sleep 0.01; done";
/// virt-install may take its time on a busy machine.
const RUN: Duration = Duration::from_secs(90);

fn open(lab: &Lab, arguments: &[&str]) -> Terminal {
    screen::terminal(lab, &[&["virt-net"], arguments].concat())
}

/// All that virt-install could leave: guests, pools, files.
fn inventory(lab: &Lab) -> String {
    lab.run(
        "kvm1",
        "virsh -q list --all --name | sort; virsh -q pool-list --all --name | sort; \
         ls /srv /var/lib/libvirt/images",
    )
}

/// Runs `virt-net new` with these arguments; its exit status and all that it prints.
fn new(lab: &Lab, arguments: &str) -> (i32, String) {
    let told = lab.run("kvm1", &format!("virt-net new {arguments} --yes 2>&1; echo \"status $?\""));
    let (text, status) = told.trim_end().rsplit_once("status ").expect("its status");
    (status.parse().expect("a number"), text.to_owned())
}

/// The interfaces of a guest as libvirt has them: `(type, source, MAC)`.
fn interfaces(lab: &Lab, guest: &str) -> Vec<(String, String, String)> {
    let list = lab.run("kvm1", &format!("virsh -q domiflist {guest}"));
    let row = |row: &str| {
        let words: Vec<&str> = row.split_whitespace().collect();
        (words[1].to_owned(), words[2].to_owned(), words[4].to_owned())
    };
    list.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
}

fn waits(what: &str, limit: Duration, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_guest_is_made_on_the_chosen_network_or_nothing_is_left_of_it() {
    let lab = Lab::up("new-guest", &["--bridge", "--installer"]);
    lab.run("kvm1", "mkdir -p /srv; qemu-img create -q -f qcow2 /srv/web02.qcow2 50M");

    // Preview and call only.
    let before = inventory(&lab);
    let plan = lab
        .json("kvm1", &format!("virt-net new pxe01 --to bridge=virbr1 --disk none {SMALL} --dry-run --json"));
    let command: Vec<&str> =
        plan["plan"]["command"].as_array().expect("words").iter().filter_map(Value::as_str).collect();
    assert!(command.join(" ").contains("--disk none --network bridge:virbr1,model=virtio"), "{command:?}");
    assert_eq!(inventory(&lab), before);

    // Started from the network: its firmware asks the LAN's DHCP server through virbr1.
    let pxe = SMALL.replace("128", "192");
    let (status, told) = new(&lab, &format!("pxe01 --to bridge=virbr1 --pxe --disk none {pxe}"));
    assert_eq!(status, 0, "{told}");
    for word in ["✔ check", "✔ install", "Creating domain", "master virbr1", "verified"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert_eq!(lab.run("kvm1", "virsh -q domstate pxe01").trim(), "running");
    let nics = interfaces(&lab, "pxe01");
    let [(kind, source, mac)] = nics.as_slice() else { panic!("{nics:?}") };
    assert_eq!((kind.as_str(), source.as_str()), ("bridge", "virbr1"));

    let mac = mac.clone();

    // The system on a disk, behind NAT.
    let import = format!("web02 --to network=default --import --disk /srv/web02.qcow2 {SMALL}");
    let (status, told) = new(&lab, &import);
    assert_eq!(status, 0, "{told}");
    assert!(told.contains("its disk is there"), "{told}");
    assert_eq!(interfaces(&lab, "web02")[0].1, "default");
    assert!(lab.run("kvm1", "virsh domblklist web02").contains("/srv/web02.qcow2"));
    let shown = lab.json("kvm1", "virt-net show nics --json").to_string();
    assert!(shown.contains("pxe01") && shown.contains("web02"), "{shown}");

    // Beside the host's own link, past its bridges.
    let (status, told) = new(&lab, &format!("tap01 --to macvtap=eth0 --pxe --disk none {SMALL}"));
    assert_eq!(status, 0, "{told}");
    assert_eq!(interfaces(&lab, "tap01")[0].1, "eth0");

    // A cloud image goes off at its first reboot, as the preview says; its password is told, and only there.
    lab.run("kvm1", "qemu-img create -q -f qcow2 /srv/cloud.qcow2 50M");
    let cloud = format!("cloud01 --to bridge=virbr1 --cloud-image --disk /srv/cloud.qcow2 {SMALL}");
    let (status, told) = new(&lab, &cloud);
    assert_eq!(status, 0, "{told}");
    let password = told.lines().find_map(|line| line.split("root login is: ").nth(1)).expect("a password");
    assert!(lab.run("kvm1", "virsh dumpxml cloud01").contains("<on_reboot>destroy</on_reboot>"));
    let log = lab.run("kvm1", "cat ~/.local/state/virt-net/* 2>/dev/null || true");
    assert!(!password.trim().is_empty() && !log.contains(password.trim()), "{log}");

    nothing_is_left(&lab, &import);
    an_interrupt_stops_it(&lab);
    it_is_made_although_its_maker_goes(&lab);
    it_has_booted_from_the_lan(&lab, &mac);
    what_is_there_is_not_taken(&lab);
}

/// What cannot be made is not begun, and what was begun is not there.
fn nothing_is_left(lab: &Lab, import: &str) {
    // So that virt-install has no new pool to make.
    lab.run("kvm1", "virsh -q pool-info default >/dev/null 2>&1 || virsh -q pool-create-as default dir --target /var/lib/libvirt/images");
    let before = inventory(lab);
    for (arguments, status, words) in [
        (import.to_owned(), 3, "there is a guest of this name"),
        (
            format!("x1 --to network=default --import --disk /srv/nope.qcow2 {SMALL}"),
            3,
            "there is no file /srv/nope.qcow2",
        ),
        (
            format!("x2 --to network=default --import --disk /srv/web02.qcow2 {SMALL}"),
            3,
            "is the disk of guest web02",
        ),
        (format!("x3 --to network=default --pxe --size 900000 {SMALL}"), 3, "900000 GiB are wanted"),
        (
            format!("x4 --to network=default --iso /srv/nope.iso --size 1 {SMALL}"),
            3,
            "there is no file /srv/nope.iso",
        ),
        ("x5 --to network=default --pxe --disk none --virt-type kvm".to_owned(), 3, "there is no /dev/kvm"),
        (
            "x6 --to network=default --pxe --size 1 --memory 128 --os nosuch".to_owned(),
            1,
            "osinfo-query os lists the names",
        ),
        // The disk is made before QEMU refuses the NIC; virt-install takes it away, and that is seen.
        (format!("x7 --to network=default --pxe --size 1 --model nosuch {SMALL}"), 1, "put back as it was"),
    ] {
        let (ended, told) = new(lab, &arguments);
        assert_eq!(ended, status, "{arguments}: {told}");
        assert!(told.contains(words), "{arguments}: {told}");
        assert_eq!(inventory(lab), before, "{arguments}");
    }
    lab.run("kvm1", "mv /usr/bin/virt-install /usr/bin/away");
    let (ended, told) = new(lab, &format!("x8 --to network=default --pxe --disk none {SMALL}"));
    lab.run("kvm1", "mv /usr/bin/away /usr/bin/virt-install");
    assert_eq!(ended, 3, "{told}");
    assert!(told.contains("package virtinst on Debian and Ubuntu"), "{told}");
}

/// ctrl-C of the command line ends virt-install and tells what is left: here nothing.
fn an_interrupt_stops_it(lab: &Lab) {
    let before = inventory(lab);
    let mut freezer = lab.start("kvm1", FREEZE);
    let call =
        format!("virt-net new x10 --to network=default --pxe --disk none {SMALL} --yes; echo status $?");
    let run = lab.start("kvm1", &call);
    freezer.wait().expect("it stands still");
    lab.run("kvm1", "pkill -INT -x virt-net");
    let told = String::from_utf8_lossy(&run.wait_with_output().expect("it ends").stdout).into_owned();
    for words in ["stopping virt-install", "put back as it was: it was stopped", "status 1"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert_eq!(inventory(lab), before);
}

/// The terminal goes, or virt-net is killed: virt-install goes on to its end, and no half guest is left.
fn it_is_made_although_its_maker_goes(lab: &Lab) {
    let state = |name: &str| lab.run("kvm1", &format!("virsh -q domstate {name} 2>/dev/null || true"));
    let call = |name: &str| format!("new {name} --to network=default --pxe --disk none {SMALL} --yes");

    let mut freezer = lab.start("kvm1", FREEZE);
    let arguments = call("gone01");
    let mut terminal = open(lab, &arguments.split(' ').collect::<Vec<_>>());
    freezer.wait().expect("it stands still");
    terminal.hang_up();
    lab.run("kvm1", "pkill -CONT -x virt-install");
    waits("the guest", RUN, || state("gone01").trim() == "running");
    waits("the end", RUN, || lab.run("kvm1", "pgrep -x virt-net || true").trim().is_empty());

    // Not frozen: the kernel hangs a stopped group up that has lost its parent.
    let killer =
        "until pgrep -f 'virt-instal[l] --connect' >/dev/null; do sleep 0.01; done; pkill -KILL -x virt-net";
    let mut killer = lab.start("kvm1", killer);
    let mut run = lab.start("kvm1", &format!("virt-net {}", call("gone02")));
    killer.wait().expect("it is there");
    run.wait().expect("it is killed");
    waits("the guest", RUN, || state("gone02").trim() == "running");
    waits("the end", RUN, || lab.run("kvm1", "pgrep -x virt-install || true").trim().is_empty());
}

/// The guest that was started from the network runs the system that the LAN gave it.
fn it_has_booted_from_the_lan(lab: &Lab, mac: &str) {
    let name = format!("pxe-{}", mac.replace(':', "-"));
    let lease = || {
        let leases = lab.run("lan", "cat /run/lan.leases");
        let line = leases.lines().find(|line| line.contains(mac) && line.contains(&name));
        line.and_then(|line| line.split(' ').nth(2)).map(str::to_owned)
    };
    waits("the system from the LAN", Duration::from_secs(150), || lease().is_some());
    let address = lease().expect("its address");
    lab.run("pc", &format!("ping -q -c 2 -W 5 {address}"));
}

/// virt-install itself would use a file that is there as the new disk.
fn what_is_there_is_not_taken(lab: &Lab) {
    lab.run("kvm1", "echo precious >/srv/precious");
    let (ended, told) =
        new(lab, &format!("x9 --to network=default --pxe --disk /srv/precious --size 1 {SMALL}"));
    assert_eq!(ended, 3, "{told}");
    assert!(told.contains("/srv/precious is there already"), "{told}");
    assert_eq!(lab.run("kvm1", "cat /srv/precious").trim(), "precious");
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn keys_make_a_guest_and_it_is_selected() {
    let lab = Lab::up("new-guest-keys", &["--bridge", "--installer"]);
    lab.run("kvm1", "mkdir -p /srv; qemu-img create -q -f qcow2 /srv/web02.qcow2 50M");
    let mut terminal = open(&lab, &[]);
    terminal.shows("3 guests 4 NICs");
    // To the host's own bridge; its menu knows where the guest shall go.
    terminal.keys("2");
    for _ in 0..3 {
        terminal.keys("j");
        std::thread::sleep(Duration::from_millis(200));
    }
    terminal.keys("a");
    terminal.shows("new guest on this bridge");
    terminal.keys("g");
    terminal.shows("New guest");
    terminal.shows("bridge virbr1");
    fill(&mut terminal, "web02", "/srv/nope.qcow2");
    terminal.shows("there is no file /srv/nope.qcow2");
    terminal.keys("\x15/srv/web02.qcow2");
    terminal.shows("its disk is there");
    terminal.shows("path=/srv/web02.qcow2,bus=virtio");
    let before = inventory(&lab);
    terminal.keys("\r");
    terminal.shows("Starting install...");
    terminal.within(RUN, "the end", |screen| screen.contents().contains("verified; the guest is selected"));
    assert!(terminal.row("✔ kernel").contains("master virbr1"), "{}", terminal.text());
    assert_eq!(lab.run("kvm1", "virsh -q domstate web02").trim(), "running");
    assert_eq!(interfaces(&lab, "web02")[0].1, "virbr1");
    assert_ne!(inventory(&lab), before);
    // The cursor is on it: the switch form is about it.
    terminal.keys("\x1bs");
    terminal.shows("Switch web02");
    terminal.keys("\x1b");
    terminal.hides("Switch web02");

    // A name that is taken: told in the form, and Enter begins nothing.
    terminal.keys("ag");
    terminal.shows("New guest");
    terminal.keys("web02");
    terminal.shows("there is a guest of this name");
    terminal.keys("\r\x1b");
    terminal.hides("New guest");

    a_stop_leaves_nothing(&lab, &mut terminal);
    a_stop_tells_what_is_left(&lab, &mut terminal);
    it_is_made_although_the_terminal_goes(&lab, terminal);
    a_console_ends_as_virsh_does(&lab);
}

/// Name, import, path of the disk, memory; the cursor ends on the path.
fn fill(terminal: &mut Terminal, name: &str, path: &str) {
    terminal.keys(name);
    // installs: PXE → ISO → import; the disk is one that is there then.
    terminal.keys("\x1b[B\x1b[B\x1b[B\x1b[C\x1b[C");
    terminal.shows("nothing: import its disk");
    terminal.keys("\x1b[B\x1b[B\x1b[B\x15128\x1b[A");
    terminal.keys(path);
}

/// virt-install stands still before it has made anything; a key ends it, and nothing is left.
fn a_stop_leaves_nothing(lab: &Lab, terminal: &mut Terminal) {
    lab.run("kvm1", "qemu-img create -q -f qcow2 /srv/web03.qcow2 50M");
    let before = inventory(lab);
    let mut freezer = lab.start("kvm1", FREEZE);
    terminal.keys("ag");
    terminal.shows("New guest");
    fill(terminal, "web03", "/srv/web03.qcow2");
    terminal.shows("its disk is there");
    terminal.keys("\r");
    terminal.shows("S stops it");
    freezer.wait().expect("it stands still");
    // Quitting asks first.
    terminal.keys("\x03");
    terminal.shows("A change is running");
    terminal.keys("\x1b");
    terminal.hides("A change is running");
    terminal.keys("S");
    // What stands still hears neither interrupt nor termination: it is killed in the end.
    terminal.within(RUN, "the end", |screen| screen.contents().contains("everything is as it was, because"));
    terminal.shows("it was stopped");
    assert_eq!(inventory(lab), before);
    assert_eq!(lab.run("kvm1", "pgrep -x virt-install || true").trim(), "");
    terminal.keys("\x1b");
    terminal.hides("virt-install says");
}

/// Stopped as soon as its new disk is there: what is there afterwards is what is told.
fn a_stop_tells_what_is_left(lab: &Lab, terminal: &mut Terminal) {
    let freezer = "until [ -e /srv/web04.qcow2 ]; do :; done; pkill -STOP -x virt-install";
    let mut freezer = lab.start("kvm1", freezer);
    terminal.keys("ag");
    terminal.shows("New guest");
    terminal.keys("web04\x1b[B\x1b[B\x1b[B\x1b[B\x1b[B/srv/web04.qcow2\x1b[B\x151\x1b[B\x15128");
    terminal.shows("are free for its disk");
    terminal.shows("path=/srv/web04.qcow2,size=1");
    terminal.keys("\r");
    terminal.shows("S stops it");
    freezer.wait().expect("the disk is there");
    terminal.keys("S");
    let ends = ["failed, and not put back", "verified"];
    terminal.within(RUN, "the end", |screen| ends.iter().any(|end| screen.contents().contains(end)));
    // The inside of the box alone, its lines joined: 106 of 120 columns, in the middle.
    let inside = |row: &str| row.chars().skip(8).take(104).collect::<String>();
    let text: Vec<String> = terminal.text().lines().map(inside).collect();
    let text = text.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("it was stopped"), "{text}");
    let there = lab.run("kvm1", "ls /srv; virsh -q list --all --name");
    for (thing, words) in [
        ("web04.qcow2", "its disk /srv/web04.qcow2 is there; to take it away: rm /srv/web04.qcow2"),
        ("web04\n", "guest web04 is there"),
    ] {
        assert_eq!(there.contains(thing), text.contains(words), "{thing}: {there}\n{text}");
    }
    assert!(there.contains("web04.qcow2"), "the disk was there when it was stopped");
    terminal.keys("\x1b");
}

/// The connection breaks while virt-install runs; and one quits, which is told how it ended.
fn it_is_made_although_the_terminal_goes(lab: &Lab, mut terminal: Terminal) {
    let begin = |terminal: &mut Terminal, name: &str| {
        lab.run("kvm1", &format!("qemu-img create -q -f qcow2 /srv/{name}.qcow2 50M"));
        terminal.keys("ag");
        terminal.shows("New guest");
        fill(terminal, name, &format!("/srv/{name}.qcow2"));
        terminal.shows("its disk is there");
        terminal.keys("\r");
        terminal.shows("S stops it");
    };
    begin(&mut terminal, "web05");
    terminal.hang_up();
    let state = |name: &str| lab.run("kvm1", &format!("virsh -q domstate {name} 2>/dev/null || true"));
    waits("the guest", RUN, || state("web05").trim() == "running");
    waits("the end", RUN, || lab.run("kvm1", "pgrep -x virt-net || true").trim().is_empty());

    let mut terminal = open(lab, &[]);
    terminal.shows("web05");
    begin(&mut terminal, "web06");
    terminal.keys("\x03");
    terminal.shows("A change is running");
    terminal.keys("\r");
    assert_eq!(terminal.end(), 0);
    terminal.is_restored();
    terminal.shows("verified: new guest web06");
    assert_eq!(state("web06").trim(), "running");
}

/// The status of `virt-net console` is that of virsh, also when that is killed.
fn a_console_ends_as_virsh_does(lab: &Lab) {
    let mut console = open(lab, &["console", "centos7"]);
    console.shows("Escape character is");
    lab.run("kvm1", "pkill -KILL -x virsh");
    assert_eq!(console.end(), 128 + 9);
    let mut console = open(lab, &["console", "centos7"]);
    console.shows("Escape character is");
    // virsh throws away what was typed before it took the terminal.
    lab.run("kvm1", "until stty -F /proc/$(pidof virsh)/fd/0 -a | grep -q -e -icanon; do sleep 0.1; done");
    console.keys("\x1d");
    assert_eq!(console.end(), 0);
}
