//! PURE. "If the iptables rules break, your VMs may stop communicating": an active NAT network whose packets leave
//! the host untranslated for certain, whoever's rules there are.

use ipnet::IpNet;

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::network::ForwardMode;
use crate::model::{Bridge, IfName, Network, Snapshot};
use crate::path::packet::{Flow, Packet, Place};
use crate::path::{Hooks, INTERNET, Protocol};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let hooks = Hooks::of(snapshot);
    let mut findings = Vec::new();
    for (network, bridge) in
        look::own_networks(snapshot).filter(|(network, _)| network.forward() == ForwardMode::Nat)
    {
        let subnets = network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let v4 = subnets.iter().map(|subnet| subnet.gateway.trunc()).filter(|subnet| subnet.addr().is_ipv4());
        let ways = ways_out(snapshot, network, bridge);
        let place = Place { inward: vec![bridge.name], outward: ways.clone(), ..Place::default() };
        // Part of a subnet, or one protocol, that is translated is somebody's choice.
        let untranslated = |subnet: &IpNet| {
            [Protocol::Ping, Protocol::Tcp(443), Protocol::Udp(53)].into_iter().all(|protocol| {
                let packet = Packet::new(*subnet, INTERNET.into(), protocol, Flow::New);
                hooks.keeps_source(packet, &place)
            })
        };
        findings.extend(v4.filter(untranslated).map(|subnet| finding(snapshot, network, subnet, &ways)));
    }
    findings
}

/// The links by which the network's packets may leave: its own limit, else those of the default routes, else all
/// that routes lead to.
fn ways_out(snapshot: &Snapshot, network: &Network, bridge: &Bridge) -> Vec<IfName> {
    let limited = network.current().map(|definition| definition.forward_devs.clone()).unwrap_or_default();
    if !limited.is_empty() {
        return limited;
    }
    let defaults = look::defaults(snapshot);
    let by_rules = snapshot.kernel.settings.policy_routing == Some(true);
    let others = look::routes(snapshot).filter(|_| by_rules || defaults.is_empty());
    let mut ways: Vec<IfName> = defaults
        .iter()
        .copied()
        .chain(others)
        .filter(|(route, link)| route.destination.addr().is_ipv4() && link.index != bridge.index)
        .map(|(_, link)| link.name)
        .collect();
    ways.sort_unstable();
    ways.dedup();
    ways
}

fn finding(snapshot: &Snapshot, network: &Network, subnet: IpNet, ways: &[IfName]) -> Finding {
    let firewall = &snapshot.firewall;
    let nat = firewall
        .chains
        .iter()
        .filter(|chain| chain.hook.as_ref().is_some_and(|hook| hook.kind == "nat"))
        .count();
    let by: Vec<String> = ways.iter().map(ToString::to_string).collect();
    let title = format!("network {} has no masquerade rule", network.name);
    let finding = Finding::new("nat-rules-missing", Severity::Error, Subject::Network(network.id), title)
        .part(subnet.to_string())
        .libvirt(format!("network {} active, nat, {subnet}", network.name))
        .firewall(format!(
            "no rule reached from the {nat} nat chains translates {subnet}{} (generation {}{})",
            if by.is_empty() { String::new() } else { format!(" on its way out by {}", by.join(" or ")) },
            firewall.generation,
            look::last_change(snapshot)
        ))
        .means(
            "Packets of these guests leave with their private address, which nobody outside can answer. \
             Somebody flushed or reloaded the firewall after the network was started.",
        );
    // On a reload libvirt fills its own chain again; the jump to that chain it makes only when it starts.
    let own = firewall.chains.iter().find(|chain| chain.id.table == "nat" && chain.id.chain == "LIBVIRT_PRT");
    let native = firewall.chains.iter().any(|chain| chain.id.table == "libvirt_network");
    let lost_its_jump = own.map_or(!native, |chain| !firewall.is_reached(&chain.id));
    let restart = look::restart_of_the_daemon();
    if lost_its_jump {
        return finding
            .firewall("nothing jumps to libvirt's own chain: a reload cannot put that back")
            .fix(restart);
    }
    let repair = Remedy::RepairNetwork { network: network.name.clone() };
    finding.fix(Fix::by("have libvirt write its rules again: guests stay up", repair)).fix(restart)
}
