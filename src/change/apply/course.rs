//! WRITES. The way of a change through its steps.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::address::{self, Known};
use super::hands::Hands;
use super::trouble::Trouble;
use super::{Outcome, Progress, StepState, Tell, Tools, device, kernel, listen, power};
use crate::change::plan::{Bounce, Edit, Expected, Plan, StepId, Verdict};
use crate::change::splice::{self, LinkState};
use crate::model::PciAddress;
use crate::model::guest::{NicConfig, NicSource};
use crate::source::libvirt::Scope;
use crate::source::pci;

/// How long the kernel may take to show what libvirt reported as done.
pub(super) const KERNEL: Duration = Duration::from_secs(5);
/// How long a guest may take to let go of its NIC before we say that it does not.
const RELEASE: Duration = Duration::from_secs(15);
/// How long we go on watching a guest that did not let go.
const WATCH: Duration = Duration::from_secs(300);

/// One change under way.
pub(super) struct Course<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tools: &'a Tools,
    tell: &'a Tell,
    pub(super) hands: Hands,
    /// Where the kernel had the NIC when the change began: what a revert is measured by. `None` when it
    /// was not where libvirt believed, or not there at all.
    pub(super) before: Option<Expected>,
    /// The addresses that were known of it when the change began.
    pub(super) known: Vec<Known>,
    /// The guest was asked to let go of its NIC and may still do so.
    pub(super) may_let_go: bool,
    /// The next boot's definition may have been changed.
    pub(super) next_touched: bool,
    /// The live definition may have been changed.
    pub(super) live_touched: bool,
    /// The guest was asked to shut down, and was not seen off.
    pub(super) may_stop: bool,
    /// The guest was shut down for the change.
    pub(super) stopped: bool,
    /// The device of the host that a running guest is to get, with the driver that it had when the change began.
    pub(super) device: Option<(PciAddress, Option<String>)>,
}

/// A step that failed, and why.
pub(super) struct Stop(pub(super) String);

impl<'a> Course<'a> {
    pub(super) fn new(plan: &'a Plan, tools: &'a Tools, tell: &'a Tell, hands: Hands) -> Self {
        let known = address::known(&tools.snapshots.borrow(), plan.nic);
        Self {
            plan,
            tools,
            tell,
            hands,
            before: None,
            known,
            may_let_go: false,
            next_touched: false,
            live_touched: false,
            may_stop: false,
            stopped: false,
            device: plan
                .takes_device()
                .filter(|_| plan.live.is_some())
                .map(|device| (device, pci::driver(device))),
        }
    }

    pub(super) async fn run(mut self) -> Outcome {
        match self.forward().await {
            Ok(address) => Outcome::Verified { address: address.map(|address| address.to_string()) },
            Err(Stop(why)) => self.back(why).await,
        }
    }

    pub(super) fn tell(&self, step: StepId, state: StepState) {
        let _ = self.tell.send(Progress { step, state });
    }

    /// Runs a step and tells how it fared.
    async fn step<T>(
        &mut self,
        step: StepId,
        action: impl AsyncFnOnce(&mut Self) -> Result<(T, String), Trouble>,
    ) -> Result<T, Stop> {
        let begun = Instant::now();
        self.hands.writer.step = Some(step);
        self.tell(step, StepState::Running);
        #[cfg(debug_assertions)]
        super::pause::before(step).await;
        match action(self).await {
            Ok((value, proof)) => {
                self.tell(step, StepState::Done { proof, millis: millis(begun) });
                Ok(value)
            }
            Err(trouble) => {
                let why = trouble.to_string();
                self.tell(step, StepState::Failed { reason: why.clone() });
                Err(Stop(why))
            }
        }
    }

    async fn forward(&mut self) -> Result<Option<IpAddr>, Stop> {
        let plan = self.plan;
        if let Some(live) = &plan.live {
            self.before = kernel::now(&mut self.hands, &live.before).await;
        }
        if let Some(next) = &plan.next {
            self.step(StepId::NextBoot, async |course| course.put_next(next).await).await?;
        }
        if plan.verdict == Verdict::Restart {
            self.may_stop = true;
            self.step(StepId::Shutdown, async |course| power::shut_down(&mut course.hands.writer).await)
                .await?;
            (self.may_stop, self.stopped) = (false, true);
            self.step(StepId::Start, async |course| power::start(&mut course.hands.writer).await).await?;
        }
        if let Some(live) = &plan.live {
            self.live_touched = true;
            self.change_live(live).await?;
        }
        if plan.has(StepId::Tap) {
            self.step(StepId::Tap, async |course| course.reseat().await).await?;
        }
        if !plan.has(StepId::Kernel) {
            return Ok(None);
        }
        self.prove().await
    }

    async fn change_live(&mut self, live: &Edit) -> Result<(), Stop> {
        let plan = self.plan;
        if plan.has(StepId::Unplug) {
            self.step(StepId::Unplug, async |course| course.unplug().await).await?;
        }
        if plan.has(StepId::Plug) {
            self.step(StepId::Plug, async |course| {
                course.hands.attach(&splice::for_attach(&live.after)?).await?;
                Ok(((), "accepted by libvirt".to_owned()))
            })
            .await?;
        }
        if plan.has(StepId::Live) {
            self.step(StepId::Live, async |course| course.put_live(live).await).await?;
        }
        Ok(())
    }

    /// The kernel has it, frames pass, the guest asks for an address and gets one.
    async fn prove(&mut self) -> Result<Option<IpAddr>, Stop> {
        let plan = self.plan;
        let seen = self
            .step(StepId::Kernel, async |course| {
                let seen = kernel::wait_for(&mut course.hands, plan.expected, KERNEL).await?;
                let proof = seen.proof.clone();
                Ok((seen, proof))
            })
            .await?;
        let wire = seen
            .link
            .filter(|_| plan.has(StepId::Address))
            .and_then(|link| listen::Listener::open(link, plan.nic.mac));
        if plan.has(StepId::Port) {
            self.step(StepId::Port, async |course| {
                let tell = |text: String| course.tell(StepId::Port, StepState::Waiting { text });
                let proof = kernel::wait_forwarding(&seen, tell).await?;
                Ok(((), proof))
            })
            .await?;
        }
        if let Bounce::Hold(hold) = plan.bounce {
            self.step(StepId::Link, async |course| course.bounce(hold).await).await?;
        }
        if !plan.has(StepId::Address) {
            return Ok(None);
        }
        Ok(self.address(wire).await)
    }

    async fn put_next(&mut self, next: &Edit) -> Result<((), String), Trouble> {
        self.next_touched = true;
        self.hands.put(next, Scope::Config).await?;
        if !self.hands.is_as(&next.after, Scope::Config).await? {
            return Err(Trouble::Changed("libvirt took it, but the next boot does not have it".to_owned()));
        }
        let proof = if self.plan.moves() { self.plan.to.words() } else { self.plan.title.clone() };
        Ok(((), proof))
    }

    async fn put_live(&mut self, live: &Edit) -> Result<((), String), Trouble> {
        self.hands.put(live, Scope::Live).await?;
        if !self.hands.is_as(&live.after, Scope::Live).await? {
            return Err(Trouble::Changed("libvirt took it, but the guest does not have it".to_owned()));
        }
        let proof = if self.plan.moves() { "accepted by libvirt" } else { self.plan.title.as_str() };
        Ok(((), proof.to_owned()))
    }

    async fn reseat(&mut self) -> Result<((), String), Trouble> {
        let element = self.hands.element(Scope::Live).await?.ok_or(Trouble::Missing)?;
        let tap = NicConfig::parse(&element)?.target.ok_or(Trouble::Missing)?;
        let Some(Expected::OnBridge { bridge }) = self.plan.expected else { return Err(Trouble::Missing) };
        kernel::enslave(tap, bridge).await?;
        Ok(((), "accepted by the kernel".to_owned()))
    }

    async fn unplug(&mut self) -> Result<((), String), Trouble> {
        let Some(element) = self.hands.element(Scope::Live).await? else {
            return Ok(((), "it was unplugged already".to_owned()));
        };
        self.may_let_go = true;
        self.hands.detach(&element).await?;
        self.gone(StepId::Unplug).await?;
        let config = NicConfig::parse(&element)?;
        let proof = match (config.target, config.source) {
            (Some(link), _) => kernel::wait_gone(link, KERNEL).await?,
            (None, NicSource::Hostdev { address: Some(device) }) => device::wait_back(device, KERNEL).await,
            _ => "the guest let go of it".to_owned(),
        };
        Ok(((), proof))
    }

    /// Waits until the NIC is out of the live definition. `detach` reports success when the guest was
    /// only asked; a guest that is booting or paused may let go minutes later, or never.
    pub(super) async fn gone(&mut self, step: StepId) -> Result<(), Trouble> {
        let begun = Instant::now();
        let mut told = false;
        while self.hands.element(Scope::Live).await?.is_some() {
            let waited = begun.elapsed();
            if waited > WATCH {
                return Err(Trouble::NotReleased);
            }
            if waited > RELEASE && !std::mem::replace(&mut told, true) {
                let text = format!(
                    "the guest has not let go of the NIC; it goes on as soon as it does, up to {} s",
                    WATCH.as_secs()
                );
                self.tell(step, StepState::Waiting { text });
            }
            let pause = if told { Duration::from_secs(1) } else { Duration::from_millis(100) };
            tokio::time::sleep(pause).await;
        }
        self.may_let_go = false;
        Ok(())
    }

    /// Pulls the cable for a moment, so that the guest asks for a new address.
    async fn bounce(&mut self, hold: Duration) -> Result<((), String), Trouble> {
        let before = self.hands.element(Scope::Live).await?.ok_or(Trouble::Missing)?;
        let plugged = splice::resend(&before)?;
        let pulled = splice::set_link(&plugged, LinkState::Down)?;
        self.hands.put(&Edit { before, after: pulled.clone() }, Scope::Live).await?;
        self.tell(StepId::Link, StepState::Waiting { text: format!("down for {} s", hold.as_secs_f32()) });
        tokio::time::sleep(hold).await;
        let up = Edit { before: pulled, after: splice::set_link(&plugged, LinkState::Up)? };
        self.hands.put(&up, Scope::Live).await?;
        // Proof: the definition libvirt has now says so; a link left down would cut the guest off.
        let element = self.hands.element(Scope::Live).await?.ok_or(Trouble::Missing)?;
        if NicConfig::parse(&element)?.link_down {
            return Err(Trouble::Changed("the link is still down after it was set up".to_owned()));
        }
        Ok(((), format!("down {} s, up", hold.as_secs_f32())))
    }

    /// Whether an address that was known before may as well be the new one: the guest has a new device,
    /// which keeps no address of its old one.
    pub(super) fn is_new_device(&self) -> bool {
        !matches!(self.plan.verdict, Verdict::Live | Verdict::Bounce)
    }
}

pub(super) fn millis(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
