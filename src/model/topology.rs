//! PURE. The one place where facts become a [`Snapshot`]: NIC ↔ link ↔ port ↔ bridge ↔ network ↔ rules ↔ uplink.

use std::sync::Arc;

use super::facts::Facts;
use super::rates::History;
use super::snapshot::Snapshot;

/// Joins facts into a snapshot. `before` gives rule rates and whether the structure changed.
#[must_use]
pub fn join(facts: Facts, history: Arc<History>, before: Option<&Snapshot>) -> Snapshot {
    let _ = before;
    Snapshot {
        generation: 0,
        structure: 0,
        facts,
        nics: Vec::new(),
        bridges: Vec::new(),
        rules: Vec::new(),
        link_positions: std::collections::BTreeMap::new(),
        history,
    }
}
