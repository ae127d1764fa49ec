//! PURE. The host's input chains keep guests from the DHCP and DNS server of their network.

use std::net::{IpAddr, Ipv4Addr};

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use super::rules;
use crate::model::firewall::{Action, Hook, Match};
use crate::model::network::Subnet;
use crate::model::{IfName, Snapshot};
use crate::path::packet::{Flow, Packet, Place};
use crate::path::{Hooks, Protocol, Stop};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let hooks = Hooks::of(snapshot);
    let mut findings = Vec::new();
    for (network, bridge) in look::own_networks(snapshot) {
        let subnets = network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let with_dhcp = |subnet: &&Subnet| subnet.has_dhcp() && subnet.gateway.addr().is_ipv4();
        let Some(subnet) = subnets.iter().find(with_dhcp) else { continue };
        let Some(guest) = look::some_guest_address(subnet.gateway) else { continue };
        let questions = [
            ("DHCP", 67, IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST)),
            ("DNS", 53, guest, subnet.gateway.addr()),
        ];
        let place = Place { inward: vec![bridge.name], ..Place::default() };
        let stops: Vec<(Stop, &str, u16)> = questions
            .into_iter()
            .filter_map(|(what, port, from, to)| {
                let packet = Packet::new(from.into(), to.into(), Protocol::Udp(port), Flow::New);
                Some((hooks.stop(packet, &place, Hook::Input)?, what, port))
            })
            .collect();
        let Some((stop, _, _)) = stops.first() else { continue };
        let what: Vec<&str> = stops.iter().map(|(_, what, _)| *what).collect();
        let title =
            format!("the host's firewall lets no {} in from network {}", what.join(" and "), network.name);
        let mut finding =
            Finding::new("no-input-for-dhcp", Severity::Error, Subject::Network(network.id), title).libvirt(
                format!("network {} active on {}, DHCP on {}", network.name, bridge.name, subnet.gateway),
            );
        for (stop, what, port) in &stops {
            finding = finding.firewall(format!(
                "{what} (udp {port} from {}): {}",
                bridge.name,
                rules::words(snapshot, stop)
            ));
        }
        let commands = by_hand(snapshot, bridge.name, stop, &stops);
        findings.push(
            finding
                .means(
                    "Guests ask the host itself for an address and for names; the question is dropped before dnsmasq \
                     sees it. libvirt's nftables back end adds no input rules of its own: the host's firewall must let \
                     these in.",
                )
                .fix(Fix::by_hand("let them in on that bridge", commands)),
        );
    }
    findings
}

fn by_hand(snapshot: &Snapshot, bridge: IfName, stop: &Stop, stops: &[(Stop, &str, u16)]) -> Vec<String> {
    let firewall = &snapshot.firewall;
    if firewall.chains.iter().any(|chain| chain.id.table == "firewalld") {
        let zone = zone(snapshot, bridge).unwrap_or_else(|| "its default zone".to_owned());
        return vec![format!(
            "firewall-cmd --zone=libvirt --change-interface={bridge}   # it is in {zone} now"
        )];
    }
    if firewall.chains.iter().any(|chain| chain.id.chain == "ufw-before-input") {
        return stops
            .iter()
            .map(|(_, _, port)| format!("ufw allow in on {bridge} to any port {port} proto udp"))
            .collect();
    }
    stops
        .iter()
        .map(|(_, _, port)| {
            let nft = format!("iifname {bridge} udp dport {port}");
            rules::accept(firewall, stop, &nft, &format!("-i {bridge} -p udp --dport {port}"))
        })
        .collect()
}

/// firewalld sends a link's packets to the chain of its zone.
fn zone(snapshot: &Snapshot, bridge: IfName) -> Option<String> {
    snapshot.firewall.rules.iter().filter(|rule| rule.chain.table == "firewalld").find_map(|rule| {
        let names = |part: &Match| matches!(part, Match::InInterface { name, negated: false } if name.as_bytes() == bridge.as_bytes());
        let (Some(Action::Goto { chain } | Action::Jump { chain }), true) = (&rule.action, rule.matches.iter().any(names)) else {
            return None;
        };
        chain.strip_prefix("filter_IN_").map(str::to_owned)
    })
}
