//! PURE. netplan: the addressing lines of the NIC move, as they are, below a bridge of their own.
//!
//! ```text
//!  network:                       network:
//!    ethernets:                     bridges:
//!      eth0:                          virbr1:
//!        mtu: 1500                      interfaces: [eth0]
//!        addresses: [10.0.0.8/16]       addresses: [10.0.0.8/16]
//!                                   ethernets:
//!                                     eth0:
//!                                       mtu: 1500
//!                                       dhcp4: false
//! ```
//! Lines are moved, not written anew, so that comments and keys nobody here knows survive. What is not
//! written in blocks (`eth0: {dhcp4: true}`) is refused.

mod blocks;
pub(super) mod ports;

use blocks::{block_end, find, key};

use super::{Renderer, Setting, Spec, Text, call, networkmanager};
use crate::change::bridge::Addressing;
use crate::change::bridge::step::{FileChange, OnFailure, Step};

/// Keys that belong to whoever has the address.
const ADDRESSING: [&str; 24] = [
    "addresses",
    "dhcp4",
    "dhcp6",
    "dhcp4-overrides",
    "dhcp6-overrides",
    "dhcp-identifier",
    "gateway4",
    "gateway6",
    "nameservers",
    "routes",
    "routing-policy",
    "accept-ra",
    "ipv6-privacy",
    "ipv6-address-generation",
    "ipv6-address-token",
    "link-local",
    "critical",
    "optional-addresses",
    "neigh-suppress",
    "activation-mode",
    "use-domains",
    "ipv6-mtu",
    "dhcp-timeout",
    "ignore-carrier",
];

/// Where netplan defines what can be a port.
const PORTS: [&str; 3] = ["ethernets", "bonds", "vlans"];

pub(super) fn create(
    yaml: &Text,
    renderer: Renderer,
    generate: &[String],
    spec: &Spec,
) -> Result<Setting, String> {
    let (text, metrics) = rewritten(&yaml.text, renderer, spec)
        .ok_or_else(|| format!("{} does not name {} in blocks of lines", yaml.path.display(), spec.port))?;
    let name = yaml.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A file in /run goes before the one of the same name in /etc.
    let volatile = FileChange {
        path: format!("/run/netplan/{name}").into(),
        before: None,
        after: Some(text.clone()),
        mode: 0o600,
    };
    let lasting = FileChange {
        path: yaml.path.clone(),
        before: Some(yaml.text.clone()),
        after: Some(text),
        mode: 0o600,
    };
    let apply = |failure: OnFailure| apply(renderer, generate, &[spec.port.to_string()], failure);
    let mut steps = checkpoint(renderer);
    steps.push(Step::Put { file: volatile.clone() });
    steps.extend(apply(OnFailure::Stop));
    let mut undo = vec![Step::PutBack { file: volatile.clone() }];
    // What was made from the file in /run and is the same as from the one in /etc stays.
    let mut keep = undo.clone();
    undo.extend(apply(OnFailure::GoOn));
    undo.extend(networkmanager::same_metrics(spec.port, &metrics));
    undo.extend(end(renderer));
    keep.extend(end(renderer));
    let old = FileChange { after: lasting.before.clone(), ..volatile };
    let mut down = vec![Step::Put { file: old.clone() }];
    down.extend(apply(OnFailure::Stop));
    let mut up = vec![Step::PutBack { file: old }];
    // NetworkManager would leave alone a bridge that it did not make itself.
    up.extend((renderer == Renderer::Networkd).then(|| spec.kernel_bridge()));
    up.extend(apply(OnFailure::GoOn));
    Ok(Setting { steps, undo, lasting: vec![lasting], keep, later: (down, up), ..Setting::default() })
}

/// Lets the renderer carry out what the files say now. `netplan apply` would do it too, but it restarts
/// NetworkManager and takes every link of it down.
fn apply(renderer: Renderer, generate: &[String], ids: &[String], failure: OnFailure) -> Vec<Step> {
    let mut commands = vec![generate.to_vec()];
    match renderer {
        Renderer::Networkd => commands.push(call(&["networkctl", "reload"])),
        Renderer::NetworkManager { .. } => {
            commands.push(call(&["nmcli", "general", "reload", "conf"]));
            commands.push(call(&["nmcli", "connection", "reload"]));
            let up = |id: &String| {
                call(&["nmcli", "--wait", "45", "connection", "up", "id", &format!("netplan-{id}")])
            };
            commands.extend(ids.iter().map(up));
        }
    }
    commands.into_iter().map(|argv| Step::Call { argv, failure }).collect()
}

fn checkpoint(renderer: Renderer) -> Vec<Step> {
    match renderer {
        Renderer::NetworkManager { checkpoint: true } => vec![Step::Checkpoint],
        _ => Vec::new(),
    }
}

fn end(renderer: Renderer) -> Vec<Step> {
    match renderer {
        Renderer::NetworkManager { checkpoint } => networkmanager::end(checkpoint),
        Renderer::Networkd => Vec::new(),
    }
}

/// Metrics of the NIC's routes, by family as NetworkManager calls it.
type Metrics = Vec<(&'static str, String)>;

/// What the file becomes, and the metrics that it did not say.
fn rewritten(text: &str, renderer: Renderer, spec: &Spec) -> Option<(String, Metrics)> {
    let lines: Vec<&str> = text.lines().collect();
    let (network, network_depth) = find(&lines, 0, lines.len(), "network")?;
    let network_end = block_end(&lines, network + 1, network_depth);
    let port = spec.port.to_string();
    let (section, depth, (nic, nic_depth)) = PORTS.iter().find_map(|name| {
        let (section, depth) = find(&lines, network + 1, network_end, name)?;
        let end = block_end(&lines, section + 1, depth);
        Some((section, depth, find(&lines, section + 1, end, &port)?))
    })?;
    let nic_end = block_end(&lines, nic + 1, nic_depth);
    let (moving, staying, inner) = parted(lines.get(nic + 1..nic_end)?, spec)?;

    let indent = |depth: usize| " ".repeat(depth);
    let mut bridge = vec![format!("{}{}:", indent(nic_depth), spec.bridge)];
    let mut settings = settings(spec);
    let metrics = metrics(renderer, spec, &moving);
    settings.extend(passthrough(&metrics));
    bridge.extend(settings.into_iter().map(|line| format!("{}{line}", indent(inner))));
    bridge.extend(moving);
    let bridges = find(&lines, network + 1, network_end, "bridges");
    let mut out: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match bridges {
            None if at == section => {
                out.push(format!("{}{}", indent(depth), spec.mark()));
                out.push(format!("{}bridges:", indent(depth)));
                out.extend(bridge.iter().cloned());
                out.push((*line).to_owned());
            }
            Some((bridges, _)) if at == bridges => {
                out.push((*line).to_owned());
                out.push(format!("{}{}", indent(nic_depth), spec.mark()));
                out.extend(bridge.iter().cloned());
            }
            _ if at == nic => {
                out.push((*line).to_owned());
                out.extend(staying.iter().cloned());
                out.push(format!("{}dhcp4: false", indent(inner)));
                out.push(format!("{}dhcp6: false", indent(inner)));
            }
            _ if (nic + 1..nic_end).contains(&at) => {}
            _ => out.push((*line).to_owned()),
        }
    }
    Some((out.iter().map(|line| line.clone() + "\n").collect(), metrics))
}

/// The lines below the NIC: those that go to the bridge, those that stay, and their depth.
fn parted(lines: &[&str], spec: &Spec) -> Option<(Vec<String>, Vec<String>, usize)> {
    let inner = lines.iter().find_map(|line| key(line))?.0;
    let (mut moving, mut staying, mut pending) = (Vec::new(), Vec::new(), Vec::new());
    let mut moves = false;
    let mut drops = false;
    for line in lines {
        match key(line) {
            None => {
                // A comment belongs to the key below it.
                pending.push((*line).to_owned());
                continue;
            }
            Some((depth, name)) if depth == inner && !line.trim_start().starts_with("- ") => {
                moves = ADDRESSING.contains(&name);
                let fixed = matches!(name, "addresses" | "dhcp4" | "gateway4")
                    || name == "routes" && spec.gateway.is_some();
                drops = fixed && spec.address != Addressing::Move;
            }
            Some(_) => {}
        }
        let to = if moves { &mut moving } else { &mut staying };
        to.append(&mut pending);
        if !drops {
            to.push((*line).to_owned());
        }
    }
    staying.append(&mut pending);
    Some((moving, staying, inner))
}

fn settings(spec: &Spec) -> Vec<String> {
    let mut lines = vec![format!("interfaces: [{}]", spec.port)];
    lines.extend(spec.mac.map(|mac| format!("macaddress: {mac}")));
    lines.push("parameters:".to_owned());
    lines.push(format!("  stp: {}", spec.stp.seconds() > 0));
    lines.push(format!("  forward-delay: {}", spec.stp.seconds()));
    match spec.address {
        Addressing::Move => {}
        Addressing::Dhcp => lines.push("dhcp4: true".to_owned()),
        Addressing::Static(address) => {
            lines.push(format!("addresses: [{address}]"));
            lines.extend(spec.gateway.map(|gateway| format!("routes: [{{to: default, via: {gateway}}}]")));
        }
    }
    lines
}

/// The metrics of the NIC's routes, where the file leaves them to NetworkManager: it gives routes over a bridge a
/// worse one than it gave the NIC's, and another NIC's route could win.
fn metrics(renderer: Renderer, spec: &Spec, moving: &[String]) -> Metrics {
    let is_set = moving.iter().any(|line| key(line).is_some_and(|(_, name)| name == "route-metric"));
    if is_set || renderer == Renderer::Networkd {
        return Vec::new();
    }
    spec.known_metrics().map(|(family, metric)| (family, metric.to_string())).collect()
}

fn passthrough(metrics: &Metrics) -> Vec<String> {
    if metrics.is_empty() {
        return Vec::new();
    }
    let lines = metrics.iter().map(|(family, metric)| format!("    {family}.route-metric: \"{metric}\""));
    ["networkmanager:", "  passthrough:"].into_iter().map(str::to_owned).chain(lines).collect()
}
