//! Handles on one guest or one network of a connection.
//!
//! The source only reads through them; what writes is for `change::apply` alone.

use std::sync::Arc;

use ipnet::IpNet;
use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::network::Network;
use virt::sys;

use super::closing::Open;
use super::connection::no_nul;
use super::error::{ErrorKind, LibvirtError};
use super::ffi;
use crate::model::guest::AgentAddress;
use crate::model::network_update::{Section, Update, UpdateChange};
use crate::model::{DomainId, DomainState, Lease, Mac, NetworkId, Timestamp};

/// Which of a guest's or network's two definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What runs now (`VIR_DOMAIN_AFFECT_LIVE`).
    Live,
    /// What the next start will use (`VIR_DOMAIN_AFFECT_CONFIG`).
    Config,
}

impl Scope {
    /// `the live definition` or `the next boot`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Live => "the live definition",
            Self::Config => "the next boot",
        }
    }
}

/// A guest of a connection. Its name is the one it had when it was looked up.
#[derive(Debug, Clone)]
pub struct GuestHandle {
    domain: Domain,
    id: DomainId,
    name: String,
    _open: Arc<Open>,
}

impl GuestHandle {
    pub(super) fn new(domain: Domain, open: &Arc<Open>) -> Result<Self, LibvirtError> {
        let nameless = |error| LibvirtError::new("read the identity of", "a guest", &error);
        let id = DomainId(domain.get_uuid().map_err(nameless)?.into_bytes());
        let name = domain.get_name().map_err(nameless)?;
        Ok(Self { domain, id, name, _open: Arc::clone(open) })
    }

    /// Its UUID.
    #[must_use]
    pub const fn id(&self) -> DomainId {
        self.id
    }

    /// Its name; hostile text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does now.
    pub fn state(&self) -> Result<DomainState, LibvirtError> {
        let (state, _reason) = self.wrap("read the state of", self.domain.get_state())?;
        Ok(match state {
            sys::VIR_DOMAIN_RUNNING => DomainState::Running,
            sys::VIR_DOMAIN_BLOCKED => DomainState::Blocked,
            sys::VIR_DOMAIN_PAUSED => DomainState::Paused,
            sys::VIR_DOMAIN_SHUTDOWN => DomainState::ShuttingDown,
            sys::VIR_DOMAIN_SHUTOFF => DomainState::Off,
            sys::VIR_DOMAIN_CRASHED => DomainState::Crashed,
            sys::VIR_DOMAIN_PMSUSPENDED => DomainState::Suspended,
            _ => DomainState::Unknown,
        })
    }

    /// It had an emulator process when this handle was made; asks nobody.
    pub(super) fn was_active(&self) -> bool {
        self.domain.get_id().is_some()
    }

    /// Has an emulator process now.
    pub fn is_active(&self) -> Result<bool, LibvirtError> {
        self.wrap("see whether it runs:", self.domain.is_active())
    }

    /// Has a definition that survives its shutdown.
    pub fn is_persistent(&self) -> Result<bool, LibvirtError> {
        self.wrap("see whether it is persistent:", self.domain.is_persistent())
    }

    /// Starts with the host.
    pub fn autostart(&self) -> Result<bool, LibvirtError> {
        self.wrap("read the autostart of", self.domain.get_autostart())
    }

    /// One of its definitions, never with the secrets in it. The live one of a guest that is off is
    /// the next one.
    pub fn xml(&self, scope: Scope) -> Result<String, LibvirtError> {
        let flags = match scope {
            Scope::Live => 0,
            Scope::Config => sys::VIR_DOMAIN_XML_INACTIVE,
        };
        self.wrap("read the definition of", self.domain.get_xml_desc(flags))
    }

    /// The addresses that the agent inside the guest reports, without those of its loopback.
    ///
    /// Needs a writable connection. Blocks for 5 s and longer when the agent does not answer.
    pub fn agent_addresses(&self) -> Result<Vec<AgentAddress>, LibvirtError> {
        let interfaces = self.wrap("ask the agent of", ffi::agent_addresses(&self.domain))?;
        Ok(interfaces.into_iter().flat_map(agent_addresses).collect())
    }

    /// What the guest's agent answers to a command of its protocol, both as JSON; the answer is the guest's word.
    ///
    /// Needs a writable connection. Blocks for 5 s when the agent does not answer.
    pub fn agent_command(&self, command: &str) -> Result<String, LibvirtError> {
        const SECONDS: i32 = 5;
        let command = no_nul("ask the agent of", command)?;
        self.wrap("ask the agent of", self.domain.qemu_agent_command(command, SECONDS, 0))
    }

    /// Changes the device that this XML names, in one of the definitions.
    ///
    /// # Errors
    /// `Unsupported` when it cannot change live (to or from macvtap), `DeviceMissing` when no device fits.
    pub fn update_device(&self, xml: &str, scope: Scope) -> Result<(), LibvirtError> {
        let xml = no_nul("update a device of", xml)?;
        self.wrap("update a device of", self.domain.update_device_flags(xml, impact(scope))).map(drop)
    }

    /// Adds a device to one of the definitions.
    pub fn attach_device(&self, xml: &str, scope: Scope) -> Result<(), LibvirtError> {
        let xml = no_nul("attach a device to", xml)?;
        self.wrap("attach a device to", self.domain.attach_device_flags(xml, impact(scope))).map(drop)
    }

    /// Takes a device out of one of the definitions. Live, success only says that the guest was asked:
    /// the proof is `Event::DeviceRemoved`, or the device gone from the live definition.
    pub fn detach_device(&self, xml: &str, scope: Scope) -> Result<(), LibvirtError> {
        let xml = no_nul("detach a device from", xml)?;
        self.wrap("detach a device from", self.domain.detach_device_flags(xml, impact(scope))).map(drop)
    }

    /// Starts it from its next definition.
    ///
    /// # Errors
    /// `WrongState` when it runs already; otherwise libvirt's words for what is missing.
    pub fn start(&self) -> Result<(), LibvirtError> {
        self.wrap("start", self.domain.create()).map(drop)
    }

    /// Asks it to shut down. Success only says that it was asked.
    pub fn shutdown(&self) -> Result<(), LibvirtError> {
        self.wrap("ask for the shutdown of", self.domain.shutdown()).map(drop)
    }

    /// Asks it to reboot; its emulator, and so its definition, stays. Success only says that it was asked.
    pub fn reboot(&self) -> Result<(), LibvirtError> {
        self.wrap("ask for the reboot of", self.domain.reboot(0))
    }

    /// Presses its reset button.
    pub fn reset(&self) -> Result<(), LibvirtError> {
        self.wrap("reset", self.domain.reset()).map(drop)
    }

    /// Pulls its plug.
    pub fn force_off(&self) -> Result<(), LibvirtError> {
        self.wrap("force off", self.domain.destroy())
    }

    /// Stops its processors.
    pub fn pause(&self) -> Result<(), LibvirtError> {
        self.wrap("pause", self.domain.suspend()).map(drop)
    }

    /// Lets its processors go on.
    pub fn resume(&self) -> Result<(), LibvirtError> {
        self.wrap("resume", self.domain.resume()).map(drop)
    }

    /// Starts with the host from now on.
    pub fn enable_autostart(&self) -> Result<(), LibvirtError> {
        self.wrap("set the autostart of", self.domain.set_autostart(true)).map(drop)
    }

    /// Does not start with the host any more.
    pub fn disable_autostart(&self) -> Result<(), LibvirtError> {
        self.wrap("clear the autostart of", self.domain.set_autostart(false)).map(drop)
    }

    fn wrap<T>(&self, operation: &'static str, result: Result<T, VirtError>) -> Result<T, LibvirtError> {
        result.map_err(|error| LibvirtError::new(operation, format!("guest {}", self.name), &error))
    }
}

const fn impact(scope: Scope) -> u32 {
    match scope {
        Scope::Live => sys::VIR_DOMAIN_AFFECT_LIVE,
        Scope::Config => sys::VIR_DOMAIN_AFFECT_CONFIG,
    }
}

/// Whether a network starts with the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autostart {
    /// It does.
    On,
    /// Somebody starts it.
    Off,
}

/// A network of a connection. Its name is the one it had when it was looked up.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    network: Network,
    id: NetworkId,
    name: String,
    _open: Arc<Open>,
}

impl NetworkHandle {
    pub(super) fn new(network: Network, open: &Arc<Open>) -> Result<Self, LibvirtError> {
        let nameless = |error| LibvirtError::new("read the identity of", "a network", &error);
        let id = NetworkId(network.get_uuid().map_err(nameless)?.into_bytes());
        let name = network.get_name().map_err(nameless)?;
        Ok(Self { network, id, name, _open: Arc::clone(open) })
    }

    /// Its UUID.
    #[must_use]
    pub const fn id(&self) -> NetworkId {
        self.id
    }

    /// Its name; hostile text.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs now.
    pub fn is_active(&self) -> Result<bool, LibvirtError> {
        self.wrap("see whether it runs:", self.network.is_active())
    }

    /// Has a definition that survives its stop.
    pub fn is_persistent(&self) -> Result<bool, LibvirtError> {
        self.wrap("see whether it is persistent:", self.network.is_persistent())
    }

    /// Starts with the daemon.
    pub fn autostart(&self) -> Result<bool, LibvirtError> {
        self.wrap("read the autostart of", self.network.get_autostart())
    }

    /// One of its definitions. The live one of an inactive network is the next one; a driver that knows
    /// only one (`test:///`) gives that.
    pub fn xml(&self, scope: Scope) -> Result<String, LibvirtError> {
        let read = |flags| self.wrap("read the definition of", self.network.get_xml_desc(flags));
        match scope {
            Scope::Live => read(0),
            Scope::Config => match read(sys::VIR_NETWORK_XML_INACTIVE) {
                Err(error) if error.kind == ErrorKind::Unsupported => read(0),
                xml => xml,
            },
        }
    }

    /// The current leases of its DHCP server, by address; empty where it has none.
    pub fn leases(&self) -> Result<Vec<Lease>, LibvirtError> {
        match self.wrap("read the leases of", ffi::dhcp_leases(&self.network)) {
            Ok(raw) => {
                let mut leases: Vec<Lease> = raw.into_iter().filter_map(lease).collect();
                leases.sort_by_key(|lease| (lease.address.addr(), lease.mac));
                Ok(leases)
            }
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Starts it: makes its bridge, its DHCP server and its firewall rules.
    pub fn start(&self) -> Result<(), LibvirtError> {
        self.wrap("start", self.network.create()).map(drop)
    }

    /// Stops it. Taps of running guests lose their bridge, and do not get it back by a start.
    pub fn stop(&self) -> Result<(), LibvirtError> {
        self.wrap("stop", self.network.destroy())
    }

    /// Starts with the daemon from now on, or no longer.
    pub fn set_autostart(&self, autostart: Autostart) -> Result<(), LibvirtError> {
        let on = autostart == Autostart::On;
        self.wrap("set the autostart of", self.network.set_autostart(on)).map(drop)
    }

    /// Puts an element in or takes it out: in the definition, and in the running network when it is active.
    pub fn update(&self, update: &Update) -> Result<(), LibvirtError> {
        let element = no_nul("update", &update.element)?;
        let command = match update.change {
            UpdateChange::Add => sys::VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
            UpdateChange::Delete => sys::VIR_NETWORK_UPDATE_COMMAND_DELETE,
        };
        let section = match update.section {
            Section::DhcpHost => sys::VIR_NETWORK_SECTION_IP_DHCP_HOST,
            Section::DhcpRange => sys::VIR_NETWORK_SECTION_IP_DHCP_RANGE,
            Section::DnsHost => sys::VIR_NETWORK_SECTION_DNS_HOST,
            Section::Portgroup => sys::VIR_NETWORK_SECTION_PORTGROUP,
        };
        let mut flags = 0;
        if self.is_active()? {
            flags |= sys::VIR_NETWORK_UPDATE_AFFECT_LIVE;
        }
        if self.is_persistent()? {
            flags |= sys::VIR_NETWORK_UPDATE_AFFECT_CONFIG;
        }
        // -1: the only place there is.
        let parent = update.subnet.and_then(|at| i32::try_from(at).ok()).unwrap_or(-1);
        let updated = self.network.update(command, section, parent, element, flags);
        self.wrap("update", updated)
    }

    /// Forgets its persistent definition; an active one goes on until it is stopped.
    pub fn undefine(&self) -> Result<(), LibvirtError> {
        self.wrap("undefine", self.network.undefine())
    }

    fn wrap<T>(&self, operation: &'static str, result: Result<T, VirtError>) -> Result<T, LibvirtError> {
        result.map_err(|error| LibvirtError::new(operation, format!("network {}", self.name), &error))
    }
}

fn address(text: &str, prefix: u32) -> Option<IpNet> {
    IpNet::new(text.parse().ok()?, u8::try_from(prefix).ok()?).ok()
}

fn lease(raw: ffi::RawLease) -> Option<Lease> {
    let seconds = u64::try_from(raw.expires).ok().filter(|seconds| *seconds > 0);
    Some(Lease {
        mac: raw.mac.and_then(|mac| mac.parse().ok()),
        address: address(raw.address.as_deref()?, raw.prefix)?,
        hostname: raw.hostname,
        expires: seconds.map(|seconds| Timestamp(seconds.saturating_mul(1000))),
    })
}

fn agent_addresses(raw: ffi::RawInterface) -> Vec<AgentAddress> {
    let name = raw.name.unwrap_or_default();
    let Some(mac) = raw.mac.and_then(|mac| mac.parse().ok()).filter(|mac| *mac != Mac([0; 6])) else {
        return Vec::new();
    };
    let addresses = raw.addresses.iter().filter_map(|(text, prefix)| address(text, *prefix));
    addresses.map(|address| AgentAddress { mac, name: name.clone(), address }).collect()
}
