//! PURE. Where a NIC can be plugged: every network, every bridge of the host, a macvtap on every link;
//! what cannot be is listed too, with the reason and the way out.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::device;
use super::splice::escape;
use crate::model::guest::{DomainState, Guest, MacvtapMode, NicConfig, NicSource};
use crate::model::ids::{IfIndex, IfName, NicId};
use crate::model::kernel::{Link, LinkKind};
use crate::model::network::{ForwardMode, Network};
use crate::model::snapshot::{Bridge, PortRole};
use crate::model::{Nic, PciAddress, Snapshot};

/// Where a NIC shall be plugged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A libvirt network by name.
    Network {
        /// Its name.
        network: String,
    },
    /// A bridge of the host.
    Bridge {
        /// Its name.
        bridge: IfName,
    },
    /// A macvtap on a link of the host.
    Macvtap {
        /// The link below.
        lower: IfName,
        /// How it sees its siblings.
        mode: MacvtapMode,
    },
    /// A PCI NIC of the host, or a virtual function of one.
    Pci {
        /// Where it sits on the host.
        device: PciAddress,
    },
}

impl Target {
    /// The target that an existing plug is; `None` for kinds that this program does not make.
    #[must_use]
    pub fn of(source: &NicSource) -> Option<Self> {
        match source {
            NicSource::Network { network, .. } => Some(Self::Network { network: network.clone() }),
            NicSource::Bridge { bridge } => Some(Self::Bridge { bridge: *bridge }),
            NicSource::Direct { dev, mode } => Some(Self::Macvtap { lower: *dev, mode: *mode }),
            NicSource::Hostdev { address: Some(device) } => Some(Self::Pci { device: *device }),
            _ => None,
        }
    }

    /// `network default`, `bridge virbr1`, `macvtap eth1 (bridge)`; a network's name is not escaped.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Network { network } => format!("network {network}"),
            Self::Bridge { bridge } => format!("bridge {bridge}"),
            Self::Macvtap { lower, mode } => format!("macvtap {lower} ({})", mode.word()),
            Self::Pci { device } => format!("PCI NIC {device}"),
        }
    }

    /// Whether this source is plugged there.
    #[must_use]
    pub fn is(&self, source: &NicSource) -> bool {
        Self::of(source).as_ref() == Some(self)
    }

    pub(super) const fn interface_type(&self) -> &'static str {
        match self {
            Self::Network { .. } => "network",
            Self::Bridge { .. } => "bridge",
            Self::Macvtap { .. } => "direct",
            Self::Pci { .. } => "hostdev",
        }
    }

    pub(super) fn source_element(&self) -> String {
        let name = |name: &IfName| escape(&String::from_utf8_lossy(name.as_bytes()));
        match self {
            Self::Network { network } => format!("<source network='{}'/>", escape(network)),
            Self::Bridge { bridge } => format!("<source bridge='{}'/>", name(bridge)),
            Self::Macvtap { lower, mode } => {
                format!("<source dev='{}' mode='{}'/>", name(lower), mode.word())
            }
            Self::Pci { device } => {
                format!("<source><address type='pci' {}/></source>", device.attributes())
            }
        }
    }
}

/// How a NIC would get to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It is there.
    Here,
    /// The tap is moved; the guest keeps its device.
    Live,
    /// The guest's device is unplugged and plugged in again.
    HotReplug,
    /// Only at the next boot, and why not now.
    NextBoot(String),
    /// Not at all: why, and what to do instead.
    Refused {
        /// Why not.
        reason: String,
        /// What would make it possible.
        way_out: String,
    },
}

/// A line of the switch form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Where to.
    pub target: Target,
    /// What it is, in a few words (`nat  virbr0`, `uplink eth0, 10.0.0.88/24`); escaped by the view.
    pub detail: String,
    /// How it would be done.
    pub availability: Availability,
}

impl Choice {
    /// The same after it has gone.
    #[must_use]
    pub fn gone(self) -> Self {
        let reason = format!("{} is not there any more", self.target.words());
        let way_out = "choose another one".to_owned();
        Self { availability: Availability::Refused { reason, way_out }, ..self }
    }
}

/// All targets of a NIC: networks, bridges, links. Macvtap is listed once per link, in bridge mode,
/// or in the mode the NIC has there now.
#[must_use]
pub fn choices(snapshot: &Snapshot, id: NicId) -> Vec<Choice> {
    let Some(nic) = snapshot.nic(id) else { return Vec::new() };
    let mut choices: Vec<Choice> =
        snapshot.libvirt.networks.iter().map(|network| of_network(snapshot, nic, network)).collect();
    choices.extend(snapshot.bridges.iter().filter_map(|bridge| of_bridge(snapshot, nic, bridge)));
    choices.extend(snapshot.kernel.links.iter().filter_map(|link| of_link(snapshot, nic, link)));
    choices
}

/// Every place that a new NIC can be plugged into now; macvtaps in bridge mode.
#[must_use]
pub fn places(snapshot: &Snapshot) -> Vec<Target> {
    let networks =
        snapshot.libvirt.networks.iter().map(|network| Target::Network { network: network.name.clone() });
    let bridges = snapshot.bridges.iter().map(|bridge| Target::Bridge { bridge: bridge.name });
    let links = snapshot.kernel.links.iter().filter(|link| carries_macvtap(link));
    let links = links.map(|link| Target::Macvtap { lower: link.name, mode: MacvtapMode::Bridge });
    let open = |target: &Target| obstacle(snapshot, target, None).is_none();
    networks.chain(bridges).chain(links).filter(open).collect()
}

/// How a NIC would get to this target, whether or not it is listed.
#[must_use]
pub fn availability(snapshot: &Snapshot, nic: &Nic, target: &Target) -> Availability {
    let availability = how(snapshot, nic, target);
    if availability == Availability::Here {
        return availability;
    }
    match obstacle(snapshot, target, nic.link) {
        Some((reason, way_out)) => Availability::Refused { reason, way_out },
        None => availability,
    }
}

/// Why nothing can be plugged into a target, and the way out. `own` is the link of the NIC that would
/// move: it is not in its own way.
pub(crate) fn obstacle(
    snapshot: &Snapshot,
    target: &Target,
    own: Option<IfIndex>,
) -> Option<(String, String)> {
    match target {
        Target::Network { network } => match snapshot.network_named(network) {
            Some(network) => network_obstacle(snapshot, network),
            None => because("there is no such network", "virsh net-list --all"),
        },
        Target::Bridge { bridge } => match snapshot.bridge_named(*bridge) {
            Some(bridge) => bridge_obstacle(snapshot, bridge),
            None => because("there is no such bridge", "create it first"),
        },
        Target::Macvtap { lower, mode } => match snapshot.link_named(*lower) {
            Some(link) => link_obstacle(snapshot, link, *mode, own),
            None => because("there is no such link", "ip link"),
        },
        Target::Pci { device } => device::obstacle(snapshot, *device),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "every caller returns it as its answer")]
fn because(reason: impl Into<String>, way_out: impl Into<String>) -> Option<(String, String)> {
    Some((reason.into(), way_out.into()))
}

fn network_obstacle(snapshot: &Snapshot, network: &Network) -> Option<(String, String)> {
    if !network.active {
        return because("inactive", format!("start it first: virsh net-start {}", quote(&network.name)));
    }
    device::pool_obstacle(snapshot, network)
}

/// Whether a NIC there is a device of the host, out of the network's pool.
pub(super) fn is_pool(snapshot: &Snapshot, target: &Target) -> bool {
    matches!(target, Target::Network { network } if snapshot.network_named(network).is_some_and(Network::is_pool))
}

fn bridge_obstacle(snapshot: &Snapshot, bridge: &Bridge) -> Option<(String, String)> {
    let network = owner(snapshot, bridge)?;
    because(
        format!("is the bridge of network {}", network.name),
        format!("plug into network {} instead", network.name),
    )
}

fn link_obstacle(
    snapshot: &Snapshot,
    link: &Link,
    mode: MacvtapMode,
    own: Option<IfIndex>,
) -> Option<(String, String)> {
    if let Some(master) = link.master.and_then(|master| snapshot.link(master)) {
        let into = if matches!(master.kind, LinkKind::Bridge(_)) { "plug into" } else { "use" };
        return because(format!("port of {}", master.name), format!("{into} {} instead", master.name));
    }
    if link.wireless {
        return because("Wi-Fi carries frames of its own MAC only", "use a NAT network");
    }
    if !link.up {
        return because("is down", format!("ip link set {} up", link.name));
    }
    let sitting = snapshot
        .kernel
        .links
        .iter()
        .filter(|other| other.lower == Some(link.index) && !other.lower_elsewhere);
    for other in sitting.filter(|other| Some(other.index) != own) {
        let (LinkKind::Macvtap { mode: taken } | LinkKind::Macvlan { mode: taken }) = &other.kind else {
            continue;
        };
        if *taken == MacvtapMode::Passthrough {
            return because(
                format!("{} has it to itself (passthrough)", other.name),
                format!("switch {} to another mode first", other.name),
            );
        }
        if mode == MacvtapMode::Passthrough {
            return because(format!("{} is on it", other.name), "passthrough needs the link for itself");
        }
    }
    None
}

fn of_network(snapshot: &Snapshot, nic: &Nic, network: &Network) -> Choice {
    let target = Target::Network { network: network.name.clone() };
    let bridge = network.bridge().map(|bridge| format!("  {bridge}")).unwrap_or_default();
    let subnet = network.current().and_then(|definition| definition.subnets.first());
    let subnet = subnet.map(|subnet| format!("  {}", subnet.gateway.trunc())).unwrap_or_default();
    let availability = availability(snapshot, nic, &target);
    Choice { target, detail: format!("{}{bridge}{subnet}", network.forward().word()), availability }
}

fn of_bridge(snapshot: &Snapshot, nic: &Nic, bridge: &Bridge) -> Option<Choice> {
    let target = Target::Bridge { bridge: bridge.name };
    let availability = availability(snapshot, nic, &target);
    // A network's own bridge is offered as that network, unless the NIC is plugged into it by name.
    let owned = owner(snapshot, bridge).is_some();
    if owned && availability != Availability::Here {
        return None;
    }
    let uplinks: Vec<String> = bridge.uplinks().map(|port| port.name.to_string()).collect();
    let uplinks =
        if uplinks.is_empty() { "no uplink".to_owned() } else { format!("uplink {}", uplinks.join(" ")) };
    let address = bridge.addresses.iter().find(|address| is_global(address.addr()));
    let address = address.map(|address| format!(", {address}")).unwrap_or_default();
    Some(Choice { target, detail: format!("{uplinks}{address}"), availability })
}

/// Not link-local: an address that tells one link from another.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}

/// The network that owns a bridge and routes over it.
fn owner<'a>(snapshot: &'a Snapshot, bridge: &Bridge) -> Option<&'a Network> {
    snapshot.network(bridge.network?).filter(|network| network.forward() != ForwardMode::Bridge)
}

/// Its kind can have macvtaps on it.
fn carries_macvtap(link: &Link) -> bool {
    let kind = match &link.kind {
        LinkKind::Device | LinkKind::Veth | LinkKind::Bond | LinkKind::Vlan { .. } => !link.loopback,
        LinkKind::Other { name } => matches!(name.as_str(), "team" | "dummy"),
        _ => false,
    };
    kind && link.mac.is_some()
}

fn of_link(snapshot: &Snapshot, nic: &Nic, link: &Link) -> Option<Choice> {
    if !carries_macvtap(link) {
        return None;
    }
    let mode = match nic.source() {
        Some(NicSource::Direct { dev, mode }) if *dev == link.name => *mode,
        _ => MacvtapMode::Bridge,
    };
    let target = Target::Macvtap { lower: link.name, mode };
    let mut addresses = snapshot.kernel.addresses.iter().filter(|address| address.index == link.index);
    let address = addresses.find(|address| is_global(address.address.addr()));
    let detail = address.map_or_else(|| link.kind.word().to_owned(), |address| address.address.to_string());
    let availability = availability(snapshot, nic, &target);
    Some(Choice { target, detail, availability })
}

fn refused(reason: impl Into<String>, way_out: impl Into<String>) -> Availability {
    Availability::Refused { reason: reason.into(), way_out: way_out.into() }
}

/// How a NIC gets from where it is to a target that is free.
fn how(snapshot: &Snapshot, nic: &Nic, target: &Target) -> Availability {
    let Some(guest) = snapshot.guest(nic.id.domain) else {
        return refused("the guest is gone", "look again");
    };
    let Some(config) = nic.config() else { return refused("the NIC is gone", "look again") };
    if target.is(&config.source) && !nic.pending {
        return Availability::Here;
    }
    let is_device = matches!(config.source, NicSource::Hostdev { .. }) || nic.device.is_some();
    if is_device || matches!(target, Target::Pci { .. }) || is_pool(snapshot, target) {
        return refused("a PCI device is not re-plugged", "remove it, and add another NIC");
    }
    if Target::of(&config.source).is_none() {
        let kind = config.source.kind_word().to_owned();
        return refused(format!("a NIC of type {kind} is not re-plugged"), "virsh edit");
    }
    if on_macvtap(snapshot, target)
        && let Some(reason) = unfit_for_macvtap(config)
    {
        return refused(reason, "remove that from the NIC first (virsh edit)");
    }
    if nic.live.is_none() {
        return Availability::NextBoot(format!("the guest is {}", nic.state.word()));
    }
    let needs_replug = on_macvtap(snapshot, target) || on_macvtap_source(snapshot, config);
    if !needs_replug || target.is(&config.source) {
        return Availability::Live;
    }
    match unfit_for_replug(guest, config) {
        Some(reason) => Availability::NextBoot(reason),
        None => Availability::HotReplug,
    }
}

/// What libvirt refuses on a macvtap.
pub(super) fn unfit_for_macvtap(config: &NicConfig) -> Option<String> {
    if let Some(filter) = &config.filter {
        return Some(format!("the NIC has filter {filter}, which a macvtap cannot have"));
    }
    if config.mtu.is_some() {
        return Some("the NIC has an MTU of its own, which a macvtap cannot have".to_owned());
    }
    config.isolated.then(|| "the NIC is isolated, which a macvtap cannot be".to_owned())
}

/// Why a running guest cannot have its NIC unplugged and plugged in again.
pub(super) fn unfit_for_replug(guest: &Guest, config: &NicConfig) -> Option<String> {
    if guest.state != DomainState::Running {
        return Some(format!("the guest is {}: it cannot let go of its NIC", guest.state.word()));
    }
    let machine = &guest.live.as_ref()?.machine;
    let x86 = machine.arch.as_deref().is_none_or(|arch| matches!(arch, "x86_64" | "i686"));
    if x86 && !machine.acpi {
        return Some("the guest has no ACPI: it cannot let go of its NIC".to_owned());
    }
    config.pci.is_none().then(|| "the NIC is not on PCI: it cannot be unplugged".to_owned())
}

/// Whether plugging into this target makes a macvtap.
pub(super) fn on_macvtap(snapshot: &Snapshot, target: &Target) -> bool {
    match target {
        Target::Macvtap { .. } => true,
        Target::Bridge { .. } | Target::Pci { .. } => false,
        Target::Network { network } => snapshot.network_named(network).is_some_and(makes_macvtaps),
    }
}

pub(super) fn on_macvtap_source(snapshot: &Snapshot, config: &NicConfig) -> bool {
    Target::of(&config.source).is_some_and(|target| on_macvtap(snapshot, &target))
}

/// The bridge that plugging into this target means; `None` for a macvtap or a device.
pub(super) fn bridge_of(snapshot: &Snapshot, target: &Target) -> Option<IfName> {
    match target {
        Target::Bridge { bridge } => Some(*bridge),
        Target::Network { network } => snapshot.network_named(network)?.bridge(),
        Target::Macvtap { .. } | Target::Pci { .. } => None,
    }
}

/// Whether two targets are the same bridge under two names: the guest's frames go the same way.
pub(super) fn are_one_bridge(snapshot: &Snapshot, a: &Target, b: &Target) -> bool {
    bridge_of(snapshot, a).is_some() && bridge_of(snapshot, a) == bridge_of(snapshot, b)
}

pub(super) fn makes_macvtaps(network: &Network) -> bool {
    match network.forward() {
        ForwardMode::Macvtap(_) => true,
        ForwardMode::Bridge => network.bridge().is_none(),
        _ => false,
    }
}

/// The name as a shell word, for commands that are shown (never run).
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@=,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A call as a shell line, to be shown.
#[must_use]
pub fn line<'a>(words: impl IntoIterator<Item = impl Into<std::borrow::Cow<'a, str>>>) -> String {
    words.into_iter().map(|word| quote(&word.into())).collect::<Vec<_>>().join(" ")
}

/// Whether a bridge leads out of the host.
pub(super) fn leads_out(bridge: &Bridge) -> bool {
    bridge.ports.iter().any(|port| port.role == PortRole::Uplink)
}
