//! PURE. A guest was plugged elsewhere and keeps the address of where it was: nobody told it to ask anew. Only the
//! guest's own word or packets show that; a lease that lives on says no more than that it had the address once.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::target::quote;
use crate::model::snapshot::{NicAddress, Origin};
use crate::model::{Network, Nic, Snapshot};

/// A packet older than this may be from before the guest was rebooted, in milliseconds.
const RECENT: u64 = 60_000;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot).filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    if nic.live.as_ref().is_some_and(|live| live.link_down) || nic.link.is_none() {
        return None;
    }
    let (from, old) = old_lease(snapshot, nic)?;
    let fresh =
        nic.addresses.iter().any(|seen| !seen.stale && seen.address.is_ipv4() && seen.address != old.address);
    if fresh {
        return None;
    }
    let here = nic.network.and_then(|id| snapshot.network(id)).filter(|network| network.dhcp_size() > 0);
    let used = used_here(snapshot, nic, old);
    let title = match (used, here) {
        (Some(_), _) => format!("{} still has {} of network {}", look::name(nic), old.address, from.name),
        (None, Some(here)) => {
            format!("{} has a lease of network {}, and none of {}", look::name(nic), from.name, here.name)
        }
        // Who gives addresses here is not known, so that it has none is a guess.
        (None, None) => return None,
    };
    let plug =
        nic.source().map(|source| format!("{} {}", source.kind_word(), source.plug())).unwrap_or_default();
    let severity = if used.is_some() { Severity::Warning } else { Severity::Note };
    let mut finding = Finding::new("stale-lease", severity, Subject::Nic(nic.id), title)
        .libvirt(format!("{} {} is plugged into {plug}", nic.guest, nic.id.mac))
        .libvirt(format!("its lease of network {} is {}, not ended", from.name, old.address));
    finding = match used {
        Some(Origin::Agent) => finding.libvirt(format!("the guest's agent reports {}", old.address)),
        Some(Origin::Neighbour) => {
            finding.kernel(format!("it answers for {} where it is now (neighbour table)", old.address))
        }
        Some(_) => finding.kernel(format!("a packet of it from {} was seen where it is now", old.address)),
        None => finding,
    };
    if let Some(here) = here {
        finding = finding.libvirt(format!("network {} has no lease for it", here.name));
    }
    Some(if used.is_some() {
        finding
            .means(
                "The tap was moved and the guest saw nothing of it: it goes on with an address, a gateway and a DNS server that \
                 are not there any more. Only a link that goes down and up makes it ask again; NetworkManager ignores less \
                 than five seconds.",
            )
            .fix(Fix::by("pull its cable for 6 s, so that it asks again", Remedy::Bounce { nic: nic.id }))
    } else {
        finding
            .means(
                "Which address it uses is not known here. It may still be starting, have a fixed address, or go on with \
                 the one of the other network until its lease ends or its link goes down and up.",
            )
            .fix(Fix::by_hand(
                "look at its console before anything else",
                [format!("virt-net console {}   # there: ip address", quote(&nic.guest))],
            ))
    })
}

/// What shows that the guest uses its old address where it is plugged in now.
fn used_here(snapshot: &Snapshot, nic: &Nic, old: &NicAddress) -> Option<Origin> {
    if nic.addresses.iter().any(|seen| seen.origin == Origin::Agent && seen.address == old.address) {
        return Some(Origin::Agent);
    }
    let place = nic.place()?;
    let link = snapshot.link_named(place)?.index;
    let answers = snapshot.kernel.neighbours.iter().any(|seen| {
        (seen.index, seen.mac, seen.address) == (link, nic.id.mac, old.address) && seen.state == "reachable"
    });
    let sends = snapshot.seen.iter().any(|seen| {
        (seen.mac, seen.address, seen.on) == (nic.id.mac, old.address, Some(place))
            && snapshot.taken_at.millis_since(seen.at) < RECENT
    });
    answers.then_some(Origin::Neighbour).or_else(|| sends.then_some(Origin::Packet))
}

/// A lease that has not ended, of a network where the NIC is not.
fn old_lease<'a>(snapshot: &'a Snapshot, nic: &'a Nic) -> Option<(&'a Network, &'a NicAddress)> {
    nic.addresses.iter().filter(|seen| seen.address.is_ipv4()).find_map(|seen| {
        let of = |network: &&Network| {
            Some(network.id) != nic.network
                && network.leases.iter().any(|lease| {
                    let ended = lease.expires.is_some_and(|end| end < snapshot.taken_at);
                    lease.mac == Some(nic.id.mac) && lease.address.addr() == seen.address && !ended
                })
        };
        Some((snapshot.libvirt.networks.iter().find(of)?, seen))
    })
}
