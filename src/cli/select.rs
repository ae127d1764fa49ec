//! PURE. Finds what a word on the command line means; an unknown one gets one sentence with the nearest.

use crate::change::Target;
use crate::change::target::quote;
use crate::model::{Guest, IfName, Mac, Nic, NicId, Snapshot};
use crate::ui::text::escape;

/// A NIC, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Found(NicId),
    Unknown(String),
}

/// The guest of this name or UUID, or a sentence with the nearest names.
pub(super) fn guest<'a>(snapshot: &'a Snapshot, vm: &str) -> Result<&'a Guest, String> {
    let guests = &snapshot.libvirt.guests;
    guests.iter().find(|guest| guest.name == vm || guest.id.to_string() == vm).ok_or_else(|| {
        let names: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        unknown("guest", vm, &names)
    })
}

/// The NIC that a guest's name or UUID and a MAC, link name or position mean; `command` is whose arguments
/// these are, for an example.
pub(super) fn nic(snapshot: &Snapshot, command: &str, vm: &str, nic: Option<&str>) -> Selection {
    let guest = match self::guest(snapshot, vm) {
        Ok(guest) => guest,
        Err(sentence) => return Selection::Unknown(sentence),
    };
    let nics: Vec<&Nic> = snapshot.nics.iter().filter(|nic| nic.id.domain == guest.id).collect();
    let described: Vec<String> = nics.iter().map(|nic| describe(nic)).collect();
    let name = escape(&guest.name);
    let found: Vec<&&Nic> = match nic {
        None => nics.iter().collect(),
        Some(word) => nics.iter().filter(|nic| is_called(nic, word)).collect(),
    };
    match (found.as_slice(), nic) {
        ([one], _) => Selection::Found(one.id),
        ([], None) => Selection::Unknown(format!("guest {name} has no NIC")),
        ([], Some(word)) => Selection::Unknown(format!(
            "guest {name} has no NIC {}; it has: {}",
            escape(word),
            described.join(", ")
        )),
        ([first, ..], None) => {
            let which = first.link_name.map_or_else(|| first.position.to_string(), |link| link.to_string());
            Selection::Unknown(format!(
                "guest {name} has several NICs: {}; say which, as in: virt-net {command} {} {which}",
                described.join(", "),
                escape(&quote(&guest.name)),
            ))
        }
        ([first, ..], Some(word)) => Selection::Unknown(format!(
            "{} means several NICs of guest {name}: {}; say which by its position, as in: virt-net {command} {} {}",
            escape(word),
            described.join(", "),
            escape(&quote(&guest.name)),
            first.position,
        )),
    }
}

fn is_called(nic: &Nic, word: &str) -> bool {
    word.parse::<Mac>().is_ok_and(|mac| mac == nic.id.mac)
        || word.parse::<IfName>().is_ok_and(|name| nic.link_name == Some(name))
        || word.parse::<usize>().is_ok_and(|position| position == nic.position)
}

fn describe(nic: &Nic) -> String {
    let link = nic.link_name.map(|name| format!(" {name}")).unwrap_or_default();
    format!("{} {}{link}", nic.position, nic.mac_text())
}

/// One sentence if there is no such network.
pub(super) fn unknown_network(snapshot: &Snapshot, name: &str) -> Option<String> {
    unknown_target(snapshot, &Target::Network { network: name.to_owned() })
}

/// One sentence if the target's name is not one of this host.
pub(super) fn unknown_target(snapshot: &Snapshot, target: &Target) -> Option<String> {
    match target {
        Target::Network { network } => {
            let names: Vec<&str> =
                snapshot.libvirt.networks.iter().map(|network| network.name.as_str()).collect();
            (!names.contains(&network.as_str())).then(|| unknown("network", network, &names))
        }
        Target::Bridge { bridge } => {
            let names: Vec<String> = snapshot.bridges.iter().map(|bridge| bridge.name.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            snapshot.bridge_named(*bridge).is_none().then(|| unknown("bridge", &bridge.to_string(), &names))
        }
        Target::Pci { device } => {
            let names: Vec<String> = snapshot.pci_nics().iter().map(|nic| nic.address.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            snapshot.pci_nic(*device).is_none().then(|| unknown("PCI NIC", &device.to_string(), &names))
        }
        Target::Macvtap { lower, .. } => {
            let names: Vec<String> = snapshot.kernel.links.iter().map(|link| link.name.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            snapshot.link_named(*lower).is_none().then(|| unknown("link", &lower.to_string(), &names))
        }
    }
}

/// `there is no guest centos; nearest: centos7`.
fn unknown(kind: &str, word: &str, names: &[&str]) -> String {
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), *name))
        .filter(|(distance, name)| *distance <= 3 || name.contains(word) || word.contains(name))
        .collect();
    near.sort_unstable();
    let listed: Vec<String> = match near.as_slice() {
        [] => names.iter().take(8).map(|name| escape(name).into_owned()).collect(),
        near => near.iter().take(3).map(|(_, name)| escape(name).into_owned()).collect(),
    };
    let label = if near.is_empty() { "there are" } else { "nearest" };
    let rest = if listed.is_empty() {
        "there is none at all".to_owned()
    } else {
        format!("{label}: {}", listed.join(", "))
    };
    format!("there is no {kind} {}; {rest}", escape(word))
}
