//! WRITES. Asks libvirt's network daemon to write its firewall rules and start its DHCP servers again, which
//! it does on SIGHUP without touching bridges, taps or guests; and reads whether both are there.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::sleep;

use super::Trouble;
use crate::change::network::Services;
use crate::source::{firewall, process};

/// How long the daemon may take.
const RELOAD: Duration = Duration::from_secs(10);

/// Has the rules and the DHCP server made again; what was read, in words.
pub(super) async fn reload(network: &str, services: &Services) -> Result<String, Trouble> {
    let daemons = daemons();
    if daemons.is_empty() {
        return Err(Trouble::Unproven("neither virtnetworkd nor libvirtd runs here".to_owned()));
    }
    for (pid, name) in daemons {
        kill(pid, Signal::SIGHUP)
            .map_err(|error| Trouble::Unproven(format!("tell {name} ({pid}) to reload: {error}")))?;
    }
    let begun = Instant::now();
    loop {
        let missing = missing(network, services).await?;
        if missing.is_empty() {
            return Ok("the rules and the DHCP server are there".to_owned());
        }
        if begun.elapsed() > RELOAD {
            return Err(Trouble::Unproven(format!(
                "still missing: {}; restart the daemon (systemctl restart libvirtd, or virtnetworkd): guests keep running",
                missing.join(", ")
            )));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// The system daemons of this network namespace that hold networks.
fn daemons() -> Vec<(Pid, String)> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?.trim_end().to_owned();
        let ours = fs::read_link(entry.path().join("ns/net")).ok() == own;
        // Not the session daemon of some user, nor a process that calls itself so.
        let system = process::is_of_root(u32::try_from(pid).ok()?);
        (ours && system && matches!(name.as_str(), "virtnetworkd" | "libvirtd"))
            .then_some((Pid::from_raw(pid), name))
    });
    processes.collect()
}

async fn missing(network: &str, services: &Services) -> Result<Vec<String>, Trouble> {
    let mut missing = Vec::new();
    if services.dhcp && !has_dnsmasq(network) {
        missing.push("the DHCP server".to_owned());
    }
    if !services.masqueraded.is_empty() || services.guarded.is_some() {
        let facts = tokio::task::spawn_blocking(firewall::read_once).await?;
        let facts = facts.map_err(|error| Trouble::Unproven(error.to_string()))?;
        let lost = services.masqueraded.iter().filter(|subnet| !facts.masquerades(**subnet));
        missing.extend(lost.map(|subnet| format!("the masquerade rule of {subnet}")));
        if let Some(bridge) = services.guarded.filter(|bridge| !facts.guards(*bridge)) {
            let chains = Vec::from_iter(facts.unreached(bridge)).join(", ");
            missing.push(if chains.is_empty() {
                format!("the rules about {bridge}")
            } else {
                format!("the jumps to {chains}, which libvirt makes only when it starts")
            });
        }
    }
    Ok(missing)
}

/// libvirt's pid file names a dnsmasq that lives.
fn has_dnsmasq(network: &str) -> bool {
    let pid = fs::read_to_string(Path::new("/run/libvirt/network").join(format!("{network}.pid")));
    let Ok(pid) = pid.unwrap_or_default().trim().parse::<u32>() else { return false };
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "dnsmasq")
}
