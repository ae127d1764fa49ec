//! PURE. Want + snapshot + what was found about the NIC's owner → the steps of a shim, or the reason why not.

mod back;
mod spec;
mod targets;

use std::net::IpAddr;

use ipnet::IpNet;

pub(super) use self::spec::Spec;

use self::spec::{listed, make, picture};
use super::{
    After, ShimEvidence, ShimPlan, ShimStep, ShimWant, global, is_shim, of_link, persist, routes_by,
};
use crate::change::Refusal;
use crate::change::bridge::{Lasting, Row};
use crate::change::plan::Planning;
use crate::model::kernel::{Link, LinkKind};
use crate::model::{IfName, Snapshot};

/// Makes the plan.
///
/// # Errors
/// A [`Refusal`] with the reason and the way out.
pub fn plan(snapshot: &Snapshot, evidence: &ShimEvidence, want: &ShimWant) -> Result<ShimPlan, Refusal> {
    match want {
        ShimWant::Create { over, addresses, to, persist } => {
            let what = format!("make a shim over {over}");
            Planner { snapshot, evidence, what }.create(*over, addresses, to, *persist)
        }
        ShimWant::Delete { shim } => {
            Planner { snapshot, evidence, what: format!("delete shim {shim}") }.delete(*shim)
        }
        ShimWant::Back { done, takes } => {
            let what = format!("take back: {}", done.title);
            Planner { snapshot, evidence, what }.back(done, *takes)
        }
    }
}

/// A free name for a shim over a NIC; `None` when all are taken or the NIC's own is unusual.
#[must_use]
pub fn free_name(snapshot: &Snapshot, over: IfName) -> Option<IfName> {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !over.as_bytes().iter().all(usual) || over.as_bytes().starts_with(b"-") {
        return None;
    }
    let ends = ["-shim", "-shim2", "-shim3", "-shim4"];
    let names = ends.iter().filter_map(|end| {
        let room = 15 - end.len();
        let start = over.as_bytes().get(..room.min(over.as_bytes().len()))?;
        IfName::from_bytes(&[start, end.as_bytes()].concat())
    });
    names.into_iter().find(|name| snapshot.link_named(*name).is_none())
}

struct Planner<'a> {
    snapshot: &'a Snapshot,
    evidence: &'a ShimEvidence,
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
        over: IfName,
        addresses: &[IpAddr],
        to: &[IpNet],
        persist: Lasting,
    ) -> Result<ShimPlan, Refusal> {
        let lower = self.lower(over)?;
        let there = of_link(self.snapshot, over);
        let Some(shim) = there.map(|link| link.name).or_else(|| free_name(self.snapshot, over)) else {
            return self.refuse("no usual name for it is free", "make it by hand: virt-net help shim create");
        };
        let mut sources = self.sources(lower, there, addresses)?;
        let mut targets = self.targets(lower, there, sources, to)?;
        if targets.nets.is_empty() {
            let told = targets.told.first().map(|first| format!(": {first}")).unwrap_or_default();
            let guest = "start the guest, or name its address: virt-net shim create --to ADDRESS";
            return self.refuse(format!("no guest's address on {over} is known{told}"), guest);
        }
        targets.nets.sort_unstable();
        targets.nets.dedup();
        if sources.v4.is_none() && targets.nets.iter().any(|net| net.addr().is_ipv4()) {
            return self.refuse(
                format!("{over} has no IPv4 address that the host could use"),
                "give the host's end a spare address: --address ADDRESS",
            );
        }
        if !targets.nets.iter().any(|net| net.addr().is_ipv4()) {
            sources.v4 = sources.spare_v4;
        }
        let spec = Spec { shim, over, sources, nets: targets.nets.clone() };
        let mut plan = self.empty(format!("make shim {shim} over {over}"), shim, over);
        let wanted = spec.addresses();
        plan.after = After::There { addresses: wanted.clone(), routes: spec.nets.clone() };
        match there {
            Some(link) => self.refresh(&mut plan, link, &spec),
            None => make(&mut plan, &spec),
        }
        plan.consequences
            .push(format!("The host and {} can talk with each other by {shim}.", listed(&spec.nets)));
        plan.consequences.push(format!("{over}, its addresses and its routes stay as they are."));
        if let Some(source) = sources.v4.filter(|_| sources.spare_v4.is_none()) {
            plan.consequences.push(format!("The guests see the host as {source}, as the LAN does."));
            if self.lends(lower, source) {
                plan.consequences.push(format!(
                    "{source} is lent by a DHCP server: if it gives another one, make the shim again."
                ));
            }
        }
        plan.consequences.append(&mut targets.told);
        plan.consequences
            .push("A guest that gets another address needs its route: make the shim again then.".to_owned());
        self.last(&mut plan, &spec, persist)?;
        Ok(plan)
    }

    fn empty(&self, title: String, shim: IfName, over: IfName) -> ShimPlan {
        ShimPlan {
            title,
            shim,
            over,
            steps: Vec::new(),
            undo: Vec::new(),
            lasting: Vec::new(),
            backend: None,
            after: After::Gone,
            before: After::now(shim, &self.snapshot.kernel),
            until_boot: None,
            takes_back: None,
            picture: Vec::new(),
            consequences: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// The NIC, if a macvlan can be on it.
    fn lower(&self, over: IfName) -> Result<&Link, Refusal> {
        let snapshot = self.snapshot;
        if snapshot.host.foreign_namespace {
            return self.refuse(
                "libvirt runs on another machine or in another network namespace",
                "run virt-net where libvirt runs",
            );
        }
        let Some(link) = snapshot.link_named(over) else {
            return self.refuse(format!("there is no link {over}"), "virt-net show nics names the links");
        };
        if let Some(master) = link.master.and_then(|index| snapshot.link(index)) {
            let bridge = format!("{over} is a port of {}: it carries no macvtap and no macvlan", master.name);
            return self.refuse(bridge, "guests on a bridge reach the host by the bridge's own address");
        }
        if link.loopback || link.wireless {
            return self.refuse(format!("{over} carries no frames of another MAC"), "use a wired NIC");
        }
        if matches!(
            link.kind,
            LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. } | LinkKind::Tap | LinkKind::Tun
        ) {
            let reason = format!("{over} is a {}", link.kind.word());
            return self.refuse(reason, "name the NIC below the guests' macvtaps");
        }
        if !link.up {
            return self.refuse(format!("{over} is switched off"), format!("ip link set {over} up"));
        }
        Ok(link)
    }

    fn lends(&self, lower: &Link, source: IpAddr) -> bool {
        let mut own = self.snapshot.kernel.addresses.iter().filter(|own| own.index == lower.index);
        own.any(|own| own.address.addr() == source && !own.permanent)
    }

    /// A shim that is there gets what it lacks and loses what nobody needs any more.
    fn refresh(&self, plan: &mut ShimPlan, link: &Link, spec: &Spec) {
        let kernel = &self.snapshot.kernel;
        let shim = link.name;
        let mut pairs: Vec<(ShimStep, ShimStep)> = Vec::new();
        // Unknown: it is looked at by root only where it matters, and set again does no harm.
        if let Some(value @ (0 | 2..)) = self.evidence.arp_filter {
            pairs.push((ShimStep::Filter { shim, value: 1 }, ShimStep::Filter { shim, value }));
        }
        let own = global(kernel, link);
        for address in spec.addresses().into_iter().filter(|address| !own.contains(address)) {
            pairs.push((ShimStep::Address { shim, address }, ShimStep::DropAddress { shim, address }));
        }
        let routes: Vec<_> =
            routes_by(kernel, link).filter(|route| !own.contains(&route.destination)).collect();
        let as_wanted = |net: IpNet| {
            let mut same = routes.iter().filter(|route| route.destination == net);
            same.any(|route| net.addr().is_ipv6() || route.prefsrc == spec.source(net))
        };
        for route in &routes {
            let to = route.destination;
            if !spec.nets.contains(&to) || !as_wanted(to) {
                let back = ShimStep::Route { shim, to, source: route.prefsrc };
                pairs.push((ShimStep::DropRoute { shim, to }, back));
                if !spec.nets.contains(&to) {
                    plan.consequences
                        .push(format!("{to} loses its route: no guest here is known by it now."));
                }
            }
        }
        for address in own.iter().filter(|address| !spec.addresses().contains(address)).copied() {
            pairs.push((ShimStep::DropAddress { shim, address }, ShimStep::Address { shim, address }));
        }
        if !link.up {
            pairs.push((ShimStep::Up { shim }, ShimStep::Up { shim }));
        }
        for to in spec.nets.iter().copied().filter(|net| !as_wanted(*net)) {
            let step = ShimStep::Route { shim, to, source: spec.source(to) };
            pairs.push((step, ShimStep::DropRoute { shim, to }));
        }
        let (steps, mut undo): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        undo.reverse();
        plan.title = if steps.is_empty() {
            format!("shim {shim} over {} has all it needs", spec.over)
        } else {
            format!("bring shim {shim} over {} up to date", spec.over)
        };
        (plan.steps, plan.undo) = (steps, undo);
    }

    fn last(&self, plan: &mut ShimPlan, spec: &Spec, persist: Lasting) -> Result<(), Refusal> {
        let by_hand = |plan: &mut ShimPlan, why: String| {
            plan.until_boot = Some(format!("{why}; the commands by hand are below"));
        };
        let chosen = match persist {
            Lasting::No => None,
            Lasting::Auto => self.evidence.owners.first(),
            Lasting::By(backend) => {
                let found = self.evidence.owners.iter().find(|owner| owner.backend() == backend);
                if found.is_none() {
                    let over = spec.over;
                    let nobody = || format!("nobody configures {over} at boot");
                    let is = self.evidence.owners.first().map_or_else(nobody, |owner| owner.words(over));
                    let reason = format!("{over} is not configured by {backend}: {is}");
                    return self.refuse(reason, "use --persist auto, or none");
                }
                found
            }
        };
        match (chosen, persist) {
            (None, Lasting::No) => {
                plan.until_boot = Some("no configuration file is changed".to_owned());
            }
            (None, _) => by_hand(plan, format!("nobody configures {} at boot", spec.over)),
            (Some(owner), _) => match persist::files(owner, spec, self.evidence) {
                Ok(files) => {
                    let old = persist::leftover(&self.evidence.own_files, &files);
                    plan.lasting =
                        files.into_iter().filter(|file| file.before != file.after).chain(old).collect();
                    plan.backend = Some(owner.backend());
                    plan.consequences.push(format!("{}.", owner.words(spec.over)));
                    plan.consequences.extend(persist::told(owner, spec));
                }
                Err(reason) if matches!(persist, Lasting::By(_)) => {
                    return self.refuse(reason, "use --persist none, or --address with a spare address");
                }
                Err(reason) => by_hand(plan, reason),
            },
        }
        plan.picture = picture(&plan.steps.iter().collect::<Vec<_>>());
        plan.commands = plan.steps.iter().flat_map(ShimStep::commands).collect();
        Ok(())
    }

    fn delete(&self, shim: IfName) -> Result<ShimPlan, Refusal> {
        let snapshot = self.snapshot;
        let link = snapshot.link_named(shim);
        let Some(link) = link.filter(|link| is_shim(link)) else {
            let reason = match link {
                None => format!("there is no link {shim}"),
                Some(link) => format!("{shim} is no shim but a {}", link.kind.word()),
            };
            let names: Vec<String> = super::all(snapshot).map(|link| link.name.to_string()).collect();
            let way_out = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
            return self.refuse(reason, format!("shims of this host: {way_out}"));
        };
        let kernel = &snapshot.kernel;
        let vital = routes_by(kernel, link)
            .any(|route| route.gateway.is_some() || route.destination.prefix_len() == 0);
        if vital || snapshot.host.ssh_link == Some(shim) {
            let reason = format!("{shim} carries more than guests: a gateway, or your own session");
            return self.refuse(reason, "look at ip route; delete it by hand");
        }
        let Some(over) = link.lower.and_then(|index| snapshot.link(index)).map(|link| link.name) else {
            return self.refuse("the NIC below it is not known", format!("ip link del {shim}"));
        };
        let mut plan = self.empty(format!("delete shim {shim} over {over}"), shim, over);
        plan.steps = vec![ShimStep::Remove { shim }, ShimStep::Release { shim }];
        plan.undo = self.made_again(link, over);
        plan.lasting = persist::without(&self.evidence.own_files, shim);
        let nets = plan.before.routes().to_vec();
        plan.consequences.push(format!("The host and {} no longer reach each other.", listed(&nets)));
        plan.consequences.push(format!("{over}, its addresses and its routes stay as they are."));
        plan.picture = [ShimStep::Remove { shim }].iter().flat_map(|step| picture(&[step])).collect();
        plan.picture.extend(nets.iter().map(|net| Row {
            what: "route".to_owned(),
            before: format!("{net} dev {shim}"),
            after: String::new(),
        }));
        plan.commands = vec![format!("ip link del {shim}")];
        Ok(plan)
    }
}
