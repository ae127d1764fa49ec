//! READS. Guests, networks and leases from libvirt, on threads of its own because its calls block; the
//! one door to libvirt's API.
//!
//! ```text
//!  libvirt's events ─────┐
//!  inotify on the leases ┼─ Wake → inventory thread ─ Update → collector
//!  refresh(), every 5 s ─┤              ▲ watched by `pulse`: hung for 2.5 s shows as stale
//!  agents, emulators ────┘              └ one read-only connection, opened again when it dies
//! ```
//! The inventory changes nothing. `change::apply` has a [`Connection`] of its own for its writes.

mod agents;
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

pub use connection::{Access, Connection};
pub use error::{ErrorKind, LibvirtError};
pub use events::{CloseReason, Event, Subscription};
pub use objects::{Autostart, GuestHandle, NetworkHandle, Scope};

use super::Updates;
use super::supervise::{self, start};
use pulse::Pulse;
use reader::{Reader, Wake};

/// Asks libvirt for everything again.
#[derive(Debug, Clone)]
pub struct Refresh(Sender<Wake>);

impl Refresh {
    /// Now. A reader that is gone is no error: the program is ending.
    pub fn now(&self) {
        let _ = self.0.send(Wake::Refresh);
    }
}

/// Starts reading until the receiver of `updates` is gone. Never fails: its health is part of what it
/// sends, and it tries again by itself.
#[must_use]
pub fn spawn(uri: String, updates: Updates) -> Refresh {
    let (wake, wakes) = channel();
    let pulse = Arc::new(Pulse::new(updates));
    leases::watch(wake.clone());
    let (reading, waking) = (Arc::clone(&pulse), wake.clone());
    let read = move || Reader::new(uri.clone(), Arc::clone(&reading), waking.clone()).run(&wakes);
    let told = Arc::clone(&pulse);
    start("libvirt", move || supervise::thread("libvirt", |why| told.stopped(why), read));
    start("libvirt-pulse", move || supervise::thread("libvirt-pulse", drop, || pulse.watch()));
    Refresh(wake)
}
