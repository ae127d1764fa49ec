//! PURE. The steps that a change of a bridge is made of. Each can be done again without harm: what is
//! already so is left so, and the way back works from any point in the middle.

use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::client::Families;
use super::secrets;
use crate::model::kernel::{PortInfo, Route};
use crate::model::{IfName, Mac};

/// Spanning tree of a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stp {
    /// On, with this forward delay in hundredths of a second.
    On {
        /// A port forwards after twice this.
        forward_delay: u32,
    },
    /// Off: a port forwards at once.
    Off,
}

impl Stp {
    /// On, with the shortest forward delay that the kernel takes, as libvirt's bridges have it.
    pub const SHORTEST: Self = Self::On { forward_delay: 200 };

    /// `on` or `off`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::On { .. } => "on",
            Self::Off => "off",
        }
    }

    /// Whole seconds of the forward delay.
    #[must_use]
    pub const fn seconds(self) -> u32 {
        match self {
            Self::On { forward_delay } => forward_delay.div_ceil(100),
            Self::Off => 0,
        }
    }
}

/// A file before and after; `None` where it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// What is in it now.
    pub before: Option<String>,
    /// What will be in it.
    pub after: Option<String>,
    /// Permissions of a new file; one that is there keeps its own.
    pub mode: u32,
}

impl FileChange {
    /// Values of passwords and keys become dots.
    pub fn hide_secrets(&mut self) {
        self.before.iter_mut().chain(&mut self.after).for_each(|text| *text = secrets::hidden(text));
    }
}

/// Whether the change goes on when a command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is taken back.
    Stop,
    /// It goes on: what was to be is proven afterwards anyway.
    GoOn,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Makes a bridge and sets it up.
    AddBridge {
        /// Its name.
        bridge: IfName,
        /// Its MAC: the NIC's, so that nobody on the LAN sees a new machine.
        mac: Option<Mac>,
        /// Bytes per packet.
        mtu: u32,
        /// Spanning tree.
        stp: Stp,
    },
    /// Takes a bridge away.
    DeleteBridge {
        /// Its name.
        bridge: IfName,
    },
    /// Makes a link a port.
    Attach {
        /// The link.
        port: IfName,
        /// Its bridge.
        bridge: IfName,
    },
    /// Frees a port.
    Detach {
        /// The link.
        port: IfName,
    },
    /// A port gets the settings that it had: cost, priority, isolated, hairpin, learning.
    SetPort {
        /// The port.
        port: IfName,
        /// How it was.
        like: PortInfo,
    },
    /// Moves all addresses and routes of a link to another one, with their lifetimes and metrics.
    Move {
        /// Where they are.
        from: IfName,
        /// Where they go.
        to: IfName,
    },
    /// One more address.
    AddAddress {
        /// The link.
        link: IfName,
        /// The address.
        address: IpNet,
    },
    /// One address less.
    DropAddress {
        /// The link.
        link: IfName,
        /// The address.
        address: IpNet,
    },
    /// All IPv4 addresses but these are removed: a DHCP client gave them.
    DropOthers {
        /// The link.
        link: IfName,
        /// What stays.
        keep: Vec<IpNet>,
    },
    /// Whatever of this is missing is added again.
    Restore {
        /// The link.
        link: IfName,
        /// Its lasting addresses.
        addresses: Vec<IpNet>,
        /// Those of them that have no broadcast address; found out before the first step.
        bare: Vec<IpNet>,
        /// Its routes, without those that the kernel makes.
        routes: Vec<Route>,
    },
    /// Writes a file that does not outlive a reboot.
    Put {
        /// The file.
        file: FileChange,
    },
    /// Makes such a file what it was.
    PutBack {
        /// The file.
        file: FileChange,
    },
    /// Runs a program, without a shell.
    Call {
        /// Program and arguments.
        argv: Vec<String>,
        /// What a failure means.
        failure: OnFailure,
    },
    /// The DHCP client that runs on one link runs on another one instead.
    MoveClient {
        /// Where it runs.
        from: IfName,
        /// Where it will run.
        to: IfName,
        /// The file that runs.
        #[serde(default)]
        program: PathBuf,
        /// How it is started there, unless one that asks for the same runs there already.
        argv: Vec<String>,
    },
    /// Ends the DHCP client of IPv4 that runs on a link; it keeps its lease.
    StopClient {
        /// The link.
        link: IfName,
    },
    /// NetworkManager takes everything back by itself some time after the change's own deadline.
    Checkpoint,
    /// NetworkManager need not do that any more.
    EndCheckpoint,
    /// Waits until everything is as it must be; what is still missing is done by the steps that follow.
    Settle,
}

impl Step {
    /// Asks a manager to read its files again.
    #[must_use]
    pub fn is_reload(&self) -> bool {
        matches!(self, Self::Call { argv, .. } if argv.iter().any(|word| word == "reload"))
    }

    /// What is done, in words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::AddBridge { bridge, mtu, stp, .. } => {
                format!("make bridge {bridge} (MTU {mtu}, STP {}, MAC of the port)", stp.word())
            }
            Self::DeleteBridge { bridge } => format!("delete bridge {bridge}"),
            Self::Attach { port, bridge } => format!("make {port} a port of {bridge}"),
            Self::SetPort { port, .. } => format!("give {port} its settings as a port"),
            Self::Detach { port } => format!("take {port} out of its bridge"),
            Self::Move { from, to } => format!("move the addresses and routes of {from} to {to}"),
            Self::AddAddress { link, address } => format!("add {address} to {link}"),
            Self::DropAddress { link, address } => format!("remove {address} from {link}"),
            Self::DropOthers { link, .. } => format!("remove what a DHCP server lent {link}"),
            Self::Restore { link, .. } => format!("see that {link} has its addresses and routes"),
            Self::Put { file } if file.after.is_none() => format!("remove {}", file.path.display()),
            Self::Put { file } => format!("write {}", file.path.display()),
            Self::PutBack { file } if file.before.is_none() => format!("remove {}", file.path.display()),
            Self::PutBack { file } => format!("put {} back", file.path.display()),
            Self::Call { argv, .. } => format!("run {}", argv.join(" ")),
            Self::MoveClient { from, to, program, argv } => {
                let protocol = if Families::of(program, argv).v4 { "DHCP" } else { "DHCPv6" };
                format!("let the {protocol} client of {from} run on {to}")
            }
            Self::StopClient { link } => format!("end the DHCP client of {link}"),
            Self::Checkpoint => "let NetworkManager keep a checkpoint as a second net".to_owned(),
            Self::EndCheckpoint => "drop NetworkManager's checkpoint".to_owned(),
            Self::Settle => "wait until it is so".to_owned(),
        }
    }
}
