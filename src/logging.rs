//! The program's log: into a file, and while the screen is up also to its messages. Nothing ever goes
//! to standard output or standard error, which the screen owns.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// A log larger than this is put aside as `virt-net.log.1` at the next start.
const LARGE: u64 = 1 << 20;
/// As many lines wait for the screen; what comes faster than it reads is only in the file.
const WAITING: usize = 500;

/// A line for the screen's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How bad.
    pub level: Level,
    /// What.
    pub text: String,
}

/// The lines of this process.
#[derive(Debug)]
pub struct Log {
    lines: mpsc::Receiver<Line>,
    /// Where they are written; why not, if they are not.
    pub file: Result<PathBuf, io::Error>,
}

impl Log {
    /// The next line; waits for ever when there is no log.
    pub async fn next(&mut self) -> Line {
        match self.lines.recv().await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }
}

/// Starts the log of this process; a second call changes nothing. Without the right to write the file
/// the screen still has its lines.
#[must_use]
pub fn start(directory: &Path, level: LevelFilter) -> Log {
    let (sender, lines) = mpsc::channel(WAITING);
    let opened = open(directory);
    let (file, opened) = match opened {
        Ok((path, file)) => (Some(file), Ok(path)),
        Err(error) => (None, Err(error)),
    };
    let file =
        file.map(|file| tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Mutex::new(file)));
    let subscriber = tracing_subscriber::registry().with(level).with(file).with(ToScreen(sender));
    let _ = tracing::subscriber::set_global_default(subscriber);
    Log { lines, file: opened }
}

fn open(directory: &Path) -> io::Result<(PathBuf, File)> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let path = directory.join("virt-net.log");
    if path.metadata().is_ok_and(|file| file.len() > LARGE) {
        std::fs::rename(&path, directory.join("virt-net.log.1"))?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    Ok((path, file))
}

struct ToScreen(mpsc::Sender<Line>);

impl<S: Subscriber> Layer<S> for ToScreen {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let _ = self.0.try_send(Line { level: *event.metadata().level(), text: text.0 });
    }
}

/// `change begins guest=web01 nic=52:54:…`, with the message first.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}
