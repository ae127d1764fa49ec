//! PURE. A form: its fields, a rule, and what it would do.
//!
//! ```text
//! ╭ New network ──────────────────────────────────────────────╮
//! │▸ mode         ◂ isolated ▸                                │
//! │  name         isolated1                                   │
//! │  subnet       192.168.123.0/24    empty: no addresses     │
//! ├───────────────────────────────────────────────────────────┤
//! │ Guests reach each other and the host, nothing else.       │
//! ╰───────────────────────────────────────────────────────────╯
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{frame_box, more_rule, over_preview, preview};
use crate::app::forms::{Field, Form, Value};
use crate::ui::text::{escape, fit, truncate, width, wrap};
use crate::ui::theme::{Role, Theme};

pub(super) fn draw(form: &Form, theme: Theme, area: Rect, frame: &mut Frame<'_>) -> usize {
    let columns = area.width.min(106);
    let room = usize::from(columns).saturating_sub(4);
    let fields: Vec<Line<'_>> =
        form.shown().flat_map(|(at, field)| lines(field, at == form.cursor, theme, room)).collect();
    let below = preview::of_planned(&form.planned, form.preview, theme, room);
    let wanted = fields.len() + 1 + below.len() + 2;
    // The box does not jump while fields are filled in.
    let rows = u16::try_from(wanted.max(fields.len() + 9)).unwrap_or(u16::MAX).min(area.height);
    let inner = frame_box(&format!(" {} ", escape(&form.title)), columns, rows, theme, area, frame);
    let total = usize::from(inner.height);
    let cursor = form.shown().position(|(at, _)| at == form.cursor).unwrap_or(0);
    // Neither half starves the other: many fields leave room for what they mean.
    let for_preview = below.len().min(total / 2).max(3) + 1;
    let for_fields = fields.len().min(total.saturating_sub(for_preview)).max(1);
    let hint = fields.len() - form.shown().count();
    let first = (cursor + hint).saturating_sub(for_fields - 1);
    let more = fields.len() - for_fields;
    let rule = more_rule(more, "field");
    let lines: Vec<Line<'_>> = fields.into_iter().skip(first).take(for_fields).collect();
    over_preview(lines, &rule, below, form.scroll, inner, theme, frame)
}

/// The line of a field; below that under the cursor stands its hint, where the line has no room for it.
fn lines<'a>(field: &Field, selected: bool, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let value = match &field.value {
        Value::Text(text) if selected => format!("{}▏", escape(text)),
        Value::Text(text) => escape(text).into_owned(),
        Value::Choice { options, at } => {
            let said = options
                .get(*at)
                .map_or_else(|| "there is none".to_owned(), |option| escape(option).into_owned());
            if options.len() > 1 { format!("◂ {said} ▸") } else { said }
        }
    };
    let value = fit(&value, width(&value).max(24).min(room.saturating_sub(16)), '…');
    let left = room.saturating_sub(width(&value) + 18);
    let style = if selected { theme.style(Role::Selected) } else { theme.style(Role::Text) };
    let line = Line::from(vec![
        Span::styled(if selected { "▸ " } else { "  " }, theme.style(Role::Key)),
        Span::styled(fit(field.label, 13, '…'), theme.style(Role::Dim)),
        Span::styled(value, style),
        Span::styled(format!("  {}", truncate(field.hint, left, '…')), theme.style(Role::Dim)),
    ]);
    if !selected || width(field.hint) <= left {
        return vec![line];
    }
    let hint = wrap(field.hint, room.saturating_sub(16)).into_iter();
    let hint = hint.map(|text| Line::styled(format!("{:15}{text}", ""), theme.style(Role::Dim)));
    std::iter::once(line).chain(hint).collect()
}
