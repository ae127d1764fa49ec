//! `virt-net doctor --fix CHECK`: preview, question, change and proof for each finding of a check, and a last
//! look whether it is gone.

use std::sync::Arc;
use std::time::Duration;

use color_eyre::eyre::Result;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::app::job::{Job, News};
use crate::app::{Event, remedy};
use crate::change::apply::Tools;
use crate::change::{Outcome, StepState};
use crate::cli::bridge::{self, Asking};
use crate::cli::switch::{Agreed, Consent, agree, interrupts, status_of};
use crate::cli::{ExitStatus, complain, json_text, preview, print};
use crate::doctor::{self, Finding};
use crate::model::Snapshot;
use crate::run::jobs;
use crate::source::Sources;
use crate::ui::text::escape;

/// How long the sources may take to show that it is mended; leases and rules are read every few seconds.
const GONE: Duration = Duration::from_secs(15);

pub(super) async fn run(
    check: &'static str,
    way: usize,
    consent: &Consent,
    sources: &mut Sources,
    snapshot: &Arc<Snapshot>,
) -> Result<ExitStatus> {
    let report = doctor::examine(snapshot, &[check]);
    if let Some(unchecked) = report.unchecked.first() {
        complain(&format!("{check} cannot be checked: {}; nothing was changed", escape(&unchecked.why)));
        return Ok(ExitStatus::Refused);
    }
    if report.findings.is_empty() {
        say(consent, &format!("{check}: nothing to mend\n"))?;
    }
    for finding in &report.findings {
        // What was mended before may have mended this too, or changed what its plan rests on.
        let now = sources.snapshots.borrow().clone();
        if !is_found(&now, finding) {
            continue;
        }
        let status = mend(finding, way, consent, sources, &now).await?;
        if status != ExitStatus::Done {
            return Ok(status);
        }
        if !consent.dry_run && !is_gone(finding, sources).await {
            complain(&format!("{check}: it is still found; virt-net doctor {check}"));
            return Ok(ExitStatus::Failed);
        }
    }
    if !report.findings.is_empty() && !consent.dry_run {
        say(consent, &format!("{check}: mended, it is found no more\n"))?;
    }
    Ok(ExitStatus::Done)
}

/// A check that cannot be made any more says nothing: the finding stays.
fn is_found(snapshot: &Snapshot, finding: &Finding) -> bool {
    let report = doctor::examine(snapshot, &[finding.check]);
    !report.unchecked.is_empty() || report.findings.iter().any(|found| found.key() == finding.key())
}

/// Waits until the sources show that it is mended.
async fn is_gone(finding: &Finding, sources: &mut Sources) -> bool {
    sources.refresh();
    let gone = |snapshot: &Arc<Snapshot>| !is_found(snapshot, finding);
    tokio::time::timeout(GONE, sources.snapshots.wait_for(gone)).await.is_ok()
}

fn say(consent: &Consent, text: &str) -> Result<()> {
    if consent.json { Ok(()) } else { print(text) }
}

async fn mend(
    finding: &Finding,
    way: usize,
    consent: &Consent,
    sources: &Sources,
    snapshot: &Snapshot,
) -> Result<ExitStatus> {
    say(consent, &format!("{} {}\n", finding.severity.glyph(), escape(&finding.title)))?;
    let Some(fix) = way.checked_sub(1).and_then(|at| finding.fixes.get(at)) else {
        complain(&format!(
            "{}: there is no way {way}; ways to mend it: {}",
            finding.check,
            finding.fixes.len()
        ));
        return Ok(ExitStatus::Usage);
    };
    let Some(remedy) = &fix.remedy else {
        complain(&format!("{}: by hand only; nothing was changed", escape(&fix.words)));
        fix.commands.iter().for_each(|command| complain(&format!("  {}", escape(command))));
        return Ok(ExitStatus::Refused);
    };
    let is_live = sources.updates.is_some();
    let planned = remedy::plan(snapshot, remedy).and_then(|job| jobs::beyond_draft(job, snapshot, is_live));
    let job = match planned {
        Ok(job) => job,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    carry(&job, consent, sources).await
}

/// Preview, question, change and proof of any job.
pub(in crate::cli) async fn carry(job: &Job, consent: &Consent, sources: &Sources) -> Result<ExitStatus> {
    let tools = match agree(&text(job), &plan_value(job), consent, sources).await? {
        Agreed::With(tools) => tools,
        Agreed::Not(status) => return Ok(status),
    };
    if let Job::Bridge(job) = job
        && !consent.json
    {
        return bridge::carry_out(&job.plan, job.patience, Asking::of_yes(consent.yes)).await;
    }
    let (told, outcome) = carry_out(job, consent, tools).await?;
    if consent.json {
        print(&json_text(&value(job, &told, &outcome))?)?;
    } else {
        preview::outcome(&outcome)?;
    }
    Ok(status_of(&outcome))
}

/// The job to its end, with its news printed; no signal ends it in the middle.
async fn carry_out(job: &Job, consent: &Consent, tools: Tools) -> Result<(Vec<News>, Outcome)> {
    let (events, mut heard) = mpsc::unbounded_channel();
    let change = jobs::run(job.clone(), Ok(tools), events, tokio::sync::watch::channel(false).1);
    tokio::pin!(change);
    let mut interrupted = interrupts()?;
    let mut told = Vec::new();
    let mut outcome = None;
    let mut ended = false;
    // News may arrive behind the end: all is heard when nobody can speak any more.
    loop {
        tokio::select! {
            biased;
            event = heard.recv() => match event {
                Some(Event::Progress(news)) => {
                    if !consent.json {
                        // A terminal that is gone must not end the change in the middle.
                        let _ = print(&line(&news));
                    }
                    told.push(news);
                }
                Some(Event::Outcome(end)) => outcome = Some(*end),
                Some(_) => {}
                None => break,
            },
            Some(()) = interrupted.recv() => complain("a change is running and will be finished or put back first"),
            () = &mut change, if !ended => ended = true,
        }
    }
    let silent = || Outcome::Failed {
        why: "the change ended without a word".to_owned(),
        state: "look again: virt-net doctor".to_owned(),
    };
    Ok((told, outcome.unwrap_or_else(silent)))
}

fn text(job: &Job) -> String {
    let preview = job.preview();
    let mut out = format!("{}\n", escape(&job.title()));
    for sentence in preview.risks.iter().chain(&preview.consequences) {
        out.push_str(&format!("  • {}\n", escape(sentence)));
    }
    out.push_str("steps\n");
    for step in job.steps() {
        out.push_str(&format!("  {:<10} {}\n", escape(&step.label), escape(&step.text)));
    }
    for (label, edit) in &preview.edits {
        out.push_str(&preview::definition(&format!("definition, {label}"), &preview::diff(edit)));
    }
    out.push_str("the same by hand\n");
    for command in preview.commands.iter().filter(|command| !command.starts_with("cat >")) {
        out.push_str(&format!("  {}\n", escape(command)));
    }
    out
}

fn line(news: &News) -> String {
    let text = escape(&news.text);
    match &news.state {
        StepState::Running => String::new(),
        StepState::Waiting { text } => format!("◐ {}\n", escape(text)),
        StepState::Done { proof, millis } if *proof == news.text => format!("✔ {text}  {millis} ms\n"),
        StepState::Done { proof, millis } => format!("✔ {text}: {}  {millis} ms\n", escape(proof)),
        StepState::Unknown { text } => format!("– {}\n", escape(text)),
        StepState::Failed { reason } => format!("✖ {text}: {}\n", escape(reason)),
    }
}

fn plan_value(job: &Job) -> Value {
    let preview = job.preview();
    let steps: Vec<String> = job.steps().into_iter().map(|step| step.text).collect();
    json!({"title": job.title(), "steps": steps, "consequences": preview.consequences, "commands": preview.commands})
}

fn value(job: &Job, told: &[News], outcome: &Outcome) -> Value {
    let news: Vec<Value> = told
        .iter()
        .filter_map(|news| match &news.state {
            StepState::Done { proof, millis } => {
                Some(json!({"step": news.text, "proof": proof, "millis": millis}))
            }
            StepState::Failed { reason } => Some(json!({"step": news.text, "reason": reason})),
            _ => None,
        })
        .collect();
    json!({"plan": plan_value(job), "steps": news, "outcome": preview::outcome_json(outcome)})
}
