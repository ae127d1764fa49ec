//! PURE. NetworkManager: profiles as keyfiles. The bridge's profile takes over the NIC's addressing,
//! the NIC gets a profile as a port, and its old profile stays, but does not come up by itself.
//!
//! Until the change is confirmed the new profiles are in `/run` only. They are activated by `nmcli`:
//! the profiles' files are the interface that keeps what it does not know, and the few calls beside
//! them do not carry a D-Bus library.

use super::ini::{Ini, Section};
use super::{Setting, Spec, Text, call, new_file};
use crate::change::bridge::Addressing;
use crate::change::bridge::step::{FileChange, OnFailure, Step};
use crate::model::IfName;

pub(super) const VOLATILE: &str = "/run/NetworkManager/system-connections";
pub(super) const LASTING: &str = "/etc/NetworkManager/system-connections";

pub(super) fn create(
    profile: &Text,
    uuid: &str,
    fresh: &[String; 2],
    checkpoint: bool,
    spec: &Spec,
) -> Result<Setting, String> {
    let old = Ini::parse(&profile.text);
    if old.section("connection").is_none() {
        return Err(format!("{} is no keyfile", profile.path.display()));
    }
    let [bridge_uuid, port_uuid] = fresh;
    let (bridge, port) = (spec.bridge.to_string(), spec.port.to_string());
    let bridge_profile = bridge_profile(&old, bridge_uuid, spec);
    // A bridge that comes up by itself before it has a port would have the address of a NIC that still
    // has it as well: its port brings it up.
    let mut waiting = bridge_profile.clone();
    waiting.section_mut("connection").set("autoconnect", "false");
    let port_profile = port_profile(&old, port_uuid, bridge_uuid, spec).print();
    let file = |directory: &str, name: &str, text: String| {
        new_file(format!("{directory}/{name}.nmconnection").into(), text, 0o600)
    };
    let port_name = format!("{bridge}-{port}");
    let volatile =
        [file(VOLATILE, &bridge, waiting.print()), file(VOLATILE, &port_name, port_profile.clone())];
    let mut lasting =
        vec![file(LASTING, &port_name, port_profile), file(LASTING, &bridge, bridge_profile.print())];
    if profile.path.starts_with(LASTING) {
        lasting.push(left_down(profile, spec));
    }
    Ok(Setting {
        steps: steps(&volatile, port_uuid, checkpoint),
        undo: undo(&volatile, uuid, same_metrics(spec.port, &metrics(&old, spec)), checkpoint),
        keep: keep(&volatile, &lasting, checkpoint),
        later: (
            vec![up(uuid, OnFailure::Stop), down(bridge_uuid), reload()],
            vec![up(port_uuid, OnFailure::GoOn)],
        ),
        lasting,
        told: vec![format!(
            "the old profile stays, and does not come up by itself: {}",
            profile.path.display()
        )],
    })
}

fn bridge_profile(old: &Ini, uuid: &str, spec: &Spec) -> Ini {
    let mut new = Ini::default();
    let bridge = spec.bridge.to_string();
    let connection = new.section_mut("connection");
    for (key, value) in [("id", bridge.as_str()), ("uuid", uuid), ("type", "bridge")] {
        connection.set(key, value);
    }
    connection.set("interface-name", &bridge);
    // The zone of a firewall and the like belong to whoever has the address.
    let stays = ["id", "uuid", "type", "interface-name", "autoconnect", "timestamp", "master", "slave-type"];
    if let Some(section) = old.section("connection") {
        let mut section = section.clone();
        section.take(|key| stays.contains(&key));
        connection.lines.extend(section.lines.into_iter().filter(|line| line.contains('=')));
    }
    let settings = new.section_mut("bridge");
    settings.set("stp", if spec.stp.seconds() > 0 { "true" } else { "false" });
    if spec.stp.seconds() > 0 {
        settings.set("forward-delay", &spec.stp.seconds().clamp(2, 30).to_string());
    }
    if let Some(mac) = spec.mac {
        settings.set("mac-address", &mac.to_string());
    }
    if let Some(mtu) = old.section("ethernet").and_then(|section| section.get("mtu")) {
        let mtu = mtu.to_owned();
        new.section_mut("ethernet").set("mtu", &mtu);
    }
    for section in &old.sections {
        if matches!(section.name.as_str(), "ipv4" | "ipv6" | "proxy" | "user") {
            // Each section opens after an empty line.
            new.section_mut(&section.name).lines.extend(section.lines.iter().cloned());
        }
    }
    readdress(&mut new, spec);
    // By itself NetworkManager makes a bridge's routes worse than those of a NIC.
    for (family, metric) in metrics(&new, spec) {
        new.section_mut(family).set("route-metric", &metric);
    }
    new.marked(&spec.mark())
}

fn readdress(profile: &mut Ini, spec: &Spec) {
    let fixed = |key: &str| {
        key == "gateway" || key == "method" || key.starts_with("address") && key != "address-data"
    };
    match spec.address {
        Addressing::Move => {}
        Addressing::Dhcp => {
            let section = profile.section_mut("ipv4");
            section.take(fixed);
            section.set("method", "auto");
        }
        Addressing::Static(address) => {
            let section = profile.section_mut(if address.addr().is_ipv4() { "ipv4" } else { "ipv6" });
            section.take(fixed);
            let gateway = spec.gateway.map(|gateway| format!(",{gateway}")).unwrap_or_default();
            section.set("address1", &format!("{address}{gateway}"));
            section.set("method", "manual");
        }
    }
}

/// Everything of the old profile but its addressing.
fn port_profile(old: &Ini, uuid: &str, bridge_uuid: &str, spec: &Spec) -> Ini {
    let mut new = old.clone();
    new.remove(|section| matches!(section.name.as_str(), "ipv4" | "ipv6" | "proxy" | "user"));
    let connection = new.section_mut("connection");
    connection.take(|key| matches!(key, "timestamp" | "autoconnect" | "zone"));
    connection.set("id", &format!("{}-{}", spec.bridge, spec.port));
    connection.set("uuid", uuid);
    connection.set("interface-name", &spec.port.to_string());
    connection.set("master", bridge_uuid);
    connection.set("slave-type", "bridge");
    new.marked(&spec.mark())
}

/// The old profile, which no longer comes up by itself.
fn left_down(profile: &Text, spec: &Spec) -> FileChange {
    let mut ini = Ini::parse(&profile.text);
    let mark = spec.mark();
    let section: &mut Section = ini.section_mut("connection");
    section.set("autoconnect", "false");
    FileChange {
        path: profile.path.clone(),
        before: Some(profile.text.clone()),
        after: Some(ini.marked(&mark).print()),
        mode: 0o600,
    }
}

/// The metrics of the NIC's routes, by family, that a profile leaves to NetworkManager.
fn metrics(profile: &Ini, spec: &Spec) -> Vec<(&'static str, String)> {
    let is_open =
        |family| profile.section(family).is_none_or(|section| section.get("route-metric").is_none());
    let open = spec.known_metrics().filter(|(family, _)| is_open(family));
    open.map(|(family, metric)| (family, metric.to_string())).collect()
}

/// A profile that comes up again beside others gets the next free metric: the NIC gets the ones that it had, in what
/// is active, not in its profile.
pub(super) fn same_metrics(port: IfName, metrics: &[(&'static str, String)]) -> Option<Step> {
    let mut argv = call(&["nmcli", "device", "modify", &port.to_string()]);
    argv.extend(
        metrics.iter().flat_map(|(family, metric)| [format!("{family}.route-metric"), metric.clone()]),
    );
    (!metrics.is_empty()).then_some(Step::Call { argv, failure: OnFailure::GoOn })
}

fn steps(volatile: &[FileChange; 2], port: &str, checkpoint: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    if checkpoint {
        steps.push(Step::Checkpoint);
    }
    steps.extend(volatile.iter().map(|file| Step::Put { file: file.clone() }));
    steps.push(load(volatile, OnFailure::Stop));
    steps.push(up(port, OnFailure::Stop));
    steps
}

pub(super) fn up(uuid: &str, failure: OnFailure) -> Step {
    Step::Call { argv: call(&["nmcli", "--wait", "45", "connection", "up", "uuid", uuid]), failure }
}

fn down(uuid: &str) -> Step {
    let argv = call(&["nmcli", "--wait", "45", "connection", "down", "uuid", uuid]);
    Step::Call { argv, failure: OnFailure::GoOn }
}

fn undo(volatile: &[FileChange; 2], old: &str, metrics: Option<Step>, checkpoint: bool) -> Vec<Step> {
    let mut undo = vec![up(old, OnFailure::GoOn)];
    undo.extend(metrics);
    undo.extend(volatile.iter().rev().map(|file| Step::PutBack { file: file.clone() }));
    undo.push(reload());
    if checkpoint {
        undo.push(Step::EndCheckpoint);
    }
    undo
}

fn keep(volatile: &[FileChange; 2], lasting: &[FileChange], checkpoint: bool) -> Vec<Step> {
    let mut keep = end(checkpoint);
    keep.push(load(lasting, OnFailure::GoOn));
    keep.extend(volatile.iter().map(|file| Step::PutBack { file: file.clone() }));
    keep.push(reload());
    keep
}

/// NetworkManager need not take it back any more.
pub(super) fn end(checkpoint: bool) -> Vec<Step> {
    if checkpoint { vec![Step::EndCheckpoint] } else { Vec::new() }
}

pub(super) fn load(files: &[FileChange], failure: OnFailure) -> Step {
    let mut argv = call(&["nmcli", "connection", "load"]);
    argv.extend(files.iter().map(|file| file.path.display().to_string()));
    Step::Call { argv, failure }
}

pub(super) fn reload() -> Step {
    Step::Call { argv: call(&["nmcli", "connection", "reload"]), failure: OnFailure::GoOn }
}
