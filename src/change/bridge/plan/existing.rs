//! PURE. Changes of a bridge that is there: deleted, one port more, one port less.

use super::{Planner, stall};
use crate::change::Refusal;
use crate::change::bridge::Addressing;
use crate::change::bridge::persist::Setting;
use crate::change::bridge::persist::ports::{self, Found, PortSpec, PortWant};
use crate::change::bridge::{BridgePlan, Expect, FileChange, Lasting, Memory, Step, Stp, picture};
use crate::change::plan::Planning as _;
use crate::model::IfName;
use crate::model::kernel::{Link, LinkKind};
use crate::model::snapshot::{Bridge, PortRole};

impl Planner<'_> {
    pub(super) fn delete(&self, name: IfName) -> Result<BridgePlan, Refusal> {
        let bridge = self.bridge(name)?;
        if let Some(network) = &bridge.network_name {
            return self.refuse(
                format!("network {network} uses it"),
                format!("delete the network first: virt-net network delete {network}"),
            );
        }
        let Some(link) = self.snapshot.link(bridge.index) else { return self.gone(name) };
        let guests = bridge.ports.iter().find(|port| port.role == PortRole::Guest);
        if let Some(port) = guests.or_else(|| bridge.strangers().next()) {
            let (owner, hint) = match (port.role, &port.guest) {
                (PortRole::Container, _) => (
                    "a container",
                    format!("take its port off first: virt-net bridge remove-port {name} {}", port.name),
                ),
                (_, guest) => (
                    guest.as_deref().unwrap_or("a program"),
                    "plug its NIC elsewhere first: virt-net switch".to_owned(),
                ),
            };
            return self.refuse(format!("{owner} is plugged into it ({})", port.name), hint);
        }
        self.vlans_stay(bridge, &format!("ip link del {name}"))?;
        if !bridge.info.other.is_empty() {
            return self.refuse(
                format!("the way back would lose settings of it: {}", bridge.info.other.join(", ")),
                format!("set them back first, or delete it by hand: ip link del {name}"),
            );
        }
        let add = Step::AddBridge { bridge: name, mac: bridge.mac, mtu: link.mtu, stp: stp_of(bridge) };
        let mut plan = self.empty();
        match bridge.ports.as_slice() {
            [] if self.global_addresses(link).is_empty() => {
                plan.steps = vec![Step::DeleteBridge { bridge: name }];
                plan.undo = vec![add];
                plan.after.absent = vec![name];
            }
            [] => {
                return self.refuse("it has addresses and no port that could take them", "remove them first");
            }
            [port] => {
                let port = port.name;
                plan.steps = vec![
                    Step::Move { from: name, to: port },
                    Step::Detach { port },
                    Step::DeleteBridge { bridge: name },
                ];
                plan.undo = vec![add, Step::Attach { port, bridge: name }];
                plan.undo.extend(self.as_port(port)?);
                plan.undo.push(Step::Move { from: port, to: name });
                plan.after =
                    Expect { masters: vec![(port, None)], absent: vec![name], ..self.moved(link, port) };
                plan.before = Expect { masters: vec![(port, Some(name))], ..self.as_now(link) };
                plan.undo.push(self.restore(link));
            }
            _ => {
                return self
                    .refuse("it has several ports", "remove all but one: virt-net bridge remove-port");
            }
        }
        plan.picture = picture::of(self.snapshot, &plan.steps, Addressing::Move);
        plan.gateways = self.gateways(link, bridge.ports.first().map_or(name, |port| port.name));
        if let [port] = bridge.ports.as_slice() {
            self.hand_over_clients(&mut plan, name, port.name)?;
        }
        self.forget(&mut plan, name)?;
        let is_by_owner = self.evidence.kept.as_ref().is_some_and(|kept| !kept.memory.down.is_empty());
        if !is_by_owner && !bridge.ports.is_empty() {
            self.renewed(link)?;
        }
        plan.stall = stall(&plan, Stp::Off);
        self.tell(&mut plan, link);
        Ok(plan)
    }

    /// A port that leaves loses its VLANs, and nobody here could give them back.
    fn vlans_stay(&self, bridge: &Bridge, by_hand: &str) -> Result<(), Refusal> {
        if !bridge.info.vlan_filtering {
            return Ok(());
        }
        self.refuse(
            format!("{} filters VLANs, and the way back would lose those of its ports", bridge.name),
            format!("note them (bridge vlan), and do it by hand: {by_hand}"),
        )
    }

    /// Gives a port the settings that it has now.
    fn as_port(&self, port: IfName) -> Result<Option<Step>, Refusal> {
        let link = self.snapshot.link_named(port);
        let Some(like) = link.and_then(|link| link.port.clone()) else { return Ok(None) };
        if like.other.is_empty() {
            return Ok(Some(Step::SetPort { port, like }));
        }
        self.refuse(
            format!("the way back would lose settings of port {port}: {}", like.other.join(", ")),
            format!("set them back first (bridge link set dev {port} …), or do it by hand: ip link set {port} nomaster"),
        )
    }

    /// The files of a bridge become what they were before virt-net made it.
    fn forget(&self, plan: &mut BridgePlan, bridge: IfName) -> Result<(), Refusal> {
        let owner = self.evidence.owners.first();
        if let Some(owner) = owner {
            plan.owner = owner.words(bridge);
        }
        let Some(kept) = &self.evidence.kept else {
            return match owner {
                Some(owner) if self.want.persist() != Lasting::No => self.refuse(
                    format!("{}, and not in files that virt-net wrote", owner.words(bridge)),
                    "take it out of there by hand, or delete it until the next boot: --persist none",
                ),
                _ => {
                    plan.owner = format!("nobody makes {bridge} at boot");
                    plan.consequences.push("no configuration file is changed".to_owned());
                    Ok(())
                }
            };
        };
        let Memory { backend, down, up } = &kept.memory;
        plan.owner = format!("{backend} makes {bridge} at boot, from files that virt-net wrote");
        if !down.is_empty() {
            let kernel = std::mem::replace(&mut plan.steps, down.clone());
            plan.steps.push(Step::Settle);
            plan.steps.extend(kernel);
            let kernel = std::mem::replace(&mut plan.undo, up.clone());
            plan.undo.push(Step::Settle);
            plan.undo.extend(kernel);
            plan.before.leave_metrics();
        }
        if self.want.persist() == Lasting::No {
            plan.consequences.push(format!("{backend} makes it again at the next boot"));
            return Ok(());
        }
        let edited = kept.files.iter().zip(&self.evidence.kept_now).find(|(file, now)| file.after != **now);
        if let Some((file, _)) = edited {
            return self.refuse(
                format!("{} was changed after virt-net wrote it", file.path.display()),
                format!("take {bridge} out of it by hand, and delete the bridge with --persist none"),
            );
        }
        let back = |file: &FileChange| FileChange {
            before: file.after.clone(),
            after: file.before.clone(),
            ..file.clone()
        };
        plan.lasting = kept.files.iter().rev().map(back).collect();
        let written = down.iter().filter_map(|step| match step {
            Step::Put { file } => Some(Step::PutBack { file: file.clone() }),
            _ => None,
        });
        plan.keep = written.chain(down.iter().filter(|step| step.is_reload()).cloned()).collect();
        plan.backend = Some(*backend);
        plan.memory = Some(kept.memory.clone());
        Ok(())
    }

    pub(super) fn add_port(&self, name: IfName, port: IfName) -> Result<BridgePlan, Refusal> {
        let bridge = self.bridge(name)?;
        let link = self.free_link(port)?;
        if let Some(address) = self.global_addresses(link).first() {
            return self.refuse(
                format!("{port} has {address}, which a port cannot use"),
                format!(
                    "remove the address, or make a bridge over it: virt-net bridge create NAME --port {port}"
                ),
            );
        }
        let mut plan = self.empty();
        plan.steps = vec![Step::Attach { port, bridge: name }];
        plan.undo = vec![Step::Detach { port }];
        plan.after.masters = vec![(port, Some(name))];
        plan.before.masters = vec![(port, None)];
        if bridge.uplinks().next().is_some() {
            plan.consequences.push(
                "the bridge then has two ways out: without STP that is a loop if both lead to the same switch"
                    .to_owned(),
            );
        }
        self.write_down(&mut plan, link, PortWant::Add)?;
        self.tell(&mut plan, link);
        Ok(plan)
    }

    /// The bridge's owner is told of the port, where it can be.
    fn write_down(&self, plan: &mut BridgePlan, port: &Link, want: PortWant) -> Result<(), Refusal> {
        let is_made = !matches!(port.kind, LinkKind::Device | LinkKind::Veth);
        let spec = PortSpec { bridge: plan.bridge, port: port.name, want, is_made };
        let found = Found { written: &self.evidence.port_files, owners: &self.evidence.port_owners };
        plan.picture = picture::of(self.snapshot, &plan.steps, Addressing::Move);
        "nothing stalls".clone_into(&mut plan.stall);
        let owner = self.owner(spec.bridge)?;
        plan.owner = owner.map_or_else(
            || format!("nobody makes {} at boot", spec.bridge),
            |owner| owner.words(spec.bridge),
        );
        let setting = match owner.map(|owner| ports::change(owner, found, spec)) {
            Some(Ok(setting)) => setting,
            Some(Err(reason)) if matches!(self.want.persist(), Lasting::By(_)) => {
                return self.refuse(reason, "use --persist none");
            }
            Some(Err(reason)) => {
                plan.consequences.push(format!("it lasts until the next boot; for longer, {reason}"));
                return Ok(());
            }
            None => Setting::default(),
        };
        if !setting.steps.is_empty() {
            let kernel = std::mem::replace(&mut plan.undo, setting.undo);
            plan.steps = setting.steps;
            plan.undo.push(Step::Settle);
            plan.undo.extend(kernel);
        }
        let Some(owner) = owner.filter(|_| self.want.persist() != Lasting::No) else {
            plan.consequences
                .push("it lasts until the next boot: no configuration file is changed".to_owned());
            return Ok(());
        };
        plan.backend = Some(owner.backend());
        plan.lasting = setting.lasting;
        plan.keep = setting.keep;
        plan.consequences.extend(setting.told);
        Ok(())
    }

    pub(super) fn remove_port(&self, name: IfName, port: IfName) -> Result<BridgePlan, Refusal> {
        let bridge = self.bridge(name)?;
        let Some(found) = bridge.ports.iter().find(|found| found.name == port) else {
            let ports: Vec<String> = bridge.ports.iter().map(|port| port.name.to_string()).collect();
            return self
                .refuse(format!("{port} is no port of it"), format!("its ports: {}", ports.join(", ")));
        };
        if let (PortRole::Guest, Some(guest)) = (found.role, &found.guest) {
            return self
                .refuse(format!("it is the NIC of {guest}"), "plug it elsewhere instead: virt-net switch");
        }
        let Some(link) = self.snapshot.link(bridge.index) else { return self.gone(name) };
        self.vlans_stay(bridge, &format!("ip link set {port} nomaster"))?;
        let mut plan = self.empty();
        plan.steps = vec![Step::Detach { port }];
        plan.undo = vec![Step::Attach { port, bridge: name }];
        plan.undo.extend(self.as_port(port)?);
        plan.after.masters = vec![(port, None)];
        plan.before.masters = vec![(port, Some(name))];
        plan.gateways = self.gateways(link, name);
        let Some(of_port) = self.snapshot.link_named(port) else { return self.gone(port) };
        self.write_down(&mut plan, of_port, PortWant::Remove)?;
        self.tell(&mut plan, link);
        let others = bridge.uplinks().filter(|uplink| uplink.name != port).count();
        if others == 0 {
            plan.consequences.push(format!("{name} then has no way out of the host"));
        }
        Ok(plan)
    }
}

impl Planner<'_> {
    /// What was left on a port goes where it works; no configuration file is changed.
    pub(super) fn move_addresses(&self, name: IfName, port: IfName) -> Result<BridgePlan, Refusal> {
        let bridge = self.bridge(name)?;
        let Some(link) = self.snapshot.link_named(port) else { return self.gone(port) };
        if link.master != Some(bridge.index) {
            return self.refuse(format!("{port} is no port of it"), "look again: virt-net doctor");
        }
        if self.global_addresses(link).is_empty() {
            return self.refuse(format!("{port} has no address"), "nothing to do");
        }
        let own = self.snapshot.link(bridge.index).map(|link| self.global_addresses(link));
        if let Some(own) = own.iter().flatten().next() {
            // The way back moves all that the bridge has.
            let reason =
                format!("{name} has {own} of its own, which the way back could not tell from what was moved");
            return self.refuse(reason, "do it by hand, address by address: ip address");
        }
        let mut plan = self.empty();
        plan.steps = vec![Step::Move { from: port, to: name }];
        plan.undo = vec![Step::Move { from: name, to: port }, self.restore(link)];
        let masters = vec![(port, Some(name)), (name, None)];
        plan.after = Expect { masters: masters.clone(), ..self.moved(link, name) };
        plan.before = Expect { masters, ..self.as_now(link) };
        plan.gateways = self.gateways(link, name);
        plan.picture = picture::of(self.snapshot, &plan.steps, Addressing::Move);
        self.renewed(link)?;
        self.hand_over_clients(&mut plan, port, name)?;
        plan.owner = match self.evidence.owners.first() {
            Some(owner) => owner.words(port),
            None => format!("nobody configures {port} at boot"),
        };
        let for_good = "configure the address on the bridge, and none on its port";
        plan.consequences.push(format!("it lasts until the next boot: for good, {for_good}"));
        self.tell(&mut plan, link);
        plan.stall = stall(&plan, Stp::Off);
        Ok(plan)
    }
}

fn stp_of(bridge: &Bridge) -> Stp {
    if bridge.info.stp { Stp::On { forward_delay: bridge.info.forward_delay } } else { Stp::Off }
}
