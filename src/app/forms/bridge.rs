//! PURE. The forms of a bridge over a NIC of the host, and of one more port.
//!
//! ```text
//!  bridge     virbr1          over       ◂ eth0 ▸
//!  address    move            move, dhcp, or an address as 10.0.0.88/24
//!  STP        ◂ off ▸         at boot    ◂ auto ▸       keep within  60 s
//! ```

use std::time::Duration;

use super::{Field, Form, choice, refusal, text};
use crate::app::job::{BridgeJob, Draft, Job, Planned};
use crate::change::Refusal;
use crate::change::bridge::evidence::Evidence;
use crate::change::bridge::{Addressing, Backend, BridgeWant, Lasting, Stp, plan as planner};
use crate::change::network::propose_bridge;
use crate::model::kernel::{Link, LinkKind};
use crate::model::{IfName, Snapshot};

/// Seconds that a change waits for its confirmation, unless somebody says otherwise.
pub(in crate::app) const PATIENCE: Duration = Duration::from_secs(60);

/// A link that may be the port of a bridge.
fn fits(link: &Link) -> bool {
    let kind = matches!(
        link.kind,
        LinkKind::Device | LinkKind::Veth | LinkKind::Bond | LinkKind::Vlan { .. } | LinkKind::Other { .. }
    );
    kind && !link.loopback
}

/// Links that may become a port, those with an address first.
fn candidates(snapshot: &Snapshot) -> Vec<&Link> {
    let has_address = |link: &Link| {
        snapshot.kernel.addresses.iter().any(|found| found.index == link.index && found.scope != "link")
    };
    let links = snapshot.kernel.links.iter();
    let mut links: Vec<&Link> = links.filter(|link| fits(link) && link.master.is_none()).collect();
    links.sort_by_key(|link| !has_address(link));
    links
}

/// Why no link can become a port: `eth0 is a port of virbr3, eth1 of virbr1: no NIC is left`.
fn none_left(snapshot: &Snapshot) -> Refusal {
    const MOST: usize = 6;
    let links = snapshot.kernel.links.iter().filter(|link| fits(link));
    let taken = links.filter_map(|link| Some((link.name, snapshot.link(link.master?)?.name)));
    let words = |(at, (link, master))| {
        if at == 0 { format!("{link} is a port of {master}") } else { format!("{link} of {master}") }
    };
    let mut taken: Vec<String> = taken.enumerate().map(words).collect();
    if taken.is_empty() {
        let way_out = "see which there are: virt-net show bridges, ip link";
        return refusal("", "this host has no NIC that could be a port of a bridge", way_out);
    }
    if taken.len() > MOST {
        let more = taken.len() - MOST;
        taken.truncate(MOST);
        taken.push(format!("{more} more are ports too"));
    }
    let reason = format!("{}: no NIC is left", taken.join(", "));
    refusal("", reason, "plug guests into that bridge, or take a port out of its bridge first (2, a)")
}

fn ports(snapshot: &Snapshot) -> Vec<String> {
    candidates(snapshot).iter().map(|link| link.name.to_string()).collect()
}

pub(super) fn fields(snapshot: &Snapshot, port: Option<IfName>) -> Vec<Field> {
    let ports = ports(snapshot);
    let at = port.and_then(|port| ports.iter().position(|name| *name == port.to_string())).unwrap_or(0);
    let bridge = propose_bridge(snapshot).map(|name| name.to_string()).unwrap_or_default();
    let backends = Backend::ALL.iter().map(|backend| backend.word().to_owned());
    let boot = ["auto".to_owned(), "none".to_owned()].into_iter().chain(backends).collect();
    vec![
        text("bridge", "bridge", bridge, "15 letters at most"),
        choice("port", "over", ports, at),
        text("address", "address", "move", "move: the NIC's; dhcp; or one as 10.0.0.88/24"),
        choice("stp", "STP", vec!["off".to_owned(), "on".to_owned()], 0),
        choice("persist", "at boot", boot, 0),
        text("confirm", "keep within", PATIENCE.as_secs().to_string(), "seconds, 5 to 3600"),
    ]
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot) -> Planned {
    let nameless = || refusal("", "no bridge is given", "fill it in");
    let port = form.parsed::<IfName>("port", "a link")?.ok_or_else(|| none_left(snapshot))?;
    let bridge = form.parsed::<IfName>("bridge", "a name")?.ok_or_else(nameless)?;
    let address = form.parsed::<Addressing>("address", "move, dhcp or an address as 10.0.0.88/24")?;
    let persist = form.parsed::<Lasting>("persist", "auto, none or who")?.unwrap_or_default();
    let stp = if form.get("stp") == "on" { Stp::SHORTEST } else { Stp::Off };
    let want = BridgeWant::Create { bridge, port, stp, address: address.unwrap_or_default(), persist };
    let seconds = form.parsed::<u64>("confirm", "seconds")?.unwrap_or(PATIENCE.as_secs());
    if !(5..=3600).contains(&seconds) {
        return Err(refusal("", "keep within: too short or too long", "expected 5 to 3600 seconds"));
    }
    draft(snapshot, want, Duration::from_secs(seconds)).map(Job::from)
}

pub(super) fn port_fields(snapshot: &Snapshot, bridge: IfName) -> Option<(String, Vec<Field>)> {
    snapshot.bridge_named(bridge)?;
    Some((format!("New port of {bridge}"), vec![choice("port", "link", ports(snapshot), 0)]))
}

pub(super) fn plan_port(form: &Form, snapshot: &Snapshot, bridge: IfName) -> Planned {
    let port = form.parsed::<IfName>("port", "a link")?.ok_or_else(|| none_left(snapshot))?;
    draft(snapshot, BridgeWant::AddPort { bridge, port, persist: Lasting::Auto }, PATIENCE).map(Job::from)
}

/// A plan from the snapshot alone: what the NIC's owner has to say is found out when it is asked for.
pub(in crate::app) fn draft(
    snapshot: &Snapshot,
    want: BridgeWant,
    patience: Duration,
) -> Result<BridgeJob, Refusal> {
    // Which owner the NIC has is not known yet.
    let alone = match want.clone() {
        BridgeWant::Create { bridge, port, stp, address, .. } => {
            let address = if address == Addressing::Dhcp { Addressing::Move } else { address };
            BridgeWant::Create { bridge, port, stp, address, persist: Lasting::No }
        }
        other => other,
    };
    let plan = planner::plan(snapshot, &Evidence::default(), &alone)?;
    Ok(BridgeJob { want, plan, patience, draft: Draft::Yes })
}
