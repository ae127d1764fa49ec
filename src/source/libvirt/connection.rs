//! A connection to libvirt with named operations and errors that say what was tried on what.
//!
//! Shared with `change::apply`, which opens its own, writing one. Every call blocks.

use std::sync::Once;
use std::time::Duration;

use thiserror::Error;
use virt::connect::Connect;
use virt::domain::Domain;
use virt::network::Network;

use super::ffi;
use crate::model::ids::{DomainId, NetworkId};

/// Whether changes are possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The read-only socket: no right needed on most hosts.
    ReadOnly,
    /// The writing socket: root, or whoever polkit lets.
    ReadWrite,
}

/// What libvirt refused or could not do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation} {object}: {message}")]
pub struct LibvirtError {
    /// What was tried, as a verb (`connect to`, `plug NIC of`).
    pub operation: &'static str,
    /// On what.
    pub object: String,
    /// libvirt's own words.
    pub message: String,
    /// `virErrorNumber`; 0 when the error is not libvirt's.
    pub code: u32,
}

impl LibvirtError {
    /// `VIR_ERR_OPERATION_UNSUPPORTED`: the driver cannot do this live.
    pub const UNSUPPORTED: u32 = 84;
    const OPERATION_DENIED: u32 = 29;
    const NO_SUPPORT: u32 = 3;
    const AUTH_FAILED: u32 = 45;
    const AUTH_CANCELLED: u32 = 79;
    const AUTH_UNAVAILABLE: u32 = 80;
    const SYSTEM_ERROR: u32 = 38;

    pub(super) fn closed(uri: &str) -> Self {
        Self {
            operation: "stay connected to",
            object: uri.to_owned(),
            message: "the connection was closed".to_owned(),
            code: 0,
        }
    }

    /// A right is missing, trying again will not help.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        let refused = matches!(
            self.code,
            Self::OPERATION_DENIED | Self::AUTH_FAILED | Self::AUTH_CANCELLED | Self::AUTH_UNAVAILABLE
        );
        refused || self.message.contains("Permission denied") || self.message.contains("authentication")
    }

    /// The connection or the daemon is the problem, not the request.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.code == 0
            || (self.code == Self::SYSTEM_ERROR && self.operation == "connect to")
            || self.message.contains("keepalive timeout")
            || self.message.contains("client socket is closed")
            || self.message.contains("Cannot recv data")
            || self.message.contains("Cannot write data")
    }

    /// The driver has no such function (the test driver lacks leases).
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.code == Self::NO_SUPPORT
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        if self.is_denied() {
            return Some(
                "run as root, or join the group libvirt (usermod -aG libvirt USER) and log in again",
            );
        }
        (self.operation == "connect to").then_some("is libvirtd running? (systemctl status libvirtd)")
    }
}

/// Turns the virt crate's error into one that names operation and object.
pub(super) fn failed<'a>(
    operation: &'static str,
    object: &'a str,
) -> impl FnOnce(virt::error::Error) -> LibvirtError + 'a {
    move |error| LibvirtError {
        operation,
        object: object.to_owned(),
        message: error.to_string(),
        code: ffi::error_code(error.code()),
    }
}

/// Must run before the first connection: libvirt's own error printing off (it would write over the
/// screen), its event loop on a thread. Later calls do nothing.
pub fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        virt::error::clear_error_callback();
        if virt::event::event_register_default_impl().is_ok() {
            let _ = std::thread::Builder::new().name("libvirt-events".to_owned()).spawn(|| {
                loop {
                    if virt::event::event_run_default_impl().is_err() {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            });
        }
    });
}

/// An open connection. Closed when dropped.
#[derive(Debug)]
pub struct Connection {
    inner: Connect,
    uri: String,
}

impl Connection {
    /// Opens one; fails at once when the daemon is not there, never asks for a password.
    ///
    /// # Errors
    /// No daemon, or no right.
    pub fn open(uri: &str, access: Access) -> Result<Self, LibvirtError> {
        prepare();
        let inner = match access {
            Access::ReadOnly => Connect::open_read_only(Some(uri)),
            Access::ReadWrite => Connect::open(Some(uri)),
        };
        let inner = inner.map_err(failed("connect to", uri))?;
        // A daemon that hangs closes the connection after 5 s × 3. Drivers inside the process
        // (test:///) have no keepalive, which is no error.
        let _ = inner.set_keep_alive(5, 3);
        Ok(Self { inner, uri: uri.to_owned() })
    }

    /// Calls `on_event` from libvirt's event thread for everything that may change the inventory.
    /// What the driver has no events for is left to the slow re-read.
    pub(super) fn subscribe(&self, on_event: impl Fn(ffi::Event) + Send + Sync + 'static) {
        ffi::subscribe(&self.inner, on_event);
    }

    /// The daemon's version as `9.0.0`.
    #[must_use]
    pub fn daemon_version(&self) -> Option<String> {
        let version = self.inner.get_lib_version().ok()?;
        Some(format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000))
    }

    pub(super) fn domains(&self) -> Result<Vec<Domain>, LibvirtError> {
        self.inner.list_all_domains(0).map_err(failed("list the guests of", &self.uri))
    }

    pub(super) fn networks(&self) -> Result<Vec<Network>, LibvirtError> {
        self.inner.list_all_networks(0).map_err(failed("list the networks of", &self.uri))
    }

    /// The guest with this UUID.
    ///
    /// # Errors
    /// It is gone, or the connection is.
    pub fn domain(&self, id: DomainId) -> Result<GuestHandle, LibvirtError> {
        let uuid = id.to_string();
        Domain::lookup_by_uuid_string(&self.inner, &uuid)
            .map(GuestHandle)
            .map_err(failed("find guest", &uuid))
    }

    /// The network with this UUID.
    ///
    /// # Errors
    /// It is gone, or the connection is.
    pub fn network(&self, id: NetworkId) -> Result<NetworkHandle, LibvirtError> {
        let uuid = id.to_string();
        Network::lookup_by_uuid_string(&self.inner, &uuid)
            .map(NetworkHandle)
            .map_err(failed("find network", &uuid))
    }
}

/// Which definition a device change is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What runs now (`VIR_DOMAIN_AFFECT_LIVE`).
    Live,
    /// The next boot (`VIR_DOMAIN_AFFECT_CONFIG`).
    Config,
}

impl Scope {
    const fn flags(self) -> u32 {
        match self {
            Self::Live => virt_sys::VIR_DOMAIN_AFFECT_LIVE,
            Self::Config => virt_sys::VIR_DOMAIN_AFFECT_CONFIG,
        }
    }

    /// `the live definition` or `the next boot`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Live => "the live definition",
            Self::Config => "the next boot",
        }
    }
}

/// A guest, on the connection it was found by.
#[derive(Debug)]
pub struct GuestHandle(Domain);

impl GuestHandle {
    fn name(&self) -> String {
        self.0.get_name().unwrap_or_else(|_| "guest".to_owned())
    }

    /// Its XML in this scope, without secrets.
    ///
    /// # Errors
    /// The connection is gone, or there is no such definition.
    pub fn xml(&self, scope: Scope) -> Result<String, LibvirtError> {
        let flags = match scope {
            Scope::Live => 0,
            Scope::Config => virt_sys::VIR_DOMAIN_XML_INACTIVE,
        };
        self.0.get_xml_desc(flags).map_err(failed("read the definition of", &self.name()))
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn is_active(&self) -> Result<bool, LibvirtError> {
        self.0.is_active().map_err(failed("read the state of", &self.name()))
    }

    /// `virsh update-device`.
    ///
    /// # Errors
    /// libvirt refuses, or the connection is gone.
    pub fn update_device(&self, xml: &str, scope: Scope) -> Result<(), LibvirtError> {
        self.0
            .update_device_flags(xml, scope.flags())
            .map(drop)
            .map_err(failed("change a NIC of", &self.name()))
    }

    /// `virsh detach-device`. Success only means that the guest was asked.
    ///
    /// # Errors
    /// libvirt refuses, or the connection is gone.
    pub fn detach_device(&self, xml: &str, scope: Scope) -> Result<(), LibvirtError> {
        self.0
            .detach_device_flags(xml, scope.flags())
            .map(drop)
            .map_err(failed("unplug a NIC of", &self.name()))
    }

    /// `virsh attach-device`.
    ///
    /// # Errors
    /// libvirt refuses, or the connection is gone.
    pub fn attach_device(&self, xml: &str, scope: Scope) -> Result<(), LibvirtError> {
        self.0
            .attach_device_flags(xml, scope.flags())
            .map(drop)
            .map_err(failed("plug a NIC into", &self.name()))
    }

    pub(super) fn agent_interfaces(&self) -> Result<Vec<ffi::AgentInterface>, LibvirtError> {
        ffi::agent_interfaces(&self.0).map_err(failed("ask the agent of", &self.name()))
    }
}

/// A network, on the connection it was found by.
#[derive(Debug)]
pub struct NetworkHandle(Network);

impl NetworkHandle {
    /// `virsh net-start`.
    ///
    /// # Errors
    /// libvirt refuses, or the connection is gone.
    pub fn start(&self) -> Result<(), LibvirtError> {
        let name = self.0.get_name().unwrap_or_default();
        self.0.create().map(drop).map_err(failed("start network", &name))
    }
}
