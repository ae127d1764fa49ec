//! READS. What virt-net itself noted of changes of networks and shims that did not come to their end. Changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use super::process;
use crate::config;
use crate::model::unfinished::Unfinished;

/// Where they are noted, below the directory of all changes.
pub const DIRECTORY: &str = "unfinished";

/// Those of this host and user, oldest first.
#[must_use]
pub fn here() -> Vec<Unfinished> {
    read(&config::changes_directory().join(DIRECTORY))
}

/// Those in this directory, oldest first: their process is gone in the middle, or neither the change nor its
/// way back worked.
#[must_use]
pub fn read(directory: &Path) -> Vec<Unfinished> {
    let mut all: Vec<Unfinished> = files(directory).into_iter().map(|(_, noted)| noted).collect();
    all.retain(|noted| !runs(noted));
    all.sort_by_key(|noted| noted.begun);
    all
}

/// All notes with their files; a file that is none is passed over.
#[must_use]
pub fn files(directory: &Path) -> Vec<(PathBuf, Unfinished)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let files = entries.flatten().map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| {
            let noted = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
            Some((path, noted))
        })
        .collect()
}

/// The change is under way: it has not failed, and its process is there.
#[must_use]
pub fn runs(noted: &Unfinished) -> bool {
    noted.failed.is_none() && process::began(noted.pid) == Some(noted.process_began)
}
