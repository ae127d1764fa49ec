//! READS. libvirt, rtnetlink and nf_tables, and a recording in their place; the collector joins what
//! they hand in and publishes whole snapshots. Changes nothing on the host.

pub mod collector;
pub mod firewall;
pub mod host;
pub mod libvirt;
pub mod netlink;
pub mod packets;
pub mod pci;
pub mod probe;
pub mod process;
pub mod replay;
pub mod services;
pub mod supervise;
pub mod unfinished;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::model::facts::LibvirtFacts;
use crate::model::firewall::FirewallFacts;
use crate::model::kernel::CounterTable;
use crate::model::pci::PciFacts;
use crate::model::services::ServiceFacts;
use crate::model::{IfName, KernelFacts, Mac, Snapshot, SourceState, Timestamp};

/// How long the first look at the host's programs is waited for behind all else.
const SERVICES: Duration = Duration::from_secs(1);

/// What a source hands to the collector. `None` facts mean: keep the last ones.
#[derive(Debug)]
pub enum Update {
    /// From libvirt.
    Libvirt {
        /// How the source fares.
        state: SourceState,
        /// What it read.
        facts: Option<Arc<LibvirtFacts>>,
        /// The daemon's version, `9.0.0`.
        version: Option<String>,
    },
    /// From rtnetlink.
    Kernel {
        /// How the source fares.
        state: SourceState,
        /// What it read.
        facts: Option<Arc<KernelFacts>>,
    },
    /// Counters of all links.
    Counters {
        /// When they were read.
        at: Timestamp,
        /// The counters, host's side.
        table: Arc<CounterTable>,
    },
    /// An address seen in a packet of a guest.
    Seen {
        /// The guest's NIC.
        mac: Mac,
        /// The address.
        address: IpAddr,
        /// The bridge, or the link below a macvtap, that the NIC was on.
        on: Option<IfName>,
        /// When.
        at: Timestamp,
    },
    /// Programs of the host.
    Services(Arc<ServiceFacts>),
    /// PCI NICs of the host.
    Pci(Arc<PciFacts>),
    /// From nf_tables.
    Firewall {
        /// How the source fares.
        state: SourceState,
        /// What it read.
        facts: Option<Arc<FirewallFacts>>,
    },
}

/// Where a source sends what it read. Unbounded because the collector only ever keeps the newest.
pub type Updates = mpsc::UnboundedSender<Update>;

/// What to read, and how often.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// libvirt's URI; `None` is `LIBVIRT_DEFAULT_URI`, else `qemu:///system`.
    pub uri: Option<String>,
    /// Time between two reads of the counters.
    pub tick: Duration,
    /// Play this recording instead of reading the host.
    pub replay: Option<PathBuf>,
    /// Whether guests' packets are listened to for their addresses.
    pub listen: packets::listen::Listen,
}

/// The running sources; reading ends when they are dropped.
#[derive(Debug)]
pub struct Sources {
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Option<(libvirt::Reading, netlink::Refresh)>,
    /// Where a change reports what it saw; `None` for a recording.
    pub updates: Option<Updates>,
    /// The URI in use.
    pub uri: String,
}

/// Starts reading on the current runtime.
///
/// # Errors
/// Only a recording can fail here; a source that is not there shows in the snapshot's health.
pub fn start(options: &SourceOptions) -> Result<Sources, replay::ReplayError> {
    if let Some(path) = &options.replay {
        let recording = replay::read(path)?;
        let uri = recording.frames.first().map(|frame| frame.host.uri.clone()).unwrap_or_default();
        return Ok(Sources { snapshots: replay::play(&recording), live: None, updates: None, uri });
    }
    let uri = options
        .uri
        .clone()
        .or_else(|| std::env::var("LIBVIRT_DEFAULT_URI").ok().filter(|uri| !uri.is_empty()));
    let uri = uri.unwrap_or_else(|| "qemu:///system".to_owned());
    let (updates, inbox) = mpsc::unbounded_channel();
    let libvirt = libvirt::spawn(uri.clone(), updates.clone());
    let kernel = netlink::spawn(updates.clone(), options.tick);
    firewall::spawn(updates.clone());
    services::spawn(updates.clone(), kernel.clone());
    pci::spawn(updates.clone());
    let snapshots = collector::spawn(inbox, host::read(&uri), libvirt.clone());
    if options.listen == packets::listen::Listen::On {
        packets::listen::spawn(updates.clone(), snapshots.clone());
    }
    Ok(Sources { snapshots, live: Some((libvirt, kernel)), updates: Some(updates), uri })
}

impl Sources {
    /// Asks libvirt and the kernel for everything again, now.
    pub fn refresh(&self) {
        if let Some((libvirt, kernel)) = &self.live {
            libvirt.refresh();
            kernel.now();
        }
    }

    /// Asks libvirt for its node devices: they are read only for those who need them.
    pub fn ask_for_devices(&self) {
        if let Some((libvirt, _)) = &self.live {
            libvirt.node_devices();
        }
    }

    /// The first snapshot that is so, or the newest one at the deadline.
    pub async fn until(&mut self, deadline: Duration, is_so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let waited = self.snapshots.wait_for(|snapshot| is_so(snapshot));
        let _ = tokio::time::timeout(deadline, waited).await;
        self.snapshots.borrow().clone()
    }

    /// A settled snapshot that also knows what the emulators of the guests can do, where that can be known
    /// within a few seconds.
    pub async fn with_emulators(&mut self) -> Arc<Snapshot> {
        self.settled(Duration::from_secs(10)).await;
        let known = |snapshot: &Snapshot| {
            let mut guests = snapshot.libvirt.guests.iter().filter(|guest| guest.current().is_some());
            guests.all(|guest| snapshot.emulator(guest).is_some())
        };
        self.until(Duration::from_secs(5), known).await
    }

    /// A settled snapshot that also knows the host's PCI NICs, by the kernel and by libvirt, where that can be
    /// known within a few seconds.
    pub async fn with_devices(&mut self) -> Arc<Snapshot> {
        self.ask_for_devices();
        self.settled(Duration::from_secs(10)).await;
        // A recording may be from before they were read.
        let deadline = if self.updates.is_some() { Duration::from_secs(10) } else { Duration::ZERO };
        let known = |snapshot: &Snapshot| {
            let told = match snapshot.health.libvirt {
                SourceState::Ok => snapshot.libvirt.node_nics.is_some(),
                // A host with many devices may need longer for their list than it takes to call libvirt hung.
                SourceState::Starting | SourceState::Stale { .. } => false,
                SourceState::Denied { .. } | SourceState::Down { .. } => true,
            };
            snapshot.pci.read_at.0 != 0 && told
        };
        self.until(deadline, known).await
    }

    /// The first snapshot in which every source has said something, or the newest one at the deadline.
    pub async fn settled(&mut self, deadline: Duration) -> Arc<Snapshot> {
        self.until(deadline, |snapshot| {
            let health = &snapshot.health;
            [&health.libvirt, &health.kernel, &health.firewall]
                .iter()
                .all(|state| **state != SourceState::Starting)
        })
        .await;
        // A recording may be from before programs were read.
        let services = if self.updates.is_some() { SERVICES } else { Duration::ZERO };
        self.until(services, |snapshot| snapshot.services.read_at.0 != 0 && snapshot.pci.read_at.0 != 0).await
    }
}

impl Drop for Sources {
    /// Tells who reads libvirt to end; the program waits for it with [`libvirt::all_closed`].
    fn drop(&mut self) {
        if let Some((libvirt, _)) = &self.live {
            libvirt.end();
        }
    }
}

/// Now, by the wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Waiting time before the next try: 0.5 s, doubling to 5 s.
#[derive(Debug, Clone)]
pub struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(Self::FIRST)
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(5);

    /// How long to wait now; the next wait is twice that.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.0;
        self.0 = (wait * 2).min(Self::MOST);
        wait
    }

    /// It worked: start from the shortest wait again.
    pub fn reset(&mut self) {
        self.0 = Self::FIRST;
    }
}
