//! What went wrong in a call of libvirt: which operation on which object, and what to do about it.

use thiserror::Error;
use virt::error::{Error as VirtError, ErrorNumber};

use super::events::CloseReason;

/// A call of libvirt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation} {object}: {message}")]
pub struct LibvirtError {
    /// What was asked, as a verb (`update a device of`).
    pub operation: &'static str,
    /// Of what: a URI, `guest NAME`, `network NAME`. The name is hostile text.
    pub object: String,
    /// What kind of failure it is, for decisions.
    pub kind: ErrorKind,
    /// libvirt's own words; may quote hostile text.
    pub message: String,
}

/// The failures that the program reacts to differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A right is missing (`VIR_ERR_OPERATION_DENIED`, `_ACCESS_DENIED`, `_AUTH_*`, a socket that may not be opened).
    Denied,
    /// There is no such guest or network any more.
    Gone,
    /// The guest has no such device (`VIR_ERR_DEVICE_MISSING`, code 99).
    DeviceMissing,
    /// This driver or version cannot do it (`VIR_ERR_NO_SUPPORT`, `_OPERATION_UNSUPPORTED` code 84, `_CONFIG_UNSUPPORTED` code 67).
    Unsupported,
    /// Not in this state: off, transient, inactive (`VIR_ERR_OPERATION_INVALID`, code 55).
    WrongState,
    /// Another job holds the guest (`VIR_ERR_OPERATION_TIMEOUT`, code 68).
    Busy,
    /// The guest agent does not answer.
    Agent,
    /// The connection is gone.
    Disconnected,
    /// Anything else.
    Other,
}

impl LibvirtError {
    pub(super) fn new(operation: &'static str, object: impl Into<String>, error: &VirtError) -> Self {
        Self {
            operation,
            object: object.into(),
            kind: kind(error.code(), error.message()),
            message: error.message().to_owned(),
        }
    }

    pub(super) fn closed(uri: &str, reason: CloseReason) -> Self {
        let kind = ErrorKind::Disconnected;
        Self { operation: "stay connected to", object: uri.to_owned(), kind, message: reason.to_string() }
    }

    /// What the operator can do; `None` when libvirt's message says it all.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self.kind {
            ErrorKind::Denied => Some(
                "run as root, or join the group libvirt (`usermod -aG libvirt USER`, then log in again), \
                 or allow org.libvirt.unix.monitor and .manage in polkit",
            ),
            ErrorKind::Disconnected => {
                Some("see whether libvirtd or virtqemud runs; virt-net reconnects by itself")
            }
            ErrorKind::Busy => Some("another change of this guest is under way; try again when it is done"),
            _ => None,
        }
    }

    /// Whether the same call may succeed a moment later without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Busy | ErrorKind::Disconnected | ErrorKind::Agent)
    }
}

fn kind(code: ErrorNumber, message: &str) -> ErrorKind {
    match code {
        ErrorNumber::OperationDenied
        | ErrorNumber::AccessDenied
        | ErrorNumber::AuthFailed
        | ErrorNumber::AuthCancelled
        | ErrorNumber::AuthUnavailable => ErrorKind::Denied,
        // A socket's errno comes as a generic system error: only its text tells.
        ErrorNumber::SystemError if message.contains("Permission denied") => ErrorKind::Denied,
        ErrorNumber::NoDomain | ErrorNumber::NoNetwork => ErrorKind::Gone,
        ErrorNumber::DeviceMissing => ErrorKind::DeviceMissing,
        ErrorNumber::NoSupport | ErrorNumber::OperationUnsupported | ErrorNumber::ConfigUnsupported => {
            ErrorKind::Unsupported
        }
        ErrorNumber::InvalidArg if message.contains("unsupported flags") => ErrorKind::Unsupported,
        ErrorNumber::OperationInvalid => ErrorKind::WrongState,
        ErrorNumber::OperationTimeout => ErrorKind::Busy,
        ErrorNumber::AgentUnresponsive
        | ErrorNumber::AgentUnsynced
        | ErrorNumber::AgentCommandTimeout
        | ErrorNumber::AgentCommandFailed => ErrorKind::Agent,
        ErrorNumber::NoConnect | ErrorNumber::InvalidConn | ErrorNumber::Rpc => ErrorKind::Disconnected,
        ErrorNumber::SystemError | ErrorNumber::InternalError if is_dead_connection(message) => {
            ErrorKind::Disconnected
        }
        _ => ErrorKind::Other,
    }
}

/// A dead connection has no code of its own; these are libvirt's words for it (`virnetclient.c`,
/// `virnetsocket.c`), in English because this program sets no locale.
fn is_dead_connection(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "connect socket",
        "client socket is closed",
        "keepalive timeout",
        "Cannot recv data",
        "Cannot write data",
        "End of file while reading data",
    ];
    WORDS.iter().any(|words| message.contains(words))
}
