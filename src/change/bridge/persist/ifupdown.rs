//! PURE. `/etc/network/interfaces`: the NIC's stanzas become the bridge's, and the NIC is brought up
//! without an address. One file changes, in one rename.

use std::path::PathBuf;

use super::{Setting, Spec, Text, renamed};
use crate::change::bridge::Addressing;
use crate::change::bridge::step::FileChange;

pub(super) fn create(file: &Text, others: &[PathBuf], bridges: bool, spec: &Spec) -> Result<Setting, String> {
    if !bridges {
        return Err("ifupdown makes no bridges here: package bridge-utils is not installed".to_owned());
    }
    if let Some(other) = others.first() {
        return Err(format!(
            "{} is in several files: {} and {}",
            spec.port,
            file.path.display(),
            other.display()
        ));
    }
    let text = rewritten(&file.text, spec);
    let change = FileChange {
        path: file.path.clone(),
        before: Some(file.text.clone()),
        after: Some(text),
        mode: 0o644,
    };
    Ok(Setting { lasting: vec![change], ..Setting::default() })
}

/// Where the lines belong that are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In another stanza, or before all of them.
    Elsewhere,
    /// In a stanza of the NIC.
    Stanza,
}

fn rewritten(text: &str, spec: &Spec) -> String {
    let (port, bridge) = (spec.port.to_string(), spec.bridge.to_string());
    let mut out: Vec<String> = Vec::new();
    let mut place = Place::Elsewhere;
    let mut is_first = true;
    let mut kept_for_nic: Vec<String> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let keyword = words.first().copied().unwrap_or_default();
        let opens =
            matches!(keyword, "iface" | "auto" | "mapping" | "source" | "source-directory" | "no-scripts")
                || keyword.starts_with("allow-");
        if opens {
            place = Place::Elsewhere;
        }
        let named = words.iter().skip(1).any(|word| *word == port);
        match keyword {
            "auto" if named => out.push(format!("{line} {bridge}")),
            // A bridge is no hot-plugged device: it comes up at boot.
            _ if keyword.starts_with("allow-") && named => {
                out.push(line.to_owned());
                out.push(format!("auto {bridge}"));
            }
            "iface" if words.get(1) == Some(&port.as_str()) => {
                place = Place::Stanza;
                if is_first {
                    out.push(spec.mark());
                }
                out.push(headline(line, &words, spec));
                if is_first {
                    out.extend(settings(spec));
                }
                is_first = false;
            }
            _ if place == Place::Stanza => option(line, keyword, spec, &mut out, &mut kept_for_nic),
            _ => out.push(line.to_owned()),
        }
    }
    let at = out.iter().position(|line| *line == spec.mark()).unwrap_or(out.len());
    let mut nic = vec![spec.mark(), format!("iface {port} inet manual")];
    nic.append(&mut kept_for_nic);
    nic.push(String::new());
    out.splice(at..at, nic);
    out.iter().map(|line| line.clone() + "\n").collect()
}

/// `iface eth0 inet static` for the bridge.
fn headline(line: &str, words: &[&str], spec: &Spec) -> String {
    let family = words.get(2).copied().unwrap_or("inet");
    let is_v4 = family == "inet";
    match spec.address {
        Addressing::Dhcp if is_v4 => format!("iface {} inet dhcp", spec.bridge),
        Addressing::Static(address) if address.addr().is_ipv4() == is_v4 => {
            format!("iface {} {family} static", spec.bridge)
        }
        _ => renamed(line, spec.port, spec.bridge),
    }
}

fn settings(spec: &Spec) -> Vec<String> {
    let mut lines = vec![format!("    bridge_ports {}", spec.port)];
    lines.push(format!("    bridge_stp {}", spec.stp.word()));
    lines.push(format!("    bridge_fd {}", spec.stp.seconds()));
    // The NIC's MAC, whatever port comes first: the DHCP server knows it.
    lines.extend(spec.mac.map(|mac| format!("    bridge_hw {mac}")));
    if let Some(address) = spec.given() {
        lines.push(format!("    address {address}"));
        lines.extend(spec.gateway.map(|gateway| format!("    gateway {gateway}")));
    }
    lines
}

/// A line within a stanza of the NIC: to the bridge, or it stays with the NIC.
fn option(line: &str, keyword: &str, spec: &Spec, out: &mut Vec<String>, kept: &mut Vec<String>) {
    let is_command =
        matches!(keyword, "up" | "post-up" | "pre-up" | "down" | "post-down" | "pre-down" | "pre-up-once");
    let routes = ["ip route", "ip -4 route", "ip -6 route", "route add", "route del", "ip rule", "ip addr"];
    let of_nic =
        matches!(keyword, "hwaddress" | "ethernet-wol" | "link-speed" | "link-duplex" | "link-autoneg")
            || keyword.starts_with("wireless-")
            || keyword.starts_with("bond")
            || keyword.starts_with("vlan")
            || is_command && !routes.iter().any(|route| line.contains(route));
    // A large frame has to pass both.
    if keyword == "mtu" {
        kept.push(line.to_owned());
    }
    let fixed = matches!(keyword, "address" | "netmask" | "gateway" | "broadcast" | "network");
    if of_nic {
        kept.push(line.to_owned());
    } else if spec.address == Addressing::Move || !fixed {
        out.push(if is_command { renamed(line, spec.port, spec.bridge) } else { line.to_owned() });
    }
}
