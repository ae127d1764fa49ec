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

/// How many there are, by [`Kind`].
static OPEN: Mutex<[usize; 2]> = Mutex::new([0; 2]);
/// One of them is closed, or its callbacks are taken back.
static FEWER: Condvar = Condvar::new();

/// What is waited for at the end of the process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A connection that is open, is being opened or is being closed.
    Connection,
    /// Callbacks that a connection has in the daemon.
    Callbacks,
}

/// Waits until all connections are closed, or until the time is over; whether they are. Those without callbacks
/// are waited for a moment only.
///
/// Only waits: whoever has one lets go of it by itself.
#[must_use]
pub fn all_closed(within: Duration) -> bool {
    let moment = MOMENT.min(within);
    let open = wait_while(count(), moment, Kind::Connection);
    let [connections, _] = *wait_while(open, within.saturating_sub(moment), Kind::Callbacks);
    connections == 0
}

type Counting = MutexGuard<'static, [usize; 2]>;

fn wait_while(open: Counting, within: Duration, any: Kind) -> Counting {
    let is_any = |open: &mut [usize; 2]| open[any as usize] > 0;
    FEWER.wait_timeout_while(open, within, is_any).unwrap_or_else(PoisonError::into_inner).0
}

fn count() -> Counting {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that counts for as long as this lives.
#[derive(Debug)]
pub(super) struct Counted(Kind);

impl Counted {
    pub(super) fn new(kind: Kind) -> Self {
        count()[kind as usize] += 1;
        Self(kind)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        count()[self.0 as usize] -= 1;
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
        let counted = Counted::new(Kind::Connection);
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
