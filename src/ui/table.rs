//! PURE. Tables whose columns drop by priority when there is no room, with a cursor and links.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::text::{fit, truncate, width};
use super::theme::{Role, Theme};

/// A column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Columns of text at least.
    pub(super) least: u16,
    /// Higher ones are dropped first; 0 never.
    pub(super) priority: u8,
    pub(super) align: Align,
}

/// Side of a column's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

pub(super) const fn left(title: &'static str, least: u16, priority: u8) -> Column {
    Column { title, least, priority, align: Align::Left }
}

pub(super) const fn right(title: &'static str, least: u16, priority: u8) -> Column {
    Column { title, least, priority, align: Align::Right }
}

/// A cell: escaped text and what it is.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) role: Role,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Text }
    }

    pub(super) fn role(text: impl Into<String>, role: Role) -> Self {
        Self { text: text.into(), role }
    }
}

/// How a row stands to the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    None,
    /// The cursor, in the focused pane.
    Cursor,
    /// Belongs to the selected row of the focused pane.
    Linked,
}

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    /// How its cells are laid out.
    pub(super) wide: Wide,
    pub(super) mark: Mark,
}

/// How a row's cells are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wide {
    /// Each in its column.
    Column,
    /// One after the other, whatever the columns are.
    Row,
}

/// Rows that there was no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Hidden {
    pub(super) above: usize,
    pub(super) below: usize,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) columns: &'a [Column],
    pub(super) rows: &'a [Row],
    pub(super) theme: Theme,
    /// Overrides every role: the source is gone.
    pub(super) stale: bool,
}

impl Table<'_> {
    pub(super) fn render(&self, area: Rect, buffer: &mut Buffer) -> Hidden {
        if area.height == 0 || area.width < 4 {
            return Hidden::default();
        }
        let (widths, gap) = self.widths(usize::from(area.width).saturating_sub(2));
        let heading = self.columns.iter().map(|column| Cell::role(column.title, Role::Heading)).collect();
        let heading = Row { cells: heading, wide: Wide::Column, mark: Mark::None };
        self.line(&heading, &widths, gap, Rect { height: 1, ..area }, buffer);
        let visible = usize::from(area.height).saturating_sub(1);
        let cursor = self.rows.iter().position(|row| row.mark == Mark::Cursor);
        let cursor = cursor.or_else(|| self.rows.iter().position(|row| row.mark != Mark::None)).unwrap_or(0);
        let first = cursor.saturating_sub(visible.saturating_sub(1));
        for (at, row) in self.rows.iter().skip(first).take(visible).enumerate() {
            let y = area.y + 1 + u16::try_from(at).unwrap_or(0);
            self.line(row, &widths, gap, Rect { y, height: 1, ..area }, buffer);
        }
        Hidden { above: first, below: self.rows.len().saturating_sub(first + visible) }
    }

    /// The width of each column, 0 for one that is dropped, and the gap between them. What is left over
    /// goes where text is cut.
    fn widths(&self, room: usize) -> (Vec<usize>, usize) {
        let wanted: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let rows = self.rows.iter().filter(|row| row.wide == Wide::Column);
                let cells = rows.filter_map(|row| row.cells.get(at)).map(|cell| width(&cell.text));
                cells.max().unwrap_or(0).max(width(column.title)).max(usize::from(column.least))
            })
            .collect();
        let roomy = wanted.iter().map(|columns| columns + 2).sum::<usize>() <= room;
        let gap = if roomy { 2 } else { 1 };
        let mut shown: Vec<bool> = vec![true; self.columns.len()];
        let least = |shown: &[bool]| -> usize {
            let columns = self.columns.iter().zip(shown).filter(|(_, shown)| **shown);
            columns.map(|(column, _)| usize::from(column.least) + gap).sum()
        };
        while least(&shown) > room {
            let worst = (0..self.columns.len())
                .filter(|at| shown.get(*at) == Some(&true))
                .max_by_key(|at| self.columns.get(*at).map_or(0, |column| column.priority));
            match worst.filter(|at| self.columns.get(*at).is_some_and(|column| column.priority > 0)) {
                Some(at) => {
                    if let Some(shown) = shown.get_mut(at) {
                        *shown = false;
                    }
                }
                None => break,
            }
        }
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .zip(&shown)
            .map(|(column, shown)| if *shown { usize::from(column.least) } else { 0 })
            .collect();
        let mut spare = room.saturating_sub(least(&shown));
        for ((width, wanted), shown) in widths.iter_mut().zip(wanted).zip(shown) {
            let more = wanted.saturating_sub(*width).min(spare);
            if shown {
                *width += more;
                spare -= more;
            }
        }
        (widths, gap)
    }

    fn line(&self, row: &Row, widths: &[usize], gap: usize, area: Rect, buffer: &mut Buffer) {
        let Row { cells, wide, mark } = row;
        let base = match mark {
            Mark::Cursor => self.theme.style(Role::Selected),
            Mark::Linked => self.theme.style(Role::Linked),
            Mark::None => Style::new(),
        };
        buffer.set_style(area, base);
        let pointer = if matches!(mark, Mark::Cursor | Mark::Linked) { "▸" } else { " " };
        buffer.set_string(area.x, area.y, pointer, base);
        let mut x = area.x + 1;
        if *wide == Wide::Row {
            return self.free(cells, *mark, base, area, buffer);
        }
        for ((cell, columns), column) in cells.iter().zip(widths).zip(self.columns) {
            if *columns == 0 {
                continue;
            }
            let text = match column.align {
                Align::Left => fit(&cell.text, *columns, '…'),
                Align::Right => {
                    let pad = columns.saturating_sub(width(&cell.text));
                    fit(&format!("{}{}", " ".repeat(pad), cell.text), *columns, '…')
                }
            };
            let room = usize::from(area.right().saturating_sub(x));
            buffer.set_stringn(x, area.y, text, room, self.style(cell, *mark, base));
            x = x.saturating_add(u16::try_from(*columns + gap).unwrap_or(u16::MAX)).min(area.right());
        }
    }
    /// Cells one after the other, two spaces apart where that fits.
    fn free(&self, cells: &[Cell], mark: Mark, base: Style, area: Rect, buffer: &mut Buffer) {
        let room = usize::from(area.width).saturating_sub(1);
        let needed: usize = cells.iter().map(|cell| width(&cell.text) + 2).sum();
        let gap = if needed > room + 2 { 1 } else { 2 };
        let mut x = area.x + 1;
        for cell in cells {
            let left = usize::from(area.right().saturating_sub(x));
            let text = truncate(&cell.text, left, '…');
            buffer.set_stringn(x, area.y, &text, left, self.style(cell, mark, base));
            x = x.saturating_add(u16::try_from(width(&text) + gap).unwrap_or(u16::MAX)).min(area.right());
        }
    }

    fn style(&self, cell: &Cell, mark: Mark, base: Style) -> Style {
        let role = if self.stale { Role::Stale } else { cell.role };
        if mark == Mark::Cursor || role == Role::Text { base } else { base.patch(self.theme.style(role)) }
    }
}
