//! PURE. Boxes on top of the panes: help, details, the switch form, questions, the steps of a change.

mod detail;
pub(super) mod doctor;
mod form;
mod menu;
mod output;
mod path;
mod preview;
mod steps;
mod switch;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph, Widget as _};

use super::text::{escape, fit, span, truncate, width, wrap};
use super::theme::{Role, Theme};
use super::words::SIGNS;
use crate::app::action::{ACTIONS, Context, Spec};
use crate::app::{App, Overlay};

/// What is written into the rule below a list that is not shown whole.
fn more_rule(hidden: usize, what: &str) -> String {
    match hidden {
        0 => String::new(),
        1 => format!("─ 1 more {what} "),
        many => format!("─ {many} more {what}s "),
    }
}

pub(super) fn draw(app: &App, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    for (at, overlay) in app.overlays.iter().enumerate() {
        // What a form asks before it is carried out stands in its place.
        if matches!((overlay, app.overlays.get(at + 1)), (Overlay::Form(_), Some(Overlay::Confirm { .. }))) {
            continue;
        }
        // How far it can be scrolled.
        let end = match overlay {
            Overlay::Help { scroll } => {
                let lines = help(app, theme, usize::from(area.width).saturating_sub(4));
                show(" Keys ", lines, *scroll, theme, area, frame)
            }
            Overlay::Messages { scroll } => {
                let lines = messages(app, theme, usize::from(area.width).saturating_sub(4));
                show(" Messages ", lines, *scroll, theme, area, frame)
            }
            Overlay::Detail { row, scroll } => {
                let (title, lines) =
                    detail::lines(app, row, theme, usize::from(area.width).saturating_sub(4));
                show(&title, lines, *scroll, theme, area, frame)
            }
            Overlay::Switch(form) => switch::draw(app, form, theme, area, frame),
            Overlay::Menu(menu) => {
                let lines = menu::lines(menu, theme, usize::from(area.width).saturating_sub(4));
                // Its cursor stays in sight.
                let scroll = menu.cursor.saturating_sub(usize::from(area.height).saturating_sub(4));
                show(&format!(" {} ", escape(&menu.title)), lines, scroll, theme, area, frame)
            }
            Overlay::Form(form) => form::draw(form, theme, area, frame),
            Overlay::Confirm { title, job, preview, scroll } => {
                let room = usize::from(area.width.min(106)).saturating_sub(4);
                let mut lines = vec![
                    Line::styled(format!(" {}", escape(&job.title())), theme.style(Role::Title)),
                    Line::raw(""),
                ];
                lines.extend(preview::lines(job, *preview, theme, room));
                show(&format!(" {} ", escape(title)), lines, *scroll, theme, area, frame)
            }
            Overlay::Steps { scroll } => {
                if let Some((change, output)) =
                    app.change.as_ref().and_then(|change| Some((change, change.output.as_ref()?)))
                {
                    output::draw(app, change, output, theme, area, frame);
                    0
                } else if let Some(change) = &app.change {
                    let room = usize::from(area.width.min(106)).saturating_sub(4);
                    let steps::Text { lines, ending, under_way } = steps::text(change, app.now, theme, room);
                    let height = usize::from(area.height).saturating_sub(2 + ending.len());
                    let scroll = (*scroll).max((under_way + 1).saturating_sub(height));
                    show_above(" Change ", lines, ending, scroll, theme, area, frame)
                } else {
                    0
                }
            }
            Overlay::Path(view) => path::draw(app, view, theme, area, frame),
            Overlay::Doctor { scroll } => doctor::draw(app, *scroll, theme, area, frame),
            Overlay::QuitWhileChanging => {
                let mut lines = vec![
                    Line::styled(" A change is running.", theme.style(Role::Warn)),
                    Line::raw(""),
                    Line::raw(" Enter   quit as soon as it has ended"),
                    Line::raw(" Esc     stay"),
                ];
                if app.change.as_ref().is_some_and(|change| change.output.is_some()) {
                    lines.push(Line::raw("         c shows virt-install; there S stops it"));
                }
                show(" Quit ", lines, 0, theme, area, frame)
            }
        };
        app.scroll_end.set(end);
    }
}

/// A box in the middle, as large as its text, scrolled; how far it can be.
fn show(
    title: &str,
    lines: Vec<Line<'_>>,
    scroll: usize,
    theme: Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) -> usize {
    show_above(title, lines, Vec::new(), scroll, theme, area, frame)
}

/// The same, with last lines that stay in sight.
fn show_above<'a>(
    title: &str,
    lines: Vec<Line<'a>>,
    last: Vec<Line<'a>>,
    scroll: usize,
    theme: Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) -> usize {
    let longest = lines.iter().chain(&last).map(Line::width).max().unwrap_or(0).max(width(title));
    let columns = u16::try_from(longest + 3).unwrap_or(u16::MAX).clamp(40.min(area.width), area.width);
    let rows = u16::try_from(lines.len() + last.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let inner = frame_box(title, columns, rows, theme, area, frame);
    let visible = usize::from(inner.height).saturating_sub(last.len());
    let end = lines.len().saturating_sub(visible);
    let first = scroll.min(end);
    let below = lines.len().saturating_sub(first + visible);
    let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(visible).chain(last).collect();
    Paragraph::new(shown).render(inner, frame.buffer_mut());
    more(below, inner, theme, frame);
    end
}

/// What is asked above, a rule that may begin with words, and the preview below it, scrolled.
fn over_preview<'a>(
    mut lines: Vec<Line<'a>>,
    rule: &str,
    below: Vec<Line<'a>>,
    scroll: usize,
    inner: Rect,
    theme: Theme,
    frame: &mut Frame<'_>,
) -> usize {
    let rest = "─".repeat(usize::from(inner.width).saturating_sub(width(rule)));
    lines.push(Line::styled(format!("{rule}{rest}"), theme.style(Role::Border)));
    let left = usize::from(inner.height).saturating_sub(lines.len());
    let end = below.len().saturating_sub(left);
    let scroll = scroll.min(end);
    let hidden = below.len().saturating_sub(scroll + left);
    lines.extend(below.into_iter().skip(scroll).take(left));
    Paragraph::new(lines).render(inner, frame.buffer_mut());
    more(hidden, inner, theme, frame);
    end
}

/// Says on the lower frame how many lines are hidden below.
fn more(hidden: usize, inner: Rect, theme: Theme, frame: &mut Frame<'_>) {
    if hidden > 0 {
        let text = format!(" {hidden} more ▼ ");
        let x = inner.right().saturating_sub(u16::try_from(width(&text)).unwrap_or(0));
        frame.buffer_mut().set_string(x, inner.bottom(), text, theme.style(Role::Key));
    }
}

/// Clears a box of this size in the middle, frames it, and gives its inside.
fn frame_box(title: &str, columns: u16, rows: u16, theme: Theme, area: Rect, frame: &mut Frame<'_>) -> Rect {
    let (columns, rows) = (columns.min(area.width), rows.min(area.height));
    let rect = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + (area.height - rows) / 2,
        width: columns,
        height: rows,
    };
    let title = truncate(title, usize::from(columns).saturating_sub(2), '…').into_owned();
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(theme.style(Role::Focus))
        .title(Span::styled(title, theme.style(Role::Title)));
    let inner = block.inner(rect);
    Clear.render(rect, frame.buffer_mut());
    block.render(rect, frame.buffer_mut());
    inner
}

/// All keys of the context below the help first, then the others.
fn help<'a>(app: &App, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let below = app.overlays.iter().rev().find(|overlay| !matches!(overlay, Overlay::Help { .. }));
    let first = below.map_or(Context::Panes, Overlay::context);
    let mut contexts = vec![
        first,
        Context::Panes,
        Context::Everywhere,
        Context::Switch,
        Context::Doctor,
        Context::Path,
        Context::Menu,
        Context::Form,
        Context::Steps,
        Context::Confirm,
        Context::Text,
        Context::Scroll,
    ];
    let mut seen = Vec::new();
    contexts.retain(|context| {
        let new = !seen.contains(context);
        seen.push(*context);
        new
    });
    let keys = |spec: &Spec| -> String {
        app.keymap.keys(spec).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let longest = ACTIONS.iter().map(|spec| width(&keys(spec))).max().unwrap_or(0).min(room / 3);
    let mut lines = Vec::new();
    for context in contexts {
        if !lines.is_empty() {
            lines.push(Line::raw(""));
        }
        lines.push(Line::styled(format!(" {}", context.title()), theme.style(Role::Heading)));
        for spec in ACTIONS.iter().filter(|spec| spec.context == context) {
            let keys = format!("  {} ", fit(&keys(spec), longest, '…'));
            lines.extend(beside(&keys, theme.style(Role::Key), spec.doc, room));
        }
    }
    lines.push(Line::raw(""));
    lines.push(Line::styled(" letters and signs", theme.style(Role::Heading)));
    for (sign, meaning) in SIGNS {
        let sign = format!("  {} ", fit(sign, longest, '…'));
        lines.extend(beside(&sign, theme.style(Role::Key), meaning, room));
    }
    lines
}

fn messages<'a>(app: &App, theme: Theme, room: usize) -> Vec<Line<'a>> {
    if app.messages.is_empty() {
        return vec![Line::styled(" nothing yet", theme.style(Role::Dim))];
    }
    let lines = |(at, text): &(crate::model::Timestamp, String)| -> Vec<Line<'a>> {
        let ago = format!(" {:>12} ago  ", span(app.now.millis_since(*at)));
        beside(&ago, theme.style(Role::Dim), &escape(text), room)
    };
    app.messages.iter().rev().flat_map(lines).collect()
}

/// A label and a text beside it, wrapped there.
fn beside<'a>(label: &str, style: Style, text: &str, room: usize) -> Vec<Line<'a>> {
    let line = |(row, part)| {
        let before = if row == 0 { label.to_owned() } else { " ".repeat(width(label)) };
        Line::from(vec![Span::styled(before, style), Span::raw(part)])
    };
    wrap(text, room.saturating_sub(width(label))).into_iter().enumerate().map(line).collect()
}
