//! What libvirt tells by itself, and the subscription to it.
//!
//! There is no event at all for `update-device`, a link state, `net-update` and DHCP leases: those are
//! noticed by the kernel (a tap's master), inotify on the lease files and a slow re-read.

use std::fmt;
use std::sync::Arc;

use super::connection::Connection;
use super::ffi;
use crate::model::{DomainId, NetworkId};

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A guest was defined, started, stopped, …, or got a device.
    Guest(DomainId),
    /// The guest let go of a device: the only proof that a hot-unplug is done.
    DeviceRemoved {
        /// Whose device.
        guest: DomainId,
        /// The device's live alias (`net0`).
        alias: String,
    },
    /// The guest refused to let go of a device.
    DeviceRemovalFailed {
        /// Whose device.
        guest: DomainId,
        /// The device's live alias.
        alias: String,
    },
    /// A guest's agent connected or went.
    Agent(DomainId),
    /// A network was defined, undefined, started or stopped.
    Network(NetworkId),
    /// The connection is dead; a new one must be opened.
    Closed(CloseReason),
}

/// Why a connection ended (`virConnectCloseReason`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// An I/O error.
    Error,
    /// The daemon closed it: it stopped or was killed.
    Eof,
    /// The daemon answered no keepalive.
    Keepalive,
    /// This program closed it.
    Client,
}

impl CloseReason {
    pub(super) const fn from_raw(reason: i32) -> Self {
        match reason {
            1 => Self::Eof,
            2 => Self::Keepalive,
            3 => Self::Client,
            _ => Self::Error,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "the connection to libvirt broke",
            Self::Eof => "libvirt closed the connection (it stopped or restarts)",
            Self::Keepalive => "libvirt answered nothing for 20 s",
            Self::Client => "closed",
        })
    }
}

/// Where events go. Called on libvirt's event thread, so it may only hand on: it must not block, and
/// must not call libvirt.
pub(super) struct Sink(Box<dyn Fn(Event) + Send + Sync>);

impl Sink {
    pub(super) fn take(&self, event: Event) {
        (self.0)(event);
    }
}

/// Events of one connection, until it is dropped.
#[must_use = "dropping it ends the events"]
pub struct Subscription {
    _registrations: ffi::Registrations,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

impl Connection {
    /// Sends every event of this connection to `sink`, which may only hand on (push into a channel).
    pub fn subscribe(&self, sink: impl Fn(Event) + Send + Sync + 'static) -> Subscription {
        let sink = Arc::new(Sink(Box::new(sink)));
        Subscription { _registrations: ffi::Registrations::new(Arc::clone(self.open_share()), &sink) }
    }
}
