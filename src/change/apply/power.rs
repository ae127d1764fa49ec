//! WRITES. Guest power: asks libvirt, then waits until the guest's state says that it is so.

use std::time::{Duration, Instant};

use super::course::millis;
use super::kernel;
use super::trouble::Trouble;
use super::writer::Writer;
use super::{Outcome, Progress, StepState, Tell, Tools};
use crate::change::plan::{Refusal, StepId};
use crate::change::power::{Power, PowerPlan};
use crate::model::guest::{Definition, DomainState};
use crate::source::libvirt::{GuestHandle, LibvirtError, Scope};

/// How long a guest may take to shut down.
const SHUTDOWN: Duration = Duration::from_secs(120);
/// How long libvirt may take for what it does by itself.
const STATE: Duration = Duration::from_secs(15);

/// Applies the plan.
pub async fn run(plan: &PowerPlan, tools: &Tools, tell: &Tell) -> Outcome {
    let refused = |reason: String, way_out: &str| {
        let what = format!("{} {}", plan.power.words(), plan.name);
        Outcome::Refused(Refusal { what, reason, way_out: way_out.to_owned() })
    };
    let lock = match tools.journal.lock(plan.guest) {
        Ok(lock) => lock,
        Err(error) => return refused(error.to_string(), "wait for it"),
    };
    let mut writer = Writer::new(&tools.uri, plan.guest, tell);
    match state(&mut writer).await {
        Ok(now) if now == plan.state => {}
        Ok(now) => return refused(format!("the guest is {} now", now.word()), "look at a fresh preview"),
        Err(trouble) => return refused(trouble.to_string(), "look at a fresh preview"),
    }
    let outcome = carry_out(plan, &mut writer, tell).await;
    drop(lock);
    outcome
}

async fn carry_out(plan: &PowerPlan, writer: &mut Writer, tell: &Tell) -> Outcome {
    for step in &plan.steps {
        let begun = Instant::now();
        let told = |state| drop(tell.send(Progress { step: step.id, state }));
        told(StepState::Running);
        writer.step = Some(step.id);
        match do_step(plan, step.id, writer).await {
            Ok(((), proof)) => told(StepState::Done { proof, millis: millis(begun) }),
            Err(trouble) => {
                let why = trouble.to_string();
                told(StepState::Failed { reason: why.clone() });
                let state = match state(writer).await {
                    Ok(state) => format!("the guest is {}", state.word()),
                    Err(trouble) => format!("not known: {trouble}"),
                };
                return Outcome::Failed { why, state };
            }
        }
    }
    Outcome::Verified { address: None }
}

async fn do_step(plan: &PowerPlan, step: StepId, writer: &mut Writer) -> Result<((), String), Trouble> {
    if step == StepId::Kernel {
        return plugged(writer).await;
    }
    match plan.power {
        Power::Start => start(writer).await,
        Power::Shutdown => shut_down(writer).await,
        Power::Reboot => {
            writer.call(GuestHandle::reboot).await?;
            Ok(((), "asked; whether it follows is its own affair".to_owned()))
        }
        Power::Reset => {
            writer.call(GuestHandle::reset).await?;
            Ok(((), "reset by the emulator".to_owned()))
        }
        Power::ForceOff => {
            force_off(writer).await?;
            Ok(((), "off".to_owned()))
        }
        Power::Pause => reach(writer, GuestHandle::pause, DomainState::Paused, STATE).await,
        Power::Resume => reach(writer, GuestHandle::resume, DomainState::Running, STATE).await,
        Power::AutostartOn => autostart(writer, GuestHandle::enable_autostart, "starts with the host").await,
        Power::AutostartOff => {
            autostart(writer, GuestHandle::disable_autostart, "does not start with the host").await
        }
    }
}

/// What the guest does now; a transient guest that is gone is off.
pub(super) async fn state(writer: &mut Writer) -> Result<DomainState, Trouble> {
    match writer.read(GuestHandle::state).await {
        Err(trouble) if trouble.is_gone() => Ok(DomainState::Off),
        result => result,
    }
}

/// Starts a guest that is off.
pub(super) async fn start(writer: &mut Writer) -> Result<((), String), Trouble> {
    reach(writer, GuestHandle::start, DomainState::Running, STATE).await
}

/// Asks a guest to shut down and waits until it is off.
pub(super) async fn shut_down(writer: &mut Writer) -> Result<((), String), Trouble> {
    let patience = SHUTDOWN;
    #[cfg(debug_assertions)]
    let patience = super::pause::shutdown(patience);
    writer.waiting(format!("asked to shut down; up to {} s", patience.as_secs()));
    reach(writer, GuestHandle::shutdown, DomainState::Off, patience).await
}

/// Pulls the plug.
pub(super) async fn force_off(writer: &mut Writer) -> Result<(), Trouble> {
    reach(writer, GuestHandle::force_off, DomainState::Off, STATE).await.map(drop)
}

/// Asks for a state and waits for it. When the answer is lost, the state decides.
async fn reach(
    writer: &mut Writer,
    ask: fn(&GuestHandle) -> Result<(), LibvirtError>,
    wanted: DomainState,
    deadline: Duration,
) -> Result<((), String), Trouble> {
    let begun = Instant::now();
    match writer.call(ask).await {
        Err(trouble) if trouble.is_transient() => {
            if state(writer).await? != wanted {
                writer.call(ask).await?;
            }
        }
        result => result?,
    }
    loop {
        let now = state(writer).await?;
        if now == wanted {
            return Ok(((), wanted.word().to_owned()));
        }
        if begun.elapsed() > deadline {
            let seconds = deadline.as_secs();
            return Err(Trouble::Changed(format!("after {seconds} s the guest is {}", now.word())));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn autostart(
    writer: &mut Writer,
    ask: fn(&GuestHandle) -> Result<(), LibvirtError>,
    proof: &str,
) -> Result<((), String), Trouble> {
    writer.call(ask).await?;
    Ok(((), proof.to_owned()))
}

/// Every NIC of a guest that was just started is where its live definition says.
async fn plugged(writer: &mut Writer) -> Result<((), String), Trouble> {
    let xml = writer.read(|guest| guest.xml(Scope::Live)).await?;
    let mut proofs = Vec::new();
    for nic in &Definition::parse(&xml)?.nics {
        if let Some(expected) = kernel::expected_of(nic) {
            proofs.push(kernel::see(nic.target, expected).await?.proof);
        }
    }
    Ok(((), if proofs.is_empty() { "no NIC on the host".to_owned() } else { proofs.join(", ") }))
}
