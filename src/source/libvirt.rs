//! READS. Guests, networks and leases from libvirt, on threads of its own because its calls block; the
//! one door to libvirt's API.
//!
//! ```text
//!  libvirt's events ─────┐
//!  inotify on the leases ┼─ Wake → inventory thread ─ Update → collector
//!  refresh(), every 5 s ─┤              ▲ watched by `pulse`: hung for 2.5 s shows as stale
//!  agents, emulators ────┘              └ one read-only connection, opened again when it dies
//! ```
//! Told to end, each of these threads finishes the call under way and closes its connection (`closing`).
//!
//! The inventory changes nothing. `change::apply` has a [`Connection`] of its own for its writes.

mod agents;
mod closing;
mod connection;
mod emulators;
mod error;
mod events;
mod ffi;
mod inventory;
mod leases;
mod objects;
mod pulse;
mod reader;

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

pub use closing::all_closed;
pub use connection::{Access, Connection};
pub use error::{ErrorKind, LibvirtError};
pub use events::{CloseReason, Event, Subscription};
pub use ffi::end_process;
pub use objects::{Autostart, GuestHandle, NetworkHandle, Scope};

use super::Updates;
use super::supervise::{self, start};
use pulse::Pulse;
use reader::{Reader, Wake};

/// The reading of libvirt; it goes on until it is told to end, or nobody listens any more.
#[derive(Debug, Clone)]
pub struct Reading {
    wake: Sender<Wake>,
    pulse: Arc<Pulse>,
}

impl Reading {
    /// Asks libvirt for everything again, now. A reader that is gone is no error: the program is ending.
    pub fn refresh(&self) {
        let _ = self.wake.send(Wake::Refresh);
    }

    /// Asks libvirt for its node devices, which are not read unless somebody needs them.
    pub fn node_devices(&self) {
        let _ = self.wake.send(Wake::Devices);
    }

    /// Ends it after the call under way; its connections are closed then. Does not wait: see [`all_closed`].
    pub fn end(&self) {
        self.pulse.end();
        self.refresh();
    }
}

/// Starts reading until the receiver of `updates` is gone. Never fails: its health is part of what it
/// sends, and it tries again by itself.
#[must_use]
pub fn spawn(uri: String, updates: Updates) -> Reading {
    let (wake, wakes) = channel();
    let pulse = Arc::new(Pulse::new(updates));
    leases::watch(wake.clone());
    let (reading, waking) = (Arc::clone(&pulse), wake.clone());
    let read = move || Reader::new(uri.clone(), Arc::clone(&reading), waking.clone()).run(&wakes);
    let told = Arc::clone(&pulse);
    start("libvirt", move || supervise::thread("libvirt", |why| told.stopped(why), read));
    let watched = Arc::clone(&pulse);
    start("libvirt-pulse", move || supervise::thread("libvirt-pulse", drop, || watched.watch()));
    Reading { wake, pulse }
}
