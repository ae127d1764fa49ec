//! READS the record of bridges' changes, and WRITES by way of the agent. What the loop does about a
//! change of a bridge, whoever began it: finds out about the NIC's owner, shows how it stands, hands on
//! the operator's answer, and finishes what an agent that died has left.

use tokio::sync::mpsc::UnboundedSender;

use super::Session;
use crate::app::Event;
use crate::app::job::{BridgeJob, Draft, Job, News, PROOF, bridge_key};
use crate::app::waiting::Waiting;
use crate::change::bridge::record::{Answer, Progress, Record, Records};
use crate::change::bridge::{Step, agent, course, evidence, plan};
use crate::change::{Outcome, StepState};
use crate::cli::complain;
use crate::ui::text::escape;

impl Session {
    /// Looks at the NIC's owner and plans the change with it.
    pub(super) fn plan_bridge(&self, job: BridgeJob) {
        let snapshot = self.sources.snapshots.borrow().clone();
        let BridgeJob { want, patience, .. } = job;
        let nic = snapshot.link_named(want.owned());
        let evidence = if self.sources.updates.is_some() {
            evidence::read(&want, nic.map(|link| link.index))
        } else {
            evidence::Evidence::default()
        };
        let planned = plan::plan(&snapshot, &evidence, &want);
        let planned = planned.map(|plan| Job::from(BridgeJob { want, plan, patience, draft: Draft::No }));
        let _ = self.events.send(Event::Planned(Box::new(planned)));
    }

    /// Hands the operator's answer to the agent.
    pub(super) fn answer(&self, answer: Answer) {
        let Some(waiting) = &self.app.waiting else { return };
        if let Err(error) = Records::host().answer(waiting.begun, answer) {
            let _ = self.events.send(Event::Message(error.to_string()));
        }
    }

    /// Once a second: what has become of the change of a bridge.
    pub(super) fn watch_bridges(&self) -> Vec<Event> {
        if self.sources.updates.is_none() {
            return Vec::new();
        }
        let record = Records::host().read();
        let now = record.as_ref().and_then(Waiting::of).map(Box::new);
        if now == self.app.waiting {
            return Vec::new();
        }
        let ended = self.app.waiting.is_some() && now.is_none();
        let last = record.filter(|_| ended).map(|record| Event::Message(course::words(&record)));
        if now.is_some() {
            tokio::task::spawn_local(finish(self.events.clone()));
        }
        [Event::Waiting(now)].into_iter().chain(last).collect()
    }
}

/// An agent that dies while the screen is open is finished for.
async fn finish(events: UnboundedSender<Event>) {
    let records = Records::host();
    let Some(begun) = records.read().map(|record| record.begun) else { return };
    loop {
        if let Some(record) = agent::recover(&records).await {
            let _ = events.send(Event::Message(course::words(&record)));
        }
        match records.read() {
            Some(record) if record.begun == begun && !record.progress.is_final() => {
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            _ => return,
        }
    }
}

/// After the screen is closed: what still waits.
pub(super) fn remind() {
    if let Some(record) = Records::host().read().filter(|record| !record.progress.is_final()) {
        complain(&escape(&course::words(&record)));
    }
}

/// Carries the change out until it waits for its confirmation.
pub(super) async fn carry_out(job: BridgeJob, events: &UnboundedSender<Event>) -> Outcome {
    let records = Records::host();
    let record = match course::begin(&records, &job.plan, job.patience) {
        Ok(record) => record,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    let steps: Vec<String> = record.plan.steps.iter().map(Step::text).collect();
    let tell = |key: String, text: &str, state: StepState| {
        let _ = events.send(Event::Progress(News { key, text: text.to_owned(), state }));
    };
    let mut told = 0;
    let began = std::time::Instant::now();
    let mut done_until = |done: usize, took: &[u64]| {
        for (at, text) in steps.iter().enumerate().take(done).skip(told) {
            let millis = took.get(at).copied().unwrap_or_default();
            tell(bridge_key(at), text, StepState::Done { proof: text.clone(), millis });
        }
        told = told.max(done);
    };
    let record = course::follow(&records, record, |Record { progress, took, .. }| {
        match progress {
            Progress::Applying { done, doing } => {
                done_until(*done, took);
                match steps.get(*done) {
                    Some(text) => tell(bridge_key(*done), text, StepState::Running),
                    None => tell(PROOF.to_owned(), doing, StepState::Waiting { text: doing.clone() }),
                }
            }
            Progress::Waiting { proofs, .. } => {
                done_until(steps.len(), took);
                let proof = proofs.join(", ");
                let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tell(PROOF.to_owned(), PROOF, StepState::Done { proof, millis });
            }
            _ => {}
        }
        progress.is_final() || matches!(progress, Progress::Waiting { .. })
    });
    outcome(&record.await)
}

fn outcome(record: &Record) -> Outcome {
    match &record.progress {
        Progress::RolledBack { why } => Outcome::Reverted { why: why.clone() },
        Progress::Failed { known } => {
            Outcome::Failed { why: known.clone(), state: "look at the host: virt-net show".to_owned() }
        }
        _ => Outcome::Verified { address: None },
    }
}
