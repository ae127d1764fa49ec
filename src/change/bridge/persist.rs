//! PURE. Who owns a NIC of the host, and what its owner's files must say so that a bridge over it comes
//! up at the next boot. One file per owner; each works on the text that is there, so that comments and
//! keys nobody here knows survive.

mod ifcfg;
mod ifupdown;
mod ini;
mod netplan;
mod networkd;
mod networkmanager;
pub mod ports;
mod rhel;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::step::{FileChange, Step, Stp};
use super::{Addressing, Lasting};
use crate::model::{IfName, Mac};

/// A program or a set of files that configures NICs at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// NetworkManager, with profiles in keyfiles.
    NetworkManager,
    /// netplan, in front of NetworkManager or systemd-networkd.
    Netplan,
    /// systemd-networkd.
    Networkd,
    /// `/etc/network/interfaces`.
    Ifupdown,
    /// `/etc/sysconfig/network-scripts/ifcfg-*` (RHEL up to 8).
    Ifcfg,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::NetworkManager, Self::Netplan, Self::Networkd, Self::Ifupdown, Self::Ifcfg];

    /// As it is typed.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NetworkManager => "networkmanager",
            Self::Netplan => "netplan",
            Self::Networkd => "networkd",
            Self::Ifupdown => "ifupdown",
            Self::Ifcfg => "ifcfg",
        }
    }

    /// As it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::Netplan => "netplan",
            Self::Networkd => "systemd-networkd",
            Self::Ifupdown => "ifupdown",
            Self::Ifcfg => "ifcfg files",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

impl FromStr for Lasting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let backend = Backend::ALL.into_iter().find(|backend| backend.word() == text);
        match (text, backend) {
            ("auto", _) => Ok(Self::Auto),
            ("none", _) => Ok(Self::No),
            (_, Some(backend)) => Ok(Self::By(backend)),
            _ => {
                let words: Vec<&str> = Backend::ALL.iter().map(|backend| backend.word()).collect();
                Err(format!("expected auto, none or one of {}", words.join(", ")))
            }
        }
    }
}

/// A file as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// Who carries out what netplan's files say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renderer {
    /// systemd-networkd.
    Networkd,
    /// NetworkManager.
    NetworkManager {
        /// Its D-Bus interface can be called, so that a checkpoint is possible.
        checkpoint: bool,
    },
}

/// An owner of a NIC, with what its files must be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A profile of NetworkManager is active on it.
    NetworkManager {
        /// The profile: a keyfile, or an `ifcfg` file.
        profile: Text,
        /// What goes with an `ifcfg` file: `route-NIC` and the like.
        others: Vec<Text>,
        /// The profile's UUID.
        uuid: String,
        /// UUIDs for the profiles of the bridge and the port.
        fresh: [String; 2],
        /// Its D-Bus interface can be called, so that a checkpoint is possible.
        checkpoint: bool,
    },
    /// netplan names it.
    Netplan {
        /// The file that does.
        yaml: Text,
        /// All others that it reads.
        others: Vec<Text>,
        /// Who carries it out.
        renderer: Renderer,
        /// The program that makes the renderer's files.
        generate: Vec<String>,
    },
    /// systemd-networkd configures it.
    Networkd {
        /// The `.network` file.
        network: Text,
        /// A drop-in directory of that file is there.
        drop_ins: bool,
        /// What the DHCP server knows it by (`IAID`), where it has a lease.
        iaid: Option<u32>,
    },
    /// `/etc/network/interfaces` or a file that it includes names it.
    Ifupdown {
        /// The file.
        file: Text,
        /// Other files that name it as well.
        others: Vec<PathBuf>,
        /// ifupdown can make bridges here.
        bridges: bool,
    },
    /// An `ifcfg` file names it.
    Ifcfg {
        /// The file.
        file: Text,
        /// `route-NIC`, `route6-NIC`, `rule-NIC`, `rule6-NIC`.
        others: Vec<Text>,
    },
}

impl Owner {
    /// Which one.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        match self {
            Self::NetworkManager { .. } => Backend::NetworkManager,
            Self::Netplan { .. } => Backend::Netplan,
            Self::Networkd { .. } => Backend::Networkd,
            Self::Ifupdown { .. } => Backend::Ifupdown,
            Self::Ifcfg { .. } => Backend::Ifcfg,
        }
    }

    /// How it was seen, in words.
    #[must_use]
    pub fn words(&self, nic: IfName) -> String {
        let (path, verb) = match self {
            Self::NetworkManager { profile, .. } => (&profile.path, "has active"),
            Self::Netplan { yaml, .. } => (&yaml.path, "names it in"),
            Self::Networkd { network, .. } => (&network.path, "configures it with"),
            Self::Ifupdown { file, .. } | Self::Ifcfg { file, .. } => (&file.path, "name it:"),
        };
        format!("{nic} belongs to {}, which {verb} {}", self.backend(), path.display())
    }
}

/// A bridge that is to be made over a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The bridge.
    pub bridge: IfName,
    /// The NIC.
    pub port: IfName,
    /// The NIC's MAC.
    pub mac: Option<Mac>,
    /// Bytes per packet.
    pub mtu: u32,
    /// Spanning tree.
    pub stp: Stp,
    /// Where the address comes from.
    pub address: Addressing,
    /// The gateway that a given address uses.
    pub gateway: Option<IpAddr>,
    /// The metrics of the NIC's default routes, IPv4 and IPv6: some owners give routes over a bridge another one.
    pub metrics: [Option<u32>; 2],
}

impl Spec {
    /// The program's mark, which every file and stanza of its own opens with.
    fn mark(&self) -> String {
        format!("# virt-net: bridge {} over {}", self.bridge, self.port)
    }

    /// The bridge as the kernel makes it.
    fn kernel_bridge(&self) -> Step {
        Step::AddBridge { bridge: self.bridge, mac: self.mac, mtu: self.mtu, stp: self.stp }
    }

    /// The metrics to be kept, by family as NetworkManager calls it.
    fn known_metrics(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let known = ["ipv4", "ipv6"].into_iter().zip(self.metrics);
        known.filter_map(|(family, metric)| Some((family, metric.filter(|metric| *metric > 0)?)))
    }

    fn given(&self) -> Option<IpNet> {
        match self.address {
            Addressing::Static(address) => Some(address),
            Addressing::Move | Addressing::Dhcp => None,
        }
    }
}

/// What an owner is given to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setting {
    /// Its own way to do it at once; empty when nobody but the kernel is asked.
    pub steps: Vec<Step>,
    /// The way back of those.
    pub undo: Vec<Step>,
    /// Files for the next boot, in the order in which they are put in place: a boot that sees only the
    /// first of them still has its network.
    pub lasting: Vec<FileChange>,
    /// After the files were put in place.
    pub keep: Vec<Step>,
    /// Later, when the bridge is deleted: takes it away at once, and brings it back.
    pub later: (Vec<Step>, Vec<Step>),
    /// What to say of it.
    pub told: Vec<String>,
}

/// What the owner's files and commands are for a new bridge.
///
/// # Errors
/// Why its files cannot be changed, in words.
pub fn create(owner: &Owner, spec: &Spec) -> Result<Setting, String> {
    match owner {
        Owner::NetworkManager { profile, others, uuid, fresh, checkpoint } => {
            let name = profile.path.file_name().map(|name| name.to_string_lossy().into_owned());
            if name.unwrap_or_default().starts_with("ifcfg-") {
                return rhel::create(profile, others, uuid, fresh, *checkpoint, spec);
            }
            networkmanager::create(profile, uuid, fresh, *checkpoint, spec)
        }
        Owner::Netplan { yaml, renderer, generate, .. } => netplan::create(yaml, *renderer, generate, spec),
        Owner::Networkd { network, drop_ins, iaid } => networkd::create(network, *drop_ins, *iaid, spec),
        Owner::Ifupdown { file, others, bridges } => ifupdown::create(file, others, *bridges, spec),
        Owner::Ifcfg { file, others } => ifcfg::create(file, others, spec),
    }
}

/// The text with a word replaced wherever it stands alone: `eth0`, but not in `eth01` or `myeth0`.
pub(super) fn renamed(text: &str, from: IfName, to: IfName) -> String {
    let (from, to) = (from.to_string(), to.to_string());
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&from) {
        let alone = !before.chars().next_back().or_else(|| out.chars().next_back()).is_some_and(is_word)
            && !after.chars().next().is_some_and(is_word);
        out.push_str(before);
        out.push_str(if alone { &to } else { &from });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn call(argv: &[&str]) -> Vec<String> {
    argv.iter().map(|word| (*word).to_owned()).collect()
}

/// A file that is new.
fn new_file(path: PathBuf, text: String, mode: u32) -> FileChange {
    FileChange { path, before: None, after: Some(text), mode }
}
