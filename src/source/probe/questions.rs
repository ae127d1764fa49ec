//! READS, by asking: everything that can be asked of one NIC, each answer beside the derived one.

use std::net::IpAddr;
use std::time::Duration;

use super::ProbeError;
use crate::model::{Nic, NicId, Snapshot};
use crate::path::probe::{Found, Probed};
use crate::path::reach::{self, Cell, Direction, Peer};
use crate::source::libvirt::{Access, Connection, GuestHandle};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The host alone.
    Host,
    /// The guest too, by its agent.
    HostAndGuest,
}

/// Asks everything that can be asked of a NIC. Blocks for some seconds.
#[must_use]
pub fn ask(snapshot: &Snapshot, id: NicId, uri: &str, scope: Scope) -> Vec<Probed> {
    let (Some(nic), Some(matrix)) = (snapshot.nic(id), reach::matrix(snapshot, id)) else {
        return Vec::new();
    };
    let agent = agent(snapshot, nic, uri, scope);
    let rows = matrix.cells.into_iter().filter_map(|cell| match (cell.direction, cell.peer) {
        (Direction::From, Peer::Host) => Some(from_host(snapshot, nic, cell)),
        (Direction::To, Peer::OtherHost) | (Direction::From, _) => None,
        (Direction::To, _) => Some(from_guest(nic, cell, &agent)),
    });
    rows.collect()
}

/// The guest's agent, and the NIC's name inside.
struct Agent {
    guest: GuestHandle,
    nic: Option<String>,
}

fn agent(snapshot: &Snapshot, nic: &Nic, uri: &str, scope: Scope) -> Result<Agent, String> {
    if scope == Scope::Host {
        return Err("only the host was asked to probe".to_owned());
    }
    let guest = snapshot.guest(nic.id.domain).filter(|guest| guest.agent);
    let Some(guest) = guest else {
        return Err("no guest agent answers: nothing can be asked from inside".to_owned());
    };
    let inside = guest.agent_addresses.iter().find(|seen| seen.mac == nic.id.mac);
    let connection = Connection::open(uri, Access::ReadWrite).map_err(|error| error.to_string())?;
    let handle = connection.domain(nic.id.domain).map_err(|error| error.to_string())?;
    Ok(Agent { guest: handle, nic: inside.map(|seen| seen.name.clone()) })
}

fn from_guest(nic: &Nic, cell: Cell, agent: &Result<Agent, String>) -> Probed {
    let not_asked = |reason: String| Found::NotAsked { reason };
    let asked = cell.address;
    let found = match (asked, agent) {
        (None, _) => not_asked("there is no address to ask".to_owned()),
        (_, Err(reason)) => not_asked(reason.clone()),
        (Some(_), _) if !nic.state.is_active() => not_asked("the guest is off".to_owned()),
        (Some(address), Ok(agent)) => {
            match super::echo_from_guest(&agent.guest, agent.nic.as_deref(), address) {
                Ok(true) => Found::Answered { micros: None },
                Ok(false) => Found::Silent { arp: None },
                Err(error) => not_asked(error.to_string()),
            }
        }
    };
    Probed::new(cell, asked, found)
}

/// From the host to the guest's best address.
fn from_host(snapshot: &Snapshot, nic: &Nic, cell: Cell) -> Probed {
    let v4 = cell.address.is_none_or(|address| address.is_ipv4());
    let address = nic.addresses.iter().find(|own| !own.stale && own.address.is_ipv4() == v4);
    let Some(address) = address.map(|own| own.address) else {
        let reason = "no address of the guest is known: nothing can be asked".to_owned();
        return Probed::new(cell, None, Found::NotAsked { reason });
    };
    let found = ask_from_host(snapshot, address)
        .unwrap_or_else(|error| Found::NotAsked { reason: error.to_string() });
    Probed::new(cell, Some(address), found)
}

fn ask_from_host(snapshot: &Snapshot, address: IpAddr) -> Result<Found, ProbeError> {
    const WAIT: Duration = Duration::from_secs(3);
    if let Some(time) = super::echo(address, WAIT)? {
        return Ok(Found::Answered { micros: u64::try_from(time.as_micros()).ok() });
    }
    // Who is there at all is told by ARP, where the address is on a link of the host.
    let IpAddr::V4(v4) = address else { return Ok(Found::Silent { arp: None }) };
    let route = snapshot.kernel.route_to(address).filter(|route| route.gateway.is_none());
    let link = route.and_then(|route| snapshot.link(route.oif?));
    let own = link.and_then(|link| {
        let mut own = snapshot.kernel.addresses.iter().filter(|own| own.index == link.index);
        own.find_map(|own| match own.address.addr() {
            IpAddr::V4(own) => Some((link.mac?, own)),
            IpAddr::V6(_) => None,
        })
    });
    let arp = match link.zip(own) {
        Some((link, own)) => super::arp((link.name, link.index), own, v4, WAIT)?,
        None => None,
    };
    Ok(Found::Silent { arp })
}
