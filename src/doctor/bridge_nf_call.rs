//! PURE. br_netfilter shows bridged frames to the host's firewall, which was not written for them. The setting
//! alone harms nobody: it is told of where the rules that there are drop such frames.

use ipnet::{IpNet, Ipv4Net};

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use super::rules;
use crate::change::host::{HostWant, SysctlKey};
use crate::model::firewall::Hook;
use crate::model::{Bridge, Snapshot};
use crate::path::packet::{Flow, Packet, Place};
use crate::path::{Hooks, Protocol};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let hooks = Hooks::of(snapshot);
    snapshot.bridges.iter().filter_map(|bridge| of_bridge(snapshot, &hooks, bridge)).collect()
}

fn of_bridge(snapshot: &Snapshot, hooks: &Hooks<'_>, bridge: &Bridge) -> Option<Finding> {
    let everywhere = snapshot.kernel.settings.nf_call_iptables == Some(true);
    if !everywhere && !bridge.info.nf_call_iptables {
        return None;
    }
    let nics: Vec<_> = look::on_bridge(snapshot, bridge.name).collect();
    // A lone guest of an isolated network has nobody to exchange bridged frames with.
    if nics.is_empty() || bridge.ports.len() < 2 {
        return None;
    }
    let nic = nics.first()?;
    let known = nic.addresses.iter().find(|seen| !seen.stale && seen.address.is_ipv4());
    let anywhere = IpNet::from(Ipv4Net::default());
    let source = known.map_or(anywhere, |seen| seen.address.into());
    let packet = Packet::new(source, anywhere, Protocol::Tcp(443), Flow::New);
    let other = bridge.ports.iter().find(|port| Some(port.index) != nic.link)?;
    let place = Place {
        inward: vec![bridge.name],
        outward: vec![bridge.name],
        in_port: nic.link_name,
        out_port: Some(other.name),
    };
    let stop = hooks.stop(packet, &place, Hook::Forward)?;
    let title = format!("the host's firewall drops frames between the ports of {}", bridge.name);
    let read = if everywhere {
        format!("{} = 1", SysctlKey::NfCallIptables.name())
    } else {
        format!("{} has nf_call_iptables 1", bridge.name)
    };
    let finding = Finding::new("bridge-nf-call", Severity::Error, Subject::Bridge(bridge.name), title)
        .kernel(read)
        .firewall(rules::words(snapshot, &stop))
        .means(format!(
            "Frames that {} only passes from port to port go through the rules for routed packets and end there: those of {} \
             reach nobody beyond the bridge. ARP still works, which makes it look alive.",
            bridge.name,
            look::guests(&nics)
        ));
    let accept = rules::accept(
        &snapshot.firewall,
        &stop,
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
    Some(finding.fix(off).fix(Fix::by_hand("let this bridge's frames pass", [accept])))
}
