//! PURE. What a NIC's owner reads at boot so that the shim is there again. The owner's own files stay as they
//! are, but for lines with the program's mark in `/etc/network/interfaces`.

mod hook;

use ipnet::IpNet;

pub use self::hook::{IFUP_LOCAL, dispatcher};

use super::ShimEvidence;
use super::plan::Spec;
use super::step::{ShimStep, V6};
use crate::change::bridge::FileChange;
use crate::change::bridge::persist::{Backend, Owner, Renderer, Text};
use crate::model::IfName;

/// Where the sysctls are that the device manager sets as soon as the link is there.
#[must_use]
pub fn sysctl_file(shim: IfName) -> String {
    format!("/etc/sysctl.d/90-virt-net-{shim}.conf")
}

/// NetworkManager's profile.
#[must_use]
pub fn profile(shim: IfName) -> String {
    format!("/etc/NetworkManager/system-connections/{shim}.nmconnection")
}

/// systemd-networkd's file of this end.
#[must_use]
pub fn networkd_file(shim: IfName, end: &str) -> String {
    format!("/etc/systemd/network/10-virt-net-{shim}.{end}")
}

/// The drop-in's name in a directory of the NIC's own file.
#[must_use]
pub fn drop_in(shim: IfName) -> String {
    format!("virt-net-{shim}.conf")
}

/// What every file and block of a shim opens with.
#[must_use]
pub fn mark(shim: IfName) -> String {
    format!("# virt-net: shim {shim} over")
}

fn end_mark(shim: IfName) -> String {
    format!("# virt-net: end of shim {shim}")
}

fn full_mark(spec: &Spec) -> String {
    format!("{} {}", mark(spec.shim), spec.over)
}

/// The files as they must be.
pub(super) fn files(owner: &Owner, spec: &Spec, evidence: &ShimEvidence) -> Result<Vec<FileChange>, String> {
    match owner {
        Owner::NetworkManager { .. } | Owner::Netplan { renderer: Renderer::NetworkManager { .. }, .. } => {
            Ok(if keeps_routes(spec) {
                network_manager(spec, evidence)
            } else {
                vec![hook::by_dispatcher(spec, evidence)]
            })
        }
        Owner::Networkd { network, .. } => {
            let name = network.path.file_name().map(|name| name.to_string_lossy().into_owned());
            Ok(networkd(&name.unwrap_or_default(), spec, evidence))
        }
        Owner::Netplan { renderer: Renderer::Networkd, .. } => {
            Ok(networkd(&format!("10-netplan-{}.network", spec.over), spec, evidence))
        }
        Owner::Ifupdown { file, .. } => ifupdown(file, spec).map(|file| vec![file]),
        Owner::Ifcfg { .. } => hook::ifup_local(spec, evidence).map(|file| vec![file]),
    }
}

/// What is to be said of it.
pub(super) fn told(owner: &Owner, spec: &Spec) -> Vec<String> {
    match owner {
        Owner::Networkd { .. } | Owner::Netplan { renderer: Renderer::Networkd, .. } => {
            let mut told = vec![format!(
                "systemd-networkd reads its files at the next boot; if you run networkctl reload before, it sets {} up anew once.",
                spec.over
            )];
            if owner.backend() == Backend::Netplan {
                told.push(
                    "netplan has no word for a macvlan: the files are those of systemd-networkd.".to_owned(),
                );
            }
            told
        }
        Owner::NetworkManager { .. } | Owner::Netplan { .. } if !keeps_routes(spec) => vec![format!(
            "NetworkManager keeps no routes on a link without an address of its own: its dispatcher makes the shim when {} has come up.",
            spec.over
        )],
        Owner::Ifcfg { .. } => vec![format!(
            "ifcfg files have no word for a macvlan: {IFUP_LOCAL}, which ifup calls, makes the shim when {} has come up.",
            spec.over
        )],
        Owner::Netplan { .. } => {
            vec!["netplan has no word for a macvlan: the profile is NetworkManager's.".to_owned()]
        }
        _ => Vec::new(),
    }
}

/// Files of an earlier shim that are not written anew.
pub(super) fn leftover(own: &[Text], new: &[FileChange]) -> Vec<FileChange> {
    let is_new = |text: &&Text| new.iter().any(|file| file.path == text.path);
    own.iter().filter(|text| !is_new(text) && is_whole(text)).map(gone).collect()
}

/// A file is the shim's alone.
fn is_whole(text: &Text) -> bool {
    let text_of_one = text.text.strip_prefix("#!/bin/sh\n").unwrap_or(&text.text);
    // That one is everybody's.
    text_of_one.starts_with("# virt-net: shim ") && text.path.as_os_str() != IFUP_LOCAL
}

fn gone(text: &Text) -> FileChange {
    FileChange { path: text.path.clone(), before: Some(text.text.clone()), after: None, mode: 0o644 }
}

/// The files without the shim.
pub(super) fn without(own: &[Text], shim: IfName) -> Vec<FileChange> {
    let one = |text: &Text| {
        if is_whole(text) {
            return gone(text);
        }
        let after = Some(without_block(&text.text, shim)).filter(|rest| rest.trim() != "#!/bin/sh");
        FileChange { path: text.path.clone(), before: Some(text.text.clone()), after, mode: 0o644 }
    };
    own.iter().map(one).collect()
}

fn without_block(text: &str, shim: IfName) -> String {
    let (begin, end) = (mark(shim) + " ", end_mark(shim));
    let mut is_inside = false;
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if trimmed.starts_with(&begin) {
            is_inside = true;
        }
        if !is_inside {
            out.push_str(line);
        }
        if trimmed == end {
            is_inside = false;
        }
    }
    out
}

fn whole(path: String, text: String, mode: u32, evidence: &ShimEvidence) -> FileChange {
    let path: std::path::PathBuf = path.into();
    let before = evidence.own_files.iter().find(|own| own.path == path).map(|own| own.text.clone());
    FileChange { path, before, after: Some(text), mode }
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| line.clone() + "\n").collect()
}

/// Slashes, for a link's name may have a dot.
fn sysctls(spec: &Spec, evidence: &ShimEvidence) -> FileChange {
    let shim = spec.shim;
    let v6 = match spec.v6() {
        V6::Off => format!("net/ipv6/conf/{shim}/disable_ipv6 = 1"),
        V6::On => format!("net/ipv6/conf/{shim}/accept_ra = 0"),
    };
    let lines = [full_mark(spec), format!("net/ipv4/conf/{shim}/arp_filter = 1"), v6];
    whole(sysctl_file(shim), text(&lines), 0o644, evidence)
}

fn networkd(nic_file: &str, spec: &Spec, evidence: &ShimEvidence) -> Vec<FileChange> {
    let (shim, mark) = (spec.shim, full_mark(spec));
    let lines = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| (*line).to_owned()).collect() };
    let mut netdev = lines(&[&mark, "[NetDev]"]);
    netdev.push(format!("Name={shim}"));
    netdev.extend(lines(&["Kind=macvlan", "", "[MACVLAN]", "Mode=bridge"]));
    let mut network = lines(&[&mark, "[Match]"]);
    network.push(format!("Name={shim}"));
    network.extend(lines(&["", "[Link]", "RequiredForOnline=no", "", "[Network]", "IPv6AcceptRA=no"]));
    let local = if spec.v6() == V6::On { "ipv6" } else { "no" };
    network.push(format!("LinkLocalAddressing={local}"));
    network.extend(spec.addresses().iter().map(|address| format!("Address={address}")));
    for net in &spec.nets {
        network.extend([String::new(), "[Route]".to_owned(), format!("Destination={net}")]);
        if let Some(source) = spec.source(*net) {
            network.extend(["Scope=link".to_owned(), format!("PreferredSource={source}")]);
        }
    }
    let drop_in_file = format!("/etc/systemd/network/{nic_file}.d/{}", drop_in(shim));
    let below = [mark, "[Network]".to_owned(), format!("MACVLAN={shim}")];
    vec![
        sysctls(spec, evidence),
        whole(networkd_file(shim, "network"), text(&network), 0o644, evidence),
        whole(networkd_file(shim, "netdev"), text(&netdev), 0o644, evidence),
        whole(drop_in_file, text(&below), 0o644, evidence),
    ]
}

fn address_of(spec: &Spec, v4: bool) -> Option<IpNet> {
    spec.addresses().into_iter().find(|address| address.addr().is_ipv4() == v4)
}

/// NetworkManager takes routes of a family only for a link with an address of that family.
fn keeps_routes(spec: &Spec) -> bool {
    spec.nets.iter().all(|net| address_of(spec, net.addr().is_ipv4()).is_some())
}

fn network_manager(spec: &Spec, evidence: &ShimEvidence) -> Vec<FileChange> {
    let shim = spec.shim;
    let path = profile(shim);
    let old = evidence.own_files.iter().find(|own| own.path.as_os_str() == path.as_str());
    let kept = old.and_then(|old| old.text.lines().find_map(|line| line.strip_prefix("uuid=")));
    let uuid = kept.unwrap_or(&evidence.uuid);
    let mut lines =
        vec![full_mark(spec), "[connection]".to_owned(), format!("id={shim}"), format!("uuid={uuid}")];
    lines.extend(["type=macvlan".to_owned(), format!("interface-name={shim}"), String::new()]);
    lines.extend(["[macvlan]".to_owned(), "mode=2".to_owned(), format!("parent={}", spec.over)]);
    for (section, v4) in [("ipv4", true), ("ipv6", false)] {
        lines.extend([String::new(), format!("[{section}]")]);
        let Some(address) = address_of(spec, v4) else {
            lines.push("method=disabled".to_owned());
            continue;
        };
        lines.extend([
            format!("address1={address}"),
            "method=manual".to_owned(),
            "never-default=true".to_owned(),
        ]);
        let nets: Vec<&IpNet> = spec.nets.iter().filter(|net| net.addr().is_ipv4() == v4).collect();
        for (at, net) in nets.iter().enumerate() {
            lines.push(format!("route{}={net}", at + 1));
            lines.extend(spec.source(**net).map(|source| format!("route{}_options=src={source}", at + 1)));
        }
    }
    vec![sysctls(spec, evidence), whole(path, text(&lines), 0o600, evidence)]
}

/// Lines at the end of the NIC's own stanza: they run whenever the NIC has come up, by whatever event, and
/// cannot make that fail.
fn ifupdown(file: &Text, spec: &Spec) -> Result<FileChange, String> {
    let old = without_block(&file.text, spec.shim);
    let over = spec.over.to_string();
    let mut at = None;
    let mut is_inside = false;
    let lines: Vec<&str> = old.split_inclusive('\n').collect();
    for (number, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let first = words.first().copied().unwrap_or_default();
        let opens =
            matches!(first, "iface" | "auto" | "mapping" | "source" | "source-directory" | "no-scripts")
                || first.starts_with("allow-");
        if opens {
            let family = words.get(2).copied().unwrap_or_default();
            is_inside = at.is_none() && first == "iface" && words.get(1) == Some(&&*over) && family == "inet";
            if is_inside {
                at = Some(number + 1);
            }
        } else if is_inside && !first.is_empty() && !first.starts_with('#') {
            at = Some(number + 1);
        }
    }
    let Some(at) = at else {
        return Err(format!("{} has no stanza iface {over} inet", file.path.display()));
    };
    let block = block(spec);
    let mut after = String::new();
    for (number, line) in lines.iter().enumerate() {
        after.push_str(line);
        if number + 1 == at {
            if !line.ends_with('\n') {
                after.push('\n');
            }
            after.push_str(&block);
        }
    }
    let before = Some(file.text.clone());
    Ok(FileChange { path: file.path.clone(), before, after: Some(after), mode: 0o644 })
}

/// The shell lines that make the shim; none of them fails, and it is up only with its filter.
fn commands(spec: &Spec) -> Vec<String> {
    let shim = spec.shim;
    let make = ShimStep::Make { shim, over: spec.over, mac: None, v6: spec.v6() };
    let mut lines: Vec<String> = make.commands().iter().map(|command| format!("{command} || true")).collect();
    // Without the filter it must not come up.
    if let Some(filter) = lines.pop() {
        let filter = filter.trim_end_matches(" || true");
        lines.push(format!("{filter} && ip link set {shim} up || true"));
    }
    let addresses = spec.addresses().into_iter().map(|address| ShimStep::Address { shim, address });
    let routes = spec.nets.iter().map(|to| ShimStep::Route { shim, to: *to, source: spec.source(*to) });
    for step in addresses.chain(routes) {
        lines.extend(step.commands().iter().map(|line| format!("{line} || true")));
    }
    lines
}

fn block(spec: &Spec) -> String {
    let shim = spec.shim;
    let mut lines: Vec<String> = commands(spec).iter().map(|line| format!("up {line}")).collect();
    lines.push(format!("down ip link del {shim} || true"));
    let marked = [full_mark(spec)].into_iter().chain(lines).chain([end_mark(shim)]);
    text(&marked.map(|line| format!("    {line}")).collect::<Vec<_>>())
}
