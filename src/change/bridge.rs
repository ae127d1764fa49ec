//! A bridge over a NIC of the host, made without locking anybody out: [`plan`] is pure, [`hands`] does
//! the steps, [`record`] keeps them on disk with their way back, and [`agent`] is a process of its own
//! that takes everything back unless somebody confirms in time.
//!
//! ```text
//!  virt-net bridge create ── plan ── record (fsync) ── agent: steps → proof → waiting ── confirm ─→ kept
//!                                                            └── error, deadline, rollback, death ─→ undone
//! ```
//!
//! **Reboot.** Until somebody confirms, nothing that a boot reads is changed: a network manager gets
//! its new configuration in `/run`, which a reboot empties, and the files in `/etc` are replaced only
//! after the confirmation, each one whole, by a rename. So after a reboot in between the old state
//! stands, without anything that has to be put back. Whether the files *can* be replaced is tried
//! before the first step: they are written in full beside the old ones, under names no manager reads.

pub mod agent;
pub mod by_hand;
pub mod client;
pub mod course;
pub mod evidence;
pub mod expect;
pub mod files;
pub mod hands;
pub mod kernel;
pub mod neighbour;
pub mod persist;
pub mod picture;
pub mod plan;
pub mod record;
mod secrets;
pub mod step;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::kernel::Link;
use crate::model::{IfName, KernelFacts};

pub use expect::Expect;
pub use persist::Backend;
pub use picture::Row;
pub use step::{FileChange, Step, Stp};

/// What somebody wants done with a bridge of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BridgeWant {
    /// A new bridge over a NIC, which hands it its addresses and routes.
    Create {
        /// The new bridge.
        bridge: IfName,
        /// The NIC.
        port: IfName,
        /// Spanning tree.
        stp: Stp,
        /// Where the bridge's address comes from.
        address: Addressing,
        /// What the next boot makes of it.
        persist: Lasting,
    },
    /// A bridge taken away; its only port gets the addresses and routes back.
    Delete {
        /// The bridge.
        bridge: IfName,
        /// What the next boot makes of it.
        persist: Lasting,
    },
    /// One more port.
    AddPort {
        /// The bridge.
        bridge: IfName,
        /// The link.
        port: IfName,
        /// What the next boot makes of it.
        persist: Lasting,
    },
    /// One port less.
    RemovePort {
        /// The bridge.
        bridge: IfName,
        /// The link.
        port: IfName,
        /// What the next boot makes of it.
        persist: Lasting,
    },
    /// Addresses and routes that were left on a port go to its bridge, until the next boot.
    MoveAddresses {
        /// The bridge.
        bridge: IfName,
        /// The port that has them.
        port: IfName,
    },
}

impl BridgeWant {
    /// The port that it is about.
    #[must_use]
    pub const fn port(&self) -> Option<IfName> {
        match self {
            Self::Create { port, .. }
            | Self::AddPort { port, .. }
            | Self::RemovePort { port, .. }
            | Self::MoveAddresses { port, .. } => Some(*port),
            Self::Delete { .. } => None,
        }
    }

    /// The link whose owner decides how it is done.
    #[must_use]
    pub const fn owned(&self) -> IfName {
        match self {
            Self::Create { port, .. } | Self::MoveAddresses { port, .. } => *port,
            Self::Delete { bridge, .. } | Self::AddPort { bridge, .. } | Self::RemovePort { bridge, .. } => {
                *bridge
            }
        }
    }

    /// The bridge.
    #[must_use]
    pub const fn bridge(&self) -> IfName {
        match self {
            Self::Create { bridge, .. }
            | Self::Delete { bridge, .. }
            | Self::AddPort { bridge, .. }
            | Self::RemovePort { bridge, .. }
            | Self::MoveAddresses { bridge, .. } => *bridge,
        }
    }

    /// What the next boot makes of it.
    #[must_use]
    pub const fn persist(&self) -> Lasting {
        match self {
            Self::Create { persist, .. }
            | Self::Delete { persist, .. }
            | Self::AddPort { persist, .. }
            | Self::RemovePort { persist, .. } => *persist,
            Self::MoveAddresses { .. } => Lasting::No,
        }
    }
}

/// Where the new bridge's address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// It takes over what the NIC has.
    #[default]
    Move,
    /// From a DHCP server.
    Dhcp,
    /// This one.
    Static(IpNet),
}

impl FromStr for Addressing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "move" => Ok(Self::Move),
            "dhcp" => Ok(Self::Dhcp),
            cidr if cidr.contains('/') => {
                let wrong = |_| format!("{cidr} is no address with a prefix");
                let address: IpNet = cidr.parse().map_err(wrong)?;
                let is_host =
                    address.addr() != address.network() || address.prefix_len() == address.max_prefix_len();
                let is_usable = is_host && !address.addr().is_multicast() && !address.addr().is_loopback();
                if is_usable {
                    Ok(Self::Static(address))
                } else {
                    Err(format!("{cidr} is no host's address"))
                }
            }
            _ => Err("expected move, dhcp or an address with its prefix, as 10.0.0.88/24".to_owned()),
        }
    }
}

/// Who is to write it down for the next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lasting {
    /// Whoever owns the NIC.
    #[default]
    Auto,
    /// Nobody: it lasts until the next boot.
    No,
    /// This one; refused when it does not own the NIC.
    By(Backend),
}

/// A next hop, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Gateway {
    /// Its address; a link-local one is another neighbour on every link.
    pub address: IpAddr,
    /// By this link before the change.
    pub before: IfName,
    /// By this link afterwards.
    pub after: IfName,
}

impl fmt::Display for Gateway {
    /// As `ping` takes it afterwards.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V6(address) if address.is_unicast_link_local() => write!(f, "{address}%{}", self.after),
            address => write!(f, "{address}"),
        }
    }
}

/// How the owner of a bridge takes it away, and brings it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The owner.
    pub backend: Backend,
    /// Takes it away; empty when the kernel alone does.
    pub down: Vec<Step>,
    /// Brings it back.
    pub up: Vec<Step>,
}

/// Everything that will be done, and the way back. Made by [`plan::plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgePlan {
    /// What it is called: `make bridge virbr1 over eth0`.
    pub title: String,
    /// The bridge.
    pub bridge: IfName,
    /// In order.
    pub steps: Vec<Step>,
    /// What takes it back, in order, from any point in the middle too.
    pub undo: Vec<Step>,
    /// Files that are put in place when it is confirmed, in order.
    pub lasting: Vec<FileChange>,
    /// What is done when it is confirmed, after the files.
    pub keep: Vec<Step>,
    /// What is remembered of a bridge that is kept.
    pub memory: Option<Memory>,
    /// Who writes it down for the next boot; `None` when nobody does.
    pub backend: Option<Backend>,
    /// Who owns the NIC and how that was seen.
    pub owner: String,
    /// What must be so afterwards.
    pub after: Expect,
    /// What must be so when it was taken back.
    pub before: Expect,
    /// Neighbours that answered before and must answer afterwards.
    pub gateways: Vec<Gateway>,
    /// The operator's own session goes over a link that changes.
    pub risk: Option<String>,
    /// How long connections over the NIC stall.
    pub stall: String,
    /// Links, addresses and routes before and after.
    pub picture: Vec<Row>,
    /// What else comes of it. May hold guests' names: hostile text.
    pub consequences: Vec<String>,
}

impl BridgePlan {
    /// Whether this link is the bridge that this plan makes: it has the MAC of the port.
    #[must_use]
    pub fn made(&self, bridge: &Link, kernel: &KernelFacts) -> bool {
        let port = self.after.masters.first().map(|(port, _)| *port);
        let port = kernel.links.iter().find(|link| Some(link.name) == port);
        port.is_none_or(|port| port.mac == bridge.mac)
    }

    /// The way back leaves the bridge alone: another one has taken its name.
    pub fn leave_bridge(&mut self) {
        let bridge = self.bridge;
        self.undo.retain(|step| match step {
            Step::DeleteBridge { bridge: link }
            | Step::Move { from: link, .. }
            | Step::DropAddress { link, .. }
            | Step::StopClient { link }
            | Step::DropOthers { link, .. } => *link != bridge,
            _ => true,
        });
        // The clients of its maker go on; the NIC's own must run.
        for step in &mut self.undo {
            if let Step::MoveClient { from, to, .. } = step
                && *from == bridge
            {
                *from = *to;
            }
        }
        self.before.absent.retain(|link| *link != bridge);
    }

    /// The same for showing: what profiles keep secret is left out.
    pub fn shown(&self) -> Self {
        let mut shown = self.clone();
        let files = shown.lasting.iter_mut();
        files.for_each(FileChange::hide_secrets);
        for step in shown.steps.iter_mut().chain(&mut shown.undo).chain(&mut shown.keep) {
            if let Step::Put { file } | Step::PutBack { file } = step {
                file.hide_secrets();
            }
        }
        shown
    }
}
