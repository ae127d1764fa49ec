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

/// Connections of this process that are open, are being opened or are being closed.
static OPEN: Mutex<usize> = Mutex::new(0);
/// One of them is closed.
static FEWER: Condvar = Condvar::new();

/// Waits until all connections are closed, or until the time is over; whether they are.
///
/// Only waits: whoever has one lets go of it by itself.
pub fn all_closed(within: Duration) -> bool {
    let waited = FEWER.wait_timeout_while(open(), within, |open| *open > 0);
    let (open, _) = waited.unwrap_or_else(PoisonError::into_inner);
    *open == 0
}

fn open() -> MutexGuard<'static, usize> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of the connections that [`all_closed`] waits for.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn new() -> Self {
        *open() += 1;
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *open() -= 1;
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
