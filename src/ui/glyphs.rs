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
            "─" | "–" | "━" | "·" => "-",
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
            "═" | "↔" => "=",
            "◂" | "←" => "<",
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character beyond ASCII that stands in the program's own text has a stand-in.
    #[test]
    fn nothing_of_ours_becomes_a_question_mark() {
        let mut files = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        let mut seen = 0;
        while let Some(path) = files.pop() {
            if path.is_dir() {
                files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for c in lines.flat_map(str::chars).filter(|c| !c.is_ascii()) {
                let mut buffer = Buffer::with_lines([c.to_string()]);
                to_ascii(&mut buffer);
                assert_ne!(buffer.content[0].symbol(), "?", "{c} in {}", path.display());
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen}");
    }
}
