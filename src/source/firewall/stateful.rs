//! PURE. Expressions whose answer depends on other packets: sets that packets are added to, named objects, and
//! elements with a limit of their own. In the kernel they end the rule (`NFT_BREAK`) where they do not hold.

use super::attributes::{attributes, find, find_be32, find_string};

/// What such an expression does to the rule it is in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It notes something, and the packet goes on in the rule.
    Notes,
    /// Whether the packet goes on in the rule depends on others; in words.
    Asks(String),
    /// It may take the packet for itself; in words.
    Takes(String),
}

/// `dynset`: the packet goes on unless the set is full, or an expression of the element says otherwise
/// (`nft_dynset_eval`); one that belongs to the whole set is not even told here. Only what is deleted is certain.
pub(super) fn dynset(data: &[u8]) -> Step {
    let set = find_string(data, 1).unwrap_or_default();
    match find_be32(data, 3) {
        Some(2) => Step::Notes,
        Some(1) => Step::Asks(format!("update @{set}")),
        _ => Step::Asks(format!("add @{set}")),
    }
}

/// `objref`: a named object (`NFT_OBJECT_*`), or one that a map gives for the packet.
pub(super) fn objref(data: &[u8]) -> Step {
    let name = find_string(data, 2).unwrap_or_default();
    match find_be32(data, 1) {
        Some(1 | 3 | 6..=9) => Step::Notes,
        Some(2) => Step::Asks(format!("quota name {name:?}")),
        Some(4) => Step::Asks(format!("limit name {name:?}")),
        Some(5) => Step::Asks(format!("ct count name {name:?}")),
        Some(10) => Step::Takes(format!("synproxy name {name:?}")),
        Some(other) => Step::Asks(format!("object {other} {name:?}")),
        None => Step::Asks(format!("object of map @{}", find_string(data, 4).unwrap_or_default())),
    }
}

/// Of the expressions of a set's element (`NFTA_SET_ELEM_EXPR`, `NFTA_SET_ELEM_EXPRESSIONS`) none asks for anything.
pub(super) fn only_counts(element: &[u8]) -> bool {
    let many = find(element, 11).into_iter().flat_map(attributes).map(|(_, expression)| expression);
    find(element, 7).into_iter().chain(many).all(|expression| {
        let name = find_string(expression, 1);
        matches!(name.as_deref(), Some("counter" | "last"))
    })
}
