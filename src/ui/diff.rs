//! PURE. What changes in a text: of XML the elements that mean something else, else line by line.

use roxmltree::{Document, Node};
use similar::{ChangeTag, TextDiff};

use crate::change::Edit;

/// What libvirt adds to the source of a running guest's NIC on a network.
const RUN_TIME: [&str; 2] = ["portid", "bridge"];

/// The lines that change, without what all of them are indented by: how deep a line is below another
/// one is part of what it says. Of XML neither the order of different elements nor what libvirt notes
/// while something runs is a change, and closing tags are left out.
#[must_use]
pub fn changed(edit: &Edit) -> Vec<(ChangeTag, String)> {
    let lines = match (Document::parse(&edit.before), Document::parse(&edit.after)) {
        (Ok(before), Ok(after)) => of_elements(&lines(&before), &lines(&after)),
        _ => of_text(edit),
    };
    let depth = |line: &str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|(_, line)| !line.is_empty()).map(|(_, line)| depth(line)).min();
    let bare = |line: &str| line.get(common.unwrap_or(0)..).unwrap_or_default().to_owned();
    lines.into_iter().map(|(tag, line)| (tag, bare(&line))).collect()
}

fn of_text(edit: &Edit) -> Vec<(ChangeTag, String)> {
    let diff = TextDiff::from_lines(edit.before.as_str(), edit.after.as_str());
    let changes = diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal);
    changes.map(|change| (change.tag(), change.value().trim_end().to_owned())).collect()
}

fn of_elements(before: &[Line], after: &[Line]) -> Vec<(ChangeTag, String)> {
    let old: Vec<&str> = before.iter().map(|line| line.meaning.as_str()).collect();
    let new: Vec<&str> = after.iter().map(|line| line.meaning.as_str()).collect();
    let line = |change: similar::Change<&str>| {
        let line = match change.tag() {
            ChangeTag::Delete => before.get(change.old_index()?),
            ChangeTag::Insert => after.get(change.new_index()?),
            ChangeTag::Equal => None,
        };
        Some((change.tag(), line?.shown.clone()))
    };
    TextDiff::from_slices(&old, &new).iter_all_changes().filter_map(line).collect()
}

/// An element by its first tag, or whole where no other is in it.
struct Line {
    /// The same for all that mean the same at this depth.
    meaning: String,
    /// As it is written, indented.
    shown: String,
}

fn lines(document: &Document<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    element(document.root_element(), 0, &mut lines);
    lines
}

fn element(node: Node<'_, '_>, depth: usize, lines: &mut Vec<Line>) {
    let mut inside: Vec<Node<'_, '_>> = node.children().filter(Node::is_element).collect();
    // Among those of one name the order may mean something.
    inside.sort_by_key(|child| child.tag_name().name());
    let mut range = node.range();
    if let Some(first) = node.first_child().filter(|_| !inside.is_empty()) {
        range.end = first.range().start;
    }
    let shown = node.document().input_text().get(range).unwrap_or_default();
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = format!("{}{shown}", "  ".repeat(depth));
    lines.push(Line { meaning: format!("{depth} {}", tag(node)), shown });
    for child in inside {
        element(child, depth + 1, lines);
    }
}

/// Name, attributes in an order of their own, and text.
fn tag(node: Node<'_, '_>) -> String {
    let is_plug = node.has_tag_name("source") && node.has_attribute("network");
    let attributes = node.attributes().filter(|one| !is_plug || !RUN_TIME.contains(&one.name()));
    let mut attributes: Vec<String> =
        attributes.map(|one| format!("{:?} {} {:?}", one.namespace(), one.name(), one.value())).collect();
    attributes.sort_unstable();
    let texts = node.children().filter(Node::is_text).filter_map(|text| text.text());
    let text: String = texts.map(str::trim).collect();
    format!("{:?} {} {}>{text}", node.tag_name().namespace(), node.tag_name().name(), attributes.join(" "))
}
