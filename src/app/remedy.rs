//! PURE. What mends a finding, as a job: the same plans that the menus and forms make.

use super::forms::bridge;
use super::job::{Job, Planned, ShimJob};
use crate::change::bridge::{BridgeWant, Lasting};
use crate::change::host;
use crate::change::network::NetworkWant;
use crate::change::shim::{ShimPlan, ShimWant, TakesBack};
use crate::change::splice::LinkState;
use crate::change::undo::Came;
use crate::change::{Bounce, Refusal, Target, Want, When, network, nic, plan};
use crate::doctor::Remedy;
use crate::model::unfinished::{Changed, Unfinished};
use crate::model::{IfName, NicId, Snapshot};

/// Plans it from this snapshot.
///
/// # Errors
/// What the finding was about is gone or mended, or it cannot be done now.
pub fn plan(snapshot: &Snapshot, remedy: &Remedy) -> Planned {
    match remedy {
        Remedy::Reseat { nic } => nic::reseat(snapshot, *nic).map(Job::from),
        Remedy::Bounce { nic } => nic::bounce(snapshot, *nic).map(Job::from),
        Remedy::PlugCable { nic } => {
            nic::link(snapshot, *nic, LinkState::Up, When::NowAndNextBoot).map(Job::from)
        }
        Remedy::ApplyPending { nic } => nic::apply_pending(snapshot, *nic).map(Job::from),
        Remedy::DiscardPending { nic } => nic::discard_pending(snapshot, *nic).map(Job::from),
        Remedy::Virtio { nic } => {
            let target = next_target(snapshot, *nic)?;
            at_next_boot(snapshot, *nic, target, Some("virtio".to_owned()))
        }
        Remedy::IntoBridge { nic, bridge } => {
            at_next_boot(snapshot, *nic, into_bridge(snapshot, *bridge), None)
        }
        Remedy::RepairNetwork { network } => {
            network::plan(snapshot, &NetworkWant::Repair { name: network.clone() }).map(Job::from)
        }
        Remedy::StartNetwork { network } => {
            network::plan(snapshot, &NetworkWant::Start { name: network.clone() }).map(Job::from)
        }
        Remedy::Shim { over } => {
            let (addresses, to) = (Vec::new(), Vec::new());
            let want = ShimWant::Create { over: *over, addresses, to, persist: Lasting::No };
            ShimJob::draft(snapshot, want).map(|job| Job::from(job.until_boot()))
        }
        Remedy::RepairShim { shim } => repair_shim(snapshot, *shim).map(Job::from),
        Remedy::MoveAddresses { port, bridge } => {
            let want = BridgeWant::MoveAddresses { bridge: *bridge, port: *port };
            bridge::draft(snapshot, want, bridge::PATIENCE).map(Job::from)
        }
        Remedy::Host(want) => host::plan(snapshot, want).map(Job::from),
    }
}

fn repair_shim(snapshot: &Snapshot, shim: IfName) -> Result<ShimJob, Refusal> {
    let of_shim = |left: &&Unfinished| left.of == Changed::Shim(shim);
    let left = snapshot.services.unfinished.iter().rev().find(of_shim);
    let found = left.and_then(|left| Some((left.begun, ShimPlan::of_unfinished(left)?)));
    let (begun, done) = found.ok_or_else(|| Refusal {
        what: format!("put shim {shim} right"),
        reason: "no interrupted change of it is noted".to_owned(),
        way_out: "nothing to do".to_owned(),
    })?;
    let takes = TakesBack { begun, came: Came::HalfWay };
    ShimJob::draft(snapshot, ShimWant::Back { done: Box::new(done), takes })
}

fn next_target(snapshot: &Snapshot, id: NicId) -> Result<Target, Refusal> {
    let next = snapshot.nic(id).and_then(|nic| nic.next.as_ref());
    next.and_then(|next| Target::of(&next.source)).ok_or_else(|| Refusal {
        what: "change the NIC at its next boot".to_owned(),
        reason: "its kind is not changed here, or it has no next boot".to_owned(),
        way_out: "virsh edit".to_owned(),
    })
}

/// A network's own bridge is entered by the network's name.
fn into_bridge(snapshot: &Snapshot, bridge: IfName) -> Target {
    let by_network = snapshot.bridge_named(bridge).and_then(|bridge| snapshot.network(bridge.network?));
    match by_network.filter(|network| network.owns_bridge()) {
        Some(network) => Target::Network { network: network.name.clone() },
        None => Target::Bridge { bridge },
    }
}

fn at_next_boot(snapshot: &Snapshot, nic: NicId, target: Target, model: Option<String>) -> Planned {
    let want = Want { nic, target, model, when: When::NextBoot, bounce: Bounce::Off };
    plan::plan(snapshot, &want).map(Job::from)
}
