//! PURE. One row type per section: its fields are the JSON shape, its cells the table's.

use serde::Serialize;
use serde_json::Value;

use crate::cli::table::Table;
use crate::model::firewall::BaseHook;
use crate::model::snapshot::PortRole;
use crate::model::{Counters, Snapshot};
use crate::ui::text::{count, escape, rate, span};
use crate::ui::words;

/// A row of a section.
pub(super) trait Row: Serialize {
    /// Its cells, in the order of the table's headings, escaped.
    fn cells(&self) -> Vec<String>;
}

pub(super) fn table<R: Row>(headings: &[&'static str], rows: &[R]) -> Table {
    let mut table = Table::new(headings);
    for row in rows {
        table.row(row.cells());
    }
    table
}

pub(super) fn values<R: Row>(rows: Vec<R>) -> serde_json::Result<Value> {
    rows.into_iter().map(serde_json::to_value).collect()
}

fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "–".to_owned(), |text| escape(text).into_owned())
}

fn names<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

fn joined(items: &[String]) -> String {
    if items.is_empty() { "–".to_owned() } else { items.join(" ") }
}

/// A host bridge.
#[derive(Debug, Serialize)]
pub(super) struct BridgeRow {
    bridge: String,
    /// As `brctl show` prints it.
    id: String,
    stp: bool,
    /// Seconds; a new port forwards after twice that when STP is on.
    forward_delay: f64,
    up: bool,
    addresses: Vec<String>,
    network: Option<String>,
    ports: Vec<String>,
}

impl Row for BridgeRow {
    fn cells(&self) -> Vec<String> {
        let stp = if self.stp { format!("{:.1}s", self.forward_delay) } else { "off".to_owned() };
        vec![
            self.bridge.clone(),
            self.id.clone(),
            stp,
            joined(&self.addresses),
            or_dash(self.network.as_deref()),
            joined(&self.ports),
        ]
    }
}

pub(super) fn bridges(snapshot: &Snapshot) -> Vec<BridgeRow> {
    let row = |bridge: &crate::model::Bridge| BridgeRow {
        bridge: bridge.name.to_string(),
        id: bridge.info.bridge_id.clone(),
        stp: bridge.info.stp,
        forward_delay: f64::from(bridge.info.forward_delay) / 100.0,
        up: bridge.up,
        addresses: names(&bridge.addresses),
        network: bridge.network_name.clone(),
        ports: names(bridge.ports.iter().map(|port| port.name)),
    };
    snapshot.bridges.iter().map(row).collect()
}

/// The host's own end on a NIC with macvtaps.
#[derive(Debug, Serialize)]
pub(super) struct ShimRow {
    shim: String,
    over: Option<String>,
    up: bool,
    addresses: Vec<String>,
    routes: Vec<String>,
}

impl Row for ShimRow {
    fn cells(&self) -> Vec<String> {
        let state = if self.up { "up" } else { "down" };
        vec![
            self.shim.clone(),
            or_dash(self.over.as_deref()),
            state.to_owned(),
            joined(&self.addresses),
            joined(&self.routes),
        ]
    }
}

pub(super) fn shims(snapshot: &Snapshot) -> Vec<ShimRow> {
    use crate::change::shim;
    let row = |link: &crate::model::Link| {
        let own = snapshot.kernel.addresses.iter().filter(|own| own.index == link.index && own.is_global());
        let over = link.lower.and_then(|index| snapshot.link(index));
        ShimRow {
            shim: link.name.to_string(),
            over: over.map(|over| over.name.to_string()),
            up: link.up,
            addresses: names(own.map(|own| own.address)),
            routes: names(shim::routes_by(&snapshot.kernel, link).map(|route| route.destination)),
        }
    };
    shim::all(snapshot).map(row).collect()
}

/// Traffic in bytes; the side is the section's.
#[derive(Debug, Serialize)]
struct Traffic {
    rx_bytes_per_second: Option<f64>,
    tx_bytes_per_second: Option<f64>,
    counters: Option<Counters>,
}

impl Traffic {
    fn cells(&self) -> [String; 4] {
        let per_second = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), rate);
        let total = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), count);
        [
            per_second(self.rx_bytes_per_second),
            per_second(self.tx_bytes_per_second),
            total(self.counters.map(|counters| counters.rx_bytes)),
            total(self.counters.map(|counters| counters.tx_bytes)),
        ]
    }
}

/// A link enslaved to a bridge.
#[derive(Debug, Serialize)]
pub(super) struct PortRow {
    bridge: String,
    port: String,
    state: Option<&'static str>,
    role: &'static str,
    guest: Option<String>,
    #[serde(flatten)]
    traffic: Traffic,
}

impl Row for PortRow {
    fn cells(&self) -> Vec<String> {
        let owner =
            self.guest.as_deref().map_or_else(|| self.role.to_owned(), |guest| escape(guest).into_owned());
        let mut cells = vec![self.bridge.clone(), self.port.clone(), or_dash(self.state), owner];
        cells.extend(self.traffic.cells());
        cells
    }
}

pub(super) fn ports(snapshot: &Snapshot) -> Vec<PortRow> {
    let mut rows = Vec::new();
    for bridge in &snapshot.bridges {
        rows.extend(bridge.ports.iter().map(|port| PortRow {
            bridge: bridge.name.to_string(),
            port: port.name.to_string(),
            state: port.info.as_ref().map(|info| info.state.word()),
            role: match port.role {
                PortRole::Uplink => "uplink",
                PortRole::Guest => "guest",
                PortRole::Tap => "tap of no guest",
                PortRole::Container => "container",
                PortRole::Dummy => "dummy",
            },
            guest: port.guest.clone(),
            traffic: Traffic {
                rx_bytes_per_second: port.rate.map(|rate| rate.rx_bytes),
                tx_bytes_per_second: port.rate.map(|rate| rate.tx_bytes),
                counters: port.counters,
            },
        }));
    }
    rows
}

/// An address and where it was seen.
#[derive(Debug, Serialize)]
struct AddressValue {
    address: String,
    prefix: Option<u8>,
    origin: &'static str,
    stale: bool,
    hostname: Option<String>,
}

/// A guest's NIC.
#[derive(Debug, Serialize)]
pub(super) struct NicRow {
    guest: String,
    state: &'static str,
    /// The tap or macvtap on the host.
    nic: Option<String>,
    source_kind: Option<String>,
    /// What it is plugged into: network, bridge, lower link.
    source: Option<String>,
    source_text: String,
    model: Option<String>,
    mac: Option<String>,
    /// The bridge the kernel has the tap on.
    bridge: Option<String>,
    /// The link below a macvtap.
    lower: Option<String>,
    /// The card whose virtual function the guest has.
    card: Option<String>,
    pending: bool,
    next_boot: Option<String>,
    drifted: bool,
    addresses: Vec<AddressValue>,
    /// The guest's agent, which may know more, was asked and has not answered.
    agent_silent: bool,
    #[serde(flatten)]
    traffic: Traffic,
}

impl Row for NicRow {
    fn cells(&self) -> Vec<String> {
        let address = self.addresses.first();
        let origin = match address {
            Some(seen) if seen.stale => "stale",
            Some(seen) => seen.origin,
            None if self.agent_silent => "no answer of the agent yet",
            None => "–",
        };
        let mut cells = vec![
            escape(&self.guest).into_owned(),
            self.state.to_owned(),
            or_dash(self.nic.as_deref()),
            self.source_text.clone(),
            or_dash(self.model.as_deref()),
            or_dash(self.mac.as_deref()),
            or_dash(address.map(|seen| seen.address.as_str())),
            origin.to_owned(),
        ];
        cells.extend(self.traffic.cells());
        cells
    }
}

pub(super) fn nics(snapshot: &Snapshot) -> Vec<NicRow> {
    let address = |seen: &crate::model::NicAddress| AddressValue {
        address: seen.address.to_string(),
        prefix: seen.prefix,
        origin: seen.origin.word(),
        stale: seen.stale,
        hostname: seen.hostname.clone(),
    };
    let row = |nic: &crate::model::Nic| NicRow {
        guest: nic.guest.clone(),
        state: nic.state.word(),
        nic: nic.link_name.map(|name| name.to_string()),
        source_kind: nic.source().map(|source| source.kind_word().to_owned()),
        source: nic.source().map(crate::model::NicSource::plug),
        source_text: words::nic_source(nic, "next boot: "),
        model: nic.config().and_then(|config| config.model.clone()),
        mac: nic.id.mac.is_real().then(|| nic.id.mac.to_string()),
        bridge: nic.bridge.map(|name| name.to_string()),
        lower: nic.lower.map(|name| name.to_string()),
        card: nic.card.clone(),
        pending: nic.pending,
        next_boot: nic.next.as_ref().map(|next| words::source(&next.source)),
        drifted: nic.drifted(),
        addresses: nic.addresses.iter().map(address).collect(),
        agent_silent: snapshot.guest(nic.id.domain).is_some_and(|guest| guest.agent_silent),
        traffic: Traffic {
            rx_bytes_per_second: nic.rate.map(|rate| rate.rx_bytes),
            tx_bytes_per_second: nic.rate.map(|rate| rate.tx_bytes),
            counters: nic.counters,
        },
    };
    snapshot.nics.iter().map(row).collect()
}

/// A libvirt network.
#[derive(Debug, Serialize)]
pub(super) struct NetworkRow {
    network: String,
    mode: String,
    bridge: Option<String>,
    subnet: String,
    dhcp: String,
    leases_used: usize,
    leases_size: u64,
    autostart: bool,
    active: bool,
    persistent: bool,
}

impl Row for NetworkRow {
    fn cells(&self) -> Vec<String> {
        let leases = match self.leases_size {
            0 => "–".to_owned(),
            size => format!("{}/{size}", self.leases_used),
        };
        vec![
            escape(&self.network).into_owned(),
            escape(&self.mode).into_owned(),
            or_dash(self.bridge.as_deref()),
            self.subnet.clone(),
            self.dhcp.clone(),
            leases,
            if self.autostart { "yes" } else { "no" }.to_owned(),
            if self.active { "active" } else { "inactive" }.to_owned(),
        ]
    }
}

pub(super) fn networks(snapshot: &Snapshot) -> Vec<NetworkRow> {
    let row = |network: &crate::model::Network| NetworkRow {
        network: network.name.clone(),
        mode: network.forward().word().to_owned(),
        bridge: network.bridge().map(|name| name.to_string()),
        subnet: words::subnets(network),
        dhcp: words::dhcp(network),
        leases_used: network.leases.len(),
        leases_size: network.dhcp_size(),
        autostart: network.autostart,
        active: network.active,
        persistent: network.persistent,
    };
    snapshot.libvirt.networks.iter().map(row).collect()
}

/// A DHCP lease.
#[derive(Debug, Serialize)]
pub(super) struct LeaseRow {
    network: String,
    address: String,
    mac: Option<String>,
    hostname: Option<String>,
    /// Milliseconds until it ends.
    ends_in_ms: Option<u64>,
    guest: Option<String>,
}

impl Row for LeaseRow {
    fn cells(&self) -> Vec<String> {
        vec![
            escape(&self.network).into_owned(),
            self.address.clone(),
            or_dash(self.mac.as_deref()),
            or_dash(self.hostname.as_deref()),
            self.ends_in_ms.map_or_else(|| "never".to_owned(), span),
            or_dash(self.guest.as_deref()),
        ]
    }
}

pub(super) fn leases(snapshot: &Snapshot) -> Vec<LeaseRow> {
    let mut rows = Vec::new();
    for network in &snapshot.libvirt.networks {
        rows.extend(network.leases.iter().map(|lease| LeaseRow {
            network: network.name.clone(),
            address: lease.address.to_string(),
            mac: lease.mac.map(|mac| mac.to_string()),
            hostname: lease.hostname.clone(),
            ends_in_ms: lease.expires.map(|end| end.millis_since(snapshot.taken_at)),
            guest:
                snapshot.nics.iter().find(|nic| Some(nic.id.mac) == lease.mac).map(|nic| nic.guest.clone()),
        }));
    }
    rows
}

/// A firewall rule that concerns guests.
#[derive(Debug, Serialize)]
pub(super) struct RuleRow {
    /// `postrouting`, …: the hook it is reached from.
    hook: Option<&'static str>,
    family: &'static str,
    table: String,
    chain: String,
    handle: u64,
    r#match: String,
    action: String,
    packets: Option<u64>,
    bytes: Option<u64>,
    /// Names of the networks it is about.
    networks: String,
    raw: String,
}

impl Row for RuleRow {
    fn cells(&self) -> Vec<String> {
        let total = |value: Option<u64>| value.map_or_else(|| "–".to_owned(), count);
        vec![
            or_dash(self.hook),
            escape(&format!("{} {}", self.table, self.chain)).into_owned(),
            self.r#match.clone(),
            self.action.clone(),
            total(self.packets),
            total(self.bytes),
        ]
    }
}

pub(super) fn rules(snapshot: &Snapshot) -> Vec<RuleRow> {
    let row = |guest_rule: &crate::model::snapshot::GuestRule| {
        let rule = &guest_rule.rule;
        RuleRow {
            hook: guest_rule.hook.as_ref().map(|base: &BaseHook| base.hook.word()),
            family: rule.chain.family.word(),
            table: rule.chain.table.clone(),
            chain: rule.chain.chain.clone(),
            handle: rule.handle,
            r#match: words::rule_match(rule),
            action: words::rule_action(rule),
            packets: rule.counter.map(|counter| counter.packets),
            bytes: rule.counter.map(|counter| counter.bytes),
            networks: words::rule_networks(snapshot, guest_rule),
            raw: escape(&rule.raw).into_owned(),
        }
    };
    snapshot.rules.iter().map(row).collect()
}
