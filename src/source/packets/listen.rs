//! READS. Addresses that guests show in their own ARP and DHCP packets, for guests whose address nothing else
//! tells. Off unless the settings ask for it: it hears what passes on every link of the host.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::decode::{Shown, shown};
use super::{Capture, CaptureError, Only};
use crate::model::{IfIndex, IfName, Nic, Snapshot, Timestamp};
use crate::source::{Backoff, Update, Updates};

/// Whether guests' packets are listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listen {
    /// No.
    #[default]
    Off,
    /// ARP and DHCP of guests' NICs.
    On,
}

/// An address that is seen again is told again after this long.
const AGAIN: u64 = 60_000;
/// The thread looks whether it is still wanted this often.
const WAIT: Duration = Duration::from_secs(1);

/// Starts listening; ends when nobody takes what it hears.
pub fn spawn(updates: Updates, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let _ = std::thread::Builder::new().name("listen".to_owned()).spawn(move || {
        let mut backoff = Backoff::default();
        while !updates.is_closed() {
            if let Err(error) = listen(&updates, &snapshots, &mut backoff) {
                tracing::warn!("listen for addresses: {error}");
            }
            std::thread::sleep(backoff.next_wait());
        }
    });
}

fn listen(
    updates: &Updates,
    snapshots: &watch::Receiver<Arc<Snapshot>>,
    backoff: &mut Backoff,
) -> Result<(), CaptureError> {
    // Index 0 is every link; the name is for messages alone.
    let Some(every) = IfName::from_bytes(b"any") else { return Ok(()) };
    let mut capture = Capture::open(every, IfIndex(0), &[Only::Arp, Only::Dhcp])?;
    while !updates.is_closed() {
        let Some(packet) = capture.next(WAIT)? else { continue };
        backoff.reset();
        let Some(shown) = shown(&packet.bytes) else { continue };
        let snapshot = snapshots.borrow().clone();
        if is_news(&snapshot, shown, packet.at) {
            let on = nic_of(&snapshot, shown).and_then(Nic::place);
            let update = Update::Seen { mac: shown.mac, address: shown.address, on, at: packet.at };
            if updates.send(update).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// It is a guest's, and not known yet where the guest is, or not seen for a while.
#[must_use]
pub fn is_news(snapshot: &Snapshot, shown: Shown, at: Timestamp) -> bool {
    let Some(nic) = nic_of(snapshot, shown) else { return false };
    !snapshot.seen.iter().any(|seen| {
        let same = seen.mac == shown.mac && seen.address == shown.address && seen.on == nic.place();
        same && at.millis_since(seen.at) < AGAIN
    })
}

fn nic_of(snapshot: &Snapshot, shown: Shown) -> Option<&Nic> {
    snapshot.nics.iter().find(|nic| nic.id.mac == shown.mac)
}
