//! PURE. Terminals that know ASCII only (serial consoles, `LANG=C`): everything is drawn in Unicode,
//! and at the very end each cell is replaced by its nearest ASCII character.

use ratatui::buffer::Buffer;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Glyphs {
    /// Everything.
    #[default]
    Unicode,
    /// ASCII only.
    Ascii,
}

impl Glyphs {
    /// By the environment: a UTF-8 locale, and a terminal that is no plain console.
    #[must_use]
    pub fn of(locale: &str, term: &str) -> Self {
        let utf8 = locale.to_ascii_lowercase().replace('-', "").contains("utf8");
        let plain = matches!(term, "linux" | "dumb" | "") || term.starts_with("vt");
        if utf8 && !plain { Self::Unicode } else { Self::Ascii }
    }
}

/// Replaces what is not ASCII in a drawn buffer.
pub(super) fn to_ascii(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        if cell.symbol().is_ascii() {
            continue;
        }
        let symbol = match cell.symbol() {
            "─" | "–" | "━" => "-",
            "│" | "▏" | "┃" => "|",
            "●" | "✔" | "╭" | "╮" | "╰" | "╯" | "├" | "└" | "┤" | "┬" | "┴" | "┼" | "┌" | "┐" | "┘" => {
                "+"
            }
            "▸" | "→" => ">",
            "✖" => "x",
            "▲" => "!",
            "▼" => "v",
            "⧗" => "@",
            "•" | "◆" => "*",
            "◂" => "<",
            "◐" | "…" => "~",
            "▁" => "_",
            "▂" | "▃" => ".",
            "▄" | "▅" => ":",
            "▆" | "▇" | "█" => "#",
            _ => "?",
        };
        cell.set_symbol(symbol);
    }
}
