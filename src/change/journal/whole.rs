//! WRITES. A file of virt-net's own, whole or not at all: a temporary one, flushed, then renamed.
//!
//! The temporary one belongs to one write of one process (`bridge.json.4711-3.new`): several may write the
//! same file at once, and the files of a directory must not share one.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::source::process;

/// What failed: the operation, on what, why.
pub(in crate::change) type Failure = (&'static str, PathBuf, Error);

/// How a temporary file's name ends.
const END: &str = ".new";

/// Puts the text in place; on disk when this returns. Only its owner may read it.
pub(in crate::change) fn replace(path: &Path, text: &[u8]) -> Result<(), Failure> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let temporary = beside(path, &format!("{}-{serial}{END}", std::process::id()));
    let written = write(&temporary, text).and_then(|()| {
        fs::rename(&temporary, path).map_err(failed("write", path))?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    forget_dead(path);
    written
}

fn write(temporary: &Path, text: &[u8]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(temporary).map_err(failed("open", temporary))?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(failed("write", temporary))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

/// Removes what writers of this file left behind that were killed in the middle.
fn forget_dead(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
    let start = format!("{}.", name.to_string_lossy());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let writer = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(END));
        let pid = writer.and_then(|writer| writer.split_once('-')?.0.parse().ok());
        if pid.is_some_and(|pid| process::began(pid).is_none()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(Error) -> Failure + 'a {
    move |error| (operation, path.to_path_buf(), error)
}
