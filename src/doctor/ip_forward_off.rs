//! PURE. Networks that need the host to route, on a host that does not.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::{HostWant, SysctlKey};
use crate::model::network::ForwardMode;
use crate::model::{Network, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let settings = &snapshot.kernel.settings;
    let families = [
        (settings.ip_forward, SysctlKey::IpForward, "IPv4"),
        (settings.ip6_forward, SysctlKey::Ip6Forward, "IPv6"),
    ];
    families
        .into_iter()
        .filter(|(value, _, _)| *value == Some(false))
        .filter_map(|(_, key, family)| finding(snapshot, key, family))
        .collect()
}

fn finding(snapshot: &Snapshot, key: SysctlKey, family: &str) -> Option<Finding> {
    let routed: Vec<&Network> = look::own_networks(snapshot)
        .map(|(network, _)| network)
        .filter(|network| network.forward() != ForwardMode::Isolated && has_subnet(network, key))
        .collect();
    let names: Vec<&str> = routed.iter().map(|network| network.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let title =
        format!("the host does not forward {family}: guests of {} reach only the host", names.join(", "));
    let listed: Vec<String> = routed
        .iter()
        .map(|network| format!("network {} active, {}", network.name, network.forward().word()))
        .collect();
    Some(
        Finding::new("ip-forward-off", Severity::Error, Subject::Host, title)
            .part(family)
            .libvirt(listed.join("; "))
            .kernel(format!("{} = 0", key.name()))
            .means(
                "The kernel drops every packet that is not for the host itself. libvirt switches forwarding on when \
                 it starts such a network; something switched it off since.",
            )
            .fix(Fix::by("switch it on", Remedy::Host(HostWant::Sysctl { key, value: 1 }))),
    )
}

fn has_subnet(network: &Network, key: SysctlKey) -> bool {
    let subnets = network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
    subnets.iter().any(|subnet| subnet.gateway.addr().is_ipv4() == (key == SysctlKey::IpForward))
}
