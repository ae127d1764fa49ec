//! `virt-net undo`: takes the newest verified change back, with a preview of its own.

use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;

use super::switch::{self, Consent};
use super::{ExitStatus, complain, preview, switch_all};
use crate::change::journal::{Journal, Record, State};
use crate::change::many::{LeftOut, Many};
use crate::change::undo::{self, Came};
use crate::change::{Outcome, apply};
use crate::model::Snapshot;
use crate::source::{self, SourceOptions, Sources};

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: &UndoArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = switch::unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let journal = match Journal::open() {
        Ok(journal) => journal,
        Err(error) => {
            complain(&format!("{error}; nothing was changed"));
            return Ok(ExitStatus::Refused);
        }
    };
    match apply::plan_undo(&snapshot, &journal) {
        Ok((record, _)) if record.plan.group.is_some() => {
            undo_group(record, &snapshot, &journal, &args.consent, &sources).await
        }
        Ok((record, plan)) => {
            let (status, outcome) =
                switch::carry_out(&plan, &args.consent, &sources, Some(journal.clone())).await?;
            if matches!(outcome, Some(Outcome::Verified { .. })) {
                apply::mark_undone(&journal, record);
            }
            Ok(status)
        }
        Err(refusal) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
    }
}

/// Takes back all that was carried out together.
async fn undo_group(
    record: Record,
    snapshot: &Snapshot,
    journal: &Journal,
    consent: &Consent,
    sources: &Sources,
) -> Result<ExitStatus> {
    let group = record.plan.group;
    let records: Vec<Record> = journal
        .records()
        .into_iter()
        .filter(|other| other.plan.group == group && other.state == State::Verified)
        .collect();
    let mut many = Many { plans: Vec::new(), left_out: Vec::new() };
    for Record { plan, .. } in &records {
        match undo::plan(snapshot, plan, Came::Through) {
            Ok(Some(back)) => many.plans.push(back),
            Ok(None) => {}
            Err(refusal) => {
                many.left_out.push(LeftOut { nic: plan.nic, guest: plan.guest.clone(), refusal });
            }
        }
    }
    let (status, outcome) = switch_all::carry_out(&many, consent, sources).await?;
    if outcome.is_some_and(|outcome| outcome.is_verified()) {
        let left = |record: &Record| many.left_out.iter().any(|left| left.nic == record.plan.nic);
        for record in records.into_iter().filter(|record| !left(record)) {
            apply::mark_undone(journal, record);
        }
    }
    Ok(status)
}
