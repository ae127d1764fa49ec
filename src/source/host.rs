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
        ssh_peer: ssh_peer(ssh_connection().as_deref()),
        foreign_namespace: is_remote(uri) || (uri.starts_with("qemu:") && daemon_elsewhere()),
        libvirt_version: None,
        ssh_link: None,
    }
}

/// `SSH_CONNECTION` of this process, or of the nearest ancestor that has it: `sudo` drops the variable.
fn ssh_connection() -> Option<String> {
    /// Deeper nesting than this is a loop of recycled process ids.
    const DEEPEST: usize = 32;
    if let Ok(own) = std::env::var("SSH_CONNECTION") {
        return Some(own);
    }
    let mut pid = std::os::unix::process::parent_id();
    for _ in 0..DEEPEST {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let found = environment.split(|byte| *byte == 0).find_map(|variable| {
            std::str::from_utf8(variable).ok()?.strip_prefix("SSH_CONNECTION=").map(str::to_owned)
        });
        if found.is_some() {
            return found;
        }
        pid = parent_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    }
    None
}

/// The fourth field of `/proc/PID/stat`; the second one may hold anything, also brackets and spaces.
fn parent_of(stat: &str) -> Option<u32> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(1)?.parse().ok().filter(|pid| *pid > 0)
}

/// The URI names another machine: its links are not the ones that the kernel here tells of.
fn is_remote(uri: &str) -> bool {
    uri.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/') && !rest.is_empty())
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

    #[test]
    fn a_process_name_cannot_fake_its_parent() {
        assert_eq!(parent_of("77 (sh) S 42 77 77 0"), Some(42));
        assert_eq!(parent_of("77 (a) S 1 (b) S 42 77"), Some(42));
        assert_eq!(parent_of("1 (init) S 0 1 1"), None);
        assert_eq!(parent_of(""), None);
    }

    #[test]
    fn a_uri_with_a_host_is_remote() {
        for local in ["qemu:///system", "qemu:///session", "test:///default", "test:///abs/path.xml"] {
            assert!(!is_remote(local), "{local}");
        }
        for remote in ["qemu+ssh://root@kvm2/system", "qemu+tls://kvm2/system", "qemu://kvm2/system"] {
            assert!(is_remote(remote), "{remote}");
        }
    }
}
