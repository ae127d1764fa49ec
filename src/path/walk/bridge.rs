//! PURE. A frame in a bridge: up to the host, to another port, or out by an uplink.

use std::net::IpAddr;

use super::ends::{DEVICE, End, bridged_out, has_address, on_link};
use super::{Place, Step, Walk};
use crate::model::firewall::{Family, Hook};
use crate::model::{ForwardMode, IfName, Link, LinkKind, Network, Nic, NicId};
use crate::path::packet::{Answer, is_local};
use crate::path::{HopKind, Side};

/// Whom a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Towards {
    /// Whoever answers for this address.
    Address(IpAddr),
    /// The router of the LAN behind the uplink, whose address is not known here.
    LanGateway,
    /// This NIC.
    Nic(NicId),
}

/// Where a bridge sends a frame.
enum Decision<'a> {
    /// To the host itself, which takes it as come in by one of these.
    Host(Vec<IfName>),
    /// To a guest's port.
    Nic(&'a Nic),
    /// Out by this port.
    Uplink(&'a Link),
    /// Nobody there has that address.
    Nobody,
    /// Somebody there may have it.
    Perhaps,
}

impl<'a> Walk<'a> {
    /// Where the guest sends a packet for its destination: to it directly, or to its gateway.
    pub(super) fn guests_next_hop(&self, nic: &Nic, bridge: &Link) -> Towards {
        let target = self.to();
        match on_link(self.snapshot, nic, self.packet.source, target) {
            Answer::Yes => Towards::Address(target),
            Answer::No => self.gateway(nic, bridge).map_or(Towards::LanGateway, Towards::Address),
            Answer::Unknown if self.on_this_bridge(bridge, target) => Towards::Address(target),
            Answer::Unknown => Towards::LanGateway,
        }
    }

    fn on_this_bridge(&self, bridge: &Link, address: IpAddr) -> bool {
        self.links_with(address).iter().any(|link| link.index == bridge.index)
            || self
                .snapshot
                .nics
                .iter()
                .any(|nic| nic.bridge == Some(bridge.name) && has_address(nic, address))
    }

    /// The gateway that libvirt's DHCP names on a network of its own.
    fn gateway(&self, nic: &Nic, bridge: &Link) -> Option<IpAddr> {
        let network = nic.network.and_then(|id| self.snapshot.network(id))?;
        if network.bridge() != Some(bridge.name) || network.forward() == ForwardMode::Bridge {
            return None;
        }
        let v4 = self.to().is_ipv4();
        let mut subnets = network.current()?.subnets.iter().map(|subnet| subnet.gateway.addr());
        subnets.find(|gateway| gateway.is_ipv4() == v4)
    }

    /// A frame comes in by a port.
    pub(super) fn port_receives(&mut self, bridge: &'a Link, port: &'a Link, towards: Towards) -> Step {
        self.hop(HopKind::Bridge, bridge.name, self.bridge_words(bridge));
        if !bridge.up {
            self.stop(format!("{} is down", bridge.name))?;
        }
        self.doubt_vlans(bridge);
        let frame = Place { inward: vec![port.name], ..Place::default() };
        self.cross(&frame, Hook::Prerouting, Family::Bridge)?;
        match self.decide(bridge, Some(port), towards) {
            Decision::Host(inward) => {
                self.counted_bridge(bridge);
                self.cross(&frame, Hook::Input, Family::Bridge)?;
                let in_port = self.nf_call(bridge).then_some(port.name);
                self.at_host(Place { inward, in_port, ..Place::default() })
            }
            Decision::Nic(nic) => {
                let out = nic.link.and_then(|index| self.snapshot.link(index));
                self.through(bridge, port, out)?;
                self.reach_guest(nic)
            }
            Decision::Uplink(uplink) => {
                self.through(bridge, port, Some(uplink))?;
                self.out_by(uplink)?;
                self.beyond(self.end(), towards)
            }
            Decision::Nobody => self.stop(nobody(bridge, towards)),
            Decision::Perhaps => self.lose(perhaps(bridge, towards)),
        }
    }

    /// The host sends into its bridge.
    pub(super) fn bridge_sends(&mut self, bridge: &'a Link, towards: Towards) -> Step {
        self.hop(HopKind::Bridge, bridge.name, self.bridge_words(bridge));
        self.counted(bridge.index, Side::Sent);
        self.check_link(bridge)?;
        self.doubt_vlans(bridge);
        let frame = |out: Option<&Link>| Place {
            outward: out.map(|link| link.name).into_iter().collect(),
            ..Place::default()
        };
        match self.decide(bridge, None, towards) {
            Decision::Nic(nic) => {
                let out = nic.link.and_then(|index| self.snapshot.link(index));
                self.cross(&frame(out), Hook::Output, Family::Bridge)?;
                self.cross(&frame(out), Hook::Postrouting, Family::Bridge)?;
                self.reach_guest(nic)
            }
            Decision::Uplink(uplink) => {
                self.cross(&frame(Some(uplink)), Hook::Output, Family::Bridge)?;
                self.cross(&frame(Some(uplink)), Hook::Postrouting, Family::Bridge)?;
                self.out_by(uplink)?;
                self.beyond(self.end(), towards)
            }
            Decision::Host(_) => Ok(()),
            Decision::Nobody => self.stop(nobody(bridge, towards)),
            Decision::Perhaps => self.lose(perhaps(bridge, towards)),
        }
    }

    fn decide(&self, bridge: &Link, from: Option<&Link>, towards: Towards) -> Decision<'a> {
        let snapshot = self.snapshot;
        let here = |nic: &&Nic| nic.bridge == Some(bridge.name);
        let uplink = || self.uplink(bridge, from, towards);
        let address = match towards {
            Towards::Nic(id) => {
                return snapshot.nic(id).filter(here).map_or(Decision::Nobody, Decision::Nic);
            }
            Towards::LanGateway => {
                return match uplink() {
                    Some(uplink) => Decision::Uplink(uplink),
                    None if self.has_address(bridge)
                        || self.strangers(bridge, from)
                        || snapshot.may_have_router(bridge.name) =>
                    {
                        Decision::Perhaps
                    }
                    None => Decision::Nobody,
                };
            }
            Towards::Address(address) => address,
        };
        let goal = self
            .goal
            .filter(|_| self.outer.is_none() && address == self.to())
            .and_then(|id| snapshot.nic(id));
        if let Some(nic) = goal.filter(here) {
            return Decision::Nic(nic);
        }
        if self.links_with(address).iter().any(|link| link.index == bridge.index) {
            return Decision::Host(vec![bridge.name]);
        }
        let own = |nic: &&Nic| nic.link.is_some() && nic.link == from.map(|link| link.index);
        let neighbours = snapshot.nics.iter().filter(here).filter(|nic| !own(nic));
        if let Some(nic) = neighbours.clone().find(|nic| has_address(nic, address)) {
            return Decision::Nic(nic);
        }
        if is_local(&snapshot.kernel, address) {
            // The host answers for all its addresses on every link, and the LAN leads to the one that has it.
            let elsewhere = self.links_with(address).into_iter().map(|link| link.name);
            return Decision::Host(std::iter::once(bridge.name).chain(elsewhere).collect());
        }
        match uplink() {
            Some(uplink) => Decision::Uplink(uplink),
            None if self.strangers(bridge, from)
                || neighbours.clone().any(|nic| nic.state.is_active() && nic.addresses.is_empty()) =>
            {
                Decision::Perhaps
            }
            None => Decision::Nobody,
        }
    }

    /// Somebody unknown is plugged in there, by another port than this one.
    fn strangers(&self, bridge: &Link, from: Option<&Link>) -> bool {
        let other = |index| Some(index) != from.map(|link| link.index);
        let bridge = self.snapshot.bridge_named(bridge.name);
        bridge.is_some_and(|bridge| bridge.strangers().any(|port| port.carrier && other(port.index)))
    }

    /// The host has an address of the packet's family on it, so it may be a guest's gateway.
    fn has_address(&self, bridge: &Link) -> bool {
        let v4 = self.to().is_ipv4();
        let mut own = self.snapshot.kernel.addresses.iter();
        own.any(|own| own.index == bridge.index && own.address.addr().is_ipv4() == v4 && own.scope != "link")
    }

    fn doubt_vlans(&mut self, bridge: &Link) {
        if matches!(&bridge.kind, LinkKind::Bridge(info) if info.vlan_filtering) {
            self.doubt(format!(
                "{} filters VLANs: which of them its ports share is not followed",
                bridge.name
            ));
        }
    }

    /// The port that leads out: the one where the target's or the router's MAC was learned, else the first that
    /// forwards.
    pub(super) fn uplink(&self, bridge: &Link, from: Option<&Link>, towards: Towards) -> Option<&'a Link> {
        let snapshot = self.snapshot;
        let ports: Vec<&Link> = snapshot
            .bridge_named(bridge.name)?
            .uplinks()
            .filter(|port| Some(port.index) != from.map(|link| link.index))
            .filter_map(|port| snapshot.link(port.index))
            .collect();
        let next = match towards {
            Towards::Address(address) => Some(address),
            _ => snapshot.kernel.route_to(self.to()).and_then(|route| route.gateway),
        };
        let learned = || {
            let mac = snapshot.kernel.neighbours.iter().find(|seen| Some(seen.address) == next)?.mac;
            let entry = snapshot.kernel.fdb.iter().find(|entry| entry.mac == mac && !entry.permanent)?;
            ports.iter().find(|port| port.index == entry.port)
        };
        let ready = |port: &&&Link| port.up && port.carrier && port.forwards();
        learned().or_else(|| ports.iter().find(ready)).or_else(|| ports.first()).copied()
    }

    /// From port to port of one bridge.
    fn through(&mut self, bridge: &Link, from: &Link, to: Option<&Link>) -> Step {
        let isolated = |link: &Link| link.port.as_ref().is_some_and(|port| port.isolated);
        let Some(to) = to else { return Ok(()) };
        if isolated(from) && isolated(to) {
            return self.stop(format!("{} and {} are both isolated ports", from.name, to.name));
        }
        let mut frame =
            Place { inward: vec![from.name], outward: vec![to.name], in_port: None, out_port: Some(to.name) };
        let mut packet = Place {
            inward: vec![bridge.name],
            outward: Vec::new(),
            in_port: Some(from.name),
            out_port: None,
        };
        let call = self.nf_call(bridge);
        let layer = self.layer();
        if call {
            let crossed = self.cross(&packet, Hook::Prerouting, layer)?;
            self.translate_destination(&crossed, &packet);
            if crossed.translation.is_some() {
                return self
                    .lose(format!("{} sends it where its new destination is: not followed", bridge.name));
            }
        }
        packet.outward = vec![bridge.name];
        packet.out_port = Some(to.name);
        self.cross(&frame, Hook::Forward, Family::Bridge)?;
        if call {
            self.cross(&packet, Hook::Forward, layer)?;
        }
        // Here a bridge names no link that the frame came in by (`br_forward_finish`, `br_nf_post_routing`).
        frame.inward.clear();
        packet.inward.clear();
        self.cross(&frame, Hook::Postrouting, Family::Bridge)?;
        if call {
            let crossed = self.cross(&packet, Hook::Postrouting, layer)?;
            self.translate_source(&crossed, bridge, None);
        }
        Ok(())
    }

    /// The bridge hands the frames that cross it to iptables.
    fn nf_call(&self, bridge: &Link) -> bool {
        let LinkKind::Bridge(info) = &bridge.kind else { return false };
        let settings = &self.snapshot.kernel.settings;
        match self.layer() {
            Family::Ip6 => info.nf_call_ip6tables || settings.nf_call_ip6tables == Some(true),
            _ => info.nf_call_iptables || settings.nf_call_iptables == Some(true),
        }
    }

    fn out_by(&mut self, uplink: &Link) -> Step {
        self.hop(HopKind::Uplink, uplink.name, super::ends::plug_words(self.snapshot, uplink));
        self.counted(uplink.index, Side::Sent);
        self.check_port(uplink)
    }

    fn counted_bridge(&mut self, bridge: &Link) {
        let counted = crate::path::Counted::of(self.snapshot, bridge.index, Side::Received);
        let last = self.hops.iter_mut().rev().find(|hop| hop.kind == HopKind::Bridge);
        if let Some(hop) = last {
            hop.link = Some(counted);
        }
    }

    fn bridge_words(&self, bridge: &Link) -> String {
        let network = self
            .snapshot
            .bridge_named(bridge.name)
            .and_then(|bridge| self.snapshot.network(bridge.network?))
            .map(|network: &Network| format!("network {} ({})", network.name, network.forward().word()));
        let v4 = self.to().is_ipv4();
        let addresses = self.snapshot.kernel.addresses.iter().filter(|own| own.index == bridge.index);
        let address = addresses
            .map(|own| own.address)
            .find(|net| net.addr().is_ipv4() == v4)
            .map(|net| net.to_string());
        let parts: Vec<String> = [address, network].into_iter().flatten().collect();
        parts.join(", ")
    }

    /// Beyond the host's last link.
    pub(super) fn beyond(&mut self, end: End<'a>, towards: Towards) -> Step {
        self.packet.station = None;
        match end {
            End::Guest(nic) if nic.device.is_some() => {
                self.hop(HopKind::Outside, "LAN", "");
                self.lose(DEVICE)
            }
            End::Guest(nic) if bridged_out(self.snapshot, nic) => {
                self.hop(HopKind::Outside, "LAN", "through the switch");
                self.arrive(nic)
            }
            End::Guest(nic) if towards == Towards::Address(self.to()) => {
                self.hop(HopKind::Outside, "LAN", "");
                let target = self.to();
                self.stop(format!("{target} is looked for on the LAN, where {} is not plugged in", nic.guest))
            }
            End::Guest(nic) => {
                self.hop(HopKind::Outside, "LAN", "to its gateway");
                let target = self.to();
                self.doubt(format!(
                    "whether the LAN's gateway has a route to {target} by this host is not known"
                ));
                self.enter_by_route(nic)
            }
            End::Host => self.lan_to_host(None),
            End::Outside(_) => {
                let target = self.to();
                let (name, detail) = match towards {
                    Towards::Address(address) if address == target => (target.to_string(), "on the LAN"),
                    Towards::Address(address) => (address.to_string(), "next hop"),
                    _ => ("LAN".to_owned(), "the LAN's gateway"),
                };
                self.hop(HopKind::Outside, name, detail);
                Ok(())
            }
        }
    }
}

fn nobody(bridge: &Link, towards: Towards) -> String {
    match towards {
        Towards::Address(address) => {
            format!("{address} is looked for on {}, and no guest there has it", bridge.name)
        }
        Towards::LanGateway => format!("{} has no uplink and no address: nothing leads out", bridge.name),
        Towards::Nic(_) => format!("it is not on {}", bridge.name),
    }
}

fn perhaps(bridge: &Link, towards: Towards) -> String {
    match towards {
        Towards::Address(address) => {
            format!("somebody on {} whose address is not known may have {address}", bridge.name)
        }
        _ => format!("whether somebody on {} routes for the guest is not known", bridge.name),
    }
}
