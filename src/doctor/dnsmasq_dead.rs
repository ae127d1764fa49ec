//! PURE. An active network that hands out addresses, and nobody who does it.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::Snapshot;
use crate::model::network::Subnet;

/// Where DNS listens on the network's own address.
const DNS: u16 = 53;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let services = &snapshot.services;
    let Some(servers) = &services.dnsmasq else { return Vec::new() };
    let mut findings = Vec::new();
    for (network, bridge) in look::own_networks(snapshot) {
        let subnets = network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
        let dhcp: Vec<&Subnet> = subnets.iter().filter(|subnet| subnet.has_dhcp()).collect();
        let runs = servers.iter().any(|server| server.network == network.name);
        let listens = dhcp.iter().any(|subnet| services.listens(subnet.gateway.addr(), DNS) == Some(true));
        let Some(first) = dhcp.first().filter(|_| !runs && !listens) else { continue };
        let nics: Vec<_> = look::on_bridge(snapshot, bridge.name).collect();
        let title = format!("network {} has no DHCP server: its dnsmasq is gone", network.name);
        let finding = Finding::new("dnsmasq-dead", Severity::Error, Subject::Network(network.id), title)
            .libvirt(format!("network {} active, DHCP on {}", network.name, first.gateway))
            .processes(format!(
                "no dnsmasq with --conf-file=…/dnsmasq/{}.conf (others: {})",
                network.name,
                servers.len()
            ))
            .kernel(format!("nothing listens on UDP {}:{DNS}", first.gateway.addr()))
            .means(format!(
                "Guests that start or renew get no address and no DNS; those that have a lease lose it when it \
                 ends. On it now: {}.",
                if nics.is_empty() { "nobody".to_owned() } else { look::guests(&nics) }
            ));
        let repair = Remedy::RepairNetwork { network: network.name.clone() };
        findings.push(finding.fix(Fix::by("have libvirt start it again: guests stay up", repair)));
    }
    findings
}
