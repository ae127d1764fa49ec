//! `virt-net network`: libvirt's networks, with a preview first and proof afterwards.

mod args;

use std::time::Duration;

use color_eyre::eyre::Result;
use serde_json::{Value, json};

pub(super) use self::args::NetworkCommand;
use super::switch::{Consent, agreed, interrupts, unreadable};
use super::{ExitStatus, complain, preview, print, select};
use crate::change::apply::network::{self as apply, NetworkOutcome, NetworkProgress};
use crate::change::network::{NetworkPlan, plan};
use crate::source::{self, SourceOptions, Sources};
use crate::ui::text::escape;

pub(super) async fn run(command: &NetworkCommand, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    // A deletion that was interrupted may have left nothing but its record.
    let left = |name: &str| snapshot.services.unfinished.iter().any(|left| left.of_network(name));
    let existing = command.existing().filter(|name| !left(name));
    if let Some(sentence) = existing.and_then(|name| select::unknown_network(&snapshot, name)) {
        complain(&sentence);
        return Ok(ExitStatus::Usage);
    }
    match plan(&snapshot, &command.want(&snapshot)?) {
        Ok(plan) => carry_out(&plan, command.consent(), &sources).await,
        Err(refusal) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
    }
}

/// Preview, question, apply, result.
async fn carry_out(plan: &NetworkPlan, consent: &Consent, sources: &Sources) -> Result<ExitStatus> {
    if !consent.json {
        print(&text(plan))?;
    }
    if consent.dry_run {
        if consent.json {
            print(&super::json_text(&value(plan, &[], None))?)?;
        }
        return Ok(ExitStatus::Done);
    }
    if sources.updates.is_none() {
        complain("a recording cannot be changed");
        return Ok(ExitStatus::Refused);
    }
    if !consent.yes && !agreed().await? {
        return Ok(ExitStatus::Refused);
    }
    let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
    let change = apply::run(&sources.uri, plan, &tell);
    tokio::pin!(change);
    let mut interrupted = interrupts()?;
    let mut told = Vec::new();
    let outcome = loop {
        tokio::select! {
            biased;
            Some(progress) = news.recv() => hear(progress, &mut told, consent),
            Some(()) = interrupted.recv() => complain("a change is running and will be finished or put back first"),
            outcome = &mut change => break outcome,
        }
    };
    while let Ok(progress) = news.try_recv() {
        hear(progress, &mut told, consent);
    }
    if consent.json {
        print(&super::json_text(&value(plan, &told, Some(&outcome)))?)?;
    }
    match &outcome {
        NetworkOutcome::Verified => {
            if !consent.json {
                print("verified\n")?;
            }
            Ok(ExitStatus::Done)
        }
        NetworkOutcome::Refused(refusal) => {
            preview::refused(refusal);
            Ok(ExitStatus::Refused)
        }
        NetworkOutcome::Reverted { why } => {
            complain(&format!("put back as it was: {}", escape(why)));
            Ok(ExitStatus::Failed)
        }
        NetworkOutcome::Failed { why, state } => {
            complain(&format!("failed: {}", escape(why)));
            complain(&format!("state: {}", escape(state)));
            Ok(ExitStatus::Failed)
        }
    }
}

fn hear(progress: NetworkProgress, told: &mut Vec<NetworkProgress>, consent: &Consent) {
    if !consent.json {
        let line = match &progress.result {
            Ok(proof) => {
                format!("✔ {:<44} {}  {} ms\n", escape(&progress.text), escape(proof), progress.millis)
            }
            Err(reason) => format!("✖ {:<44} {}\n", escape(&progress.text), escape(reason)),
        };
        // A terminal that is gone must not end the change in the middle.
        let _ = print(&line);
    }
    told.push(progress);
}

/// The preview.
fn text(plan: &NetworkPlan) -> String {
    let mut out = format!("{}\n", escape(&plan.title));
    for sentence in &plan.consequences {
        out.push_str(&format!("  • {}\n", escape(sentence)));
    }
    out.push_str("steps\n");
    for step in &plan.steps {
        out.push_str(&format!("  {}\n", escape(&step.text)));
    }
    let edit = crate::change::Edit::of(plan.before.as_deref(), plan.after.as_deref());
    out.push_str(&preview::definition("definition", &preview::diff(&edit)));
    out.push_str("the same by hand\n");
    for command in plan.commands.iter().filter(|command| !command.starts_with("cat >")) {
        out.push_str(&format!("  {}\n", escape(command)));
    }
    out
}

fn value(plan: &NetworkPlan, told: &[NetworkProgress], outcome: Option<&NetworkOutcome>) -> Value {
    let steps: Vec<&str> = plan.steps.iter().map(|step| step.text.as_str()).collect();
    let told: Vec<Value> = told
        .iter()
        .map(|progress| match &progress.result {
            Ok(proof) => json!({"step": progress.text, "proof": proof, "millis": progress.millis}),
            Err(reason) => json!({"step": progress.text, "reason": reason, "millis": progress.millis}),
        })
        .collect();
    let outcome = outcome.map(|outcome| match outcome {
        NetworkOutcome::Verified => json!({"result": "verified"}),
        NetworkOutcome::Refused(refusal) => {
            json!({"result": "refused", "why": refusal.reason, "way_out": refusal.way_out})
        }
        NetworkOutcome::Reverted { why } => json!({"result": "reverted", "why": why}),
        NetworkOutcome::Failed { why, state } => json!({"result": "failed", "why": why, "state": state}),
    });
    let plan = json!({
        "title": plan.title, "network": plan.network, "before": plan.before, "after": plan.after, "steps": steps,
        "consequences": plan.consequences, "commands": plan.commands,
    });
    json!({"plan": plan, "steps": told, "outcome": outcome})
}
