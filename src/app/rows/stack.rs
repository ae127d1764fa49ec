//! PURE. NICs of the host that carry macvtaps or a shim, and what is on them: no bridge joins these.

use crate::change::shim;
use crate::model::kernel::Link;
use crate::model::{IfName, Nic, Snapshot};

/// A NIC of the host and what is on it.
#[derive(Debug, Clone, Copy)]
pub struct Stack<'a> {
    /// The NIC below.
    pub lower: &'a Link,
    snapshot: &'a Snapshot,
}

/// What is on it.
#[derive(Debug, Clone, Copy)]
pub enum Upper<'a> {
    /// A guest's macvtap.
    Macvtap(&'a Link, &'a Nic),
    /// The host's own end.
    Shim(&'a Link),
}

impl<'a> Upper<'a> {
    /// Its link.
    #[must_use]
    pub const fn link(self) -> &'a Link {
        match self {
            Self::Macvtap(link, _) | Self::Shim(link) => link,
        }
    }
}

impl<'a> Stack<'a> {
    /// What is on it: macvtaps, then the shim.
    pub fn uppers(self) -> impl Iterator<Item = Upper<'a>> {
        let Self { lower, snapshot } = self;
        let on_it = snapshot.nics.iter().filter(move |nic| nic.lower == Some(lower.name));
        let macvtaps = on_it.filter_map(move |nic| Some(Upper::Macvtap(snapshot.link(nic.link?)?, nic)));
        let shims = shim::all(snapshot).filter(move |link| link.lower == Some(lower.index));
        macvtaps.chain(shims.map(Upper::Shim))
    }
}

/// All of them, in the order of the kernel's links.
pub fn all(snapshot: &Snapshot) -> impl Iterator<Item = Stack<'_>> {
    let stacks = snapshot.kernel.links.iter().map(move |lower| Stack { lower, snapshot });
    stacks.filter(|stack| stack.uppers().next().is_some())
}

/// What has this name and is on this NIC.
#[must_use]
pub fn upper(snapshot: &Snapshot, lower: IfName, name: IfName) -> Option<Upper<'_>> {
    let lower = snapshot.link_named(lower)?;
    Stack { lower, snapshot }.uppers().find(|upper| upper.link().name == name)
}

/// A guest's NIC that is on a NIC of the host under this name.
#[must_use]
pub fn nic(snapshot: &Snapshot, lower: IfName, name: IfName) -> Option<&Nic> {
    match upper(snapshot, lower, name)? {
        Upper::Macvtap(_, nic) => Some(nic),
        Upper::Shim(_) => None,
    }
}
