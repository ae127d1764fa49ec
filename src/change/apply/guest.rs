//! WRITES, by way of virt-install. Makes a guest: looks once more at what it hangs on, runs virt-install,
//! and believes libvirt and the kernel rather than its exit status. What a failed or stopped run has left
//! is found and told, with the commands that take it away.

mod child;
mod left;
mod look;

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::look::look;

use tokio::sync::watch;
use tokio::time::timeout;

use super::course::millis;
use super::trouble::Trouble;
use super::{Outcome, Progress, StepState, Tell, Tools, kernel};
use crate::change::new_guest::said::{self, Lines, Said};
use crate::change::new_guest::{self, Evidence, GuestPlan, PROGRAM};
use crate::change::plan::{Refusal, StepId};
use crate::change::target;
use crate::model::guest::{Definition, DomainState};
use crate::source::libvirt::{Access, Connection, LibvirtError, Scope};

/// How long the files and pools may take to be looked at: a dead NFS server never answers.
const LOOK: Duration = Duration::from_secs(15);
/// How long libvirt may take to have a guest that virt-install says it has made.
const THERE: Duration = Duration::from_secs(10);
/// Lines of its output that are kept for its last words.
const KEPT: usize = 200;

/// Makes the guest. `tell` gets the steps, `hear` what virt-install says; when `stop` says true it is stopped.
pub async fn run(
    plan: &GuestPlan,
    tools: &Tools,
    tell: &Tell,
    hear: &dyn Fn(Said),
    stop: watch::Receiver<bool>,
) -> Outcome {
    let mut course = Course { plan, tools, tell, step: StepId::Check, begun: Instant::now() };
    course.begin(StepId::Check);
    let evidence = match course.check().await {
        Ok(evidence) => evidence,
        Err(refusal) => {
            course.failed(&refusal.reason);
            return Outcome::Refused(refusal);
        }
    };
    course.done("ready".to_owned());
    let why = match course.make(hear, stop).await {
        Ok(()) => return Outcome::Verified { address: None },
        Err(why) => why,
    };
    course.failed(&why);
    let left = left::look(plan, evidence).await;
    if left.is_empty() { Outcome::Reverted { why } } else { Outcome::Failed { why, state: left.join("; ") } }
}

struct Course<'a> {
    plan: &'a GuestPlan,
    tools: &'a Tools,
    tell: &'a Tell,
    step: StepId,
    begun: Instant,
}

impl Course<'_> {
    fn tell(&self, state: StepState) {
        let _ = self.tell.send(Progress { step: self.step, state });
    }

    fn begin(&mut self, step: StepId) {
        (self.step, self.begun) = (step, Instant::now());
        self.tell(StepState::Running);
    }

    fn done(&self, proof: String) {
        self.tell(StepState::Done { proof, millis: millis(self.begun) });
    }

    fn failed(&self, reason: &str) {
        self.tell(StepState::Failed { reason: reason.to_owned() });
    }

    /// What the preview looked at, again: it may have changed, and its name with it.
    async fn check(&self) -> Result<Evidence, Refusal> {
        let plan = self.plan;
        let refuse = |reason: String, way_out: &str| Refusal {
            what: plan.title.clone(),
            reason,
            way_out: way_out.to_owned(),
        };
        let snapshot = Arc::clone(&self.tools.snapshots.borrow());
        let question = plan.question.clone();
        let look = tokio::task::spawn_blocking(move || look(&question));
        let Ok(Ok(evidence)) = timeout(LOOK, look).await else {
            let reason = format!("its files could not be looked at within {} s", LOOK.as_secs());
            return Err(refuse(reason, "see whether their file system answers"));
        };
        let now = new_guest::plan(&snapshot, &plan.new, Some(&evidence))?;
        if now.command != plan.command {
            let reason = format!("this version of {PROGRAM} needs another call than the one shown");
            return Err(refuse(reason, "look at a fresh preview"));
        }
        if let Some((reason, way_out)) = target::obstacle(&snapshot, &plan.new.network, None) {
            return Err(refuse(reason, &way_out));
        }
        match guest(&self.tools.uri, &plan.name).await {
            Ok(None) => Ok(evidence),
            Ok(Some(_)) => Err(refuse("there is a guest of this name now".to_owned(), "choose another name")),
            Err(trouble) => Err(refuse(trouble.to_string(), "try again")),
        }
    }

    /// Runs virt-install and sees what it made; why it is not so.
    async fn make(&mut self, hear: &dyn Fn(Said), stop: watch::Receiver<bool>) -> Result<(), String> {
        self.begin(StepId::Install);
        let (mut lines, mut kept) = (Lines::default(), Vec::new());
        let mut take = |said: Said| {
            if let Said::Line(line) = &said {
                tracing::debug!("{PROGRAM}: a line of {} bytes", line.len());
                if kept.len() == KEPT {
                    kept.remove(0);
                }
                kept.push(line.clone());
            }
            hear(said);
        };
        let ended = child::run(&self.plan.command, stop, |bytes| {
            lines.take(bytes).into_iter().for_each(&mut take);
        })
        .await
        .map_err(|error| format!("run {PROGRAM}: {error}"))?;
        if let Some(last) = lines.end() {
            take(last);
        }
        if ended.stopped && !ended.status.success() {
            return Err("it was stopped".to_owned());
        }
        if !ended.status.success() {
            return Err(said::why(&words(ended.status), &kept));
        }
        self.done(format!("{PROGRAM} ended well"));
        self.begin(StepId::Guest);
        let found = self.there().await?;
        self.done(found.words());
        self.begin(StepId::Kernel);
        let proof = plugged(&found.definition).await.map_err(|trouble| trouble.to_string())?;
        self.done(proof);
        // It is selected when the change ends: the picture of the host must have it.
        let mut snapshots = self.tools.snapshots.clone();
        let name = &self.plan.name;
        let shown = snapshots.wait_for(|snapshot| snapshot.nics.iter().any(|nic| nic.guest == *name));
        let _ = timeout(THERE, shown).await;
        Ok(())
    }

    /// Waits until libvirt has the guest running with its NIC where it was wanted.
    async fn there(&self) -> Result<Found, String> {
        let begun = Instant::now();
        loop {
            let said = match guest(&self.tools.uri, &self.plan.name).await {
                Ok(Some(found)) => match self.fits(&found) {
                    Ok(()) => return Ok(found),
                    Err(said) => said,
                },
                Ok(None) => {
                    format!("{PROGRAM} says that it made the guest, but libvirt has none of this name")
                }
                Err(trouble) => trouble.to_string(),
            };
            if begun.elapsed() > THERE {
                return Err(said);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn fits(&self, found: &Found) -> Result<(), String> {
        if !found.state.is_active() {
            return Err(format!("the guest is there, but it is {}", found.state.word()));
        }
        let wanted = &self.plan.new.network;
        let mut nics = found.definition.nics.iter();
        if nics.any(|nic| wanted.is(&nic.source)) {
            return Ok(());
        }
        Err(format!("the guest is there, but its NIC is not on {}", wanted.words()))
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The kernel has every NIC of a running guest where its definition says.
async fn plugged(definition: &Definition) -> Result<String, Trouble> {
    let mut proofs = Vec::new();
    for nic in &definition.nics {
        if let Some(expected) = kernel::expected_of(nic) {
            proofs.push(kernel::see(nic.target, expected).await?.proof);
        }
    }
    Ok(if proofs.is_empty() { "no link on the host".to_owned() } else { proofs.join(", ") })
}

/// A guest as libvirt has it.
struct Found {
    state: DomainState,
    definition: Definition,
}

impl Found {
    fn words(&self) -> String {
        let nics: Vec<String> = self
            .definition
            .nics
            .iter()
            .filter_map(|nic| {
                let target = target::Target::of(&nic.source)?;
                Some(format!("{} on {}", nic.mac?, target.words()))
            })
            .collect();
        format!("{}, {}", self.state.word(), nics.join(", "))
    }
}

/// The guest of this name; `None` when there is none.
async fn guest(uri: &str, name: &str) -> Result<Option<Found>, Trouble> {
    let (uri, name) = (uri.to_owned(), name.to_owned());
    let read = move || -> Result<Option<(DomainState, String)>, LibvirtError> {
        let guests = Connection::open(&uri, Access::ReadOnly)?.guests()?;
        let Some(guest) = guests.into_iter().find(|guest| guest.name() == name) else { return Ok(None) };
        Ok(Some((guest.state()?, guest.xml(Scope::Live)?)))
    };
    match timeout(super::trouble::CALL, tokio::task::spawn_blocking(read)).await {
        Ok(Ok(Ok(None))) => Ok(None),
        Ok(Ok(Ok(Some((state, xml))))) => Ok(Some(Found { state, definition: Definition::parse(&xml)? })),
        Ok(Ok(Err(error))) => Err(error.into()),
        Ok(Err(_)) | Err(_) => Err(Trouble::Hung),
    }
}
