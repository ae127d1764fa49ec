//! PURE. Docker, or any other table, drops what libvirt lets pass: an accept is final only in its own base chain.

use std::net::{IpAddr, Ipv4Addr};

use super::finding::{Finding, Fix, Severity, Subject};
use super::look;
use super::rules::{self, Packet, TCP};
use crate::model::Snapshot;
use crate::model::firewall::{Family, Hook};
use crate::model::network::ForwardMode;

/// Somewhere on the internet (TEST-NET-2), HTTPS: what every guest must be able to reach.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let uplink = look::defaults(snapshot).first().map(|(_, link)| link.name);
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
        let packet = Packet {
            family: Family::Ip,
            input: bridge.name,
            output: limited.or(uplink),
            source: look::some_guest_address(subnet),
            destination: Some(OUTSIDE),
            protocol: TCP,
            port: 443,
        };
        let Some(stop) = rules::stop(&snapshot.firewall, Hook::Forward, &packet) else { continue };
        let title = format!("packets of network {} are dropped on their way through the host", network.name);
        let accepts = snapshot.firewall.rules.iter().find(|rule| {
            let ours = rule.chain.chain.starts_with("LIBVIRT_FWO") || rule.chain.table == "libvirt_network";
            ours && snapshot
                .rules
                .iter()
                .any(|known| known.rule.handle == rule.handle && known.bridges.contains(&bridge.name))
        });
        let mut finding =
            Finding::new("forward-policy-drop", Severity::Error, Subject::Network(network.id), title)
                .libvirt(format!(
                    "network {} active, {}, {}",
                    network.name,
                    network.forward().word(),
                    subnet.trunc()
                ))
                .firewall(stop.words());
        if let Some(counter) = accepts.and_then(|rule| rule.counter) {
            finding = finding
                .firewall(format!("libvirt's own rule accepted {} packets in its chain", counter.packets));
        }
        let inward = stop.accept(
            &snapshot.firewall,
            &format!("iifname {}", bridge.name),
            &format!("-i {}", bridge.name),
        );
        let outward = stop.accept(
            &snapshot.firewall,
            &format!("oifname {}", bridge.name),
            &format!("-o {}", bridge.name),
        );
        findings.push(
            finding
                .means(
                    "Every base chain of the forward hook must let a packet pass: what libvirt accepts in its own is \
                     dropped by this one. Docker sets this policy when it starts; firewalls of the host do it too.",
                )
                .fix(Fix::by_hand("let the bridge pass there too, and make it last", inward.into_iter().chain(outward))),
        );
    }
    findings
}
