//! WRITES. Frames go to the terminal on a thread of their own: a terminal that takes nothing (ctrl-S, a line
//! that hangs) must hold up neither the keys nor a change that runs.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long the end of the program waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pieces that are not written yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// Writing failed: the terminal is gone.
static GONE: AtomicBool = AtomicBool::new(false);

/// Collects a frame and hands it over when it is flushed.
#[derive(Debug, Clone)]
pub(super) struct Frames {
    frame: Vec<u8>,
    pieces: Sender<Vec<u8>>,
}

impl Frames {
    /// Starts the thread.
    ///
    /// # Errors
    /// Standard output cannot be used, or the thread cannot be started.
    pub(super) fn start() -> io::Result<Self> {
        // Not the locked standard output: whoever waits for that lock would wait for the terminal.
        let terminal = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let (pieces, waiting) = channel();
        std::thread::Builder::new().name("frames".to_owned()).spawn(move || write(terminal, &waiting))?;
        Ok(Self { frame: Vec::new(), pieces })
    }
}

fn write(mut terminal: File, pieces: &Receiver<Vec<u8>>) {
    for piece in pieces {
        if terminal.write_all(&piece).is_err() {
            GONE.store(true, Ordering::SeqCst);
        }
        WAITING.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if GONE.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !self.frame.is_empty() {
            WAITING.fetch_add(1, Ordering::SeqCst);
            let sent = self.pieces.send(std::mem::take(&mut self.frame));
            sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }
}

/// Everything was written.
///
/// # Errors
/// The terminal is gone.
pub(super) fn are_written() -> io::Result<bool> {
    if GONE.load(Ordering::SeqCst) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(WAITING.load(Ordering::SeqCst) == 0)
}

/// Waits for a moment until everything is written; false when the terminal takes nothing.
pub(super) fn wait() -> bool {
    let begun = Instant::now();
    while WAITING.load(Ordering::SeqCst) > 0 {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}
