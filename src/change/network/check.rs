//! PURE. What of a network is against the host as it is: libvirt itself refuses most of this only at the
//! start, or not at all.

mod definition;

use ipnet::IpNet;

pub(super) use self::definition::{definition_fits, is_dns_name, names_can_be_served};
use super::propose::{propose_bridge, propose_subnet};
use super::spec::{Mode, NetworkSpec, SubnetSpec};
use crate::change::Refusal;
use crate::model::kernel::{Link, LinkKind};
use crate::model::network::NetworkDefinition;
use crate::model::{IfName, Network, NetworkId, Snapshot};

/// The first reason why this network cannot be made here.
///
/// # Errors
/// The [`Refusal`] with its way out.
pub fn check(snapshot: &Snapshot, spec: &NetworkSpec) -> Result<(), Refusal> {
    let refuse = |(reason, way_out): Objection| Refusal {
        what: format!("create network {}", spec.name),
        reason,
        way_out,
    };
    name(snapshot, &spec.name).map_err(refuse)?;
    bridge(snapshot, spec).map_err(refuse)?;
    for dev in &spec.forward_devs {
        forward_dev(snapshot, spec.mode, *dev).map_err(refuse)?;
    }
    links_fit(spec).map_err(refuse)?;
    if !spec.mode.has_own_bridge() && !spec.subnets.is_empty() {
        let way_out = "leave --subnet out: whoever is behind it gives the addresses".to_owned();
        return Err(refuse((format!("libvirt gives no addresses in mode {}", spec.mode.word()), way_out)));
    }
    if spec.nat_ports.is_some_and(|(start, end)| start == 0 || start > end || spec.mode != Mode::Nat) {
        let way_out = "give them as 1024-65535, with --mode nat".to_owned();
        return Err(refuse(("these are no ports to masquerade with".to_owned(), way_out)));
    }
    for (position, subnet) in spec.subnets.iter().enumerate() {
        subnet_fits(subnet).map_err(refuse)?;
        let others = spec.subnets.iter().take(position);
        if let Some(other) = others.map(|other| other.gateway).find(|other| overlap(*other, subnet.gateway)) {
            return Err(refuse((
                format!("{} is in it twice", other.trunc()),
                "give each subnet once".to_owned(),
            )));
        }
        free(snapshot, subnet.gateway, None).map_err(refuse)?;
    }
    Ok(())
}

/// A reason and a way out.
pub(super) type Objection = (String, String);

fn objection<T>(reason: impl Into<String>, way_out: impl Into<String>) -> Result<T, Objection> {
    Err((reason.into(), way_out.into()))
}

/// Whether a network can be called so.
pub(super) fn name(snapshot: &Snapshot, name: &str) -> Result<(), Objection> {
    if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) {
        return objection("a network's name is not empty and has no slash", "choose another name");
    }
    if snapshot.network_named(name).is_some() {
        return objection("there is a network of this name", format!("virt-net network edit {name}"));
    }
    Ok(())
}

fn bridge(snapshot: &Snapshot, spec: &NetworkSpec) -> Result<(), Objection> {
    let Some(bridge) = spec.bridge else {
        return match spec.mode {
            Mode::Bridge => objection("it needs a bridge", "say which with --bridge"),
            mode if mode.has_own_bridge() => objection("it needs a bridge's name", "leave it to virt-net"),
            _ => Ok(()),
        };
    };
    let there = snapshot.link_named(bridge);
    let user = user_of(snapshot, bridge, None);
    match spec.mode {
        Mode::Bridge => match (there, user) {
            (None, _) => {
                objection(format!("there is no bridge {bridge}"), "make it first, or choose another")
            }
            (Some(link), _) if !matches!(link.kind, LinkKind::Bridge(_)) => objection(
                format!("{bridge} is no bridge"),
                "choose a bridge, or --mode macvtap over that link",
            ),
            (_, Some(user)) if user.owns_bridge() => objection(
                format!("{bridge} belongs to network {}", user.name),
                format!("plug the guests into network {} itself", user.name),
            ),
            _ => Ok(()),
        },
        mode if mode.has_own_bridge() => own_bridge(snapshot, bridge),
        mode => objection(format!("mode {} has no bridge", mode.word()), "leave --bridge out"),
    }
}

/// Whether libvirt can make this bridge.
pub(super) fn own_bridge(snapshot: &Snapshot, bridge: IfName) -> Result<(), Objection> {
    let free = propose_bridge(snapshot).map(|name| format!("--bridge {name} is free"));
    let way_out = free.unwrap_or_else(|| "choose another name".to_owned());
    if let Some(user) = user_of(snapshot, bridge, None) {
        return objection(format!("{bridge} is the bridge of network {}", user.name), way_out);
    }
    if snapshot.link_named(bridge).is_some() {
        return objection(
            format!("there is a link {bridge} already, libvirt makes its own"),
            format!("{way_out}; to use that bridge: --mode bridge"),
        );
    }
    Ok(())
}

pub(super) fn user_of(snapshot: &Snapshot, bridge: IfName, except: Option<NetworkId>) -> Option<&Network> {
    let definitions =
        |network: &Network| [network.live.clone(), network.next.clone()].into_iter().flatten().collect();
    snapshot.libvirt.networks.iter().filter(|network| Some(network.id) != except).find(|network| {
        let definitions: Vec<NetworkDefinition> = definitions(network);
        definitions.iter().any(|definition| definition.bridge == Some(bridge))
    })
}

/// Whether packets of such a network can leave by this link.
pub(super) fn forward_dev(snapshot: &Snapshot, mode: Mode, dev: IfName) -> Result<(), Objection> {
    let names = || -> String {
        let fit = snapshot.kernel.links.iter().filter(|link| can_carry(link));
        fit.map(|link| link.name.to_string()).collect::<Vec<_>>().join(", ")
    };
    let Some(link) = snapshot.link_named(dev) else {
        return objection(format!("there is no link {dev}"), format!("there are: {}", names()));
    };
    if link.loopback {
        return objection("lo leads nowhere", format!("there are: {}", names()));
    }
    match mode {
        Mode::Open | Mode::Isolated | Mode::Bridge => {
            objection(format!("mode {} has no forward device", mode.word()), "leave --forward-dev out")
        }
        Mode::Macvtap(_) if link.wireless => {
            objection(format!("{dev} is Wi-Fi: it carries its own MAC only"), "use --mode nat")
        }
        Mode::Macvtap(_) => match link.master.and_then(|master| snapshot.link(master)) {
            Some(master) => objection(
                format!("{dev} is a port of {}: no macvtap can be on it", master.name),
                format!("--mode bridge --bridge {}", master.name),
            ),
            None => Ok(()),
        },
        Mode::Nat | Mode::Route | Mode::Sriov => Ok(()),
    }
}

fn can_carry(link: &Link) -> bool {
    !link.loopback && !matches!(link.kind, LinkKind::Tap | LinkKind::Tun | LinkKind::Macvtap { .. })
}

fn links_fit(spec: &NetworkSpec) -> Result<(), Objection> {
    if spec.bridge.iter().chain(&spec.forward_devs).any(|name| std::str::from_utf8(name.as_bytes()).is_err())
    {
        return objection("libvirt's XML cannot hold this link's name", "rename the link");
    }
    match (spec.mode, spec.forward_devs.as_slice()) {
        (Mode::Macvtap(_) | Mode::Sriov, []) => {
            objection("a pool needs at least one link", "say which with --forward-dev")
        }
        (Mode::Nat | Mode::Route, [_, _, ..]) => {
            objection("only one link can be the way out", "give one --forward-dev, or none for any")
        }
        _ => Ok(()),
    }
}

fn subnet_fits(subnet: &SubnetSpec) -> Result<(), Objection> {
    let gateway = subnet.gateway;
    let usable = match gateway {
        IpNet::V4(v4) => (8..=30).contains(&v4.prefix_len()),
        IpNet::V6(v6) => (8..=126).contains(&v6.prefix_len()),
    };
    if !usable {
        return objection(format!("{gateway} has no room for guests"), "192.168.150.0/24, for example");
    }
    if gateway.addr() == gateway.network()
        || (gateway.addr() == gateway.broadcast() && gateway.addr().is_ipv4())
    {
        let way_out = format!("the first address: {}", SubnetSpec::whole(gateway.trunc()).gateway);
        return objection(
            format!("{} is no address of a host in {}", gateway.addr(), gateway.trunc()),
            way_out,
        );
    }
    let Some(dhcp) = subnet.dhcp else { return Ok(()) };
    let whole = SubnetSpec::whole(gateway).dhcp;
    let way_out =
        whole.map_or_else(|| "--dhcp off".to_owned(), |all| format!("--dhcp {}-{}", all.start, all.end));
    if dhcp.size() == 0 || !gateway.contains(&dhcp.start) || !gateway.contains(&dhcp.end) {
        return objection(format!("{}-{} is no range in {}", dhcp.start, dhcp.end, gateway.trunc()), way_out);
    }
    if (dhcp.start..=dhcp.end).contains(&gateway.addr()) {
        return objection(format!("the range holds the host's own address {}", gateway.addr()), way_out);
    }
    Ok(())
}

/// Whether nobody else has the subnet: no route of this host, no address, no other network, running or not.
pub(super) fn free(snapshot: &Snapshot, subnet: IpNet, except: Option<NetworkId>) -> Result<(), Objection> {
    let Some(user) = taken_by(snapshot, subnet, except) else { return Ok(()) };
    let way_out = propose_subnet(snapshot)
        .map_or_else(|| "choose another one".to_owned(), |free| format!("--subnet {free} is free"));
    objection(format!("{} overlaps with {user}", subnet.trunc()), way_out)
}

pub(super) fn taken_by(snapshot: &Snapshot, subnet: IpNet, except: Option<NetworkId>) -> Option<String> {
    let own = except.and_then(|id| snapshot.network(id)).and_then(Network::bridge);
    let own = own.and_then(|bridge| snapshot.link_named(bridge)).map(|link| link.index);
    for network in snapshot.libvirt.networks.iter().filter(|network| Some(network.id) != except) {
        let definitions = network.live.iter().chain(&network.next);
        let mut theirs = definitions.flat_map(|definition| &definition.subnets).map(|subnet| subnet.gateway);
        if let Some(theirs) = theirs.find(|theirs| overlap(*theirs, subnet)) {
            return Some(format!("network {} ({})", network.name, theirs.trunc()));
        }
    }
    let routes = snapshot.kernel.routes.iter().filter(|route| route.destination.prefix_len() > 0);
    let mut routes = routes.filter(|route| own.is_none() || route.oif != own);
    if let Some(route) = routes.find(|route| overlap(route.destination, subnet)) {
        let link = route.oif.and_then(|index| snapshot.link(index));
        let link = link.map_or_else(|| route.kind.clone(), |link| format!("by {}", link.name));
        return Some(format!("the route {} {link}", route.destination));
    }
    let mut addresses =
        snapshot.kernel.addresses.iter().filter(|address| own.is_none_or(|own| address.index != own));
    addresses
        .find(|address| overlap(address.address, subnet))
        .map(|address| format!("the host's address {}", address.address))
}

pub(super) fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}
