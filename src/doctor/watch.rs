//! PURE. The doctor beside the screen: checks again only when what the findings rest on was read again, and shows
//! a finding when it has lasted.

use std::sync::Arc;

use super::{CHECKS, Finding, Key, Report, examine};
use crate::model::{Snapshot, Timestamp};

/// The last report.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    rests_on: Option<Arc<Snapshot>>,
    /// All findings, and since when each is there.
    found: Vec<(Finding, Timestamp)>,
    shown: Report,
}

impl Watch {
    /// Takes a new snapshot. Counters and rates alone are no reason to check again.
    pub fn follow(&mut self, snapshot: &Arc<Snapshot>) {
        let now = snapshot.taken_at;
        if !self.rests_on.as_ref().is_some_and(|before| same_ground(before, snapshot)) {
            let report = examine(snapshot, &[]);
            let since = |key: &Key| {
                self.found.iter().find(|(old, _)| old.key() == *key).map_or(now, |(_, since)| *since)
            };
            let found = report.findings.into_iter().map(|finding| {
                let since = since(&finding.key());
                (finding, since)
            });
            self.found = found.collect();
            self.shown.unchecked = report.unchecked;
            self.rests_on = Some(Arc::clone(snapshot));
            self.shown.findings.clear();
        }
        let lasting = self.found.iter().filter(|(finding, since)| lasts(finding, now.millis_since(*since)));
        if lasting.clone().count() != self.shown.findings.len() {
            self.shown.findings = lasting.map(|(finding, _)| finding.clone()).collect();
        }
    }

    /// Something was found that has not lasted yet.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.found.len() > self.shown.findings.len()
    }

    /// What was found and has lasted.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.shown
    }
}

fn lasts(finding: &Finding, millis: u64) -> bool {
    CHECKS.iter().find(|check| check.id == finding.check).is_none_or(|check| millis >= check.patience())
}

fn same_ground(a: &Snapshot, b: &Snapshot) -> bool {
    a.structure == b.structure
        && Arc::ptr_eq(&a.facts.libvirt, &b.facts.libvirt)
        && Arc::ptr_eq(&a.facts.kernel, &b.facts.kernel)
        && Arc::ptr_eq(&a.facts.services, &b.facts.services)
        && a.seen == b.seen
}
