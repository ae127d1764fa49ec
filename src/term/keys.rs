//! READS. What is typed, on a thread of its own.
//!
//! Not crossterm's `EventStream`: after the terminal is gone its reader loops for ever, and it may do so
//! on the caller's thread, which would then hear no signal. Here crossterm is asked only when the terminal
//! has something and is still there.

use std::io::stdin;
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossterm::event::{self, Event};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Starts listening; the channel ends when the terminal is gone.
#[must_use]
pub fn listen() -> UnboundedReceiver<Event> {
    let (sender, keys) = unbounded_channel();
    let started = std::thread::Builder::new().name("keys".to_owned()).spawn(move || read(&sender));
    if let Err(error) = started {
        tracing::error!("start the thread keys: {error}");
    }
    keys
}

/// Whoever holds it may read what is typed.
static TURN: Mutex<()> = Mutex::new(());

/// Nothing is read from the terminal as long as this is held: another program has it.
pub fn hold() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(keys: &UnboundedSender<Event>) {
    while has_something(PollTimeout::NONE).is_some() {
        let _turn = hold();
        // It may have been another program's, and read by that meanwhile.
        if has_something(PollTimeout::ZERO) != Some(true) {
            continue;
        }
        // Zero would mean: do not even look.
        while event::poll(Duration::from_millis(1)).unwrap_or(false) {
            let Ok(event) = event::read() else { return };
            if keys.send(event).is_err() {
                return;
            }
        }
    }
}

/// Waits until something was typed, but not longer; `None` when the terminal is gone.
fn has_something(patience: PollTimeout) -> Option<bool> {
    let stdin = stdin();
    loop {
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, patience) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
            Ok(ready) => {
                let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
                let is_gone = fds[0].revents().is_some_and(|seen| seen.intersects(gone));
                return (!is_gone).then_some(ready > 0);
            }
        }
    }
}
