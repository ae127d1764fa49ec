//! libvirt networks, their leases, and what their XML says.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use roxmltree::{Document, Node};
use serde::{Deserialize, Serialize};

use super::guest_xml::{ParseXmlError, child, child_attribute};
use super::ids::{IfName, Mac, NetworkId, Timestamp};
use super::node_device::address_of;
use super::pci::PciAddress;

/// A libvirt network, active or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its UUID.
    pub id: NetworkId,
    /// Its name; hostile text.
    pub name: String,
    /// Started now.
    pub active: bool,
    /// Starts with the daemon.
    pub autostart: bool,
    /// Has a definition that survives its stop.
    pub persistent: bool,
    /// What runs now; `None` when it is inactive.
    pub live: Option<NetworkDefinition>,
    /// The persistent definition; `None` for a transient network.
    pub next: Option<NetworkDefinition>,
    /// Current DHCP leases of its dnsmasq.
    #[serde(default)]
    pub leases: Vec<Lease>,
}

impl Network {
    /// The definition that applies now: the live one, else the persistent one.
    #[must_use]
    pub fn current(&self) -> Option<&NetworkDefinition> {
        self.live.as_ref().or(self.next.as_ref())
    }

    /// How packets leave it.
    #[must_use]
    pub fn forward(&self) -> ForwardMode {
        self.current().map_or(ForwardMode::Isolated, |definition| definition.forward.clone())
    }

    /// The bridge its guests' taps are on.
    #[must_use]
    pub fn bridge(&self) -> Option<IfName> {
        self.current().and_then(|definition| definition.bridge)
    }

    /// It gives each of its guests a device of the host.
    #[must_use]
    pub fn is_pool(&self) -> bool {
        self.forward() == ForwardMode::Hostdev
    }

    /// libvirt makes and removes its bridge.
    #[must_use]
    pub fn owns_bridge(&self) -> bool {
        matches!(
            self.forward(),
            ForwardMode::Nat | ForwardMode::Route | ForwardMode::Open | ForwardMode::Isolated
        )
    }

    /// How many addresses its DHCP ranges hold in all.
    #[must_use]
    pub fn dhcp_size(&self) -> u64 {
        let ranges = self.current().map(NetworkDefinition::dhcp_ranges).unwrap_or_default();
        ranges.iter().map(DhcpRange::size).fold(0, u64::saturating_add)
    }
}

/// A `<network>`'s XML and what it says. Serialised as the XML text alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkDefinition {
    /// The text, exactly as libvirt gave it.
    pub xml: Arc<str>,
    /// `<forward mode>`; isolated when there is none.
    pub forward: ForwardMode,
    /// `<forward dev>` or the interfaces of a pool.
    pub forward_devs: Vec<IfName>,
    /// `<nat><port start end>` of the live XML.
    pub nat_ports: Option<(u16, u16)>,
    /// `<bridge name>`.
    pub bridge: Option<IfName>,
    /// `<bridge stp>`; `None` where libvirt does not own the bridge.
    pub stp: Option<bool>,
    /// `<bridge delay>` in seconds, as written.
    pub delay: Option<String>,
    /// `<mtu size>`.
    pub mtu: Option<u32>,
    /// `<domain name>`: the DNS domain.
    pub domain: Option<String>,
    /// Its `<ip>` elements in order.
    pub subnets: Vec<Subnet>,
    /// `<portgroup name>`s in order.
    pub portgroups: Vec<String>,
    /// `<dns><host>` elements in order.
    pub dns_hosts: Vec<DnsHost>,
    /// `<bandwidth>` of the whole network.
    pub bandwidth: Option<Bandwidth>,
    /// `<dns enable='no'/>`: its dnsmasq answers no names.
    pub dns_off: bool,
    /// The devices of a pool (`<forward mode='hostdev'>`), in the order in which it hands them out. Of one that
    /// names its card only the live definition lists them.
    pub devices: Vec<PciAddress>,
}

impl NetworkDefinition {
    /// Reads a `<network>` document.
    pub fn parse(xml: &str) -> Result<Self, ParseXmlError> {
        let document =
            Document::parse(xml).map_err(|error| ParseXmlError::new("a network", error.to_string()))?;
        let root = document.root_element();
        if !root.has_tag_name("network") {
            return Err(ParseXmlError::new("a network", format!("the root is <{}>", root.tag_name().name())));
        }
        Ok(Self::from_node(xml, root))
    }

    fn from_node(xml: &str, root: Node<'_, '_>) -> Self {
        let forward = child(root, "forward");
        let bridge = child(root, "bridge");
        let name = |text: &str| IfName::from_bytes(text.as_bytes());
        let mut forward_devs: Vec<IfName> = forward
            .iter()
            .flat_map(roxmltree::Node::children)
            .filter(|node| node.has_tag_name("interface"))
            .filter_map(|node| name(node.attribute("dev")?))
            .collect();
        let forward_dev = forward.and_then(|node| node.attribute("dev")).and_then(name);
        forward_devs.extend(forward_dev.filter(|dev| !forward_devs.contains(dev)));
        let ports = forward.and_then(|node| child(node, "nat")).and_then(|nat| child(nat, "port"));
        Self {
            xml: xml.into(),
            forward: ForwardMode::from_word(forward.map(|node| node.attribute("mode").unwrap_or("nat"))),
            forward_devs,
            nat_ports: ports.and_then(|node| {
                Some((node.attribute("start")?.parse().ok()?, node.attribute("end")?.parse().ok()?))
            }),
            bridge: bridge.and_then(|node| node.attribute("name")).and_then(name),
            stp: bridge.and_then(|node| node.attribute("stp")).map(|stp| stp == "on"),
            delay: bridge.and_then(|node| node.attribute("delay")).map(str::to_owned),
            mtu: child_attribute(root, "mtu", "size").and_then(|size| size.parse().ok()),
            domain: child_attribute(root, "domain", "name").map(str::to_owned),
            subnets: root.children().filter(|n| n.has_tag_name("ip")).filter_map(subnet).collect(),
            portgroups: root
                .children()
                .filter(|node| node.has_tag_name("portgroup"))
                .filter_map(|node| node.attribute("name").map(str::to_owned))
                .collect(),
            dns_hosts: child(root, "dns").map(dns_hosts).unwrap_or_default(),
            bandwidth: child(root, "bandwidth").map(bandwidth),
            dns_off: child_attribute(root, "dns", "enable") == Some("no"),
            devices: forward
                .iter()
                .flat_map(roxmltree::Node::children)
                .filter(|node| node.has_tag_name("address"))
                .filter_map(address_of)
                .collect(),
        }
    }

    /// The DHCP ranges of all its subnets.
    #[must_use]
    pub fn dhcp_ranges(&self) -> Vec<DhcpRange> {
        self.subnets.iter().flat_map(|subnet| subnet.ranges.iter().copied()).collect()
    }
}

impl TryFrom<String> for NetworkDefinition {
    type Error = ParseXmlError;

    fn try_from(xml: String) -> Result<Self, Self::Error> {
        Self::parse(&xml)
    }
}

impl From<NetworkDefinition> for String {
    fn from(definition: NetworkDefinition) -> Self {
        definition.xml.as_ref().to_owned()
    }
}

fn dns_hosts(node: Node<'_, '_>) -> Vec<DnsHost> {
    let names = |host: Node<'_, '_>| {
        let names = host.children().filter(|node| node.has_tag_name("hostname"));
        names.filter_map(|node| node.text().map(|name| name.trim().to_owned())).collect()
    };
    let hosts = node.children().filter(|node| node.has_tag_name("host"));
    hosts
        .filter_map(|host| Some(DnsHost { address: host.attribute("ip")?.parse().ok()?, names: names(host) }))
        .collect()
}

fn bandwidth(node: Node<'_, '_>) -> Bandwidth {
    let rate = |name| {
        let node = child(node, name)?;
        let number = |key| node.attribute(key).and_then(|number| number.parse().ok());
        Some(Rate { average: number("average")?, peak: number("peak"), burst: number("burst") })
    };
    Bandwidth { inbound: rate("inbound"), outbound: rate("outbound") }
}

fn subnet(node: Node<'_, '_>) -> Option<Subnet> {
    let address: IpAddr = node.attribute("address")?.parse().ok()?;
    let by_prefix = node.attribute("prefix").and_then(|prefix| prefix.parse().ok());
    let by_mask =
        node.attribute("netmask").and_then(|mask| ipnet::ip_mask_to_prefix(mask.parse().ok()?).ok());
    // libvirt's own default: the class of an IPv4 address, 64 bits for IPv6.
    let class = match address {
        IpAddr::V4(v4) if v4.octets()[0] < 128 => 8,
        IpAddr::V4(v4) if v4.octets()[0] < 192 => 16,
        IpAddr::V4(_) => 24,
        IpAddr::V6(_) => 64,
    };
    let dhcp = child(node, "dhcp");
    let elements = |name: &'static str| {
        dhcp.into_iter().flat_map(|dhcp| dhcp.children()).filter(move |node| node.has_tag_name(name))
    };
    Some(Subnet {
        gateway: IpNet::new(address, by_prefix.or(by_mask).unwrap_or(class)).ok()?,
        ranges: elements("range")
            .filter_map(|range| {
                let end = |key| range.attribute(key)?.parse().ok();
                Some(DhcpRange { start: end("start")?, end: end("end")? })
            })
            .collect(),
        hosts: elements("host")
            .map(|host| StaticHost {
                mac: host.attribute("mac").and_then(|mac| mac.parse().ok()),
                name: host.attribute("name").map(str::to_owned),
                address: host.attribute("ip").and_then(|ip| ip.parse().ok()),
            })
            .collect(),
    })
}

/// One `<ip>` element: the host's own address in the network, and what DHCP hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The bridge's address with its prefix (`192.168.122.1/24`).
    pub gateway: IpNet,
    /// Ranges DHCP gives leases from.
    pub ranges: Vec<DhcpRange>,
    /// Static leases.
    pub hosts: Vec<StaticHost>,
}

impl Subnet {
    /// Whether the network's dnsmasq hands out addresses in it.
    #[must_use]
    pub fn has_dhcp(&self) -> bool {
        !self.ranges.is_empty() || !self.hosts.is_empty()
    }
}

/// An inclusive range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhcpRange {
    /// First address.
    pub start: IpAddr,
    /// Last address.
    pub end: IpAddr,
}

impl std::str::FromStr for DhcpRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let range = text.split_once('-').and_then(|(start, end)| {
            Some(Self { start: start.trim().parse().ok()?, end: end.trim().parse().ok()? })
        });
        range.ok_or_else(|| "expected two addresses as 192.168.150.10-192.168.150.99".to_owned())
    }
}

impl DhcpRange {
    /// How many addresses it holds; 0 if the ends are of different families or the wrong way round.
    #[must_use]
    pub fn size(&self) -> u64 {
        let span = match (self.start, self.end) {
            (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(u32::from(b)).checked_sub(u32::from(a).into()),
            (IpAddr::V6(a), IpAddr::V6(b)) => u128::from(b).checked_sub(a.into()),
            _ => None,
        };
        span.map_or(0, |span| u64::try_from(span.saturating_add(1)).unwrap_or(u64::MAX))
    }
}

/// A `<host>` of a network's DHCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticHost {
    /// Whose address it is.
    pub mac: Option<Mac>,
    /// The name DHCP gives it.
    pub name: Option<String>,
    /// The address it always gets.
    pub address: Option<IpAddr>,
}

/// A `<host>` of a network's DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsHost {
    /// What its names mean.
    pub address: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// What a network or a group of its NICs may send and get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// To the guests.
    pub inbound: Option<Rate>,
    /// From the guests.
    pub outbound: Option<Rate>,
}

/// A shaped rate, as libvirt counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// KiB per second in the long run.
    pub average: u64,
    /// KiB per second at most.
    pub peak: Option<u64>,
    /// KiB that may pass at the peak rate.
    pub burst: Option<u64>,
}

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Option<Vec<u64>> =
            text.split(',').map(|number| number.trim().parse().ok().filter(|number| *number > 0)).collect();
        match numbers.as_deref() {
            Some([average]) => Ok(Self { average: *average, peak: None, burst: None }),
            Some([average, peak]) => Ok(Self { average: *average, peak: Some(*peak), burst: None }),
            Some([average, peak, burst]) => {
                Ok(Self { average: *average, peak: Some(*peak), burst: Some(*burst) })
            }
            _ => Err("expected KiB/s as AVERAGE[,PEAK[,BURST]]".to_owned()),
        }
    }
}

/// A DHCP lease of a network's dnsmasq.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it; dnsmasq gives no MAC for some IPv6 leases.
    pub mac: Option<Mac>,
    /// The address with the network's prefix.
    pub address: IpNet,
    /// What the guest called itself: hostile text.
    pub hostname: Option<String>,
    /// When it ends; `None` for one that does not.
    pub expires: Option<Timestamp>,
}

/// How packets leave a network (`<forward mode>`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardMode {
    /// No `<forward>`: guests and the host only.
    Isolated,
    /// Masqueraded behind the host's address.
    Nat,
    /// Routed with their own addresses.
    Route,
    /// Routed, and libvirt adds no firewall rules.
    Open,
    /// Guests' taps go on a bridge that is not libvirt's, or on macvtaps in bridge mode.
    Bridge,
    /// Macvtaps in this mode on the pool's links.
    Macvtap(super::guest::MacvtapMode),
    /// A VF or PCI device per guest.
    Hostdev,
    /// A mode this program does not know.
    Other(String),
}

impl ForwardMode {
    fn from_word(word: Option<&str>) -> Self {
        use super::guest::MacvtapMode;
        match word {
            None => Self::Isolated,
            Some("nat") => Self::Nat,
            Some("route") => Self::Route,
            Some("open") => Self::Open,
            Some("bridge") => Self::Bridge,
            Some("vepa") => Self::Macvtap(MacvtapMode::Vepa),
            Some("private") => Self::Macvtap(MacvtapMode::Private),
            Some("passthrough") => Self::Macvtap(MacvtapMode::Passthrough),
            Some("hostdev") => Self::Hostdev,
            Some(other) => Self::Other(other.to_owned()),
        }
    }

    /// The word of the MODE column.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Isolated => "isolated",
            Self::Nat => "nat",
            Self::Route => "route",
            Self::Open => "open",
            Self::Bridge => "bridge",
            Self::Macvtap(mode) => mode.word(),
            Self::Hostdev => "hostdev",
            Self::Other(word) => word,
        }
    }
}
