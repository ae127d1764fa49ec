//! PURE. The way of a packet: from a guest's NIC to an address and back, or from outside to a guest.
//!
//! ```text
//! guest → tap → port → bridge → decision of the host → rules of each hook → uplink → next hop
//! ```
//! Everything is derived from one [`Snapshot`]: nothing is sent. What cannot be decided from it is said
//! to be unknown, with the reason; the first hop where packets stop carries the reason too. A "yes" means
//! that nothing *on this host* stops them: what a firewall inside the guest or on the far side does is
//! not seen from here. Policy routing (`ip rule`), VLANs of bridge ports and rules at a link's ingress are not
//! followed: where they are in use the answer is unknown. What `tc` or XDP do is not seen at all.

mod hooks;
pub mod packet;
pub mod probe;
pub mod reach;
mod walk;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

pub use hooks::Passed;
pub(crate) use hooks::{Hooks, Stop};
pub use packet::{Answer, Protocol};

use crate::model::firewall::Hook;
use crate::model::{Counters, IfIndex, IfName, NicId, Snapshot};

/// An address that stands for the internet: for documentation only, so no host has it. Rules about nets for
/// documentation (a list of bogons) are not about it.
pub const INTERNET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
/// The same of IPv6.
pub const INTERNET6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1));

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The guest's NIC.
    pub nic: NicId,
    /// The other end, and who starts.
    pub way: Way,
    /// What is sent.
    pub protocol: Protocol,
}

/// The other end, and who starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the guest to an address.
    To(IpAddr),
    /// From an address (the host's own, another guest's, or an outside one) to the guest.
    From(IpAddr),
}

impl Way {
    /// The other end.
    #[must_use]
    pub const fn peer(self) -> IpAddr {
        match self {
            Self::To(peer) | Self::From(peer) => peer,
        }
    }
}

/// The whole way, there and back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Path {
    /// Where it starts: the guest's name (hostile text), `host`, or an address.
    pub from: String,
    /// Its source address: a net where no more is known.
    pub source: IpNet,
    /// Where it ends, likewise.
    pub to: String,
    /// The destination asked for.
    pub destination: IpNet,
    /// What is sent.
    #[serde(flatten)]
    pub protocol: Protocol,
    /// The address the far side sees, where it is translated for certain.
    pub seen_as: Option<IpAddr>,
    /// There.
    pub there: Leg,
    /// Back; `None` when nothing arrives, or when where it would arrive is not known.
    pub back: Option<Leg>,
    /// Both ways pass.
    pub answer: Answer,
    /// Why, in one line.
    pub reason: String,
}

/// One direction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Leg {
    /// Hop by hop.
    pub hops: Vec<Hop>,
    /// It arrives.
    pub answer: Answer,
}

impl Leg {
    /// The first hop that stops the packet, else the first that is not decided.
    #[must_use]
    pub fn trouble(&self) -> Option<&Hop> {
        let stops = |hop: &&Hop| matches!(hop.state, HopState::Stops { .. });
        let doubts = |hop: &&Hop| matches!(hop.state, HopState::Undecided { .. });
        self.hops.iter().find(stops).or_else(|| self.hops.iter().find(doubts))
    }
}

/// One station.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hop {
    /// What it is.
    #[serde(flatten)]
    pub kind: HopKind,
    /// Its name: a link's, a hook's, an address; a guest's is hostile text.
    pub name: String,
    /// What it does, in a few words.
    pub detail: String,
    /// The link whose counters count the packet here.
    pub link: Option<Counted>,
    /// The rules met here, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Passed>,
    /// Whether the packet passes.
    pub state: HopState,
}

/// A link, the side on which it counts the packet, and its figures there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Counted {
    /// The link.
    pub index: IfIndex,
    /// Into the host by it, or out of the host.
    pub side: Side,
    /// Bytes per second that way now.
    pub bytes_per_second: Option<f64>,
    /// Packets that way so far.
    pub packets: Option<u64>,
}

/// Which of a link's counters rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The host receives.
    Received,
    /// The host sends.
    Sent,
}

impl Counted {
    fn of(snapshot: &Snapshot, index: IfIndex, side: Side) -> Self {
        let rate = snapshot.history.rate(index);
        let counters: Option<Counters> = snapshot.counters(index);
        let (bytes_per_second, packets) = match side {
            Side::Received => (rate.map(|rate| rate.rx_bytes), counters.map(|counters| counters.rx_packets)),
            Side::Sent => (rate.map(|rate| rate.tx_bytes), counters.map(|counters| counters.tx_packets)),
        };
        Self { index, side, bytes_per_second, packets }
    }
}

/// What a station is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HopKind {
    /// A guest's NIC.
    Guest,
    /// The guest's tap.
    Tap,
    /// The guest's macvtap.
    Macvtap,
    /// A bridge.
    Bridge,
    /// The host's own programs.
    Host,
    /// The routing decision.
    Route,
    /// A netfilter hook.
    Hook {
        /// Which.
        hook: Hook,
    },
    /// A link that leads out of the host.
    Uplink,
    /// Beyond the host.
    Outside,
}

/// Whether the packet passes a station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum HopState {
    /// It does.
    Passes,
    /// What is known does not decide it.
    Undecided {
        /// What is not known.
        reason: String,
    },
    /// It does not.
    Stops {
        /// Why.
        reason: String,
    },
}

impl HopState {
    /// Why it stops or is not decided.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Passes => None,
            Self::Undecided { reason } | Self::Stops { reason } => Some(reason),
        }
    }
}

/// Follows the packet; `None` when there is no such NIC.
#[must_use]
pub fn trace(snapshot: &Snapshot, question: &Question) -> Option<Path> {
    let nic = snapshot.nic(question.nic)?;
    Some(walk::trace(&hooks::Rules::of(snapshot), nic, question))
}

fn names(links: &[IfName]) -> String {
    links.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
