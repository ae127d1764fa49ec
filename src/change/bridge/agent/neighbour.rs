//! WRITES the kernel's neighbour table only. Whether a gateway answers: not whether it did once, but now, over
//! the link that leads to it now.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use tokio::time::Instant;

use super::POLL;
use crate::change::bridge::Expect;
use crate::change::bridge::kernel::Kernel;
use crate::model::{IfIndex, KernelFacts};
use crate::source::netlink;

/// Waits until a neighbour has told its MAC: a datagram to the discard port makes the kernel ask. What the
/// kernel knew from before proves nothing, and is forgotten.
pub(super) async fn answers(neighbour: IpAddr, expect: &Expect, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let kernel = Kernel::open().map_err(|error| error.to_string())?;
    let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
    if let Some(link) = link_to(neighbour, expect, &facts) {
        kernel.forget(link, neighbour).await.map_err(|error| error.to_string())?;
    }
    let mut over = link_to(neighbour, expect, &facts);
    while Instant::now() < deadline {
        ask(neighbour, over);
        tokio::time::sleep(POLL).await;
        let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
        over = link_to(neighbour, expect, &facts);
        let known = facts.neighbours.iter().any(|seen| {
            Some(seen.index) == over
                && seen.address == neighbour
                && !matches!(seen.state.as_str(), "failed" | "incomplete")
        });
        if known {
            return Ok(());
        }
    }
    Err(format!("{neighbour}, which answered before, does not answer any more"))
}

/// An unreachable port is an answer like any other.
fn ask(neighbour: IpAddr, over: Option<IfIndex>) {
    let (any, to): (SocketAddr, SocketAddr) = match neighbour {
        IpAddr::V4(_) => ((Ipv4Addr::UNSPECIFIED, 0).into(), (neighbour, 9).into()),
        IpAddr::V6(address) => {
            let scope = over.filter(|_| address.is_unicast_link_local()).map_or(0, |link| link.0);
            ((Ipv6Addr::UNSPECIFIED, 0).into(), SocketAddrV6::new(address, 9, 0, scope).into())
        }
    };
    if let Ok(socket) = UdpSocket::bind(any) {
        let _ = socket.send_to(&[], to);
    }
}

/// The link that a neighbour is asked over. A link-local address could be on any: it is the one of the routes
/// by it, and of those the one that has what is expected.
#[must_use]
pub fn link_to(neighbour: IpAddr, expect: &Expect, facts: &KernelFacts) -> Option<IfIndex> {
    if !matches!(neighbour, IpAddr::V6(address) if address.is_unicast_link_local()) {
        return facts.route_to(neighbour)?.oif;
    }
    let names = expect.addresses.iter().map(|(link, _)| link).chain(&expect.leased);
    let index_of = |name: &_| facts.links.iter().find(|link| link.name == *name).map(|link| link.index);
    let expected: Vec<IfIndex> = names.filter_map(index_of).collect();
    let mut by_it =
        facts.routes.iter().filter(|route| route.gateway == Some(neighbour)).filter_map(|route| route.oif);
    let first = by_it.clone().next();
    by_it.find(|link| expected.contains(link)).or_else(|| expected.first().copied()).or(first)
}
