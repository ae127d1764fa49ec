//! Keeps the last facts of every source, joins them and publishes whole snapshots.
//!
//! A source that fails changes only its health here: its last figures stay. Latest wins: a reader
//! that is slow sees fewer snapshots, never old ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};

use super::libvirt::Reading;
use super::{Update, now, supervise};
use crate::model::facts::{HostFacts, SeenAddress};
use crate::model::guest::{Definition, NicSource};
use crate::model::kernel::KernelFacts;
use crate::model::rates::History;
use crate::model::{Facts, Snapshot, SourceState, topology};

/// Changes that arrive within this time are published together.
const DEBOUNCE: Duration = Duration::from_millis(40);

/// The joined state between two updates. Pure: time comes in with the updates.
#[derive(Debug)]
pub struct Collector {
    facts: Facts,
    history: Arc<History>,
    last: Option<Arc<Snapshot>>,
}

impl Collector {
    /// Nothing read yet.
    #[must_use]
    pub fn new(host: HostFacts) -> Self {
        Self { facts: Facts { host, ..Facts::default() }, history: Arc::default(), last: None }
    }

    /// Takes what a source read.
    pub fn take(&mut self, update: Update) {
        let facts = &mut self.facts;
        match update {
            Update::Libvirt { state, facts: read, version } => {
                facts.health.libvirt = state;
                facts.libvirt = read.unwrap_or_else(|| Arc::clone(&facts.libvirt));
                facts.host.libvirt_version = version.or(facts.host.libvirt_version.take());
            }
            Update::Kernel { state, facts: read } => {
                facts.health.kernel = state;
                facts.kernel = read.unwrap_or_else(|| Arc::clone(&facts.kernel));
            }
            Update::Counters { at, table } => {
                Arc::make_mut(&mut self.history).push(at, &table);
                facts.counters = table;
                facts.taken_at = at;
            }
            Update::Seen { mac, address, on, at } => {
                // One address per NIC: a newer one takes the place of what was seen before.
                facts.seen.retain(|seen| seen.mac != mac);
                facts.seen.push(SeenAddress { mac, address, on, at });
            }
            Update::Services(read) => facts.services = read,
            Update::Pci(read) => facts.pci = read,
            Update::Firewall { state, facts: read } => {
                facts.health.firewall = state;
                facts.firewall = read.unwrap_or_else(|| Arc::clone(&facts.firewall));
            }
        }
    }

    /// The snapshot of everything taken so far.
    pub fn join(&mut self) -> Arc<Snapshot> {
        let mut facts = self.facts.clone();
        facts.host.ssh_link = facts.host.ssh_peer.and_then(|peer| {
            let route = facts.kernel.route_to(peer)?;
            facts.kernel.links.iter().find(|link| Some(link.index) == route.oif).map(|link| link.name)
        });
        let joined = Arc::new(topology::join(facts, Arc::clone(&self.history), self.last.as_deref()));
        self.last = Some(Arc::clone(&joined));
        joined
    }

    /// Whether libvirt should be asked again: what it plugs (taps and macvtaps) came, went or moved.
    #[must_use]
    pub fn plugs_moved(&self, update: &Update) -> bool {
        match update {
            Update::Kernel { facts: Some(facts), .. } => plugs(facts) != plugs(&self.facts.kernel),
            _ => false,
        }
    }
}

/// Whether only libvirt can tell what a guest's device is: the kernel here has not got it, or does not show it.
fn lacks_devices(facts: &Facts) -> bool {
    let unseen = facts.host.foreign_namespace || (facts.pci.read_at.0 != 0 && !facts.pci.readable);
    let has_device = |definition: &Definition| {
        let handed = definition.nics.iter().any(|nic| matches!(nic.source, NicSource::Hostdev { .. }));
        handed || !definition.devices.is_empty()
    };
    let mut definitions = facts.libvirt.guests.iter().flat_map(|guest| guest.live.iter().chain(&guest.next));
    unseen && facts.libvirt.node_nics.is_none() && definitions.any(has_device)
}

fn plugs(kernel: &KernelFacts) -> Vec<(crate::model::IfIndex, Option<crate::model::IfIndex>)> {
    use crate::model::LinkKind;
    let guest_side = |kind: &LinkKind| matches!(kind, LinkKind::Tap | LinkKind::Macvtap { .. });
    kernel.links.iter().filter(|link| guest_side(&link.kind)).map(|link| (link.index, link.master)).collect()
}

/// Collects on a task of its own until all readers and all sources are gone.
#[must_use]
pub fn spawn(
    inbox: mpsc::UnboundedReceiver<Update>,
    host: HostFacts,
    libvirt: Reading,
) -> watch::Receiver<Arc<Snapshot>> {
    let mut collector = Collector::new(host);
    let (publish, snapshots) = watch::channel(collector.join());
    let publish = Arc::new(publish);
    // Outside of the task: what was collected and what waits survive a panic of the join.
    let state = Arc::new(Mutex::new((inbox, collector)));
    let told = Arc::clone(&publish);
    let stopped = move |error: String| {
        told.send_modify(|snapshot| {
            let health = &mut Arc::make_mut(snapshot).facts.health;
            let down = SourceState::Down { since: now(), error: error.clone() };
            (health.libvirt, health.kernel, health.firewall) = (down.clone(), down.clone(), down);
        });
    };
    tokio::spawn(supervise::task("collector", stopped, move || {
        collect(Arc::clone(&state), libvirt.clone(), Arc::clone(&publish))
    }));
    snapshots
}

/// What waits to be collected, and what was.
type Collected = (mpsc::UnboundedReceiver<Update>, Collector);

async fn collect(state: Arc<Mutex<Collected>>, libvirt: Reading, publish: Arc<watch::Sender<Arc<Snapshot>>>) {
    let mut state = state.lock().await;
    let (inbox, collector) = &mut *state;
    let mut devices_asked = false;
    while let Some(first) = inbox.recv().await {
        let mut pending = vec![first];
        tokio::time::sleep(DEBOUNCE).await;
        while let Ok(more) = inbox.try_recv() {
            pending.push(more);
        }
        for update in pending {
            if collector.plugs_moved(&update) {
                libvirt.refresh();
            }
            collector.take(update);
        }
        if !devices_asked && lacks_devices(&collector.facts) {
            libvirt.node_devices();
            devices_asked = true;
        }
        if collector.facts.taken_at.0 == 0 {
            collector.facts.taken_at = now();
        }
        if publish.send(collector.join()).is_err() {
            return;
        }
    }
}
