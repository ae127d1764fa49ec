//! READS. Waits for the guest's new address: on the wire, in leases, from the agent, in the neighbour
//! table. Not finding one is no failure; showing an old one as new would be a lie.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::StepState;
use super::course::{Course, millis};
use super::listen::{Heard, Listener};
use crate::change::plan::{Expected, StepId, Verdict};
use crate::model::guest::DomainState;
use crate::model::ids::{IfName, NicId, Timestamp};
use crate::model::snapshot::{Nic, NicAddress, Origin, Snapshot};
use crate::source::{Update, now};

/// How long an address is waited for: by a guest that runs, and by one that has to boot first.
const ADDRESS: Duration = Duration::from_secs(30);
const BOOT: Duration = Duration::from_secs(120);

/// An address, from where it is known, and until when it is leased: a new lease of an old address is news.
pub(super) type Known = (IpAddr, Origin, Option<Timestamp>);

/// The IPv4 addresses that are known of a NIC, outdated ones too.
pub(super) fn known(snapshot: &Snapshot, id: NicId) -> Vec<Known> {
    let seen = snapshot.nic(id).into_iter().flat_map(|nic| &nic.addresses);
    seen.map(|seen| (seen.address, seen.origin, seen.expires))
        .filter(|(address, ..)| address.is_ipv4())
        .collect()
}

impl Course<'_> {
    /// Waits for an address that the guest got or used since the change.
    pub(super) async fn address(&self, wire: Option<Listener>) -> Option<IpAddr> {
        let begun = Instant::now();
        self.tell(StepId::Address, StepState::Running);
        if let Some(state) = self.not_running() {
            let text = format!("the guest is {state}: it asks for none now");
            self.tell(StepId::Address, StepState::Unknown { text });
            return None;
        }
        let patience = if self.plan.verdict == Verdict::Restart { BOOT } else { ADDRESS };
        let text = format!("waiting for one, up to {} s", patience.as_secs());
        self.tell(StepId::Address, StepState::Waiting { text });
        let mut still = None;
        let found = tokio::time::timeout(patience, async {
            tokio::select! {
                address = self.heard(wire, &mut still) => address,
                address = self.joined() => address,
            }
        })
        .await
        .ok();
        let state = match (found, still) {
            (Some(address), _) => StepState::Done { proof: address.to_string(), millis: millis(begun) },
            (None, Some(old)) => StepState::Unknown {
                text: format!("the guest still uses {old}: it did not ask for a new one"),
            },
            (None, None) => {
                let seconds = patience.as_secs();
                StepState::Unknown { text: format!("none seen within {seconds} s; look inside the guest") }
            }
        };
        self.tell(StepId::Address, state);
        found.or(still)
    }

    /// The state of a guest that does nothing now. One that was just started runs, whatever the last
    /// snapshot says.
    fn not_running(&self) -> Option<&'static str> {
        if self.plan.verdict == Verdict::Restart {
            return None;
        }
        let snapshot = self.tools.snapshots.borrow();
        let state = snapshot.guest(self.plan.nic.domain)?.state;
        (state != DomainState::Running).then(|| state.word())
    }

    /// On the wire. An address that was known before proves nothing when the guest merely uses it: it may
    /// not have asked yet.
    async fn heard(&self, wire: Option<Listener>, still: &mut Option<IpAddr>) -> IpAddr {
        let Some(mut wire) = wire else { return std::future::pending().await };
        loop {
            let (address, is_news) = match wire.next().await {
                Heard::Given(address) => (address, true),
                Heard::Used(address) => {
                    let old = self.known.iter().any(|(known, ..)| *known == address);
                    (address, self.is_new_device() || !old)
                }
            };
            if is_news {
                if let Some(updates) = &self.tools.updates {
                    let (mac, on) = (self.plan.nic.mac, self.place());
                    let _ = updates.send(Update::Seen { mac, address, on, at: now() });
                }
                return address;
            }
            *still = Some(address);
        }
    }

    /// The bridge or link that the NIC is on after the change: a snapshot may be from before.
    fn place(&self) -> Option<IfName> {
        match self.plan.expected {
            Some(Expected::OnBridge { bridge }) => Some(bridge),
            Some(Expected::OnLink { lower: Some(lower), .. }) => Some(lower),
            _ => self.tools.snapshots.borrow().nic(self.plan.nic).and_then(Nic::place),
        }
    }

    /// An old address from another origin is no news; an old one that was leased anew is.
    fn is_news(&self, seen: &NicAddress) -> bool {
        let mut before = self.known.iter().filter(|(address, ..)| *address == seen.address);
        match seen.origin {
            Origin::Lease => !before.any(|(_, _, expires)| *expires == seen.expires),
            _ => before.next().is_none(),
        }
    }

    /// In a snapshot.
    async fn joined(&self) -> IpAddr {
        let mut snapshots = self.tools.snapshots.clone();
        loop {
            if snapshots.changed().await.is_err() {
                return std::future::pending().await;
            }
            let snapshot = snapshots.borrow_and_update().clone();
            let nic = snapshot.nic(self.plan.nic);
            let fresh = nic.into_iter().flat_map(|nic| &nic.addresses).filter(|seen| !seen.stale);
            for seen in fresh {
                if seen.address.is_ipv4() && self.is_news(seen) {
                    return seen.address;
                }
            }
        }
    }
}
