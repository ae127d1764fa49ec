//! PURE. The four panes of the overview.
//!
//! ```text
//! ╭ 1 NICs ─────────────────────────────────────────────────────────── / filter · sort guest ▲ ─╮
//! │  GUEST      STATE    NIC     SOURCE            MODEL   MAC                ADDRESS    rx/s …  │
//! │▸ centos7    running  vnet0   network default   virtio  52:54:00:aa:fc:1c  192.168.…  1.2M …  │
//! ╰──────────────────────────────────────────────────────────────────────────────────────────────╯
//! ```

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, BorderType, Paragraph, Widget as _, Wrap};

use super::table::{Cell, Column, Mark, Row, Table, Wide, left, right};
use super::text::{count, escape, rate, truncate, width};
use super::theme::{Role, Theme};
use super::words;
use crate::app::rows::stack::{self, Upper};
use crate::app::rows::{related, rows, rule};
use crate::app::{App, Pane, RowId};
use crate::change::shim;
use crate::model::kernel::{Link, LinkKind};
use crate::model::snapshot::{GuestRule, PortRole};
use crate::model::{Bridge, DomainState, ForwardMode, Network, Nic, Port, Snapshot, SourceState};

pub(super) fn draw(app: &App, pane: Pane, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let focused = app.focus == pane;
    let border = theme.style(if focused { Role::Focus } else { Role::Border });
    let title_role = if focused { Role::Title } else { Role::Text };
    let mut block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(border)
        .title(Span::styled(format!(" {} {} ", pane.index() + 1, pane.title()), theme.style(title_role)));
    let health = source(app.snapshot(), pane);
    let mut notes = Vec::new();
    if !app.filter.is_empty() {
        notes.push(format!("/{}", escape(&app.filter)));
    }
    if pane == Pane::Nics {
        notes.push("rx tx: the guest's".to_owned());
        if !app.marked.is_empty() {
            notes.push(format!("◆ {} marked, s switches them", app.marked.len()));
        }
        notes.push(format!("sort {}", app.sort.words()));
    }
    if !health.is_ok() && *health != SourceState::Starting {
        notes = vec![words::health(health, app.now)];
    }
    // The pane's own title comes first.
    let room = usize::from(area.width).saturating_sub(width(pane.title()) + 10);
    let notes = truncate(&notes.join(" · "), room, '…').into_owned();
    if !notes.is_empty() {
        let role = if health.is_ok() { Role::Dim } else { Role::Warn };
        block = block.title(Line::styled(format!(" {notes} "), theme.style(role)).right_aligned());
    }
    let inner = block.inner(area);
    block.render(area, frame.buffer_mut());
    let ids = rows(app, pane);
    if ids.is_empty() {
        Paragraph::new(Text::styled(empty(app, pane), theme.style(Role::Dim)))
            .wrap(Wrap { trim: true })
            .render(inner, frame.buffer_mut());
        return;
    }
    let (columns, rows) = contents(app, pane, &ids);
    let stale = !health.is_ok();
    let hidden = Table { columns, rows: &rows, theme, stale }.render(inner, frame.buffer_mut());
    let mut text = String::new();
    for (glyph, rows) in [('▲', hidden.above), ('▼', hidden.below)] {
        if rows > 0 {
            text.push_str(&format!(" {rows} more {glyph} "));
        }
    }
    let x = inner.right().saturating_sub(u16::try_from(width(&text)).unwrap_or(0));
    frame.buffer_mut().set_string(x, inner.bottom(), text, theme.style(Role::Key));
}

fn source(snapshot: &Snapshot, pane: Pane) -> &SourceState {
    match pane {
        Pane::Nics | Pane::Networks => &snapshot.health.libvirt,
        Pane::Bridges => &snapshot.health.kernel,
        Pane::Rules => &snapshot.health.firewall,
    }
}

/// What to do about an empty pane.
fn empty(app: &App, pane: Pane) -> String {
    let snapshot = app.snapshot();
    if !app.filter.is_empty() {
        return format!(" nothing with \"{}\"; Esc shows all", escape(&app.filter));
    }
    match source(snapshot, pane) {
        SourceState::Starting => return " reading …".to_owned(),
        SourceState::Ok => {}
        state => return format!(" {}{}", words::health(state, app.now), by_definition(snapshot, pane)),
    }
    match pane {
        Pane::Nics => " no guest has a NIC; virt-install --network network=default makes one",
        Pane::Bridges => " no bridge; virsh net-start default makes virbr0",
        Pane::Rules => " no rule names a guest network; an active NAT network has some",
        Pane::Networks => " no network is defined; virsh net-define makes one",
    }
    .to_owned()
}

/// What must be among the rules that cannot be read: libvirt's definitions say so.
fn by_definition(snapshot: &Snapshot, pane: Pane) -> String {
    if pane != Pane::Rules {
        return String::new();
    }
    let nat = snapshot.libvirt.networks.iter().filter(|one| one.active && one.forward() == ForwardMode::Nat);
    let line = |one: &Network| {
        let (name, subnets) = (escape(&one.name), words::subnets(one));
        format!("\n\n By libvirt's definition: {subnets} is masqueraded (network {name}); no counters.")
    };
    nat.map(line).collect()
}

fn contents(app: &App, pane: Pane, ids: &[RowId]) -> (&'static [Column], Vec<Row>) {
    let snapshot = app.snapshot();
    let chosen = app.cursor(pane);
    let selected = app.cursor(app.focus);
    let mark = |id: &RowId| {
        if app.focus == pane {
            return if chosen.as_ref() == Some(id) { Mark::Cursor } else { Mark::None };
        }
        if selected.as_ref().is_some_and(|selected| related(snapshot, selected, id)) {
            return Mark::Linked;
        }
        Mark::None
    };
    let row = |id: &RowId, cells: Option<Vec<Cell>>| Row {
        cells: cells.unwrap_or_default(),
        wide: if matches!(id, RowId::Bridge(_) | RowId::Lower(_)) { Wide::Row } else { Wide::Column },
        mark: mark(id),
    };
    let rows = ids.iter().enumerate().map(|(at, id)| {
        let cells = match id {
            RowId::Nic(id) => snapshot.nic(*id).map(|nic| {
                let mut cells = nic_cells(snapshot, nic);
                if let Some(guest) = cells.first_mut().filter(|_| app.marked.contains(id)) {
                    guest.text.insert_str(0, "◆ ");
                }
                cells
            }),
            RowId::Bridge(bridge) => {
                snapshot.bridge_named(*bridge).map(|bridge| bridge_cells(snapshot, bridge))
            }
            RowId::Port(bridge, port) => snapshot
                .bridge_named(*bridge)
                .and_then(|bridge| bridge.ports.iter().find(|other| other.name == *port))
                .map(|port| port_cells(port, !matches!(ids.get(at + 1), Some(RowId::Port(..))))),
            RowId::Lower(lower) => snapshot.link_named(*lower).map(|link| lower_cells(snapshot, link)),
            RowId::Upper(lower, name) => stack::upper(snapshot, *lower, *name).map(|upper| {
                upper_cells(snapshot, upper, !matches!(ids.get(at + 1), Some(RowId::Upper(..))))
            }),
            RowId::Rule(chain, handle) => rule(snapshot, chain, *handle).map(rule_cells),
            RowId::Network(network) => snapshot.network(*network).map(network_cells),
        };
        row(id, cells.map(|cells| flagged(app, id, cells)))
    });
    let rows = rows.collect();
    let columns = match pane {
        Pane::Nics => NICS,
        Pane::Bridges => BRIDGES,
        Pane::Rules => RULES,
        Pane::Networks => NETWORKS,
    };
    (columns, rows)
}

/// The first cell with what the doctor found.
fn flagged(app: &App, id: &RowId, mut cells: Vec<Cell>) -> Vec<Cell> {
    if let (Some(severity), Some(first)) = (app.trouble(id), cells.first_mut()) {
        // A port's name stands behind its branch.
        first.text = match id {
            RowId::Port(..) | RowId::Upper(..) => format!("{} {}", first.text, severity.glyph()),
            _ => format!("{} {}", severity.glyph(), first.text),
        };
        first.role = super::overlays::doctor::role(severity);
    }
    cells
}

const NICS: &[Column] = &[
    left("GUEST", 9, 0),
    left("STATE", 7, 2),
    left("NIC", 6, 1),
    left("SOURCE", 15, 0),
    left("MODEL", 6, 8),
    left("MAC", 17, 7),
    left("ADDRESS", 17, 0),
    right("rx/s", 6, 3),
    right("tx/s", 6, 3),
    left("", 6, 6),
    left("", 0, 5),
];

fn nic_cells(snapshot: &Snapshot, nic: &Nic) -> Vec<Cell> {
    let state_role = match nic.state {
        DomainState::Running => Role::Text,
        DomainState::Off => Role::Dim,
        _ => Role::Warn,
    };
    let (address, origin) = words::address(nic);
    let per_second = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), rate);
    let mut source = words::nic_troubles(nic);
    let source_role = if nic.pending || !source.is_empty() { Role::Warn } else { Role::Text };
    source.push(words::nic_source(nic, "⧗"));
    let model = nic.config().and_then(|config| config.model.clone()).unwrap_or_else(|| "–".to_owned());
    vec![
        Cell::new(escape(&nic.guest)),
        Cell::role(nic.state.word(), state_role),
        Cell::new(words::nic_name(nic)),
        Cell::role(source.join(", "), source_role),
        Cell::role(escape(&model), Role::Dim),
        Cell::role(nic.mac_text(), Role::Dim),
        Cell::new(format!("{address} {origin}").trim_end()),
        Cell::new(per_second(nic.rate.map(|rate| rate.rx_bytes))),
        Cell::new(per_second(nic.rate.map(|rate| rate.tx_bytes))),
        Cell::role(sparkline(snapshot, nic, 6), Role::Good),
        Cell::role(losses(nic), Role::Bad),
    ]
}

/// Errors and drops when there are any.
fn losses(nic: &Nic) -> String {
    let mut parts = Vec::new();
    if let Some(counters) = nic.counters {
        let errors = counters.rx_errors + counters.tx_errors;
        let drops = counters.rx_dropped + counters.tx_dropped;
        if errors > 0 {
            parts.push(format!("err {}", count(errors)));
        }
        if drops > 0 {
            parts.push(format!("drop {}", count(drops)));
        }
    }
    parts.join(" ")
}

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The newest samples of both directions together, scaled to their highest.
fn sparkline(snapshot: &Snapshot, nic: &Nic, columns: usize) -> String {
    let Some(link) = nic.link else { return String::new() };
    let samples = snapshot.history.samples(link);
    let skip = samples.len().saturating_sub(columns);
    let values: Vec<f64> = samples.skip(skip).map(|rate| rate.total_bytes()).collect();
    bars(&values)
}

/// One bar per value, scaled to the highest.
pub(super) fn bars(values: &[f64]) -> String {
    let highest = values.iter().copied().fold(1.0_f64, f64::max);
    values.iter().map(|value| LEVELS.get(level(*value / highest)).copied().unwrap_or('█')).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1 times 7")]
fn level(share: f64) -> usize {
    (share.clamp(0.0, 1.0) * 7.0).round() as usize
}

const BRIDGES: &[Column] = &[
    left("BRIDGE", 11, 0),
    left("STATE", 10, 1),
    left("OWNER", 8, 0),
    right("rx/s", 6, 2),
    right("tx/s", 6, 2),
];

fn bridge_cells(snapshot: &Snapshot, bridge: &Bridge) -> Vec<Cell> {
    let stp = if bridge.info.stp {
        format!("stp {}s", f64::from(bridge.info.forward_delay) / 100.0)
    } else {
        "stp off".to_owned()
    };
    let mut cells = vec![Cell::role(bridge.name.to_string(), Role::Strong)];
    if !bridge.up {
        cells.push(Cell::role("▲ down", Role::Warn));
    }
    cells.extend(bridge.global_addresses().next().map(|address| Cell::new(address.to_string())));
    cells.extend(bridge.network_name.as_ref().map(|name| Cell::new(format!("network {}", escape(name)))));
    cells.push(Cell::role(stp, Role::Dim));
    if bridge.ports.is_empty() {
        cells.push(Cell::role("no port", Role::Dim));
    } else if bridge.uplinks().next().is_none() && bridge.network.is_none() {
        let dead_end = snapshot.is_dead_end(bridge);
        cells.push(if dead_end {
            Cell::role("no uplink: isolated", Role::Warn)
        } else {
            Cell::role("no uplink", Role::Dim)
        });
    }
    cells
}

fn port_cells(port: &Port, last: bool) -> Vec<Cell> {
    let state = port.info.as_ref().map_or("–", |info| info.state.word());
    let forwards = state == "forwarding";
    let owner = match (port.role, &port.guest) {
        (_, Some(guest)) => escape(guest).into_owned(),
        (PortRole::Uplink, None) => if port.carrier { "uplink" } else { "uplink ▲ no carrier" }.to_owned(),
        (PortRole::Container, None) => "container".to_owned(),
        (PortRole::Dummy, None) => "dummy".to_owned(),
        (_, None) => "tap of no guest".to_owned(),
    };
    let per_second = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), rate);
    vec![
        Cell::new(format!("{} {}", branch(last), port.name)),
        Cell::role(state, if forwards { Role::Good } else { Role::Warn }),
        Cell::new(owner),
        Cell::new(per_second(port.rate.map(|rate| rate.rx_bytes))),
        Cell::new(per_second(port.rate.map(|rate| rate.tx_bytes))),
    ]
}

/// A NIC below macvtaps.
fn lower_cells(snapshot: &Snapshot, link: &Link) -> Vec<Cell> {
    let mut cells = vec![Cell::role(link.name.to_string(), Role::Strong)];
    if !link.up {
        cells.push(Cell::role("▲ down", Role::Warn));
    }
    let mut own = snapshot.kernel.addresses.iter().filter(|own| own.index == link.index && own.is_global());
    cells.extend(own.next().map(|own| Cell::new(own.address.to_string())));
    cells.push(Cell::role("macvtaps", Role::Dim));
    cells
}

fn upper_cells(snapshot: &Snapshot, upper: Upper<'_>, last: bool) -> Vec<Cell> {
    let link = upper.link();
    let per_second = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), rate);
    let (state, owner, now) = match upper {
        Upper::Macvtap(link, nic) => {
            let mode = match link.kind {
                LinkKind::Macvtap { mode } => mode.word(),
                _ => "–",
            };
            (mode, escape(&nic.guest).into_owned(), nic.rate)
        }
        Upper::Shim(link) => {
            let guests = shim::After::now(link.name, &snapshot.kernel).routes().len();
            let state = if link.up { "shim" } else { "shim ▲ down" };
            let owner = format!("{guests} guest{}", if guests == 1 { "" } else { "s" });
            (state, owner, snapshot.history.samples(link.index).next_back().copied())
        }
    };
    vec![
        Cell::new(format!("{} {}", branch(last), link.name)),
        Cell::role(state, if link.up { Role::Good } else { Role::Warn }),
        Cell::new(owner),
        Cell::new(per_second(now.map(|rate| rate.rx_bytes))),
        Cell::new(per_second(now.map(|rate| rate.tx_bytes))),
    ]
}

const fn branch(last: bool) -> &'static str {
    if last { "└─" } else { "├─" }
}

const RULES: &[Column] = &[
    left("MATCH", 24, 0),
    left("ACTION", 10, 0),
    right("pkts", 6, 1),
    right("bytes", 6, 2),
    right("B/s", 6, 3),
];

fn rule_cells(rule: &GuestRule) -> Vec<Cell> {
    let hook = rule.hook.as_ref().map_or("", |hook| hook.hook.word());
    // Where addresses are translated is plain from the action.
    let matches = words::rule_match(&rule.rule);
    let matches = if rule.nat || hook.is_empty() { matches } else { format!("{hook} {matches}") };
    // Its ports, and what a reject says, are in the details.
    let action = words::rule_action(&rule.rule);
    let short = action.split(" ports ").next().and_then(|text| text.split(" (").next());
    let action = short.unwrap_or_default().to_owned();
    let colour = match action.split(' ').next() {
        Some("drop" | "reject") => Role::Warn,
        Some("masquerade" | "snat" | "dnat" | "accept") => Role::Good,
        _ => Role::Text,
    };
    let total = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), count);
    vec![
        Cell::new(matches),
        Cell::role(action, colour),
        Cell::new(total(rule.rule.counter.map(|counter| counter.packets))),
        Cell::new(total(rule.rule.counter.map(|counter| counter.bytes))),
        Cell::new(rule.rate.map_or_else(|| "–".to_owned(), |now| rate(now.bytes))),
    ]
}

const NETWORKS: &[Column] = &[
    left("NETWORK", 10, 0),
    left("MODE", 8, 0),
    left("BRIDGE", 8, 1),
    left("SUBNET", 18, 0),
    left("DHCP", 8, 4),
    left("LEASES", 7, 3),
    left("AUTOSTART", 9, 5),
    left("STATE", 8, 0),
];

fn network_cells(network: &Network) -> Vec<Cell> {
    vec![
        Cell::new(escape(&network.name)),
        Cell::new(escape(network.forward().word())),
        Cell::new(network.bridge().map_or_else(|| "–".to_owned(), |bridge| bridge.to_string())),
        Cell::new(words::subnets(network)),
        Cell::new(words::dhcp(network)),
        Cell::new(words::leases(network)),
        Cell::role(if network.autostart { "yes" } else { "no" }, Role::Dim),
        Cell::role(
            if network.active { "active" } else { "inactive" },
            if network.active { Role::Good } else { Role::Dim },
        ),
    ]
}
