//! PURE. The switch form: choose, see what it means, then decide.
//!
//! ```text
//! ╭ Switch centos7 · vnet0 · 52:54:00:aa:fc:1c ───────────────────────────────╮
//! │ now   network default                                                     │
//! │ to    network  default   nat  virbr0                 ● here               │
//! │     ▸ bridge   virbr1    uplink eth1                 live                 │
//! │       macvtap  eth1      –                           port of virbr1: …    │
//! │ when  now and at next boot   model virtio   link bounce 6 s               │
//! ├───────────────────────────────────────────────────────────────────────────┤
//! │ consequences, diff or commands                                            │
//! ╰───────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{frame_box, more_rule, over_preview, preview};
use crate::app::App;
use crate::app::form::{Effective, SwitchForm};
use crate::change::{Availability, Bounce, Choice, Target};
use crate::ui::text::{escape, fit, truncate, width};
use crate::ui::theme::{Role, Theme};
use crate::ui::words;

pub(super) fn draw(app: &App, form: &SwitchForm, theme: Theme, area: Rect, frame: &mut Frame<'_>) -> usize {
    let Some(nic) = app.live().nic(form.nic) else { return 0 };
    let title = match form.marked.len() {
        0 | 1 => format!(" Switch {} · {} · {} ", escape(&nic.guest), words::nic_name(nic), nic.id.mac),
        many => format!(" Switch {many} marked NICs "),
    };
    let columns = area.width.min(106);
    let room = usize::from(columns).saturating_sub(4);
    let settings = settings(form, nic.config().and_then(|config| config.model.clone()), theme, room);
    let below = preview::of_planned(&form.planned, form.preview, theme, room);
    let choices: Vec<Line<'_>> =
        form.choices.iter().enumerate().map(|(at, one)| choice(one, form, at, theme, room)).collect();
    // now, choices, settings, rule, preview, frame: the list gives way before the preview does.
    let around = 2 + settings.len();
    let wanted = around + choices.len() + below.len() + 2;
    let rows = u16::try_from(wanted).unwrap_or(u16::MAX).min(area.height);
    let inner = frame_box(&title, columns, rows, theme, area, frame);
    let total = usize::from(inner.height);
    let for_preview = below.len().min(total.saturating_sub(around + 3));
    let for_choices = choices.len().min(total.saturating_sub(around + for_preview));
    let first = form.cursor.saturating_sub(for_choices.saturating_sub(1));
    let now = nic.source().map(words::source).unwrap_or_default();
    let mut lines = vec![Line::from(vec![Span::styled(" now   ", theme.style(Role::Dim)), Span::raw(now)])];
    lines.extend(choices.into_iter().skip(first).take(for_choices));
    lines.extend(settings);
    let hidden = form.choices.len() - for_choices;
    let rule = more_rule(hidden, "target");
    over_preview(lines, &rule, below, form.scroll, inner, theme, frame)
}

fn choice<'a>(choice: &Choice, form: &SwitchForm, at: usize, theme: Theme, room: usize) -> Line<'a> {
    let selected = at == form.cursor;
    let (state, role) = match &choice.availability {
        Availability::Here => ("● here".to_owned(), Role::Good),
        Availability::Live => ("live".to_owned(), Role::Text),
        Availability::HotReplug => ("hot-replug".to_owned(), Role::Warn),
        Availability::NextBoot(reason) => (format!("next boot: {reason}"), Role::Text),
        Availability::Refused { reason, way_out } => (format!("– {reason}: {way_out}"), Role::Dim),
    };
    let (kind, name) = match &choice.target {
        Target::Network { network } => ("network", escape(network).into_owned()),
        Target::Bridge { bridge } => ("bridge", bridge.to_string()),
        Target::Pci { device } => ("pci", device.to_string()),
        Target::Macvtap { lower, mode } => {
            let mode = if selected { form.mode } else { *mode };
            ("macvtap", format!("{lower} ({})", mode.word()))
        }
    };
    let label = if at == 0 { " to  " } else { "     " };
    let pointer = if selected { "▸ " } else { "  " };
    let greyed = matches!(choice.availability, Availability::Refused { .. });
    // A reason takes the place of the details.
    let detail = if greyed { 0 } else { 30.min(room.saturating_sub(52)) };
    let detail = fit(&escape(&choice.detail), detail, '…');
    let text = format!("{} {} {detail} ", fit(kind, 8, '…'), fit(&name, 20, '…'));
    let used = width(label) + 2 + width(&text);
    let state = truncate(&escape(&state), room.saturating_sub(used), '…').into_owned();
    let style = match (selected, greyed) {
        (true, _) => theme.style(Role::Selected),
        (false, true) => theme.style(Role::Dim),
        (false, false) => theme.style(Role::Text),
    };
    let state_style = if selected { style } else { theme.style(role) };
    Line::from(vec![
        Span::styled(label, theme.style(Role::Dim)),
        Span::styled(pointer, theme.style(Role::Key)),
        Span::styled(text, style),
        Span::styled(state, state_style),
    ])
}

/// What can be set besides the target, on as few lines as it needs.
fn settings<'a>(form: &SwitchForm, model: Option<String>, theme: Theme, room: usize) -> Vec<Line<'a>> {
    let when = match form.when {
        Effective::Now => "now and at next boot",
        Effective::NextBoot => "next boot only",
        Effective::Restart => "next boot, and restart the guest for it now",
    };
    let model = match &form.model {
        Some(model) => model.clone(),
        None => model.unwrap_or_else(|| "as it is".to_owned()),
    };
    let bounce = match form.bounce {
        Bounce::Off => "off".to_owned(),
        Bounce::Hold(hold) => format!("{} s", hold.as_secs()),
    };
    let mut fields = vec![
        ("w", "when", when.to_owned()),
        ("M", "model", escape(&model).into_owned()),
        ("b", "link bounce", bounce),
    ];
    if matches!(form.choices.get(form.cursor).map(|choice| &choice.target), Some(Target::Macvtap { .. })) {
        fields.push(("m", "mode", form.mode.word().to_owned()));
    }
    let mut lines: Vec<Line<'a>> = Vec::new();
    for (key, name, value) in fields {
        let field = Line::from(vec![
            Span::styled(format!(" {key}"), theme.style(Role::Key)),
            Span::styled(format!(" {name} "), theme.style(Role::Dim)),
            Span::raw(format!("{value} ")),
        ]);
        match lines.last_mut() {
            Some(line) if line.width() + field.width() <= room => line.extend(field.spans),
            _ => lines.push(field),
        }
    }
    lines
}
