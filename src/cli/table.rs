//! PURE. Plain tables for pipes and eyes: two spaces between columns, widths by content.

use crate::ui::text;

/// A table with a heading per column. Cells must already be escaped.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A heading that starts with `>` is of a column of numbers, aligned right.
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, indented by two, without trailing spaces.
    pub(super) fn print(&self) -> String {
        let titles: Vec<&str> = self.headings.iter().map(|heading| heading.trim_start_matches('>')).collect();
        let mut widths: Vec<usize> = titles.iter().map(|title| text::width(title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text::width(cell));
            }
        }
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, width), heading) in cells.zip(&widths).zip(&self.headings) {
                let pad = " ".repeat(width.saturating_sub(text::width(cell)));
                let (left, right) =
                    if heading.starts_with('>') { (pad.as_str(), "") } else { ("", pad.as_str()) };
                line.push_str("  ");
                line.push_str(left);
                line.push_str(cell);
                line.push_str(right);
            }
            line.truncate(line.trim_end().len());
            line.push('\n');
            line
        };
        let mut out = line(&mut titles.iter().copied());
        for row in &self.rows {
            out.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        out
    }
}
