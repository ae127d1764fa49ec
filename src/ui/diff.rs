//! PURE. What changes in a text, line by line.

use similar::{ChangeTag, TextDiff};

use crate::change::Edit;

/// The lines that change, without what all of them are indented by: how deep a line is below another
/// one is part of what it says.
#[must_use]
pub fn changed(edit: &Edit) -> Vec<(ChangeTag, String)> {
    let diff = TextDiff::from_lines(edit.before.as_str(), edit.after.as_str());
    let changes = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
    let lines: Vec<(ChangeTag, &str)> =
        changes.map(|change| (change.tag(), change.value().trim_end())).collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|(_, line)| !line.is_empty()).map(|(_, line)| depth(line)).min();
    let bare = |line: &str| line.get(common.unwrap_or(0)..).unwrap_or_default().to_owned();
    lines.into_iter().map(|(tag, line)| (tag, bare(line))).collect()
}
