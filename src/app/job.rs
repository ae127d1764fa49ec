//! PURE. Every kind of change behind one face: what the preview shows, what its steps are called and how
//! they stand. A question holds a [`Job`]; the runner outside carries it out and sends [`News`].

mod preview;

pub use preview::Preview;

use crate::change::apply::network::NetworkProgress;
use crate::change::apply::{self, ManyOutcome, NetworkOutcome, Way};
use crate::change::bridge::{BridgePlan, BridgeWant, Lasting};
use crate::change::host::HostPlan;
use crate::change::many::Many;
use crate::change::network::NetworkPlan;
use crate::change::new_guest::GuestPlan;
use crate::change::shim::{self, ShimEvidence, ShimPlan, ShimWant};
use crate::change::{Outcome, Plan, PowerPlan, Progress, Refusal, StepId, StepState, Verdict};
use crate::model::Snapshot;

/// A change that can be previewed and carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// A NIC's plan.
    Nic(Box<Plan>),
    /// Many NICs, all of them or none.
    Many(Box<Many>),
    /// A guest's power.
    Power(Box<PowerPlan>),
    /// A network.
    Network(Box<NetworkPlan>),
    /// A bridge of the host.
    Bridge(Box<BridgeJob>),
    /// A shim between host and macvtaps.
    Shim(Box<ShimJob>),
    /// The kernel's side.
    Host(Box<HostPlan>),
    /// A new guest.
    Guest(Box<GuestPlan>),
}

/// A change of a shim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShimJob {
    /// What is wanted.
    pub want: ShimWant,
    /// What would be done.
    pub plan: ShimPlan,
    /// Whether the files of the NIC's owner were looked at.
    pub draft: Draft,
}

impl ShimJob {
    /// A plan from the snapshot alone: what the NIC's owner has to say is found out when it is asked for.
    ///
    /// # Errors
    /// It cannot be done now.
    pub fn draft(snapshot: &Snapshot, want: ShimWant) -> Result<Self, Refusal> {
        let alone = match want.clone() {
            ShimWant::Create { over, addresses, to, .. } => {
                ShimWant::Create { over, addresses, to, persist: Lasting::No }
            }
            other => other,
        };
        let plan = shim::plan::plan(snapshot, &ShimEvidence::default(), &alone)?;
        Ok(Self { want, plan, draft: Draft::Yes })
    }

    /// The same, carried out as it is: nobody's files are wanted.
    #[must_use]
    pub fn until_boot(self) -> Self {
        Self { draft: Draft::No, ..self }
    }
}

/// A change of a bridge of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeJob {
    /// What is wanted.
    pub want: BridgeWant,
    /// What would be done.
    pub plan: BridgePlan,
    /// How long it waits for its confirmation.
    pub patience: std::time::Duration,
    /// Whether the files of the NIC's owner were looked at.
    pub draft: Draft,
}

/// Whether a plan knows all that it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draft {
    /// Only the snapshot was looked at: the outside still has to plan it.
    Yes,
    /// It can be carried out.
    No,
}

/// One step of a job on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStep {
    /// What [`News`] call it.
    pub key: String,
    /// A word or two in front.
    pub label: String,
    /// What is done.
    pub text: String,
    /// How it stands; `None` when it has not begun.
    pub state: Option<StepState>,
}

/// A running job's news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// [`JobStep::key`]; an unknown one is a step that nobody had planned, such as a way back.
    pub key: String,
    /// What is in front of it if it was not planned.
    pub label: String,
    /// What it says of itself if it was not planned.
    pub text: String,
    /// How it stands.
    pub state: StepState,
}

/// See [`Job::proven_by`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prover {
    /// Links and ports were looked at.
    Kernel,
    /// Definitions were read back.
    Libvirt,
}

impl Job {
    /// What it is, in one line.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Nic(plan) => format!("{} {}: {}", plan.guest, plan.nic.mac, plan.title),
            Self::Many(many) => many.title(),
            Self::Power(plan) => format!("{} {}", plan.power.words(), plan.name),
            Self::Network(plan) => plan.title.clone(),
            Self::Bridge(job) => job.plan.title.clone(),
            Self::Shim(job) => job.plan.title.clone(),
            Self::Host(plan) => plan.title.clone(),
            Self::Guest(plan) => plan.title.clone(),
        }
    }

    /// What kind of change it is: the title of a question about it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Nic(_) => "NIC",
            Self::Many(_) => "NICs",
            Self::Power(_) => "Guest",
            Self::Network(_) => "Network",
            Self::Bridge(_) => "Bridge",
            Self::Shim(_) => "Shim",
            Self::Host(_) => "Host",
            Self::Guest(_) => "New guest",
        }
    }

    /// Whether the last word of it is the journal's, so that `u` takes it back.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        match self {
            Self::Nic(plan) => plan.undoes.is_none(),
            Self::Many(many) => many.plans.iter().all(|plan| plan.undoes.is_none()),
            Self::Shim(job) => job.plan.takes_back.is_none() && !job.plan.is_nothing(),
            Self::Power(_) | Self::Network(_) | Self::Bridge(_) | Self::Host(_) | Self::Guest(_) => false,
        }
    }

    /// Who has shown that a change of NICs or shims holds: the kernel knows neither of a cable nor of a next boot.
    #[must_use]
    pub fn proven_by(&self) -> Prover {
        let is_seen =
            |plan: &Plan| plan.has(StepId::Kernel) && (plan.moves() || plan.verdict != Verdict::Live);
        let by_kernel = match self {
            Self::Nic(plan) => is_seen(plan),
            Self::Many(many) => many.plans.iter().all(is_seen),
            Self::Shim(_) => true,
            Self::Power(_) | Self::Network(_) | Self::Bridge(_) | Self::Host(_) | Self::Guest(_) => false,
        };
        if by_kernel { Prover::Kernel } else { Prover::Libvirt }
    }

    /// Its steps, none begun.
    #[must_use]
    pub fn steps(&self) -> Vec<JobStep> {
        let step = |step: &crate::change::Step| {
            let word = step.id.word();
            JobStep { key: word.to_owned(), label: word.to_owned(), text: step.text.clone(), state: None }
        };
        match self {
            Self::Nic(plan) => plan.steps.iter().map(step).collect(),
            Self::Power(plan) => plan.steps.iter().map(step).collect(),
            Self::Guest(plan) => plan.steps.iter().map(step).collect(),
            Self::Host(plan) => vec![JobStep {
                key: plan.step.clone(),
                label: "kernel".to_owned(),
                text: plan.step.clone(),
                state: None,
            }],
            Self::Many(many) => {
                let steps = |plan: &Plan| -> Vec<JobStep> {
                    let of = |own: &crate::change::Step| JobStep {
                        key: format!("{} {}", plan.nic.key(), own.id.word()),
                        label: plan.guest.clone(),
                        ..step(own)
                    };
                    plan.steps.iter().map(of).collect()
                };
                many.plans.iter().flat_map(steps).collect()
            }
            Self::Bridge(job) => bridge_steps(&job.plan),
            Self::Shim(job) => shim_steps(&job.plan),
            Self::Network(plan) => {
                let step = |(at, step): (usize, &crate::change::network::NetworkStep)| JobStep {
                    key: step.text.clone(),
                    label: (at + 1).to_string(),
                    text: step.text.clone(),
                    state: None,
                };
                plan.steps.iter().enumerate().map(step).collect()
            }
        }
    }
}

/// [`JobStep::key`] of what is seen when all steps of a bridge's change are done.
pub const PROOF: &str = "proof";

/// [`News::key`] of a bridge's way back, which nobody had planned.
pub const BACK: &str = "back";

/// [`JobStep::key`] of a step of a bridge's change.
#[must_use]
pub fn bridge_key(at: usize) -> String {
    (at + 1).to_string()
}

fn bridge_steps(plan: &BridgePlan) -> Vec<JobStep> {
    let steps = plan.steps.iter().enumerate().map(|(at, step)| {
        let key = bridge_key(at);
        JobStep { label: key.clone(), key, text: step.text(), state: None }
    });
    let text = "seen in the kernel, and every gateway that answered before answers".to_owned();
    let proof = JobStep { key: PROOF.to_owned(), label: PROOF.to_owned(), text, state: None };
    steps.chain([proof]).collect()
}

fn shim_steps(plan: &ShimPlan) -> Vec<JobStep> {
    let step = |(at, text): (usize, String)| JobStep {
        key: text.clone(),
        label: (at + 1).to_string(),
        text,
        state: None,
    };
    plan.step_words().into_iter().enumerate().map(step).collect()
}

impl News {
    /// Of a NIC's or a guest's plan.
    #[must_use]
    pub fn of_progress(progress: Progress) -> Self {
        let word = progress.step.word().to_owned();
        Self { key: word.clone(), label: word.clone(), text: word, state: progress.state }
    }

    /// Of one of many NICs.
    #[must_use]
    pub fn of_many(news: apply::News) -> Self {
        let (nic, word) = (news.nic.key(), news.progress.step.word());
        let (key, label) = match news.way {
            Way::There => (format!("{nic} {word}"), news.guest),
            Way::Back => (format!("{nic} back {word}"), format!("back {}", news.guest)),
        };
        Self { key, label, text: word.to_owned(), state: news.progress.state }
    }

    /// Of a network's plan.
    #[must_use]
    pub fn of_network(progress: NetworkProgress) -> Self {
        let NetworkProgress { text, result, millis } = progress;
        let state = match result {
            Ok(proof) => {
                StepState::Done { proof: if proof.is_empty() { text.clone() } else { proof }, millis }
            }
            Err(reason) => StepState::Failed { reason },
        };
        Self { key: text.clone(), label: String::new(), text, state }
    }
}

/// Many ends in one.
#[must_use]
pub fn outcome_of_many(outcome: &ManyOutcome) -> Outcome {
    if outcome.is_verified() {
        return Outcome::Verified { address: None };
    }
    let reason = |outcome: &Outcome| match outcome {
        Outcome::Verified { .. } => None,
        Outcome::Reverted { why } | Outcome::Failed { why, .. } => Some(why.clone()),
        Outcome::Refused(refusal) => Some(refusal.to_string()),
    };
    let whys: Vec<String> = outcome
        .each
        .iter()
        .filter_map(|(nic, outcome)| Some(format!("{}: {}", nic.mac, reason(outcome)?)))
        .collect();
    let bad = |(_, outcome): &&(crate::model::NicId, Outcome)| matches!(outcome, Outcome::Failed { .. });
    // A plan that had nothing to take back ends as reverted.
    let still_done = |(_, outcome): &&(crate::model::NicId, Outcome)| {
        !matches!(outcome, Outcome::Verified { .. } | Outcome::Reverted { .. })
    };
    let left: Vec<String> = outcome
        .each
        .iter()
        .filter(bad)
        .chain(outcome.taken_back.iter().filter(still_done))
        .filter_map(|(nic, outcome)| Some(format!("{}: {}", nic.mac, reason(outcome)?)))
        .collect();
    if left.is_empty() {
        return Outcome::Reverted { why: whys.join("; ") };
    }
    Outcome::Failed { why: whys.join("; "), state: format!("not put back: {}", left.join("; ")) }
}

/// A network's end in the words of all others.
#[must_use]
pub fn outcome_of_network(outcome: NetworkOutcome) -> Outcome {
    match outcome {
        NetworkOutcome::Verified => Outcome::Verified { address: None },
        NetworkOutcome::Refused(refusal) => Outcome::Refused(refusal),
        NetworkOutcome::Reverted { why } => Outcome::Reverted { why },
        NetworkOutcome::Failed { why, state } => Outcome::Failed { why, state },
    }
}

/// A job that was planned, or why there is none.
pub type Planned = Result<Job, Refusal>;

impl From<Plan> for Job {
    fn from(plan: Plan) -> Self {
        Self::Nic(Box::new(plan))
    }
}

impl From<Many> for Job {
    fn from(many: Many) -> Self {
        Self::Many(Box::new(many))
    }
}

impl From<PowerPlan> for Job {
    fn from(plan: PowerPlan) -> Self {
        Self::Power(Box::new(plan))
    }
}

impl From<BridgeJob> for Job {
    fn from(job: BridgeJob) -> Self {
        Self::Bridge(Box::new(job))
    }
}

impl From<NetworkPlan> for Job {
    fn from(plan: NetworkPlan) -> Self {
        Self::Network(Box::new(plan))
    }
}

impl From<GuestPlan> for Job {
    fn from(plan: GuestPlan) -> Self {
        Self::Guest(Box::new(plan))
    }
}

impl From<ShimJob> for Job {
    fn from(job: ShimJob) -> Self {
        Self::Shim(Box::new(job))
    }
}

impl From<HostPlan> for Job {
    fn from(plan: HostPlan) -> Self {
        Self::Host(Box::new(plan))
    }
}
