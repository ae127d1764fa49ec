//! PURE. The notes' isolated bridge: guests on it reach each other and nothing else. A network that libvirt itself calls
//! isolated is a choice and no finding, and so is a bridge where the host has an address to route by.

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use crate::model::Snapshot;
use crate::model::kernel::LinkKind;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    for bridge in &snapshot.bridges {
        let nics: Vec<_> = look::on_bridge(snapshot, bridge.name).collect();
        let routed = !look::global(snapshot, bridge.index).is_empty();
        if nics.is_empty()
            || routed
            || bridge.uplinks().chain(bridge.strangers()).next().is_some()
            || snapshot.may_have_router(bridge.name)
            || look::owner(snapshot, bridge).is_some()
        {
            continue;
        }
        let title = format!("{} leads nowhere: {} reach only each other", bridge.name, look::guests(&nics));
        let free = snapshot.kernel.links.iter().find(|link| {
            let device = matches!(link.kind, LinkKind::Device | LinkKind::Veth | LinkKind::Bond);
            device
                && !link.loopback
                && !link.wireless
                && link.master.is_none()
                && look::global(snapshot, link.index).is_empty()
        });
        let port = free.map_or_else(|| "NIC".to_owned(), |link| link.name.to_string());
        let taps: Vec<String> = bridge.ports.iter().map(|port| port.name.to_string()).collect();
        findings.push(
            Finding::new("bridge-without-uplink", Severity::Note, Subject::Bridge(bridge.name), title)
                .kernel(format!("ports of {}: {}", bridge.name, taps.join(", ")))
                .kernel(format!("{} has no address", bridge.name))
                .means(
                    "The bridge has no port that leaves the host, the host has no address on it, and no network of libvirt \
                     routes over it: it is isolated, across hosts too. That may be what you want.",
                )
                .fix(Fix::by_hand(
                    "give it a way out, if it shall have one",
                    [format!("virt-net bridge add-port {} {port}", bridge.name)],
                )),
        );
    }
    findings
}
