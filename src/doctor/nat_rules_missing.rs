//! PURE. "If the iptables rules break, your VMs may stop communicating": an active NAT network whose subnet no
//! rule masquerades.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::model::network::ForwardMode;
use crate::model::{Network, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    look::own_networks(snapshot)
        .filter(|(network, _)| network.forward() == ForwardMode::Nat)
        .flat_map(|(network, _)| {
            let subnets =
                network.current().map(|definition| definition.subnets.as_slice()).unwrap_or_default();
            subnets.iter().map(move |subnet| (network, subnet.gateway.trunc()))
        })
        .filter(|(_, subnet)| subnet.addr().is_ipv4() && !snapshot.firewall.masquerades(*subnet))
        .map(|(network, subnet)| finding(snapshot, network, subnet))
        .collect()
}

fn finding(snapshot: &Snapshot, network: &Network, subnet: ipnet::IpNet) -> Finding {
    let firewall = &snapshot.firewall;
    let nat = firewall
        .chains
        .iter()
        .filter(|chain| chain.hook.as_ref().is_some_and(|hook| hook.kind == "nat"))
        .count();
    let title = format!("network {} has no masquerade rule", network.name);
    let finding = Finding::new("nat-rules-missing", Severity::Error, Subject::Network(network.id), title)
        .part(subnet.to_string())
        .libvirt(format!("network {} active, nat, {subnet}", network.name))
        .firewall(format!(
            "no rule reached from the {nat} nat chains names {subnet} (generation {}{})",
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
    let restart = Fix::by_hand(
        "restart the network daemon: guests and their taps stay (never net-destroy and net-start)",
        ["systemctl restart libvirtd || systemctl restart virtnetworkd".to_owned()],
    );
    if lost_its_jump {
        return finding
            .firewall("nothing jumps to libvirt's own chain: a reload cannot put that back")
            .fix(restart);
    }
    let repair = Remedy::RepairNetwork { network: network.name.clone() };
    finding.fix(Fix::by("have libvirt write its rules again: guests stay up", repair)).fix(restart)
}
