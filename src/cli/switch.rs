//! `virt-net switch`: plug a NIC somewhere else, with a preview first and proof afterwards.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;

use super::preview;
use super::select::{self, Selection};
use super::{ExitStatus, complain, print};
use crate::change::apply::{self, Tools};
use crate::change::journal::Journal;
use crate::change::{Bounce, Outcome, Plan, Target, Want, When, plan};
use crate::model::{MacvtapMode, Snapshot};
use crate::source::{self, SourceOptions, Sources};

/// Arguments of `switch`.
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// The guest, by name or UUID
    vm: String,
    /// Its NIC: MAC address, name on the host (vnet0), or position from 0; needed if it has several
    nic: Option<String>,
    /// Where to: network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    to: Target,
    /// Give the NIC this model as well (virtio, e1000, …)
    #[arg(long)]
    model: Option<String>,
    /// Leave the running guest alone: only the next boot changes
    #[arg(long)]
    next_boot: bool,
    /// Seconds the link stays down after a live switch so that the guest asks for an address, or "off"
    #[arg(long, value_name = "SECONDS|off", value_parser = parse_bounce, default_value = "6")]
    bounce: Bounce,
    #[command(flatten)]
    consent: Consent,
}

/// How a change is agreed to, and how its result is printed.
#[derive(Debug, Args)]
pub(super) struct Consent {
    /// Show what would be done and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do it without asking
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Print one JSON object with the plan, the steps and the outcome
    #[arg(long)]
    pub(super) json: bool,
}

fn parse_target(text: &str) -> Result<Target, String> {
    let usage = "expected network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]";
    let (kind, rest) = text.split_once('=').ok_or(usage)?;
    if rest.is_empty() {
        return Err(usage.to_owned());
    }
    let name = |text: &str| text.parse().map_err(|error: crate::model::ids::ParseIdError| error.to_string());
    match kind {
        "network" => Ok(Target::Network { network: rest.to_owned() }),
        "bridge" => Ok(Target::Bridge { bridge: name(rest)? }),
        "macvtap" => {
            let (lower, mode) = match rest.split_once(",mode=") {
                Some((lower, mode)) => (lower, MacvtapMode::from_word(mode).ok_or(usage)?),
                None => (rest, MacvtapMode::Bridge),
            };
            Ok(Target::Macvtap { lower: name(lower)?, mode })
        }
        _ => Err(usage.to_owned()),
    }
}

fn parse_bounce(text: &str) -> Result<Bounce, String> {
    if text == "off" {
        return Ok(Bounce::Off);
    }
    match text.parse::<f32>() {
        Ok(seconds) if (0.1..=60.0).contains(&seconds) => Ok(Bounce::Hold(Duration::from_secs_f32(seconds))),
        _ => Err("expected seconds from 0.1 to 60, or off".to_owned()),
    }
}

pub(super) async fn run(args: &SwitchArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(refusal) = unreadable(&snapshot) {
        complain(&refusal);
        return Ok(ExitStatus::Refused);
    }
    let id = match select::nic(&snapshot, &args.vm, args.nic.as_deref()) {
        Selection::Found(id) => id,
        Selection::Unknown(sentence) => {
            complain(&sentence);
            return Ok(ExitStatus::Usage);
        }
    };
    if let Some(sentence) = select::unknown_target(&snapshot, &args.to) {
        complain(&sentence);
        return Ok(ExitStatus::Usage);
    }
    let when = if args.next_boot { When::NextBoot } else { When::NowAndNextBoot };
    let want =
        Want { nic: id, target: args.to.clone(), model: args.model.clone(), when, bounce: args.bounce };
    match plan::plan(&snapshot, &want) {
        Ok(plan) => Ok(carry_out(&plan, &args.consent, &sources, None).await?.0),
        Err(refusal) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
    }
}

/// Why nothing can be planned; `None` when both sources are current.
pub(super) fn unreadable(snapshot: &Snapshot) -> Option<String> {
    let health = &snapshot.health;
    [("libvirt", &health.libvirt), ("kernel", &health.kernel)]
        .into_iter()
        .find(|(_, state)| !state.is_ok())
        .map(|(name, state)| {
            format!("{name}: {}; nothing was changed", crate::ui::words::health(state, snapshot.taken_at))
        })
}

/// Preview, question, apply, result.
pub(super) async fn carry_out(
    plan: &Plan,
    consent: &Consent,
    sources: &Sources,
    journal: Option<Journal>,
) -> Result<(ExitStatus, Option<Outcome>)> {
    if !consent.json {
        print(&preview::plan(plan))?;
    }
    if consent.dry_run {
        if consent.json {
            print(&preview::json(plan, &[], None)?)?;
        }
        return Ok((ExitStatus::Done, None));
    }
    if sources.updates.is_none() {
        complain("a recording cannot be changed");
        return Ok((ExitStatus::Refused, None));
    }
    if !consent.yes && !agreed()? {
        return Ok((ExitStatus::Refused, None));
    }
    let journal = match journal.map_or_else(Journal::open, Ok) {
        Ok(journal) => journal,
        Err(error) => {
            complain(&format!("{error}; nothing was changed"));
            return Ok((ExitStatus::Refused, None));
        }
    };
    let tools = Tools {
        uri: sources.uri.clone(),
        snapshots: sources.snapshots.clone(),
        updates: sources.updates.clone(),
        journal,
    };
    let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
    let change = apply::run(plan, &tools, &tell);
    tokio::pin!(change);
    let mut interrupted = interrupts()?;
    let mut told = Vec::new();
    let outcome = loop {
        tokio::select! {
            biased;
            Some(progress) = news.recv() => {
                if !consent.json {
                    print(&preview::progress(&progress))?;
                }
                told.push(progress);
            }
            Some(()) = interrupted.recv() => complain("a change is running and will be finished or put back first"),
            outcome = &mut change => break outcome,
        }
    };
    while let Ok(progress) = news.try_recv() {
        if !consent.json {
            print(&preview::progress(&progress))?;
        }
        told.push(progress);
    }
    if consent.json {
        print(&preview::json(plan, &told, Some(&outcome))?)?;
    } else {
        preview::outcome(&outcome)?;
    }
    let status = match &outcome {
        Outcome::Verified { .. } => ExitStatus::Done,
        Outcome::Refused(_) => ExitStatus::Refused,
        Outcome::Reverted { .. } | Outcome::Failed { .. } => ExitStatus::Failed,
    };
    Ok((status, Some(outcome)))
}

/// A lost terminal or ctrl-C must not leave a change half done: the signals are only noted.
pub(super) fn interrupts() -> Result<tokio::sync::mpsc::UnboundedReceiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (noted, heard) = tokio::sync::mpsc::unbounded_channel();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        let noted = noted.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && noted.send(()).is_ok() {} });
    }
    Ok(heard)
}

/// Asks on a terminal; without one nobody can agree.
pub(super) fn agreed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        complain("not a terminal: nobody can be asked; add --yes to do it");
        return Ok(false);
    }
    print("Do it? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        complain("nothing was changed");
    }
    Ok(yes)
}
