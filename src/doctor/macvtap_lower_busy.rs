//! PURE. "Why does the other host not offer eth0: macvtap?": the link is a bridge's port there, or one macvtap has it to
//! itself; starting then fails with "Device or resource busy".

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::kernel::{Link, LinkKind};
use crate::model::{IfName, MacvtapMode, Network, Nic, NicSource, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.nics.iter().filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let next = nic.next.as_ref()?;
    // What runs on that very link now has it, and will have it again.
    let has_it_now = |lower: IfName| nic.lower == Some(lower);
    let (lower, mode) = match &next.source {
        NicSource::Direct { dev, mode } => (*dev, Some(*mode)),
        NicSource::Network { network, .. } => {
            (only_busy_links(snapshot, snapshot.network_named(network)?)?, None)
        }
        _ => return None,
    };
    let link = snapshot.link_named(lower).filter(|_| !has_it_now(lower))?;
    let (why, master) = busy(snapshot, link, mode, nic)?;
    let runs = nic.live.is_some();
    let severity = if runs { Severity::Warning } else { Severity::Error };
    let title = format!(
        "{} does not start {}: no macvtap can be made on {lower}, {why}",
        nic.guest,
        if runs { "next time" } else { "as it is" }
    );
    let finding = Finding::new("macvtap-lower-busy", severity, Subject::Nic(nic.id), title)
        .libvirt(format!("{} {} at next boot: {} {}", nic.guest, nic.id.mac, next.source.kind_word(), next.source.plug()))
        .kernel(format!("{lower}: {why}"))
        .means(
            "A link can be a bridge's port or carry macvtaps, not both; in passthrough mode one macvtap has it alone. The \
             kernel answers \"Device or resource busy\". That is why virt-manager does not offer \"eth0: macvtap\" on a host \
             whose eth0 is in a bridge. The guest gets into the same LAN by that bridge.",
        );
    Some(match master {
        Some(bridge) => finding.fix(Fix::by(
            format!("plug it into {bridge} at its next boot"),
            Remedy::IntoBridge { nic: nic.id, bridge },
        )),
        None => finding.fix(Fix::by_hand(
            "choose another link, or another mode for the one that has it",
            [format!("{} --next-boot", look::switch_elsewhere(snapshot, nic, None))],
        )),
    })
}

/// A pool of macvtap links all of which are busy: the first of them.
fn only_busy_links(snapshot: &Snapshot, network: &Network) -> Option<IfName> {
    let pool = &network.current()?.forward_devs;
    let macvtaps = network.bridge().is_none() && !network.owns_bridge();
    let all_ports = pool
        .iter()
        .all(|dev| snapshot.link_named(*dev).is_some_and(|link| look::master(snapshot, link).is_some()));
    pool.first().copied().filter(|_| macvtaps && all_ports)
}

/// Why no macvtap fits on it, and the bridge that has it.
fn busy(
    snapshot: &Snapshot,
    link: &Link,
    mode: Option<MacvtapMode>,
    nic: &Nic,
) -> Option<(String, Option<IfName>)> {
    if let Some(master) = look::master(snapshot, link) {
        return Some((format!("it is a port of {}", master.name), Some(master.name)));
    }
    let on_it = snapshot
        .kernel
        .links
        .iter()
        .filter(|other| other.lower == Some(link.index) && !other.lower_elsewhere);
    for other in on_it.filter(|other| nic.link != Some(other.index)) {
        let (LinkKind::Macvtap { mode: taken } | LinkKind::Macvlan { mode: taken }) = &other.kind else {
            continue;
        };
        if *taken == MacvtapMode::Passthrough {
            return Some((format!("{} has it to itself (passthrough)", other.name), None));
        }
        if mode == Some(MacvtapMode::Passthrough) {
            return Some((format!("{} is on it, and passthrough needs it alone", other.name), None));
        }
    }
    None
}
