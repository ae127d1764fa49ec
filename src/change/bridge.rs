//! A bridge over a NIC of the host, made without locking anybody out: [`plan`] is pure, [`kernel`] does
//! the steps, [`record`] keeps them on disk with their way back, and [`agent`] is a process of its own
//! that takes everything back unless somebody confirms in time.
//!
//! ```text
//!  virt-net bridge create ── plan ── record (fsync) ── agent: steps → proof → waiting ── confirm ─→ kept
//!                                                            └── error, deadline, rollback, death ─→ undone
//! ```

pub mod agent;
pub mod kernel;
pub mod plan;
pub mod record;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{IfName, KernelFacts, Mac};

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
    },
    /// A bridge taken away; its only port gets the addresses and routes back.
    Delete {
        /// The bridge.
        bridge: IfName,
    },
    /// One more port.
    AddPort {
        /// The bridge.
        bridge: IfName,
        /// The link.
        port: IfName,
    },
    /// One port less.
    RemovePort {
        /// The bridge.
        bridge: IfName,
        /// The link.
        port: IfName,
    },
}

/// Spanning tree of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stp {
    /// On, with this forward delay in hundredths of a second.
    On {
        /// A port forwards after twice this.
        forward_delay: u32,
    },
    /// Off: a port forwards at once.
    Off,
}

/// One change of the kernel. Each can be done again without harm: what is already so is left so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Makes a bridge and sets it up.
    AddBridge {
        /// Its name.
        bridge: IfName,
        /// Its MAC: the NIC's, so that nobody on the LAN sees a new machine.
        mac: Option<Mac>,
        /// Bytes per packet.
        mtu: u32,
        /// Spanning tree.
        stp: Stp,
    },
    /// Takes a bridge away.
    DeleteBridge {
        /// Its name.
        bridge: IfName,
    },
    /// Makes a link a port.
    Attach {
        /// The link.
        port: IfName,
        /// Its bridge.
        bridge: IfName,
    },
    /// Frees a port.
    Detach {
        /// The link.
        port: IfName,
    },
    /// Moves all addresses and routes of a link to another one, with their lifetimes and metrics.
    Move {
        /// Where they are.
        from: IfName,
        /// Where they go.
        to: IfName,
    },
}

impl Step {
    /// What is done, in words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::AddBridge { bridge, mtu, stp, .. } => {
                let stp = if *stp == Stp::Off { "off" } else { "on" };
                format!("make bridge {bridge} (MTU {mtu}, STP {stp}, MAC of the port)")
            }
            Self::DeleteBridge { bridge } => format!("delete bridge {bridge}"),
            Self::Attach { port, bridge } => format!("make {port} a port of {bridge}"),
            Self::Detach { port } => format!("take {port} out of its bridge"),
            Self::Move { from, to } => format!("move the addresses and routes of {from} to {to}"),
        }
    }
}

/// What the kernel must show when a change is done, or undone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expect {
    /// Links and their bridge; a port must forward.
    pub masters: Vec<(IfName, Option<IfName>)>,
    /// Links and the addresses on them.
    pub addresses: Vec<(IfName, IpNet)>,
    /// Links that must not be there.
    pub absent: Vec<IfName>,
}

impl Expect {
    /// The first thing that is not as it must be, in words.
    #[must_use]
    pub fn missing(&self, kernel: &KernelFacts) -> Option<String> {
        let link = |name: IfName| kernel.links.iter().find(|link| link.name == name);
        let master = self.masters.iter().find_map(|(port, bridge)| {
            let Some(found) = link(*port) else { return Some(format!("{port} is not there")) };
            let is = found.master.and_then(|index| kernel.links.iter().find(|link| link.index == index));
            match (is.map(|link| link.name), bridge) {
                (is, wanted) if is == *wanted && found.forwards() => None,
                (is, wanted) if is == *wanted => Some(format!("port {port} does not forward yet")),
                (_, Some(bridge)) => Some(format!("{port} is no port of {bridge}")),
                (_, None) => Some(format!("{port} is still a port")),
            }
        });
        let address = || {
            self.addresses.iter().find_map(|(name, address)| {
                let index = link(*name).map(|link| link.index);
                let there = kernel.addresses.iter().any(|a| Some(a.index) == index && a.address == *address);
                (!there).then(|| format!("{address} is not on {name}"))
            })
        };
        let absent = || {
            let found = self.absent.iter().find(|name| link(**name).is_some());
            found.map(|name| format!("{name} is still there"))
        };
        master.or_else(address).or_else(absent)
    }
}

/// Everything that will be done, and the way back. Made by [`plan::plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgePlan {
    /// What it is called: `make bridge virbr1 over eth0`.
    pub title: String,
    /// In order.
    pub steps: Vec<Step>,
    /// What takes it back, in order, from any point in the middle too.
    pub undo: Vec<Step>,
    /// What must be so afterwards.
    pub after: Expect,
    /// What must be so when it was taken back.
    pub before: Expect,
    /// Neighbours that answered before and must answer afterwards.
    pub gateways: Vec<IpAddr>,
    /// The operator's own session goes over a link that changes.
    pub risk: Option<String>,
    /// What else comes of it. May hold guests' names: hostile text.
    pub consequences: Vec<String>,
}
