//! What the files of each owner of a NIC become when a bridge is made over it: comments and keys that
//! nobody here knows survive, and the program's mark is in them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use virt_net::change::bridge::persist::{self, Owner, Renderer, Setting, Spec, Text};
use virt_net::change::bridge::{Addressing, FileChange, Step, Stp};

fn spec(address: Addressing, stp: Stp) -> Spec {
    let gateway = match address {
        Addressing::Static(_) => "10.0.0.2".parse().ok(),
        Addressing::Move | Addressing::Dhcp => None,
    };
    Spec {
        bridge: "virbr1".parse().unwrap(),
        port: "eth0".parse().unwrap(),
        mtu: 1500,
        mac: "00:0c:29:d0:8e:57".parse().ok(),
        stp,
        address,
        gateway,
        metrics: [None, None],
    }
}

fn moved() -> Spec {
    spec(Addressing::Move, Stp::Off)
}

fn file(path: &str, text: &str) -> Text {
    Text { path: PathBuf::from(path), text: text.to_owned() }
}

/// What the file at this path becomes.
fn after<'a>(setting: &'a Setting, path: &str) -> &'a str {
    let found = setting.lasting.iter().find(|file| file.path == Path::new(path));
    found.unwrap_or_else(|| panic!("no {path} in {:?}", setting.lasting)).after.as_deref().unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.sort_unstable();
    lines
}

const INTERFACES: &str = "\
# mine
auto lo eth0
iface lo inet loopback

allow-hotplug eth0
iface eth0 inet static
    address 10.0.0.8/16
    gateway 10.0.0.2 # why
    dns-nameservers 10.0.0.2
    unheard-of yes
    mtu 9000
    up ip route add 172.16.0.0/12 via 10.0.0.3 dev eth0
    post-up ethtool -K eth0 gro off
iface eth0 inet6 auto
iface eth01 inet manual
";

#[test]
fn ifupdown_renames_the_stanzas_and_keeps_the_nic_up() {
    let owner = |bridges| Owner::Ifupdown {
        file: file("/etc/network/interfaces", INTERFACES),
        others: Vec::new(),
        bridges,
    };
    let setting = persist::create(&owner(true), &moved()).unwrap();
    assert_eq!(
        after(&setting, "/etc/network/interfaces"),
        "\
# mine
auto lo eth0 virbr1
iface lo inet loopback

allow-hotplug eth0
auto virbr1
# virt-net: bridge virbr1 over eth0
iface eth0 inet manual
    mtu 9000
    post-up ethtool -K eth0 gro off

# virt-net: bridge virbr1 over eth0
iface virbr1 inet static
    bridge_ports eth0
    bridge_stp off
    bridge_fd 0
    bridge_hw 00:0c:29:d0:8e:57
    address 10.0.0.8/16
    gateway 10.0.0.2 # why
    dns-nameservers 10.0.0.2
    unheard-of yes
    mtu 9000
    up ip route add 172.16.0.0/12 via 10.0.0.3 dev virbr1
iface virbr1 inet6 auto
iface eth01 inet manual
"
    );
    assert_eq!(setting.steps, []);
    let given = spec(Addressing::Static("10.0.0.88/24".parse().unwrap()), Stp::SHORTEST);
    let setting = persist::create(&owner(true), &given).unwrap();
    let text = after(&setting, "/etc/network/interfaces");
    assert!(
        text.contains("bridge_stp on") && text.contains("    address 10.0.0.88/24\n    gateway 10.0.0.2\n")
    );
    assert!(!text.contains("10.0.0.8/16") && text.contains("unheard-of yes"), "{text}");
    let setting = persist::create(&owner(true), &spec(Addressing::Dhcp, Stp::Off)).unwrap();
    assert!(after(&setting, "/etc/network/interfaces").contains("iface virbr1 inet dhcp\n"));
    // Without its hooks the host would have no network after a reboot.
    assert!(persist::create(&owner(false), &moved()).unwrap_err().contains("bridge-utils"));
}

/// The files of the customer's notes.
#[test]
fn ifcfg_files_are_those_of_the_notes() {
    let eth0 = "\
TYPE=Ethernet
DEVICE=eth0
NAME=eth0
BOOTPROTO=none
IPADDR=10.0.0.8
PREFIX=16
GATEWAY=10.0.0.2
ONBOOT=yes
DNS1=180.76.76.76
DNS2=223.5.5.5
";
    let path = "/etc/sysconfig/network-scripts/ifcfg-eth0";
    let route = file("/etc/sysconfig/network-scripts/route-eth0", "172.16.0.0/12 via 10.0.0.3 dev eth0\n");
    let owner = Owner::Ifcfg { file: file(path, eth0), others: vec![route] };
    let given = spec(Addressing::Static("10.0.0.88/24".parse().unwrap()), Stp::SHORTEST);
    let setting = persist::create(&owner, &given).unwrap();
    let mut notes = sorted(
        "TYPE=Bridge\nNAME=virbr1\nDEVICE=virbr1\nSTP=yes\nBOOTPROTO=none\nIPADDR=10.0.0.88\nPREFIX=24\n\
         GATEWAY=10.0.0.2\nONBOOT=yes\nDNS1=180.76.76.76\nDNS2=223.5.5.5",
    );
    // The notes leave the forward delay at 15 s.
    notes.push("DELAY=2");
    notes.sort_unstable();
    assert_eq!(sorted(after(&setting, "/etc/sysconfig/network-scripts/ifcfg-virbr1")), notes);
    assert_eq!(
        sorted(after(&setting, path)),
        sorted("TYPE=Ethernet\nDEVICE=eth0\nNAME=eth0\nONBOOT=yes\nBRIDGE=virbr1")
    );
    assert!(after(&setting, path).starts_with("# virt-net: bridge virbr1 over eth0\n"));
    let routes = after(&setting, "/etc/sysconfig/network-scripts/route-virbr1");
    assert!(routes.ends_with("172.16.0.0/12 via 10.0.0.3 dev virbr1\n"), "{routes}");
    // The NIC changes hands in the last rename.
    assert_eq!(setting.lasting.last().unwrap().path, Path::new(path));
    let taken = Owner::Ifcfg { file: file(path, "DEVICE=eth0\nBRIDGE=br0\n"), others: Vec::new() };
    assert!(persist::create(&taken, &moved()).unwrap_err().contains("BRIDGE=br0"));
}

#[test]
fn networkd_gets_files_that_go_before_the_nics_own() {
    let text = "\
# the LAN
[Match]
Name=en* eth*

[Link]
MTUBytes=9000

[Network]
# why
Address=10.0.0.8/16
Gateway=10.0.0.2
VLAN=eth0.7
Unheard=of

[DHCPv4]
UseDNS=no
";
    let owner = |name: &str| Owner::Networkd {
        network: file(&format!("/etc/systemd/network/{name}"), text),
        drop_ins: false,
        iaid: Some(7),
    };
    let setting = persist::create(&owner("20-lan.network"), &moved()).unwrap();
    assert_eq!(
        after(&setting, "/etc/systemd/network/10-virt-net-virbr1.network"),
        "\
# virt-net: bridge virbr1 over eth0
# the LAN
[Match]
Name=virbr1

[Network]
# why
Address=10.0.0.8/16
Gateway=10.0.0.2
Unheard=of

[DHCPv4]
UseDNS=no
IAID=7
"
    );
    let port = after(&setting, "/etc/systemd/network/10-virt-net-virbr1-eth0.network");
    assert!(port.contains("Name=eth0\n") && port.contains("MTUBytes=9000\n"), "{port}");
    assert!(port.contains("Bridge=virbr1\nVLAN=eth0.7\n"), "{port}");
    let netdev = after(&setting, "/etc/systemd/network/10-virt-net-virbr1.netdev");
    assert!(netdev.contains("MACAddress=00:0c:29:d0:8e:57\n") && netdev.contains("STP=no\n"), "{netdev}");
    // Until it is confirmed everything is where a reboot empties it.
    let written = setting.steps.iter().filter_map(|step| match step {
        Step::Put { file } => Some(&file.path),
        _ => None,
    });
    assert!(written.clone().count() == 3 && written.clone().all(|path| path.starts_with("/run")));
    let earlier = persist::create(&owner("05-lan.network"), &moved()).unwrap();
    assert!(earlier.lasting[0].path.ends_with("00-virt-net-virbr1.network"), "{:?}", earlier.lasting[0].path);
    assert!(persist::create(&owner("00-lan.network"), &moved()).unwrap_err().contains("sorts before"));
}

#[test]
fn networkmanager_gets_profiles_and_the_old_one_stays() {
    let text = "\
# the LAN
[connection]
id=lan
uuid=5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03
type=ethernet
zone=public
timestamp=1

[ethernet]
mac-address=00:0C:29:D0:8E:57
mtu=9000

[802-1x]
password=hunter2

[ipv4]
# why
address1=10.0.0.8/16,10.0.0.2
method=manual
unheard=of
";
    let path = "/etc/NetworkManager/system-connections/lan.nmconnection";
    let owner = Owner::NetworkManager {
        profile: file(path, text),
        others: Vec::new(),
        uuid: "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03".to_owned(),
        fresh: ["b-uuid".to_owned(), "p-uuid".to_owned()],
        checkpoint: true,
    };
    let setting = persist::create(&owner, &Spec { metrics: [Some(100), None], ..moved() }).unwrap();
    let bridge = after(&setting, "/etc/NetworkManager/system-connections/virbr1.nmconnection");
    for line in [
        "route-metric=100",
        "uuid=b-uuid",
        "type=bridge",
        "zone=public",
        "# why",
        "unheard=of",
        "mtu=9000",
        "stp=false",
    ] {
        assert!(bridge.lines().any(|found| found == line), "{line} in {bridge}");
    }
    assert!(!bridge.contains("hunter2") && !bridge.contains("timestamp"), "{bridge}");
    let port = after(&setting, "/etc/NetworkManager/system-connections/virbr1-eth0.nmconnection");
    for line in
        ["uuid=p-uuid", "master=b-uuid", "slave-type=bridge", "interface-name=eth0", "password=hunter2"]
    {
        assert!(port.lines().any(|found| found == line), "{line} in {port}");
    }
    assert!(!port.contains("10.0.0.8"), "{port}");
    let old = after(&setting, path);
    assert!(old.contains("autoconnect=false\n") && old.contains("# the LAN\n"), "{old}");
    assert_eq!(setting.steps[0], Step::Checkpoint);
    assert!(setting.undo.contains(&Step::EndCheckpoint) && setting.keep.contains(&Step::EndCheckpoint));
    // What waits must not come up before it has its port.
    let Step::Put { file } = &setting.steps[1] else { panic!("{:?}", setting.steps) };
    assert!(file.path.starts_with("/run") && file.after.as_ref().unwrap().contains("autoconnect=false\n"));
    // Secrets are not shown.
    let mut shown = setting.lasting[0].clone();
    shown.hide_secrets();
    assert!(!shown.after.unwrap().contains("hunter2"));
    let setting = persist::create(&owner, &spec(Addressing::Dhcp, Stp::Off)).unwrap();
    let bridge = after(&setting, "/etc/NetworkManager/system-connections/virbr1.nmconnection");
    assert!(bridge.contains("method=auto\n") && !bridge.contains("address1"), "{bridge}");
}

#[test]
fn secrets_are_not_shown_however_a_file_writes_them() {
    let text = "\
[wifi-security]
key-mgmt=wpa-psk
psk=hunter2
wep-key0 = hunter2
iface wlan0 inet dhcp
    wpa-psk hunter2
    wireless-key hunter2
WPA_PSK=hunter2
      access-points: {\"home\": {password: \"hunter2\"}}
      access-points: { home: {auth: {key-management: psk, 'password' : hunter2, mode: ap}}}
      access-points:
        \"home\":
          password: >-
            hunter2
            hunter2
          mode: infrastructure
    wg0:
      keys: {private: hunter2}
      key: hunter2
# psk is asked for elsewhere
addresses: [10.0.0.8/16]
";
    let mut change = FileChange {
        path: "/etc/netplan/a.yaml".into(),
        before: Some(text.to_owned()),
        after: Some(text.to_owned()),
        mode: 0o600,
    };
    change.hide_secrets();
    assert_eq!(change.before, change.after);
    let shown = change.after.unwrap();
    assert!(!shown.contains("hunter2"), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    for line in [
        "key-mgmt=wpa-psk",
        "psk=•••",
        "    wpa-psk •••",
        "      access-points: {\"home\": {password:•••",
        "          mode: infrastructure",
        "# psk is asked for elsewhere",
        "addresses: [10.0.0.8/16]",
    ] {
        assert!(lines.contains(&line), "{line:?} is not in\n{shown}");
    }
}

#[test]
fn netplan_moves_the_lines_of_the_nic() {
    let text = "\
# cloud
network:
  version: 2
  ethernets:
    eth1: {dhcp4: true}
    eth0:
      # the LAN
      mtu: 1500
      addresses:
      - 10.0.0.8/16
      routes:
        # out
        - to: default
          via: 10.0.0.2
      match:
        macaddress: 00:0c:29:d0:8e:57
      unheard-of: 1
  vlans: {}
";
    let owner = |text: &str| Owner::Netplan {
        yaml: file("/etc/netplan/50-cloud.yaml", text),
        others: Vec::new(),
        renderer: Renderer::Networkd,
        generate: vec!["generate".to_owned()],
    };
    let setting = persist::create(&owner(text), &moved()).unwrap();
    assert_eq!(
        after(&setting, "/etc/netplan/50-cloud.yaml"),
        "\
# cloud
network:
  version: 2
  # virt-net: bridge virbr1 over eth0
  bridges:
    virbr1:
      interfaces: [eth0]
      macaddress: 00:0c:29:d0:8e:57
      parameters:
        stp: false
        forward-delay: 0
      addresses:
      - 10.0.0.8/16
      routes:
        # out
        - to: default
          via: 10.0.0.2
  ethernets:
    eth1: {dhcp4: true}
    eth0:
      # the LAN
      mtu: 1500
      match:
        macaddress: 00:0c:29:d0:8e:57
      unheard-of: 1
      dhcp4: false
      dhcp6: false
  vlans: {}
"
    );
    let there = text.replace("  vlans: {}\n", "  bridges:\n    br5:\n      interfaces: [eth1]\n");
    let setting = persist::create(&owner(&there), &moved()).unwrap();
    let text = after(&setting, "/etc/netplan/50-cloud.yaml");
    assert_eq!(text.matches("bridges:").count(), 1, "{text}");
    assert!(
        text.contains("    br5:\n      interfaces: [eth1]\n") && text.contains("    virbr1:\n"),
        "{text}"
    );
    let flow = "network: {ethernets: {eth0: {dhcp4: true}}}\n";
    assert!(persist::create(&owner(flow), &moved()).unwrap_err().contains("in blocks of lines"));
}

/// netplan has no key for the metric of a static address' own route.
#[test]
fn netplan_over_networkmanager_keeps_the_metrics_of_routes() {
    let made = |lines: &str| {
        let text = format!("network:\n  ethernets:\n    eth0:\n      dhcp4: true\n{lines}");
        let owner = Owner::Netplan {
            yaml: file("/etc/netplan/50-cloud.yaml", &text),
            others: Vec::new(),
            renderer: Renderer::NetworkManager { checkpoint: true },
            generate: vec!["generate".to_owned()],
        };
        persist::create(&owner, &Spec { metrics: [Some(100), None], ..moved() }).unwrap()
    };
    let words = |step: &Step| match step {
        Step::Call { argv, .. } => argv.join(" "),
        other => other.text(),
    };
    // What comes up again beside the bridge would get the next free metric.
    let again = "nmcli device modify eth0 ipv4.route-metric 100";
    let kept = "      networkmanager:\n        passthrough:\n          ipv4.route-metric: \"100\"\n      dhcp4: true\n";
    let setting = made("");
    let text = after(&setting, "/etc/netplan/50-cloud.yaml");
    assert!(text.contains(kept), "{text}");
    let undo: Vec<String> = setting.undo.iter().map(words).collect();
    let up = undo.iter().position(|step| step.contains("connection up id netplan-eth0")).unwrap();
    assert_eq!(undo[up + 1], again, "{undo:?}");
    let own = "      dhcp4-overrides:\n        route-metric: 200\n";
    let setting = made(own);
    let text = after(&setting, "/etc/netplan/50-cloud.yaml");
    assert!(text.contains(own) && !text.contains("passthrough"), "{text}");
    assert!(!setting.undo.iter().any(|step| words(step) == again), "{:?}", setting.undo);
}

#[test]
fn networkmanager_on_rhel_keeps_its_ifcfg_files() {
    let path = "/etc/sysconfig/network-scripts/ifcfg-eth0";
    let owner = |text: &str| Owner::NetworkManager {
        profile: file(path, text),
        others: Vec::new(),
        uuid: "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03".to_owned(),
        fresh: ["b-uuid".to_owned(), "p-uuid".to_owned()],
        checkpoint: true,
    };
    let text = "# mine\nTYPE=\"Ethernet\"\nNAME=eth0\nDEVICE=eth0\nONBOOT=yes\nUUID=5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03\n\
        BOOTPROTO=none\nIPADDR=10.0.0.8\nNETMASK=255.255.0.0\nIPADDR1=192.0.2.7\nPREFIX1=24\nGATEWAY=10.0.0.2\n\
        DNS1=180.76.76.76\nDNS2=223.5.5.5\nDOMAIN=\"lan example\"\nIPV6INIT=no\nUNHEARD=of\n";
    let metrics = Spec { metrics: [Some(100), Some(200)], ..moved() };
    let setting = persist::create(&owner(&format!("{text}IPV6_ROUTE_METRIC=\"300\"\n")), &metrics).unwrap();
    let bridge = after(&setting, "/etc/sysconfig/network-scripts/ifcfg-virbr1");
    assert!(bridge.contains("IPV4_ROUTE_METRIC=100\n"), "{bridge}");
    assert!(bridge.contains("IPV6_ROUTE_METRIC=\"300\"\n") && !bridge.contains("=200"), "{bridge}");
    assert!(!after(&setting, path).contains("ROUTE_METRIC"));
    let setting = persist::create(&owner(text), &moved()).unwrap();
    let Step::Put { file: waiting } = &setting.steps[1] else { panic!("{:?}", setting.steps) };
    assert_eq!(waiting.path, Path::new("/run/NetworkManager/system-connections/virbr1.nmconnection"));
    let keyfile = waiting.after.as_deref().unwrap();
    for line in [
        "uuid=b-uuid",
        "method=manual",
        "address1=10.0.0.8/16,10.0.0.2",
        "address2=192.0.2.7/24",
        "dns=180.76.76.76;223.5.5.5;",
        "dns-search=lan;example;",
        "method=ignore",
    ] {
        assert!(keyfile.lines().any(|found| found == line), "{line} in {keyfile}");
    }
    let bridge = after(&setting, "/etc/sysconfig/network-scripts/ifcfg-virbr1");
    assert!(bridge.contains("IPADDR1=192.0.2.7\n") && bridge.contains("UUID=b-uuid\n"), "{bridge}");
    let port = after(&setting, path);
    assert!(port.contains("# mine\n") && port.contains("UNHEARD=of\n"), "{port}");
    assert!(port.contains("BRIDGE=virbr1\n") && port.contains("UUID=p-uuid\n"), "{port}");
    assert!(!port.contains("IPADDR") && !port.contains("5fb06bd0"), "{port}");
    let dhcp = persist::create(&owner("DEVICE=eth0\nBOOTPROTO=dhcp\n"), &moved()).unwrap();
    let Step::Put { file: waiting } = &dhcp.steps[1] else { panic!("{:?}", dhcp.steps) };
    assert!(waiting.after.as_deref().unwrap().contains("[ipv4]\nmethod=auto\n"));
    assert!(
        persist::create(&owner("DEVICE=eth0\nIPADDR=10.0.0.8\n"), &moved()).unwrap_err().contains("PREFIX")
    );
}
