//! READS. Guests, networks and leases from libvirt, on threads of its own: its calls block.
//!
//! ```text
//!  event loop thread ─ Wake ─┐
//!  inotify on the leases ────┼→ inventory thread ─ Update → collector
//!  refresh(), every 5 s ─────┘        ▲ watched: a call that hangs shows as stale after 3 s
//!  agent thread (root only) ──────────┘ addresses that guest agents report
//! ```
//! All of libvirt's API stays in [`connection`] and [`ffi`], so that its next version is a small swap.

mod agent;
pub mod connection;
#[expect(unsafe_code, reason = "event callbacks and DHCP leases have no safe wrapper in the virt crate")]
mod ffi;
mod inventory;
mod leases;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::connection::{Access, Connection, LibvirtError};
use self::inventory::Inventory;
use super::{Backoff, Update, Updates, now};
use crate::model::{SourceState, Timestamp};

/// What no event tells of (update-device, link state, net-update) is found after this long.
const SLOW: Duration = Duration::from_secs(5);
/// Events that arrive within this time are read together.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// An inventory that takes longer than this is shown as stale.
const HUNG: Duration = Duration::from_secs(3);

/// Why the inventory thread should look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// Something changed, or somebody asked.
    Dirty,
    /// The connection is gone.
    Closed,
}

/// Asks libvirt for everything again.
#[derive(Debug, Clone)]
pub struct Refresh(Sender<Wake>);

impl Refresh {
    /// Now; a thread that is gone is no error, the program is ending.
    pub fn now(&self) {
        let _ = self.0.send(Wake::Dirty);
    }
}

/// Starts reading; an error is reported and tried again, it never ends by itself.
#[must_use]
pub fn spawn(uri: String, updates: Updates) -> Refresh {
    connection::prepare();
    let (wake, wakes) = channel();
    let busy = Arc::new(Busy::default());
    let agents = agent::spawn(uri.clone(), wake.clone());
    leases::watch(wake.clone());
    let source =
        Source { uri, updates: updates.clone(), wake: wake.clone(), busy: Arc::clone(&busy), agents };
    // A thread that cannot be started leaves the source at `Starting`, which the screen shows.
    let _ = std::thread::Builder::new().name("libvirt".to_owned()).spawn(move || source.run(&wakes));
    let _ = std::thread::Builder::new().name("libvirt-watch".to_owned()).spawn(move || busy.watch(&updates));
    Refresh(wake)
}

/// When the running inventory began, and when the last one ended well, in epoch milliseconds; 0 is never.
#[derive(Debug, Default)]
struct Busy {
    since: AtomicU64,
    good: AtomicU64,
}

impl Busy {
    fn watch(&self, updates: &Updates) {
        let mut reported = 0;
        while !updates.is_closed() {
            std::thread::sleep(Duration::from_millis(500));
            let since = self.since.load(Ordering::Relaxed);
            let hung = since != 0 && u128::from(now().millis_since(Timestamp(since))) > HUNG.as_millis();
            if hung && reported != since {
                reported = since;
                let good = Timestamp(self.good.load(Ordering::Relaxed));
                let state = SourceState::Stale {
                    since: if good.0 == 0 { Timestamp(since) } else { good },
                    reason: "libvirt does not answer".to_owned(),
                };
                let _ = updates.send(Update::Libvirt { state, facts: None, version: None });
            }
        }
    }
}

struct Source {
    uri: String,
    updates: Updates,
    wake: Sender<Wake>,
    busy: Arc<Busy>,
    agents: agent::Agents,
}

impl Source {
    fn run(&self, wakes: &Receiver<Wake>) {
        let mut inventory = Inventory::default();
        let mut backoff = Backoff::default();
        while !self.updates.is_closed() {
            let error = match self.serve(wakes, &mut inventory, &mut backoff) {
                Ok(()) => return,
                Err(error) => error,
            };
            self.busy.since.store(0, Ordering::Relaxed);
            let state = match error.hint() {
                Some(hint) if error.is_denied() => SourceState::Denied { hint: hint.to_owned() },
                _ => SourceState::Down { since: now(), error: error.to_string() },
            };
            let _ = self.updates.send(Update::Libvirt { state, facts: None, version: None });
            std::thread::sleep(backoff.next_wait());
            while wakes.try_recv().is_ok() {}
        }
    }

    /// Reads on one connection until it is lost; `Ok` when the collector is gone.
    fn serve(
        &self,
        wakes: &Receiver<Wake>,
        inventory: &mut Inventory,
        backoff: &mut Backoff,
    ) -> Result<(), LibvirtError> {
        self.busy.since.store(now().0, Ordering::Relaxed);
        let connection = Connection::open(&self.uri, Access::ReadOnly)?;
        let wake = self.wake.clone();
        connection.subscribe(move |event| {
            let _ = wake.send(if event == ffi::Event::Closed { Wake::Closed } else { Wake::Dirty });
        });
        let version = connection.daemon_version();
        loop {
            self.busy.since.store(now().0, Ordering::Relaxed);
            let facts = inventory.read(&connection, &self.agents)?;
            self.busy.since.store(0, Ordering::Relaxed);
            self.busy.good.store(now().0, Ordering::Relaxed);
            backoff.reset();
            let update = Update::Libvirt { state: SourceState::Ok, facts, version: version.clone() };
            if self.updates.send(update).is_err() {
                return Ok(());
            }
            match wakes.recv_timeout(SLOW) {
                Ok(Wake::Closed) => return Err(LibvirtError::closed(&self.uri)),
                Ok(Wake::Dirty) => std::thread::sleep(DEBOUNCE),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while let Ok(wake) = wakes.try_recv() {
                if wake == Wake::Closed {
                    return Err(LibvirtError::closed(&self.uri));
                }
            }
        }
    }
}

/// A lock whose holder panicked still guards whole data here: every write is one assignment.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
