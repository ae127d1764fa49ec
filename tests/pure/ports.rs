//! What the files of a bridge's owner become when a port comes or goes: to the byte what they were after it
//! went again, and nothing at all where a text cannot be changed safely.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use virt_net::change::bridge::Step;
use virt_net::change::bridge::persist::ports::{self, Found, PortSpec, PortWant};
use virt_net::change::bridge::persist::{Owner, Renderer, Setting, Text};

const NOTHING: Found = Found { written: &[], owners: &[] };

fn spec(want: PortWant) -> PortSpec {
    PortSpec { bridge: "br7".parse().unwrap(), port: "eth2".parse().unwrap(), want, is_made: false }
}

fn file(path: &str, text: &str) -> Text {
    Text { path: PathBuf::from(path), text: text.to_owned() }
}

fn netplan(renderer: Renderer, texts: &[&str]) -> Owner {
    let names = ["/etc/netplan/60-br.yaml", "/etc/netplan/50-lan.yaml", "/etc/netplan/70-more.yaml"];
    let mut files = names.iter().zip(texts).map(|(name, text)| file(name, text));
    let yaml = files.next().unwrap();
    Owner::Netplan { yaml, others: files.collect(), renderer, generate: vec!["generate".to_owned()] }
}

fn of_netplan(texts: &[&str], spec: PortSpec) -> Result<Setting, String> {
    ports::change(&netplan(Renderer::Networkd, texts), NOTHING, spec)
}

/// What becomes of each of the texts.
fn texts(setting: &Setting, before: &[&str]) -> Vec<String> {
    let after = |text: &&str| {
        let change = setting.lasting.iter().find(|change| change.before.as_deref() == Some(*text));
        change.map_or_else(|| (*text).to_owned(), |change| change.after.clone().unwrap_or_default())
    };
    before.iter().map(after).collect()
}

/// The texts with the port, after which they are taken back to what they were.
fn there_and_back(before: &[&str]) -> Vec<String> {
    let added = texts(&of_netplan(before, spec(PortWant::Add)).unwrap(), before);
    let with: Vec<&str> = added.iter().map(String::as_str).collect();
    let removed = texts(&of_netplan(&with, spec(PortWant::Remove)).unwrap(), &with);
    assert_eq!(removed, before);
    added
}

const BRIDGE: &str = "\
# mine
network:
  version: 2
  bridges:
    br7: # the guests'
      # all of them
      interfaces: [eth0] # why
      unheard-of: 1
      addresses: [10.0.0.8/16]
";

#[test]
fn a_nic_that_netplan_does_not_know_is_defined() {
    let added = there_and_back(&[BRIDGE]);
    assert_eq!(
        added[0],
        "\
# mine
network:
  ethernets: # virt-net: port eth2 of br7
    eth2: # virt-net: port eth2 of br7
      dhcp4: false # virt-net: port eth2 of br7
  version: 2
  bridges:
    br7: # the guests'
      # all of them
      # virt-net: port eth2 of br7
      interfaces: [eth0, eth2] # why
      unheard-of: 1
      addresses: [10.0.0.8/16]
"
    );
    let own = BRIDGE.replace("      unheard-of", "      renderer: NetworkManager\n      unheard-of");
    let own = own.replace("version: 2\n", "version: 2\n  ethernets:\n    eth0: {}\n");
    let added = there_and_back(&[&own]);
    assert!(
        added[0]
            .contains("  ethernets:\n    eth2: # virt-net: port eth2 of br7\n      dhcp4: false # virt-net"),
        "{}",
        added[0]
    );
    assert!(
        added[0].contains("\n      renderer: NetworkManager # virt-net: port eth2 of br7\n    eth0: {}\n")
    );
    let mut vlan = spec(PortWant::Add);
    vlan.is_made = true;
    assert!(of_netplan(&[BRIDGE], vlan).unwrap_err().contains("no file says how eth2 is made"));
}

#[test]
fn what_a_port_cannot_use_is_a_comment_meanwhile() {
    let lan = "\
network:
  ethernets:
    eth0: {dhcp4: no}
    eth2:
      # the store
      addresses:
      - 192.0.2.7/24
      # out
      routes:
        - to: 198.51.100.0/24
          via: 192.0.2.1
      mtu: 9000

      dhcp6: no
    eth3: {}
";
    let added = there_and_back(&[BRIDGE, lan]);
    assert_eq!(
        added[1],
        "\
network:
  ethernets:
    eth0: {dhcp4: no}
    eth2:
      # the store
      # virt-net: port eth2 of br7: addresses:
      # virt-net: port eth2 of br7: - 192.0.2.7/24
      # out
      # virt-net: port eth2 of br7: routes:
        # virt-net: port eth2 of br7: - to: 198.51.100.0/24
          # virt-net: port eth2 of br7: via: 192.0.2.1
      mtu: 9000

      dhcp6: no
    eth3: {}
"
    );
    assert!(added[0].contains("interfaces: [eth0, eth2] # why\n") && !added[0].contains("ethernets"));
    // The bridge's file is the last: until then the port is only without addresses.
    let setting = of_netplan(&[BRIDGE, lan], spec(PortWant::Add)).unwrap();
    assert_eq!(setting.lasting.last().unwrap().path, Path::new("/etc/netplan/60-br.yaml"));
    assert!(setting.told.iter().any(|told| told.contains("addresses of eth2 stays as a comment")));
    // With nothing else in it the definition would be none.
    let only = "network:\n  ethernets:\n    eth2:\n      dhcp4: true\n";
    let added = there_and_back(&[BRIDGE, only]);
    assert!(
        added[1].ends_with(
            "    eth2:\n      dhcp4: false # virt-net: port eth2 of br7\n      # virt-net: port eth2 of br7: dhcp4: true\n"
        ),
        "{}",
        added[1]
    );
}

#[test]
fn lists_of_ports_are_changed_as_they_are_written() {
    let lan =
        "network:\n  ethernets:\n    lan2: {match: {macaddress: '00:0c:29:d0:8e:57'}, set-name: eth9}\n";
    assert!(of_netplan(&[BRIDGE, lan], spec(PortWant::Add)).is_ok());
    let named = "network:\n  ethernets:\n    store:\n      match:\n        macaddress: 00:0c:29:d0:8e:57\n      set-name: eth2\n";
    let in_lines = BRIDGE.replace("interfaces: [eth0] # why", "interfaces: # why\n        - eth0");
    let added = there_and_back(&[&in_lines, named]);
    assert!(
        added[0].contains(
            "      # virt-net: port eth2 of br7\n      interfaces: # why\n        - eth0\n        - store\n"
        ),
        "{}",
        added[0]
    );
    assert!(!added[1].contains("# virt-net") || added[1].contains("dhcp4: false"), "{}", added[1]);
    let none = BRIDGE.replace("      interfaces: [eth0] # why\n", "");
    assert!(there_and_back(&[&none])[0].contains("      interfaces: [eth2] # virt-net: port eth2 of br7\n"));
    let empty = BRIDGE.replace("[eth0] # why", "[]");
    assert!(there_and_back(&[&empty])[0].contains("      interfaces: [eth2]\n"));
    // A port that somebody else wrote down.
    let foreign = BRIDGE.replace("[eth0]", "[ 'eth2', eth0 ]");
    let removed = texts(&of_netplan(&[&foreign], spec(PortWant::Remove)).unwrap(), &[&foreign]);
    assert!(removed[0].contains("interfaces: [eth0 ] # why\n"), "{}", removed[0]);
    let last = in_lines.replace("eth0", "eth2");
    let removed = texts(&of_netplan(&[&last], spec(PortWant::Remove)).unwrap(), &[&last]);
    assert!(removed[0].contains("      interfaces: [] # why\n      unheard-of"), "{}", removed[0]);
    // What somebody added to the definition since stays.
    let added = there_and_back(&[BRIDGE]);
    let more = added[0].replace("  version: 2", "      mtu: 9000\n  version: 2");
    let removed = texts(&of_netplan(&[&more], spec(PortWant::Remove)).unwrap(), &[&more]);
    assert!(
        removed[0].contains("network:\n  ethernets:\n    eth2:\n      mtu: 9000\n  version: 2\n"),
        "{}",
        removed[0]
    );
}

#[test]
fn what_cannot_be_changed_safely_is_left_to_the_admin() {
    let refused = |texts: &[&str]| {
        let why = of_netplan(texts, spec(PortWant::Add)).unwrap_err();
        assert!(why.starts_with("change the interfaces of br7 in netplan by hand: "), "{why}");
        why
    };
    let anchored = BRIDGE.replace("unheard-of: 1", "parameters: &p {stp: false}");
    assert!(refused(&[&anchored]).contains("60-br.yaml has anchors"));
    let flow = "network: {bridges: {br7: {interfaces: [eth0]}}}\n";
    assert!(refused(&[flow]).contains("not in blocks"));
    let flow = "network:\n  bridges:\n    br7: {interfaces: [eth0]}\n";
    assert!(refused(&[flow]).contains("has br7 in braces"));
    let several_lines = BRIDGE.replace("[eth0] # why", "[eth0,\n        eth1]");
    assert!(refused(&[&several_lines]).contains("over several lines"));
    assert!(
        refused(&[BRIDGE, "network:\n  bridges:\n    br7:\n      mtu: 9000\n"]).contains("several files")
    );
    let braces = "network:\n  ethernets: {eth2: {dhcp4: true}}\n";
    assert!(refused(&[BRIDGE, braces]).contains("50-lan.yaml has ethernets in braces"));
    let braces = "network:\n  ethernets:\n    eth2: {dhcp4: true}\n";
    assert!(refused(&[BRIDGE, braces]).contains("addresses of eth2 in braces"));
    let twice = "network:\n  ethernets:\n    eth2: {}\n";
    assert!(refused(&[BRIDGE, twice, twice]).contains("several places have eth2"));
    let any = "network:\n  ethernets:\n    all:\n      match:\n        name: 'e*'\n";
    assert!(refused(&[BRIDGE, any]).contains("all may be eth2"));
}

#[test]
fn the_renderer_carries_it_out_at_once_and_a_reboot_forgets_it() {
    let manager = netplan(Renderer::NetworkManager { checkpoint: true }, &[BRIDGE]);
    let calls = |steps: &[Step]| -> Vec<String> {
        steps.iter().map(Step::text).map(|text| text.replace("run nmcli ", "")).collect()
    };
    let setting = ports::change(&manager, NOTHING, spec(PortWant::Add)).unwrap();
    assert_eq!(
        calls(&setting.steps),
        [
            "let NetworkManager keep a checkpoint as a second net",
            "write /run/netplan/60-br.yaml",
            "run generate",
            "general reload conf",
            "connection reload",
            "--wait 45 connection up id netplan-eth2",
        ]
    );
    assert!(setting.keep.contains(&Step::EndCheckpoint) && setting.undo.contains(&Step::EndCheckpoint));
    // Its way back makes NetworkManager know it again, too.
    let with = setting.lasting[0].after.clone().unwrap();
    let manager = netplan(Renderer::NetworkManager { checkpoint: true }, &[&with]);
    let setting = ports::change(&manager, NOTHING, spec(PortWant::Remove)).unwrap();
    assert!(!calls(&setting.steps).iter().any(|call| call.contains("connection up")), "{:?}", setting.steps);
    assert!(
        calls(&setting.undo).iter().any(|call| call.ends_with("up id netplan-eth2")),
        "{:?}",
        setting.undo
    );
    assert!(setting.told[0].contains("NetworkManager asks a DHCP server"), "{:?}", setting.told);
    let setting = of_netplan(&[BRIDGE], spec(PortWant::Add)).unwrap();
    assert_eq!(
        calls(&setting.steps),
        ["write /run/netplan/60-br.yaml", "run generate", "run networkctl reload"]
    );
    assert_eq!(calls(&setting.keep), ["remove /run/netplan/60-br.yaml"]);
    // It says so already: the kernel alone.
    let there = BRIDGE.replace("[eth0]", "[eth0, eth2]");
    let setting =
        of_netplan(&[&there, "network:\n  ethernets:\n    eth2: {}\n"], spec(PortWant::Add)).unwrap();
    assert!(setting.steps.is_empty() && setting.lasting.is_empty(), "{setting:?}");
}

const DIRECTORY: &str = "/etc/sysconfig/network-scripts";

fn of_ifcfg(port: Option<&str>, spec: PortSpec) -> Result<Setting, String> {
    let of = |name: &str, text: &str| Owner::Ifcfg {
        file: file(&format!("{DIRECTORY}/ifcfg-{name}"), text),
        others: Vec::new(),
    };
    let owners: Vec<Owner> = port.map(|text| of("eth2", text)).into_iter().collect();
    let found = Found { written: &[], owners: &owners };
    ports::change(&of("br7", "TYPE=Bridge\nDEVICE=br7\nONBOOT=yes\n"), found, spec)
}

#[test]
fn an_ifcfg_file_gets_its_bridge_and_gives_it_back() {
    let eth2 = "# mine\nTYPE=Ethernet\nDEVICE=eth2\nBOOTPROTO=none\nIPADDR=192.0.2.7\nPREFIX=24\nMTU=9000\nONBOOT=no\nUNHEARD=of\n";
    let setting = of_ifcfg(Some(eth2), spec(PortWant::Add)).unwrap();
    let [change] = setting.lasting.as_slice() else { panic!("{:?}", setting.lasting) };
    let after = change.after.clone().unwrap();
    assert_eq!(
        after,
        "\
# mine
TYPE=Ethernet
DEVICE=eth2
BOOTPROTO=none
# virt-net: port eth2 of br7: IPADDR=192.0.2.7
# virt-net: port eth2 of br7: PREFIX=24
MTU=9000
# virt-net: port eth2 of br7: ONBOOT=no
UNHEARD=of
# virt-net: port eth2 of br7
ONBOOT=yes
BRIDGE=br7
"
    );
    let back = of_ifcfg(Some(&after), spec(PortWant::Remove)).unwrap();
    assert_eq!(back.lasting[0].after.as_deref(), Some(eth2));
    // A NIC without a file gets one, which goes again.
    let new = of_ifcfg(None, spec(PortWant::Add)).unwrap().lasting.remove(0);
    assert_eq!(
        (new.path.as_path(), &new.before),
        (Path::new("/etc/sysconfig/network-scripts/ifcfg-eth2"), &None)
    );
    let text = new.after.unwrap();
    assert!(text.starts_with("# virt-net: port eth2 of br7\n") && text.ends_with("BRIDGE=br7\n"), "{text}");
    let gone = of_ifcfg(Some(&text), spec(PortWant::Remove)).unwrap();
    assert_eq!(gone.lasting[0].after, None);
    // One that somebody else wrote loses its bridge only.
    let foreign =
        of_ifcfg(Some("DEVICE=eth2\nBRIDGE=\"br7\"\nONBOOT=yes\n"), spec(PortWant::Remove)).unwrap();
    assert_eq!(foreign.lasting[0].after.as_deref(), Some("DEVICE=eth2\nONBOOT=yes\n"));
}

#[test]
fn an_ifcfg_file_that_says_something_else_is_left_to_the_admin() {
    let refused = |port, want| of_ifcfg(port, spec(want)).unwrap_err();
    assert!(refused(Some("DEVICE=eth2\nBRIDGE=br0\n"), PortWant::Add).contains("has BRIDGE=br0 already"));
    assert!(refused(Some("DEVICE=eth2\nMASTER=bond0\n"), PortWant::Add).contains("MASTER=bond0"));
    assert!(refused(Some("DEVICE=eth2\n"), PortWant::Remove).contains("has no BRIDGE=br7"));
    assert!(
        refused(None, PortWant::Remove).starts_with("take out BRIDGE=br7 by hand: no ifcfg file of eth2")
    );
}

/// `NetworkManager` with `ifcfg` files: the profile in `/run` until the next boot, the file for it.
#[test]
fn networkmanager_on_rhel_gets_a_profile_and_the_file() {
    let path = format!("{DIRECTORY}/ifcfg-br7");
    let manager = |profile: Text, uuid: &str| Owner::NetworkManager {
        profile,
        others: Vec::new(),
        uuid: uuid.to_owned(),
        fresh: ["b-uuid".to_owned(), "p-uuid".to_owned()],
        checkpoint: true,
    };
    let owner = manager(file(&path, "TYPE=Bridge\nDEVICE=br7\nUUID=of-br7\n"), "of-br7");
    let setting = ports::change(&owner, NOTHING, spec(PortWant::Add)).unwrap();
    let Step::Put { file: waiting } = &setting.steps[0] else { panic!("{:?}", setting.steps) };
    assert!(waiting.path.starts_with("/run") && waiting.after.as_ref().unwrap().contains("master=of-br7\n"));
    assert!(setting.lasting[0].path.ends_with("ifcfg-eth2"), "{:?}", setting.lasting);
    assert_eq!(setting.keep.len(), 1, "the profile that is active stays: {:?}", setting.keep);
    let port = file(&format!("{DIRECTORY}/ifcfg-eth2"), "DEVICE=eth2\nUUID=of-eth2\nBRIDGE=br7\n");
    let of_port = [manager(port.clone(), "active"), Owner::Ifcfg { file: port, others: Vec::new() }];
    let found = Found { written: &[], owners: &of_port };
    let setting = ports::change(&owner, found, spec(PortWant::Remove)).unwrap();
    assert!(setting.steps[0].text().ends_with("connection down uuid active"), "{:?}", setting.steps);
    assert_eq!(setting.lasting[0].after.as_deref(), Some("DEVICE=eth2\nUUID=of-eth2\n"));
}
