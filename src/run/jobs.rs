//! WRITES, by way of [`apply`]. Carries out what the operator agreed to, beside the loop; its news and its
//! end come back as events.

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::app::Event;
use crate::app::job::{self, Job, News};
use crate::change::apply::{self, Tools};
use crate::change::{Outcome, Refusal};
use crate::source::supervise;

/// Carries the job out to its end.
pub(crate) async fn run(job: Job, tools: Result<Tools, Refusal>, events: UnboundedSender<Event>) {
    let outcome = match tools {
        Ok(tools) => {
            let change = supervise::Background::new(carry_out(job, &tools, &events));
            change.await.unwrap_or_else(|panic| Outcome::Failed {
                why: format!("a bug of this program: {panic}"),
                state: "what was done until then stays done; u puts it right".to_owned(),
            })
        }
        Err(refusal) => Outcome::Refused(refusal),
    };
    let _ = events.send(Event::Outcome(Box::new(outcome)));
}

async fn carry_out(job: Job, tools: &Tools, events: &UnboundedSender<Event>) -> Outcome {
    supervise::forced("change");
    match job {
        Job::Nic(plan, record) => {
            let tell = forward(events, News::of_progress);
            let outcome = apply::run(&plan, tools, &tell).await;
            if let (Outcome::Verified { .. }, Some(record)) = (&outcome, record) {
                apply::mark_undone(&tools.journal, *record);
            }
            outcome
        }
        Job::Many(many) => {
            let tell = forward(events, News::of_many);
            job::outcome_of_many(&apply::run_many(&many, tools, &tell).await)
        }
        Job::Power(plan) => apply::run_power(&plan, tools, &forward(events, News::of_progress)).await,
        Job::Network(plan) => {
            let tell = forward(events, News::of_network);
            job::outcome_of_network(apply::network::run(&tools.uri, &plan, &tell).await)
        }
        Job::Bridge(job) => super::bridge::carry_out(*job, events).await,
        Job::Host(plan) => apply::host::run(&plan, &forward(events, News::of_network)).await,
    }
}

/// A channel whose messages become events of the loop, in their order.
fn forward<T: Send + 'static>(
    events: &UnboundedSender<Event>,
    news: impl Fn(T) -> News + Send + 'static,
) -> UnboundedSender<T> {
    let (tell, mut heard): (_, UnboundedReceiver<T>) = mpsc::unbounded_channel();
    let events = events.clone();
    tokio::spawn(async move {
        while let Some(told) = heard.recv().await {
            let _ = events.send(Event::Progress(news(told)));
        }
    });
    tell
}
