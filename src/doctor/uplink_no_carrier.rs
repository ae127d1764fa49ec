//! PURE. The way out of the host that running guests depend on is switched off or has no carrier.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::kernel::Link;
use crate::model::{IfIndex, Nic, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Vec::new();
    for bridge in &snapshot.bridges {
        let nics: Vec<_> = look::on_bridge(snapshot, bridge.name).collect();
        let links: Vec<&Link> = bridge.uplinks().filter_map(|port| snapshot.link(port.index)).collect();
        let another = links.iter().any(|link| link.up && link.carrier);
        let severity = if another { Severity::Warning } else { Severity::Error };
        if !nics.is_empty() {
            let dead = links.into_iter().filter(|link| !link.up || !link.carrier);
            findings
                .extend(dead.map(|link| finding(link, severity, &format!("{}, with", bridge.name), &nics)));
        }
    }
    let mut told: Vec<IfIndex> = Vec::new();
    for nic in look::running(snapshot) {
        let lower = nic.lower.and_then(|name| snapshot.link_named(name));
        let Some(lower) = lower.filter(|link| (!link.up || !link.carrier) && !told.contains(&link.index))
        else {
            continue;
        };
        told.push(lower.index);
        let nics: Vec<_> = look::running(snapshot).filter(|nic| nic.lower == Some(lower.name)).collect();
        findings.push(finding(lower, Severity::Error, "macvtaps of", &nics));
    }
    findings
}

fn finding(link: &Link, severity: Severity, carries: &str, nics: &[&Nic]) -> Finding {
    let guests = look::guests(nics);
    let state = if link.up { "has no carrier" } else { "is switched off" };
    let title = format!("{} {state}: the way out of {guests}", link.name);
    let finding = Finding::new("uplink-no-carrier", severity, Subject::Link(link.name), title)
        .kernel(format!(
            "{} {}, {}, state {}",
            link.name,
            if link.up { "up" } else { "down" },
            if link.carrier { "carrier" } else { "no carrier" },
            link.oper_state
        ))
        .libvirt(format!("it carries {carries} {guests}"));
    if !link.up {
        return finding
            .means(
                "A link that is down passes nothing: these guests reach nobody outside of this host by it.",
            )
            .fix(Fix::by("switch it on", Remedy::Host(HostWant::SwitchOn { link: link.name })));
    }
    finding
        .means("There is no cable, or what is at its other end is off: these guests reach nobody outside of this host by it.")
        .fix(Fix::by_hand(
            "look at the cable and the switch's port",
            [format!("ethtool {}", link.name), format!("ip -s link show {}", link.name)],
        ))
}
