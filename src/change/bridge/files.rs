//! WRITES. Files of network managers: whole or not at all, with permissions and owner kept.
//!
//! The files for the next boot are [`stage`]d before the first step: written in full and flushed beside
//! the old ones, under names that no manager reads. A full disk or a read-only file system is so found
//! out while nothing has been changed, and putting them in place is a rename.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::step::FileChange;

/// Why a file cannot be changed.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refused.
    #[error("{operation} {}: {error}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// Somebody changed it since the preview.
    #[error("{} is not what it was when the change was planned", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> FileError + 'a {
    move |error| FileError::Io { operation, path: path.to_path_buf(), error }
}

/// What is in a file; `None` when it is not there.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn read(path: &Path) -> Result<Option<String>, FileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// The file is what the plan was made from.
///
/// # Errors
/// It is not.
pub fn unchanged(file: &FileChange) -> Result<(), FileError> {
    if read(&file.path)? == file.before {
        Ok(())
    } else {
        Err(FileError::Changed { path: file.path.clone() })
    }
}

/// The file is what it will be.
#[must_use]
pub fn is_put(file: &FileChange) -> bool {
    read(&file.path).is_ok_and(|now| now == file.after)
}

/// Writes the new content beside the file; nobody reads it there.
///
/// # Errors
/// No right, no room, a read-only file system: nothing was changed.
pub fn stage(file: &FileChange) -> Result<(), FileError> {
    let target = real(&file.path);
    let beside = staged(&target);
    if let Some(text) = &file.after {
        return write(&beside, text, &target, file.mode);
    }
    // A file that will be removed: is its directory writable at all?
    write(&beside, "", &target, file.mode)?;
    fs::remove_file(&beside).map_err(failed("remove", &beside))
}

/// Forgets what was staged.
pub fn unstage(file: &FileChange) {
    let _ = fs::remove_file(staged(&real(&file.path)));
}

/// Makes the file what it will be. Done already: nothing happens.
///
/// # Errors
/// The system refuses.
pub fn put(file: &FileChange) -> Result<(), FileError> {
    replace(&file.path, file.after.as_deref(), file.mode)
}

/// Makes the file what it was.
///
/// # Errors
/// The system refuses.
pub fn put_back(file: &FileChange) -> Result<(), FileError> {
    replace(&file.path, file.before.as_deref(), file.mode)
}

fn replace(path: &Path, text: Option<&str>, mode: u32) -> Result<(), FileError> {
    let target = real(path);
    let temporary = staged(&target);
    match text {
        Some(text) => {
            if read(&target)?.as_deref() == Some(text) {
                let _ = fs::remove_file(&temporary);
                return Ok(());
            }
            if read(&temporary)?.as_deref() != Some(text) {
                write(&temporary, text, &target, mode)?;
            }
            fs::rename(&temporary, &target).map_err(failed("write", &target))?;
        }
        None => match fs::remove_file(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result.map_err(failed("remove", &target))?,
        },
    }
    let directory = target.parent().unwrap_or(Path::new("/"));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))
}

/// A link is followed: what it leads to is replaced, not the link.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// No manager reads a hidden file with this end.
fn staged(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.virt-net-new"))
}

/// Whole and flushed, with the permissions and the owner of the file that it replaces.
fn write(path: &Path, text: &str, like: &Path, mode: u32) -> Result<(), FileError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed("make the directory", directory))?;
    }
    let old = fs::metadata(like).ok();
    let mode = old.as_ref().map_or(mode, |old| old.permissions().mode() & 0o7777);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let written = options.open(path).and_then(|mut file| {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        if let Some(old) = &old {
            std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        let _ = fs::remove_file(path);
        failed("write", path)(error)
    })
}
