//! Guests and their NICs as libvirt defines them: live, and at the next boot.
//!
//! A definition keeps the whole XML text, because a change is spliced into exactly that text; what
//! the rest of the program asks for is read out of it once, by [`Definition::parse`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::{DomainId, IfName, Mac, NicId};
use super::pci::PciAddress;

pub use super::guest_xml::ParseXmlError;

/// A libvirt domain, running or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its UUID.
    pub id: DomainId,
    /// Its name; hostile text (anybody who may define a guest chose it).
    pub name: String,
    /// What it does now.
    pub state: DomainState,
    /// Starts with the host.
    pub autostart: bool,
    /// Has a definition that survives its shutdown.
    pub persistent: bool,
    /// What runs now; `None` when it is off.
    pub live: Option<Definition>,
    /// What the next boot will use; `None` for a transient guest.
    pub next: Option<Definition>,
    /// The guest agent's channel is connected.
    #[serde(default)]
    pub agent: bool,
    /// The agent is asked, but has not answered: not yet, or it hangs.
    #[serde(default)]
    pub agent_silent: bool,
    /// Addresses as the guest agent reported them, by MAC; empty without an agent.
    #[serde(default)]
    pub agent_addresses: Vec<AgentAddress>,
}

impl Guest {
    /// The definition that applies now: the live one, else that of the next boot.
    #[must_use]
    pub fn current(&self) -> Option<&Definition> {
        self.live.as_ref().or(self.next.as_ref())
    }

    /// The NIC with this id in one of this guest's definitions.
    #[must_use]
    pub fn nic_in<'a>(&self, definition: Option<&'a Definition>, id: NicId) -> Option<&'a NicConfig> {
        let nics = &definition.filter(|_| id.domain == self.id)?.nics;
        nics.iter().filter(|nic| nic.mac == Some(id.mac)).nth(usize::from(id.nth))
    }
}

/// One address that the agent inside the guest reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentAddress {
    /// The guest's NIC.
    pub mac: Mac,
    /// The name inside the guest (`eth0`); hostile text.
    pub name: String,
    /// The address with its prefix.
    pub address: ipnet::IpNet,
}

/// What a guest does now (`virDomainState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainState {
    /// Runs.
    Running,
    /// Runs, blocked on a resource (Xen).
    Blocked,
    /// Paused by somebody or by an error: it answers nothing, so no hot-unplug either.
    Paused,
    /// On its way down.
    ShuttingDown,
    /// Off.
    Off,
    /// Its emulator or kernel crashed.
    Crashed,
    /// Suspended by the guest's power management.
    Suspended,
    /// A state this program does not know.
    Unknown,
}

impl DomainState {
    /// Whether the guest has a live definition (an emulator process with taps).
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Blocked | Self::Paused | Self::ShuttingDown | Self::Suspended)
    }

    /// The word for it on the screen, as `virsh list` has it but short (`off` for `shut off`).
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
            Self::ShuttingDown => "stopping",
            Self::Off => "off",
            Self::Crashed => "crashed",
            Self::Suspended => "suspended",
            Self::Unknown => "unknown",
        }
    }
}

/// A domain's XML and what it says about NICs.
///
/// Serialised as the XML text alone: a replayed dump is parsed by the same code as the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Definition {
    /// The text, exactly as libvirt gave it.
    pub xml: Arc<str>,
    /// Its `<interface>` elements in order, and the PCI NICs that [`alias_of`] marks as such.
    pub nics: Vec<NicConfig>,
    /// The other PCI devices handed to it whole (`<hostdev>`): the definition does not say of which kind.
    pub devices: Vec<NicConfig>,
    /// The rest that networking cares about.
    pub machine: Machine,
}

impl Definition {
    /// Reads a `<domain>` document. Unknown elements are ignored; an unknown interface type is kept
    /// as [`NicSource::Other`].
    pub fn parse(xml: &str) -> Result<Self, ParseXmlError> {
        let (nics, devices, machine) = super::guest_xml::parse_domain(xml)?;
        Ok(Self { xml: xml.into(), nics, devices, machine })
    }

    /// The text of a NIC's whole element; empty for a NIC of another definition.
    #[must_use]
    pub fn element(&self, nic: &NicConfig) -> &str {
        self.xml.get(nic.span.clone()).unwrap_or_default()
    }
}

impl TryFrom<String> for Definition {
    type Error = ParseXmlError;

    fn try_from(xml: String) -> Result<Self, Self::Error> {
        Self::parse(&xml)
    }
}

impl From<Definition> for String {
    fn from(definition: Definition) -> Self {
        definition.xml.as_ref().to_owned()
    }
}

/// What of the machine decides how a NIC can be changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// `<os><type machine=…>`, for example `pc-q35-7.2`.
    pub machine: Option<String>,
    /// `<os><type arch=…>`.
    pub arch: Option<String>,
    /// `<features><acpi/>`: without it a guest on x86 cannot answer a hot-unplug.
    pub acpi: bool,
    /// `<domain type=…>`: `kvm`, `qemu`, …
    pub virt_type: Option<String>,
    /// `<emulator>`.
    pub emulator: Option<String>,
    /// Has the channel `org.qemu.guest_agent.0`.
    pub agent_channel: bool,
    /// The agent inside the guest holds that channel open (live only).
    pub agent_connected: bool,
}

/// The alias by which a PCI NIC that is handed to a guest whole is known as a NIC, with its own MAC address if
/// that is known, while no driver of the host has it: `ua-nic-0c-c4-7a-00-00-01`. libvirt keeps such an alias.
#[must_use]
pub fn alias_of(device: PciAddress, mac: Option<Mac>) -> String {
    let text = mac.map_or_else(|| format!("pci-{device}").replace('.', "-"), |mac| mac.to_string());
    format!("{NIC_ALIAS}{}", text.replace(':', "-"))
}

/// Whether an alias is one of those.
pub(super) fn is_nic_alias(alias: &str) -> bool {
    alias.starts_with(NIC_ALIAS)
}

/// The MAC address in such an alias.
pub(super) fn mac_of_alias(alias: &str) -> Option<Mac> {
    let mac: Mac = alias.strip_prefix(NIC_ALIAS)?.replace('-', ":").parse().ok()?;
    mac.is_real().then_some(mac)
}

const NIC_ALIAS: &str = "ua-nic-";

/// One `<interface>` element, or a PCI NIC's `<hostdev>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicConfig {
    /// `<mac address>`; libvirt always fills it in, hand-written test XML may lack it. Of a PCI device
    /// handed over whole: what its [`alias_of`] says, else what stands for one.
    pub mac: Option<Mac>,
    /// Where it is plugged.
    pub source: NicSource,
    /// `<target dev>`: the host's tap or macvtap; live only, and absent for kinds without a link.
    pub target: Option<IfName>,
    /// `<model type>`: `virtio`, `e1000`, …
    pub model: Option<String>,
    /// `<alias name>`: live only (`net0`), or `ua-…` in both.
    pub alias: Option<String>,
    /// `<link state='down'/>`: the cable is pulled by configuration.
    pub link_down: bool,
    /// `<mtu size>`.
    pub mtu: Option<u32>,
    /// `<boot order>`.
    pub boot_order: Option<u32>,
    /// `<filterref filter>`.
    pub filter: Option<String>,
    /// `<port isolated='yes'/>`.
    pub isolated: bool,
    /// `<vlan><tag id>` in order; empty without one.
    pub vlans: Vec<u16>,
    /// `<virtualport type>`.
    pub virtualport: Option<String>,
    /// `<bandwidth>` is present.
    pub bandwidth: bool,
    /// `<driver queues>`.
    pub queues: Option<u32>,
    /// `<address type='pci'>`, where it is in the guest, as `0000:01:00.0`.
    pub pci: Option<String>,
    /// Byte range of the whole element in the definition's XML, `<interface` or `<hostdev` to the end of its tag.
    pub span: std::ops::Range<usize>,
}

impl NicConfig {
    /// Reads one `<interface>` element.
    ///
    /// # Errors
    /// Not such an element.
    pub fn parse(element: &str) -> Result<Self, ParseXmlError> {
        super::guest_xml::parse_element(element)
    }

    /// Whether two definitions of a NIC say the same where it matters: plug, model, link state, MTU,
    /// VLANs, filter, isolation. What libvirt resolves or names by itself (bridge of a network, tap,
    /// alias) does not count.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let rest = |nic: &Self| (nic.link_down, nic.mtu, nic.isolated, nic.bandwidth);
        self.source.same_plug(&other.source)
            && self.model == other.model
            && self.vlans == other.vlans
            && self.filter == other.filter
            && rest(self) == rest(other)
    }
}

/// Where a NIC is plugged: the source of its `<interface>`.
///
/// The live XML of a NIC on a network has that network's resolved kind as its type (`bridge` for
/// `<forward mode='bridge'/>`), so the network is looked at first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NicSource {
    /// A libvirt network, with what libvirt resolved it to while the guest runs.
    Network {
        /// The network's name.
        network: String,
        /// `<source portgroup>`.
        portgroup: Option<String>,
        /// `<source bridge>` of the live XML: the bridge the tap is on.
        bridge: Option<IfName>,
        /// `<source dev>` of the live XML: a macvtap pool's link.
        dev: Option<IfName>,
    },
    /// A host bridge by name.
    Bridge {
        /// The bridge.
        bridge: IfName,
    },
    /// A macvtap directly on a link.
    Direct {
        /// The lower link.
        dev: IfName,
        /// How its macvtaps see each other.
        mode: MacvtapMode,
    },
    /// A PCI NIC or VF handed to the guest.
    Hostdev {
        /// `0000:03:10.0`; `None` when the address is not PCI.
        address: Option<PciAddress>,
    },
    /// A tap that somebody else plugs in (`type='ethernet'`).
    Ethernet,
    /// User-mode networking (slirp, passt): no link on the host.
    User,
    /// A vhost-user socket.
    Vhostuser {
        /// The socket's path.
        path: Option<String>,
    },
    /// Any other or unknown type (`internal`, `mcast`, `udp`, `server`, `client`, `vdpa`, `null`, `vds`, …).
    Other {
        /// The `type` attribute as written.
        r#type: String,
        /// A short text of its source (`230.0.0.1:5558`, `/dev/vhost-vdpa-0`), if it has one.
        detail: Option<String>,
    },
}

impl NicSource {
    /// Whether two sources are the same plug, whatever libvirt resolved a network to.
    #[must_use]
    pub fn same_plug(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Network { network: a, portgroup: pa, .. },
                Self::Network { network: b, portgroup: pb, .. },
            ) => a == b && (pa == pb || pa.is_none() || pb.is_none()),
            _ => self == other,
        }
    }

    /// The device of the host that it names.
    #[must_use]
    pub const fn device(&self) -> Option<PciAddress> {
        match self {
            Self::Hostdev { address } => *address,
            _ => None,
        }
    }

    /// `network`, `bridge`, `macvtap`, … : the word of the SOURCE column.
    #[must_use]
    pub fn kind_word(&self) -> &str {
        match self {
            Self::Network { .. } => "network",
            Self::Bridge { .. } => "bridge",
            Self::Direct { .. } => "macvtap",
            Self::Hostdev { .. } => "hostdev",
            Self::Ethernet => "ethernet",
            Self::User => "user",
            Self::Vhostuser { .. } => "vhostuser",
            Self::Other { r#type, .. } => r#type,
        }
    }

    /// What it is plugged into: the network's, bridge's or lower link's name, or the device.
    /// Not escaped: a network's name is hostile text.
    #[must_use]
    pub fn plug(&self) -> String {
        match self {
            Self::Network { network, .. } => network.clone(),
            Self::Bridge { bridge } => bridge.to_string(),
            Self::Direct { dev, .. } => dev.to_string(),
            Self::Hostdev { address } => address.map(|address| address.to_string()).unwrap_or_default(),
            Self::Ethernet | Self::User => String::new(),
            Self::Vhostuser { path } => path.clone().unwrap_or_default(),
            Self::Other { detail, .. } => detail.clone().unwrap_or_default(),
        }
    }
}

/// How the macvtaps of one lower link see each other (`IFLA_MACVLAN_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacvtapMode {
    /// Not to each other, unless the switch reflects (hairpin). libvirt's default.
    Vepa,
    /// To each other on the host.
    Bridge,
    /// Never to each other.
    Private,
    /// One macvtap owns the link.
    Passthrough,
}

impl MacvtapMode {
    /// All of them, in the order the form offers them.
    pub const ALL: [Self; 4] = [Self::Bridge, Self::Vepa, Self::Private, Self::Passthrough];

    /// The word libvirt and `ip link` use.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Vepa => "vepa",
            Self::Bridge => "bridge",
            Self::Private => "private",
            Self::Passthrough => "passthrough",
        }
    }

    /// The mode of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}
