//! PURE. What a network shall be, and the XML that says so.

use std::fmt::Write as _;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::change::splice::escape;
use crate::model::network::DhcpRange;
use crate::model::{IfName, MacvtapMode};

/// What somebody wants a new network to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: String,
    /// How packets leave it.
    pub mode: Mode,
    /// The bridge that libvirt makes for it; for [`Mode::Bridge`] the one that is there.
    pub bridge: Option<IfName>,
    /// The host's addresses in it, with what DHCP hands out.
    pub subnets: Vec<SubnetSpec>,
    /// The only links its packets may leave by; a pool's links.
    pub forward_devs: Vec<IfName>,
    /// Ports that masquerading uses; `None` is libvirt's choice (1024-65535).
    pub nat_ports: Option<(u16, u16)>,
    /// Bytes per packet; `None` is the kernel's 1500.
    pub mtu: Option<u32>,
    /// The DNS domain of its guests.
    pub domain: Option<String>,
}

/// How packets leave a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Masqueraded behind the host's address.
    Nat,
    /// With the guests' own addresses; the LAN needs a route back.
    Route,
    /// As routed, and libvirt makes no firewall rules.
    Open,
    /// Not at all: guests and the host.
    Isolated,
    /// On a bridge that is there, with whatever that leads to.
    Bridge,
    /// A macvtap on one of the pool's links.
    Macvtap(MacvtapMode),
    /// A virtual function of an SR-IOV card.
    Sriov,
}

impl Mode {
    /// All of them, macvtap in its usual mode.
    pub const ALL: [Self; 7] = [
        Self::Nat,
        Self::Route,
        Self::Open,
        Self::Isolated,
        Self::Bridge,
        Self::Macvtap(MacvtapMode::Bridge),
        Self::Sriov,
    ];

    /// The word of the command line and the form.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Route => "route",
            Self::Open => "open",
            Self::Isolated => "isolated",
            Self::Bridge => "bridge",
            Self::Macvtap(_) => "macvtap",
            Self::Sriov => "sriov",
        }
    }

    /// libvirt makes a bridge of its own for it, with addresses and DHCP.
    #[must_use]
    pub const fn has_own_bridge(self) -> bool {
        matches!(self, Self::Nat | Self::Route | Self::Open | Self::Isolated)
    }
}

/// One subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSpec {
    /// The host's address in it, with the prefix.
    pub gateway: IpNet,
    /// What DHCP hands out; `None` without DHCP.
    pub dhcp: Option<DhcpRange>,
}

impl SubnetSpec {
    /// The subnet that contains this address: the host gets the first address unless another one is given,
    /// DHCP all that are free.
    #[must_use]
    pub fn whole(subnet: IpNet) -> Self {
        let is_network = subnet.addr() == subnet.network();
        let gateway = if is_network { nth(subnet, 1) } else { subnet.addr() };
        let gateway = IpNet::new(gateway, subnet.prefix_len()).unwrap_or(subnet);
        Self { gateway, dhcp: all_free(gateway) }
    }
}

/// Everything above the gateway, or, when that is the last one, everything below; 254 addresses at most for IPv6.
fn all_free(gateway: IpNet) -> Option<DhcpRange> {
    let (first, last) = match gateway {
        IpNet::V4(_) => (nth(gateway, 1), before(gateway.broadcast())?),
        IpNet::V6(_) => (nth(gateway, 2), nth(gateway, 0xff)),
    };
    let range = if gateway.addr() == last {
        DhcpRange { start: first, end: before(last)? }
    } else if gateway.addr() >= first {
        DhcpRange { start: after(gateway.addr())?, end: last }
    } else {
        DhcpRange { start: first, end: last }
    };
    (range.size() > 0).then_some(range)
}

fn nth(subnet: IpNet, offset: u8) -> IpAddr {
    match subnet.network() {
        IpAddr::V4(v4) => IpAddr::V4(u32::from(v4).saturating_add(offset.into()).into()),
        IpAddr::V6(v6) => IpAddr::V6(u128::from(v6).saturating_add(offset.into()).into()),
    }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(IpAddr::V4(u32::from(v4).checked_sub(1)?.into())),
        IpAddr::V6(v6) => Some(IpAddr::V6(u128::from(v6).checked_sub(1)?.into())),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => Some(IpAddr::V4(u32::from(v4).checked_add(1)?.into())),
        IpAddr::V6(v6) => Some(IpAddr::V6(u128::from(v6).checked_add(1)?.into())),
    }
}

impl NetworkSpec {
    /// The `<network>` document.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut xml = format!("<network>\n  <name>{}</name>\n", escape(&self.name));
        xml.push_str(&self.forward());
        if let Some(bridge) = self.bridge {
            let bridge = link(bridge);
            xml.push_str(&match self.mode {
                Mode::Bridge => format!("  <bridge name='{bridge}'/>\n"),
                _ => format!("  <bridge name='{bridge}' stp='on' delay='0'/>\n"),
            });
        }
        if let Some(mtu) = self.mtu {
            let _ = writeln!(xml, "  <mtu size='{mtu}'/>");
        }
        if let Some(domain) = &self.domain {
            let _ = writeln!(xml, "  <domain name='{}' localOnly='yes'/>", escape(domain));
        }
        self.subnets.iter().for_each(|subnet| xml.push_str(&subnet_xml(subnet)));
        xml.push_str("</network>\n");
        xml
    }

    fn forward(&self) -> String {
        let dev = self.forward_devs.first().map(|dev| format!(" dev='{}'", link(*dev))).unwrap_or_default();
        let pool = |element: &str, mode: &str| {
            let mut out = format!("  <forward {mode}>\n");
            for dev in &self.forward_devs {
                let _ = writeln!(out, "    <{element} dev='{}'/>", link(*dev));
            }
            out + "  </forward>\n"
        };
        match self.mode {
            Mode::Isolated => String::new(),
            Mode::Nat => match self.nat_ports {
                None => format!("  <forward mode='nat'{dev}/>\n"),
                Some((start, end)) => format!(
                    "  <forward mode='nat'{dev}>\n    <nat>\n      <port start='{start}' end='{end}'/>\n    \
                     </nat>\n  </forward>\n"
                ),
            },
            Mode::Route => format!("  <forward mode='route'{dev}/>\n"),
            Mode::Open => "  <forward mode='open'/>\n".to_owned(),
            Mode::Bridge => "  <forward mode='bridge'/>\n".to_owned(),
            Mode::Macvtap(mode) => pool("interface", &format!("mode='{}'", mode.word())),
            Mode::Sriov => pool("pf", "mode='hostdev' managed='yes'"),
        }
    }
}

/// A link's name as an attribute's value. libvirt's XML is UTF-8; [`super::check`] refuses other names.
pub(super) fn link(name: IfName) -> String {
    escape(&String::from_utf8_lossy(name.as_bytes()))
}

pub(super) fn subnet_xml(subnet: &SubnetSpec) -> String {
    let address = subnet.gateway.addr();
    let open = match subnet.gateway {
        IpNet::V4(v4) => format!("  <ip address='{address}' netmask='{}'", v4.netmask()),
        IpNet::V6(v6) => format!("  <ip family='ipv6' address='{address}' prefix='{}'", v6.prefix_len()),
    };
    match subnet.dhcp {
        None => format!("{open}/>\n"),
        Some(DhcpRange { start, end }) => {
            format!("{open}>\n    <dhcp>\n      <range start='{start}' end='{end}'/>\n    </dhcp>\n  </ip>\n")
        }
    }
}
