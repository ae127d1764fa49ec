//! WRITES, by way of virt-install. The program in a process group of its own, without a terminal. What it
//! says goes into memory that it shares with this process: it never waits for a reader, and when this
//! process is killed it goes on to its end. It is stopped with all that it has started.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// What it is asked with to stop, one after another, and how long it may take each time. Interrupted, it
/// ends between two calls of libvirt; terminated, at once.
const WAYS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(8)),
    (Signal::SIGTERM, Duration::from_secs(3)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];
/// Time between two looks at what it said.
const LOOK: Duration = Duration::from_millis(50);

/// How it ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// The operator stopped it.
    pub(super) stopped: bool,
}

/// Runs the call to its end, or until `stop` says true; `heard` gets what it says, as it says it.
pub(super) async fn run(
    call: &[OsString],
    mut stop: watch::Receiver<bool>,
    mut heard: impl FnMut(&[u8]),
) -> io::Result<Ended> {
    let (mut child, mut output) = start(call)?;
    let group = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let mut over = watch_over(group)?;
    let mut ways = WAYS.into_iter();
    let mut patience: Option<Instant> = None;
    loop {
        let deadline = patience.unwrap_or_else(Instant::now);
        tokio::select! {
            biased;
            _ = &mut over => break,
            () = is_said(&mut stop), if patience.is_none() => patience = Some(ask(group, &mut ways)),
            () = sleep_until(deadline), if patience.is_some() => patience = Some(ask(group, &mut ways)),
            () = tokio::time::sleep(LOOK) => output.read(&mut heard)?,
        }
    }
    if patience.is_some() {
        // Its number is still its own until it is waited for.
        let _ = killpg(group, Signal::SIGKILL);
    }
    let status = child.wait()?;
    output.read(&mut heard)?;
    Ok(Ended { status, stopped: patience.is_some() })
}

/// Asks the group to end in the next way; until when it may take its time.
fn ask(group: Pid, ways: &mut impl Iterator<Item = (Signal, Duration)>) -> Instant {
    let (signal, patience) = ways.next().unwrap_or((Signal::SIGKILL, Duration::from_secs(5)));
    if let Err(error) = killpg(group, signal) {
        tracing::debug!("{signal} to virt-install's group {group}: {error}");
    }
    Instant::now() + patience
}

/// Waits until it shall stop; for ever when nobody can say so any more.
async fn is_said(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What it said, as far as it was read.
struct Output {
    file: File,
    read: u64,
}

impl Output {
    fn read(&mut self, heard: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            // By position: the writers' own position is shared with this process.
            let count = self.file.read_at(&mut buffer, self.read)?;
            let Some(bytes @ [_, ..]) = buffer.get(..count) else { return Ok(()) };
            heard(bytes);
            self.read += u64::try_from(count).unwrap_or(0);
        }
    }
}

fn start(call: &[OsString]) -> io::Result<(Child, Output)> {
    let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to run");
    let (program, arguments) = call.split_first().ok_or_else(nothing)?;
    let file = File::from(memfd_create(c"virt-install", MFdFlags::MFD_CLOEXEC)?);
    let mut command = Command::new(program);
    // Python keeps its words back when they go into a file.
    command.args(arguments).env("PYTHONUNBUFFERED", "1").env_remove("DISPLAY").process_group(0);
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file.try_clone()?);
    Ok((command.spawn()?, Output { file, read: 0 }))
}

/// Told when the process has ended; it is not waited for yet, so that its number stays its own.
fn watch_over(pid: Pid) -> io::Result<oneshot::Receiver<()>> {
    let (sender, over) = oneshot::channel();
    std::thread::Builder::new().name("virt-install-end".to_owned()).spawn(move || {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(pid), flags) == Err(nix::errno::Errno::EINTR) {}
        let _ = sender.send(());
    })?;
    Ok(over)
}
