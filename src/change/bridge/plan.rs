//! PURE. Want + snapshot + what was found about the NIC's owner → the steps of a change of a host's
//! bridge, or the reason why not.

mod existing;
mod links;

use std::net::IpAddr;

use super::client::Client;
use super::evidence::Evidence;
use super::persist::{self, Owner, Setting, Spec};
use super::{Addressing, BridgePlan, BridgeWant, Expect, Lasting, Memory, Step, Stp, picture};
use crate::change::Refusal;
use crate::change::plan::Planning;
use crate::model::kernel::{Link, Route};
use crate::model::network::ForwardMode;
use crate::model::{IfName, Snapshot};

/// Makes the plan.
///
/// # Errors
/// A [`Refusal`] with the reason and the way out.
pub fn plan(snapshot: &Snapshot, evidence: &Evidence, want: &BridgeWant) -> Result<BridgePlan, Refusal> {
    let planner = Planner { snapshot, evidence, want, what: title(want) };
    match want {
        BridgeWant::Create { bridge, port, stp, address, .. } => {
            planner.create(*bridge, *port, *stp, *address)
        }
        BridgeWant::Delete { bridge, .. } => planner.delete(*bridge),
        BridgeWant::AddPort { bridge, port, .. } => planner.add_port(*bridge, *port),
        BridgeWant::RemovePort { bridge, port, .. } => planner.remove_port(*bridge, *port),
        BridgeWant::MoveAddresses { bridge, port } => planner.move_addresses(*bridge, *port),
    }
}

fn title(want: &BridgeWant) -> String {
    match want {
        BridgeWant::Create { bridge, port, .. } => format!("make bridge {bridge} over {port}"),
        BridgeWant::Delete { bridge, .. } => format!("delete bridge {bridge}"),
        BridgeWant::AddPort { bridge, port, .. } => format!("add port {port} to {bridge}"),
        BridgeWant::RemovePort { bridge, port, .. } => format!("remove port {port} from {bridge}"),
        BridgeWant::MoveAddresses { bridge, port } => format!("move the addresses of {port} to {bridge}"),
    }
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    evidence: &'a Evidence,
    want: &'a BridgeWant,
    what: String,
}

impl Planning for Planner<'_> {
    fn what(&self) -> &str {
        &self.what
    }
}

impl Planner<'_> {
    fn create(
        &self,
        bridge: IfName,
        port: IfName,
        stp: Stp,
        address: Addressing,
    ) -> Result<BridgePlan, Refusal> {
        self.free_name(bridge)?;
        let link = self.free_link(port)?;
        let mut plan = self.empty();
        let add = Step::AddBridge { bridge, mac: link.mac, mtu: link.mtu, stp };
        let kernel = vec![add, Step::Attach { port, bridge }, Step::Move { from: port, to: bridge }];
        plan.picture = picture::of(self.snapshot, &kernel, address);
        plan.steps = kernel;
        plan.undo = vec![
            Step::Move { from: bridge, to: port },
            Step::Detach { port },
            Step::DeleteBridge { bridge },
            self.restore(link),
        ];
        let (masters, before) = (vec![(port, Some(bridge))], self.as_now(link));
        plan.after = Expect { masters, ..self.moved(link, bridge) };
        plan.before = Expect { masters: vec![(port, None)], absent: vec![bridge], ..before };
        plan.gateways = self.gateways(link, bridge);

        let gateway = self.gateway_in(link, address);
        let owner = self.owner(port)?;
        let metrics = [true, false].map(|is_ipv4| self.default_metric(link, is_ipv4));
        let spec = Spec { bridge, port, mac: link.mac, mtu: link.mtu, stp, address, gateway, metrics };
        let setting = match owner.map(|owner| persist::create(owner, &spec)) {
            None => Setting::default(),
            Some(Ok(setting)) => setting,
            Some(Err(reason)) => {
                return self.refuse(reason, "change that first, or look at --persist");
            }
        };
        if address != Addressing::Move {
            plan.after.routes.clear();
        }
        if setting.steps.is_empty() {
            self.renewed(link)?;
            self.hand_over_clients(&mut plan, port, bridge)?;
            self.readdress(&mut plan, link, bridge, address)?;
        } else {
            self.expect_address(&mut plan, link, bridge, address);
        }
        self.settle_with_owner(&mut plan, port, owner, setting);
        self.tell(&mut plan, link);
        plan.stall = stall(&plan, stp);
        if let Some(given) = given(address) {
            if let Some(risk) = &mut plan.risk {
                risk.push_str(&format!(": log in to {} and confirm there", given.addr()));
            }
            if gateway.is_none() && !plan.gateways.is_empty() {
                plan.consequences.push(format!("the gateway is not in {}: no default route", given.trunc()));
            }
        }
        Ok(plan)
    }

    fn free_name(&self, bridge: IfName) -> Result<(), Refusal> {
        if self.snapshot.link_named(bridge).is_some() {
            return self
                .refuse(format!("{bridge} is there already"), "choose another name, or add a port to it");
        }
        let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !bridge.as_bytes().iter().all(usual) || bridge.as_bytes().starts_with(b"-") {
            return self.refuse("the name has unusual characters", "use letters, digits, - and _");
        }
        let networks = &self.snapshot.libvirt.networks;
        let own = |network: &&crate::model::Network| {
            network.bridge() == Some(bridge) && network.forward() != ForwardMode::Bridge
        };
        match networks.iter().find(own) {
            Some(network) => self.refuse(
                format!("network {} makes a bridge of that name when it starts", network.name),
                "choose another name",
            ),
            None => Ok(()),
        }
    }

    /// The owner whose files and commands are used; `None`: the kernel alone is asked.
    fn owner(&self, port: IfName) -> Result<Option<&Owner>, Refusal> {
        let owners = &self.evidence.owners;
        match self.want.persist() {
            Lasting::Auto | Lasting::No => Ok(owners.first()),
            Lasting::By(backend) => {
                let is_it = |owner: &&Owner| owner.backend() == backend;
                if let Some(owner) = owners.iter().find(is_it) {
                    return Ok(Some(owner));
                }
                let nobody = || format!("nobody configures {port} at boot");
                let found = owners.first().map_or_else(nobody, |owner| owner.words(port));
                let reason = format!("{port} is not configured by {backend}: {found}");
                self.refuse(reason, "use --persist auto, or none")
            }
        }
    }

    /// The owner's steps take the place of the kernel's, whose way back stays as a last resort.
    fn settle_with_owner(
        &self,
        plan: &mut BridgePlan,
        port: IfName,
        owner: Option<&Owner>,
        setting: Setting,
    ) {
        if !setting.steps.is_empty() {
            plan.steps = setting.steps;
            let last_resort = std::mem::replace(&mut plan.undo, setting.undo);
            plan.undo.push(Step::Settle);
            plan.undo.extend(last_resort);
            plan.before.leave_metrics();
        }
        let Some(owner) = owner else {
            plan.owner = format!("nobody configures {port} at boot");
            plan.consequences
                .push("it lasts until the next boot: no configuration file is changed".to_owned());
            return;
        };
        plan.owner = owner.words(port);
        if self.want.persist() == Lasting::No {
            plan.consequences
                .push("it lasts until the next boot: no configuration file is changed".to_owned());
            plan.keep.retain(|step| !matches!(step, Step::PutBack { .. }));
            plan.keep.extend(setting.keep.into_iter().filter(|step| *step == Step::EndCheckpoint));
            return;
        }
        plan.backend = Some(owner.backend());
        plan.lasting = setting.lasting;
        plan.keep.extend(setting.keep);
        plan.consequences.extend(setting.told);
        let (down, up) = setting.later;
        // Where its owner has to take it away, and how is not known, it is not promised.
        if plan.steps.iter().any(|step| matches!(step, Step::Attach { .. })) || !down.is_empty() {
            plan.memory = Some(Memory { backend: owner.backend(), down, up });
        }
    }

    /// A leased address that the kernel alone moves dies with its lease, unless its client is moved too.
    fn renewed(&self, link: &Link) -> Result<(), Refusal> {
        if self.evidence.clients.is_none() || self.has_v4_client() {
            return Ok(());
        }
        let of_link = self.snapshot.kernel.addresses.iter().filter(|found| found.index == link.index);
        let mut leased = of_link
            .filter(|found| found.address.addr().is_ipv4() && !found.permanent && found.scope != "link");
        let Some(leased) = leased.next() else { return Ok(()) };
        let who = self.evidence.stranger.map_or_else(String::new, |stranger| {
            format!(" ({stranger} runs here, which virt-net cannot tell)")
        });
        self.refuse(
            format!(
                "{} on {} is lent by a DHCP server, and no client that virt-net knows renews it{who}: moved, it would end with its lease",
                leased.address, link.name
            ),
            format!(
                "let dhclient, udhcpc or dhcpcd run on {0}, or give it a lasting address: ip address change {1} dev {0} valid_lft forever preferred_lft forever",
                link.name, leased.address
            ),
        )
    }

    /// DHCP clients in processes of their own run on the other link then.
    fn hand_over_clients(&self, plan: &mut BridgePlan, from: IfName, to: IfName) -> Result<(), Refusal> {
        let clients = self.evidence.clients.as_deref().unwrap_or_default();
        for (at, client) in clients.iter().enumerate() {
            let mut others = clients.iter().skip(at + 1);
            if let Some(other) = others.find(|other| other.families().share(client.families())) {
                let words = |client: &Client| format!("{} ({})", client.argv.join(" "), client.pid);
                return self.refuse(
                    format!(
                        "two DHCP clients run on {from}, which would fight for the address: {} and {}",
                        words(client),
                        words(other)
                    ),
                    "end the one that is not needed",
                );
            }
            let old = client.argv.clone();
            let new: Vec<String> = old.iter().map(|word| persist::renamed(word, from, to)).collect();
            plan.consequences.push(format!("the DHCP client of {from} runs on {to} then: {}", new.join(" ")));
            let program = client.program.clone();
            plan.steps.push(Step::MoveClient { from, to, program: program.clone(), argv: new });
            plan.undo.push(Step::MoveClient { from: to, to: from, program, argv: old });
        }
        Ok(())
    }

    fn has_v4_client(&self) -> bool {
        self.evidence.clients.iter().flatten().any(|client| client.families().v4)
    }

    /// Another address than the NIC's, by the kernel alone: the old one goes when it is confirmed.
    fn readdress(
        &self,
        plan: &mut BridgePlan,
        link: &Link,
        bridge: IfName,
        address: Addressing,
    ) -> Result<(), Refusal> {
        let old = |is_v4: bool| -> Vec<Step> {
            let same = |address: &ipnet::IpNet| address.addr().is_ipv4() == is_v4;
            let addresses = self.global_addresses(link).into_iter().filter(same);
            addresses.map(|address| Step::DropAddress { link: bridge, address }).collect()
        };
        match address {
            Addressing::Move => {}
            Addressing::Dhcp if self.has_v4_client() => {}
            Addressing::Dhcp => {
                let Some(argv) = self.evidence.client_command.clone() else {
                    return self.refuse(
                        "no DHCP client is installed",
                        "install dhclient (isc-dhcp-client) or udhcpc",
                    );
                };
                plan.steps.push(Step::Call { argv, failure: super::step::OnFailure::Stop });
                let keep = self.global_addresses(link);
                let back = [Step::StopClient { link: bridge }, Step::DropOthers { link: bridge, keep }];
                plan.undo.splice(0..0, back);
                // A client may take the old address away at once.
                plan.after.addresses.retain(|(_, address)| !address.addr().is_ipv4());
                plan.keep.extend(old(true));
            }
            Addressing::Static(given) => {
                plan.steps.push(Step::AddAddress { link: bridge, address: given });
                plan.undo.insert(0, Step::DropAddress { link: bridge, address: given });
                plan.after.addresses.push((bridge, given));
                plan.keep.extend(
                    old(given.addr().is_ipv4()).into_iter().filter(
                        |step| !matches!(step, Step::DropAddress { address, .. } if *address == given),
                    ),
                );
                plan.consequences.push("the old address stays until it is confirmed".to_owned());
                // It would bring the old address back when it renews it.
                if given.addr().is_ipv4() && self.has_v4_client() {
                    plan.keep.insert(0, Step::StopClient { link: bridge });
                    plan.consequences.push("the DHCP client ends when it is confirmed".to_owned());
                }
            }
        }
        Ok(())
    }

    /// What must be on the bridge when its owner gives it an address.
    fn expect_address(&self, plan: &mut BridgePlan, link: &Link, bridge: IfName, address: Addressing) {
        let is_lasting = |wanted: &ipnet::IpNet| {
            let of_link = self.snapshot.kernel.addresses.iter().filter(|found| found.index == link.index);
            // Addresses that a router announces come back in their own time.
            let mut same = of_link.filter(|found| found.address == *wanted);
            same.any(|found| found.permanent || found.address.addr().is_ipv4())
        };
        plan.after.addresses.retain(|(_, wanted)| is_lasting(wanted));
        plan.before.addresses.retain(|(_, wanted)| is_lasting(wanted));
        match address {
            Addressing::Move => {}
            Addressing::Dhcp => {
                plan.after.addresses.retain(|(_, wanted)| !wanted.addr().is_ipv4());
                plan.after.leased.push(bridge);
            }
            Addressing::Static(given) => {
                let is_v4 = given.addr().is_ipv4();
                plan.after.addresses.retain(|(_, wanted)| wanted.addr().is_ipv4() != is_v4);
                plan.after.addresses.push((bridge, given));
            }
        }
    }

    /// The gateway that a given address can use: the one of now, where it is in the same subnet.
    fn gateway_in(&self, link: &Link, address: Addressing) -> Option<IpAddr> {
        let given = given(address)?;
        let mut gateways = self.defaults(link).filter_map(|route| route.gateway);
        gateways.find(|gateway| given.contains(gateway))
    }

    fn default_metric(&self, link: &Link, is_ipv4: bool) -> Option<u32> {
        let same = self.defaults(link).filter(|route| route.destination.addr().is_ipv4() == is_ipv4);
        same.map(|route| route.metric).min()
    }

    /// The default routes over a link. Those of other tables are met by rules only: they compete with none of these.
    fn defaults(&self, link: &Link) -> impl Iterator<Item = &Route> {
        let routes = picture::routes(self.snapshot, link).filter(|route| route.table == Route::MAIN);
        routes.filter(|route| route.destination.prefix_len() == 0)
    }

    fn restore(&self, link: &Link) -> Step {
        let of_link = self.snapshot.kernel.addresses.iter().filter(|address| address.index == link.index);
        let lasting = of_link.filter(|address| address.permanent && address.scope != "link");
        let routes = picture::routes(self.snapshot, link)
            .filter(|route| !matches!(route.protocol.as_str(), "dhcp" | "ra"));
        Step::Restore {
            link: link.name,
            addresses: lasting.map(|address| address.address).collect(),
            bare: Vec::new(),
            routes: routes.cloned().collect(),
        }
    }
}

fn given(address: Addressing) -> Option<ipnet::IpNet> {
    match address {
        Addressing::Static(address) => Some(address),
        Addressing::Move | Addressing::Dhcp => None,
    }
}

/// How long nothing passes, by who does it.
fn stall(plan: &BridgePlan, stp: Stp) -> String {
    let base = if plan.steps.iter().any(|step| matches!(step, Step::MoveClient { .. } | Step::Checkpoint)) {
        "1 to 3 s"
    } else if plan.steps.iter().any(|step| matches!(step, Step::Call { .. })) {
        "up to 1 s"
    } else {
        "a few milliseconds, no packet is lost"
    };
    match stp {
        Stp::On { forward_delay } => {
            format!("{base}; then about {} s until STP lets the port forward", forward_delay.div_ceil(50))
        }
        Stp::Off => base.to_owned(),
    }
}
