//! PURE. Want + snapshot → plan: what will be done, in which order, what it means, and how it is taken
//! back. A confirm dialog holds the plan; what is applied is what was shown.

mod steps;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::consequences;
use super::models;
use super::splice::{self, SpliceError};
use super::target::{self, Availability, Target};
use crate::model::Timestamp;
use crate::model::guest::{Definition, DomainState, Guest, NicConfig};
use crate::model::ids::{IfName, NicId};
use crate::model::{MacvtapMode, Nic, NicSource, PciAddress, Snapshot};

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Which NIC.
    pub nic: NicId,
    /// Where to.
    pub target: Target,
    /// Another model than it has.
    pub model: Option<String>,
    /// When.
    pub when: When,
    /// Whether the guest's cable is pulled for a moment.
    pub bounce: Bounce,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Now, and the next boot has it too.
    NowAndNextBoot,
    /// The running guest is left alone.
    NextBoot,
}

/// The link bounce after a live switch: without it the guest has no reason to ask for a new address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bounce {
    /// The link stays up; the guest keeps its old address until it asks by itself.
    Off,
    /// Down for this long. NetworkManager ignores less than about five seconds.
    Hold(Duration),
}

impl Default for Bounce {
    fn default() -> Self {
        Self::Hold(Duration::from_secs(6))
    }
}

/// How the change is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The tap is moved; the guest keeps its device.
    Live,
    /// The device is unplugged and plugged in again with the same MAC and slot.
    HotReplug,
    /// A device that is not there now is plugged in.
    Plug,
    /// The device is unplugged for good.
    Unplug,
    /// Only the definition for the next boot changes.
    NextBootOnly,
    /// libvirt's definition is right: the kernel gets the tap onto the bridge it says.
    Reseat,
    /// The cable is pulled for a moment; nothing else changes.
    Bounce,
    /// The definition for the next boot changes, and the guest is shut down and started.
    Restart,
}

/// One step, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Which.
    pub id: StepId,
    /// What is done, in words.
    pub text: String,
}

/// The kinds of steps; each occurs once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepId {
    /// What the change needs is looked at.
    Check,
    /// virt-install makes the guest.
    Install,
    /// The definition for the next boot.
    NextBoot,
    /// The guest is shut down.
    Shutdown,
    /// The guest is started.
    Start,
    /// The guest is in another state.
    Guest,
    /// The live definition.
    Live,
    /// The kernel's side of the cable.
    Tap,
    /// The guest is asked to let go of the device.
    Unplug,
    /// The device is plugged in again.
    Plug,
    /// The kernel has it where it should be.
    Kernel,
    /// The bridge's port forwards.
    Port,
    /// The link goes down and up.
    Link,
    /// The guest has an address.
    Address,
}

impl StepId {
    /// The word in the list of steps.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Install => "install",
            Self::NextBoot => "next boot",
            Self::Shutdown => "shutdown",
            Self::Start => "start",
            Self::Guest => "guest",
            Self::Live => "live",
            Self::Tap => "tap",
            Self::Unplug => "unplug",
            Self::Plug => "plug",
            Self::Kernel => "kernel",
            Self::Port => "port",
            Self::Link => "link",
            Self::Address => "address",
        }
    }
}

/// An element before and after; an empty text is a NIC that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// As libvirt has it.
    pub before: String,
    /// As it shall be.
    pub after: String,
}

impl Edit {
    /// Of texts that need not be there.
    #[must_use]
    pub fn of(before: Option<&str>, after: Option<&str>) -> Self {
        Self { before: before.unwrap_or_default().to_owned(), after: after.unwrap_or_default().to_owned() }
    }

    /// `None` when nothing would change.
    pub(super) fn between(before: impl Into<String>, after: impl Into<String>) -> Option<Self> {
        let (before, after) = (before.into(), after.into());
        (before != after).then_some(Self { before, after })
    }
}

/// Where the kernel must have the NIC's link in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Expected {
    /// A tap on this bridge.
    OnBridge {
        /// The bridge.
        bridge: IfName,
    },
    /// A macvtap on this link.
    OnLink {
        /// The link below; `None` for a pool, where libvirt chooses.
        lower: Option<IfName>,
        /// Its mode; `None` for a pool.
        mode: Option<MacvtapMode>,
    },
    /// A device of the host that is with the guest: its driver is `vfio-pci`.
    Given {
        /// The device; `None` for a pool, where libvirt chooses.
        device: Option<PciAddress>,
    },
}

/// Everything that will be done. Made by [`plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which NIC.
    pub nic: NicId,
    /// The guest's name: hostile text.
    pub guest: String,
    /// What is done to the NIC, in a few words (`network default → bridge virbr1`); hostile text.
    #[serde(default)]
    pub title: String,
    /// Where the NIC was plugged when the plan was made.
    pub from: Target,
    /// Where it goes.
    pub to: Target,
    /// `Snapshot::structure` that the plan was made from.
    pub structure: u64,
    /// How.
    pub verdict: Verdict,
    /// Link bounce after a live switch.
    pub bounce: Bounce,
    /// In order.
    pub steps: Vec<Step>,
    /// The live element; `None` when the guest is off or left alone.
    pub live: Option<Edit>,
    /// The element of the next boot; `None` for a transient guest.
    pub next: Option<Edit>,
    /// Where the kernel must have it; `None` when nothing happens now.
    pub expected: Option<Expected>,
    /// What the guest and the people on it will notice.
    pub consequences: Vec<String>,
    /// The same with virsh, as shell lines to read.
    pub commands: Vec<String>,
    /// Which plans were carried out together with it; an undo takes all of them back.
    #[serde(default)]
    pub group: Option<u64>,
    /// What this takes back: [`Record::begun`](super::journal::Record::begun) of a record of the same NIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Timestamp>,
}

/// A change that is not possible. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize)]
#[error("{what}: {reason}")]
pub struct Refusal {
    /// What was asked for.
    pub what: String,
    /// Why not.
    pub reason: String,
    /// What to do instead.
    pub way_out: String,
}

/// Plans one change, or says why not.
pub(in crate::change) trait Planning {
    /// What was asked for, in words.
    fn what(&self) -> &str;

    /// Ends in a refusal of it.
    fn refuse<T>(&self, reason: impl Into<String>, way_out: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal { what: self.what().to_owned(), reason: reason.into(), way_out: way_out.into() })
    }
}

/// Makes the plan.
///
/// # Errors
/// A [`Refusal`] with the reason and the way out.
pub fn plan(snapshot: &Snapshot, want: &Want) -> Result<Plan, Refusal> {
    let refuse = |what: &str, reason: &str, way_out: &str| Refusal {
        what: what.to_owned(),
        reason: reason.to_owned(),
        way_out: way_out.to_owned(),
    };
    let missing = || refuse("switch the NIC", "it is not there any more", "look again");
    let nic = snapshot.nic(want.nic).ok_or_else(missing)?;
    let guest = snapshot.guest(want.nic.domain).ok_or_else(missing)?;
    let what = format!("plug {} {} into {}", guest.name, nic.id.mac, want.target.words());
    let from = nic
        .source()
        .and_then(Target::of)
        .ok_or_else(|| refuse(&what, "its kind is not re-plugged", "virsh edit"))?;
    if let Some((reason, way_out)) = unknown_model(snapshot, want) {
        return Err(refuse(&what, &reason, &way_out));
    }
    let there = |config: &NicConfig| want.target.is(&config.source) && !has_other_model(config, want);
    let change_live = want.when == When::NowAndNextBoot && nic.live.as_ref().is_some_and(|nic| !there(nic));
    let change_next = nic.next.as_ref().is_some_and(|nic| !there(nic));
    let verdict = verdict(snapshot, nic, guest, want, change_live);
    let verdict = verdict.map_err(|(reason, way_out)| refuse(&what, &reason, &way_out))?;
    if !change_live && !change_next {
        let (reason, way_out) = nothing_to_do(nic, want);
        return Err(refuse(&what, &reason, &way_out));
    }
    let edit = |definition: Option<&Definition>, config: Option<&NicConfig>| {
        let before = definition.zip(config).map(|(definition, config)| definition.element(config));
        let Some(before) = before else { return Ok(None) };
        let after = edited(before, want).map_err(|error| refuse(&what, &error.to_string(), "virsh edit"))?;
        Ok(Edit::between(before, after))
    };
    let next = edit(guest.next.as_ref().filter(|_| change_next), nic.next.as_ref())?;
    let live = edit(guest.live.as_ref().filter(|_| change_live), nic.live.as_ref())?;
    let mut plan = Plan {
        nic: want.nic,
        guest: guest.name.clone(),
        title: format!("{} → {}", from.words(), want.target.words()),
        to: want.target.clone(),
        structure: snapshot.structure,
        verdict,
        bounce: if target::are_one_bridge(snapshot, &from, &want.target) {
            Bounce::Off
        } else {
            bounce(nic, verdict, want.bounce)
        },
        from,
        steps: Vec::new(),
        expected: live.as_ref().and(expected(snapshot, &want.target)),
        live,
        next,
        consequences: Vec::new(),
        commands: Vec::new(),
        group: None,
        undoes: None,
    };
    plan.consequences = consequences::of(snapshot, nic, &plan);
    Ok(plan.complete())
}

impl Plan {
    /// The same change of a running guest, done by shutting it down and starting it: what its next boot
    /// has takes effect, whatever cannot be changed while it runs.
    ///
    /// # Errors
    /// The plan changes the running guest already, or the guest cannot be asked to shut down.
    pub fn by_restart(mut self, snapshot: &Snapshot) -> Result<Self, Refusal> {
        let refuse = |reason: &str, way_out: &str| Refusal {
            what: format!("restart {} for {}", self.guest, self.title),
            reason: reason.to_owned(),
            way_out: way_out.to_owned(),
        };
        let state = snapshot.guest(self.nic.domain).map(|guest| guest.state);
        if state != Some(DomainState::Running) || self.next.is_none() {
            return Err(refuse("the guest does not run, or has no next boot", "switch it without a restart"));
        }
        if self.verdict != Verdict::NextBootOnly {
            return Err(refuse("it can be done while the guest runs", "switch it without a restart"));
        }
        self.verdict = Verdict::Restart;
        self.expected = expected(snapshot, &self.to);
        let headline = "Restart. The guest is shut down and started: everything in it stops for that time.";
        self.consequences.retain(|sentence| !sentence.starts_with("Next boot only."));
        self.consequences.insert(0, headline.to_owned());
        Ok(self.complete())
    }

    /// Fills in what follows from the rest: the steps and the commands.
    pub(super) fn complete(mut self) -> Self {
        self.steps = steps::of(&self);
        self.commands = steps::commands(&self);
        self
    }

    /// Whether this step is part of it.
    #[must_use]
    pub fn has(&self, id: StepId) -> bool {
        self.steps.iter().any(|step| step.id == id)
    }

    /// The device of the host that a guest gets by it, now or at its next boot.
    #[must_use]
    pub fn takes_device(&self) -> Option<PciAddress> {
        let Target::Pci { device } = self.to else { return None };
        let comes = |edit: &Edit| edit.before.is_empty() && !edit.after.is_empty();
        (self.moves() || self.live.iter().chain(&self.next).any(comes)).then_some(device)
    }

    /// Whether the guest sees the NIC's cable pulled afterwards: it gets no address then.
    #[must_use]
    pub fn leaves_cable_pulled(&self) -> bool {
        let pulled = |edit: &Edit| NicConfig::parse(&edit.after).is_ok_and(|nic| nic.link_down);
        self.live.as_ref().is_some_and(pulled)
    }

    /// Whether the NIC goes somewhere else.
    #[must_use]
    pub fn moves(&self) -> bool {
        self.from != self.to
    }
}

/// How a running guest's NIC gets from one definition to another: libvirt moves a tap live, but neither
/// makes a macvtap of it nor changes what the guest sees of the device, nor anything of a device of the host.
pub(super) fn live_verdict(snapshot: &Snapshot, now: &NicConfig, then: &NicConfig) -> Verdict {
    let device = |nic: &NicConfig| (nic.model.clone(), nic.mtu, nic.queues, nic.boot_order);
    let macvtap = |nic: &NicConfig| target::on_macvtap_source(snapshot, nic);
    let given = |nic: &NicConfig| matches!(nic.source, NicSource::Hostdev { .. });
    if given(now) || given(then) {
        return Verdict::HotReplug;
    }
    let moves = !now.source.same_plug(&then.source);
    if device(now) != device(then) || (moves && (macvtap(now) || macvtap(then))) {
        return Verdict::HotReplug;
    }
    Verdict::Live
}

/// A bounce makes sense only for a guest that keeps its device, with its cable plugged.
pub(super) fn bounce(nic: &Nic, verdict: Verdict, wanted: Bounce) -> Bounce {
    let pulled = nic.config().is_some_and(|config| config.link_down);
    if verdict == Verdict::Live && !pulled { wanted } else { Bounce::Off }
}

fn edited(element: &str, want: &Want) -> Result<String, SpliceError> {
    let element = splice::replug(element, &want.target)?;
    match &want.model {
        Some(model) => splice::set_model(&element, model),
        None => Ok(element),
    }
}

fn unknown_model(snapshot: &Snapshot, want: &Want) -> Option<(String, String)> {
    models::unknown(snapshot, want.nic.domain, want.model.as_deref()?)
}

fn has_other_model(config: &NicConfig, want: &Want) -> bool {
    want.model.as_deref().is_some_and(|model| config.model.as_deref() != Some(model))
}

/// Why a want that changes nothing is refused: done already, or there is nothing that could be changed.
fn nothing_to_do(nic: &Nic, want: &Want) -> (String, String) {
    let text = |reason: &str, way_out: &str| (reason.to_owned(), way_out.to_owned());
    if want.when == When::NextBoot && nic.next.is_none() {
        return text("the next boot does not have this NIC", "switch it now");
    }
    if nic.drifted() {
        let has = nic.bridge.map_or_else(|| "no bridge".to_owned(), |bridge| bridge.to_string());
        let way_out = "plug the tap in again: virt-net nic reseat";
        return (
            format!("libvirt has it there already, but the kernel has its tap on {has}"),
            way_out.to_owned(),
        );
    }
    text("it is plugged there already", "nothing to do")
}

fn verdict(
    snapshot: &Snapshot,
    nic: &Nic,
    guest: &Guest,
    want: &Want,
    change_live: bool,
) -> Result<Verdict, (String, String)> {
    let availability = target::availability(snapshot, nic, &want.target);
    if let Availability::Refused { reason, way_out } = availability {
        return Err((reason, way_out));
    }
    let Some(live) = nic.live.as_ref().filter(|_| change_live) else { return Ok(Verdict::NextBootOnly) };
    let replug = match availability {
        Availability::NextBoot(reason) => {
            return Err((reason, "switch it for the next boot only".to_owned()));
        }
        Availability::HotReplug => true,
        _ => has_other_model(live, want),
    };
    if !replug {
        return Ok(Verdict::Live);
    }
    match target::unfit_for_replug(guest, live) {
        Some(reason) => Err((reason, "change it for the next boot only".to_owned())),
        None => Ok(Verdict::HotReplug),
    }
}

pub(super) fn expected(snapshot: &Snapshot, target: &Target) -> Option<Expected> {
    match target {
        Target::Bridge { bridge } => Some(Expected::OnBridge { bridge: *bridge }),
        Target::Macvtap { lower, mode } => Some(Expected::OnLink { lower: Some(*lower), mode: Some(*mode) }),
        Target::Pci { device } => Some(Expected::Given { device: Some(*device) }),
        Target::Network { network } => {
            let network = snapshot.network_named(network)?;
            if target::makes_macvtaps(network) {
                return Some(Expected::OnLink { lower: None, mode: None });
            }
            if network.is_pool() {
                return Some(Expected::Given { device: None });
            }
            network.bridge().map(|bridge| Expected::OnBridge { bridge })
        }
    }
}
