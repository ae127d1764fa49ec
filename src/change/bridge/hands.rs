//! WRITES. Does the steps of a bridge's change, whoever they ask: the kernel, files, programs.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::{Command, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::Expect;
use super::client::{self, Families};
use super::files::{self, FileError};
use super::kernel::{Kernel, KernelError};
use super::record::{RecordError, Records};
use super::step::{OnFailure, Step};
use crate::source::netlink;

/// Why a step failed.
#[derive(Debug, Error)]
pub enum StepError {
    /// The kernel refused.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A file could not be changed.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record could not be kept.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A program could not be run, failed, or did not end.
    #[error("run {command}: {why}")]
    Call {
        /// Program and arguments.
        command: String,
        /// What it said.
        why: String,
    },
}

/// Does steps.
#[derive(Debug)]
pub struct Hands {
    kernel: Kernel,
    records: Records,
    patience: Duration,
}

impl Hands {
    /// A program that has not ended after this time has failed.
    const CALL: Duration = Duration::from_secs(60);
    /// What a manager does by itself is seen within this time.
    const SETTLE: Duration = Duration::from_secs(15);
    /// NetworkManager's checkpoint runs out so long after the change's own deadline, and before that one
    /// is set, after the first step.
    const SECOND_NET: Duration = Duration::from_secs(30);
    const STEPS: Duration = Duration::from_secs(180);
    const POLL: Duration = Duration::from_millis(50);

    /// For a change that waits so long for its confirmation.
    ///
    /// # Errors
    /// No netlink socket.
    pub fn open(records: &Records, patience: Duration) -> Result<Self, KernelError> {
        Ok(Self { kernel: Kernel::open()?, records: records.clone(), patience })
    }

    /// Does one step; `expect` is what [`Step::Settle`] waits for.
    ///
    /// # Errors
    /// Whoever was asked refused; the steps before stay done.
    pub async fn run(&self, step: &Step, expect: &Expect) -> Result<(), StepError> {
        match step {
            Step::Put { file } => Ok(files::put(file)?),
            Step::PutBack { file } => Ok(files::put_back(file)?),
            Step::Call { argv, failure } => match (call(argv).await, failure) {
                (Err(error), OnFailure::Stop) => Err(error),
                _ => Ok(()),
            },
            Step::MoveClient { from, to, program, argv } => {
                let command = step.text();
                client::hand_over(*from, *to, program, argv)
                    .await
                    .map_err(|error| StepError::Call { command, why: error.to_string() })
            }
            Step::StopClient { link } => {
                client::stop(*link, Families { v4: true, v6: false });
                Ok(())
            }
            Step::Checkpoint => self.checkpoint().await,
            Step::EndCheckpoint => self.end_checkpoint().await,
            Step::Settle => {
                settle(expect, Self::SETTLE).await;
                Ok(())
            }
            of_kernel => Ok(self.kernel.run(of_kernel).await?),
        }
    }

    async fn checkpoint(&self) -> Result<(), StepError> {
        /// Profiles and devices that are new are taken away again.
        const DELETE_NEW: &str = "6";
        let seconds = Self::STEPS.as_secs().to_string();
        let text = network_manager(&["CheckpointCreate", "aouu", "0", &seconds, DELETE_NEW]).await?;
        // `o "/org/freedesktop/NetworkManager/Checkpoint/1"`
        Ok(self.records.note_checkpoint(text.split('"').nth(1))?)
    }

    /// Completes the way back with what only the kernel knows.
    ///
    /// # Errors
    /// It cannot be asked.
    pub async fn complete(&self, undo: &mut [Step]) -> Result<(), StepError> {
        for step in undo {
            let Step::Restore { link, .. } = &*step else { continue };
            let found = self.kernel.bare(step, *link).await?;
            if let Step::Restore { bare, .. } = step {
                *bare = found;
            }
        }
        Ok(())
    }

    /// The change waits for its confirmation from now on.
    pub async fn wait(&self) {
        let Some(path) = self.records.checkpoint() else { return };
        let seconds = (self.patience + Self::SECOND_NET).as_secs().to_string();
        let _ = network_manager(&["CheckpointAdjustRollbackTimeout", "ou", &path, &seconds]).await;
    }

    async fn end_checkpoint(&self) -> Result<(), StepError> {
        let Some(path) = self.records.checkpoint() else { return Ok(()) };
        // It may have run out, or NetworkManager may be gone.
        let _ = network_manager(&["CheckpointDestroy", "o", &path]).await;
        Ok(self.records.note_checkpoint(None)?)
    }
}

async fn network_manager(arguments: &[&str]) -> Result<String, StepError> {
    const NAME: &str = "org.freedesktop.NetworkManager";
    let mut argv = vec!["busctl", "call", NAME, "/org/freedesktop/NetworkManager", NAME];
    argv.extend(arguments);
    call(&argv.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).await
}

async fn settle(expect: &Expect, patience: Duration) {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if netlink::read_once().await.is_ok_and(|facts| expect.unsettled(&facts).is_none()) {
            return;
        }
        tokio::time::sleep(Hands::POLL).await;
    }
}

/// Runs a program without a shell and waits for it; what it printed.
async fn call(argv: &[String]) -> Result<String, StepError> {
    let failed = |why: String| StepError::Call { command: argv.join(" "), why };
    let io = |error: std::io::Error| failed(error.to_string());
    let Some((program, arguments)) = argv.split_first() else { return Ok(String::new()) };
    let mut output = scratch().map_err(io)?;
    let errors = output.try_clone().map_err(io)?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    // A file, not a pipe: a client that stays behind as a daemon must not keep the wait from ending.
    command.stdout(Stdio::from(output.try_clone().map_err(io)?)).stderr(Stdio::from(errors));
    let mut child = command.spawn().map_err(io)?;
    let deadline = Instant::now() + Hands::CALL;
    let status = loop {
        match child.try_wait().map_err(io)? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("did not end within {} s", Hands::CALL.as_secs())));
            }
            None => tokio::time::sleep(Hands::POLL).await,
        }
    };
    let mut text = String::new();
    output.seek(SeekFrom::Start(0)).map_err(io)?;
    let _ = output.read_to_string(&mut text);
    if status.success() {
        return Ok(text);
    }
    let said: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(failed(format!("{status}: {}", said.join("; "))))
}

/// A file without a name.
fn scratch() -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600);
    options.open("/run").or_else(|_| options.open("/tmp"))
}
