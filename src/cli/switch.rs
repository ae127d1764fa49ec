//! `virt-net switch`: plug a NIC somewhere else, with a preview first and proof afterwards.

use std::io::{BufRead as _, IsTerminal as _};
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use serde::Serialize;
use tokio::sync::mpsc::UnboundedReceiver;

use super::preview;
use super::select::{self, Selection};
use super::{ExitStatus, complain, print};
use crate::change::apply::{self, Tools};
use crate::change::journal::Journal;
use crate::change::{Bounce, Outcome, Plan, Progress, Target, Want, When, plan};
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
    /// Shut the guest down and start it, so that its next boot is now
    #[arg(long, conflicts_with = "next_boot")]
    restart: bool,
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

pub(super) fn parse_target(text: &str) -> Result<Target, String> {
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

pub(super) fn parse_bounce(text: &str) -> Result<Bounce, String> {
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
    let snapshot = match args.model {
        None => sources.settled(Duration::from_secs(10)).await,
        Some(_) => sources.with_emulators().await,
    };
    if let Some(refusal) = unreadable(&snapshot) {
        complain(&refusal);
        return Ok(ExitStatus::Refused);
    }
    let id = match select::nic(&snapshot, "switch", &args.vm, args.nic.as_deref()) {
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
    let want = Want {
        nic: id,
        target: args.to.clone(),
        model: args.model.clone(),
        when: when(args.next_boot || args.restart),
        bounce: args.bounce,
    };
    let planned = match plan::plan(&snapshot, &want) {
        Ok(plan) if args.restart => plan.by_restart(&snapshot),
        planned => planned,
    };
    match planned {
        Ok(plan) => carry_out(&plan, &args.consent, &sources).await,
        Err(refusal) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
    }
}

/// What `--next-boot` means.
pub(super) const fn when(next_boot: bool) -> When {
    if next_boot { When::NextBoot } else { When::NowAndNextBoot }
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

/// Preview, question, apply, result of a NIC's plan.
pub(super) async fn carry_out(plan: &Plan, consent: &Consent, sources: &Sources) -> Result<ExitStatus> {
    match agree(&preview::plan(plan), plan, consent, sources).await? {
        Agreed::Not(status) => Ok(status),
        Agreed::With(tools) => {
            let (tell, news) = tokio::sync::mpsc::unbounded_channel();
            let outcome = follow(apply::run(plan, &tools, &tell), news, plan, consent).await?;
            Ok(status_of(&outcome))
        }
    }
}

/// The answer to a preview.
pub(super) enum Agreed {
    /// Do it, with these.
    With(Tools),
    /// Do not, and end so.
    Not(ExitStatus),
}

/// Shows the preview and asks, as far as the arguments leave that open.
pub(super) async fn agree(
    text: &str,
    plan: &impl Serialize,
    consent: &Consent,
    sources: &Sources,
) -> Result<Agreed> {
    if !consent.json {
        print(text)?;
    }
    if consent.dry_run {
        if consent.json {
            print(&preview::json(plan, &[], None)?)?;
        }
        return Ok(Agreed::Not(ExitStatus::Done));
    }
    if sources.updates.is_none() {
        complain("a recording cannot be changed");
        return Ok(Agreed::Not(ExitStatus::Refused));
    }
    if !consent.yes && !agreed().await? {
        return Ok(Agreed::Not(ExitStatus::Refused));
    }
    let journal = match Journal::open() {
        Ok(journal) => journal,
        Err(error) => {
            complain(&format!("{error}; nothing was changed"));
            return Ok(Agreed::Not(ExitStatus::Refused));
        }
    };
    Ok(Agreed::With(Tools {
        uri: sources.uri.clone(),
        snapshots: sources.snapshots.clone(),
        updates: sources.updates.clone(),
        journal,
    }))
}

/// Runs a change to its end and prints its news; no signal ends it in the middle.
pub(super) async fn follow(
    change: impl Future<Output = Outcome>,
    mut news: UnboundedReceiver<Progress>,
    plan: &impl Serialize,
    consent: &Consent,
) -> Result<Outcome> {
    tokio::pin!(change);
    let mut interrupted = interrupts()?;
    let mut told = Vec::new();
    // A terminal that is gone must not end the change in the middle.
    let mut tell = |progress: Progress| {
        if !consent.json {
            let _ = print(&preview::progress(&progress));
        }
        told.push(progress);
    };
    let outcome = loop {
        tokio::select! {
            biased;
            Some(progress) = news.recv() => tell(progress),
            Some(()) = interrupted.recv() => complain("a change is running and will be finished or put back first"),
            outcome = &mut change => break outcome,
        }
    };
    while let Ok(progress) = news.try_recv() {
        tell(progress);
    }
    if consent.json {
        print(&preview::json(plan, &told, Some(&outcome))?)?;
    } else {
        preview::outcome(&outcome)?;
    }
    Ok(outcome)
}

/// How the program ends after a change ended so.
pub(super) const fn status_of(outcome: &Outcome) -> ExitStatus {
    match outcome {
        Outcome::Verified { .. } => ExitStatus::Done,
        Outcome::Refused(_) => ExitStatus::Refused,
        Outcome::Reverted { .. } | Outcome::Failed { .. } => ExitStatus::Failed,
    }
}

/// A lost terminal or ctrl-C must not leave a change half done: the signals are only noted.
pub(super) fn interrupts() -> Result<tokio::sync::mpsc::UnboundedReceiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    super::ending::change_begins();
    let (noted, heard) = tokio::sync::mpsc::unbounded_channel();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind)?;
        let noted = noted.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && noted.send(()).is_ok() {} });
    }
    Ok(heard)
}

/// Asks on a terminal; without one nobody can agree.
pub(super) async fn agreed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        complain("not a terminal: nobody can be asked; add --yes to do it");
        return Ok(false);
    }
    print("Do it? [y/N] ")?;
    // Beside the runtime: the picture of the host goes on while somebody thinks.
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = read.await??;
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        complain("nothing was changed");
    }
    Ok(yes)
}
