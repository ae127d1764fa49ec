//! READS. PCI NICs out of sysfs: driver, links, virtual functions, IOMMU group. Changes nothing.
//!
//! Read every few seconds: a class is read once per device, the rest (a few links and small files) only of
//! NICs. Everything is below one root, `/` but in tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Update, Updates, now, supervise};
use crate::model::IfName;
use crate::model::pci::{GroupMember, Iommu, IommuGroup, PciAddress, PciFacts, PciNic, Processor};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// The PCI class of network devices, and of bridges.
const NETWORK: &str = "0x02";
const BRIDGE: &str = "0x06";

/// Starts reading until the receiver of `updates` is gone.
pub fn spawn(updates: Updates) {
    supervise::start("pci", move || supervise::thread("pci", drop, || watch(&updates)));
}

fn watch(updates: &Updates) {
    let mut bus = Bus::new(root());
    let mut sent: Option<PciFacts> = None;
    while !updates.is_closed() {
        let read_at = now();
        let facts = PciFacts { read_at, ..bus.read() };
        let is_news = sent
            .as_ref()
            .is_none_or(|before| *before != PciFacts { read_at: before.read_at, ..facts.clone() });
        if is_news && updates.send(Update::Pci(facts.clone().into())).is_err() {
            return;
        }
        sent = Some(facts);
        std::thread::sleep(LOOK);
    }
}

/// The machine's own root, or in a build for tests the tree that `VIRT_NET_TEST_ROOT` names: a machine
/// without such hardware can then be asked what would be done on one that has it.
fn root() -> PathBuf {
    #[cfg(debug_assertions)]
    if let Some(root) = std::env::var_os("VIRT_NET_TEST_ROOT") {
        return root.into();
    }
    PathBuf::from("/")
}

/// The driver that the kernel has for a device now; `None` when it has none, or there is no such device.
#[must_use]
pub fn driver(address: PciAddress) -> Option<String> {
    driver_of(&root().join("sys/bus/pci/devices").join(address.to_string()))
}

/// The PCI bus of one root.
#[derive(Debug)]
pub struct Bus {
    root: PathBuf,
    /// Classes by address, as far as read: a device keeps its class.
    classes: BTreeMap<PciAddress, String>,
}

impl Bus {
    /// Nothing read yet.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root, classes: BTreeMap::new() }
    }

    /// Reads it; [`PciFacts::read_at`] is left to the caller.
    #[must_use]
    pub fn read(&mut self) -> PciFacts {
        let devices = self.root.join("sys/bus/pci/devices");
        let Ok(entries) = fs::read_dir(&devices) else { return self.rest(Vec::new()) };
        let there: BTreeSet<PciAddress> =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        self.classes.retain(|address, _| there.contains(address));
        for address in there {
            self.classes.entry(address).or_insert_with(|| {
                text(&devices.join(address.to_string()).join("class")).unwrap_or_default()
            });
        }
        let network = self.classes.iter().filter(|(_, class)| class.starts_with(NETWORK));
        let nics = network.map(|(address, _)| self.nic(&devices, *address)).collect();
        PciFacts { readable: true, ..self.rest(nics) }
    }

    fn rest(&self, nics: Vec<PciNic>) -> PciFacts {
        let processors = fs::read_to_string(self.root.join("proc/cpuinfo")).unwrap_or_default();
        let line = |key: &str| {
            let line = processors.lines().find(|line| line.starts_with(key))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let processor = match line("vendor_id").as_deref() {
            Some("GenuineIntel") => Processor::Intel,
            Some("AuthenticAMD" | "HygonGenuine") => Processor::Amd,
            _ => Processor::Other,
        };
        let virtual_machine =
            line("flags").is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
        PciFacts { nics, iommu: self.iommu(), processor, virtual_machine, ..PciFacts::default() }
    }

    fn iommu(&self) -> Iommu {
        let any = |path: &str| fs::read_dir(self.root.join(path)).is_ok_and(|mut all| all.next().is_some());
        if any("sys/kernel/iommu_groups") {
            return Iommu::On;
        }
        let line = text(&self.root.join("proc/cmdline")).unwrap_or_default();
        let asked = |word: &str| matches!(word, "intel_iommu=on" | "amd_iommu=on" | "amd_iommu=force_enable");
        if line.split_whitespace().any(asked) { Iommu::AskedFor } else { Iommu::Off }
    }

    fn nic(&self, devices: &Path, address: PciAddress) -> PciNic {
        let path = devices.join(address.to_string());
        let number = |name: &str| text(&path.join(name)).and_then(|text| text.parse().ok());
        let hex = |name: &str| {
            text(&path.join(name))
                .map_or_else(|| "?".to_owned(), |text| text.trim_start_matches("0x").to_owned())
        };
        PciNic {
            address,
            links: links(&path),
            driver: driver_of(&path),
            id: format!("{}:{}", hex("vendor"), hex("device")),
            name: None,
            physical: target(&path.join("physfn")),
            functions: functions(&path),
            most_functions: number("sriov_totalvfs").unwrap_or(0),
            group: self.group(&path, devices, address),
        }
    }

    fn group(&self, path: &Path, devices: &Path, own: PciAddress) -> Option<IommuGroup> {
        let group = path.join("iommu_group");
        let number = fs::read_link(&group).ok()?.file_name()?.to_str()?.parse().ok()?;
        let members = fs::read_dir(group.join("devices")).ok()?.flatten();
        let mut others: Vec<GroupMember> = members
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|address| *address != own)
            .filter(|address| !self.classes.get(address).is_some_and(|class| class.starts_with(BRIDGE)))
            .map(|address| {
                let driver = driver_of(&devices.join(address.to_string()));
                GroupMember { address, driver }
            })
            .collect();
        others.sort_by_key(|member| member.address);
        Some(IommuGroup { number, others })
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The last part of what a link points to, as an address.
fn target(link: &Path) -> Option<PciAddress> {
    fs::read_link(link).ok()?.file_name()?.to_str()?.parse().ok()
}

fn driver_of(device: &Path) -> Option<String> {
    Some(fs::read_link(device.join("driver")).ok()?.file_name()?.to_str()?.to_owned())
}

/// `virtfn0`, `virtfn1`, … in the order of their numbers.
fn functions(device: &Path) -> Vec<PciAddress> {
    (0..u32::MAX).map_while(|number| target(&device.join(format!("virtfn{number}")))).collect()
}

/// Its links: right below it, or below the virtio device that it carries.
fn links(device: &Path) -> Vec<IfName> {
    let inner = fs::read_dir(device).into_iter().flatten().flatten();
    let inner = inner.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"virtio"));
    let places = std::iter::once(device.to_owned()).chain(inner.map(|entry| entry.path()));
    let mut names: Vec<IfName> = places
        .flat_map(|place| fs::read_dir(place.join("net")).into_iter().flatten().flatten())
        .filter_map(|entry| IfName::from_bytes(entry.file_name().as_encoded_bytes()))
        .collect();
    names.sort();
    names
}
