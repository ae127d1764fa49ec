//! PURE. The change of a bridge that is under way or waits for its confirmation, whoever began it.

use crate::change::bridge::record::{Progress, Record};
use crate::model::Timestamp;

/// What the banner must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which change.
    pub begun: Timestamp,
    /// What it is. May be hostile text.
    pub title: String,
    /// How far it came.
    pub progress: Progress,
}

impl Waiting {
    /// Of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        Self { begun: record.begun, title: record.plan.title.clone(), progress: record.progress.clone() }
    }

    /// It has not come to its end.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        !self.progress.is_final()
    }

    /// Seconds until everything is put back.
    #[must_use]
    pub fn seconds(&self, now: Timestamp) -> Option<u64> {
        seconds(&self.progress, now)
    }
}

/// Seconds until a change is put back, while it waits to be kept.
#[must_use]
pub fn seconds(progress: &Progress, now: Timestamp) -> Option<u64> {
    match progress {
        Progress::Waiting { until, .. } => Some(until.millis_since(now).div_ceil(1_000)),
        _ => None,
    }
}
