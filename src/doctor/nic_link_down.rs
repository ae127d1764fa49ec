//! PURE. The cable of a running guest's NIC is pulled by its definition; only libvirt knows: on the host the tap
//! stays up.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::Snapshot;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot)
        .filter(|nic| nic.live.as_ref().is_some_and(|live| live.link_down))
        .map(|nic| {
            let title = format!("the cable of {} is pulled", look::name(nic));
            Finding::new("nic-link-down", Severity::Warning, Subject::Nic(nic.id), title)
                .libvirt(format!("{} {} has <link state='down'/>", nic.guest, nic.id.mac))
                .means(
                    "The guest sees no carrier on this NIC, and nothing passes. Somebody, or a switch that was cut short, \
                     set it so.",
                )
                .fix(Fix::by("plug it in", Remedy::PlugCable { nic: nic.id }))
        })
        .collect()
}
