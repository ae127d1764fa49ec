//! PURE. An address left on a link that is a port of a bridge.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::Snapshot;
use crate::model::kernel::Link;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.kernel.links.iter().filter_map(|link| of_port(snapshot, link)).collect()
}

fn of_port(snapshot: &Snapshot, port: &Link) -> Option<Finding> {
    let bridge = look::master(snapshot, port)?;
    let addresses = look::global(snapshot, port.index);
    let listed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if addresses.is_empty() {
        return None;
    }
    let title = format!("{listed} is on {}, a port of {}", port.name, bridge.name);
    let mut finding = Finding::new("address-on-port", Severity::Error, Subject::Link(port.name), title)
        .kernel(format!("{} has master {}", port.name, bridge.name))
        .kernel(format!("{} has {listed}", port.name));
    for (route, link) in look::defaults(snapshot)
        .into_iter()
        .chain(look::routes(snapshot))
        .filter(|(route, link)| link.index == port.index && !look::is_link_local(route.destination.addr()))
    {
        finding = finding.kernel(format!("route {}", route.words(link.name)));
    }
    finding = finding.means(format!(
        "What comes in at a port is taken by the bridge before the host sees it: nobody is answered at this address. The \
         routes that came with it send the host's own packets into the port. The address belongs on {}.",
        bridge.name
    ));
    // The LAN is reached by another link already: the address is a leftover. Else the host needs it, on the bridge.
    let elsewhere = |address: &ipnet::IpNet| {
        snapshot.kernel.addresses.iter().any(|other| {
            let usable = snapshot.link(other.index).is_some_and(|link| link.master.is_none());
            other.is_global() && usable && look::overlap(other.address, *address)
        })
    };
    let fix = if addresses.iter().all(elsewhere) {
        let remedy = Remedy::Host(HostWant::RemoveAddresses { link: port.name, addresses });
        Fix::by(format!("take it off {}: another link is in that subnet", port.name), remedy)
    } else {
        let remedy = Remedy::MoveAddresses { port: port.name, bridge: bridge.name };
        Fix::by(format!("move it and its routes to {}", bridge.name), remedy)
    };
    Some(finding.fix(fix))
}
