//! PURE. What the state looks like: [`draw`] puts an [`App`] into a frame and changes nothing.
//!
//! ```text
//!  header: host, sources, counts, clock
//!  panes (side by side when there is room, else tabs and the chain of the selected NIC)
//!  footer: keys that matter now, or the newest message
//! ```
//! [`text`], [`diff`] and [`words`] know no terminal and serve the command line as well.

mod banner;
pub mod chain;
pub mod diff;
pub mod glyphs;
mod overlays;
mod panes;
mod table;
pub mod text;
pub mod theme;
pub mod words;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};

use crate::app::action::{ACTIONS, Action, Spec};
use crate::app::{App, Pane};
use crate::doctor::Severity;
use crate::model::{Snapshot, SourceState, Timestamp};

use self::glyphs::Glyphs;
use self::text::{escape, span, truncate, width, wrap};
use self::theme::{Role, Theme};

/// Below this nothing sensible fits.
const SMALLEST: (u16, u16) = (60, 12);

/// Draws everything.
pub fn draw(app: &App, theme: Theme, glyphs: Glyphs, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!(
            "virt-net needs {} x {}, this is {} x {}",
            SMALLEST.0, SMALLEST.1, area.width, area.height
        );
        Paragraph::new(text).render(area, frame.buffer_mut());
    } else {
        let banner = u16::from(app.waiting.is_some());
        let said = said(app, area);
        let footer = u16::try_from(said.len()).unwrap_or(1).max(1);
        let rows = [
            Constraint::Length(1),
            Constraint::Length(banner),
            Constraint::Fill(1),
            Constraint::Length(footer),
        ];
        let [header, banner, body, footer] = Layout::vertical(rows).areas(area);
        draw_header(app, theme, header, frame);
        banner::draw(app, theme, banner, frame);
        draw_body(app, theme, body, frame);
        overlays::draw(app, theme, body, frame);
        draw_footer(app, said, theme, footer, frame);
    }
    if glyphs == Glyphs::Ascii {
        glyphs::to_ascii(frame.buffer_mut());
    }
}

/// ` virt-net  kvm1  qemu:///system    libvirt ● kernel ● firewall ●  ✖ 1  ▲ 2  3 guests 4 NICs   14:03:22`
fn draw_header(app: &App, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let snapshot = app.snapshot();
    let mut left = vec![
        Span::styled(" virt-net ", theme.style(Role::Title)),
        Span::styled(format!(" {} ", escape(&snapshot.host.name)), theme.style(Role::Strong)),
    ];
    if area.width >= 100 {
        left.push(Span::styled(format!(" {}", escape(&snapshot.host.uri)), theme.style(Role::Dim)));
    }
    if snapshot.host.foreign_namespace {
        left.push(Span::styled("  ▲ libvirtd is in another network namespace", theme.style(Role::Warn)));
    }
    if app.is_frozen() {
        let age = span(app.now.millis_since(snapshot.taken_at));
        left.push(Span::styled(format!("  ▲ frozen, {age} old"), theme.style(Role::Warn)));
    }
    if app.is_changing() {
        left.push(Span::styled("  ◐ a change is running (c)", theme.style(Role::Warn)));
    }
    let mut right = Vec::new();
    for (name, state) in [
        ("libvirt", &snapshot.health.libvirt),
        ("kernel", &snapshot.health.kernel),
        ("firewall", &snapshot.health.firewall),
    ] {
        right.extend(health(name, state, app.now, theme));
    }
    for severity in [Severity::Error, Severity::Warning] {
        let count = app.doctor.report().count(severity);
        if count > 0 {
            let style = theme.style(overlays::doctor::role(severity));
            right.push(Span::styled(format!("  {} {count}", severity.glyph()), style));
        }
    }
    let guests = snapshot.libvirt.guests.len();
    let nics = snapshot.nics.len();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    right.push(Span::raw(format!("  {} {}", plural(guests, "guest"), plural(nics, "NIC"))));
    right.push(Span::styled(format!("  {}  ", clock(app.now)), theme.style(Role::Dim)));
    let used: usize = left.iter().chain(&right).map(|span| width(&span.content)).sum();
    if used > usize::from(area.width) {
        // The sources come first: the counts can be seen below.
        right.truncate(right.len() - 2);
        right.push(Span::raw(" "));
    }
    let used: usize = left.iter().chain(&right).map(|span| width(&span.content)).sum();
    left.push(Span::raw(" ".repeat(usize::from(area.width).saturating_sub(used))));
    left.extend(right);
    Paragraph::new(Line::from(left)).style(theme.style(Role::Bar)).render(area, frame.buffer_mut());
}

fn health(name: &str, state: &SourceState, now: Timestamp, theme: Theme) -> Vec<Span<'static>> {
    let (glyph, role, more) = match state {
        SourceState::Ok => ("●", Role::Good, String::new()),
        SourceState::Starting => ("…", Role::Dim, String::new()),
        SourceState::Stale { since, .. } => {
            ("!", Role::Warn, format!(" stale {}", span(now.millis_since(*since))))
        }
        SourceState::Denied { .. } => ("!", Role::Warn, " no right".to_owned()),
        SourceState::Down { since, .. } => {
            ("✖", Role::Bad, format!(" down {}", span(now.millis_since(*since))))
        }
    };
    vec![Span::raw(format!(" {name} ")), Span::styled(format!("{glyph}{more}"), theme.style(role))]
}

/// Time of day in UTC: what the host's logs can be compared with.
fn clock(now: Timestamp) -> String {
    let seconds = now.0 / 1000;
    format!("{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

fn draw_body(app: &App, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    if area.width >= 100 && area.height >= 26 {
        let nics = height(app, Pane::Nics, area.height / 2);
        let networks = height(app, Pane::Networks, area.height / 4);
        let [top, middle, bottom] =
            Layout::vertical([Constraint::Length(nics), Constraint::Fill(1), Constraint::Length(networks)])
                .areas(area);
        let [left, right] = Layout::horizontal([Constraint::Fill(50), Constraint::Fill(70)]).areas(middle);
        panes::draw(app, Pane::Nics, theme, top, frame);
        panes::draw(app, Pane::Bridges, theme, left, frame);
        panes::draw(app, Pane::Rules, theme, right, frame);
        panes::draw(app, Pane::Networks, theme, bottom, frame);
        return;
    }
    let [tabs, pane, strip] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(2)]).areas(area);
    draw_tabs(app, theme, tabs, frame);
    panes::draw(app, app.focus, theme, pane, frame);
    draw_strip(app, theme, strip, frame);
}

/// Rows, frame and heading, within bounds.
fn height(app: &App, pane: Pane, most: u16) -> u16 {
    let rows = crate::app::rows::rows(app, pane).len();
    u16::try_from(rows + 3).unwrap_or(u16::MAX).clamp(5, most.max(5))
}

fn draw_tabs(app: &App, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let spans: Vec<Span<'_>> = Pane::ALL
        .iter()
        .map(|pane| {
            let short = match pane {
                Pane::Nics => "NICs",
                Pane::Bridges => "Bridges",
                Pane::Rules => "NAT",
                Pane::Networks => "Networks",
            };
            let role = if *pane == app.focus { Role::Selected } else { Role::Dim };
            Span::styled(format!(" {} {short} ", pane.index() + 1), theme.style(role))
        })
        .collect();
    Paragraph::new(Line::from(spans)).render(area, frame.buffer_mut());
}

/// The chain of the selected row's NIC: `centos7 ─ vnet0 ─ virbr0 ─ masquerade ─ eth0`, and its rates below.
fn draw_strip(app: &App, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let snapshot = app.snapshot();
    let Some(nic) = app.nic_of_row(snapshot).and_then(|id| snapshot.nic(id)) else { return };
    let chain = chain(snapshot, nic).join(" ─ ");
    let rate = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), text::rate);
    let (address, origin) = words::address(nic);
    let figures = format!(
        " {address} {origin}   rx {}/s  tx {}/s   {}",
        rate(nic.rate.map(|rate| rate.rx_bytes)),
        rate(nic.rate.map(|rate| rate.tx_bytes)),
        words::nic_now(nic),
    );
    let columns = usize::from(area.width);
    // What is wrong comes before the figures.
    let wrong: Vec<String> = words::nic_troubles(nic).into_iter().chain(words::next_boot(nic)).collect();
    let wrong = if wrong.is_empty() { String::new() } else { format!(" {} ", wrong.join("  ")) };
    let wrong = truncate(&wrong, columns, '…').into_owned();
    let figures = truncate(&figures, columns.saturating_sub(width(&wrong)), '…').into_owned();
    let lines = vec![
        Line::styled(truncate(&format!(" {chain}"), columns, '…').into_owned(), theme.style(Role::Strong)),
        Line::from(vec![
            Span::styled(wrong, theme.style(Role::Warn)),
            Span::styled(figures, theme.style(Role::Dim)),
        ]),
    ];
    Paragraph::new(lines).render(area, frame.buffer_mut());
}

/// What a packet passes on its way out, nearest first.
fn chain(snapshot: &Snapshot, nic: &crate::model::Nic) -> Vec<String> {
    if let Some(device) = nic.device {
        let card =
            nic.card.as_deref().map_or_else(|| "its own card".to_owned(), |card| escape(card).into_owned());
        return vec![escape(&nic.guest).into_owned(), device.to_string(), card];
    }
    let mut chain = vec![escape(&nic.guest).into_owned(), words::nic_name(nic)];
    chain.extend(nic.bridge.map(|bridge| bridge.to_string()));
    let masked = snapshot.rules.iter().any(|rule| {
        let masquerade = matches!(rule.rule.action, Some(crate::model::firewall::Action::Masquerade { .. }));
        masquerade && nic.network.is_some_and(|network| rule.networks.contains(&network))
    });
    if masked {
        chain.push("masquerade".to_owned());
    }
    chain.push(words::way_out(snapshot, nic).unwrap_or_else(|| "no uplink".to_owned()));
    chain
}

/// The newest message in as many lines as it needs: a reason that is cut is none. The messages box has it whole.
fn said(app: &App, area: Rect) -> Vec<String> {
    let Some(message) = app.said.as_ref().filter(|_| !app.filtering) else { return Vec::new() };
    let columns = usize::from(area.width).saturating_sub(2);
    let mut lines = wrap(&escape(message), columns);
    let most = usize::from(area.height / 4);
    if lines.len() > most {
        let rest = lines.drain(most.saturating_sub(1)..).collect::<Vec<_>>().join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| truncate(line, columns, '…').into_owned()).collect()
}

fn draw_footer(app: &App, said: Vec<String>, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let columns = usize::from(area.width);
    if app.filtering {
        let text = format!(" / {}▏  Enter keep   Esc show all", escape(&app.filter));
        Paragraph::new(Line::styled(text, theme.style(Role::Key))).render(area, frame.buffer_mut());
        return;
    }
    if !said.is_empty() {
        let lines = said.into_iter().map(|line| Line::styled(format!(" {line}"), theme.style(Role::Warn)));
        Paragraph::new(lines.collect::<Vec<_>>()).render(area, frame.buffer_mut());
        return;
    }
    let context = app.context();
    let mut spans: Vec<Span<'_>> = Vec::new();
    let layers = context.layers().iter();
    let here = layers.flat_map(|layer| ACTIONS.iter().filter(move |spec| spec.context == *layer));
    let here: Vec<&Spec> =
        here.filter(|spec| !spec.short.is_empty() && app.offers(spec.context, spec.action)).collect();
    let long = |spec: &Spec| width(&app.keymap.shown(spec)) + width(spec.short) + 4;
    // The way out and the way to all the others always have their place.
    let (firm, mut loose): (Vec<&Spec>, Vec<&Spec>) =
        here.into_iter().partition(|spec| matches!(spec.action, Action::Help | Action::Quit));
    let mut room = columns.saturating_sub(firm.iter().map(|spec| long(spec)).sum());
    loose.retain(|spec| {
        let left = room.checked_sub(long(spec));
        room = left.unwrap_or(room);
        left.is_some()
    });
    for spec in loose.into_iter().chain(firm) {
        spans.push(Span::styled(format!(" {}", app.keymap.shown(spec)), theme.style(Role::Key)));
        spans.push(Span::raw(format!(" {}  ", spec.short)));
    }
    Paragraph::new(Line::from(spans)).style(theme.style(Role::Bar)).render(area, frame.buffer_mut());
}
