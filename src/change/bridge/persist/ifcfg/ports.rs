//! PURE. `ifcfg` files: `BRIDGE=` in the port's own, and what a port cannot use as comments.

use std::path::Path;

use super::{Text, is_addressing, lines};
use crate::change::bridge::persist::ini::key_of;
use crate::change::bridge::persist::new_file;
use crate::change::bridge::persist::ports::{PortSpec, PortWant};
use crate::change::bridge::step::FileChange;

/// One port more or less: the port's file. `bridge` is the bridge's.
///
/// # Errors
/// Why it cannot be changed safely.
pub(in super::super) fn change(
    bridge: &Text,
    port: Option<&Text>,
    spec: PortSpec,
) -> Result<FileChange, String> {
    let Some(file) = port else { return new(bridge, spec) };
    let after = match spec.want {
        PortWant::Add => Some(added(file, spec)?),
        PortWant::Remove => removed(file, spec)?,
    };
    Ok(FileChange { path: file.path.clone(), before: Some(file.text.clone()), after, mode: 0o644 })
}

/// A port that has no file yet.
fn new(bridge: &Text, spec: PortSpec) -> Result<FileChange, String> {
    if spec.want == PortWant::Remove {
        return Err(format!("no ifcfg file of {} was found", spec.port));
    }
    if spec.is_made {
        return Err(format!("no ifcfg file says how {} is made", spec.port));
    }
    let directory = bridge.path.parent().unwrap_or(Path::new("/etc/sysconfig/network-scripts"));
    Ok(new_file(directory.join(format!("ifcfg-{}", spec.port)), whole(spec), 0o644))
}

fn whole(spec: PortSpec) -> String {
    lines(&[
        spec.mark(),
        "TYPE=Ethernet".to_owned(),
        format!("NAME={}", spec.port),
        format!("DEVICE={}", spec.port),
        "BOOTPROTO=none".to_owned(),
        "ONBOOT=yes".to_owned(),
        format!("BRIDGE={}", spec.bridge),
    ])
}

/// Stands in for `ONBOOT=no`, below the mark.
const UP: &str = "ONBOOT=yes";

fn value(line: &str) -> &str {
    line.split_once('=').map_or("", |(_, value)| value.trim().trim_matches(['"', '\'']))
}

fn added(file: &Text, spec: PortSpec) -> Result<String, String> {
    let taken =
        file.text.lines().find(|line| matches!(key_of(line), Some("BRIDGE" | "MASTER" | "TEAM_MASTER")));
    if let Some(line) = taken {
        return Err(format!("{} has {line} already", file.path.display()));
    }
    let mark = spec.mark();
    let is_off = |line: &str| matches!(value(line), "none" | "no");
    let mut new = Vec::new();
    let mut comes_up = true;
    for line in file.text.lines() {
        let unused = match key_of(line) {
            Some("ONBOOT") => {
                comes_up = value(line) != "no";
                !comes_up
            }
            Some(key) => is_addressing(key) && !is_off(line),
            None => false,
        };
        new.push(if unused { format!("{mark}: {line}") } else { line.to_owned() });
    }
    new.push(mark);
    new.extend((!comes_up).then(|| UP.to_owned()));
    new.push(format!("BRIDGE={}", spec.bridge));
    Ok(lines(&new))
}

/// `None`: the file was the port's alone.
fn removed(file: &Text, spec: PortSpec) -> Result<Option<String>, String> {
    if file.text == whole(spec) {
        return Ok(None);
    }
    let mark = spec.mark();
    let bridge = spec.bridge.to_string();
    let (mut is_found, mut is_own) = (false, false);
    let mut new = Vec::new();
    for line in file.text.lines() {
        if key_of(line) == Some("BRIDGE") && value(line) == bridge {
            is_found = true;
        } else if line == mark {
            is_own = true;
        } else if let Some(old) = line.strip_prefix(&format!("{mark}: ")) {
            new.push(old.to_owned());
        } else if !(is_own && line == UP) {
            new.push(line.to_owned());
        }
    }
    if !is_found {
        return Err(format!("{} has no BRIDGE={bridge}", file.path.display()));
    }
    Ok(Some(lines(&new)))
}
