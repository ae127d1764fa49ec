//! PURE. What a switch means for the guest and for the people on it, in plain sentences.

use super::plan::{Bounce, Plan, Verdict};
use super::splice::LinkState;
use super::target::{self, Target};
use crate::model::guest::{MacvtapMode, NicConfig};
use crate::model::network::ForwardMode;
use crate::model::snapshot::Bridge;
use crate::model::{IfName, Nic, Snapshot};

pub(super) fn of(snapshot: &Snapshot, nic: &Nic, plan: &Plan) -> Vec<String> {
    if let Some(state) = cable(plan) {
        return vec![of_cable(state).to_owned()];
    }
    let mut sentences = vec![headline(nic, plan)];
    if plan.leaves_cable_pulled() {
        let sentence =
            "its cable is pulled: it gets no address and reaches nobody until it is plugged in (nic up)";
        sentences.push(sentence.to_owned());
    }
    sentences.extend(addresses(snapshot, nic, plan));
    sentences.extend(reach(snapshot, plan));
    sentences.extend(waiting(snapshot, plan));
    if snapshot.guest(nic.id.domain).is_some_and(|guest| guest.persistent) && nic.next.is_none() {
        sentences.push("the definition for the next boot does not have this NIC, and will not".to_owned());
    }
    if nic.drifted() {
        let has = nic.bridge.map_or_else(|| "no bridge".to_owned(), |bridge| bridge.to_string());
        sentences.push(format!("the kernel has its tap on {has} now, not where libvirt believes"));
    }
    if nic.pending
        && let Some(next) = nic.next.as_ref().and_then(|next| Target::of(&next.source))
        && next != plan.to
    {
        sentences.push(format!("the next boot had {} until now: that is replaced as well", next.words()));
    }
    sentences
}

/// Which way a change of nothing but the cable turns it.
fn cable(plan: &Plan) -> Option<LinkState> {
    let edit = plan.live.as_ref().filter(|_| plan.verdict == Verdict::Live && !plan.moves())?;
    let down = |text: &str| NicConfig::parse(text).ok().map(|nic| nic.link_down);
    match (down(&edit.before)?, down(&edit.after)?) {
        (false, true) => Some(LinkState::Down),
        (true, false) => Some(LinkState::Up),
        _ => None,
    }
}

/// What the guest notices of its cable.
pub(super) fn of_cable(state: LinkState) -> &'static str {
    match state {
        LinkState::Down => "The guest sees its cable pulled: nothing gets through this NIC.",
        LinkState::Up => "The guest sees its cable plugged in, and asks for an address.",
    }
}

/// What a NIC that is new on a target gets and gives there.
pub(super) fn of_new(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let mut sentences = vec![giver(snapshot, &plan.to)];
    sentences.extend(reach(snapshot, plan));
    sentences.extend(waiting(snapshot, plan));
    sentences
}

fn headline(nic: &Nic, plan: &Plan) -> String {
    match (plan.verdict, plan.bounce) {
        (Verdict::Live, Bounce::Hold(hold)) => format!(
            "Live. The guest keeps its device; its link goes down for {} s so that it asks for a new address.",
            hold.as_secs_f32()
        ),
        (Verdict::Live, Bounce::Off) => {
            "Live. The guest keeps its device and sees nothing; it keeps its old address until it asks again."
                .to_owned()
        }
        (Verdict::HotReplug, _) => {
            "Hot-replug. The guest's NIC is unplugged and plugged in again, same MAC and slot: \
             its connections break, and a static configuration inside may not come back by itself."
                .to_owned()
        }
        (Verdict::Reseat, _) => {
            "Only the kernel's side changes: the guest sees nothing, its frames pass again.".to_owned()
        }
        (Verdict::Bounce, _) => {
            "The guest sees its cable pulled and plugged in, and asks for an address.".to_owned()
        }
        (Verdict::Restart, _) => "The guest is shut down and started.".to_owned(),
        (Verdict::Plug, _) => "Plugged in: the guest gets this NIC as a new device.".to_owned(),
        (Verdict::Unplug, _) => {
            "Unplugged: the guest loses this NIC, and what goes over it breaks.".to_owned()
        }
        (Verdict::NextBootOnly, _)
            if nic.live.as_ref().is_some_and(|live| plan.to.is(&live.source)) && plan.live.is_none() =>
        {
            "The running guest has it already: only the definition for the next boot changes.".to_owned()
        }
        (Verdict::NextBootOnly, _) if nic.live.is_some() => {
            "Next boot only. The running guest is not touched; it changes when it is shut down and started \
             (a reboot from inside is not enough)."
                .to_owned()
        }
        (Verdict::NextBootOnly, _) => "The guest is off: it changes when it is started.".to_owned(),
    }
}

const BY_CARD: &str = "its packets go by the card, past this host: nothing here sees them";

/// Who gives addresses on a target.
fn giver(snapshot: &Snapshot, target: &Target) -> String {
    let behind = |links: &[IfName]| {
        let names: Vec<String> = links.iter().map(ToString::to_string).collect();
        format!("an address comes from the LAN's DHCP behind {}", names.join(" "))
    };
    let of_bridge = |bridge: Option<&Bridge>| match bridge {
        Some(bridge) if target::leads_out(bridge) => {
            behind(&bridge.uplinks().map(|port| port.name).collect::<Vec<_>>())
        }
        Some(bridge) if !snapshot.is_dead_end(bridge) => {
            format!("whether anybody gives addresses on {} is not known: it has no uplink", bridge.name)
        }
        _ => "nobody gives addresses there: the bridge has no uplink".to_owned(),
    };
    match target {
        Target::Macvtap { lower, .. } => behind(&[*lower]),
        Target::Pci { .. } => "an address comes from the LAN's DHCP behind the card".to_owned(),
        Target::Bridge { bridge } => of_bridge(snapshot.bridge_named(*bridge)),
        Target::Network { network: name } => {
            let Some(network) = snapshot.network_named(name) else { return String::new() };
            match network.forward() {
                ForwardMode::Bridge => {
                    of_bridge(network.bridge().and_then(|name| snapshot.bridge_named(name)))
                }
                ForwardMode::Macvtap(_) | ForwardMode::Hostdev => {
                    "an address comes from the LAN's DHCP".to_owned()
                }
                _ if network.dhcp_size() > 0 => format!("an address comes from the DHCP of network {name}"),
                _ => format!("network {name} has no DHCP: the guest needs a static address"),
            }
        }
    }
}

fn addresses(snapshot: &Snapshot, nic: &Nic, plan: &Plan) -> Option<String> {
    let giver = giver(snapshot, &plan.to);
    if !plan.moves() {
        return None;
    }
    if target::are_one_bridge(snapshot, &plan.from, &plan.to) {
        return Some("it is the same bridge under another name: the guest keeps its address".to_owned());
    }
    let lost = nic.addresses.iter().find(|seen| !seen.stale && seen.address.is_ipv4());
    Some(match lost {
        Some(seen) if plan.live.is_some() => format!("{} is lost; {giver}", seen.address),
        _ => giver,
    })
}

fn reach(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let bridged = |bridge: Option<&Bridge>| match bridge {
        Some(bridge) if target::leads_out(bridge) => "the guest is then reachable from the LAN".to_owned(),
        Some(bridge) if snapshot.is_dead_end(bridge) => {
            format!("isolated: {} has no uplink, the guest reaches only what is on it", bridge.name)
        }
        Some(bridge) => format!(
            "{} has no uplink: the guest gets further only if this host or another on it routes",
            bridge.name
        ),
        None => String::new(),
    };
    match &plan.to {
        Target::Bridge { bridge } => vec![bridged(snapshot.bridge_named(*bridge))],
        Target::Macvtap { lower, mode } => macvtap(snapshot, *lower, *mode),
        Target::Pci { .. } => vec![BY_CARD.to_owned()],
        Target::Network { network } => {
            let Some(network) = snapshot.network_named(network) else { return Vec::new() };
            let text = match network.forward() {
                ForwardMode::Nat => {
                    "the guest reaches out behind the host's address; nobody outside reaches it".to_owned()
                }
                ForwardMode::Isolated => {
                    "isolated: the guest reaches the host and its siblings, nothing else".to_owned()
                }
                ForwardMode::Route | ForwardMode::Open => {
                    "routed: the LAN needs a route to the network by this host".to_owned()
                }
                ForwardMode::Bridge => bridged(network.bridge().and_then(|name| snapshot.bridge_named(name))),
                ForwardMode::Hostdev => BY_CARD.to_owned(),
                _ => "the guest is on a macvtap: this host itself does not reach it over the same link"
                    .to_owned(),
            };
            vec![text]
        }
    }
}

fn macvtap(snapshot: &Snapshot, lower: IfName, mode: MacvtapMode) -> Vec<String> {
    let mut sentences = vec!["the guest is then reachable from the LAN".to_owned()];
    let index = snapshot.link_named(lower).map(|link| link.index);
    let carries_host = snapshot.kernel.addresses.iter().any(|address| Some(address.index) == index);
    if carries_host {
        sentences.push(format!(
            "this host itself will not reach the guest over {lower}, nor the guest this host: a macvtap never \
             loops back to its own link"
        ));
    }
    match mode {
        MacvtapMode::Vepa => sentences.push(format!(
            "vepa: guests on {lower} reach each other only if the switch reflects frames (hairpin)"
        )),
        MacvtapMode::Private => sentences.push(format!("private: guests on {lower} never reach each other")),
        MacvtapMode::Passthrough => {
            sentences.push(format!("passthrough: {lower} belongs to this guest alone"));
        }
        MacvtapMode::Bridge => {}
    }
    sentences
}

fn waiting(snapshot: &Snapshot, plan: &Plan) -> Option<String> {
    let Some(super::plan::Expected::OnBridge { bridge }) = plan.expected else { return None };
    let bridge = snapshot.bridge_named(bridge)?;
    let seconds = f64::from(bridge.info.forward_delay) * 2.0 / 100.0;
    (bridge.info.stp && seconds > 0.0).then(|| {
        format!("{} has STP on: about {seconds:.0} s without traffic until its port forwards", bridge.name)
    })
}
