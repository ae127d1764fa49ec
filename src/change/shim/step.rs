//! PURE. The steps of a shim. Each can be done again without harm, so that the way back works from any point.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::{IfName, Mac};

/// One change of the kernel's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum ShimStep {
    /// Where systemd-networkd runs, it is told to leave the link alone until the next boot: a file of its own
    /// for links named `eth*` would make it ask for an address there.
    Hold {
        /// The shim.
        shim: IfName,
    },
    /// That is forgotten.
    Release {
        /// The shim.
        shim: IfName,
    },
    /// The link, down, and set up so that it answers nobody but those it has a route to.
    Make {
        /// The shim.
        shim: IfName,
        /// The NIC below.
        over: IfName,
        /// The MAC it had; `None`: the kernel's choice.
        mac: Option<Mac>,
        /// Whether IPv6 is used on it.
        v6: V6,
    },
    /// `arp_filter` of a shim that is there.
    Filter {
        /// The shim.
        shim: IfName,
        /// Its value.
        value: u8,
    },
    /// Switches it on.
    Up {
        /// The shim.
        shim: IfName,
    },
    /// An address more.
    Address {
        /// The shim.
        shim: IfName,
        /// The address.
        address: IpNet,
    },
    /// An address less.
    DropAddress {
        /// The shim.
        shim: IfName,
        /// The address.
        address: IpNet,
    },
    /// A route more.
    Route {
        /// The shim.
        shim: IfName,
        /// Where to.
        to: IpNet,
        /// The source that the host uses.
        source: Option<IpAddr>,
    },
    /// A route less.
    DropRoute {
        /// The shim.
        shim: IfName,
        /// Where to.
        to: IpNet,
    },
    /// The link goes, and all that is on it.
    Remove {
        /// The shim.
        shim: IfName,
    },
}

/// Whether IPv6 is used on a shim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum V6 {
    /// It has an address, and no router is listened to.
    On,
    /// Switched off.
    Off,
}

impl ShimStep {
    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Hold { shim } => format!("systemd-networkd, where it runs, leaves {shim} alone"),
            Self::Release { shim } => format!("systemd-networkd forgets {shim}"),
            Self::Make { shim, over, .. } => {
                format!("make {shim}, a macvlan in mode bridge on {over}, that answers only its guests")
            }
            Self::Filter { shim, value: 0 } => format!("let {shim} answer everybody"),
            Self::Filter { shim, .. } => format!("let {shim} answer only its guests"),
            Self::Up { shim } => format!("switch {shim} on"),
            Self::Address { shim, address } => format!("give {shim} the address {address}"),
            Self::DropAddress { shim, address } => format!("take {address} off {shim}"),
            Self::Route { shim, to, source } => match source {
                Some(source) => format!("route to {to} by {shim}, from {source}"),
                None => format!("route to {to} by {shim}"),
            },
            Self::DropRoute { shim, to } => format!("no route to {to} by {shim} any more"),
            Self::Remove { shim } => format!("delete {shim}"),
        }
    }

    /// The same as shell lines.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        match self {
            Self::Hold { .. } | Self::Release { .. } => Vec::new(),
            Self::Make { shim, over, v6, .. } => {
                let v6 = match v6 {
                    V6::Off => format!("echo 1 >/proc/sys/net/ipv6/conf/{shim}/disable_ipv6"),
                    V6::On => format!("echo 0 >/proc/sys/net/ipv6/conf/{shim}/accept_ra"),
                };
                let filter = format!("echo 1 >/proc/sys/net/ipv4/conf/{shim}/arp_filter");
                vec![format!("ip link add {shim} link {over} type macvlan mode bridge"), v6, filter]
            }
            Self::Filter { shim, value } => {
                vec![format!("echo {value} >/proc/sys/net/ipv4/conf/{shim}/arp_filter")]
            }
            Self::Up { shim } => vec![format!("ip link set {shim} up")],
            Self::Address { shim, address } => {
                vec![format!("ip address add {address} dev {shim}")]
            }
            Self::DropAddress { shim, address } => vec![format!("ip address del {address} dev {shim}")],
            Self::Route { shim, to, source } => {
                let source = source.map(|source| format!(" src {source}")).unwrap_or_default();
                vec![format!("ip route add {to} dev {shim}{source}")]
            }
            Self::DropRoute { shim, to } => vec![format!("ip route del {to} dev {shim}")],
            Self::Remove { shim } => vec![format!("ip link del {shim}")],
        }
    }
}
