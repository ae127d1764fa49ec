//! Settings and where files go.

use std::path::PathBuf;

/// `$XDG_STATE_HOME/virt-net`, else `~/.local/state/virt-net`.
#[must_use]
pub fn state_directory() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".local/state");
    base.unwrap_or_else(home).join("virt-net")
}
