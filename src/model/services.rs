//! What programs on the host do for, or to, the guests' network: DHCP and DNS servers, and the managers that
//! own links or rules.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::ids::Timestamp;
use super::unfinished::Unfinished;

/// One look at the host's programs; `None` where that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceFacts {
    /// When it was read; 0 = never.
    pub read_at: Timestamp,
    /// Who listens on UDP 53 and 67 (`/proc/net/udp`, `/proc/net/udp6`).
    pub udp: Option<Vec<UdpSocket>>,
    /// The dnsmasq processes that libvirt started; `None` when other users' processes are hidden.
    pub dnsmasq: Option<Vec<Dnsmasq>>,
    /// Programs that manage links or firewall rules and run now, by process name.
    pub managers: Vec<String>,
    /// Changes of networks and shims that virt-net itself began and did not bring to an end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<Unfinished>,
}

impl ServiceFacts {
    /// Whether something listens on this UDP port at this very address.
    #[must_use]
    pub fn listens(&self, address: IpAddr, port: u16) -> Option<bool> {
        let sockets = self.udp.as_ref()?;
        Some(sockets.iter().any(|socket| socket.port == port && socket.address == address))
    }
}

/// A bound UDP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UdpSocket {
    /// Where it is bound; all zeros for any address (then possibly to one link, which the kernel does not tell).
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
}

/// A dnsmasq that serves a network of libvirt's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dnsmasq {
    /// Its process.
    pub pid: u32,
    /// The network, by the name of its configuration file: hostile text.
    pub network: String,
}
