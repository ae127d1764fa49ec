//! WRITES. Carries out many plans: guests side by side, the NICs of one guest one after another. When one
//! fails, those that were done are taken back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::{Outcome, Progress, Tools};
use crate::change::journal::{Record, Recorded, State};
use crate::change::many::Many;
use crate::change::plan::{Plan, Refusal};
use crate::change::undo::{self, Came};
use crate::model::ids::{DomainId, NicId};
use crate::source::now;

/// How long the picture of the host may take to show what a change did.
const PICTURE: Duration = Duration::from_secs(15);

/// News of one of the plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Whose.
    pub nic: NicId,
    /// The guest that has it.
    pub guest: String,
    /// Of which of its plans.
    pub way: Way,
    /// What.
    pub progress: Progress,
}

/// Which plan of a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The one that was agreed to.
    There,
    /// The one that takes it back, because another NIC's failed.
    Back,
}

/// How they ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManyOutcome {
    /// Each plan's own end.
    pub each: Vec<(NicId, Outcome)>,
    /// How those that had been done were taken back; empty when all were done.
    pub taken_back: Vec<(NicId, Outcome)>,
}

impl ManyOutcome {
    /// All of them are done.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.each.iter().all(|(_, outcome)| matches!(outcome, Outcome::Verified { .. }))
    }
}

/// Applies them.
pub async fn run(many: &Many, tools: &Tools, tell: &mpsc::UnboundedSender<News>) -> ManyOutcome {
    let group = now().0;
    let mut guests: BTreeMap<DomainId, Vec<Plan>> = BTreeMap::new();
    for plan in &many.plans {
        let plan = Plan { group: Some(group), ..plan.clone() };
        guests.entry(plan.nic.domain).or_default().push(plan);
    }
    let ended = join_all(guests.values().map(|plans| of_guest(plans, tools, tell))).await;
    let mut outcome = ManyOutcome { each: ended.into_iter().flatten().collect(), taken_back: Vec::new() };
    if !outcome.is_verified() {
        let done = |nic: NicId| {
            let ended = outcome.each.iter().find(|(other, _)| *other == nic);
            matches!(ended, Some((_, Outcome::Verified { .. })))
        };
        let done = guests.values().flatten().filter(|plan| done(plan.nic));
        outcome.taken_back = join_all(done.map(|plan| take_back(plan, tools, tell))).await;
    }
    outcome
}

async fn of_guest(
    plans: &[Plan],
    tools: &Tools,
    tell: &mpsc::UnboundedSender<News>,
) -> Vec<(NicId, Outcome)> {
    let mut ended = Vec::new();
    for plan in plans {
        let failed = ended.iter().any(|(_, outcome)| !matches!(outcome, Outcome::Verified { .. }));
        let outcome = if failed {
            Outcome::Refused(Refusal {
                what: format!("{} {}: {}", plan.guest, plan.nic.mac, plan.title),
                reason: "another NIC of this guest failed before".to_owned(),
                way_out: "look at that one first".to_owned(),
            })
        } else {
            one(plan, Way::There, tools, tell).await
        };
        ended.push((plan.nic, outcome));
    }
    ended
}

/// One plan, its news marked with its NIC.
async fn one(plan: &Plan, way: Way, tools: &Tools, tell: &mpsc::UnboundedSender<News>) -> Outcome {
    let (own, mut news) = mpsc::unbounded_channel();
    let forward = async {
        while let Some(progress) = news.recv().await {
            let _ = tell.send(News { nic: plan.nic, guest: plan.guest.clone(), way, progress });
        }
    };
    let change = async {
        let outcome = super::run(plan, tools, &own).await;
        drop(own);
        outcome
    };
    tokio::join!(change, forward).0
}

async fn take_back(plan: &Plan, tools: &Tools, tell: &mpsc::UnboundedSender<News>) -> (NicId, Outcome) {
    let back = match way_back(plan, tools).await {
        Ok(Some(back)) => back,
        Ok(None) => return (plan.nic, Outcome::Reverted { why: "it was as before already".to_owned() }),
        Err(refusal) => return (plan.nic, Outcome::Refused(refusal)),
    };
    let is_same = |other: &Recorded| matches!(other, Recorded::Nic(other) if **other == *plan);
    let of_this = |record: &Record| record.state == State::Verified && is_same(&record.plan);
    let undoes = tools.journal.records().into_iter().rev().find(of_this).map(|record| record.begun);
    (plan.nic, one(&Plan { undoes, ..back }, Way::Back, tools, tell).await)
}

/// The plan back, made when the picture of the host has caught up with the change.
async fn way_back(plan: &Plan, tools: &Tools) -> Result<Option<Plan>, Refusal> {
    let mut snapshots = tools.snapshots.clone();
    let caught_up = async {
        loop {
            let back = undo::plan(&snapshots.borrow_and_update(), plan, Came::Through);
            if let Ok(Some(back)) = back {
                return back;
            }
            if snapshots.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    if let Ok(back) = tokio::time::timeout(PICTURE, caught_up).await {
        return Ok(Some(back));
    }
    undo::plan(&tools.snapshots.borrow(), plan, Came::Through)
}
