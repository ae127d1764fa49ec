//! `virt-net dump`: the whole input of the model, as JSON.

use clap::Args;
use color_eyre::eyre::Result;

use super::{ExitStatus, print};
use crate::source::{self, SourceOptions, replay};

/// Arguments of `dump`.
#[derive(Debug, Args)]
pub struct DumpArgs {
    /// How many reads to record, one per second: with two or more, rates can be replayed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=3600))]
    frames: u16,
}

pub(super) async fn run(args: &DumpArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let recording = replay::record(&mut sources, usize::from(args.frames)).await;
    print(&super::json_text(&recording)?)?;
    Ok(ExitStatus::Done)
}
