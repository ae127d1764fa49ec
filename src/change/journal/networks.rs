//! WRITES its own files only: the change of a network that is under way, on disk before its first step. Its
//! file goes when the change came to an end; one whose process is gone tells the next start.

use std::fs;
use std::path::PathBuf;

use super::{Journal, JournalError, io, store};
use crate::change::network::{Action, NetworkPlan};
use crate::model::Timestamp;
use crate::model::unfinished::Unfinished;
use crate::source::{process, unfinished};

/// The record of a running change.
#[derive(Debug)]
pub struct NetworkRecord {
    path: PathBuf,
    noted: Unfinished,
}

impl Journal {
    fn networks(&self) -> PathBuf {
        self.directory.join("networks")
    }

    /// Notes that a network's change begins; on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_network(&self, plan: &NetworkPlan, now: Timestamp) -> Result<NetworkRecord, JournalError> {
        let directory = Self::at(&self.networks())?.directory;
        let pid = std::process::id();
        let path = directory.join(format!("{:015}-{pid}.json", now.0));
        let text = serde_json::to_string(plan).map_err(std::io::Error::from).map_err(io("write", &path))?;
        let noted = Unfinished {
            begun: now,
            pid,
            process_began: process::began(pid).unwrap_or_default(),
            network: plan.network.clone(),
            title: plan.title.clone(),
            step: plan.steps.first().map(|step| step.text.clone()).unwrap_or_default(),
            at: 0,
            steps: plan.steps.len(),
            failed: None,
            plan: text,
        };
        let record = NetworkRecord { path, noted };
        record.write()?;
        Ok(record)
    }

    /// Changes of networks that did not come to an end, oldest first: their process is gone in the middle, or
    /// neither the change nor its way back worked.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Unfinished> {
        unfinished::read(&self.networks())
    }

    /// Forgets what was left of this network: a later change put it right.
    pub fn settle_network(&self, network: &str) {
        for (path, noted) in unfinished::files(&self.networks()) {
            if noted.network == network && !unfinished::runs(&noted) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl NetworkRecord {
    /// Notes that this step begins.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn step(&mut self, at: usize, text: &str) -> Result<(), JournalError> {
        (self.noted.at, self.noted.step) = (at, text.to_owned());
        self.write()
    }

    /// It came to an end: done, or put back.
    pub fn clear(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Neither: what is known.
    pub fn fail(mut self, known: &str) {
        self.noted.failed = Some(known.to_owned());
        let _ = self.write();
    }

    fn write(&self) -> Result<(), JournalError> {
        let text = serde_json::to_vec_pretty(&self.noted).map_err(std::io::Error::from);
        store(&self.path, &text.map_err(io("write", &self.path))?)
    }
}

/// Whether this plan, done and verified, settles what an earlier change of the network left.
#[must_use]
pub fn settles(plan: &NetworkPlan) -> bool {
    let touches = |action: &Action| {
        matches!(action, Action::Define(_) | Action::Undefine | Action::Start { .. } | Action::Enslave(_))
    };
    plan.mends.is_some() || plan.steps.iter().any(|step| touches(&step.action))
}
