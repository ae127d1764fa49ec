//! PCI NICs of the host, and what stands between them and a guest: as sysfs tells, and as libvirt's node
//! devices tell.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::facts::Facts;
use super::ids::{IfName, ParseIdError, Timestamp};

/// Where a device sits: `0000:03:10.2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// The domain; 16 bits but for a few controllers that make domains of their own.
    pub domain: u32,
    /// The bus.
    pub bus: u8,
    /// The slot, at most 31.
    pub slot: u8,
    /// The function, at most 7.
    pub function: u8,
}

impl PciAddress {
    /// Its attributes as libvirt writes them.
    #[must_use]
    pub fn attributes(self) -> String {
        let Self { domain, bus, slot, function } = self;
        format!("domain='{domain:#06x}' bus='{bus:#04x}' slot='{slot:#04x}' function='{function:#x}'")
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.slot, self.function)
    }
}

impl FromStr for PciAddress {
    type Err = ParseIdError;

    /// `0000:03:10.2`, or without the domain as `lspci` prints it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (rest, function) = text.rsplit_once('.')?;
            let (rest, slot) = rest.rsplit_once(':')?;
            let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
            let hex = |text: &str, most: u32| {
                let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
                u32::from_str_radix(text, 16).ok().filter(|number| digits && *number <= most)
            };
            let byte = |text, most| u8::try_from(hex(text, most)?).ok();
            Some(Self {
                domain: hex(domain, u32::MAX)?,
                bus: byte(bus, 0xff)?,
                slot: byte(slot, 0x1f)?,
                function: byte(function, 7)?,
            })
        };
        parse()
            .ok_or_else(|| ParseIdError { text: text.to_owned(), expected: "a PCI address (0000:03:10.2)" })
    }
}

impl Serialize for PciAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PciAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What sysfs says of PCI NICs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PciFacts {
    /// When it was read; 0: not yet.
    pub read_at: Timestamp,
    /// `/sys/bus/pci` could be read.
    pub readable: bool,
    /// Its NICs, by address.
    pub nics: Vec<PciNic>,
    /// The kernel translates what devices read and write, so that one can be handed to a guest.
    pub iommu: Iommu,
    /// Who made the processor: names the kernel's argument.
    pub processor: Processor,
    /// This host is a virtual machine itself.
    pub virtual_machine: bool,
}

/// Whether the kernel uses an IOMMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Iommu {
    /// It does.
    On,
    /// It does not.
    #[default]
    Off,
    /// It does not, although its command line tells it to: the firmware does not offer one.
    AskedFor,
}

/// The maker of the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Processor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
    /// Another, or not known.
    #[default]
    Other,
}

/// A network device on the PCI bus (class 02).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciNic {
    /// Where it sits.
    pub address: PciAddress,
    /// Its links that are seen from here: none while a guest or another network namespace has it.
    pub links: Vec<IfName>,
    /// The host's driver that has it; `vfio-pci` when it is ready for a guest or in one.
    pub driver: Option<String>,
    /// `8086:10ed`.
    pub id: String,
    /// Its maker and name, where libvirt knows them.
    pub name: Option<String>,
    /// The card whose virtual function it is.
    pub physical: Option<PciAddress>,
    /// Its virtual functions in order.
    pub functions: Vec<PciAddress>,
    /// How many virtual functions it can have; 0: it cannot.
    pub most_functions: u32,
    /// Its IOMMU group.
    pub group: Option<IommuGroup>,
}

/// Devices that the IOMMU cannot keep apart: they go to one guest, or none does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuGroup {
    /// Its number.
    pub number: u32,
    /// The other devices in it but for bridges.
    pub others: Vec<GroupMember>,
}

/// Another device in an IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// Where it sits.
    pub address: PciAddress,
    /// The host's driver that has it.
    pub driver: Option<String>,
}

/// The driver that holds a device for a guest, but for cards that have one of their own for that.
pub const VFIO: &str = "vfio-pci";

/// Whether this driver holds a device for a guest: `vfio-pci`, or a card's own (`mlx5_vfio_pci`).
#[must_use]
pub fn is_vfio(driver: &str) -> bool {
    driver == VFIO || driver.ends_with("vfio_pci")
}

impl PciNic {
    /// A driver of the host uses it, so that it does something here.
    #[must_use]
    pub fn is_used_by_host(&self) -> bool {
        uses(self.driver.as_deref())
    }

    /// Is a virtual function.
    #[must_use]
    pub const fn is_function(&self) -> bool {
        self.physical.is_some()
    }
}

impl GroupMember {
    /// A driver of the host uses it: no guest can have its group.
    #[must_use]
    pub fn is_used_by_host(&self) -> bool {
        uses(self.driver.as_deref())
    }
}

fn uses(driver: Option<&str>) -> bool {
    driver.is_some_and(|driver| !is_vfio(driver) && driver != "pci-stub")
}

impl Facts {
    /// The host's PCI NICs by address: the kernel's word, or libvirt's where it runs on another machine or the
    /// kernel's could not be read.
    #[must_use]
    pub fn pci_nics(&self) -> &[PciNic] {
        if self.host.foreign_namespace || !self.pci.readable {
            return self.libvirt.node_nics.as_deref().unwrap_or_default();
        }
        &self.pci.nics
    }

    /// The PCI NIC at this address.
    #[must_use]
    pub fn pci_nic(&self, address: PciAddress) -> Option<&PciNic> {
        self.pci_nics().iter().find(|nic| nic.address == address)
    }

    /// Its maker and name, where libvirt knows them.
    #[must_use]
    pub fn pci_name(&self, nic: &PciNic) -> Option<&str> {
        let told = self.libvirt.node_nics.as_deref().unwrap_or_default();
        told.iter().find(|other| other.address == nic.address && other.id == nic.id)?.name.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_as_it_prints() {
        for text in ["0000:03:10.2", "0000:00:00.0", "10000:e1:1f.7"] {
            assert_eq!(text.parse::<PciAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        let short: Result<PciAddress, _> = "03:10.2".parse();
        assert_eq!(short.map(|address| address.to_string()), Ok("0000:03:10.2".to_owned()));
        for text in ["", "03", "03:10", "03:20.0", "03:10.8", "0000:003:10.99", "+1:00.0", "0000:0z:00.0"] {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn its_attributes_are_those_of_libvirt() {
        let address = PciAddress { domain: 0, bus: 3, slot: 16, function: 2 };
        assert_eq!(address.attributes(), "domain='0x0000' bus='0x03' slot='0x10' function='0x2'");
    }
}
