//! READS. What decides about packets but is not in netlink: sysctls, the Wi-Fi mark, and who holds the port of
//! DNS on every address.

use std::path::Path;

use crate::model::IfName;
use crate::model::kernel::Settings;

/// Reads the sysctls; one that does not exist (module not loaded) is `None`.
pub(super) fn read() -> Settings {
    Settings {
        ip_forward: flag("/proc/sys/net/ipv4/ip_forward"),
        ip6_forward: flag("/proc/sys/net/ipv6/conf/all/forwarding"),
        nf_call_iptables: flag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        nf_call_ip6tables: flag("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
        nf_call_arptables: flag("/proc/sys/net/bridge/bridge-nf-call-arptables"),
        arp_ignore: number("/proc/sys/net/ipv4/conf/all/arp_ignore"),
        policy_routing: super::raw::has_own_rules().ok(),
        dns_everywhere: dns_everywhere(&std::fs::read_to_string("/proc/net/tcp").unwrap_or_default()),
    }
}

fn flag(path: &str) -> Option<bool> {
    std::fs::read_to_string(path).ok().map(|text| text.trim() != "0")
}

fn number(path: &str) -> Option<u8> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Who listens on port 53 of all addresses: the lines of `/proc/net/tcp` have the local address and port in
/// hexadecimal as the second word, the state as the fourth (0A listens), and the socket's inode as the tenth.
/// (UDP sockets may share a port; it is TCP that keeps a second server out.)
fn dns_everywhere(sockets: &str) -> Option<String> {
    let socket = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let inode = socket.into_iter().find_map(|words| match words.as_slice() {
        [_, "00000000:0035", _, "0A", _, _, _, _, _, inode, ..] => Some((*inode).to_owned()),
        _ => None,
    })?;
    Some(holder(&inode).unwrap_or_else(|| "a server that this user may not see".to_owned()))
}

/// The process that holds a socket. Only asked on the rare host where somebody holds the port.
fn holder(inode: &str) -> Option<String> {
    let socket = format!("socket:[{inode}]");
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut files = std::fs::read_dir(process.path().join("fd")).ok()?.flatten();
        files.find(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == &*socket))?;
        let name = std::fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("{} ({pid})", name.trim_end()))
    })
}

/// The kernel keeps a directory for the Wi-Fi side of a link.
pub(super) fn wireless(name: IfName) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let link = Path::new("/sys/class/net").join(std::ffi::OsStr::from_bytes(name.as_bytes()));
    link.join("phy80211").exists() || link.join("wireless").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_on_every_address_is_in_the_way() {
        let line = |local: &str, state: &str| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 0 1"
            )
        };
        assert!(dns_everywhere(&line("00000000:0035", "0A")).is_some());
        for other in [line("017AA8C0:0035", "0A"), line("00000000:0035", "01"), line("00000000:0016", "0A")] {
            assert_eq!(dns_everywhere(&other), None, "{other}");
        }
    }
}
