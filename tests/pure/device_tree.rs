//! A directory as sysfs and procfs show a machine with PCI NICs: the reader's root in tests, because the machines
//! that tests run on have no such cards.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use virt_net::model::pci::PciFacts;
use virt_net::source::pci::Bus;

/// One device of the tree; empty texts are what it does not have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device {
    pub(crate) at: &'static str,
    pub(crate) class: &'static str,
    pub(crate) driver: &'static str,
    pub(crate) group: &'static str,
    /// Below the device, or `virtio2/eth0` below what it carries.
    pub(crate) link: &'static str,
}

/// A network device.
pub(crate) const fn nic(
    at: &'static str,
    driver: &'static str,
    group: &'static str,
    link: &'static str,
) -> Device {
    Device { at, class: "0x020000", driver, group, link }
}

/// The tree; gone when it is dropped.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    /// An Intel machine with these devices.
    pub(crate) fn new(devices: &[Device]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(tree.0.path().join("sys/bus/pci/devices")).unwrap();
        tree.write("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n");
        tree.write("proc/cmdline", "root=/dev/sda1 quiet\n");
        for device in devices {
            tree.add(device);
        }
        tree
    }

    fn add(&self, device: &Device) {
        let path = self.device(device.at);
        fs::create_dir_all(&path).unwrap();
        for (name, text) in [("class", device.class), ("vendor", "0x8086"), ("device", "0x10ed")] {
            fs::write(path.join(name), format!("{text}\n")).unwrap();
        }
        if !device.driver.is_empty() {
            symlink(Path::new("../../drivers").join(device.driver), path.join("driver")).unwrap();
        }
        if !device.group.is_empty() {
            let members = self.0.path().join("sys/kernel/iommu_groups").join(device.group).join("devices");
            fs::create_dir_all(&members).unwrap();
            symlink(&path, members.join(device.at)).unwrap();
            let group = Path::new("../../../../kernel/iommu_groups").join(device.group);
            symlink(group, path.join("iommu_group")).unwrap();
        }
        match device.link.split_once('/') {
            Some((inner, link)) => fs::create_dir_all(path.join(inner).join("net").join(link)).unwrap(),
            None if device.link.is_empty() => {}
            None => fs::create_dir_all(path.join("net").join(device.link)).unwrap(),
        }
    }

    /// Makes a device a card that can have 63 virtual functions, with these.
    pub(crate) fn card(&self, card: &str, functions: &[&str]) {
        fs::write(self.device(card).join("sriov_totalvfs"), "63\n").unwrap();
        for (number, function) in functions.iter().enumerate() {
            symlink(format!("../{function}"), self.device(card).join(format!("virtfn{number}"))).unwrap();
            symlink(format!("../{card}"), self.device(function).join("physfn")).unwrap();
        }
    }

    pub(crate) fn device(&self, at: &str) -> PathBuf {
        self.0.path().join("sys/bus/pci/devices").join(at)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn bus(&self) -> Bus {
        Bus::new(self.0.path().to_owned())
    }

    pub(crate) fn read(&self) -> PciFacts {
        self.bus().read()
    }
}
