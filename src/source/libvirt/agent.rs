//! READS. Addresses that guest agents report, on a thread of its own: an agent that hangs blocks its
//! call for seconds, which must not hold up the inventory.
//!
//! The agent is asked over the writing socket, so this runs for root only.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;

use super::connection::{Access, Connection};
use super::{Wake, ffi, lock};
use crate::model::guest::AgentAddress;
use crate::model::ids::DomainId;

/// Time between two rounds over all agents.
const ROUND: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Vec<DomainId>>,
    known: Mutex<BTreeMap<DomainId, Vec<AgentAddress>>>,
}

/// What the agents said, and whom to ask.
#[derive(Debug, Clone, Default)]
pub(super) struct Agents(Arc<Shared>);

impl Agents {
    /// The guests whose agent is connected now.
    pub(super) fn ask(&self, guests: Vec<DomainId>) {
        *lock(&self.0.wanted) = guests;
    }

    /// What this guest's agent said last.
    pub(super) fn addresses(&self, guest: DomainId) -> Vec<AgentAddress> {
        lock(&self.0.known).get(&guest).cloned().unwrap_or_default()
    }
}

/// Starts asking; without root nobody is asked.
pub(super) fn spawn(uri: String, wake: Sender<Wake>) -> Agents {
    let agents = Agents::default();
    if !nix::unistd::geteuid().is_root() {
        return agents;
    }
    let shared = agents.clone();
    let _ = std::thread::Builder::new().name("libvirt-agents".to_owned()).spawn(move || {
        let mut connection = None;
        loop {
            let wanted = lock(&shared.0.wanted).clone();
            if wanted.is_empty() {
                connection = None;
            } else {
                connection = connection.or_else(|| Connection::open(&uri, Access::ReadWrite).ok());
                let found =
                    connection.as_ref().map(|connection| round(connection, &wanted)).unwrap_or_default();
                let changed = std::mem::replace(&mut *lock(&shared.0.known), found.clone()) != found;
                if changed && wake.send(Wake::Dirty).is_err() {
                    return;
                }
            }
            std::thread::sleep(if wanted.is_empty() { Duration::from_secs(2) } else { ROUND });
        }
    });
    agents
}

fn round(connection: &Connection, wanted: &[DomainId]) -> BTreeMap<DomainId, Vec<AgentAddress>> {
    let ask = |id: &DomainId| Some((*id, addresses(&connection.domain(*id).ok()?.agent_interfaces().ok()?)));
    wanted.iter().filter_map(ask).collect()
}

fn addresses(interfaces: &[ffi::AgentInterface]) -> Vec<AgentAddress> {
    let mut addresses = Vec::new();
    for interface in interfaces {
        let Some(mac) = interface.mac.as_ref().and_then(|mac| mac.parse().ok()) else { continue };
        for (address, prefix) in &interface.addresses {
            let prefix = u8::try_from(*prefix).ok();
            let parsed =
                address.parse().ok().zip(prefix).and_then(|(ip, prefix)| IpNet::new(ip, prefix).ok());
            if let Some(address) = parsed {
                addresses.push(AgentAddress {
                    mac,
                    name: interface.name.clone().unwrap_or_default(),
                    address,
                });
            }
        }
    }
    addresses
}
