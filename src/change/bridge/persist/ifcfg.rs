//! PURE. `ifcfg` files of RHEL up to 8: one for the bridge with the addressing of the NIC, and
//! `BRIDGE=` in the NIC's.

pub(super) mod ports;

use std::path::Path;

use super::ini::key_of;
use super::{Setting, Spec, Text, new_file, renamed};
use crate::change::bridge::Addressing;
use crate::change::bridge::step::FileChange;

/// Keys that belong to whoever has the address.
const ADDRESSING: [&str; 29] = [
    "BOOTPROTO",
    "IPADDR",
    "PREFIX",
    "NETMASK",
    "GATEWAY",
    "BROADCAST",
    "NETWORK",
    "DNS",
    "DOMAIN",
    "SEARCH",
    "PEERDNS",
    "PEERROUTES",
    "PEERNTP",
    "DEFROUTE",
    "GATEWAYDEV",
    "METRIC",
    "ZONE",
    "PROXY_METHOD",
    "BROWSER_ONLY",
    "DHCP_CLIENT_ID",
    "DHCP_HOSTNAME",
    "DHCP_FQDN",
    "PERSISTENT_DHCLIENT",
    "RES_OPTIONS",
    "ARPCHECK",
    "SCOPE",
    "SRCADDR",
    "IPV4",
    "IPV6",
];

fn is_addressing(key: &str) -> bool {
    let plain = key.trim_end_matches(|c: char| c.is_ascii_digit());
    ADDRESSING.contains(&plain)
        || ADDRESSING.contains(&key)
        || ["IPV4_", "IPV6", "DHCPV6", "DHCP_"].iter().any(|start| key.starts_with(start))
}

pub(super) fn create(file: &Text, others: &[Text], spec: &Spec) -> Result<Setting, String> {
    let (moving, staying): (Vec<&str>, Vec<&str>) =
        file.text.lines().partition(|line| key_of(line).is_some_and(is_addressing));
    if let Some(line) = staying.iter().find(|line| matches!(key_of(line), Some("BRIDGE" | "MASTER"))) {
        return Err(format!("{} has {line} already", file.path.display()));
    }
    let directory = file.path.parent().unwrap_or(Path::new("/etc/sysconfig/network-scripts"));
    let bridge =
        new_file(directory.join(format!("ifcfg-{}", spec.bridge)), bridge_text(&moving, spec), 0o644);
    let mut port: Vec<String> = vec![spec.mark()];
    port.extend(staying.iter().map(|line| (*line).to_owned()));
    let at = port.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
    port.insert(at, format!("BRIDGE={}", spec.bridge));
    let port = FileChange {
        path: file.path.clone(),
        before: Some(file.text.clone()),
        after: Some(lines(&port)),
        mode: 0o644,
    };
    let mut lasting = vec![bridge];
    for other in others {
        let name = other.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = format!("{}\n{}", spec.mark(), renamed(&other.text, spec.port, spec.bridge));
        lasting.push(new_file(directory.join(renamed_end(&name, spec)), text, 0o644));
        lasting.push(FileChange {
            path: other.path.clone(),
            before: Some(other.text.clone()),
            after: None,
            mode: 0o644,
        });
    }
    // Last, in one rename: the NIC changes hands.
    lasting.push(port);
    Ok(Setting { lasting, ..Setting::default() })
}

/// `route-eth0` → `route-virbr1`.
fn renamed_end(name: &str, spec: &Spec) -> String {
    let stem = name.strip_suffix(&spec.port.to_string()).unwrap_or(name);
    format!("{stem}{}", spec.bridge)
}

fn bridge_text(moving: &[&str], spec: &Spec) -> String {
    let stp = if spec.stp.seconds() > 0 { "yes" } else { "no" };
    let mut text = vec![
        spec.mark(),
        "TYPE=Bridge".to_owned(),
        format!("NAME={}", spec.bridge),
        format!("DEVICE={}", spec.bridge),
        format!("STP={stp}"),
        format!("DELAY={}", spec.stp.seconds()),
        "ONBOOT=yes".to_owned(),
    ];
    let fixed = |key: &str| {
        let plain = key.trim_end_matches(|c: char| c.is_ascii_digit());
        matches!(plain, "BOOTPROTO" | "IPADDR" | "PREFIX" | "NETMASK" | "GATEWAY" | "BROADCAST" | "NETWORK")
    };
    let keeps = |line: &&&str| spec.address == Addressing::Move || !key_of(line).is_some_and(fixed);
    match spec.address {
        Addressing::Move => {}
        Addressing::Dhcp => text.push("BOOTPROTO=dhcp".to_owned()),
        Addressing::Static(address) => {
            text.push("BOOTPROTO=none".to_owned());
            text.push(format!("IPADDR={}", address.addr()));
            text.push(format!("PREFIX={}", address.prefix_len()));
            text.extend(spec.gateway.map(|gateway| format!("GATEWAY={gateway}")));
        }
    }
    text.extend(moving.iter().filter(keeps).map(|line| (*line).to_owned()));
    lines(&text)
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| line.clone() + "\n").collect()
}
