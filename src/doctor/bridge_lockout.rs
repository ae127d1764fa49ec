//! PURE. "After creating virbr1 by command the host cannot be reached, why?": a bridge has an address of the
//! host's own LAN but no port that leads there, so the kernel sends its replies into nothing.

use std::net::IpAddr;

use ipnet::IpNet;

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::kernel::{Link, Route};
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
    // A bridge that is switched off has no routes; what its address does is told when it is up.
    if !bridge.up || bridge.uplinks().any(|port| port.carrier) {
        return None;
    }
    let own = look::global(snapshot, bridge.index);
    let (own_net, theirs, link) = own.iter().find_map(|own| {
        let (theirs, link) = same_lan(snapshot, bridge, *own)?;
        Some((*own, theirs, link))
    })?;
    let lost = lost_way(snapshot, bridge, own_net, theirs);
    // Rules may send packets by another table, which is not looked at.
    let certain = lost.is_some() && snapshot.kernel.settings.policy_routing != Some(true);
    let (severity, title) = if certain {
        let title =
            format!("takes the replies of the host's own LAN ({}) and leads nowhere", own_net.trunc());
        (Severity::Error, title)
    } else {
        (Severity::Warning, format!("has an address of the host's own LAN ({own_net}) and leads nowhere"))
    };
    let title = format!("{} {title}", bridge.name);
    let mut finding = Finding::new("bridge-lockout", severity, Subject::Bridge(bridge.name), title)
        .kernel(format!("{} has {own_net} and no port with carrier that leads out of the host", bridge.name))
        .kernel(format!("{} has {theirs}", link.name));
    let both = look::defaults(snapshot).into_iter().chain(look::routes(snapshot));
    for (route, via) in both
        .filter(|(route, via)| via.index == bridge.index && overlaps_or_default(route.destination, own_net))
    {
        finding = finding.kernel(format!("route {}", route.words(via.name)));
    }
    if let Some((address, route)) = lost {
        finding = finding.kernel(format!("packets to {address} take {}", route.words(bridge.name)));
    }
    let commands = [
        format!("ip address del {own_net} dev {}", bridge.name),
        format!("ip link delete {}   # if nobody uses it", bridge.name),
        format!("virt-net bridge create {} --port {}", bridge.name, link.name),
    ];
    let addresses = own.into_iter().filter(|own| look::overlap(*own, theirs)).collect();
    let words = if certain {
        format!("take {own_net} off {}: the host answers again by {}", bridge.name, link.name)
    } else {
        format!("take {own_net} off {}: the LAN is reached by {} alone", bridge.name, link.name)
    };
    Some(
        finding
            .means(meaning(bridge, link, own_net, lost.is_some(), certain))
            .fix(Fix::by(words, Remedy::Host(HostWant::RemoveAddresses { link: bridge.name, addresses })))
            .fix(Fix::by_hand(
                "and make the bridge over the NIC in one step, taken back unless confirmed",
                commands,
            )),
    )
}

fn meaning(bridge: &Bridge, link: &Link, own_net: IpNet, wins: bool, certain: bool) -> String {
    let (bridge, net, link) = (bridge.name, own_net.trunc(), link.name);
    let now = match (wins, certain) {
        (true, true) => {
            format!("{bridge} wins for {net}, and answers to your packets go to a bridge without a cable")
        }
        (true, false) => format!(
            "in the main table {bridge} wins for {net}; rules (`ip rule`) choose other tables too, so it is not known here who is cut off"
        ),
        (false, _) => format!(
            "now that is not {bridge}'s, so the host answers by {link}; what is behind {bridge} it does not reach, and when \
             {link}'s route goes, {bridge} takes {net}"
        ),
    };
    format!(
        "Most often the bridge was given its address before it had a port. Of two links in the same subnet the kernel takes \
         the more specific route, or the lower metric: {now}. NetworkManager does this when `nmcli connection add type \
         bridge` activates the bridge before {link} is its port. Right is: address, routes and NIC move to the bridge in \
         one step."
    )
}

/// An address of the LAN whose packets the main table sends into the bridge: the gateway or the operator's own if it
/// is one of them.
fn lost_way<'a>(
    snapshot: &'a Snapshot,
    bridge: &Bridge,
    own: IpNet,
    theirs: IpNet,
) -> Option<(IpAddr, &'a Route)> {
    let both = if own.prefix_len() > theirs.prefix_len() { own.trunc() } else { theirs.trunc() };
    let gateways = look::defaults(snapshot).into_iter().filter_map(|(route, _)| route.gateway);
    let some = both.hosts().find(|address| ![own.addr(), theirs.addr()].contains(address));
    let known = snapshot.host.ssh_peer.into_iter().chain(gateways).chain(some);
    known.filter(|address| both.contains(address) && ![own.addr(), theirs.addr()].contains(address)).find_map(
        |address| {
            let route = snapshot.kernel.route_to(address)?;
            (route.oif == Some(bridge.index)).then_some((address, route))
        },
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
