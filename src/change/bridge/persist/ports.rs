//! PURE. One port more or less for a bridge of the host, in the files of whoever owns the bridge.

use super::ini::Ini;
use super::{Owner, Setting, Text, call, ifcfg, netplan, networkmanager, new_file};
use crate::change::bridge::step::{FileChange, OnFailure, Step};
use crate::model::IfName;

/// What is wanted of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortWant {
    /// It becomes one.
    Add,
    /// It is none any more.
    Remove,
}

/// A bridge and the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortSpec {
    /// The bridge.
    pub bridge: IfName,
    /// The link.
    pub port: IfName,
    /// What is wanted of it.
    pub want: PortWant,
    /// It is a VLAN, a bond or the like: something has to make it before it can be a port.
    pub is_made: bool,
}

impl PortSpec {
    /// The program's mark.
    pub(super) fn mark(self) -> String {
        format!("# virt-net: port {} of {}", self.port, self.bridge)
    }
}

/// What was found about the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// Those of [`own_files`] that are there.
    pub written: &'a [Text],
    /// Who configures the link.
    pub owners: &'a [Owner],
}

impl Found<'_> {
    fn ifcfg(&self) -> Option<&Text> {
        self.owners.iter().find_map(|owner| match owner {
            Owner::Ifcfg { file, .. } => Some(file),
            _ => None,
        })
    }

    /// The profile of NetworkManager that is active.
    fn active(&self) -> Option<&str> {
        self.owners.iter().find_map(|owner| match owner {
            Owner::NetworkManager { uuid, .. } => Some(uuid.as_str()),
            _ => None,
        })
    }
}

/// Where virt-net itself writes a port down.
#[must_use]
pub fn own_files(bridge: IfName, port: IfName) -> [String; 4] {
    let networkd = |prefix: &str| format!("/etc/systemd/network/{prefix}-{bridge}-{port}.network");
    [
        networkd("10-virt-net"),
        networkd("05-virt-net"),
        networkd("00-virt-net"),
        format!("/etc/NetworkManager/system-connections/{bridge}-{port}.nmconnection"),
    ]
}

/// What the owner's files and commands are.
///
/// # Errors
/// Why it lasts only until the next boot, with what to do by hand.
pub fn change(owner: &Owner, found: Found, spec: PortSpec) -> Result<Setting, String> {
    let PortSpec { bridge, port, want, .. } = spec;
    match (owner, want) {
        (Owner::Ifupdown { file, others, .. }, _) if others.is_empty() => ifupdown(file, spec),
        (Owner::Ifupdown { .. }, _) => {
            Err(format!("{bridge} is in several files: change bridge_ports by hand"))
        }
        (Owner::Networkd { .. }, PortWant::Add) => Ok(networkd(spec)),
        (Owner::NetworkManager { uuid, fresh, profile, .. }, _) if !is_keyfile(profile) => {
            on_rhel(profile, uuid, fresh, found, spec)
        }
        (Owner::NetworkManager { uuid, fresh, .. }, PortWant::Add) => {
            if spec.is_made {
                return Err(format!("set the master of the profile of {port} to {bridge} by hand"));
            }
            let [_, port_uuid] = fresh;
            Ok(profile_of_port(uuid, port_uuid, spec))
        }
        (Owner::Networkd { .. } | Owner::NetworkManager { .. }, PortWant::Remove) => {
            let [file] = found.written else {
                return Err(format!("{port} is written down by somebody else: take it out there by hand"));
            };
            let mut setting = forgotten(file, spec);
            if matches!(owner, Owner::NetworkManager { .. }) {
                setting.told.push(format!(
                    "NetworkManager does with {port} then what its other profiles say; without one it asks a DHCP \
                     server, unless no-auto-default is set"
                ));
            }
            Ok(setting)
        }
        (Owner::Ifcfg { file, .. }, _) => {
            let change = in_ifcfg(file, found, spec)?;
            Ok(Setting { lasting: vec![change], ..Setting::default() })
        }
        (Owner::Netplan { yaml, others, renderer, generate }, _) => {
            let files: Vec<&Text> = std::iter::once(yaml).chain(others).collect();
            netplan::ports::change(&files, *renderer, generate, spec)
        }
    }
}

fn is_keyfile(profile: &Text) -> bool {
    Ini::parse(&profile.text).section("connection").is_some()
}

fn in_ifcfg(bridge: &Text, found: Found, spec: PortSpec) -> Result<FileChange, String> {
    let (what, name) = match spec.want {
        PortWant::Add => ("add", spec.bridge),
        PortWant::Remove => ("take out", spec.bridge),
    };
    ifcfg::ports::change(bridge, found.ifcfg(), spec)
        .map_err(|reason| format!("{what} BRIDGE={name} by hand: {reason}"))
}

/// NetworkManager with `ifcfg` files: until the next boot the port has a profile in `/run`.
fn on_rhel(
    profile: &Text,
    uuid: &str,
    fresh: &[String; 2],
    found: Found,
    spec: PortSpec,
) -> Result<Setting, String> {
    let change = in_ifcfg(profile, found, spec)?;
    let load = networkmanager::load(std::slice::from_ref(&change), OnFailure::GoOn);
    let [_, port_uuid] = fresh;
    let setting = match (spec.want, found.active()) {
        (PortWant::Add, _) => profile_of_port(uuid, port_uuid, spec),
        (PortWant::Remove, Some(active)) => taken_down(active),
        (PortWant::Remove, None) => Setting::default(),
    };
    Ok(Setting { lasting: vec![change], keep: vec![load], ..setting })
}

/// NetworkManager frees a port when its profile goes down.
fn taken_down(uuid: &str) -> Setting {
    let down = call(&["nmcli", "--wait", "45", "connection", "down", "uuid", uuid]);
    Setting {
        steps: vec![Step::Call { argv: down, failure: OnFailure::Stop }],
        undo: vec![networkmanager::up(uuid, OnFailure::GoOn)],
        ..Setting::default()
    }
}

/// `bridge_ports` of the bridge's stanza, and a stanza that brings the port up.
fn ifupdown(file: &Text, spec: PortSpec) -> Result<Setting, String> {
    let (bridge, port) = (spec.bridge.to_string(), spec.port.to_string());
    let mut is_in_stanza = false;
    let mut is_found = false;
    let mut lines: Vec<String> = Vec::new();
    for line in file.text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["iface", name, ..] => is_in_stanza = *name == bridge,
            [keyword @ ("bridge_ports" | "bridge-ports"), ports @ ..] if is_in_stanza => {
                is_found = true;
                let mut ports: Vec<&str> =
                    ports.iter().copied().filter(|name| *name != port && *name != "none").collect();
                if spec.want == PortWant::Add {
                    ports.push(&port);
                }
                let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
                let ports = if ports.is_empty() { "none".to_owned() } else { ports.join(" ") };
                lines.push(format!("{indent}{keyword} {ports}"));
                continue;
            }
            _ => {}
        }
        lines.push(line.to_owned());
    }
    if !is_found {
        return Err(format!("{} has no bridge_ports for {bridge}: write them by hand", file.path.display()));
    }
    let change = FileChange {
        path: file.path.clone(),
        before: Some(file.text.clone()),
        after: Some(lines.iter().map(|line| line.clone() + "\n").collect()),
        mode: 0o644,
    };
    Ok(Setting { lasting: vec![change], ..Setting::default() })
}

/// The owner frees the port; its file goes when that is confirmed.
fn forgotten(file: &Text, spec: PortSpec) -> Setting {
    let change =
        FileChange { path: file.path.clone(), before: Some(file.text.clone()), after: None, mode: 0o600 };
    let is_profile = file.path.extension().is_some_and(|end| end == "nmconnection");
    let uuid = Ini::parse(&file.text)
        .section("connection")
        .and_then(|section| section.get("uuid").map(str::to_owned));
    let mut setting = Setting { lasting: vec![change], ..Setting::default() };
    if let Some(uuid) = uuid.filter(|_| is_profile) {
        setting =
            Setting { lasting: setting.lasting, keep: vec![networkmanager::reload()], ..taken_down(&uuid) };
    }
    if !is_profile {
        let over = let_go(file, spec);
        let back = Step::PutBack { file: over.clone() };
        let reload = |failure| Step::Call { argv: call(&["networkctl", "reload"]), failure };
        setting.steps =
            vec![Step::Put { file: over }, reload(OnFailure::Stop), Step::Detach { port: spec.port }];
        setting.undo = vec![back.clone(), reload(OnFailure::GoOn)];
        setting.keep = vec![back, reload(OnFailure::GoOn)];
    }
    setting
}

/// A file in `/run` that goes before the port's own: networkd, which would take the link into the bridge
/// again at once, lets it be.
fn let_go(file: &Text, spec: PortSpec) -> FileChange {
    let mut ini = Ini::default().marked(&spec.mark());
    ini.section_mut("Match").set("Name", &spec.port.to_string());
    ini.section_mut("Link").set("Unmanaged", "yes");
    let name = file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = name.replacen("-virt-net-", "-virt-net+", 1);
    new_file(format!("/run/systemd/network/{name}").into(), ini.print(), 0o644)
}

fn networkd(spec: PortSpec) -> Setting {
    let mut ini = Ini::default().marked(&spec.mark());
    ini.section_mut("Match").set("Name", &spec.port.to_string());
    ini.section_mut("Network").set("Bridge", &spec.bridge.to_string());
    let name = format!("05-virt-net-{}-{}.network", spec.bridge, spec.port);
    let file = |directory: &str| new_file(format!("{directory}/{name}").into(), ini.print(), 0o644);
    let volatile = file("/run/systemd/network");
    let reload = |failure| Step::Call { argv: call(&["networkctl", "reload"]), failure };
    let back = Step::PutBack { file: volatile.clone() };
    Setting {
        steps: vec![Step::Put { file: volatile }, reload(OnFailure::Stop)],
        undo: vec![back.clone(), reload(OnFailure::GoOn)],
        lasting: vec![file("/etc/systemd/network")],
        keep: vec![back],
        ..Setting::default()
    }
}

fn profile_of_port(bridge_uuid: &str, uuid: &str, spec: PortSpec) -> Setting {
    let name = format!("{}-{}", spec.bridge, spec.port);
    let mut ini = Ini::default().marked(&spec.mark());
    let port = spec.port.to_string();
    let keys = [
        ("id", name.as_str()),
        ("uuid", uuid),
        ("type", "ethernet"),
        ("interface-name", &port),
        ("master", bridge_uuid),
        ("slave-type", "bridge"),
    ];
    for (key, value) in keys {
        ini.section_mut("connection").set(key, value);
    }
    let file =
        |directory: &str| new_file(format!("{directory}/{name}.nmconnection").into(), ini.print(), 0o600);
    let volatile = file(networkmanager::VOLATILE);
    let lasting = vec![file(networkmanager::LASTING)];
    let back = Step::PutBack { file: volatile.clone() };
    let load = |files: &[FileChange], failure| networkmanager::load(files, failure);
    let down = call(&["nmcli", "--wait", "45", "connection", "down", "uuid", uuid]);
    Setting {
        steps: vec![
            Step::Put { file: volatile.clone() },
            load(&[volatile], OnFailure::Stop),
            networkmanager::up(uuid, OnFailure::Stop),
        ],
        undo: vec![
            Step::Call { argv: down, failure: OnFailure::GoOn },
            back.clone(),
            networkmanager::reload(),
        ],
        keep: vec![load(&lasting, OnFailure::GoOn), back, networkmanager::reload()],
        lasting,
        ..Setting::default()
    }
}
