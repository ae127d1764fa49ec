//! PURE. The form that assigns a PCI NIC or a VF of the host to a guest. All devices are in it, each with its
//! state; for one that cannot be taken the preview says why, and what the host lacks.

use super::{Field, Form, Shown, Value, choice, refusal, text};
use crate::app::job::{Job, Planned};
use crate::change::device::{self, Missing, NewDevice};
use crate::change::{Refusal, When};
use crate::model::{DomainId, PciNic, Snapshot};

const WHEN: [(&str, When); 2] =
    [("now and at next boot", When::NowAndNextBoot), ("next boot only", When::NextBoot)];

pub(super) fn fields(snapshot: &Snapshot, id: DomainId) -> Option<(String, Vec<Field>)> {
    let guest = snapshot.guest(id)?;
    let nics = snapshot.pci_nics();
    let free = nics.iter().position(|nic| device::obstacle(snapshot, nic.address).is_none());
    let when = WHEN.map(|(word, _)| word.to_owned()).to_vec();
    let fields = vec![
        choice("device", "device", lines(snapshot), free.unwrap_or(0)),
        text("mac", "MAC", "", "empty: one that no guest has"),
        text("vlan", "VLAN", "", "empty: none; the card puts the frames into it"),
        choice("when", "when", when, usize::from(guest.live.is_none())),
    ];
    Some((format!("Assign a PCI NIC or VF to {}", guest.name), fields))
}

/// `0000:01:10.0  VF 0 of enp1s0f0, ixgbevf: free`.
fn lines(snapshot: &Snapshot) -> Vec<String> {
    let line = |nic: &PciNic| {
        let words = nic.links.iter().map(ToString::to_string).chain(nic.driver.clone());
        let words: Vec<String> = std::iter::once(device::kind(snapshot, nic)).chain(words).collect();
        format!("{}  {}: {}", nic.address, words.join(", "), device::state(snapshot, nic))
    };
    snapshot.pci_nics().iter().map(line).collect()
}

/// Follows the host: the devices that there are now, the same one chosen; what only a VF has is shown for one.
pub(super) fn arrange(form: &mut Form, snapshot: &Snapshot) {
    let (line, chosen) = (form.get("device").to_owned(), address(form));
    if let Some(field) = form.fields.iter_mut().find(|field| field.id == "device")
        && let Value::Choice { options, at } = &mut field.value
    {
        *options = lines(snapshot);
        let again = options.iter().position(|line| line.starts_with(&chosen));
        *at = again.unwrap_or_else(|| {
            // One that has gone is refused; another one was not chosen.
            options.push(line);
            options.len() - 1
        });
    }
    let is_function =
        chosen.parse().ok().and_then(|chosen| snapshot.pci_nic(chosen)).is_some_and(PciNic::is_function);
    for id in ["mac", "vlan"] {
        form.show(id, if is_function { Shown::Yes } else { Shown::No });
    }
}

fn address(form: &Form) -> String {
    form.get("device").split(' ').next().unwrap_or_default().to_owned()
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot, guest: DomainId) -> Planned {
    let Ok(device) = address(form).parse() else {
        let refused = refusal("", "there is no device to assign", "");
        return Err(with_missing(refused, device::missing(snapshot)));
    };
    let new = NewDevice {
        guest,
        device,
        mac: form.parsed("mac", "six bytes as 52:54:00:12:34:56")?,
        vlan: form.parsed("vlan", "a number, 1 to 4094")?,
        when: WHEN.get(form.at("when")).map_or(When::NowAndNextBoot, |(_, when)| *when),
    };
    device::attach(snapshot, &new).map(Job::from).map_err(|refused| {
        let any = snapshot.pci_nics().iter().any(|nic| device::obstacle(snapshot, nic.address).is_none());
        if any { refused } else { with_missing(refused, device::missing(snapshot)) }
    })
}

/// And what the host lacks so that any device could be taken.
fn with_missing(mut refused: Refusal, missing: Vec<Missing>) -> Refusal {
    let more = missing.into_iter().filter(|missing| missing.reason != refused.reason);
    let more = more.map(|missing| capital(&format!("{}: {}", missing.reason, missing.way_out)));
    let said = Some(refused.way_out).filter(|said| !said.is_empty());
    refused.way_out = said.into_iter().chain(more).collect::<Vec<String>>().join(". ");
    refused
}

/// A sentence's beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
