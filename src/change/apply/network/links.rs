//! WRITES. The links of a network by rtnetlink: puts taps on bridges and waits until their ports forward;
//! removes what a daemon that died in the middle of a start left behind.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Trouble;
use crate::change::network::{Action, Leash, NetworkPlan};
use crate::model::kernel::{KernelFacts, Link, LinkKind};
use crate::model::{IfIndex, IfName};
use crate::source::netlink::{self, NetlinkError};

/// A port of a bridge with spanning tree listens and learns for twice the forward delay, 15 s by default.
const FORWARDING: Duration = Duration::from_secs(40);

/// Whether this process has `CAP_NET_ADMIN` (bit 12 of `CapEff` in proc(5)).
pub(in crate::change::apply) fn may_be_changed() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|bits| bits & 1 << 12 != 0)
}

/// Taps on a bridge that this plan takes away and does not put back: guests that came since the preview.
pub(super) async fn newcomers(plan: &NetworkPlan) -> Result<Vec<String>, Trouble> {
    let mut known = Vec::new();
    let mut bridges = Vec::new();
    for step in &plan.steps {
        if let Action::Stop { bridge: Some(bridge) } = step.action {
            bridges.push(bridge);
        }
        for action in step.undo.iter().chain([&step.action]) {
            if let Action::Enslave(leashes) = action {
                known.extend(leashes.iter().map(|leash| leash.tap));
            }
        }
    }
    if bridges.is_empty() {
        return Ok(Vec::new());
    }
    let facts = netlink::read_once().await?;
    let masters: Vec<IfIndex> = bridges.iter().filter_map(|bridge| index(&facts, *bridge)).collect();
    let on_it = |link: &&Link| link.master.is_some_and(|master| masters.contains(&master));
    let new = facts.links.iter().filter(on_it).filter(|link| link.kind == LinkKind::Tap);
    Ok(new.filter(|link| !known.contains(&link.name)).map(|link| link.name.to_string()).collect())
}

/// Puts each tap on its bridge and waits until all ports forward; what was read, in words.
pub(super) async fn enslave(leashes: &[Leash]) -> Result<String, Trouble> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::from)?;
    let task = tokio::spawn(connection);
    let result = enslave_with(&handle, leashes).await;
    task.abort();
    result?;
    let begun = Instant::now();
    loop {
        let facts = netlink::read_once().await?;
        let waiting: Vec<String> =
            leashes.iter().filter(|leash| !holds(&facts, leash)).map(|leash| leash.tap.to_string()).collect();
        if waiting.is_empty() {
            return Ok(format!("the kernel has {} there, forwarding", leashes.len()));
        }
        if begun.elapsed() > FORWARDING {
            return Err(Trouble::Unproven(format!("{} does not forward", waiting.join(" "))));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn enslave_with(handle: &rtnetlink::Handle, leashes: &[Leash]) -> Result<(), Trouble> {
    let facts = netlink::read_once().await?;
    for leash in leashes.iter().filter(|leash| !is_on(&facts, leash)) {
        // A guest that was shut down meanwhile took its tap along.
        let (Some(tap), Some(bridge)) = (index(&facts, leash.tap), index(&facts, leash.bridge)) else {
            continue;
        };
        let message = rtnetlink::LinkUnspec::new_with_index(tap.0).controller(bridge.0).build();
        let set = handle.link().set(message).execute().await;
        set.map_err(|error| Trouble::Enslave { tap: leash.tap, bridge: leash.bridge, error })?;
    }
    Ok(())
}

/// A daemon that dies while it starts a network leaves its bridge, does not know it any more, and refuses to
/// start the network because of it. Only called after the bridge was proven gone and libvirt says that the
/// network does not run; a bridge with a port is somebody's and stays.
pub(super) async fn remove_half_made(bridge: IfName) -> Result<(), Trouble> {
    let facts = netlink::read_once().await?;
    let Some(index) = index(&facts, bridge) else { return Ok(()) };
    if facts.links.iter().any(|link| link.master == Some(index)) {
        return Ok(());
    }
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::from)?;
    let task = tokio::spawn(connection);
    let removed = handle.link().del(index.0).execute().await;
    task.abort();
    removed.map_err(|error| Trouble::Remove { bridge, error })
}

fn index(facts: &KernelFacts, name: IfName) -> Option<IfIndex> {
    facts.links.iter().find(|link| link.name == name).map(|link| link.index)
}

fn is_on(facts: &KernelFacts, leash: &Leash) -> bool {
    let bridge = index(facts, leash.bridge);
    let tap = facts.links.iter().find(|link| link.name == leash.tap);
    tap.is_some_and(|tap| tap.master.is_some() && tap.master == bridge)
}

/// The tap is a forwarding port of its bridge, or gone with its guest.
pub(super) fn holds(facts: &KernelFacts, leash: &Leash) -> bool {
    let tap = facts.links.iter().find(|link| link.name == leash.tap);
    tap.is_none_or(|tap| is_on(facts, leash) && tap.forwards())
}
