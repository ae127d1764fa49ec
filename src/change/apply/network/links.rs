//! WRITES. The links of a network by rtnetlink: puts taps on bridges and waits until their ports forward;
//! removes what a daemon that died in the middle of a start left behind.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::Trouble;
use super::plugs::Plugs;
use super::writer::Writer;
use crate::change::network::{Action, Leash, NetworkPlan};
use crate::model::kernel::{KernelFacts, Link, LinkKind};
use crate::model::{DomainId, IfIndex, IfName};
use crate::source::netlink::{self, NetlinkError};

/// A port of a bridge with spanning tree listens and learns for twice the forward delay, 15 s by default.
const FORWARDING: Duration = Duration::from_secs(40);
/// How long guests without their bridge wait for libvirt's word on where they are plugged: a daemon that does
/// not answer moves none of them.
const WORD: Duration = Duration::from_secs(3);

/// Whether this process has `CAP_NET_ADMIN` (bit 12 of `CapEff` in proc(5)).
pub(in crate::change::apply) fn may_be_changed() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|bits| bits & 1 << 12 != 0)
}

/// Taps on a bridge that this plan takes away and does not put back: guests that came since the preview.
pub(super) async fn newcomers(plan: &NetworkPlan) -> Result<Vec<String>, Trouble> {
    let known: Vec<IfName> = leashes(plan).iter().map(|leash| leash.tap).collect();
    let bridges: Vec<IfName> = plan
        .steps
        .iter()
        .filter_map(|step| match step.action {
            Action::Stop { bridge } => bridge,
            _ => None,
        })
        .collect();
    if bridges.is_empty() {
        return Ok(Vec::new());
    }
    let facts = netlink::read_once().await?;
    let masters: Vec<IfIndex> = bridges.iter().filter_map(|bridge| index(&facts, *bridge)).collect();
    let on_it = |link: &&Link| link.master.is_some_and(|master| masters.contains(&master));
    let new = facts.links.iter().filter(on_it).filter(|link| link.kind == LinkKind::Tap);
    Ok(new.filter(|link| !known.contains(&link.name)).map(|link| link.name.to_string()).collect())
}

/// The leashes of the plan whose NIC was plugged elsewhere since the preview, in words.
pub(super) async fn moved(writer: &mut Writer, plan: &NetworkPlan) -> Result<Vec<String>, Trouble> {
    let leashes = leashes(plan);
    if leashes.is_empty() {
        return Ok(Vec::new());
    }
    Ok(writer.read(Plugs::read).await?.left(&plan.network, &leashes))
}

/// All taps that the plan puts on a bridge, forth or back.
fn leashes(plan: &NetworkPlan) -> Vec<Leash> {
    leashes_of(plan.steps.iter().flat_map(|step| step.undo.iter().chain([&step.action])))
}

/// All taps that these put on a bridge, each once.
fn leashes_of<'a>(actions: impl Iterator<Item = &'a Action>) -> Vec<Leash> {
    let mut all: Vec<Leash> = Vec::new();
    for action in actions {
        if let Action::Enslave(leashes) = action {
            all.extend(leashes.iter().filter(|leash| !all.contains(leash)).copied().collect::<Vec<_>>());
        }
    }
    all
}

/// The guests behind those taps.
pub(super) fn guests(plan: &NetworkPlan) -> BTreeSet<DomainId> {
    leashes(plan).iter().filter_map(|leash| Some(leash.nic?.domain)).collect()
}

/// Whether every tap that the plan's way back puts on a bridge is there, but for NICs that have left.
pub(super) async fn are_back(writer: &mut Writer, plan: &NetworkPlan) -> Result<bool, Trouble> {
    let leashes = leashes_of(plan.steps.iter().flat_map(|step| &step.undo));
    if leashes.is_empty() {
        return Ok(true);
    }
    let staying = writer.read(Plugs::read).await?.staying(&plan.network, &leashes);
    let facts = netlink::read_once().await?;
    Ok(staying.iter().all(|leash| holds(&facts, leash)))
}

/// Puts each tap on its bridge and waits until all ports forward; what was read, in words. A NIC that was
/// plugged elsewhere meanwhile stays there, one that came into the network without its bridge is put on it.
pub(super) async fn enslave(
    writer: &mut Writer,
    network: &str,
    leashes: &[Leash],
) -> Result<String, Trouble> {
    let plugs = timeout(WORD, writer.call(Plugs::read)).await.ok().and_then(Result::ok).unwrap_or_default();
    let facts = netlink::read_once().await?;
    let mut wanted = plugs.staying(network, leashes);
    wanted.extend(plugs.came(network, leashes, &facts));
    set_masters(&wanted).await?;
    let begun = Instant::now();
    loop {
        let facts = netlink::read_once().await?;
        let waiting: Vec<&Leash> = wanted.iter().filter(|leash| !holds(&facts, leash)).collect();
        if waiting.is_empty() {
            break;
        }
        if begun.elapsed() > FORWARDING {
            let taps: Vec<String> = waiting.iter().map(|leash| leash.tap.to_string()).collect();
            return Err(Trouble::Unproven(format!("{} does not forward", taps.join(" "))));
        }
        if waiting.iter().any(|leash| !is_on(&facts, leash)) {
            wanted = writer.read(Plugs::read).await?.staying(network, &wanted);
        }
        sleep(Duration::from_millis(100)).await;
    }
    let left = give_back(writer, network, leashes).await?;
    let there = format!("the kernel has {} there, forwarding", wanted.len());
    Ok([there].into_iter().chain(left).collect::<Vec<_>>().join("; "))
}

/// A NIC that left between libvirt's word and the kernel's: its tap goes where libvirt has it. Who has left.
async fn give_back(writer: &mut Writer, network: &str, leashes: &[Leash]) -> Result<Vec<String>, Trouble> {
    let plugs = writer.read(Plugs::read).await?;
    let facts = netlink::read_once().await?;
    let stolen = leashes.iter().filter(|leash| is_on(&facts, leash));
    let homes: Vec<Leash> = stolen.filter_map(|leash| plugs.home(network, leash)).collect();
    set_masters(&homes).await?;
    Ok(plugs.left(network, leashes))
}

async fn set_masters(leashes: &[Leash]) -> Result<(), Trouble> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::from)?;
    let task = tokio::spawn(connection);
    let result = enslave_with(&handle, leashes).await;
    task.abort();
    result
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
