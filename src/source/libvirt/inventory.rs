//! READS. One whole inventory of guests and networks, reusing what did not change.

use std::sync::Arc;

use ipnet::IpNet;
use virt::domain::Domain;
use virt::network::Network as VirtNetwork;

use super::agent::Agents;
use super::connection::{Connection, LibvirtError, failed};
use super::ffi;
use crate::model::facts::LibvirtFacts;
use crate::model::guest::{Definition, DomainState, Guest};
use crate::model::ids::{DomainId, Timestamp};
use crate::model::network::{Lease, Network, NetworkDefinition};

/// The last inventory: a definition whose text is the same is not parsed again.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    last: Arc<LibvirtFacts>,
}

impl Inventory {
    /// Reads everything; `None` when nothing changed since the last time.
    pub(super) fn read(
        &mut self,
        connection: &Connection,
        agents: &Agents,
    ) -> Result<Option<Arc<LibvirtFacts>>, LibvirtError> {
        let mut guests = Vec::new();
        for domain in connection.domains()? {
            // A guest that is undefined while we look is simply not there.
            if let Some(guest) = self.guest(&domain, agents)? {
                guests.push(guest);
            }
        }
        guests.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        let mut networks = Vec::new();
        for network in connection.networks()? {
            if let Some(network) = self.network(&network)? {
                networks.push(network);
            }
        }
        networks.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        agents.ask(guests.iter().filter(|guest| guest.agent).map(|guest| guest.id).collect());
        let facts = LibvirtFacts { guests, networks };
        if facts == *self.last && !facts.networks.is_empty() {
            return Ok(None);
        }
        self.last = Arc::new(facts);
        Ok(Some(Arc::clone(&self.last)))
    }

    fn guest(&self, domain: &Domain, agents: &Agents) -> Result<Option<Guest>, LibvirtError> {
        let name = domain.get_name().map_err(failed("read the name of", "a guest"))?;
        let uuid = domain.get_uuid_string().map_err(failed("read the UUID of", &name))?;
        let Ok(id) = uuid.parse::<DomainId>() else { return Ok(None) };
        let Ok((state, _)) = domain.get_state() else { return gone(domain, &name) };
        let Ok(persistent) = domain.is_persistent() else { return gone(domain, &name) };
        let state = domain_state(state);
        let before = self.last.guests.iter().find(|guest| guest.id == id);
        let live = if state.is_active() {
            let Ok(xml) = domain.get_xml_desc(0) else { return gone(domain, &name) };
            definition(&xml, before.and_then(|guest| guest.live.as_ref()))
        } else {
            None
        };
        let next = if persistent {
            let Ok(xml) = domain.get_xml_desc(virt_sys::VIR_DOMAIN_XML_INACTIVE) else {
                return gone(domain, &name);
            };
            definition(&xml, before.and_then(|guest| guest.next.as_ref()))
        } else {
            None
        };
        let agent = live.as_ref().is_some_and(|definition| definition.machine.agent_connected);
        Ok(Some(Guest {
            id,
            name,
            state,
            // The test driver cannot tell for a transient guest; that is "no".
            autostart: domain.get_autostart().unwrap_or(false),
            persistent,
            live,
            next,
            agent,
            agent_addresses: if agent { agents.addresses(id) } else { Vec::new() },
        }))
    }

    fn network(&self, network: &VirtNetwork) -> Result<Option<Network>, LibvirtError> {
        let name = network.get_name().map_err(failed("read the name of", "a network"))?;
        let uuid = network.get_uuid_string().map_err(failed("read the UUID of", &name))?;
        let Ok(id) = uuid.parse() else { return Ok(None) };
        let (Ok(active), Ok(persistent)) = (network.is_active(), network.is_persistent()) else {
            return Ok(None);
        };
        let before = self.last.networks.iter().find(|before| before.id == id);
        let read = |flags, before: Option<&NetworkDefinition>| {
            let xml = network.get_xml_desc(flags).ok()?;
            match before {
                Some(before) if *before.xml == *xml => Some(before.clone()),
                _ => NetworkDefinition::parse(&xml).ok(),
            }
        };
        let live = active.then(|| read(0, before.and_then(|before| before.live.as_ref()))).flatten();
        let inactive = virt_sys::VIR_NETWORK_XML_INACTIVE;
        let next =
            persistent.then(|| read(inactive, before.and_then(|before| before.next.as_ref()))).flatten();
        let has_dhcp = live.as_ref().is_some_and(|live| !live.subnets.is_empty());
        let leases = if has_dhcp { ffi::leases(network).unwrap_or_default() } else { Vec::new() };
        Ok(Some(Network {
            id,
            name,
            active,
            autostart: network.get_autostart().unwrap_or(false),
            persistent,
            live,
            next,
            leases: leases.into_iter().filter_map(lease).collect(),
        }))
    }
}

/// A call on a guest failed: it went while we looked (fine), or the connection did (an error).
fn gone(domain: &Domain, name: &str) -> Result<Option<Guest>, LibvirtError> {
    match domain.get_name().and(domain.is_active()) {
        Ok(_) => Ok(None),
        Err(error) => {
            let error = failed("read", name)(error);
            if error.is_transient() { Err(error) } else { Ok(None) }
        }
    }
}

fn definition(xml: &str, before: Option<&Definition>) -> Option<Definition> {
    match before {
        Some(before) if *before.xml == *xml => Some(before.clone()),
        _ => Definition::parse(xml).ok(),
    }
}

fn lease(raw: ffi::RawLease) -> Option<Lease> {
    let address: std::net::IpAddr = raw.address?.parse().ok()?;
    let prefix = u8::try_from(raw.prefix).ok()?;
    let expires = u64::try_from(raw.expires).ok().filter(|seconds| *seconds > 0);
    Some(Lease {
        mac: raw.mac.and_then(|mac| mac.parse().ok()),
        address: IpNet::new(address, prefix).ok()?,
        hostname: raw.hostname.filter(|name| !name.is_empty()),
        expires: expires.map(|seconds| Timestamp(seconds.saturating_mul(1000))),
    })
}

fn domain_state(state: virt_sys::virDomainState) -> DomainState {
    match state {
        virt_sys::VIR_DOMAIN_RUNNING => DomainState::Running,
        virt_sys::VIR_DOMAIN_BLOCKED => DomainState::Blocked,
        virt_sys::VIR_DOMAIN_PAUSED => DomainState::Paused,
        virt_sys::VIR_DOMAIN_SHUTDOWN => DomainState::ShuttingDown,
        virt_sys::VIR_DOMAIN_SHUTOFF => DomainState::Off,
        virt_sys::VIR_DOMAIN_CRASHED => DomainState::Crashed,
        virt_sys::VIR_DOMAIN_PMSUSPENDED => DomainState::Suspended,
        _ => DomainState::Unknown,
    }
}
