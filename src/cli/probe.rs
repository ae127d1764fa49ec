//! `virt-net probe`: asks for real, and puts the answers beside the derived ones. Sends a few ARP requests and
//! pings, from the host and by the guest's agent; changes nothing.

use clap::Args;
use color_eyre::eyre::{Result, WrapErr as _};

use super::select::{self, Selection};
use super::table::Table;
use super::{ExitStatus, complain, path, print};
use crate::path::probe::{Found, Judgement, Probed};
use crate::source::SourceOptions;
use crate::source::probe::questions::{self, Scope};
use crate::ui::chain;
use crate::ui::text::escape;

/// Arguments of `probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The guest, by name or UUID
    vm: String,
    /// Its NIC by MAC, link name or position; needed when it has several
    nic: Option<String>,
    /// Ask only from the host; nothing is run inside the guest
    #[arg(long)]
    host_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &ProbeArgs, options: &SourceOptions) -> Result<ExitStatus> {
    if options.replay.is_some() {
        complain("a recording cannot be asked");
        return Ok(ExitStatus::Usage);
    }
    let snapshot = path::read(options).await?;
    let id = match select::nic(&snapshot, "probe", &args.vm, args.nic.as_deref()) {
        Selection::Found(id) => id,
        Selection::Unknown(sentence) => {
            complain(&sentence);
            return Ok(ExitStatus::Usage);
        }
    };
    let uri = snapshot.host.uri.clone();
    let scope = if args.host_only { Scope::Host } else { Scope::HostAndGuest };
    let asked = snapshot.clone();
    let work = tokio::task::spawn_blocking(move || questions::ask(&asked, id, &uri, scope));
    let rows = work.await.wrap_err("probe")?;
    let text = if args.json { super::json_text(&rows)? } else { drawn(&rows) };
    print(&text)?;
    let contradicts = rows.iter().any(|row| row.judgement == Judgement::Contradicts);
    Ok(if contradicts { ExitStatus::Failed } else { path::told(&snapshot) })
}

fn drawn(rows: &[Probed]) -> String {
    let mut table = Table::new(&["", "ADDRESS", "DERIVED", "PROBED", ""]);
    for row in rows {
        let probed = match &row.found {
            Found::Answered { micros: Some(micros) } => {
                format!("answers, {}.{} ms", micros / 1000, micros % 1000 / 100)
            }
            Found::Answered { micros: None } => "answers".to_owned(),
            Found::Silent { .. } => "silent".to_owned(),
            Found::NotAsked { .. } => "–".to_owned(),
        };
        let address = row.asked.map(|address| address.to_string()).unwrap_or_default();
        let derived = row.cell.answer.word().to_owned();
        let cells =
            [chain::relation(&row.cell), address, derived, probed, escape(&row.meaning()).into_owned()];
        table.row(cells.to_vec());
    }
    table.print()
}
