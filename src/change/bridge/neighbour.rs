//! WRITES the kernel's table of neighbours. Whether a neighbour of the host answers over a link.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use tokio::time::Instant;

use super::kernel::Kernel;
use crate::model::{IfIndex, IfName};
use crate::source::netlink;

/// How often it is looked for.
const POLL: Duration = Duration::from_millis(100);

/// Waits until a neighbour has told its MAC over this link: a datagram to the discard port makes the kernel ask.
/// What the kernel knew from before proves nothing, and is forgotten.
///
/// # Errors
/// It did not, or there is no such link, in words.
pub async fn answers(neighbour: IpAddr, link: IfName, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let kernel = Kernel::open().map_err(|error| error.to_string())?;
    let mut is_asked_anew = false;
    while Instant::now() < deadline {
        let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
        let index = facts.links.iter().find(|found| found.name == link).map(|found| found.index);
        let index = index.ok_or_else(|| format!("{neighbour} cannot be asked: there is no link {link}"))?;
        if !is_asked_anew {
            kernel.forget(index, neighbour).await.map_err(|error| error.to_string())?;
            is_asked_anew = true;
        }
        // An unreachable port is an answer like any other.
        let _ = ask(neighbour, link, index);
        tokio::time::sleep(POLL).await;
        let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
        let known = facts.neighbours.iter().any(|seen| {
            seen.index == index
                && seen.address == neighbour
                && !matches!(seen.state.as_str(), "failed" | "incomplete")
        });
        if known {
            return Ok(());
        }
    }
    Err(format!("{neighbour}, which answered before, does not answer on {link} any more"))
}

/// A datagram to a neighbour that leaves by this link, whatever the routes say.
fn ask(neighbour: IpAddr, link: IfName, index: IfIndex) -> io::Result<()> {
    let (any, to): (SocketAddr, SocketAddr) = match neighbour {
        IpAddr::V4(address) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (address, 9).into()),
        IpAddr::V6(address) => {
            ((Ipv6Addr::UNSPECIFIED, 0).into(), SocketAddrV6::new(address, 9, 0, index.0).into())
        }
    };
    let socket = UdpSocket::bind(any)?;
    let device = OsString::from_vec(link.as_bytes().to_vec());
    nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::BindToDevice, &device)?;
    socket.send_to(&[], to).map(drop)
}
