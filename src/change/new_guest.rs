//! PURE. A new guest as the call of `virt-install` that makes it: an argument each, no shell.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Refusal;
use super::target::{self, Target};
use crate::model::Snapshot;

/// The program that makes guests.
pub const PROGRAM: &str = "virt-install";

/// Which package has it.
pub const PACKAGE: &str =
    "install it: package virtinst on Debian and Ubuntu, virt-install on Fedora, RHEL and SUSE";

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

/// The call.
///
/// # Errors
/// The name is taken, the network cannot be used, or a value cannot be said to virt-install.
pub fn plan(snapshot: &Snapshot, new: &NewGuest) -> Result<Vec<OsString>, Refusal> {
    let refuse = |reason: String, way_out: &str| Refusal {
        what: format!("make guest {}", new.name),
        reason,
        way_out: way_out.to_owned(),
    };
    let fits = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    if new.name.is_empty() || !new.name.chars().all(fits) || new.name.starts_with(['-', '.']) {
        return Err(refuse("this is no name for a guest".to_owned(), "letters, digits, - _ . +"));
    }
    if snapshot.libvirt.guests.iter().any(|guest| guest.name == new.name) {
        return Err(refuse("there is a guest of this name".to_owned(), "choose another name"));
    }
    if new.memory < 32 || new.vcpus == 0 {
        return Err(refuse("it needs memory and a processor".to_owned(), "32 MiB and 1 at least"));
    }
    if let Some((reason, way_out)) = target::obstacle(snapshot, &new.network, None) {
        return Err(refuse(reason, &way_out));
    }
    if matches!((&new.boot, &new.disk), (Boot::Import | Boot::CloudImage, Disk::New { .. } | Disk::Diskless))
    {
        return Err(refuse("there is no system on its disk".to_owned(), "give it a disk that exists"));
    }
    let paths = [disk_path(&new.disk), iso(&new.boot)];
    let odd = |path: &PathBuf| path.to_string_lossy().contains([',', '=', '\n']) || !path.is_absolute();
    if let Some(path) = paths.into_iter().flatten().find(|path| odd(path)) {
        let reason = format!("virt-install would not understand the path {}", path.display());
        return Err(refuse(reason, "a whole path, without commas and equal signs"));
    }
    let said = [new.model.as_str()].into_iter().chain(new.os.as_deref()).chain(new.virt_type.as_deref());
    if let Some(word) = said.into_iter().find(|word| word.is_empty() || !word.chars().all(fits)) {
        return Err(refuse(format!("virt-install would not understand {word:?}"), "say it in one word"));
    }
    if let Target::Network { network } = &new.network
        && network.contains([',', '='])
    {
        let reason = format!("virt-install cannot be told the network's name {network}");
        return Err(refuse(reason, "choose another network"));
    }
    Ok(arguments(snapshot, new))
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

fn arguments(snapshot: &Snapshot, new: &NewGuest) -> Vec<OsString> {
    let mut call: Vec<OsString> = vec![PROGRAM.into()];
    let mut say = |option: &str, value: OsString| call.extend([option.into(), value]);
    if !snapshot.host.uri.is_empty() {
        say("--connect", snapshot.host.uri.clone().into());
    }
    if let Some(kind) = &new.virt_type {
        say("--virt-type", kind.into());
    }
    say("--name", new.name.clone().into());
    say("--memory", new.memory.to_string().into());
    say("--vcpus", new.vcpus.to_string().into());
    say("--disk", disk(&new.disk));
    say("--network", format!("{},model={}", plug(&new.network), new.model).into());
    say("--os-variant", new.os.clone().unwrap_or_else(|| "detect=on,require=off".to_owned()).into());
    say(
        "--graphics",
        match new.graphics {
            Graphics::None => "none".into(),
            Graphics::Vnc(listen) => format!("vnc,listen={listen}").into(),
        },
    );
    match &new.boot {
        Boot::Pxe => call.push("--pxe".into()),
        Boot::Iso(path) => call.extend(["--cdrom".into(), path.into()]),
        Boot::Import => call.push("--import".into()),
        Boot::CloudImage => call.extend(["--import".into(), "--cloud-init".into()]),
    }
    call.push("--noautoconsole".into());
    call
}

fn disk(disk: &Disk) -> OsString {
    let at = |path: &PathBuf, rest: &str| {
        let mut text = OsString::from("path=");
        text.push(path);
        text.push(rest);
        text
    };
    match disk {
        Disk::New { path: Some(path), size } => at(path, &format!(",size={size},format=qcow2,bus=virtio")),
        Disk::New { path: None, size } => format!("size={size},bus=virtio").into(),
        Disk::Existing(path) => at(path, ",bus=virtio"),
        Disk::Diskless => "none".into(),
    }
}

fn plug(target: &Target) -> String {
    match target {
        Target::Network { network } => format!("network:{network}"),
        Target::Bridge { bridge } => format!("bridge:{bridge}"),
        Target::Macvtap { lower, mode } => format!("type=direct,source={lower},source.mode={}", mode.word()),
    }
}
