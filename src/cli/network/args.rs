//! The arguments of `virt-net network`, and what they want of a snapshot.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use color_eyre::eyre::{Result, WrapErr as _};
use ipnet::IpNet;

use crate::change::network::{
    Edit, ForwardDev, Mode, NetworkSpec, NetworkWant, StaticLease, SubnetSpec, propose_bridge, propose_subnet,
};
use crate::cli::switch::Consent;
use crate::model::network::DhcpRange;
use crate::model::{IfName, Mac, MacvtapMode, Snapshot};

/// Subcommands of `network`.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Make a network and start it, now and with the daemon
    Create(CreateArgs),
    /// Change a definition; a running network is restarted with every guest put back on it
    Edit(EditArgs),
    /// Stop it and forget it; refused while guests are plugged into it
    Delete(NameArgs),
    /// Start it
    Start(NameArgs),
    /// Stop it
    Stop(NameArgs),
    /// Stop it, start it and put every guest back on it
    Restart(NameArgs),
    /// Put taps of running guests back on its bridge, and lost firewall rules and its DHCP server, without a restart
    Repair(NameArgs),
    /// Let DHCP always give a guest the same address, now and without a restart
    Lease(LeaseArgs),
}

/// Arguments of `network create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Its name
    name: String,
    /// How packets leave it
    #[arg(long, value_enum)]
    mode: ModeWord,
    /// The bridge that is there (mode bridge); else the name for libvirt's own [default: the first free virbrN]
    #[arg(long, value_name = "BRIDGE")]
    bridge: Option<IfName>,
    /// A subnet, with the host's address in it if not the first, or none [default: a free one]
    #[arg(long, value_name = "CIDR|none", value_parser = parse_subnet)]
    subnet: Vec<SubnetWord>,
    /// What DHCP hands out of the first subnet, or off [default: all that is free]
    #[arg(long, value_name = "FROM-TO|off", value_parser = parse_dhcp)]
    dhcp: Option<DhcpWord>,
    /// The only link to leave by; the links of a macvtap or SR-IOV pool
    #[arg(long, value_name = "LINK")]
    forward_dev: Vec<IfName>,
    /// How the macvtaps of a pool see each other: bridge, vepa, private or passthrough
    #[arg(long, value_name = "MODE", default_value = "bridge", value_parser = parse_macvtap)]
    macvtap_mode: MacvtapMode,
    /// Ports that masquerading uses
    #[arg(long, value_name = "FROM-TO", value_parser = parse_ports)]
    nat_ports: Option<(u16, u16)>,
    /// Bytes per packet
    #[arg(long, value_parser = clap::value_parser!(u32).range(576..=65535))]
    mtu: Option<u32>,
    /// The DNS domain of its guests
    #[arg(long)]
    domain: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

/// Modes of `network create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeWord {
    /// Masqueraded behind the host's address
    Nat,
    /// With the guests' own addresses
    Route,
    /// As route, without firewall rules
    Open,
    /// Guests and the host only
    Isolated,
    /// On a bridge that is there
    Bridge,
    /// Macvtaps on a pool of links
    Macvtap,
    /// Virtual functions of a card
    Sriov,
}

/// Arguments of `network edit`.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Its name
    name: String,
    /// The only link its packets may leave by, or any
    #[arg(long, value_name = "LINK|any", value_parser = parse_forward_dev)]
    forward_dev: Option<ForwardDev>,
    /// What DHCP hands out
    #[arg(long, value_name = "FROM-TO")]
    dhcp: Option<DhcpRange>,
    /// The whole definition from a file, - for standard input
    #[arg(long, value_name = "FILE")]
    xml: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

/// Arguments of what needs only a name.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    consent: Consent,
}

/// Arguments of `network lease`.
#[derive(Debug, Args)]
pub struct LeaseArgs {
    /// The network's name
    name: String,
    /// Whose address it is
    mac: Mac,
    /// The address [default: the one it has now]
    address: Option<IpAddr>,
    /// The host name that DNS gives it [default: the one it has now]
    #[arg(long)]
    hostname: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone)]
enum SubnetWord {
    None,
    Subnet(IpNet),
}

#[derive(Debug, Clone, Copy)]
enum DhcpWord {
    Off,
    Range(DhcpRange),
}

fn parse_subnet(text: &str) -> Result<SubnetWord, String> {
    if text == "none" {
        return Ok(SubnetWord::None);
    }
    text.parse()
        .map(SubnetWord::Subnet)
        .map_err(|_| "expected 192.168.150.0/24, for example, or none".to_owned())
}

fn parse_dhcp(text: &str) -> Result<DhcpWord, String> {
    if text == "off" { Ok(DhcpWord::Off) } else { text.parse().map(DhcpWord::Range) }
}

fn parse_ports(text: &str) -> Result<(u16, u16), String> {
    let ports = text.split_once('-').and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?)));
    ports.ok_or_else(|| "expected two ports as 1024-65535".to_owned())
}

fn parse_macvtap(text: &str) -> Result<MacvtapMode, String> {
    MacvtapMode::from_word(text).ok_or_else(|| "expected bridge, vepa, private or passthrough".to_owned())
}

fn parse_forward_dev(text: &str) -> Result<ForwardDev, String> {
    if text == "any" {
        return Ok(ForwardDev::Any);
    }
    text.parse().map(ForwardDev::Only).map_err(|error: crate::model::ids::ParseIdError| error.to_string())
}

impl NetworkCommand {
    pub(super) const fn consent(&self) -> &Consent {
        match self {
            Self::Create(args) => &args.consent,
            Self::Edit(args) => &args.consent,
            Self::Delete(args)
            | Self::Start(args)
            | Self::Stop(args)
            | Self::Restart(args)
            | Self::Repair(args) => &args.consent,
            Self::Lease(args) => &args.consent,
        }
    }

    /// The network that must be there.
    pub(super) fn existing(&self) -> Option<&str> {
        match self {
            Self::Create(_) => None,
            Self::Edit(args) => Some(&args.name),
            Self::Delete(args)
            | Self::Start(args)
            | Self::Stop(args)
            | Self::Restart(args)
            | Self::Repair(args) => Some(&args.name),
            Self::Lease(args) => Some(&args.name),
        }
    }

    pub(super) fn want(&self, snapshot: &Snapshot) -> Result<NetworkWant> {
        Ok(match self {
            Self::Create(args) => NetworkWant::Create(Box::new(args.spec(snapshot))),
            Self::Edit(args) => NetworkWant::Edit {
                name: args.name.clone(),
                edit: Edit {
                    forward_dev: args.forward_dev,
                    dhcp: args.dhcp,
                    text: args.xml.as_deref().map(read_text).transpose()?,
                },
            },
            Self::Delete(args) => NetworkWant::Delete { name: args.name.clone() },
            Self::Start(args) => NetworkWant::Start { name: args.name.clone() },
            Self::Stop(args) => NetworkWant::Stop { name: args.name.clone() },
            Self::Restart(args) => NetworkWant::Restart { name: args.name.clone() },
            Self::Repair(args) => NetworkWant::Repair { name: args.name.clone() },
            Self::Lease(args) => NetworkWant::Lease {
                name: args.name.clone(),
                lease: StaticLease { mac: args.mac, address: args.address, hostname: args.hostname.clone() },
            },
        })
    }
}

fn read_text(path: &std::path::Path) -> Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .wrap_err("read the definition from standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).wrap_err_with(|| format!("read the definition from {}", path.display()))
}

impl CreateArgs {
    /// What was said, and a free bridge and subnet where nothing was.
    fn spec(&self, snapshot: &Snapshot) -> NetworkSpec {
        let mode = match self.mode {
            ModeWord::Nat => Mode::Nat,
            ModeWord::Route => Mode::Route,
            ModeWord::Open => Mode::Open,
            ModeWord::Isolated => Mode::Isolated,
            ModeWord::Bridge => Mode::Bridge,
            ModeWord::Macvtap => Mode::Macvtap(self.macvtap_mode),
            ModeWord::Sriov => Mode::Sriov,
        };
        let own = mode.has_own_bridge();
        let mut subnets: Vec<IpNet> = Vec::new();
        for word in &self.subnet {
            if let SubnetWord::Subnet(subnet) = word {
                subnets.push(*subnet);
            }
        }
        if self.subnet.is_empty() && own {
            subnets.extend(propose_subnet(snapshot));
        }
        let mut subnets: Vec<SubnetSpec> = subnets.into_iter().map(SubnetSpec::whole).collect();
        if let (Some(first), Some(word)) = (subnets.first_mut(), self.dhcp) {
            first.dhcp = match word {
                DhcpWord::Off => None,
                DhcpWord::Range(range) => Some(range),
            };
        }
        NetworkSpec {
            name: self.name.clone(),
            mode,
            bridge: self.bridge.or_else(|| own.then(|| propose_bridge(snapshot)).flatten()),
            subnets,
            forward_devs: self.forward_dev.clone(),
            nat_ports: self.nat_ports,
            mtu: self.mtu,
            domain: self.domain.clone(),
        }
    }
}
