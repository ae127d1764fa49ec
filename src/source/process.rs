//! READS. What tells a process, and a boot, from any other.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// When the process began, in the kernel's ticks since the boot: numbers of processes are used again. `None`
/// when it is gone.
#[must_use]
pub fn began(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name in parentheses may hold anything; `starttime` is the 20th field behind it.
    let (_, behind) = stat.rsplit_once(')')?;
    behind.split_whitespace().nth(19)?.parse().ok()
}

/// Which boot of the host this is; empty where the kernel does not say.
#[must_use]
pub fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// A process of root in every respect. The owner of `/proc/PID` would not tell: one that hides its memory
/// (`PR_SET_DUMPABLE`) shows as root's, whoever runs it.
#[must_use]
pub fn is_of_root(pid: u32) -> bool {
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status).into_owned();
    let Some(uids) = status.lines().find_map(|line| line.strip_prefix("Uid:")) else { return false };
    // Real, effective, saved, of the file system.
    uids.split_whitespace().count() == 4 && uids.split_whitespace().all(|uid| uid == "0")
}

/// The file that a process runs, when nobody but root can change what it is: it and the directories above
/// it are root's. One that was replaced since is the new one.
#[must_use]
pub fn program_of_root(pid: u32) -> Option<PathBuf> {
    let link = PathBuf::from(format!("/proc/{pid}/exe"));
    let named = fs::read_link(&link).ok()?;
    let replaced = named.to_str().and_then(|path| path.strip_suffix(" (deleted)"));
    let path = fs::canonicalize(replaced.map_or(named.as_path(), Path::new)).ok()?;
    let (runs, there) = (fs::metadata(&link).ok()?, fs::metadata(&path).ok()?);
    // In a container the same path is another file.
    let is_same = replaced.is_some() || (runs.dev(), runs.ino()) == (there.dev(), there.ino());
    (is_same && there.is_file() && path.ancestors().all(is_kept_by_root)).then_some(path)
}

fn is_kept_by_root(path: &Path) -> bool {
    let Ok(found) = fs::metadata(path) else { return false };
    let is_sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    found.uid() == 0 && (is_sticky || found.mode() & 0o022 == 0)
}
