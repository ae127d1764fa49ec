//! An interface element is edited by bytes: what is not meant stays, known or not.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use virt_net::change::Target;
use virt_net::change::splice::{self, LinkState};
use virt_net::model::{MacvtapMode, NicConfig, NicSource};

const LIVE: &str = "<interface type='bridge'>
      <mac address='52:54:00:aa:fc:1c'/>
      <source network='lan' portid='3f5b7e2c' bridge='virbr1'/>
      <bandwidth><inbound average='1000'/></bandwidth>
      <target dev='vnet0'/>
      <model type='virtio'/>
      <driver name='vhost' queues='4'/>
      <filterref filter='clean-traffic'><parameter name='IP' value='10.0.0.1'/></filterref>
      <mtu size='1400'/>
      <boot order='1'/>
      <alias name='net0'/>
      <unknown:thing xmlns:unknown='urn:x' a=\"b\"/><!-- kept -->
      <address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x0'/>
    </interface>";

fn bridge(name: &str) -> Target {
    Target::Bridge { bridge: name.parse().expect("a name") }
}

fn network(name: &str) -> Target {
    Target::Network { network: name.to_owned() }
}

fn macvtap(lower: &str, mode: MacvtapMode) -> Target {
    Target::Macvtap { lower: lower.parse().expect("a name"), mode }
}

fn source(element: &str) -> NicSource {
    NicConfig::parse(element).expect("an element").source
}

/// The text without the type and the source: what a switch must not touch.
fn rest(element: &str) -> String {
    let start = element.find("<source").expect("a source");
    let end = start + element.get(start..).and_then(|rest| rest.find("/>")).expect("its end") + 2;
    let (head, tail) = (element.get(..start).expect("text"), element.get(end..).expect("text"));
    let head = head.split_once('>').expect("an open tag").1;
    format!("{head}{tail}")
}

#[test]
fn a_switch_touches_the_type_and_the_source_only() {
    for target in [bridge("br7"), network("a&b<'c'>"), macvtap("eth0", MacvtapMode::Vepa)] {
        let after = splice::replug(LIVE, &target).expect("edited");
        assert!(target.is(&source(&after)), "{after}");
        assert_eq!(rest(&after), rest(LIVE));
        assert!(!after.contains("portid"), "{after}");
    }
}

#[test]
fn what_came_with_an_old_virtualport_goes_with_it() {
    let element = "<interface type='bridge'><source bridge='ovs0'/><vlan><tag id='42'/></vlan>\
        <virtualport type='openvswitch'><parameters interfaceid='x'/></virtualport><model type='virtio'/></interface>";
    let after = splice::replug(element, &bridge("br0")).expect("edited");
    assert_eq!(after, "<interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>");
}

#[test]
fn a_live_element_sent_back_keeps_its_network() {
    let sent = splice::resend(LIVE).expect("edited");
    assert!(sent.starts_with("<interface type='network'>"), "{sent}");
    assert!(sent.contains("<source network='lan'/>"), "{sent}");
    assert_eq!(rest(&sent), rest(LIVE));
    let own = "<interface type='bridge'><source bridge='br0'/></interface>";
    assert_eq!(splice::resend(own).expect("edited"), own);
}

#[test]
fn link_and_model_are_set_in_place_or_added() {
    let down = splice::set_link(LIVE, LinkState::Down).expect("edited");
    assert!(NicConfig::parse(&down).expect("an element").link_down);
    let up = splice::set_link(&down, LinkState::Up).expect("edited");
    assert_eq!(up.replace("\n      <link state='up'/>", ""), LIVE);
    let model = splice::set_model(LIVE, "e1000").expect("edited");
    assert_eq!(model.replace("e1000", "virtio"), LIVE);
    let bare = splice::set_link("<interface type='user'/>", LinkState::Down).expect("edited");
    assert_eq!(bare, "<interface type='user'><link state='down'/></interface>");
}

#[test]
fn a_device_is_attached_without_the_names_of_the_old_one() {
    let fresh = splice::for_attach(LIVE).expect("edited");
    assert!(!fresh.contains("vnet0") && !fresh.contains("net0") && fresh.contains("<!-- kept -->"));
    let own = "<interface type='user'><alias name='ua-mine'/></interface>";
    assert_eq!(splice::for_attach(own).expect("edited"), own);
    let again = splice::for_device(&fresh, LIVE).expect("edited");
    let config = NicConfig::parse(&again).expect("an element");
    assert_eq!(config.target, NicConfig::parse(LIVE).expect("an element").target);
    assert_eq!(config.alias.as_deref(), Some("net0"));
}

#[test]
fn what_is_no_interface_is_refused() {
    for text in ["", "<disk/>", "<interface>", "<interface/>", "no xml"] {
        assert!(splice::replug(text, &bridge("br0")).is_err(), "{text}");
    }
}

fn target() -> impl Strategy<Value = Target> {
    let mode = prop::sample::select(MacvtapMode::ALL.to_vec());
    prop_oneof![
        "[a-z][a-z0-9]{0,10}".prop_map(|name| bridge(&name)),
        "\\PC{1,20}".prop_map(|name| network(&name)),
        ("[a-z][a-z0-9]{0,10}", mode).prop_map(|(lower, mode)| macvtap(&lower, mode)),
    ]
}

/// Any order of known and unknown children around the source.
fn element() -> impl Strategy<Value = (Target, String)> {
    let child = prop::sample::select(vec![
        "<mac address='52:54:00:00:00:01'/>",
        "\n  <model type='virtio'/>",
        "<mtu size='9000'/>",
        "<filterref filter='x'/>",
        "\t<link state=\"down\"/>\n",
        "<other a='1'><source network='inner'/></other>",
        "<!-- <source bridge='no'/> -->",
        " text ",
    ]);
    let children = prop::collection::vec(child, 0..6);
    (target(), children.clone(), children).prop_map(|(target, before, after)| {
        let text = "<interface type='network'><source network='first'/></interface>";
        let plugged = splice::replug(text, &target).expect("edited");
        let (open, rest) = plugged.split_once("<source").expect("a source");
        let (source, _) = rest.split_once("/>").expect("its end");
        let element = format!("{open}{}<source{source}/>{}</interface>", before.concat(), after.concat());
        (target, element)
    })
}

proptest! {
    #[test]
    fn there_and_back_is_the_same_text((from, element) in element(), to in target()) {
        let there = splice::replug(&element, &to).expect("edited");
        prop_assert!(to.is(&source(&there)), "{}", there);
        let back = splice::replug(&there, &from).expect("edited");
        prop_assert_eq!(back, element);
    }

    #[test]
    fn editing_never_panics(text in "\\PC{0,200}", to in target()) {
        let _ = splice::replug(&text, &to);
        let _ = splice::resend(&text);
        let _ = splice::set_link(&text, LinkState::Down);
        let _ = splice::for_attach(&text);
    }
}
