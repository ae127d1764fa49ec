//! `virt-net show`: the panes as text or JSON, for pipes, scripts and a first look.
//!
//! Figures are the guest's (rx is what the guest received) except for uplink ports, which are the
//! host's. Every name that a guest or its owner chose is escaped in both forms.

mod rows;

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use color_eyre::eyre::{Result, WrapErr as _};
use serde_json::{Map, Value};

use super::table::Table;
use super::{ExitStatus, complain, print};
use crate::model::{Snapshot, SourceState};
use crate::source::{self, SourceOptions};
use crate::ui::words;

/// How long rates are waited for.
const RATES: Duration = Duration::from_millis(1500);
/// How long agents are waited for: most answer within milliseconds, one that hangs never does.
const AGENTS: Duration = Duration::from_secs(2);

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// What to print; nothing: everything
    pub section: Option<Section>,
    /// Print JSON: an object with one list per section
    #[arg(long)]
    pub json: bool,
}

/// What `show` can print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Host bridges with their addresses and settings
    Bridges,
    /// Links enslaved to bridges
    Ports,
    /// Shims: the host's own ends on NICs with macvtaps
    Shims,
    /// Guests' NICs
    Nics,
    /// libvirt networks
    Networks,
    /// DHCP leases of libvirt networks
    Leases,
    /// Firewall rules that concern guests
    Nat,
}

impl Section {
    const fn key(self) -> &'static str {
        match self {
            Self::Bridges => "bridges",
            Self::Ports => "ports",
            Self::Shims => "shims",
            Self::Nics => "nics",
            Self::Networks => "networks",
            Self::Leases => "leases",
            Self::Nat => "nat",
        }
    }

    fn source(self, snapshot: &Snapshot) -> (&'static str, &SourceState) {
        match self {
            Self::Bridges | Self::Ports | Self::Shims => ("kernel", &snapshot.health.kernel),
            Self::Nics | Self::Networks | Self::Leases => ("libvirt", &snapshot.health.libvirt),
            Self::Nat => ("firewall", &snapshot.health.firewall),
        }
    }
}

pub(super) async fn run(args: &ShowArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let sections: Vec<Section> =
        args.section.map_or_else(|| Section::value_variants().to_vec(), |one| vec![one]);
    let mut sources = source::start(options)?;
    sources.settled(Duration::from_secs(10)).await;
    // A second reading of the counters gives rates; an agent that answers does so meanwhile.
    let settled = Instant::now();
    let rated =
        |snapshot: &Snapshot| snapshot.nics.iter().all(|nic| nic.link.is_none() || nic.rate.is_some());
    let heard = |snapshot: &Snapshot| !snapshot.libvirt.guests.iter().any(|guest| guest.agent_silent);
    sources.until(RATES, rated).await;
    if options.replay.is_none() && sections.contains(&Section::Nics) {
        sources.until(AGENTS.saturating_sub(settled.elapsed()), heard).await;
    }
    let snapshot = sources.snapshots.borrow().clone();
    let waiting = if options.replay.is_none() { super::bridge::waiting_json() } else { Value::Null };
    let text = if args.json { json(&snapshot, &sections, waiting)? } else { tables(&snapshot, &sections) };
    print(&text)?;
    let mut status = ExitStatus::Done;
    let mut told: Vec<&str> = Vec::new();
    for (name, state) in sections.iter().map(|section| section.source(&snapshot)) {
        if !state.is_ok() && !told.contains(&name) {
            told.push(name);
            complain(&format!("{name}: {}", words::health(state, snapshot.taken_at)));
            status = ExitStatus::Failed;
        }
    }
    Ok(status)
}

fn tables(snapshot: &Snapshot, sections: &[Section]) -> String {
    let mut out = String::new();
    for section in sections {
        let (name, state) = section.source(snapshot);
        let table = table(snapshot, *section);
        if sections.len() > 1 {
            out.push_str(heading(*section));
            out.push('\n');
        }
        if table.is_empty() {
            let reason = if state.is_ok() { "none" } else { "unknown:" };
            out.push_str("  ");
            out.push_str(reason);
            if !state.is_ok() {
                out.push_str(&[" ", name, " ", &words::health(state, snapshot.taken_at)].concat());
            }
            out.push('\n');
        } else {
            out.push_str(&table.print());
        }
        if sections.len() > 1 {
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

const fn heading(section: Section) -> &'static str {
    match section {
        Section::Bridges => "BRIDGES",
        Section::Ports => "PORTS  (rx, tx: the guest's; an uplink's are the host's)",
        Section::Shims => "SHIMS  (between the host and macvtaps)",
        Section::Nics => "NICS  (rx, tx: the guest's)",
        Section::Networks => "NETWORKS",
        Section::Leases => "LEASES",
        Section::Nat => "NAT RULES  (and filter rules that name guests' bridges or subnets)",
    }
}

fn table(snapshot: &Snapshot, section: Section) -> Table {
    match section {
        Section::Bridges => {
            rows::table(&["BRIDGE", "ID", "STP", "ADDRESS", "NETWORK", "PORTS"], &rows::bridges(snapshot))
        }
        Section::Ports => rows::table(
            &["BRIDGE", "PORT", "STATE", "GUEST", ">RX/s", ">TX/s", ">RX", ">TX"],
            &rows::ports(snapshot),
        ),
        Section::Shims => {
            rows::table(&["SHIM", "OVER", "STATE", "ADDRESS", "ROUTES"], &rows::shims(snapshot))
        }
        Section::Nics => rows::table(
            &[
                "GUEST", "STATE", "NIC", "SOURCE", "MODEL", "MAC", "ADDRESS", "ORIGIN", ">RX/s", ">TX/s",
                ">RX", ">TX",
            ],
            &rows::nics(snapshot),
        ),
        Section::Networks => rows::table(
            &["NETWORK", "MODE", "BRIDGE", "SUBNET", "DHCP", "LEASES", "AUTOSTART", "STATE"],
            &rows::networks(snapshot),
        ),
        Section::Leases => rows::table(
            &["NETWORK", "ADDRESS", "MAC", "HOSTNAME", "ENDS IN", "GUEST"],
            &rows::leases(snapshot),
        ),
        Section::Nat => {
            rows::table(&["HOOK", "CHAIN", "MATCH", "ACTION", ">PACKETS", ">BYTES"], &rows::rules(snapshot))
        }
    }
}

fn json(snapshot: &Snapshot, sections: &[Section], waiting: Value) -> Result<String> {
    let mut object = Map::new();
    object.insert("host".to_owned(), Value::from(snapshot.host.name.clone()));
    object.insert("uri".to_owned(), Value::from(snapshot.host.uri.clone()));
    object.insert("taken_at_ms".to_owned(), Value::from(snapshot.taken_at.0));
    object.insert(
        "health".to_owned(),
        serde_json::to_value(&snapshot.health).wrap_err("write the health as JSON")?,
    );
    // The change of a bridge that waits for its confirmation.
    object.insert("waiting".to_owned(), waiting);
    for section in sections {
        let rows = match section {
            Section::Bridges => rows::values(rows::bridges(snapshot)),
            Section::Ports => rows::values(rows::ports(snapshot)),
            Section::Shims => rows::values(rows::shims(snapshot)),
            Section::Nics => rows::values(rows::nics(snapshot)),
            Section::Networks => rows::values(rows::networks(snapshot)),
            Section::Leases => rows::values(rows::leases(snapshot)),
            Section::Nat => rows::values(rows::rules(snapshot)),
        };
        object.insert(section.key().to_owned(), rows.wrap_err("write rows as JSON")?);
    }
    super::json_text(&object)
}
