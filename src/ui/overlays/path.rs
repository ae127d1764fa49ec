//! PURE. The way of a packet with the rules it meets, and who can reach whom.
//!
//! ```text
//! ╭ Path · centos7 vnet0 ──────────────────────────────────────────────────────────────────────╮
//! │ centos7 192.168.122.208 → internet 198.51.100.1, ping; seen outside as 10.0.0.8            │
//! │ ✔ yes: by vnet0, virbr0, eth0, 10.0.0.2                                                    │
//! │ centos7 ═ vnet0 ═ virbr0 ═ route ═ forward accept ═ postrouting masquerade ═ eth0 ═ 10.0.… │
//! │────────────────────────────────────────────────────────────────────────────────────────────│
//! │ │ tap         vnet0       port of virbr0, forwarding                       84.0k/s     123 │
//! │ │ forward                                                                                  │
//! │ │   filter LIBVIRT_FWO    accept  192.168.122.0/24 → anywhere in virbr0                112 │
//! │─ who reaches whom ─────────────────────────────────────────────────────────────────────────│
//! │  to host      192.168.122.1   yes  by vnet0, virbr0, kvm1                                  │
//! │▸ to internet  198.51.100.1    yes  by vnet0, virbr0, eth0, 10.0.0.2                        │
//! ╰────────────────────────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};

use super::{doctor, frame_box};
use crate::app::App;
use crate::app::path::{PathView, Probe};
use crate::doctor::Finding;
use crate::model::Timestamp;
use crate::path::probe::{Found, Judgement};
use crate::path::reach::{Cell, Reach};
use crate::path::{Answer, Leg, Path};
use crate::ui::chain::{self, Tone};
use crate::ui::text::{escape, fit, span, truncate, width, wrap};
use crate::ui::theme::{Role, Theme};

/// The widest text that is still read with ease.
const WIDEST: u16 = 132;

pub(super) fn draw(app: &App, view: &PathView, theme: Theme, area: Rect, frame: &mut Frame<'_>) -> usize {
    let columns = area.width.min(WIDEST);
    let Some(matrix) = &view.matrix else {
        let inner = frame_box(" Path ", columns.min(50), 3, theme, area, frame);
        Paragraph::new(" the NIC is gone").render(inner, frame.buffer_mut());
        return 0;
    };
    let title = format!(" Path · {} ", chain::subject(matrix));
    let room = usize::from(columns).saturating_sub(4);
    let mut head = head(view, theme, room);
    head.extend(doctors_word(app, view, theme, room));
    let text = way(view, theme, room);
    let relations = relations(view, matrix, theme, room);
    let unasked = unasked(view, theme, room);
    let wanted = head.len() + text.len() + relations.len() + unasked.len() + 4;
    let wanted = u16::try_from(wanted).unwrap_or(u16::MAX);
    let inner = frame_box(&title, columns, wanted.min(area.height), theme, area, frame);
    let rows = usize::from(inner.height);
    // The matrix never takes more than half of what the head leaves.
    let left = rows.saturating_sub(head.len() + unasked.len() + 2);
    let below = relations.len().min((left / 2).max(3));
    let visible = left.saturating_sub(below);
    let end = text.len().saturating_sub(visible);
    let first = view.scroll.min(end);
    let hidden = text.len().saturating_sub(first + visible);
    let mut lines = head;
    let more = if hidden > 0 { format!(" {hidden} more ▼ ") } else { String::new() };
    lines.push(rule("", "", inner.width, theme));
    lines.extend(text.into_iter().skip(first).take(visible));
    lines.push(rule(&probe_words(view, app.now), &more, inner.width, theme));
    lines.extend(unasked);
    let top = (view.cursor() + 1).saturating_sub(below);
    lines.extend(relations.into_iter().skip(top).take(below));
    Paragraph::new(lines).render(inner, frame.buffer_mut());
    end
}

/// What the doctor has found about the station where the way ends.
fn doctors_word<'a>(app: &App, view: &PathView, theme: Theme, room: usize) -> Vec<Line<'a>> {
    /// More is in the doctor's own box.
    const MOST: usize = 2;
    let nic = app.snapshot().nic(view.nic);
    let found = view
        .path
        .as_ref()
        .zip(nic)
        .map(|(path, nic)| chain::findings(path, nic, &app.doctor.report().findings));
    let line = |finding: &Finding| {
        let text = format!("doctor: {}: {}", finding.check, escape(&finding.title));
        let text = truncate(&text, room.saturating_sub(2), '…').into_owned();
        Line::styled(
            format!(" {} {text}", finding.severity.glyph()),
            theme.style(doctor::role(finding.severity)),
        )
    };
    found.unwrap_or_default().into_iter().take(MOST).map(line).collect()
}

fn rule<'a>(left: &str, right: &str, columns: u16, theme: Theme) -> Line<'a> {
    let used = width(left) + width(right);
    let line = "─".repeat(usize::from(columns).saturating_sub(used));
    Line::from(vec![
        Span::styled(left.to_owned(), theme.style(Role::Heading)),
        Span::styled(line, theme.style(Role::Border)),
        Span::styled(right.to_owned(), theme.style(Role::Key)),
    ])
}

fn probe_words(view: &PathView, now: Timestamp) -> String {
    match &view.probe {
        Probe::None => " who reaches whom, as derived ".to_owned(),
        Probe::Running => " who reaches whom · asking for real … ".to_owned(),
        Probe::Done { at, .. } => format!(" who reaches whom · asked {} ago ", span(now.millis_since(*at))),
    }
}

const fn role(answer: Answer) -> Role {
    match answer {
        Answer::Yes => Role::Good,
        Answer::No => Role::Bad,
        Answer::Unknown => Role::Warn,
    }
}

const fn glyph(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "✔",
        Answer::No => "✖",
        Answer::Unknown => "?",
    }
}

/// Why some of the questions were not asked: `– no guest agent answers: nothing can be asked from inside`.
fn unasked<'a>(view: &PathView, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let Probe::Done { rows, .. } = &view.probe else { return Vec::new() };
    let mut reasons: Vec<&str> = Vec::new();
    for row in rows {
        if let Found::NotAsked { reason } = &row.found
            && !reasons.contains(&reason.as_str())
        {
            reasons.push(reason);
        }
    }
    let line = |reason: &str| {
        let text = format!("  – {}", escape(reason));
        Line::styled(truncate(&text, room, '…').into_owned(), theme.style(Role::Warn))
    };
    reasons.into_iter().take(2).map(line).collect()
}

/// What is asked, the answer, and the whole way in one line or two.
fn head<'a>(view: &PathView, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let Some(cell) = view.cell() else { return Vec::new() };
    let title = view.path.as_ref().map_or_else(|| chain::relation(cell), chain::title);
    let mut lines = vec![Line::styled(format!(" {}", truncate(&title, room, '…')), theme.style(Role::Title))];
    let (answer, reason) =
        view.path.as_ref().map_or((cell.answer, &cell.reason), |path| (path.answer, &path.reason));
    for (at, part) in
        wrap(&chain::answer(answer, reason), room.saturating_sub(2)).into_iter().take(2).enumerate()
    {
        let mark = if at == 0 { glyph(answer) } else { " " };
        lines.push(Line::styled(format!(" {mark} {part}"), theme.style(role(answer))));
    }
    lines.extend(view.path.iter().flat_map(|path| stations(path, theme, room)));
    lines
}

fn stations<'a>(path: &Path, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let mut lines: Vec<Vec<Span<'a>>> = vec![Vec::new()];
    let mut used = 0;
    for (at, (tone, name)) in chain::chain(&path.there).into_iter().enumerate() {
        let joint = if at == 0 { "" } else { " ═ " };
        if used + width(joint) + width(&name) > room {
            lines.push(Vec::new());
            used = 0;
        }
        used += width(joint) + width(&name);
        let style = match tone {
            Tone::Stops => theme.style(Role::Bad),
            Tone::Undecided => theme.style(Role::Warn),
            Tone::Passes | Tone::Rule => theme.style(Role::Strong),
        };
        let mark = match tone {
            Tone::Stops => " ✖",
            Tone::Undecided => " ?",
            Tone::Passes | Tone::Rule => "",
        };
        if let Some(line) = lines.last_mut() {
            line.push(Span::styled(joint, theme.style(Role::Border)));
            line.push(Span::styled(format!("{name}{mark}"), style));
        }
    }
    lines.into_iter().map(|spans| Line::from([vec![Span::raw(" ")], spans].concat())).collect()
}

/// All stations there, and back.
fn way<'a>(view: &PathView, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let Some(path) = &view.path else {
        return vec![Line::styled(" no address to follow", theme.style(Role::Dim))];
    };
    let mut lines = leg(&path.there, theme, room);
    if let Some(back) = &path.back {
        lines.push(Line::styled(" and back", theme.style(Role::Heading)));
        lines.extend(leg(back, theme, room));
    }
    lines
}

/// Columns of a rate with its unit, and of packets, with a space before each.
const RATE: usize = 12;
const PACKETS: usize = 8;

fn leg<'a>(leg: &Leg, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let rows = chain::lines(leg);
    // Stations and rules have columns of their own: what a rule matches needs the room.
    let columns = |rules: bool| {
        let mine = || rows.iter().filter(move |row| is_rule(row) == rules);
        let kind = mine().map(|row| width(&row.kind)).max().unwrap_or(0).min(room / 3);
        let name = mine().map(|row| width(&row.name)).max().unwrap_or(0).min(room / 4);
        (kind, name)
    };
    let (stations, rules) = (columns(false), columns(true));
    rows.iter().map(|row| station(row, if is_rule(row) { rules } else { stations }, theme, room)).collect()
}

fn is_rule(row: &chain::Line) -> bool {
    row.kind.starts_with(' ')
}

fn station<'a>(row: &chain::Line, (kind, name): (usize, usize), theme: Theme, room: usize) -> Line<'a> {
    let (text, mark) = match row.tone {
        Tone::Passes => (Role::Text, Role::Good),
        Tone::Rule => (Role::Dim, Role::Dim),
        Tone::Undecided => (Role::Warn, Role::Warn),
        Tone::Stops => (Role::Bad, Role::Bad),
    };
    // What a rule matches needs the room more than its rate does.
    let figures = if is_rule(row) && room < 90 {
        format!("{:>PACKETS$}", row.packets)
    } else {
        format!("{:>RATE$}{:>PACKETS$}", row.rate, row.packets)
    };
    // A reason has the whole line.
    let body = if row.kind.is_empty() {
        format!("  {}", truncate(&row.detail, room.saturating_sub(4), '…'))
    } else {
        let detail = room.saturating_sub(3 + kind + 2 + name + 2 + width(&figures));
        format!(
            "{}  {}  {}{figures}",
            fit(&row.kind, kind, '…'),
            fit(&row.name, name, '…'),
            fit(&row.detail, detail, '…')
        )
    };
    Line::from(vec![
        Span::styled(format!(" {} ", row.mark), theme.style(mark)),
        Span::styled(body, theme.style(text)),
    ])
}

/// The matrix, with the probe's word where there is one.
fn relations<'a>(view: &PathView, matrix: &Reach, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let widest = |text: &dyn Fn(&Cell) -> String| {
        matrix.cells.iter().map(|cell| width(&text(cell))).max().unwrap_or(0)
    };
    let address = |cell: &Cell| cell.address.map(|address| address.to_string()).unwrap_or_default();
    let (first, second) = (widest(&chain::relation).min(room / 3), widest(&address));
    let cursor = view.cursor();
    // A column for the probe only when there was one.
    let asked = if matches!(view.probe, Probe::Done { .. }) { 9 } else { 0 };
    let line = |(at, cell): (usize, &Cell)| {
        let selected = at == cursor;
        let probed = view.found(cell);
        let (word, mark) = match probed.map(|probed| (&probed.found, probed.judgement)) {
            Some((Found::NotAsked { .. }, _)) => ("–", Role::Dim),
            None => ("", Role::Dim),
            Some((Found::Answered { .. }, Judgement::Contradicts)) => ("answers!", Role::Bad),
            Some((_, Judgement::Contradicts)) => ("silent!", Role::Bad),
            Some((Found::Answered { .. }, _)) => ("answers", Role::Good),
            Some(_) => ("silent", Role::Good),
        };
        let why = probed.filter(|probed| probed.judgement == Judgement::Contradicts).map_or_else(
            || escape(&cell.reason).into_owned(),
            |probed| escape(&probed.meaning()).into_owned(),
        );
        let used = first + second + 15 + asked;
        let style = theme.style(if selected { Role::Selected } else { Role::Text });
        Line::from(vec![
            Span::styled(if selected { "▸ " } else { "  " }, theme.style(Role::Key)),
            Span::styled(
                format!(
                    "{}  {}  ",
                    fit(&chain::relation(cell), first, '…'),
                    fit(&address(cell), second, '…')
                ),
                style,
            ),
            Span::styled(format!("{:<8}", cell.answer.word()), theme.style(role(cell.answer))),
            Span::styled(format!("{word:<asked$}"), theme.style(mark)),
            Span::raw(truncate(&why, room.saturating_sub(used), '…').into_owned()),
        ])
    };
    let mut lines: Vec<Line<'a>> = matrix.cells.iter().enumerate().map(line).collect();
    if matrix.unlisted > 0 {
        let text = truncate(&chain::unlisted(matrix), room, '…').into_owned();
        lines.push(Line::styled(format!("  {text}"), theme.style(Role::Dim)));
    }
    lines
}
