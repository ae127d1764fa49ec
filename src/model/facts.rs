//! The whole input of the model: what each source read, with its health. `dump` writes it,
//! `--replay` reads it, and the live collector hands out the same thing.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::emulator::Emulator;
use super::firewall::FirewallFacts;
use super::guest::Guest;
use super::ids::{IfName, Mac, Timestamp};
use super::kernel::{CounterTable, KernelFacts};
use super::network::Network;
use super::pci::{PciFacts, PciNic};
use super::services::ServiceFacts;

/// Everything that was read, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// When the counters were read.
    pub taken_at: Timestamp,
    /// The host itself.
    pub host: HostFacts,
    /// How each source fares.
    pub health: Health,
    /// Guests and networks.
    pub libvirt: Arc<LibvirtFacts>,
    /// Links and what hangs on them.
    pub kernel: Arc<KernelFacts>,
    /// Counters of all links, from the host's side.
    pub counters: Arc<CounterTable>,
    /// Firewall rules.
    pub firewall: Arc<FirewallFacts>,
    /// Programs of the host that guests depend on.
    #[serde(default)]
    pub services: Arc<ServiceFacts>,
    /// PCI NICs of this machine.
    #[serde(default)]
    pub pci: Arc<PciFacts>,
    /// Addresses seen in guests' packets, one per NIC.
    #[serde(default)]
    pub seen: Vec<SeenAddress>,
}

/// An address seen in a packet of a guest's NIC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenAddress {
    /// The NIC.
    pub mac: Mac,
    /// The address.
    pub address: IpAddr,
    /// The bridge, or the link below a macvtap, that the NIC was on; it says nothing about another one.
    #[serde(default)]
    pub on: Option<IfName>,
    /// When.
    pub at: Timestamp,
}

/// The host and the session.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// The host's name.
    pub name: String,
    /// The libvirt URI in use.
    pub uri: String,
    /// Effective user is root.
    pub root: bool,
    /// The address of the operator's own end, from `SSH_CONNECTION`.
    pub ssh_peer: Option<std::net::IpAddr>,
    /// libvirtd runs on another machine or in another network namespace than this program: the names it
    /// gives mean other links than the ones seen here.
    pub foreign_namespace: bool,
    /// libvirt's version, `9.0.0`.
    pub libvirt_version: Option<String>,
    /// The link that carries the operator's session, if it can be told.
    pub ssh_link: Option<IfName>,
}

/// What libvirt said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LibvirtFacts {
    /// All guests, by name.
    pub guests: Vec<Guest>,
    /// All networks, by name.
    pub networks: Vec<Network>,
    /// What the guests' emulators can do; comes a moment after the guests.
    #[serde(default)]
    pub emulators: Vec<Emulator>,
    /// NICs among libvirt's node devices; `None` until somebody needs them.
    #[serde(default)]
    pub node_nics: Option<Vec<PciNic>>,
}

/// One state per source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// libvirt.
    pub libvirt: SourceState,
    /// rtnetlink.
    pub kernel: SourceState,
    /// nf_tables.
    pub firewall: SourceState,
}

/// How a source fares. Its last figures stay on the screen, with their age, whatever this says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum SourceState {
    /// Nothing has been read yet.
    #[default]
    Starting,
    /// The figures are current.
    Ok,
    /// The source answers no more (hung), figures are as of then.
    Stale {
        /// Last good read.
        since: Timestamp,
        /// What it is waiting for.
        reason: String,
    },
    /// A right is missing.
    Denied {
        /// What to do about it.
        hint: String,
    },
    /// Not there; reconnecting.
    Down {
        /// When it went.
        since: Timestamp,
        /// The error in a sentence.
        error: String,
    },
}

impl SourceState {
    /// The figures are current.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok)
    }
}

/// A recording: several [`Facts`] in time, so that rates can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Version of this format; see [`Recording::SCHEMA`].
    pub schema: u32,
    /// The version of virt-net that wrote it.
    pub program: String,
    /// In order of time; at least one.
    pub frames: Vec<Facts>,
}

impl Recording {
    /// The format this program writes and reads.
    pub const SCHEMA: u32 = 1;
}
