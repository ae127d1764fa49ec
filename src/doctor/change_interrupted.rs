//! PURE. A change of a network that virt-net began and did not bring to an end.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use crate::model::Snapshot;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let left = snapshot.services.unfinished.iter();
    left.map(|left| {
        let network = snapshot.network_named(&left.network);
        let subject = network.map_or(Subject::Host, |network| Subject::Network(network.id));
        let is_active = network.is_some_and(|network| network.active);
        let title = left.words();
        Finding::new("change-interrupted", Severity::Error, subject, title)
            .processes(format!("process {}, which did it, is gone; its record is there", left.pid))
            .libvirt(format!("network {} {}", left.network, if is_active { "runs" } else { "does not run" }))
            .means("Guests of the network may be without it, and its definition may be the one from before or the new one.")
            .fix(Fix::by(
                "put it right: the definition and state from before, every tap back",
                Remedy::RepairNetwork { network: left.network.clone() },
            ))
    })
    .collect()
}
