//! PURE. What a change means, as lines: sentences and changed lines, or the whole texts, or commands.

use ratatui::text::{Line, Span};
use similar::{ChangeTag, TextDiff};

use crate::app::form;
use crate::app::job::{Job, Planned, Preview};
use crate::change::Refusal;
use crate::ui::diff::changed;
use crate::ui::text::{escape, fit, truncate, width, wrap, wrap_shell};
use crate::ui::theme::{Role, Theme};

/// What a form would do, or why nothing can be done.
pub(super) fn of_planned<'a>(
    planned: &Planned,
    part: form::Preview,
    theme: Theme,
    room: usize,
) -> Vec<Line<'a>> {
    match planned {
        Ok(job) => lines(job, part, theme, room),
        Err(refusal) => refused(refusal, theme, room),
    }
}

/// The part of a preview that was asked for.
pub(super) fn lines<'a>(job: &Job, part: form::Preview, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let preview = job.preview();
    match part {
        form::Preview::Summary => {
            let mut lines = meaning(&preview, theme, room);
            lines.extend(steps(job, theme, room));
            lines.extend(changes(&preview, theme, room));
            lines
        }
        form::Preview::Diff => whole(&preview, theme, room),
        form::Preview::Commands => {
            let lines = preview.commands.iter().flat_map(|command| command.lines());
            let room = room.saturating_sub(1);
            let wrapped = lines.flat_map(|line| wrap_shell(&escape(line), room));
            wrapped.map(|line| Line::raw(format!(" {line}"))).collect()
        }
    }
}

/// Why there is no plan.
fn refused<'a>(refusal: &Refusal, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (role, text) in [(Role::Warn, &refusal.reason), (Role::Text, &refusal.way_out)] {
        let wrapped = wrap(&escape(text), room.saturating_sub(1)).into_iter();
        lines.extend(wrapped.map(|line| Line::styled(format!(" {line}"), theme.style(role))));
    }
    lines
}

fn meaning<'a>(preview: &Preview, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let risks = preview.risks.iter().map(|sentence| ("▲", Role::Warn, sentence));
    let meaning = preview.consequences.iter().filter(|sentence| !sentence.is_empty()).enumerate();
    let meaning =
        meaning.map(
            |(at, sentence)| {
                if at == 0 { (" ", Role::Strong, sentence) } else { ("•", Role::Text, sentence) }
            },
        );
    for (at, (bullet, role, sentence)) in risks.chain(meaning).enumerate() {
        for (row, line) in wrap(&escape(sentence), room.saturating_sub(3)).into_iter().enumerate() {
            let bullet = if row == 0 { bullet } else { " " };
            lines.push(Line::styled(format!(" {bullet} {line}"), theme.style(role)));
        }
        // Behind the verdict, which stands behind the risks.
        if at == preview.risks.len() {
            lines.extend(call(preview, theme, room));
        }
    }
    lines
}

/// The very call, whole: its words go on below each other.
fn call<'a>(preview: &Preview, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let Some(call) = &preview.call else { return Vec::new() };
    let wrapped = wrap(&escape(call), room.saturating_sub(6)).into_iter().enumerate();
    let line = |(row, text): (usize, String)| {
        let before = if row == 0 { " $ " } else { "     " };
        Line::styled(format!("{before}{text}"), theme.style(Role::Strong))
    };
    wrapped.map(line).collect()
}

/// `steps  the kernel has the tap on virbr1 → the port forwards → …`, for those who want to know before.
fn steps<'a>(job: &Job, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let steps = job.steps();
    let mut texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
    texts.dedup();
    // One step is what the title says; of a program's call they are not the point.
    if texts.len() < 2 || matches!(job, Job::Guest(_)) {
        return Vec::new();
    }
    let wrapped = wrap(&escape(&texts.join(" → ")), room.saturating_sub(10));
    let label = |row: usize| if row == 0 { "steps" } else { "" };
    let line =
        |(row, text)| Line::styled(format!("   {} {text}", fit(label(row), 6, ' ')), theme.style(Role::Dim));
    wrapped.into_iter().enumerate().map(line).collect()
}

fn changes<'a>(preview: &Preview, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let mut before: Option<Vec<(ChangeTag, String)>> = None;
    for (label, edit) in &preview.edits {
        let changed = changed(edit);
        if changed.is_empty() {
            continue;
        }
        if before.as_ref() == Some(&changed) {
            lines.push(Line::styled(format!("   {} the same", escape(label)), theme.style(Role::Dim)));
            continue;
        }
        lines.extend(diff(label, &changed, theme, room));
        before = Some(changed);
    }
    lines
}

fn diff<'a>(label: &str, changed: &[(ChangeTag, String)], theme: Theme, room: usize) -> Vec<Line<'a>> {
    let line = |(at, (tag, text)): (usize, &(ChangeTag, String))| {
        let label =
            if at == 0 { fit(&escape(label), 18.min(room / 5), '…') } else { " ".repeat(18.min(room / 5)) };
        let (sign, role) = if *tag == ChangeTag::Delete { ('-', Role::Removed) } else { ('+', Role::Added) };
        let left = room.saturating_sub(width(&label) + 6);
        Line::from(vec![
            Span::styled(format!("   {label}"), theme.style(Role::Dim)),
            Span::styled(format!("{sign} {}", truncate(&escape(text), left, '…')), theme.style(role)),
        ])
    };
    changed.iter().enumerate().map(line).collect()
}

fn whole<'a>(preview: &Preview, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (label, edit) in &preview.edits {
        lines.push(Line::styled(format!(" {}", escape(label)), theme.style(Role::Heading)));
        for change in TextDiff::from_lines(edit.before.as_str(), edit.after.as_str()).iter_all_changes() {
            let (sign, role) = match change.tag() {
                ChangeTag::Delete => ('-', Role::Removed),
                ChangeTag::Insert => ('+', Role::Added),
                ChangeTag::Equal => (' ', Role::Text),
            };
            let text = truncate(&escape(change.value().trim_end()), room.saturating_sub(4), '…').into_owned();
            lines.push(Line::styled(format!(" {sign} {text}"), theme.style(role)));
        }
    }
    if lines.is_empty() {
        lines.push(Line::styled(" no text changes", theme.style(Role::Dim)));
    }
    lines
}
