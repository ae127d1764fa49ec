//! READS. Notices that a lease changed: libvirt has no event for it, but its DHCP servers write a file.

use std::path::Path;
use std::sync::mpsc::Sender;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::reader::Wake;
use crate::source::supervise::start;

/// Where each of libvirt's dnsmasq keeps its `<bridge>.status`, and what `net-update` writes.
const DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";

/// Wakes the reader when a file there changes. Without the directory the slow re-read finds it.
pub(super) fn watch(wake: Sender<Wake>) {
    let Ok(inotify) = Inotify::init(InitFlags::IN_CLOEXEC) else { return };
    let changes = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
    if let Err(error) = inotify.add_watch(Path::new(DIRECTORY), changes) {
        tracing::debug!("watch {DIRECTORY}: {error}");
        return;
    }
    start(
        "libvirt-leases",
        move || while inotify.read_events().is_ok() && wake.send(Wake::Leases).is_ok() {},
    );
}
