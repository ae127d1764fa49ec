//! PURE. "After creating virbr1 by command the host cannot be reached, why?": a bridge has an address of the
//! host's own LAN but no port that leads there, so the kernel sends its replies into nothing.

use ipnet::IpNet;

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::kernel::Link;
use crate::model::{Bridge, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot
        .bridges
        .iter()
        .filter(|bridge| look::owner(snapshot, bridge).is_none())
        .filter_map(|bridge| of_bridge(snapshot, bridge))
        .collect()
}

fn of_bridge(snapshot: &Snapshot, bridge: &Bridge) -> Option<Finding> {
    if bridge.uplinks().any(|port| port.carrier) {
        return None;
    }
    let own = look::global(snapshot, bridge.index);
    let (own_net, theirs, link) = own.iter().find_map(|own| {
        let (theirs, link) = same_lan(snapshot, bridge, *own)?;
        Some((*own, theirs, link))
    })?;
    let title = format!(
        "{} takes the replies of the host's own LAN ({}) and leads nowhere",
        bridge.name,
        own_net.trunc()
    );
    let mut finding = Finding::new("bridge-lockout", Severity::Error, Subject::Bridge(bridge.name), title)
        .kernel(format!("{} has {own_net} and no port with carrier that leads out of the host", bridge.name))
        .kernel(format!("{} has {theirs}", link.name));
    let both = look::defaults(snapshot).into_iter().chain(look::routes(snapshot));
    for (route, via) in both
        .filter(|(route, via)| via.index == bridge.index && overlaps_or_default(route.destination, own_net))
    {
        finding = finding.kernel(format!("route {}", route.words(via.name)));
    }
    let commands = [
        format!("ip address del {own_net} dev {}", bridge.name),
        format!("ip link delete {}   # if nobody uses it", bridge.name),
        format!("virt-net bridge create {} --port {}", bridge.name, link.name),
    ];
    let addresses = own.into_iter().filter(|own| look::overlap(*own, theirs)).collect();
    Some(
        finding
            .means(format!(
                "The bridge was given its address before it had a port. Of two links in the same subnet the kernel takes \
                 the more specific route, or the lower metric: {} wins for {}, and answers to your packets go to a \
                 bridge without a cable. NetworkManager does this when `nmcli connection add type bridge` activates the \
                 bridge before {} is its port. Right is: address, routes and NIC move to the bridge in one step.",
                bridge.name,
                own_net.trunc(),
                link.name
            ))
            .fix(Fix::by(
                format!("take {own_net} off {}: the host answers again by {}", bridge.name, link.name),
                Remedy::Host(HostWant::RemoveAddresses { link: bridge.name, addresses }),
            ))
            .fix(Fix::by_hand("and make the bridge over the NIC in one step, taken back unless confirmed", commands)),
    )
}

fn overlaps_or_default(destination: IpNet, net: IpNet) -> bool {
    destination.prefix_len() == 0 || look::overlap(destination, net)
}

/// Another link that is in the same LAN.
fn same_lan<'a>(snapshot: &'a Snapshot, bridge: &Bridge, own: IpNet) -> Option<(IpNet, &'a Link)> {
    snapshot
        .kernel
        .addresses
        .iter()
        .filter(|address| address.is_global() && address.index != bridge.index)
        .find_map(|address| {
            let link = snapshot.link(address.index)?;
            let carries = link.carrier && link.up && link.master.is_none();
            (carries && look::overlap(address.address, own)).then_some((address.address, link))
        })
}
