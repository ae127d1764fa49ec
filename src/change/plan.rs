//! PURE. Want + snapshot → plan: what will be done, in which order, what it means, and how it is taken
//! back. A confirm dialog holds the plan; what is applied is what was shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::consequences;
use super::splice::{self, SpliceError};
use super::target::{self, Availability, Target, quote};
use crate::model::guest::{Definition, Guest, NicConfig};
use crate::model::ids::{IfName, NicId};
use crate::model::{MacvtapMode, Nic, Snapshot};

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
    /// Only the definition for the next boot changes.
    NextBootOnly,
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
    /// The definition for the next boot.
    NextBoot,
    /// The live definition.
    Live,
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
            Self::NextBoot => "next boot",
            Self::Live => "live",
            Self::Unplug => "unplug",
            Self::Plug => "plug",
            Self::Kernel => "kernel",
            Self::Port => "port",
            Self::Link => "link",
            Self::Address => "address",
        }
    }
}

/// An element before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// As libvirt has it.
    pub before: String,
    /// As it shall be.
    pub after: String,
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
}

/// Everything that will be done. Made by [`plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Which NIC.
    pub nic: NicId,
    /// The guest's name: hostile text.
    pub guest: String,
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
}

/// A change that is not possible. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what}: {reason}")]
pub struct Refusal {
    /// What was asked for.
    pub what: String,
    /// Why not.
    pub reason: String,
    /// What to do instead.
    pub way_out: String,
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
    let verdict =
        verdict(snapshot, nic, guest, want).map_err(|(reason, way_out)| refuse(&what, &reason, &way_out))?;
    let edit = |definition: Option<&Definition>, config: Option<&NicConfig>| {
        let Some((definition, config)) = definition.zip(config) else { return Ok(None) };
        let before = definition.xml.get(config.span.clone()).unwrap_or_default().to_owned();
        let after = edited(&before, want).map_err(|error| refuse(&what, &error.to_string(), "virsh edit"))?;
        Ok(Some(Edit { before, after }))
    };
    let next = edit(guest.next.as_ref(), nic.next.as_ref())?;
    let mut live = None;
    if verdict != Verdict::NextBootOnly {
        live = edit(guest.live.as_ref(), nic.live.as_ref())?;
    }
    let expected = live.as_ref().and(expected(snapshot, &want.target));
    let mut plan = Plan {
        nic: want.nic,
        guest: guest.name.clone(),
        from,
        to: want.target.clone(),
        structure: snapshot.structure,
        verdict,
        bounce: if verdict == Verdict::Live && !nic.config().is_some_and(|config| config.link_down) {
            want.bounce
        } else {
            Bounce::Off
        },
        steps: Vec::new(),
        live,
        next,
        expected,
        consequences: Vec::new(),
        commands: Vec::new(),
    };
    plan.steps = steps(&plan);
    plan.consequences = consequences::of(snapshot, nic, &plan);
    plan.commands = commands(&plan);
    Ok(plan)
}

fn edited(element: &str, want: &Want) -> Result<String, SpliceError> {
    let element = splice::replug(element, &want.target)?;
    match &want.model {
        Some(model) => splice::set_model(&element, model),
        None => Ok(element),
    }
}

fn verdict(snapshot: &Snapshot, nic: &Nic, guest: &Guest, want: &Want) -> Result<Verdict, (String, String)> {
    let config = nic.config();
    let current = config.and_then(|config| config.model.as_deref());
    let new_model = want.model.as_deref().is_some_and(|model| Some(model) != current);
    let availability = target::availability(snapshot, nic, &want.target);
    let refused = |reason: &str, way_out: &str| Err((reason.to_owned(), way_out.to_owned()));
    if nic.next.is_none() && (want.when == When::NextBoot || nic.live.is_none()) {
        return refused("the guest is transient: it has no next boot", "switch it now");
    }
    match availability {
        Availability::Refused { reason, way_out } => Err((reason, way_out)),
        Availability::Here if !new_model => {
            refused("it is plugged there already, now and at the next boot", "nothing to do")
        }
        _ if nic.live.is_none() => Ok(Verdict::NextBootOnly),
        _ if want.when == When::NextBoot => Ok(Verdict::NextBootOnly),
        Availability::NextBoot(reason) => Err((reason, "switch it for the next boot only".to_owned())),
        Availability::Here | Availability::Live if new_model => {
            match config.and_then(|config| target::unfit_for_replug(guest, config)) {
                Some(reason) => Err((reason, "change the model for the next boot only".to_owned())),
                None => Ok(Verdict::HotReplug),
            }
        }
        Availability::HotReplug => Ok(Verdict::HotReplug),
        Availability::Here | Availability::Live => Ok(Verdict::Live),
    }
}

fn expected(snapshot: &Snapshot, target: &Target) -> Option<Expected> {
    match target {
        Target::Bridge { bridge } => Some(Expected::OnBridge { bridge: *bridge }),
        Target::Macvtap { lower, mode } => Some(Expected::OnLink { lower: Some(*lower), mode: Some(*mode) }),
        Target::Network { network } => {
            let network = snapshot.network_named(network)?;
            if target::makes_macvtaps(network) {
                return Some(Expected::OnLink { lower: None, mode: None });
            }
            network.bridge().map(|bridge| Expected::OnBridge { bridge })
        }
    }
}

fn steps(plan: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |id, text: String| steps.push(Step { id, text });
    if plan.next.is_some() {
        step(StepId::NextBoot, format!("{} in the definition", plan.to.words()));
    }
    match plan.verdict {
        Verdict::NextBootOnly => return steps,
        Verdict::Live => step(StepId::Live, format!("move the NIC to {}", plan.to.words())),
        Verdict::HotReplug => {
            step(StepId::Unplug, "ask the guest to let go of the NIC".to_owned());
            step(StepId::Plug, format!("plug it into {}, same MAC, same slot", plan.to.words()));
        }
    }
    match plan.expected {
        Some(Expected::OnBridge { bridge }) => {
            step(StepId::Kernel, format!("the kernel has the tap on {bridge}"));
            step(StepId::Port, format!("the port of {bridge} forwards"));
        }
        Some(Expected::OnLink { lower: Some(lower), .. }) => {
            step(StepId::Kernel, format!("the kernel has the macvtap on {lower}"));
        }
        _ => step(StepId::Kernel, "the kernel has the macvtap".to_owned()),
    }
    if let Bounce::Hold(hold) = plan.bounce {
        step(StepId::Link, format!("link down {} s, then up", hold.as_secs_f32()));
    }
    step(StepId::Address, "the guest has an address".to_owned());
    steps
}

fn commands(plan: &Plan) -> Vec<String> {
    let guest = quote(&plan.guest);
    let xml = |edit: &Edit| edit.after.clone();
    let mut commands = Vec::new();
    let mut with_file = |file: &str, content: String, line: String| {
        commands.push(format!("cat >{file} <<'XML'\n{content}\nXML"));
        commands.push(line);
    };
    if let Some(next) = &plan.next {
        with_file("next.xml", xml(next), format!("virsh update-device {guest} next.xml --config"));
    }
    if let Some(live) = &plan.live {
        if plan.verdict == Verdict::HotReplug {
            let old = live.before.clone();
            with_file("old.xml", old, format!("virsh detach-device {guest} old.xml --live"));
            let new = splice::for_attach(&live.after).unwrap_or_else(|_| live.after.clone());
            let line =
                format!("virsh attach-device {guest} new.xml --live   # when virsh domiflist shows it gone");
            with_file("new.xml", new, line);
        } else {
            with_file("live.xml", xml(live), format!("virsh update-device {guest} live.xml --live"));
        }
    }
    if let Bounce::Hold(hold) = plan.bounce {
        let mac = plan.nic.mac;
        commands.push(format!("virsh domif-setlink {guest} {mac} down"));
        commands.push(format!("sleep {}", hold.as_secs_f32()));
        commands.push(format!("virsh domif-setlink {guest} {mac} up"));
    }
    commands
}
