//! `virt-net guest`: power, with a preview first and the guest's state as proof.

use std::time::Duration;

use clap::{Args, ValueEnum};
use color_eyre::eyre::Result;

use super::switch::{self, Agreed, Consent};
use super::{ExitStatus, complain, preview, select};
use crate::change::{Power, apply, power};
use crate::source::{self, SourceOptions};

/// Arguments of `guest`.
#[derive(Debug, Args)]
pub struct GuestArgs {
    /// What to do
    #[arg(value_enum)]
    action: Action,
    /// The guest, by name or UUID
    vm: String,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Action {
    /// Start it; a NIC that could not be plugged in is told before
    Start,
    /// Ask it to shut down, and wait until it is off
    Shutdown,
    /// Ask it to reboot; nothing pending takes effect by that
    Reboot,
    /// Press its reset button
    Reset,
    /// Pull its plug
    ForceOff,
    /// Stop its processors
    Pause,
    /// Let its processors go on
    Resume,
    /// Start it with the host from now on
    AutostartOn,
    /// Do not start it with the host any more
    AutostartOff,
}

impl Action {
    const fn power(self) -> Power {
        match self {
            Self::Start => Power::Start,
            Self::Shutdown => Power::Shutdown,
            Self::Reboot => Power::Reboot,
            Self::Reset => Power::Reset,
            Self::ForceOff => Power::ForceOff,
            Self::Pause => Power::Pause,
            Self::Resume => Power::Resume,
            Self::AutostartOn => Power::AutostartOn,
            Self::AutostartOff => Power::AutostartOff,
        }
    }
}

pub(super) async fn run(args: &GuestArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = switch::unreadable(&snapshot) {
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
    let plan = match power::plan(&snapshot, guest, args.action.power()) {
        Ok(plan) => plan,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    match switch::agree(&preview::power(&plan), &plan, &args.consent, &sources).await? {
        Agreed::Not(status) => Ok(status),
        Agreed::With(tools) => {
            let (tell, news) = tokio::sync::mpsc::unbounded_channel();
            let change = apply::run_power(&plan, &tools, &tell);
            let outcome = switch::follow(change, news, &plan, &args.consent).await?;
            Ok(switch::status_of(&outcome))
        }
    }
}
