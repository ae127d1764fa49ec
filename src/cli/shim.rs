//! `virt-net shim`: host and guests on macvtaps talk with each other by a macvlan of the host's own.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Subcommand};
use color_eyre::eyre::Result;
use ipnet::IpNet;

use super::doctor::fix;
use super::switch::{Consent, unreadable};
use super::{ExitStatus, complain, preview};
use crate::app::job::{Draft, Job, ShimJob};
use crate::change::apply;
use crate::change::bridge::Lasting;
use crate::change::shim::{ShimEvidence, ShimWant, plan};
use crate::model::IfName;
use crate::source::{self, SourceOptions};

/// Subcommands of `shim`.
#[derive(Debug, Subcommand)]
pub enum ShimCommand {
    /// Let host and guests on a NIC's macvtaps talk; again: bring its routes up to date
    Create(CreateArgs),
    /// Delete a shim and what was written for the next boot
    Delete(DeleteArgs),
}

/// Arguments of `shim create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The NIC below the guests' macvtaps
    #[arg(long, value_name = "LINK")]
    over: IfName,
    /// A spare address of the LAN for the host's end, one of each family at most; without one the host is
    /// seen by the NIC's own IPv4 address. Needed for IPv6, and where
    /// net.ipv4.conf.all.arp_ignore is 1
    #[arg(long, value_name = "ADDRESS", value_parser = parse_spare)]
    address: Vec<IpAddr>,
    /// A guest whose address is not known to virt-net; all known ones get their routes anyway
    #[arg(long, value_name = "ADDRESS|CIDR", value_parser = parse_net, num_args = 1..)]
    to: Vec<IpNet>,
    /// Who writes it down for the next boot: whoever owns the NIC, nobody, or this one
    /// (networkmanager, netplan, networkd, ifupdown, ifcfg)
    #[arg(long, value_name = "auto|none|BACKEND", default_value = "auto")]
    persist: Lasting,
    #[command(flatten)]
    consent: Consent,
}

/// Arguments of `shim delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// The shim
    shim: IfName,
    #[command(flatten)]
    consent: Consent,
}

fn parse_net(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| format!("{text} is no address and no net"))
}

/// Any shorter prefix would bring the whole net's route to the shim.
fn parse_spare(text: &str) -> Result<IpAddr, String> {
    let net = parse_net(text)?;
    if net.prefix_len() == net.max_prefix_len() {
        return Ok(net.addr());
    }
    Err(format!(
        "it gets no route to a whole net: write {} or {}/{}",
        net.addr(),
        net.addr(),
        net.max_prefix_len()
    ))
}

pub(super) async fn run(command: &ShimCommand, options: &SourceOptions) -> Result<ExitStatus> {
    let (want, consent) = match command {
        ShimCommand::Create(CreateArgs { over, address, to, persist, consent }) => {
            let (addresses, to) = (address.clone(), to.clone());
            (ShimWant::Create { over: *over, addresses, to, persist: *persist }, consent)
        }
        ShimCommand::Delete(DeleteArgs { shim, consent }) => (ShimWant::Delete { shim: *shim }, consent),
    };
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    let evidence = match sources.updates {
        Some(_) => apply::shim::evidence(&snapshot, &want),
        None => ShimEvidence::default(),
    };
    match plan::plan(&snapshot, &evidence, &want) {
        Ok(plan) => fix::carry(&Job::from(ShimJob { want, plan, draft: Draft::No }), consent, &sources).await,
        Err(refusal) => {
            preview::refused(&refusal);
            Ok(ExitStatus::Refused)
        }
    }
}
