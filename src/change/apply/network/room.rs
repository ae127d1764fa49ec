//! READS. Whether libvirt can write what a change of a network makes it write: a network that was stopped and
//! then cannot start, because its DHCP server's files find no room, takes all its guests off the network.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};

/// Where libvirt's network driver writes: definitions, files of the DHCP servers, state of running networks.
const PLACES: [&str; 3] = ["/etc/libvirt/qemu/networks", "/var/lib/libvirt/dnsmasq", "/run/libvirt/network"];
/// Far more than one network needs.
const BYTES: u64 = 512 * 1024;
const FILES: u64 = 16;

/// The first place that is read-only or full, in a sentence; `None` for a daemon that is not on this host.
pub(super) fn lacking(uri: &str) -> Option<String> {
    if !uri.starts_with("qemu:///system") {
        return None;
    }
    PLACES.iter().find_map(|place| lack_of(Path::new(place)))
}

fn lack_of(place: &Path) -> Option<String> {
    // A directory that is not there yet is libvirt's to make.
    let system = statvfs(place).ok()?;
    if system.flags().contains(FsFlags::ST_RDONLY) {
        return Some(format!("{} is on a read-only file system", place.display()));
    }
    let free = system.blocks_free().saturating_mul(system.fragment_size());
    if free < BYTES {
        return Some(format!("{} has no room left ({} KiB)", place.display(), free / 1024));
    }
    // Some file systems count no inodes.
    (system.files() > 0 && system.files_free() < FILES)
        .then(|| format!("{} has no room for another file", place.display()))
}
