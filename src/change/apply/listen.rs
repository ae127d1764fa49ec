//! READS. Hears the address that a guest gets: nothing on the host is told of a lease from the LAN's
//! DHCP, but it passes the guest's own tap. Only that one link is listened to, and only while a change
//! waits for its address.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use tokio::sync::mpsc;

use crate::model::ids::{IfIndex, Mac};

/// What was heard of the guest's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// A DHCP server gives it.
    Given(IpAddr),
    /// The guest sends from it.
    Used(IpAddr),
}

/// Listens on one link until it is dropped.
pub(super) struct Listener(mpsc::UnboundedReceiver<Heard>);

impl Listener {
    /// `None` without the right (`CAP_NET_RAW`): then the address is only found by other means.
    pub(super) fn open(link: IfIndex, guest: Mac) -> Option<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).ok()?;
        bind(&fd, link)?;
        let (tell, heard) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("listen".to_owned());
        thread.spawn(move || hear(&fd, guest, &tell)).ok()?;
        Some(Self(heard))
    }

    /// The next thing heard, the same one never twice in a row; never returns when nothing more comes.
    pub(super) async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }
}

fn hear(socket: &OwnedFd, guest: Mac, tell: &mpsc::UnboundedSender<Heard>) {
    /// How often the thread looks whether anybody still wants to know, in milliseconds.
    const LOOK: u16 = 200;
    let mut frame = [0_u8; 2048];
    let mut last = None;
    while !tell.is_closed() {
        let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], LOOK);
        while let Ok(length) = recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) {
            let heard = frame.get(..length).and_then(|frame| address_in(frame, guest));
            if heard.is_some() && heard != last {
                last = heard;
                let _ = heard.map(|heard| tell.send(heard));
            }
        }
    }
}

#[expect(unsafe_code, reason = "nix cannot make a sockaddr_ll; the structure is plain data")]
fn bind(fd: &OwnedFd, link: IfIndex) -> Option<()> {
    // SAFETY: sockaddr_ll is plain data for which all zeroes is valid; the pointer and length given to
    // bind are of this one live value.
    unsafe {
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = u16::try_from(libc::AF_PACKET).ok()?;
        address.sll_protocol = u16::try_from(libc::ETH_P_ALL).ok()?.to_be();
        address.sll_ifindex = i32::try_from(link.0).ok()?;
        let length = libc::socklen_t::try_from(std::mem::size_of_val(&address)).ok()?;
        (libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) == 0).then_some(())
    }
}

/// The guest's address in a frame: the sender of its ARP, or what DHCP gives it. The source of its IP may be
/// anybody's: a guest may route.
fn address_in(frame: &[u8], guest: Mac) -> Option<Heard> {
    let source = Mac::from_slice(frame.get(6..12)?)?;
    let kind = frame.get(12..14)?;
    let payload = frame.get(14..)?;
    let at = |at: usize| Some(Ipv4Addr::from(*payload.get(at..)?.first_chunk::<4>()?));
    let used = |address: Ipv4Addr| Heard::Used(IpAddr::V4(address));
    let plain = |address: &Ipv4Addr| !address.is_unspecified() && !address.is_link_local();
    match kind {
        [0x08, 0x06] if source == guest => at(14).filter(plain).map(used),
        [0x08, 0x00] => dhcp_ack(payload, guest).map(|address| Heard::Given(IpAddr::V4(address))),
        _ => None,
    }
}

/// `yiaddr` of a DHCP ACK to this guest.
fn dhcp_ack(packet: &[u8], guest: Mac) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let udp = packet.get(header..)?;
    let from_server = packet.get(9) == Some(&17) && udp.get(..4)? == [0, 67, 0, 68];
    let bootp = udp.get(8..)?;
    if !from_server || bootp.get(28..34)? != guest.0 {
        return None;
    }
    let mut options = bootp.get(240..)?;
    while let [kind, length, rest @ ..] = options {
        if (*kind, rest.first()) == (53, Some(&5)) {
            return Some(Ipv4Addr::from(*bootp.get(16..)?.first_chunk::<4>()?));
        }
        options = if *kind == 0 { options.get(1..)? } else { rest.get(usize::from(*length)..)? };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Mac = Mac([0x52, 0x54, 0, 0xaa, 0xfc, 0x1c]);

    #[test]
    fn the_sender_of_the_guests_arp_is_its_address() {
        let mut frame = vec![0xff; 6];
        frame.extend(GUEST.0);
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(GUEST.0);
        frame.extend([10, 0, 0, 208, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        assert_eq!(address_in(&frame, GUEST), Some(Heard::Used(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 208)))));
        assert_eq!(address_in(&frame, Mac([2; 6])), None);
        frame.truncate(20);
        assert_eq!(address_in(&frame, GUEST), None);
    }
}
