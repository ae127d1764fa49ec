//! Networks on a real host: each mode does what its preview says, a restart loses nobody, and what cannot
//! start is put back.

use std::io::{BufRead as _, BufReader};

use crate::lab::Lab;

/// An address on the internet side of the LAN's router.
const INTERNET: &str = "198.51.100.1";

impl Lab {
    /// Runs `virt-net` and checks its exit status; what it printed, errors included.
    fn changes(&self, arguments: &str, status: i32) -> String {
        let printed = self.run("kvm1", &format!("virt-net {arguments} 2>&1; echo \"status $?\""));
        assert!(printed.ends_with(&format!("status {status}\n")), "{arguments}: {printed}");
        printed
    }

    /// Whether centos7 reaches an address.
    fn reaches(&self, address: &str) -> bool {
        let ping = format!("ping -c 1 -W 2 {address} >/dev/null && echo yes || echo no");
        self.guest("kvm1", "centos7", &ping).trim() == "yes"
    }

    fn plug(&self, network: &str) {
        self.changes(&format!("switch centos7 --to network={network} --bounce 1 --yes"), 0);
    }

    /// The first IPv4 address of centos7.
    fn address(&self) -> String {
        let shown = self.guest("kvm1", "centos7", "ip -4 -o addr show scope global");
        let address = shown.split_whitespace().find(|word| word.contains('/')).unwrap_or_default();
        address.split('/').next().unwrap_or_default().to_owned()
    }

    fn lan_pc_reaches(&self, address: &str) -> bool {
        let ping = format!("ping -c 1 -W 2 {address} >/dev/null && echo yes || echo no");
        self.run("pc", &ping).trim() == "yes"
    }
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn each_mode_does_what_its_preview_says() {
    let lab = Lab::up("modes", &["--bridge"]);
    lab.changes("network create n-nat --mode nat --forward-dev eth0 --yes", 0);
    lab.plug("n-nat");
    assert!(lab.reaches(INTERNET), "NAT leads out by eth0");
    assert!(!lab.lan_pc_reaches(&lab.address()), "and nobody in");
    let rules = lab.run("kvm1", "iptables -t nat -S LIBVIRT_PRT; iptables -S LIBVIRT_FWO");
    assert!(rules.contains("-o eth0"), "limited to eth0: {rules}");

    lab.changes("network create n-iso --mode isolated --yes", 0);
    lab.plug("n-iso");
    let iso = lab.address();
    let host = iso.rsplit_once('.').map(|(net, _)| format!("{net}.1")).unwrap();
    assert!(lab.reaches(&host), "{iso} reaches the host {host}");
    assert!(!lab.reaches(INTERNET) && !lab.reaches("10.0.0.1"), "and nothing else");

    lab.changes("network create n-route --mode route --yes", 0);
    lab.plug("n-route");
    let routed = lab.address();
    assert!(!lab.reaches("10.0.0.1"), "the LAN has no way back yet");
    lab.run("pc", &format!("ip route add {routed}/32 via 10.0.0.8"));
    assert!(lab.reaches("10.0.0.1") && lab.lan_pc_reaches(&routed), "with a route, both ways");

    lab.changes("network create n-open --mode open --yes", 0);
    lab.plug("n-open");
    let open = lab.address();
    lab.run("pc", &format!("ip route add {open}/32 via 10.0.0.8"));
    assert!(lab.lan_pc_reaches(&open));

    lab.changes("network create n-lan --mode bridge --bridge virbr1 --yes", 0);
    lab.plug("n-lan");
    assert!(lab.address().starts_with("10.0."), "the LAN's DHCP: {}", lab.address());
    assert!(lab.lan_pc_reaches(&lab.address()));

    lab.changes("network create n-pool --mode macvtap --forward-dev eth0 --yes", 0);
    lab.plug("n-pool");
    assert!(lab.address().starts_with("10.0.") && lab.lan_pc_reaches(&lab.address()));
    assert!(!lab.reaches("10.0.0.8"), "a macvtap never reaches its own host by that link");

    lab.plug("default");
    for network in ["n-nat", "n-iso", "n-route", "n-open", "n-lan", "n-pool"] {
        lab.changes(&format!("network delete {network} --yes"), 0);
    }
    assert_eq!(lab.run("kvm1", "virsh net-list --all --name").trim(), "default");
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_network_changes_under_its_guests_and_loses_none() {
    let lab = Lab::up("restart", &[]);
    let taps = || lab.run("kvm1", "ls /sys/class/net/virbr0/brif");
    let before = taps();
    assert!(lab.reaches("192.168.122.1"));

    lab.changes("network restart default --yes", 0);
    assert_eq!(taps(), before);
    assert!(lab.reaches("192.168.122.1") && lab.reaches(INTERNET));
    assert_eq!(lab.address(), "192.168.122.208");

    // As people do it by hand: everybody is cut off, and libvirt says all is well.
    lab.run("kvm1", "virsh net-destroy default; virsh net-start default");
    assert_eq!(taps(), "");
    assert!(!lab.reaches("192.168.122.1"));
    lab.changes("network repair default --yes", 0);
    assert_eq!(taps(), before);
    assert!(lab.reaches("192.168.122.1"));

    lab.changes("network stop default --yes", 0);
    assert!(!lab.reaches("192.168.122.1"));
    lab.changes("network start default --yes", 0);
    assert_eq!(taps(), before);
    assert!(lab.reaches("192.168.122.1"));

    // Somebody deleted libvirt's rules and killed its dnsmasq: both come back, nothing else changes.
    lab.run("kvm1", "iptables -t nat -F LIBVIRT_PRT; kill $(cat /run/libvirt/network/default.pid)");
    assert!(!lab.reaches(INTERNET));
    lab.changes("network repair default --yes", 0);
    assert!(lab.reaches(INTERNET) && lab.run("kvm1", "pgrep dnsmasq").trim() != "");
    assert_eq!(taps(), before);
    // Without the jump to its chain a rule is useless; only a restart of the daemon makes that again.
    lab.run("kvm1", "iptables -t nat -F");
    let printed = lab.changes("network repair default --yes", 1);
    assert!(printed.contains("restart the daemon"), "{printed}");
    lab.libvirtd("kvm1", "restart");
    assert!(lab.reaches(INTERNET));

    // Defined, but it cannot start: the old definition, its taps and its rules come back.
    let xml = lab.run("kvm1", "virsh net-dumpxml default --inactive");
    let broken = xml
        .replacen("<network>", "<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>", 1)
        .replace(
            "</network>",
            "<dnsmasq:options><dnsmasq:option value='no-such-option'/></dnsmasq:options></network>",
        );
    lab.run("kvm1", &format!("cat > /tmp/broken.xml <<'XML'\n{broken}\nXML"));
    let printed = lab.changes("network edit default --xml /tmp/broken.xml --yes", 1);
    assert!(printed.contains("put back as it was"), "{printed}");
    assert_eq!(lab.run("kvm1", "virsh net-dumpxml default --inactive"), xml);
    assert_eq!(taps(), before);
    assert!(lab.reaches("192.168.122.1") && lab.reaches(INTERNET));

    // The daemon dies in the middle: it ends verified when the daemon is back.
    let mut process = lab.start("kvm1", "virt-net network restart default --yes");
    let mut printed = String::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("✔ stop it") {
            lab.libvirtd("kvm1", "kill");
            lab.libvirtd("kvm1", "start");
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    assert!(process.wait().unwrap().success() && printed.contains("verified"), "{printed}");
    assert_eq!(taps(), before);
    assert!(lab.reaches("192.168.122.1"));

    without_a_restart(&lab);
    changed_meanwhile(&lab);
}

/// What libvirt changes live: no tap moves, the guest's DHCP and DNS see it at once; and a copy.
fn without_a_restart(lab: &Lab) {
    let index = || lab.run("kvm1", "cat /sys/class/net/virbr0/ifindex");
    let (before, xml) = (index(), || lab.run("kvm1", "virsh net-dumpxml default"));
    lab.changes("network lease default 52:54:00:aa:fc:1c 192.168.122.76 --yes", 0);
    lab.changes("network lease default 52:54:00:aa:fc:1c 192.168.122.77 --hostname web --yes", 0);
    lab.changes(
        "network edit default --dhcp 192.168.122.60-192.168.122.90 --dns-host 192.168.122.1=gate,door --portgroup slow --yes",
        0,
    );
    // The guest asks again when it has seen its cable pulled and plugged in.
    let until = |condition: &str| {
        let poll = format!("for n in $(seq 50); do {condition} && exit 0; sleep 0.5; done; exit 1");
        lab.guest("kvm1", "centos7", &poll);
    };
    lab.run("kvm1", "virsh domif-setlink centos7 52:54:00:aa:fc:1c down");
    until("grep -q ' 0$' /tmp/nic.eth0");
    lab.run("kvm1", "virsh domif-setlink centos7 52:54:00:aa:fc:1c up");
    until("ip -4 addr show eth0 | grep -q 192.168.122.77");
    lab.guest("kvm1", "centos7", "nslookup door 192.168.122.1 | grep -q 'Address.*192.168.122.1$'");
    assert!(xml().contains("<portgroup name='slow'") && xml().contains("end='192.168.122.90'"), "{}", xml());
    lab.changes(
        "network edit default --dhcp 192.168.122.2-192.168.122.254 --remove-dns-host 192.168.122.1 --remove-portgroup slow \
        --remove-host 52:54:00:aa:fc:1c --yes",
        0,
    );
    assert!(!xml().contains("slow") && !xml().contains("<dns>"), "{}", xml());
    assert_eq!(index(), before, "its bridge is the same all the time");

    lab.changes("network clone default copy --yes", 0);
    assert!(lab.run("kvm1", "virsh net-dumpxml copy").contains("<ip address='192.168.123.1'"));
    lab.changes("network autostart copy off --yes", 0);
    assert!(lab.run("kvm1", "virsh net-info copy").contains("Autostart:      no"));
    lab.changes("network edit copy --add-subnet fd00:5::/64 --mtu 1400 --nat-ports 2000-3000 --yes", 0);
    assert!(lab.run("kvm1", "ip addr show virbr1").contains("mtu 1400"));
    assert!(lab.run("kvm1", "ip addr show virbr1; iptables-save").contains("fd00:5::1/64"));
    assert!(lab.run("kvm1", "iptables-save -t nat").contains("2000-3000"));
    lab.changes("network stop copy --yes", 0);
    // A DNS server of somebody else on every address: libvirt's could not start.
    lab.changes("network stop default --yes", 0);
    lab.run("kvm1", "dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --pid-file=/run/other.pid");
    let printed = lab.changes("network start copy --yes", 3);
    assert!(printed.contains("dnsmasq (") && printed.contains("holds port 53"), "{printed}");
    lab.run(
        "kvm1",
        "kill $(cat /run/other.pid); while [ -d /proc/$(cat /run/other.pid) ]; do sleep 0.1; done",
    );
    lab.changes("network start default --yes", 0);
    lab.changes("network delete copy --yes", 0);
}

/// Somebody else changes something while the preview is read, or libvirt could not finish: nothing is begun.
fn changed_meanwhile(lab: &Lab) {
    let index = || lab.run("kvm1", "cat /sys/class/net/virbr0/ifindex");
    let before = index();
    for (meanwhile, says) in [
        (
            "virsh net-update default add dns-host \"<host ip='192.168.122.1'><hostname>x</hostname></host>\" --config",
            "changed since the preview",
        ),
        ("ip tuntap add tap77 mode tap && ip link set tap77 master virbr0 up", "tap77 came onto its bridge"),
        ("mount -t tmpfs -o size=64k,nr_inodes=8 tmpfs /var/lib/libvirt/dnsmasq", "no room"),
    ] {
        // The question is asked on a terminal, and answered after the change by the other hand.
        let script = format!(
            "rm -f /tmp/answer /tmp/asked; mkfifo /tmp/answer
            script -qefc 'virt-net network restart default' /tmp/asked </tmp/answer >/dev/null 2>&1 & exec 3>/tmp/answer
            for n in $(seq 300); do grep -q 'y/N' /tmp/asked 2>/dev/null && break; sleep 0.1; done
            {meanwhile}; echo y >&3; wait $!; status=$?; cat /tmp/asked; echo \"status $status\""
        );
        let printed = lab.run("kvm1", &script);
        assert!(printed.contains(says) && printed.ends_with("status 3\n"), "{meanwhile}: {printed}");
        assert_eq!(index(), before, "{meanwhile}");
    }
    lab.run("kvm1", "umount /var/lib/libvirt/dnsmasq; ip link delete tap77");
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_restart_with_twenty_guests_puts_back_every_tap() {
    let lab = Lab::up("twenty", &[]);
    // Paused: a tap is a tap, and the machine that tests this is small.
    let start = "virsh dumpxml db01 --inactive > /tmp/db.xml; for n in $(seq 10 28); do
        sed -e \"s/<name>db01/<name>many$n/; /<uuid>/d; s/52:54:00:44:55:66/52:54:00:44:56:$n/; s/lab.db01.sock/lab\\/many$n.sock/\" \\
            -e 's/e1000/virtio/' /tmp/db.xml > /tmp/many.xml
        virsh -q define /tmp/many.xml && virsh -q start many$n --paused || exit 1
    done";
    lab.run("kvm1", start);
    let taps = || lab.run("kvm1", "ls /sys/class/net/virbr0/brif");
    let before = taps();
    assert!(before.lines().count() >= 21, "{before}");
    lab.changes("network restart default --yes", 0);
    assert_eq!(taps(), before);
    assert!(lab.reaches("192.168.122.1") && lab.reaches(INTERNET));
}

#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let lab = Lab::up("refused", &[]);
    let state =
        || lab.run("kvm1", "virsh net-list --all; virsh net-dumpxml default; ip -o link | sed 's/state.*//'");
    let before = state();
    for (arguments, status, says) in [
        ("network create x --mode nat --subnet 10.0.9.0/24 --yes", 3, "overlaps with the route 10.0.0.0/16"),
        ("network create default --mode isolated --yes", 3, "a network of this name"),
        ("network create x --mode nat --bridge eth1 --yes", 3, "there is a link eth1 already"),
        ("network create x --mode wrong --yes", 2, "possible values"),
        ("network delete default --yes", 3, "plugged into it"),
        ("network stop defualt --yes", 2, "nearest: default"),
        ("network restart default", 3, "not a terminal"),
        ("network restart default --dry-run", 0, "virsh net-destroy default"),
    ] {
        let printed = lab.changes(arguments, status);
        assert!(printed.contains(says), "{arguments}: no {says:?} in {printed}");
        assert_eq!(state(), before, "{arguments}");
    }
    // Somebody who may write to libvirt but not to the kernel would lose the taps between stop and start.
    lab.run("kvm1", "chmod 777 /run/libvirt/libvirt-sock");
    let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups virt-net network restart default --yes";
    let printed = lab.run("kvm1", &format!("{nobody} 2>&1; echo \"status $?\""));
    assert!(printed.contains("CAP_NET_ADMIN") && printed.ends_with("status 3\n"), "{printed}");
    assert_eq!(state(), before);
}
