//! PURE. The change of a bridge that waits for its confirmation: below the header, on every screen.
//!
//! ```text
//!  ▲ make bridge virbr1 over eth0: keep?  37 s until everything is put back   K keep   R put back now   10.0.0.2 answers
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};

use super::text::{escape, truncate, width};
use super::theme::{Role, Theme};
use crate::app::{App, Context};
use crate::change::bridge::record::Progress;

pub(super) fn draw(app: &App, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let Some(waiting) = &app.waiting else { return };
    let title = escape(&waiting.title);
    let columns = usize::from(area.width);
    let said = match &waiting.progress {
        Progress::Waiting { .. } => {
            let seconds = waiting.seconds(app.now).unwrap_or_default();
            format!(" ▲ {title}: keep?  {seconds} s until everything is put back ")
        }
        Progress::RollingBack { why, .. } => format!(" ◐ {title}: being put back: {} ", escape(why)),
        Progress::Applying { doing, .. } => format!(" ◐ {title}: {} ", escape(doing)),
        Progress::Keeping => format!(" ◐ {title}: being kept "),
        _ => format!(" ◐ {title} "),
    };
    let mut spans = Vec::new();
    let mut left = columns;
    if let Progress::Waiting { proofs, .. } = &waiting.progress {
        // In a form letters are text.
        let control = if app.context() == Context::Form { "Ctrl-" } else { "" };
        for (key, word) in [('K', "keep"), ('R', "put back now")] {
            let key =
                format!("  {control}{}", if control.is_empty() { key } else { key.to_ascii_lowercase() });
            left = left.saturating_sub(width(&key) + width(word) + 1);
            spans.push(Span::styled(key, theme.style(Role::Key)));
            spans.push(Span::styled(format!(" {word}"), theme.style(Role::Warn)));
        }
        let said_too = left.saturating_sub(width(&said) + 3);
        if let Some(proof) = proofs.last().filter(|proof| width(&escape(proof)) <= said_too) {
            spans.push(Span::styled(format!("   {} ✔", escape(proof)), theme.style(Role::Good)));
        }
    }
    let said = match waiting.seconds(app.now) {
        // The time is never cut.
        Some(seconds) if width(&said) > left => {
            let rest = format!(": keep?  {seconds} s left ");
            let title = truncate(&title, left.saturating_sub(width(&rest) + 3), '…');
            format!(" ▲ {title}{rest}")
        }
        _ => said,
    };
    spans.insert(0, Span::styled(truncate(&said, left, '…').into_owned(), theme.style(Role::Warn)));
    Paragraph::new(Line::from(spans)).style(theme.style(Role::Bar)).render(area, frame.buffer_mut());
}
