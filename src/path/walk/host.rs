//! PURE. The host's own part: for itself, routed on, or sent by it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::bridge::Towards;
use super::ends::{DEVICE, End, bridged_out};
use super::{Place, Step, Walk};
use crate::model::firewall::{Family, Hook};
use crate::model::kernel::Route;
use crate::model::{ForwardMode, Link, LinkKind, Network, Nic, Snapshot};
use crate::path::packet::{Answer, Flow, is_local, single};
use crate::path::{HopKind, Side, names};

impl<'a> End<'a> {
    /// What an address is, for a packet that is already on its way.
    pub(super) fn of_target(snapshot: &'a Snapshot, address: IpAddr) -> Self {
        if is_local(&snapshot.kernel, address) {
            return Self::Host;
        }
        let mut nics = snapshot.nics.iter();
        nics.find(|nic| super::ends::has_address(nic, address)).map_or(Self::Outside(address), Self::Guest)
    }
}

impl<'a> Walk<'a> {
    /// A packet has come up to the host by one of these links.
    pub(super) fn at_host(&mut self, place: Place) -> Step {
        /// More stations than any packet passes that arrives.
        const MOST_HOPS: usize = 48;
        if self.hops.len() > MOST_HOPS {
            return self.lose("it would go round in circles");
        }
        let layer = self.layer();
        let crossed = self.cross(&place, Hook::Prerouting, layer)?;
        self.packet.station = None;
        self.outer = None;
        self.translate_destination(&crossed, &place);
        let target = self.packet.destination;
        if single(target).is_some_and(|target| is_local(&self.snapshot.kernel, target)) {
            self.cross(&place, Hook::Input, layer)?;
            self.host_hop(format!("by {}", names(&place.inward)));
            return Ok(());
        }
        let (route, link) = self.route()?;
        let forwards = match layer {
            Family::Ip6 => self.snapshot.kernel.settings.ip6_forward,
            _ => self.snapshot.kernel.settings.ip_forward,
        };
        match forwards {
            Some(true) => {}
            Some(false) if layer == Family::Ip6 => {
                self.stop("net.ipv6.conf.all.forwarding is 0: the host does not route")?;
            }
            Some(false) => self.stop("net.ipv4.ip_forward is 0: the host does not route")?,
            None => self.doubt("whether the host routes could not be read"),
        }
        self.check_isolated_gateway(&place);
        let place = Place { outward: vec![link.name], ..place };
        self.cross(&place, Hook::Forward, layer)?;
        self.send(&place, route, link)
    }

    /// libvirt's DHCP names no gateway on an isolated network: only a guest that was told one sends here.
    fn check_isolated_gateway(&mut self, place: &Place) {
        let snapshot = self.snapshot;
        let isolated = place.inward.iter().any(|name| {
            snapshot.libvirt.networks.iter().any(|network| {
                network.active
                    && network.bridge() == Some(*name)
                    && network.forward() == ForwardMode::Isolated
            })
        });
        if isolated {
            self.doubt("libvirt's DHCP names no gateway on an isolated network");
        }
    }

    /// The host's own program sends.
    pub(super) fn host_sends(&mut self) -> Step {
        self.host_hop(String::new());
        let (route, link) = self.route()?;
        let place = Place { outward: vec![link.name], ..Place::default() };
        let layer = self.layer();
        let crossed = self.cross(&place, Hook::Output, layer)?;
        self.translate_destination(&crossed, &place);
        self.send(&place, route, link)
    }

    fn host_hop(&mut self, detail: String) {
        let name = self.snapshot.host.name.clone();
        self.hop(HopKind::Host, if name.is_empty() { "host".to_owned() } else { name }, detail);
    }

    fn send(&mut self, place: &Place, route: &Route, link: &'a Link) -> Step {
        let layer = self.layer();
        let crossed = self.cross(place, Hook::Postrouting, layer)?;
        let next = route.gateway.unwrap_or_else(|| self.to());
        self.translate_source(&crossed, link, Some((route, next)));
        self.leave(link, next)
    }

    fn route(&mut self) -> Result<(&'a Route, &'a Link), super::Ended> {
        let snapshot = self.snapshot;
        let target = self.packet.destination;
        self.hop(HopKind::Route, "route", "");
        if target.prefix_len() == 0 {
            self.check_only_way()?;
            self.lose("the guest's address is not known")?;
        }
        let Some(route) = snapshot.kernel.route_to(self.to()) else {
            self.stop(format!("the host has no route to {}", self.to()))?;
            return Err(super::Ended);
        };
        let link = route.oif.and_then(|index| snapshot.link(index));
        if let Some(hop) = self.hops.last_mut() {
            hop.detail = route_words(route, link);
        }
        if snapshot.kernel.settings.policy_routing == Some(true) {
            self.doubt("routes of other tables may count (ip rule): they are not followed");
        }
        if route.kind != "unicast" {
            self.stop(format!("the host's route to {} says {}", self.to(), route.kind))?;
        }
        if route.linkdown {
            self.stop(format!(
                "the route's link {} has no carrier",
                link.map_or_else(String::new, |l| l.name.to_string())
            ))?;
        }
        let Some(link) = link else {
            self.lose("the route's link is not known")?;
            return Err(super::Ended);
        };
        Ok((route, link))
    }

    /// A macvtap whose address is not known cannot be reached whatever it is, when the host has no other
    /// way to its LAN than the macvtap's own lower link.
    fn check_only_way(&mut self) -> Step {
        let snapshot = self.snapshot;
        let Some(lower) = self.goal.and_then(|id| snapshot.nic(id)).and_then(|nic| nic.lower) else {
            return Ok(());
        };
        let mut ways = snapshot.kernel.addresses.iter().filter(|own| own.scope != "link");
        let other = ways.any(|own| {
            let link = snapshot.link(own.index).filter(|link| !link.loopback && link.name != lower);
            link.is_some_and(|link| match link.kind {
                LinkKind::Bridge(_) => self.leads_out(link),
                _ => true,
            })
        });
        if other {
            return Ok(());
        }
        self.stop(format!(
            "the host cannot reach a macvtap on its own link {lower}, and has no other way to that LAN"
        ))
    }

    /// Out by a link, to a next hop.
    fn leave(&mut self, link: &'a Link, next: IpAddr) -> Step {
        let end = self.end();
        let nic = match end {
            End::Guest(nic) => Some(nic),
            _ => None,
        };
        if let LinkKind::Bridge(_) = link.kind {
            return self.bridge_sends(link, Towards::Address(next));
        }
        if let Some(nic) = nic.filter(|nic| nic.link == Some(link.index)) {
            return self.reach_guest(nic);
        }
        self.hop(HopKind::Uplink, link.name, link.kind.word());
        self.counted(link.index, Side::Sent);
        self.check_link(link)?;
        if let Some(nic) = nic.filter(|nic| nic.lower.is_some()) {
            let lower = nic.lower.and_then(|name| self.snapshot.link_named(name));
            if nic.lower == Some(link.name) {
                return self.stop(format!(
                    "the host cannot reach a macvtap on its own link: it never hears what {} sends itself",
                    link.name
                ));
            }
            let shim = lower.zip(self.mode_of(nic)).and_then(|(lower, mode)| self.shim(lower, mode));
            if shim.is_some_and(|shim| shim.index == link.index) {
                return self.reach_guest(nic);
            }
        }
        if let Some(master) = link.master.and_then(|index| self.snapshot.link(index)) {
            self.doubt(format!("{} is a port of {}: answers come in there", link.name, master.name));
        }
        if self.packet.flow == Some(Flow::New) && self.packet.translated.1 == Answer::No {
            self.left_as = Some(self.packet.source);
        }
        self.beyond(end, Towards::Address(next))
    }

    /// The other end sends back; `left_as` is the untranslated address with which the packet left the host.
    pub(super) fn answer_from(&mut self, far: End<'a>, nic: &Nic, left_as: Option<IpNet>) -> Step {
        if self.snapshot.host.foreign_namespace {
            self.host_hop(String::new());
            return self.lose("libvirt runs on another machine or in another network namespace");
        }
        match far {
            End::Host => self.host_sends(),
            End::Guest(other) => self.guest_sends(other),
            End::Outside(peer) => {
                let name = far.words(self.snapshot);
                self.hop(HopKind::Outside, name, "");
                if let Some(own) = left_as {
                    self.check_answerable(nic, own, peer)?;
                }
                if nic.device.is_some() {
                    return self.lose(DEVICE);
                }
                if bridged_out(self.snapshot, nic) {
                    return self.arrive(nic);
                }
                self.enter_by_route(nic)
            }
        }
    }

    /// Nobody on the internet answers to a private address, unless a router on the way translates it: routed guests
    /// may be known to the routers of the LAN, those that this host should translate are not.
    fn check_answerable(&mut self, nic: &Nic, own: IpNet, peer: IpAddr) -> Step {
        if !private(own.addr()) || private(peer) {
            return Ok(());
        }
        let network = nic.network.and_then(|id| self.snapshot.network(id));
        if network.map(Network::forward) != Some(ForwardMode::Nat) {
            self.doubt(format!(
                "it comes only if a router of the LAN translates the private address {}",
                own.addr()
            ));
            return Ok(());
        }
        self.stop(format!(
            "the packet left with the private address {}: nobody out there can answer to it",
            own.addr()
        ))
    }

    /// From outside to a guest behind the host's routing: by the link that leads to the sender.
    pub(super) fn enter_by_route(&mut self, nic: &Nic) -> Step {
        let snapshot = self.snapshot;
        let sender = self.packet.source.addr();
        let route = snapshot.kernel.route_to(sender);
        let Some(link) = route.and_then(|route| snapshot.link(route.oif?)) else {
            return self.lose("by which link it would come in is not known");
        };
        if self.outer.is_none() {
            let on_link = snapshot
                .kernel
                .addresses
                .iter()
                .any(|own| own.index == link.index && own.address.contains(&self.packet.destination));
            if !on_link {
                let destination = self.packet.destination;
                let subnets = nic.network.and_then(|id| snapshot.network(id)?.current());
                let mut nets = subnets.into_iter().flat_map(|network| &network.subnets);
                let net = nets.find(|subnet| subnet.gateway.contains(&destination));
                let net = net.map_or(destination, |subnet| subnet.gateway.trunc());
                self.doubt(format!("it comes only if the sender has a route to {net} by this host"));
            }
        }
        if let LinkKind::Bridge(_) = link.kind
            && let Some(port) = self.uplink(link, None, Towards::Address(sender))
        {
            self.hop(HopKind::Uplink, port.name, super::ends::plug_words(snapshot, port));
            self.counted(port.index, Side::Received);
            self.check_port(port)?;
        }
        let kind = if matches!(link.kind, LinkKind::Bridge(_)) { HopKind::Bridge } else { HopKind::Uplink };
        self.hop(kind, link.name, link.kind.word());
        self.counted(link.index, Side::Received);
        self.check_link(link)?;
        self.at_host(Place { inward: vec![link.name], ..Place::default() })
    }
}

/// `default by 10.0.0.2, eth0`.
fn route_words(route: &Route, link: Option<&Link>) -> String {
    let to = match route.destination.prefix_len() {
        0 => "default".to_owned(),
        _ => route.destination.to_string(),
    };
    let by = route.gateway.map(|gateway| format!(" by {gateway}")).unwrap_or_default();
    let link = link.map(|link| format!(", {}", link.name)).unwrap_or_default();
    format!("{to}{by}{link}")
}

/// RFC 1918, RFC 6598, RFC 4193, link-local.
fn private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || v4.is_link_local() || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
