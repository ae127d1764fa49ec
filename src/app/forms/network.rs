//! PURE. The forms of a new network and of one that is there.
//!
//! ```text
//!  mode     ◂ nat ▸           subnet   192.168.123.0/24    (empty: none)
//!  name     nat1              dhcp                         (empty: all that is free; off)
//!  bridge   virbr1            only by  ◂ any link ▸
//! ```

use ipnet::IpNet;

use super::{Field, Form, Shown, Value, choice, refusal, text};
use crate::app::job::{Job, Planned};
use crate::change::Refusal;
use crate::change::network::{
    self, CloneSpec, Edit, ForwardDev, Mode, NetworkSpec, NetworkWant, Setting, SubnetSpec, propose_bridge,
    propose_name, propose_subnet,
};
use crate::model::kernel::LinkKind;
use crate::model::network::{DhcpRange, ForwardMode};
use crate::model::{IfName, NetworkId, Snapshot};

const ANY: &str = "any link";

pub(super) fn fields(snapshot: &Snapshot, mode: Mode) -> Vec<Field> {
    let modes: Vec<String> = Mode::ALL.iter().map(|mode| mode.word().to_owned()).collect();
    let at = Mode::ALL.iter().position(|other| other.word() == mode.word()).unwrap_or(0);
    let bridge = propose_bridge(snapshot).map(|name| name.to_string()).unwrap_or_default();
    let subnet = propose_subnet(snapshot).map(|net| net.to_string()).unwrap_or_default();
    vec![
        choice("mode", "mode", modes, at),
        text("name", "name", free_name(snapshot, mode), "one word"),
        text("bridge", "bridge", bridge, "the one that libvirt makes for it"),
        choice("over", "bridge", host_bridges(snapshot), 0),
        text("subnet", "subnet", subnet, "empty: no addresses"),
        text("dhcp", "dhcp", "", "FROM-TO; empty: all that is free; off: none"),
        text("subnet6", "IPv6 subnet", "", "fd00:1::/64; empty: none"),
        choice("dev", "only by", links(snapshot), 0),
        text("ports", "NAT ports", "", "FROM-TO; empty: 1024-65535"),
        text("mtu", "MTU", "", "empty: 1500"),
        text("domain", "domain", "", "DNS domain of its guests; empty: none"),
    ]
}

/// What the mode has no use for goes from the screen.
pub(super) fn arrange(form: &mut Form, snapshot: &Snapshot) {
    let mode = mode(form);
    let yes = |wanted: bool| if wanted { Shown::Yes } else { Shown::No };
    let own = mode.has_own_bridge();
    for id in ["bridge", "subnet", "dhcp", "subnet6", "mtu", "domain"] {
        form.show(id, yes(own));
    }
    form.show("over", yes(mode == Mode::Bridge));
    form.show("ports", yes(mode == Mode::Nat));
    form.show("dev", yes(matches!(mode, Mode::Nat | Mode::Route | Mode::Macvtap(_) | Mode::Sriov)));
    // A name that nobody typed follows the mode.
    let proposed = Mode::ALL.iter().any(|mode| form.get("name").starts_with(mode.word()));
    if let Some(Field { value: Value::Text(name), .. }) =
        form.fields.iter_mut().find(|field| field.id == "name")
        && proposed
        && !name.starts_with(mode.word())
    {
        *name = free_name(snapshot, mode);
    }
}

fn mode(form: &Form) -> Mode {
    Mode::ALL.get(form.at("mode")).copied().unwrap_or(Mode::Nat)
}

fn free_name(snapshot: &Snapshot, mode: Mode) -> String {
    let names = (1..1000).map(|number| format!("{}{number}", mode.word()));
    let mut free = names.filter(|name| snapshot.network_named(name).is_none());
    free.next().unwrap_or_default()
}

fn host_bridges(snapshot: &Snapshot) -> Vec<String> {
    let own = |bridge: &&crate::model::Bridge| bridge.network.is_none();
    snapshot.bridges.iter().filter(own).map(|bridge| bridge.name.to_string()).collect()
}

/// Links that packets can leave by.
fn links(snapshot: &Snapshot) -> Vec<String> {
    let leads = |link: &&crate::model::Link| {
        !link.loopback && !matches!(link.kind, LinkKind::Tap | LinkKind::Tun | LinkKind::Macvtap { .. })
    };
    let names = snapshot.kernel.links.iter().filter(leads).map(|link| link.name.to_string());
    std::iter::once(ANY.to_owned()).chain(names).collect()
}

fn dev(form: &Form) -> Result<Option<IfName>, Refusal> {
    if form.get("dev") == ANY { Ok(None) } else { form.parsed("dev", "a link's name") }
}

/// A range as `FROM-TO` with numbers.
#[derive(Debug, Clone, Copy)]
struct Ports(u16, u16);

impl std::str::FromStr for Ports {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        Ok(Self(from.trim().parse()?, to.trim().parse()?))
    }
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot) -> Planned {
    let mode = mode(form);
    let mut subnets = Vec::new();
    if let Some(subnet) = form.parsed::<IpNet>("subnet", "192.168.150.0/24, for example")? {
        let mut subnet = SubnetSpec::whole(subnet);
        match form.get("dhcp") {
            "" => {}
            "off" => subnet.dhcp = None,
            _ => {
                subnet.dhcp =
                    form.parsed::<DhcpRange>("dhcp", "two addresses as 192.168.150.10-192.168.150.99")?;
            }
        }
        subnets.push(subnet);
    }
    if let Some(subnet) = form.parsed::<IpNet>("subnet6", "fd00:1::/64, for example")? {
        subnets.push(SubnetSpec::whole(subnet));
    }
    let bridge = if mode == Mode::Bridge { "over" } else { "bridge" };
    let spec = NetworkSpec {
        name: form.get("name").to_owned(),
        mode,
        bridge: form.parsed(bridge, "a name of 15 bytes at most")?,
        subnets,
        forward_devs: dev(form)?.into_iter().collect(),
        nat_ports: form
            .parsed::<Ports>("ports", "two ports as 1024-65535")?
            .map(|Ports(from, to)| (from, to)),
        mtu: form.parsed("mtu", "a number from 576 to 65535")?,
        domain: Some(form.get("domain").to_owned()).filter(|domain| !domain.is_empty()),
    };
    network::plan(snapshot, &NetworkWant::Create(Box::new(spec))).map(Job::from)
}

pub(super) fn edit_fields(snapshot: &Snapshot, id: NetworkId) -> Option<(String, Vec<Field>)> {
    let network = snapshot.network(id)?;
    let definition = network.current()?;
    let mut links = links(snapshot);
    let now = definition.forward_devs.first().map_or_else(|| ANY.to_owned(), ToString::to_string);
    // It stays what it is also while there is no such link.
    let at = links.iter().position(|link| *link == now).unwrap_or_else(|| {
        links.push(now);
        links.len() - 1
    });
    let range = definition.subnets.first().and_then(|subnet| subnet.ranges.first());
    let range = range.map(|range| format!("{}-{}", range.start, range.end)).unwrap_or_default();
    let ports = definition.nat_ports.map(|(from, to)| format!("{from}-{to}"));
    let mtu = definition.mtu.map(|mtu| mtu.to_string());
    let mut fields = vec![
        choice("dev", "only by", links, at),
        text("dhcp", "dhcp", range, "FROM-TO of its first subnet"),
        text("ports", "NAT ports", ports.unwrap_or_default(), "FROM-TO; empty: libvirt's choice"),
        text("mtu", "MTU", mtu.unwrap_or_default(), "empty: the kernel's choice"),
        text("domain", "domain", definition.domain.clone().unwrap_or_default(), "empty: none"),
    ];
    let masquerades = network.forward() == ForwardMode::Nat;
    fields.retain(|field| field.id != "ports" || masquerades);
    Some((format!("Edit network {}", network.name), fields))
}

pub(super) fn clone_fields(snapshot: &Snapshot, id: NetworkId) -> Option<(String, Vec<Field>)> {
    let network = snapshot.network(id)?;
    let fields = vec![
        text("name", "name", propose_name(snapshot, &network.name), "one word"),
        text("bridge", "bridge", "", "empty: the first free virbrN"),
        text("subnet", "subnet", "", "empty: a free one of the same size"),
    ];
    Some((format!("A network like {}", network.name), fields))
}

pub(super) fn plan_clone(form: &Form, snapshot: &Snapshot, id: NetworkId) -> Planned {
    let gone = || refusal("clone the network", "it is not there any more", "look again");
    let network = snapshot.network(id).ok_or_else(gone)?;
    let copy = CloneSpec {
        name: form.get("name").to_owned(),
        bridge: form.parsed("bridge", "a name of 15 bytes at most")?,
        subnet: form.parsed("subnet", "192.168.150.0/24, for example")?,
    };
    network::plan(snapshot, &NetworkWant::Clone { name: network.name.clone(), copy }).map(Job::from)
}

/// What a field wants of a setting; `None` when it says what is there.
pub(super) fn setting<T: PartialEq>(said: Option<T>, now: Option<&T>) -> Option<Setting<T>> {
    (said.as_ref() != now).then(|| said.map_or(Setting::Default, Setting::To))
}

pub(super) fn plan_edit(form: &Form, snapshot: &Snapshot, id: NetworkId) -> Planned {
    let gone = || refusal("edit the network", "it is not there any more", "look again");
    let network = snapshot.network(id).ok_or_else(gone)?;
    let definition = network.current().ok_or_else(gone)?;
    let has = definition.forward_devs.first().copied();
    let wanted = dev(form)?;
    let forward_dev = (wanted != has).then(|| wanted.map_or(ForwardDev::Any, ForwardDev::Only));
    let now = definition.subnets.first().and_then(|subnet| subnet.ranges.first().copied());
    let range = form.parsed::<DhcpRange>("dhcp", "two addresses as 192.168.150.10-192.168.150.99")?;
    let ports = form.parsed::<Ports>("ports", "two ports as 1024-65535")?.map(|Ports(from, to)| (from, to));
    let domain = Some(form.get("domain").to_owned()).filter(|domain| !domain.is_empty());
    let has_ports = definition.nat_ports.filter(|_| network.forward() == ForwardMode::Nat);
    let edit = Edit {
        forward_dev,
        dhcp: range.filter(|range| Some(*range) != now),
        nat_ports: setting(ports, has_ports.as_ref()),
        mtu: setting(form.parsed("mtu", "a number from 576 to 65535")?, definition.mtu.as_ref()),
        domain: setting(domain, definition.domain.as_ref()),
        ..Edit::default()
    };
    if edit == Edit::default() {
        return Err(refusal("", "nothing is changed yet", "change a field"));
    }
    network::plan(snapshot, &NetworkWant::Edit { name: network.name.clone(), edit: Box::new(edit) })
        .map(Job::from)
}
