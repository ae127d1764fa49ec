//! PURE. "Need to enter the VM, it cannot be seen here": a bridged guest whose address no source of this host knows.

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use crate::change::target::quote;
use crate::model::{Network, Nic, NicSource, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::running(snapshot).filter_map(|nic| of_nic(snapshot, nic)).collect()
}

fn of_nic(snapshot: &Snapshot, nic: &Nic) -> Option<Finding> {
    let link = snapshot.link(nic.link?)?;
    // An IPv6 address that the link made by itself is not what anybody means by the guest's address.
    let known = nic
        .addresses
        .iter()
        .any(|seen| !seen.stale && (seen.address.is_ipv4() || !look::is_link_local(seen.address)));
    let libvirts = nic
        .network
        .and_then(|id| snapshot.network(id))
        .is_some_and(|network: &Network| network.dhcp_size() > 0);
    let pulled = nic.live.as_ref().is_some_and(|live| live.link_down);
    let agent = snapshot.guest(nic.id.domain).is_some_and(|guest| guest.agent);
    // With libvirt's own DHCP no lease means something else; an agent that is there will tell.
    if known || libvirts || pulled || agent || (nic.bridge.is_none() && nic.lower.is_none()) {
        return None;
    }
    let channel = nic_has_channel(snapshot, nic);
    let title = format!("the address of {} is not known here", look::name(nic));
    let stale = nic.addresses.iter().find(|seen| seen.stale);
    let mut finding = Finding::new("guest-ip-unknown", Severity::Note, Subject::Nic(nic.id), title)
        .libvirt(format!(
            "{} {} is plugged into {}: its DHCP server is not libvirt's, so there is no lease here",
            nic.guest,
            nic.id.mac,
            nic.source().map(NicSource::plug).unwrap_or_default()
        ))
        .libvirt(if channel { "its agent is not connected" } else { "it has no channel for a guest agent" })
        .kernel(format!(
            "no entry of the neighbour table has {} ({} is {})",
            nic.id.mac, link.name, link.oper_state
        ));
    if let Some(stale) = stale {
        finding =
            finding.libvirt(format!("the only one on record, {}, is of where it was before", stale.address));
    }
    let vm = quote(&nic.guest);
    Some(
        finding
            .means(
                "virsh domifaddr asks libvirt's own DHCP server, which a bridged guest never talked to. An address shows as \
                 soon as one of these knows it: the guest's agent, the host's neighbour table (after a packet between host \
                 and guest; never for a macvtap on the host's own link), or a DHCP or ARP packet seen on the wire.",
            )
            .fix(Fix::by_hand("ask the guest itself, at its console", [format!("virt-net console {vm}   # there: ip address")]))
            .fix(if channel { run_agent(&vm) } else { add_channel(&vm) }),
    )
}

fn run_agent(vm: &str) -> Fix {
    let ping =
        format!("virsh qemu-agent-command {vm} '{{\"execute\":\"guest-ping\"}}'   # answers when it runs");
    Fix::by_hand("run the guest agent in the guest (package qemu-guest-agent)", [ping])
}

/// Without a channel the agent has nobody to talk to.
fn add_channel(vm: &str) -> Fix {
    let element =
        "<channel type=\"unix\"><target type=\"virtio\" name=\"org.qemu.guest_agent.0\"/></channel>";
    let attach = format!("echo '{element}' | virsh attach-device {vm} /dev/stdin --config");
    let restart = format!("virt-net guest shutdown {vm} && virt-net guest start {vm}");
    Fix::by_hand("give it a channel for the guest agent, and run the agent in it", [attach, restart])
}

fn nic_has_channel(snapshot: &Snapshot, nic: &Nic) -> bool {
    let definition = snapshot.guest(nic.id.domain).and_then(|guest| guest.current());
    definition.is_some_and(|definition| definition.machine.agent_channel)
}
