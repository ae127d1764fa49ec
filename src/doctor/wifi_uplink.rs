//! PURE. Guests bridged over Wi-Fi, which carries frames of its own MAC address only.

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use crate::model::{Bridge, Nic, NicSource, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot).filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let below = nic.lower.and_then(|lower| snapshot.link_named(lower));
    let bridge = nic.bridge.and_then(|bridge| snapshot.bridge_named(bridge));
    let mut ports = bridge.into_iter().flat_map(Bridge::uplinks).filter_map(|port| snapshot.link(port.index));
    let wireless = below.filter(|link| link.wireless).or_else(|| ports.find(|link| link.wireless))?;
    let title = format!("{} is bridged over Wi-Fi ({})", look::name(nic), wireless.name);
    Some(
        Finding::new("wifi-uplink", Severity::Error, Subject::Nic(nic.id), title)
            .libvirt(format!("{} {} is plugged into {}", nic.guest, nic.id.mac, nic.source().map(NicSource::plug).unwrap_or_default()))
            .kernel(format!("{} is a Wi-Fi link (/sys/class/net/{}/phy80211)", wireless.name, wireless.name))
            .means(
                "An access point takes frames only from the address that logged in, which is the host's: what the guest sends \
                 with its own address is thrown away. Wi-Fi can carry guests only behind the host's address.",
            )
            .fix(Fix::by_hand(
                "plug it into a NAT network",
                [look::switch_elsewhere(snapshot, nic, None)],
            )),
    )
}
