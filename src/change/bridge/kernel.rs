//! WRITES. The steps of a bridge's change by rtnetlink, in the order that loses no packet.
//!
//! There is no transaction over several requests: every step leaves alone what is already so, so that
//! the way back works from any point in the middle.

use futures_util::TryStreamExt as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::BridgeStpState;
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteType};
use rtnetlink::{Handle, LinkBridge, LinkUnspec};
use thiserror::Error;

use super::{Step, Stp};
use crate::model::IfName;
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
        }
    }

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
        done(step, &[libc::EEXIST], added)
    }

    /// New addresses first, then the routes, the old addresses last: at no moment is there no way.
    async fn move_all(&self, step: &Step, from: u32, to: u32) -> Result<(), KernelError> {
        let addresses = self.addresses(step, from).await?;
        let routes = self.routes(step, from).await?;
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

    /// All unicast routes over a link, of every table, that did not come with an address.
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
    over && route.header.kind == RouteType::Unicast && route.header.protocol != RouteProtocol::Kernel
}

/// The same route over another link; what the kernel only reports (cache data, flags) is left out.
fn moved_route(mut route: RouteMessage, from: u32, to: u32) -> RouteMessage {
    route.header.flags = netlink_packet_route::route::RouteFlags::empty();
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
    for attribute in &mut route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) if *oif == from => *oif = to,
            RouteAttribute::MultiPath(hops) => {
                hops.iter_mut()
                    .filter(|hop| hop.interface_index == from)
                    .for_each(|hop| hop.interface_index = to);
            }
            _ => {}
        }
    }
    route
}
