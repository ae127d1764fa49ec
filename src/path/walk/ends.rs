//! PURE. The two ends: a guest's NIC with its plug, and what an address is seen from here.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Ended, Step, Walk};
use crate::model::guest::{MacvtapMode, NicSource};
use crate::model::kernel::PortState;
use crate::model::{DomainState, IfIndex, Link, LinkKind, Nic, Snapshot};
use crate::path::packet::{Answer, Flow, is_local, single};
use crate::path::{HopKind, INTERNET, INTERNET6, Side};

/// What an address is, seen from this host.
#[derive(Debug, Clone, Copy)]
pub(super) enum End<'a> {
    /// One of the host's own.
    Host,
    /// Another guest's NIC on this host.
    Guest(&'a Nic),
    /// Anything else.
    Outside(IpAddr),
}

impl<'a> End<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, address: IpAddr, own: &Nic) -> Self {
        if is_local(&snapshot.kernel, address) {
            return Self::Host;
        }
        let mut nics = snapshot.nics.iter().filter(|nic| nic.id != own.id);
        nics.find(|nic| has_address(nic, address)).map_or(Self::Outside(address), Self::Guest)
    }

    pub(super) fn words(self, snapshot: &Snapshot) -> String {
        match self {
            Self::Host if snapshot.host.name.is_empty() => "host".to_owned(),
            Self::Host => snapshot.host.name.clone(),
            Self::Guest(nic) => nic.guest.clone(),
            Self::Outside(address) if address == INTERNET || address == INTERNET6 => "internet".to_owned(),
            Self::Outside(address) => address.to_string(),
        }
    }
}

/// The NIC answers to this address now, as far as is known.
pub(super) fn has_address(nic: &Nic, address: IpAddr) -> bool {
    nic.state.is_active() && nic.addresses.iter().any(|own| !own.stale && own.address == address)
}

/// The NIC's address of the peer's family, or the net it must be in.
pub(super) fn guess_source(snapshot: &Snapshot, nic: &Nic, peer: IpAddr) -> IpNet {
    let same = |address: IpAddr| address.is_ipv4() == peer.is_ipv4();
    let local = |address: IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let known = nic.addresses.iter().find(|own| !own.stale && same(own.address) && !local(own.address));
    if let Some(own) = known {
        return IpNet::from(own.address);
    }
    let network = nic.network.and_then(|id| snapshot.network(id)).and_then(crate::model::Network::current);
    let mut subnets = network.into_iter().flat_map(|definition| &definition.subnets);
    subnets.find(|subnet| same(subnet.gateway.addr())).map_or_else(
        || {
            if peer.is_ipv4() {
                IpNet::V4(ipnet::Ipv4Net::default())
            } else {
                IpNet::V6(ipnet::Ipv6Net::default())
            }
        },
        |subnet| subnet.gateway.trunc(),
    )
}

/// Whether the guest takes an address to be on its own link.
pub(super) fn on_link(snapshot: &Snapshot, nic: &Nic, own: IpNet, peer: IpAddr) -> Answer {
    if single(own).is_none() && own.prefix_len() > 0 {
        return if own.contains(&peer) { Answer::Yes } else { Answer::No };
    }
    let Some(address) = single(own) else { return Answer::Unknown };
    if address == peer {
        return Answer::Yes;
    }
    let prefix = nic.addresses.iter().find(|known| known.address == address).and_then(|known| known.prefix);
    // A bridged guest's prefix is not told by the neighbour table; the host's own on that LAN stands for it.
    let like_the_host = || {
        let nets = snapshot.kernel.addresses.iter().map(|own| own.address);
        nets.filter(|net| net.contains(&address) && net.prefix_len() > 0).map(|net| net.prefix_len()).max()
    };
    let Some(net) = prefix.or_else(like_the_host).and_then(|prefix| IpNet::new(address, prefix).ok()) else {
        return Answer::Unknown;
    };
    if net.contains(&peer) { Answer::Yes } else { Answer::No }
}

/// Why the way to or from a guest's own card is not followed.
pub(super) const DEVICE: &str = "a device of its own: its packets go by the card and never touch the host";

/// Plugged so that the LAN sees it with its own MAC.
pub(in crate::path) fn bridged_out(snapshot: &Snapshot, nic: &Nic) -> bool {
    nic.lower.is_some()
        || nic
            .bridge
            .and_then(|bridge| snapshot.bridge_named(bridge))
            .is_some_and(|bridge| bridge.uplinks().next().is_some())
}

impl<'a> Walk<'a> {
    /// A guest sends.
    pub(super) fn guest_sends(&mut self, nic: &Nic) -> Step {
        self.guest(nic)?;
        let link = self.plug(nic, Towards::Host)?;
        match &link.kind {
            LinkKind::Macvtap { mode } | LinkKind::Macvlan { mode } => self.macvtap_sends(nic, link, *mode),
            _ => self.tap_sends(nic, link),
        }
    }

    /// The last two hops.
    pub(super) fn reach_guest(&mut self, nic: &Nic) -> Step {
        self.plug(nic, Towards::Guest)?;
        self.guest(nic)
    }

    fn guest(&mut self, nic: &Nic) -> Step {
        let address = nic.addresses.iter().find(|own| !own.stale).map(|own| format!(" {}", own.address));
        self.hop(HopKind::Guest, &nic.guest, format!("{}{}", nic.id.mac, address.unwrap_or_default()));
        match nic.state {
            DomainState::Paused | DomainState::Suspended => {
                self.stop(format!("the guest is {}", nic.state.word()))
            }
            state if state.is_active() => Ok(()),
            DomainState::Unknown => self.lose("libvirt does not say whether the guest runs"),
            _ => self.stop("the guest is off"),
        }
    }

    /// The host's end of the NIC's cable.
    fn plug(&mut self, nic: &Nic, towards: Towards) -> Result<&'a Link, Ended> {
        let name = match (nic.link_name, nic.device) {
            (Some(name), _) => name.to_string(),
            (None, Some(device)) => device.to_string(),
            (None, None) => "–".to_owned(),
        };
        let Some(link) = nic.link.and_then(|index| self.snapshot.link(index)) else {
            self.hop(HopKind::Tap, name, "");
            return Err(self.no_link(nic));
        };
        let macvtap = matches!(link.kind, LinkKind::Macvtap { .. } | LinkKind::Macvlan { .. });
        let kind = if macvtap { HopKind::Macvtap } else { HopKind::Tap };
        self.hop(kind, name, plug_words(self.snapshot, link));
        // A tap is the host's end of the cable, a macvtap the guest's.
        let received = (towards == Towards::Host) != macvtap;
        self.counted(link.index, if received { Side::Received } else { Side::Sent });
        if nic.config().is_some_and(|config| config.link_down) {
            self.stop("its cable is pulled (<link state='down'/>)")?;
        }
        self.check_link(link)?;
        match &link.port {
            Some(port) if port.state != PortState::Forwarding => {
                self.stop(format!("port {} is {}, not forwarding", link.name, port.state.word()))?;
            }
            _ => {}
        }
        Ok(link)
    }

    fn no_link(&mut self, nic: &Nic) -> Ended {
        let ended = match nic.source() {
            _ if self.snapshot.host.foreign_namespace => {
                self.lose("libvirt runs on another machine or in another network namespace")
            }
            Some(NicSource::User) => self.lose("user-mode networking: the emulator itself sends for it"),
            Some(NicSource::Hostdev { .. }) => self.lose(DEVICE),
            _ if nic.device.is_some() => self.lose(DEVICE),
            Some(NicSource::Vhostuser { .. }) => {
                self.lose("a user-space switch (vhost-user) has its packets")
            }
            Some(NicSource::Other { .. }) => self.lose("this kind of NIC has no link on the host"),
            _ if !self.snapshot.health.kernel.is_ok() => self.lose("the kernel's links could not be read"),
            _ => self.stop("its link on the host is missing"),
        };
        ended.err().unwrap_or(Ended)
    }

    fn tap_sends(&mut self, nic: &Nic, link: &'a Link) -> Step {
        self.packet.station = Some(nic.id.mac);
        let Some(master) = link.master else {
            let believes = nic.expected_bridge.map(|bridge| format!("; libvirt believes {bridge}"));
            return self.stop(format!("{} is on no bridge{}", link.name, believes.unwrap_or_default()));
        };
        match self.snapshot.link(master) {
            Some(bridge) if matches!(bridge.kind, LinkKind::Bridge(_)) => {
                let towards = self.guests_next_hop(nic, bridge);
                self.port_receives(bridge, link, towards)
            }
            Some(other) => self.lose(format!("{} is not a bridge of the kernel: not followed", other.name)),
            None => self.lose("its master is not known"),
        }
    }

    /// A macvtap sends to its siblings, by its mode, or onto the wire; never to the host behind it.
    fn macvtap_sends(&mut self, nic: &Nic, link: &'a Link, mode: MacvtapMode) -> Step {
        let lower = link.lower.filter(|_| !link.lower_elsewhere).and_then(|index| self.snapshot.link(index));
        let Some(lower) = lower else {
            return self.lose("its lower link is in another network namespace");
        };
        let target = self.to();
        match End::of(self.snapshot, target, nic) {
            End::Guest(other) if other.lower == Some(lower.name) => {
                let theirs = self.mode_of(other);
                if mode == MacvtapMode::Bridge && theirs == Some(MacvtapMode::Bridge) {
                    self.wire_hop(lower, Side::Sent, "handed on below the wire");
                    return self.reach_guest(other);
                }
                let theirs = theirs.map_or("unknown", MacvtapMode::word);
                self.stop(format!(
                    "macvtaps in mode {} and {theirs} do not hand each other frames on {}; only a switch that \
                     reflects them (hairpin) would",
                    mode.word(),
                    lower.name
                ))
            }
            End::Host => self.macvtap_sends_to_host(lower, mode),
            end => {
                self.wire_hop(lower, Side::Sent, "lower link");
                self.check_link(lower)?;
                self.doubt_siblings(nic, lower, mode);
                let next = if on_link(self.snapshot, nic, self.packet.source, target) == Answer::Yes {
                    super::bridge::Towards::Address(target)
                } else {
                    super::bridge::Towards::LanGateway
                };
                self.beyond(end, next)
            }
        }
    }

    /// A sibling whose address is not known may be the one that is meant, and out of reach.
    fn doubt_siblings(&mut self, nic: &Nic, lower: &Link, mode: MacvtapMode) {
        let apart = |other: &&Nic| {
            let known = other.addresses.iter().any(|own| !own.stale);
            let together = mode == MacvtapMode::Bridge && self.mode_of(other) == Some(MacvtapMode::Bridge);
            other.id != nic.id && other.lower == Some(lower.name) && !known && !together
        };
        let found = self.snapshot.nics.iter().find(apart);
        // What stands for the internet or has been seen on the wire is no sibling.
        let target = self.to();
        let elsewhere = target == INTERNET
            || target == INTERNET6
            || self.snapshot.kernel.neighbours.iter().any(|seen| seen.address == target);
        if let Some(other) = found.filter(|_| !elsewhere) {
            self.doubt(format!(
                "{target} may be {}'s, which mode {} does not reach",
                other.guest,
                mode.word()
            ));
        }
    }

    fn macvtap_sends_to_host(&mut self, lower: &'a Link, mode: MacvtapMode) -> Step {
        let target = self.to();
        if let Some(shim) = self.shim(lower, mode) {
            self.wire_hop(lower, Side::Sent, format!("handed to {} below the wire", shim.name));
            self.shim_answers(shim)?;
            return self.at_host(super::Place { inward: vec![shim.name], ..super::Place::default() });
        }
        let owners: Vec<&Link> = self.links_with(target);
        if owners.iter().any(|link| link.index == lower.index) {
            return self.stop(format!(
                "a macvtap never reaches the host behind its own link: {target} is on {}",
                lower.name
            ));
        }
        self.wire_hop(lower, Side::Sent, "lower link");
        self.check_link(lower)?;
        self.lan_to_host(Some(lower))
    }

    /// By the LAN's switch to the link that has the host's address.
    pub(super) fn lan_to_host(&mut self, by: Option<&Link>) -> Step {
        let target = self.to();
        let owners = self.links_with(target);
        self.hop(HopKind::Outside, "LAN", "through the switch");
        let Some(owner) = owners.first() else { return self.lose("no link has that address") };
        if matches!(owner.kind, LinkKind::Bridge(_)) && !self.leads_out(owner) {
            let by = by.map_or_else(String::new, |link| format!(" behind {}", link.name));
            return self.stop(format!("{target} is on {}, which the LAN{by} is not on", owner.name));
        }
        self.at_host(super::Place { inward: vec![owner.name], ..super::Place::default() })
    }

    /// A shim answers the guest's ARP request for the host's address, and the host's answers go by it.
    fn shim_answers(&mut self, shim: &Link) -> Step {
        let snapshot = self.snapshot;
        let Some(guest) = single(self.packet.source) else {
            return self.lose(format!(
                "whether {} has a route to the guest cannot be told: its address is not known",
                shim.name
            ));
        };
        let by = snapshot.kernel.route_to(guest).and_then(|route| route.oif);
        if by != Some(shim.index) {
            return self.stop(format!("the host has no route to {guest} by its shim {}", shim.name));
        }
        let target = self.to();
        let own = snapshot
            .kernel
            .addresses
            .iter()
            .any(|own| own.index == shim.index && own.address.addr() == target);
        match snapshot.kernel.settings.arp_ignore {
            _ if own => {}
            _ if target.is_ipv6() => {
                self.stop(format!("{} does not answer for {target}: it is on another link", shim.name))?;
            }
            None | Some(0 | 3) => {}
            Some(value) => {
                let deaf = format!(
                    "{} does not answer for {target}: net.ipv4.conf.all.arp_ignore is {value}",
                    shim.name
                );
                if self.packet.flow != Some(Flow::Reply) {
                    return self.stop(deaf);
                }
                // It has heard the host's own question.
                self.doubt(format!("{deaf}; the guest can answer only while it remembers who asked"));
            }
        }
        Ok(())
    }

    /// The host's own macvlan in bridge mode on the same link: with a route to the guest by it the way around
    /// a macvtap's isolation.
    pub(super) fn shim(&self, lower: &Link, mode: MacvtapMode) -> Option<&'a Link> {
        if mode != MacvtapMode::Bridge {
            return None;
        }
        let snapshot = self.snapshot;
        snapshot.kernel.links.iter().find(|link| {
            let bridge = LinkKind::Macvlan { mode: MacvtapMode::Bridge };
            link.kind == bridge && link.lower == Some(lower.index) && !link.lower_elsewhere && link.up
        })
    }

    pub(super) fn mode_of(&self, nic: &Nic) -> Option<MacvtapMode> {
        match self.snapshot.link(nic.link?)?.kind {
            LinkKind::Macvtap { mode } | LinkKind::Macvlan { mode } => Some(mode),
            _ => None,
        }
    }

    fn wire_hop(&mut self, link: &Link, side: Side, detail: impl Into<String>) {
        self.hop(HopKind::Uplink, link.name, detail);
        self.counted(link.index, side);
    }

    /// From the LAN to a NIC that is seen there.
    pub(super) fn arrive(&mut self, nic: &Nic) -> Step {
        if let Some(lower) = nic.lower.and_then(|name| self.snapshot.link_named(name)) {
            self.wire_hop(lower, Side::Received, "lower link");
            self.check_link(lower)?;
            return self.reach_guest(nic);
        }
        let bridge = nic.bridge.and_then(|bridge| self.snapshot.link_named(bridge));
        let towards = super::bridge::Towards::LanGateway;
        let Some((bridge, port)) =
            bridge.and_then(|bridge| Some((bridge, self.uplink(bridge, None, towards)?)))
        else {
            self.hop(HopKind::Uplink, "–", "");
            return self.stop("its bridge has no uplink");
        };
        self.wire_hop(port, Side::Received, plug_words(self.snapshot, port));
        self.check_port(port)?;
        self.port_receives(bridge, port, super::bridge::Towards::Nic(nic.id))
    }

    /// An uplink port: up, with a carrier, forwarding.
    pub(super) fn check_port(&mut self, link: &Link) -> Step {
        self.check_link(link)?;
        if link.forwards() {
            return Ok(());
        }
        self.stop(format!("port {} does not forward yet", link.name))
    }

    pub(super) fn links_with(&self, address: IpAddr) -> Vec<&'a Link> {
        let snapshot = self.snapshot;
        let indexes: Vec<IfIndex> = snapshot
            .kernel
            .addresses
            .iter()
            .filter(|own| own.address.addr() == address)
            .map(|own| own.index)
            .collect();
        indexes.into_iter().filter_map(|index| snapshot.link(index)).collect()
    }

    pub(super) fn leads_out(&self, bridge: &Link) -> bool {
        self.snapshot.bridge_named(bridge.name).is_some_and(|bridge| bridge.uplinks().next().is_some())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Towards {
    Host,
    Guest,
}

/// `port of virbr0, forwarding, isolated`.
pub(super) fn plug_words(snapshot: &Snapshot, link: &Link) -> String {
    let mut words = match &link.kind {
        LinkKind::Macvtap { mode } | LinkKind::Macvlan { mode } => {
            let lower = link.lower.and_then(|index| snapshot.link(index)).map(|lower| lower.name.to_string());
            format!("macvtap on {}, mode {}", lower.unwrap_or_else(|| "?".to_owned()), mode.word())
        }
        _ => match link.master.and_then(|index| snapshot.link(index)) {
            Some(master) => format!("port of {}", master.name),
            None => link.kind.word().to_owned(),
        },
    };
    if let Some(port) = &link.port {
        words = format!("{words}, {}", port.state.word());
        words.push_str(if port.isolated { ", isolated" } else { "" });
        words.push_str(if port.hairpin { ", hairpin" } else { "" });
    }
    words
}
