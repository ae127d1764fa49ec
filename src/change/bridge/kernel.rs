//! WRITES. The steps of a bridge's change by rtnetlink, in the order that loses no packet.
//!
//! There is no transaction over several requests: every step leaves alone what is already so, so that
//! the way back works from any point in the middle.

use std::net::IpAddr;

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::BridgeStpState;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteProtocol, RouteScope,
    RouteType,
};
use rtnetlink::{Handle, LinkBridge, LinkUnspec};
use thiserror::Error;

use super::{Step, Stp};
use crate::model::kernel::Route;
use crate::model::{IfIndex, IfName};
use crate::source::netlink;

/// Why a step failed.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The state could not be read.
    #[error(transparent)]
    Read(#[from] netlink::NetlinkError),
    /// No socket.
    #[error("open a netlink socket: {0}")]
    Open(std::io::Error),
    /// A link is missing.
    #[error("{step}: there is no link {link}")]
    Missing {
        /// What was tried.
        step: String,
        /// The link.
        link: IfName,
    },
    /// The kernel refused.
    #[error("{step}: {error}")]
    Refused {
        /// What was tried.
        step: String,
        /// The kernel's answer.
        error: rtnetlink::Error,
    },
}

/// Changes links, addresses and routes.
#[derive(Debug)]
pub struct Kernel {
    handle: Handle,
}

impl Kernel {
    /// Opens a socket on the current runtime.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn open() -> Result<Self, KernelError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(KernelError::Open)?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Makes the kernel forget a neighbour's MAC on a link, so that it has to ask again. One it does not
    /// know is forgotten already.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn forget(&self, link: IfIndex, neighbour: IpAddr) -> Result<(), rtnetlink::Error> {
        let known: Vec<NeighbourMessage> = self.handle.neighbours().get().execute().try_collect().await?;
        let same = |attribute: &NeighbourAttribute| match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                neighbour == IpAddr::V4(*address)
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => {
                neighbour == IpAddr::V6(*address)
            }
            _ => false,
        };
        for entry in known {
            if entry.header.ifindex == link.0 && entry.attributes.iter().any(same) {
                // It may go by itself meanwhile.
                let _ = self.handle.neighbours().del(entry).execute().await;
            }
        }
        Ok(())
    }

    /// Does one step.
    ///
    /// # Errors
    /// A link is missing or the kernel refuses; the steps before stay done.
    pub async fn run(&self, step: &Step) -> Result<(), KernelError> {
        match step {
            Step::AddBridge { .. } => self.add_bridge(step).await,
            Step::DeleteBridge { bridge } => match index(*bridge).await? {
                Some(index) => done(step, &[], self.handle.link().del(index).execute().await),
                None => Ok(()),
            },
            Step::Attach { port, bridge } => {
                let (port, bridge) = (existing(step, *port).await?, existing(step, *bridge).await?);
                let message = LinkUnspec::new_with_index(port).controller(bridge).up().build();
                done(step, &[], self.handle.link().set(message).execute().await)
            }
            Step::Detach { port } => {
                let message = LinkUnspec::new_with_index(existing(step, *port).await?).nocontroller().build();
                done(step, &[], self.handle.link().set(message).execute().await)
            }
            Step::Move { from, to } => match index(*from).await? {
                Some(from) => self.move_all(step, from, existing(step, *to).await?).await,
                None => Ok(()),
            },
            Step::AddAddress { link, address } => {
                self.add_address(step, existing(step, *link).await?, *address).await
            }
            Step::DropAddress { link, address } => match index(*link).await? {
                Some(index) => {
                    keep_others(*link);
                    self.drop_address(step, index, *address).await
                }
                None => Ok(()),
            },
            Step::DropOthers { link, keep } => match index(*link).await? {
                Some(index) => self.drop_others(step, index, keep).await,
                None => Ok(()),
            },
            Step::Restore { link, addresses, bare, routes } => {
                let index = existing(step, *link).await?;
                self.restore(step, index, (addresses, bare), routes).await
            }
            // The rest is not the kernel's.
            _ => Ok(()),
        }
    }

    async fn drop_others(&self, step: &Step, index: u32, keep: &[IpNet]) -> Result<(), KernelError> {
        let facts = netlink::read_once().await?;
        let foreign = facts.addresses.iter().filter(|found| {
            found.index.0 == index && found.address.addr().is_ipv4() && !keep.contains(&found.address)
        });
        for found in foreign {
            self.drop_address(step, index, found.address).await?;
        }
        Ok(())
    }

    /// The addresses of a link that have no broadcast address.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub async fn bare(&self, step: &Step, link: IfName) -> Result<Vec<IpNet>, KernelError> {
        let found = self.addresses(step, existing(step, link).await?).await?;
        let is_bare = |address: &&AddressMessage| {
            !address.attributes.iter().any(|attribute| matches!(attribute, AddressAttribute::Broadcast(_)))
        };
        let net = |address: &AddressMessage| {
            let own = address.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(local) => Some(*local),
                _ => None,
            });
            IpNet::new(own?, address.header.prefix_len).ok()
        };
        Ok(found.iter().filter(is_bare).filter_map(net).collect())
    }

    async fn add_bare_address(&self, step: &Step, index: u32, address: IpNet) -> Result<(), KernelError> {
        let mut request = self.handle.address().add(index, address.addr(), address.prefix_len());
        let attributes = &mut request.message_mut().attributes;
        attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Broadcast(_)));
        done(step, &[libc::EEXIST], request.execute().await)
    }

    async fn add_address(&self, step: &Step, index: u32, address: IpNet) -> Result<(), KernelError> {
        let request = self.handle.address().add(index, address.addr(), address.prefix_len());
        done(step, &[libc::EEXIST], request.execute().await)
    }

    async fn drop_address(&self, step: &Step, index: u32, address: IpNet) -> Result<(), KernelError> {
        let gone = [libc::EADDRNOTAVAIL, libc::ENODEV];
        for found in self.addresses(step, index).await? {
            let is_it = found.header.prefix_len == address.prefix_len()
                && found.attributes.iter().any(|attribute| {
                    matches!(attribute, AddressAttribute::Local(local) if *local == address.addr())
                        || matches!(attribute, AddressAttribute::Address(own)
                            if *own == address.addr() && address.addr().is_ipv6())
                });
            if is_it {
                done(step, &gone, self.handle.address().del(found).execute().await)?;
            }
        }
        Ok(())
    }

    /// Adds what is missing, the routes without a gateway first.
    async fn restore(
        &self,
        step: &Step,
        index: u32,
        (addresses, bare): (&[IpNet], &[IpNet]),
        routes: &[Route],
    ) -> Result<(), KernelError> {
        let facts = netlink::read_once().await?;
        let there = |address: &IpNet| {
            facts.addresses.iter().any(|found| found.index.0 == index && found.address == *address)
        };
        for address in addresses.iter().filter(|address| !there(address)) {
            if bare.contains(address) {
                self.add_bare_address(step, index, *address).await?;
            } else {
                self.add_address(step, index, *address).await?;
            }
        }
        let facts = netlink::read_once().await?;
        let same = |route: &Route| {
            facts.routes.iter().any(|found| {
                found.oif.is_some_and(|oif| oif.0 == index)
                    && (found.destination, found.gateway, found.metric, found.table)
                        == (route.destination, route.gateway, route.metric, route.table)
            })
        };
        let mut missing: Vec<&Route> = routes.iter().filter(|route| !same(route)).collect();
        missing.sort_by_key(|route| route.gateway.is_some());
        for route in missing {
            let added = self.handle.route().add(message_of(route, index)).execute().await;
            done(step, &[libc::EEXIST], added)?;
        }
        Ok(())
    }

    /// One that is there already is the same one if it has the MAC.
    async fn add_bridge(&self, step: &Step) -> Result<(), KernelError> {
        let Step::AddBridge { bridge, mac, mtu, stp } = step else { return Ok(()) };
        let mut builder = LinkBridge::new(&bridge.to_string()).mtu(*mtu).up();
        builder = match stp {
            Stp::Off => builder.stp_state(BridgeStpState::Disabled).forward_delay(0),
            Stp::On { forward_delay } => {
                builder.stp_state(BridgeStpState::KernelStp).forward_delay(*forward_delay)
            }
        };
        if let Some(mac) = mac {
            builder = builder.address(mac.0.to_vec());
        }
        let added = self.handle.link().add(builder.build()).execute().await;
        let facts = netlink::read_once().await?;
        let is_same =
            facts.links.iter().any(|link| link.name == *bridge && (mac.is_none() || link.mac == *mac));
        done(step, if is_same { &[libc::EEXIST] } else { &[] }, added)
    }

    /// New addresses first, then the routes, the old addresses last: at no moment is there no way.
    async fn move_all(&self, step: &Step, from: u32, to: u32) -> Result<(), KernelError> {
        let addresses = self.addresses(step, from).await?;
        // Without routes of the kernel's own, those that a manager made in its name have to come along.
        let is_bare = |address: &AddressMessage| {
            address.attributes.iter().any(|attribute| {
                matches!(attribute, AddressAttribute::Flags(flags) if flags.contains(AddressFlags::Noprefixroute))
            })
        };
        let mut routes = self.routes(step, from).await?;
        if !addresses.iter().any(is_bare) {
            routes.retain(|route| route.header.protocol != RouteProtocol::Kernel);
        }
        for address in &addresses {
            let mut request = self.handle.address().add(to, std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
            *request.message_mut() = moved_address(address, to);
            done(step, &[libc::EEXIST], request.execute().await)?;
        }
        for route in routes {
            let moved = moved_route(route, from, to);
            done(step, &[], self.handle.route().add(moved).replace().execute().await)?;
        }
        for address in addresses {
            let gone = [libc::EADDRNOTAVAIL, libc::ENODEV];
            done(step, &gone, self.handle.address().del(address).execute().await)?;
        }
        Ok(())
    }

    /// All but the link-local ones of IPv6, which every link makes itself.
    async fn addresses(&self, step: &Step, index: u32) -> Result<Vec<AddressMessage>, KernelError> {
        let dump = self.handle.address().get().set_link_index_filter(index).execute();
        let mut all: Vec<AddressMessage> = read(step, dump.try_collect().await)?;
        all.retain(|address| {
            let own =
                address.header.family == AddressFamily::Inet6 && address.header.scope == AddressScope::Link;
            address.header.index == index && !own
        });
        Ok(all)
    }

    /// All unicast routes over a link, of every table.
    async fn routes(&self, step: &Step, index: u32) -> Result<Vec<RouteMessage>, KernelError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let part: Vec<RouteMessage> =
                read(step, self.handle.route().get(message).execute().try_collect().await)?;
            all.extend(part.into_iter().filter(|route| is_movable(route, index)));
        }
        // Routes without a gateway first: the others' gateways are reached by them.
        all.sort_by_key(|route| route.attributes.iter().any(|a| matches!(a, RouteAttribute::Gateway(_))));
        Ok(all)
    }
}

/// A route of the model as the kernel takes it.
fn message_of(route: &Route, index: u32) -> RouteMessage {
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    };
    let mut message = RouteMessage::default();
    message.header.address_family =
        if route.destination.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.kind = RouteType::Unicast;
    if route.onlink {
        message.header.flags = RouteFlags::Onlink;
    }
    message.header.protocol = match route.protocol.as_str() {
        "static" => RouteProtocol::Static,
        "dhcp" => RouteProtocol::Dhcp,
        "ra" => RouteProtocol::Ra,
        _ => RouteProtocol::Boot,
    };
    message.header.scope = match (route.gateway, route.destination.addr()) {
        (None, IpAddr::V4(_)) => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    message.header.destination_prefix_length = route.destination.prefix_len();
    message.attributes.push(RouteAttribute::Table(route.table));
    message.attributes.push(RouteAttribute::Oif(index));
    if route.destination.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(address(route.destination.addr())));
    }
    message.attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(address(gateway))));
    message.attributes.extend(route.prefsrc.map(|source| RouteAttribute::PrefSource(address(source))));
    if route.metric > 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

fn read<T>(step: &Step, result: Result<T, rtnetlink::Error>) -> Result<T, KernelError> {
    result.map_err(|error| KernelError::Refused { step: step.text(), error })
}

/// The error, unless it only says that it is already so.
fn done(step: &Step, already: &[i32], result: Result<(), rtnetlink::Error>) -> Result<(), KernelError> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if already.contains(&-message.raw_code()) => Ok(()),
        other => read(step, other),
    }
}

async fn index(name: IfName) -> Result<Option<u32>, KernelError> {
    let facts = netlink::read_once().await?;
    Ok(facts.links.iter().find(|link| link.name == name).map(|link| link.index.0))
}

async fn existing(step: &Step, name: IfName) -> Result<u32, KernelError> {
    index(name).await?.ok_or_else(|| KernelError::Missing { step: step.text(), link: name })
}

/// The first address of a subnet takes the later ones of the subnet along when it goes, unless the kernel is told
/// that one of them takes its place (ip-sysctl.rst, `promote_secondaries`); systemd tells it so anyway.
pub(in crate::change) fn keep_others(link: IfName) {
    // A link that is gone by now has no address to lose.
    let _ = std::fs::write(format!("/proc/sys/net/ipv4/conf/{link}/promote_secondaries"), "1");
}

/// The same address on another link; its label names the old link and is left out.
fn moved_address(address: &AddressMessage, to: u32) -> AddressMessage {
    let mut moved = address.clone();
    moved.header.index = to;
    moved.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Label(_)));
    moved
}

fn is_movable(route: &RouteMessage, index: u32) -> bool {
    let over = route.attributes.iter().any(|attribute| match attribute {
        RouteAttribute::Oif(oif) => *oif == index,
        RouteAttribute::MultiPath(hops) => hops.iter().any(|hop| hop.interface_index == index),
        _ => false,
    });
    over && route.header.kind == RouteType::Unicast && !is_link_local(route)
}

/// Every link makes `fe80::/64` itself.
fn is_link_local(route: &RouteMessage) -> bool {
    let local = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Destination(RouteAddress::Inet6(to)) if to.is_unicast_link_local());
    route.header.protocol == RouteProtocol::Kernel && route.attributes.iter().any(local)
}

/// The same route over another link; what the kernel only reports (cache data, most flags) is left out.
fn moved_route(mut route: RouteMessage, from: u32, to: u32) -> RouteMessage {
    route.header.flags &= RouteFlags::Onlink;
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
    for attribute in &mut route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) if *oif == from => *oif = to,
            RouteAttribute::MultiPath(hops) => {
                for hop in hops.iter_mut() {
                    hop.flags &= RouteNextHopFlags::Onlink;
                    if hop.interface_index == from {
                        hop.interface_index = to;
                    }
                }
            }
            _ => {}
        }
    }
    route
}
