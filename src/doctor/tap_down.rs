//! PURE. A tap of a running guest, or the bridge it is on, is switched off.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::Snapshot;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    for nic in look::running(snapshot) {
        let Some(link) = nic.link.and_then(|index| snapshot.link(index)).filter(|link| !link.up) else {
            continue;
        };
        let title = format!("{} is switched off on the host", look::name(nic));
        findings.push(
            Finding::new("tap-down", Severity::Error, Subject::Nic(nic.id), title)
                .libvirt(format!("{} runs, its NIC is {}", nic.guest, link.name))
                .kernel(format!("{} is down (no IFF_UP), state {}", link.name, link.oper_state))
                .means("A link that is down passes nothing. The guest still sees its own link up.")
                .fix(Fix::by("switch it on", Remedy::Host(HostWant::SwitchOn { link: link.name }))),
        );
    }
    for bridge in snapshot.bridges.iter().filter(|bridge| !bridge.up) {
        let nics: Vec<_> = look::on_bridge(snapshot, bridge.name).collect();
        if nics.is_empty() {
            continue;
        }
        let title = format!("bridge {} is switched off", bridge.name);
        findings.push(
            Finding::new("tap-down", Severity::Error, Subject::Bridge(bridge.name), title)
                .kernel(format!("{} is down (no IFF_UP)", bridge.name))
                .libvirt(format!("running guests on it: {}", look::guests(&nics)))
                .means("A bridge that is down passes no frame between its ports, and the host loses its own address there.")
                .fix(Fix::by("switch it on", Remedy::Host(HostWant::SwitchOn { link: bridge.name }))),
        );
    }
    findings
}
