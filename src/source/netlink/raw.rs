//! READS. Dumps as the kernel sends them, undecoded.
//!
//! rtnetlink drops a whole message when one attribute does not decode, and a link's name or alias may
//! be any bytes: such a link would silently be missing. Here every message is kept, and
//! [`super::convert`] passes over what it cannot read.

use std::io;
use std::os::fd::AsFd as _;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rtnetlink::packet_route::AddressFamily;

use super::{ANSWER, NetlinkError};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_GETNEIGH: u16 = 30;
const RTM_GETRULE: u16 = 34;
/// `nlmsghdr`.
const HEADER: usize = 16;
/// The kernel's own limit for one datagram of a dump.
const DATAGRAM: usize = 1 << 16;
/// A dump that was interrupted by a change is made again this often; then the notice of that change
/// leads to the next one.
const TRIES: usize = 3;

/// Everything the kernel has to say, each part a row of netlink messages.
#[derive(Debug, Default)]
pub(super) struct RawFacts {
    pub(super) links: Vec<u8>,
    pub(super) addresses: Vec<u8>,
    pub(super) routes: Vec<u8>,
    pub(super) neighbours: Vec<u8>,
    pub(super) fdb: Vec<u8>,
}

/// Reads everything once. Blocks, for a few milliseconds.
pub(super) fn read() -> Result<RawFacts, NetlinkError> {
    let mut socket = Dumper::open()?;
    Ok(RawFacts {
        links: socket.dump("links", RTM_GETLINK, &link_request())?,
        addresses: socket.dump("addresses", RTM_GETADDR, &request(AddressFamily::Unspec, 8))?,
        routes: socket.dump("routes", RTM_GETROUTE, &request(AddressFamily::Unspec, 12))?,
        neighbours: socket.dump("neighbours", RTM_GETNEIGH, &request(AddressFamily::Unspec, 12))?,
        fdb: socket.dump("the bridges' MAC tables", RTM_GETNEIGH, &request(AddressFamily::Bridge, 12))?,
    })
}

/// Whether there are routing rules beside the kernel's own three (local, main, default).
pub(super) fn has_own_rules() -> Result<bool, NetlinkError> {
    let rules = Dumper::open()?.dump("routing rules", RTM_GETRULE, &request(AddressFamily::Unspec, 12))?;
    Ok(messages(&rules).any(|message| is_own_rule(message.payload())))
}

/// `fib_rule_hdr`: family, lengths of destination and source, TOS, table, two reserved, action; the kernel's own
/// ask for nothing and look into one of its three tables.
fn is_own_rule(header: &[u8]) -> bool {
    const TO_TABLE: u8 = 1;
    const KERNELS: std::ops::RangeInclusive<u8> = 253..=255;
    // The multicast families have rules of their own, which no unicast packet meets.
    const UNICAST: [u8; 2] = [2, 10];
    let Some(&[family, to, from, tos, table, _, _, action]) = header.first_chunk() else { return false };
    let plain = (to, from, tos, action) == (0, 0, 0, TO_TABLE) && KERNELS.contains(&table);
    UNICAST.contains(&family) && !plain
}

/// A header of `length` bytes with nothing in it but the family.
fn request(family: AddressFamily, length: usize) -> Vec<u8> {
    let mut body = vec![0; length];
    body.splice(..1, [u8::from(family)]);
    body
}

/// `ifinfomsg` and the wish to leave the counters out (`IFLA_EXT_MASK`, `RTEXT_FILTER_SKIP_STATS`):
/// they make up most of a link, and come by another way.
fn link_request() -> Vec<u8> {
    const IFLA_EXT_MASK: u16 = 29;
    const SKIP_STATS: u32 = 1 << 3;
    let mut body = request(AddressFamily::Unspec, 16);
    body.extend(8_u16.to_ne_bytes());
    body.extend(IFLA_EXT_MASK.to_ne_bytes());
    body.extend(SKIP_STATS.to_ne_bytes());
    body
}

struct Dumper {
    socket: Socket,
    sequence: u32,
}

impl Dumper {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self { socket, sequence: 0 })
    }

    fn dump(&mut self, what: &'static str, kind: u16, body: &[u8]) -> Result<Vec<u8>, NetlinkError> {
        let failed = |error: io::Error| NetlinkError::Dump { what, error };
        let mut last = Vec::new();
        for _ in 0..TRIES {
            let whole = self.dump_once(kind, body, &mut last).map_err(failed)?;
            if whole {
                break;
            }
        }
        Ok(last)
    }

    /// False when the kernel says that things changed meanwhile.
    fn dump_once(&mut self, kind: u16, body: &[u8], into: &mut Vec<u8>) -> io::Result<bool> {
        into.clear();
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send_to(&message(kind, self.sequence, body), &SocketAddr::new(0, 0), 0)?;
        let mut whole = true;
        let mut datagram = Vec::with_capacity(DATAGRAM);
        loop {
            datagram.clear();
            self.receive(&mut datagram)?;
            for message in messages(&datagram).filter(|message| message.sequence_number() == self.sequence) {
                whole &= message.flags() & NLM_F_DUMP_INTR == 0;
                match message.message_type() {
                    NLMSG_DONE => return Ok(whole),
                    NLMSG_ERROR => {
                        let code =
                            message.payload().first_chunk().map_or(0, |code| -i32::from_ne_bytes(*code));
                        return Err(io::Error::from_raw_os_error(code));
                    }
                    _ => into.extend(message.into_inner()),
                }
            }
        }
    }

    fn receive(&self, datagram: &mut Vec<u8>) -> io::Result<()> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(ANSWER).unwrap_or(PollTimeout::MAX);
        loop {
            match poll(&mut fds, wait) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return self.socket.recv_from(datagram, 0).map(drop),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    message
}

/// The netlink messages in these bytes; ends at the first one that is cut off.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let message = NetlinkBuffer::new_checked(bytes.get(..length)?).ok()?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_rules_are_told_from_others() {
        let rule =
            |family, from, table, action| is_own_rule(&[family, 0, from, 0, table, 0, 0, action, 0, 0, 0, 0]);
        for table in [253, 254, 255] {
            assert!(!rule(2, 0, table, 1) && !rule(10, 0, table, 1));
        }
        assert!(rule(2, 24, 254, 1), "from a net");
        assert!(rule(2, 0, 77, 1), "another table");
        assert!(rule(10, 0, 254, 6), "blackhole");
        assert!(!rule(128, 0, 253, 1), "multicast");
        assert!(!is_own_rule(&[2, 0, 24]));
    }
}
