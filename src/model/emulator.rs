//! PURE. Which NIC models the emulators of the guests have: from libvirt's domain capabilities where they
//! list them, else from the emulator's own list, which the customer's notes read by `-net nic,model=?`.

use roxmltree::Document;
use serde::{Deserialize, Serialize};

use super::guest::{Guest, Machine};
use super::guest_xml::{ParseXmlError, child};
use super::snapshot::Snapshot;

/// What decides which models a guest can have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EmulatorKey {
    /// `<emulator>`; `None` where the definition leaves it to libvirt.
    pub emulator: Option<String>,
    /// `x86_64`, …
    pub arch: Option<String>,
    /// `pc-q35-7.2`, …
    pub machine: Option<String>,
    /// `kvm`, `qemu`, …
    pub virt_type: Option<String>,
}

impl EmulatorKey {
    /// That of a guest's machine.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        Self {
            emulator: machine.emulator.clone(),
            arch: machine.arch.clone(),
            machine: machine.machine.clone(),
            virt_type: machine.virt_type.clone(),
        }
    }
}

/// An emulator and the NIC models it has, as libvirt's XML names them; the usual ones first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// Which one.
    #[serde(flatten)]
    pub key: EmulatorKey,
    /// Its models; empty when neither libvirt nor the emulator said.
    pub models: Vec<String>,
}

impl Snapshot {
    /// The NIC models that this guest's emulator has; `None` while, or where, nobody says.
    #[must_use]
    pub fn nic_models(&self, guest: &Guest) -> Option<&[String]> {
        self.emulator(guest).map(|emulator| emulator.models.as_slice()).filter(|models| !models.is_empty())
    }

    /// What was found out about this guest's emulator; `None` while nobody has looked.
    #[must_use]
    pub fn emulator(&self, guest: &Guest) -> Option<&Emulator> {
        let key = EmulatorKey::of(&guest.current()?.machine);
        self.libvirt.emulators.iter().find(|emulator| emulator.key == key)
    }
}

/// What `virConnectGetDomainCapabilities` says about NICs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainCapabilities {
    /// The emulator's path.
    pub path: Option<String>,
    /// `<devices><interface><enum name='model'>`; empty where libvirt does not list them, as 9.0 and 11.3 do not.
    pub models: Vec<String>,
}

impl DomainCapabilities {
    /// Reads a `<domainCapabilities>` document.
    ///
    /// # Errors
    /// Not such a document.
    pub fn parse(xml: &str) -> Result<Self, ParseXmlError> {
        const WHAT: &str = "domain capabilities";
        let document = Document::parse(xml).map_err(|error| ParseXmlError::new(WHAT, error.to_string()))?;
        let root = document.root_element();
        let models = child(root, "devices")
            .and_then(|devices| child(devices, "interface"))
            .into_iter()
            .flat_map(|interface| interface.children())
            .filter(|node| node.has_tag_name("enum") && node.attribute("name") == Some("model"))
            .flat_map(|list| list.children())
            .filter(|node| node.has_tag_name("value"))
            .filter_map(|value| value.text().map(str::to_owned));
        Ok(Self {
            path: child(root, "path").and_then(|path| path.text()).map(str::to_owned),
            models: usual_first(models.collect()),
        })
    }
}

/// The models in what `qemu-system-… -device help` prints, by libvirt's names for them.
///
/// Its section `Network devices:` has lines as `name "e1000", bus PCI, alias "e1000-82540em", …`. What has
/// no bus that libvirt plugs NICs into (ISA), or is no NIC (a switch, an RDMA device), is left out.
#[must_use]
pub fn models_of_device_help(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| line.trim() != "Network devices:").skip(1);
    let models = section.take_while(|line| !line.trim().is_empty()).filter_map(|line| {
        let mut parts = line.split(", ");
        let name = parts.next()?.trim().strip_prefix("name \"")?.strip_suffix('"')?;
        let bus = parts.find_map(|part| part.strip_prefix("bus "))?.trim();
        let plugs = matches!(bus, "PCI" | "usb-bus" | "spapr-vio-bus" | "virtual-css-bus" | "virtio-bus");
        (plugs && !matches!(name, "pvrdma" | "rocker")).then(|| libvirt_name(name).to_owned())
    });
    usual_first(models.collect())
}

fn libvirt_name(device: &str) -> &str {
    match device {
        "virtio-net-pci" | "virtio-net-ccw" | "virtio-net-device" => "virtio",
        "virtio-net-pci-transitional" => "virtio-transitional",
        "virtio-net-pci-non-transitional" => "virtio-non-transitional",
        other => other,
    }
}

/// Each once: the ones that people choose, then the others by name.
fn usual_first(mut models: Vec<String>) -> Vec<String> {
    const USUAL: [&str; 5] = ["virtio", "e1000e", "e1000", "igb", "rtl8139"];
    let rank = |model: &str| USUAL.iter().position(|usual| *usual == model).unwrap_or(USUAL.len());
    models.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
    models.dedup();
    models
}
