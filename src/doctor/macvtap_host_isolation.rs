//! PURE. "The host cannot ssh to the VM, but the LAN can ping it": a macvtap never hands frames to the host's own
//! addresses on the link below it.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::shim;
use crate::change::target::quote;
use crate::model::kernel::LinkKind;
use crate::model::{MacvtapMode, Nic, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot).filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let link = snapshot.link(nic.link?)?;
    let LinkKind::Macvtap { mode } = &link.kind else { return None };
    let lower = snapshot.link_named(nic.lower?)?;
    // The host's address on another link reaches the guest by way of the switch.
    let own = look::global(snapshot, lower.index);
    let address = own.first()?;
    let mut known = nic.addresses.iter().filter(|seen| !seen.stale && seen.address.is_ipv4());
    let guest = known.next().map(|seen| seen.address);
    let shim = shim::of_link(snapshot, lower.name).filter(|shim| shim.up && *mode == MacvtapMode::Bridge);
    // Of a guest whose address is not known nobody can tell whether its route is there.
    if shim.is_some() && guest.is_none_or(|guest| shim::carries(snapshot, lower.name, guest)) {
        return None;
    }
    let title =
        format!("{} and this host cannot reach each other: macvtap on {}", look::name(nic), lower.name);
    let alone = match mode {
        MacvtapMode::Vepa => {
            " In mode vepa the guests on this link do not reach each other either, unless the switch sends frames back (hairpin)."
        }
        MacvtapMode::Private => " In mode private the guests on this link never reach each other either.",
        MacvtapMode::Passthrough => {
            " In mode passthrough the link is the guest's alone: the host's address on it reaches nobody."
        }
        MacvtapMode::Bridge => "",
    };
    let finding = Finding::new("macvtap-host-isolation", Severity::Warning, Subject::Nic(nic.id), title)
        .libvirt(format!("{} {} is a macvtap on {}, mode {}", nic.guest, nic.id.mac, lower.name, mode.word()))
        .kernel(format!("{} is on {}, mode {}", link.name, lower.name, mode.word()))
        .kernel(format!("{} has the host's address {address}", lower.name))
        .means(format!(
            "What a macvtap sends goes straight out of {}; it is never handed to the host's own address there, and no switch \
             sends a frame back out of the port it came from. So the LAN reaches the guest and the host does not, and the \
             guest does not reach the host.{alone}",
            lower.name
        ));
    let finding = match (shim, guest) {
        (Some(shim), Some(guest)) => finding
            .kernel(format!("{} is a shim on {}, but no route to {guest} goes by it", shim.name, lower.name)),
        _ => finding,
    };
    let vm = quote(&nic.guest);
    let second = Fix::by_hand(
        "or give the guest a second NIC for talking to the host",
        [format!("virt-net nic add {vm} --to {}", look::refuge(snapshot, None))],
    );
    let bridge = Fix::by_hand(
        "or put host and guest on a real bridge",
        [
            look::switch_elsewhere(snapshot, nic, None),
            format!("virt-net bridge create br0 --port {}", lower.name),
            format!("virt-net switch {vm} {} --to bridge=br0", nic.id.mac),
        ],
    );
    if *mode != MacvtapMode::Bridge {
        return Some(finding.fix(second).fix(bridge));
    }
    let words = match shim {
        Some(shim) => format!("give the shim {} its route to the guest", shim.name),
        None => "give the host a shim: a macvlan of its own on that link, and a route to the guest by it"
            .to_owned(),
    };
    let shim = match guest {
        Some(_) => Fix::by(words, Remedy::Shim { over: lower.name }),
        None => {
            Fix::by_hand(words, [format!("virt-net shim create --over {} --to GUEST-ADDRESS", lower.name)])
        }
    };
    Some(finding.fix(shim).fix(second).fix(bridge))
}
