//! WRITES its own files only: the change of a network or a shim that is under way, on disk before its first
//! step. Its file goes when the change came to an end; one whose process is gone tells the next start.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::{Journal, JournalError, io, store};
use crate::model::Timestamp;
use crate::model::unfinished::{Changed, Unfinished};
use crate::source::{process, unfinished};

/// What a note says of its change.
#[derive(Debug)]
pub struct About<'a, P> {
    /// What it changes.
    pub of: Changed,
    /// What it is.
    pub title: &'a str,
    /// Its steps, in words.
    pub steps: Vec<String>,
    /// The whole plan, for whoever puts it right.
    pub plan: &'a P,
}

/// The note of a running change.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
    noted: Unfinished,
}

impl Journal {
    fn notes(&self) -> PathBuf {
        self.directory.join(unfinished::DIRECTORY)
    }

    /// Notes that a change begins; on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn note<P: Serialize>(&self, about: About<'_, P>, now: Timestamp) -> Result<Note, JournalError> {
        let directory = Self::at(&self.notes())?.directory;
        let pid = std::process::id();
        let path = directory.join(format!("{:015}-{pid}.json", now.0));
        let text =
            serde_json::to_string(about.plan).map_err(std::io::Error::from).map_err(io("write", &path))?;
        let noted = Unfinished {
            begun: now,
            pid,
            process_began: process::began(pid).unwrap_or_default(),
            of: about.of,
            title: about.title.to_owned(),
            steps: about.steps.len(),
            step: about.steps.into_iter().next().unwrap_or_default(),
            at: 0,
            failed: None,
            plan: text,
        };
        let note = Note { path, noted };
        note.write()?;
        Ok(note)
    }

    /// Changes that did not come to an end, oldest first: their process is gone in the middle, or neither the
    /// change nor its way back worked.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Unfinished> {
        unfinished::read(&self.notes())
    }

    /// Forgets what was left of this network or shim: a later change put it right.
    pub fn settle(&self, of: &Changed) {
        for (path, noted) in unfinished::files(&self.notes()) {
            if noted.of == *of && !unfinished::runs(&noted) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Note {
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
