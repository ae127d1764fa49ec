//! READS. Signals as the loop understands them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::ExitStatus;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// End, with this status.
    End(ExitStatus),
    /// Stop until somebody says `fg`.
    Suspend,
    /// Go on after a stop of whatever kind: the terminal may have been another's meanwhile.
    Resume,
    /// The terminal has another size.
    Resize,
}

/// All signals that the screen must not miss: each of them would leave the terminal in a mess.
pub(super) struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    stop: Signal,
    go_on: Signal,
    resize: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        let kind = SignalKind::from_raw;
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            stop: signal(kind(libc::SIGTSTP))?,
            go_on: signal(kind(libc::SIGCONT))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.hang_up.recv() => Told::End(ExitStatus::HungUp),
            _ = self.terminate.recv() => Told::End(ExitStatus::Terminated),
            _ = self.interrupt.recv() => Told::End(ExitStatus::Interrupted),
            _ = self.quit.recv() => Told::End(ExitStatus::Terminated),
            _ = self.stop.recv() => Told::Suspend,
            _ = self.go_on.recv() => Told::Resume,
            _ = self.resize.recv() => Told::Resize,
        }
    }
}
