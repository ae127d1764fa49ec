//! PURE. What can go wrong in a step, in the words that end up in the outcome.

use std::time::Duration;

use thiserror::Error;

use crate::change::splice::SpliceError;
use crate::model::guest::ParseXmlError;
use crate::source::libvirt::{ErrorKind, LibvirtError};
use crate::source::netlink::NetlinkError;

/// A single call; a detach job takes libvirt five seconds when the guest does not answer.
pub(super) const CALL: Duration = Duration::from_secs(20);
/// How long a daemon may be away (restarted, frozen) before we give up on it.
pub(super) const DAEMON: Duration = Duration::from_secs(60);

#[derive(Debug, Error)]
pub(super) enum Trouble {
    #[error("{}{}", .0, hint(.0))]
    Libvirt(#[from] LibvirtError),
    #[error("libvirt did not answer within {} s", CALL.as_secs())]
    Hung,
    #[error("libvirt was away for more than {} s", DAEMON.as_secs())]
    Away,
    #[error(transparent)]
    Kernel(#[from] NetlinkError),
    #[error(transparent)]
    Splice(#[from] SpliceError),
    #[error(transparent)]
    Definition(#[from] ParseXmlError),
    #[error("{0}")]
    Changed(String),
    #[error("the NIC is not in the definition any more")]
    Missing,
    #[error("the guest is off")]
    GuestOff,
    #[error("the guest did not let go of its NIC")]
    NotReleased,
    #[error("the kernel does not have it there: {0}")]
    Mismatch(String),
}

fn hint(error: &LibvirtError) -> String {
    error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

impl Trouble {
    /// The daemon is the problem, not the request: whether the request was carried out is not known.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Hung => true,
            Self::Libvirt(error) => error.is_transient(),
            _ => false,
        }
    }

    /// The guest is not there (any more).
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Libvirt(error) if error.kind == ErrorKind::Gone)
    }
}
