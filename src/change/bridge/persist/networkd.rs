//! PURE. systemd-networkd: a `.netdev` and a `.network` file for the bridge and one for its port, which
//! sorts before the NIC's own file. That one stays as it is.

use super::ini::{Ini, Section};
use super::{Setting, Spec, Text, call, new_file};
use crate::change::bridge::Addressing;
use crate::change::bridge::step::{FileChange, OnFailure, Step};

const VOLATILE: &str = "/run/systemd/network";
const LASTING: &str = "/etc/systemd/network";

pub(super) fn create(
    network: &Text,
    drop_ins: bool,
    iaid: Option<u32>,
    spec: &Spec,
) -> Result<Setting, String> {
    let path = network.path.display();
    if drop_ins {
        return Err(format!("{path} has drop-ins ({path}.d), which would not apply to the bridge"));
    }
    let own = network.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let before = ["10-virt-net", "05-virt-net", "00-virt-net"];
    let Some(prefix) = before.iter().find(|prefix| format!("{prefix}-").as_str() < own.as_str()) else {
        return Err(format!("no name sorts before {own}"));
    };
    let old = Ini::parse(&network.text);
    let texts = [
        // In this order: with the last one only, the NIC changes hands.
        (format!("{prefix}-{}.network", spec.bridge), bridge_network(&old, iaid, spec)),
        (format!("{prefix}-{}.netdev", spec.bridge), netdev(spec)),
        (format!("{prefix}-{}-{}.network", spec.bridge, spec.port), port_network(&old, spec)),
    ];
    let files = |directory: &str| -> Vec<FileChange> {
        let file = |(name, text): &(String, String)| {
            new_file(format!("{directory}/{name}").into(), text.clone(), 0o644)
        };
        texts.iter().map(file).collect()
    };
    let volatile = files(VOLATILE);
    let reload = |failure: OnFailure| Step::Call { argv: call(&["networkctl", "reload"]), failure };
    let mut steps: Vec<Step> = volatile.iter().map(|file| Step::Put { file: file.clone() }).collect();
    let mut undo: Vec<Step> =
        volatile.iter().rev().map(|file| Step::PutBack { file: file.clone() }).collect();
    // The files in /etc go before those of the same name in /run: nothing has to be read again.
    let keep = undo.clone();
    steps.push(reload(OnFailure::Stop));
    undo.push(reload(OnFailure::GoOn));
    let back = back(&old, prefix, spec);
    let mut down: Vec<Step> = back.iter().map(|file| Step::Put { file: file.clone() }).collect();
    let mut up: Vec<Step> = back.into_iter().map(|file| Step::PutBack { file }).collect();
    down.push(reload(OnFailure::Stop));
    up.extend([spec.kernel_bridge(), reload(OnFailure::GoOn)]);
    let told = vec![format!("{path} stays as it is; the new file of {} goes before it", spec.port)];
    Ok(Setting { steps, undo, lasting: files(LASTING), keep, later: (down, up), told })
}

/// Files in `/run` that go before all others while the bridge is being deleted: the NIC has its old
/// configuration again, and nobody cares for the bridge.
fn back(old: &Ini, prefix: &str, spec: &Spec) -> [FileChange; 2] {
    let matching = |link: &str| Section::of("Match", &[format!("Name={link}"), String::new()]);
    let mut nic = old.clone();
    nic.remove(|section| section.name == "Match");
    nic.sections.insert(0, matching(&spec.port.to_string()));
    let mut bridge = Ini::default();
    bridge.sections.push(matching(&spec.bridge.to_string()));
    bridge.section_mut("Link").set("Unmanaged", "yes");
    let file = |link: &str, ini: Ini| {
        let path = format!("{VOLATILE}/{prefix}+{link}.network");
        new_file(path.into(), ini.marked(&spec.mark()).print(), 0o644)
    };
    [file(&spec.port.to_string(), nic), file(&spec.bridge.to_string(), bridge)]
}

fn netdev(spec: &Spec) -> String {
    let mut lines =
        vec![spec.mark(), "[NetDev]".to_owned(), format!("Name={}", spec.bridge), "Kind=bridge".to_owned()];
    lines.extend(spec.mac.map(|mac| format!("MACAddress={mac}")));
    let stp = if spec.stp.seconds() > 0 { "yes" } else { "no" };
    lines.extend([String::new(), "[Bridge]".to_owned(), format!("STP={stp}")]);
    lines.push(format!("ForwardDelaySec={}", spec.stp.seconds()));
    lines.iter().map(|line| line.clone() + "\n").collect()
}

/// Links that are made on top of the NIC itself.
const ON_TOP: [&str; 6] = ["VLAN", "MACVLAN", "MACVTAP", "IPVLAN", "VXLAN", "Tunnel"];

/// The NIC's file for the bridge: everything but what tells NICs apart and sets them up.
fn bridge_network(old: &Ini, iaid: Option<u32>, spec: &Spec) -> String {
    let mut new = old.clone();
    new.remove(|section| matches!(section.name.as_str(), "Match" | "Link" | "Bridge"));
    let matching = Section::of("Match", &[format!("Name={}", spec.bridge), String::new()]);
    new.sections.insert(0, matching);
    let network = new.section_mut("Network");
    network.take(|key| ON_TOP.contains(&key) || matches!(key, "Bridge" | "Bond"));
    let fixed = |key: &str| matches!(key, "Address" | "Gateway" | "DHCP");
    match spec.address {
        Addressing::Move => {}
        Addressing::Dhcp => {
            network.take(fixed);
            network.add("DHCP=ipv4".to_owned());
        }
        Addressing::Static(address) => {
            network.take(fixed);
            network.add(format!("Address={address}"));
            network.lines.splice(0..0, spec.gateway.map(|gateway| format!("Gateway={gateway}")));
        }
    }
    if spec.address != Addressing::Move {
        new.remove(|section| {
            section.name == "Address" || section.name == "Route" && section.get("Destination").is_none()
        });
    }
    if let Some(iaid) = iaid.filter(|_| spec.given().is_none())
        && new.section("DHCPv4").and_then(|section| section.get("IAID")).is_none()
    {
        // A DHCP server that goes by the client identifier then knows the bridge by the NIC's.
        new.section_mut("DHCPv4").add(format!("IAID={iaid}"));
    }
    new.marked(&spec.mark()).print()
}

fn port_network(old: &Ini, spec: &Spec) -> String {
    let mut new = Ini::default().marked(&spec.mark());
    new.section_mut("Match").set("Name", &spec.port.to_string());
    if let Some(link) = old.section("Link") {
        new.section_mut("Link").lines.extend(link.lines.iter().filter(|line| line.contains('=')).cloned());
    }
    let on_top = old.section("Network").map(|section| section.clone().take(|key| ON_TOP.contains(&key)));
    let network = new.section_mut("Network");
    network.set("Bridge", &spec.bridge.to_string());
    network.lines.extend(on_top.unwrap_or_default());
    new.print()
}
