//! A guest on a macvtap over the host's own NIC: cut off from the host, then not, by a shim, and again; over a
//! reboot played from files with each owner that can keep one.

use std::time::{Duration, Instant};

use crate::bridge_owners::{IFUPDOWN, NETPLAN, NETWORKD_STATIC, NETWORKMANAGER, Played};
use crate::lab::Lab;

const HOST: &str = "10.0.0.8";
const GUEST: &str = "10.0.0.208";
const PATIENCE: Duration = Duration::from_secs(60);

/// All that the host has of links, addresses, routes and sysctls, without what only counts.
const LOOK: &str = "ip -br link | sed 's/ .*//' | sort; ip -br address; ip route show table all | sort; ip -6 route | sort; \
    sysctl -a 2>/dev/null | grep -E 'conf.(all|default|eth0).*(arp_|rp_filter|forwarding|disable_ipv6|accept_ra )'";

impl Lab {
    fn host_pings(&self, address: &str) -> bool {
        self.run("kvm1", &format!("ping -c 3 -i 0.5 -W 2 {address} >/dev/null 2>&1 && echo yes || echo no"))
            == "yes\n"
    }

    fn guest_pings(&self, address: &str) -> bool {
        let ping = format!(
            "ip neigh flush all >/dev/null 2>&1; ping -c 3 -W 2 {address} >/dev/null && echo yes || echo no"
        );
        self.guest("kvm1", "centos7", &ping).trim() == "yes"
    }

    /// Whether the doctor finds the isolation.
    fn is_isolated(&self) -> bool {
        let report = self.json("kvm1", "virt-net doctor macvtap-host-isolation --json || true");
        !report["findings"].as_array().unwrap().is_empty()
    }

    /// What the matrix says about guest to host, and host to guest.
    fn host_cells(&self) -> Vec<String> {
        let reach = self.json("kvm1", "virt-net reach centos7 --json || true");
        let text = reach.to_string();
        let cells = reach
            .pointer("/0/cells")
            .or_else(|| reach.pointer("/nics/0/cells"))
            .unwrap_or_else(|| panic!("{text}"));
        let host = cells.as_array().unwrap().iter().filter(|cell| cell["peer"] == "host");
        host.map(|cell| cell["answer"].as_str().unwrap_or_else(|| panic!("{cell}")).to_owned()).collect()
    }

    /// Whose MACs the LAN's PC hears when it asks for the host's address.
    fn lan_answers(&self) -> String {
        self.run(
            "pc",
            "ip neigh flush all; (timeout 4 tcpdump -l -c 20 -nei eth0 arp 2>/dev/null & sleep 0.7; \
            ping -c 1 -W 2 10.0.0.8 >/dev/null; wait) | grep -o 'is-at [0-9a-f:]*' | sort -u; true",
        )
    }
}

/// Its NIC over eth0, for good; its address is the one that the LAN's server keeps for it.
fn plug_in(lab: &Lab) {
    lab.run("kvm1", "virt-net switch centos7 --to macvtap=eth0,mode=bridge --yes");
    let begun = Instant::now();
    while !lab.guest("kvm1", "centos7", "ip -4 -o addr").contains(GUEST) {
        assert!(begun.elapsed() < PATIENCE, "the guest has no address");
    }
    // What the host may have heard of the guest by its other link on the same LAN would be another way.
    lab.run("kvm1", "ip link set eth1 down");
    until(lab, "addresses that settle", "! ip address show tentative | grep -q tentative");
}

#[test]
#[ignore = "needs root: starts the lab"]
fn host_and_macvtap_guest_talk_by_a_shim() {
    let lab = Lab::up("shim", &["--bridge"]);
    plug_in(&lab);
    let before = lab.run("kvm1", LOOK);
    let heard = lab.lan_answers();
    assert!(!lab.host_pings(GUEST) && !lab.guest_pings(HOST), "a macvtap is cut off from the host");
    assert!(lab.is_isolated());

    // Nothing is done unasked, and nothing that would move the operator's way.
    lab.run("kvm1", &format!("virt-net shim create --over eth0 --to {GUEST} --dry-run"));
    for wrong in [
        "--to 10.0.0.2",
        "--to 10.0.0.0/8",
        "--to 10.0.0.0/16",
        "--to 10.0.0.8",
        "--to 0.0.0.0/0",
        "--address 10.0.0.1 --to 10.0.0.208",
    ] {
        let text = lab.run("kvm1", &format!("ping -c 1 10.0.0.1 >/dev/null; virt-net shim create --over eth0 {wrong} --yes 2>&1; echo status $?"));
        assert!(text.ends_with("status 3\n"), "{wrong}: {text}");
    }
    let peer = "SSH_CONNECTION='10.0.0.77 50000 10.0.0.8 22' virt-net shim create --over eth0 --to 10.0.0.77 --yes 2>&1; echo status $?";
    let text = lab.run("kvm1", peer);
    assert!(text.contains("your own session") && text.ends_with("status 3\n"), "{text}");
    assert_eq!(lab.run("kvm1", LOOK), before);

    let text = lab.run("kvm1", &format!("virt-net shim create --over eth0 --to {GUEST} --yes"));
    assert!(
        text.contains(&format!("{GUEST} answers by eth0-shim: 52:54:00:aa:fc:1c"))
            && text.contains("verified"),
        "{text}"
    );
    assert!(lab.host_pings(GUEST) && lab.guest_pings(HOST), "both ways");
    assert_eq!(lab.lan_answers(), heard, "the shim answers nobody else");
    assert!(!lab.is_isolated());
    assert_eq!(lab.host_cells(), ["yes", "yes"]);
    assert!(lab.run("kvm1", "virt-net show shims").contains(&format!("{GUEST}/32")));

    // What is derived is true also where a setting takes half of it away.
    lab.run("kvm1", "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore");
    assert_eq!((lab.host_cells().concat(), lab.guest_pings(HOST)), ("nounknown".to_owned(), false));
    lab.run(
        "kvm1",
        "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter",
    );
    let both = (lab.host_pings(GUEST), lab.guest_pings(HOST));
    let state = lab
        .run("kvm1", "ip neigh show dev eth0-shim; ip -4 route; grep . /proc/sys/net/ipv4/conf/*/rp_filter");
    assert_eq!(both, (true, true), "with a strict rp_filter: {state}");
    lab.run("kvm1", "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter");

    // A route that somebody took away, and one that is of no use: the same command puts both right.
    lab.run(
        "kvm1",
        "ip route del 10.0.0.208 dev eth0-shim; ip route add 10.0.0.99 dev eth0-shim src 10.0.0.8",
    );
    assert_eq!(lab.host_cells().first().map(String::as_str), Some("no"));
    assert!(lab.is_isolated());
    lab.run("kvm1", &format!("virt-net shim create --over eth0 --to {GUEST} --yes"));
    let routes = lab.run("kvm1", "ip -4 route show dev eth0-shim");
    assert!(routes.contains(GUEST) && !routes.contains("10.0.0.99"), "{routes}");
    let text = lab.run("kvm1", &format!("virt-net shim create --over eth0 --to {GUEST} --yes"));
    assert!(text.contains("has all it needs") && text.contains("verified"), "{text}");

    lab.run("kvm1", "virt-net shim delete eth0-shim --yes");
    assert_eq!(lab.run("kvm1", LOOK), before, "exactly the old state");
    assert!(!lab.host_pings(GUEST) && !lab.guest_pings(HOST));

    // An address of its own for the host's end, also where links answer for nothing else.
    lab.run("kvm1", "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore");
    let text =
        lab.run("kvm1", &format!("virt-net shim create --over eth0 --to {GUEST} --yes 2>&1; echo status $?"));
    assert!(text.contains("arp_ignore") && text.ends_with("status 3\n"), "{text}");
    lab.run("kvm1", &format!("virt-net shim create --over eth0 --address 10.0.0.199 --to {GUEST} --yes"));
    assert!(lab.host_pings(GUEST) && lab.guest_pings("10.0.0.199"));
    lab.run("kvm1", "virt-net shim delete eth0-shim --yes; echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore");
    assert_eq!(lab.run("kvm1", LOOK), before);

    // The doctor's own way; then another mode, which no shim can help.
    lab.run("kvm1", &format!("virt-net shim create --over eth0 --to {GUEST} --yes; ping -c 1 {GUEST}; ip route del {GUEST} dev eth0-shim"));
    let text = lab.run("kvm1", "virt-net doctor --fix macvtap-host-isolation --yes 2>&1; echo status $?");
    assert!(text.contains("mended, it is found no more"), "{text}");
    assert!(lab.host_pings(GUEST) && lab.guest_pings(HOST));
    lab.run(
        "kvm1",
        "virt-net shim delete eth0-shim --yes; virt-net switch centos7 --to macvtap=eth0,mode=private --yes",
    );
    let text = lab.run("kvm1", "virt-net shim create --over eth0 --yes 2>&1; echo status $?");
    assert!(text.contains("mode private") && text.ends_with("status 3\n"), "{text}");
}

#[test]
#[ignore = "needs root: starts the lab"]
fn they_talk_over_ipv6_by_a_spare_address() {
    /// Made of its MAC, as routers' announcements have it.
    const GUEST6: &str = "fd00:1::5054:ff:feaa:fc1c";
    let lab = Lab::up("shim-v6", &["--bridge"]);
    plug_in(&lab);
    lab.run("kvm1", "ip address add fd00:1::8/64 dev eth0");
    lab.run("pc", "ip address add fd00:1::77/64 dev eth0");
    lab.guest("kvm1", "centos7", &format!("ip address add {GUEST6}/64 dev eth0"));
    until(&lab, "addresses that settle", "! ip address show tentative | grep -q tentative");
    let before = lab.run("kvm1", LOOK);
    assert!(lab.host_pings("fd00:1::77"), "the LAN has IPv6");
    assert!(!lab.host_pings(GUEST6) && !lab.guest_pings("fd00:1::8"), "a macvtap is cut off from the host");

    // Without an address of its own the shim cannot be found; one that somebody has is not taken.
    let create = format!("virt-net shim create --over eth0 --to {GUEST} --to {GUEST6}");
    let text = lab.run("kvm1", &format!("{create} --yes 2>&1; echo status $?"));
    assert!(text.contains("needs an address of its own") && text.ends_with("status 3\n"), "{text}");
    lab.run("kvm1", "ip neigh flush all; ip -6 neigh flush all");
    let text = lab.run("kvm1", &format!("{create} --address fd00:1::77 --yes 2>&1; echo status $?"));
    assert!(text.contains("somebody on the LAN has fd00:1::77"), "{text}");
    assert_eq!(lab.run("kvm1", LOOK), before, "put back");

    let other = "virt-net shim create --over eth0 --to fd00:1::208 --address fd00:1::199 --dry-run";
    assert!(lab.run("kvm1", other).contains("fd00:1::208 is not made of a MAC here"));
    lab.run("kvm1", &format!("{create} --address fd00:1::199 --yes"));
    let both = || (lab.host_pings(GUEST6), lab.guest_pings("fd00:1::199"));
    let state = lab.run("kvm1", "ip -6 address; ip -6 route; ip -6 neigh");
    assert_eq!(both(), (true, true), "both ways: {state}");
    assert!(lab.host_pings(GUEST) && lab.guest_pings(HOST), "IPv4 as before");
    assert!(lab.host_pings("fd00:1::77"), "the LAN as before");
    lab.run("kvm1", "virt-net shim delete eth0-shim --yes");
    assert_eq!(lab.run("kvm1", LOOK), before, "exactly the old state");
    assert_eq!(both(), (false, false));
    lab.run("kvm1", "virt-net undo --yes");
    assert_eq!(both(), (true, true), "taken back: both ways again");
    lab.run("kvm1", "virt-net undo --yes");
    assert_eq!(lab.run("kvm1", LOOK), before);
}

/// Everything that a shim's change touches: the kernel's side and the files.
fn whole(lab: &Lab) -> String {
    lab.run("kvm1", LOOK) + &files(lab) + &lab.run("kvm1", "ls -A /run/systemd/network 2>/dev/null; true")
}

/// Runs a change of a shim and kills it, without a chance to put anything back, when it has noted a step that
/// begins so.
fn killed_at(lab: &Lab, step: &str, arguments: &str) {
    let script = format!(
        "VIRT_NET_TEST_PAUSE={step}:60000 virt-net shim {arguments} --yes >/tmp/out 2>&1 & pid=$!
        for n in $(seq 300); do grep -q '\"step\": \"{step} ' /var/lib/virt-net/unfinished/*.json 2>/dev/null && break; sleep 0.1; done
        sleep 0.3; kill -9 $pid; wait $pid; ls /var/lib/virt-net/unfinished/*.json"
    );
    lab.run("kvm1", &script);
}

#[test]
#[ignore = "needs root: starts the lab"]
fn a_shim_is_taken_back_and_what_a_kill_left_is_told_and_put_right() {
    let lab = Lab::up("shim-undo", &["--bridge"]);
    plug_in(&lab);
    lab.run(
        "kvm1",
        "mkdir -p /etc/network; printf '# mine\\nauto eth0\\niface eth0 inet static\\n    address 10.0.0.8/16\\n    gateway 10.0.0.1\\n' >/etc/network/interfaces",
    );
    let before = whole(&lab);
    let create = format!("create --over eth0 --to {GUEST}");
    let undo = || {
        let text = lab.run("kvm1", "virt-net undo --yes 2>&1");
        assert!(text.contains("verified"), "{text}");
        text
    };

    lab.run("kvm1", &format!("virt-net shim {create} --yes"));
    let with_shim =
        || lab.run("kvm1", "ip -br link show eth0-shim; ip -4 route show dev eth0-shim") + &files(&lab);
    assert!(with_shim().contains("up ip route add 10.0.0.208"), "{}", with_shim());
    assert!(undo().contains("take back: make shim eth0-shim over eth0"));
    assert_eq!(whole(&lab), before, "to the byte");

    // One that was deleted comes again as the very same; then the change before is taken back.
    lab.run("kvm1", &format!("virt-net shim {create} --yes"));
    let there = with_shim();
    lab.run("kvm1", "virt-net shim delete eth0-shim --yes");
    assert_eq!(whole(&lab), before);
    undo();
    assert_eq!(with_shim(), there, "its MAC, too");
    assert!(lab.host_pings(GUEST) && lab.guest_pings(HOST), "both ways");
    // What somebody changed since is not taken back unseen.
    lab.run("kvm1", "ip route add 10.0.0.99 dev eth0-shim");
    let text = lab.run("kvm1", "virt-net undo --yes 2>&1; echo status $?");
    assert!(text.contains("it was changed since") && text.ends_with("status 3\n"), "{text}");
    lab.run("kvm1", "ip route del 10.0.0.99 dev eth0-shim");
    undo();
    assert_eq!(whole(&lab), before);

    // Killed in the middle, at every kind of step: noted, told, put right.
    for step in ["make", "switch", "route", "seen", "write"] {
        killed_at(&lab, step, &create);
        let told = lab.run("kvm1", "virt-net show shims 2>&1 >/dev/null");
        assert!(told.contains("make shim eth0-shim over eth0 was interrupted at step"), "{step}: {told}");
        assert!(told.contains("virt-net doctor --fix change-interrupted"), "{told}");
        let found = lab.run("kvm1", "virt-net doctor 2>&1 || true");
        assert!(found.contains("make shim eth0-shim over eth0 was interrupted"), "{found}");
        let text = lab.run("kvm1", "virt-net doctor --fix change-interrupted --yes 2>&1");
        assert!(text.contains("verified") && text.contains("mended, it is found no more"), "{text}");
        assert_eq!(whole(&lab), before, "{step}: {text}");
        assert_eq!(lab.run("kvm1", "virt-net show shims 2>&1 >/dev/null"), "", "{step}");
    }

    // A deletion, by `undo`.
    lab.run("kvm1", &format!("virt-net shim {create} --yes"));
    let there = with_shim();
    for step in ["delete", "systemd-networkd", "write"] {
        killed_at(&lab, step, "delete eth0-shim");
        undo();
        assert_eq!(with_shim(), there, "{step}");
        assert!(lab.host_pings(GUEST), "{step}");
    }
    undo();
    assert_eq!(whole(&lab), before);
}

fn files(lab: &Lab) -> String {
    lab.run(
        "kvm1",
        "find /etc/network /etc/systemd/network /etc/netplan /etc/NetworkManager /etc/sysctl.d \
         ! -name '.*' -print -type f -exec cat {} + 2>/dev/null | sort; true",
    )
}

/// As the kernel and the device manager do it at boot: files only; nobody here sets the sysctls of new links.
fn reboot(lab: &Lab, played: &Played) {
    lab.run(
        "kvm1",
        &format!(
            "{}; ip link del eth0-shim 2>/dev/null; ip address flush dev eth0; ip route flush dev eth0; \
        rm -rf /run/systemd/netif /run/systemd/network /run/netplan /run/NetworkManager /run/network; {}",
            played.stop, played.start
        ),
    );
    until(
        lab,
        played.owner,
        &format!("ip route | grep -q '^default' && ip route get {GUEST} | grep -q 'dev eth0-shim'"),
    );
    lab.run("kvm1", "[ ! -e /etc/sysctl.d/90-virt-net-eth0-shim.conf ] || sysctl -qp /etc/sysctl.d/90-virt-net-eth0-shim.conf");
    assert_eq!(
        lab.run("kvm1", "cat /proc/sys/net/ipv4/conf/eth0-shim/arp_filter"),
        "1\n",
        "{}",
        played.owner
    );
}

fn until(lab: &Lab, what: &str, command: &str) {
    let begun = Instant::now();
    while lab.run("kvm1", &format!("({command}) >/dev/null 2>&1 && echo yes || true")) != "yes\n" {
        assert!(
            begun.elapsed() < PATIENCE,
            "{what}: {}",
            lab.run("kvm1", "ip address; ip route; cat /run/*.log | tail -n 30")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "needs root: starts the lab"]
fn a_shim_outlives_a_reboot_with_every_owner_that_can_keep_it() {
    let lab = Lab::up("shim-owners", &["--managers"]);
    plug_in(&lab);
    for (played, spare) in [
        (&IFUPDOWN, ""),
        (&NETWORKD_STATIC, ""),
        (&NETPLAN, ""),
        (&NETWORKMANAGER, ""),
        (&NETWORKMANAGER, "--address 10.0.0.199"),
    ] {
        let owner = played.owner;
        lab.run("kvm1", &format!("rm -rf /etc/network/interfaces /etc/systemd/network/* /etc/NetworkManager/system-connections/*; {}", played.files));
        lab.run("kvm1", &format!("ip address flush dev eth0; ip route flush dev eth0; {}", played.start));
        until(&lab, owner, "ip route | grep -q '^default'");
        let (old, before) = (files(&lab), lab.run("kvm1", "ip -4 -br address; ip -4 route | sort"));
        let create = format!("virt-net shim create --over eth0 --to {GUEST} {spare} --yes");
        let text = lab.run("kvm1", &create);
        assert!(text.contains("verified"), "{owner}: {text}");
        assert!(lab.host_pings(GUEST), "{owner}");
        let kept = files(&lab);
        lab.run("kvm1", &create);
        assert_eq!(files(&lab), kept, "{owner}: again, nothing changes");
        reboot(&lab, played);
        let host = if spare.is_empty() { HOST } else { "10.0.0.199" };
        let begun = Instant::now();
        while !(lab.host_pings(GUEST) && lab.guest_pings(host)) {
            assert!(
                begun.elapsed() < PATIENCE,
                "{owner} after a reboot: {}",
                lab.run("kvm1", "ip address; ip route")
            );
        }
        lab.run("kvm1", "virt-net shim delete eth0-shim --yes");
        assert_eq!(files(&lab), old, "{owner}: to the byte");
        assert_eq!(lab.run("kvm1", "ip -4 -br address; ip -4 route | sort"), before, "{owner}");
        lab.run("kvm1", &format!("{}; true", played.stop));
    }
}
