//! READS. What is typed, on a thread of its own.
//!
//! Not crossterm's `EventStream`: after the terminal is gone its reader loops for ever, and it may do so
//! on the caller's thread, which would then hear no signal. Here crossterm is asked only when the terminal
//! has something and is still there.

use std::io::stdin;
use std::os::fd::AsFd as _;
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

fn read(keys: &UnboundedSender<Event>) {
    while has_something() {
        // Zero would mean: do not even look.
        while event::poll(Duration::from_millis(1)).unwrap_or(false) {
            let Ok(event) = event::read() else { return };
            if keys.send(event).is_err() {
                return;
            }
        }
    }
}

/// Waits until something was typed; false when the terminal is gone.
fn has_something() -> bool {
    let stdin = stdin();
    loop {
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return false,
            Ok(_) => {
                let gone = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
                return !fds[0].revents().is_some_and(|seen| seen.intersects(gone));
            }
        }
    }
}
