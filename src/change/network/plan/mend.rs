//! PURE. What puts a change of a network right that was interrupted: what its own steps have as their way back,
//! from the step it was at, with the taps as they are now. The old state comes back, as after a step that failed.

use super::existing::Existing;
use super::{Action, Leash, NetworkPlan, NetworkStep, define, enslave_step, start};
use crate::change::network::update;
use crate::change::target::quote;
use crate::model::network::NetworkDefinition;
use crate::model::{Snapshot, Timestamp};

/// The plan, if a change of this network was interrupted.
pub(super) fn plan(snapshot: &Snapshot, name: &str) -> Option<NetworkPlan> {
    let left = snapshot.services.unfinished.iter().rev().find(|left| left.of_network(name))?;
    let was: NetworkPlan = serde_json::from_str(&left.plan).ok()?;
    Some(back(snapshot, &was, left.at, left.begun, &left.words()))
}

fn back(snapshot: &Snapshot, was: &NetworkPlan, at: usize, begun: Timestamp, told: &str) -> NetworkPlan {
    let network = match was.id {
        Some(id) => snapshot.network(id),
        None => snapshot.network_named(&was.network),
    };
    let active = network.is_some_and(|network| network.active);
    let now = network
        .and_then(|network| network.next.as_ref())
        .map(|next: &NetworkDefinition| next.xml.to_string());
    let found = network.and_then(|network| Existing::find(snapshot, "repair", &network.name).ok());
    let guests = found.as_ref().map(|found| found.guests.clone()).unwrap_or_default();
    let mut actions: Vec<Action> = Vec::new();
    let begun_steps = was.steps.get(..=at).unwrap_or(&was.steps);
    for action in begun_steps.iter().rev().flat_map(|step| &step.undo) {
        if !actions.contains(action) {
            actions.push(action.clone());
        }
    }
    let defines = actions.iter().any(|action| matches!(action, Action::Define(_)));
    let same = was.before == was.after && !actions.iter().any(|action| matches!(action, Action::Update(_)));
    let mut sentences = vec![format!("{told}.")];
    if was.before.is_none() && !guests.is_empty() {
        actions.clear();
        sentences.push(format!("{} are plugged into it by now: it stays as it is.", guests.join(", ")));
    } else if same && !defines {
        // It runs, or nobody asked for more than that: only its taps may be missing.
        if active || !was.was_active {
            actions.retain(|action| matches!(action, Action::Enslave(_)));
        }
        sentences.push("Its definition was not to change; every tap comes back onto its bridge.".to_owned());
    } else if was.before.is_none() {
        sentences.push("It is taken away again, as if it had not been begun.".to_owned());
    } else {
        sentences.push("The definition and the state from before come back.".to_owned());
    }
    let mut restarts = false;
    actions.retain(|action| match action {
        Action::Stop { .. } => {
            restarts |= active;
            active
        }
        Action::Start { .. } => restarts || !active,
        Action::Define(xml) => now.as_ref() != Some(xml),
        Action::Undefine => network.is_some(),
        _ => true,
    });
    if restarts && !guests.is_empty() {
        sentences.push(format!("{} lose the network while it restarts.", guests.join(", ")));
    }
    let leashes = |old: &[Leash]| {
        let Some(bridge) = old.first().map(|leash| leash.bridge) else { return Vec::new() };
        let strangers = old.iter().filter(|leash| leash.nic.is_none()).copied();
        let mut all: Vec<Leash> = strangers.collect();
        for leash in found.iter().flat_map(|found| found.leashes.iter().chain(&found.others)) {
            if !all.iter().any(|other| other.tap == leash.tap) {
                all.push(Leash { bridge, ..*leash });
            }
        }
        all
    };
    let steps = actions.into_iter().filter_map(|action| match action {
        Action::Enslave(old) => Some(leashes(&old)).filter(|all| !all.is_empty()).map(enslave_step),
        Action::Define(xml) => Some(define(&xml, Vec::new())),
        Action::Start { bridge } => Some(NetworkStep { undo: Vec::new(), ..start(bridge) }),
        action => {
            let text = match &action {
                Action::Stop { .. } => "stop it".to_owned(),
                Action::Undefine => "forget its definition".to_owned(),
                other => format!("take back: {}", other.word()),
            };
            Some(NetworkStep { action, undo: Vec::new(), text })
        }
    });
    let steps: Vec<NetworkStep> = steps.collect();
    let commands = steps.iter().flat_map(|step| by_hand(&step.action, &was.network)).collect();
    if steps.is_empty() {
        sentences.push("Nothing is left to put back: the reminder goes.".to_owned());
    }
    NetworkPlan {
        title: format!("repair network {}", was.network),
        network: was.network.clone(),
        id: network.map(|network| network.id).or(was.id),
        structure: snapshot.structure,
        was_active: active,
        before: now,
        after: was.before.clone(),
        steps,
        mends: Some(begun),
        consequences: sentences,
        commands,
    }
}

/// The same by virsh and ip.
fn by_hand(action: &Action, network: &str) -> Vec<String> {
    let name = quote(network);
    match action {
        Action::Define(xml) => vec![
            format!("cat >network.xml <<'XML'\n{}\nXML", xml.trim_end()),
            "virsh net-define network.xml".to_owned(),
        ],
        Action::Undefine => vec![format!("virsh net-undefine {name}")],
        Action::SetAutostart => vec![format!("virsh net-autostart {name}")],
        Action::ClearAutostart => vec![format!("virsh net-autostart {name} --disable")],
        Action::Start { .. } => vec![format!("virsh net-start {name}")],
        Action::Stop { .. } => vec![format!("virsh net-destroy {name}")],
        Action::Enslave(leashes) => {
            leashes.iter().map(|leash| format!("ip link set {} master {}", leash.tap, leash.bridge)).collect()
        }
        Action::Reload(_) => vec!["kill -HUP $(pidof virtnetworkd libvirtd)".to_owned()],
        Action::Update(update) => vec![update::command(update, network, true)],
    }
}
