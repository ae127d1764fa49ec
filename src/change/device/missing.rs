//! PURE. What a host lacks so that a guest can have a PCI NIC or a VF, and how to get it.

use super::link_of;
use crate::model::Snapshot;
use crate::model::pci::{Iommu, PciFacts, PciNic, Processor};

/// Something that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is not there.
    pub reason: String,
    /// How to get it.
    pub way_out: String,
}

/// All that the host lacks, the first thing to do first; empty when nothing is missing.
#[must_use]
pub fn missing(snapshot: &Snapshot) -> Vec<Missing> {
    let one = |reason: &str, way_out: &str| {
        vec![Missing { reason: reason.to_owned(), way_out: way_out.to_owned() }]
    };
    if snapshot.host.foreign_namespace {
        return one(
            "libvirt runs on another machine or in another network namespace: its devices are not seen whole from \
             here",
            "run virt-net where libvirt runs",
        );
    }
    if snapshot.pci.read_at.0 == 0 {
        return one("the host's PCI devices have not been read", "look again");
    }
    if !snapshot.pci.readable {
        return one("this host has no PCI bus, or /sys is not mounted", "a machine with PCI");
    }
    let nics = snapshot.pci_nics();
    let mut missing = Vec::new();
    let mut add = |(reason, way_out): (String, String)| missing.push(Missing { reason, way_out });
    if nics.is_empty() {
        add(("this host has no PCI NIC".to_owned(), of_card(&snapshot.pci, "a card of its own")));
    }
    if snapshot.pci.iommu != Iommu::On {
        add(of_iommu(&snapshot.pci));
    }
    if !nics.is_empty() && !nics.iter().any(PciNic::is_function) {
        add(of_functions(&snapshot.pci, nics));
    }
    missing
}

/// What stands between a guest and every device: no IOMMU.
pub(super) fn of_iommu(facts: &PciFacts) -> (String, String) {
    if facts.virtual_machine {
        return (
            "the IOMMU is off: this host is a virtual machine and has been given none".to_owned(),
            "give it one from outside (libvirt: <iommu model='intel'/> on a q35 machine), then intel_iommu=on on its \
             kernel's command line, and a card"
                .to_owned(),
        );
    }
    if facts.iommu == Iommu::AskedFor {
        return (
            "the IOMMU is off although the kernel's command line turns it on".to_owned(),
            format!("turn {} on in the firmware's setup; a machine without one cannot do it", feature(facts)),
        );
    }
    let argument = match facts.processor {
        Processor::Intel => "add intel_iommu=on iommu=pt to the kernel's command line",
        Processor::Amd => "take amd_iommu=off off the kernel's command line if it is there, and add iommu=pt",
        Processor::Other => "see the machine's manual for the kernel's command line",
    };
    let way_out = format!(
        "turn {} on in the firmware's setup, {argument} (Debian: GRUB_CMDLINE_LINUX in /etc/default/grub, then \
         update-grub; Fedora, RHEL: grubby --update-kernel=ALL --args='…'), and reboot",
        feature(facts)
    );
    ("the IOMMU is off".to_owned(), way_out)
}

const fn feature(facts: &PciFacts) -> &'static str {
    match facts.processor {
        Processor::Intel => "VT-d",
        Processor::Amd => "the IOMMU (AMD-Vi)",
        Processor::Other => "the IOMMU",
    }
}

/// No virtual function: made by hand where a card can have some, else another card.
fn of_functions(facts: &PciFacts, nics: &[PciNic]) -> (String, String) {
    let Some(card) = nics.iter().find(|nic| nic.most_functions > 0) else {
        return (
            "no NIC here can have virtual functions (SR-IOV)".to_owned(),
            of_card(facts, "a card with SR-IOV (turned on in its own firmware as well)"),
        );
    };
    let name = link_of(card).map_or_else(|| card.address.to_string(), |link| link.to_string());
    let count = card.most_functions.min(4);
    let reason =
        format!("there is no virtual function; {name} can have up to {}, and has none", card.most_functions);
    let way_out = format!(
        "echo {count} > /sys/bus/pci/devices/{address}/sriov_numvfs; for every boot, in /etc/udev/rules.d/80-vf.rules: \
         ACTION==\"add\", SUBSYSTEM==\"net\", KERNELS==\"{address}\", ATTR{{device/sriov_numvfs}}=\"{count}\"",
        address = card.address
    );
    (reason, way_out)
}

fn of_card(facts: &PciFacts, card: &str) -> String {
    if facts.virtual_machine {
        return format!("this host is a virtual machine: whoever runs it would have to give it {card}");
    }
    card.to_owned()
}
