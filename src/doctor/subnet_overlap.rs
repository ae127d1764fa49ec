//! PURE. A network's subnet is in use otherwise: libvirt refuses the very same IPv4 network and mask when it starts
//! (`networkCheckRouteCollision`), and nothing else; once it runs the host loses what is behind one of the routes.

use ipnet::IpNet;

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use crate::change::network::propose_subnet;
use crate::change::target::quote;
use crate::model::kernel::{Link, Route};
use crate::model::{Network, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let owned = snapshot.libvirt.networks.iter().filter(|network| network.owns_bridge());
    owned.filter_map(|network| of_network(snapshot, network)).collect()
}

fn of_network(snapshot: &Snapshot, network: &Network) -> Option<Finding> {
    let subnets = network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
    let (subnet, (route, link)) = subnets.iter().find_map(|subnet| {
        let subnet = subnet.gateway.trunc();
        Some((subnet, taken_by(snapshot, network, subnet)?))
    })?;
    let (severity, happens) = if network.active {
        (
            Severity::Error,
            "The host has two ways to these addresses and uses one: what is behind the other is lost to it, and to guests."
                .to_owned(),
        )
    } else {
        (Severity::Warning, at_its_start(subnet, route, link))
    };
    let title = format!("network {}: {subnet} is in use on this host", network.name);
    let state = if network.active { "active" } else { "not active" };
    let finding = Finding::new("subnet-overlap", severity, Subject::Network(network.id), title)
        .libvirt(format!("network {} {state}, {subnet}", network.name))
        .kernel(format!("route {}", route.words(link.name)))
        .means(happens);
    let name = quote(&network.name);
    let free = propose_subnet(snapshot);
    let words = free.map_or_else(
        || "give it another subnet".to_owned(),
        |free| format!("give it another subnet, {free} is free"),
    );
    let command = free.and_then(|free| Some((first_three(subnet)?, first_three(free)?))).map_or_else(
        || format!("virsh net-edit {name}   # its <ip> and <dhcp>, then: virt-net network restart {name}"),
        |(old, new)| {
            let old = old.replace('.', "\\.");
            format!("virsh net-dumpxml --inactive {name} | sed 's/{old}/{new}/g' | virt-net network edit {name} --xml - --yes")
        },
    );
    Some(finding.fix(Fix::by_hand(words, [command])))
}

/// What its start will do.
fn at_its_start(subnet: IpNet, route: &Route, link: &Link) -> String {
    let (other, link) = (route.destination, link.name);
    if other == subnet && subnet.addr().is_ipv4() {
        return "libvirt takes the definition, and refuses to start it: \"Network is already in use by interface\".".to_owned();
    }
    let lost = if subnet == other {
        format!(
            "the host then has two routes to {subnet} and uses one: what is behind the other is lost to it and to guests"
        )
    } else if subnet.prefix_len() > other.prefix_len() {
        format!(
            "from then on the host and its guests do not reach what has an address of {subnet} behind {link}: that part of \
             {other} goes to the network instead"
        )
    } else {
        format!(
            "from then on the host does not reach guests with an address of {other}: packets to them still go out by {link}"
        )
    };
    format!("libvirt starts it without a word, it refuses only the very same IPv4 network and mask; {lost}.")
}

/// `192.168.50.` of 192.168.50.0/24: what all addresses of such a subnet begin with.
fn first_three(subnet: IpNet) -> Option<String> {
    let text = subnet.trunc().addr().to_string();
    let whole = subnet.addr().is_ipv4() && subnet.prefix_len() == 24;
    text.strip_suffix('0').filter(|_| whole).map(str::to_owned)
}

/// A route of another link into the subnet. A wider one with a next hop (a VPN's, a summary) is no contradiction: the
/// network is the more specific part of it.
fn taken_by<'a>(snapshot: &'a Snapshot, network: &Network, subnet: IpNet) -> Option<(&'a Route, &'a Link)> {
    let own = network.bridge();
    let others_bridge = |name: crate::model::IfName| {
        snapshot
            .libvirt
            .networks
            .iter()
            .any(|other| other.id != network.id && other.owns_bridge() && other.bridge() == Some(name))
    };
    let clashes =
        look::routes(snapshot).filter(|(_, link)| Some(link.name) != own).filter(|(route, link)| {
            let wider = route.destination.prefix_len() < subnet.prefix_len() && route.gateway.is_some();
            // Two definitions of one subnet that take turns are a choice.
            let turns = others_bridge(link.name) && !network.active && !network.autostart;
            look::overlap(route.destination, subnet) && !wider && !turns
        });
    // One to the very same network is what libvirt refuses, whatever else there is.
    clashes.min_by_key(|(route, _)| route.destination != subnet)
}
