//! READS. What guests and networks there are, kept between reads so that only what changed is read and
//! parsed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agents::Answers;
use super::connection::Connection;
use super::error::{ErrorKind, LibvirtError};
use super::objects::{GuestHandle, NetworkHandle, Scope};
use super::pulse::Pulse;
use super::reader::Dirty;
use crate::model::emulator::{Emulator, EmulatorKey};
use crate::model::facts::LibvirtFacts;
use crate::model::guest::{Definition, Guest};
use crate::model::network::{Lease, Network, NetworkDefinition, Subnet};
use crate::model::{DomainId, NetworkId, PciNic};

/// All guests and networks as last read.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    guests: BTreeMap<DomainId, Guest>,
    networks: BTreeMap<NetworkId, Network>,
    agents_asked: Vec<DomainId>,
    agent_answers: Answers,
    emulators: BTreeMap<EmulatorKey, Emulator>,
    node_nics: Option<Vec<PciNic>>,
    published: Option<Arc<LibvirtFacts>>,
}

impl Inventory {
    /// Reads what is dirty, until nobody listens. What cannot be read of one object keeps its last figures.
    ///
    /// # Errors
    /// Only when the connection is dead.
    pub(super) fn read(
        &mut self,
        connection: &Connection,
        dirty: &Dirty,
        pulse: &Pulse,
    ) -> Result<(), LibvirtError> {
        if dirty.everything {
            self.read_guests(connection, pulse)?;
        } else {
            for &id in dirty.guests.iter().take_while(|_| !pulse.is_over()) {
                pulse.asking("read a guest");
                self.read_guest(connection, id, connection.domain(id))?;
            }
        }
        if dirty.everything || dirty.all_networks {
            self.read_networks(connection, pulse)?;
        } else {
            for &id in dirty.networks.iter().take_while(|_| !pulse.is_over()) {
                pulse.asking("read a network");
                self.read_network(connection, id, connection.network(id))?;
            }
        }
        Ok(())
    }

    fn read_guests(&mut self, connection: &Connection, pulse: &Pulse) -> Result<(), LibvirtError> {
        pulse.asking("list the guests");
        let Some(guests) = unless_dead(connection, connection.guests())? else { return Ok(()) };
        self.guests.retain(|id, _| guests.iter().any(|guest| guest.id() == *id));
        for guest in guests.into_iter().take_while(|_| !pulse.is_over()) {
            pulse.asking("read a guest");
            self.read_guest(connection, guest.id(), Ok(guest))?;
        }
        Ok(())
    }

    fn read_guest(
        &mut self,
        connection: &Connection,
        id: DomainId,
        found: Result<GuestHandle, LibvirtError>,
    ) -> Result<(), LibvirtError> {
        let before = self.guests.get(&id);
        match found.and_then(|handle| guest(&handle, before)) {
            Ok(guest) => drop(self.guests.insert(id, guest)),
            Err(error) if error.kind == ErrorKind::Gone => drop(self.guests.remove(&id)),
            Err(error) => drop(unless_dead::<()>(connection, Err(error))?),
        }
        Ok(())
    }

    fn read_networks(&mut self, connection: &Connection, pulse: &Pulse) -> Result<(), LibvirtError> {
        pulse.asking("list the networks");
        let Some(networks) = unless_dead(connection, connection.networks())? else { return Ok(()) };
        self.networks.retain(|id, _| networks.iter().any(|network| network.id() == *id));
        for network in networks.into_iter().take_while(|_| !pulse.is_over()) {
            pulse.asking("read a network");
            self.read_network(connection, network.id(), Ok(network))?;
        }
        Ok(())
    }

    fn read_network(
        &mut self,
        connection: &Connection,
        id: NetworkId,
        found: Result<NetworkHandle, LibvirtError>,
    ) -> Result<(), LibvirtError> {
        let before = self.networks.get(&id);
        match found.and_then(|handle| network(&handle, before)) {
            Ok(network) => drop(self.networks.insert(id, network)),
            Err(error) if error.kind == ErrorKind::Gone => drop(self.networks.remove(&id)),
            Err(error) => drop(unless_dead::<()>(connection, Err(error))?),
        }
        Ok(())
    }

    /// Reads the NICs among the node devices. A daemon that cannot list them has none.
    ///
    /// # Errors
    /// Only when the connection is dead.
    pub(super) fn read_node_nics(
        &mut self,
        connection: &Connection,
        pulse: &Pulse,
    ) -> Result<(), LibvirtError> {
        pulse.asking("list the node devices");
        match connection.node_nics(|| pulse.is_over()) {
            Err(error) if !connection.is_alive() => return Err(error),
            Err(error) => tracing::info!("{error}"),
            Ok(nics) => self.node_nics = Some(nics),
        }
        self.node_nics.get_or_insert_default();
        Ok(())
    }

    /// The guests whose agent is connected.
    pub(super) fn agents(&self) -> Vec<DomainId> {
        self.guests.values().filter(|guest| guest.agent).map(|guest| guest.id).collect()
    }

    /// Takes what the agents answered.
    pub(super) fn set_agent_answers(&mut self, answers: Answers) {
        self.agent_answers = answers;
    }

    /// Takes which agents are asked at all.
    pub(super) fn set_asked_agents(&mut self, asked: &[DomainId]) {
        self.agents_asked = asked.to_vec();
    }

    /// The emulators of all guests, each once.
    pub(super) fn emulators(&self) -> Vec<EmulatorKey> {
        let machines = self.guests.values().filter_map(Guest::current).map(|current| &current.machine);
        let keys: BTreeSet<EmulatorKey> = machines.map(EmulatorKey::of).collect();
        keys.into_iter().collect()
    }

    /// Takes what was found out about emulators.
    pub(super) fn add_emulators(&mut self, found: Vec<Emulator>) {
        self.emulators.extend(found.into_iter().map(|emulator| (emulator.key.clone(), emulator)));
    }

    /// Everything, by name; `None` when it is what the last call gave.
    pub(super) fn changed(&mut self) -> Option<Arc<LibvirtFacts>> {
        let mut guests: Vec<Guest> = self.guests.values().cloned().collect();
        for guest in guests.iter_mut().filter(|guest| guest.agent) {
            let answer = self.agent_answers.get(&guest.id);
            guest.agent_silent = answer.is_none() && self.agents_asked.contains(&guest.id);
            guest.agent_addresses = answer.cloned().unwrap_or_default();
        }
        guests.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let mut networks: Vec<Network> = self.networks.values().cloned().collect();
        networks.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let emulators = self.emulators.values().cloned().collect();
        let facts = LibvirtFacts { guests, networks, emulators, node_nics: self.node_nics.clone() };
        if self.published.as_deref() == Some(&facts) {
            return None;
        }
        let facts = Arc::new(facts);
        self.published = Some(Arc::clone(&facts));
        Some(facts)
    }
}

/// An error of one object is logged and costs only that object's new figures; that of a dead connection
/// ends the session.
fn unless_dead<T>(
    connection: &Connection,
    result: Result<T, LibvirtError>,
) -> Result<Option<T>, LibvirtError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind == ErrorKind::Disconnected || !connection.is_alive() => Err(error),
        Err(error) => {
            tracing::warn!("{error}");
            Ok(None)
        }
    }
}

fn guest(handle: &GuestHandle, before: Option<&Guest>) -> Result<Guest, LibvirtError> {
    let (state, persistent) = (handle.state()?, handle.is_persistent()?);
    let before_live = before.and_then(|guest| guest.live.as_ref());
    let before_next = before.and_then(|guest| guest.next.as_ref());
    let live = if handle.was_active() { Some(handle.xml(Scope::Live)?) } else { None };
    let next = if persistent { Some(handle.xml(Scope::Config)?) } else { None };
    let live = live.and_then(|xml| definition(handle, &xml, before_live));
    let agent = live.as_ref().is_some_and(|live| live.machine.agent_connected);
    Ok(Guest {
        id: handle.id(),
        name: handle.name().to_owned(),
        state,
        // Some drivers cannot tell for a transient guest; it has none.
        autostart: persistent && handle.autostart().unwrap_or(false),
        persistent,
        live,
        next: next.and_then(|xml| definition(handle, &xml, before_next)),
        agent,
        agent_silent: false,
        agent_addresses: Vec::new(),
    })
}

fn definition(handle: &GuestHandle, xml: &str, before: Option<&Definition>) -> Option<Definition> {
    if let Some(same) = before.filter(|before| *before.xml == *xml) {
        return Some(same.clone());
    }
    Definition::parse(xml)
        .inspect_err(|error| tracing::warn!("read the definition of guest {:?}: {error}", handle.name()))
        .ok()
}

fn network(handle: &NetworkHandle, before: Option<&Network>) -> Result<Network, LibvirtError> {
    let (active, persistent) = (handle.is_active()?, handle.is_persistent()?);
    let live = if active { Some(handle.xml(Scope::Live)?) } else { None };
    let next = if persistent { Some(handle.xml(Scope::Config)?) } else { None };
    let before_live = before.and_then(|network| network.live.as_ref());
    let before_next = before.and_then(|network| network.next.as_ref());
    let live = live.and_then(|xml| network_definition(handle, &xml, before_live));
    let has_dhcp = live.as_ref().is_some_and(|live| live.subnets.iter().any(Subnet::has_dhcp));
    Ok(Network {
        id: handle.id(),
        name: handle.name().to_owned(),
        active,
        autostart: persistent && handle.autostart().unwrap_or(false),
        persistent,
        live,
        next: next.and_then(|xml| network_definition(handle, &xml, before_next)),
        leases: if has_dhcp { leases(handle, before) } else { Vec::new() },
    })
}

/// A lease file that cannot be read costs the new leases, not the network.
fn leases(handle: &NetworkHandle, before: Option<&Network>) -> Vec<Lease> {
    handle.leases().unwrap_or_else(|error| {
        tracing::warn!("{error}");
        before.map(|network| network.leases.clone()).unwrap_or_default()
    })
}

fn network_definition(
    handle: &NetworkHandle,
    xml: &str,
    before: Option<&NetworkDefinition>,
) -> Option<NetworkDefinition> {
    if let Some(same) = before.filter(|before| *before.xml == *xml) {
        return Some(same.clone());
    }
    let parsed = NetworkDefinition::parse(xml);
    parsed
        .inspect_err(|error| tracing::warn!("read the definition of network {:?}: {error}", handle.name()))
        .ok()
}
