//! What libvirt's XML says: every kind of interface is a row, every forward mode a word, and no text
//! makes the reader fail in another way than by its error.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use virt_net::model::guest::Definition;
use virt_net::model::network::{DhcpRange, NetworkDefinition};
use virt_net::model::{ForwardMode, IfName, MacvtapMode, NicConfig, NicSource};

fn nics(interfaces: &str) -> Vec<NicConfig> {
    let xml = format!("<domain type='kvm'><devices>{interfaces}</devices></domain>");
    Definition::parse(&xml).expect("a definition").nics
}

fn source(interface: &str) -> NicSource {
    let mut nics = nics(interface);
    assert_eq!(nics.len(), 1, "{interface}");
    nics.remove(0).source
}

fn link(name: &str) -> IfName {
    name.parse().expect("a name")
}

fn other(kind: &str, detail: Option<&str>) -> NicSource {
    NicSource::Other { r#type: kind.to_owned(), detail: detail.map(str::to_owned) }
}

#[test]
fn every_kind_of_interface_is_a_row() {
    let network = |bridge: Option<&str>, dev: Option<&str>, portgroup: Option<&str>| NicSource::Network {
        network: "default".to_owned(),
        portgroup: portgroup.map(str::to_owned),
        bridge: bridge.map(link),
        dev: dev.map(link),
    };
    let cases = [
        ("<interface type='network'><source network='default'/></interface>", network(None, None, None)),
        (
            "<interface type='network'><source network='default' portgroup='p'/></interface>",
            network(None, None, Some("p")),
        ),
        // Live, a network's NIC has the type that the network was resolved to.
        (
            "<interface type='bridge'><source network='default' portid='x' bridge='br0'/></interface>",
            network(Some("br0"), None, None),
        ),
        (
            "<interface type='direct'><source network='default' dev='eth1' mode='bridge'/></interface>",
            network(None, Some("eth1"), None),
        ),
        (
            "<interface type='bridge'><source bridge='virbr1'/></interface>",
            NicSource::Bridge { bridge: link("virbr1") },
        ),
        (
            "<interface type='direct'><source dev='eth0' mode='private'/></interface>",
            NicSource::Direct { dev: link("eth0"), mode: MacvtapMode::Private },
        ),
        (
            "<interface type='direct'><source dev='eth0'/></interface>",
            NicSource::Direct { dev: link("eth0"), mode: MacvtapMode::Vepa },
        ),
        (
            "<interface type='hostdev'><source><address type='pci' domain='0x0000' bus='0x03' slot='0x10' \
             function='0x2'/></source></interface>",
            NicSource::Hostdev { address: "0000:03:10.2".parse().ok() },
        ),
        ("<interface type='ethernet'><target dev='tap7'/></interface>", NicSource::Ethernet),
        ("<interface type='user'><backend type='passt'/></interface>", NicSource::User),
        (
            "<interface type='vhostuser'><source type='unix' path='/run/v.sock' mode='server'/></interface>",
            NicSource::Vhostuser { path: Some("/run/v.sock".to_owned()) },
        ),
        ("<interface type='internal'><source name='lan'/></interface>", other("internal", Some("lan"))),
        (
            "<interface type='mcast'><source address='230.0.0.1' port='5558'/></interface>",
            other("mcast", Some("230.0.0.1:5558")),
        ),
        (
            "<interface type='udp'><source address='127.0.0.1' port='1'><local address='127.0.0.1' port='2'/></source></interface>",
            other("udp", Some("127.0.0.1:1")),
        ),
        (
            "<interface type='server'><source address='10.0.0.1' port='5558'/></interface>",
            other("server", Some("10.0.0.1:5558")),
        ),
        (
            "<interface type='client'><source address='10.0.0.1' port='5558'/></interface>",
            other("client", Some("10.0.0.1:5558")),
        ),
        (
            "<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>",
            other("vdpa", Some("/dev/vhost-vdpa-0")),
        ),
        ("<interface type='null'/>", other("null", None)),
        (
            "<interface type='vds'><source switchid='12 34' portid='5'/></interface>",
            other("vds", Some("12 34")),
        ),
        ("<interface type='of-the-future'><source name='x'/></interface>", other("of-the-future", Some("x"))),
        // What is broken is a row too, not a bridge without a name.
        (
            "<interface type='bridge'><source bridge='a name far too long'/></interface>",
            other("bridge", Some("a name far too long")),
        ),
        ("<interface type='bridge'/>", other("bridge", None)),
        ("<interface/>", other("unknown", None)),
    ];
    for (interface, expected) in cases {
        assert_eq!(source(interface), expected, "{interface}");
    }
}

#[test]
fn an_interface_is_read_whole() {
    let interface = "<interface type='bridge'>
      <mac address='52:54:00:AA:FC:1C'/><source bridge='br0'/><vlan><tag id='42'/><tag id='7'/></vlan>
      <virtualport type='openvswitch'/><target dev='vnet3'/><model type='virtio'/><driver queues='4'/>
      <filterref filter='clean-traffic'/><link state='down'/><mtu size='9000'/><bandwidth/>
      <port isolated='yes'/><boot order='2'/><alias name='net0'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></interface>";
    let nic = nics(interface).remove(0);
    assert_eq!(nic.mac.map(|mac| mac.to_string()).as_deref(), Some("52:54:00:aa:fc:1c"));
    assert_eq!(nic.target, Some(link("vnet3")));
    assert_eq!((nic.model.as_deref(), nic.alias.as_deref()), (Some("virtio"), Some("net0")));
    assert_eq!((nic.mtu, nic.queues, nic.boot_order), (Some(9000), Some(4), Some(2)));
    assert_eq!((nic.vlans.as_slice(), nic.virtualport.as_deref()), (&[42, 7][..], Some("openvswitch")));
    assert_eq!((nic.filter.as_deref(), nic.pci.as_deref()), (Some("clean-traffic"), Some("0000:01:00.0")));
    assert!(nic.link_down && nic.isolated && nic.bandwidth);
}

#[test]
fn the_span_is_exactly_the_element() {
    let first = "<interface type='user'/>";
    let second = "<interface type=\"bridge\">\n  <source bridge='b'/>\n</interface>";
    let xml = format!("<domain><devices>{first} {second}</devices></domain>");
    let definition = Definition::parse(&xml).expect("a definition");
    let spans: Vec<_> = definition.nics.iter().map(|nic| xml.get(nic.span.clone())).collect();
    assert_eq!(spans, [Some(first), Some(second)]);
}

#[test]
fn the_agent_is_connected_only_when_libvirt_says_so() {
    let machine = |state: &str| {
        let target = format!("<target type='virtio' name='org.qemu.guest_agent.0'{state}/>");
        let xml = format!("<domain><devices><channel type='unix'>{target}</channel></devices></domain>");
        let machine = Definition::parse(&xml).expect("a definition").machine;
        (machine.agent_channel, machine.agent_connected)
    };
    assert_eq!(machine(" state='connected'"), (true, true));
    assert_eq!(machine(" state='disconnected'"), (true, false));
    assert_eq!(machine(""), (true, false));
}

#[test]
fn every_forward_mode_has_its_word() {
    let forward = |element: &str| {
        let xml = format!("<network><name>n</name>{element}</network>");
        NetworkDefinition::parse(&xml).expect("a network").forward
    };
    assert_eq!(forward(""), ForwardMode::Isolated);
    // libvirt's default for a forward without a mode.
    assert_eq!(forward("<forward/>"), ForwardMode::Nat);
    for word in ["nat", "route", "open", "bridge", "private", "vepa", "passthrough", "hostdev", "new-one"] {
        let read = forward(&format!("<forward mode='{word}'/>"));
        assert_eq!(read.word(), word);
        assert_eq!(matches!(read, ForwardMode::Other(_)), word == "new-one");
    }
}

#[test]
fn a_network_is_read_whole() {
    let xml = "<network><name>n</name><forward mode='nat' dev='eth1'><nat><port start='1024' end='65535'/></nat>
      <interface dev='eth1'/></forward><bridge name='virbr5' stp='on' delay='0'/><mtu size='1400'/>
      <domain name='lab.example'/><portgroup name='fast'/>
      <ip address='192.168.150.1' netmask='255.255.255.0'><dhcp><range start='192.168.150.10' end='192.168.150.19'/>
      <host mac='52:54:00:00:00:01' name='a' ip='192.168.150.5'/></dhcp></ip>
      <ip family='ipv6' address='fd00::1' prefix='64'/></network>";
    let network = NetworkDefinition::parse(xml).expect("a network");
    assert_eq!((network.bridge, network.stp, network.mtu), (Some(link("virbr5")), Some(true), Some(1400)));
    assert_eq!(
        (network.forward_devs.as_slice(), network.nat_ports),
        (&[link("eth1")][..], Some((1024, 65535)))
    );
    assert_eq!(
        (network.domain.as_deref(), network.portgroups.as_slice()),
        (Some("lab.example"), &["fast".to_owned()][..])
    );
    let subnets: Vec<String> = network.subnets.iter().map(|subnet| subnet.gateway.to_string()).collect();
    assert_eq!(subnets, ["192.168.150.1/24", "fd00::1/64"]);
    assert_eq!(network.dhcp_ranges().iter().map(DhcpRange::size).sum::<u64>(), 10);
    assert_eq!(network.subnets[0].hosts[0].name.as_deref(), Some("a"));
    assert!(network.subnets[0].has_dhcp() && !network.subnets[1].has_dhcp());
}

#[test]
fn what_is_no_definition_is_an_error() {
    for text in
        ["", "<", "<network/>", "<domain>", "\u{0}", "<!DOCTYPE a [<!ENTITY b 'c'>]><domain>&b;</domain>"]
    {
        assert!(Definition::parse(text).is_err(), "{text:?}");
    }
    assert!(NetworkDefinition::parse("<domain/>").is_err());
}

/// XML-like text: valid pieces in any order, with any attribute values.
fn pieces() -> impl Strategy<Value = String> {
    let tag = prop::sample::select(vec![
        "interface",
        "source",
        "mac",
        "vlan",
        "tag",
        "address",
        "forward",
        "ip",
        "dhcp",
        "range",
        "host",
        "nat",
        "port",
    ]);
    let key = prop::sample::select(vec![
        "type", "address", "network", "bridge", "dev", "mode", "prefix", "netmask", "start", "end", "id",
        "bus", "slot",
    ]);
    let value = prop_oneof!["[ -~]{0,20}", "[0-9a-fx.:/-]{0,20}", "\\PC{0,8}"];
    let leaf = (tag.clone(), key.clone(), value.clone()).prop_map(|(tag, key, value)| {
        let value = value.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;");
        format!("<{tag} {key}='{value}'/>")
    });
    leaf.prop_recursive(4, 40, 6, move |inner| {
        (tag.clone(), prop::collection::vec(inner, 0..6))
            .prop_map(|(tag, inner)| format!("<{tag}>{}</{tag}>", inner.concat()))
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Definition::parse(&text);
        let _ = NetworkDefinition::parse(&text);
    }

    #[test]
    fn no_definition_makes_the_reader_panic(inner in prop::collection::vec(pieces(), 0..6)) {
        let inner = inner.concat();
        let xml = format!("<domain><devices><interface>{inner}</interface>{inner}</devices></domain>");
        let definition = Definition::parse(&xml).expect("well-formed");
        for nic in &definition.nics {
            prop_assert!(xml.get(nic.span.clone()).is_some_and(|element| element.starts_with("<interface")));
        }
        let network = NetworkDefinition::parse(&format!("<network>{inner}</network>")).expect("well-formed");
        for range in network.dhcp_ranges() {
            let _ = range.size();
        }
    }

    #[test]
    fn a_definition_survives_its_recording(name in "[a-z]{1,8}") {
        let xml = format!("<domain><name>{name}</name><devices><interface type='user'/></devices></domain>");
        let definition = Definition::parse(&xml).expect("well-formed");
        let recorded = serde_json::to_string(&definition).expect("writes");
        prop_assert_eq!(serde_json::from_str::<Definition>(&recorded).expect("reads"), definition);
    }
}
