//! READS. Where libvirt has the taps of running guests now: a guest may be plugged elsewhere, by virsh or
//! another virt-net, at any moment of a network's change, and is not put back then.

use crate::change::network::Leash;
use crate::model::guest::{Definition, NicSource};
use crate::model::kernel::KernelFacts;
use crate::model::{DomainId, IfName, Mac};
use crate::source::libvirt::{Connection, LibvirtError, Scope};

/// A tap of a running guest.
#[derive(Debug, Clone)]
struct Plug {
    guest: String,
    owner: (DomainId, Mac),
    tap: Option<IfName>,
    source: NicSource,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Plugs(Vec<Plug>);

impl Plugs {
    /// Asks libvirt for every running guest's definition.
    pub(super) fn read(connection: &Connection) -> Result<Self, LibvirtError> {
        let mut plugs = Vec::new();
        for guest in connection.guests()? {
            let xml = match guest.xml(Scope::Live) {
                Ok(xml) => xml,
                // It was shut down or undefined since the list was made.
                Err(error) if !error.is_transient() => continue,
                Err(error) => return Err(error),
            };
            // What cannot be read moves nothing: its leash holds as it was previewed.
            let Ok(definition) = Definition::parse(&xml) else { continue };
            let id = guest.id();
            plugs.extend(definition.nics.into_iter().filter_map(|nic| {
                let (guest, owner) = (guest.name().to_owned(), (id, nic.mac?));
                Some(Plug { guest, owner, tap: nic.target, source: nic.source })
            }));
        }
        Ok(Self(plugs))
    }

    /// The NIC behind the leash, plugged somewhere else than into this network; a tap that somebody else put
    /// on the bridge has no NIC, and a guest that was shut down took its tap along.
    fn elsewhere(&self, network: &str, leash: &Leash) -> Option<&Plug> {
        let nic = leash.nic?;
        let is_own = |plug: &Plug| plug.owner == (nic.domain, nic.mac);
        if let Some(plug) = self.0.iter().find(|plug| plug.tap == Some(leash.tap)) {
            return (!is_own(plug) || !plug.is_on(network)).then_some(plug);
        }
        self.0.iter().find(|plug| is_own(plug)).filter(|plug| !plug.is_on(network))
    }

    /// Leashes without those whose NIC has left the network.
    pub(super) fn staying(&self, network: &str, leashes: &[Leash]) -> Vec<Leash> {
        leashes.iter().filter(|leash| self.elsewhere(network, leash).is_none()).copied().collect()
    }

    /// Who has left, in words: `centos7's vnet0 is plugged into bridge virbr1 now`.
    pub(super) fn left(&self, network: &str, leashes: &[Leash]) -> Vec<String> {
        let words = |leash: &Leash| {
            let plug = self.elsewhere(network, leash)?;
            Some(format!("{}'s {} is plugged into {} now", plug.guest, leash.tap, place(&plug.source)))
        };
        leashes.iter().filter_map(words).collect()
    }

    /// Where a tap belongs whose NIC has left while it was put back: its own bridge by libvirt's word.
    pub(super) fn home(&self, network: &str, leash: &Leash) -> Option<Leash> {
        let bridge = match &self.elsewhere(network, leash).filter(|plug| plug.tap == Some(leash.tap))?.source
        {
            NicSource::Network { bridge, .. } => (*bridge)?,
            NicSource::Bridge { bridge } => *bridge,
            _ => return None,
        };
        Some(Leash { bridge, ..*leash })
    }

    /// NICs that came into the network while it had no bridge: their taps are on none.
    pub(super) fn came(&self, network: &str, leashes: &[Leash], facts: &KernelFacts) -> Vec<Leash> {
        let Some(bridge) = leashes.first().map(|leash| leash.bridge) else { return Vec::new() };
        let lost = |tap: IfName| facts.links.iter().any(|link| link.name == tap && link.master.is_none());
        let here = self.0.iter().filter(|plug| plug.is_on(network)).filter_map(|plug| plug.tap);
        let new = here.filter(|tap| lost(*tap) && !leashes.iter().any(|leash| leash.tap == *tap));
        new.map(|tap| Leash { tap, bridge, nic: None }).collect()
    }
}

impl Plug {
    fn is_on(&self, network: &str) -> bool {
        matches!(&self.source, NicSource::Network { network: name, .. } if name == network)
    }
}

fn place(source: &NicSource) -> String {
    match source {
        NicSource::Network { network, .. } => format!("network {network}"),
        NicSource::Bridge { bridge } => format!("bridge {bridge}"),
        NicSource::Direct { dev, .. } => format!("a macvtap over {dev}"),
        other => other.kind_word().to_owned(),
    }
}
