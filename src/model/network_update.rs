//! PURE. Elements of a network that libvirt changes while it runs (`net-update`), and whether a definition
//! shows that it did.

use std::net::IpAddr;

use roxmltree::Document;
use serde::{Deserialize, Serialize};

use super::network::{DhcpRange, NetworkDefinition};

/// One element that comes or goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// What kind of element.
    pub section: Section,
    /// Whether it comes or goes.
    pub change: UpdateChange,
    /// The element.
    pub element: String,
    /// Which `<ip>` of the network it belongs to, from 0.
    pub subnet: Option<usize>,
}

/// The sections of a network that libvirt updates live (`virNetworkUpdateSection`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    /// A static lease.
    DhcpHost,
    /// What DHCP hands out.
    DhcpRange,
    /// Names of an address.
    DnsHost,
    /// A group of NICs.
    Portgroup,
}

/// What happens to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpdateChange {
    /// It comes.
    Add,
    /// It goes.
    Delete,
}

impl Update {
    /// What takes it back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let change = match self.change {
            UpdateChange::Add => UpdateChange::Delete,
            UpdateChange::Delete => UpdateChange::Add,
        };
        Self { change, ..self.clone() }
    }

    /// The definition is as it shall be afterwards.
    #[must_use]
    pub fn is_done_in(&self, definition: &NetworkDefinition) -> bool {
        self.is_in(definition) == Some(self.change == UpdateChange::Add)
    }

    /// Whether the definition has the element; `None` when that cannot be told.
    fn is_in(&self, definition: &NetworkDefinition) -> Option<bool> {
        let document = Document::parse(&self.element).ok()?;
        let node = document.root_element();
        Some(match self.section {
            Section::DhcpHost => {
                let mac = node.attribute("mac")?.parse().ok()?;
                let address = node.attribute("ip")?.parse().ok()?;
                let mut hosts = definition.subnets.iter().flat_map(|subnet| &subnet.hosts);
                hosts.any(|host| host.mac == Some(mac) && host.address == Some(address))
            }
            Section::DhcpRange => {
                let end = |key| node.attribute(key)?.parse().ok();
                let range = DhcpRange { start: end("start")?, end: end("end")? };
                definition.dhcp_ranges().contains(&range)
            }
            Section::DnsHost => {
                let address: IpAddr = node.attribute("ip")?.parse().ok()?;
                let names = node.children().filter_map(|name| name.text()).map(str::trim);
                let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
                definition.dns_hosts.iter().any(|host| host.address == address && host.names == names)
            }
            Section::Portgroup => {
                let name = node.attribute("name")?;
                definition.portgroups.iter().any(|other| other == name)
            }
        })
    }
}
