//! READS. Programs on the host, out of `/proc`, and notices sysctls that change; no notice tells of either.
//!
//! The sockets on UDP 53 and 67 and the sysctls are a handful of small files, read every few seconds. The
//! table of processes is read only when those sockets changed, and once a minute for the rest. Changes nothing.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use super::netlink::{self, Refresh};
use super::{Update, Updates, now, supervise, unfinished};
use crate::model::services::{Dnsmasq, ServiceFacts, UdpSocket};

/// Time between two looks at sockets and sysctls.
const LOOK: Duration = Duration::from_secs(5);
/// Time between two looks at all processes when no socket changed.
const PROCESSES: Duration = Duration::from_secs(60);
/// DNS and DHCP.
const PORTS: [u16; 2] = [53, 67];
/// Programs that own links or rules.
const MANAGERS: [&str; 4] = ["NetworkManager", "systemd-networkd", "firewalld", "dockerd"];

/// Starts reading until the receiver of `updates` is gone; a sysctl that changed has the kernel read again.
pub fn spawn(updates: Updates, kernel: Refresh) {
    supervise::start("services", move || supervise::thread("services", drop, || watch(&updates, &kernel)));
}

fn watch(updates: &Updates, kernel: &Refresh) {
    let mut sent: Option<(ServiceFacts, BTreeSet<u64>)> = None;
    let mut processes_due = Instant::now();
    let mut settings = netlink::settings();
    while !updates.is_closed() {
        let (udp, inodes) = sockets();
        let same_sockets = sent.as_ref().is_some_and(|(facts, before)| facts.udp == udp && *before == inodes);
        let unfinished = unfinished::here();
        let same_left = sent.as_ref().is_some_and(|(facts, _)| facts.unfinished == unfinished);
        if !same_sockets || !same_left || Instant::now() >= processes_due {
            let facts = ServiceFacts { read_at: now(), ..with_processes(udp) };
            processes_due = Instant::now() + PROCESSES;
            let is_news = sent.as_ref().is_none_or(|(before, _)| {
                *before != ServiceFacts { read_at: before.read_at, ..facts.clone() }
            });
            if is_news && updates.send(Update::Services(facts.clone().into())).is_err() {
                return;
            }
            sent = Some((facts, inodes));
        }
        std::thread::sleep(LOOK);
        let current = netlink::settings();
        if current != settings {
            settings = current;
            kernel.now();
        }
    }
}

/// Reads everything once.
#[must_use]
pub fn read_once() -> ServiceFacts {
    ServiceFacts { read_at: now(), ..with_processes(sockets().0) }
}

fn with_processes(udp: Option<Vec<UdpSocket>>) -> ServiceFacts {
    let unfinished = unfinished::here();
    let mut facts = ServiceFacts { udp, unfinished, ..ServiceFacts::default() };
    // Where processes of others are hidden (hidepid), not seeing one says nothing.
    let visible = fs::read_to_string("/proc/1/comm").is_ok();
    let own = fs::read_link("/proc/self/ns/net").ok();
    let mut servers = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let path = entry.path();
        let comm = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let comm = comm.trim_end();
        if comm != "dnsmasq" && !MANAGERS.contains(&comm) {
            continue;
        }
        // One in a container is another host's; where the right to see that is missing it counts.
        if fs::read_link(path.join("ns/net"))
            .is_ok_and(|theirs| own.as_ref().is_some_and(|own| *own != theirs))
        {
            continue;
        }
        if comm == "dnsmasq" {
            servers.extend(
                network_of(&fs::read(path.join("cmdline")).unwrap_or_default())
                    .map(|network| Dnsmasq { pid, network }),
            );
        } else if !facts.managers.iter().any(|known| known == comm) {
            facts.managers.push(comm.to_owned());
        }
    }
    servers.sort();
    facts.managers.sort();
    facts.dnsmasq = visible.then_some(servers);
    facts
}

/// `--conf-file=/var/lib/libvirt/dnsmasq/default.conf` → `default`.
fn network_of(cmdline: &[u8]) -> Option<String> {
    cmdline.split(|byte| *byte == 0).find_map(|argument| {
        let file = Path::new(std::str::from_utf8(argument.strip_prefix(b"--conf-file=")?).ok()?);
        let directory = file.parent()?.file_name()?;
        (directory == "dnsmasq" && file.extension()? == "conf")
            .then(|| file.file_stem()?.to_str().map(str::to_owned))?
    })
}

/// The bound sockets, and their inodes: a new process on an old address shows only in those.
fn sockets() -> (Option<Vec<UdpSocket>>, BTreeSet<u64>) {
    let Ok(v4) = fs::read_to_string("/proc/net/udp") else { return (None, BTreeSet::new()) };
    // A kernel without IPv6 has no such file.
    let v6 = fs::read_to_string("/proc/net/udp6").unwrap_or_default();
    let bound: Vec<(UdpSocket, u64)> = v4
        .lines()
        .chain(v6.lines())
        .filter_map(socket)
        .filter(|(socket, _)| PORTS.contains(&socket.port))
        .collect();
    let mut sockets: Vec<UdpSocket> = bound.iter().map(|(socket, _)| *socket).collect();
    sockets.sort();
    sockets.dedup();
    (Some(sockets), bound.into_iter().map(|(_, inode)| inode).collect())
}

/// One line: ` 5762: 017AA8C0:0035 00000000:0000 07 … uid timeout inode …`; words of an address are in the
/// machine's own byte order.
fn socket(line: &str) -> Option<(UdpSocket, u64)> {
    let mut fields = line.split_whitespace();
    let (address, port) = fields.nth(1)?.split_once(':')?;
    let inode = fields.nth(7)?.parse().ok()?;
    let word =
        |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
        }
        _ => return None,
    };
    Some((UdpSocket { address, port: u16::from_str_radix(port, 16).ok()? }, inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_an_address_and_a_port() {
        let line = " 5762: 017AA8C0:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 123032 2 0 0";
        let expected = UdpSocket {
            address: "192.168.122.1".parse().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            port: 53,
        };
        if cfg!(target_endian = "little") {
            assert_eq!(socket(line), Some((expected, 123_032)));
        }
        let v6 = " 1: 00000000000000000000000001000000:0043 0:0 07 0:0 0:0 0 0 0 7 2 0 0";
        if cfg!(target_endian = "little") {
            assert_eq!(socket(v6), Some((UdpSocket { address: Ipv6Addr::LOCALHOST.into(), port: 67 }, 7)));
        }
        assert_eq!(socket("   sl  local_address rem_address   st tx_queue"), None);
        assert_eq!(socket(""), None);
    }

    #[test]
    fn only_libvirts_own_servers_have_a_network() {
        let own = b"/usr/sbin/dnsmasq\0--conf-file=/var/lib/libvirt/dnsmasq/my net.conf\0--leasefile-ro\0";
        assert_eq!(network_of(own).as_deref(), Some("my net"));
        assert_eq!(network_of(b"dnsmasq\0--conf-file=/dev/null\0"), None);
        assert_eq!(network_of(b"dnsmasq\0-C\0/etc/dnsmasq.conf\0"), None);
    }
}
