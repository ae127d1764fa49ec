//! PURE. A guest whose next boot has a device of the host: libvirt takes any address, and at the start any device,
//! also one that the host came to use since.

use super::finding::{Finding, Fix, Severity, Subject};
use crate::change::device;
use crate::change::target::quote;
use crate::model::{Nic, NicSource, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.nics.iter().filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let NicSource::Hostdev { address: Some(device) } = nic.next.as_ref()?.source else { return None };
    let runs = nic.live.is_some();
    let when = if runs { "next time" } else { "as it is" };
    let (severity, title, reason, way_out, means) = if let Some((reason, way_out)) =
        device::lost_by_host(snapshot, device)
    {
        let title = format!("{} takes {device} from the host when it starts: {reason}", nic.guest);
        let means = "libvirt takes the device from the host at the start without asking: what the host has on it is \
                         cut off, your own connection too if it goes by it.";
        (Severity::Error, title, reason, way_out, means)
    } else {
        let (reason, way_out) = device::lacking(snapshot, device)?;
        let severity = if runs { Severity::Warning } else { Severity::Error };
        let title = format!("{} does not start {when}: {reason}", nic.guest);
        let means = "libvirt takes a definition with any device in it. Only the start of the guest fails, often after \
                         a reboot of the host.";
        (severity, title, reason, way_out, means)
    };
    let guest = quote(&nic.guest);
    let remove = format!("virt-net nic remove {guest} {} --next-boot", nic.id.mac);
    Some(
        Finding::new("device-next-boot", severity, Subject::Nic(nic.id), title)
            .libvirt(format!("{} {} at next boot: hostdev {device}", nic.guest, nic.id.mac))
            .kernel(reason)
            .means(format!("{means} A way out: {way_out}."))
            .fix(Fix::by_hand("take the device out of the next boot", [remove])),
    )
}
