//! PURE. Which addresses get a route by a shim and which must not, and by which address the host is seen.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::spec::listed;
use super::{Planner, Refusal};
use crate::change::plan::Planning as _;
use crate::change::shim::global;
use crate::change::target::quote;
use crate::model::kernel::{Link, LinkKind};
use crate::model::{Mac, MacvtapMode, Nic};

/// The source of the host's packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources {
    pub(super) v4: Option<IpAddr>,
    pub(super) spare_v4: Option<IpAddr>,
    pub(super) spare_v6: Option<IpAddr>,
}

/// Where routes lead to, and what is to be said of those left out.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) nets: Vec<IpNet>,
    pub(super) told: Vec<String>,
}

impl Planner<'_> {
    /// The running guests' macvtaps on a NIC, with their modes.
    fn macvtaps(&self, lower: &Link) -> Vec<(&Nic, MacvtapMode)> {
        let snapshot = self.snapshot;
        let found = snapshot.nics.iter().filter(|nic| nic.live.is_some() && nic.lower == Some(lower.name));
        let mode = |nic: &&Nic| match snapshot.link(nic.link?)?.kind {
            LinkKind::Macvtap { mode } => Some(mode),
            _ => None,
        };
        found.filter_map(|nic| Some((nic, mode(&nic)?))).collect()
    }

    pub(super) fn sources(
        &self,
        lower: &Link,
        there: Option<&Link>,
        addresses: &[IpAddr],
    ) -> Result<Sources, Refusal> {
        let snapshot = self.snapshot;
        let kept = there.map(|link| global(&snapshot.kernel, link)).unwrap_or_default();
        let mut given: Vec<IpAddr> = addresses.to_vec();
        if given.is_empty() {
            given = kept.iter().map(IpNet::addr).collect();
        }
        let of = |v4: bool| {
            let mut own = given.iter().filter(move |address| address.is_ipv4() == v4);
            (own.next().copied(), own.next().copied())
        };
        let ((spare_v4, more_v4), (spare_v6, more_v6)) = (of(true), of(false));
        if let Some(more) = more_v4.or(more_v6) {
            return self.refuse(format!("{more} is one address too many"), "one of each family at most");
        }
        for spare in [spare_v4, spare_v6].into_iter().flatten() {
            self.spare(lower, there, spare)?;
        }
        let own = global(&snapshot.kernel, lower).into_iter().find(|net| net.addr().is_ipv4());
        let ignore = snapshot.kernel.settings.arp_ignore.unwrap_or(0);
        let answers = match ignore {
            0 | 3 => true,
            1 => spare_v4.is_some(),
            _ => false,
        };
        if !answers {
            let reason = format!(
                "net.ipv4.conf.all.arp_ignore is {ignore}: a link answers only for addresses of its own"
            );
            let way_out = match ignore {
                1 => "give the host's end a spare address: --address ADDRESS",
                _ => "set it to 0 or 1 first",
            };
            return self.refuse(reason, way_out);
        }
        Ok(Sources { v4: spare_v4.or_else(|| own.map(|net| net.addr())), spare_v4, spare_v6 })
    }

    /// An address for the host's end that nobody has.
    fn spare(&self, lower: &Link, there: Option<&Link>, spare: IpAddr) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let other = "choose an address of the LAN that nobody has and no DHCP server gives away";
        if spare.is_multicast() || spare.is_unspecified() || spare.is_loopback() {
            return self.refuse(format!("{spare} is no host's address"), other);
        }
        let own = snapshot
            .kernel
            .addresses
            .iter()
            .find(|own| own.address.addr() == spare && there.is_none_or(|shim| shim.index != own.index));
        if let Some(own) = own {
            let on = snapshot.link(own.index).map_or_else(|| "?".to_owned(), |link| link.name.to_string());
            let reason = format!("{spare} is on {on} already: it would be at two places");
            return self.refuse(reason, "leave --address out: the host's own one is used then");
        }
        if let Some(nic) =
            snapshot.nics.iter().find(|nic| nic.addresses.iter().any(|own| own.address == spare))
        {
            return self.refuse(format!("{spare} belongs to guest {}", nic.guest), other);
        }
        if let Some(seen) = snapshot.kernel.neighbours.iter().find(|seen| seen.address == spare) {
            return self.refuse(format!("{spare} belongs to {} on the LAN", seen.mac), other);
        }
        let nets: Vec<IpNet> = global(&snapshot.kernel, lower)
            .into_iter()
            .filter(|net| net.addr().is_ipv4() == spare.is_ipv4())
            .collect();
        if !nets.is_empty() && !nets.iter().any(|net| net.contains(&spare)) {
            let reason = format!("{spare} is not in {}: guests would look for it elsewhere", listed(&nets));
            return self.refuse(reason, other);
        }
        Ok(())
    }

    /// The guests' addresses, and those that were named.
    pub(super) fn targets(
        &self,
        lower: &Link,
        there: Option<&Link>,
        sources: Sources,
        to: &[IpNet],
    ) -> Result<Targets, Refusal> {
        let macvtaps = self.macvtaps(lower);
        let over = lower.name;
        let deaf = macvtaps.iter().find(|(_, mode)| *mode == MacvtapMode::Passthrough);
        if let Some((nic, _)) = deaf {
            return self.refuse(
                format!("guest {} has {over} to itself (macvtap mode passthrough)", nic.guest),
                format!(
                    "virt-net switch {} {} --to macvtap={over},mode=bridge",
                    quote(&nic.guest),
                    nic.id.mac
                ),
            );
        }
        let mut targets = Targets::default();
        let apart = macvtaps.iter().filter(|(_, mode)| *mode != MacvtapMode::Bridge);
        for (nic, mode) in apart.clone() {
            let guest = &nic.guest;
            let text =
                format!("{guest} stays unreachable: its macvtap is in mode {}, not bridge", mode.word());
            targets.told.push(text);
        }
        let is_alone = macvtaps.iter().all(|(_, mode)| *mode != MacvtapMode::Bridge);
        if let (Some((nic, mode)), true, true) = (apart.clone().next(), is_alone, to.is_empty()) {
            let reason = format!(
                "guest {} has its macvtap in mode {}: it never hands frames to its siblings on {over}",
                nic.guest,
                mode.word()
            );
            let bridge = format!(
                "virt-net switch {} {} --to macvtap={over},mode=bridge",
                quote(&nic.guest),
                nic.id.mac
            );
            return self.refuse(reason, bridge);
        }
        for (nic, _) in macvtaps.iter().filter(|(_, mode)| *mode == MacvtapMode::Bridge) {
            self.learn(lower, there, nic, sources, &mut targets);
        }
        for net in to {
            if let Some(reason) = self.harm(lower, there, *net) {
                return self.refuse(reason, "name the guest's own address only");
            }
            if net.addr().is_ipv6() && sources.spare_v6.is_none() {
                let reason = format!("{net}: for IPv6 the host's end needs an address of its own");
                return self.refuse(reason, "give a spare one: --address ADDRESS");
            }
            targets.nets.push(net.trunc());
        }
        for net in &targets.nets {
            if let IpAddr::V6(address) = net.addr()
                && !macvtaps.iter().any(|(nic, _)| hears(nic, address))
            {
                targets.told.push(format!(
                    "{address} is not made of a MAC here: the host, as the LAN, reaches it only after that guest has spoken \
                     first; libvirt's macvtap passes the question for it only with trustGuestRxFilters='yes' on the NIC."
                ));
            }
        }
        Ok(targets)
    }

    /// The addresses of a guest's macvtap that can get a route.
    fn learn(&self, lower: &Link, there: Option<&Link>, nic: &Nic, sources: Sources, targets: &mut Targets) {
        let guest = &nic.guest;
        let nets = global(&self.snapshot.kernel, lower);
        let known = nic.addresses.iter().filter(|seen| !seen.stale).map(|seen| seen.address);
        let mut is_known = false;
        for address in known.filter(|address| !is_link_local(*address)) {
            is_known = true;
            let near = |net: &IpNet| net.contains(&address);
            let same_family = nets.iter().any(|net| net.addr().is_ipv4() == address.is_ipv4());
            if address.is_ipv6() && sources.spare_v6.is_none() {
                let text = format!("{guest} is not reached at {address}: IPv6 needs a spare --address");
                targets.told.push(text);
            } else if same_family && !nets.iter().any(near) {
                targets
                    .told
                    .push(format!("{guest} is not reached at {address}: not in a subnet of {}", lower.name));
            } else if let Some(reason) = self.harm(lower, there, IpNet::from(address)) {
                targets.told.push(format!("{guest} gets no route: {reason}"));
            } else {
                targets.nets.push(IpNet::from(address));
            }
        }
        if !is_known {
            targets.told.push(format!("the address of guest {guest} is not known (name it: --to ADDRESS)"));
        }
    }

    /// Why a route to this net by the shim would take something away that goes another way now.
    pub(super) fn harm(&self, lower: &Link, there: Option<&Link>, net: IpNet) -> Option<String> {
        let snapshot = self.snapshot;
        let covers = |address: &IpAddr| net.contains(address);
        if let Some(peer) = snapshot.host.ssh_peer.as_ref().filter(|peer| covers(peer)) {
            return Some(format!("{net} covers {peer}, where your own session comes from"));
        }
        let routes = &snapshot.kernel.routes;
        if let Some(gateway) = routes.iter().filter_map(|route| route.gateway).find(covers) {
            return Some(format!("{net} covers {gateway}, which is a gateway of this host"));
        }
        if net.addr().is_multicast() || net.addr().is_unspecified() || net.addr().is_loopback() {
            return Some(format!("{net} is no guest's address"));
        }
        let own = snapshot.kernel.addresses.iter().find(|own| covers(&own.address.addr()));
        if let Some(own) = own {
            return Some(format!("{net} covers {}, which is this host's own", own.address.addr()));
        }
        let lan = global(&snapshot.kernel, lower).into_iter().find(|lan| net.contains(lan));
        if let Some(lan) = lan {
            return Some(format!("{net} covers the whole LAN {}", lan.trunc()));
        }
        let same = routes.iter().find(|route| {
            route.table == 254
                && route.destination == net.trunc()
                && there.is_none_or(|shim| route.oif != Some(shim.index))
        });
        let by = same.and_then(|route| snapshot.link(route.oif?)).map(|link| link.name);
        same.map(|_| match by {
            Some(by) => format!("there is a route to {net} by {by} already"),
            None => format!("there is a route to {net} already"),
        })
    }
}

/// Whether a macvtap passes neighbour discovery for this address: it listens only to the group that belongs to
/// its own MAC, whose end is the address' end then (RFC 4291, 2.7.1).
fn hears(nic: &Nic, address: Ipv6Addr) -> bool {
    let Mac([_, _, _, end @ ..]) = nic.id.mac;
    address.octets().ends_with(&end)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}
