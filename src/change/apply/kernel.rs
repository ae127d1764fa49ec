//! READS. What the kernel has, which alone proves a switch: the tap's master and its port's state, a
//! macvtap's lower link and mode.

use std::time::{Duration, Instant};

use super::device;
use super::hands::Hands;
use super::trouble::Trouble;
use crate::change::plan::Expected;
use crate::model::guest::{NicConfig, NicSource};
use crate::model::ids::{IfIndex, IfName};
use crate::model::kernel::{KernelFacts, Link, LinkKind, PortState};
use crate::source::libvirt::Scope;
use crate::source::netlink::{self, NetlinkError};

/// Where the kernel has the NIC.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The tap or macvtap; `None` for a device of the host.
    pub(super) link: Option<IfIndex>,
    /// What was read, in words.
    pub(super) proof: String,
}

/// Where the kernel must have a NIC by its live definition; `None` for kinds without a link of their own.
pub(super) fn expected_of(live: &NicConfig) -> Option<Expected> {
    match live.source {
        NicSource::Network { bridge: Some(bridge), .. } | NicSource::Bridge { bridge } => {
            Some(Expected::OnBridge { bridge })
        }
        NicSource::Network { dev: Some(dev), .. } => Some(Expected::OnLink { lower: Some(dev), mode: None }),
        NicSource::Direct { dev, mode } => Some(Expected::OnLink { lower: Some(dev), mode: Some(mode) }),
        NicSource::Hostdev { address: device @ Some(_) } => Some(Expected::Given { device }),
        _ => None,
    }
}

/// Where the kernel has the NIC if that is where its live element says; `None` when it is not.
pub(super) async fn now(hands: &mut Hands, before: &str) -> Option<Expected> {
    let expected = expected_of(&NicConfig::parse(before).ok()?)?;
    wait_for(hands, Some(expected), Duration::ZERO).await.ok().map(|_| expected)
}

/// Reads until the kernel has the NIC where it should be, or the deadline.
pub(super) async fn wait_for(
    hands: &mut Hands,
    expected: Option<Expected>,
    deadline: Duration,
) -> Result<Seen, Trouble> {
    let begun = Instant::now();
    loop {
        let element = hands.element(Scope::Live).await?.ok_or(Trouble::Missing)?;
        let live = NicConfig::parse(&element)?;
        let seen = match expected {
            Some(Expected::Given { device: None }) => {
                see(live.target, Expected::Given { device: live.source.device() }).await
            }
            Some(expected) => see(live.target, expected).await,
            None => judge(&netlink::read_once().await?, live.target, None),
        };
        match seen {
            Ok(seen) => return Ok(seen),
            Err(trouble) if begun.elapsed() > deadline => return Err(trouble),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Makes a link a port of a bridge.
pub(super) async fn enslave(link: IfName, bridge: IfName) -> Result<(), Trouble> {
    let facts = netlink::read_once().await?;
    let index = |name: IfName| {
        let found = facts.links.iter().find(|link| link.name == name).map(|link| link.index);
        found.ok_or_else(|| Trouble::Mismatch(format!("there is no link {name}")))
    };
    let (port, master) = (index(link)?, index(bridge)?);
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::from)?;
    let task = tokio::spawn(connection);
    let message = rtnetlink::LinkUnspec::new_with_index(port.0).controller(master.0).build();
    let set = handle.link().set(message).execute().await;
    task.abort();
    set.map_err(|error| Trouble::Changed(format!("make {link} a port of {bridge}: {error}")))
}

/// Reads until the kernel has no such link any more, or the deadline.
pub(super) async fn wait_gone(link: IfName, deadline: Duration) -> Result<String, Trouble> {
    let begun = Instant::now();
    while netlink::read_once().await?.links.iter().any(|other| other.name == link) {
        if begun.elapsed() > deadline {
            return Err(Trouble::Mismatch(format!("the guest let go of it, but {link} is still there")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(format!("the guest let go of it, {link} is gone"))
}

/// Reads once whether the kernel has a link where it should be.
pub(super) async fn see(link: Option<IfName>, expected: Expected) -> Result<Seen, Trouble> {
    if let Expected::Given { device } = expected {
        let none = || Trouble::Mismatch("libvirt gave the guest no device".to_owned());
        return device::given(device.ok_or_else(none)?);
    }
    judge(&netlink::read_once().await?, link, Some(expected))
}

fn judge(facts: &KernelFacts, target: Option<IfName>, expected: Option<Expected>) -> Result<Seen, Trouble> {
    let mismatch = |text: String| Err(Trouble::Mismatch(text));
    let Some(name) = target else { return mismatch("the NIC has no link on the host".to_owned()) };
    let Some(link) = facts.links.iter().find(|link| link.name == name) else {
        return mismatch(format!("there is no link {name}"));
    };
    let by_index = |index: Option<IfIndex>| facts.links.iter().find(|link| Some(link.index) == index);
    let master = by_index(link.master).map(|master| master.name);
    match expected {
        Some(Expected::OnBridge { bridge }) if master == Some(bridge) => {
            Ok(Seen { link: Some(link.index), proof: format!("{name} master {bridge}") })
        }
        Some(Expected::OnBridge { bridge }) => {
            let has = master.map_or_else(|| "none".to_owned(), |master| master.to_string());
            mismatch(format!("{name} has master {has} instead of {bridge}"))
        }
        Some(Expected::OnLink { lower, mode }) => {
            let LinkKind::Macvtap { mode: has_mode } = &link.kind else {
                return mismatch(format!("{name} is a {} instead of a macvtap", link.kind.word()));
            };
            let has = by_index(link.lower).map(|lower| lower.name);
            if lower.is_some() && lower != has || mode.is_some_and(|mode| mode != *has_mode) {
                return mismatch(format!("{name} is on {has:?} in mode {}", has_mode.word()));
            }
            let on = has.map_or_else(|| "?".to_owned(), |has| has.to_string());
            Ok(Seen { link: Some(link.index), proof: format!("{name} on {on}, mode {}", has_mode.word()) })
        }
        Some(Expected::Given { .. }) | None => Ok(Seen { link: Some(link.index), proof: name.to_string() }),
    }
}

/// Waits until the port forwards: with STP on that takes twice the bridge's forward delay.
pub(super) async fn wait_forwarding(seen: &Seen, tell: impl Fn(String)) -> Result<String, Trouble> {
    let begun = Instant::now();
    let mut told = None;
    loop {
        let facts = netlink::read_once().await?;
        let Some(link) = facts.links.iter().find(|link| Some(link.index) == seen.link) else {
            return Err(Trouble::Mismatch("the link is gone".to_owned()));
        };
        let state = link.port.as_ref().map(|port| port.state);
        if state == Some(PortState::Forwarding) {
            return Ok(format!("{} forwarding", link.name));
        }
        let word = state.map_or("no port", PortState::word);
        if begun.elapsed() > forward_deadline(&facts, link) {
            return Err(Trouble::Mismatch(format!("{} is {word}, it does not forward", link.name)));
        }
        if told != Some(word) {
            told = Some(word);
            tell(format!("{} {word}", link.name));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn forward_deadline(facts: &KernelFacts, link: &Link) -> Duration {
    let bridge =
        facts.links.iter().find(|bridge| Some(bridge.index) == link.master).map(|bridge| &bridge.kind);
    let delay = match bridge {
        Some(LinkKind::Bridge(info)) if info.stp => u64::from(info.forward_delay) * 20,
        _ => 0,
    };
    Duration::from_millis(delay) + Duration::from_secs(5)
}
