//! `virt-net confirm` and `rollback`, and what is said of a change that waits.

use color_eyre::eyre::Result;
use serde_json::{Value, json};

use crate::change::bridge::record::{Answer, Progress, Record, Records};
use crate::change::bridge::{agent, course};
use crate::cli::{ExitStatus, complain, print};
use crate::source::now;
use crate::ui::text::{escape, span};

/// `virt-net confirm` and `virt-net rollback`.
pub(in crate::cli) async fn answer(answer: Answer) -> Result<ExitStatus> {
    if !nix::unistd::geteuid().is_root() {
        complain("bridges are changed by root only; nothing was changed");
        return Ok(ExitStatus::Refused);
    }
    let records = Records::host();
    let found = records.read();
    if let Some(why) = course::unanswerable(found.as_ref(), answer) {
        let last = found.map(|record| {
            let which = if record.is_final() { "the last change" } else { "the change" };
            format!(
                "; {which} was {} ago: {}",
                span(now().millis_since(record.begun)),
                course::words(&record)
            )
        });
        complain(&escape(&format!("{why}{}", last.unwrap_or_default())));
        return Ok(ExitStatus::Refused);
    }
    let Some(record) = found else { return Ok(ExitStatus::Refused) };
    records.answer(record.begun, answer)?;
    let record = course::follow(&records, record, Record::is_final).await;
    let is_wanted = match answer {
        Answer::Confirm => matches!(record.progress, Progress::Confirmed),
        Answer::Rollback => matches!(record.progress, Progress::RolledBack { .. }),
    };
    tell(&record)?;
    Ok(if is_wanted { ExitStatus::Done } else { ExitStatus::Failed })
}

/// How a change ended, or that it waits.
pub(super) fn tell(record: &Record) -> Result<ExitStatus> {
    print(&format!("{}\n", escape(&course::words(record))))?;
    Ok(match record.progress {
        Progress::RolledBack { .. } | Progress::Failed { .. } => ExitStatus::Failed,
        _ => ExitStatus::Done,
    })
}

/// At each start: finishes what a dead agent or a reboot left, and says what waits.
pub(in crate::cli) async fn look_after() {
    let records = Records::host();
    let is_root = nix::unistd::geteuid().is_root();
    let recovered = if is_root { agent::recover(&records).await } else { None };
    let found = recovered.or_else(|| records.read().filter(|record| !record.progress.is_final()));
    if let Some(record) = found {
        complain(&escape(&course::words(&record)));
    }
}

/// The change that waits or is under way, as an object; `null` when there is none.
pub(in crate::cli) fn waiting_json() -> Value {
    let Some(record) = Records::host().read().filter(|record| !record.progress.is_final()) else {
        return Value::Null;
    };
    let seconds = match record.progress {
        Progress::Waiting { until, .. } => Some(until.millis_since(now()) / 1_000),
        _ => None,
    };
    json!({
        "title": record.plan.title,
        "bridge": record.plan.bridge,
        "risk": record.plan.risk,
        "progress": record.progress,
        "seconds_left": seconds,
    })
}
