//! READS. Packets on one link, as `tcpdump` would see them: a packet socket bound to that link, with a filter in
//! the kernel, of bounded size. Only opened when somebody asks for it. A capture sends nothing; a probe sends its own question.

pub mod decode;
pub mod filter;
pub mod listen;
pub mod pcap;
mod socket;

use std::time::Duration;

use thiserror::Error;

pub use self::filter::Only;
use crate::model::{IfIndex, IfName, Timestamp};

/// Bytes kept of each packet at most.
pub const SNAP: u32 = 65_535;

/// Why packets cannot be read.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// `CAP_NET_RAW` is missing.
    #[error("capture on {0}: no right; run as root, or give the program CAP_NET_RAW")]
    Denied(IfName),
    /// Anything else.
    #[error("{operation} the packet socket of {link}: {error}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// On which link.
        link: IfName,
        /// The kernel's answer.
        error: std::io::Error,
    },
}

/// Which way a packet went through the link, from the host's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// The host received it.
    Inward,
    /// The host sent it.
    Outward,
}

/// A packet that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When, by the kernel's clock.
    pub at: Timestamp,
    /// The rest of that moment below a millisecond, in microseconds.
    pub micros: u16,
    /// Its way through the link.
    pub heading: Heading,
    /// How long it was on the wire.
    pub length: u32,
    /// Its first bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
}

/// An open capture.
#[derive(Debug)]
pub struct Capture(socket::PacketSocket);

impl Capture {
    /// Listens on a link from now on.
    ///
    /// # Errors
    /// No right, or the link is gone.
    pub fn open(link: IfName, index: IfIndex, only: &[Only]) -> Result<Self, CaptureError> {
        socket::PacketSocket::open(link, index, only).map(Self)
    }

    /// The next packet, if one comes in time.
    ///
    /// # Errors
    /// The link went down or away.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Seen>, CaptureError> {
        self.0.next(wait)
    }

    /// Sends a frame by the link.
    ///
    /// # Errors
    /// The link is down or gone.
    pub fn send(&self, frame: &[u8]) -> Result<(), CaptureError> {
        self.0.send(frame)
    }

    /// Packets that came too fast to be read, so far.
    pub fn lost(&mut self) -> u32 {
        self.0.lost()
    }
}
