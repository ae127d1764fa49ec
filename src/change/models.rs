//! PURE. The NIC models that a guest can be given: those of its emulator. libvirt takes any word for the
//! next boot, which then fails.

use crate::model::{DomainId, Snapshot};

/// What QEMU has had for years, for where nobody says what the guest's emulator has.
const COMMON: [&str; 15] = [
    "virtio",
    "e1000e",
    "e1000",
    "igb",
    "rtl8139",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_pci",
    "pcnet",
    "spapr-vlan",
    "usb-net",
    "virtio-non-transitional",
    "virtio-transitional",
    "vmxnet3",
];

/// The models to offer for this guest, the usual ones first.
#[must_use]
pub fn offered(snapshot: &Snapshot, guest: DomainId) -> Vec<String> {
    match snapshot.guest(guest).and_then(|guest| snapshot.nic_models(guest)) {
        Some(models) => models.to_vec(),
        None => COMMON.map(str::to_owned).to_vec(),
    }
}

/// The models to offer for a guest that is not there yet: those of an emulator that this host's guests have.
#[must_use]
pub fn common(snapshot: &Snapshot) -> Vec<String> {
    let known = snapshot.libvirt.emulators.iter().find(|emulator| !emulator.models.is_empty());
    known.map_or_else(|| COMMON.map(str::to_owned).to_vec(), |emulator| emulator.models.clone())
}

/// Why this guest cannot have this model, and the nearest ones that it can.
pub(super) fn unknown(snapshot: &Snapshot, guest: DomainId, model: &str) -> Option<(String, String)> {
    let mut near = offered(snapshot, guest);
    if near.iter().any(|known| known == model) {
        return None;
    }
    near.sort_by_key(|known| strsim::damerau_levenshtein(model, known));
    near.truncate(3);
    let known = snapshot.guest(guest).and_then(|guest| snapshot.nic_models(guest)).is_some();
    let whose = if known { "the guest's emulator has no" } else { "there is no" };
    Some((format!("{whose} NIC model {model}"), format!("nearest: {}", near.join(", "))))
}
