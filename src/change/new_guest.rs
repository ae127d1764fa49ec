//! PURE. A new guest as the call of `virt-install` that makes it: an argument each, no shell. What the
//! host's files and libvirt's pools have to say is [`Evidence`], read by `apply::guest`.

mod call;
pub mod evidence;
pub mod said;

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Serialize, Serializer};

pub use self::evidence::{Evidence, Question};
use super::target::{self, Target, line};
use super::{Refusal, Step, StepId};
use crate::model::Snapshot;

/// The program that makes guests.
pub const PROGRAM: &str = "virt-install";

/// Which package has it.
pub const PACKAGE: &str =
    "install it: package virtinst on Debian and Ubuntu; virt-install on Fedora, RHEL, Arch and openSUSE";

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGuest {
    /// Its name.
    pub name: String,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub vcpus: u32,
    /// Its disk.
    pub disk: Disk,
    /// Where its NIC is plugged in.
    pub network: Target,
    /// The NIC's model.
    pub model: String,
    /// What it boots first.
    pub boot: Boot,
    /// How its screen is seen.
    pub graphics: Graphics,
    /// `kvm`, `qemu`, …; `None` leaves it to virt-install.
    pub virt_type: Option<String>,
    /// The system in it, as `osinfo-query os` names it; `None` has it guessed.
    pub os: Option<String>,
}

/// A guest's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disk {
    /// A new image, in libvirt's default pool or at this path.
    New {
        /// Where.
        path: Option<PathBuf>,
        /// GiB.
        size: u32,
    },
    /// An image that is there.
    Existing(PathBuf),
    /// None.
    Diskless,
}

/// What a new guest boots first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// An installer from the network.
    Pxe,
    /// An installer from this ISO image.
    Iso(PathBuf),
    /// The system on its disk.
    Import,
    /// The cloud image on its disk: it gets a root password, which virt-install tells.
    CloudImage,
}

/// How a guest's screen is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Graphics {
    /// By its serial console only.
    None,
    /// By VNC at this address of the host.
    Vnc(std::net::IpAddr),
}

/// What will be done. Made by [`plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuestPlan {
    /// What is wanted.
    #[serde(skip)]
    pub new: NewGuest,
    /// The guest's name.
    pub name: String,
    /// In one line.
    pub title: String,
    /// The call, an argument each.
    #[serde(serialize_with = "words")]
    pub command: Vec<OsString>,
    /// In order.
    pub steps: Vec<Step>,
    /// What must not be overlooked.
    pub risks: Vec<String>,
    /// What it means, in sentences.
    pub consequences: Vec<String>,
    /// What is looked at before anything is done.
    #[serde(skip)]
    pub question: Question,
}

fn words<S: Serializer>(command: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(command.iter().map(|word| word.to_string_lossy()))
}

impl GuestPlan {
    /// The call as a shell line to read; never run. May be hostile text.
    #[must_use]
    pub fn line(&self) -> String {
        line(self.command.iter().map(|word| word.to_string_lossy()))
    }
}

impl NewGuest {
    fn refuse(&self, reason: impl Into<String>, way_out: impl Into<String>) -> Refusal {
        Refusal { what: format!("make guest {}", self.name), reason: reason.into(), way_out: way_out.into() }
    }
}

/// The call, and what it means; with `evidence` also whether the host is ready for it.
///
/// # Errors
/// The name is taken, the network cannot be used, a value cannot be said to virt-install, or the evidence
/// says that virt-install would fail.
pub fn plan(snapshot: &Snapshot, new: &NewGuest, evidence: Option<&Evidence>) -> Result<GuestPlan, Refusal> {
    // Without the program nothing that is typed matters.
    if let Some(evidence) = evidence {
        evidence::program(new, evidence)?;
    }
    sayable(new)?;
    free(snapshot, new)?;
    if let Target::Pci { .. } = new.network {
        return Err(new.refuse("it gets a PCI NIC when it is there", "virt-net nic attach afterwards"));
    }
    if target::is_pool(snapshot, &new.network) {
        return Err(new.refuse("its guests get PCI devices", "virt-net nic add afterwards"));
    }
    if let Some((reason, way_out)) = target::obstacle(snapshot, &new.network, None) {
        return Err(new.refuse(reason, way_out));
    }
    let question = Question::of(snapshot, new);
    let looked = match evidence {
        Some(evidence) => evidence::judge(&question, new, evidence)?,
        None => evidence::Looked::not_yet(),
    };
    let title = format!("new guest {} on {}", new.name, new.network.words());
    let mut consequences =
        vec![format!("virt-install makes guest {} on {} and starts it.", new.name, new.network.words())];
    consequences.extend(looked.checked);
    consequences.extend(meaning(snapshot, new));
    let mut risks = looked.risks;
    if let Graphics::Vnc(listen) = new.graphics
        && !listen.is_loopback()
    {
        risks.push(format!("its screen is open to everybody who reaches {listen}: VNC without a password"));
    }
    let step = |id, text: &str| Step { id, text: text.to_owned() };
    let steps = vec![
        step(StepId::Check, "virt-install, the name and the files are looked at"),
        step(StepId::Install, "virt-install runs to its end"),
        step(StepId::Guest, "libvirt has the guest, running, its NIC where it was wanted"),
        step(StepId::Kernel, "the kernel has its tap or macvtap there"),
    ];
    let command = call::arguments(snapshot, new, evidence.and_then(|evidence| evidence.version));
    Ok(GuestPlan {
        new: new.clone(),
        name: new.name.clone(),
        title,
        command,
        steps,
        risks,
        consequences,
        question,
    })
}

fn meaning(snapshot: &Snapshot, new: &NewGuest) -> Vec<String> {
    let mut sentences = Vec::new();
    match new.boot {
        Boot::Pxe | Boot::Iso(_) => sentences.push(
            "When its installer reboots, the guest goes off: start it again then (a, t; virt-net guest start)."
                .to_owned(),
        ),
        Boot::CloudImage => {
            sentences.push("The image becomes the guest's disk and changes: keep a copy.".to_owned());
            sentences.push("virt-install tells the password of root once, while it runs.".to_owned());
            sentences.push("At its first reboot the guest goes off: start it again then.".to_owned());
        }
        Boot::Import => sentences.push("The image becomes the guest's disk and changes.".to_owned()),
    }
    if new.boot == Boot::Pxe && serves_no_boot_file(snapshot, &new.network) {
        sentences.push(
            "The network's DHCP server names no boot file (<bootp>): nothing answers the guest's PXE."
                .to_owned(),
        );
    }
    if new.disk != Disk::Diskless {
        sentences.push(
            "libvirt gets a storage pool of the disk's directory where there is none yet, and it stays."
                .to_owned(),
        );
    }
    if new.os.is_none() {
        sentences.push(
            "virt-install guesses the system; named (osinfo-query os) it gets its best devices.".to_owned(),
        );
    }
    sentences
}

/// A network that answers DHCP itself, but has no boot file to name.
fn serves_no_boot_file(snapshot: &Snapshot, target: &Target) -> bool {
    let Target::Network { network } = target else { return false };
    let Some(network) = snapshot.network_named(network) else { return false };
    let boots = network.current().is_some_and(|definition| definition.xml.contains("<bootp "));
    network.owns_bridge() && !boots
}

/// Every value is one word to virt-install, and they make sense together.
fn sayable(new: &NewGuest) -> Result<(), Refusal> {
    let fits = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    if new.name.is_empty() {
        return Err(new.refuse("the guest has no name yet", "give it one: letters, digits, - _ . +"));
    }
    if !new.name.chars().all(fits) || new.name.starts_with(['-', '.']) {
        return Err(new.refuse("this is no name for a guest", "letters, digits, - _ . +"));
    }
    if new.memory < 32 || new.vcpus == 0 {
        return Err(new.refuse("it needs memory and a processor", "32 MiB and 1 at least"));
    }
    let imports = matches!(new.boot, Boot::Import | Boot::CloudImage);
    if imports && !matches!(new.disk, Disk::Existing(_)) {
        return Err(new.refuse("there is no system on its disk", "give it a disk that exists"));
    }
    if let Disk::New { size: 0, .. } = new.disk {
        return Err(new.refuse("a new disk needs a size", "1 GiB at least"));
    }
    let paths = [disk_path(&new.disk), iso(&new.boot)];
    let odd = |path: &PathBuf| path.to_string_lossy().contains([',', '=', '\n']) || !path.is_absolute();
    if let Some(path) = paths.into_iter().flatten().find(|path| odd(path)) {
        let reason = if path.as_os_str().is_empty() {
            "the path of a file is missing".to_owned()
        } else {
            format!("virt-install would not understand the path {}", path.display())
        };
        return Err(new.refuse(reason, "a whole path, without commas and equal signs"));
    }
    let said = [new.model.as_str()].into_iter().chain(new.os.as_deref()).chain(new.virt_type.as_deref());
    if let Some(word) = said.into_iter().find(|word| word.is_empty() || !word.chars().all(fits)) {
        return Err(new.refuse(format!("virt-install would not understand {word:?}"), "say it in one word"));
    }
    if let Target::Network { network } = &new.network
        && network.contains([',', '='])
    {
        let reason = format!("virt-install cannot be told the network's name {network}");
        return Err(new.refuse(reason, "choose another network"));
    }
    Ok(())
}

/// Neither its name nor its disk is another guest's.
fn free(snapshot: &Snapshot, new: &NewGuest) -> Result<(), Refusal> {
    let guests = &snapshot.libvirt.guests;
    if guests.iter().any(|guest| guest.name == new.name) {
        return Err(new.refuse("there is a guest of this name", "choose another name"));
    }
    if let Some(path) = disk_path(&new.disk) {
        let path = path.to_string_lossy();
        let has = |xml: &str| disks(xml).iter().any(|disk| *disk == path);
        let owner = guests
            .iter()
            .find(|guest| guest.live.iter().chain(&guest.next).any(|definition| has(&definition.xml)));
        if let Some(owner) = owner {
            let reason = format!("{path} is the disk of guest {}", owner.name);
            return Err(new.refuse(reason, "choose another one: two guests on one disk destroy it"));
        }
    }
    Ok(())
}

/// The files and devices that a definition has as disks one may write to.
fn disks(xml: &str) -> Vec<String> {
    let Ok(document) = roxmltree::Document::parse(xml) else { return Vec::new() };
    let written = |node: &roxmltree::Node<'_, '_>| {
        node.has_tag_name("disk") && !node.children().any(|child| child.has_tag_name("readonly"))
    };
    let sources = document.descendants().filter(written).flat_map(|disk| disk.children());
    sources
        .filter(|node| node.has_tag_name("source"))
        .filter_map(|source| source.attribute("file").or_else(|| source.attribute("dev")))
        .map(str::to_owned)
        .collect()
}

fn disk_path(disk: &Disk) -> Option<&PathBuf> {
    match disk {
        Disk::New { path, .. } => path.as_ref(),
        Disk::Existing(path) => Some(path),
        Disk::Diskless => None,
    }
}

fn iso(boot: &Boot) -> Option<&PathBuf> {
    match boot {
        Boot::Iso(path) => Some(path),
        _ => None,
    }
}
