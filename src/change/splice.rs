//! PURE. Edits an `<interface>` element, or the `<hostdev>` of a PCI NIC, by replacing byte ranges: what is not meant stays to the byte,
//! known or not.

use std::ops::Range;

use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::target::Target;
use crate::model::guest::NicConfig;

/// An element that cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("edit the interface element: {0}")]
pub struct SpliceError(String);

/// Replacements by byte range; none may overlap.
type Edits = Vec<(Range<usize>, String)>;

/// The element plugged into `target`: `type` and `<source>` are replaced, and what belongs to the old
/// source (`<virtualport>`, and the `<vlan>` that came with it) goes. Everything else stays.
///
/// # Errors
/// Not an `<interface>` element.
pub fn replug(element: &str, target: &Target) -> Result<String, SpliceError> {
    let document = parse(element)?;
    let root = document.root_element();
    let mut edits = Edits::new();
    match root.attribute_node("type") {
        Some(attribute) => edits.push((attribute.range_value(), target.interface_type().to_owned())),
        None => return Err(SpliceError("it has no type".to_owned())),
    }
    match child(root, "source") {
        Some(source) => edits.push((source.range(), target.source_element())),
        None => edits.push(insert_first(element, root, &target.source_element())?),
    }
    if let Some(virtualport) = child(root, "virtualport") {
        edits.push(remove(element, virtualport));
        edits.extend(child(root, "vlan").map(|vlan| remove(element, vlan)));
    }
    Ok(apply(element, edits))
}

/// The live element of a NIC that is plugged into `target`. That of a device out of a network's pool does not name
/// the pool: here it does, so that plugged in again it comes out of the pool again.
///
/// # Errors
/// Not an `<interface>` element.
pub fn out_of_pool(element: &str, target: &Target) -> Result<String, SpliceError> {
    let is_device = NicConfig::parse(element).is_ok_and(|nic| nic.source.device().is_some());
    if !is_device || !matches!(target, Target::Network { .. }) {
        return Ok(element.to_owned());
    }
    let element = replug(element, target)?;
    let document = parse(&element)?;
    let driver = child(document.root_element(), "driver").map(|driver| remove(&element, driver));
    Ok(apply(&element, driver.into_iter().collect()))
}

/// The live element as it can be sent back: what libvirt only reports (`portid`, and the bridge or link
/// that a network was resolved to) goes, and the type is the network's again. Sent back as it is, libvirt
/// would silently take a NIC of a `<forward mode='bridge'/>` network off that network.
///
/// # Errors
/// Not an `<interface>` element.
pub fn resend(element: &str) -> Result<String, SpliceError> {
    let document = parse(element)?;
    let root = document.root_element();
    let Some(source) = child(root, "source").filter(|source| source.has_attribute("network")) else {
        return Ok(element.to_owned());
    };
    let mut edits = Edits::new();
    edits.extend(root.attribute_node("type").map(|kind| (kind.range_value(), "network".to_owned())));
    for name in ["portid", "bridge", "dev", "mode"] {
        edits.extend(source.attribute_node(name).map(|attribute| {
            let before = element.get(..attribute.range().start).unwrap_or_default();
            (before.trim_end().len()..attribute.range().end, String::new())
        }));
    }
    Ok(apply(element, edits))
}

/// The element with its cable plugged (`up`) or pulled (`down`) by configuration.
///
/// # Errors
/// Not an `<interface>` element.
pub fn set_link(element: &str, link: LinkState) -> Result<String, SpliceError> {
    let document = parse(element)?;
    let root = document.root_element();
    let text = format!("<link state='{}'/>", link.word());
    let edit = match child(root, "link") {
        Some(node) => (node.range(), text),
        None => insert_last(element, root, &text)?,
    };
    Ok(apply(element, vec![edit]))
}

/// The element with this NIC model.
///
/// # Errors
/// Not an `<interface>` element.
pub fn set_model(element: &str, model: &str) -> Result<String, SpliceError> {
    let document = parse(element)?;
    let root = document.root_element();
    let text = format!("<model type='{}'/>", escape(model));
    let edit = match child(root, "model") {
        Some(node) => (node.range(), text),
        None => insert_last(element, root, &text)?,
    };
    Ok(apply(element, vec![edit]))
}

/// The element as it can be attached anew: without the host's link name and libvirt's alias, which
/// name the device that goes. MAC, PCI address and all else stay.
///
/// # Errors
/// Not an `<interface>` element.
pub fn for_attach(element: &str) -> Result<String, SpliceError> {
    let document = parse(element)?;
    let root = document.root_element();
    let own_alias = |node: &Node<'_, '_>| node.attribute("name").is_some_and(|name| name.starts_with("ua-"));
    let mut edits = Edits::new();
    edits.extend(child(root, "target").map(|node| remove(element, node)));
    edits.extend(child(root, "alias").filter(|node| !own_alias(node)).map(|node| remove(element, node)));
    Ok(apply(element, edits))
}

/// An older text of a NIC for the device it is now: with the current `<target>` and `<alias>`, which
/// libvirt does not let go of while it runs.
///
/// # Errors
/// Not `<interface>` elements.
pub fn for_device(old: &str, current: &str) -> Result<String, SpliceError> {
    let mut element = for_attach(old)?;
    let current_document = parse(current)?;
    for name in ["target", "alias"] {
        let node = child(current_document.root_element(), name);
        let Some(text) = node.and_then(|node| current.get(node.range())) else { continue };
        let document = parse(&element)?;
        if child(document.root_element(), name).is_none() {
            let edit = insert_last(&element, document.root_element(), text)?;
            element = apply(&element, vec![edit]);
        }
    }
    Ok(element)
}

/// `<link state>` of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Plugged.
    Up,
    /// Pulled.
    Down,
}

impl LinkState {
    /// `up` or `down`, as libvirt has it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Text as an attribute's value between single quotes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&apos;")
}

fn parse(element: &str) -> Result<Document<'_>, SpliceError> {
    let document = Document::parse(element).map_err(|error| SpliceError(error.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name("interface") && !root.has_tag_name("hostdev") {
        return Err(SpliceError(format!("the element is <{}>", root.tag_name().name())));
    }
    Ok(document)
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// Removes a node with the white space before it.
fn remove(element: &str, node: Node<'_, '_>) -> (Range<usize>, String) {
    let range = node.range();
    let before = element.get(..range.start).unwrap_or_default();
    (before.trim_end().len()..range.end, String::new())
}

/// Inserts in front of the first child, or into an element without children.
fn insert_first(
    element: &str,
    root: Node<'_, '_>,
    text: &str,
) -> Result<(Range<usize>, String), SpliceError> {
    match root.first_element_child() {
        Some(first) => {
            let before = element.get(..first.range().start).unwrap_or_default();
            let indent = before.get(before.trim_end().len()..).unwrap_or_default();
            Ok((first.range().start..first.range().start, format!("{text}{indent}")))
        }
        None => insert_last(element, root, text),
    }
}

/// Inserts behind the last child, or into an element without children.
fn insert_last(element: &str, root: Node<'_, '_>, text: &str) -> Result<(Range<usize>, String), SpliceError> {
    if let Some(last) = root.last_element_child() {
        let before = element.get(..last.range().start).unwrap_or_default();
        let indent = before.get(before.trim_end().len()..).unwrap_or_default();
        return Ok((last.range().end..last.range().end, format!("{indent}{text}")));
    }
    let body = element.trim_end();
    if let Some(open) = body.strip_suffix("/>") {
        return Ok((open.len()..body.len(), format!(">{text}</interface>")));
    }
    match element.rfind("</") {
        Some(at) => Ok((at..at, text.to_owned())),
        None => Err(SpliceError("it has no end".to_owned())),
    }
}

fn apply(element: &str, mut edits: Edits) -> String {
    edits.sort_by_key(|(range, _)| (range.start, range.end));
    let mut out = String::with_capacity(element.len() + 64);
    let mut at = 0;
    for (range, text) in edits {
        out.push_str(element.get(at..range.start).unwrap_or_default());
        out.push_str(&text);
        at = range.end;
    }
    out.push_str(element.get(at..).unwrap_or_default());
    out
}
