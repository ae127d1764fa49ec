//! PURE. br_netfilter shows bridged frames to the host's firewall, which was not written for them. The setting
//! alone harms nobody: it is told of where the rules that there are drop such frames.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use super::rules::{self, Packet, TCP};
use crate::change::host::{HostWant, SysctlKey};
use crate::model::firewall::{Family, Hook};
use crate::model::{Bridge, Snapshot};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.bridges.iter().filter_map(|bridge| of_bridge(snapshot, bridge)).collect()
}

fn of_bridge(snapshot: &Snapshot, bridge: &Bridge) -> Option<Finding> {
    let everywhere = snapshot.kernel.settings.nf_call_iptables == Some(true);
    if !everywhere && !bridge.info.nf_call_iptables {
        return None;
    }
    let nics: Vec<_> = look::on_bridge(snapshot, bridge.name).collect();
    // A lone guest of an isolated network has nobody to exchange bridged frames with.
    if nics.is_empty() || bridge.ports.len() < 2 {
        return None;
    }
    let packet = Packet {
        family: Family::Ip,
        input: bridge.name,
        output: Some(bridge.name),
        source: nics
            .iter()
            .flat_map(|nic| &nic.addresses)
            .find(|seen| !seen.stale && seen.address.is_ipv4())
            .map(|seen| seen.address),
        destination: None,
        protocol: TCP,
        port: 443,
    };
    let stop = rules::stop(&snapshot.firewall, Hook::Forward, &packet)?;
    let title = format!("the host's firewall drops frames between the ports of {}", bridge.name);
    let read = if everywhere {
        format!("{} = 1", SysctlKey::NfCallIptables.name())
    } else {
        format!("{} has nf_call_iptables 1", bridge.name)
    };
    let finding = Finding::new("bridge-nf-call", Severity::Error, Subject::Bridge(bridge.name), title)
        .kernel(read)
        .firewall(stop.words())
        .means(format!(
            "Frames that {} only passes from port to port go through the rules for routed packets and end there: those of {} \
             reach nobody beyond the bridge. ARP still works, which makes it look alive.",
            bridge.name,
            look::guests(&nics)
        ));
    let accept = stop.accept(
        &snapshot.firewall,
        &format!("iifname {0} oifname {0}", bridge.name),
        &format!("-i {0} -o {0}", bridge.name),
    );
    let off = if everywhere {
        let remedy = Remedy::Host(HostWant::Sysctl { key: SysctlKey::NfCallIptables, value: 0 });
        Fix::by(
            "keep the firewall off bridged frames (for good: a udev rule on the module br_netfilter)",
            remedy,
        )
    } else {
        Fix::by_hand(
            "keep the firewall off this bridge's frames",
            [format!("ip link set {} type bridge nf_call_iptables 0", bridge.name)],
        )
    };
    Some(finding.fix(off).fix(Fix::by_hand("let this bridge's frames pass", accept)))
}
