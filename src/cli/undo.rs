//! `virt-net undo`: takes the newest change back, with a preview of its own.

use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;

use super::doctor::fix;
use super::switch::{self, Consent};
use super::{ExitStatus, complain, preview, switch_all};
use crate::app::job::{Draft, Job, ShimJob};
use crate::change::apply::{self, WayBack};
use crate::change::journal::Journal;
use crate::source::{self, SourceOptions};

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
        Ok(WayBack::One(plan)) => switch::carry_out(&plan, &args.consent, &sources).await,
        Ok(WayBack::Together(many)) => switch_all::carry_out(&many, &args.consent, &sources).await,
        Ok(WayBack::Shim(want, plan)) => {
            let job = ShimJob { want: *want, plan: *plan, draft: Draft::No };
            fix::carry(&Job::from(job), &args.consent, &sources).await
        }
        Err(refusal) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
    }
}
