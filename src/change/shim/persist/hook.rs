//! PURE. Scripts that an owner calls when a NIC has come up, for owners whose own files cannot say it.

use super::{ShimEvidence, Spec, commands, end_mark, full_mark, text, whole, without_block};
use crate::change::bridge::FileChange;
use crate::change::target::quote;
use crate::model::IfName;

/// What `ifup` of the network-scripts calls with each link that has come up; there is only one.
pub const IFUP_LOCAL: &str = "/sbin/ifup-local";

/// NetworkManager's dispatcher calls all that is there.
#[must_use]
pub fn dispatcher(shim: IfName) -> String {
    format!("/etc/NetworkManager/dispatcher.d/90-virt-net-{shim}")
}

/// The dispatcher's script for the shim.
pub(super) fn by_dispatcher(spec: &Spec, evidence: &ShimEvidence) -> FileChange {
    let only = format!("[ \"$1\" = {} ] && [ \"$2\" = up ] || exit 0", quote(&spec.over.to_string()));
    let head = ["#!/bin/sh".to_owned(), full_mark(spec), only];
    let lines: Vec<String> = head.into_iter().chain(commands(spec)).collect();
    whole(dispatcher(spec.shim), text(&lines), 0o755, evidence)
}

/// The script with a block for the shim, before all that it does otherwise.
pub(super) fn ifup_local(spec: &Spec, evidence: &ShimEvidence) -> Result<FileChange, String> {
    let before = evidence.ifup_local.clone();
    let old = without_block(before.as_deref().unwrap_or("#!/bin/sh\n"), spec.shim);
    let (first, rest) = old.split_once('\n').unwrap_or((&old, ""));
    if !(first.starts_with("#!") && first.ends_with("sh")) {
        return Err(format!("{IFUP_LOCAL}, which ifup calls, is no shell script"));
    }
    let only = format!("if [ \"$1\" = {} ]; then", quote(&spec.over.to_string()));
    let lines = commands(spec).into_iter().map(|line| format!("    {line}"));
    let block =
        [full_mark(spec), only].into_iter().chain(lines).chain(["fi".to_owned(), end_mark(spec.shim)]);
    let block = text(&block.collect::<Vec<_>>());
    let after = Some(format!("{first}\n{block}{rest}"));
    Ok(FileChange { path: IFUP_LOCAL.into(), before, after, mode: 0o755 })
}
