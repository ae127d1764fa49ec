//! PURE. The switch form: what is chosen, and the plan that would be carried out, always up to date.

use std::time::Duration;

use super::job::{Job, Planned};
use crate::change::{Bounce, Choice, Refusal, Target, Want, When, many, models, plan, target};
use crate::model::{MacvtapMode, NicId, Snapshot};

/// What the lower half of the form shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preview {
    /// Consequences and the lines that change.
    #[default]
    Summary,
    /// The whole elements.
    Diff,
    /// virsh commands.
    Commands,
}

impl Preview {
    /// What a key turns it to; the same key again turns it back.
    #[must_use]
    pub fn turn(self, key: super::Action) -> Self {
        match key {
            super::Action::Diff if self != Self::Diff => Self::Diff,
            super::Action::Commands if self != Self::Commands => Self::Commands,
            _ => Self::Summary,
        }
    }
}

/// When a switch takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effective {
    /// Now and at the next boot.
    Now,
    /// At the next boot.
    NextBoot,
    /// At the next boot, and that is now: the guest is shut down and started.
    Restart,
}

/// The form.
#[derive(Debug, Clone)]
pub struct SwitchForm {
    /// Which NIC.
    pub nic: NicId,
    /// All that are switched together, if more than one was marked.
    pub marked: Vec<NicId>,
    /// Where it can be plugged.
    pub choices: Vec<Choice>,
    /// The target under the cursor.
    pub cursor: usize,
    /// When.
    pub when: Effective,
    /// Another model; `None` keeps the one it has.
    pub model: Option<String>,
    /// Link bounce.
    pub bounce: Bounce,
    /// Mode of a macvtap target.
    pub mode: MacvtapMode,
    /// What is shown below.
    pub preview: Preview,
    /// First line shown of it.
    pub scroll: usize,
    /// The plan, or why there is none.
    pub planned: Planned,
    structure: u64,
}

impl SwitchForm {
    const HOLDS: [u64; 4] = [6, 10, 15, 3];

    /// The form of a NIC; the cursor is on the first target that is possible and not where it is.
    #[must_use]
    pub fn new(snapshot: &Snapshot, nic: NicId, marked: Vec<NicId>) -> Self {
        use target::Availability;
        let choices = target::choices(snapshot, nic);
        let possible = |choice: &Choice| {
            matches!(
                choice.availability,
                Availability::Live | Availability::HotReplug | Availability::NextBoot(_)
            )
        };
        let running = snapshot.nic(nic).is_some_and(|nic| nic.live.is_some());
        let mut form = Self {
            nic,
            marked,
            cursor: choices.iter().position(possible).unwrap_or(0),
            choices,
            when: if running { Effective::Now } else { Effective::NextBoot },
            model: None,
            bounce: Bounce::default(),
            mode: MacvtapMode::Bridge,
            preview: Preview::default(),
            scroll: 0,
            planned: Err(Refusal { what: String::new(), reason: String::new(), way_out: String::new() }),
            structure: snapshot.structure,
        };
        form.replan(snapshot);
        form
    }

    /// The same with another link bounce than the usual one.
    #[must_use]
    pub fn with_bounce(mut self, snapshot: &Snapshot, bounce: Bounce) -> Self {
        if bounce != self.bounce {
            self.bounce = bounce;
            self.replan(snapshot);
        }
        self
    }

    /// Follows a new snapshot: what has become possible or impossible shows at once.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        if snapshot.structure == self.structure {
            return;
        }
        self.structure = snapshot.structure;
        let chosen = self.choices.get(self.cursor).cloned();
        self.choices = target::choices(snapshot, self.nic);
        if let Some(chosen) = chosen {
            let again = self.choices.iter().position(|choice| choice.target == chosen.target);
            self.cursor = again.unwrap_or_else(|| {
                // Under the cursor nothing becomes another target by itself.
                let at = self.cursor.min(self.choices.len());
                self.choices.insert(at, chosen.gone());
                at
            });
        }
        let scroll = self.scroll;
        self.replan(snapshot);
        self.scroll = scroll;
    }

    /// Moves the cursor.
    pub fn step(&mut self, snapshot: &Snapshot, by: isize) {
        let last = self.choices.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
        self.replan(snapshot);
    }

    /// The next value of one of its fields.
    pub fn cycle(&mut self, snapshot: &Snapshot, field: super::Action) {
        use super::Action;
        match field {
            Action::When => {
                self.when = match self.when {
                    Effective::Now => Effective::NextBoot,
                    Effective::NextBoot => Effective::Restart,
                    Effective::Restart => Effective::Now,
                }
            }
            Action::Mode => {
                let at = MacvtapMode::ALL.iter().position(|mode| *mode == self.mode).unwrap_or(0);
                self.mode = *MacvtapMode::ALL.get(at + 1).unwrap_or(&MacvtapMode::Bridge);
            }
            Action::Model => {
                let offered = models::offered(snapshot, self.nic.domain);
                let at = self.model.as_ref().and_then(|model| offered.iter().position(|m| m == model));
                self.model = offered.get(at.map_or(0, |at| at + 1)).cloned();
            }
            Action::Bounce => {
                self.bounce = match self.bounce {
                    Bounce::Off => Bounce::default(),
                    Bounce::Hold(hold) => {
                        let at = Self::HOLDS.iter().position(|seconds| *seconds == hold.as_secs());
                        let next = at.and_then(|at| Self::HOLDS.get(at + 1));
                        next.map_or(Bounce::Off, |seconds| Bounce::Hold(Duration::from_secs(*seconds)))
                    }
                }
            }
            key => self.preview = self.preview.turn(key),
        }
        self.replan(snapshot);
    }

    /// The target under the cursor, in the chosen mode.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let choice = self.choices.get(self.cursor)?;
        Some(match choice.target {
            Target::Macvtap { lower, .. } => Target::Macvtap { lower, mode: self.mode },
            _ => choice.target.clone(),
        })
    }

    fn replan(&mut self, snapshot: &Snapshot) {
        self.scroll = 0;
        let Some(target) = self.target() else { return };
        let when = if self.when == Effective::Now { When::NowAndNextBoot } else { When::NextBoot };
        let want = Want { nic: self.nic, target, model: self.model.clone(), when, bounce: self.bounce };
        self.planned = if self.marked.len() > 1 {
            self.plan_many(snapshot, &want)
        } else {
            let planned = plan::plan(snapshot, &want);
            let planned = planned.and_then(|plan| match self.when {
                Effective::Restart => plan.by_restart(snapshot),
                Effective::Now | Effective::NextBoot => Ok(plan),
            });
            planned.map(Job::from)
        };
    }

    fn plan_many(&self, snapshot: &Snapshot, want: &Want) -> Planned {
        let mut many = many::plan(snapshot, &self.marked, want);
        if self.when == Effective::Restart {
            let restarted = many.plans.into_iter().map(|plan| plan.by_restart(snapshot));
            many.plans = restarted.collect::<Result<_, _>>()?;
        }
        match (many.plans.is_empty(), many.left_out.first()) {
            (true, Some(left)) => Err(left.refusal.clone()),
            _ => Ok(Job::from(many)),
        }
    }
}
