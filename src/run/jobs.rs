//! WRITES, by way of [`apply`]. Carries out what the operator agreed to, beside the loop; its news and its
//! end come back as events.

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::sync::watch;

use crate::app::Event;
use crate::app::job::{self, BridgeJob, Draft, Job, News, Planned, ShimJob};
use crate::change::apply::{self, Tools};
use crate::change::{Outcome, Refusal, bridge, shim};
use crate::model::Snapshot;
use crate::source::supervise;

/// Carries the job out to its end; one that waits for a program stops it when `stop` says true.
pub(crate) async fn run(
    job: Job,
    tools: Result<Tools, Refusal>,
    events: UnboundedSender<Event>,
    stop: watch::Receiver<bool>,
) {
    let known = match &job {
        Job::Guest(_) => "virt-install may still be running: see virsh list --all",
        _ => "what was done until then stays done; u puts it right",
    };
    let outcome = match tools {
        Ok(tools) => {
            let change = supervise::Background::new(carry_out(job, &tools, &events, stop));
            change.await.unwrap_or_else(|panic| Outcome::Failed {
                why: format!("a bug of this program: {panic}"),
                state: known.to_owned(),
            })
        }
        Err(refusal) => Outcome::Refused(refusal),
    };
    let _ = events.send(Event::Outcome(Box::new(outcome)));
}

/// A draft planned anew with what the files and programs of the NIC's owner say; any other job as it is. Reads
/// them where `is_live`: not of a recording.
///
/// # Errors
/// It cannot be done so.
pub(crate) fn beyond_draft(job: Job, snapshot: &Snapshot, is_live: bool) -> Planned {
    match job {
        Job::Bridge(job) if job.draft == Draft::Yes => {
            let read = || bridge::evidence::read(&job.want, snapshot);
            let looked = if is_live { read() } else { bridge::evidence::Evidence::default() };
            let plan = bridge::plan::plan(snapshot, &looked, &job.want)?;
            Ok(Job::from(BridgeJob { plan, draft: Draft::No, ..*job }))
        }
        Job::Shim(job) if job.draft == Draft::Yes => {
            let read = || apply::shim::evidence(snapshot, &job.want);
            let looked = if is_live { read() } else { shim::ShimEvidence::default() };
            let plan = shim::plan::plan(snapshot, &looked, &job.want)?;
            Ok(Job::from(ShimJob { plan, draft: Draft::No, ..*job }))
        }
        other => Ok(other),
    }
}

async fn carry_out(
    job: Job,
    tools: &Tools,
    events: &UnboundedSender<Event>,
    stop: watch::Receiver<bool>,
) -> Outcome {
    supervise::forced("change");
    match job {
        Job::Nic(plan) => {
            telling(events, News::of_progress, async |tell| apply::run(&plan, tools, &tell).await).await
        }
        Job::Many(many) => {
            let change = async |tell| apply::run_many(&many, tools, &tell).await;
            job::outcome_of_many(&telling(events, News::of_many, change).await)
        }
        Job::Power(plan) => {
            telling(events, News::of_progress, async |tell| apply::run_power(&plan, tools, &tell).await).await
        }
        Job::Network(plan) => {
            let change = async |tell| apply::network::run(&tools.uri, &plan, &tell).await;
            job::outcome_of_network(telling(events, News::of_network, change).await)
        }
        Job::Guest(plan) => {
            let hear = |said| drop(events.send(Event::Said(said)));
            let change = async |tell| apply::guest::run(&plan, tools, &tell, &hear, stop).await;
            telling(events, News::of_progress, change).await
        }
        Job::Bridge(job) => super::bridge::carry_out(*job, events).await,
        Job::Shim(job) => {
            telling(events, News::of_network, async |tell| {
                apply::shim::run(&job.plan, &tools.journal, &tell).await
            })
            .await
        }
        Job::Host(plan) => {
            telling(events, News::of_network, async |tell| apply::host::run(&plan, &tell).await).await
        }
    }
}

/// Carries a change out; what it tells becomes events of the loop, in their order and before its end.
async fn telling<T, R>(
    events: &UnboundedSender<Event>,
    news: impl Fn(T) -> News,
    change: impl AsyncFnOnce(UnboundedSender<T>) -> R,
) -> R {
    let (tell, mut heard) = mpsc::unbounded_channel();
    let send = |told| drop(events.send(Event::Progress(news(told))));
    let mut change = std::pin::pin!(change(tell));
    let result = loop {
        tokio::select! {
            biased;
            Some(told) = heard.recv() => send(told),
            result = &mut change => break result,
        }
    };
    // Not until the channel ends: what watches on after the change may keep it open.
    while let Ok(told) = heard.try_recv() {
        send(told);
    }
    result
}
