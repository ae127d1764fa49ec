//! PURE. The macvtap host shim: a macvlan in bridge mode on the NIC below the guests' macvtaps, and one route
//! to each guest by it, so that host and guests can talk. [`plan`] makes the plan, `apply::shim` carries it out.
//!
//! ```text
//!  guest ─ macvtap ┐
//!                  ├─ handed on within eth0 ─ eth0-shim ─ host: 10.0.0.208/32 dev eth0-shim src 10.0.0.8
//!  LAN ─── eth0 ───┘                          (eth0, its addresses and its routes stay as they are)
//! ```
//!
//! **Why so** (tried with Linux 6.18). The shim needs no address: the host uses the NIC's own one as the source,
//! and the kernel answers ARP for any of the host's addresses on any link. That is also the danger: the shim
//! hears the LAN's ARP requests too, and would answer them with its own MAC. LAN, gateway and the operator's
//! session would go by the shim then, and a strict `rp_filter` would drop them. With `arp_filter` on the shim,
//! set while it is still down, it answers only those to whom the host has a route by it: the guests. Nothing of
//! the NIC is touched. Where `net.ipv4.conf.all.arp_ignore` lets a link answer only for addresses of its own,
//! the shim must have one: a spare one that only the guests use. IPv6 has no such filter and a link answers
//! only for its own addresses, so there a spare one is always needed; without one IPv6 is off on the shim, so
//! that no router's announcement gives the host a second way.

pub mod persist;
pub mod plan;
pub mod step;

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::bridge::persist::{Backend, Owner, Text};
use super::bridge::{FileChange, Lasting, Row};
use super::undo::Came;
use crate::model::kernel::{KernelFacts, Link, LinkKind};
use crate::model::unfinished::{Changed, Unfinished};
use crate::model::{IfName, MacvtapMode, Snapshot, Timestamp};

pub use step::ShimStep;

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShimWant {
    /// A shim over a NIC; where there is one, it gets the routes that it must have now.
    Create {
        /// The NIC below the macvtaps.
        over: IfName,
        /// Spare addresses for the host's end, one of each family at most.
        addresses: Vec<IpAddr>,
        /// Guests that are not known by their address.
        to: Vec<IpNet>,
        /// What the next boot makes of it.
        persist: Lasting,
    },
    /// The shim goes, and what was written for the next boot.
    Delete {
        /// Its name.
        shim: IfName,
    },
    /// What was there before a change comes back.
    Back {
        /// What was done.
        done: Box<ShimPlan>,
        /// When it began, and how far it came.
        takes: TakesBack,
    },
}

/// Which change a plan takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakesBack {
    /// When it began.
    pub begun: Timestamp,
    /// How far it came.
    pub came: Came,
}

impl ShimWant {
    /// The NIC it is about.
    #[must_use]
    pub fn over(&self, snapshot: &Snapshot) -> Option<IfName> {
        match self {
            Self::Create { over, .. } => Some(*over),
            Self::Back { done, .. } => Some(done.over),
            Self::Delete { shim } => {
                let lower = snapshot.link_named(*shim)?.lower?;
                snapshot.link(lower).map(|link| link.name)
            }
        }
    }

    /// The shim it is about: the one that is there, or a free name.
    #[must_use]
    pub fn shim(&self, snapshot: &Snapshot) -> Option<IfName> {
        match self {
            Self::Create { over, .. } => {
                of_link(snapshot, *over).map(|link| link.name).or_else(|| plan::free_name(snapshot, *over))
            }
            Self::Delete { shim } => Some(*shim),
            Self::Back { done, .. } => Some(done.shim),
        }
    }
}

/// What was found about the NIC's owner and in files of earlier shims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShimEvidence {
    /// The NIC's owners, the one in charge first.
    pub owners: Vec<Owner>,
    /// Files that virt-net wrote for this shim.
    pub own_files: Vec<Text>,
    /// What is in [`persist::IFUP_LOCAL`].
    pub ifup_local: Option<String>,
    /// What is in the files now that a change wrote which is to be taken back.
    pub written: Vec<(PathBuf, Option<String>)>,
    /// `net.ipv4.conf.SHIM.arp_filter` of a shim that is there.
    pub arp_filter: Option<u8>,
    /// For a profile of NetworkManager.
    pub uuid: String,
}

/// Everything that will be done, and the way back.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimPlan {
    /// `make shim eth0-shim over eth0`.
    pub title: String,
    /// The shim.
    pub shim: IfName,
    /// The NIC below.
    pub over: IfName,
    /// In order; empty when the kernel has it so.
    pub steps: Vec<ShimStep>,
    /// What takes it back, in order, from any point in the middle too.
    pub undo: Vec<ShimStep>,
    /// Files for the next boot, put in place when all is proven.
    pub lasting: Vec<FileChange>,
    /// Who reads them.
    pub backend: Option<Backend>,
    /// What must be so afterwards.
    pub after: After,
    /// What was so before.
    pub before: After,
    /// Why the next boot will not have it so; `None`: it will.
    pub until_boot: Option<String>,
    /// The change that it takes back.
    pub takes_back: Option<TakesBack>,
    /// Links, addresses and routes before and after.
    pub picture: Vec<Row>,
    /// What it means. May hold guests' names: hostile text.
    pub consequences: Vec<String>,
    /// The same by hand.
    pub commands: Vec<String>,
}

impl ShimPlan {
    /// There is nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.steps.is_empty() && self.lasting.is_empty()
    }

    /// The plan of a change that did not come to its end, if it is of a shim.
    #[must_use]
    pub fn of_unfinished(left: &Unfinished) -> Option<Self> {
        matches!(left.of, Changed::Shim(_)).then(|| serde_json::from_str(&left.plan).ok())?
    }

    /// All that is done, in order and in words.
    #[must_use]
    pub fn step_words(&self) -> Vec<String> {
        let files = self.lasting.iter().map(file_words);
        self.steps.iter().map(ShimStep::text).chain([PROOF.to_owned()]).chain(files).collect()
    }
}

/// What the last step before the files is called.
pub const PROOF: &str = "seen in the kernel; the NIC's own addresses and routes are as before";

/// What is done with a file, in words.
#[must_use]
pub fn file_words(file: &FileChange) -> String {
    let path = file.path.display();
    match &file.after {
        same if *same == file.before => format!("see that {path} is as it was"),
        Some(_) => format!("write {path}"),
        None => format!("remove {path}"),
    }
}

/// What the kernel must show of the shim afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum After {
    /// It is there, with these and no other addresses and routes.
    There {
        /// Its addresses.
        addresses: Vec<IpNet>,
        /// Where its routes lead to.
        routes: Vec<IpNet>,
    },
    /// It is gone.
    Gone,
}

impl After {
    /// What the kernel shows of it now.
    #[must_use]
    pub fn now(shim: IfName, kernel: &KernelFacts) -> Self {
        let Some(link) = kernel.links.iter().find(|link| link.name == shim) else { return Self::Gone };
        let addresses = global(kernel, link);
        let routes = routes_by(kernel, link).map(|route| route.destination);
        let routes = routes.filter(|route| !addresses.contains(route)).collect();
        Self::There { addresses, routes }
    }

    /// Where its routes lead to.
    #[must_use]
    pub fn routes(&self) -> &[IpNet] {
        match self {
            Self::There { routes, .. } => routes,
            Self::Gone => &[],
        }
    }

    /// The first thing that is not as it must be, in words.
    #[must_use]
    pub fn missing(&self, shim: IfName, kernel: &KernelFacts) -> Option<String> {
        let link = kernel.links.iter().find(|link| link.name == shim);
        let (addresses, routes) = match self {
            Self::Gone => return link.map(|_| format!("{shim} is still there")),
            Self::There { addresses, routes } => (addresses, routes),
        };
        let Some(link) = link else { return Some(format!("{shim} is not there")) };
        if !link.up || !is_shim(link) {
            return Some(format!("{shim} is not up as a macvlan in mode bridge"));
        }
        let own: Vec<IpNet> = global(kernel, link);
        if let Some(lacking) = addresses.iter().find(|address| !own.contains(address)) {
            return Some(format!("{shim} has not the address {lacking}"));
        }
        if let Some(foreign) = own.iter().find(|address| !addresses.contains(address)) {
            return Some(format!("somebody else has given {shim} the address {foreign}"));
        }
        let by: Vec<IpNet> = routes_by(kernel, link).map(|route| route.destination).collect();
        if let Some(lacking) = routes.iter().find(|route| !by.contains(route)) {
            return Some(format!("there is no route to {lacking} by {shim}"));
        }
        let foreign = by.iter().find(|route| !routes.contains(route) && !addresses.contains(route));
        foreign.map(|route| format!("somebody else has made a route to {route} by {shim}"))
    }
}

/// A macvlan in bridge mode whose lower link is one of this host's.
#[must_use]
pub fn is_shim(link: &Link) -> bool {
    link.kind == LinkKind::Macvlan { mode: MacvtapMode::Bridge }
        && link.lower.is_some()
        && !link.lower_elsewhere
        && link.master.is_none()
}

/// All shims of the host.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = &Link> {
    snapshot.kernel.links.iter().filter(|link| is_shim(link))
}

/// The shim over a NIC.
#[must_use]
pub fn of_link(snapshot: &Snapshot, over: IfName) -> Option<&Link> {
    let lower = snapshot.link_named(over)?.index;
    all(snapshot).find(|link| link.lower == Some(lower))
}

/// The shim by which the host's packets go to this address.
#[must_use]
pub fn carries(snapshot: &Snapshot, over: IfName, address: IpAddr) -> bool {
    let by = snapshot.kernel.route_to(address).and_then(|route| route.oif);
    let lower = snapshot.link_named(over).map(|link| link.index);
    let found = by.and_then(|index| snapshot.link(index));
    found.is_some_and(|link| is_shim(link) && link.up && link.lower == lower)
}

/// Addresses of a link that others can reach it by.
fn global(kernel: &KernelFacts, link: &Link) -> Vec<IpNet> {
    let of_link = kernel.addresses.iter().filter(|address| address.index == link.index);
    of_link.filter(|address| address.is_global()).map(|address| address.address).collect()
}

/// Routes by a link that somebody made; those of IPv6's link-local net are every link's own.
pub fn routes_by<'a>(
    kernel: &'a KernelFacts,
    link: &Link,
) -> impl Iterator<Item = &'a crate::model::kernel::Route> {
    let index = link.index;
    kernel.routes.iter().filter(move |route| {
        let local = matches!(route.destination, IpNet::V6(net) if net.addr().is_unicast_link_local() || net.addr().is_multicast());
        route.oif == Some(index) && route.kind == "unicast" && !local
    })
}
