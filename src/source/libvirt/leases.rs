//! READS. Notices that a lease changed: libvirt sends no event for it, but its dnsmasq writes a file.

use std::path::Path;
use std::sync::mpsc::Sender;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Wake;

/// Where libvirt's dnsmasq keeps `<bridge>.status`.
const DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";

/// Wakes the inventory when a lease file changes. Without the directory the slow re-read finds it.
pub(super) fn watch(wake: Sender<Wake>) {
    let Ok(inotify) = Inotify::init(InitFlags::IN_CLOEXEC) else { return };
    let events = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
    if inotify.add_watch(Path::new(DIRECTORY), events).is_err() {
        return;
    }
    let _ = std::thread::Builder::new().name("libvirt-leases".to_owned()).spawn(move || {
        while inotify.read_events().is_ok() {
            if wake.send(Wake::Dirty).is_err() {
                return;
            }
        }
    });
}
