//! PURE. The switch form: what is chosen, and the plan that would be carried out, always up to date.

use std::time::Duration;

use crate::change::{Bounce, Choice, Plan, Refusal, Target, Want, When, models, plan, target};
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

/// The form.
#[derive(Debug, Clone)]
pub struct SwitchForm {
    /// Which NIC.
    pub nic: NicId,
    /// Where it can be plugged.
    pub choices: Vec<Choice>,
    /// The target under the cursor.
    pub cursor: usize,
    /// When.
    pub when: When,
    /// Another model; `None` keeps the one it has.
    pub model: Option<String>,
    /// Link bounce.
    pub bounce: Bounce,
    /// Mode of a macvtap target.
    pub mode: MacvtapMode,
    /// What is shown below.
    pub preview: Preview,
    /// The plan, or why there is none.
    pub plan: Result<Box<Plan>, Refusal>,
    structure: u64,
}

impl SwitchForm {
    const HOLDS: [u64; 4] = [6, 10, 15, 3];

    /// The form of a NIC; the cursor is on the first target that is possible and not where it is.
    #[must_use]
    pub fn new(snapshot: &Snapshot, nic: NicId) -> Self {
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
            cursor: choices.iter().position(possible).unwrap_or(0),
            choices,
            when: if running { When::NowAndNextBoot } else { When::NextBoot },
            model: None,
            bounce: Bounce::default(),
            mode: MacvtapMode::Bridge,
            preview: Preview::default(),
            plan: Err(Refusal { what: String::new(), reason: String::new(), way_out: String::new() }),
            structure: snapshot.structure,
        };
        form.replan(snapshot);
        form
    }

    /// Follows a new snapshot: what has become possible or impossible shows at once.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        if snapshot.structure == self.structure {
            return;
        }
        self.structure = snapshot.structure;
        let chosen = self.choices.get(self.cursor).map(|choice| choice.target.clone());
        self.choices = target::choices(snapshot, self.nic);
        let again = chosen.and_then(|chosen| self.choices.iter().position(|choice| choice.target == chosen));
        self.cursor = again.unwrap_or(0);
        self.replan(snapshot);
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
                    When::NowAndNextBoot => When::NextBoot,
                    When::NextBoot => When::NowAndNextBoot,
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
            Action::Diff if self.preview != Preview::Diff => self.preview = Preview::Diff,
            Action::Commands if self.preview != Preview::Commands => self.preview = Preview::Commands,
            _ => self.preview = Preview::Summary,
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
        let Some(target) = self.target() else { return };
        let want =
            Want { nic: self.nic, target, model: self.model.clone(), when: self.when, bounce: self.bounce };
        self.plan = plan::plan(snapshot, &want).map(Box::new);
    }
}
