//! PURE. libvirt has the guest on a bridge, the kernel has its tap elsewhere or nowhere: after net-destroy and
//! net-start, a NetworkManager that cleaned up, or a stranger's hand.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::{Nic, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let astray = snapshot.nics.iter().filter(|nic| nic.live.is_some() && nic.drifted());
    astray.filter_map(|nic| finding(snapshot, nic)).collect()
}

fn finding(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let (tap, expected) = (nic.link_name?, nic.expected_bridge?);
    let master = snapshot.link(nic.link?)?.master.map(|master| {
        snapshot.link(master).map_or_else(|| master.to_string(), |master| master.name.to_string())
    });
    let has = master.as_ref().map_or_else(|| "on no bridge".to_owned(), |master| format!("on {master}"));
    let plug =
        nic.source().map(|source| format!("{} {}", source.kind_word(), source.plug())).unwrap_or_default();
    let title = format!("the tap of {} is {has} instead of {expected}", look::name(nic));
    let finding = Finding::new("tap-orphaned", Severity::Error, Subject::Nic(nic.id), title)
        .libvirt(format!("{} {} is plugged into {plug}: bridge {expected}", nic.guest, nic.id.mac))
        .kernel(format!("{tap} has master {}", master.as_deref().unwrap_or("none")))
        .means(
            "libvirt trusts its own record and says that all is well, but no frame gets from the tap to that bridge. \
             Stopping and starting a network does this to every running guest on it; updating the device to the same \
             source or a link bounce does not help.",
        );
    if snapshot.bridge_named(expected).is_some() {
        let fix = Fix::by(format!("put {tap} onto {expected} again"), Remedy::Reseat { nic: nic.id });
        return Some(finding.fix(fix));
    }
    let finding = finding.kernel(format!("there is no bridge {expected}"));
    let network = nic.network.and_then(|id| snapshot.network(id)).filter(|network| !network.active);
    Some(match network {
        Some(network) => {
            let remedy = Remedy::StartNetwork { network: network.name.clone() };
            let words = format!("start network {}, and put the taps of its guests onto it", network.name);
            finding.libvirt(format!("network {} is not active", network.name)).fix(Fix::by(words, remedy))
        }
        None => finding.fix(Fix::by_hand(
            "make the bridge again, or plug the NIC elsewhere",
            [look::switch_elsewhere(snapshot, nic, None)],
        )),
    })
}
