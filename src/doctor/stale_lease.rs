//! PURE. A guest was plugged elsewhere and keeps the address of where it was: nobody told it to ask anew.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::snapshot::{NicAddress, Origin};
use crate::model::{Network, Nic, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot).filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    if nic.live.as_ref().is_some_and(|live| live.link_down) || nic.link.is_none() {
        return None;
    }
    let old = old_lease(snapshot, nic)?;
    let (from, old_address) = (old.0, old.1);
    let still =
        nic.addresses.iter().any(|seen| seen.origin == Origin::Agent && seen.address == old_address.address);
    let fresh = nic
        .addresses
        .iter()
        .any(|seen| !seen.stale && seen.address.is_ipv4() && seen.address != old_address.address);
    let here = nic.network.and_then(|id| snapshot.network(id)).filter(|network| network.dhcp_size() > 0);
    // Where libvirt's own DHCP would know of a new address, or the agent tells of the old one, it is certain.
    if fresh || (!still && here.is_none()) {
        return None;
    }
    let plug =
        nic.source().map(|source| format!("{} {}", source.kind_word(), source.plug())).unwrap_or_default();
    let title = format!("{} still has {} of network {}", look::name(nic), old_address.address, from.name);
    let mut finding = Finding::new("stale-lease", Severity::Warning, Subject::Nic(nic.id), title)
        .libvirt(format!("{} {} is plugged into {plug}", nic.guest, nic.id.mac))
        .libvirt(format!("its lease of network {} is {}, not ended", from.name, old_address.address));
    if still {
        finding = finding.libvirt(format!("the guest's agent reports {}", old_address.address));
    }
    if let Some(here) = here {
        finding = finding.libvirt(format!("network {} has no lease for it", here.name));
    }
    Some(
        finding
            .means(
                "The tap was moved and the guest saw nothing of it: it goes on with an address, a gateway and a DNS server that \
                 are not there any more. Only a link that goes down and up makes it ask again; NetworkManager ignores less \
                 than five seconds.",
            )
            .fix(Fix::by("pull its cable for 6 s, so that it asks again", Remedy::Bounce { nic: nic.id })),
    )
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
