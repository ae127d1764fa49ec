//! READS. The netlink socket: dumps of chains, rules and sets, and the notice of each commit.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::time::Duration;

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;

use super::attributes::{find_be32, find_string, push_string};
use super::decode::{self, Names, SetElements};
use crate::model::firewall::FirewallFacts;
use crate::model::ids::IfIndex;

/// Why the rules could not be read.
#[derive(Debug, Error)]
pub enum FirewallError {
    /// `CAP_NET_ADMIN` is missing.
    #[error("read the firewall rules: no right; {}", Self::HINT)]
    Denied,
    /// The socket failed.
    #[error("{operation} the nf_tables socket: {error}")]
    Socket {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        error: std::io::Error,
    },
    /// The kernel refused a dump.
    #[error("read {what} from nf_tables: {error}")]
    Dump {
        /// `chains`, `rules` or `sets`.
        what: &'static str,
        /// The kernel's answer.
        error: std::io::Error,
    },
    /// The rules changed during every try.
    #[error("read the firewall rules: they changed during each of {0} tries")]
    Restless(usize),
}

impl FirewallError {
    /// What to do where the right is missing.
    pub const HINT: &str = "run as root, or give the program CAP_NET_ADMIN (setcap cap_net_admin+ep)";
}

const SUBSYSTEM: u16 = 10 << 8;
const GETTABLE: u16 = SUBSYSTEM + 1;
const GETCHAIN: u16 = SUBSYSTEM + 4;
const GETRULE: u16 = SUBSYSTEM + 7;
#[cfg(test)]
const GETSET: u16 = SUBSYSTEM + 10;
const GETSETELEM: u16 = SUBSYSTEM + 13;
const NEWGEN: u16 = SUBSYSTEM + 15;
const GETGEN: u16 = SUBSYSTEM + 16;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
/// nlmsghdr and nfgenmsg.
const HEADERS: usize = 16 + 4;
/// `NFNLGRP_NFTABLES`.
const GROUP: u32 = 7;
const TRIES: usize = 5;

fn socket() -> Result<Socket, FirewallError> {
    let failed = |operation| move |error| FirewallError::Socket { operation, error };
    let mut socket = Socket::new(NETLINK_NETFILTER).map_err(failed("open"))?;
    socket.bind_auto().map_err(failed("bind"))?;
    Ok(socket)
}

/// Waits until there is something to read; false when the time is over first.
fn readable(socket: &Socket, wait: Duration) -> Result<bool, FirewallError> {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, wait) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(FirewallError::Socket { operation: "wait for", error: error.into() }),
    }
}

/// One netlink message: its type, flags and payload behind both headers.
struct Message<'a> {
    kind: u16,
    flags: u16,
    family: u8,
    payload: &'a [u8],
    body: &'a [u8],
}

fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(*bytes.first_chunk()?);
        let length = usize::try_from(length).ok()?;
        let message = bytes.get(..length)?;
        let two = |at: usize| Some(u16::from_ne_bytes([*message.get(at)?, *message.get(at + 1)?]));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Message {
            kind: two(4)?,
            flags: two(6)?,
            family: message.get(16).copied().unwrap_or(0),
            payload: message.get(HEADERS..).unwrap_or_default(),
            body: message.get(16..).unwrap_or_default(),
        })
    })
}

/// Who committed.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) pid: u32,
    pub(super) process: String,
}

/// Hears of every commit to nf_tables.
pub(super) struct Listener(Socket);

impl Listener {
    pub(super) fn open() -> Result<Self, FirewallError> {
        let socket = socket()?;
        socket.add_membership(GROUP).map_err(|error| match error.raw_os_error() {
            Some(libc::EPERM) => FirewallError::Denied,
            _ => FirewallError::Socket { operation: "listen on", error },
        })?;
        Ok(Self(socket))
    }

    /// The next commit, if one comes in time.
    pub(super) fn wait(&mut self, wait: Duration) -> Result<Option<Commit>, FirewallError> {
        if !readable(&self.0, wait)? {
            return Ok(None);
        }
        let mut buffer = Vec::with_capacity(1 << 16);
        match self.0.recv_from(&mut buffer, 0) {
            Ok(_) => {}
            // Notices were lost: something changed, by whom is not known.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                return Ok(Some(Commit { pid: 0, process: "unknown".to_owned() }));
            }
            Err(error) => return Err(FirewallError::Socket { operation: "read from", error }),
        }
        let commit =
            messages(&buffer).filter(|message| message.kind == NEWGEN).last().map(|message| Commit {
                pid: find_be32(message.payload, 2).unwrap_or(0),
                process: find_string(message.payload, 3).unwrap_or_default(),
            });
        Ok(commit)
    }
}

/// An object of a dump: its family and its attributes.
type Object = (u8, Vec<u8>);

/// A whole rule set, undecoded; of a set its family, table, name and elements.
#[cfg(test)]
pub(super) struct Raw {
    pub(super) tables: Vec<Object>,
    pub(super) chains: Vec<Object>,
    pub(super) rules: Vec<Object>,
    pub(super) sets: Vec<(u8, String, String, Vec<Object>)>,
}

/// Dumps the whole rule set.
pub(super) struct Reader {
    socket: Socket,
    sequence: u32,
}

impl Reader {
    pub(super) fn open() -> Result<Self, FirewallError> {
        Ok(Self { socket: socket()?, sequence: 0 })
    }

    /// All chains and rules of one generation. A kernel without nf_tables has none.
    pub(super) fn read(&mut self) -> Result<FirewallFacts, FirewallError> {
        for _ in 0..TRIES {
            let Some(before) = self.generation()? else { return Ok(FirewallFacts::default()) };
            let Some(tables) = self.dump(GETTABLE, 0, &[], "tables")? else { continue };
            let Some(chains) = self.dump(GETCHAIN, 0, &[], "chains")? else { continue };
            let Some(rules) = self.dump(GETRULE, 0, &[], "rules")? else { continue };
            let mut names = SystemNames { reader: self, sets: BTreeMap::new() };
            let mut facts = FirewallFacts { generation: before, ..FirewallFacts::default() };
            facts.chains =
                chains.iter().filter_map(|(family, bytes)| decode::chain(*family, bytes)).collect();
            facts.rules =
                rules.iter().filter_map(|(family, bytes)| decode::rule(*family, bytes, &mut names)).collect();
            let tables = tables.iter().filter_map(|(family, bytes)| decode::table(*family, bytes));
            decode::put_to_sleep(&mut facts.chains, tables);
            if self.generation()? == Some(before) {
                return Ok(facts);
            }
        }
        Err(FirewallError::Restless(TRIES))
    }

    /// The same, as the kernel sends it.
    #[cfg(test)]
    pub(super) fn raw(&mut self) -> Result<Raw, FirewallError> {
        let mut dump = |kind, what| self.dump(kind, 0, &[], what).map(Option::unwrap_or_default);
        let mut raw = Raw {
            tables: dump(GETTABLE, "tables")?,
            chains: dump(GETCHAIN, "chains")?,
            rules: dump(GETRULE, "rules")?,
            sets: Vec::new(),
        };
        for (family, set) in dump(GETSET, "sets")? {
            let (table, name) = (find_string(&set, 1), find_string(&set, 2));
            let (table, name) = (table.unwrap_or_default(), name.unwrap_or_default());
            let mut attributes = Vec::new();
            push_string(&mut attributes, 1, &table);
            push_string(&mut attributes, 2, &name);
            let elements = self.dump(GETSETELEM, family, &attributes, "sets")?.unwrap_or_default();
            raw.sets.push((family, table, name, elements));
        }
        Ok(raw)
    }

    fn generation(&mut self) -> Result<Option<u32>, FirewallError> {
        self.send(GETGEN, NLM_F_REQUEST, 0, &[])?;
        let mut buffer = Vec::with_capacity(4096);
        self.receive(&mut buffer)?;
        for message in messages(&buffer) {
            match message.kind {
                NEWGEN => return Ok(find_be32(message.payload, 1)),
                NLMSG_ERROR => match errno(&message) {
                    libc::EPERM => return Err(FirewallError::Denied),
                    // The module is not there: no rules.
                    libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::ENOENT => {
                        return Ok(None);
                    }
                    code => {
                        let error = std::io::Error::from_raw_os_error(code);
                        return Err(FirewallError::Dump { what: "the generation", error });
                    }
                },
                _ => {}
            }
        }
        Ok(None)
    }

    /// All objects of one kind; `None` when the kernel says that they changed meanwhile.
    fn dump(
        &mut self,
        kind: u16,
        family: u8,
        attributes: &[u8],
        what: &'static str,
    ) -> Result<Option<Vec<Object>>, FirewallError> {
        self.send(kind, NLM_F_REQUEST | NLM_F_DUMP, family, attributes)?;
        let mut objects = Vec::new();
        let mut interrupted = false;
        let mut buffer = Vec::with_capacity(1 << 17);
        loop {
            buffer.clear();
            self.receive(&mut buffer)?;
            for message in messages(&buffer) {
                interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
                match message.kind {
                    NLMSG_DONE => return Ok((!interrupted).then_some(objects)),
                    NLMSG_ERROR => match errno(&message) {
                        0 => {}
                        libc::EPERM => return Err(FirewallError::Denied),
                        libc::EINTR | libc::EAGAIN => return Ok(None),
                        code => {
                            let error = std::io::Error::from_raw_os_error(code);
                            return Err(FirewallError::Dump { what, error });
                        }
                    },
                    _ => objects.push((message.family, message.payload.to_vec())),
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Result<(), FirewallError> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADERS + attributes.len()).unwrap_or(u32::MAX);
        let mut message = Vec::with_capacity(HEADERS + attributes.len());
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend([family, 0, 0, 0]);
        message.extend(attributes);
        let kernel = SocketAddr::new(0, 0);
        match self.socket.send_to(&message, &kernel, 0) {
            Ok(_) => Ok(()),
            Err(error) => Err(FirewallError::Socket { operation: "write to", error }),
        }
    }

    fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<(), FirewallError> {
        /// The kernel answers at once; a second without an answer means that it never will.
        const ANSWER: Duration = Duration::from_secs(5);
        let failed = |error| FirewallError::Socket { operation: "read from", error };
        if !readable(&self.socket, ANSWER)? {
            return Err(failed(std::io::ErrorKind::TimedOut.into()));
        }
        self.socket.recv_from(buffer, 0).map(drop).map_err(failed)
    }
}

/// The positive error number of an error message; 0 for an acknowledgement.
fn errno(message: &Message<'_>) -> i32 {
    message.body.first_chunk().map_or(0, |bytes| -i32::from_ne_bytes(*bytes))
}

/// Resolves what a rule only refers to: link indexes, and sets by a further dump.
struct SystemNames<'a> {
    reader: &'a mut Reader,
    sets: BTreeMap<(u8, String, String), Option<SetElements>>,
}

/// A set with more elements than this (a block list) is named, not looked into.
const MOST_ELEMENTS: usize = 4096;

impl Names for SystemNames<'_> {
    fn link(&self, index: IfIndex) -> Option<String> {
        let name = nix::net::if_::if_indextoname(index.0).ok()?;
        Some(name.to_string_lossy().into_owned())
    }

    fn set(&mut self, family: u8, table: &str, set: &str) -> Option<SetElements> {
        let key = (family, table.to_owned(), set.to_owned());
        if let Some(known) = self.sets.get(&key) {
            return known.clone();
        }
        let mut attributes = Vec::new();
        push_string(&mut attributes, 1, table);
        push_string(&mut attributes, 2, set);
        let dump = self.reader.dump(GETSETELEM, family, &attributes, "sets").ok().flatten();
        let parts = dump.and_then(|dump| {
            dump.iter().map(|(_, bytes)| decode::elements(bytes)).collect::<Option<Vec<SetElements>>>()
        });
        let elements = parts.map(|parts| parts.concat()).filter(|all| all.len() <= MOST_ELEMENTS);
        self.sets.insert(key, elements.clone());
        elements
    }
}
