//! A connection to libvirt, with the operations this program uses, by name.
//!
//! Every call blocks until the daemon answers; callers run on threads of their own and are watched from
//! outside. Nothing here prompts: a connection that would need a password fails instead.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt::network::Network;
use virt::storage_pool::StoragePool;
use virt::sys;

use super::closing::Open;
use super::error::{ErrorKind, LibvirtError};
use super::ffi;
use super::objects::{GuestHandle, NetworkHandle};
use crate::model::emulator::EmulatorKey;
use crate::model::{DomainId, NetworkId, PciNic, node_device};

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look only; for everybody where the daemon's read-only socket is open.
    ReadOnly,
    /// Change too, and ask guest agents.
    ReadWrite,
}

impl Access {
    /// Whether opening it surely asks for no password on the local host: root, the user's own daemon, or a
    /// socket that a group may write but not everybody (where everybody may, polkit decides and may ask).
    pub(super) fn is_free_of_prompts(self, uri: &str) -> bool {
        if self == Self::ReadOnly || !uri.starts_with("qemu:///system") {
            return uri.split_once(':').is_some_and(|(_, rest)| rest.starts_with("///"));
        }
        nix::unistd::geteuid().is_root() || WRITING_SOCKETS.iter().any(|path| is_for_our_group(path))
    }
}

const WRITING_SOCKETS: [&str; 2] = ["/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"];

fn is_for_our_group(socket: &str) -> bool {
    let Ok(metadata) = std::fs::metadata(socket) else { return false };
    let everybody = metadata.permissions().mode() & 0o002 != 0;
    !everybody && nix::unistd::access(socket, nix::unistd::AccessFlags::W_OK).is_ok()
}

/// An open connection. Clones, and the handles of its objects, share it; it may be used from several threads at
/// once. It is closed when the last of them is dropped, which holds nobody up.
#[derive(Debug, Clone)]
pub struct Connection {
    open: Arc<Open>,
    uri: String,
    access: Access,
}

impl Connection {
    /// Time between two keepalive messages in seconds, and how many may stay unanswered.
    const KEEPALIVE: (i32, u32) = (5, 3);

    /// Opens a connection; blocks until the daemon answers.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] without the right to, [`ErrorKind::Disconnected`] when no daemon is there.
    pub fn open(uri: &str, access: Access) -> Result<Self, LibvirtError> {
        ffi::start_event_loop();
        let uri = no_nul("connect to", uri)?;
        let open = Open::new(|| match access {
            Access::ReadOnly => Connect::open_read_only(Some(uri)),
            Access::ReadWrite => Connect::open(Some(uri)),
        });
        let open = open.map_err(|error| LibvirtError::new("connect to", uri, &error))?;
        let (interval, count) = Self::KEEPALIVE;
        // Drivers inside this process (test:///) have none, and need none.
        if let Err(error) = open.connect().set_keep_alive(interval, count) {
            tracing::debug!("no keepalive on {uri}: {}", error.message());
        }
        Ok(Self { open: Arc::new(open), uri: uri.to_owned(), access })
    }

    /// What it may do.
    #[must_use]
    pub const fn access(&self) -> Access {
        self.access
    }

    /// False once the daemon is gone: then every handle is dead and a new connection must be opened.
    /// Looks only at what is known here, asks nobody.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.connect().is_alive().unwrap_or(false)
    }

    /// The daemon's version (`9.0.0`). Cheap: also serves to see whether the daemon answers.
    pub fn version(&self) -> Result<String, LibvirtError> {
        let version =
            self.connect().get_lib_version().map_err(|error| self.error("ask the version of", &error))?;
        Ok(format!("{}.{}.{}", version / 1_000_000, version / 1000 % 1000, version % 1000))
    }

    /// All guests, running or not, in no order.
    pub fn guests(&self) -> Result<Vec<GuestHandle>, LibvirtError> {
        let domains = self.connect().list_all_domains(0);
        domains
            .map_err(|error| self.error("list the guests of", &error))?
            .into_iter()
            .map(|domain| GuestHandle::new(domain, &self.open))
            .collect()
    }

    /// The guest with this UUID.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] when there is none.
    pub fn domain(&self, id: DomainId) -> Result<GuestHandle, LibvirtError> {
        let found = Domain::lookup_by_uuid_string(self.connect(), &id.to_string());
        let found = found.map_err(|error| LibvirtError::new("look up guest", id.to_string(), &error))?;
        GuestHandle::new(found, &self.open)
    }

    /// All networks, active or not, in no order. Empty for a driver that has none.
    pub fn networks(&self) -> Result<Vec<NetworkHandle>, LibvirtError> {
        match self.connect().list_all_networks(0).map_err(|error| self.error("list the networks of", &error))
        {
            Ok(networks) => {
                networks.into_iter().map(|network| NetworkHandle::new(network, &self.open)).collect()
            }
            Err(error) if error.kind == ErrorKind::Unsupported => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The NICs among the PCI node devices; only those until `enough` says so, because each is a call of its own
    /// and there may be hundreds. Empty for a daemon that knows of none.
    pub fn node_nics(&self, enough: impl Fn() -> bool) -> Result<Vec<PciNic>, LibvirtError> {
        let listed = self.connect().list_all_node_devices(sys::VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV);
        let devices = match listed.map_err(|error| self.error("list the node devices of", &error)) {
            Ok(devices) => devices,
            Err(error) if error.kind == ErrorKind::Unsupported => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        // One that goes meanwhile, or that cannot be read, is left out.
        let nic = |xml: String| {
            let parsed = node_device::parse(&xml);
            parsed.inspect_err(|error| tracing::warn!("{error}")).ok().flatten()
        };
        let devices = devices.iter().take_while(|_| !enough());
        let mut nics: Vec<PciNic> =
            devices.filter_map(|device| device.get_xml_desc(0).ok().and_then(nic)).collect();
        nics.sort_by_key(|nic| nic.address);
        Ok(nics)
    }

    /// The network with this UUID.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] when there is none.
    pub fn network(&self, id: NetworkId) -> Result<NetworkHandle, LibvirtError> {
        let found = Network::lookup_by_uuid_string(self.connect(), &id.to_string());
        let found = found.map_err(|error| LibvirtError::new("look up network", id.to_string(), &error))?;
        NetworkHandle::new(found, &self.open)
    }

    /// Defines a network, or changes the definition of the one with its UUID or name; does not start it.
    pub fn define_network(&self, xml: &str) -> Result<NetworkHandle, LibvirtError> {
        let defined = Network::define_xml(self.connect(), no_nul("define a network on", xml)?);
        NetworkHandle::new(defined.map_err(|error| self.error("define a network on", &error))?, &self.open)
    }

    /// All storage pools, active or not: name, and directory where it has one. Empty for a driver without.
    pub fn pools(&self) -> Result<Vec<(String, Option<PathBuf>)>, LibvirtError> {
        let pools = match self.connect().list_all_storage_pools(0) {
            Ok(pools) => pools,
            Err(error) => {
                let error = self.error("list the storage pools of", &error);
                return if error.kind == ErrorKind::Unsupported { Ok(Vec::new()) } else { Err(error) };
            }
        };
        let read = |pool: &StoragePool| -> Result<_, VirtError> {
            Ok((pool.get_name()?, path_of_pool(&pool.get_xml_desc(0)?)))
        };
        // One that went meanwhile is not there.
        Ok(pools.iter().filter_map(|pool| read(pool).ok()).collect())
    }

    /// What an emulator can do: `virConnectGetDomainCapabilities`. Needs a writable connection; blocks while
    /// libvirt probes an emulator that it does not know yet.
    pub fn domain_capabilities(&self, key: &EmulatorKey) -> Result<String, LibvirtError> {
        const OPERATION: &str = "ask for the domain capabilities of";
        let parts = [&key.emulator, &key.arch, &key.machine, &key.virt_type];
        for part in parts.into_iter().flatten() {
            no_nul(OPERATION, part)?;
        }
        let [emulator, arch, machine, virt_type] = parts.map(Option::as_deref);
        let answer = self.connect().get_domain_capabilities(emulator, arch, machine, virt_type, 0);
        answer.map_err(|error| self.error(OPERATION, &error))
    }

    fn connect(&self) -> &Connect {
        self.open.connect()
    }

    pub(super) const fn open_share(&self) -> &Arc<Open> {
        &self.open
    }

    fn error(&self, operation: &'static str, error: &VirtError) -> LibvirtError {
        LibvirtError::new(operation, &self.uri, error)
    }
}

/// `<pool><target><path>`.
fn path_of_pool(xml: &str) -> Option<PathBuf> {
    let document = roxmltree::Document::parse(xml).ok()?;
    let target = document.root_element().children().find(|node| node.has_tag_name("target"))?;
    let path = target.children().find(|node| node.has_tag_name("path"))?;
    path.text().map(PathBuf::from)
}

/// C strings end at NUL, and the `virt` crate panics on one inside.
pub(super) fn no_nul<'a>(operation: &'static str, text: &'a str) -> Result<&'a str, LibvirtError> {
    if !text.contains('\0') {
        return Ok(text);
    }
    Err(LibvirtError {
        operation,
        object: text.replace('\0', "\\0"),
        kind: ErrorKind::Other,
        message: "a NUL character".to_owned(),
    })
}
