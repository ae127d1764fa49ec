//! PURE. The rows of each pane: which, in what order, and which belong together.

pub mod stack;

use self::stack::Upper;
use crate::app::state::{App, Pane, Sort};
use crate::change::shim;
use crate::model::firewall::ChainId;
use crate::model::snapshot::GuestRule;
use crate::model::{IfName, NetworkId, Nic, NicId, Snapshot};
use crate::ui::words;

/// Identity of a row; it survives re-sorting and new snapshots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowId {
    /// A NIC.
    Nic(NicId),
    /// A bridge.
    Bridge(IfName),
    /// A port of a bridge: bridge, port.
    Port(IfName, IfName),
    /// A NIC of the host that carries macvtaps or a shim.
    Lower(IfName),
    /// A macvtap or a shim: the NIC below, its own name.
    Upper(IfName, IfName),
    /// A rule: chain, handle.
    Rule(ChainId, u64),
    /// A network.
    Network(NetworkId),
}

/// The rows of a pane, filtered and sorted.
#[must_use]
pub fn rows(app: &App, pane: Pane) -> Vec<RowId> {
    let snapshot = app.snapshot();
    let keep =
        |text: String| app.filter.is_empty() || text.to_lowercase().contains(&app.filter.to_lowercase());
    match pane {
        Pane::Nics => nics(snapshot, app.sort)
            .into_iter()
            .filter(|nic| keep(nic_text(nic)))
            .map(|nic| RowId::Nic(nic.id))
            .collect(),
        Pane::Bridges => {
            let mut rows = Vec::new();
            for bridge in &snapshot.bridges {
                let network = bridge.network_name.clone().unwrap_or_default();
                let whole = keep(format!("{} {network}", bridge.name));
                let ports: Vec<_> = bridge
                    .ports
                    .iter()
                    .filter(|port| {
                        whole || keep(format!("{} {}", port.name, port.guest.as_deref().unwrap_or_default()))
                    })
                    .map(|port| RowId::Port(bridge.name, port.name))
                    .collect();
                if whole || !ports.is_empty() {
                    rows.push(RowId::Bridge(bridge.name));
                    rows.extend(ports);
                }
            }
            for stack in stack::all(snapshot) {
                let lower = stack.lower.name;
                let whole = keep(lower.to_string());
                let uppers = stack.uppers().filter(|upper| whole || keep(upper_text(snapshot, *upper)));
                let uppers: Vec<_> = uppers.map(|upper| RowId::Upper(lower, upper.link().name)).collect();
                if whole || !uppers.is_empty() {
                    rows.push(RowId::Lower(lower));
                    rows.extend(uppers);
                }
            }
            rows
        }
        Pane::Rules => snapshot
            .rules
            .iter()
            .filter(|rule| {
                keep(format!("{} {}", words::rule_match(&rule.rule), words::rule_action(&rule.rule)))
            })
            .map(|rule| RowId::Rule(rule.rule.chain.clone(), rule.rule.handle))
            .collect(),
        Pane::Networks => snapshot
            .libvirt
            .networks
            .iter()
            .filter(|network| keep(format!("{} {}", network.name, words::subnets(network))))
            .map(|network| RowId::Network(network.id))
            .collect(),
    }
}

fn upper_text(snapshot: &Snapshot, upper: Upper<'_>) -> String {
    let name = upper.link().name;
    match upper {
        Upper::Macvtap(_, nic) => format!("{name} macvtap {}", nic.guest),
        Upper::Shim(link) => {
            let routes = shim::routes_by(&snapshot.kernel, link).map(|route| route.destination.to_string());
            format!("{name} shim {}", routes.collect::<Vec<_>>().join(" "))
        }
    }
}

fn nic_text(nic: &Nic) -> String {
    let source = nic.source().map(words::source).unwrap_or_default();
    let addresses: Vec<String> = nic.addresses.iter().map(|seen| seen.address.to_string()).collect();
    format!(
        "{} {} {} {source} {} {}",
        nic.guest,
        nic.state.word(),
        words::nic_name(nic),
        nic.id.mac,
        addresses.join(" ")
    )
}

fn nics(snapshot: &Snapshot, sort: Sort) -> Vec<&Nic> {
    let mut nics: Vec<&Nic> = snapshot.nics.iter().collect();
    let rate =
        |nic: &Nic, tx: bool| nic.rate.map_or(-1.0, |rate| if tx { rate.tx_bytes } else { rate.rx_bytes });
    match sort {
        Sort::Guest => {}
        Sort::GuestDown => nics.reverse(),
        Sort::State => nics.sort_by_key(|nic| nic.state),
        Sort::StateDown => nics.sort_by_key(|nic| std::cmp::Reverse(nic.state)),
        Sort::Rx => nics.sort_by(|a, b| rate(b, false).total_cmp(&rate(a, false))),
        Sort::RxDown => nics.sort_by(|a, b| rate(a, false).total_cmp(&rate(b, false))),
        Sort::Tx => nics.sort_by(|a, b| rate(b, true).total_cmp(&rate(a, true))),
        Sort::TxDown => nics.sort_by(|a, b| rate(a, true).total_cmp(&rate(b, true))),
    }
    nics
}

/// The rule of a row.
#[must_use]
pub fn rule<'a>(snapshot: &'a Snapshot, chain: &ChainId, handle: u64) -> Option<&'a GuestRule> {
    snapshot.rules.iter().find(|rule| rule.rule.handle == handle && rule.rule.chain == *chain)
}

/// Whether two rows hang together: a NIC with its port, bridge, network, and the rules about them.
#[must_use]
pub fn related(snapshot: &Snapshot, selected: &RowId, other: &RowId) -> bool {
    if selected == other {
        return false;
    }
    let (a, b) = (place(snapshot, selected), place(snapshot, other));
    // Two NICs of one bridge are siblings, not the same thing.
    let same_kind = std::mem::discriminant(selected) == std::mem::discriminant(other);
    if same_kind {
        return false;
    }
    let nic = a.nic.is_some() && a.nic == b.nic;
    if a.nic.is_some() && b.nic.is_some() {
        return nic;
    }
    let bridge = a.bridges.iter().any(|bridge| b.bridges.contains(bridge));
    let network = a.networks.iter().any(|network| b.networks.contains(network));
    nic || bridge || network
}

/// What a row is about.
#[derive(Debug, Default)]
struct Place {
    nic: Option<NicId>,
    bridges: Vec<IfName>,
    networks: Vec<NetworkId>,
}

fn place(snapshot: &Snapshot, row: &RowId) -> Place {
    let of_bridge = |name: IfName| snapshot.bridge_named(name).and_then(|bridge| bridge.network);
    match row {
        RowId::Nic(id) => {
            let nic = snapshot.nic(*id);
            Place {
                nic: Some(*id),
                bridges: nic.and_then(|nic| nic.bridge.or(nic.expected_bridge)).into_iter().collect(),
                networks: nic.and_then(|nic| nic.network).into_iter().collect(),
            }
        }
        RowId::Bridge(name) => {
            Place { nic: None, bridges: vec![*name], networks: of_bridge(*name).into_iter().collect() }
        }
        RowId::Port(bridge, port) => {
            let owner = snapshot.bridge_named(*bridge);
            let port = owner.and_then(|bridge| bridge.ports.iter().find(|other| other.name == *port));
            Place {
                nic: port.and_then(|port| port.nic),
                bridges: vec![*bridge],
                networks: of_bridge(*bridge).into_iter().collect(),
            }
        }
        RowId::Lower(_) => Place::default(),
        RowId::Upper(lower, name) => {
            Place { nic: stack::nic(snapshot, *lower, *name).map(|nic| nic.id), ..Place::default() }
        }
        RowId::Rule(chain, handle) => {
            let rule = rule(snapshot, chain, *handle);
            Place {
                nic: None,
                bridges: rule.map(|rule| rule.bridges.clone()).unwrap_or_default(),
                networks: rule.map(|rule| rule.networks.clone()).unwrap_or_default(),
            }
        }
        RowId::Network(id) => Place {
            nic: None,
            bridges: snapshot.network(*id).and_then(crate::model::Network::bridge).into_iter().collect(),
            networks: vec![*id],
        },
    }
}
