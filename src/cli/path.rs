//! `virt-net path`: the way of a packet, drawn, with the very rules it meets. Sends nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;

use super::select::{self, Selection};
use super::table::Table;
use super::{ExitStatus, complain, print};
use crate::doctor;
use crate::model::{NicId, Snapshot, SourceState};
use crate::path::{self, Answer, INTERNET, Leg, Path, Protocol, Question, Way};
use crate::source::{self, SourceOptions};
use crate::ui::text::escape;
use crate::ui::{chain, words};

/// Arguments of `path`.
#[derive(Debug, Args)]
pub struct PathArgs {
    /// The guest, by name or UUID
    vm: String,
    /// Its NIC by MAC, link name or position; needed when it has several
    nic: Option<String>,
    /// Where the guest sends [default: 198.51.100.1, which stands for the internet]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "from")]
    to: Option<IpAddr>,
    /// Who sends to the guest: the host's own address, another guest's, or one outside
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// Follow a TCP connection to this port instead of a ping
    #[arg(long, value_name = "PORT", conflicts_with = "udp")]
    tcp: Option<u16>,
    /// Follow a UDP packet to this port instead of a ping
    #[arg(long, value_name = "PORT")]
    udp: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &PathArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let snapshot = read(options).await?;
    let id = match select::nic(&snapshot, "path", &args.vm, args.nic.as_deref()) {
        Selection::Found(id) => id,
        Selection::Unknown(sentence) => {
            complain(&sentence);
            return Ok(ExitStatus::Usage);
        }
    };
    let question = args.question(id);
    let peer = question.way.peer();
    if peer.is_loopback() || peer.is_unspecified() || peer.is_multicast() {
        complain(&format!("{peer} is no address of another machine: nothing is sent there by a link"));
        return Ok(ExitStatus::Usage);
    }
    let Some(path) = path::trace(&snapshot, &question) else {
        complain("the NIC is gone");
        return Ok(ExitStatus::Failed);
    };
    let text = if args.json { super::json_text(&path)? } else { drawn(&path, &snapshot, id) };
    print(&text)?;
    Ok(told(&snapshot))
}

impl PathArgs {
    fn question(&self, nic: NicId) -> Question {
        let protocol = match (self.tcp, self.udp) {
            (Some(port), _) => Protocol::Tcp(port),
            (_, Some(port)) => Protocol::Udp(port),
            _ => Protocol::Ping,
        };
        let way = self.from.map_or_else(|| Way::To(self.to.unwrap_or(INTERNET)), Way::From);
        Question { nic, way, protocol }
    }
}

/// A snapshot with rates, so that hops have figures.
pub(super) async fn read(options: &SourceOptions) -> Result<Arc<Snapshot>> {
    let mut sources = source::start(options)?;
    sources.settled(Duration::from_secs(10)).await;
    let rated =
        |snapshot: &Arc<Snapshot>| snapshot.nics.iter().all(|nic| nic.link.is_none() || nic.rate.is_some());
    let _ = tokio::time::timeout(Duration::from_millis(1500), sources.snapshots.wait_for(rated)).await;
    Ok(sources.snapshots.borrow().clone())
}

/// Tells which sources are missing.
pub(super) fn told(snapshot: &Snapshot) -> ExitStatus {
    let health = &snapshot.health;
    let mut status = ExitStatus::Done;
    let sources: [(&str, &SourceState); 3] =
        [("libvirt", &health.libvirt), ("kernel", &health.kernel), ("firewall", &health.firewall)];
    for (name, state) in sources.iter().filter(|(_, state)| !state.is_ok()) {
        complain(&format!("{name}: {}", words::health(state, snapshot.taken_at)));
        status = ExitStatus::Failed;
    }
    status
}

fn drawn(path: &Path, snapshot: &Snapshot, id: NicId) -> String {
    let mut out = format!("{}\n{}\n", chain::title(path), chain::answer(path.answer, &path.reason));
    if let Some(nic) = snapshot.nic(id) {
        for finding in chain::findings(path, nic, &doctor::examine(snapshot, &[]).findings) {
            out.push_str(&format!("doctor: {}: {}\n", finding.check, escape(&finding.title)));
        }
    }
    out.push_str(&leg("there", &path.there));
    if let Some(back) = &path.back {
        out.push_str(&leg("back", back));
    }
    out
}

fn leg(name: &str, leg: &Leg) -> String {
    let stations: Vec<String> = chain::chain(leg).into_iter().map(|(_, station)| station).collect();
    let end = match leg.answer {
        Answer::Yes => "",
        Answer::No => " ✖",
        Answer::Unknown => " ?",
    };
    let mut out = format!("\n{name}: {}{end}\n", stations.join(" ═ "));
    let mut table = Table::new(&["", "HOP", "", "", ">RATE", ">PACKETS"]);
    for line in chain::lines(leg) {
        let cells = [line.mark.to_owned(), line.kind, line.name, line.detail, line.rate, line.packets];
        table.row(cells.to_vec());
    }
    out.push_str(&table.print());
    out
}
