//! The end of connections: each is closed by a call that the daemon answers, never by a hang-up.
//!
//! libvirtd 9.0 can crash over a client that hangs up while one of its calls is under way: the thread that
//! cannot send its answer and the main loop then both take the client's callbacks back
//! (`virNetServerClientClose` in `virnetserverclient.c`). So whoever reads finishes the call under way and
//! drops the connection, and the program waits for that before it ends.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use virt::connect::Connect;
use virt::error::Error;

use crate::source::supervise::start;

/// How long a connection without callbacks is waited for. Its end harms nobody, and an agent that hangs, or an
/// emulator that libvirt tries out, keeps it in a call for seconds.
const MOMENT: Duration = Duration::from_millis(400);

/// How many there are.
static OPEN: Mutex<Count> = Mutex::new(Count { connections: 0, with_callbacks: 0 });
/// One of them is closed, or its callbacks are taken back.
static FEWER: Condvar = Condvar::new();

/// Connections of this process that are open, are being opened or are being closed.
#[derive(Debug)]
struct Count {
    connections: usize,
    with_callbacks: usize,
}

/// Waits until all connections are closed, or until the time is over; whether they are. Those without callbacks
/// are waited for a moment only.
///
/// Only waits: whoever has one lets go of it by itself.
#[must_use]
pub fn all_closed(within: Duration) -> bool {
    let moment = MOMENT.min(within);
    let open = wait_while(count(), moment, |open| open.connections > 0);
    let open = wait_while(open, within.saturating_sub(moment), |open| open.with_callbacks > 0);
    open.connections == 0
}

type Counting = MutexGuard<'static, Count>;

fn wait_while(open: Counting, within: Duration, so: impl Fn(&Count) -> bool) -> Counting {
    FEWER.wait_timeout_while(open, within, |open| so(open)).unwrap_or_else(PoisonError::into_inner).0
}

fn count() -> Counting {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the connections that [`all_closed`] waits for.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Self {
        count().connections += 1;
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        count().connections -= 1;
        FEWER.notify_all();
    }
}

/// A connection has callbacks in the daemon for as long as this lives.
#[derive(Debug)]
pub(super) struct WithCallbacks;

impl WithCallbacks {
    pub(super) fn new() -> Self {
        count().with_callbacks += 1;
        Self
    }
}

impl Drop for WithCallbacks {
    fn drop(&mut self) {
        count().with_callbacks -= 1;
        FEWER.notify_all();
    }
}

/// A connection as the `virt` crate has it, which leaves it open when it is dropped; this one closes it.
#[derive(Debug)]
pub(super) struct Open {
    connect: Connect,
    counted: Option<Counted>,
}

impl Open {
    pub(super) fn new(open: impl FnOnce() -> Result<Connect, Error>) -> Result<Self, Error> {
        let counted = Counted::new();
        Ok(Self { connect: open()?, counted: Some(counted) })
    }

    pub(super) const fn connect(&self) -> &Connect {
        &self.connect
    }
}

impl Drop for Open {
    /// The last reference goes on a thread of its own: the daemon has to answer, and a frozen one must not hold
    /// up whoever is done with the connection.
    fn drop(&mut self) {
        let mut last = self.connect.clone();
        let counted = self.counted.take();
        if let Err(error) = self.connect.close() {
            tracing::debug!("close a connection: {}", error.message());
        }
        start("libvirt-close", move || {
            if let Err(error) = last.close() {
                tracing::debug!("close a connection: {}", error.message());
            }
            drop(counted);
        });
    }
}
