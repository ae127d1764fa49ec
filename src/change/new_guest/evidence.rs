//! PURE. What was seen of virt-install, files and pools before a guest is made, and what it means.

use std::path::{Path, PathBuf};

use super::{Boot, Disk, NewGuest, PACKAGE, PROGRAM, disk_path, iso};
use crate::change::Refusal;
use crate::model::Snapshot;

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// libvirt's URI.
    pub uri: String,
    /// Whether libvirt runs on this host: else its files are not these.
    pub place: Place,
    /// The guest's name: what virt-install calls a new disk after.
    pub name: String,
    /// The disk.
    pub disk: Disk,
    /// The installer.
    pub iso: Option<PathBuf>,
}

/// Where libvirt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this host.
    Here,
    /// Somewhere else.
    Elsewhere,
}

impl Question {
    /// What this guest hangs on.
    #[must_use]
    pub fn of(snapshot: &Snapshot, new: &NewGuest) -> Self {
        let elsewhere = snapshot.host.foreign_namespace || !snapshot.host.uri.contains(":///");
        Self {
            uri: snapshot.host.uri.clone(),
            place: if elsewhere { Place::Elsewhere } else { Place::Here },
            name: new.name.clone(),
            disk: new.disk.clone(),
            iso: iso(&new.boot).cloned(),
        }
    }
}

/// A path, looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A file or block device of this many bytes.
    There {
        /// Bytes; 0 for what does not tell.
        bytes: u64,
    },
    /// A directory, a socket, …: nothing a disk could be.
    NoFile,
    /// Nothing, in a directory that is there.
    Missing,
    /// Not even the directory.
    NoDirectory,
    /// It cannot be looked at, and why.
    Hidden(String),
}

/// A storage pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Its name: hostile text.
    pub name: String,
    /// Its directory, if it is one of files.
    pub path: Option<PathBuf>,
}

/// All that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What was asked.
    pub question: Question,
    /// Where virt-install is.
    pub program: Option<PathBuf>,
    /// Its major version; `None` when it did not say.
    pub version: Option<u32>,
    /// `/dev/kvm` is there.
    pub kvm: bool,
    /// The disk's path; `None` when it has none.
    pub disk: Option<Seen>,
    /// The installer's path.
    pub iso: Option<Seen>,
    /// Bytes that are free where a new disk would be.
    pub free: Option<u64>,
    /// A directory above one of the files that is closed to other users.
    pub closed: Option<PathBuf>,
    /// The pools there are; `None` when libvirt did not say.
    pub pools: Option<Vec<Pool>>,
    /// Files that are there already where virt-install would make the disk.
    pub files: Vec<PathBuf>,
}

/// The first version that can be told to guess the system, and has cloud-init; older ones guess unasked.
pub(super) const SPEAKS: u32 = 3;

/// What the evidence means for a plan.
pub(super) struct Looked {
    pub(super) checked: Vec<String>,
    pub(super) risks: Vec<String>,
}

impl Looked {
    pub(super) fn not_yet() -> Self {
        let text = "Before it runs are looked at: virt-install, its name, its files, the room for them.";
        Self { checked: vec![text.to_owned()], risks: Vec::new() }
    }
}

/// Where virt-install is.
pub(super) fn program<'a>(new: &NewGuest, evidence: &'a Evidence) -> Result<&'a Path, Refusal> {
    evidence.program.as_deref().ok_or_else(|| new.refuse(format!("{PROGRAM} is not there"), PACKAGE))
}

/// What virt-install would stumble over, or what is good to know.
pub(super) fn judge(question: &Question, new: &NewGuest, evidence: &Evidence) -> Result<Looked, Refusal> {
    let program = program(new, evidence)?;
    // What was seen of other paths says nothing of these.
    if evidence.question != *question {
        return Ok(Looked::not_yet());
    }
    if let (Some(version @ ..SPEAKS), Boot::CloudImage) = (evidence.version, &new.boot) {
        let reason = format!("{PROGRAM} {version} knows no cloud images");
        return Err(new.refuse(reason, "version 3 or newer; or import a disk that you can log in to"));
    }
    let mut checked = vec![format!("Looked at: {} is there, the name is free", program.display())];
    let mut risks = Vec::new();
    if question.place == Place::Elsewhere {
        risks.push("libvirt runs elsewhere: its files and its room are not looked at".to_owned());
    } else {
        if let Some(text) = of_disk(new, evidence)? {
            push(&mut checked, &text);
        }
        if let (Boot::Iso(path), Some(seen)) = (&new.boot, &evidence.iso) {
            is_file(new, path, seen)?;
            if !matches!(seen, Seen::Hidden(_)) {
                push(&mut checked, "the installer's image is there");
            }
        }
        let files = disk_path(&new.disk).zip(evidence.disk.as_ref());
        for (path, seen) in files.into_iter().chain(iso(&new.boot).zip(evidence.iso.as_ref())) {
            if let Seen::Hidden(why) = seen {
                risks.push(format!("{} cannot be looked at: {why}", path.display()));
            }
        }
        if let Some(directory) = evidence.closed.as_ref().filter(|_| question.uri.ends_with("/system")) {
            let directory = directory.display();
            risks.push(format!(
                "{directory} is closed to other users: the emulator's user may not get at the file in it \
                 (better: /var/lib/libvirt/images)"
            ));
        }
        of_accelerator(new, evidence, &mut checked)?;
    }
    if let Some(last) = checked.first_mut() {
        last.push('.');
    }
    Ok(Looked { checked, risks })
}

fn push(checked: &mut [String], text: &str) {
    if let Some(first) = checked.first_mut() {
        first.push_str(", ");
        first.push_str(text);
    }
}

fn of_accelerator(new: &NewGuest, evidence: &Evidence, checked: &mut Vec<String>) -> Result<(), Refusal> {
    match (new.virt_type.as_deref(), evidence.kvm) {
        (None, true) => checked.push("virt-install takes KVM: /dev/kvm is there.".to_owned()),
        (None, false) => checked.push(
            "There is no /dev/kvm: virt-install takes plain qemu, which is many times slower.".to_owned(),
        ),
        (Some("kvm"), false) => {
            let way_out = "load kvm_intel or kvm_amd, switch virtualization on in the firmware, or take qemu";
            return Err(new.refuse("there is no /dev/kvm on this host", way_out));
        }
        _ => {}
    }
    Ok(())
}

fn of_disk(new: &NewGuest, evidence: &Evidence) -> Result<Option<String>, Refusal> {
    match (&new.disk, &evidence.disk, disk_path(&new.disk)) {
        (Disk::Existing(_), Some(seen), Some(path)) => {
            let bytes = is_file(new, path, seen)?;
            if matches!(seen, Seen::Hidden(_)) {
                return Ok(None);
            }
            let size = if bytes == 0 { String::new() } else { format!(" ({})", binary(bytes)) };
            Ok(Some(format!("its disk is there{size}")))
        }
        (Disk::New { size, .. }, seen, path) => {
            if let (Some(path), Some(seen)) = (path, seen) {
                nothing_there(new, path, seen)?;
            }
            let Some(free) = evidence.free else { return Ok(None) };
            if u64::from(*size) << 30 > free {
                let reason = format!("{size} GiB are wanted, {} are free there", binary(free));
                return Err(new.refuse(reason, "a smaller disk, or another directory"));
            }
            Ok(Some(format!("{} are free for its disk", binary(free))))
        }
        _ => Ok(None),
    }
}

/// Bytes of a file that must be there; 0 where that is not known.
fn is_file(new: &NewGuest, path: &std::path::Path, seen: &Seen) -> Result<u64, Refusal> {
    let path = path.display();
    let (reason, way_out) = match seen {
        Seen::There { bytes } => return Ok(*bytes),
        // libvirt may get at what this user does not.
        Seen::Hidden(_) => return Ok(0),
        Seen::NoFile => (format!("{path} is no file and no block device"), "name an image"),
        Seen::Missing => (format!("there is no file {path}"), "put it there, or choose another"),
        Seen::NoDirectory => (format!("there is no directory for {path}"), "look at the path again"),
    };
    Err(new.refuse(reason, way_out))
}

/// virt-install would take what is there as the disk, and another guest's data with it.
fn nothing_there(new: &NewGuest, path: &std::path::Path, seen: &Seen) -> Result<(), Refusal> {
    let shown = path.display();
    let (reason, way_out) = match seen {
        Seen::Missing | Seen::Hidden(_) => return Ok(()),
        Seen::There { .. } => {
            (format!("{shown} is there already"), "choose another path, or take it as an existing disk")
        }
        Seen::NoFile => (format!("{shown} is a directory"), "name a file in it"),
        Seen::NoDirectory => (format!("there is no directory for {shown}"), "make it first"),
    };
    Err(new.refuse(reason, way_out))
}

/// Bytes in the unit that people say them in: `196 KiB`, `1.5 GiB`.
fn binary(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    let whole = tenths / 10;
    let rest = if unit == 0 || whole >= 10 { String::new() } else { format!(".{}", tenths % 10) };
    format!("{whole}{rest} {}", UNITS.get(unit).unwrap_or(&"TiB"))
}
