//! READS. What a new guest hangs on: virt-install, the files it is given, the room for its disk, and
//! libvirt's storage pools. Blocks as long as a file system or libvirt does.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use nix::sys::statvfs::statvfs;

use crate::change::new_guest::evidence::{Evidence, Place, Pool, Question, Seen};
use crate::change::new_guest::{Disk, PROGRAM};
use crate::source::libvirt::{Access, Connection};

/// Where libvirt's own pool is when nobody has made it yet.
const IMAGES: &str = "/var/lib/libvirt/images";

/// Looks at all of it.
#[must_use]
pub fn look(question: &Question) -> Evidence {
    let pools = pools(&question.uri);
    let disk = match &question.disk {
        Disk::New { path, .. } => path.as_deref(),
        Disk::Existing(path) => Some(path.as_path()),
        Disk::Diskless => None,
    };
    let program = program();
    let mut evidence = Evidence {
        question: question.clone(),
        version: program.as_deref().and_then(version),
        program,
        kvm: Path::new("/dev/kvm").exists(),
        disk: None,
        iso: None,
        free: None,
        closed: None,
        pools,
        files: Vec::new(),
    };
    if question.place == Place::Elsewhere {
        return evidence;
    }
    evidence.disk = disk.map(seen);
    evidence.iso = question.iso.as_deref().map(seen);
    evidence.closed = disk.into_iter().chain(question.iso.as_deref()).find_map(closed_above);
    if let Disk::New { path, .. } = &question.disk {
        let directory = match path {
            Some(path) => path.parent().map(Path::to_path_buf),
            None => default_directory(question, evidence.pools.as_deref()),
        };
        evidence.free = directory.as_deref().and_then(free);
        evidence.files = files(path.as_deref(), directory.as_deref(), &question.name);
    }
    evidence
}

/// The pools; `None` when libvirt does not say.
fn pools(uri: &str) -> Option<Vec<Pool>> {
    let read = Connection::open(uri, Access::ReadOnly).and_then(|connection| connection.pools());
    let pools = read.inspect_err(|error| tracing::debug!("for a new guest: {error}")).ok()?;
    Some(pools.into_iter().map(|(name, path)| Pool { name, path }).collect())
}

/// virt-install, where this process would find it.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let runs = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&path)
        .filter(|place| place.is_absolute())
        .map(|place| place.join(PROGRAM))
        .find(runs)
}

/// The major version that it says; asked once, it takes a second.
fn version(program: &Path) -> Option<u32> {
    static SAID: OnceLock<Option<u32>> = OnceLock::new();
    *SAID.get_or_init(|| {
        let mut command = Command::new(program);
        command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null());
        let said = command.output().inspect_err(|error| tracing::debug!("run {program:?}: {error}")).ok()?;
        String::from_utf8_lossy(&said.stdout).trim().split('.').next()?.parse().ok()
    })
}

fn seen(path: &Path) -> Seen {
    match fs::metadata(path) {
        Ok(file) if file.is_file() => Seen::There { bytes: file.len() },
        Ok(file) if file.file_type().is_block_device() => Seen::There { bytes: 0 },
        Ok(_) => Seen::NoFile,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            if path.parent().is_some_and(Path::is_dir) { Seen::Missing } else { Seen::NoDirectory }
        }
        Err(error) => Seen::Hidden(error.to_string()),
    }
}

/// The topmost directory above a file that other users cannot pass. libvirt gives the file itself to the
/// emulator's user, but not the directories.
fn closed_above(path: &Path) -> Option<PathBuf> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let closed = |file: Metadata| file.permissions().mode() & 0o001 == 0;
    above.into_iter().find(|directory| fs::metadata(directory).is_ok_and(closed)).map(Path::to_path_buf)
}

/// Where virt-install puts a disk that is given no path.
fn default_directory(question: &Question, pools: Option<&[Pool]>) -> Option<PathBuf> {
    let default = pools?.iter().find(|pool| pool.name == "default");
    match default {
        Some(pool) => pool.path.clone(),
        None => question.uri.ends_with("/system").then(|| PathBuf::from(IMAGES)),
    }
}

/// Bytes that may still be written there.
fn free(directory: &Path) -> Option<u64> {
    // It may have to be made: then it is the file system above that counts.
    let there = directory.ancestors().find(|directory| directory.is_dir())?;
    let room = statvfs(there).ok()?;
    Some(room.blocks_available().saturating_mul(room.fragment_size()))
}

/// Files that are there under a name that the new disk could get.
fn files(path: Option<&Path>, directory: Option<&Path>, name: &str) -> Vec<PathBuf> {
    if let Some(path) = path {
        return path.exists().then(|| path.to_path_buf()).into_iter().collect();
    }
    let entries = directory.and_then(|directory| fs::read_dir(directory).ok());
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|file| !name.is_empty() && file.to_string_lossy().starts_with(name))
    };
    let mut files: Vec<PathBuf> =
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).filter(named).collect();
    files.sort();
    files
}
