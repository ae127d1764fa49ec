//! READS. `AF_PACKET` (packet(7)): the socket, its filter and its loss counter. Three calls of libc have no safe
//! form for packet sockets; they are here and nowhere else.
#![expect(unsafe_code, reason = "bind, filter and statistics of packet sockets have no safe form in nix")]

use std::io::{Error, IoSliceMut};
use std::mem::size_of;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockType, recvmsg, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeSpec;

use super::filter::{self, Only};
use super::{CaptureError, Heading, SNAP, Seen};
use crate::model::{IfIndex, IfName, Timestamp};

/// `PACKET_OUTGOING`.
const OUTGOING: u8 = 4;
/// Room for bursts.
const BUFFER: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
    link: IfName,
    buffer: Vec<u8>,
    lost: u32,
}

impl PacketSocket {
    pub(super) fn open(link: IfName, index: IfIndex, only: &[Only]) -> Result<Self, CaptureError> {
        let failed = |operation| move |error: Error| CaptureError::Socket { operation, link, error };
        // No protocol until the filter is on and the link is chosen: nothing else gets into the buffer.
        let fd =
            socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None).map_err(|error| {
                match error {
                    nix::errno::Errno::EPERM | nix::errno::Errno::EACCES => CaptureError::Denied(link),
                    other => failed("open")(other.into()),
                }
            })?;
        attach(&fd, only).map_err(failed("filter"))?;
        // Both are niceties: without them the default buffer, and the time of reading.
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &BUFFER);
        let _ = setsockopt(&fd, sockopt::ReceiveTimestampns, &true);
        bind(&fd, index).map_err(failed("bind"))?;
        let length = usize::try_from(SNAP).unwrap_or(usize::MAX);
        Ok(Self { fd, link, buffer: vec![0; length], lost: 0 })
    }

    pub(super) fn next(&mut self, wait: Duration) -> Result<Option<Seen>, CaptureError> {
        let link = self.link;
        let failed = |error: nix::errno::Errno| CaptureError::Socket {
            operation: "read from",
            link,
            error: error.into(),
        };
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(failed(error)),
        }
        let mut control = cmsg_space!(TimeSpec);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        // With MSG_TRUNC the length is the one on the wire, whatever fits.
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        let message = match recvmsg::<LinkAddr>(self.fd.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Ok(message) => message,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let stamp = message.cmsgs().ok().into_iter().flatten().find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        let length = message.bytes;
        let outgoing = message.address.is_some_and(|from| from.pkttype() == OUTGOING);
        let stamp = stamp.unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default()
        });
        let kept = self.buffer.get(..length.min(self.buffer.len())).unwrap_or_default();
        Ok(Some(Seen {
            at: Timestamp(u64::try_from(stamp.as_millis()).unwrap_or(u64::MAX)),
            micros: u16::try_from(stamp.subsec_micros() % 1000).unwrap_or(0),
            heading: if outgoing { Heading::Outward } else { Heading::Inward },
            length: u32::try_from(length).unwrap_or(u32::MAX),
            bytes: kept.to_vec(),
        }))
    }

    pub(super) fn send(&self, frame: &[u8]) -> Result<(), CaptureError> {
        let sent = nix::sys::socket::send(self.fd.as_raw_fd(), frame, MsgFlags::empty());
        let failed = |error: nix::errno::Errno| CaptureError::Socket {
            operation: "write to",
            link: self.link,
            error: error.into(),
        };
        sent.map(drop).map_err(failed)
    }

    pub(super) fn lost(&mut self) -> u32 {
        let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = socklen::<libc::tpacket_stats>();
        // SAFETY: the pointers are to a value and its length that live through the call.
        let answer = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut statistics).cast(),
                &raw mut length,
            )
        };
        if answer == 0 {
            // Reading it sets it back to zero.
            self.lost = self.lost.saturating_add(statistics.tp_drops);
        }
        self.lost
    }
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

fn attach(fd: &OwnedFd, only: &[Only]) -> Result<(), Error> {
    let mut program: Vec<libc::sock_filter> = filter::program(only, SNAP)
        .into_iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
        .collect();
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program lives until the kernel has copied it, in this call.
    let answer = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            socklen::<libc::sock_fprog>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

fn bind(fd: &OwnedFd, index: IfIndex) -> Result<(), Error> {
    /// `ETH_P_ALL`, big-endian.
    const ALL: u16 = 3_u16.to_be();
    let address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
        sll_protocol: ALL,
        sll_ifindex: i32::try_from(index.0).unwrap_or(0),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: the pointer is to an address of that length that lives through the call.
    let answer =
        unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), socklen::<libc::sockaddr_ll>()) };
    if answer == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
