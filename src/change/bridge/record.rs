//! WRITES its own files only: the one change of a bridge that may be under way, with its way back, on
//! disk before the first step and at each turn.
//!
//! `bridge.json` is the record, `bridge.lock` is held by the agent as long as it lives, `bridge.answer`
//! is what somebody wants of it, `bridge.checkpoint` names NetworkManager's, and `kept-BRIDGE.json` holds
//! the files of a bridge that was kept, as they were before, for the day when it is deleted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::FlockArg;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::step::FileChange;
use super::{BridgePlan, Memory};
use crate::change::journal::whole;
use crate::model::{IfName, Timestamp};
use crate::source::process;

/// Why the record cannot be kept; without it nothing is changed.
#[derive(Debug, Error)]
pub enum RecordError {
    /// A file or directory.
    #[error("{operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Another change is under way.
    #[error(
        "another change of a bridge is under way; keep it with `virt-net confirm` or take it back with `virt-net rollback`"
    )]
    Busy,
}

/// How far a change came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Progress {
    /// Nothing was done yet.
    Prepared,
    /// The steps are being done and proven.
    Applying {
        /// How many steps are done.
        done: usize,
        /// What is being done or waited for.
        doing: String,
    },
    /// Done and proven; taken back at `until` unless somebody confirms.
    Waiting {
        /// When.
        until: Timestamp,
        /// What was seen to work.
        proofs: Vec<String>,
    },
    /// Confirmed: files for the next boot are being put in place. From here there is no way back.
    Keeping,
    /// Kept.
    Confirmed,
    /// Being taken back.
    RollingBack {
        /// Why.
        why: String,
        /// How many steps back are done.
        #[serde(default)]
        done: usize,
        /// What is being done or waited for.
        #[serde(default)]
        doing: String,
    },
    /// Taken back; the old state was seen in the kernel.
    RolledBack {
        /// Why.
        why: String,
    },
    /// Could not be taken back whole.
    Failed {
        /// What is known.
        known: String,
    },
}

impl Progress {
    /// Nothing more will happen.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Confirmed | Self::RolledBack { .. } | Self::Failed { .. })
    }
}

/// A change and how far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was prepared: its identity.
    pub begun: Timestamp,
    /// `/proc/sys/kernel/random/boot_id`: after a reboot nothing of it is left.
    pub boot: String,
    /// What is done, and the way back.
    pub plan: BridgePlan,
    /// How long it waits for its confirmation.
    pub patience: Duration,
    /// How far it came.
    pub progress: Progress,
    /// How long each step took that is done, in milliseconds.
    #[serde(default)]
    pub took: Vec<u64>,
    /// Why systemd does not start its process again when that is killed, where it should have.
    #[serde(default)]
    pub alone: Option<String>,
}

impl Record {
    /// Nothing more will happen.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.progress.is_final()
    }
}

/// A bridge whose files virt-net wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Who reads them, and how it goes back at once.
    pub memory: Memory,
    /// The files, as they were before and since.
    pub files: Vec<FileChange>,
}

impl Kept {
    /// Takes in what a later change made of the files.
    pub fn take(&mut self, later: &[FileChange]) {
        for change in later {
            match self.files.iter_mut().find(|file| file.path == change.path) {
                Some(file) => file.after.clone_from(&change.after),
                None => self.files.push(change.clone()),
            }
        }
    }
}

/// What somebody wants of a change that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Keep it.
    Confirm,
    /// Take it back.
    Rollback,
}

impl Answer {
    const fn word(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Rollback => "rollback",
        }
    }
}

/// The directory of the record.
#[derive(Debug, Clone)]
pub struct Records {
    directory: PathBuf,
}

impl Records {
    /// Where root keeps them.
    pub const DIRECTORY: &str = "/var/lib/virt-net";

    /// Root's.
    #[must_use]
    pub fn host() -> Self {
        Self::at(Path::new(Self::DIRECTORY))
    }

    /// In this directory, which is made when something is written.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last change, whatever became of it; one of an earlier boot or an unreadable one is none.
    #[must_use]
    pub fn read(&self) -> Option<Record> {
        self.read_any().filter(|record| record.boot == process::boot())
    }

    /// The last change of an earlier boot that had not come to its end.
    #[must_use]
    pub fn interrupted_by_reboot(&self) -> Option<Record> {
        self.read_any().filter(|record| record.boot != process::boot() && !record.progress.is_final())
    }

    fn read_any(&self) -> Option<Record> {
        let text = fs::read(self.directory.join("bridge.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The files of a bridge that was kept.
    #[must_use]
    pub fn kept(&self, bridge: IfName) -> Option<Kept> {
        let text = fs::read(self.kept_path(bridge)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Notes the files of a bridge that is kept, or forgets them with `None`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, bridge: IfName, kept: Option<&Kept>) -> Result<(), RecordError> {
        let path = self.kept_path(bridge);
        let Some(kept) = kept else {
            let _ = fs::remove_file(&path);
            return Ok(());
        };
        let text = serde_json::to_vec_pretty(kept).map_err(io::Error::from);
        replace(&path, &text.map_err(failed("write", &path))?)
    }

    fn kept_path(&self, bridge: IfName) -> PathBuf {
        self.directory.join(format!("kept-{bridge}.json"))
    }

    /// The path of NetworkManager's checkpoint, if there is one.
    #[must_use]
    pub fn checkpoint(&self) -> Option<String> {
        fs::read_to_string(self.directory.join("bridge.checkpoint")).ok()
    }

    /// Notes NetworkManager's checkpoint, or forgets it with `None`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note_checkpoint(&self, path: Option<&str>) -> Result<(), RecordError> {
        let file = self.directory.join("bridge.checkpoint");
        let Some(path) = path else {
            let _ = fs::remove_file(&file);
            return Ok(());
        };
        replace(&file, path.as_bytes())
    }

    /// Takes the right to change bridges: it lasts as long as this file, or a process that inherited it,
    /// is open.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be made.
    pub fn lock(&self) -> Result<File, RecordError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&self.directory).map_err(failed("make the directory", &self.directory))?;
        let path = self.directory.join("bridge.lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(failed("open", &path))?;
        #[expect(
            deprecated,
            reason = "Flock unlocks when it is dropped, also for the agent that inherited the file"
        )]
        let taken = nix::fcntl::flock(file.as_raw_fd(), FlockArg::LockExclusiveNonblock);
        taken.map(|()| file).map_err(|_| RecordError::Busy)
    }

    /// Notes a plan that is about to begin.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn prepare(
        &self,
        plan: BridgePlan,
        patience: Duration,
        now: Timestamp,
    ) -> Result<Record, RecordError> {
        let _ = fs::remove_file(self.directory.join("bridge.answer"));
        let record = Record {
            begun: now,
            boot: process::boot(),
            plan,
            patience,
            progress: Progress::Prepared,
            took: Vec::new(),
            alone: None,
        };
        self.write(&record)?;
        Ok(record)
    }

    /// Notes how far it came; on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, record: &Record) -> Result<(), RecordError> {
        let path = self.directory.join("bridge.json");
        let text =
            serde_json::to_vec_pretty(record).map_err(io::Error::from).map_err(failed("write", &path))?;
        replace(&path, &text)
    }

    /// Tells the agent what is wanted of the change `begun`; nothing, when that is not the last one any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn answer(&self, begun: Timestamp, answer: Answer) -> Result<(), RecordError> {
        if self.read().is_none_or(|record| record.begun != begun) {
            return Ok(());
        }
        let text = format!("{} {}", answer.word(), begun.0);
        replace(&self.directory.join("bridge.answer"), text.as_bytes())
    }

    /// What somebody wants of the change `begun`.
    #[must_use]
    pub fn answered(&self, begun: Timestamp) -> Option<Answer> {
        let text = fs::read_to_string(self.directory.join("bridge.answer")).ok()?;
        let (word, of) = text.split_once(' ')?;
        (of == begun.0.to_string()).then_some(())?;
        [Answer::Confirm, Answer::Rollback].into_iter().find(|answer| answer.word() == word)
    }
}

fn replace(path: &Path, text: &[u8]) -> Result<(), RecordError> {
    whole::replace(path, text).map_err(|(operation, path, error)| RecordError::Io { operation, path, error })
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RecordError + 'a {
    move |error| RecordError::Io { operation, path: path.to_path_buf(), error }
}
