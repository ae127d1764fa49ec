//! PURE. One MAC address on two NICs, or seen from outside the host while a guest of it has it.

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use crate::change::nic::free_mac;
use crate::change::target::quote;
use crate::model::{IfName, Nic, NicSource, Snapshot};

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
            findings.push(twins(snapshot, earlier, nic));
        }
    }
    findings.extend(look::running(snapshot).filter_map(|nic| outside(snapshot, nic)));
    findings
}

/// Elements that `virt-net nic add` and `nic attach` write anew.
const MADE_ANEW: [&str; 4] = ["mac", "source", "model", "address"];
/// What libvirt gives to a running guest's NIC by itself; in the next boot's definition somebody wrote it.
const OF_RUNNING: [&str; 2] = ["alias", "target"];

fn by_hand(snapshot: &Snapshot, nic: &Nic) -> Fix {
    let words = format!("give the NIC of {} another address", nic.guest);
    let guest = quote(&nic.guest);
    let remove = format!("virt-net nic remove {guest} {}", nic.position);
    if let Some(add) = how_to_add(snapshot, nic) {
        return Fix::by_hand(words, [remove, add]);
    }
    let free = free_mac(snapshot, nic.id.domain);
    let edit = format!(
        "virsh edit {guest}   # {free} in place of {} in its NIC {}; counts when it is started next",
        nic.id.mac, nic.position
    );
    Fix::by_hand(words, [edit])
}

/// The command that makes the NIC again as it is, but for its address; `None` where something of it would be lost.
fn how_to_add(snapshot: &Snapshot, nic: &Nic) -> Option<String> {
    let guest = snapshot.guest(nic.id.domain)?;
    let definitions =
        [(&nic.live, &guest.live, OF_RUNNING.as_slice()), (&nic.next, &guest.next, Default::default())];
    let mut both = definitions.into_iter().filter_map(|(config, definition, besides)| {
        let (config, definition) = (config.as_ref()?, definition.as_ref()?);
        Some(is_plain(definition.element(config), besides))
    });
    if nic.pending || !both.all(|plain| plain) {
        return None;
    }
    let guest = quote(&nic.guest);
    let to = match nic.source()? {
        NicSource::Hostdev { address: Some(device) } => {
            return Some(format!(
                "virt-net nic attach {guest} --device {device}   # a free MAC is proposed for a VF"
            ));
        }
        NicSource::Network { network, portgroup: None, .. } if nic.device.is_none() => {
            format!("network={}", quote(network))
        }
        NicSource::Bridge { bridge } => format!("bridge={bridge}"),
        NicSource::Direct { dev, mode } => format!("macvtap={dev},mode={}", mode.word()),
        _ => return None,
    };
    let model = nic.config().and_then(|config| config.model.as_deref());
    let model = model.map(|model| format!(" --model {}", quote(model))).unwrap_or_default();
    Some(format!("virt-net nic add {guest} --to {to}{model}   # a free MAC is proposed"))
}

/// It says nothing but what is written anew, and this.
fn is_plain(element: &str, besides: &[&str]) -> bool {
    roxmltree::Document::parse(element).is_ok_and(|document| {
        let parts = document.root_element().children().filter(roxmltree::Node::is_element);
        parts
            .map(|part| part.tag_name().name())
            .all(|part| MADE_ANEW.contains(&part) || besides.contains(&part))
    })
}

fn twins(snapshot: &Snapshot, first: &Nic, second: &Nic) -> Finding {
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
        .fix(by_hand(snapshot, second))
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
            .fix(by_hand(snapshot, nic)),
    )
}
