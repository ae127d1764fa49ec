//! `virt-net console`: a guest's serial console in this terminal. Ends with the status of virsh.

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr as _};

use super::switch::unreadable;
use super::{ExitStatus, complain, preview, select};
use crate::change::console;
use crate::source::{self, SourceOptions};
use crate::term::lend;

/// Arguments of `console`.
#[derive(Debug, Args)]
pub struct ConsoleArgs {
    /// The guest, by name or UUID
    vm: String,
}

pub(super) async fn run(args: &ConsoleArgs, options: &SourceOptions) -> Result<ExitStatus> {
    if !std::io::stdin().is_terminal() {
        complain("not a terminal: a console needs one");
        return Ok(ExitStatus::Usage);
    }
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let guest = match select::guest(&snapshot, &args.vm) {
        Ok(guest) => guest.id,
        Err(sentence) => {
            complain(&sentence);
            return Ok(ExitStatus::Usage);
        }
    };
    let call = match console::plan(&snapshot, guest) {
        Ok(call) => call,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    complain(console::LEAVE);
    let ended = tokio::task::spawn_blocking(move || lend(&call)).await?;
    let ended = match ended {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            complain(console::MISSING);
            return Ok(ExitStatus::Refused);
        }
        ended => ended.wrap_err("run virsh")?,
    };
    Ok(ExitStatus::of(ended))
}
