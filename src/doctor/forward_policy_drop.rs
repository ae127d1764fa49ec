//! PURE. Docker, or any other table, drops what libvirt lets pass: an accept is final only in its own base chain.

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use super::rules;
use crate::model::Snapshot;
use crate::model::firewall::{Action, Hook, Rule, Verdict};
use crate::model::network::ForwardMode;
use crate::model::snapshot::GuestRule;
use crate::path::packet::{Flow, Packet, Place};
use crate::path::{Hooks, INTERNET, Protocol};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let uplink = look::defaults(snapshot).first().map(|(_, link)| link.name);
    let hooks = Hooks::of(snapshot);
    let mut findings = Vec::new();
    for (network, bridge) in look::own_networks(snapshot) {
        if network.forward() == ForwardMode::Isolated {
            continue;
        }
        let definition = network.current();
        let subnets = definition.map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let Some(subnet) =
            subnets.iter().map(|subnet| subnet.gateway).find(|gateway| gateway.addr().is_ipv4())
        else {
            continue;
        };
        let limited = definition.and_then(|definition| definition.forward_devs.first().copied());
        let (Some(source), Some(uplink)) = (look::some_guest_address(subnet), limited.or(uplink)) else {
            continue;
        };
        let packet = Packet::new(source.into(), INTERNET.into(), Protocol::Tcp(443), Flow::New);
        let place = Place { inward: vec![bridge.name], outward: vec![uplink], ..Place::default() };
        let Some(stop) = hooks.stop(packet, &place, Hook::Forward) else { continue };
        let title = format!("packets of network {} are dropped on their way through the host", network.name);
        let accepts = snapshot.firewall.rules.iter().find(|rule| {
            let ours = rule.chain.chain.starts_with("LIBVIRT_FWO") || rule.chain.table == "libvirt_network";
            let accepts = rule.action == Some(Action::Verdict { verdict: Verdict::Accept });
            // A handle tells a rule from others of its table only.
            let same = |known: &Rule| known.handle == rule.handle && known.chain == rule.chain;
            let about = |known: &GuestRule| same(&known.rule) && known.bridges.contains(&bridge.name);
            ours && accepts && snapshot.rules.iter().any(about)
        });
        let mut finding =
            Finding::new("forward-policy-drop", Severity::Error, Subject::Network(network.id), title)
                .libvirt(format!(
                    "network {} active, {}, {}",
                    network.name,
                    network.forward().word(),
                    subnet.trunc()
                ))
                .firewall(rules::words(snapshot, &stop));
        if let Some(counter) = accepts.and_then(|rule| rule.counter) {
            finding = finding
                .firewall(format!("libvirt's own rule accepted {} in its chain", counter.packets_words()));
        }
        let accept = |nft: &str, iptables: &str| {
            let (nft, iptables) = (format!("{nft} {}", bridge.name), format!("{iptables} {}", bridge.name));
            rules::accept(&snapshot.firewall, &stop, &nft, &iptables)
        };
        let commands = [accept("iifname", "-i"), accept("oifname", "-o")];
        findings.push(
            finding
                .means(
                    "Every base chain of the forward hook must let a packet pass: what libvirt accepts in its own is \
                     dropped by this one. Docker sets this policy when it starts; firewalls of the host do it too.",
                )
                .fix(Fix::by_hand("let the bridge pass there too, and make it last", commands)),
        );
    }
    findings
}
