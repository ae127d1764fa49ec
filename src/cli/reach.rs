//! `virt-net reach`: who can reach whom, derived from the paths. Sends nothing.

use clap::Args;
use color_eyre::eyre::Result;

use super::path;
use super::select::{self, Selection};
use super::table::Table;
use super::{ExitStatus, complain, print};
use crate::model::NicId;
use crate::path::reach::{self, Reach};
use crate::source::SourceOptions;
use crate::ui::chain;
use crate::ui::text::escape;

/// Arguments of `reach`.
#[derive(Debug, Args)]
pub struct ReachArgs {
    /// The guest, by name or UUID; nothing: every guest that runs
    vm: Option<String>,
    /// Its NIC by MAC, link name or position; nothing: all of them
    nic: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &ReachArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let snapshot = path::read(options).await?;
    let ids: Vec<NicId> = match (&args.vm, &args.nic) {
        (None, _) => {
            let running = snapshot.nics.iter().filter(|nic| nic.state.is_active());
            running.map(|nic| nic.id).collect()
        }
        (Some(vm), None) => match select::guest(&snapshot, vm) {
            Ok(guest) => {
                let own = snapshot.nics.iter().filter(|nic| nic.id.domain == guest.id);
                own.map(|nic| nic.id).collect()
            }
            Err(sentence) => {
                complain(&sentence);
                return Ok(ExitStatus::Usage);
            }
        },
        (Some(vm), nic) => match select::nic(&snapshot, "reach", vm, nic.as_deref()) {
            Selection::Found(id) => vec![id],
            Selection::Unknown(sentence) => {
                complain(&sentence);
                return Ok(ExitStatus::Usage);
            }
        },
    };
    let matrices = reach::matrices(&snapshot, &ids);
    let text = if args.json { super::json_text(&matrices)? } else { drawn(&matrices) };
    print(&text)?;
    Ok(path::told(&snapshot))
}

fn drawn(matrices: &[Reach]) -> String {
    if matrices.is_empty() {
        return "no guest runs\n".to_owned();
    }
    let mut out = String::new();
    for matrix in matrices {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&chain::subject(matrix));
        out.push('\n');
        let mut table = Table::new(&["", "ADDRESS", "ANSWER", "WHY"]);
        for cell in &matrix.cells {
            let address = cell.address.map(|address| address.to_string()).unwrap_or_default();
            let answer = cell.answer.word().to_owned();
            table.row(vec![chain::relation(cell), address, answer, escape(&cell.reason).into_owned()]);
        }
        out.push_str(&table.print());
        let unlisted = chain::unlisted(matrix);
        if !unlisted.is_empty() {
            out.push_str(&format!("  {unlisted}\n"));
        }
    }
    out
}
