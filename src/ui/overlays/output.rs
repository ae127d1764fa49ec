//! PURE. A change that a program carries out: its steps, and below them what the program says, as it says it.
//!
//! ```text
//! ╭ Change ───────────────────────────────────────────────────╮
//! │ new guest web02 on bridge virbr1                          │
//! │ ✔ check    ready                                    41 ms │
//! │ ◐ install  virt-install runs to its end                   │
//! │ running; S stops it, Esc closes this and it goes on       │
//! │─ virt-install says ───────────────────────────────────────│
//! │ Starting install...                                       │
//! ╰────────────────────────────────────────────── 12 above ▲ ─╯
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Widget as _};

use super::{frame_box, steps};
use crate::app::App;
use crate::app::output::{LEAST, Output, room, rows};
use crate::app::state::ChangeRun;
use crate::ui::text::width;
use crate::ui::theme::{Role, Theme};

pub(super) fn draw(
    app: &App,
    change: &ChangeRun,
    output: &Output,
    theme: Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let (columns, visible) = (room(app.size), rows(app.size));
    let steps::Text { lines, ending, .. } = steps::text(change, app.now, theme, columns);
    let head: Vec<Line<'_>> = lines.into_iter().chain(ending).collect();
    let wanted = u16::try_from(head.len() + visible + 3).unwrap_or(u16::MAX);
    let inner = frame_box(" Change ", area.width.min(106), wanted, theme, area, frame);
    // Steps that have much to say take rows from what the program says, but not all.
    let total = usize::from(inner.height).saturating_sub(1);
    let visible = total.saturating_sub(head.len()).clamp(LEAST, visible.max(LEAST)).min(total);
    let skip = head.len().saturating_sub(total - visible);
    let mut lines: Vec<Line<'_>> = head.into_iter().skip(skip).collect();
    let title = "─ virt-install says ";
    let rest = "─".repeat(usize::from(inner.width).saturating_sub(width(title)));
    lines.push(Line::styled(format!("{title}{rest}"), theme.style(Role::Border)));
    let said = output.wrapped(columns);
    let last = said.len().saturating_sub(output.back).max(visible.min(said.len()));
    let first = last.saturating_sub(visible);
    lines.extend(said.get(first..last).unwrap_or_default().iter().map(|row| Line::raw(format!(" {row}"))));
    Paragraph::new(lines).render(inner, frame.buffer_mut());
    let (above, below) = (first, said.len() - last);
    let hidden = match (above, below) {
        (0, 0) => return,
        (above, 0) => format!(" {above} above ▲ "),
        (0, below) => format!(" {below} below ▼ "),
        (above, below) => format!(" {above} above ▲ {below} below ▼ "),
    };
    let x = inner.right().saturating_sub(u16::try_from(width(&hidden)).unwrap_or(0));
    frame.buffer_mut().set_string(x, inner.bottom(), hidden, theme.style(Role::Key));
}
