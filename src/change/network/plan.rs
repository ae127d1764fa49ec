//! PURE. Want + snapshot → the steps of a change of a network, each with its way back.

use std::net::IpAddr;

use ipnet::IpNet;

use super::check::{self, owns_bridge};
use super::edit::{self, Edit, ForwardDev};
use super::spec::{Mode, NetworkSpec};
use crate::change::Refusal;
use crate::change::splice::escape;
use crate::change::target::quote;
use crate::model::guest::MacvtapMode;
use crate::model::network::{ForwardMode, NetworkDefinition};
use crate::model::{IfName, Mac, Network, NetworkId, Snapshot};

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkWant {
    /// A new network, started now and with the daemon.
    Create(Box<NetworkSpec>),
    /// Another definition; a running network is restarted safely.
    Edit {
        /// Its name.
        name: String,
        /// What changes.
        edit: Edit,
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
        /// Who gets what.
        lease: StaticLease,
    },
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leash {
    /// The tap.
    pub tap: IfName,
    /// The bridge.
    pub bridge: IfName,
}

/// What libvirt keeps for a running network beside its bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// It has a DHCP server.
    pub dhcp: bool,
    /// Subnets that a rule masquerades.
    pub masqueraded: Vec<IpNet>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Adds a `<host>` to the running DHCP server and the definition.
    AddHost(String),
    /// Takes that `<host>` out again.
    DeleteHost(String),
}

/// A step and its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// What people will notice.
    pub consequences: Vec<String>,
    /// The same with virsh, as shell lines to read.
    pub commands: Vec<String>,
}

/// Makes the plan.
///
/// # Errors
/// A [`Refusal`] with the reason and the way out.
pub fn plan(snapshot: &Snapshot, want: &NetworkWant) -> Result<NetworkPlan, Refusal> {
    match want {
        NetworkWant::Create(spec) => create(snapshot, spec),
        NetworkWant::Edit { name, edit } => Existing::find(snapshot, "edit", name)?.edit(edit),
        NetworkWant::Delete { name } => Existing::find(snapshot, "delete", name)?.delete(),
        NetworkWant::Start { name } => Existing::find(snapshot, "start", name)?.start(),
        NetworkWant::Stop { name } => Existing::find(snapshot, "stop", name)?.stop(),
        NetworkWant::Restart { name } => Existing::find(snapshot, "restart", name)?.restart(),
        NetworkWant::Repair { name } => Existing::find(snapshot, "repair", name)?.repair(),
        NetworkWant::Lease { name, lease } => {
            Existing::find(snapshot, "add a static lease to", name)?.lease(lease)
        }
    }
}

fn create(snapshot: &Snapshot, spec: &NetworkSpec) -> Result<NetworkPlan, Refusal> {
    check::check(snapshot, spec)?;
    let xml = spec.to_xml();
    let bridge = spec.bridge.filter(|_| spec.mode.has_own_bridge());
    let name = quote(&spec.name);
    Ok(NetworkPlan {
        title: format!("create network {}", spec.name),
        network: spec.name.clone(),
        id: None,
        structure: snapshot.structure,
        was_active: false,
        before: None,
        steps: vec![
            define(&xml, vec![Action::Undefine]),
            start(bridge),
            NetworkStep {
                action: Action::SetAutostart,
                undo: Vec::new(),
                text: "start it with the daemon from now on".to_owned(),
            },
        ],
        consequences: reach(spec),
        commands: vec![
            format!("cat >network.xml <<'XML'\n{xml}XML"),
            "virsh net-define network.xml".to_owned(),
            format!("virsh net-start {name}"),
            format!("virsh net-autostart {name}"),
        ],
        after: Some(xml),
    })
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

/// A network that is there.
struct Existing<'a> {
    snapshot: &'a Snapshot,
    network: &'a Network,
    /// The bridge that libvirt makes for it.
    bridge: Option<IfName>,
    /// Taps of running guests on that bridge, as libvirt has them.
    leashes: Vec<Leash>,
    /// The guests behind them.
    guests: Vec<String>,
    verb: &'static str,
}

impl<'a> Existing<'a> {
    fn find(snapshot: &'a Snapshot, verb: &'static str, name: &str) -> Result<Self, Refusal> {
        let network = snapshot.network_named(name).ok_or_else(|| Refusal {
            what: format!("{verb} network {name}"),
            reason: "there is no such network".to_owned(),
            way_out: "virt-net show networks".to_owned(),
        })?;
        let bridge = network.bridge().filter(|_| owns_bridge(network));
        let on_it = snapshot.nics.iter().filter(|nic| nic.live.is_some() && nic.network == Some(network.id));
        let mut leashes = Vec::new();
        let mut guests: Vec<String> = Vec::new();
        for nic in on_it {
            if !guests.contains(&nic.guest) {
                guests.push(nic.guest.clone());
            }
            leashes.extend(nic.link_name.zip(bridge).map(|(tap, bridge)| Leash { tap, bridge }));
        }
        Ok(Self { snapshot, network, bridge, leashes, guests, verb })
    }

    fn refuse(&self, reason: impl Into<String>, way_out: impl Into<String>) -> Refusal {
        Refusal {
            what: format!("{} network {}", self.verb, self.network.name),
            reason: reason.into(),
            way_out: way_out.into(),
        }
    }

    fn blank(&self) -> NetworkPlan {
        let text =
            |definition: Option<&NetworkDefinition>| definition.map(|definition| definition.xml.to_string());
        let definition = text(self.network.next.as_ref().or(self.network.live.as_ref()));
        NetworkPlan {
            title: format!("{} network {}", self.verb, self.network.name),
            network: self.network.name.clone(),
            id: Some(self.network.id),
            structure: self.snapshot.structure,
            was_active: self.network.active,
            before: definition.clone(),
            after: definition,
            steps: Vec::new(),
            consequences: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn stop_step(&self) -> NetworkStep {
        let mut undo = vec![Action::Start { bridge: self.bridge }];
        if !self.leashes.is_empty() {
            undo.push(Action::Enslave(self.leashes.clone()));
        }
        let text =
            self.bridge.map_or_else(|| "stop it".to_owned(), |bridge| format!("stop it: {bridge} goes"));
        NetworkStep { action: Action::Stop { bridge: self.bridge }, undo, text }
    }

    /// Stop, start, taps back.
    fn restart_steps(&self, bridge_after: Option<IfName>) -> Vec<NetworkStep> {
        let mut steps = vec![self.stop_step(), start(bridge_after)];
        let leashes: Vec<Leash> = self
            .leashes
            .iter()
            .filter_map(|leash| Some(Leash { tap: leash.tap, bridge: bridge_after? }))
            .collect();
        if !leashes.is_empty() {
            steps.push(enslave_step(leashes));
        }
        steps
    }

    fn restart_sentence(&self) -> Vec<String> {
        if self.guests.is_empty() || self.bridge.is_none() {
            return Vec::new();
        }
        let pause = match self.network.current().and_then(|definition| definition.stp) {
            Some(true) => "about 4 s (its spanning tree learns)",
            _ => "less than a second",
        };
        vec![format!(
            "{} lose the network for {pause}; their taps are put back by this program, \
             which a plain net-destroy and net-start does not do.",
            self.guests.join(", ")
        )]
    }

    fn restart(self) -> Result<NetworkPlan, Refusal> {
        if !self.network.active {
            return Err(
                self.refuse("it does not run", format!("virt-net network start {}", self.network.name))
            );
        }
        if !self.network.persistent {
            return Err(self.refuse("it is transient: stopped, it is gone", "virsh net-define it first"));
        }
        let mut plan = self.blank();
        plan.steps = self.restart_steps(self.bridge);
        plan.consequences = self.restart_sentence();
        plan.commands = self.restart_commands(self.bridge);
        Ok(plan)
    }

    /// After a plain net-destroy and net-start libvirt still says that the guests are on the network, while
    /// the kernel has their taps on no bridge.
    fn repair(self) -> Result<NetworkPlan, Refusal> {
        if !self.network.active {
            return Err(
                self.refuse("it does not run", format!("virt-net network start {}", self.network.name))
            );
        }
        let on_bridge = |leash: &Leash| {
            self.snapshot
                .nics
                .iter()
                .any(|nic| nic.link_name == Some(leash.tap) && nic.bridge == Some(leash.bridge))
        };
        let astray: Vec<Leash> = self.leashes.iter().filter(|leash| !on_bridge(leash)).copied().collect();
        let mut plan = self.blank();
        if !astray.is_empty() {
            let by_hand = |leash: &Leash| format!("ip link set {} master {}", leash.tap, leash.bridge);
            plan.commands.extend(astray.iter().map(by_hand));
            plan.steps.push(enslave_step(astray));
        }
        if self.bridge.is_some() {
            plan.steps.push(self.reload_step());
            plan.commands.push("kill -HUP $(pidof virtnetworkd libvirtd)".to_owned());
            plan.consequences.push(
                "libvirt writes the rules of all its networks anew: their counters start at 0; no guest notices.".to_owned(),
            );
        }
        if plan.steps.is_empty() {
            return Err(self.refuse("it has no bridge, rules or DHCP server of libvirt's", "nothing to do"));
        }
        Ok(plan)
    }

    fn reload_step(&self) -> NetworkStep {
        let subnets =
            self.network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let nat = self.network.forward() == ForwardMode::Nat;
        let v4 = subnets
            .iter()
            .map(|subnet| subnet.gateway.trunc())
            .filter(|subnet| nat && subnet.addr().is_ipv4());
        let services = Services {
            dhcp: subnets.iter().any(crate::model::network::Subnet::has_dhcp),
            masqueraded: v4.collect(),
        };
        let text = "have libvirt make its rules and DHCP server again".to_owned();
        NetworkStep { action: Action::Reload(services), undo: Vec::new(), text }
    }

    fn restart_commands(&self, bridge: Option<IfName>) -> Vec<String> {
        let name = quote(&self.network.name);
        let mut commands = vec![format!("virsh net-destroy {name}"), format!("virsh net-start {name}")];
        let taps = self.leashes.iter().map(|leash| leash.tap);
        commands.extend(taps.filter_map(|tap| Some(format!("ip link set {tap} master {}", bridge?))));
        commands
    }

    fn start(self) -> Result<NetworkPlan, Refusal> {
        if self.network.active {
            return Err(
                self.refuse("it runs already", format!("virt-net network restart {}", self.network.name))
            );
        }
        for subnet in
            self.network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default()
        {
            check::free(self.snapshot, subnet.gateway, Some(self.network.id))
                .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        }
        if let Some(link) = self.bridge.and_then(|bridge| self.snapshot.link_named(bridge)) {
            let way_out = format!("ip link delete {}, if nobody uses it", link.name);
            return Err(
                self.refuse(format!("there is a link {} already, libvirt makes its own", link.name), way_out)
            );
        }
        let mut plan = self.blank();
        plan.steps = vec![start(self.bridge)];
        plan.commands = vec![format!("virsh net-start {}", quote(&self.network.name))];
        Ok(plan)
    }

    fn stop(self) -> Result<NetworkPlan, Refusal> {
        if !self.network.active {
            return Err(self.refuse("it does not run", "nothing to do"));
        }
        let mut plan = self.blank();
        plan.steps = vec![self.stop_step()];
        plan.consequences = self.stranded();
        if !self.network.persistent {
            plan.consequences.push("It is transient: stopped, it is gone for good.".to_owned());
            plan.steps.iter_mut().for_each(|step| step.undo.clear());
        }
        plan.commands = vec![format!("virsh net-destroy {}", quote(&self.network.name))];
        Ok(plan)
    }

    fn stranded(&self) -> Vec<String> {
        if self.guests.is_empty() || self.bridge.is_none() {
            return Vec::new();
        }
        vec![format!(
            "{} lose their network, and starting it again by virsh does not give it back to them.",
            self.guests.join(", ")
        )]
    }

    fn delete(self) -> Result<NetworkPlan, Refusal> {
        let users = self.snapshot.nics.iter().filter(|nic| nic.network == Some(self.network.id));
        let mut users: Vec<&str> = users.map(|nic| nic.guest.as_str()).collect();
        users.dedup();
        if !users.is_empty() {
            let reason = format!(
                "{} {} plugged into it",
                users.join(", "),
                if users.len() == 1 { "is" } else { "are" }
            );
            return Err(self.refuse(reason, "switch their NICs somewhere else first"));
        }
        let mut plan = self.blank();
        if self.network.active {
            plan.steps.push(self.stop_step());
            plan.commands.push(format!("virsh net-destroy {}", quote(&self.network.name)));
        }
        if let Some(next) = &self.network.next {
            let mut undo = vec![Action::Define(next.xml.to_string())];
            if self.network.autostart {
                undo.push(Action::SetAutostart);
            }
            let text = "forget its definition".to_owned();
            plan.steps.push(NetworkStep { action: Action::Undefine, undo, text });
            plan.commands.push(format!("virsh net-undefine {}", quote(&self.network.name)));
        }
        plan.after = None;
        Ok(plan)
    }

    fn edit(self, edit: &Edit) -> Result<NetworkPlan, Refusal> {
        let Some(next) = &self.network.next else {
            return Err(
                self.refuse("it is transient: it has no definition to edit", "virsh net-define it first")
            );
        };
        if let Some(ForwardDev::Only(dev)) = edit.forward_dev {
            check::forward_dev(self.snapshot, Mode::Nat, dev)
                .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        }
        let after = edit::apply(&next.xml, edit).map_err(|error| self.refuse(error, "virsh net-edit"))?;
        if after == *next.xml {
            return Err(self.refuse("it is like that already", "nothing to do"));
        }
        let wanted =
            NetworkDefinition::parse(&after).map_err(|error| self.refuse(error.reason, "mend the text"))?;
        self.same_network(&after)?;
        for subnet in &wanted.subnets {
            check::free(self.snapshot, subnet.gateway, Some(self.network.id))
                .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        }
        self.range_fits(&wanted)?;
        let owned = matches!(
            wanted.forward,
            ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open | ForwardMode::Isolated
        );
        let bridge = wanted.bridge.filter(|_| owned);
        if owned != owns_bridge(self.network) && !self.guests.is_empty() {
            let way_out = "make another network and switch their NICs there";
            return Err(self.refuse(format!("{} are plugged into it", self.guests.join(", ")), way_out));
        }
        let mut plan = self.blank();
        plan.steps.push(define(&after, vec![Action::Define(next.xml.to_string())]));
        plan.commands.push(format!("cat >network.xml <<'XML'\n{}\nXML", after.trim_end()));
        plan.commands.push("virsh net-define network.xml".to_owned());
        plan.consequences.extend(self.leases_outside(&wanted));
        if self.network.active {
            let mut restart = self.restart_steps(bridge);
            // On the way back the old definition must be there before the network starts again.
            if let Some(stop) = restart.first_mut() {
                stop.undo.insert(0, Action::Define(next.xml.to_string()));
            }
            plan.steps.extend(restart);
            plan.consequences.extend(self.restart_sentence());
            plan.commands.extend(self.restart_commands(bridge));
        }
        plan.after = Some(after);
        Ok(plan)
    }

    /// An edited text must still be this network: libvirt would define another one beside it.
    fn same_network(&self, xml: &str) -> Result<(), Refusal> {
        let document = roxmltree::Document::parse(xml)
            .map_err(|error| self.refuse(error.to_string(), "mend the text"))?;
        let text = |name: &str| {
            let node = document.root_element().children().find(|node| node.has_tag_name(name));
            node.and_then(|node| node.text()).map(str::trim)
        };
        let id = text("uuid").map(str::parse::<NetworkId>);
        if text("name") != Some(self.network.name.as_str()) || id.is_some_and(|id| id != Ok(self.network.id))
        {
            return Err(self.refuse("the text is another network's", "keep its <name> and <uuid>"));
        }
        Ok(())
    }

    /// Guests whose address the edited network would not give them again.
    fn leases_outside(&self, wanted: &NetworkDefinition) -> Option<String> {
        let kept = |lease: &&crate::model::Lease| {
            let address = lease.address.addr();
            let given = wanted.dhcp_ranges().iter().any(|range| (range.start..=range.end).contains(&address));
            let mut hosts = wanted.subnets.iter().flat_map(|subnet| &subnet.hosts);
            given || hosts.any(|host| host.address == Some(address))
        };
        let lost: Vec<String> = self
            .network
            .leases
            .iter()
            .filter(|lease| !kept(lease))
            .map(|lease| lease.address.addr().to_string())
            .collect();
        (!lost.is_empty()).then(|| {
            format!("{}: outside of what DHCP will hand out; these guests get another address when they ask again.", lost.join(", "))
        })
    }

    fn range_fits(&self, wanted: &NetworkDefinition) -> Result<(), Refusal> {
        for subnet in &wanted.subnets {
            let misfit = |range: &&crate::model::network::DhcpRange| {
                range.size() == 0
                    || !subnet.gateway.contains(&range.start)
                    || !subnet.gateway.contains(&range.end)
            };
            if let Some(range) = subnet.ranges.iter().find(misfit) {
                let reason =
                    format!("{}-{} is no range in {}", range.start, range.end, subnet.gateway.trunc());
                return Err(self.refuse(reason, "choose a range inside"));
            }
        }
        Ok(())
    }

    fn lease(self, lease: &StaticLease) -> Result<NetworkPlan, Refusal> {
        let current = self.network.leases.iter().find(|known| known.mac == Some(lease.mac));
        let Some(address) = lease.address.or_else(|| current.map(|current| current.address.addr())) else {
            let reason = format!("{} has no lease now", lease.mac);
            return Err(self.refuse(reason, "say which address it shall get"));
        };
        let definition = self.network.current();
        let subnets = definition.map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let Some(subnet) = subnets.iter().find(|subnet| subnet.gateway.contains(&address)) else {
            let all: Vec<String> = subnets.iter().map(|subnet| subnet.gateway.trunc().to_string()).collect();
            return Err(
                self.refuse(format!("{address} is not in {}", all.join(", ")), "choose an address inside")
            );
        };
        if subnet.gateway.addr() == address {
            return Err(self.refuse(format!("{address} is the host's own"), "choose another address"));
        }
        if let Some(host) =
            subnet.hosts.iter().find(|host| host.mac == Some(lease.mac) || host.address == Some(address))
        {
            let mac = host.mac.map(|mac| mac.to_string()).unwrap_or_default();
            let has = host.address.map(|address| address.to_string()).unwrap_or_default();
            return Err(self.refuse(format!("{mac} has the static lease {has}"), "virsh net-edit"));
        }
        let other = self
            .network
            .leases
            .iter()
            .find(|known| known.address.addr() == address && known.mac != Some(lease.mac));
        if let Some(mac) = other.and_then(|other| other.mac) {
            return Err(self.refuse(format!("{mac} has {address} now"), "choose another address"));
        }
        let hostname =
            lease.hostname.as_ref().or_else(|| current.and_then(|current| current.hostname.as_ref()));
        let hostname = hostname.map(|name| format!(" name='{}'", escape(name))).unwrap_or_default();
        let host = format!("<host mac='{}'{hostname} ip='{address}'/>", lease.mac);
        let mut plan = self.blank();
        let text = format!("{} always gets {address}", lease.mac);
        plan.steps.push(NetworkStep {
            action: Action::AddHost(host.clone()),
            undo: vec![Action::DeleteHost(host.clone())],
            text,
        });
        if current.is_none_or(|current| current.address.addr() != address) {
            plan.consequences.push("The guest gets the address when it asks the next time.".to_owned());
        }
        let impact = if self.network.active { "--live --config" } else { "--config" };
        let name = quote(&self.network.name);
        plan.commands
            .push(format!("virsh net-update {name} add-last ip-dhcp-host {} {impact}", quote(&host)));
        Ok(plan)
    }
}
