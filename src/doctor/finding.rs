//! PURE. What a check says: what is wrong, on what, by which evidence, why it matters and what mends it.

use serde::Serialize;

use crate::change::host::HostWant;
use crate::model::{IfName, NetworkId, NicId};

/// One thing that is wrong. Its texts are hostile: names of guests and networks are in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's id.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// On what.
    pub subject: Subject,
    /// Which of several on the same subject; empty where there can be one only.
    #[serde(skip)]
    pub part: String,
    /// In one line.
    pub title: String,
    /// What was read that shows it.
    pub evidence: Vec<Evidence>,
    /// Why this breaks traffic, in plain words.
    pub meaning: String,
    /// What mends it, the best way first.
    pub fixes: Vec<Fix>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing; nothing is broken.
    Note,
    /// Will break, or breaks some of the traffic.
    Warning,
    /// Traffic is broken now.
    Error,
}

impl Severity {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The glyph in front of it.
    #[must_use]
    pub const fn glyph(self) -> &'static str {
        match self {
            Self::Note => "•",
            Self::Warning => "▲",
            Self::Error => "✖",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "id", rename_all = "kebab-case")]
pub enum Subject {
    /// The host itself.
    Host,
    /// A link that is no bridge.
    Link(IfName),
    /// A bridge.
    Bridge(IfName),
    /// A guest's NIC.
    Nic(NicId),
    /// A libvirt network.
    Network(NetworkId),
}

/// What tells a finding from all others of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    check: &'static str,
    /// On what.
    pub subject: Subject,
    part: String,
}

/// Something that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// `libvirt`, `kernel`, `firewall`, `processes`.
    pub source: &'static str,
    /// What was read, and what was found there.
    pub text: String,
}

/// A way to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// In a few words.
    pub words: String,
    /// What virt-net can do itself; `None`: by hand.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
    /// The same by hand, as shell lines; empty where the remedy's plan has them.
    pub commands: Vec<String>,
}

impl Fix {
    /// One that virt-net carries out.
    #[must_use]
    pub fn by(words: impl Into<String>, remedy: Remedy) -> Self {
        Self { words: words.into(), remedy: Some(remedy), commands: Vec::new() }
    }

    /// One for the operator's own hands.
    #[must_use]
    pub fn by_hand(words: impl Into<String>, commands: impl IntoIterator<Item = String>) -> Self {
        Self { words: words.into(), remedy: None, commands: commands.into_iter().collect() }
    }
}

/// A change that mends something; `app::remedy` makes the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The tap goes onto the bridge that libvirt names.
    Reseat {
        /// Whose.
        nic: NicId,
    },
    /// The cable is pulled and plugged in again, so that the guest asks for an address.
    Bounce {
        /// Whose.
        nic: NicId,
    },
    /// The cable is plugged in.
    PlugCable {
        /// Whose.
        nic: NicId,
    },
    /// The running guest gets what the next boot has.
    ApplyPending {
        /// Whose.
        nic: NicId,
    },
    /// The next boot gets what the guest has now.
    DiscardPending {
        /// Whose.
        nic: NicId,
    },
    /// virtio at the next boot.
    Virtio {
        /// Whose.
        nic: NicId,
    },
    /// Into this bridge at the next boot.
    IntoBridge {
        /// Whose.
        nic: NicId,
        /// Where to.
        bridge: IfName,
    },
    /// libvirt makes the network's rules and DHCP server again.
    RepairNetwork {
        /// Its name.
        network: String,
    },
    /// The network is started.
    StartNetwork {
        /// Its name.
        network: String,
    },
    /// A shim over a NIC, so that the host reaches the guests' macvtaps on it.
    Shim {
        /// The NIC.
        over: IfName,
    },
    /// What a shim's interrupted change left is taken back.
    RepairShim {
        /// The shim.
        shim: IfName,
    },
    /// Addresses that were left on a port go to its bridge.
    MoveAddresses {
        /// The port.
        port: IfName,
        /// Its bridge.
        bridge: IfName,
    },
    /// The kernel's side of a link, a bridge or the host changes.
    Host(HostWant),
}

impl Finding {
    /// What tells it from others, whatever its figures are now.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { check: self.check, subject: self.subject.clone(), part: self.part.clone() }
    }

    /// A finding without evidence yet.
    #[must_use]
    pub fn new(check: &'static str, severity: Severity, subject: Subject, title: impl Into<String>) -> Self {
        Self {
            check,
            severity,
            subject,
            part: String::new(),
            title: title.into(),
            evidence: Vec::new(),
            meaning: String::new(),
            fixes: Vec::new(),
        }
    }

    /// What tells it from others of its check on the same subject: no figure that changes while it lasts.
    #[must_use]
    pub fn part(mut self, part: impl Into<String>) -> Self {
        self.part = part.into();
        self
    }

    /// What libvirt says.
    #[must_use]
    pub fn libvirt(self, text: impl Into<String>) -> Self {
        self.saw("libvirt", text)
    }

    /// What the kernel says.
    #[must_use]
    pub fn kernel(self, text: impl Into<String>) -> Self {
        self.saw("kernel", text)
    }

    /// What the firewall's rules say.
    #[must_use]
    pub fn firewall(self, text: impl Into<String>) -> Self {
        self.saw("firewall", text)
    }

    /// What the table of processes says.
    #[must_use]
    pub fn processes(self, text: impl Into<String>) -> Self {
        self.saw("processes", text)
    }

    fn saw(mut self, source: &'static str, text: impl Into<String>) -> Self {
        self.evidence.push(Evidence { source, text: text.into() });
        self
    }

    /// Why it matters.
    #[must_use]
    pub fn means(mut self, text: impl Into<String>) -> Self {
        self.meaning = text.into();
        self
    }

    /// What mends it.
    #[must_use]
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fixes.push(fix);
        self
    }
}
