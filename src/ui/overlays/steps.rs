//! PURE. The steps of a change with their proof, and how it ended.
//!
//! ```text
//! │ ✔ next boot   bridge virbr1                                   3 ms │
//! │ ◐ address     waiting for a lease … 2 s of 30 s                    │
//! ```

use ratatui::text::{Line, Span};

use crate::app::job::{Job, JobStep, Prover};
use crate::app::state::ChangeRun;
use crate::app::waiting::seconds;
use crate::change::bridge::course;
use crate::change::bridge::record::Progress;
use crate::change::{Outcome, StepState};
use crate::model::Timestamp;
use crate::ui::text::{escape, fit, truncate, wrap};
use crate::ui::theme::{Role, Theme};

/// What the box shows.
pub(super) struct Text<'a> {
    /// Title and steps.
    pub(super) lines: Vec<Line<'a>>,
    /// How it stands or ended: always in sight.
    pub(super) ending: Vec<Line<'a>>,
    /// The line of the step under way, else of the first that failed: to be kept in sight.
    pub(super) under_way: usize,
}

pub(super) fn text<'a>(change: &ChangeRun, now: Timestamp, theme: Theme, room: usize) -> Text<'a> {
    let mut in_sight = 0;
    let title = format!(" {}", escape(&change.job.title()));
    let mut lines =
        vec![Line::styled(truncate(&title, room, '…').into_owned(), theme.style(Role::Title)), Line::raw("")];
    let label = change.steps.iter().map(|step| step.label.chars().count()).max().unwrap_or(0).clamp(2, 12);
    let is_told = |step: &JobStep| matches!(step.state, Some(StepState::Running | StepState::Waiting { .. }));
    // Some kinds of change tell only what is done: the first step without a word is the one under way.
    let silent = change.outcome.is_none() && !change.steps.iter().any(is_told);
    let under_way = change.steps.iter().position(|step| step.state.is_none()).filter(|_| silent);
    for (at, step) in change.steps.iter().enumerate() {
        let (glyph, role, text, time) = match &step.state {
            None if under_way == Some(at) => ("◐", Role::Warn, &step.text, String::new()),
            None => (" ", Role::Dim, &step.text, String::new()),
            Some(StepState::Running) => ("◐", Role::Warn, &step.text, String::new()),
            Some(StepState::Waiting { text }) => ("◐", Role::Warn, text, String::new()),
            Some(StepState::Done { proof, millis }) => ("✔", Role::Good, proof, duration(*millis)),
            Some(StepState::Unknown { text }) => ("–", Role::Dim, text, String::new()),
            Some(StepState::Failed { reason }) => ("✖", Role::Bad, reason, String::new()),
        };
        if glyph == "◐" || (glyph == "✖" && in_sight == 0) {
            in_sight = lines.len();
        }
        let columns = room.saturating_sub(label + 15).max(20);
        for (row, part) in wrap(&escape(text), columns).into_iter().enumerate() {
            let (glyph, name, time) = if row == 0 {
                (glyph, escape(&step.label).into_owned(), time.as_str())
            } else {
                ("", String::new(), "")
            };
            lines.push(Line::from(vec![
                Span::styled(format!(" {} ", fit(glyph, 1, ' ')), theme.style(role)),
                Span::styled(fit(&name, label + 1, '…'), theme.style(Role::Dim)),
                Span::raw(fit(&part, columns, '…')),
                Span::styled(format!("{time:>9} "), theme.style(Role::Dim)),
            ]));
        }
    }
    let ending = [Line::raw("")].into_iter().chain(ending(change, now, theme, room)).collect();
    Text { lines, ending, under_way: in_sight }
}

fn ending<'a>(change: &ChangeRun, now: Timestamp, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let more = |text: &str| -> Vec<Line<'a>> {
        let lines = wrap(&escape(text), room.saturating_sub(3));
        lines.into_iter().map(|line| Line::raw(format!("   {line}"))).collect()
    };
    let (role, head, rest) = match &change.outcome {
        None if change.output.is_some() => {
            (Role::Dim, " running; S stops it, Esc closes this and it goes on", Vec::new())
        }
        None => (Role::Dim, " running; Esc closes this, the change goes on", Vec::new()),
        Some(Outcome::Verified { .. }) if matches!(change.job, Job::Bridge(_)) => {
            let (role, head, rest) = beyond_proof(change, now);
            (role, head, rest.iter().flat_map(|text| more(text)).collect())
        }
        Some(Outcome::Verified { .. }) if change.job.can_be_undone() => {
            let head = match change.job.proven_by() {
                Prover::Kernel => " ✔ verified by the kernel; u takes it back",
                Prover::Libvirt => " ✔ verified by libvirt; u takes it back",
            };
            (Role::Good, head, Vec::new())
        }
        Some(Outcome::Verified { .. }) if change.output.is_some() => {
            (Role::Good, " ✔ verified; the guest is selected", Vec::new())
        }
        Some(Outcome::Verified { .. }) if matches!(change.job, Job::Nic(_) | Job::Many(_)) => {
            let head = match change.job.proven_by() {
                Prover::Kernel => " ✔ verified by the kernel",
                Prover::Libvirt => " ✔ verified by libvirt",
            };
            (Role::Good, head, Vec::new())
        }
        Some(Outcome::Verified { .. }) => (Role::Good, " ✔ verified", Vec::new()),
        Some(Outcome::Reverted { why }) => (Role::Warn, " ▲ everything is as it was, because", more(why)),
        Some(Outcome::Refused(refusal)) => {
            let mut lines = more(&refusal.reason);
            lines.extend(more(&refusal.way_out));
            (Role::Warn, " ▲ nothing was changed, because", lines)
        }
        Some(Outcome::Failed { why, state }) => {
            let mut lines = more(why);
            lines.extend(more(state));
            (Role::Bad, " ✖ failed, and not put back", lines)
        }
    };
    let mut lines = vec![Line::styled(head, theme.style(role))];
    lines.extend(rest);
    lines
}

/// How a bridge's change stands that was seen to work: it ends only when it is kept or taken back.
fn beyond_proof(change: &ChangeRun, now: Timestamp) -> (Role, &'static str, Vec<String>) {
    const KEYS: &str = "K keeps it, R puts everything back";
    match &change.record {
        Some(progress @ Progress::Waiting { .. }) => {
            let seconds = seconds(progress, now).unwrap_or_default();
            let text = format!("{KEYS}; else it is taken back in {seconds} s");
            (Role::Warn, " ◐ seen to work, and waits to be kept", vec![text])
        }
        Some(Progress::Keeping) => (Role::Warn, " ◐ being kept", Vec::new()),
        Some(Progress::Confirmed) => {
            let kept = match &change.job {
                Job::Bridge(job) => vec![course::kept(&job.plan)],
                _ => Vec::new(),
            };
            (Role::Good, " ✔ verified", kept)
        }
        Some(Progress::RollingBack { why, .. }) => {
            (Role::Warn, " ◐ being taken back, because", vec![why.clone()])
        }
        Some(Progress::RolledBack { why }) => {
            let seen = "the old state is seen in the kernel".to_owned();
            (Role::Warn, " ▲ taken back, because", vec![why.clone(), seen])
        }
        Some(Progress::Failed { known }) => {
            (Role::Bad, " ✖ failed, and not taken back whole", vec![known.clone()])
        }
        Some(Progress::Prepared | Progress::Applying { .. }) | None => {
            (Role::Warn, " ◐ seen to work, and waits to be kept", vec![KEYS.to_owned()])
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown in tenths of a second")]
fn duration(millis: u64) -> String {
    if millis < 1000 { format!("{millis} ms") } else { format!("{:.1} s", millis as f64 / 1000.0) }
}
