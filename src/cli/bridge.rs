//! `virt-net bridge`, `confirm` and `rollback`: bridges of the host, taken back unless confirmed in time.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use color_eyre::eyre::{Result, WrapErr as _};

use super::switch::{agreed, unreadable};
use super::{ExitStatus, complain, json_text, preview, print};
use crate::change::bridge::record::{Answer, Progress, Record, Records};
use crate::change::bridge::{BridgePlan, BridgeWant, Stp, agent, plan};
use crate::model::IfName;
use crate::source::{self, SourceOptions, now};
use crate::ui::text::escape;

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
    /// The shortest forward delay that the kernel takes with STP, as libvirt's bridges have it.
    const SHORTEST: u32 = 200;

    const fn stp(self) -> Stp {
        match self {
            Self::On => Stp::On { forward_delay: Self::SHORTEST },
            Self::Off => Stp::Off,
        }
    }
}

/// How far to go without asking.
#[derive(Debug, Args)]
struct BridgeConsent {
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
    let (want, consent) = match command {
        BridgeCommand::Create(args) => {
            (BridgeWant::Create { bridge: args.bridge, port: args.port, stp: args.stp.stp() }, &args.consent)
        }
        BridgeCommand::Delete(args) => (BridgeWant::Delete { bridge: args.bridge }, &args.consent),
        BridgeCommand::AddPort(args) => {
            (BridgeWant::AddPort { bridge: args.bridge, port: args.port }, &args.consent)
        }
        BridgeCommand::RemovePort(args) => {
            (BridgeWant::RemovePort { bridge: args.bridge, port: args.port }, &args.consent)
        }
    };
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let plan = match plan::plan(&snapshot, &want) {
        Ok(plan) => plan,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    print(&if consent.json { json_text(&plan)? } else { text(&plan, consent.confirm) })?;
    if consent.dry_run {
        return Ok(ExitStatus::Done);
    }
    if let Some(reason) = forbidden(sources.updates.is_none()) {
        complain(reason);
        return Ok(ExitStatus::Refused);
    }
    if !consent.yes && !agreed()? {
        return Ok(ExitStatus::Refused);
    }
    carry_out(plan, consent).await
}

/// Why nothing may be changed here.
fn forbidden(replay: bool) -> Option<&'static str> {
    if replay {
        return Some("a recording cannot be changed");
    }
    (!nix::unistd::geteuid().is_root()).then_some("bridges are changed by root only; nothing was changed")
}

async fn carry_out(plan: BridgePlan, consent: &BridgeConsent) -> Result<ExitStatus> {
    let records = Records::at(Path::new(Records::DIRECTORY));
    let prepared = records.lock().and_then(|lock| {
        let record = records.prepare(plan, consent.confirm, now())?;
        Ok((lock, record))
    });
    let (lock, record) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            complain(&format!("{error}; nothing was changed"));
            return Ok(ExitStatus::Refused);
        }
    };
    agent::start(&records, lock).wrap_err("start the agent; nothing was changed")?;
    let record = follow(&records, record, |progress| {
        progress.is_final() || matches!(progress, Progress::Waiting { .. })
    })
    .await;
    let Progress::Waiting { .. } = record.progress else { return tell(&record) };
    print(&format!("done, and seen in the kernel: {}\n", escape(&record.plan.title)))?;
    let seconds = record.patience.as_secs();
    if consent.yes || !std::io::stdin().is_terminal() {
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
        let _ = std::io::stdin().lock().read_line(&mut text);
        let _ = typed.send(text);
    });
    let begun = record.begun;
    let ended = follow(records, record, Progress::is_final);
    tokio::pin!(ended);
    let record = tokio::select! {
        record = &mut ended => record,
        Some(text) = line.recv() => {
            let answer = if text.trim() == "keep" { Answer::Confirm } else { Answer::Rollback };
            records.answer(begun, answer)?;
            ended.await
        }
    };
    tell(&record)
}

/// Follows the record until `enough`; an agent that died is finished for.
async fn follow(records: &Records, mut record: Record, enough: impl Fn(&Progress) -> bool) -> Record {
    const POLL: Duration = Duration::from_millis(100);
    loop {
        if let Some(recovered) = agent::recover(records).await {
            record = recovered;
        } else if let Some(read) = records.read().filter(|read| read.begun == record.begun) {
            record = read;
        }
        if enough(&record.progress) {
            return record;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// `virt-net confirm` and `virt-net rollback`.
pub(super) async fn answer(answer: Answer) -> Result<ExitStatus> {
    if let Some(reason) = forbidden(false) {
        complain(reason);
        return Ok(ExitStatus::Refused);
    }
    let records = Records::at(Path::new(Records::DIRECTORY));
    match records.read() {
        Some(record)
            if answer == Answer::Confirm
                && matches!(record.progress, Progress::Prepared | Progress::Applying) =>
        {
            complain("it is not done yet: it can be confirmed when it is seen to work");
            Ok(ExitStatus::Refused)
        }
        Some(record) if !record.progress.is_final() => {
            records.answer(record.begun, answer)?;
            let record = follow(&records, record, Progress::is_final).await;
            let wanted = match answer {
                Answer::Confirm => matches!(record.progress, Progress::Confirmed),
                Answer::Rollback => matches!(record.progress, Progress::RolledBack { .. }),
            };
            tell(&record).map(|_| if wanted { ExitStatus::Done } else { ExitStatus::Failed })
        }
        Some(record) => {
            tell(&record)?;
            complain("nothing waits for a confirmation");
            Ok(ExitStatus::Refused)
        }
        None => {
            complain("nothing waits for a confirmation");
            Ok(ExitStatus::Refused)
        }
    }
}

/// How a change ended, or that it waits.
fn tell(record: &Record) -> Result<ExitStatus> {
    let title = &record.plan.title;
    let (text, status) = match &record.progress {
        Progress::Confirmed => (format!("kept: {title}"), ExitStatus::Done),
        Progress::RolledBack { why } => {
            (format!("taken back: {title}: {why}; the old state is seen in the kernel"), ExitStatus::Failed)
        }
        Progress::Failed { known } => (format!("failed: {title}: {known}"), ExitStatus::Failed),
        Progress::Waiting { until } => {
            let seconds = until.millis_since(now()) / 1_000;
            let text = format!(
                "waits for its confirmation: {title}; taken back in {seconds} s unless you run: virt-net confirm"
            );
            (text, ExitStatus::Done)
        }
        Progress::Prepared | Progress::Applying => (format!("under way: {title}"), ExitStatus::Done),
        Progress::RollingBack { why } => (format!("being taken back: {title}: {why}"), ExitStatus::Done),
    };
    print(&format!("{}\n", escape(&text)))?;
    Ok(status)
}

/// At each start: finishes what a dead agent left, and says what waits.
pub(super) async fn look_after() {
    let records = Records::at(Path::new(Records::DIRECTORY));
    let Some(record) = records.read().filter(|record| !record.progress.is_final()) else { return };
    let recovered = if nix::unistd::geteuid().is_root() { agent::recover(&records).await } else { None };
    let record = recovered.unwrap_or(record);
    let title = escape(&record.plan.title);
    match &record.progress {
        Progress::RolledBack { why } => complain(&format!("taken back: {title}: {}", escape(why))),
        Progress::Failed { known } => complain(&format!("failed: {title}: {}", escape(known))),
        Progress::Waiting { until } => complain(&format!(
            "waits for its confirmation: {title}; taken back in {} s unless you run: virt-net confirm",
            until.millis_since(now()) / 1_000
        )),
        _ => complain(&format!("under way: {title}")),
    }
}

/// Arguments of the agent.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Where the record is
    directory: PathBuf,
}

pub(super) async fn agent(args: &AgentArgs) -> Result<ExitStatus> {
    agent::run(&args.directory).await?;
    Ok(ExitStatus::Done)
}

fn text(plan: &BridgePlan, patience: Duration) -> String {
    let mut lines = vec![plan.title.clone()];
    if let Some(risk) = &plan.risk {
        lines.push(format!("! {risk}"));
    }
    lines.extend(plan.steps.iter().enumerate().map(|(at, step)| format!("  {}. {}", at + 1, step.text())));
    for (link, address) in &plan.after.addresses {
        lines.push(format!("  then {address} is on {link}"));
    }
    lines.extend(plan.gateways.iter().map(|gateway| format!("  proof: {gateway} answers")));
    lines.extend(plan.consequences.iter().map(|consequence| format!("  - {consequence}")));
    lines.push(format!("  taken back by itself after {} s unless confirmed", patience.as_secs()));
    lines.iter().map(|line| escape(line).into_owned() + "\n").collect()
}
