//! PURE. A bridge passes frames as they are: one that is too large for the port it should leave by is dropped without
//! a word.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::change::target::quote;
use crate::model::kernel::Link;
use crate::model::{Bridge, Nic, Snapshot};

/// Ethernet's own; what every card and switch takes.
const ETHERNET: u32 = 1500;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.bridges.iter().filter_map(|bridge| of_bridge(snapshot, bridge)).collect()
}

fn of_bridge(snapshot: &Snapshot, bridge: &Bridge) -> Option<Finding> {
    let nics: Vec<(&Nic, &Link)> = look::on_bridge(snapshot, bridge.name)
        .filter_map(|nic| Some((nic, snapshot.link(nic.link?)?)))
        .collect();
    let uplinks: Vec<&Link> = bridge.uplinks().filter_map(|port| snapshot.link(port.index)).collect();
    let links: Vec<&Link> = nics.iter().map(|(_, link)| *link).chain(uplinks.iter().copied()).collect();
    let (least, most) = (links.iter().map(|link| link.mtu).min()?, links.iter().map(|link| link.mtu).max()?);
    if least == most || nics.is_empty() {
        return None;
    }
    let odd = odd_one(&links);
    let title = format!("ports of {} have different MTUs, {least} to {most}", bridge.name);
    let listed: Vec<String> = links.iter().map(|link| format!("{} {}", link.name, link.mtu)).collect();
    let finding = Finding::new("mtu-mismatch", Severity::Warning, Subject::Bridge(bridge.name), title)
        .kernel(format!("MTU of {}'s ports: {}", bridge.name, listed.join(", ")))
        .means(format!(
            "Small packets pass, and those over {least} bytes vanish without an answer: ping works, downloads and ssh hang. \
             A bridge cannot ask for smaller packets, as a router does."
        ));
    let rest = links
        .iter()
        .find(|link| link.index != odd.index && link.mtu != odd.mtu)
        .map_or(ETHERNET, |link| link.mtu);
    let of_odd = nics.iter().find(|(_, link)| link.index == odd.index).map(|(nic, _)| *nic);
    Some(match of_odd {
        // The guest's device has the MTU it was started with: the host's side is mended only where it was changed by hand.
        Some(nic) if nic.live.as_ref().and_then(|live| live.mtu).unwrap_or(ETHERNET) != rest => {
            finding.fix(Fix::by_hand(
                format!("align the NIC of {} at its next boot", nic.guest),
                [format!(
                    "virsh edit {}   # <mtu size='{rest}'/> in the interface {}",
                    quote(&nic.guest),
                    nic.id.mac
                )],
            ))
        }
        _ if rest <= ETHERNET || of_odd.is_some() => finding.fix(Fix::by(
            format!("set {} to {rest} as the others", odd.name),
            Remedy::Host(HostWant::Mtu { link: odd.name, mtu: rest }),
        )),
        _ => finding.fix(Fix::by_hand(
            format!(
                "set {} to {rest} as the others, if the switch takes that, or them to {}",
                odd.name, odd.mtu
            ),
            [format!("ip link set {} mtu {rest}", odd.name)],
        )),
    })
}

/// The one that most others differ from; of two, the smaller.
fn odd_one<'a>(links: &[&'a Link]) -> &'a Link {
    let alike = |link: &&&Link| links.iter().filter(|other| other.mtu == link.mtu).count();
    // The caller has at least two.
    links.iter().min_by_key(|link| (alike(link), link.mtu)).copied().unwrap_or(links[0])
}
