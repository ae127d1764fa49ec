//! `virt-net switch-all`: every NIC of one place to another, all of them or none, with one preview.

use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;

use super::switch::{self, Agreed, Consent, interrupts, parse_bounce, parse_target};
use super::{ExitStatus, complain, preview, print, select};
use crate::change::apply::{self, ManyOutcome, News};
use crate::change::many::{self, Many};
use crate::change::{Bounce, Outcome, StepState, Target, Want};
use crate::model::{NicId, Snapshot};
use crate::source::{self, SourceOptions, Sources};
use crate::ui::text::escape;

/// Arguments of `switch-all`.
#[derive(Debug, Args)]
pub struct SwitchAllArgs {
    /// All NICs that are plugged in here: network=NAME, bridge=NAME or macvtap=LINK[,mode=…]
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    from: Target,
    /// Where to: network=NAME, bridge=NAME or macvtap=LINK[,mode=…]
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    to: Target,
    /// Only those of this guest; may be given more than once
    #[arg(long, value_name = "VM")]
    vm: Vec<String>,
    /// Leave the running guests alone: only their next boot changes
    #[arg(long)]
    next_boot: bool,
    /// Seconds the links stay down after a live switch so that the guests ask for an address, or "off"
    #[arg(long, value_name = "SECONDS|off", value_parser = parse_bounce, default_value = "6")]
    bounce: Bounce,
    #[command(flatten)]
    consent: Consent,
}

pub(super) async fn run(args: &SwitchAllArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = switch::unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let nics = match chosen(&snapshot, args) {
        Ok(nics) => nics,
        Err(sentence) => {
            complain(&sentence);
            return Ok(ExitStatus::Usage);
        }
    };
    let Some(first) = nics.first() else {
        complain(&format!("no NIC is plugged into {}; nothing was changed", escape(&args.from.words())));
        return Ok(ExitStatus::Refused);
    };
    let when = switch::when(args.next_boot);
    let want = Want { nic: *first, target: args.to.clone(), model: None, when, bounce: args.bounce };
    let many = many::plan(&snapshot, &nics, &want);
    carry_out(&many, &args.consent, &sources).await
}

/// Preview, question, apply, result.
pub(super) async fn carry_out(many: &Many, consent: &Consent, sources: &Sources) -> Result<ExitStatus> {
    if many.plans.is_empty() {
        print(&text(many))?;
        complain("none of them can be switched; nothing was changed");
        return Ok(ExitStatus::Refused);
    }
    match switch::agree(&text(many), many, consent, sources).await? {
        Agreed::Not(status) => Ok(status),
        Agreed::With(tools) => {
            let (tell, news) = unbounded_channel();
            let outcome = follow(many, apply::run_many(many, &tools, &tell), news, consent).await?;
            Ok(if outcome.is_verified() { ExitStatus::Done } else { ExitStatus::Failed })
        }
    }
}

fn chosen(snapshot: &Snapshot, args: &SwitchAllArgs) -> Result<Vec<NicId>, String> {
    for target in [&args.from, &args.to] {
        if let Some(sentence) = select::unknown_target(snapshot, target) {
            return Err(sentence);
        }
    }
    let mut guests = Vec::new();
    for vm in &args.vm {
        guests.push(select::guest(snapshot, vm)?.id);
    }
    let mut nics = many::plugged_into(snapshot, &args.from);
    nics.retain(|nic| guests.is_empty() || guests.contains(&nic.domain));
    Ok(nics)
}

/// The preview: a line per NIC, then what all of it means, each sentence once.
fn text(many: &Many) -> String {
    let mut out = String::new();
    let mut sentences: Vec<&str> = Vec::new();
    for plan in &many.plans {
        out.push_str(&format!("{} {}: {}\n", escape(&plan.guest), plan.nic.mac, escape(&plan.title)));
        for sentence in &plan.consequences {
            if !sentences.contains(&sentence.as_str()) {
                sentences.push(sentence);
            }
        }
    }
    for left in &many.left_out {
        let reason = escape(&left.refusal.reason);
        out.push_str(&format!("{} {}: stays: {reason}\n", escape(&left.guest), left.nic.mac));
    }
    for sentence in sentences {
        out.push_str(&format!("  • {}\n", escape(sentence)));
    }
    out.push_str("if one fails, those that were done are taken back\n");
    out
}

/// Runs it to its end and prints its news.
async fn follow(
    many: &Many,
    change: impl Future<Output = ManyOutcome>,
    mut news: tokio::sync::mpsc::UnboundedReceiver<News>,
    consent: &Consent,
) -> Result<ManyOutcome> {
    tokio::pin!(change);
    let mut interrupted = interrupts()?;
    // A terminal that is gone must not end the changes in the middle.
    let tell = |news: &News| {
        if !consent.json {
            let _ = print(&line(many, news));
        }
    };
    let outcome = loop {
        tokio::select! {
            biased;
            Some(news) = news.recv() => tell(&news),
            Some(()) = interrupted.recv() => complain("changes are running and will be finished or put back first"),
            outcome = &mut change => break outcome,
        }
    };
    while let Ok(news) = news.try_recv() {
        tell(&news);
    }
    if consent.json {
        let ends = |ends: &[(NicId, Outcome)]| -> Vec<_> {
            let end = |(nic, outcome): &(NicId, Outcome)| json!({"nic": nic, "outcome": preview::outcome_json(outcome)});
            ends.iter().map(end).collect()
        };
        let value =
            json!({"plan": many, "outcomes": ends(&outcome.each), "taken_back": ends(&outcome.taken_back)});
        print(&super::json_text(&value)?)?;
    } else {
        for (nic, end) in &outcome.each {
            print(&format!("{}: {}\n", name(many, *nic), preview::outcome_line(end)))?;
        }
        for (nic, end) in &outcome.taken_back {
            let end = match end {
                Outcome::Verified { .. } => "taken back".to_owned(),
                end => format!("taken back? {}", preview::outcome_line(end)),
            };
            print(&format!("{}: {end}\n", name(many, *nic)))?;
        }
    }
    if !outcome.is_verified() {
        complain("not all of it could be done");
    }
    Ok(outcome)
}

fn name(many: &Many, nic: NicId) -> String {
    let guest = many.plans.iter().find(|plan| plan.nic == nic).map(|plan| escape(&plan.guest).into_owned());
    format!("{} {}", guest.unwrap_or_default(), nic.mac)
}

/// Only what is done or went wrong: with many NICs at once, what is waited for would be noise.
fn line(many: &Many, news: &News) -> String {
    match &news.progress.state {
        StepState::Running | StepState::Waiting { .. } => String::new(),
        _ => {
            let told = preview::progress(&news.progress);
            format!("{:<28} {told}", name(many, news.nic))
        }
    }
}
