//! READS. The kernel's links, addresses, routes, neighbours, FDB and counters by rtnetlink.
//!
//! Multicast groups only say *that* something changed; what it is now is dumped anew, once per burst.
//! Counters of all links come from one `RTM_GETSTATS` dump per tick, never from a call per NIC.

mod convert;
mod raw;
mod settings;
mod stats;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};

use super::{Backoff, Update, Updates, now, supervise};
use crate::model::kernel::Settings;
use crate::model::{KernelFacts, LinkKind, SourceState};

/// How long a burst of notices may go on before the kernel is dumped.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The same for neighbours and learned MACs, which come and go all the time on a busy LAN.
const DEBOUNCE_NEIGHBOURS: Duration = Duration::from_millis(500);
/// Everything is dumped again after this long even if nothing was heard.
const SLOW: Duration = Duration::from_secs(30);
/// Dumps may take at most one part in so many of the time, whatever happens on the host.
const SHARE: u32 = 20;

/// The kernel answers at once; so long without an answer means that it never will.
const ANSWER: Duration = Duration::from_secs(5);

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
        error: std::io::Error,
    },
    /// The kernel owes an answer.
    #[error("read the counters from the kernel: no answer for {} s", ANSWER.as_secs())]
    Silent,
    /// The connection ended.
    #[error("the netlink connection ended")]
    Ended,
}

/// Asks the kernel for everything again.
#[derive(Debug, Clone, Default)]
pub struct Refresh(Arc<Notify>);

impl Refresh {
    /// Now.
    pub fn now(&self) {
        self.0.notify_one();
    }
}

/// Starts reading; never ends by itself, an error is reported and tried again.
#[must_use]
pub fn spawn(updates: Updates, tick: Duration) -> Refresh {
    let refresh = Refresh::default();
    let asked = refresh.clone();
    let down = {
        let updates = updates.clone();
        move |error| {
            let state = SourceState::Down { since: now(), error };
            let _ = updates.send(Update::Kernel { state, facts: None });
        }
    };
    tokio::spawn(supervise::task("kernel", down, move || {
        keep_watching(updates.clone(), tick, asked.clone())
    }));
    refresh
}

async fn keep_watching(updates: Updates, tick: Duration, asked: Refresh) {
    let mut backoff = Backoff::default();
    loop {
        let Err(error) = watch(&updates, tick, &asked, &mut backoff).await else { return };
        let state = SourceState::Down { since: now(), error: error.to_string() };
        if updates.send(Update::Kernel { state, facts: None }).is_err() {
            return;
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Reads until the collector is gone (`Ok`) or the socket fails.
async fn watch(
    updates: &Updates,
    tick: Duration,
    refresh: &Refresh,
    backoff: &mut Backoff,
) -> Result<(), NetlinkError> {
    use MulticastGroup as Group;
    // Notices and answers have a socket each, so that a flood of the ones never crowds out the others.
    let (listening, _unused, mut notices) = rtnetlink::new_multicast_connection(&[
        Group::Link,
        Group::Neigh,
        Group::Ipv4Ifaddr,
        Group::Ipv6Ifaddr,
        Group::Ipv4Route,
        Group::Ipv6Route,
    ])?;
    let (asking, handle, _) = rtnetlink::new_connection()?;
    let _tasks =
        [listening, asking].map(|connection| Task(tokio::spawn(supervise::Background::new(connection))));
    let mut ticks = tokio::time::interval(tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Instant::now();
    let mut earliest = due;
    loop {
        tokio::select! {
            notice = notices.next() => {
                let (message, _) = notice.ok_or(NetlinkError::Ended)?;
                if let Some(patience) = patience(&message) {
                    due = due.min(Instant::now() + patience).max(earliest);
                }
            }
            () = refresh.0.notified() => due = Instant::now(),
            () = tokio::time::sleep_until(due) => {
                let started = Instant::now();
                let facts = read_once().await?;
                let update = Update::Kernel { state: SourceState::Ok, facts: Some(facts.into()) };
                if updates.send(update).is_err() {
                    return Ok(());
                }
                backoff.reset();
                earliest = Instant::now() + started.elapsed() * SHARE;
                due = Instant::now() + SLOW;
            }
            _ = ticks.tick() => {
                let answer = tokio::time::timeout(ANSWER, stats::read(&handle)).await;
                let table = answer.map_err(|_| NetlinkError::Silent)??;
                if updates.send(Update::Counters { at: now(), table: table.into() }).is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// A task that ends with its owner.
struct Task<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// How long what a notice tells of may wait to be read; `None` when nothing of it is shown.
///
/// `RTM_DELLINK` of family bridge means that a port left its bridge, not that the link is gone: one
/// more reason to read anew rather than to believe the notice. After an overrun notices are missing.
fn patience(notice: &NetlinkMessage<RouteNetlinkMessage>) -> Option<Duration> {
    use RouteNetlinkMessage as Message;
    match &notice.payload {
        NetlinkPayload::InnerMessage(Message::NewNeighbour(_) | Message::DelNeighbour(_)) => {
            Some(DEBOUNCE_NEIGHBOURS)
        }
        NetlinkPayload::InnerMessage(
            Message::NewNeighbourTable(_) | Message::NewPrefix(_) | Message::NewRule(_),
        ) => None,
        _ => Some(DEBOUNCE),
    }
}

/// Reads the kernel's whole network state once, on a thread where that may block.
///
/// # Errors
/// The socket fails, or the kernel refuses a dump.
pub async fn read_once() -> Result<KernelFacts, NetlinkError> {
    tokio::task::spawn_blocking(read).await.unwrap_or(Err(NetlinkError::Ended))
}

/// Reads the sysctls that decide about packets.
#[must_use]
pub fn settings() -> Settings {
    settings::read()
}

/// The same for callers without a runtime. Blocks for a few milliseconds.
///
/// # Errors
/// The socket fails, or the kernel refuses a dump.
pub fn read() -> Result<KernelFacts, NetlinkError> {
    let mut facts = convert::facts(&raw::read()?);
    for link in facts.links.iter_mut().filter(|link| link.kind == LinkKind::Device) {
        link.wireless = settings::wireless(link.name);
    }
    facts.settings = settings::read();
    Ok(facts)
}
