//! PURE. A spanning tree with a long forward delay: each plug, switch and boot waits twice that long for its first frame.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use crate::change::host::HostWant;
use crate::model::kernel::PortState;
use crate::model::{Bridge, IfName, NicSource, Snapshot};

/// The kernel's least forward delay with STP on, in hundredths of a second: what libvirt's own bridges have.
const LEAST: u32 = 200;

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let slow = snapshot.bridges.iter().filter(|bridge| bridge.info.stp && bridge.info.forward_delay > LEAST);
    slow.filter(|bridge| is_for_guests(snapshot, bridge)).map(finding).collect()
}

fn is_for_guests(snapshot: &Snapshot, bridge: &Bridge) -> bool {
    let names = |source: Option<&NicSource>, name: IfName| matches!(source, Some(NicSource::Bridge { bridge }) if *bridge == name);
    bridge.network.is_some()
        || snapshot.nics.iter().any(|nic| {
            nic.bridge == Some(bridge.name)
                || names(nic.live.as_ref().map(|live| &live.source), bridge.name)
                || names(nic.next.as_ref().map(|next| &next.source), bridge.name)
        })
}

fn finding(bridge: &Bridge) -> Finding {
    let delay = f64::from(bridge.info.forward_delay) / 100.0;
    let title = format!("{} keeps a new port waiting for {:.0} s", bridge.name, delay * 2.0);
    let mut finding = Finding::new("stp-delay", Severity::Warning, Subject::Bridge(bridge.name), title)
        .kernel(format!("{} has STP on, forward delay {delay:.1} s", bridge.name));
    for port in &bridge.ports {
        let state = port.info.as_ref().map(|info| info.state);
        if let Some(state @ (PortState::Listening | PortState::Learning | PortState::Blocking)) = state {
            finding = finding.kernel(format!("{} is {}: it passes nothing yet", port.name, state.word()));
        }
    }
    let finding = finding.means(format!(
        "A port listens and learns for {delay:.0} s each before it passes a frame. DHCP and PXE of a guest that boots, or \
         was just plugged in here, give up before that."
    ));
    if bridge.uplinks().count() > 1 {
        let words = "shorten the delay (two ways out: without STP they might be a loop)";
        return finding.fix(Fix::by(words, Remedy::Host(HostWant::ShortDelay { bridge: bridge.name })));
    }
    finding.fix(Fix::by(
        "switch STP off: with one way out there can be no loop",
        Remedy::Host(HostWant::StpOff { bridge: bridge.name }),
    ))
}
