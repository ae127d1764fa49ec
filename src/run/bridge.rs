//! READS the record of bridges' changes, and WRITES by way of the agent. What the loop does about a
//! change of a bridge, whoever began it: finds out about the NIC's owner, shows how it stands, hands on
//! the operator's answer, and finishes what an agent that died has left.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::{Session, jobs};
use crate::app::Event;
use crate::app::job::{BACK, BridgeJob, Job, News, PROOF, bridge_key};
use crate::app::waiting::Waiting;
use crate::change::bridge::record::{Answer, Progress, Record, Records};
use crate::change::bridge::{Step, agent, course};
use crate::change::{Outcome, StepState};
use crate::cli::complain;
use crate::model::Timestamp;
use crate::source::supervise;
use crate::ui::text::escape;

impl Session {
    /// Plans a draft with what the NIC's owner says.
    pub(super) fn plan_draft(&self, job: Job) {
        let snapshot = self.sources.snapshots.borrow().clone();
        let is_live = self.sources.updates.is_some();
        let events = self.events.clone();
        // Files and processes are read: beside the loop.
        tokio::task::spawn_blocking(move || {
            let planned = jobs::beyond_draft(job, &snapshot, is_live);
            let _ = events.send(Event::Planned(Box::new(planned)));
        });
    }

    /// Hands the operator's answer to the agent.
    pub(super) fn answer(&self, answer: Answer) {
        let Some(waiting) = &self.app.waiting else { return self.answer_unseen(answer) };
        if self.desk.answers.send((waiting.begun, answer)).is_err() {
            let text = "the answer cannot be written; use virt-net confirm, or virt-net rollback".to_owned();
            let _ = self.events.send(Event::Message(text));
        }
    }

    /// The same for a change that is not on the screen yet.
    fn answer_unseen(&self, answer: Answer) {
        let events = self.events.clone();
        let is_live = self.sources.updates.is_some();
        tokio::task::spawn_blocking(move || {
            let records = Records::host();
            // A recording has nothing to do with this host.
            let text = match records.read().filter(|record| is_live && !record.is_final()) {
                None => "nothing waits to be kept".to_owned(),
                Some(record) => match records.answer(record.begun, answer) {
                    Ok(()) => return,
                    Err(error) => error.to_string(),
                },
            };
            let _ = events.send(Event::Message(text));
        });
    }
}

/// Writes answers down, one after another in the order in which they were given, on a thread of its own: a
/// slow disk holds up no key.
pub(super) struct Desk {
    answers: mpsc::Sender<(Timestamp, Answer)>,
    worker: Option<JoinHandle<()>>,
}

impl Desk {
    /// One that tells what it cannot write. Without a thread every answer is refused.
    pub(super) fn open(events: UnboundedSender<Event>) -> Self {
        let (answers, given) = mpsc::channel();
        let work = move || {
            for (begun, answer) in given {
                if let Err(error) = Records::host().answer(begun, answer) {
                    let _ = events.send(Event::Message(error.to_string()));
                }
            }
        };
        let worker = std::thread::Builder::new().name("answers".to_owned()).spawn(work);
        Self { answers, worker: worker.ok() }
    }

    /// Waits until the answers that were given are on disk.
    pub(super) fn close(self) {
        drop(self.answers);
        let _ = self.worker.map(JoinHandle::join);
    }
}

/// Once a second: what has become of the change of a bridge.
pub(super) async fn watch(events: UnboundedSender<Event>) {
    let mut last: Option<Waiting> = None;
    loop {
        let record = tokio::task::spawn_blocking(|| Records::host().read()).await.unwrap_or_default();
        let now = record.as_ref().map(Waiting::of);
        if now != last {
            let _ = events.send(Event::Waiting(now.clone().map(Box::new)));
            let is_under_way = now.as_ref().is_some_and(Waiting::is_under_way);
            let was_under_way = last.as_ref().is_some_and(Waiting::is_under_way);
            let begun = |waiting: &Option<Waiting>| waiting.as_ref().map(|waiting| waiting.begun);
            if is_under_way && begun(&last) != begun(&now) {
                look_after(events.clone());
            }
            if let Some(record) = record.filter(|_| was_under_way && !is_under_way) {
                let _ = events.send(Event::Message(course::words(&record)));
            }
            last = now;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

fn look_after(events: UnboundedSender<Event>) {
    aside(move || finish(events));
}

/// Files are written, and programs are waited for: on a thread of its own.
fn aside<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime
            .map_err(|error| error.to_string())
            .and_then(|runtime| runtime.block_on(supervise::Background::new(work())));
        if let Err(why) = ended {
            tracing::error!("the thread bridge: {why}");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("bridge".to_owned()).spawn(work) {
        tracing::error!("start the thread bridge: {error}");
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

/// Carries the change out until it waits for its confirmation, beside the loop.
pub(super) async fn carry_out(job: BridgeJob, events: &UnboundedSender<Event>) -> Outcome {
    let (tell, heard) = oneshot::channel();
    let events = events.clone();
    aside(async move || {
        let _ = tell.send(follow(&job, &events).await);
    });
    heard.await.unwrap_or_else(|_| Outcome::Failed {
        why: "a bug of this program: what followed it ended without a word".to_owned(),
        state: "look at the host: virt-net show bridges".to_owned(),
    })
}

async fn follow(job: &BridgeJob, events: &UnboundedSender<Event>) -> Outcome {
    let records = Records::host();
    let record = match course::begin(&records, &job.plan, job.patience) {
        Ok(record) => record,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    let steps: Vec<String> = record.plan.steps.iter().map(Step::text).collect();
    let tell = |key: String, text: &str, state: StepState| {
        let label = key.clone();
        let _ = events.send(Event::Progress(News { key, label, text: text.to_owned(), state }));
    };
    let mut turned = None;
    let mut told = 0;
    let began = Instant::now();
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
                tell(PROOF.to_owned(), PROOF, StepState::Done { proof, millis: millis(began) });
            }
            Progress::RollingBack { doing, .. } => {
                turned.get_or_insert_with(Instant::now);
                tell(BACK.to_owned(), doing, StepState::Waiting { text: doing.clone() });
            }
            Progress::RolledBack { .. } => {
                let proof = "the old state is seen in the kernel".to_owned();
                if let Some(turned) = turned {
                    tell(BACK.to_owned(), BACK, StepState::Done { proof, millis: millis(turned) });
                }
            }
            _ => {}
        }
        progress.is_final() || matches!(progress, Progress::Waiting { .. })
    });
    let record = record.await;
    if let Some(alone) = course::alone(&record).filter(|_| !record.is_final()) {
        let _ = events.send(Event::Message(alone));
    }
    outcome(&record)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
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
