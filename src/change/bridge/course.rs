//! WRITES. The course of a bridge's change, seen by whoever asked for it: begun, followed, answered.

use std::time::Duration;

use super::record::{Answer, Progress, Record, RecordError, Records};
use super::{BridgePlan, agent, files};
use crate::change::Refusal;
use crate::source::{now, process};

/// Starts the change; from here on the agent carries it out, whatever becomes of this process.
///
/// # Errors
/// A right, room on the disk or a writable file system is missing, or another change is under way:
/// nothing was changed.
pub fn begin(records: &Records, plan: &BridgePlan, patience: Duration) -> Result<Record, Refusal> {
    let what = plan.title.clone();
    let refuse =
        |reason: String, way_out: &str| Refusal { what: what.clone(), reason, way_out: way_out.to_owned() };
    if !nix::unistd::geteuid().is_root() {
        return Err(refuse("bridges are changed by root only".to_owned(), "run it with sudo"));
    }
    let lock = records.lock().map_err(|error| {
        let way_out = match &error {
            RecordError::Busy => "keep it with virt-net confirm, or take it back with virt-net rollback",
            RecordError::Io { .. } => "make room, or make it writable",
        };
        refuse(error.to_string(), way_out)
    })?;
    // systemd's agent takes the lock a moment after it was let go; one that died was not yet finished for.
    if records.read().is_some_and(|record| !record.progress.is_final()) {
        return Err(refuse(RecordError::Busy.to_string(), "see how it stands: virt-net show bridges"));
    }
    let forget = |plan: &BridgePlan| plan.lasting.iter().for_each(files::unstage);
    for file in &plan.lasting {
        if let Err(error) = files::unchanged(file).and_then(|()| files::stage(file)) {
            forget(plan);
            return Err(refuse(error.to_string(), "make room or make it writable, or use --persist none"));
        }
    }
    let record = records.prepare(plan.clone(), patience, now()).map_err(|error| {
        forget(plan);
        refuse(error.to_string(), "without the record nobody could take the change back: make room first")
    })?;
    agent::start(records, &record, lock).map_err(|error| {
        forget(&record.plan);
        let why = "its process could not be started".to_owned();
        let _ = records.write(&Record { progress: Progress::RolledBack { why }, ..record.clone() });
        refuse(format!("the process that would carry it out cannot be started: {error}"), "try again")
    })?;
    Ok(record)
}

/// Follows a change until `enough`, or until another change has taken its place; what an agent that died
/// has left is finished.
pub async fn follow(
    records: &Records,
    mut record: Record,
    mut enough: impl FnMut(&Record) -> bool,
) -> Record {
    const POLL: Duration = Duration::from_millis(100);
    loop {
        let recovered = agent::recover(records).await.filter(|recovered| recovered.begun == record.begun);
        match recovered.or_else(|| records.read()) {
            Some(found) if found.begun == record.begun => record = found,
            // The next one begins only when this one has ended, in whatever way.
            Some(next) => {
                let known = format!(
                    "another change was begun meanwhile ({}), how this one ended is not known; look at the host: virt-net show bridges",
                    next.plan.title
                );
                record.progress = Progress::Failed { known };
                return record;
            }
            None => {}
        }
        if enough(&record) {
            return record;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Why an answer makes no sense now.
#[must_use]
pub fn unanswerable(record: Option<&Record>, answer: Answer) -> Option<&'static str> {
    match record.map(|record| &record.progress) {
        Some(Progress::Prepared | Progress::Applying { .. }) if answer == Answer::Confirm => {
            Some("it is not done yet: it can be confirmed when it is seen to work")
        }
        Some(Progress::Keeping) if answer == Answer::Rollback => Some("it was confirmed just now"),
        Some(progress) if !progress.is_final() => None,
        _ => Some("nothing waits for a confirmation"),
    }
}

/// Nobody starts its process again when that is killed, where somebody should.
#[must_use]
pub fn alone(record: &Record) -> Option<String> {
    let why = record.alone.as_ref()?;
    Some(format!(
        "systemd does not look after the process that takes it back ({why}): should it be killed, the next start of virt-net takes it back"
    ))
}

/// For how long a change is kept.
#[must_use]
pub fn kept(plan: &BridgePlan) -> String {
    match plan.backend {
        Some(backend) => format!("kept, also at the next boot ({backend})"),
        None => "kept until the next boot".to_owned(),
    }
}

/// A change and how it stands, in one line; the plan's text may be hostile.
#[must_use]
pub fn words(record: &Record) -> String {
    let title = &record.plan.title;
    match &record.progress {
        Progress::Confirmed => format!("{}: {title}", kept(&record.plan)),
        // After a reboot nobody looked.
        Progress::RolledBack { why } if record.boot != process::boot() => {
            format!("taken back: {title}: {why}")
        }
        Progress::RolledBack { why } => {
            format!("taken back: {title}: {why}; the old state is seen in the kernel")
        }
        Progress::Failed { known } => format!("failed: {title}: {known}"),
        Progress::Waiting { until, .. } => {
            let seconds = until.millis_since(now()) / 1_000;
            let alone = alone(record).map(|alone| format!("; {alone}")).unwrap_or_default();
            format!(
                "waits for its confirmation: {title}; taken back in {seconds} s unless you run: virt-net confirm{alone}"
            )
        }
        Progress::Prepared => format!("about to begin: {title}"),
        Progress::Applying { doing, .. } => format!("under way: {title}: {doing}"),
        Progress::Keeping => format!("confirmed, its files are being written: {title}"),
        Progress::RollingBack { why, doing, .. } if doing.is_empty() => {
            format!("being taken back: {title}: {why}")
        }
        Progress::RollingBack { why, doing, .. } => format!("being taken back: {title}: {why}; {doing}"),
    }
}
