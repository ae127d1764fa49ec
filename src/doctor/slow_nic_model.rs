//! PURE. A running guest with a NIC that imitates old hardware.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::Snapshot;

/// Cards that QEMU imitates register by register.
const SLOW: [&str; 7] = ["e1000", "rtl8139", "ne2k_pci", "pcnet", "i82551", "i82557b", "i82559er"];

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot)
        .filter_map(|nic| {
            let model = nic.live.as_ref()?.model.as_deref().filter(|model| SLOW.contains(model))?;
            // Changed for the next boot already: the pending change says so.
            nic.next.as_ref().filter(|next| next.model.as_deref() == Some(model))?;
            let title = format!("{} is a {model}", look::name(nic));
            let finding = Finding::new("slow-nic-model", Severity::Note, Subject::Nic(nic.id), title)
                .libvirt(format!("{} {} has model {model}", nic.guest, nic.id.mac))
                .means(
                    "Each packet costs the emulator many exits: virtio is several times faster and is what production uses. The \
                     guest needs its driver, which Linux has; Windows needs virtio-win first.",
                );
            Some(finding.fix(Fix::by("virtio at the next boot", Remedy::Virtio { nic: nic.id })))
        })
        .collect()
}
