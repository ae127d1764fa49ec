//! WRITES. The way back: puts the old definitions in again, and verifies that they are there.

use super::course::{Course, KERNEL};
use super::trouble::Trouble;
use super::{Outcome, device, kernel, power};
use crate::change::plan::{Edit, StepId, Verdict};
use crate::change::splice;
use crate::model::guest::DomainState;
use crate::source::libvirt::Scope;

impl Course<'_> {
    /// Puts everything back and verifies that it is.
    pub(super) async fn back(&mut self, why: String) -> Outcome {
        let mut left: Vec<String> = Vec::new();
        if self.live_touched
            && let Err(trouble) = self.back_live().await
        {
            left.push(format!("the running guest: {trouble}"));
        }
        if let Some((device, driver)) = self.device.take_if(|_| self.live_touched)
            && let Err(is) = device::wait_driver(device, driver.as_deref(), KERNEL).await
        {
            left.push(format!("the host: {is}"));
        }
        if self.next_touched
            && let Err(trouble) = self.back_next().await
        {
            left.push(format!("the next boot: {trouble}"));
        }
        if self.may_stop && matches!(power::state(&mut self.hands.writer).await, Ok(DomainState::Off)) {
            (self.may_stop, self.stopped) = (false, true);
        }
        if self.stopped
            && let Err(trouble) = self.back_up().await
        {
            left.push(format!("the guest does not start: {trouble}"));
        }
        if self.plan.verdict == Verdict::Reseat {
            let state = "the definitions were not touched; where the tap is: ip link show".to_owned();
            return Outcome::Failed { why, state };
        }
        if !left.is_empty() {
            let state = format!(
                "not everything could be put back ({}); `virt-net undo` tries again, from the journal",
                left.join("; ")
            );
            return Outcome::Failed { why, state };
        }
        if self.may_let_go {
            let state = "everything is as it was, but the guest was asked to let go of its NIC and may still do \
                         so; if it does, `virt-net undo` plugs the old one in again";
            return Outcome::Failed { why, state: state.to_owned() };
        }
        if self.may_stop {
            let state = "its definition is as it was, but the guest was asked to shut down and may still do so; \
                         if it does, it stays off until you start it (virsh start)";
            return Outcome::Failed { why, state: state.to_owned() };
        }
        Outcome::Reverted { why }
    }

    /// Starts the guest again, from the old definition.
    async fn back_up(&mut self) -> Result<(), Trouble> {
        match power::state(&mut self.hands.writer).await? {
            DomainState::Off => {}
            // It runs with what was to be taken back.
            _ => power::force_off(&mut self.hands.writer).await?,
        }
        power::start(&mut self.hands.writer).await.map(drop)
    }

    async fn back_next(&mut self) -> Result<(), Trouble> {
        let Some(next) = &self.plan.next else { return Ok(()) };
        if self.hands.element(Scope::Config).await?.unwrap_or_default() == next.before {
            return Ok(());
        }
        let edit = Edit { before: next.after.clone(), after: next.before.clone() };
        self.hands.put(&edit, Scope::Config).await?;
        if !self.hands.is_as(&next.before, Scope::Config).await? {
            return Err(Trouble::Changed("it is not as it was (virsh dumpxml --inactive)".to_owned()));
        }
        Ok(())
    }

    async fn back_live(&mut self) -> Result<(), Trouble> {
        let Some(live) = &self.plan.live else { return Ok(()) };
        let now = match self.hands.element(Scope::Live).await {
            Ok(now) => now,
            // There is nothing live to put back; it starts as the next boot says.
            Err(Trouble::GuestOff) => {
                self.may_let_go = false;
                return Ok(());
            }
            Err(trouble) => return Err(trouble),
        };
        match now {
            None if live.before.is_empty() => return Ok(()),
            None => self.plug_old(&live.before).await?,
            Some(now) if live.before.is_empty() => return self.unplug_new(&now).await,
            Some(_) if self.hands.is_as(&live.before, Scope::Live).await? => {}
            Some(now) if self.plan.verdict == Verdict::HotReplug => {
                self.unplug_new(&now).await?;
                self.plug_old(&live.before).await?;
            }
            Some(now) => {
                let after = splice::resend(&live.before)?;
                self.hands.put(&Edit { before: now, after }, Scope::Live).await?;
            }
        }
        match self.before {
            Some(before) => kernel::wait_for(&mut self.hands, Some(before), KERNEL).await.map(drop),
            None => Ok(()),
        }
    }

    async fn plug_old(&mut self, old: &str) -> Result<(), Trouble> {
        self.hands.attach(&splice::for_attach(&splice::resend(old)?)?).await
    }

    async fn unplug_new(&mut self, now: &str) -> Result<(), Trouble> {
        self.may_let_go = true;
        self.hands.detach(now).await?;
        self.gone(StepId::Unplug).await
    }
}
