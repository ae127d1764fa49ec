//! READS. What tells a process, and a boot, from any other.

use std::fs;

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
