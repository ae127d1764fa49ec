//! PURE. What a program says while it runs, as it is shown: the last lines, and the one under way. Its text
//! is hostile; nothing of it reaches the screen but through [`Output::wrapped`].

use std::collections::VecDeque;

use unicode_segmentation::UnicodeSegmentation as _;

use crate::change::new_guest::said::Said;
use crate::ui::text::{escape, width};

/// The last lines of a program's output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    lines: VecDeque<String>,
    part: String,
    /// Rows between the end and the last row shown: 0 follows what is said.
    pub back: usize,
}

impl Output {
    /// Lines that are kept.
    const LINES: usize = 1000;

    /// Takes what was said. Somebody who has scrolled up keeps the rows in sight.
    pub fn take(&mut self, said: Said, size: (u16, u16)) {
        let before = if self.back > 0 { self.wrapped(room(size)).len() } else { 0 };
        match said {
            Said::Part(text) => self.part = text,
            Said::Line(text) => {
                self.part.clear();
                if self.lines.len() == Self::LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(text);
            }
        }
        if self.back > 0 {
            let more = self.wrapped(room(size)).len().saturating_sub(before);
            self.scroll(size, isize::try_from(more).unwrap_or(0));
        }
    }

    /// Moves towards the beginning (positive) or the end.
    pub fn scroll(&mut self, size: (u16, u16), by: isize) {
        let most = self.wrapped(room(size)).len().saturating_sub(LEAST.min(rows(size)));
        self.back = self.back.saturating_add_signed(by).min(most);
    }

    /// All of it in rows of at most so many columns, escaped.
    #[must_use]
    pub fn wrapped(&self, columns: usize) -> Vec<String> {
        let part = Some(&self.part).filter(|part| !part.is_empty());
        self.lines.iter().chain(part).flat_map(|line| chopped(&escape(line), columns)).collect()
    }
}

/// Rows that it has at least, however much the steps above it have to say.
pub const LEAST: usize = 5;

/// As a terminal does it: a row is full, the next one goes on.
fn chopped(line: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let mut used = 0;
    for grapheme in line.graphemes(true) {
        let more = width(grapheme);
        if used + more > columns && used > 0 {
            rows.push(String::new());
            used = 0;
        }
        used += more;
        if let Some(row) = rows.last_mut() {
            row.push_str(grapheme);
        }
    }
    rows
}

/// Columns for a row of it, in a terminal of this size.
#[must_use]
pub fn room(size: (u16, u16)) -> usize {
    usize::from(size.0.min(106)).saturating_sub(4)
}

/// Rows of it that are shown at most, in a terminal of this size.
#[must_use]
pub fn rows(size: (u16, u16)) -> usize {
    usize::from(size.1 / 2).saturating_sub(3).max(1)
}
