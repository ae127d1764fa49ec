//! PURE. One place for many NICs: a plan for each, one preview, and all of them or none.

use serde::Serialize;

use super::plan::{self, Plan, Refusal, Want};
use super::target::Target;
use crate::model::Snapshot;
use crate::model::ids::NicId;

/// Plans that are carried out together.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Many {
    /// One for each NIC, in the order of guests.
    pub plans: Vec<Plan>,
    /// NICs that stay where they are, and why.
    pub left_out: Vec<LeftOut>,
}

impl Many {
    /// What it is, in one line: how many, and where to if all go to the same place.
    #[must_use]
    pub fn title(&self) -> String {
        let Some(first) = self.plans.first() else { return "no NIC".to_owned() };
        let what = match self.plans.len() {
            1 => "1 NIC".to_owned(),
            count => format!("{count} NICs"),
        };
        let back = if first.undoes.is_some() { "back: " } else { "" };
        if self.plans.iter().all(|plan| plan.to == first.to) {
            return format!("{what} {back}→ {}", first.to.words());
        }
        format!("{what} {back}each to its own place")
    }
}

/// A NIC that no plan could be made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The NIC.
    pub nic: NicId,
    /// Its guest's name: hostile text.
    pub guest: String,
    /// Why it stays.
    pub refusal: Refusal,
}

/// The NICs that are plugged in there, now or, where the guest is off, at its next boot.
#[must_use]
pub fn plugged_into(snapshot: &Snapshot, place: &Target) -> Vec<NicId> {
    let there = |nic: &&crate::model::Nic| nic.source().is_some_and(|source| place.is(source));
    snapshot.nics.iter().filter(there).map(|nic| nic.id).collect()
}

/// Makes a plan for each; `want` says where to and how, whatever NIC it names.
pub fn plan(snapshot: &Snapshot, nics: &[NicId], want: &Want) -> Many {
    let mut many = Many { plans: Vec::new(), left_out: Vec::new() };
    for nic in nics {
        match plan::plan(snapshot, &Want { nic: *nic, ..want.clone() }) {
            Ok(plan) => many.plans.push(plan),
            Err(refusal) => {
                let guest = snapshot.nic(*nic).map(|nic| nic.guest.clone()).unwrap_or_default();
                many.left_out.push(LeftOut { nic: *nic, guest, refusal });
            }
        }
    }
    many
}
