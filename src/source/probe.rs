//! READS, by asking: one ARP request and one echo from the host to an address, and one echo from inside a guest by
//! its agent. Only when somebody asks for it; nothing is changed anywhere.

pub mod questions;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendto, socket,
};
use serde_json::{Value, json};
use thiserror::Error;

use super::libvirt::{GuestHandle, LibvirtError};
use super::packets::decode;
use super::packets::{Capture, CaptureError, Only};
use crate::model::{IfIndex, IfName, Mac};

/// Why nothing could be asked; that nobody answers is no error.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The packet socket of an ARP request.
    #[error(transparent)]
    Arp(#[from] CaptureError),
    /// The raw socket of an echo.
    #[error("ping {address}: {error}")]
    Echo {
        /// Whom.
        address: IpAddr,
        /// The kernel's answer.
        error: std::io::Error,
    },
    /// libvirt or the agent refuses.
    #[error(transparent)]
    Agent(#[from] LibvirtError),
    /// The agent's answer is not what its protocol says.
    #[error("ask the agent: its answer makes no sense")]
    Nonsense,
}

/// How often an unanswered question is asked.
const TRIES: u16 = 3;

/// Who answers for an address on a link, by ARP; `None` when nobody does.
///
/// # Errors
/// No right, or the link is down.
pub fn arp(
    link: (IfName, IfIndex),
    own: (Mac, Ipv4Addr),
    asked: Ipv4Addr,
    wait: Duration,
) -> Result<Option<Mac>, ProbeError> {
    let mut capture = Capture::open(link.0, link.1, &[Only::Arp])?;
    for _ in 0..TRIES {
        capture.send(&arp_request(own, asked))?;
        let deadline = Instant::now() + wait / u32::from(TRIES);
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            let Some(packet) = capture.next(left)? else { continue };
            let shown = decode::shown(&packet.bytes).filter(|shown| shown.address == IpAddr::V4(asked));
            if let Some(shown) = shown.filter(|shown| shown.mac != own.0) {
                return Ok(Some(shown.mac));
            }
        }
    }
    Ok(None)
}

/// An Ethernet frame with an ARP request (RFC 826).
fn arp_request((mac, address): (Mac, Ipv4Addr), asked: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend([0xff; 6]);
    frame.extend(mac.0);
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(asked.octets());
    frame
}

/// The time until an echo came back; `None` when none does.
///
/// # Errors
/// No right to a raw socket, or the kernel refuses to send (no route).
pub fn echo(address: IpAddr, wait: Duration) -> Result<Option<Duration>, ProbeError> {
    let failed = |error: nix::errno::Errno| ProbeError::Echo { address, error: error.into() };
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).map_err(failed)?;
    let to = match address {
        IpAddr::V4(v4) => SocketAddr::V4(SocketAddrV4::new(v4, 0)),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, 0, 0, 0)),
    };
    let id = u16::try_from(std::process::id() & 0xffff).unwrap_or(0);
    for sequence in 1..=TRIES {
        let started = Instant::now();
        let question = echo_request(address.is_ipv4(), id, sequence);
        match sendto(fd.as_raw_fd(), &question, &SockaddrStorage::from(to), MsgFlags::empty()) {
            Ok(_) => {}
            // The kernel has learned from an earlier error that nobody is there.
            Err(nix::errno::Errno::EHOSTUNREACH | nix::errno::Errno::ENETUNREACH) => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        let deadline = started + wait / u32::from(TRIES);
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if answered(&fd, address, id, left).map_err(failed)? {
                return Ok(Some(started.elapsed()));
            }
        }
    }
    Ok(None)
}

/// The kernel completes the checksum of ICMPv6 only.
fn echo_request(v4: bool, id: u16, sequence: u16) -> Vec<u8> {
    let mut packet = vec![if v4 { 8 } else { 128 }, 0, 0, 0];
    packet.extend(id.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(*b"virt-net");
    if v4 {
        let sum = packet.chunks(2).fold(0_u32, |sum, pair| {
            sum + u32::from(u16::from_be_bytes([
                pair.first().copied().unwrap_or(0),
                pair.get(1).copied().unwrap_or(0),
            ]))
        });
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
        packet.splice(2..4, checksum.to_be_bytes());
    }
    packet
}

/// An echo reply of ours came from that address.
fn answered(fd: &OwnedFd, address: IpAddr, id: u16, wait: Duration) -> Result<bool, nix::errno::Errno> {
    let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], wait) {
        Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let mut buffer = [0_u8; 1500];
    let length = match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        Ok(length) => length,
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(is_reply(buffer.get(..length).unwrap_or_default(), address, id))
}

/// IPv4 comes with its header; of ICMPv6 only the message comes, from whomever (the id must do).
fn is_reply(bytes: &[u8], address: IpAddr, id: u16) -> bool {
    let (message, reply) = match address {
        IpAddr::V4(v4) => {
            let header = bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            if bytes.get(12..16) != Some(v4.octets().as_slice()) {
                return false;
            }
            (bytes.get(header..).unwrap_or_default(), 0)
        }
        IpAddr::V6(_) => (bytes, 129),
    };
    message.first() == Some(&reply) && message.get(4..6) == Some(id.to_be_bytes().as_slice())
}

/// Whether an address answers a ping from inside the guest; `nic` is the NIC's name in there. Runs `ping` in the
/// guest by its agent (`guest-exec`), without a shell.
///
/// # Errors
/// The agent does not answer, or does not allow it.
pub fn echo_from_guest(guest: &GuestHandle, nic: Option<&str>, address: IpAddr) -> Result<bool, ProbeError> {
    /// Two echoes of two seconds, and time for a slow machine.
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut arguments = vec!["-c".to_owned(), "2".to_owned(), "-W".to_owned(), "2".to_owned()];
    if let Some(nic) = nic {
        arguments.extend(["-I".to_owned(), nic.to_owned()]);
    }
    arguments.push(address.to_string());
    let command = json!({"execute": "guest-exec", "arguments": {"path": "ping", "arg": arguments}});
    let answer = agent(guest, &command)?;
    let pid = answer.get("pid").and_then(Value::as_i64).ok_or(ProbeError::Nonsense)?;
    let status = json!({"execute": "guest-exec-status", "arguments": {"pid": pid}});
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = agent(guest, &status)?;
        if answer.get("exited").and_then(Value::as_bool) == Some(true) {
            return Ok(answer.get("exitcode").and_then(Value::as_i64) == Some(0));
        }
        if Instant::now() > deadline {
            return Err(ProbeError::Nonsense);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn agent(guest: &GuestHandle, command: &Value) -> Result<Value, ProbeError> {
    let answer = guest.agent_command(&command.to_string())?;
    let mut answer: Value = serde_json::from_str(&answer).map_err(|_| ProbeError::Nonsense)?;
    Ok(answer.get_mut("return").map(Value::take).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_request_has_a_right_checksum() {
        let packet = echo_request(true, 0x1234, 7);
        let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        assert_eq!(packet.len(), 16);
    }

    #[test]
    fn only_our_own_reply_counts() {
        let address: IpAddr = "192.168.122.208".parse().unwrap();
        let mut reply = vec![0x45; 20];
        reply.splice(12..16, [192, 168, 122, 208]);
        reply.extend([0, 0, 0, 0, 0x12, 0x34, 0, 1]);
        assert!(is_reply(&reply, address, 0x1234));
        assert!(!is_reply(&reply, address, 0x1235));
        assert!(!is_reply(&reply, "192.168.122.1".parse().unwrap(), 0x1234));
        reply[20] = 8;
        assert!(!is_reply(&reply, address, 0x1234), "our own request, heard on the loopback, is no answer");
        assert!(!is_reply(&[], address, 0));
    }

    #[test]
    fn an_arp_request_is_read_back_as_one() {
        let mac: Mac = "52:54:00:ef:6a:ec".parse().unwrap();
        let frame = arp_request((mac, Ipv4Addr::new(192, 168, 122, 1)), Ipv4Addr::new(192, 168, 122, 208));
        assert_eq!(decode::summary(&frame).text, "who has 192.168.122.208? tell 192.168.122.1");
        let shown = decode::shown(&frame).unwrap();
        assert_eq!((shown.mac, shown.address), (mac, "192.168.122.1".parse().unwrap()));
    }
}
