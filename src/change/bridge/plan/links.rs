//! PURE. What may become a port, what a link has, and what comes of a change for the people on it.

use super::Planner;
use crate::change::Refusal;
use crate::change::bridge::{BridgePlan, Expect, Gateway, Step};
use crate::change::plan::Planning as _;
use crate::model::IfName;
use crate::model::kernel::{Link, LinkKind};
use crate::model::snapshot::Bridge;

impl Planner<'_> {
    pub(super) fn empty(&self) -> BridgePlan {
        BridgePlan {
            title: self.what.clone(),
            bridge: self.want.bridge(),
            steps: Vec::new(),
            undo: Vec::new(),
            lasting: Vec::new(),
            keep: Vec::new(),
            memory: None,
            backend: None,
            owner: String::new(),
            after: Expect::default(),
            before: Expect::default(),
            gateways: Vec::new(),
            risk: None,
            stall: String::new(),
            picture: Vec::new(),
            consequences: Vec::new(),
        }
    }

    pub(super) fn gone<T>(&self, name: IfName) -> Result<T, Refusal> {
        self.refuse(format!("there is no link {name}"), "look again: virt-net show bridges")
    }

    pub(super) fn bridge(&self, name: IfName) -> Result<&Bridge, Refusal> {
        match self.snapshot.bridge_named(name) {
            Some(bridge) => Ok(bridge),
            None if self.snapshot.link_named(name).is_some() => {
                self.refuse(format!("{name} is no bridge"), "see the bridges: virt-net show bridges")
            }
            None => self.gone(name),
        }
    }

    /// A link that may become a port.
    pub(super) fn free_link(&self, name: IfName) -> Result<&Link, Refusal> {
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
        let links = self.snapshot.kernel.links.iter();
        let on_top: Vec<&Link> = links
            .filter(|other| other.lower == Some(link.index) && !other.lower_elsewhere)
            .filter(|other| matches!(other.kind, LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. }))
            .collect();
        if on_top.is_empty() {
            return Ok(link);
        }
        let words = |other: &&Link| {
            let nic = self.snapshot.nics.iter().find(|nic| nic.link == Some(other.index));
            nic.map_or_else(|| other.name.to_string(), |nic| format!("{} ({})", nic.guest, other.name))
        };
        let names: Vec<String> = on_top.iter().map(words).collect();
        let shims = on_top.iter().filter(|other| matches!(other.kind, LinkKind::Macvlan { .. }));
        let shims: Vec<String> = shims
            .map(|shim| format!("; delete the host's own: virt-net shim delete {}", shim.name))
            .collect();
        self.refuse(
            format!("macvtaps are on {}: {}", link.name, names.join(", ")),
            format!(
                "plug these NICs into a network first, and into the new bridge afterwards: virt-net switch{}",
                shims.concat()
            ),
        )
    }

    pub(super) fn global_addresses(&self, link: &Link) -> Vec<ipnet::IpNet> {
        let of_link = self.snapshot.kernel.addresses.iter().filter(|address| address.index == link.index);
        of_link.filter(|address| address.scope != "link").map(|address| address.address).collect()
    }

    /// The addresses and default routes of `link`, expected on `on`. Other routes may be of no use there.
    pub(super) fn moved(&self, link: &Link, on: IfName) -> Expect {
        let mut expect = self.as_now(link);
        expect.addresses.iter_mut().for_each(|(link, _)| *link = on);
        expect.routes.retain(|way| way.to.prefix_len() == 0);
        expect.routes.iter_mut().for_each(|way| way.link = on);
        expect.leave_metrics();
        expect
    }

    /// The addresses and routes of `link`, as they are.
    pub(super) fn as_now(&self, link: &Link) -> Expect {
        Expect::of(&self.snapshot.kernel, link)
    }

    /// Next hops over a link: those that answer before must answer over the other link afterwards.
    pub(super) fn gateways(&self, link: &Link, after: IfName) -> Vec<Gateway> {
        let kernel = &self.snapshot.kernel;
        let routes = kernel.routes.iter().filter(|route| route.oif == Some(link.index));
        let addresses = routes.filter_map(|route| route.gateway);
        let mut gateways: Vec<Gateway> =
            addresses.map(|address| Gateway { address, before: link.name, after }).collect();
        gateways.sort();
        gateways.dedup();
        gateways
    }

    /// What comes of it for the session and for names.
    pub(super) fn tell(&self, plan: &mut BridgePlan, link: &Link) {
        let host = &self.snapshot.host;
        if let (Some(peer), Some(over)) = (host.ssh_peer, host.ssh_link)
            && over == link.name
        {
            plan.risk = Some(format!("this path carries your session: {peer} → {over}"));
        }
        if let Some(resolver) = &self.evidence.resolver
            && plan.backend.is_none()
            && plan.steps.iter().any(|step| matches!(step, Step::Move { .. }))
        {
            plan.consequences.push(format!(
                "{resolver} asks the name servers of {}: give them to the new link as well",
                link.name
            ));
        }
    }
}
