//! WRITES. The only place that changes a guest: applies a plan step by step, believes the kernel rather
//! than libvirt's "success", and puts everything back when the kernel does not agree in time.
//!
//! ```text
//!  lock → still as previewed? → journal → next boot → live | unplug, gone?, plug → kernel → port → link → address
//!                                             │           │ refused                     │ no match in time
//!                                             └───────────┴──────── revert ←────────────┘
//! ```
//! Ends `Verified`, `Reverted`, `Refused` or `Failed` with what is known of the state; never in silence.

mod address;
mod back;
mod course;
mod device;
pub mod guest;
mod hands;
pub mod host;
mod kernel;
mod listen;
mod many;
pub mod network;
#[cfg(debug_assertions)]
pub(in crate::change) mod pause;
mod power;
pub mod shim;
mod trouble;
mod writer;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

pub use self::many::{ManyOutcome, News, Way, run as run_many};
pub use self::network::NetworkOutcome;
pub use self::power::run as run_power;

use self::course::Course;
use self::hands::Hands;
use self::trouble::Trouble;
use self::writer::Writer;
use super::journal::{Journal, Record, Recorded, State};
use super::many::{LeftOut, Many};
use super::plan::{Plan, Refusal, StepId, Verdict};
use super::shim::{ShimPlan, ShimWant, TakesBack};
use super::target;
use super::undo::{self, Came};
use crate::model::{Snapshot, Timestamp};
use crate::source::libvirt::Scope;
use crate::source::{Updates, now};

/// News of a running change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which step.
    pub step: StepId,
    /// How it fares.
    pub state: StepState,
}

/// How a step fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Begun.
    Running,
    /// Still going, and on what it waits.
    Waiting {
        /// For what.
        text: String,
    },
    /// Done, with what proves it.
    Done {
        /// What was read that shows it.
        proof: String,
        /// Milliseconds it took.
        millis: u64,
    },
    /// Over without an answer, which is no failure: the host may have no way to see it.
    Unknown {
        /// What is not known, and where to look.
        text: String,
    },
    /// Not done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and the kernel agrees.
    Verified {
        /// What is known of the guest's new address.
        address: Option<String>,
    },
    /// Everything is as it was.
    Reverted {
        /// Why it did not work.
        why: String,
    },
    /// Nothing was begun.
    Refused(Refusal),
    /// Neither done nor put back.
    Failed {
        /// Why.
        why: String,
        /// What is known of the state now, and what to do.
        state: String,
    },
}

/// What the change runs with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// libvirt's URI.
    pub uri: String,
    /// Fresh snapshots, for the guest's address.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where an address that was seen on the wire is reported; `None` when nobody collects.
    pub updates: Option<Updates>,
    /// Where records are kept.
    pub journal: Journal,
}

/// Where progress goes; a receiver that is gone does not stop the change.
pub type Tell = mpsc::UnboundedSender<Progress>;

/// Applies the plan.
pub async fn run(plan: &Plan, tools: &Tools, tell: &Tell) -> Outcome {
    let refused = |reason: String, way_out: String| {
        let what = format!("{} {}: {}", plan.guest, plan.nic.mac, plan.title);
        Outcome::Refused(Refusal { what, reason, way_out })
    };
    let lock = match tools.journal.lock(plan.nic.domain) {
        Ok(lock) => lock,
        Err(error) => return refused(error.to_string(), "free it and try again".to_owned()),
    };
    if let Some((reason, way_out)) = target_is_gone(plan, &tools.snapshots.borrow()) {
        return refused(reason, way_out);
    }
    let mut hands = Hands::new(Writer::new(&tools.uri, plan.nic.domain, tell), plan);
    if let Err(trouble) = still_as_previewed(plan, &mut hands).await {
        return refused(trouble.to_string(), "look at a fresh preview".to_owned());
    }
    // Flushed to the disk, which may take its time: not on the screen's own thread.
    let (journal, planned) = (tools.journal.clone(), plan.clone());
    let begun = match tokio::task::spawn_blocking(move || journal.begin(&planned, now())).await {
        Ok(begun) => begun,
        Err(error) => return refused(format!("a bug of this program: {error}"), "try again".to_owned()),
    };
    let record = match begun {
        Ok(record) => record,
        Err(error) => {
            return refused(error.to_string(), "make room or get the right to write there".to_owned());
        }
    };
    let outcome = Course::new(plan, tools, tell, hands).run().await;
    let (journal, ended) = (tools.journal.clone(), outcome.clone());
    if let Err(error) = tokio::task::spawn_blocking(move || close(&journal, record, &ended)).await {
        tracing::error!("write the journal: {error}");
    }
    drop(lock);
    outcome
}

fn close(journal: &Journal, record: Record, outcome: &Outcome) {
    let undoes = match &record.plan {
        Recorded::Nic(plan) => plan.undoes,
        Recorded::Shim(_) => None,
    };
    let state = match (outcome, undoes) {
        (Outcome::Verified { .. }, Some(begun)) => return note_undone(journal, record, begun),
        (Outcome::Verified { .. }, None) => State::Verified,
        (Outcome::Reverted { .. } | Outcome::Refused(_), _) => State::Reverted,
        (Outcome::Failed { state, .. }, _) => State::Failed { known: state.clone() },
    };
    note(journal, record, state);
}

/// A bridge or network that went since the preview, a device that the host uses since: libvirt would take it for
/// the next boot unseen.
fn target_is_gone(plan: &Plan, snapshot: &Snapshot) -> Option<(String, String)> {
    let enters = plan.moves() || plan.verdict == Verdict::Plug || plan.takes_device().is_some();
    let own = snapshot.nic(plan.nic).and_then(|nic| nic.link);
    target::obstacle(snapshot, &plan.to, own).filter(|_| enters)
}

/// What the plan was made from is still what libvirt has: nobody changed the NIC since the preview.
async fn still_as_previewed(plan: &Plan, hands: &mut Hands) -> Result<(), Trouble> {
    for (edit, scope) in [(&plan.next, Scope::Config), (&plan.live, Scope::Live)] {
        let Some(edit) = edit else { continue };
        if hands.element(scope).await?.unwrap_or_default() != edit.before {
            return Err(Trouble::Changed(format!("{} of this NIC changed since the preview", scope.words())));
        }
    }
    Ok(())
}

/// What takes the newest change back.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayBack {
    /// It was of one NIC.
    One(Box<Plan>),
    /// It was of many NICs, carried out together.
    Together(Box<Many>),
    /// It was of a shim.
    Shim(Box<ShimWant>, Box<ShimPlan>),
}

/// Makes the plan that takes the newest change back, or puts right what an interrupted one left; of a
/// change of many NICs, all of it. Reads the files that a shim's change wrote.
///
/// # Errors
/// There is none, or what it changed was changed since.
pub fn plan_undo(snapshot: &Snapshot, journal: &Journal) -> Result<WayBack, Refusal> {
    let refuse = |reason: &str, way_out: &str| Refusal {
        what: "undo the last change of a NIC or shim".to_owned(),
        reason: reason.to_owned(),
        way_out: way_out.to_owned(),
    };
    // A guest that was deleted keeps nobody from what came before.
    let gone = |record: &Record| match &record.plan {
        Recorded::Nic(plan) => snapshot.health.libvirt.is_ok() && snapshot.guest(plan.nic.domain).is_none(),
        Recorded::Shim(_) => false,
    };
    let as_before = |done: &Recorded| Refusal {
        what: format!("take back {}", done.words()),
        ..refuse("everything is as it was before it already", "undo again for the change before")
    };
    let left = shim::unfinished(journal);
    let last = loop {
        let last = journal.last_open();
        if let Some((begun, done)) = &left
            && last.as_ref().is_none_or(|last| last.begun < *begun)
        {
            let takes = TakesBack { begun: *begun, came: Came::HalfWay };
            return shim::plan_back(snapshot, done, takes);
        }
        let record = last.ok_or_else(|| refuse("there is none", "virt-net switch"))?;
        if !gone(&record) || journal.finish(record.clone(), State::Undone).is_err() {
            break record;
        }
    };
    let group = match &last.plan {
        Recorded::Shim(done) => {
            let takes = TakesBack { begun: last.begun, came: Came::Through };
            let back = shim::plan_back(snapshot, done, takes)?;
            if matches!(&back, WayBack::Shim(_, plan) if plan.is_nothing()) {
                let refusal = as_before(&last.plan);
                note(journal, last, State::Undone);
                return Err(refusal);
            }
            return Ok(back);
        }
        Recorded::Nic(plan) => plan.group,
    };
    let nothing_left = as_before(&last.plan);
    let together = match group {
        None => vec![last],
        group => journal.records().into_iter().filter(|other| is_of_group(other, group)).collect(),
    };
    let mut many = Many { plans: Vec::new(), left_out: Vec::new() };
    for record in together.into_iter().filter(|record| record.is_open() && !gone(record)) {
        let came = if record.state == State::Verified { Came::Through } else { Came::HalfWay };
        let Recorded::Nic(done) = &record.plan else { continue };
        match undo::plan(snapshot, done, came) {
            Ok(Some(plan)) => many.plans.push(Plan { undoes: Some(record.begun), ..plan }),
            Ok(None) => note(journal, record, State::Undone),
            Err(refusal) => {
                many.left_out.push(LeftOut { nic: done.nic, guest: done.guest.clone(), refusal });
            }
        }
    }
    let Many { mut plans, mut left_out } = many;
    match (plans.len(), left_out.len()) {
        (0, 0) => Err(nothing_left),
        (0, _) => Err(left_out.remove(0).refusal),
        (1, 0) => Ok(WayBack::One(Box::new(plans.remove(0)))),
        _ => Ok(WayBack::Together(Box::new(Many { plans, left_out }))),
    }
}

fn is_of_group(record: &Record, group: Option<u64>) -> bool {
    matches!(&record.plan, Recorded::Nic(plan) if plan.group == group)
}

/// Notes that a plan that took a change back did so. What took it back is no change to be taken back in
/// its turn: the next undo is of the one before.
fn note_undone(journal: &Journal, by: Record, begun: Timestamp) {
    if let Err(error) = journal.undone(begun, &by.plan) {
        tracing::error!("write the journal: {error}");
    }
    note(journal, by, State::Undone);
}

/// A journal that cannot be written shows as interrupted at the next start, which is true.
fn note(journal: &Journal, record: Record, state: State) {
    if let Err(error) = journal.finish(record, state) {
        tracing::error!("write the journal: {error}");
    }
}
