//! PURE. Want + snapshot → the steps of a change of a network, each with its way back.

mod existing;
mod lease;
mod mend;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use self::existing::Existing;
use super::check;
use super::clone::CloneSpec;
use super::edit::Edit;
use super::spec::{Mode, NetworkSpec};
use crate::change::Refusal;
use crate::change::target::quote;
use crate::model::network::NetworkDefinition;
use crate::model::network_update::Update;
use crate::model::{IfName, Mac, MacvtapMode, NetworkId, NicId, Snapshot, Timestamp};

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkWant {
    /// A new network, started now and with the daemon.
    Create(Box<NetworkSpec>),
    /// A new network with more than a spec says: static leases, names, limits.
    CreateWith {
        /// What it shall be.
        spec: Box<NetworkSpec>,
        /// What comes on top.
        edit: Box<Edit>,
    },
    /// A new network like one that is there, with a name, bridge and subnets of its own.
    Clone {
        /// The name of the one that is there.
        name: String,
        /// What the copy gets.
        copy: CloneSpec,
    },
    /// Another definition: live where libvirt can, else the running network is restarted safely.
    Edit {
        /// Its name.
        name: String,
        /// What changes.
        edit: Box<Edit>,
    },
    /// Stopped and forgotten.
    Delete {
        /// Its name.
        name: String,
    },
    /// Started.
    Start {
        /// Its name.
        name: String,
    },
    /// Stopped.
    Stop {
        /// Its name.
        name: String,
    },
    /// Stopped and started, with every tap back on its bridge.
    Restart {
        /// Its name.
        name: String,
    },
    /// Every tap of its guests back on its bridge, its rules and its DHCP server there.
    Repair {
        /// Its name.
        name: String,
    },
    /// An address that a MAC always gets; live, without a restart.
    Lease {
        /// The network's name.
        name: String,
        /// Who gets what; it takes the place of the MAC's static lease.
        lease: StaticLease,
    },
    /// A static lease goes; live, without a restart.
    ForgetLease {
        /// The network's name.
        name: String,
        /// Whose.
        mac: Mac,
    },
    /// Whether it starts with the daemon.
    Autostart {
        /// Its name.
        name: String,
        /// Whether.
        autostart: Autostart,
    },
}

/// Whether a network starts with the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autostart {
    /// It does.
    On,
    /// Somebody starts it.
    Off,
}

/// An address that DHCP always gives to one NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticLease {
    /// Whose.
    pub mac: Mac,
    /// Which; `None` is the one it has now.
    pub address: Option<IpAddr>,
    /// The host name that DNS gives it; `None` is the one it has now.
    pub hostname: Option<String>,
}

/// A tap and the bridge it must be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leash {
    /// The tap.
    pub tap: IfName,
    /// The bridge.
    pub bridge: IfName,
    /// The guest's NIC behind it; `None` for what somebody else put there.
    pub nic: Option<NicId>,
}

/// What libvirt keeps for a running network beside its bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Services {
    /// It has a DHCP server.
    pub dhcp: bool,
    /// Subnets that a rule masquerades.
    pub masqueraded: Vec<IpNet>,
    /// The bridge that rules keep apart; `None` where libvirt makes none.
    #[serde(default)]
    pub guarded: Option<IfName>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Gives libvirt this definition.
    Define(String),
    /// Forgets the definition.
    Undefine,
    /// Starts with the daemon from now on.
    SetAutostart,
    /// No longer starts with the daemon.
    ClearAutostart,
    /// Starts the network; its bridge must appear, if libvirt makes one.
    Start {
        /// That bridge.
        bridge: Option<IfName>,
    },
    /// Stops the network; its bridge must go, if libvirt made it.
    Stop {
        /// That bridge.
        bridge: Option<IfName>,
    },
    /// Puts taps back on their bridge; each port must forward.
    Enslave(Vec<Leash>),
    /// Has libvirt write the network's firewall rules and start its DHCP server again.
    Reload(Services),
    /// Has libvirt put an element into the running network and the definition, or take it out.
    Update(Update),
}

impl Action {
    /// One word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Define(_) => "define",
            Self::Undefine => "undefine",
            Self::SetAutostart | Self::ClearAutostart => "autostart",
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Enslave(_) => "enslave",
            Self::Reload(_) => "reload",
            Self::Update(_) => "update",
        }
    }
}

/// A step and its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStep {
    /// What is done.
    pub action: Action,
    /// What takes it back, in order; empty for what needs no way back.
    pub undo: Vec<Action>,
    /// What is done, in words.
    pub text: String,
}

/// Everything that will be done. Made by [`plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkPlan {
    /// What it is called on the screen: `restart network default`.
    pub title: String,
    /// The network's name: hostile text.
    pub network: String,
    /// Its UUID; `None` for one that is created.
    pub id: Option<NetworkId>,
    /// `Snapshot::structure` that the plan was made from.
    pub structure: u64,
    /// It ran when the plan was made.
    pub was_active: bool,
    /// The definition before; `None` for one that is created.
    pub before: Option<String>,
    /// The definition after; `None` for one that is deleted.
    pub after: Option<String>,
    /// In order.
    pub steps: Vec<NetworkStep>,
    /// When the change began that was interrupted and is put right by this one.
    pub mends: Option<Timestamp>,
    /// What people will notice.
    pub consequences: Vec<String>,
    /// The same with virsh, as shell lines to read.
    pub commands: Vec<String>,
}

impl NetworkPlan {
    /// Whether this plan, done and verified, settles what an earlier change of the network left.
    #[must_use]
    pub fn settles(&self) -> bool {
        let touches = |action: &Action| {
            matches!(action, Action::Define(_) | Action::Undefine | Action::Start { .. } | Action::Enslave(_))
        };
        self.mends.is_some() || self.steps.iter().any(|step| touches(&step.action))
    }
}

/// Makes the plan.
///
/// # Errors
/// A [`Refusal`] with the reason and the way out.
pub fn plan(snapshot: &Snapshot, want: &NetworkWant) -> Result<NetworkPlan, Refusal> {
    match want {
        NetworkWant::Create(spec) => create(snapshot, spec, &Edit::default()),
        NetworkWant::CreateWith { spec, edit } => create(snapshot, spec, edit),
        NetworkWant::Clone { name, copy } => Existing::find(snapshot, "clone", name)?.clone_as(copy),
        NetworkWant::Edit { name, edit } => Existing::find(snapshot, "edit", name)?.edit(edit),
        NetworkWant::Delete { name } => Existing::find(snapshot, "delete", name)?.delete(),
        NetworkWant::Start { name } => Existing::find(snapshot, "start", name)?.start(),
        NetworkWant::Stop { name } => Existing::find(snapshot, "stop", name)?.stop(),
        NetworkWant::Restart { name } => Existing::find(snapshot, "restart", name)?.restart(),
        NetworkWant::Repair { name } => match mend::plan(snapshot, name) {
            Some(plan) => Ok(plan),
            None => Existing::find(snapshot, "repair", name)?.repair(),
        },
        NetworkWant::Lease { name, lease } => {
            Existing::find(snapshot, "add a static lease to", name)?.lease(lease)
        }
        NetworkWant::ForgetLease { name, mac } => {
            Existing::find(snapshot, "take a static lease out of", name)?.forget_lease(*mac)
        }
        NetworkWant::Autostart { name, autostart } => {
            Existing::find(snapshot, "set the autostart of", name)?.autostart(*autostart)
        }
    }
}

fn create(snapshot: &Snapshot, spec: &NetworkSpec, edit: &Edit) -> Result<NetworkPlan, Refusal> {
    check::check(snapshot, spec)?;
    let refuse = |reason: String, way_out: &str| Refusal {
        what: format!("create network {}", spec.name),
        reason,
        way_out: way_out.to_owned(),
    };
    let xml = lease::with_edit(&spec.to_xml(), edit).map_err(|reason| refuse(reason, "leave it out"))?;
    let definition = NetworkDefinition::parse(&xml).map_err(|error| refuse(error.reason, "leave it out"))?;
    check::definition_fits(snapshot, &definition).map_err(|(reason, way_out)| refuse(reason, &way_out))?;
    let bridge = spec.bridge.filter(|_| spec.mode.has_own_bridge());
    Ok(create_plan(snapshot, &spec.name, &xml, bridge, reach(spec)))
}

/// The steps that make a network that is not there.
fn create_plan(
    snapshot: &Snapshot,
    network: &str,
    xml: &str,
    bridge: Option<IfName>,
    consequences: Vec<String>,
) -> NetworkPlan {
    let name = quote(network);
    NetworkPlan {
        title: format!("create network {network}"),
        network: network.to_owned(),
        id: None,
        structure: snapshot.structure,
        was_active: false,
        before: None,
        steps: vec![
            define(xml, vec![Action::Undefine]),
            start(bridge),
            NetworkStep {
                action: Action::SetAutostart,
                undo: Vec::new(),
                text: "start it with the daemon from now on".to_owned(),
            },
        ],
        mends: None,
        consequences,
        commands: vec![
            format!("cat >network.xml <<'XML'\n{xml}XML"),
            "virsh net-define network.xml".to_owned(),
            format!("virsh net-start {name}"),
            format!("virsh net-autostart {name}"),
        ],
        after: Some(xml.to_owned()),
    }
}

fn reach(spec: &NetworkSpec) -> Vec<String> {
    let by = spec.forward_devs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let by = if by.is_empty() { String::new() } else { format!(" by {by} only") };
    let bridge = spec.bridge.map(|name| name.to_string()).unwrap_or_default();
    let sentence = match spec.mode {
        Mode::Nat => format!(
            "Guests reach the host, each other and everything the host reaches{by}; nobody outside reaches them."
        ),
        Mode::Route => format!(
            "Guests keep their own addresses{by}: the LAN needs a route to the subnet by way of this host."
        ),
        Mode::Open => "Guests are routed without any firewall rule of libvirt: yours decide.".to_owned(),
        Mode::Isolated => "Guests reach each other and the host, nothing else.".to_owned(),
        Mode::Bridge => format!("Guests are on {bridge}, with everything that leads to."),
        Mode::Macvtap(MacvtapMode::Passthrough) => {
            "Each guest takes one link of the pool for itself.".to_owned()
        }
        Mode::Macvtap(_) => {
            "Guests are on the LAN of the pool's links; the host itself does not reach them over these links."
                .to_owned()
        }
        Mode::Sriov => {
            "Each guest takes one virtual function of the card; it cannot move to another host live."
                .to_owned()
        }
    };
    let mut sentences = vec![sentence];
    for subnet in &spec.subnets {
        sentences.push(match subnet.dhcp {
            Some(range) => format!(
                "The host is {} on {bridge}; DHCP hands out {} to {} ({} addresses).",
                subnet.gateway,
                range.start,
                range.end,
                range.size()
            ),
            None => {
                format!("The host is {} on {bridge}; guests set their addresses themselves.", subnet.gateway)
            }
        });
    }
    sentences
}

fn define(xml: &str, undo: Vec<Action>) -> NetworkStep {
    NetworkStep {
        action: Action::Define(xml.to_owned()),
        undo,
        text: "give libvirt the definition".to_owned(),
    }
}

fn start(bridge: Option<IfName>) -> NetworkStep {
    let text =
        bridge.map_or_else(|| "start it".to_owned(), |bridge| format!("start it: the kernel has {bridge}"));
    NetworkStep { action: Action::Start { bridge }, undo: vec![Action::Stop { bridge }], text }
}

fn enslave_step(leashes: Vec<Leash>) -> NetworkStep {
    let taps: Vec<String> = leashes.iter().map(|leash| leash.tap.to_string()).collect();
    let text = format!("put {} back, until each port forwards", taps.join(" "));
    NetworkStep { action: Action::Enslave(leashes), undo: Vec::new(), text }
}
