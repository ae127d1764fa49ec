//! PURE. All about one row: a NIC (live and next boot side by side, graph, counters), a bridge, a port,
//! a network with its leases and XML, a rule in full.

mod device;
mod stack;

use ratatui::text::{Line, Span};

use crate::app::rows::stack::Upper;
use crate::app::rows::{self, rule};
use crate::app::{App, RowId};
use crate::model::kernel::Link;
use crate::model::snapshot::GuestRule;
use crate::model::{Bridge, Counters, Network, Nic, NicConfig, NicSource, Port, Snapshot};
use crate::ui::panes::bars;
use crate::ui::text::{count, escape, fit, rate, span, truncate};
use crate::ui::theme::{Role, Theme};
use crate::ui::words;

type Lines<'a> = Vec<Line<'a>>;

pub(super) fn lines<'a>(app: &App, row: &RowId, theme: Theme, room: usize) -> (String, Lines<'a>) {
    let snapshot = app.snapshot();
    let gone = || (" gone ".to_owned(), vec![Line::raw(" it is not there any more")]);
    match row {
        RowId::Nic(id) => snapshot.nic(*id).map_or_else(gone, |nic| {
            let title = format!(" {} · {} · {} ", escape(&nic.guest), words::nic_name(nic), nic.mac_text());
            (title, nic_lines(snapshot, nic, theme, room))
        }),
        RowId::Bridge(name) => snapshot
            .bridge_named(*name)
            .map_or_else(gone, |bridge| (format!(" bridge {name} "), bridge_lines(snapshot, bridge, theme))),
        RowId::Port(bridge, name) => snapshot
            .bridge_named(*bridge)
            .and_then(|bridge| bridge.ports.iter().find(|port| port.name == *name))
            .map_or_else(gone, |port| {
                (format!(" {name}, port of {bridge} "), port_lines(snapshot, port, theme))
            }),
        RowId::Lower(name) => snapshot.link_named(*name).map_or_else(gone, |link| {
            (format!(" {name}, below macvtaps "), stack::lower_lines(snapshot, link, theme))
        }),
        RowId::Upper(lower, name) => match rows::stack::upper(snapshot, *lower, *name) {
            Some(Upper::Macvtap(_, nic)) => lines(app, &RowId::Nic(nic.id), theme, room),
            Some(Upper::Shim(link)) => {
                (format!(" shim {name} over {lower} "), stack::shim_lines(snapshot, link, theme))
            }
            None => gone(),
        },
        RowId::Network(id) => snapshot.network(*id).map_or_else(gone, |network| {
            (format!(" network {} ", escape(&network.name)), network_lines(snapshot, network, theme, room))
        }),
        RowId::Rule(chain, handle) => rule(snapshot, chain, *handle).map_or_else(gone, |rule| {
            let title =
                format!(" {} {} {} ", chain.family.word(), escape(&chain.table), escape(&chain.chain));
            (title, rule_lines(app, rule, theme, room))
        }),
    }
}

fn heading<'a>(text: &str, theme: Theme) -> Line<'a> {
    Line::styled(format!(" {text}"), theme.style(Role::Heading))
}

fn field<'a>(name: &str, value: impl Into<String>, theme: Theme) -> Line<'a> {
    Line::from(vec![
        Span::styled(format!("  {}", fit(name, 13, '…')), theme.style(Role::Dim)),
        Span::raw(value.into()),
    ])
}

fn nic_lines<'a>(snapshot: &Snapshot, nic: &Nic, theme: Theme, room: usize) -> Lines<'a> {
    let mut lines = Vec::new();
    let column = (room.saturating_sub(18) / 2).clamp(12, 40);
    lines.push(Line::styled(
        format!("  {}{}  {}", fit("", 13, '…'), fit("NOW", column, '…'), "NEXT BOOT"),
        theme.style(Role::Heading),
    ));
    for (name, value) in PROPERTIES {
        let side = |config: Option<&NicConfig>| config.map_or_else(|| "–".to_owned(), value);
        let (now, next) = (side(nic.live.as_ref()), side(nic.next.as_ref()));
        if [&now, &next].iter().all(|side| matches!(side.as_str(), "–" | "")) {
            continue;
        }
        // What only a running guest has is no difference.
        let live_only = matches!(*name, "nic" | "alias");
        let differs = now != next && !live_only && nic.live.is_some() && nic.next.is_some();
        let role = if differs { Role::Warn } else { Role::Text };
        lines.push(Line::from(vec![
            Span::styled(format!("  {}", fit(name, 13, '…')), theme.style(Role::Dim)),
            Span::styled(
                format!("{}  {}", fit(&now, column, '…'), truncate(&next, column, '…')),
                theme.style(role),
            ),
        ]));
    }
    lines.push(Line::raw(""));
    lines.push(heading("on the host", theme));
    if nic.drifted() {
        let expected = nic.expected_bridge.map(|bridge| bridge.to_string()).unwrap_or_default();
        let has = nic.bridge.map_or_else(|| "no bridge".to_owned(), |bridge| bridge.to_string());
        lines.push(Line::styled(
            format!("  ▲ libvirt says {expected}, the kernel has it on {has}"),
            theme.style(Role::Warn),
        ));
    }
    match nic.device {
        Some(address) => lines.extend(device::lines(snapshot, address, theme)),
        None => lines.extend(link_lines(nic, snapshot, theme)),
    }
    lines.push(Line::raw(""));
    lines.push(heading("addresses", theme));
    if nic.addresses.is_empty() {
        let silent = snapshot.guest(nic.id.domain).is_some_and(|guest| guest.agent_silent);
        let none = match nic.device {
            _ if silent => "  none seen: the guest's agent has not answered yet",
            Some(_) => "  none known: only the guest's agent could tell",
            None => "  none seen: no lease, no agent, no neighbour entry",
        };
        lines.push(Line::styled(none, theme.style(Role::Dim)));
    }
    for seen in &nic.addresses {
        let prefix = seen.prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
        let mut text = format!("  {:<28}{}", format!("{}{prefix}", seen.address), seen.origin.word());
        if let Some(hostname) = &seen.hostname {
            text.push_str(&format!("  {}", escape(hostname)));
        }
        if let Some(end) = seen.expires {
            text.push_str(&format!("  ends in {}", span(end.millis_since(snapshot.taken_at))));
        }
        if seen.stale {
            text.push_str("  no longer fits where the NIC is plugged");
        }
        lines.push(Line::styled(text, theme.style(if seen.stale { Role::Dim } else { Role::Text })));
    }
    lines.push(Line::raw(""));
    match nic.device {
        Some(_) => lines.extend(device::traffic(theme)),
        None => lines.extend(traffic(snapshot, nic, theme, room)),
    }
    lines
}

/// The link, the bridge, and by what its packets leave the host.
fn link_lines<'a>(nic: &Nic, snapshot: &Snapshot, theme: Theme) -> Lines<'a> {
    let mut lines = Vec::new();
    let name =
        |name: Option<crate::model::IfName>| name.map_or_else(|| "–".to_owned(), |name| name.to_string());
    lines.push(field("link", words::nic_name(nic), theme));
    if let Some(link) = nic.link.and_then(|index| snapshot.link(index)) {
        lines.push(field("state", link_state(link), theme));
    }
    lines.push(field("bridge", name(nic.bridge), theme));
    if nic.lower.is_some() {
        lines.push(field("on link", name(nic.lower), theme));
    }
    let way_out = words::way_out(snapshot, nic).unwrap_or_else(|| "–".to_owned());
    lines.push(field("leaves by", way_out, theme));
    lines
}

type Property = (&'static str, fn(&NicConfig) -> String);

const PROPERTIES: &[Property] = &[
    ("source", |nic| words::source(&nic.source)),
    ("model", |nic| optional(nic.model.as_deref())),
    ("nic", |nic| nic.target.map_or_else(|| "–".to_owned(), |name| name.to_string())),
    ("link", |nic| match nic.source {
        NicSource::Hostdev { .. } => "–".to_owned(),
        _ if nic.link_down => "down".to_owned(),
        _ => "up".to_owned(),
    }),
    ("mtu", |nic| number(nic.mtu)),
    ("vlan", |nic| {
        let tags: Vec<String> = nic.vlans.iter().map(ToString::to_string).collect();
        if tags.is_empty() { "–".to_owned() } else { tags.join(" ") }
    }),
    ("filter", |nic| optional(nic.filter.as_deref())),
    ("isolated", |nic| if nic.isolated { "yes" } else { "–" }.to_owned()),
    ("bandwidth", |nic| if nic.bandwidth { "limited" } else { "–" }.to_owned()),
    ("virtualport", |nic| optional(nic.virtualport.as_deref())),
    ("boot order", |nic| number(nic.boot_order)),
    ("queues", |nic| number(nic.queues)),
    ("pci", |nic| optional(nic.pci.as_deref())),
    ("alias", |nic| optional(nic.alias.as_deref())),
];

fn optional(text: Option<&str>) -> String {
    text.map_or_else(|| "–".to_owned(), |text| escape(text).into_owned())
}

fn number(value: Option<u32>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// Graphs of five minutes and the counters, from the guest's side.
fn traffic<'a>(snapshot: &Snapshot, nic: &Nic, theme: Theme, room: usize) -> Lines<'a> {
    let Some(link) = nic.link else { return Vec::new() };
    let mut lines = vec![heading("traffic, the guest's side, last five minutes", theme)];
    let columns = room.saturating_sub(30).clamp(10, 100);
    let samples: Vec<_> =
        snapshot.history.samples(link).map(|rate| if nic.swapped { rate.swapped() } else { *rate }).collect();
    for (name, pick) in [
        ("rx", (|rate| rate.rx_bytes) as fn(crate::model::rates::LinkRate) -> f64),
        ("tx", |rate| rate.tx_bytes),
    ] {
        let values: Vec<f64> = samples.iter().map(|sample| pick(*sample)).collect();
        let buckets = bucket(&values, columns);
        let highest = values.iter().copied().fold(0.0_f64, f64::max);
        let current = values.last().copied().unwrap_or(0.0);
        lines.push(Line::from(vec![
            Span::styled(format!("  {name} "), theme.style(Role::Dim)),
            Span::styled(fit(&bars(&buckets), columns, '…'), theme.style(Role::Good)),
            Span::raw(format!(" {:>6}/s  max {:>6}/s", rate(current), rate(highest))),
        ]));
    }
    if let Some(counters) = nic.counters {
        lines.extend(counter_lines(counters, theme));
    }
    lines
}

/// The highest value of each of at most `columns` equal parts.
fn bucket(values: &[f64], columns: usize) -> Vec<f64> {
    let size = values.len().div_ceil(columns.max(1)).max(1);
    values.chunks(size).map(|part| part.iter().copied().fold(0.0_f64, f64::max)).collect()
}

fn counter_lines<'a>(counters: Counters, theme: Theme) -> Lines<'a> {
    let row = |name: &str, bytes, packets, errors: u64, drops: u64| {
        let role = if errors + drops > 0 { Role::Warn } else { Role::Text };
        Line::styled(format!("  {name}  {bytes:>14} {packets:>12} {errors:>8} {drops:>8}"), theme.style(role))
    };
    vec![
        Line::styled(
            format!("      {:>14} {:>12} {:>8} {:>8}", "bytes", "packets", "errors", "drops"),
            theme.style(Role::Dim),
        ),
        row("rx", counters.rx_bytes, counters.rx_packets, counters.rx_errors, counters.rx_dropped),
        row("tx", counters.tx_bytes, counters.tx_packets, counters.tx_errors, counters.tx_dropped),
    ]
}

fn bridge_lines<'a>(snapshot: &Snapshot, bridge: &Bridge, theme: Theme) -> Lines<'a> {
    let addresses: Vec<String> = bridge.addresses.iter().map(ToString::to_string).collect();
    let stp = if bridge.info.stp {
        let delay = f64::from(bridge.info.forward_delay) / 100.0;
        format!("on, forward delay {delay:.1} s: a new port forwards after {:.1} s", delay * 2.0)
    } else {
        "off: a new port forwards at once".to_owned()
    };
    let call: Vec<&str> = [
        (bridge.info.nf_call_iptables, "iptables"),
        (bridge.info.nf_call_ip6tables, "ip6tables"),
        (bridge.info.nf_call_arptables, "arptables"),
    ]
    .iter()
    .filter(|(on, _)| *on)
    .map(|(_, name)| *name)
    .collect();
    let mut lines = vec![
        field("id", bridge.info.bridge_id.clone(), theme),
        field("state", if bridge.up { "up" } else { "down" }, theme),
        field("mac", bridge.mac.map_or_else(|| "–".to_owned(), |mac| mac.to_string()), theme),
        field("addresses", if addresses.is_empty() { "–".to_owned() } else { addresses.join(" ") }, theme),
        field("network", optional(bridge.network_name.as_deref()), theme),
        field("stp", stp, theme),
        field("vlans", if bridge.info.vlan_filtering { "filtered" } else { "not filtered" }, theme),
        field(
            "iptables",
            if call.is_empty() { "not called for bridged frames".to_owned() } else { call.join(" ") },
            theme,
        ),
        Line::raw(""),
        heading("ports", theme),
    ];
    for port in &bridge.ports {
        let state = port.info.as_ref().map_or("–", |info| info.state.word());
        let learned =
            snapshot.kernel.fdb.iter().filter(|entry| entry.port == port.index && !entry.permanent).count();
        let owner = port.guest.as_deref().map_or_else(|| "–".to_owned(), |guest| escape(guest).into_owned());
        lines.push(Line::raw(format!(
            "  {:<16}{state:<12}{owner:<20}{learned} learned MACs",
            port.name.to_string()
        )));
    }
    if bridge.ports.is_empty() {
        lines.push(Line::styled("  none", theme.style(Role::Dim)));
    }
    lines
}

fn link_state(link: &Link) -> &'static str {
    match (link.up, link.carrier) {
        (true, true) => "up, carrier",
        (true, false) => "up, no carrier",
        (false, _) => "switched off",
    }
}

fn port_lines<'a>(snapshot: &Snapshot, port: &Port, theme: Theme) -> Lines<'a> {
    let yes = |on: bool| if on { "yes" } else { "no" };
    let mut lines = vec![field("guest", optional(port.guest.as_deref()), theme)];
    if let Some(link) = snapshot.link(port.index) {
        lines.push(field("kind", link.kind.word().to_owned(), theme));
        lines.push(field("state", link_state(link), theme));
        lines.push(field("mac", link.mac.map_or_else(|| "–".to_owned(), |mac| mac.to_string()), theme));
        lines.push(field("mtu", link.mtu.to_string(), theme));
    }
    if let Some(info) = &port.info {
        lines.push(field("port", info.state.word().to_owned(), theme));
        lines.push(field("cost", info.cost.to_string(), theme));
        lines.push(field("isolated", yes(info.isolated).to_owned(), theme));
        lines.push(field("hairpin", yes(info.hairpin).to_owned(), theme));
        lines.push(field("learning", yes(info.learning).to_owned(), theme));
    }
    lines.push(Line::raw(""));
    lines.push(heading("learned MACs", theme));
    let learned = snapshot.kernel.fdb.iter().filter(|entry| entry.port == port.index && !entry.permanent);
    let learned: Vec<String> = learned.map(|entry| format!("  {}", entry.mac)).collect();
    if learned.is_empty() {
        lines.push(Line::styled("  none", theme.style(Role::Dim)));
    }
    lines.extend(learned.into_iter().map(Line::raw));
    if let Some(counters) = port.counters {
        lines.push(Line::raw(""));
        let side =
            if port.guest.is_some() { "counters, the guest's side" } else { "counters, the host's side" };
        lines.push(heading(side, theme));
        lines.extend(counter_lines(counters, theme));
    }
    lines
}

fn network_lines<'a>(snapshot: &Snapshot, network: &Network, theme: Theme, room: usize) -> Lines<'a> {
    let state = match (network.active, network.persistent) {
        (true, true) => "active",
        (true, false) => "active, transient: gone when it stops",
        (false, _) => "inactive",
    };
    let devs = network.current().map(|definition| definition.forward_devs.clone()).unwrap_or_default();
    let devs: Vec<String> = devs.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        field("state", state, theme),
        field("autostart", if network.autostart { "yes" } else { "no" }, theme),
        field("mode", escape(network.forward().word()).into_owned(), theme),
        field("bridge", network.bridge().map_or_else(|| "–".to_owned(), |name| name.to_string()), theme),
        field("subnet", words::subnets(network), theme),
        field("dhcp", words::dhcp(network), theme),
        field("leases", words::leases(network), theme),
        field("only by", if devs.is_empty() { "any link".to_owned() } else { devs.join(" ") }, theme),
        Line::raw(""),
        heading("leases", theme),
    ];
    if network.leases.is_empty() {
        lines.push(Line::styled("  none", theme.style(Role::Dim)));
    }
    for lease in &network.leases {
        let mac = lease.mac.map_or_else(|| "–".to_owned(), |mac| mac.to_string());
        let owner =
            snapshot.nics.iter().find(|nic| Some(nic.id.mac) == lease.mac).map(|nic| nic.guest.as_str());
        let end = lease.expires.map_or_else(
            || "never ends".to_owned(),
            |end| format!("ends in {}", span(end.millis_since(snapshot.taken_at))),
        );
        lines.push(Line::raw(format!(
            "  {:<20}{mac:<19}{end:<21}{:<18}{}",
            lease.address.to_string(),
            optional(owner),
            optional(lease.hostname.as_deref()),
        )));
    }
    let hosts: Vec<_> = network
        .current()
        .iter()
        .flat_map(|definition| &definition.subnets)
        .flat_map(|subnet| &subnet.hosts)
        .cloned()
        .collect();
    if !hosts.is_empty() {
        lines.push(Line::raw(""));
        lines.push(heading("static leases", theme));
        for host in hosts {
            let address = host.address.map_or_else(|| "–".to_owned(), |address| address.to_string());
            let mac = host.mac.map_or_else(|| "–".to_owned(), |mac| mac.to_string());
            lines.push(Line::raw(format!("  {address:<20}{mac:<19}{}", optional(host.name.as_deref()))));
        }
    }
    if let Some(definition) = network.current() {
        lines.push(Line::raw(""));
        lines.push(heading("XML", theme));
        let line = |line: &str| Line::raw(truncate(&format!("  {}", escape(line)), room, '…').into_owned());
        lines.extend(definition.xml.lines().map(line));
    }
    lines
}

fn rule_lines<'a>(app: &App, rule: &GuestRule, theme: Theme, room: usize) -> Lines<'a> {
    let snapshot = app.snapshot();
    let hook = rule.hook.as_ref().map_or_else(
        || "–".to_owned(),
        |hook| format!("{} {}, priority {}", escape(&hook.kind), hook.hook.word(), hook.priority),
    );
    let bridges: Vec<String> = rule.bridges.iter().map(ToString::to_string).collect();
    let counter = rule.rule.counter.map_or_else(
        || "has none".to_owned(),
        |counter| format!("{}, {} bytes ({})", counter.packets_words(), counter.bytes, count(counter.bytes)),
    );
    let mut lines = vec![
        field("match", words::rule_match(&rule.rule), theme),
        field("action", words::rule_action(&rule.rule), theme),
        field("counter", counter, theme),
        field("hook", hook, theme),
        field("handle", rule.rule.handle.to_string(), theme),
        field("networks", words::rule_networks(snapshot, rule), theme),
        field("bridges", bridges.join(" "), theme),
    ];
    if let Some(comment) = &rule.rule.comment {
        lines.push(field("comment", escape(comment).into_owned(), theme));
    }
    if !rule.rule.understood() {
        lines.push(Line::styled("  parts in [ ] are not decoded here", theme.style(Role::Warn)));
    }
    if let Some(change) = &snapshot.firewall.last_change {
        let ago = span(app.now.millis_since(change.at));
        let by = format!("{ago} ago by \"{}\", process {}", escape(&change.process), change.pid);
        lines.push(field("last change", by, theme));
    }
    lines.push(Line::raw(""));
    lines.push(heading("raw", theme));
    let raw = escape(&rule.rule.raw).into_owned();
    let mut rest = raw.as_str();
    while !rest.is_empty() {
        let head = truncate(rest, room.saturating_sub(2), ' ').trim_end().to_owned();
        let cut = head.len().min(rest.len()).max(1);
        lines.push(Line::raw(format!("  {head}")));
        rest = rest.get(cut..).unwrap_or_default();
    }
    lines
}
