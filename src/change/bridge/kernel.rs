//! WRITES. The steps of a bridge's change by rtnetlink, in the order that loses no packet.
//!
//! There is no transaction over several requests: every step leaves alone what is already so, so that
//! the way back works from any point in the middle.

mod routes;

use std::net::IpAddr;

use futures_util::{StreamExt as _, TryStreamExt as _};
use ipnet::IpNet;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{BridgeStpState, InfoBridgePort};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkUnspec};
use thiserror::Error;

use super::{Step, Stp};
use crate::model::kernel::{Link, LinkKind, PortInfo, Route};
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
            Step::SetPort { port, like } => self.set_port(step, *port, like).await,
            Step::Detach { port } => {
                let message = LinkUnspec::new_with_index(existing(step, *port).await?).nocontroller().build();
                done(step, &[], self.handle.link().set(message).execute().await)
            }
            Step::Move { from, to } => match index(*from).await? {
                Some(index) => {
                    hear_routers_as(*from, *to).await?;
                    self.move_all(step, index, existing(step, *to).await?).await
                }
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

    /// What is so already is not set: a cost that somebody has set no longer follows the speed of the link.
    async fn set_port(&self, step: &Step, port: IfName, like: &PortInfo) -> Result<(), KernelError> {
        let facts = netlink::read_once().await?;
        let link = facts.links.iter().find(|link| link.name == port);
        let Some((link, now)) = link.and_then(|link| Some((link, link.port.as_ref()?))) else {
            return Ok(());
        };
        let settings = [
            (now.cost != like.cost).then_some(InfoBridgePort::Cost(like.cost)),
            (now.priority != like.priority).then_some(InfoBridgePort::Priority(like.priority)),
            (now.isolated != like.isolated).then_some(InfoBridgePort::Isolated(like.isolated)),
            (now.hairpin != like.hairpin).then_some(InfoBridgePort::HairpinMode(like.hairpin)),
            (now.learning != like.learning).then_some(InfoBridgePort::Learning(like.learning)),
        ];
        for setting in settings.into_iter().flatten() {
            let message = LinkBridgePort::new(link.index.0).append_info_data(setting).build();
            done(step, &[], self.handle.link().set_port(message).execute().await)?;
        }
        Ok(())
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
            let added = self.handle.route().add(routes::message_of(route, index)).execute().await;
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
        let (reserves, routes): (Vec<_>, Vec<_>) =
            routes.iter().cloned().partition(|route| routes::is_reserve(route, &routes));
        for route in routes {
            self.move_route(step, route, from, to).await?;
        }
        for route in reserves {
            let gone = [libc::ESRCH, libc::ENODEV];
            done(step, &gone, self.handle.route().del(route).execute().await)?;
        }
        for address in addresses {
            let gone = [libc::EADDRNOTAVAIL, libc::ENODEV];
            done(step, &gone, self.handle.address().del(address).execute().await)?;
        }
        Ok(())
    }

    /// IPv4 has one route for a destination and a metric, which is replaced. IPv6 may have others by other links: the
    /// old one is removed when the new one is there.
    async fn move_route(
        &self,
        step: &Step,
        route: RouteMessage,
        from: u32,
        to: u32,
    ) -> Result<(), KernelError> {
        let is_one_of_many = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::MultiPath(_));
        if route.header.address_family == AddressFamily::Inet || route.attributes.iter().any(is_one_of_many) {
            let moved = routes::moved(route, from, to);
            return done(step, &[], self.handle.route().add(moved).replace().execute().await);
        }
        // One that has run out by now is left to its end.
        if routes::seconds_left(&route) != Some(0) {
            let moved = routes::moved(route.clone(), from, to);
            done(step, &[libc::EEXIST], self.add_beside(moved).await)?;
        }
        done(step, &[libc::ESRCH, libc::ENODEV], self.handle.route().del(route).execute().await)
    }

    /// Adds a route whatever others there are for the same destination.
    async fn add_beside(&self, route: RouteMessage) -> Result<(), rtnetlink::Error> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
        let mut answers = self.handle.clone().request(request)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload
                && error.code.is_some()
            {
                return Err(rtnetlink::Error::NetlinkError(error));
            }
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
            all.extend(part.into_iter().filter(|route| routes::is_movable(route, index)));
        }
        // Routes without a gateway first: the others' gateways are reached by them.
        all.sort_by_key(|route| route.attributes.iter().any(|a| matches!(a, RouteAttribute::Gateway(_))));
        Ok(all)
    }
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

/// A bridge listens to routers as the NIC did whose addresses it takes over: a host that forwards hears them only where
/// it was told to (ip-sysctl.rst, `accept_ra`), and a new bridge was not.
async fn hear_routers_as(from: IfName, to: IfName) -> Result<(), KernelError> {
    let facts = netlink::read_once().await?;
    let is_bridge = |link: &Link| link.name == to && matches!(link.kind, LinkKind::Bridge(_));
    if facts.links.iter().any(is_bridge) {
        let path = |link: IfName| format!("/proc/sys/net/ipv6/conf/{link}/accept_ra");
        // A kernel without IPv6 has no such file.
        let _ = std::fs::read(path(from)).and_then(|value| std::fs::write(path(to), value));
    }
    Ok(())
}

/// The same address on another link; its label names the old link and is left out.
fn moved_address(address: &AddressMessage, to: u32) -> AddressMessage {
    let mut moved = address.clone();
    moved.header.index = to;
    moved.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Label(_)));
    moved
}
