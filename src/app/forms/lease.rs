//! PURE. The form of a static lease: one of the leases there are, or a NIC of the network, keeps its
//! address from now on.

use std::net::IpAddr;

use super::{Field, Form, choice, refusal, text};
use crate::app::job::{Job, Planned};
use crate::change::network::{self, NetworkWant, StaticLease};
use crate::model::{Mac, NetworkId, Snapshot};

pub(super) fn fields(snapshot: &Snapshot, id: NetworkId) -> Option<(String, Vec<Field>)> {
    let network = snapshot.network(id)?;
    let owners = macs(snapshot, id).into_iter().map(|(mac, who)| format!("{mac}  {who}")).collect();
    let fields = vec![
        choice("mac", "whose", owners, 0),
        text("address", "address", "", "empty: the one it has now"),
        text("hostname", "host name", "", "empty: the one it has now"),
    ];
    Some((format!("Static lease in network {}", network.name), fields))
}

/// Who could have one: leases first, then NICs of the network without a lease.
fn macs(snapshot: &Snapshot, id: NetworkId) -> Vec<(Mac, String)> {
    let Some(network) = snapshot.network(id) else { return Vec::new() };
    let guest = |mac: Mac| snapshot.nics.iter().find(|nic| nic.id.mac == mac).map(|nic| nic.guest.clone());
    let mut macs: Vec<(Mac, String)> = Vec::new();
    for lease in &network.leases {
        let Some(mac) = lease.mac else { continue };
        let who = guest(mac).or_else(|| lease.hostname.clone()).unwrap_or_default();
        macs.push((mac, format!("{who} {}", lease.address.addr())));
    }
    for nic in snapshot.nics.iter().filter(|nic| nic.network == Some(id)) {
        if !macs.iter().any(|(mac, _)| *mac == nic.id.mac) {
            macs.push((nic.id.mac, format!("{} (no lease now)", nic.guest)));
        }
    }
    macs
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot, id: NetworkId) -> Planned {
    let gone = || refusal("give a static lease", "the network is not there any more", "look again");
    let network = snapshot.network(id).ok_or_else(gone)?;
    let said = form.get("mac").split(' ').next().unwrap_or_default();
    let mac: Mac = said
        .parse()
        .map_err(|_| refusal("", "no guest of this network is known", "plug a guest into it first"))?;
    let address: Option<IpAddr> = form.parsed("address", "an address of the subnet")?;
    let hostname = Some(form.get("hostname").to_owned()).filter(|name| !name.is_empty());
    let lease = StaticLease { mac, address, hostname };
    network::plan(snapshot, &NetworkWant::Lease { name: network.name.clone(), lease }).map(Job::from)
}
