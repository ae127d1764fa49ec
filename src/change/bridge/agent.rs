//! WRITES. The process that carries a bridge's change out: it survives the terminal, the session and
//! the program that started it, and takes everything back unless somebody confirms in time.
//!
//! It holds the lock as long as it lives. Told to end, it takes everything back first; killed in the middle,
//! it leaves the record, and its next start, or the next start of virt-net ([`recover`]), finishes the way
//! back.

mod keep;
mod launch;
mod told;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use self::keep::{after_reboot, keep};
use self::told::Told;
use super::files;
use super::hands::Hands;
use super::neighbour::answers;
use super::record::{Answer, Progress, Record, RecordError, Records};
use super::{BridgePlan, Expect};
#[cfg(debug_assertions)]
use crate::change::apply::pause;
use crate::model::Timestamp;
use crate::source::{netlink, now};

pub use self::launch::{start, unit};

/// The hidden subcommand that runs it.
pub const COMMAND: &str = "bridge-agent";
/// Its argument when the lock is not its standard input.
pub const TAKE_LOCK: &str = "--take-lock";
/// Its argument that names the change it is started for.
pub const BEGUN: &str = "--begun";

/// How often the agent looks for an answer, and for the kernel to be as it must.
const POLL: Duration = Duration::from_millis(100);
/// A port with STP forwards within twice the longest forward delay; a DHCP server answers sooner.
const PROOF: Duration = Duration::from_secs(40);
/// What was taken back must be seen within this time: a DHCP client may have to ask again.
const PROOF_BACK: Duration = Duration::from_secs(30);
/// A neighbour answers within this time.
const ANSWER: Duration = Duration::from_secs(5);
/// One that is asked before anything is done has to be quicker.
const ANSWER_BEFORE: Duration = Duration::from_secs(1);
/// An agent that was started takes its lock within this time.
const START: Duration = Duration::from_secs(10);

/// Whether the lock came as the standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It did.
    Inherited,
    /// It has to be taken.
    Take,
}

/// The agent's whole life.
///
/// # Errors
/// The record cannot be written; then nothing is changed, or what was changed has been put back.
pub async fn run(directory: &Path, lock: Lock, begun: Option<Timestamp>) -> Result<(), RecordError> {
    // A session of its own: neither ctrl-C nor the hang-up of a terminal reaches it.
    let _ = nix::unistd::setsid();
    let mut told = Told::listen();
    let records = Records::at(directory);
    let _lock = match lock {
        Lock::Inherited => None,
        Lock::Take => Some(take(&records).await?),
    };
    // Started again after its change had come to an end without it, it must not take the next one from its own agent.
    let is_own = |record: &Record| begun.is_none_or(|begun| begun == record.begun);
    let Some(mut record) = records.read().filter(is_own) else { return Ok(()) };
    match record.progress {
        Progress::Prepared => {}
        _ if record.progress.is_final() => return Ok(()),
        // It was killed and started again.
        _ => {
            finish(&records, &mut record).await;
            return Ok(());
        }
    }
    let why = match apply(&records, &mut record, &mut told).await {
        Err(why) => why,
        Ok(()) => match wait(&records, &mut record, &mut told).await {
            Ok(None) => match keep(&records, &mut record).await {
                Ok(()) => return Ok(()),
                Err(why) => why,
            },
            Ok(Some(why)) => why,
            Err(error) => error.to_string(),
        },
    };
    undo(&records, &mut record, why).await;
    Ok(())
}

async fn take(records: &Records) -> Result<File, RecordError> {
    let deadline = Instant::now() + START;
    loop {
        match records.lock() {
            Err(RecordError::Busy) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            result => return result,
        }
    }
}

/// Waits for the confirmation (`None`), or for a reason to take everything back.
async fn wait(
    records: &Records,
    record: &mut Record,
    told: &mut Told,
) -> Result<Option<String>, RecordError> {
    let until = Timestamp(now().0 + u64::try_from(record.patience.as_millis()).unwrap_or(u64::MAX));
    let deadline = Instant::now() + record.patience;
    let proofs = proofs(&record.plan);
    note(records, record, Progress::Waiting { until, proofs })?;
    tokio::select! {
        answer = answer(records, record.begun, deadline) => Ok(match answer {
            Some(Answer::Confirm) => None,
            Some(Answer::Rollback) => Some("somebody asked for it".to_owned()),
            None => Some("nobody confirmed it in time".to_owned()),
        }),
        why = told.heard() => Ok(Some(why)),
    }
}

fn proofs(plan: &BridgePlan) -> Vec<String> {
    let ports =
        plan.after.masters.iter().filter_map(|(port, bridge)| {
            bridge.map(|bridge| format!("{port} forwards as a port of {bridge}"))
        });
    let addresses = plan.after.addresses.iter().map(|(link, address)| format!("{address} is on {link}"));
    let routes = plan.after.routes.iter().map(|way| format!("the route {way} is on {}", way.link));
    let leases = plan.after.leased.iter().map(|link| format!("{link} has a lease"));
    let gateways = plan.gateways.iter().map(|gateway| format!("{gateway} answers"));
    ports.chain(addresses).chain(routes).chain(leases).chain(gateways).collect()
}

async fn answer(records: &Records, begun: Timestamp, deadline: Instant) -> Option<Answer> {
    while Instant::now() < deadline {
        if let Some(answer) = records.answered(begun) {
            return Some(answer);
        }
        tokio::time::sleep(POLL).await;
    }
    None
}

/// Finishes what an agent that died left behind, or a reboot; `None` when there is nothing, or the
/// agent lives.
pub async fn recover(records: &Records) -> Option<Record> {
    if let Some(found) = records.interrupted_by_reboot() {
        let _lock = records.lock().ok()?;
        return Some(after_reboot(records, found));
    }
    let found = records.read().filter(|record| !record.progress.is_final())?;
    let is_starting = found.progress == Progress::Prepared
        && now().millis_since(found.begun) < u64::try_from(START.as_millis()).unwrap_or(u64::MAX);
    // Somebody holds the lock: the agent lives.
    let _lock = if is_starting { None } else { records.lock().ok() }?;
    let mut record = records.read().filter(|record| record.begun == found.begun)?;
    if !record.progress.is_final() {
        finish(records, &mut record).await;
    }
    Some(record)
}

/// Brings a change whose agent is gone to its end: forward when it was confirmed, else back.
async fn finish(records: &Records, record: &mut Record) {
    if record.progress == Progress::Keeping {
        if let Err(why) = keep(records, record).await {
            let _ = note(records, record, Progress::Failed { known: why });
        }
        return;
    }
    let why = match &record.progress {
        Progress::RollingBack { why, .. } => why.clone(),
        _ => "the process that carried it out is gone".to_owned(),
    };
    undo(records, record, why).await;
}

fn note(records: &Records, record: &mut Record, progress: Progress) -> Result<(), RecordError> {
    record.progress = progress;
    records.write(record)
}

/// Does the steps and waits for the proof; the error is why the change must be taken back.
async fn apply(records: &Records, record: &mut Record, told: &mut Told) -> Result<(), String> {
    let plan = record.plan.clone();
    is_as_planned(&plan).await?;
    // A neighbour that does not answer now need not answer afterwards.
    let mut gateways = Vec::new();
    for gateway in &plan.gateways {
        if answers(gateway.address, gateway.before, ANSWER_BEFORE).await.is_ok() {
            gateways.push(*gateway);
        }
    }
    record.plan.gateways.clone_from(&gateways);
    for file in &plan.lasting {
        files::unchanged(file).map_err(|error| error.to_string())?;
        files::stage(file).map_err(|error| error.to_string())?;
    }
    let hands = Hands::open(records, record.patience).map_err(|error| error.to_string())?;
    hands.complete(&mut record.plan.undo).await.map_err(|error| error.to_string())?;
    // What was looked at until here took its time.
    is_as_planned(&plan).await?;
    told.go_on()?;
    for (done, step) in plan.steps.iter().enumerate() {
        let doing = step.text();
        note(records, record, Progress::Applying { done, doing }).map_err(|error| error.to_string())?;
        #[cfg(debug_assertions)]
        pause::before_action(&format!("bridge {}", done + 1)).await;
        // A step is not cut in the middle.
        told.go_on()?;
        let begun = Instant::now();
        hands.run(step, &plan.after).await.map_err(|error| error.to_string())?;
        record.took.push(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
    }
    let done = plan.steps.len();
    let mut last = String::new();
    let proof = seen(&plan.after, PROOF, |missing| {
        if *missing != last {
            last.clone_from(missing);
            let _ = note(records, record, Progress::Applying { done, doing: format!("waiting: {missing}") });
        }
    });
    told.unless(proof).await?;
    for gateway in gateways {
        let doing = format!("waiting for {gateway} to answer");
        note(records, record, Progress::Applying { done, doing }).map_err(|error| error.to_string())?;
        told.unless(answers(gateway.address, gateway.after, ANSWER)).await?;
    }
    hands.wait().await;
    Ok(())
}

/// The host is still what it was when the change was planned.
async fn is_as_planned(plan: &BridgePlan) -> Result<(), String> {
    let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
    let differs = plan.before.appeared(&facts).or_else(|| plan.before.missing(&facts));
    differs.map_or(Ok(()), |what| Err(format!("the host is not what it was when this was planned: {what}")))
}

/// Puts the old state back as far as it goes. A record that cannot be written must not keep it from that.
async fn undo(records: &Records, record: &mut Record, why: String) {
    let is_untouched = record.progress == Progress::Prepared;
    record.plan.lasting.iter().for_each(files::unstage);
    if is_untouched {
        let _ = note(records, record, Progress::RolledBack { why });
        return;
    }
    // Killed on the way back, it has said so already.
    let why = match record.progress {
        Progress::RollingBack { .. } => why,
        _ => why + &leave_alone(&mut record.plan).await,
    };
    let (plan, patience) = (record.plan.clone(), record.patience);
    let mut tell = |done: usize, doing: String| {
        let _ = note(records, record, Progress::RollingBack { why: why.clone(), done, doing });
    };
    let mut troubles = Vec::new();
    match Hands::open(records, patience) {
        Ok(hands) => {
            for (done, step) in plan.undo.iter().enumerate() {
                tell(done, step.text());
                #[cfg(debug_assertions)]
                pause::before_action(&format!("bridge back {}", done + 1)).await;
                if let Err(error) = hands.run(step, &plan.before).await {
                    troubles.push(error.to_string());
                }
            }
        }
        Err(error) => troubles.push(error.to_string()),
    }
    tell(plan.undo.len(), "waiting until the kernel shows the old state".to_owned());
    if let Err(missing) = seen(&plan.before, PROOF_BACK, |_| {}).await {
        troubles.push(missing);
    }
    let progress = if troubles.is_empty() {
        Progress::RolledBack { why }
    } else {
        Progress::Failed { known: format!("{why}; {}", troubles.join("; ")) }
    };
    let _ = note(records, record, progress);
}

/// A bridge that somebody else made meanwhile is left to its maker; one's own goes, and who was plugged
/// into it while it waited for its confirmation is told.
async fn leave_alone(plan: &mut BridgePlan) -> String {
    if !plan.before.absent.contains(&plan.bridge) {
        return String::new();
    }
    let Ok(facts) = netlink::read_once().await else { return String::new() };
    let Some(bridge) = facts.links.iter().find(|link| link.name == plan.bridge) else { return String::new() };
    if !plan.made(bridge, &facts) {
        plan.leave_bridge();
        return format!("; {} is not the one that was made here, and is left as it is", plan.bridge);
    }
    let own = |name| plan.after.masters.iter().any(|(port, _)| *port == name);
    let others = facts.links.iter().filter(|link| link.master == Some(bridge.index) && !own(link.name));
    let names: Vec<String> = others.map(|link| link.name.to_string()).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("; {} was plugged into {} meanwhile and is without a bridge now", names.join(", "), plan.bridge)
}

/// Waits until the kernel shows what is expected, and tells what is still missing.
async fn seen(expect: &Expect, patience: Duration, mut tell: impl FnMut(&String)) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let missing = match netlink::read_once().await {
            Ok(facts) => expect.missing(&facts),
            Err(error) => Some(error.to_string()),
        };
        match missing {
            None => return Ok(()),
            Some(missing) if Instant::now() >= deadline => return Err(missing),
            Some(missing) => {
                tell(&missing);
                tokio::time::sleep(POLL).await;
            }
        }
    }
}
