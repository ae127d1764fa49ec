//! A terminal for the program: a real pty, read by a terminal emulator.

use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Machines may be slow; nothing waits longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with a program in it.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Option<Box<dyn std::io::Write + Send>>,
    heard: Arc<Mutex<Heard>>,
    over: Arc<AtomicBool>,
    deaf: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

/// What came out of the program.
struct Heard {
    parser: vt100::Parser,
    bytes: Vec<u8>,
}

impl Terminal {
    /// Starts `command` in a terminal of this many columns and rows; one that tells 0 x 0 has 80 x 24.
    pub(crate) fn start(columns: u16, rows: u16, command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("a pty");
        let child = pair.slave.spawn_command(command).expect("starts");
        drop(pair.slave);
        let mut source = pair.master.try_clone_reader().expect("a reader");
        let writer = pair.master.take_writer().expect("a writer");
        let fd = pair.master.as_raw_fd().expect("a descriptor");
        let heard = Arc::new(Mutex::new(Heard {
            parser: vt100::Parser::new(
                if rows == 0 { 24 } else { rows },
                if columns == 0 { 80 } else { columns },
                0,
            ),
            bytes: Vec::new(),
        }));
        let over = Arc::new(AtomicBool::new(false));
        let deaf = Arc::new(AtomicBool::new(false));
        let (hear, stop, pause) = (Arc::clone(&heard), Arc::clone(&over), Arc::clone(&deaf));
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let mut pending = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                if pause.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                #[expect(unsafe_code, reason = "the master outlives this thread: `hang_up` joins it first")]
                let descriptor = unsafe { BorrowedFd::borrow_raw(fd) };
                let mut fds = [PollFd::new(descriptor, PollFlags::POLLIN)];
                if poll(&mut fds, PollTimeout::from(50_u8)).is_ok_and(|ready| ready == 0) {
                    continue;
                }
                let Ok(read @ 1..) = source.read(&mut buffer) else { return };
                let mut heard = hear.lock().unwrap();
                heard.bytes.extend(&buffer[..read]);
                pending.extend(&buffer[..read]);
                // As a terminal does: what stands between the marks of a frame is shown when it is whole.
                let find = |mark: &[u8]| pending.windows(mark.len()).rposition(|bytes| bytes == mark);
                let whole = match (find(b"\x1b[?2026h"), find(b"\x1b[?2026l")) {
                    (Some(begin), None) => begin,
                    (Some(begin), Some(end)) if end < begin => begin,
                    _ => pending.len(),
                };
                let whole: Vec<u8> = pending.drain(..whole).collect();
                heard.parser.process(&whole);
            }
        });
        Self {
            child,
            master: Some(pair.master),
            writer: Some(writer),
            heard,
            over,
            deaf,
            reader: Some(reader),
        }
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        let writer = self.writer.as_mut().expect("the terminal is there");
        writer.write_all(keys.as_bytes()).expect("typed");
        writer.flush().expect("typed");
    }

    /// The terminal takes nothing more, as on a line that hangs, or does so again.
    pub(crate) fn takes_nothing(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }

    /// Gives the terminal another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        // The emulator first: what comes for the new size must find it.
        self.heard.lock().unwrap().parser.screen_mut().set_size(rows, columns);
        self.master.as_ref().expect("the terminal is there").resize(size(columns, rows)).expect("resized");
    }

    /// The rows as text.
    pub(crate) fn text(&self) -> String {
        self.look(vt100::Screen::contents)
    }

    /// The row that has this text.
    pub(crate) fn row(&self, text: &str) -> String {
        let shown = self.text();
        let row = shown.lines().find(|row| row.contains(text));
        row.unwrap_or_else(|| panic!("no row has {text:?}:\n{shown}")).to_owned()
    }

    /// Looks at the emulator's screen.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.heard.lock().unwrap().parser.screen())
    }

    /// How many bytes came so far.
    pub(crate) fn sent(&self) -> usize {
        self.heard.lock().unwrap().bytes.len()
    }

    /// The bytes that came after the first `from`.
    pub(crate) fn bytes(&self, from: usize) -> Vec<u8> {
        self.heard.lock().unwrap().bytes[from..].to_vec()
    }

    /// Waits until the screen is as wanted; how long that took.
    pub(crate) fn until(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> Duration {
        self.within(PATIENCE, what, wanted)
    }

    /// The same with another limit.
    pub(crate) fn within(
        &self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&vt100::Screen) -> bool,
    ) -> Duration {
        let begun = Instant::now();
        while !self.look(&wanted) {
            assert!(begun.elapsed() < limit, "{what}: not within {limit:?}:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
        begun.elapsed()
    }

    /// Waits until this text is somewhere on the screen.
    pub(crate) fn shows(&self, text: &str) {
        self.until(text, |screen| screen.contents().contains(text));
    }

    /// Waits until this text is nowhere on the screen.
    pub(crate) fn hides(&self, text: &str) {
        self.until(&format!("no {text}"), |screen| !screen.contents().contains(text));
    }

    /// The program's process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.process_id().expect("runs").try_into().expect("a pid"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("sent");
    }

    /// Waits for its end; its exit status.
    pub(crate) fn end(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                // The last bytes may still be on their way.
                std::thread::sleep(Duration::from_millis(150));
                return status.exit_code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The terminal goes away, as when a connection breaks.
    pub(crate) fn hang_up(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader ends");
        }
        self.writer = None;
        self.master = None;
    }

    /// Nothing of the program's own modes is left: the other screen, a hidden cursor, pasting, the mouse.
    pub(crate) fn is_restored(&self) {
        let left =
            self.look(|screen| (screen.alternate_screen(), screen.hide_cursor(), screen.bracketed_paste()));
        assert_eq!(left, (false, false, false), "alternate screen, hidden cursor, bracketed paste");
        assert_eq!(self.look(vt100::Screen::mouse_protocol_mode), vt100::MouseProtocolMode::None);
        let termios = self.master.as_ref().and_then(|master| master.get_termios()).expect("a terminal");
        let cooked = libc::ECHO | libc::ICANON;
        assert_eq!(termios.local_flags.bits() & cooked, cooked, "raw mode is left");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}
