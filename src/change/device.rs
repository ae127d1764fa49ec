//! PURE. PCI NICs of the host and their virtual functions (VF) for guests: which there are, why one cannot be
//! taken, what the host lacks for any, and the plan that hands one over.
//!
//! One that carries anything of the host is never taken: not the operator's session, an address, a route, a
//! bridge. That holds for the next boot too, which would take it without asking anybody.

mod attach;
mod missing;

use std::net::IpAddr;

pub use self::attach::{NewDevice, attach};
pub use self::missing::{Missing, missing};

use super::target::quote;
use crate::model::guest::{Definition, NicSource};
use crate::model::kernel::{Link, LinkKind};
use crate::model::network::{Network, NetworkDefinition};
use crate::model::pci::{GroupMember, Iommu, PciNic, VFIO};
use crate::model::{DomainState, Guest, IfName, PciAddress, Snapshot};

/// Why not, and the way out.
type Obstacle = (String, String);

/// Why nobody's guest can have this device now, and the way out.
#[must_use]
pub fn obstacle(snapshot: &Snapshot, device: PciAddress) -> Option<Obstacle> {
    let because = |reason: &str, way_out: &str| Some((reason.to_owned(), way_out.to_owned()));
    if snapshot.host.foreign_namespace {
        return because(
            "libvirt runs on another machine or in another network namespace: what the device carries there \
             cannot be seen from here",
            "run virt-net where libvirt runs",
        );
    }
    if snapshot.pci.read_at.0 == 0 || !snapshot.pci.readable || !snapshot.health.kernel.is_ok() {
        return because("what the host does with it cannot be read", "look again, as root");
    }
    let Some(nic) = snapshot.pci_nic(device) else {
        return because("there is no such PCI NIC on this host", "virt-net nic devices");
    };
    use_by_host(snapshot, nic)
        .or_else(|| use_by_guest(snapshot, device))
        .or_else(|| functions_in_the_way(nic))
        .or_else(|| without_iommu(snapshot, nic))
        .or_else(|| use_of_group(snapshot, nic))
}

/// What the host would lose by it if a guest that has this device in its definition is started, and the way out.
#[must_use]
pub fn lost_by_host(snapshot: &Snapshot, device: PciAddress) -> Option<Obstacle> {
    if snapshot.host.foreign_namespace || !snapshot.health.kernel.is_ok() {
        return None;
    }
    use_by_host(snapshot, snapshot.pci_nic(device)?)
}

/// What surely keeps every guest from this device: there is none, or the host has no IOMMU.
#[must_use]
pub fn lacking(snapshot: &Snapshot, device: PciAddress) -> Option<Obstacle> {
    if snapshot.host.foreign_namespace || snapshot.pci.read_at.0 == 0 || !snapshot.pci.readable {
        return None;
    }
    match snapshot.pci_nic(device) {
        None => {
            Some((format!("this host has no PCI NIC {device}"), "put the card in, or take it out".to_owned()))
        }
        Some(_) if snapshot.pci.iommu == Iommu::On => None,
        Some(_) => Some(missing::of_iommu(&snapshot.pci)),
    }
}

/// What the host loses if this device goes: what would cut somebody off.
fn use_by_host(snapshot: &Snapshot, nic: &PciNic) -> Option<Obstacle> {
    if nic.links.is_empty() && nic.is_used_by_host() {
        let driver = nic.driver.as_deref().unwrap_or_default();
        return Some((
            format!(
                "the host's driver {driver} has it, but no link of it is seen here: it may be in another network \
                 namespace"
            ),
            "find out who uses it (lsns -t net)".to_owned(),
        ));
    }
    nic.links.iter().find_map(|name| {
        let Some(link) = snapshot.link_named(*name) else {
            let reason = format!("what its link {name} carries is not known");
            return Some((reason, "look again".to_owned()));
        };
        use_of_link(snapshot, link)
    })
}

fn use_of_link(snapshot: &Snapshot, link: &Link) -> Option<Obstacle> {
    let another = "choose another device".to_owned();
    let above = above(snapshot, link);
    if let Some(by) = above.iter().find(|upper| Some(upper.name) == snapshot.host.ssh_link) {
        let by = if by.name == link.name { String::new() } else { format!(" (by {})", by.name) };
        let peer = snapshot.host.ssh_peer.map(|peer| format!(" from {peer}")).unwrap_or_default();
        return Some((format!("{}{by} carries your own session{peer}", link.name), another));
    }
    if let Some(master) = link.master {
        let Some(master) = snapshot.link(master) else {
            return Some((format!("{} is a port of a link that is not known", link.name), another));
        };
        let way_out = match master.kind {
            LinkKind::Bridge(_) => {
                format!("take it out first: virt-net bridge remove-port {} {}", master.name, link.name)
            }
            _ => another,
        };
        return Some((format!("{} is a port of {}", link.name, master.name), way_out));
    }
    if let Some(upper) = above.iter().find(|upper| upper.index != link.index) {
        let whose = snapshot.nics.iter().find(|nic| nic.link == Some(upper.index));
        let whose = whose.map(|nic| format!(" ({} of {})", nic.mac_text(), nic.guest)).unwrap_or_default();
        return Some((format!("{}{whose} sits on {}", upper.name, link.name), another));
    }
    let own = snapshot.kernel.addresses.iter().filter(|address| address.index == link.index);
    if let Some(address) = own.map(|own| own.address).find(|address| !is_link_local(address.addr())) {
        let way_out = format!("give the address to another link first, or {another}");
        return Some((format!("the host has {address} on {}", link.name), way_out));
    }
    let routes = snapshot.kernel.routes.iter().filter(|route| route.oif == Some(link.index));
    let mut routes = routes.filter(|route| {
        let to = route.destination.addr();
        !to.is_multicast() && (route.destination.prefix_len() == 0 || !is_link_local(to))
    });
    let route = routes.next()?;
    Some((format!("the host's route {} goes by it", route.words(link.name)), another))
}

/// A link and every link that stands on it: bridges and bonds, VLANs and macvtaps, and what stands on those.
fn above<'a>(snapshot: &'a Snapshot, link: &'a Link) -> Vec<&'a Link> {
    let mut found = vec![link];
    let mut at = 0;
    while let Some(below) = found.get(at).copied() {
        at += 1;
        let on_it = |other: &&Link| {
            below.master == Some(other.index) || (other.lower == Some(below.index) && !other.lower_elsewhere)
        };
        let new: Vec<&Link> = snapshot.kernel.links.iter().filter(on_it).collect();
        found.extend(new.into_iter().filter(|new| !matches!(new.kind, LinkKind::Veth)));
        // A link is found once, so that this ends.
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|link| seen.insert(link.index));
    }
    found
}

/// Not an address that every link has by itself.
fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// A guest that has a device in one of its definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder<'a> {
    /// The guest.
    pub guest: &'a Guest,
    /// It runs with it; else only its next boot has it.
    pub runs: bool,
}

/// The guests that have this device, those that run with it first.
#[must_use]
pub fn holders(snapshot: &Snapshot, device: PciAddress) -> Vec<Holder<'_>> {
    let has = |definition: Option<&Definition>| {
        let source = NicSource::Hostdev { address: Some(device) };
        let nics = definition.into_iter().flat_map(|has| has.nics.iter().chain(&has.devices));
        nics.into_iter().any(|nic| nic.source == source)
    };
    let guests = snapshot.libvirt.guests.iter();
    let mut holders: Vec<Holder<'_>> = guests
        .filter_map(|guest| {
            let runs = has(guest.live.as_ref());
            (runs || has(guest.next.as_ref())).then_some(Holder { guest, runs })
        })
        .collect();
    holders.sort_by_key(|holder| !holder.runs);
    holders
}

/// Why a guest that is plugged into an SR-IOV pool would get no device from it, and the way out. `None` for any other
/// network.
///
/// libvirt hands out the first device that no guest has by this network, whoever else may have it.
#[must_use]
pub fn pool_obstacle(snapshot: &Snapshot, network: &Network) -> Option<Obstacle> {
    let pool = network.live.as_ref().filter(|_| network.is_pool())?;
    let by_pool = |device: PciAddress| {
        snapshot.nics.iter().any(|nic| nic.device == Some(device) && nic.network == Some(network.id))
    };
    let Some(first) = pool.devices.iter().find(|device| !by_pool(**device)) else {
        let count = pool.devices.len();
        return Some((
            format!("guests have all of its {count} devices"),
            "remove a NIC of another guest, or give the card more virtual functions".to_owned(),
        ));
    };
    let (reason, way_out) = obstacle(snapshot, *first)?;
    Some((format!("libvirt would give it {first}, but {reason}"), way_out))
}

/// The network that hands this device out by itself.
fn pool_of(snapshot: &Snapshot, device: PciAddress) -> Option<&Network> {
    let hands_out = |definition: &NetworkDefinition| definition.devices.contains(&device);
    let networks = snapshot.libvirt.networks.iter();
    networks.filter(|network| network.is_pool()).find(|network| network.live.as_ref().is_some_and(hands_out))
}

fn use_by_guest(snapshot: &Snapshot, device: PciAddress) -> Option<Obstacle> {
    let holder = holders(snapshot, device).into_iter().find(|holder| holder.runs)?;
    let state = if holder.guest.state == DomainState::Running { "runs" } else { holder.guest.state.word() };
    let way_out = format!("remove it there first: virt-net nic remove {}", quote(&holder.guest.name));
    Some((format!("{} has it and {state}", holder.guest.name), way_out))
}

fn functions_in_the_way(nic: &PciNic) -> Option<Obstacle> {
    if nic.functions.is_empty() {
        return None;
    }
    let count = nic.functions.len();
    Some((
        format!("it has {count} virtual functions, which would go with it"),
        format!(
            "assign one of those ({}), or: echo 0 > /sys/bus/pci/devices/{}/sriov_numvfs",
            listed(&nic.functions),
            nic.address
        ),
    ))
}

fn without_iommu(snapshot: &Snapshot, nic: &PciNic) -> Option<Obstacle> {
    if snapshot.pci.iommu != Iommu::On {
        return Some(missing::of_iommu(&snapshot.pci));
    }
    nic.group.is_none().then(|| {
        let way_out = "choose another device, or see the kernel's log (dmesg | grep -i iommu)";
        ("it is in no IOMMU group".to_owned(), way_out.to_owned())
    })
}

/// A group goes to one guest, and only when no driver of the host has anything in it.
fn use_of_group(snapshot: &Snapshot, nic: &PciNic) -> Option<Obstacle> {
    let group = nic.group.as_ref()?;
    let used: Vec<&GroupMember> = group.others.iter().filter(|other| other.is_used_by_host()).collect();
    if !used.is_empty() {
        let names: Vec<String> = used.iter().map(|other| member(snapshot, other)).collect();
        let reason = format!("IOMMU group {} is shared with {}", group.number, names.join(", "));
        let way_out = format!(
            "a group goes to one guest as a whole: give those to {VFIO} too (driverctl set-override {} {VFIO}), \
             or put the card into another slot",
            used.first().map(|other| other.address.to_string()).unwrap_or_default()
        );
        return Some((reason, way_out));
    }
    group.others.iter().find_map(|other| {
        let holder = holders(snapshot, other.address).into_iter().find(|holder| holder.runs)?;
        let reason =
            format!("{} has {} of the same IOMMU group {}", holder.guest.name, other.address, group.number);
        Some((reason, "a group goes to one guest as a whole".to_owned()))
    })
}

/// `0000:03:00.1 (igb, eth1)`.
fn member(snapshot: &Snapshot, member: &GroupMember) -> String {
    let links = snapshot.pci_nic(member.address).map(|nic| nic.links.as_slice()).unwrap_or_default();
    let words = member.driver.iter().cloned().chain(links.iter().map(ToString::to_string));
    let words: Vec<String> = words.collect();
    format!("{} ({})", member.address, words.join(", "))
}

fn listed(addresses: &[PciAddress]) -> String {
    let shown: Vec<String> = addresses.iter().take(3).map(ToString::to_string).collect();
    let more = if addresses.len() > shown.len() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// What kind of NIC it is, in a few words: `VF 1 of enp1s0f0`, `card with 4 of 63 VFs`, `NIC`.
#[must_use]
pub fn kind(snapshot: &Snapshot, nic: &PciNic) -> String {
    if let Some(physical) = nic.physical {
        let card = snapshot.pci_nic(physical);
        let number = card.and_then(|card| card.functions.iter().position(|other| *other == nic.address));
        let number = number.map(|number| format!(" {number}")).unwrap_or_default();
        let of = card.and_then(link_of).map_or_else(|| physical.to_string(), |link| link.to_string());
        return format!("VF{number} of {of}");
    }
    if nic.most_functions > 0 {
        return format!("card with {} of {} VFs", nic.functions.len(), nic.most_functions);
    }
    "NIC".to_owned()
}

/// The first link of a device.
fn link_of(nic: &PciNic) -> Option<IfName> {
    nic.links.first().copied()
}

/// How a device stands, in a few words: free, or why it cannot be taken; who has it in a definition.
#[must_use]
pub fn state(snapshot: &Snapshot, nic: &PciNic) -> String {
    if let Some((reason, _)) = obstacle(snapshot, nic.address) {
        return reason;
    }
    let defined: Vec<String> = holders(snapshot, nic.address)
        .iter()
        .map(|holder| {
            format!("{} ({}) has it in its definition", holder.guest.name, holder.guest.state.word())
        })
        .collect();
    let pool = pool_of(snapshot, nic.address).map(|network| format!("network {} hands it out", network.name));
    let told: Vec<String> = std::iter::once("free".to_owned()).chain(defined).chain(pool).collect();
    told.join("; ")
}
