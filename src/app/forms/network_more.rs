//! PURE. What is rarely changed of a network, each in a small form of its own: names, limits, port groups and
//! subnets. What is there already is chosen to be taken out.

use std::net::IpAddr;

use ipnet::IpNet;

use super::network::setting;
use super::{Field, Form, choice, refusal, text};
use crate::app::job::{Job, Planned};
use crate::change::Refusal;
use crate::change::network::{self, Edit, NetworkWant, Portgroup, SubnetSpec};
use crate::model::network::{Bandwidth, DhcpRange, DnsHost, NetworkDefinition, Rate};
use crate::model::{Mac, NetworkId, Snapshot};

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// DNS names of addresses.
    Names,
    /// What the whole network may get and send.
    Limits,
    /// Groups of NICs with the same limits.
    Portgroups,
    /// Subnets beside its first one, IPv6 first of all.
    Subnets,
    /// Static leases that go.
    Leases,
}

const ADD: &str = "nothing";
const RATE: &str = "KiB/s: AVERAGE[,PEAK[,BURST KiB]]; empty: no limit";
const RATE_EXPECTED: &str = "KiB/s as AVERAGE[,PEAK[,BURST]]";

/// A choice of what can be taken out; the first one takes nothing.
fn out(label: &'static str, there: impl IntoIterator<Item = String>) -> Field {
    choice("out", label, std::iter::once(ADD.to_owned()).chain(there).collect(), 0)
}

fn rate(rate: Option<Rate>) -> String {
    let Some(Rate { average, peak, burst }) = rate else { return String::new() };
    let numbers = [Some(average), peak, burst];
    let known: Vec<String> = numbers.iter().map_while(|number| number.map(|n| n.to_string())).collect();
    known.join(",")
}

pub(super) fn fields(snapshot: &Snapshot, id: NetworkId, more: More) -> Option<(String, Vec<Field>)> {
    let network = snapshot.network(id)?;
    let definition = network.next.as_ref().or(network.live.as_ref())?;
    let limits = definition.bandwidth.unwrap_or_default();
    let (what, fields) = match more {
        More::Names => (
            "DNS names",
            vec![
                text("address", "address", "", "the one the names mean"),
                text("names", "names", "", "one or more, by commas"),
                out("take out", definition.dns_hosts.iter().map(host_words)),
            ],
        ),
        More::Limits => (
            "Limits",
            vec![
                text("inbound", "to guests", rate(limits.inbound), RATE),
                text("outbound", "from guests", rate(limits.outbound), RATE),
            ],
        ),
        More::Portgroups => (
            "Port groups",
            vec![
                text("name", "name", "", "a new one, or one to change"),
                choice("default", "default", vec!["no".to_owned(), "yes".to_owned()], 0),
                text("inbound", "to a guest", "", RATE),
                text("outbound", "from a guest", "", RATE),
                out("take out", definition.portgroups.iter().cloned()),
            ],
        ),
        More::Subnets => {
            let proposed = network::propose_subnet6(snapshot).map(|net| net.to_string());
            let has_v6 = definition.subnets.iter().any(|subnet| subnet.gateway.addr().is_ipv6());
            let proposed = proposed.filter(|_| !has_v6).unwrap_or_default();
            let there = definition.subnets.iter().map(|subnet| subnet.gateway.trunc().to_string());
            (
                "Subnets",
                vec![
                    text("subnet", "add", proposed, "fd00:1::/64, for example; empty: none"),
                    text("dhcp", "dhcp", "", "FROM-TO; empty: all that is free; off: none, IPv6 by RA"),
                    out("take out", there),
                ],
            )
        }
        More::Leases => {
            let hosts = definition.subnets.iter().flat_map(|subnet| &subnet.hosts);
            let words = hosts.filter_map(|host| {
                let address = host.address.map(|address| address.to_string()).unwrap_or_default();
                Some(format!("{} {address} {}", host.mac?, host.name.as_deref().unwrap_or_default()))
            });
            ("Static leases", vec![out("take out", words)])
        }
    };
    Some((format!("{what} of network {}", network.name), fields))
}

fn host_words(host: &DnsHost) -> String {
    format!("{} {}", host.address, host.names.join(","))
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot, id: NetworkId, more: More) -> Planned {
    let gone = || refusal("edit the network", "it is not there any more", "look again");
    let network = snapshot.network(id).ok_or_else(gone)?;
    let definition = network.next.as_ref().or(network.live.as_ref()).ok_or_else(gone)?;
    let name = network.name.clone();
    let taken = Some(form.get("out")).filter(|_| form.at("out") > 0);
    if more == More::Leases {
        let mac = taken.and_then(|taken| taken.split(' ').next()).and_then(|mac| mac.parse::<Mac>().ok());
        let mac = mac.ok_or_else(|| refusal("", "nothing is changed yet", "choose a static lease"))?;
        return network::plan(snapshot, &NetworkWant::ForgetLease { name, mac }).map(Job::from);
    }
    let edit = edit(form, definition, more, taken)?;
    if edit == Edit::default() {
        return Err(refusal("", "nothing is changed yet", "change a field"));
    }
    network::plan(snapshot, &NetworkWant::Edit { name, edit: Box::new(edit) }).map(Job::from)
}

fn edit(
    form: &Form,
    definition: &NetworkDefinition,
    more: More,
    taken: Option<&str>,
) -> Result<Edit, Refusal> {
    let mut edit = Edit::default();
    let first = taken.and_then(|taken| taken.split(' ').next());
    match more {
        More::Names => {
            edit.dns_hosts_gone = first.and_then(|address| address.parse().ok()).into_iter().collect();
            if let Some(address) = form.parsed::<IpAddr>("address", "an address")? {
                let names = form.get("names").split(',').map(str::trim).filter(|name| !name.is_empty());
                let names: Vec<String> = names.map(str::to_owned).collect();
                if names.is_empty() {
                    return Err(refusal("", format!("{address} has no name yet"), "type a name"));
                }
                edit.dns_hosts_gone.retain(|gone| *gone != address);
                edit.dns_hosts = vec![DnsHost { address, names }];
            }
        }
        More::Limits => {
            let now = definition.bandwidth.unwrap_or_default();
            edit.inbound = setting(form.parsed("inbound", RATE_EXPECTED)?, now.inbound.as_ref());
            edit.outbound = setting(form.parsed("outbound", RATE_EXPECTED)?, now.outbound.as_ref());
        }
        More::Portgroups => {
            let name = form.get("name").to_owned();
            edit.portgroups_gone =
                taken.map(str::to_owned).into_iter().filter(|gone| *gone != name).collect();
            if !name.is_empty() {
                let bandwidth = Bandwidth {
                    inbound: form.parsed("inbound", RATE_EXPECTED)?,
                    outbound: form.parsed("outbound", RATE_EXPECTED)?,
                };
                edit.portgroups = vec![Portgroup { name, default: form.at("default") == 1, bandwidth }];
            }
        }
        More::Subnets => {
            edit.subnets_gone = taken.and_then(|subnet| subnet.parse().ok()).into_iter().collect();
            if let Some(subnet) = form.parsed::<IpNet>("subnet", "fd00:1::/64, for example")? {
                let mut subnet = SubnetSpec::whole(subnet);
                match form.get("dhcp") {
                    "" => {}
                    "off" => subnet.dhcp = None,
                    _ => {
                        subnet.dhcp = form.parsed::<DhcpRange>("dhcp", "two addresses as FROM-TO, or off")?;
                    }
                }
                edit.subnets = vec![subnet];
            }
        }
        More::Leases => {}
    }
    Ok(edit)
}
