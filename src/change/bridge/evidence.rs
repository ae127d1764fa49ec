//! READS. Who owns a NIC of the host: what each network manager has noted about it, in the files where
//! it does so, and the text of its configuration.

use std::fs;
use std::path::{Path, PathBuf};

use super::client::{self, Client};
use super::files;
use super::persist::{Owner, Renderer, Text};
use super::record::{Kept, Records};
use super::{Addressing, BridgeWant};
use crate::model::kernel::Link;
use crate::model::{IfIndex, IfName, Snapshot};

/// What was found about the NIC of a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Its owners, the one in charge first.
    pub owners: Vec<Owner>,
    /// DHCP clients that run on it; `None` when nobody looked.
    pub clients: Option<Vec<Client>>,
    /// A network manager that runs here and is not understood.
    pub stranger: Option<&'static str>,
    /// How a DHCP client would be started on the bridge.
    pub client_command: Option<Vec<String>>,
    /// Who answers names, where that is bound to a link.
    pub resolver: Option<String>,
    /// The bridge's files, where virt-net wrote them.
    pub kept: Option<Kept>,
    /// Files that virt-net wrote for the port.
    pub port_files: Vec<Text>,
    /// Who configures the port, where that is another link than the one of the owners.
    pub port_owners: Vec<Owner>,
    /// What is in those files now.
    pub kept_now: Vec<Option<String>>,
}

/// Looks at everything that could own the links of the change.
#[must_use]
pub fn read(want: &BridgeWant, snapshot: &Snapshot) -> Evidence {
    let root = Path::new("/");
    let bridge = want.bridge();
    let mut evidence = Evidence { kept: Records::host().kept(bridge), ..Evidence::default() };
    let nic = want.owned();
    if let Some(port) = want.port() {
        let own = super::persist::ports::own_files(bridge, port);
        evidence.port_files = own.iter().filter_map(|path| text(Path::new(path))).collect();
    }
    let owners_of = |link: &Link| owners(root, link.name, link.index);
    evidence.owners = snapshot.link_named(nic).map(owners_of).unwrap_or_default();
    let port = want.port().filter(|port| *port != nic).and_then(|port| snapshot.link_named(port));
    evidence.port_owners = port.map(owners_of).unwrap_or_default();
    if let Some(kept) = &evidence.kept {
        let now = kept.files.iter().map(|file| files::read(&file.path).unwrap_or_default());
        evidence.kept_now = now.collect();
    }
    evidence.clients = Some(client::running_on(nic));
    evidence.stranger = stranger();
    if matches!(want, BridgeWant::Create { address: Addressing::Dhcp, .. }) {
        evidence.client_command = client::command(bridge);
    }
    evidence.resolver = resolver(root);
    evidence
}

pub(in crate::change) fn owners(root: &Path, nic: IfName, index: IfIndex) -> Vec<Owner> {
    let managed = network_manager(root, nic, index).or_else(|| networkd(root, index));
    let by_netplan = netplan(root, nic, managed.as_ref());
    by_netplan.or(managed).into_iter().chain(ifupdown(root, nic)).chain(ifcfg(root, nic)).collect()
}

fn text(path: &Path) -> Option<Text> {
    Some(Text { path: path.to_path_buf(), text: fs::read_to_string(path).ok()? })
}

/// The value of a key in a state file.
fn noted(state: &str, key: &str) -> Option<String> {
    let line = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
    state.lines().find_map(line).filter(|value| !value.is_empty())
}

/// `/run/NetworkManager/devices/INDEX` names the profile that is active.
fn network_manager(root: &Path, nic: IfName, index: IfIndex) -> Option<Owner> {
    let state = fs::read_to_string(root.join(format!("run/NetworkManager/devices/{index}"))).ok()?;
    let managed = noted(&state, "managed")?;
    let uuid = noted(&state, "connection-uuid")?;
    if managed == "false" || !runs("NetworkManager") {
        return None;
    }
    let places = [
        "etc/NetworkManager/system-connections",
        "run/NetworkManager/system-connections",
        "usr/lib/NetworkManager/system-connections",
        "etc/sysconfig/network-scripts",
    ];
    let profiles =
        || places.iter().flat_map(|place| visible(&root.join(place))).filter_map(|path| text(&path));
    let uuid_of = |profile: &Text| noted(&profile.text, "uuid").or_else(|| noted(&profile.text, "UUID"));
    let profile = profiles()
        .find(|profile| uuid_of(profile).is_some_and(|found| found.trim_matches('"') == uuid))
        // A keyfile without one, as netplan makes them, gets it from NetworkManager, which tells nobody.
        .or_else(|| {
            let of_nic = |profile: &Text| noted(&profile.text, "interface-name") == Some(nic.to_string());
            let mut nameless = profiles().filter(|profile| uuid_of(profile).is_none() && of_nic(profile));
            nameless.next().filter(|_| nameless.next().is_none())
        });
    // An `ifcfg` file need not say its UUID; and of a profile that is nowhere nothing can be made.
    let by_name = || match ifcfg(root, nic) {
        Some(Owner::Ifcfg { file, .. }) if noted(&file.text, "UUID").is_none() => Some(file),
        _ => None,
    };
    let nowhere = || Text { path: format!("profile {uuid}").into(), text: String::new() };
    let profile = profile.or_else(by_name).unwrap_or_else(nowhere);
    let checkpoint = ["usr/bin/busctl", "bin/busctl"].iter().any(|path| root.join(path).exists());
    let others = beside(&profile.path);
    Some(Owner::NetworkManager { profile, others, uuid, fresh: [fresh_uuid(), fresh_uuid()], checkpoint })
}

/// wicked or ConnMan: both may give addresses to NICs, and neither notes it where it could be read.
fn stranger() -> Option<&'static str> {
    let known = [("wickedd", "wicked"), ("connmand", "ConnMan")];
    known.into_iter().find(|(process, _)| runs(process)).map(|(_, name)| name)
}

/// A process of this name is there.
pub(in crate::change) fn runs(name: &str) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    entries
        .flatten()
        .any(|entry| fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name))
}

pub(in crate::change) fn fresh_uuid() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().to_owned()
}

/// `/run/systemd/netif/links/INDEX` names the `.network` file that applies.
fn networkd(root: &Path, index: IfIndex) -> Option<Owner> {
    let state = fs::read_to_string(root.join(format!("run/systemd/netif/links/{index}"))).ok()?;
    if noted(&state, "ADMIN_STATE").is_none_or(|state| state == "unmanaged") {
        return None;
    }
    let named = PathBuf::from(noted(&state, "NETWORK_FILE")?);
    let name = named.file_name()?.to_owned();
    // What was in /run until it was confirmed is in /etc since.
    let network = text(&named).or_else(|| text(&root.join("etc/systemd/network").join(&name)))?;
    let drop_ins = ["etc", "run", "usr/lib", "lib"].iter().any(|place| {
        let directory =
            root.join(place).join("systemd/network").join(format!("{}.d", name.to_string_lossy()));
        directory.is_dir()
    });
    let lease = fs::read_to_string(root.join(format!("run/systemd/netif/leases/{index}"))).ok();
    let iaid = lease.and_then(|lease| iaid(&noted(&lease, "CLIENTID")?));
    Some(Owner::Networkd { network, drop_ins, iaid })
}

/// A client identifier of type 255 (RFC 4361) opens with the IAID.
fn iaid(client_id: &str) -> Option<u32> {
    let digits = client_id.strip_prefix("ff")?.get(..8)?;
    u32::from_str_radix(digits, 16).ok()
}

/// netplan's files are those that the renderer's were made from.
fn netplan(root: &Path, nic: IfName, managed: Option<&Owner>) -> Option<Owner> {
    let (made, renderer) = match managed? {
        Owner::NetworkManager { profile, checkpoint, .. } => {
            (&profile.path, Renderer::NetworkManager { checkpoint: *checkpoint })
        }
        Owner::Networkd { network, .. } => (&network.path, Renderer::Networkd),
        _ => return None,
    };
    let name = made.file_name()?.to_string_lossy().into_owned();
    if !(name.starts_with("netplan-") || name.starts_with("10-netplan-")) {
        return None;
    }
    // One that is in /run would go before the one of the same name, and is gone at the next boot.
    let mut files: Vec<Text> = ["etc/netplan", "lib/netplan", "run/netplan"]
        .iter()
        .flat_map(|place| visible(&root.join(place)))
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .filter_map(|path| text(&path))
        .collect();
    let opens = format!("{nic}:");
    let names = |line: &str| line.split_once(" #").map_or(line, |(code, _)| code).trim() == opens;
    let yaml = files.remove(files.iter().position(|file| file.text.lines().any(names))?);
    let programs = ["usr/libexec/netplan/generate", "usr/lib/netplan/generate", "lib/netplan/generate"];
    let program = programs.iter().map(|path| root.join(path)).find(|path| path.exists());
    let generate = program.map_or_else(
        || vec!["netplan".to_owned(), "generate".to_owned()],
        |program| vec![program.display().to_string()],
    );
    Some(Owner::Netplan { yaml, others: files, renderer, generate })
}

/// `/etc/network/interfaces` and what it includes.
fn ifupdown(root: &Path, nic: IfName) -> Option<Owner> {
    let main = root.join("etc/network/interfaces");
    let mut pending = vec![main];
    let mut seen: Vec<PathBuf> = Vec::new();
    let mut found: Vec<Text> = Vec::new();
    while let Some(path) = pending.pop() {
        if seen.contains(&path) || seen.len() > 500 {
            continue;
        }
        seen.push(path.clone());
        let Some(file) = text(&path) else { continue };
        pending.extend(file.text.lines().flat_map(|line| included(root, line)));
        let names = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&"iface") && words.get(1) == Some(&nic.to_string().as_str())
        };
        if file.text.lines().any(names) {
            found.push(file);
        }
    }
    let mut found = found.into_iter();
    let file = found.next()?;
    let hooks = ["etc/network/if-pre-up.d/bridge", "lib/bridge-utils/ifupdown.sh", "usr/share/ifupdown2"];
    Some(Owner::Ifupdown {
        file,
        others: found.map(|file| file.path).collect(),
        bridges: hooks.iter().any(|hook| root.join(hook).exists()),
    })
}

/// The files that a line of `interfaces` includes; a pattern stands for all files of its directory.
fn included(root: &Path, line: &str) -> Vec<PathBuf> {
    let mut words = line.split_whitespace();
    let keyword = words.next().unwrap_or_default();
    let Some(path) = words.next().map(|path| {
        let path = Path::new(path);
        if path.is_relative() { root.join("etc/network").join(path) } else { path.to_path_buf() }
    }) else {
        return Vec::new();
    };
    match keyword {
        "source" if path.to_string_lossy().contains('*') => path.parent().map(visible).unwrap_or_default(),
        "source" => vec![path],
        "source-directory" => visible(&path),
        _ => Vec::new(),
    }
}

/// `/etc/sysconfig/network-scripts/ifcfg-*` with `DEVICE=NIC`.
fn ifcfg(root: &Path, nic: IfName) -> Option<Owner> {
    let directory = root.join("etc/sysconfig/network-scripts");
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let of_nic = |file: &Text| match noted(&file.text, "DEVICE") {
        Some(device) => device.trim_matches(['"', '\'']) == nic.to_string(),
        None => name(&file.path) == format!("ifcfg-{nic}"),
    };
    let all = visible(&directory);
    let file = all
        .iter()
        .filter(|path| name(path).starts_with("ifcfg-"))
        .filter_map(|path| text(path))
        .find(of_nic)?;
    let others = beside(&file.path);
    Some(Owner::Ifcfg { file, others })
}

/// Routes and rules beside an `ifcfg` file.
fn beside(ifcfg: &Path) -> Vec<Text> {
    let name = ifcfg.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let Some(end) = name.strip_prefix("ifcfg-") else { return Vec::new() };
    let starts = ["route-", "route6-", "rule-", "rule6-"];
    starts.iter().filter_map(|start| text(&ifcfg.with_file_name(format!("{start}{end}")))).collect()
}

/// The visible files of a directory, in order of name.
fn visible(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
        .collect();
    files.sort();
    files
}

/// systemd-resolved binds its servers to links.
fn resolver(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("etc/resolv.conf")).ok()?;
    text.lines().any(|line| line.trim() == "nameserver 127.0.0.53").then(|| "systemd-resolved".to_owned())
}
