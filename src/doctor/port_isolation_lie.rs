//! PURE. libvirt 9.0 takes `<port isolated='yes'/>` in a live change and does not tell the kernel.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::Snapshot;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot)
        .filter(|nic| nic.live.as_ref().is_some_and(|live| live.isolated))
        .filter_map(|nic| {
            let link = snapshot.link(nic.link?)?;
            let port = link.port.as_ref().filter(|port| !port.isolated)?;
            let title = format!("{} is isolated for libvirt and not for the kernel", look::name(nic));
            Some(
                Finding::new("port-isolation-lie", Severity::Warning, Subject::Nic(nic.id), title)
                    .libvirt(format!("{} {} has <port isolated='yes'/>", nic.guest, nic.id.mac))
                    .kernel(format!("port {} is {}, isolated off", link.name, port.state.word()))
                    .means(
                        "This guest was to reach only ports that are not isolated. It reaches all of them: whoever relies on \
                         the definition is wrong.",
                    )
                    .fix(Fix::by("isolate the port", Remedy::Host(HostWant::Isolate { port: link.name }))),
            )
        })
        .collect()
}
