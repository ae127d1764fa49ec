//! PURE. The plan that hands a device to a guest: a VF as an `<interface type='hostdev'>`, which has a MAC
//! address and a VLAN that the card enforces; any other NIC whole, as a `<hostdev>`.

use super::{holders, kind, link_of, obstacle, pool_of};
use crate::change::nic::{mac_for, refusal};
use crate::change::plan::{self, Bounce, Edit, Plan, Refusal, Verdict, When};
use crate::change::target::Target;
use crate::model::guest::{DomainState, Guest, Machine, alias_of};
use crate::model::ids::{DomainId, Mac, NicId};
use crate::model::pci::{PciNic, is_vfio};
use crate::model::{PciAddress, Snapshot};

/// A device to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// For which guest.
    pub guest: DomainId,
    /// Which device.
    pub device: PciAddress,
    /// A VF's address; `None`: one that no guest has is proposed.
    pub mac: Option<Mac>,
    /// The VLAN that the card puts a VF's frames into, 1 to 4094.
    pub vlan: Option<u16>,
    /// When.
    pub when: When,
}

/// Hands it over.
///
/// # Errors
/// The device cannot be taken, the guest cannot have it, or another NIC has the MAC.
pub fn attach(snapshot: &Snapshot, new: &NewDevice) -> Result<Plan, Refusal> {
    let what = format!("assign PCI NIC {}", new.device);
    let refuse = |(reason, way_out): (String, String)| refusal(&what, &reason, &way_out);
    let because = |reason: &str, way_out: &str| refusal(&what, reason, way_out);
    let guest =
        snapshot.guest(new.guest).ok_or_else(|| because("the guest is not there any more", "look again"))?;
    let own = holders(snapshot, new.device).into_iter().find(|holder| holder.guest.id == new.guest);
    if let Some(own) = own {
        return Err(match (own.runs, guest.live.is_some()) {
            (true, _) => because("the guest has it already", "nothing to do"),
            (false, true) => {
                because("the guest's next boot has it already", "have it now: virt-net nic apply")
            }
            (false, false) => because("the guest's next boot has it already", "nothing to do"),
        });
    }
    if let Some(found) = obstacle(snapshot, new.device) {
        return Err(refuse(found));
    }
    let nic = snapshot.pci_nic(new.device).ok_or_else(|| because("it is gone", "look again"))?;
    let now = guest.live.is_some() && new.when == When::NowAndNextBoot;
    if let Some(found) = unfit(guest, now) {
        return Err(refuse(found));
    }
    if let Some(found) = card_is_down(snapshot, nic).filter(|_| now) {
        return Err(refuse(found));
    }
    let (mac, element) = if nic.is_function() {
        let mac = mac_for(snapshot, new.guest, new.mac, &what)?;
        (mac, interface(mac, new.device, vlan(new, &what)?))
    } else {
        let own = own_mac(snapshot, nic, new, &what)?;
        (own.unwrap_or_else(|| Mac::of_place(new.device)), hostdev(new.device, own))
    };
    let live = now.then(|| Edit { before: String::new(), after: element.clone() });
    let next = guest.next.is_some().then(|| Edit { before: String::new(), after: element });
    if live.is_none() && next.is_none() {
        return Err(because("the guest is transient: it has no next boot", "assign it now"));
    }
    let to = Target::Pci { device: new.device };
    let plan = Plan {
        nic: NicId { domain: new.guest, mac, nth: 0 },
        guest: guest.name.clone(),
        title: format!("assign {} ({})", to.words(), kind(snapshot, nic)),
        from: to.clone(),
        structure: snapshot.structure,
        verdict: if now { Verdict::Plug } else { Verdict::NextBootOnly },
        bounce: Bounce::Off,
        steps: Vec::new(),
        expected: live.as_ref().and(plan::expected(snapshot, &to)),
        to,
        live,
        next,
        consequences: consequences(snapshot, guest, nic, new, now),
        commands: Vec::new(),
        group: None,
        undoes: None,
    };
    Ok(plan.complete())
}

fn interface(mac: Mac, device: PciAddress, vlan: Option<u16>) -> String {
    let vlan = vlan.map(|id| format!("  <vlan>\n    <tag id='{id}'/>\n  </vlan>\n")).unwrap_or_default();
    format!(
        "<interface type='hostdev' managed='yes'>\n  <mac address='{mac}'/>\n  <source>\n    <address type='pci' {}/>\n  \
         </source>\n{vlan}</interface>",
        device.attributes()
    )
}

fn hostdev(device: PciAddress, own: Option<Mac>) -> String {
    format!(
        "<hostdev mode='subsystem' type='pci' managed='yes'>\n  <source>\n    <address {}/>\n  </source>\n  \
         <alias name='{}'/>\n</hostdev>",
        device.attributes(),
        alias_of(device, own)
    )
}

fn vlan(new: &NewDevice, what: &str) -> Result<Option<u16>, Refusal> {
    match new.vlan {
        Some(vlan) if !(1..=4094).contains(&vlan) => {
            Err(refusal(what, &format!("{vlan} is no VLAN"), "1 to 4094"))
        }
        vlan => Ok(vlan),
    }
}

/// The address of a NIC that goes whole is its own: the guest's driver reads it from the card. `None` when that
/// is not known, because no driver of the host has the card.
fn own_mac(snapshot: &Snapshot, nic: &PciNic, new: &NewDevice, what: &str) -> Result<Option<Mac>, Refusal> {
    if new.mac.is_some() || new.vlan.is_some() {
        let reason = "it goes to the guest whole: it keeps its own MAC address, and the guest sets its VLANs";
        return Err(refusal(what, reason, "leave MAC and VLAN out, or assign a VF"));
    }
    let own = link_of(nic).and_then(|name| snapshot.link_named(name)?.mac);
    let of_guest = |id: NicId| id.domain == new.guest && Some(id.mac) == own;
    if snapshot.nics.iter().any(|other| of_guest(other.id)) {
        return Err(refusal(what, "the guest has a NIC with its MAC address", "change that one first"));
    }
    Ok(own)
}

/// Why this guest cannot have a PCI device.
fn unfit(guest: &Guest, now: bool) -> Option<(String, String)> {
    let because = |reason: String, way_out: &str| Some((reason, way_out.to_owned()));
    let machine: &Machine = &guest.current()?.machine;
    if machine.machine.as_deref().is_some_and(|name| name == "isapc" || name.starts_with("microvm")) {
        return because("the guest's machine has no PCI bus".to_owned(), "a guest of type q35 or pc");
    }
    let x86 = machine.arch.as_deref().is_none_or(|arch| matches!(arch, "x86_64" | "i686"));
    if now && guest.state != DomainState::Running {
        return because(format!("the guest is {}", guest.state.word()), "do it for the next boot only");
    }
    if now && x86 && !machine.acpi {
        return because(
            "the guest has no ACPI: it does not notice a new device".to_owned(),
            "do it for the next boot only",
        );
    }
    None
}

/// libvirt sets a VF's address by its card, which must be up for that.
fn card_is_down(snapshot: &Snapshot, nic: &PciNic) -> Option<(String, String)> {
    let name = link_of(snapshot.pci_nic(nic.physical?)?)?;
    let link = snapshot.link_named(name).filter(|link| !link.up)?;
    Some((format!("its card {} is down", link.name), format!("ip link set {} up", link.name)))
}

fn consequences(snapshot: &Snapshot, guest: &Guest, nic: &PciNic, new: &NewDevice, now: bool) -> Vec<String> {
    let headline = match (now, guest.live.is_some()) {
        (true, _) => "Plugged in now: the guest gets a new device, and needs the driver of that card.",
        (false, true) => {
            "The running guest is not touched: it gets the device when it is shut down and started."
        }
        (false, false) => "The guest is off: it starts with this device, and needs the driver of that card.",
    };
    let mut told = vec![headline.to_owned()];
    let link = link_of(nic).map(|link| format!(", its link {link} goes")).unwrap_or_default();
    let driver = nic.driver.as_deref().filter(|driver| !is_vfio(driver));
    told.push(match driver {
        Some(driver) => format!(
            "{}the host's driver {driver} lets go of it{link}; both come back when the guest lets go",
            if now { "" } else { "from then on " }
        ),
        None => "no driver of the host has it now".to_owned(),
    });
    told.push(
        "its packets go by the card, past this host: no bridge, firewall rule or counter here sees them, and its \
         address is known only from the guest's agent, or once it talks to this host"
            .to_owned(),
    );
    told.push(
        "while the guest has it, it cannot be saved or migrated, and all of its memory stays locked in the host's"
            .to_owned(),
    );
    if let Some(vlan) = new.vlan {
        told.push(format!("the card puts its frames into VLAN {vlan}; the guest does not see that"));
    }
    if !nic.is_function() {
        told.push("it goes whole: its MAC address, VLANs and mode are the guest's to change".to_owned());
    }
    if let Some((reason, way_out)) = card_is_down(snapshot, nic) {
        told.push(format!("{reason}: the guest does not start so ({way_out})"));
    }
    if let Some(network) = pool_of(snapshot, nic.address) {
        told.push(format!(
            "network {} hands it out too, whoever has it: the guest that is given it there then does not start",
            network.name
        ));
    }
    for holder in holders(snapshot, nic.address) {
        told.push(format!(
            "{} ({}) has it in its definition too: only one of them can run with it",
            holder.guest.name,
            holder.guest.state.word()
        ));
    }
    told
}
