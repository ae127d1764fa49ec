//! WRITES. The only place that changes a guest: applies a plan step by step, believes the kernel rather
//! than libvirt's "success", and puts everything back when the kernel does not agree in time.
//!
//! ```text
//!  lock → still as previewed? → journal → next boot → live | unplug, gone?, plug → kernel → port → link → address
//!                                             │           │ refused                     │ no match in time
//!                                             └───────────┴──────── revert ←────────────┘
//! ```
//! Ends `Verified`, `Reverted`, `Refused` or `Failed` with what is known of the state; never in silence.

mod hands;
mod kernel;
mod listen;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use self::hands::{Hands, Trouble};
use super::journal::{Journal, Record, State};
use super::plan::{Bounce, Plan, Refusal, StepId, Verdict};
use super::splice::{self, LinkState};
use super::target::Target;
use crate::model::Snapshot;
use crate::source::libvirt::Scope;
use crate::source::{Updates, now};

/// How long the kernel may take to show what libvirt reported as done.
const KERNEL: Duration = Duration::from_secs(5);
/// How long a guest may take to let go of its NIC before we say that it does not.
const RELEASE: Duration = Duration::from_secs(15);
/// How long we go on watching a guest that did not let go.
const WATCH: Duration = Duration::from_secs(300);
/// How long an address is waited for; its absence is no failure.
const ADDRESS: Duration = Duration::from_secs(30);

/// News of a running change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Which step.
    pub step: StepId,
    /// How it fares.
    pub state: StepState,
}

/// How a step fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Begun.
    Running,
    /// Still going, and on what it waits.
    Waiting {
        /// For what.
        text: String,
    },
    /// Done, with what proves it.
    Done {
        /// What was read that shows it.
        proof: String,
        /// Milliseconds it took.
        millis: u64,
    },
    /// Not done.
    Failed {
        /// Why.
        reason: String,
    },
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and the kernel agrees.
    Verified {
        /// What is known of the guest's new address.
        address: Option<String>,
    },
    /// Everything is as it was.
    Reverted {
        /// Why it did not work.
        why: String,
    },
    /// Nothing was begun.
    Refused(Refusal),
    /// Neither done nor put back.
    Failed {
        /// Why.
        why: String,
        /// What is known of the state now, and what to do.
        state: String,
    },
}

/// What the change runs with.
#[derive(Debug, Clone)]
pub struct Tools {
    /// libvirt's URI.
    pub uri: String,
    /// Fresh snapshots, for the guest's address.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Where an address that was seen on the wire is reported; `None` when nobody collects.
    pub updates: Option<Updates>,
    /// Where records are kept.
    pub journal: Journal,
}

/// Where progress goes; a receiver that is gone does not stop the change.
pub type Tell = mpsc::UnboundedSender<Progress>;

/// Applies the plan.
pub async fn run(plan: &Plan, tools: &Tools, tell: &Tell) -> Outcome {
    let refused = |reason: String, way_out: &str| {
        let what = format!("plug {} {} into {}", plan.guest, plan.nic.mac, plan.to.words());
        Outcome::Refused(Refusal { what, reason, way_out: way_out.to_owned() })
    };
    let lock = match tools.journal.lock(plan.nic.domain) {
        Ok(lock) => lock,
        Err(error) => return refused(error.to_string(), "free it and try again"),
    };
    let mut hands = Hands::new(&tools.uri, plan.nic);
    if let Err(trouble) = still_as_previewed(plan, &mut hands).await {
        return refused(trouble.to_string(), "look at a fresh preview");
    }
    let record = match tools.journal.begin(plan, now()) {
        Ok(record) => record,
        Err(error) => return refused(error.to_string(), "make room or get the right to write there"),
    };
    let mut change = Change { plan, tools, tell, hands, next_done: false };
    let outcome = change.run().await;
    close(&tools.journal, record, &outcome);
    drop(lock);
    outcome
}

fn close(journal: &Journal, record: Record, outcome: &Outcome) {
    let state = match outcome {
        Outcome::Verified { .. } => State::Verified,
        Outcome::Reverted { .. } | Outcome::Refused(_) => State::Reverted,
        Outcome::Failed { state, .. } => State::Failed { known: state.clone() },
    };
    // A journal that cannot be closed shows as interrupted at the next start, which is true.
    if let Err(error) = journal.finish(record, state) {
        tracing::error!(%error, "close the journal");
    }
}

/// What the plan was made from is still what libvirt has: nobody changed the NIC since the preview.
async fn still_as_previewed(plan: &Plan, hands: &mut Hands) -> Result<(), Trouble> {
    for (edit, scope) in [(&plan.next, Scope::Config), (&plan.live, Scope::Live)] {
        let Some(edit) = edit else { continue };
        let changed = || Trouble::Changed(format!("{} of this NIC changed since the preview", scope.words()));
        if hands.element(scope).await?.ok_or_else(changed)? != edit.before {
            return Err(changed());
        }
    }
    Ok(())
}

struct Change<'a> {
    plan: &'a Plan,
    tools: &'a Tools,
    tell: &'a Tell,
    hands: Hands,
    /// The next boot's definition was changed and must be put back on a failure.
    next_done: bool,
}

/// A step that failed: why, and whether the live side must be put back too.
struct Stop {
    why: String,
    undo: Undo,
}

/// What of the live side must be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Nothing was changed.
    Nothing,
    /// The source was changed live.
    Source,
    /// The device is unplugged: the old one must be plugged in again.
    Device,
}

impl Change<'_> {
    async fn run(&mut self) -> Outcome {
        match self.forward().await {
            Ok(address) => Outcome::Verified { address },
            Err(stop) => self.back(stop).await,
        }
    }

    fn tell(&self, step: StepId, state: StepState) {
        let _ = self.tell.send(Progress { step, state });
    }

    /// Runs a step and tells how it fared.
    async fn step<T>(
        &mut self,
        step: StepId,
        undo: Undo,
        action: impl AsyncFnOnce(&mut Self) -> Result<(T, String), Trouble>,
    ) -> Result<T, Stop> {
        let begun = Instant::now();
        self.tell(step, StepState::Running);
        match action(self).await {
            Ok((value, proof)) => {
                let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.tell(step, StepState::Done { proof, millis });
                Ok(value)
            }
            Err(trouble) => {
                let why = trouble.to_string();
                self.tell(step, StepState::Failed { reason: why.clone() });
                Err(Stop { why, undo })
            }
        }
    }

    async fn forward(&mut self) -> Result<Option<String>, Stop> {
        let plan = self.plan;
        if let Some(next) = &plan.next {
            // On the next boot a failure in the middle leaves either text: both can be put back.
            self.next_done = true;
            self.step(StepId::NextBoot, Undo::Nothing, async |change| {
                change.hands.update(&next.after, Scope::Config, &plan.to).await?;
                let element = change.hands.element(Scope::Config).await?.unwrap_or_default();
                hands::plugged(&element, &plan.to)?;
                Ok(((), plan.to.words()))
            })
            .await?;
        }
        let Some(live) = &plan.live else { return Ok(None) };
        if plan.verdict == Verdict::HotReplug {
            self.replug().await?;
        } else {
            self.step(StepId::Live, Undo::Source, async |change| {
                change.hands.update(&live.after, Scope::Live, &plan.to).await?;
                Ok(((), "accepted by libvirt".to_owned()))
            })
            .await?;
        }
        let seen = self
            .step(StepId::Kernel, Undo::Source, async |change| {
                let seen = kernel::wait(&mut change.hands, plan, KERNEL).await?;
                let proof = seen.proof.clone();
                Ok((seen, proof))
            })
            .await?;
        if seen.bridge.is_some() {
            self.step(StepId::Port, Undo::Source, async |change| {
                let tell = |text: String| change.tell(StepId::Port, StepState::Waiting { text });
                let proof = kernel::wait_forwarding(&seen, tell).await?;
                Ok(((), proof))
            })
            .await?;
        }
        let listener = listen::Listener::open(seen.link, plan.nic.mac);
        if let Bounce::Hold(hold) = plan.bounce {
            self.step(StepId::Link, Undo::Source, async |change| change.bounce(hold).await).await?;
        }
        Ok(self.address(listener).await)
    }

    /// Unplugs, waits until it is gone, plugs in.
    async fn replug(&mut self) -> Result<(), Stop> {
        let plan = self.plan;
        let Some(live) = &plan.live else { return Ok(()) };
        self.step(StepId::Unplug, Undo::Device, async |change| {
            let element = change.hands.element(Scope::Live).await?.unwrap_or_else(|| live.before.clone());
            change.hands.detach(&element).await?;
            change.gone().await?;
            Ok(((), "the guest let go of it".to_owned()))
        })
        .await?;
        self.step(StepId::Plug, Undo::Device, async |change| {
            change.hands.attach(&splice::for_attach(&live.after)?).await?;
            Ok(((), "accepted by libvirt".to_owned()))
        })
        .await
    }

    /// Waits until the NIC is out of the live definition. `detach` reports success when the guest was
    /// only asked; a guest that is booting or paused may let go minutes later, or never.
    async fn gone(&mut self) -> Result<(), Trouble> {
        let begun = Instant::now();
        let mut told = false;
        while self.hands.element(Scope::Live).await?.is_some() {
            let waited = begun.elapsed();
            if waited > WATCH {
                return Err(Trouble::NotReleased);
            }
            if waited > RELEASE {
                if !told {
                    told = true;
                    let text = "the guest has not let go of the NIC; watching on, the new one goes in as soon as it does";
                    self.tell(StepId::Unplug, StepState::Waiting { text: text.to_owned() });
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            } else {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Pulls the cable for a moment, so that the guest asks for a new address.
    async fn bounce(&mut self, hold: Duration) -> Result<((), String), Trouble> {
        let element = self.hands.element(Scope::Live).await?.ok_or(Trouble::Missing)?;
        let element = splice::resend(&element)?;
        self.hands.update(&splice::set_link(&element, LinkState::Down)?, Scope::Live, &self.plan.to).await?;
        self.tell(StepId::Link, StepState::Waiting { text: format!("down for {} s", hold.as_secs_f32()) });
        tokio::time::sleep(hold).await;
        let up = splice::set_link(&element, LinkState::Up)?;
        self.hands.update(&up, Scope::Live, &self.plan.to).await?;
        // Proof: the definition libvirt has now says so; a link left down would cut the guest off.
        let element = self.hands.element(Scope::Live).await?.ok_or(Trouble::Missing)?;
        if hands::config(&element)?.link_down {
            return Err(Trouble::Changed("the link is still down after it was set up".to_owned()));
        }
        Ok(((), format!("down {} s, up", hold.as_secs_f32())))
    }

    /// Waits for an address that is not one of the old ones. Not finding one is no failure: the host
    /// may have no way to see it.
    async fn address(&mut self, listener: Option<listen::Listener>) -> Option<String> {
        let id = self.plan.nic;
        self.tell(StepId::Address, StepState::Running);
        let begun = Instant::now();
        let mut snapshots = self.tools.snapshots.clone();
        let old: Vec<_> = addresses(&snapshots.borrow(), id);
        let moved = self.plan.from != self.plan.to;
        let updates = self.tools.updates.clone();
        let heard = async {
            match listener {
                Some(listener) => listener.address().await,
                None => std::future::pending().await,
            }
        };
        let joined = async {
            loop {
                if snapshots.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                let new = addresses(&snapshots.borrow(), id);
                if let Some(address) = new.into_iter().find(|address| !moved || !old.contains(address)) {
                    return address;
                }
            }
        };
        let found = tokio::time::timeout(ADDRESS, async {
            tokio::select! {
                address = heard => {
                    if let Some(updates) = updates {
                        let _ = updates.send(crate::source::Update::Seen { mac: id.mac, address, at: now() });
                    }
                    address
                }
                address = joined => address,
            }
        })
        .await;
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Ok(address) = found else {
            let reason = format!("none seen within {} s; look inside the guest", ADDRESS.as_secs());
            self.tell(StepId::Address, StepState::Failed { reason });
            return None;
        };
        self.tell(StepId::Address, StepState::Done { proof: address.to_string(), millis });
        Some(address.to_string())
    }

    /// Puts everything back and verifies that it is.
    async fn back(&mut self, stop: Stop) -> Outcome {
        let mut trouble: Vec<String> = Vec::new();
        if stop.undo != Undo::Nothing
            && let Err(error) = self.back_live(stop.undo).await
        {
            trouble.push(format!("live: {error}"));
        }
        if self.next_done
            && let Some(next) = &self.plan.next
        {
            let put_back = self.hands.update(&next.before, Scope::Config, &self.plan.from).await;
            let same = match put_back {
                Ok(()) => self
                    .hands
                    .element(Scope::Config)
                    .await
                    .map(|element| element.as_ref() == Some(&next.before)),
                Err(error) => Err(error),
            };
            match same {
                Ok(true) => {}
                Ok(false) => {
                    trouble.push("next boot: not as it was, see virsh dumpxml --inactive".to_owned());
                }
                Err(error) => trouble.push(format!("next boot: {error}")),
            }
        }
        if trouble.is_empty() {
            return Outcome::Reverted { why: stop.why };
        }
        let state = format!(
            "putting it back did not work either ({}); the old definition is in the journal",
            trouble.join("; ")
        );
        Outcome::Failed { why: stop.why, state }
    }

    async fn back_live(&mut self, undo: Undo) -> Result<(), Trouble> {
        let Some(live) = &self.plan.live else { return Ok(()) };
        let old = splice::resend(&live.before)?;
        match (self.hands.element(Scope::Live).await?, undo) {
            (None, _) => self.hands.attach(&splice::for_attach(&old)?).await?,
            // The guest never let go: it still has the old device.
            (Some(element), Undo::Device) if hands::plugged(&element, &self.plan.from).is_ok() => {}
            (Some(element), _) if self.plan.verdict == Verdict::HotReplug => {
                self.hands.detach(&element).await?;
                self.gone().await?;
                self.hands.attach(&splice::for_attach(&old)?).await?;
            }
            (Some(_), _) => self.hands.update(&old, Scope::Live, &self.plan.from).await?,
        }
        let expected = kernel::expected_before(&self.plan.from, &live.before);
        kernel::wait_for(&mut self.hands, expected, KERNEL).await.map(drop)
    }
}

fn addresses(snapshot: &Snapshot, id: crate::model::NicId) -> Vec<std::net::IpAddr> {
    let nic = snapshot.nic(id);
    let fresh =
        nic.iter().flat_map(|nic| &nic.addresses).filter(|seen| !seen.stale && seen.address.is_ipv4());
    fresh.map(|seen| seen.address).collect()
}

/// Makes the plan that takes the newest verified change back.
///
/// # Errors
/// There is none, or the NIC was changed since.
pub fn plan_undo(snapshot: &Snapshot, journal: &Journal) -> Result<(Record, Plan), Refusal> {
    let refuse = |reason: &str, way_out: &str| Refusal {
        what: "undo the last change".to_owned(),
        reason: reason.to_owned(),
        way_out: way_out.to_owned(),
    };
    let record = journal.last_done().ok_or_else(|| refuse("there is none", "virt-net switch"))?;
    let done = &record.plan;
    let current =
        snapshot.nic(done.nic).and_then(crate::model::Nic::config).map(|config| Target::of(&config.source));
    let next = snapshot.nic(done.nic).and_then(|nic| nic.next.as_ref()).map(|next| Target::of(&next.source));
    let expected = Some(Some(done.to.clone()));
    let next_changed = done.next.is_some() && next != expected;
    if next_changed || (done.live.is_some() && current != expected) {
        return Err(refuse("the NIC was changed since", "switch it where it should be"));
    }
    let want = super::plan::Want {
        nic: done.nic,
        target: done.from.clone(),
        model: None,
        when: if done.live.is_some() { super::When::NowAndNextBoot } else { super::When::NextBoot },
        bounce: Bounce::default(),
    };
    let mut plan = super::plan::plan(snapshot, &want)?;
    // Not only the same plug: the very text that was there before.
    if let (Some(edit), Some(old)) = (&mut plan.next, &done.next) {
        edit.after.clone_from(&old.before);
    }
    Ok((record, plan))
}

/// Notes that a change was taken back.
pub fn mark_undone(journal: &Journal, record: Record) {
    if let Err(error) = journal.finish(record, State::Undone) {
        tracing::error!(%error, "note the undo");
    }
}
