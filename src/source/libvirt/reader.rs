//! READS. The inventory thread: one read-only connection, read again when something changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::agents::{Agents, Answers};
use super::connection::{Access, Connection};
use super::emulators::Emulators;
use super::error::{ErrorKind, LibvirtError};
use super::events::Event;
use super::inventory::Inventory;
use super::pulse::Pulse;
use crate::model::emulator::Emulator;
use crate::model::{DomainId, NetworkId};
use crate::source::Backoff;

/// What no event tells of (update-device, link state, net-update) is found after this long at most.
const SLOW: Duration = Duration::from_secs(5);
/// How often an idle daemon is asked for a sign of life.
const PING: Duration = Duration::from_secs(1);
/// What changes within this time is read together.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// Why the reader should look again.
#[derive(Debug)]
pub(super) enum Wake {
    /// libvirt says that something changed.
    Event(Event),
    /// A file of libvirt's DHCP servers changed.
    Leases,
    /// The agents' answers changed.
    Agents(Answers),
    /// What was found out about emulators.
    Emulators(Vec<Emulator>),
    /// Somebody needs the node devices.
    Devices,
    /// Somebody asked.
    Refresh,
}

/// What must be read again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    pub(super) everything: bool,
    pub(super) guests: BTreeSet<DomainId>,
    pub(super) networks: BTreeSet<NetworkId>,
    pub(super) all_networks: bool,
}

/// Whether the node devices must be listed: there may be hundreds, and few ever need them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeDevices {
    NotAsked,
    Asked,
}

impl Dirty {
    const fn everything() -> Self {
        Self { everything: true, guests: BTreeSet::new(), networks: BTreeSet::new(), all_networks: true }
    }
}

/// The inventory thread's state.
pub(super) struct Reader {
    uri: String,
    pulse: Arc<Pulse>,
    wake: Sender<Wake>,
    inventory: Inventory,
    agents: Agents,
    emulators: Emulators,
    node_devices: NodeDevices,
    backoff: Backoff,
}

impl Reader {
    pub(super) fn new(uri: String, pulse: Arc<Pulse>, wake: Sender<Wake>) -> Self {
        let agents = Agents::new(uri.clone(), Arc::clone(&pulse), wake.clone());
        let emulators = Emulators::new(uri.clone(), Arc::clone(&pulse), wake.clone());
        let (inventory, backoff) = (Inventory::default(), Backoff::default());
        let node_devices = NodeDevices::NotAsked;
        Self { uri, pulse, wake, inventory, agents, emulators, node_devices, backoff }
    }

    /// Reads until nobody listens any more.
    pub(super) fn run(mut self, wakes: &Receiver<Wake>) {
        while !self.pulse.is_over() {
            let Err(error) = self.session(wakes) else { return };
            tracing::debug!("libvirt: {error}");
            self.pulse.lost(&error);
            self.pause(wakes);
        }
    }

    /// Reads on one connection until it dies; `Ok` when nobody listens any more.
    fn session(&mut self, wakes: &Receiver<Wake>) -> Result<(), LibvirtError> {
        self.pulse.asking("connect");
        let connection = open(&self.uri)?;
        let wake = self.wake.clone();
        let _subscription = connection.subscribe(move |event| drop(wake.send(Wake::Event(event))));
        let version = connection.version()?;
        let mut dirty = Dirty::everything();
        let mut slow = Instant::now();
        while !self.pulse.is_over() {
            if dirty.everything {
                slow = Instant::now();
            }
            if dirty == Dirty::default() {
                self.pulse.asking("see whether it is there");
                connection.version()?;
            } else {
                self.inventory.read(&connection, &dirty, &self.pulse)?;
                let asked = self.agents.ask(self.inventory.agents());
                self.inventory.set_asked_agents(asked);
                self.emulators.ask(self.inventory.emulators());
                self.backoff.reset();
            }
            self.pulse.rest(self.inventory.changed(), Some(&version));
            if self.node_devices == NodeDevices::Asked {
                self.inventory.read_node_nics(&connection, &self.pulse)?;
                self.node_devices = NodeDevices::NotAsked;
                self.pulse.rest(self.inventory.changed(), Some(&version));
            }
            dirty = self.wait(wakes, &connection)?;
            dirty.everything |= slow.elapsed() >= SLOW;
        }
        Ok(())
    }

    /// Waits for something to read; what comes back is empty when it is only time for a sign of life.
    fn wait(&mut self, wakes: &Receiver<Wake>, connection: &Connection) -> Result<Dirty, LibvirtError> {
        let mut dirty = Dirty::default();
        let mut until = Instant::now() + PING;
        loop {
            match wakes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(wake) => {
                    if dirty == Dirty::default() {
                        until = Instant::now() + DEBOUNCE;
                    }
                    self.note(wake, &mut dirty, connection)?;
                    if self.pulse.is_over() {
                        return Ok(dirty);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(dirty),
            }
        }
    }

    fn note(&mut self, wake: Wake, dirty: &mut Dirty, connection: &Connection) -> Result<(), LibvirtError> {
        match wake {
            Wake::Event(event) => match event {
                Event::Guest(guest)
                | Event::Agent(guest)
                | Event::DeviceRemoved { guest, .. }
                | Event::DeviceRemovalFailed { guest, .. } => drop(dirty.guests.insert(guest)),
                Event::Network(network) => drop(dirty.networks.insert(network)),
                // The last words of an older connection may come late.
                Event::Closed(_) if connection.is_alive() => {}
                Event::Closed(reason) => return Err(LibvirtError::closed(&self.uri, reason)),
            },
            Wake::Leases => dirty.all_networks = true,
            Wake::Refresh => dirty.everything = true,
            other => self.keep(other),
        }
        Ok(())
    }

    /// Takes what is no matter of one connection.
    fn keep(&mut self, wake: Wake) {
        match wake {
            Wake::Agents(answers) => self.inventory.set_agent_answers(answers),
            Wake::Emulators(found) => self.inventory.add_emulators(found),
            Wake::Devices => self.node_devices = NodeDevices::Asked,
            Wake::Event(_) | Wake::Leases | Wake::Refresh => {}
        }
    }

    /// Waits before the next try; a refresh by hand tries at once.
    fn pause(&mut self, wakes: &Receiver<Wake>) {
        let until = Instant::now() + self.backoff.next_wait();
        while let Ok(wake) = wakes.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if matches!(wake, Wake::Refresh) {
                return;
            }
            self.keep(wake);
        }
    }
}

/// Read-only where that is allowed; else the writing socket, if that asks for no password.
fn open(uri: &str) -> Result<Connection, LibvirtError> {
    match Connection::open(uri, Access::ReadOnly) {
        Err(error) if error.kind == ErrorKind::Denied && Access::ReadWrite.is_free_of_prompts(uri) => {
            Connection::open(uri, Access::ReadWrite)
        }
        opened => opened,
    }
}
