//! PURE. Guest power: start, shut down, reboot, …, as plans of the same shape, with what they mean for the
//! guest's network.

use serde::{Deserialize, Serialize};

use super::device;
use super::plan::{Refusal, Step, StepId};
use super::target::{self, Target, quote};
use crate::model::guest::{DomainState, Guest};
use crate::model::ids::DomainId;
use crate::model::{Nic, Snapshot};

/// What is done to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// From off to running.
    Start,
    /// It is asked to shut down.
    Shutdown,
    /// It is asked to reboot; its emulator stays.
    Reboot,
    /// Its reset button.
    Reset,
    /// Its plug.
    ForceOff,
    /// Its processors stop.
    Pause,
    /// Its processors go on.
    Resume,
    /// It starts with the host.
    AutostartOn,
    /// It does not start with the host.
    AutostartOff,
}

impl Power {
    /// What is done, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Shutdown => "shut down",
            Self::Reboot => "reboot",
            Self::Reset => "reset",
            Self::ForceOff => "force off",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::AutostartOn => "start with the host",
            Self::AutostartOff => "do not start with the host",
        }
    }

    const fn command(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Shutdown => "shutdown",
            Self::Reboot => "reboot",
            Self::Reset => "reset",
            Self::ForceOff => "destroy",
            Self::Pause => "suspend",
            Self::Resume => "resume",
            Self::AutostartOn => "autostart",
            Self::AutostartOff => "autostart --disable",
        }
    }

    /// Whether it makes sense for a guest in this state.
    const fn fits(self, state: DomainState) -> bool {
        match self {
            Self::Start => !state.is_active(),
            Self::Shutdown | Self::Reboot | Self::Pause => matches!(state, DomainState::Running),
            Self::Reset | Self::ForceOff => state.is_active(),
            Self::Resume => matches!(state, DomainState::Paused),
            Self::AutostartOn | Self::AutostartOff => true,
        }
    }
}

/// What will be done to a guest. Made by [`plan`]; applied as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerPlan {
    /// The guest.
    pub guest: DomainId,
    /// Its name: hostile text.
    pub name: String,
    /// What.
    pub power: Power,
    /// The state it was in when the plan was made.
    pub state: DomainState,
    /// In order.
    pub steps: Vec<Step>,
    /// What it means, in sentences.
    pub consequences: Vec<String>,
    /// The same with virsh.
    pub commands: Vec<String>,
}

/// Makes the plan.
///
/// # Errors
/// The guest is not in a state for it, or could not start with the networks it has.
pub fn plan(snapshot: &Snapshot, id: DomainId, power: Power) -> Result<PowerPlan, Refusal> {
    let refuse = |name: &str, reason: String, way_out: String| Refusal {
        what: format!("{} {name}", power.words()),
        reason,
        way_out,
    };
    let guest = snapshot
        .guest(id)
        .ok_or_else(|| refuse("the guest", "it is not there any more".to_owned(), "look again".to_owned()))?;
    let refuse = |reason: String, way_out: String| refuse(&guest.name, reason, way_out);
    if !power.fits(guest.state) {
        let way_out =
            if guest.state.is_active() { "virt-net guest shutdown" } else { "virt-net guest start" };
        return Err(refuse(format!("the guest is {}", guest.state.word()), way_out.to_owned()));
    }
    let autostart = matches!(power, Power::AutostartOn | Power::AutostartOff);
    if autostart && !guest.persistent {
        return Err(refuse("a transient guest has no autostart".to_owned(), "define it first".to_owned()));
    }
    if autostart && guest.autostart == (power == Power::AutostartOn) {
        return Err(refuse("it is so already".to_owned(), "nothing to do".to_owned()));
    }
    if power == Power::Start
        && let Some((nic, reason, way_out)) = blocked_nic(snapshot, guest)
    {
        return Err(refuse(format!("its NIC {nic} cannot be plugged in: {reason}"), way_out));
    }
    let step = match power {
        Power::Start => StepId::Start,
        Power::Shutdown => StepId::Shutdown,
        _ => StepId::Guest,
    };
    let mut steps = vec![Step { id: step, text: step_text(power).to_owned() }];
    if power == Power::Start {
        let text = "the kernel has every tap and macvtap where its definition says".to_owned();
        steps.push(Step { id: StepId::Kernel, text });
    }
    Ok(PowerPlan {
        guest: id,
        name: guest.name.clone(),
        power,
        state: guest.state,
        steps,
        consequences: consequences(snapshot, guest, power),
        commands: vec![format!("virsh {} {}", power.command(), quote(&guest.name))],
    })
}

const fn step_text(power: Power) -> &'static str {
    match power {
        Power::Start => "libvirt starts it",
        Power::Shutdown => "ask it to shut down, and wait until it is off",
        Power::Reboot => "ask it to reboot",
        Power::Reset => "press its reset button",
        Power::ForceOff => "pull its plug, and see that it is off",
        Power::Pause => "stop its processors",
        Power::Resume => "let its processors go on",
        Power::AutostartOn | Power::AutostartOff => "libvirt notes it",
    }
}

/// The first NIC that would keep the guest from starting.
fn blocked_nic(snapshot: &Snapshot, guest: &Guest) -> Option<(String, String, String)> {
    let nics = snapshot.nics.iter().filter(|nic| nic.id.domain == guest.id);
    nics.filter_map(|nic| Some((nic, Target::of(&nic.next.as_ref()?.source)?))).find_map(|(nic, target)| {
        // A network's own bridge by name works for libvirt, whatever we would offer instead.
        if let Target::Bridge { bridge } = &target
            && snapshot.bridge_named(*bridge).is_some()
        {
            return None;
        }
        // Of a device libvirt itself says what is missing; only what the host would lose it does not know.
        if let Target::Pci { device } = target {
            let (reason, way_out) = device::lost_by_host(snapshot, device)?;
            return Some((nic.mac_text(), format!("{}: {reason}", target.words()), way_out));
        }
        let (reason, way_out) = target::obstacle(snapshot, &target, None)?;
        Some((nic.id.mac.to_string(), format!("{}: {reason}", target.words()), way_out))
    })
}

fn consequences(snapshot: &Snapshot, guest: &Guest, power: Power) -> Vec<String> {
    let mut sentences = vec![match power {
        Power::Start => "The guest starts with its NICs where the next boot has them.".to_owned(),
        Power::Shutdown => "The guest is asked to shut down; it may take its time, or not follow.".to_owned(),
        Power::Reboot => {
            "The guest is asked to reboot. Its emulator stays, so nothing pending takes effect.".to_owned()
        }
        Power::Reset => "Like its reset button: what it has not written is lost.".to_owned(),
        Power::ForceOff => "Like pulling its plug: what it has not written is lost.".to_owned(),
        Power::Pause => "The guest stands still; its connections time out.".to_owned(),
        Power::Resume => "The guest goes on where it stood.".to_owned(),
        Power::AutostartOn => "The guest starts whenever the host's libvirt does.".to_owned(),
        Power::AutostartOff => "The guest stays off until somebody starts it.".to_owned(),
    }];
    let nics = || snapshot.nics.iter().filter(|nic| nic.id.domain == guest.id);
    let place = |nic: &Nic| nic.next.as_ref().and_then(|next| Target::of(&next.source)).map(|to| to.words());
    match power {
        Power::Start => {
            sentences.extend(nics().filter_map(|nic| Some(format!("{} on {}", nic.id.mac, place(nic)?))));
        }
        Power::Shutdown | Power::ForceOff => {
            if !guest.persistent {
                sentences.push("it is transient: when it is off its definition is gone".to_owned());
            }
            sentences.extend(nics().filter(|nic| nic.pending).filter_map(|nic| {
                Some(format!("when it is started again {} is on {}", nic.id.mac, place(nic)?))
            }));
        }
        _ => {}
    }
    sentences
}
