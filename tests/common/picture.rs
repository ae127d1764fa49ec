//! A screen as an SVG picture: one `<text>` per run of cells of one look, on a dark ground.

use vt100::{Cell, Color, Screen};

const COLUMN: f32 = 8.4;
const ROW: f32 = 18.0;
const GROUND: &str = "#16181d";
const TEXT: &str = "#d0d0d0";

/// The picture.
pub(crate) fn svg(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (f32::from(columns) * COLUMN + 16.0, f32::from(rows) * ROW + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{GROUND}\"/>\n"
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let look = look(screen.cell(row, column));
            let from = column;
            let mut text = String::new();
            while column < columns && self::look(screen.cell(row, column)) == look {
                let cell = screen.cell(row, column).map_or("", Cell::contents);
                text.push_str(if cell.is_empty() { " " } else { cell });
                column += 1;
            }
            run(&mut out, row, from, column - from, &text, &look);
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Foreground, ground if another, bold.
type Look = (String, Option<String>, bool);

fn look(cell: Option<&Cell>) -> Look {
    let Some(cell) = cell else { return (TEXT.to_owned(), None, false) };
    let foreground = colour(cell.fgcolor()).unwrap_or_else(|| TEXT.to_owned());
    let ground = colour(cell.bgcolor());
    if cell.inverse() {
        return (ground.unwrap_or_else(|| GROUND.to_owned()), Some(foreground), cell.bold());
    }
    (foreground, ground, cell.bold())
}

fn colour(colour: Color) -> Option<String> {
    const ANSI: [&str; 16] = [
        "#1c1c1c", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#dcdfe4", "#7f848e",
        "#ff7b86", "#b5e890", "#ffd787", "#8cc8ff", "#e0a0f0", "#7fe0ec", "#ffffff",
    ];
    match colour {
        Color::Default => None,
        Color::Idx(index) => Some((*ANSI.get(usize::from(index)).unwrap_or(&TEXT)).to_owned()),
        Color::Rgb(r, g, b) => Some(format!("#{r:02x}{g:02x}{b:02x}")),
    }
}

fn run(out: &mut String, row: u16, column: u16, columns: u16, text: &str, (foreground, ground, bold): &Look) {
    let (x, y) = (f32::from(column) * COLUMN + 8.0, f32::from(row) * ROW + 8.0);
    let wide = f32::from(columns) * COLUMN;
    if let Some(ground) = ground {
        out.push_str(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{ROW}\" fill=\"{ground}\"/>\n"
        ));
    }
    if text.trim().is_empty() {
        return;
    }
    let weight = if *bold { " font-weight=\"bold\"" } else { "" };
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    out.push_str(&format!(
        "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{foreground}\"{weight} textLength=\"{wide:.1}\" \
         xml:space=\"preserve\">{text}</text>\n",
        y + 13.5
    ));
}
