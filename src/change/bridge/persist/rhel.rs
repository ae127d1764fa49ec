//! PURE. NetworkManager with profiles in `ifcfg` files (RHEL up to 8): the files change as without it,
//! and until they do the same settings are in keyfiles in `/run`.

use super::ini::{Ini, key_of};
use super::{Setting, Spec, Text, ifcfg, networkmanager};
use crate::change::bridge::step::{FileChange, OnFailure};

pub(super) fn create(
    profile: &Text,
    others: &[Text],
    uuid: &str,
    fresh: &[String; 2],
    checkpoint: bool,
    spec: &Spec,
) -> Result<Setting, String> {
    if let Some(other) = others.first() {
        return Err(format!("{} goes with it, and is not understood here", other.path.display()));
    }
    let [bridge_uuid, port_uuid] = fresh;
    let mut setting = ifcfg::create(profile, others, spec)?;
    for file in &mut setting.lasting {
        let is_port = file.path == profile.path;
        if !is_port {
            keep_metrics(file, spec);
        }
        identify(file, if is_port { port_uuid } else { bridge_uuid });
    }
    let keyfile = Text { path: profile.path.clone(), text: keyfile(&profile.text, uuid)? };
    let managed = networkmanager::create(&keyfile, uuid, fresh, checkpoint, spec)?;
    let mut keep = networkmanager::end(checkpoint);
    // The profiles in /run stay until the next boot: taken away, they would take the bridge along.
    keep.push(networkmanager::load(&setting.lasting, OnFailure::GoOn));
    Ok(Setting { steps: managed.steps, undo: managed.undo, keep, ..setting })
}

/// The file is another profile from now on.
fn identify(file: &mut FileChange, uuid: &str) {
    let Some(text) = &mut file.after else { return };
    let mut lines: Vec<String> =
        text.lines().filter(|line| key_of(line) != Some("UUID")).map(str::to_owned).collect();
    lines.push(format!("UUID={uuid}"));
    *text = lines.iter().map(|line| line.clone() + "\n").collect();
}

/// By itself NetworkManager makes a bridge's routes worse than those of a NIC.
fn keep_metrics(bridge: &mut FileChange, spec: &Spec) {
    let Some(text) = &mut bridge.after else { return };
    for (family, metric) in spec.known_metrics() {
        let key = format!("{}_ROUTE_METRIC", family.to_ascii_uppercase());
        if get(text, &key).is_none() {
            text.push_str(&format!("{key}={metric}\n"));
        }
    }
}

/// A value without its quotes.
fn get<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().rfind(|line| key_of(line) == Some(key))?;
    let value = line.split_once('=')?.1.trim();
    let bare = value.trim_matches(['"', '\'']);
    (!bare.is_empty()).then_some(bare)
}

/// `KEY`, `KEY0`, `KEY1`, …
fn numbered<'a>(text: &'a str, key: &str) -> Vec<(String, &'a str)> {
    let ends = std::iter::once(String::new()).chain((0..8).map(|number: u8| number.to_string()));
    ends.filter_map(|end| Some((end.clone(), get(text, &format!("{key}{end}"))?))).collect()
}

fn keyfile(ifcfg: &str, uuid: &str) -> Result<String, String> {
    let mut ini = Ini::default();
    let connection = ini.section_mut("connection");
    connection.set("id", get(ifcfg, "NAME").unwrap_or("nic"));
    connection.set("uuid", uuid);
    connection.set("type", "ethernet");
    if let Some(zone) = get(ifcfg, "ZONE") {
        connection.set("zone", zone);
    }
    if let Some(mtu) = get(ifcfg, "MTU") {
        ini.section_mut("ethernet").set("mtu", mtu);
    }
    ipv4(&mut ini, ifcfg)?;
    ipv6(&mut ini, ifcfg);
    Ok(ini.print())
}

fn ipv4(ini: &mut Ini, ifcfg: &str) -> Result<(), String> {
    let mut addresses = Vec::new();
    for (end, address) in numbered(ifcfg, "IPADDR") {
        let prefix = match (get(ifcfg, &format!("PREFIX{end}")), get(ifcfg, &format!("NETMASK{end}"))) {
            (Some(prefix), _) => prefix.parse().ok(),
            (None, Some(mask)) => mask.parse().ok().and_then(|mask| ipnet::ip_mask_to_prefix(mask).ok()),
            (None, None) => None,
        };
        let prefix: u8 = prefix.ok_or_else(|| format!("IPADDR{end} has neither PREFIX nor NETMASK"))?;
        addresses.push(format!("{address}/{prefix}"));
    }
    let section = ini.section_mut("ipv4");
    let by_dhcp = matches!(get(ifcfg, "BOOTPROTO"), Some("dhcp" | "bootp"));
    section.set(
        "method",
        if by_dhcp {
            "auto"
        } else if addresses.is_empty() {
            "disabled"
        } else {
            "manual"
        },
    );
    for (at, address) in addresses.iter().enumerate() {
        let gateway = get(ifcfg, "GATEWAY").filter(|_| at == 0);
        let gateway = gateway.map(|gateway| format!(",{gateway}")).unwrap_or_default();
        section.set(&format!("address{}", at + 1), &format!("{address}{gateway}"));
    }
    let listed = |words: Vec<&str>| words.join(";") + ";";
    let servers = numbered(ifcfg, "DNS").into_iter().map(|(_, server)| server);
    let servers: Vec<&str> = servers.filter(|server| !server.contains(':')).collect();
    if !servers.is_empty() {
        section.set("dns", &listed(servers));
    }
    if let Some(domains) = get(ifcfg, "DOMAIN") {
        section.set("dns-search", &listed(domains.split_whitespace().collect()));
    }
    if get(ifcfg, "DEFROUTE") == Some("no") {
        section.set("never-default", "true");
    }
    if let Some(id) = get(ifcfg, "DHCP_CLIENT_ID") {
        section.set("dhcp-client-id", id);
    }
    Ok(())
}

fn ipv6(ini: &mut Ini, ifcfg: &str) {
    let is = |key: &str, value: &str| get(ifcfg, key) == Some(value);
    let addresses: Vec<&str> = get(ifcfg, "IPV6ADDR")
        .into_iter()
        .chain(get(ifcfg, "IPV6ADDR_SECONDARIES").into_iter().flat_map(str::split_whitespace))
        .collect();
    let section = ini.section_mut("ipv6");
    let method = match () {
        () if is("IPV6INIT", "no") => "ignore",
        () if !addresses.is_empty() && !is("IPV6_AUTOCONF", "yes") => "manual",
        () if is("DHCPV6C", "yes") && is("IPV6_AUTOCONF", "no") => "dhcp",
        () if is("IPV6_AUTOCONF", "no") => "link-local",
        () => "auto",
    };
    section.set("method", method);
    for (at, address) in addresses.iter().enumerate() {
        let gateway = get(ifcfg, "IPV6_DEFAULTGW").filter(|_| at == 0);
        let gateway = gateway.map(|gateway| format!(",{gateway}")).unwrap_or_default();
        section.set(&format!("address{}", at + 1), &format!("{address}{gateway}"));
    }
}
