//! PURE. A change of a network or a shim that virt-net began and did not bring to an end.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use crate::model::unfinished::{Changed, Unfinished};
use crate::model::{IfName, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let left = snapshot.services.unfinished.iter();
    left.map(|left| match &left.of {
        Changed::Network(name) => of_network(snapshot, left, name),
        Changed::Shim(name) => of_shim(snapshot, left, *name),
    })
    .collect()
}

fn finding(left: &Unfinished, subject: Subject) -> Finding {
    let gone = format!("process {}, which did it, is gone; its record is there", left.pid);
    // What is not there any more has no subject of its own.
    let of = match &left.of {
        Changed::Network(name) => format!("network {name}"),
        Changed::Shim(name) => format!("shim {name}"),
    };
    Finding::new("change-interrupted", Severity::Error, subject, left.words()).part(of).processes(gone)
}

fn of_network(snapshot: &Snapshot, left: &Unfinished, name: &str) -> Finding {
    let network = snapshot.network_named(name);
    let subject = network.map_or(Subject::Host, |network| Subject::Network(network.id));
    let runs = if network.is_some_and(|network| network.active) { "runs" } else { "does not run" };
    finding(left, subject)
        .libvirt(format!("network {name} {runs}"))
        .means("Guests of the network may be without it, and its definition may be the one from before or the new one.")
        .fix(Fix::by(
            "put it right: the definition and state from before, every tap back",
            Remedy::RepairNetwork { network: name.to_owned() },
        ))
}

fn of_shim(snapshot: &Snapshot, left: &Unfinished, shim: IfName) -> Finding {
    let link = snapshot.link_named(shim);
    let is = match link {
        Some(link) if link.up => "is there, up",
        Some(_) => "is there, down",
        None => "is not there",
    };
    finding(left, link.map_or(Subject::Host, |link| Subject::Link(link.name)))
        .kernel(format!("{shim} {is}"))
        .means(
            "The host and the guests' macvtaps may reach each other or not, and files for the next boot may be there or not.",
        )
        .fix(Fix::by("put it right: the shim and the files as they were before", Remedy::RepairShim { shim }))
}
