//! PURE. libvirt takes any bridge and network name for the next boot; the start then fails.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::kernel::LinkKind;
use crate::model::{Nic, NicSource, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.nics.iter().filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let next = nic.next.as_ref()?;
    let (lacks, start) = match &next.source {
        // A switch in user space (Open vSwitch) need not show its bridges to the kernel.
        NicSource::Bridge { .. } if next.virtualport.is_some() => return None,
        NicSource::Bridge { bridge } => match snapshot.link_named(*bridge) {
            None => (format!("there is no bridge {bridge}"), None),
            Some(link) if !matches!(link.kind, LinkKind::Bridge(_)) => {
                (format!("{bridge} is no bridge"), None)
            }
            Some(_) => return None,
        },
        NicSource::Network { network, .. } => match snapshot.network_named(network) {
            None => (format!("there is no network {network}"), None),
            Some(found) if !found.active => {
                (format!("network {network} is not active"), Some(found.name.clone()))
            }
            Some(_) => return None,
        },
        NicSource::Direct { dev, .. } => match snapshot.link_named(*dev) {
            None => (format!("there is no link {dev}"), None),
            Some(_) => return None,
        },
        _ => return None,
    };
    // An inactive network of a running guest is told of where it hurts: its tap has no bridge.
    if start.is_some() && nic.live.is_some() && !nic.pending {
        return None;
    }
    let runs = nic.live.is_some();
    // A network that is not active may be one that is started when it is needed.
    let severity = if runs || start.is_some() { Severity::Warning } else { Severity::Error };
    let when = if runs { "next time" } else { "as it is" };
    let title = format!("{} does not start {when}: {lacks}", nic.guest);
    let finding =
        Finding::new("missing-bridge-next-boot", severity, Subject::Nic(nic.id), title).libvirt(format!(
            "{} {} at next boot: {} {}",
            nic.guest,
            nic.id.mac,
            next.source.kind_word(),
            next.source.plug()
        ));
    let finding = match &start {
        Some(network) => finding.libvirt(format!("network {network} is not active")),
        None if matches!(next.source, NicSource::Network { .. }) => finding.libvirt(lacks),
        None => finding.kernel(lacks),
    };
    let finding = finding.means("libvirt takes a definition with any name in it. Only the start of the guest fails, often after a reboot of the host.");
    let switch = Fix::by_hand(
        "plug it into something that is there",
        [format!("{} --next-boot", look::switch_elsewhere(snapshot, nic, start.as_deref()))],
    );
    Some(match start {
        Some(network) => finding
            .fix(Fix::by(format!("start network {network}"), Remedy::StartNetwork { network }))
            .fix(switch),
        None if runs && nic.pending => finding
            .fix(Fix::by("make the next boot as the guest runs now", Remedy::DiscardPending { nic: nic.id }))
            .fix(switch),
        None => finding.fix(switch),
    })
}
