//! PURE. The one place where facts become a [`Snapshot`]:
//! NIC ↔ link ↔ port ↔ bridge ↔ network ↔ rules ↔ uplink.
//!
//! libvirt says what should be, the kernel what is. Where both speak of the same thing both are kept
//! (`bridge` and `expected_bridge`), so that the screen can show the difference.

mod addresses;
mod bridges;
mod nics;
mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facts::Facts;
use super::firewall::FirewallFacts;
use super::guest::NicConfig;
use super::ids::{DomainId, IfIndex, IfName, Mac, NicId};
use super::kernel::{KernelFacts, Link, LinkKind, Route};
use super::network::{ForwardMode, Network};
use super::pci::PciNic;
use super::rates::History;
use super::snapshot::{PortRole, Snapshot};

/// Joins facts into a snapshot. `before` gives the rules' rates and whether the structure changed.
#[must_use]
pub fn join(facts: Facts, history: Arc<History>, before: Option<&Snapshot>) -> Snapshot {
    let host = Host::new(&facts);
    let nics = nics::join(&host, &history);
    let bridges = bridges::join(&host, &nics, &history);
    let rules = rules::join(&host, before);
    let link_positions = facts.kernel.links.iter().enumerate().map(|(at, link)| (link.index, at)).collect();
    let changed = before.is_none_or(|before| !same_structure(&before.facts, &facts));
    Snapshot {
        generation: before.map_or(0, |before| before.generation) + 1,
        structure: before.map_or(0, |before| before.structure) + u64::from(changed),
        nics,
        bridges,
        rules,
        link_positions,
        history,
        facts,
    }
}

/// The facts with the look-ups that every part of the join needs.
struct Host<'a> {
    facts: &'a Facts,
    by_index: BTreeMap<IfIndex, &'a Link>,
    by_name: BTreeMap<IfName, &'a Link>,
    pci: &'a [PciNic],
}

impl<'a> Host<'a> {
    fn new(facts: &'a Facts) -> Self {
        let links = &facts.kernel.links;
        // The names that a daemon elsewhere gives are other links: nothing may be found by them.
        let named = if facts.host.foreign_namespace { &[] } else { links.as_slice() };
        Self {
            facts,
            by_index: links.iter().map(|link| (link.index, link)).collect(),
            by_name: named.iter().map(|link| (link.name, link)).collect(),
            pci: facts.pci_nics(),
        }
    }

    fn link(&self, index: IfIndex) -> Option<&'a Link> {
        self.by_index.get(&index).copied()
    }

    fn network_named(&self, name: &str) -> Option<&'a Network> {
        self.facts.libvirt.networks.iter().find(|network| network.name == name)
    }

    /// The bridge a link is a port of; `None` for a bond's or no master.
    fn bridge_of(&self, link: &Link) -> Option<&'a Link> {
        self.link(link.master?).filter(|master| matches!(master.kind, LinkKind::Bridge(_)))
    }

    /// The network that made or uses this bridge: one that routes over it rather than one that only
    /// borrows it, an active one rather than an inactive one.
    fn network_of_bridge(&self, bridge: IfName) -> Option<&'a Network> {
        self.by_name.get(&bridge)?;
        let mut candidates: Vec<&Network> =
            self.facts.libvirt.networks.iter().filter(|network| network.bridge() == Some(bridge)).collect();
        candidates.sort_by_key(|network| (!network.active, network.forward() == ForwardMode::Bridge));
        candidates.into_iter().next()
    }

    /// What a port of this bridge that is no guest's is for. libvirt takes the bridges of its own networks out by
    /// routing alone, so a veth there is a container's; so is one in another namespace with the name that the kernel
    /// and container programs give. Any other veth is what a host has that is a container itself.
    fn role_of_port(&self, port: &Link, bridge: &Link) -> PortRole {
        let is_routed = || {
            let network = self.network_of_bridge(bridge.name);
            network.is_some_and(|network| network.active && network.owns_bridge())
        };
        match port.kind {
            LinkKind::Tap | LinkKind::Tun => PortRole::Tap,
            _ if port.is_dummy() => PortRole::Dummy,
            LinkKind::Veth if port.lower_elsewhere && port.name.as_bytes().starts_with(b"veth") => {
                PortRole::Container
            }
            LinkKind::Veth if is_routed() => PortRole::Container,
            _ => PortRole::Uplink,
        }
    }

    /// Links that default routes leave by, best metric first.
    fn default_links(&self) -> Vec<IfName> {
        let mut routes: Vec<_> = self
            .facts
            .kernel
            .routes
            .iter()
            .filter(|route| route.destination.prefix_len() == 0 && route.table == Route::MAIN)
            .filter(|route| route.destination.addr().is_ipv4() && !route.linkdown)
            .collect();
        routes.sort_by_key(|route| route.metric);
        let mut names: Vec<IfName> = Vec::new();
        for link in routes.into_iter().filter_map(|route| self.link(route.oif?)) {
            if !names.contains(&link.name) {
                names.push(link.name);
            }
        }
        names
    }
}

/// Whether two reads differ in nothing but counters, ages, leases, neighbours and learned MACs: a plan
/// made from the one holds for the other.
fn same_structure(a: &Facts, b: &Facts) -> bool {
    (Arc::ptr_eq(&a.kernel, &b.kernel) || same_kernel(&a.kernel, &b.kernel))
        && (Arc::ptr_eq(&a.libvirt, &b.libvirt) || same_libvirt(a, b))
        && (Arc::ptr_eq(&a.firewall, &b.firewall) || same_rules(&a.firewall, &b.firewall))
        && (Arc::ptr_eq(&a.pci, &b.pci) || a.pci == b.pci)
        && a.services.unfinished == b.services.unfinished
        && a.health == b.health
}

fn same_kernel(a: &KernelFacts, b: &KernelFacts) -> bool {
    a.links == b.links && a.addresses == b.addresses && a.routes == b.routes && a.settings == b.settings
}

fn same_libvirt(a: &Facts, b: &Facts) -> bool {
    let networks = |facts: &Facts| -> Vec<Network> {
        let without_leases = |network: &Network| Network { leases: Vec::new(), ..network.clone() };
        facts.libvirt.networks.iter().map(without_leases).collect()
    };
    let same_guests = a.libvirt.guests.len() == b.libvirt.guests.len()
        && a.libvirt.guests.iter().zip(&b.libvirt.guests).all(|(a, b)| {
            (a.id, a.state, a.autostart, a.persistent) == (b.id, b.state, b.autostart, b.persistent)
                && (&a.name, &a.live, &a.next) == (&b.name, &b.live, &b.next)
        });
    same_guests && networks(a) == networks(b) && a.libvirt.node_nics == b.libvirt.node_nics
}

fn same_rules(a: &FirewallFacts, b: &FirewallFacts) -> bool {
    a.generation == b.generation
        && a.rules.len() == b.rules.len()
        && a.rules
            .iter()
            .zip(&b.rules)
            .all(|(a, b)| (a.handle, &a.chain, &a.raw) == (b.handle, &b.chain, &b.raw))
}

/// Identity of a NIC within its guest: its MAC and which of those with that MAC.
fn nth_of(nics: &[NicConfig], domain: DomainId) -> Vec<(NicId, &NicConfig)> {
    let mut ids = Vec::with_capacity(nics.len());
    for nic in nics {
        // A definition without a MAC is one libvirt has not completed: it cannot be addressed.
        let mac = nic.mac.unwrap_or(Mac::NONE);
        let before = ids.iter().filter(|(id, _): &&(NicId, _)| id.mac == mac).count();
        ids.push((NicId { domain, mac, nth: u8::try_from(before).unwrap_or(u8::MAX) }, nic));
    }
    ids
}
