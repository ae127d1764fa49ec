//! The switch on real guests: proof by the kernel, addresses, undo, and what may go wrong in the middle.

use std::io::{BufRead as _, BufReader};

use crate::lab::Lab;

const CENTOS7: &str = "52:54:00:aa:fc:1c";

/// How `virt-net` ended, and all it printed.
pub(crate) struct Run {
    status: i32,
    output: String,
}

impl Run {
    #[track_caller]
    pub(crate) fn ended(&self, status: i32, says: &str) {
        assert_eq!(self.status, status, "{}", self.output);
        assert!(self.output.contains(says), "no {says:?} in\n{}", self.output);
    }

    #[track_caller]
    pub(crate) fn verified(&self) {
        self.ended(0, "verified\n");
    }
}

impl Lab {
    pub(crate) fn virt_net(&self, arguments: &str) -> Run {
        self.virt_net_until(arguments, "", "never", || ())
    }

    /// Runs it and acts as soon as a line holds `mark`.
    pub(crate) fn virt_net_until(&self, arguments: &str, pause: &str, mark: &str, act: impl FnOnce()) -> Run {
        let command = format!("VIRT_NET_TEST_PAUSE={pause} virt-net {arguments}");
        let mut process = self.start("kvm1", &command);
        let mut output = String::new();
        let mut act = Some(act);
        for line in BufReader::new(process.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            output.push_str(&line);
            output.push('\n');
            if line.contains(mark)
                && let Some(act) = act.take()
            {
                act();
            }
        }
        Run { status: process.wait().unwrap().code().unwrap_or(-1), output }
    }

    /// The `<interface>` of a guest's only NIC, one line per element.
    pub(crate) fn nic(&self, guest: &str, flags: &str) -> String {
        self.run("kvm1", &format!("virsh dumpxml {guest} {flags} | sed -n '/<interface/,/<.interface/p'"))
    }

    /// libvirt's two definitions and the kernel agree that centos7 is on this bridge of this source.
    #[track_caller]
    pub(crate) fn is_on(&self, bridge: &str, source: &str) {
        let (live, next) = (self.nic("centos7", ""), self.nic("centos7", "--inactive"));
        assert!(live.contains(source), "{live}");
        assert!(next.contains(source), "{next}");
        let ports = self.run("kvm1", &format!("ls /sys/class/net/{bridge}/brif"));
        let tap = live.split("<target dev='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
        assert!(ports.lines().any(|port| port == tap), "{tap} is not a port of {bridge}: {ports}");
    }

    #[track_caller]
    pub(crate) fn guest_has(&self, address: &str) {
        let seen = self.guest("kvm1", "centos7", "ip -4 -o addr show scope global");
        assert!(seen.contains(&format!("inet {address}/")), "{seen}");
    }

    /// The guest reaches the internet; `from_lan`: whether the LAN's PC reaches the guest.
    #[track_caller]
    pub(crate) fn pings(&self, address: &str, from_lan: bool) {
        self.guest("kvm1", "centos7", "ping -c1 -W5 198.51.100.1");
        let answer = self.run("pc", &format!("ping -c1 -W2 {address} >/dev/null && echo yes || echo no"));
        assert_eq!(answer.trim() == "yes", from_lan, "ping from the LAN's PC to {address}");
    }
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_nic_goes_everywhere_and_back_with_proof() {
    let lab = Lab::up("switch", &["--bridge"]);
    journey(&lab);
    next_boot_only(&lab);
    refusals(&lab);
    networks_over_bridges_and_pools(&lab);
    a_rich_nic_keeps_everything(&lab);
    two_at_once(&lab);
    a_terminal_that_is_lost(&lab);
    a_guest_that_does_not_let_go(&lab);
}

/// The notes' way: NAT → bridge → NAT → macvtap → NAT, then undo.
fn journey(lab: &Lab) {
    lab.virt_net("switch centos7 --to bridge=virbr1 --yes").verified();
    lab.is_on("virbr1", "<source bridge='virbr1'/>");
    lab.guest_has("10.0.0.208");
    lab.pings("10.0.0.208", true);
    // The host keeps it in its neighbour table: seen there it is no news when the guest has left.
    lab.run("kvm1", "ping -c 1 -W 5 10.0.0.208");

    let run = lab.virt_net("switch centos7 vnet0 --to network=default --yes");
    run.verified();
    assert!(run.output.contains("address    192.168.122.208"), "{}", run.output);
    lab.is_on("virbr0", "network='default'");
    lab.guest_has("192.168.122.208");
    lab.pings("192.168.122.208", false);

    lab.virt_net("switch centos7 --to macvtap=eth0 --yes").verified();
    let links = lab.json("kvm1", "ip -j -d link show type macvtap");
    let ours = links.as_array().unwrap().iter().find(|link| link["address"] == CENTOS7).expect("a macvtap");
    assert_eq!((&ours["link"], &ours["linkinfo"]["info_data"]["mode"]), (&"eth0".into(), &"bridge".into()));
    lab.guest_has("10.0.0.208");
    lab.pings("10.0.0.208", true);

    lab.virt_net(&format!("switch centos7 {CENTOS7} --to network=default --yes")).verified();
    lab.is_on("virbr0", "network='default'");
    lab.guest_has("192.168.122.208");

    lab.virt_net("undo --yes").verified();
    assert!(lab.nic("centos7", "--inactive").contains("<source dev='eth0' mode='bridge'/>"));
    lab.guest_has("10.0.0.208");
    // Back through all the places it was at, the newest first.
    lab.virt_net("undo --yes").verified();
    lab.is_on("virbr0", "network='default'");
    lab.virt_net("undo --yes").verified();
    lab.is_on("virbr1", "<source bridge='virbr1'/>");
    lab.virt_net("undo --yes").verified();
    lab.is_on("virbr0", "network='default'");
    lab.virt_net("undo --yes").ended(3, "there is none");
}

fn next_boot_only(lab: &Lab) {
    let live = lab.nic("centos7", "");
    let next = lab.nic("centos7", "--inactive");
    let run = lab.virt_net("switch centos7 --to bridge=virbr1 --next-boot --yes --json");
    assert_eq!(run.status, 0, "{}", run.output);
    let told: serde_json::Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(told["outcome"]["result"], "verified");
    assert_eq!(lab.nic("centos7", ""), live);
    assert!(lab.nic("centos7", "--inactive").contains("<source bridge='virbr1'/>"));
    lab.virt_net("undo --yes").verified();
    assert_eq!(lab.nic("centos7", "--inactive"), next);
}

fn refusals(lab: &Lab) {
    let before = (lab.nic("centos7", ""), lab.nic("centos7", "--inactive"));
    lab.virt_net("switch centos --to network=default --yes").ended(2, "nearest: centos7");
    lab.virt_net("switch centos7 --to network=defualt --yes").ended(2, "nearest: default");
    lab.virt_net("switch centos7 --to bridge=virbr1 --model virtoi --yes").ended(3, "nearest: virtio");
    lab.virt_net("switch web01 --to network=default --yes").ended(2, "several NICs");
    lab.virt_net("switch centos7 --to network=default --yes").ended(3, "plugged there already");
    lab.virt_net("switch centos7 --to macvtap=eth1 --yes").ended(3, "plug into virbr1 instead");
    lab.virt_net("switch centos7 --to bridge=virbr0 --yes").ended(3, "plug into network default instead");
    lab.virt_net("switch centos7 --to bridge=virbr1").ended(3, "add --yes");
    lab.virt_net("switch centos7 --to bridge=virbr1 --dry-run").ended(0, "virsh update-device centos7");
    assert_eq!((lab.nic("centos7", ""), lab.nic("centos7", "--inactive")), before);
}

fn networks_over_bridges_and_pools(lab: &Lab) {
    let define = |xml: &str| {
        lab.run("kvm1", &format!("echo \"{xml}\" | virsh net-define /dev/stdin"));
    };
    define("<network><name>lan</name><forward mode='bridge'/><bridge name='virbr1'/></network>");
    lab.virt_net("switch centos7 --to network=lan --yes").ended(3, "net-start lan");
    define("<network><name>pool</name><forward mode='bridge'><interface dev='eth0'/></forward></network>");
    lab.run("kvm1", "virsh net-start lan; virsh net-start pool");
    // The link bounce sends the live definition back: it must not take the NIC off its network.
    lab.virt_net("switch centos7 --to network=lan --bounce 1 --yes").verified();
    lab.is_on("virbr1", "network='lan'");
    assert!(!lab.json("kvm1", "virt-net show nics --json").to_string().contains("\"pending\":true"));
    lab.virt_net("switch centos7 --to bridge=virbr1 --dry-run").ended(0, "keeps its address");
    lab.virt_net("switch centos7 --to network=pool --yes").verified();
    assert!(lab.nic("centos7", "").contains("network='pool'"));
    lab.virt_net("switch centos7 --to network=default --yes").verified();
    lab.is_on("virbr0", "network='default'");
    lab.run(
        "kvm1",
        "virsh net-destroy lan; virsh net-destroy pool; virsh net-undefine lan; virsh net-undefine pool",
    );
}

/// filterref, boot order, mtu, queues and a link that is down stay, to the byte, live and at the next boot.
fn a_rich_nic_keeps_everything(lab: &Lab) {
    let nic = "<interface type='network'><mac address='52:54:00:0a:0b:0c'/><source network='default'/>\
        <model type='virtio'/><driver name='qemu' queues='2'/><filterref filter='virt-net-empty'/><link state='down'/>\
        <mtu size='1400'/><boot order='1'/><alias name='ua-rich'/></interface>";
    lab.run("kvm1", "echo \"<filter name='virt-net-empty'/>\" | virsh nwfilter-define /dev/stdin");
    lab.run(
        "kvm1",
        &format!(
            "virsh dumpxml db01 --inactive | sed -e '/<uuid>/d' -e '/<boot dev/d' -e 's/>db01</>rich</' -e 's/db01.sock/rich.sock/' \
             -e '/<interface/,/<.interface/d' -e \"s|</devices>|{nic}</devices>|\" | virsh define /dev/stdin; \
             virsh start rich --paused"
        ),
    );
    let without_source = |flags: &str| {
        let lines = lab.nic("rich", flags);
        let kept = lines.lines().filter(|line| !line.contains("<interface") && !line.contains("<source"));
        kept.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = (without_source(""), without_source("--inactive"));
    assert!(before.0.iter().any(|line| line.contains("queues='2'")), "{before:?}");
    lab.virt_net("switch rich --to bridge=virbr1 --yes").verified();
    assert!(lab.nic("rich", "").contains("<source bridge='virbr1'/>"));
    assert_eq!((without_source(""), without_source("--inactive")), before);
    lab.virt_net("switch rich --to macvtap=eth0 --yes").ended(3, "filter virt-net-empty");
    lab.virt_net("undo --yes").verified();
    assert_eq!((without_source(""), without_source("--inactive")), before);
    lab.run("kvm1", "virsh destroy rich; virsh undefine rich");
}

fn two_at_once(lab: &Lab) {
    let first = "switch centos7 --to bridge=virbr1 --bounce off --yes";
    let run = lab.virt_net_until(first, "live:3000", "✔ next boot", || {
        lab.virt_net("switch centos7 --to network=default --next-boot --yes").ended(3, "another virt-net");
    });
    run.verified();
    lab.virt_net("undo --yes").verified();
}

/// Hung up in the middle, with nobody left to print to: the switch goes on to its end.
fn a_terminal_that_is_lost(lab: &Lab) {
    let switch = "VIRT_NET_TEST_PAUSE=live:2000 virt-net switch centos7 --to bridge=virbr1 --bounce 1 --yes";
    lab.run("kvm1", &format!("(timeout -s HUP 1 script -qec '{switch}' /dev/null) >/dev/null 2>&1 || true"));
    for _ in 0..100 {
        if lab.run("kvm1", "pidof virt-net || true").trim().is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    lab.is_on("virbr1", "<source bridge='virbr1'/>");
    lab.virt_net("undo --yes").verified();
}

/// A paused guest answers nothing: it is said so, and when it goes on the switch goes on.
fn a_guest_that_does_not_let_go(lab: &Lab) {
    lab.run("kvm1", "virsh suspend centos7");
    lab.virt_net("switch centos7 --to macvtap=eth0 --yes").ended(3, "cannot let go");
    lab.run("kvm1", "virsh resume centos7");
    // Paused after the preview, and resumed when virt-net has said that it waits.
    let resume = "until grep -q 'has not let go' /tmp/switch.log; do sleep 0.2; done; virsh resume centos7";
    lab.run("kvm1", &format!(": >/tmp/switch.log; ({resume}) >/dev/null 2>&1 &"));
    let run = lab.virt_net_until(
        "switch centos7 --to macvtap=eth0 --yes | tee /tmp/switch.log",
        "unplug:1500",
        "✔ next boot",
        || drop(lab.run("kvm1", "virsh suspend centos7")),
    );
    assert!(run.output.contains("the guest has not let go of the NIC"), "{}", run.output);
    assert!(run.output.ends_with("verified\n"), "{}", run.output);
    lab.virt_net("switch centos7 --to network=default --yes").verified();
    lab.is_on("virbr0", "network='default'");
}

/// Killed, and frozen, before each step: it ends verified here, since the daemon comes back in time.
#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_daemon_that_dies_or_hangs_in_the_middle() {
    let lab = Lab::up("switch-daemon", &["--bridge"]);
    let live = ["next-boot", "live", "kernel", "link"];
    let replug = ["next-boot", "unplug", "plug", "kernel"];
    for step in live {
        dies_before(&lab, step, "bridge=virbr1 --bounce 1");
        lab.is_on("virbr1", "<source bridge='virbr1'/>");
        lab.virt_net("undo --yes").verified();
        lab.is_on("virbr0", "network='default'");
    }
    for step in replug {
        dies_before(&lab, step, "macvtap=eth0");
        assert!(lab.nic("centos7", "").contains("<source dev='eth0' mode='bridge'/>"));
        lab.virt_net("undo --yes").verified();
        lab.is_on("virbr0", "network='default'");
    }
    for step in ["live", "link"] {
        let to = "switch centos7 --to bridge=virbr1 --bounce 1 --yes";
        let run = lab.virt_net_until(to, &format!("{step}:2000"), before(step), || {
            lab.libvirtd("kvm1", "freeze");
            thaw_later(&lab, 25);
        });
        run.verified();
        lab.is_on("virbr1", "<source bridge='virbr1'/>");
        lab.virt_net("undo --yes").verified();
    }
    killed_in_the_middle(&lab);
}

fn dies_before(lab: &Lab, step: &str, to: &str) {
    let run = lab.virt_net_until(
        &format!("switch centos7 --to {to} --yes"),
        &format!("{step}:1500"),
        before(step),
        || {
            lab.libvirtd("kvm1", "kill");
            lab.run("kvm1", "(sleep 3; rm -f /run/libvirtd.pid; setsid libvirtd -d) >/dev/null 2>&1 &");
        },
    );
    assert_eq!(run.status, 0, "killed before {step}:\n{}", run.output);
    run.verified();
}

/// The line after which a step begins.
fn before(step: &str) -> &'static str {
    match step {
        "next-boot" => "the same by hand",
        "live" | "unplug" => "✔ next boot",
        "plug" => "✔ unplug",
        "link" => "✔ port",
        _ => "accepted by libvirt",
    }
}

fn thaw_later(lab: &Lab, seconds: u32) {
    lab.run("kvm1", &format!("(sleep {seconds}; kill -CONT $(pidof libvirtd)) >/dev/null 2>&1 &"));
}

/// virt-net itself is killed with the NIC unplugged: the next one knows, and puts it back.
fn killed_in_the_middle(lab: &Lab) {
    let run =
        lab.virt_net_until("switch centos7 --to macvtap=eth0 --yes", "plug:60000", "✔ unplug", || {
            drop(lab.run("kvm1", "kill -9 $(pidof virt-net)"));
        });
    assert_ne!(run.status, 0);
    assert_eq!(lab.nic("centos7", "").trim(), "", "unplugged");
    let told = lab.run("kvm1", "virt-net show nics 2>&1");
    assert!(told.contains("ended half way (centos7"), "{told}");
    lab.virt_net("undo --yes").verified();
    lab.is_on("virbr0", "network='default'");
    lab.guest_has("192.168.122.208");
    // And while it holds the guest's cable pulled.
    let switch = "switch centos7 --to bridge=virbr1 --bounce 30 --yes";
    let run = lab.virt_net_until(switch, "", "◐ link", || {
        drop(lab.run("kvm1", "kill -9 $(pidof virt-net)"));
    });
    assert_ne!(run.status, 0);
    assert!(lab.nic("centos7", "").contains("<link state='down'/>"), "pulled");
    lab.virt_net("undo --yes").verified();
    lab.is_on("virbr0", "network='default'");
    assert!(!lab.nic("centos7", "").contains("<link state='down'/>"), "plugged in");
}
