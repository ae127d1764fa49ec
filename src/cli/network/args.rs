//! The arguments of `virt-net network`, and what they want of a snapshot.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use color_eyre::eyre::{Result, WrapErr as _};
use ipnet::IpNet;

use crate::change::network::{
    Autostart, CloneSpec, Edit, ForwardDev, Mode, NetworkSpec, NetworkWant, Portgroup, Setting, StaticLease,
    SubnetSpec, propose_bridge, propose_subnet,
};
use crate::cli::switch::Consent;
use crate::model::network::{Bandwidth, DhcpRange, DnsHost, Rate, StaticHost};
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
    /// Let DHCP always give a guest the same address, or no longer, now and without a restart
    Lease(LeaseArgs),
    /// Make a network like one that is there, with a name, bridge and subnet of its own
    Clone(CloneArgs),
    /// Start it with the daemon, or no longer
    Autostart(AutostartArgs),
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
    come: ComeArgs,
    #[command(flatten)]
    consent: Consent,
}

/// What comes into a definition; by the same word, MAC or address it takes the place of what is there.
#[derive(Debug, Args)]
pub(super) struct ComeArgs {
    /// A static lease
    #[arg(long, value_name = "MAC,ADDRESS[,NAME]", value_parser = parse_host)]
    host: Vec<StaticHost>,
    /// Names that its DNS gives an address
    #[arg(long, value_name = "ADDRESS=NAME[,NAME]", value_parser = parse_dns_host)]
    dns_host: Vec<DnsHost>,
    /// A group of NICs with limits of their own, in KiB/s
    #[arg(long, value_name = "NAME[,default][,in=RATE][,out=RATE]", value_parser = parse_portgroup)]
    portgroup: Vec<Portgroup>,
    /// What all its guests together may get, in KiB/s, or off
    #[arg(long, value_name = "AVERAGE[,PEAK[,BURST]]|off", value_parser = parse_setting::<Rate>)]
    inbound: Option<Setting<Rate>>,
    /// What all its guests together may send, in KiB/s, or off
    #[arg(long, value_name = "AVERAGE[,PEAK[,BURST]]|off", value_parser = parse_setting::<Rate>)]
    outbound: Option<Setting<Rate>>,
}

impl ComeArgs {
    fn edit(&self) -> Edit {
        Edit {
            hosts: self.host.clone(),
            dns_hosts: self.dns_host.clone(),
            portgroups: self.portgroup.clone(),
            inbound: self.inbound,
            outbound: self.outbound,
            ..Edit::default()
        }
    }
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
    /// Ports that masquerading uses, or off for libvirt's choice
    #[arg(long, value_name = "FROM-TO|off", value_parser = parse_port_setting)]
    nat_ports: Option<Setting<(u16, u16)>>,
    /// Bytes per packet, or off for the kernel's choice
    #[arg(long, value_name = "BYTES|off", value_parser = parse_mtu)]
    mtu: Option<Setting<u32>>,
    /// The DNS domain of its guests, or off
    #[arg(long, value_name = "DOMAIN|off", value_parser = parse_setting::<String>)]
    domain: Option<Setting<String>>,
    /// Another subnet, IPv4 or IPv6, with the host's address in it if not the first
    #[arg(long, value_name = "CIDR")]
    add_subnet: Vec<IpNet>,
    /// A subnet that goes
    #[arg(long, value_name = "CIDR")]
    remove_subnet: Vec<IpNet>,
    /// A static lease that goes
    #[arg(long, value_name = "MAC")]
    remove_host: Vec<Mac>,
    /// An address whose names go
    #[arg(long, value_name = "ADDRESS")]
    remove_dns_host: Vec<IpAddr>,
    /// A group of NICs that goes
    #[arg(long, value_name = "NAME")]
    remove_portgroup: Vec<String>,
    #[command(flatten)]
    come: ComeArgs,
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
    /// Its static lease goes
    #[arg(long, conflicts_with_all = ["address", "hostname"])]
    remove: bool,
    #[command(flatten)]
    consent: Consent,
}

/// Arguments of `network clone`.
#[derive(Debug, Args)]
pub struct CloneArgs {
    /// The network that is there
    name: String,
    /// The name of the new one
    new: String,
    /// The name of its bridge [default: the first free virbrN]
    #[arg(long, value_name = "BRIDGE")]
    bridge: Option<IfName>,
    /// Its subnet, of the size that the other one has [default: a free one]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<IpNet>,
    #[command(flatten)]
    consent: Consent,
}

/// Arguments of `network autostart`.
#[derive(Debug, Args)]
pub struct AutostartArgs {
    /// Its name
    name: String,
    /// Whether
    #[arg(value_enum)]
    state: OnOff,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnOff {
    /// Start it with the daemon
    On,
    /// Leave it to somebody
    Off,
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

fn parse_setting<T: std::str::FromStr>(text: &str) -> Result<Setting<T>, String>
where
    T::Err: ToString,
{
    if text == "off" {
        return Ok(Setting::Default);
    }
    text.parse().map(Setting::To).map_err(|error: T::Err| error.to_string())
}

fn parse_port_setting(text: &str) -> Result<Setting<(u16, u16)>, String> {
    if text == "off" { Ok(Setting::Default) } else { parse_ports(text).map(Setting::To) }
}

fn parse_mtu(text: &str) -> Result<Setting<u32>, String> {
    match parse_setting(text)? {
        Setting::To(mtu) if !(576..=65535).contains(&mtu) => Err("expected 576 to 65535, or off".to_owned()),
        setting => Ok(setting),
    }
}

fn parse_host(text: &str) -> Result<StaticHost, String> {
    let mut parts = text.split(',');
    let (mac, address, name) = (parts.next(), parts.next(), parts.next());
    match (mac.map(str::parse), address.map(str::parse), parts.next()) {
        (Some(Ok(mac)), Some(Ok(address)), None) => {
            Ok(StaticHost { mac: Some(mac), name: name.map(str::to_owned), address: Some(address) })
        }
        _ => Err("expected 52:54:00:aa:fc:1c,192.168.122.10 or with ,NAME behind it".to_owned()),
    }
}

fn parse_dns_host(text: &str) -> Result<DnsHost, String> {
    let host = text.split_once('=').and_then(|(address, names)| {
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        Some(DnsHost { address: address.parse().ok()?, names })
    });
    host.ok_or_else(|| "expected 192.168.122.10=web01,www for example".to_owned())
}

/// The commas of a rate would end it here, so a rate is `AVERAGE:PEAK:BURST` inside of a group.
fn parse_portgroup(text: &str) -> Result<Portgroup, String> {
    const USAGE: &str = "expected NAME[,default][,in=AVERAGE[:PEAK[:BURST]]][,out=AVERAGE[:PEAK[:BURST]]]";
    let mut parts = text.split(',');
    let name = parts.next().filter(|name| !name.is_empty()).ok_or(USAGE)?.to_owned();
    let mut group = Portgroup { name, default: false, bandwidth: Bandwidth::default() };
    for part in parts {
        let rate =
            |text: &str| text.replace(':', ",").parse::<Rate>().map(Some).map_err(|_| USAGE.to_owned());
        match part.split_once('=') {
            None if part == "default" => group.default = true,
            Some(("in", text)) => group.bandwidth.inbound = rate(text)?,
            Some(("out", text)) => group.bandwidth.outbound = rate(text)?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(group)
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
            Self::Clone(args) => &args.consent,
            Self::Autostart(args) => &args.consent,
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
            Self::Clone(args) => Some(&args.name),
            Self::Autostart(args) => Some(&args.name),
        }
    }

    pub(super) fn want(&self, snapshot: &Snapshot) -> Result<NetworkWant> {
        Ok(match self {
            Self::Create(args) => NetworkWant::CreateWith {
                spec: Box::new(args.spec(snapshot)),
                edit: Box::new(args.come.edit()),
            },
            Self::Edit(args) => NetworkWant::Edit { name: args.name.clone(), edit: Box::new(args.edit()?) },
            Self::Clone(args) => NetworkWant::Clone {
                name: args.name.clone(),
                copy: CloneSpec { name: args.new.clone(), bridge: args.bridge, subnet: args.subnet },
            },
            Self::Autostart(args) => NetworkWant::Autostart {
                name: args.name.clone(),
                autostart: match args.state {
                    OnOff::On => Autostart::On,
                    OnOff::Off => Autostart::Off,
                },
            },
            Self::Delete(args) => NetworkWant::Delete { name: args.name.clone() },
            Self::Start(args) => NetworkWant::Start { name: args.name.clone() },
            Self::Stop(args) => NetworkWant::Stop { name: args.name.clone() },
            Self::Restart(args) => NetworkWant::Restart { name: args.name.clone() },
            Self::Repair(args) => NetworkWant::Repair { name: args.name.clone() },
            Self::Lease(args) if args.remove => {
                NetworkWant::ForgetLease { name: args.name.clone(), mac: args.mac }
            }
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

impl EditArgs {
    fn edit(&self) -> Result<Edit> {
        Ok(Edit {
            forward_dev: self.forward_dev,
            dhcp: self.dhcp,
            text: self.xml.as_deref().map(read_text).transpose()?,
            nat_ports: self.nat_ports,
            mtu: self.mtu,
            domain: self.domain.clone(),
            subnets_gone: self.remove_subnet.clone(),
            subnets: self.add_subnet.iter().copied().map(SubnetSpec::whole).collect(),
            hosts_gone: self.remove_host.clone(),
            dns_hosts_gone: self.remove_dns_host.clone(),
            portgroups_gone: self.remove_portgroup.clone(),
            ..self.come.edit()
        })
    }
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
