//! PURE. Plans for a network that is there: its taps are found in the snapshot, so that no step loses one.

use super::{
    Action, Autostart, Leash, NetworkPlan, NetworkStep, Services, create_plan, define, enslave_step, start,
};
use crate::change::Refusal;
use crate::change::network::check;
use crate::change::network::clone::{self, CloneSpec};
use crate::change::network::edit::{self, Edit, ForwardDev};
use crate::change::network::spec::Mode;
use crate::change::target::quote;
use crate::model::kernel::PortState;
use crate::model::network::{DhcpRange, ForwardMode, NetworkDefinition, Subnet};
use crate::model::{IfName, Lease, Network, NetworkId, Port, Snapshot};

/// A network that is there.
pub(super) struct Existing<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) network: &'a Network,
    /// The bridge that libvirt makes for it.
    bridge: Option<IfName>,
    /// Taps of running guests on that bridge, as libvirt has them.
    pub(super) leashes: Vec<Leash>,
    /// What else is on that bridge and forwards there, put by somebody: a container's link, a NIC.
    pub(super) others: Vec<Leash>,
    /// The guests behind the taps.
    pub(super) guests: Vec<String>,
    verb: &'static str,
}

impl<'a> Existing<'a> {
    pub(super) fn find(snapshot: &'a Snapshot, verb: &'static str, name: &str) -> Result<Self, Refusal> {
        let network = snapshot.network_named(name).ok_or_else(|| Refusal {
            what: format!("{verb} network {name}"),
            reason: "there is no such network".to_owned(),
            way_out: "virt-net show networks".to_owned(),
        })?;
        let bridge = network.bridge().filter(|_| network.owns_bridge());
        let on_it = snapshot.nics.iter().filter(|nic| nic.live.is_some() && nic.network == Some(network.id));
        let mut leashes = Vec::new();
        let mut guests: Vec<String> = Vec::new();
        for nic in on_it {
            if !guests.contains(&nic.guest) {
                guests.push(nic.guest.clone());
            }
            leashes.extend(nic.link_name.zip(bridge).map(|(tap, bridge)| Leash {
                tap,
                bridge,
                nic: Some(nic.id),
            }));
        }
        let ports =
            bridge.and_then(|bridge| snapshot.bridge_named(bridge)).map(|bridge| bridge.ports.as_slice());
        let forwards =
            |port: &&Port| port.info.as_ref().is_some_and(|info| info.state == PortState::Forwarding);
        let others = ports.unwrap_or_default().iter().filter(forwards).map(|port| port.name);
        let others = others.filter(|name| !leashes.iter().any(|leash| leash.tap == *name));
        let others = bridge
            .map(|bridge| others.map(|tap| Leash { tap, bridge, nic: None }).collect())
            .unwrap_or_default();
        Ok(Self { snapshot, network, bridge, leashes, others, guests, verb })
    }

    pub(super) fn refuse(&self, reason: impl Into<String>, way_out: impl Into<String>) -> Refusal {
        Refusal {
            what: format!("{} network {}", self.verb, self.network.name),
            reason: reason.into(),
            way_out: way_out.into(),
        }
    }

    /// The operator's own session comes by this network's bridge: from one of its guests.
    fn carries_session(&self) -> bool {
        self.bridge.is_some() && self.snapshot.host.ssh_link == self.bridge
    }

    fn refuse_to_cut_off(&self) -> Result<(), Refusal> {
        if !self.carries_session() {
            return Ok(());
        }
        Err(self.refuse("your own session comes by this network", "log in by another way first"))
    }

    pub(super) fn blank(&self) -> NetworkPlan {
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
            mends: None,
            consequences: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn stop_step(&self) -> NetworkStep {
        let mut undo = vec![Action::Start { bridge: self.bridge }];
        let ports = [self.leashes.as_slice(), &self.others].concat();
        if !ports.is_empty() {
            undo.push(Action::Enslave(ports));
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
            .chain(&self.others)
            .filter_map(|leash| Some(Leash { bridge: bridge_after?, ..*leash }))
            .collect();
        if !leashes.is_empty() {
            steps.push(enslave_step(leashes));
        }
        steps
    }

    fn restart_sentence(&self) -> Vec<String> {
        if self.network.is_pool() {
            return self.stranded();
        }
        if self.guests.is_empty() || self.bridge.is_none() {
            return Vec::new();
        }
        let pause = match self.network.current().and_then(|definition| definition.stp) {
            Some(true) => "about 4 s (its spanning tree learns)",
            _ => "less than a second",
        };
        let own = if self.carries_session() { " Your own session comes this way: it stalls." } else { "" };
        vec![format!(
            "{} lose the network for {pause}; their taps are put back by this program, \
             which a plain net-destroy and net-start does not do.{own}",
            self.guests.join(", ")
        )]
    }

    pub(super) fn restart(self) -> Result<NetworkPlan, Refusal> {
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
    pub(super) fn repair(self) -> Result<NetworkPlan, Refusal> {
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
        let is_guarded =
            matches!(self.network.forward(), ForwardMode::Isolated | ForwardMode::Nat | ForwardMode::Route);
        let services = Services {
            dhcp: subnets.iter().any(Subnet::has_dhcp),
            masqueraded: v4.collect(),
            guarded: self.network.bridge().filter(|_| is_guarded && !subnets.is_empty()),
        };
        let text = "have libvirt make its rules and DHCP server again".to_owned();
        NetworkStep { action: Action::Reload(services), undo: Vec::new(), text }
    }

    fn restart_commands(&self, bridge: Option<IfName>) -> Vec<String> {
        let name = quote(&self.network.name);
        let mut commands = vec![format!("virsh net-destroy {name}"), format!("virsh net-start {name}")];
        let taps = self.leashes.iter().chain(&self.others).map(|leash| leash.tap);
        commands.extend(taps.filter_map(|tap| Some(format!("ip link set {tap} master {}", bridge?))));
        commands
    }

    pub(super) fn start(self) -> Result<NetworkPlan, Refusal> {
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
        if let Some(definition) = self.network.current() {
            check::names_can_be_served(self.snapshot, definition)
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
        // It was stopped under running guests: libvirt does not put them back.
        if !self.leashes.is_empty() {
            let by_hand = |leash: &Leash| format!("ip link set {} master {}", leash.tap, leash.bridge);
            plan.commands.extend(self.leashes.iter().map(by_hand));
            plan.consequences = vec![format!("{} get their network back.", self.guests.join(", "))];
            plan.steps.push(enslave_step(self.leashes));
        }
        Ok(plan)
    }

    pub(super) fn stop(self) -> Result<NetworkPlan, Refusal> {
        if !self.network.active {
            return Err(self.refuse("it does not run", "nothing to do"));
        }
        self.refuse_to_cut_off()?;
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
        if !self.guests.is_empty() && self.network.is_pool() {
            return vec![format!(
                "{} keep the devices that they have; started again, it forgets that and hands the same ones out, so \
                 that other guests do not start with it until these were shut down.",
                self.guests.join(", ")
            )];
        }
        if self.guests.is_empty() || self.bridge.is_none() {
            return Vec::new();
        }
        vec![format!(
            "{} lose their network; net-start of virsh does not give it back to them, network start of virt-net does.",
            self.guests.join(", ")
        )]
    }

    pub(super) fn delete(self) -> Result<NetworkPlan, Refusal> {
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
        self.refuse_to_cut_off()?;
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

    pub(super) fn edit(self, edit: &Edit) -> Result<NetworkPlan, Refusal> {
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
        let hosts = |definition: &NetworkDefinition| -> Vec<_> {
            definition.subnets.iter().map(|subnet| subnet.gateway).collect()
        };
        if hosts(next) != hosts(&wanted) {
            self.refuse_to_cut_off()?;
        }
        for subnet in &wanted.subnets {
            check::free(self.snapshot, subnet.gateway, Some(self.network.id))
                .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        }
        self.range_fits(&wanted)?;
        check::definition_fits(self.snapshot, &wanted)
            .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        if let Some(updates) = self.live_updates(next, edit) {
            let told = self.leases_outside(&wanted);
            let mut plan = self.update(after, updates);
            plan.consequences.extend(told);
            return Ok(plan);
        }
        let owned = matches!(
            wanted.forward,
            ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open | ForwardMode::Isolated
        );
        let bridge = wanted.bridge.filter(|_| owned);
        if owned != self.network.owns_bridge() && !self.guests.is_empty() {
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
        let kept = |lease: &&Lease| {
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
            let misfit = |range: &&DhcpRange| {
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

    pub(super) fn autostart(self, wanted: Autostart) -> Result<NetworkPlan, Refusal> {
        let on = wanted == Autostart::On;
        if !self.network.persistent {
            return Err(
                self.refuse("it is transient: it has no definition to start", "virsh net-define it first")
            );
        }
        if self.network.autostart == on {
            return Err(self.refuse("it is like that already", "nothing to do"));
        }
        let (action, undo) = match wanted {
            Autostart::On => (Action::SetAutostart, Action::ClearAutostart),
            Autostart::Off => (Action::ClearAutostart, Action::SetAutostart),
        };
        let (text, option) = match wanted {
            Autostart::On => ("start it with the daemon from now on", ""),
            Autostart::Off => ("do not start it with the daemon any more", " --disable"),
        };
        let mut plan = self.blank();
        plan.steps = vec![NetworkStep { action, undo: vec![undo], text: text.to_owned() }];
        plan.commands = vec![format!("virsh net-autostart {}{option}", quote(&self.network.name))];
        Ok(plan)
    }

    pub(super) fn clone_as(self, wanted: &CloneSpec) -> Result<NetworkPlan, Refusal> {
        let Some(original) = self.network.next.as_ref().or(self.network.live.as_ref()) else {
            return Err(self.refuse("its definition cannot be read", "look again"));
        };
        let xml = clone::clone(self.snapshot, original, self.network.owns_bridge(), wanted);
        let xml = xml.map_err(|reason| self.refuse(reason, "say --subnet and --bridge"))?;
        check::name(self.snapshot, &wanted.name).map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        let definition = NetworkDefinition::parse(&xml)
            .map_err(|error| self.refuse(error.reason, "virsh net-dumpxml it"))?;
        if self.network.owns_bridge() {
            let bridge =
                definition.bridge.ok_or_else(|| self.refuse("it has no bridge", "virsh net-dumpxml it"))?;
            check::own_bridge(self.snapshot, bridge)
                .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        }
        for subnet in &definition.subnets {
            check::free(self.snapshot, subnet.gateway, None)
                .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        }
        check::definition_fits(self.snapshot, &definition)
            .map_err(|(reason, way_out)| self.refuse(reason, way_out))?;
        let mut sentences = vec![format!(
            "It is like network {}, with a name, bridge and subnet of its own.",
            self.network.name
        )];
        sentences
            .extend(definition.subnets.iter().map(|subnet| format!("The host is {} in it.", subnet.gateway)));
        let bridge = definition.bridge.filter(|_| self.network.owns_bridge());
        Ok(NetworkPlan {
            title: format!("clone network {} as {}", self.network.name, wanted.name),
            ..create_plan(self.snapshot, &wanted.name, &xml, bridge, sentences)
        })
    }
}
