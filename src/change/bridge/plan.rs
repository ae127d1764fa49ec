//! PURE. Want + snapshot → the steps of a change of a host's bridge, or the reason why not.

use std::net::IpAddr;

use super::{BridgePlan, BridgeWant, Expect, Step, Stp};
use crate::change::Refusal;
use crate::model::kernel::{Link, LinkKind};
use crate::model::network::ForwardMode;
use crate::model::snapshot::{Bridge, PortRole};
use crate::model::{IfName, Snapshot};

/// Makes the plan.
///
/// # Errors
/// A [`Refusal`] with the reason and the way out.
pub fn plan(snapshot: &Snapshot, want: &BridgeWant) -> Result<BridgePlan, Refusal> {
    let planner = Planner { snapshot, what: title(want) };
    match want {
        BridgeWant::Create { bridge, port, stp } => planner.create(*bridge, *port, *stp),
        BridgeWant::Delete { bridge } => planner.delete(*bridge),
        BridgeWant::AddPort { bridge, port } => planner.add_port(*bridge, *port),
        BridgeWant::RemovePort { bridge, port } => planner.remove_port(*bridge, *port),
    }
}

fn title(want: &BridgeWant) -> String {
    match want {
        BridgeWant::Create { bridge, port, .. } => format!("make bridge {bridge} over {port}"),
        BridgeWant::Delete { bridge } => format!("delete bridge {bridge}"),
        BridgeWant::AddPort { bridge, port } => format!("add port {port} to {bridge}"),
        BridgeWant::RemovePort { bridge, port } => format!("remove port {port} from {bridge}"),
    }
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    what: String,
}

impl Planner<'_> {
    fn refuse<T>(&self, reason: impl Into<String>, way_out: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal { what: self.what.clone(), reason: reason.into(), way_out: way_out.into() })
    }

    fn create(&self, bridge: IfName, port: IfName, stp: Stp) -> Result<BridgePlan, Refusal> {
        if self.snapshot.link_named(bridge).is_some() {
            return self
                .refuse(format!("{bridge} is there already"), "choose another name, or add a port to it");
        }
        let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !bridge.as_bytes().iter().all(usual) {
            return self.refuse("the name has unusual characters", "use letters, digits, - and _");
        }
        if let Some(network) = self
            .snapshot
            .libvirt
            .networks
            .iter()
            .find(|network| network.bridge() == Some(bridge) && network.forward() != ForwardMode::Bridge)
        {
            return self.refuse(
                format!("network {} makes a bridge of that name when it starts", network.name),
                "choose another name",
            );
        }
        let link = self.free_link(port)?;
        let add = Step::AddBridge { bridge, mac: link.mac, mtu: link.mtu, stp };
        let mut plan = self.empty();
        plan.steps = vec![add, Step::Attach { port, bridge }, Step::Move { from: port, to: bridge }];
        plan.undo =
            vec![Step::Move { from: bridge, to: port }, Step::Detach { port }, Step::DeleteBridge { bridge }];
        plan.after = Expect { masters: vec![(port, Some(bridge))], ..self.addresses(link, bridge) };
        plan.before =
            Expect { masters: vec![(port, None)], absent: vec![bridge], ..self.addresses(link, port) };
        plan.gateways = self.gateways(link);
        self.tell(&mut plan, link);
        if let Stp::On { forward_delay } = stp {
            let seconds = forward_delay.div_ceil(50);
            plan.consequences.push(format!("STP: nothing passes {port} for about {seconds} s"));
        }
        Ok(plan)
    }

    fn delete(&self, name: IfName) -> Result<BridgePlan, Refusal> {
        let bridge = self.bridge(name)?;
        if let Some(network) = &bridge.network_name {
            return self.refuse(
                format!("network {network} uses it"),
                format!("delete the network first: virt-net network delete {network}"),
            );
        }
        let Some(link) = self.snapshot.link(bridge.index) else { return self.gone(name) };
        let guests = bridge.ports.iter().find(|port| port.role != PortRole::Uplink);
        if let Some(port) = guests {
            let owner = port.guest.clone().unwrap_or_else(|| "a program".to_owned());
            return self.refuse(
                format!("{owner} is plugged into it ({})", port.name),
                "plug its NIC elsewhere first: virt-net switch",
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
                plan.undo =
                    vec![add, Step::Attach { port, bridge: name }, Step::Move { from: port, to: name }];
                plan.after =
                    Expect { masters: vec![(port, None)], absent: vec![name], ..self.addresses(link, port) };
                plan.before = Expect { masters: vec![(port, Some(name))], ..self.addresses(link, name) };
            }
            _ => {
                return self
                    .refuse("it has several ports", "remove all but one: virt-net bridge remove-port");
            }
        }
        plan.gateways = self.gateways(link);
        self.tell(&mut plan, link);
        Ok(plan)
    }

    fn add_port(&self, name: IfName, port: IfName) -> Result<BridgePlan, Refusal> {
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
        self.tell(&mut plan, link);
        Ok(plan)
    }

    fn remove_port(&self, name: IfName, port: IfName) -> Result<BridgePlan, Refusal> {
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
        let mut plan = self.empty();
        plan.steps = vec![Step::Detach { port }];
        plan.undo = vec![Step::Attach { port, bridge: name }];
        plan.after.masters = vec![(port, None)];
        plan.before.masters = vec![(port, Some(name))];
        plan.gateways = self.gateways(link);
        self.tell(&mut plan, link);
        let others = bridge.uplinks().filter(|uplink| uplink.name != port).count();
        if others == 0 {
            plan.consequences.push(format!("{name} then has no way out of the host"));
        }
        Ok(plan)
    }

    fn empty(&self) -> BridgePlan {
        BridgePlan {
            title: self.what.clone(),
            steps: Vec::new(),
            undo: Vec::new(),
            after: Expect::default(),
            before: Expect::default(),
            gateways: Vec::new(),
            risk: None,
            consequences: Vec::new(),
        }
    }

    fn gone<T>(&self, name: IfName) -> Result<T, Refusal> {
        self.refuse(format!("there is no link {name}"), "look again: virt-net show bridges")
    }

    fn bridge(&self, name: IfName) -> Result<&Bridge, Refusal> {
        match self.snapshot.bridge_named(name) {
            Some(bridge) => Ok(bridge),
            None if self.snapshot.link_named(name).is_some() => {
                self.refuse(format!("{name} is no bridge"), "see the bridges: virt-net show bridges")
            }
            None => self.gone(name),
        }
    }

    /// A link that may become a port.
    fn free_link(&self, name: IfName) -> Result<&Link, Refusal> {
        let Some(link) = self.snapshot.link_named(name) else { return self.gone(name) };
        let master = link.master.and_then(|master| self.snapshot.link(master));
        if let Some(master) = master {
            return self.refuse(
                format!("{name} is already a port of {}", master.name),
                format!("use {}", master.name),
            );
        }
        if std::str::from_utf8(name.as_bytes()).is_err() {
            return self.refuse("its name is no text", "rename it first: ip link set");
        }
        if link.wireless {
            return self.refuse(
                "Wi-Fi carries only frames of its own MAC: guests behind a bridge would hear nothing",
                "use a NAT or routed network",
            );
        }
        match &link.kind {
            _ if link.loopback => self.refuse("loopback cannot be a port", "choose a NIC"),
            LinkKind::Bridge(_) => {
                self.refuse(format!("{name} is a bridge itself"), "choose one of its ports")
            }
            LinkKind::Tun => self.refuse(format!("{name} carries no Ethernet frames"), "choose a NIC"),
            LinkKind::Tap => self.refuse(format!("{name} is a guest's"), "plug its NIC: virt-net switch"),
            LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. } => {
                self.refuse(format!("{name} only lends another link's frames"), "choose the link below it")
            }
            _ => self.without_macvtaps(link),
        }
    }

    /// The kernel refuses a port that has macvtaps or macvlans on top (`EBUSY`).
    fn without_macvtaps<'a>(&self, link: &'a Link) -> Result<&'a Link, Refusal> {
        let on_top: Vec<String> = self
            .snapshot
            .kernel
            .links
            .iter()
            .filter(|other| other.lower == Some(link.index) && !other.lower_elsewhere)
            .filter(|other| matches!(other.kind, LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. }))
            .map(|other| {
                let nic = self.snapshot.nics.iter().find(|nic| nic.link == Some(other.index));
                nic.map_or_else(|| other.name.to_string(), |nic| format!("{} ({})", nic.guest, other.name))
            })
            .collect();
        if on_top.is_empty() {
            return Ok(link);
        }
        self.refuse(
            format!("macvtaps are on {}: {}", link.name, on_top.join(", ")),
            "plug these NICs into a network first, and into the new bridge afterwards: virt-net switch",
        )
    }

    fn global_addresses(&self, link: &Link) -> Vec<ipnet::IpNet> {
        let of_link = self.snapshot.kernel.addresses.iter().filter(|address| address.index == link.index);
        of_link.filter(|address| address.scope != "link").map(|address| address.address).collect()
    }

    /// The addresses of `link`, expected on `on`.
    fn addresses(&self, link: &Link, on: IfName) -> Expect {
        let addresses = self.global_addresses(link).into_iter().map(|address| (on, address)).collect();
        Expect { addresses, ..Expect::default() }
    }

    /// Next hops over a link that have answered: they must answer afterwards too.
    fn gateways(&self, link: &Link) -> Vec<IpAddr> {
        let kernel = &self.snapshot.kernel;
        let answered = |address: &IpAddr| {
            kernel.neighbours.iter().any(|seen| {
                seen.index == link.index
                    && seen.address == *address
                    && !matches!(seen.state.as_str(), "failed" | "incomplete")
            })
        };
        let routes = kernel.routes.iter().filter(|route| route.oif == Some(link.index));
        let mut gateways: Vec<IpAddr> = routes.filter_map(|route| route.gateway).filter(answered).collect();
        gateways.sort();
        gateways.dedup();
        gateways
    }

    /// What comes of it for the session, the next boot and an address with an end.
    fn tell(&self, plan: &mut BridgePlan, link: &Link) {
        let host = &self.snapshot.host;
        if let (Some(peer), Some(over)) = (host.ssh_peer, host.ssh_link)
            && over == link.name
        {
            plan.risk = Some(format!("this path carries your session: {peer} → {over}"));
        }
        let leased = self.snapshot.kernel.addresses.iter().find(|address| {
            address.index == link.index && !address.permanent && address.address.addr().is_ipv4()
        });
        if let Some(leased) = leased {
            plan.consequences.push(format!(
                "{} is leased: it moves with its remaining time, but a DHCP client that runs on {} does not",
                leased.address.addr(),
                link.name
            ));
        }
        plan.consequences.push("it lasts until the next boot: no configuration file is changed".to_owned());
    }
}

fn stp_of(bridge: &Bridge) -> Stp {
    if bridge.info.stp { Stp::On { forward_delay: bridge.info.forward_delay } } else { Stp::Off }
}
