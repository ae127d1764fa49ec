//! PURE. An isolated or NAT network that nothing keeps apart any more: libvirt's rules about it are gone or nothing
//! jumps to them, and no other rule stops who comes from outside.

use super::finding::{Finding, Severity, Subject};
use super::look;
use crate::model::firewall::Hook;
use crate::model::network::ForwardMode;
use crate::model::{Bridge, Network, Snapshot};
use crate::path::packet::{Flow, Packet, Place};
use crate::path::{Hooks, INTERNET, Protocol};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let Some((_, uplink)) = look::defaults(snapshot).first().copied() else { return Vec::new() };
    if snapshot.kernel.settings.ip_forward == Some(false) {
        return Vec::new();
    }
    let hooks = Hooks::of(snapshot);
    let mut findings = Vec::new();
    for (network, bridge) in look::own_networks(snapshot) {
        let subnets = network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let subnet = subnets.iter().map(|subnet| subnet.gateway).find(|gateway| gateway.addr().is_ipv4());
        let Some(subnet) = subnet else { continue };
        let severity = match network.forward() {
            ForwardMode::Isolated => Severity::Error,
            // Without its masquerade rule another check tells of it.
            ForwardMode::Nat if snapshot.firewall.masquerades(subnet.trunc()) => Severity::Warning,
            _ => continue,
        };
        let Some(guest) = look::some_guest_address(subnet) else { continue };
        let packet = Packet::new(INTERNET.into(), guest.into(), Protocol::Ping, Flow::New);
        let place = Place { inward: vec![uplink.name], outward: vec![bridge.name], ..Place::default() };
        let is_stopped = hooks.stop(packet, &place, Hook::Forward).is_some();
        if !is_stopped && !snapshot.firewall.guards(bridge.name) {
            findings.push(finding(snapshot, network, bridge, severity));
        }
    }
    findings
}

fn finding(snapshot: &Snapshot, network: &Network, bridge: &Bridge, severity: Severity) -> Finding {
    let title = format!("nothing keeps network {} apart: libvirt's rules about it do nothing", network.name);
    let unreached = Vec::from_iter(snapshot.firewall.unreached(bridge.name)).join(", ");
    let seen = if unreached.is_empty() {
        format!("no rule of the forward hook names {}", bridge.name)
    } else {
        format!("nothing jumps to {unreached}, with the rules about {}", bridge.name)
    };
    Finding::new("network-unguarded", severity, Subject::Network(network.id), title)
        .libvirt(format!("network {} active, {}", network.name, network.forward().word()))
        .firewall(format!(
            "{seen} (generation {}{})",
            snapshot.firewall.generation,
            look::last_change(snapshot)
        ))
        .means(
            "Who knows a way by this host reaches these guests from outside, and they reach out where an answer finds \
             its way back. Somebody flushed or reloaded the firewall after the network was started.",
        )
        .fix(look::restart_of_the_daemon())
}
