//! WRITES. A shim, step by step by rtnetlink: proven by what the kernel has and by the guests' answers, and
//! taken away again when it is not so, or when anything of the NIC below has changed with it.

mod evidence;
mod kernel;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use super::network::NetworkProgress;
use super::{Outcome, WayBack, host};
use crate::change::bridge::files::{self, FileError};
use crate::change::journal::unfinished::{About, Note};
use crate::change::journal::{Journal, JournalError, Recorded};
use crate::change::plan::Refusal;
use crate::change::shim::{
    After, PROOF, ShimPlan, ShimStep, ShimWant, TakesBack, file_words, is_shim, plan, routes_by,
};
use crate::change::undo::Came;
use crate::model::kernel::{Address, KernelFacts, Link, Route};
use crate::model::unfinished::Changed;
use crate::model::{IfName, Mac, Snapshot, Timestamp};
use crate::source;
use crate::source::netlink::{self, NetlinkError};
use crate::source::probe;

use self::kernel::Kernel;

pub use self::evidence::read as evidence;

/// How long the kernel may take to show it.
const KERNEL: Duration = Duration::from_secs(3);
/// How long whoever else cares for links is watched before the shim counts as proven.
const CALM: Duration = Duration::from_millis(500);
/// How long a neighbour may take to answer.
const ANSWER: Duration = Duration::from_millis(1500);

/// Why a step failed.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Read(#[from] NetlinkError),
    #[error("{step}: {error}")]
    Kernel { step: String, error: rtnetlink::Error },
    #[error("write {}: {error}", path.display())]
    Sysctl { path: PathBuf, error: std::io::Error },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("networkctl reload: {0}")]
    Networkd(String),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("there is no link {0}")]
    Missing(IfName),
    #[error("{0}")]
    Unproven(String),
}

/// `net.ipv4.conf.SHIM.arp_filter`; `None` where there is no such link.
fn arp_filter(shim: IfName) -> Option<u8> {
    std::fs::read_to_string(kernel::sysctl("ipv4", shim, "arp_filter")).ok()?.trim().parse().ok()
}

/// Applies the plan.
pub async fn run(plan: &ShimPlan, journal: &Journal, tell: &UnboundedSender<NetworkProgress>) -> Outcome {
    let refused = |reason: String, way_out: &str| {
        Outcome::Refused(Refusal { what: plan.title.clone(), reason, way_out: way_out.to_owned() })
    };
    let _lock = match journal.lock_shims() {
        Ok(lock) => lock,
        Err(error) => return refused(error.to_string(), "free it and try again"),
    };
    let before = match host::before(&plan.title).await {
        Ok(before) => before,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    if let Some(changed) = changed(plan, &before) {
        return refused(changed, "look at the preview again");
    }
    if let Some((spare, mac)) = taken(plan, &before).await {
        return refused(format!("{spare} belongs to {mac} on the LAN"), "choose another spare address");
    }
    let forget = || plan.lasting.iter().for_each(files::unstage);
    for file in &plan.lasting {
        if let Err(error) = files::unchanged(file).and_then(|()| files::stage(file)) {
            forget();
            return refused(error.to_string(), "make room or make it writable, or use --persist none");
        }
    }
    let kernel = match Kernel::open() {
        Ok(kernel) => kernel,
        Err(error) => {
            forget();
            return refused(error.to_string(), "try again");
        }
    };
    let mut note = match note(plan, journal) {
        Ok(note) => note,
        Err(error) => {
            forget();
            return refused(error.to_string(), "make room, or make it writable, and try again");
        }
    };
    let course = Course { plan, kernel, before, tell };
    let Err(trouble) = course.all(&mut note).await else {
        close(plan, journal, note);
        return Outcome::Verified { address: None };
    };
    let why = trouble.to_string();
    let back = course.back().await;
    forget();
    match back {
        Ok(()) => {
            note.into_iter().for_each(Note::clear);
            Outcome::Reverted { why }
        }
        Err(error) => {
            let state = format!("what was there before could not be put back: {error}");
            if let Some(note) = note {
                note.fail(&format!("{why}; {state}"));
            }
            Outcome::Failed { why, state }
        }
    }
}

/// Notes that it begins; what puts an interrupted change right leaves that one's note until it is done.
fn note(plan: &ShimPlan, journal: &Journal) -> Result<Option<Note>, JournalError> {
    if plan.takes_back.is_some_and(|takes| takes.came == Came::HalfWay) {
        return Ok(None);
    }
    let of = Changed::Shim(plan.shim);
    let about = About { of, title: &plan.title, steps: plan.step_words(), plan };
    journal.note(about, source::now()).map(Some)
}

/// It is done: `undo` may take it back, or it took one back itself; whatever was left half way is settled.
fn close(plan: &ShimPlan, journal: &Journal, note: Option<Note>) {
    let recorded = Recorded::Shim(Box::new(plan.clone()));
    let written = match plan.takes_back {
        Some(takes) => journal.undone(takes.begun, &recorded),
        None if plan.is_nothing() => Ok(()),
        None => journal.done(recorded, source::now()).map(drop),
    };
    if let Err(error) = written {
        tracing::error!("write the journal: {error}");
    }
    note.into_iter().for_each(Note::clear);
    journal.settle(&Changed::Shim(plan.shim));
}

/// The newest change of a shim that did not come to its end, and when it began.
pub(super) fn unfinished(journal: &Journal) -> Option<(Timestamp, ShimPlan)> {
    journal
        .unfinished()
        .into_iter()
        .rev()
        .find_map(|left| Some((left.begun, ShimPlan::of_unfinished(&left)?)))
}

/// The plan that takes a change back, with what its files hold now.
pub(super) fn plan_back(snapshot: &Snapshot, done: &ShimPlan, takes: TakesBack) -> Result<WayBack, Refusal> {
    let want = ShimWant::Back { done: Box::new(done.clone()), takes };
    let plan = plan::plan(snapshot, &evidence(snapshot, &want), &want)?;
    Ok(WayBack::Shim(Box::new(want), Box::new(plan)))
}

/// What the plan rests on is not so any more.
fn changed(plan: &ShimPlan, now: &KernelFacts) -> Option<String> {
    let link = |name: IfName| now.links.iter().find(|link| link.name == name);
    let Some(over) = link(plan.over) else { return Some(format!("there is no link {} any more", plan.over)) };
    let shim = link(plan.shim);
    let is_new = plan.steps.iter().any(|step| matches!(step, ShimStep::Make { .. }));
    // An interrupted change may have made it or not.
    let is_known = plan.takes_back.is_none_or(|takes| takes.came == Came::Through);
    match shim {
        Some(_) if is_new && is_known => Some(format!("{} is there meanwhile", plan.shim)),
        Some(shim) if !is_shim(shim) || shim.lower != Some(over.index) => {
            Some(format!("{} is no shim over {} any more", plan.shim, plan.over))
        }
        None if !is_new && is_known => Some(format!("{} is gone", plan.shim)),
        _ => over.master.filter(|_| is_new).map(|_| format!("{} is a port of a bridge now", plan.over)),
    }
}

/// A spare address that somebody on the LAN answers for.
async fn taken(plan: &ShimPlan, now: &KernelFacts) -> Option<(IpAddr, Mac)> {
    let over = now.links.iter().find(|link| link.name == plan.over)?;
    let (name, index, mac) = (over.name, over.index, over.mac?);
    for step in &plan.steps {
        let ShimStep::Address { address, .. } = step else { continue };
        let IpAddr::V4(spare) = address.addr() else { continue };
        // With no address of its own in the question nobody notes anything (RFC 5227).
        let ask = move || probe::arp((name, index), (mac, std::net::Ipv4Addr::UNSPECIFIED), spare, ANSWER);
        if let Ok(Ok(Some(owner))) = tokio::task::spawn_blocking(ask).await {
            return Some((address.addr(), owner));
        }
    }
    None
}

struct Course<'a> {
    plan: &'a ShimPlan,
    kernel: Kernel,
    before: KernelFacts,
    tell: &'a UnboundedSender<NetworkProgress>,
}

impl Course<'_> {
    async fn all(&self, note: &mut Option<Note>) -> Result<(), Trouble> {
        for (at, step) in self.plan.steps.iter().enumerate() {
            let begun = Instant::now();
            self.noted(note, at, &step.text()).await?;
            let result = self.kernel.run(step).await;
            self.told(
                step.text(),
                result.as_ref().map(|()| String::new()).map_err(ToString::to_string),
                begun,
            );
            result?;
        }
        let begun = Instant::now();
        let last = self.plan.steps.len();
        self.noted(note, last, PROOF).await?;
        let proof = self.prove().await;
        let proof = match proof {
            Ok(()) => Ok(self.guests().await.join(", ")),
            Err(trouble) => Err(trouble),
        };
        self.told(PROOF.to_owned(), proof.as_ref().map(Clone::clone).map_err(ToString::to_string), begun);
        proof?;
        for (at, file) in self.plan.lasting.iter().enumerate() {
            let begun = Instant::now();
            let text = file_words(file);
            self.noted(note, last + 1 + at, &text).await?;
            let written = files::put(file);
            self.told(text, written.as_ref().map(|()| String::new()).map_err(ToString::to_string), begun);
            written?;
        }
        self.tidy();
        Ok(())
    }

    /// The step is on disk before it begins.
    async fn noted(&self, note: &mut Option<Note>, at: usize, text: &str) -> Result<(), Trouble> {
        if let Some(note) = note {
            note.step(at, text)?;
        }
        #[cfg(debug_assertions)]
        super::pause::before_action(&text.split(' ').next().unwrap_or_default().replace('-', " ")).await;
        Ok(())
    }

    /// An empty directory for a drop-in does not stay.
    fn tidy(&self) {
        for file in self.plan.lasting.iter().filter(|file| !file.path.exists()) {
            if let Some(directory) = file.path.parent().filter(|parent| {
                parent.extension().is_some_and(|end| end == "d") && !parent.ends_with("sysctl.d")
            }) {
                // Refused where it is not empty.
                let _ = std::fs::remove_dir(directory);
            }
        }
    }

    fn told(&self, text: String, result: Result<String, String>, begun: Instant) {
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _ = self.tell.send(NetworkProgress { text, result, millis });
    }

    async fn prove(&self) -> Result<(), Trouble> {
        let begun = Instant::now();
        let is_gone = self.plan.after == After::Gone;
        loop {
            let now = netlink::read_once().await?;
            let missing = match self.plan.after.missing(self.plan.shim, &now) {
                None => self.kernel.unsettled(self.plan.shim).await?,
                missing => missing,
            };
            if missing.is_none() && (is_gone || begun.elapsed() >= CALM) {
                return match disturbed(&self.before, &now, self.plan.shim) {
                    Some(what) => Err(Trouble::Unproven(what)),
                    None => Ok(()),
                };
            }
            if let (Some(missing), true) = (missing, begun.elapsed() > KERNEL) {
                return Err(Trouble::Unproven(missing));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Who answers over the shim. One that does not may be off: that is told, and is no failure.
    async fn guests(&self) -> Vec<String> {
        let mut answers = Vec::new();
        let After::There { routes, .. } = &self.plan.after else { return answers };
        let Ok(now) = netlink::read_once().await else { return answers };
        let Some(link) = now.links.iter().find(|link| link.name == self.plan.shim) else { return answers };
        let Some(mac) = link.mac else { return answers };
        let single = routes.iter().filter(|net| net.prefix_len() == net.max_prefix_len());
        for net in single.take(8) {
            let IpAddr::V4(guest) = net.addr() else { continue };
            let source = routes_by(&now, link).find(|route| route.destination == *net);
            let Some(IpAddr::V4(source)) = source.and_then(|route| route.prefsrc) else { continue };
            let (name, index) = (link.name, link.index);
            let ask = move || probe::arp((name, index), (mac, source), guest, ANSWER);
            let answer = tokio::task::spawn_blocking(ask).await;
            let text = match answer {
                Ok(Ok(Some(owner))) => format!("{guest} answers by {name}: {owner}"),
                Ok(Ok(None)) => format!("{guest} does not answer now: is the guest up?"),
                _ => format!("{guest} could not be asked"),
            };
            answers.push(text);
        }
        answers
    }

    async fn back(&self) -> Result<(), Trouble> {
        let mut first = Ok(());
        for file in self.plan.lasting.iter().rev() {
            first = first.and(files::put_back(file).map_err(Trouble::from));
        }
        for step in &self.plan.undo {
            first = first.and(self.kernel.run(step).await);
        }
        self.tidy();
        first
    }
}

/// What a shim must not touch and that is not as it was: addresses and routes of all other links.
fn disturbed(before: &KernelFacts, now: &KernelFacts, shim: IfName) -> Option<String> {
    let index =
        |facts: &KernelFacts| facts.links.iter().find(|link| link.name == shim).map(|link| link.index);
    let (old, new) = (index(before), index(now));
    let foreign = |address: &&Address| Some(address.index) != old && Some(address.index) != new;
    // Only what went: others may come and go meanwhile, and a new one harms nobody.
    let lost = before
        .addresses
        .iter()
        .filter(foreign)
        .filter(|own| own.permanent)
        .find(|own| now.links.iter().any(|link| link.index == own.index) && !now.addresses.contains(own));
    if let Some(lost) = lost {
        return Some(format!("the address {} went with it", lost.address));
    }
    let default = |facts: &KernelFacts| -> Vec<Route> {
        let all = facts.routes.iter().filter(|route| route.destination.prefix_len() == 0);
        all.filter(|route| route.oif != old || old.is_none()).cloned().collect()
    };
    let lost = default(before).into_iter().find(|route| !now.routes.contains(route));
    let name = |link: &Link| link.name.to_string();
    lost.map(|route| {
        let over = now.links.iter().find(|link| Some(link.index) == route.oif).map_or_else(String::new, name);
        format!("the default route by {over} is not as it was")
    })
}
