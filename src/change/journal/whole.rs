//! WRITES. A file of virt-net's own, whole or not at all: a temporary one, flushed, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What failed: the operation, on what, why.
pub(in crate::change) type Failure = (&'static str, PathBuf, Error);

/// Puts the text in place; on disk when this returns. Only its owner may read it.
pub(in crate::change) fn replace(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let temporary = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary).map_err(failed("open", &temporary))?;
    file.write_all(text).and_then(|()| file.sync_all()).map_err(failed("write", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("write", path))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed("flush", directory))
}

fn failed<'a>(operation: &'static str, path: &'a Path) -> impl FnOnce(Error) -> Failure + 'a {
    move |error| (operation, path.to_path_buf(), error)
}
