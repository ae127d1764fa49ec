//! READS. The host's name, the session and the rights, once at start.

use std::net::IpAddr;

use crate::model::facts::HostFacts;

/// Reads what does not change while the program runs.
#[must_use]
pub fn read(uri: &str) -> HostFacts {
    let name = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    HostFacts {
        name,
        uri: uri.to_owned(),
        root: nix::unistd::geteuid().is_root(),
        ssh_peer: ssh_peer(std::env::var("SSH_CONNECTION").ok().as_deref()),
        foreign_namespace: daemon_elsewhere(),
        libvirt_version: None,
        ssh_link: None,
    }
}

/// The first field of `SSH_CONNECTION`: the address of the operator's own machine.
fn ssh_peer(variable: Option<&str>) -> Option<IpAddr> {
    variable?.split_whitespace().next()?.parse().ok()
}

/// libvirtd or virtqemud runs in another network namespace than this process: link names that libvirt
/// gives mean other links. False where that cannot be read.
fn daemon_elsewhere() -> bool {
    let Ok(own) = std::fs::read_link("/proc/self/ns/net") else { return false };
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    let daemons: Vec<_> = entries
        .flatten()
        .filter(|entry| {
            let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            matches!(name.trim_end(), "libvirtd" | "virtqemud")
        })
        .filter_map(|entry| std::fs::read_link(entry.path().join("ns/net")).ok())
        .collect();
    !daemons.is_empty() && !daemons.contains(&own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_end_is_the_first_field() {
        assert_eq!(ssh_peer(Some("10.0.0.1 50022 10.0.0.8 22")), "10.0.0.1".parse().ok());
        assert_eq!(ssh_peer(Some("")), None);
        assert_eq!(ssh_peer(None), None);
    }
}
