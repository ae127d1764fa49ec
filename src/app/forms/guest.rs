//! PURE. The form of a new guest on a chosen network: below it the very call of virt-install.
//!
//! ```text
//!  name       web02           installs  ◂ from the network (PXE) ▸
//!  disk       ◂ a new one ▸   size 20   plug into  ◂ bridge virbr1 ▸
//! ```

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::{Field, Form, Shown, choice, refusal, text};
use crate::app::RowId;
use crate::app::job::{Job, Planned};
use crate::app::rows::stack;
use crate::change::Refusal;
use crate::change::models;
use crate::change::new_guest::{self, Boot, Disk, Graphics, NewGuest};
use crate::change::target::{self, Target};
use crate::model::{IfName, NetworkId, NicId, Snapshot};

/// What the new guest is to be on: the row that the form was opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// This network.
    Network(NetworkId),
    /// This bridge of the host.
    Bridge(IfName),
    /// Wherever this NIC is.
    Like(NicId),
    /// Nothing was chosen.
    Anything,
}

impl On {
    /// Where a row says that a new guest goes; anywhere, where a row says nothing that could be done.
    #[must_use]
    pub fn of(snapshot: &Snapshot, row: Option<&RowId>) -> Self {
        let of_bridge = |name: IfName| {
            let network = snapshot.bridge_named(name).and_then(|bridge| snapshot.network(bridge.network?));
            // A network's own bridge is entered by the network's name.
            let owner = network.filter(|network| network.owns_bridge());
            owner.map_or(Self::Bridge(name), |network| Self::Network(network.id))
        };
        let like = |nic: NicId| {
            let target = Self::Like(nic).target(snapshot);
            let open = target.is_some_and(|target| target::places(snapshot).contains(&target));
            if open { Self::Like(nic) } else { Self::Anything }
        };
        match row {
            Some(RowId::Network(id)) => Self::Network(*id),
            Some(RowId::Bridge(name)) => of_bridge(*name),
            Some(RowId::Port(bridge, port)) => {
                let owner = snapshot.bridge_named(*bridge);
                let found = owner.and_then(|bridge| bridge.ports.iter().find(|other| other.name == *port));
                found.and_then(|port| port.nic).map_or_else(|| of_bridge(*bridge), like)
            }
            Some(RowId::Nic(id)) => like(*id),
            Some(RowId::Upper(lower, name)) => {
                stack::nic(snapshot, *lower, *name).map_or(Self::Anything, |nic| like(nic.id))
            }
            Some(RowId::Lower(_) | RowId::Rule(..)) | None => Self::Anything,
        }
    }

    /// The line of the menu.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Network(_) => "new guest on this network",
            Self::Bridge(_) => "new guest on this bridge",
            Self::Like(_) => "new guest where this one is",
            Self::Anything => "new guest",
        }
    }

    /// Why nothing can be plugged in there.
    #[must_use]
    pub fn obstacle(self, snapshot: &Snapshot) -> Option<String> {
        let (reason, _) = target::obstacle(snapshot, &self.target(snapshot)?, None)?;
        Some(reason)
    }

    fn target(self, snapshot: &Snapshot) -> Option<Target> {
        match self {
            Self::Network(id) => {
                let network = snapshot.network(id)?.name.clone();
                Some(Target::Network { network })
            }
            Self::Bridge(bridge) => Some(Target::Bridge { bridge }),
            Self::Like(nic) => Target::of(snapshot.nic(nic)?.source()?),
            Self::Anything => None,
        }
    }
}

const BOOTS: [&str; 4] = [
    "from the network (PXE)",
    "from an ISO image",
    "nothing: import its disk",
    "nothing: cloud image on its disk",
];
const DISKS: [&str; 3] = ["a new one", "one that is there", "none"];
const NEW: usize = 0;
const EXISTING: usize = 1;
const SCREENS: [&str; 3] = ["VNC on 127.0.0.1", "VNC on 0.0.0.0 (everybody)", "none: serial console only"];
const KINDS: [(&str, Option<&str>); 3] =
    [("virt-install's choice", None), ("kvm", Some("kvm")), ("qemu (slow)", Some("qemu"))];

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn fields(snapshot: &Snapshot, on: On) -> Vec<Field> {
    let places = target::places(snapshot);
    let wanted = on.target(snapshot);
    let at = wanted.and_then(|wanted| places.iter().position(|place| *place == wanted)).unwrap_or(0);
    let kinds: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
    vec![
        text("name", "name", "", "letters, digits, - _ . +"),
        choice("to", "plug into", places.iter().map(Target::words).collect(), at),
        choice("model", "NIC model", models::common(snapshot), 0),
        choice("boot", "installs", words(&BOOTS), 0),
        text("iso", "ISO image", "", "whole path"),
        choice("disk", "disk", words(&DISKS), NEW),
        text("path", "its path", "", ""),
        text("size", "its size", "20", "GiB"),
        text("memory", "memory", "2048", "MiB"),
        text("vcpus", "processors", "2", ""),
        choice("graphics", "screen", words(&SCREENS), 0),
        text("os", "system", "", "by osinfo-query os; empty: guessed"),
        choice("kind", "runs by", words(&kinds), 0),
    ]
}

/// Fields that mean something with the others as they are.
pub(super) fn arrange(form: &mut Form) {
    let shown = |is: bool| if is { Shown::Yes } else { Shown::No };
    let (boot, disk) = (form.at("boot"), form.at("disk"));
    form.show("iso", shown(boot == 1));
    form.show("path", shown(disk == NEW || disk == EXISTING));
    form.show("size", shown(disk == NEW));
    let hint = if disk == NEW { "empty: in libvirt's default pool" } else { "whole path" };
    if let Some(path) = form.fields.iter_mut().find(|field| field.id == "path") {
        path.hint = hint;
    }
}

/// Whoever imports has a disk: the choice follows the boot that was just chosen.
pub(super) fn follow_boot(form: &mut Form) {
    if form.at("boot") >= 2
        && let Some(field) = form.fields.iter_mut().find(|field| field.id == "disk")
        && let super::Value::Choice { at, .. } = &mut field.value
    {
        *at = EXISTING;
    }
}

fn wanted(form: &Form, snapshot: &Snapshot) -> Result<NewGuest, Refusal> {
    let said = form.get("to");
    let network = target::places(snapshot).into_iter().find(|place| place.words() == said);
    let path = PathBuf::from(form.get("path"));
    let disk = match form.at("disk") {
        NEW => Disk::New {
            path: Some(path).filter(|path| !path.as_os_str().is_empty()),
            size: form.parsed("size", "GiB as 20")?.unwrap_or(20),
        },
        EXISTING => Disk::Existing(path),
        _ => Disk::Diskless,
    };
    let boot = match form.at("boot") {
        0 => Boot::Pxe,
        1 => Boot::Iso(PathBuf::from(form.get("iso"))),
        2 => Boot::Import,
        _ => Boot::CloudImage,
    };
    let graphics = match form.at("graphics") {
        0 => Graphics::Vnc(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        1 => Graphics::Vnc(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        _ => Graphics::None,
    };
    let none = || match said {
        "" => refusal("", "there is nothing to plug it into", "start a network or make a bridge"),
        said => refusal("", format!("{said} is not open any more"), "choose another place"),
    };
    Ok(NewGuest {
        name: form.get("name").to_owned(),
        memory: form.parsed("memory", "MiB as 2048")?.unwrap_or(2048),
        vcpus: form.parsed("vcpus", "a number as 2")?.unwrap_or(1),
        disk,
        network: network.ok_or_else(none)?,
        model: form.get("model").to_owned(),
        boot,
        graphics,
        virt_type: KINDS.get(form.at("kind")).and_then(|(_, kind)| kind.map(str::to_owned)),
        os: Some(form.get("os").to_owned()).filter(|os| !os.is_empty()),
    })
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot) -> Planned {
    let new = wanted(form, snapshot)?;
    new_guest::plan(snapshot, &new, form.evidence.as_deref()).map(Job::from)
}

/// What is to be looked at for the preview; `None` while the fields make no guest.
pub(super) fn question(form: &Form, snapshot: &Snapshot) -> Option<new_guest::Question> {
    Some(new_guest::Question::of(snapshot, &wanted(form, snapshot).ok()?))
}
