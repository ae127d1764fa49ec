//! READS. The kernel's links, addresses, routes, neighbours, FDB and counters by rtnetlink.
//!
//! Multicast groups only say *that* something changed; what it is now is dumped anew, once per burst.
//! Counters of all links come from one `RTM_GETSTATS` dump per tick, never from a call per NIC.

mod convert;
mod settings;
mod stats;

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::{Handle, MulticastGroup};
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Backoff, Update, Updates, now};
use crate::model::{KernelFacts, SourceState};

/// How long a burst of notices may go on before the kernel is dumped.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// Everything is dumped again after this long even if nothing was heard.
const SLOW: Duration = Duration::from_secs(30);

/// Why the kernel could not be read.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// No socket.
    #[error("open a netlink socket: {0}")]
    Open(#[from] std::io::Error),
    /// A dump failed.
    #[error("read {what} from the kernel: {error}")]
    Dump {
        /// `links`, `routes`, …
        what: &'static str,
        /// The kernel's answer.
        error: rtnetlink::Error,
    },
    /// The connection ended.
    #[error("the netlink connection ended")]
    Ended,
}

/// Starts reading; never ends by itself, an error is reported and tried again.
pub fn spawn(updates: Updates, tick: Duration) {
    tokio::spawn(async move {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = watch(&updates, tick, &mut backoff).await else { return };
            let state = SourceState::Down { since: now(), error: error.to_string() };
            if updates.send(Update::Kernel { state, facts: None }).is_err() {
                return;
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    });
}

/// Reads until the collector is gone (`Ok`) or the socket fails.
async fn watch(updates: &Updates, tick: Duration, backoff: &mut Backoff) -> Result<(), NetlinkError> {
    use MulticastGroup as Group;
    let (connection, handle, mut notices) = rtnetlink::new_multicast_connection(&[
        Group::Link,
        Group::Neigh,
        Group::Ipv4Ifaddr,
        Group::Ipv6Ifaddr,
        Group::Ipv4Route,
        Group::Ipv6Route,
    ])?;
    tokio::spawn(connection);
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Instant::now();
    loop {
        tokio::select! {
            notice = notices.next() => {
                let (message, _) = notice.ok_or(NetlinkError::Ended)?;
                // An overrun means that notices were lost: what was missed is found by the dump.
                let matters = match &message.payload {
                    NetlinkPayload::InnerMessage(inner) => matters(inner),
                    _ => true,
                };
                if matters {
                    due = due.min(Instant::now() + DEBOUNCE);
                }
            }
            () = tokio::time::sleep_until(due) => {
                let facts = dump(&handle).await?;
                let update = Update::Kernel { state: SourceState::Ok, facts: Some(facts.into()) };
                if updates.send(update).is_err() {
                    return Ok(());
                }
                backoff.reset();
                due = Instant::now() + SLOW;
            }
            _ = ticks.tick() => {
                let table = stats::read(&handle).await?;
                if updates.send(Update::Counters { at: now(), table: table.into() }).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether a notice can change what is shown. Neighbour states flap all the time on a busy LAN; they
/// are worth a dump all the same, since an address may have appeared, but a deleted bridge FDB entry
/// of a multicast group is not.
fn matters(message: &RouteNetlinkMessage) -> bool {
    !matches!(
        message,
        RouteNetlinkMessage::NewNeighbourTable(_)
            | RouteNetlinkMessage::NewPrefix(_)
            | RouteNetlinkMessage::NewRule(_)
    )
}

/// Reads the kernel's whole network state once.
pub async fn read_once() -> Result<KernelFacts, NetlinkError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let task = tokio::spawn(connection);
    let facts = dump(&handle).await;
    task.abort();
    facts
}

async fn dump(handle: &Handle) -> Result<KernelFacts, NetlinkError> {
    let failed = |what| move |error| NetlinkError::Dump { what, error };
    let links: Vec<_> = handle.link().get().execute().try_collect().await.map_err(failed("links"))?;
    let addresses: Vec<_> =
        handle.address().get().execute().try_collect().await.map_err(failed("addresses"))?;
    let mut routes: Vec<RouteMessage> = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let part: Vec<_> =
            handle.route().get(message).execute().try_collect().await.map_err(failed("routes"))?;
        routes.extend(part);
    }
    let neighbours: Vec<_> =
        handle.neighbours().get().execute().try_collect().await.map_err(failed("neighbours"))?;
    let fdb = handle.neighbours().get().set_address_family(AddressFamily::Bridge).execute();
    // A kernel without the bridge module has no FDB: that is an empty one.
    let fdb: Vec<_> = fdb.try_collect().await.unwrap_or_default();
    let mut links: Vec<_> = links.iter().filter_map(convert::link).collect();
    links.sort_by_key(|link| link.index);
    for link in &mut links {
        link.wireless = settings::wireless(link.name);
    }
    let mut facts = KernelFacts {
        links,
        addresses: addresses.iter().filter_map(convert::address).collect(),
        routes: routes.iter().filter_map(convert::route).collect(),
        neighbours: neighbours.iter().filter_map(convert::neighbour).collect(),
        fdb: fdb.iter().filter_map(convert::fdb).collect(),
        settings: settings::read(),
    };
    facts.routes.sort_by_key(|route| (route.destination.addr().is_ipv6(), route.destination, route.metric));
    facts.neighbours.sort_by_key(|seen| (seen.index, seen.address));
    Ok(facts)
}
