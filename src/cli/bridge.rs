//! `virt-net bridge`: bridges of the host, taken back unless confirmed in time.

mod text;
mod waiting;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use color_eyre::eyre::Result;

use super::switch::{agreed, unreadable};
use super::{ExitStatus, complain, json_text, preview, print};
use crate::change::bridge::record::{Answer, Progress, Record, Records};
use crate::change::bridge::{
    Addressing, BridgePlan, BridgeWant, Lasting, Stp, agent, course, evidence, plan,
};
use crate::model::{IfName, Timestamp};
use crate::source::{self, SourceOptions};
use crate::ui::text::escape;

pub(super) use waiting::{answer, look_after, waiting_json};

/// Subcommands of `bridge`.
#[derive(Debug, Subcommand)]
pub enum BridgeCommand {
    /// Make a bridge over a NIC; the NIC's addresses and routes move to it
    Create(CreateArgs),
    /// Delete a bridge; its only port gets the addresses and routes back
    Delete(BridgeArgs),
    /// Make a link a port of a bridge
    AddPort(PortArgs),
    /// Free a port of a bridge
    RemovePort(PortArgs),
}

/// Arguments of `bridge create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The new bridge
    bridge: IfName,
    /// The NIC it is made over
    #[arg(long, value_name = "LINK")]
    port: IfName,
    /// Where the bridge's address comes from: `move` takes over the NIC's, `dhcp` asks a server, an
    /// address with its prefix (10.0.0.88/24) replaces the NIC's
    #[arg(long, value_name = "move|dhcp|CIDR", default_value = "move")]
    address: Addressing,
    /// Spanning tree; with it nothing passes the port for 4 seconds
    #[arg(long, value_enum, default_value = "off")]
    stp: StpWord,
    #[command(flatten)]
    consent: BridgeConsent,
}

/// Arguments that name a bridge.
#[derive(Debug, Args)]
pub struct BridgeArgs {
    /// The bridge
    bridge: IfName,
    #[command(flatten)]
    consent: BridgeConsent,
}

/// Arguments that name a bridge and a port.
#[derive(Debug, Args)]
pub struct PortArgs {
    /// The bridge
    bridge: IfName,
    /// The link
    port: IfName,
    #[command(flatten)]
    consent: BridgeConsent,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StpWord {
    /// On
    On,
    /// Off
    Off,
}

impl StpWord {
    const fn stp(self) -> Stp {
        match self {
            Self::On => Stp::SHORTEST,
            Self::Off => Stp::Off,
        }
    }
}

/// How far to go without asking.
#[derive(Debug, Args)]
struct BridgeConsent {
    /// Who writes it down for the next boot: whoever owns the NIC, nobody, or this one
    /// (networkmanager, netplan, networkd, ifupdown, ifcfg)
    #[arg(long, value_name = "auto|none|BACKEND", default_value = "auto")]
    persist: Lasting,
    /// Take it back by itself unless `virt-net confirm` comes within this time, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "60s", value_parser = parse_patience)]
    confirm: Duration,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking; it still has to be confirmed
    #[arg(long)]
    yes: bool,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

fn parse_patience(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u64>();
    match seconds {
        Ok(seconds) if (5..=3600).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected seconds from 5 to 3600, as 60s".to_owned()),
    }
}

pub(super) async fn run(command: &BridgeCommand, options: &SourceOptions) -> Result<ExitStatus> {
    let (want, consent) = wanted(command);
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let is_recording = sources.updates.is_none();
    let evidence =
        if is_recording { evidence::Evidence::default() } else { evidence::read(&want, &snapshot) };
    let plan = match plan::plan(&snapshot, &evidence, &want) {
        Ok(plan) => plan,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    let shown =
        if consent.json { json_text(&plan.shown())? } else { text::plan(&plan.shown(), consent.confirm) };
    print(&shown)?;
    if consent.dry_run {
        return Ok(ExitStatus::Done);
    }
    if is_recording {
        complain("a recording cannot be changed");
        return Ok(ExitStatus::Refused);
    }
    if !consent.yes && !agreed().await? {
        return Ok(ExitStatus::Refused);
    }
    carry_out(&plan, consent.confirm, Asking::of_yes(consent.yes)).await
}

fn wanted(command: &BridgeCommand) -> (BridgeWant, &BridgeConsent) {
    match command {
        BridgeCommand::Create(CreateArgs { bridge, port, address, stp, consent }) => {
            let (bridge, port, address, persist) = (*bridge, *port, *address, consent.persist);
            (BridgeWant::Create { bridge, port, stp: stp.stp(), address, persist }, consent)
        }
        BridgeCommand::Delete(BridgeArgs { bridge, consent }) => {
            (BridgeWant::Delete { bridge: *bridge, persist: consent.persist }, consent)
        }
        BridgeCommand::AddPort(PortArgs { bridge, port, consent }) => {
            let (bridge, port, persist) = (*bridge, *port, consent.persist);
            (BridgeWant::AddPort { bridge, port, persist }, consent)
        }
        BridgeCommand::RemovePort(PortArgs { bridge, port, consent }) => {
            let (bridge, port, persist) = (*bridge, *port, consent.persist);
            (BridgeWant::RemovePort { bridge, port, persist }, consent)
        }
    }
}

/// Whether somebody is there to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// At the terminal, if there is one.
    AtTerminal,
    /// `--yes`.
    No,
}

impl Asking {
    /// As `--yes` says.
    pub(super) const fn of_yes(yes: bool) -> Self {
        if yes { Self::No } else { Self::AtTerminal }
    }
}

/// Carries it out until it waits; then asks for the answer, or tells how it is given where nobody is to be asked.
pub(super) async fn carry_out(plan: &BridgePlan, patience: Duration, asking: Asking) -> Result<ExitStatus> {
    let records = Records::host();
    let record = match course::begin(&records, plan, patience) {
        Ok(record) => record,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    let mut last = String::new();
    let record = course::follow(&records, record, |Record { progress, .. }| {
        if let Progress::Applying { doing, .. } = progress
            && *doing != last
        {
            last.clone_from(doing);
            let _ = print(&format!("◐ {}\n", escape(doing)));
        }
        progress.is_final() || matches!(progress, Progress::Waiting { .. })
    })
    .await;
    let Progress::Waiting { proofs, .. } = &record.progress else { return waiting::tell(&record) };
    for proof in proofs {
        print(&format!("✔ {}\n", escape(proof)))?;
    }
    print(&format!("done, and seen in the kernel: {}\n", escape(&record.plan.title)))?;
    if let Some(alone) = course::alone(&record) {
        complain(&escape(&alone));
    }
    let seconds = record.patience.as_secs();
    if asking == Asking::No || !std::io::stdin().is_terminal() {
        print(&format!("it is taken back in {seconds} s unless you run: virt-net confirm\n"))?;
        return Ok(ExitStatus::Done);
    }
    print(&format!("Type keep within {seconds} s to keep it; anything else takes it back: "))?;
    ask(&records, record).await
}

/// Waits for a line from the terminal or for the agent to lose its patience, whichever comes first.
async fn ask(records: &Records, record: Record) -> Result<ExitStatus> {
    let (typed, mut line) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        // A terminal that hangs up says nothing: that is no answer.
        if std::io::stdin().lock().read_line(&mut text).is_ok_and(|read| read > 0) {
            let _ = typed.send(text);
        }
    });
    let begun = record.begun;
    let ended = course::follow(records, record, Record::is_final);
    tokio::pin!(ended);
    let record = tokio::select! {
        record = &mut ended => record,
        Some(text) = line.recv() => {
            let answer = if text.trim() == "keep" { Answer::Confirm } else { Answer::Rollback };
            records.answer(begun, answer)?;
            ended.await
        }
    };
    waiting::tell(&record)
}

/// Arguments of the agent.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The lock is not the standard input
    #[arg(long)]
    take_lock: bool,
    /// The change it is started for, in milliseconds since 1970; any if not given
    #[arg(long)]
    begun: Option<u64>,
    /// Where the record is
    directory: PathBuf,
}

pub(super) async fn agent(args: &AgentArgs) -> Result<ExitStatus> {
    let lock = if args.take_lock { agent::Lock::Take } else { agent::Lock::Inherited };
    agent::run(&args.directory, lock, args.begun.map(Timestamp)).await?;
    Ok(ExitStatus::Done)
}
