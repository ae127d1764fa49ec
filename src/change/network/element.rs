//! PURE. Puts elements into a network's definition, takes them out, and replaces them, by byte ranges: what
//! is not meant stays to the byte.

use roxmltree::{Document, Node};

/// The sentence about a text that is no definition.
pub(super) type Unreadable = String;

pub(super) fn parse(xml: &str) -> Result<Document<'_>, Unreadable> {
    Document::parse(xml).map_err(|error| error.to_string())
}

/// The first child element of this name.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// The text with the node replaced.
pub(super) fn replace(xml: &str, node: Node<'_, '_>, text: &str) -> String {
    let mut out = xml.to_owned();
    out.replace_range(node.range(), text);
    out
}

/// The text without the node and the white space in front of it.
pub(super) fn remove(xml: &str, node: Node<'_, '_>) -> String {
    let mut out = xml.to_owned();
    let start = xml.get(..node.range().start).unwrap_or_default().trim_end().len();
    out.replace_range(start..node.range().end, "");
    out
}

/// The text with another last child in `parent`, on a line of its own.
pub(super) fn append(xml: &str, parent: Node<'_, '_>, text: &str) -> Result<String, Unreadable> {
    let depth = parent.ancestors().filter(Node::is_element).count();
    let (pad, outer) = ("  ".repeat(depth), "  ".repeat(depth.saturating_sub(1)));
    let element = xml.get(parent.range()).unwrap_or_default();
    let close = format!("</{}>", parent.tag_name().name());
    let opened = element.strip_suffix("/>").map(|open| format!("{}>", open.trim_end()));
    let opened = opened.or_else(|| element.strip_suffix(&close).map(|inner| inner.trim_end().to_owned()));
    let opened = opened.ok_or_else(|| format!("its <{}> cannot be read", parent.tag_name().name()))?;
    Ok(replace(xml, parent, &format!("{opened}\n{pad}{text}\n{outer}{close}")))
}

/// The text with this child of the root as said: put in, replaced, or taken out.
pub(super) fn set(xml: &str, name: &str, text: Option<&str>) -> Result<String, Unreadable> {
    let document = parse(xml)?;
    let root = document.root_element();
    match (child(root, name), text) {
        (Some(node), Some(text)) => Ok(replace(xml, node, text)),
        (Some(node), None) => Ok(remove(xml, node)),
        (None, Some(text)) => append(xml, root, text),
        (None, None) => Ok(xml.to_owned()),
    }
}
