//! A change of a network or a shim that did not come to its end: its process was killed in the middle, or neither
//! the change nor its way back worked.

use serde::{Deserialize, Serialize};

use super::ids::{IfName, Timestamp};

/// What is noted of it on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// When it began.
    pub begun: Timestamp,
    /// The process that did it.
    pub pid: u32,
    /// When that process began, in the kernel's ticks since the boot.
    pub process_began: u64,
    /// What it changed.
    #[serde(flatten)]
    pub of: Changed,
    /// What it was: `edit network default`. May be hostile text.
    pub title: String,
    /// The step it was at.
    pub step: String,
    /// Which one, from 0.
    pub at: usize,
    /// Of how many.
    pub steps: usize,
    /// Why it failed and what is known, if it was not merely interrupted.
    pub failed: Option<String>,
    /// The whole plan, as `change::network` or `change::shim` wrote it.
    pub plan: String,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// A network, by its name: hostile text.
    Network(String),
    /// A shim between host and macvtaps.
    Shim(IfName),
}

impl Unfinished {
    /// Whether it is about this network.
    #[must_use]
    pub fn of_network(&self, name: &str) -> bool {
        matches!(&self.of, Changed::Network(network) if network == name)
    }

    /// What happened, in a sentence without an end: `restart network default was interrupted at step 2 of 3 (start it)`.
    #[must_use]
    pub fn words(&self) -> String {
        let (at, steps) = (self.at + 1, self.steps);
        match &self.failed {
            Some(known) => format!("{} failed and was not put back: {known}", self.title),
            None => format!("{} was interrupted at step {at} of {steps} ({})", self.title, self.step),
        }
    }
}
