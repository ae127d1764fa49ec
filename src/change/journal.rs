//! WRITES its own files only: what is being changed, on disk before the first step, so that a crash or
//! a lost terminal leaves a trace that the next start finds; and what was changed, for `undo`.

pub mod unfinished;
pub(super) mod whole;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::plan::Plan;
use super::shim::ShimPlan;
use crate::model::Timestamp;
use crate::model::ids::DomainId;
use crate::source::process;

/// Why the journal cannot be kept; without it nothing is changed.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A file or directory.
    #[error("{operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: std::io::Error,
    },
    /// Another virt-net changes the same guest, a network or a shim.
    #[error("another virt-net (process {pid}) is changing {what}; wait for it or end it")]
    Busy {
        /// What it changes.
        what: &'static str,
        /// Its process id, as it noted it.
        pid: String,
    },
}

/// How far a change came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Under way, or interrupted when its process is gone.
    Running,
    /// Done and verified.
    Verified,
    /// Put back.
    Reverted,
    /// Neither: what is known.
    Failed {
        /// What is known, in words.
        known: String,
    },
    /// Taken back later.
    Undone,
}

/// A change that can be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Recorded {
    /// Of a guest's NIC.
    Nic(Box<Plan>),
    /// Of a shim; recorded when it is done and verified, until then [noted](unfinished::Note).
    Shim(Box<ShimPlan>),
}

impl Recorded {
    /// What it was, in one line; a guest's name is hostile text.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Nic(plan) => format!("{} {}: {}", plan.guest, plan.nic.mac, plan.title),
            Self::Shim(plan) => plan.title.clone(),
        }
    }

    fn is_of_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nic(a), Self::Nic(b)) => a.nic == b.nic,
            (Self::Shim(a), Self::Shim(b)) => a.shim == b.shim,
            _ => false,
        }
    }
}

/// A change and how far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it began: its identity.
    pub begun: Timestamp,
    /// The process that did it.
    pub pid: u32,
    /// Tells apart what one process began in the same millisecond; 0 in records of old.
    #[serde(default)]
    pub serial: u32,
    /// `/proc/sys/kernel/random/boot_id`: no process outlives a reboot. Empty in records of old.
    #[serde(default)]
    pub boot: String,
    /// When the process was started, in clock ticks since the boot: numbers of processes are used again.
    #[serde(default)]
    pub started: Option<u64>,
    /// What was done.
    pub plan: Recorded,
    /// How far it came.
    pub state: State,
}

impl Record {
    /// Its process is gone in the middle.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.state == State::Running && !self.is_alive()
    }

    /// It can be taken back or has to be put right: verified, failed half way, or interrupted. One that was
    /// put back or undone is neither.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.state {
            State::Verified | State::Failed { .. } => true,
            State::Running => self.is_interrupted(),
            State::Reverted | State::Undone => false,
        }
    }

    fn is_alive(&self) -> bool {
        let same_boot = self.boot.is_empty() || self.boot == process::boot();
        let same_process = match (self.started, process::began(self.pid)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(then), Some(now)) => then == now,
        };
        same_boot && same_process
    }
}

/// The directory of records.
#[derive(Debug, Clone)]
pub struct Journal {
    directory: PathBuf,
}

/// Held while a guest is being changed.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Flock<File>);

impl Journal {
    /// Records kept for `undo`; older ones go.
    const KEPT: usize = 50;

    /// `/var/lib/virt-net` for root, else `$XDG_STATE_HOME/virt-net`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open() -> Result<Self, JournalError> {
        Self::at(&crate::config::changes_directory())
    }

    /// Looks at the records that there are; makes nothing.
    #[must_use]
    pub fn peek() -> Self {
        Self { directory: crate::config::changes_directory() }
    }

    /// In this directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn at(directory: &Path) -> Result<Self, JournalError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(io("make the directory", directory))?;
        Ok(Self { directory: directory.to_path_buf() })
    }

    /// Takes the guest for this process.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be made.
    pub fn lock(&self, guest: DomainId) -> Result<Lock, JournalError> {
        self.take(&format!("{guest}.lock"), "this guest")
    }

    /// Takes the networks for this process: their changes go one after another.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub fn lock_networks(&self) -> Result<Lock, JournalError> {
        self.take("networks.lock", "a network")
    }

    fn take(&self, file: &str, what: &'static str) -> Result<Lock, JournalError> {
        let path = self.directory.join(file);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(io("open", &path))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                let note = lock.set_len(0).and_then(|()| lock.rewind());
                note.and_then(|()| write!(*lock, "{}", std::process::id())).map_err(io("write", &path))?;
                Ok(Lock(lock))
            }
            Err((mut file, _)) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                Err(JournalError::Busy { what, pid })
            }
        }
    }

    /// Takes the shims for this process.
    ///
    /// # Errors
    /// As [`Self::lock`].
    pub fn lock_shims(&self) -> Result<Lock, JournalError> {
        self.take("shims.lock", "a shim")
    }

    /// Notes that a plan begins; on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(&self, plan: &Plan, now: Timestamp) -> Result<Record, JournalError> {
        self.add(Recorded::Nic(Box::new(plan.clone())), now, State::Running)
    }

    /// Notes a change that is done and verified, for `undo`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn done(&self, plan: Recorded, now: Timestamp) -> Result<Record, JournalError> {
        self.add(plan, now, State::Verified)
    }

    /// Notes that the change which began then was taken back.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn undone(&self, begun: Timestamp, by: &Recorded) -> Result<(), JournalError> {
        let is_it = |record: &Record| record.begun == begun && record.plan.is_of_the_same(by);
        match self.records().into_iter().find(is_it) {
            Some(record) => self.finish(record, State::Undone),
            None => Ok(()),
        }
    }

    fn add(&self, plan: Recorded, now: Timestamp, state: State) -> Result<Record, JournalError> {
        static SERIAL: AtomicU32 = AtomicU32::new(1);
        let pid = std::process::id();
        let record = Record {
            begun: now,
            pid,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            boot: process::boot(),
            started: process::began(pid),
            plan,
            state,
        };
        self.write(&record)?;
        for old in self.records().iter().rev().skip(Self::KEPT) {
            let _ = fs::remove_file(self.path(old));
        }
        Ok(record)
    }

    /// Notes how far it came.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(&self, mut record: Record, state: State) -> Result<(), JournalError> {
        record.state = state;
        self.write(&record)
    }

    /// All records, oldest first; a file that is not a record is passed over.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Vec::new() };
        let mut records: Vec<Record> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
            .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
            .collect();
        records.sort_by_key(|record| (record.begun, record.serial));
        records
    }

    /// The newest change that [is open](Record::is_open).
    #[must_use]
    pub fn last_open(&self) -> Option<Record> {
        self.records().into_iter().rev().find(Record::is_open)
    }

    /// Changes that ended half way: their process is gone in the middle, or neither the change nor its
    /// revert worked. To be told at the start. A later change of the same that was verified settles it.
    #[must_use]
    pub fn half_done(&self) -> Vec<Record> {
        let records = self.records();
        let settled = |half: &Record| {
            let later = records.iter().filter(|other| other.begun > half.begun);
            later
                .into_iter()
                .any(|other| other.plan.is_of_the_same(&half.plan) && other.state == State::Verified)
        };
        let half = |record: &&Record| {
            (record.is_interrupted() || matches!(record.state, State::Failed { .. })) && !settled(record)
        };
        records.iter().filter(half).cloned().collect()
    }

    fn path(&self, record: &Record) -> PathBuf {
        let serial = if record.serial == 0 { String::new() } else { format!("-{}", record.serial) };
        self.directory.join(format!("{:015}-{}{serial}.json", record.begun.0, record.pid))
    }

    fn write(&self, record: &Record) -> Result<(), JournalError> {
        let path = self.path(record);
        let text =
            serde_json::to_vec_pretty(record).map_err(std::io::Error::from).map_err(io("write", &path))?;
        store(&path, &text)
    }
}

fn store(path: &Path, text: &[u8]) -> Result<(), JournalError> {
    whole::replace(path, text).map_err(|(operation, path, error)| JournalError::Io { operation, path, error })
}

fn io<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> JournalError + 'a {
    move |error| JournalError::Io { operation, path: path.to_path_buf(), error }
}
