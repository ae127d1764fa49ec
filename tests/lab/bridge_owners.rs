//! Each owner of a NIC keeps a bridge over a reboot, which is played here: the bridge, the addresses and
//! all that is in `/run` go, and the owner builds everything up again from its files.

use std::time::{Duration, Instant};

use crate::bridge::UDHCPC;
use crate::lab::Lab;

/// Links, addresses and routes of the NIC and the bridge, without what only counts.
const LOOK: &str =
    "ip -br link show | grep -v vnet; ip -4 -br address; ip route show | sort; bridge link show dev eth0";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const LAN: &str = "10.0.0.8/16";

/// Waits until a command succeeds on the host.
pub(crate) fn until(lab: &Lab, what: &str, command: &str) {
    let deadline = Instant::now() + PATIENCE;
    let command = format!("({command}) >/dev/null 2>&1 && echo yes || true");
    while lab.run("kvm1", &command) != "yes\n" {
        assert!(Instant::now() < deadline, "{what}: {}", lab.run("kvm1", LOOK));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The owner's daemon and files, as each test of an owner needs them.
pub(crate) struct Played {
    /// What `virt-net` calls it.
    pub(crate) owner: &'static str,
    /// Writes its files.
    pub(crate) files: &'static str,
    /// Brings the network up from them.
    pub(crate) start: &'static str,
    /// Ends it; `/run` and the kernel's state go as well.
    pub(crate) stop: &'static str,
}

const NOTHING: &str = "ip link del br7 2>/dev/null; ip link set eth0 nomaster; ip address flush dev eth0; \
    ip route flush dev eth0; ip link set eth0 down; \
    rm -rf /run/systemd/netif /run/systemd/network /run/netplan /run/NetworkManager /run/network /run/udhcpc.*";

const NETWORKD: &str = "mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp; \
    chown -R systemd-network: /run/systemd/netif; pidof dbus-daemon >/dev/null || { mkdir -p /run/dbus; dbus-daemon --system --fork; }; \
    setsid unshare -m sh -c 'mount -o remount,bind,ro /sys; exec /lib/systemd/systemd-networkd' >/run/networkd.log 2>&1 </dev/null &";
const NETWORKD_STOP: &str =
    "kill $(pidof systemd-networkd); while pidof systemd-networkd >/dev/null; do sleep 0.1; done";

pub(crate) const IFUPDOWN: Played = Played {
    owner: "ifupdown",
    files: "cat >/etc/network/interfaces <<'X'\n# mine\nauto lo\niface lo inet loopback\n\nauto eth0\n\
        iface eth0 inet static\n    address 10.0.0.8/16\n    gateway 10.0.0.2 # why\nX\n",
    start: "mkdir -p /run/network; ifup -a",
    stop: "true",
};

/// udhcpc is the DHCP client that ifupdown starts; the lease comes from the LAN.
const IFUPDOWN_DHCP: Played = Played {
    owner: "ifupdown",
    files: "cat >/etc/network/interfaces <<'X'\nauto eth0\niface eth0 inet dhcp\nX\n",
    start: "mkdir -p /run/network; ifup -a",
    stop: "kill $(pidof udhcpc)",
};

pub(crate) const NETWORKD_STATIC: Played = Played {
    owner: "systemd-networkd",
    files: "printf '# mine\\n[Match]\\nName=eth0\\n\\n[Network]\\nAddress=10.0.0.8/16\\nGateway=10.0.0.2\\n' \
        >/etc/systemd/network/20-eth0.network",
    start: NETWORKD,
    stop: NETWORKD_STOP,
};

const NETWORKD_DHCP: Played = Played {
    files: "printf '# mine\\n[Match]\\nName=eth0\\n\\n[Network]\\nDHCP=ipv4\\n' >/etc/systemd/network/20-eth0.network",
    ..NETWORKD_STATIC
};

/// The generator makes networkd's files, as it does early in a boot.
pub(crate) const NETPLAN: Played = Played {
    owner: "netplan",
    files: "rm -f /etc/systemd/network/*; printf '# mine\\nnetwork:\\n  version: 2\\n  ethernets:\\n    eth0:\\n      addresses: [10.0.0.8/16]\\n      \
        routes:\\n        - to: default\\n          via: 10.0.0.2\\n' >/etc/netplan/50-lan.yaml; chmod 600 /etc/netplan/50-lan.yaml",
    start: "/usr/lib/netplan/generate; pidof dbus-daemon >/dev/null || { mkdir -p /run/dbus; dbus-daemon --system --fork; }; \
        mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp && \
        chown -R systemd-network: /run/systemd/netif; \
        setsid unshare -m sh -c 'mount -o remount,bind,ro /sys; exec /lib/systemd/systemd-networkd' >/run/networkd.log 2>&1 </dev/null &",
    stop: NETWORKD_STOP,
};

const NM_START: &str = "pidof dbus-daemon >/dev/null || { mkdir -p /run/dbus; dbus-daemon --system --fork; }; \
    setsid unshare -m sh -c 'mount -o remount,bind,ro /sys; exec NetworkManager --no-daemon' >/run/nm.log 2>&1 </dev/null &";
const NM_STOP: &str =
    "kill $(pidof NetworkManager); while pidof NetworkManager >/dev/null; do sleep 0.1; done";

/// The generator makes NetworkManager's profiles, which say no UUID.
const NETPLAN_MANAGER: Played = Played {
    owner: "netplan",
    files: "rm -f /etc/systemd/network/*; printf '[main]\\nplugins=keyfile\\ndhcp=internal\\nauth-polkit=false\\nrc-manager=unmanaged\\n[keyfile]\\n\
        unmanaged-devices=interface-name:eth1;interface-name:virbr*;interface-name:vnet*;interface-name:macvtap*\\n[main]\\nno-auto-default=*\\n' \
        >/etc/NetworkManager/NetworkManager.conf\n\
        printf '# mine\\nnetwork:\\n  version: 2\\n  renderer: NetworkManager\\n  ethernets:\\n    eth0:\\n      addresses: [10.0.0.8/16]\\n      \
        routes:\\n        - to: default\\n          via: 10.0.0.2\\n' >/etc/netplan/50-lan.yaml; chmod 600 /etc/netplan/50-lan.yaml",
    start: "/usr/lib/netplan/generate; pidof dbus-daemon >/dev/null || { mkdir -p /run/dbus; dbus-daemon --system --fork; }; \
        setsid unshare -m sh -c 'mount -o remount,bind,ro /sys; exec NetworkManager --no-daemon' >/run/nm.log 2>&1 </dev/null &",
    stop: NM_STOP,
};

pub(crate) const NETWORKMANAGER: Played = Played {
    owner: "NetworkManager",
    files: "rm -f /etc/netplan/* /usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf\n\
        printf '[main]\\nplugins=keyfile\\ndhcp=internal\\nauth-polkit=false\\nrc-manager=unmanaged\\n[keyfile]\\n\
        unmanaged-devices=interface-name:eth1;interface-name:virbr*;interface-name:vnet*;interface-name:macvtap*\\n' \
        >/etc/NetworkManager/NetworkManager.conf\n\
        printf '# mine\\n[connection]\\nid=lan\\nuuid=5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03\\ntype=ethernet\\ninterface-name=eth0\\n\\n\
        [ipv4]\\naddress1=10.0.0.8/16,10.0.0.2\\nmethod=manual\\n\\n[ipv6]\\nmethod=link-local\\n' \
        >/etc/NetworkManager/system-connections/lan.nmconnection; chmod 600 /etc/NetworkManager/system-connections/*",
    start: NM_START,
    stop: NM_STOP,
};

const NETWORKMANAGER_DHCP: Played = Played {
    files: "printf '[connection]\\nid=lan\\nuuid=5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03\\ntype=ethernet\\ninterface-name=eth0\\n\\n\
        [ipv4]\\nmethod=auto\\n\\n[ipv6]\\nmethod=link-local\\n' \
        >/etc/NetworkManager/system-connections/lan.nmconnection; chmod 600 /etc/NetworkManager/system-connections/*",
    ..NETWORKMANAGER
};

impl Played {
    /// Its files, and the network that it brings up from them: an address and a default route.
    pub(crate) fn set_up(&self, lab: &Lab) {
        lab.run("kvm1", self.files);
        self.boot(lab);
        until(
            lab,
            self.owner,
            "ip -4 -o address show dev eth0 scope global | grep -q inet && ip route | grep -q '^default'",
        );
    }

    /// As after a reboot: nothing but its files.
    pub(crate) fn boot(&self, lab: &Lab) {
        lab.run("kvm1", &format!("{NOTHING}; {}", self.start));
    }

    pub(crate) fn end(&self, lab: &Lab) {
        lab.run("kvm1", &format!("{}; true", self.stop));
    }
}

/// The files in /etc that a reboot builds the network from.
pub(crate) fn files(lab: &Lab) -> String {
    lab.run(
        "kvm1",
        "find /etc/network/interfaces /etc/systemd/network /etc/netplan /etc/NetworkManager/system-connections \
         -type f ! -name '.*' -print -exec cat {} + 2>/dev/null | sort; true",
    )
}

pub(crate) fn address_of(lab: &Lab, link: &str) -> String {
    lab.run("kvm1", &format!("ip -4 -o address show dev {link} scope global | awk '{{ print $4 }}'"))
        .trim()
        .to_owned()
}

/// Made and taken back, made and kept, over a reboot; the address stays the same all the time.
fn keeps(lab: &Lab, played: &Played) -> String {
    let owner = played.owner;
    played.set_up(lab);
    let address = address_of(lab, "eth0");
    let old_files = files(lab);
    let look = || {
        lab.run("kvm1", "ip -4 -br address show scope global | sed 's/ metric [0-9]*//'; ip -br link | awk '{ print $1, $3 }'; ip route | sort")
    };
    let before = look();
    let metric = |link: &str| {
        lab.run("kvm1", &format!("ip route show default dev {link} | grep -o 'metric [0-9]*'; true"))
    };
    let old_metric = metric("eth0");

    let text = lab.run("kvm1", "virt-net bridge create br7 --port eth0 --yes --confirm 60s");
    assert!(text.contains(&format!("eth0 belongs to {owner}")), "{text}");
    assert_eq!(address_of(lab, "br7"), address, "{owner}: {text}");
    assert_eq!(metric("br7"), old_metric, "{owner}: the route competes as before");
    assert_eq!(files(lab), old_files, "{owner}: nothing that a boot reads changes before it is confirmed");
    let text = lab.run("kvm1", "virt-net rollback");
    assert!(text.contains("the old state is seen in the kernel"), "{owner}: {text}");
    until(lab, owner, "ip route | grep -q '^default'");
    assert_eq!(look(), before, "{owner}: taken back");
    assert_eq!(files(lab), old_files, "{owner}");
    assert_eq!(lab.run("kvm1", "find /etc /run -name '*.virt-net-new' 2>/dev/null; true"), "", "{owner}");

    lab.run("kvm1", "virt-net bridge create br7 --port eth0 --yes --confirm 60s");
    let text = lab.run("kvm1", "virt-net confirm");
    assert!(text.contains(&format!("kept, also at the next boot ({owner})")), "{text}");
    lab.run("pc", &format!("ping -c 2 -i 0.2 -W 2 {}", address.split('/').next().unwrap()));

    played.end(lab);
    played.boot(lab);
    let is_up = format!(
        "ip -4 -o address show dev br7 | grep -q ' {address} ' && ip -o link show dev eth0 | grep -q 'master br7' && ip route | grep -q '^default.* dev br7'"
    );
    until(lab, &format!("{owner} after a reboot"), &is_up);
    assert_eq!(metric("br7"), old_metric, "{owner} after a reboot");
    assert_eq!(address_of(lab, "eth0"), "", "{owner} after a reboot");
    lab.run("pc", &format!("ping -c 2 -i 0.2 -W 2 {}", address.split('/').next().unwrap()));
    old_files
}

/// One port more outlives a reboot as well, and is taken out again.
fn takes_a_port(lab: &Lab, played: &Played) {
    let owner = played.owner;
    let kept_files = files(lab);
    lab.run("kvm1", "ip link show eth2 >/dev/null 2>&1 || ip link add eth2 type veth peer name eth2p; ip link set eth2p up");
    lab.run("kvm1", "virt-net bridge add-port br7 eth2 --yes; virt-net rollback");
    assert_eq!(files(lab), kept_files, "{owner}");
    assert!(!lab.run("kvm1", "ip -o link show dev eth2").contains("master"), "{owner}");
    let text = lab.run("kvm1", "virt-net bridge add-port br7 eth2 --yes && virt-net confirm");
    assert!(text.contains(&format!("kept, also at the next boot ({owner})")), "{text}");
    played.end(lab);
    lab.run("kvm1", "ip link set eth2 nomaster");
    played.boot(lab);
    let both = "bridge link show dev eth0 | grep -q 'master br7' && ip -o link show dev eth2 | grep -q 'master br7' && ip route | grep -q '^default.* dev br7'";
    until(lab, &format!("{owner}: a second port after a reboot"), both);
    lab.run("kvm1", "virt-net bridge remove-port br7 eth2 --yes && virt-net rollback");
    until(lab, &format!("{owner}: a second port after a rollback"), both);
    lab.run("kvm1", "virt-net bridge remove-port br7 eth2 --yes && virt-net confirm");
    assert_eq!(files(lab), kept_files, "{owner}");
    assert!(!lab.run("kvm1", "ip -o link show dev eth2").contains("master"), "{owner}");
}

/// Deleted again: the files are what they were, to the byte, and the NIC has its address.
fn deletes(lab: &Lab, played: &Played, old_files: &str) {
    let kept_files = files(lab);
    lab.run("kvm1", "virt-net bridge delete br7 --yes");
    assert_eq!(files(lab), kept_files, "{}: nothing changes before it is confirmed", played.owner);
    let text = lab.run("kvm1", "virt-net rollback; ip -4 -o address show dev br7; bridge link show dev eth0");
    assert!(text.contains(LAN) && text.contains("master br7"), "{}: {text}", played.owner);
    lab.run("kvm1", "virt-net bridge delete br7 --yes && virt-net confirm");
    assert_eq!(files(lab), old_files, "{}", played.owner);
    played.end(lab);
    played.boot(lab);
    until(
        lab,
        &format!("{} after it was deleted", played.owner),
        &format!("ip -4 -o address show dev eth0 | grep -q ' {LAN} '"),
    );
    assert_eq!(lab.run("kvm1", "ip link show br7 2>&1 || true").lines().count(), 1);
}

pub(crate) fn forget(lab: &Lab, played: &Played) {
    played.end(lab);
    lab.run("kvm1", &format!("{NOTHING}; rm -rf /var/lib/virt-net /etc/network/interfaces /etc/systemd/network/* /etc/NetworkManager/system-connections/*"));
}

#[test]
#[ignore = "needs root: starts the lab"]
fn a_bridge_outlives_a_reboot_with_netplan_over_networkmanager() {
    let lab = Lab::up("bridge-netplan-nm", &["--managers"]);
    let old_files = keeps(&lab, &NETPLAN_MANAGER);
    takes_a_port(&lab, &NETPLAN_MANAGER);
    deletes(&lab, &NETPLAN_MANAGER, &old_files);
}

/// The bridge is somebody else's and in another file than its port, which has an address at every boot.
#[test]
#[ignore = "needs root: starts the lab"]
fn netplan_takes_a_port_with_addresses_into_a_bridge_of_another_file() {
    let lab = Lab::up("bridge-netplan-port", &["--managers"]);
    lab.run("kvm1", NETPLAN.files);
    lab.run(
        "kvm1",
        "printf 'network:\\n  bridges:\\n    br7:\\n      # the store\\n      interfaces:\\n        - eth3\\n      \
         addresses: [192.0.2.1/24] # all of it\\n  ethernets:\\n    eth3: {}\\n' >/etc/netplan/60-store.yaml; \
         printf '    eth2:\\n      # spare\\n      addresses: [198.51.100.7/24]\\n' >>/etc/netplan/50-lan.yaml; chmod 600 /etc/netplan/*; \
         ip link add eth2 type veth peer name eth2p; ip link add eth3 type veth peer name eth3p; ip link set eth2p up; ip link set eth3p up",
    );
    NETPLAN.boot(&lab);
    let apart = "ip -4 -o address show dev eth2 | grep -q ' 198.51.100.7/24 ' && ip -o link show dev eth3 | grep -q 'master br7'";
    until(&lab, "two links", apart);
    let old_files = files(&lab);
    // It has the address now, and whoever uses it is not cut off.
    let text = lab.run("kvm1", "virt-net bridge add-port br7 eth2 --yes 2>&1; true");
    assert!(text.contains("eth2 has 198.51.100.7/24, which a port cannot use"), "{text}");
    lab.run("kvm1", "ip address flush dev eth2");
    let text = lab.run("kvm1", "virt-net bridge add-port br7 eth2 --yes");
    assert!(text.contains("addresses of eth2 stays as a comment in /etc/netplan/50-lan.yaml"), "{text}");
    assert_eq!(files(&lab), old_files);
    let text = lab.run("kvm1", "virt-net confirm");
    assert!(text.contains("kept, also at the next boot (netplan)"), "{text}");
    NETPLAN.end(&lab);
    lab.run("kvm1", "ip link set eth2 nomaster; ip link set eth3 nomaster");
    NETPLAN.boot(&lab);
    let both = "ip -o link show dev eth2 | grep -q 'master br7' && ip -o link show dev eth3 | grep -q 'master br7' && \
        ip -4 -o address show dev br7 | grep -q 192.0.2.1/24 && ! ip -4 -o address show dev eth2 | grep -q inet";
    until(&lab, "both ports after a reboot", both);
    lab.run("kvm1", "virt-net bridge remove-port br7 eth2 --yes && virt-net confirm");
    assert_eq!(files(&lab), old_files);
    until(&lab, "its own address again", apart);
}

#[test]
#[ignore = "needs root: starts the lab"]
fn a_bridge_outlives_a_reboot_with_every_owner() {
    let lab = Lab::up("bridge-owners", &["--managers"]);
    lab.run("kvm1", UDHCPC);
    for played in [&IFUPDOWN, &NETWORKD_STATIC, &NETPLAN, &NETWORKMANAGER] {
        let old_files = keeps(&lab, played);
        takes_a_port(&lab, played);
        deletes(&lab, played, &old_files);
        if played.owner != NETWORKMANAGER.owner {
            forget(&lab, played);
        }
    }

    // The agent is killed and nobody starts virt-net: NetworkManager itself takes it back.
    lab.run("kvm1", "virt-net bridge create br7 --port eth0 --yes --confirm 5s; kill -9 $(pidof virt-net)");
    let back = format!("ip -4 -o address show dev eth0 | grep -q ' {LAN} ' && ! ip link show br7");
    until(&lab, "NetworkManager's checkpoint", &back);
    let text = lab.run("kvm1", "virt-net show bridges 2>&1; ls /run/NetworkManager/system-connections");
    assert!(text.contains("taken back") && !text.contains("br7.nmconnection"), "{text}");
    for played in [&NETWORKMANAGER_DHCP, &IFUPDOWN_DHCP, &NETWORKD_DHCP] {
        forget(&lab, &NETWORKMANAGER);
        keeps(&lab, played);
        played.end(&lab);
    }
}
