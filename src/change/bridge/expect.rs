//! PURE. What the kernel must show when a change of a bridge is done, or undone.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::model::kernel::{Link, Route};
use crate::model::{IfName, KernelFacts};

/// What the kernel must show.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expect {
    /// Links and their bridge; a port must forward.
    pub masters: Vec<(IfName, Option<IfName>)>,
    /// Links and the addresses on them.
    pub addresses: Vec<(IfName, IpNet)>,
    /// Routes of the main table.
    #[serde(default)]
    pub routes: Vec<Way>,
    /// Links that must have an IPv4 address that a DHCP server lends.
    pub leased: Vec<IfName>,
    /// Links that must not be there.
    pub absent: Vec<IfName>,
}

/// A route of the main table that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// By this link.
    pub link: IfName,
    /// Where to.
    pub to: IpNet,
    /// The next hop, if not directly reachable.
    pub gateway: Option<IpAddr>,
    /// Its metric; `None` where an owner chooses it.
    pub metric: Option<u32>,
}

impl Way {
    fn is_there(&self, kernel: &KernelFacts) -> bool {
        let index = kernel.links.iter().find(|link| link.name == self.link).map(|link| link.index);
        index.is_some()
            && kernel.routes.iter().any(|route| {
                (route.oif, route.destination, route.gateway, route.table)
                    == (index, self.to, self.gateway, Route::MAIN)
                    && self.metric.is_none_or(|metric| metric == route.metric)
            })
    }
}

impl fmt::Display for Way {
    /// As `ip route` prints it, but for the link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.to.prefix_len(), self.to) {
            (0, _) => f.write_str("default")?,
            (_, to) => write!(f, "{to}")?,
        }
        self.gateway.map_or(Ok(()), |gateway| write!(f, " via {gateway}"))
    }
}

impl Expect {
    /// The addresses and routes that a link has. What the kernel makes follows the addresses, and what routers announce
    /// comes in its own time.
    #[must_use]
    pub fn of(kernel: &KernelFacts, link: &Link) -> Self {
        let addresses = kernel.addresses.iter().filter(|address| address.index == link.index);
        let addresses = addresses.filter(|address| address.scope != "link");
        let routes = kernel.routes.iter().filter(|route| route.oif == Some(link.index));
        let routes = routes.filter(|route| {
            route.table == Route::MAIN
                && route.kind == "unicast"
                && !matches!(route.protocol.as_str(), "kernel" | "ra")
        });
        let way = |route: &Route| Way {
            link: link.name,
            to: route.destination,
            gateway: route.gateway,
            metric: Some(route.metric),
        };
        Self {
            addresses: addresses.map(|address| (link.name, address.address)).collect(),
            routes: routes.map(way).collect(),
            ..Self::default()
        }
    }

    /// An owner chooses the metrics of its routes anew.
    pub fn leave_metrics(&mut self) {
        self.routes.iter_mut().for_each(|way| way.metric = None);
    }

    /// The first thing that is not as it must be, in words.
    #[must_use]
    pub fn missing(&self, kernel: &KernelFacts) -> Option<String> {
        self.unsettled(kernel).or_else(|| {
            let there = |name: &IfName| kernel.links.iter().any(|link| link.name == *name);
            let found = self.absent.iter().find(|name| there(name));
            found.map(|name| format!("{name} is still there"))
        })
    }

    /// A link of a name that must be free, or a lasting address on one of these links: what somebody has made
    /// since, in words. What DHCP servers and routers lend comes and goes by itself.
    #[must_use]
    pub fn appeared(&self, kernel: &KernelFacts) -> Option<String> {
        let taken = self.absent.iter().find(|name| kernel.links.iter().any(|link| link.name == **name));
        if let Some(name) = taken {
            return Some(format!("somebody has made {name} meanwhile"));
        }
        let named = |name: &IfName| {
            let ports = self.masters.iter().map(|(port, _)| port);
            ports.chain(self.addresses.iter().map(|(link, _)| link)).any(|other| other == name)
        };
        let new = |link: &Link| {
            let of_link = kernel.addresses.iter().filter(|address| address.index == link.index);
            let mut lasting = of_link.filter(|address| address.permanent && address.is_global());
            lasting.find(|address| !self.addresses.contains(&(link.name, address.address)))
        };
        let links = kernel.links.iter().filter(|link| named(&link.name));
        links.into_iter().find_map(|link| Some(format!("{} is on {} now", new(link)?.address, link.name)))
    }

    /// The same, without the links that must not be there.
    #[must_use]
    pub fn unsettled(&self, kernel: &KernelFacts) -> Option<String> {
        let link = |name: IfName| kernel.links.iter().find(|link| link.name == name);
        let master = self.masters.iter().find_map(|(port, bridge)| {
            let Some(found) = link(*port) else { return Some(format!("{port} is not there")) };
            let is = found.master.and_then(|index| kernel.links.iter().find(|link| link.index == index));
            match (is.map(|link| link.name), bridge) {
                (is, wanted) if is == *wanted && found.forwards() => None,
                (is, wanted) if is == *wanted => Some(format!("port {port} does not forward yet")),
                (_, Some(bridge)) => Some(format!("{port} is no port of {bridge}")),
                (_, None) => Some(format!("{port} is still a port")),
            }
        });
        let address = || {
            self.addresses.iter().find_map(|(name, address)| {
                let index = link(*name).map(|link| link.index);
                let there = kernel.addresses.iter().any(|a| Some(a.index) == index && a.address == *address);
                (!there).then(|| format!("{address} is not on {name}"))
            })
        };
        let lease = || {
            self.leased.iter().find_map(|name| {
                let index = link(*name).map(|link| link.index);
                let there = kernel
                    .addresses
                    .iter()
                    .any(|a| Some(a.index) == index && a.address.addr().is_ipv4() && !a.permanent);
                (!there).then(|| format!("no DHCP server has lent {name} an address yet"))
            })
        };
        let route = || {
            let way = self.routes.iter().find(|way| !way.is_there(kernel));
            way.map(|way| format!("the route {way} is not on {}", way.link))
        };
        master.or_else(address).or_else(lease).or_else(route)
    }
}
