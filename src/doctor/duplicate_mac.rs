//! PURE. One MAC address on two NICs, or seen from outside the host while a guest of it has it.

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use crate::change::target::quote;
use crate::model::{IfName, Nic, NicSource, PciAddress, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (at, nic) in snapshot.nics.iter().enumerate() {
        // One device in two definitions is one card: only one of them can run with it.
        let one_device = |other: &Nic| {
            matches!(nic.source(), Some(NicSource::Hostdev { .. })) && nic.source() == other.source()
        };
        let twin = |other: &&Nic| other.id.mac == nic.id.mac && nic.id.mac.is_real() && !one_device(other);
        let earlier = snapshot.nics.iter().take(at).find(twin);
        if let Some(earlier) = earlier {
            findings.push(twins(earlier, nic));
        }
    }
    findings.extend(look::running(snapshot).filter_map(|nic| outside(snapshot, nic)));
    findings
}

fn by_hand(nic: &Nic) -> Fix {
    let guest = quote(&nic.guest);
    if let Some(NicSource::Hostdev { address: Some(address) }) = nic.source() {
        return device_by_hand(nic, *address);
    }
    let plug = nic
        .source()
        .map(|source| format!("{}={}", source.kind_word(), quote(&source.plug())))
        .unwrap_or_default();
    let model = nic.config().and_then(|config| config.model.as_deref());
    let model = model.map(|model| format!(" --model {}", quote(model))).unwrap_or_default();
    Fix::by_hand(
        format!("give the NIC of {} another address", nic.guest),
        [
            format!("virt-net nic remove {guest} {} --yes", nic.position),
            format!("virt-net nic add {guest} --to {plug}{model}   # a free MAC is proposed"),
        ],
    )
}

fn device_by_hand(nic: &Nic, device: PciAddress) -> Fix {
    let guest = quote(&nic.guest);
    Fix::by_hand(
        format!("give the NIC of {} another address", nic.guest),
        [
            format!("virt-net nic remove {guest} {} --yes", nic.position),
            format!("virt-net nic attach {guest} --device {device}   # a free MAC is proposed for a VF"),
        ],
    )
}

fn twins(first: &Nic, second: &Nic) -> Finding {
    let both = first.live.is_some() && second.live.is_some();
    let (severity, when) = if both {
        (
            Severity::Error,
            "Both run: every switch and bridge sends the answers now here, now there, and each guest loses part of them.",
        )
    } else {
        (
            Severity::Warning,
            "They must not run at the same time in one LAN: each would take the other's answers.",
        )
    };
    let title = format!(
        "{} and {} have the same MAC address {}",
        look::name(first),
        look::name(second),
        first.id.mac
    );
    let state = |nic: &Nic| format!("{} ({}) has a NIC with {}", nic.guest, nic.state.word(), nic.id.mac);
    Finding::new("duplicate-mac", severity, Subject::Nic(second.id), title)
        .libvirt(state(first))
        .libvirt(state(second))
        .means(format!("{when} libvirt does not check this; a copied definition is the usual reason."))
        .fix(by_hand(second))
}

/// The bridge learned a running guest's address at another port than its tap.
fn outside(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let (tap, bridge) = (nic.link?, snapshot.bridge_named(nic.bridge?)?);
    let learned = snapshot.kernel.fdb.iter().find(|entry| {
        let other = entry.port != tap && entry.bridge == Some(bridge.index) && !entry.permanent;
        entry.mac == nic.id.mac
            && other
            && bridge.ports.iter().any(|port| port.index == entry.port && port.nic.is_none())
    })?;
    let port: IfName = snapshot.link(learned.port)?.name;
    let title = format!("the MAC address of {} is also used behind {port}", look::name(nic));
    Some(
        Finding::new("duplicate-mac", Severity::Warning, Subject::Nic(nic.id), title)
            .part("outside")
            .libvirt(format!("{} {} is on {}", nic.guest, nic.id.mac, bridge.name))
            .kernel(format!("{} learned {} at port {port}", bridge.name, nic.id.mac))
            .means(
                "Somebody outside of this host sends with this guest's address: another host's copy of the guest, or a loop \
                 of cables. The bridge sends the guest's answers out of that port.",
            )
            .fix(by_hand(nic)),
    )
}
