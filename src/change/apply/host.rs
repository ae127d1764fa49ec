//! WRITES. A small change of the kernel's side, proven by reading it again; what was there before is put
//! back when it is not so.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use ipnet::IpNet;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{BridgeStpState, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{Handle, LinkBridge, LinkBridgePort, LinkUnspec};
use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::Outcome;
use super::network::{NetworkProgress, may_change_links};
use crate::change::bridge::Expect;
use crate::change::bridge::kernel::keep_others;
use crate::change::host::{HostPlan, HostWant, LEAST_DELAY, SysctlKey, holds};
use crate::change::plan::Refusal;
use crate::model::kernel::{KernelFacts, Link, LinkKind};
use crate::model::{IfIndex, IfName};
use crate::source::netlink::{self, NetlinkError};

/// How long the kernel may take to show it.
const KERNEL: Duration = Duration::from_secs(3);

#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Read(#[from] NetlinkError),
    #[error(transparent)]
    Kernel(#[from] rtnetlink::Error),
    #[error("write {path}: {error}")]
    Sysctl { path: &'static str, error: std::io::Error },
    #[error("there is no link {0}")]
    Missing(IfName),
    #[error("the kernel took it, but it is not so")]
    Unproven,
    #[error("{0}")]
    Gone(String),
}

/// What the kernel has before a change of it, for one who may make it.
pub(super) async fn before(what: &str) -> Result<KernelFacts, Refusal> {
    let refuse = |reason: String, way_out: &str| Refusal {
        what: what.to_owned(),
        reason,
        way_out: way_out.to_owned(),
    };
    if !may_change_links() {
        return Err(refuse("it needs the right CAP_NET_ADMIN".to_owned(), "run as root"));
    }
    netlink::read_once().await.map_err(|error| refuse(error.to_string(), "try again"))
}

/// Applies the plan.
pub async fn run(plan: &HostPlan, tell: &UnboundedSender<NetworkProgress>) -> Outcome {
    let refused = |reason: String, way_out: &str| {
        Outcome::Refused(Refusal { what: plan.title.clone(), reason, way_out: way_out.to_owned() })
    };
    let before = match before(&plan.title).await {
        Ok(before) => before,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    if holds(&before, &plan.want) {
        return refused("it is so already".to_owned(), "nothing to do");
    }
    let mut change = match Change::open(before) {
        Ok(change) => change,
        Err(error) => return refused(error.to_string(), "try again"),
    };
    let begun = Instant::now();
    let result = change.act_and_prove(&plan.want).await;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let told = match &result {
        Ok(()) => Ok("the kernel has it so".to_owned()),
        Err(trouble) => Err(trouble.to_string()),
    };
    let _ = tell.send(NetworkProgress { text: plan.step.clone(), result: told, millis });
    let Err(trouble) = result else { return Outcome::Verified { address: None } };
    let why = trouble.to_string();
    match change.back(&plan.want).await {
        Ok(()) => Outcome::Reverted { why },
        Err(error) => {
            Outcome::Failed { why, state: format!("what was there before could not be put back: {error}") }
        }
    }
}

struct Change {
    handle: Handle,
    before: KernelFacts,
    /// What was taken away, as the kernel had it.
    addresses: Vec<AddressMessage>,
    routes: Vec<RouteMessage>,
}

impl Change {
    fn open(before: KernelFacts) -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::from)?;
        tokio::spawn(connection);
        Ok(Self { handle, before, addresses: Vec::new(), routes: Vec::new() })
    }

    async fn act_and_prove(&mut self, want: &HostWant) -> Result<(), Trouble> {
        self.act(want).await?;
        let begun = Instant::now();
        loop {
            let now = netlink::read_once().await?;
            if holds(&now, want) {
                break;
            }
            if begun.elapsed() > KERNEL {
                return Err(Trouble::Unproven);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn act(&mut self, want: &HostWant) -> Result<(), Trouble> {
        match want {
            HostWant::SwitchOn { link } => {
                let message = LinkUnspec::new_with_index(self.index(*link)?.0).up().build();
                self.handle.link().change(message).execute().await?;
            }
            HostWant::Mtu { link, mtu } => self.set_mtu(*link, *mtu).await?,
            HostWant::Isolate { port } => self.isolate(*port, Isolation::On).await?,
            HostWant::StpOff { bridge } => {
                let message = LinkBridge::new(&bridge.to_string()).stp_state(BridgeStpState::Disabled);
                self.set_bridge(*bridge, message.build()).await?;
            }
            HostWant::ShortDelay { bridge } => {
                self.set_stp(*bridge, BridgeStpState::KernelStp, LEAST_DELAY).await?;
            }
            HostWant::Sysctl { key, value } => write_sysctl(*key, *value)?,
            HostWant::RemoveAddresses { link, addresses } => {
                let index = self.index(*link)?;
                self.routes = self.routes_by(index).await?;
                self.addresses = self.addresses_of(index).await?;
                keep_others(*link);
                let is_wanted =
                    |address: &&AddressMessage| addresses.iter().any(|wanted| is_address(address, *wanted));
                for address in self.addresses.iter().filter(is_wanted) {
                    let gone = self.handle.address().del(address.clone()).execute().await;
                    unless(libc::EADDRNOTAVAIL, gone)?;
                }
            }
            HostWant::RemoveDefault { link, gateway, metric } => {
                let index = self.index(*link)?;
                let all = self.routes_by(index).await?;
                for route in all.into_iter().filter(|route| is_default(route, *gateway, *metric)) {
                    self.handle.route().del(route.clone()).execute().await?;
                    self.routes.push(route);
                }
            }
        }
        Ok(())
    }

    /// What was there before.
    async fn back(&mut self, want: &HostWant) -> Result<(), Trouble> {
        match want {
            HostWant::SwitchOn { link } => {
                let message = LinkUnspec::new_with_index(self.index(*link)?.0).down().build();
                self.handle.link().change(message).execute().await?;
            }
            HostWant::Mtu { link, .. } => {
                let mtu = self.link(*link)?.mtu;
                self.set_mtu(*link, mtu).await?;
            }
            HostWant::Isolate { port } => self.isolate(*port, Isolation::Off).await?,
            HostWant::StpOff { bridge } | HostWant::ShortDelay { bridge } => {
                if let LinkKind::Bridge(info) = &self.link(*bridge)?.kind {
                    let (state, delay) = (BridgeStpState::KernelStp, info.forward_delay);
                    self.set_stp(*bridge, state, delay).await?;
                }
            }
            HostWant::Sysctl { key, .. } => {
                let before = key.value(&self.before.settings).unwrap_or_default();
                write_sysctl(*key, u8::from(before))?;
            }
            HostWant::RemoveAddresses { .. } | HostWant::RemoveDefault { .. } => {}
        }
        match want {
            HostWant::RemoveAddresses { link, .. } | HostWant::RemoveDefault { link, .. } => {
                self.put_back(*link).await
            }
            _ => Ok(()),
        }
    }

    /// The addresses of a link in their old order, and its routes; looked at again.
    async fn put_back(&mut self, link: IfName) -> Result<(), Trouble> {
        let old = Expect::of(&self.before, self.link(link)?);
        let addresses = std::mem::take(&mut self.addresses);
        for address in &addresses {
            self.add_address(address.clone()).await?;
        }
        for first in addresses.iter().filter(|address| is_first(address)) {
            self.step_back_for(first, addresses.len()).await?;
        }
        for mut route in std::mem::take(&mut self.routes) {
            route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
            self.handle.route().add(route).replace().execute().await?;
        }
        match old.missing(&netlink::read_once().await?) {
            Some(missing) => Err(Trouble::Gone(missing)),
            None => Ok(()),
        }
    }

    /// The first address of a subnet is the one that the host sends from: those that took its place go behind it.
    async fn step_back_for(&self, first: &AddressMessage, others: usize) -> Result<(), Trouble> {
        for _ in 0..others {
            let now = self.addresses_of(IfIndex(first.header.index)).await?;
            let own = subnet_of(first);
            let in_place =
                now.iter().find(|found| is_first(found) && own.is_some() && subnet_of(found) == own);
            let Some(in_place) = in_place.filter(|found| local(found) != local(first)) else { break };
            unless(libc::EADDRNOTAVAIL, self.handle.address().del(in_place.clone()).execute().await)?;
            self.add_address(in_place.clone()).await?;
        }
        Ok(())
    }

    async fn add_address(&self, address: AddressMessage) -> Result<(), Trouble> {
        let mut request =
            self.handle.address().add(address.header.index, std::net::Ipv4Addr::UNSPECIFIED.into(), 0);
        *request.message_mut() = address;
        unless(libc::EEXIST, request.execute().await)
    }

    async fn addresses_of(&self, index: IfIndex) -> Result<Vec<AddressMessage>, Trouble> {
        let dump = self.handle.address().get().set_link_index_filter(index.0).execute();
        let mut all: Vec<AddressMessage> = dump.try_collect().await?;
        all.retain(|address| address.header.index == index.0);
        Ok(all)
    }

    fn link(&self, name: IfName) -> Result<&Link, Trouble> {
        self.before.links.iter().find(|link| link.name == name).ok_or(Trouble::Missing(name))
    }

    fn index(&self, name: IfName) -> Result<IfIndex, Trouble> {
        self.link(name).map(|link| link.index)
    }

    async fn set_mtu(&self, link: IfName, mtu: u32) -> Result<(), Trouble> {
        let message = LinkUnspec::new_with_index(self.index(link)?.0).mtu(mtu).build();
        Ok(self.handle.link().change(message).execute().await?)
    }

    async fn isolate(&self, port: IfName, isolation: Isolation) -> Result<(), Trouble> {
        let message = LinkBridgePort::new(self.index(port)?.0).isolated(isolation == Isolation::On).build();
        Ok(self.handle.link().set_port(message).execute().await?)
    }

    async fn set_stp(&self, bridge: IfName, state: BridgeStpState, delay: u32) -> Result<(), Trouble> {
        let message = LinkBridge::new(&bridge.to_string()).stp_state(state).forward_delay(delay).build();
        self.set_bridge(bridge, message).await
    }

    async fn set_bridge(&self, bridge: IfName, mut message: LinkMessage) -> Result<(), Trouble> {
        message.header.index = self.index(bridge)?.0;
        Ok(self.handle.link().change(message).execute().await?)
    }

    /// Routes by a link that did not come with an address.
    async fn routes_by(&self, index: IfIndex) -> Result<Vec<RouteMessage>, Trouble> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        let mut all: Vec<RouteMessage> = self.handle.route().get(message).execute().try_collect().await?;
        all.retain(|route| {
            let by =
                |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Oif(oif) if *oif == index.0);
            route.header.protocol != RouteProtocol::Kernel && route.attributes.iter().any(by)
        });
        Ok(all)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isolation {
    On,
    Off,
}

fn write_sysctl(key: SysctlKey, value: u8) -> Result<(), Trouble> {
    let path = key.path();
    std::fs::write(path, format!("{value}\n")).map_err(|error| Trouble::Sysctl { path, error })
}

/// The error, unless it only says that it is already so.
fn unless(already: i32, result: Result<(), rtnetlink::Error>) -> Result<(), Trouble> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -already => Ok(()),
        other => Ok(other?),
    }
}

fn is_first(address: &AddressMessage) -> bool {
    !address.header.flags.contains(AddressHeaderFlags::Secondary)
}

/// Of IPv4: only there the addresses of a subnet have an order.
fn local(address: &AddressMessage) -> Option<IpAddr> {
    address.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) if address.is_ipv4() => Some(*address),
        _ => None,
    })
}

fn subnet_of(address: &AddressMessage) -> Option<IpNet> {
    IpNet::new(local(address)?, address.header.prefix_len).ok().map(|net| net.trunc())
}

fn is_address(message: &AddressMessage, wanted: ipnet::IpNet) -> bool {
    let has = |attribute: &AddressAttribute| match attribute {
        AddressAttribute::Local(address) | AddressAttribute::Address(address) => *address == wanted.addr(),
        _ => false,
    };
    message.header.prefix_len == wanted.prefix_len() && message.attributes.iter().any(has)
}

fn is_default(route: &RouteMessage, gateway: Option<std::net::IpAddr>, metric: u32) -> bool {
    let mut has = None;
    let mut priority = 0;
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => has = Some((*address).into()),
            RouteAttribute::Priority(number) => priority = *number,
            _ => {}
        }
    }
    route.header.destination_prefix_length == 0 && has == gateway && priority == metric
}
