//! A plan, its progress and its outcome as text and JSON.

use color_eyre::eyre::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::{complain, print};
use crate::change::new_guest::GuestPlan;
use crate::change::{Edit, Outcome, Plan, PowerPlan, Progress, Refusal, Step, StepState};
use crate::ui::diff;
use crate::ui::text::escape;

/// The preview.
pub(super) fn plan(plan: &Plan) -> String {
    let mut out = format!("{} {}: {}\n", escape(&plan.guest), plan.nic.mac, escape(&plan.title));
    out.push_str(&meaning(&plan.consequences, &plan.steps));
    let [live, next] = [&plan.live, &plan.next].map(|edit| edit.as_ref().map(diff).unwrap_or_default());
    if live == next {
        out.push_str(&definition("definition, live and next boot", &live));
    } else {
        out.push_str(&definition("definition, live", &live));
        out.push_str(&definition("definition, next boot", &next));
    }
    out + &by_hand(&plan.commands)
}

/// What changes in a definition below its heading; nothing where nothing does.
pub(super) fn definition(heading: &str, diff: &str) -> String {
    if diff.is_empty() { String::new() } else { format!("{}\n{diff}", escape(heading)) }
}

/// The preview of a guest's start, shutdown, …
pub(super) fn power(plan: &PowerPlan) -> String {
    let heading = format!("{}: {}\n", escape(&plan.name), plan.power.words());
    heading + &meaning(&plan.consequences, &plan.steps) + &by_hand(&plan.commands)
}

/// The preview of a new guest: what it means, and the very call.
pub(super) fn new_guest(plan: &GuestPlan) -> String {
    let mut out = format!("{}\n", escape(&plan.title));
    for risk in &plan.risks {
        out.push_str(&format!("  ▲ {}\n", escape(risk)));
    }
    out + &meaning(&plan.consequences, &plan.steps) + &format!("the call\n  {}\n", escape(&plan.line()))
}

fn meaning(consequences: &[String], steps: &[Step]) -> String {
    let mut out = String::new();
    for sentence in consequences {
        out.push_str(&format!("  • {}\n", escape(sentence)));
    }
    out.push_str("steps\n");
    for step in steps {
        out.push_str(&format!("  {:<10} {}\n", step.id.word(), escape(&step.text)));
    }
    out
}

pub(super) fn by_hand(commands: &[String]) -> String {
    let mut out = "the same by hand (the files whole: --json)\n".to_owned();
    for command in commands.iter().filter(|command| !command.starts_with("cat >")) {
        out.push_str(&format!("  {}\n", escape(command)));
    }
    out
}

/// The lines that change in meaning, with `-` and `+`.
pub(super) fn diff(edit: &Edit) -> String {
    let mut out = String::new();
    for (tag, line) in diff::changed(edit) {
        out.push_str(&format!("  {tag} {}\n", escape(&line)));
    }
    out
}

/// One line per piece of news.
pub(super) fn progress(progress: &Progress) -> String {
    let step = progress.step.word();
    match &progress.state {
        StepState::Running => String::new(),
        StepState::Waiting { text } => format!("◐ {step:<10} {}\n", escape(text)),
        StepState::Done { proof, millis } => format!("✔ {step:<10} {:<44} {millis} ms\n", escape(proof)),
        StepState::Unknown { text } => format!("– {step:<10} {}\n", escape(text)),
        StepState::Failed { reason } => format!("✖ {step:<10} {}\n", escape(reason)),
    }
}

/// The end: on standard output when it is done, else on standard error.
pub(super) fn outcome(outcome: &Outcome) -> Result<()> {
    match outcome {
        Outcome::Verified { .. } => print("verified\n")?,
        Outcome::Reverted { why } => complain(&format!("put back as it was: {}", escape(why))),
        Outcome::Refused(refusal) => refused(refusal),
        Outcome::Failed { why, state } => {
            complain(&format!("failed: {}", escape(why)));
            complain(&format!("state: {}", escape(state)));
        }
    }
    Ok(())
}

/// The end of one of many, in a line.
pub(super) fn outcome_line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Verified { .. } => "verified".to_owned(),
        Outcome::Reverted { why } => format!("put back as it was: {}", escape(why)),
        Outcome::Refused(refusal) => format!("not begun: {}", escape(&refusal.reason)),
        Outcome::Failed { why, state } => format!("failed: {}; state: {}", escape(why), escape(state)),
    }
}

/// The end as an object: `result` and what belongs to it.
pub(super) fn outcome_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Verified { address } => json!({"result": "verified", "address": address}),
        Outcome::Reverted { why } => json!({"result": "reverted", "why": why}),
        Outcome::Refused(refusal) => {
            json!({"result": "refused", "why": refusal.reason, "way_out": refusal.way_out})
        }
        Outcome::Failed { why, state } => json!({"result": "failed", "why": why, "state": state}),
    }
}

/// A refusal with its way out.
pub(super) fn refused(refusal: &Refusal) {
    complain(&format!("{}; nothing was changed", escape(&refusal.to_string())));
    complain(&format!("way out: {}", escape(&refusal.way_out)));
}

/// Everything as one object: `plan`, `steps` (each with its state), `outcome`.
pub(super) fn json(plan: &impl Serialize, told: &[Progress], outcome: Option<&Outcome>) -> Result<String> {
    let steps: Vec<Value> = told
        .iter()
        .map(|progress| match &progress.state {
            StepState::Running => json!({"step": progress.step, "state": "running"}),
            StepState::Waiting { text } => json!({"step": progress.step, "state": "waiting", "text": text}),
            StepState::Done { proof, millis } => {
                json!({"step": progress.step, "state": "done", "proof": proof, "millis": millis})
            }
            StepState::Unknown { text } => json!({"step": progress.step, "state": "unknown", "text": text}),
            StepState::Failed { reason } => {
                json!({"step": progress.step, "state": "failed", "reason": reason})
            }
        })
        .collect();
    let outcome = outcome.map(outcome_json);
    let value = json!({"plan": plan, "steps": steps, "outcome": outcome});
    super::json_text(&value)
}
