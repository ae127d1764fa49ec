//! PURE. A running guest's NIC will be another one at the next boot. A network over a host's bridge, which reads as a
//! bridge in the live definition, is the same plug and never counts.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::{NicConfig, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let pending = snapshot.nics.iter().filter(|nic| nic.pending && nic.state.is_active());
    pending
        .map(|nic| {
            let (now, next) = (nic.live.as_ref(), nic.next.as_ref());
            let title = format!("{}: {}", look::name(nic), difference(now, next));
            Finding::new("pending-change", Severity::Warning, Subject::Nic(nic.id), title)
                .libvirt(format!("live: {}", words(now)))
                .libvirt(format!("next boot: {}", words(next)))
                .means(
                    "The guest comes back on another network, or with another device, when it is shut down and started (a \
                     reboot inside is not enough). virt-manager leaves this behind where a live change was refused.",
                )
                .fix(Fix::by("make the running guest as the next boot", Remedy::ApplyPending { nic: nic.id }))
                .fix(Fix::by("make the next boot as the guest runs now", Remedy::DiscardPending { nic: nic.id }))
        })
        .collect()
}

fn plug(config: &NicConfig) -> String {
    format!("{} {}", config.source.kind_word(), config.source.plug()).trim_end().to_owned()
}

fn difference(now: Option<&NicConfig>, next: Option<&NicConfig>) -> String {
    match (now, next) {
        (Some(now), Some(next)) if plug(now) == plug(next) => {
            format!("now {}, at next boot {}", rest(now), rest(next))
        }
        (Some(now), Some(next)) => format!("now {}, at next boot {}", plug(now), plug(next)),
        (Some(_), None) => "gone at next boot".to_owned(),
        (None, Some(_)) => "there only from the next boot on".to_owned(),
        (None, None) => String::new(),
    }
}

fn words(config: Option<&NicConfig>) -> String {
    config.map_or_else(|| "no such NIC".to_owned(), |config| format!("{}, {}", plug(config), rest(config)))
}

/// What of a NIC counts beside its plug.
fn rest(config: &NicConfig) -> String {
    let mut parts = vec![format!("model {}", config.model.as_deref().unwrap_or("default"))];
    parts.push(if config.link_down { "link down" } else { "link up" }.to_owned());
    parts.extend(config.mtu.map(|mtu| format!("MTU {mtu}")));
    parts.extend(config.filter.as_ref().map(|filter| format!("filter {filter}")));
    parts.extend(config.isolated.then(|| "isolated".to_owned()));
    parts.extend((!config.vlans.is_empty()).then(|| format!("VLANs {:?}", config.vlans)));
    parts.extend(config.bandwidth.then(|| "a bandwidth limit".to_owned()));
    parts.join(", ")
}
