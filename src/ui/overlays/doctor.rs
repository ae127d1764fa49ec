//! PURE. What is wrong: the findings, and all about the one under the cursor.
//!
//! ```text
//! ╭ Doctor · 1 error, 1 warning ───────────────────────────────────────────────────────────────╮
//! │▸✖ nat-rules-missing   network default has no masquerade rule                               │
//! │ ▲ pending-change      db01: now network default, at next boot bridge virbr1                │
//! │────────────────────────────────────────────────────────────────────────────────────────────│
//! │ evidence  libvirt: network default active, nat, 192.168.122.0/24                           │
//! │ meaning   Packets of these guests leave with their private address, …                      │
//! │ fix       have libvirt write its rules again: guests stay up                        f      │
//! ╰────────────────────────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};

use super::{frame_box, more};
use crate::app::{App, remedy};
use crate::doctor::{CHECKS, Finding, Report, Severity};
use crate::ui::text::{escape, fit, truncate, wrap, wrap_shell};
use crate::ui::theme::{Role, Theme};

/// The widest text that is still read with ease.
const WIDEST: u16 = 112;
/// Columns of `evidence`, `meaning`, `fix`.
const LABEL: usize = 10;

pub(super) fn draw(app: &App, scroll: usize, theme: Theme, area: Rect, frame: &mut Frame<'_>) -> usize {
    let report = app.doctor.report();
    let columns = area.width.min(WIDEST);
    let room = usize::from(columns).saturating_sub(4);
    let chosen = app.chosen_finding();
    let mut text = chosen.map(|(_, finding)| about(app, finding, theme, room)).unwrap_or_default();
    text.extend(unchecked(report, theme, room));
    let listed = report.findings.len().max(1);
    let wanted = u16::try_from(listed + text.len() + 3).unwrap_or(u16::MAX);
    let is_in_doubt = report.findings.is_empty() && app.doctor.is_in_doubt();
    let words = if is_in_doubt { "something has just changed".to_owned() } else { report.words() };
    let title = format!(" Doctor · {words} ");
    let inner = frame_box(&title, columns, wanted.min(area.height), theme, area, frame);
    // The list never takes more than half: the text below is what it is for.
    let most = usize::from(inner.height / 2).max(1);
    let cursor = chosen.map_or(0, |(at, _)| at);
    let first = (cursor + 1).saturating_sub(most);
    let shown = listed.min(most);
    let mut list: Vec<Line<'_>> = report
        .findings
        .iter()
        .enumerate()
        .skip(first)
        .take(shown)
        .map(|(at, finding)| heading(finding, at == cursor, theme, room))
        .collect();
    if report.findings.is_empty() {
        let made = CHECKS.len() - report.unchecked.len();
        let (glyph, role) = match (is_in_doubt, report.unchecked.is_empty()) {
            (true, _) => ("◐", Role::Warn),
            (false, true) => ("✔", Role::Good),
            (false, false) => ("•", Role::Text),
        };
        let rest = if is_in_doubt {
            "what lasts is told here in a moment".to_owned()
        } else {
            format!("{made} checks made")
        };
        let line = format!(" {glyph} {words}: {rest}");
        list.push(Line::styled(line, theme.style(role)));
    }
    if !text.is_empty() {
        let left = report.findings.len().saturating_sub(first + shown);
        let hidden = if left > 0 { format!(" {left} more ▼ ") } else { String::new() };
        let rule = "─".repeat(usize::from(inner.width).saturating_sub(hidden.chars().count()));
        list.push(Line::styled(format!("{rule}{hidden}"), theme.style(Role::Border)));
    }
    let top = u16::try_from(list.len()).unwrap_or(u16::MAX).min(inner.height);
    Paragraph::new(list).render(Rect { height: top, ..inner }, frame.buffer_mut());
    let below = Rect { y: inner.y + top, height: inner.height - top, ..inner };
    let visible = usize::from(below.height);
    let end = text.len().saturating_sub(visible);
    let first = scroll.min(end);
    let hidden = text.len().saturating_sub(first + visible);
    let lines: Vec<Line<'_>> = text.into_iter().skip(first).take(visible).collect();
    Paragraph::new(lines).render(below, frame.buffer_mut());
    more(hidden, inner, theme, frame);
    end
}

/// The role of a severity.
pub(in crate::ui) const fn role(severity: Severity) -> Role {
    match severity {
        Severity::Error => Role::Bad,
        Severity::Warning => Role::Warn,
        Severity::Note => Role::Text,
    }
}

fn heading<'a>(finding: &Finding, selected: bool, theme: Theme, room: usize) -> Line<'a> {
    let title = truncate(&escape(&finding.title), room.saturating_sub(29), '…').into_owned();
    let style = theme.style(if selected { Role::Selected } else { Role::Text });
    Line::from(vec![
        Span::styled(if selected { "▸" } else { " " }, theme.style(Role::Key)),
        Span::styled(format!("{} ", finding.severity.glyph()), theme.style(role(finding.severity))),
        Span::styled(fit(finding.check, 26, '…'), theme.style(Role::Dim)),
        Span::styled(title, style),
    ])
}

fn about<'a>(app: &App, finding: &Finding, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (at, evidence) in finding.evidence.iter().enumerate() {
        let text = format!("{}: {}", evidence.source, evidence.text);
        lines.extend(labelled(if at == 0 { "evidence" } else { "" }, &text, theme, room));
    }
    lines.extend(labelled("meaning", &finding.meaning, theme, room));
    for fix in &finding.fixes {
        let key = if fix.remedy.is_some() { " (f)" } else { "" };
        lines.extend(labelled("fix", &format!("{}{key}", fix.words), theme, room));
        let planned = fix.remedy.as_ref().map(|remedy| remedy::plan(app.live(), remedy));
        let commands = match planned {
            None => fix.commands.clone(),
            Some(Ok(job)) => job.preview().commands,
            Some(Err(refusal)) => vec![format!("# not now: {}; {}", refusal.reason, refusal.way_out)],
        };
        for command in commands.iter().filter(|command| !command.starts_with("cat >")) {
            let wrapped = wrap_shell(&escape(command), room.saturating_sub(LABEL + 3)).into_iter();
            let line = |text: String| Line::styled(format!(" {:LABEL$}  {text}", ""), theme.style(Role::Dim));
            lines.extend(wrapped.map(line));
        }
    }
    lines
}

fn labelled<'a>(label: &str, text: &str, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let wrapped = wrap(&escape(text), room.saturating_sub(LABEL + 1));
    let line = |(at, text): (usize, String)| {
        Line::from(vec![
            Span::styled(format!(" {:LABEL$}", if at == 0 { label } else { "" }), theme.style(Role::Dim)),
            Span::raw(text),
        ])
    };
    wrapped.into_iter().enumerate().map(line).collect()
}

/// What could not be checked, once per reason.
fn unchecked<'a>(report: &Report, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    for (why, checks) in report.unchecked_by_reason() {
        lines.extend(labelled("unchecked", &format!("{}: {why}", checks.join(", ")), theme, room));
    }
    lines
}
