//! WRITES. The process that carries a bridge's change out: it survives the terminal, the session and
//! the program that started it, and takes everything back unless somebody confirms in time.
//!
//! It holds the lock as its standard input. Killed in the middle, it leaves the record; the next start of
//! virt-net finds that nobody holds the lock and finishes the way back ([`recover`]).

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::kernel::Kernel;
use super::record::{Answer, Progress, Record, RecordError, Records};
use super::{BridgePlan, Expect};
use crate::model::{IfIndex, Timestamp};
use crate::source::{netlink, now};

/// The hidden subcommand that runs it.
pub const COMMAND: &str = "bridge-agent";

/// How often the agent looks for an answer, and for the kernel to be as it must.
const POLL: Duration = Duration::from_millis(100);
/// A port with STP forwards within twice the longest forward delay.
const PROOF: Duration = Duration::from_secs(40);
/// What was taken back must be seen within this time.
const PROOF_BACK: Duration = Duration::from_secs(3);

/// Starts the agent; the lock goes with it, as its standard input.
///
/// # Errors
/// The program cannot be started again; nothing was changed.
pub fn start(records: &Records, lock: File) -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).arg(records.directory()).current_dir("/");
    command.stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}

/// The agent's whole life.
///
/// # Errors
/// The record cannot be written; then nothing is changed, or what was changed has been put back.
pub async fn run(directory: &Path) -> Result<(), RecordError> {
    // A session of its own: neither ctrl-C nor the hang-up of a terminal reaches it.
    let _ = nix::unistd::setsid();
    let _ignored = signal(SignalKind::hangup());
    let records = Records::at(directory);
    let Some(mut record) = records.read() else { return Ok(()) };
    if record.progress != Progress::Prepared {
        return Ok(());
    }
    note(&records, &mut record, Progress::Applying)?;
    let why = match apply(&record.plan).await {
        Err(why) => why,
        Ok(()) => match wait(&records, &mut record).await {
            Ok(None) => return note(&records, &mut record, Progress::Confirmed),
            Ok(Some(why)) => why.to_owned(),
            Err(error) => error.to_string(),
        },
    };
    undo(&records, &mut record, why).await;
    Ok(())
}

/// Waits for the confirmation (`None`), or for a reason to take everything back.
async fn wait(records: &Records, record: &mut Record) -> Result<Option<&'static str>, RecordError> {
    let until = Timestamp(now().0 + u64::try_from(record.patience.as_millis()).unwrap_or(u64::MAX));
    let deadline = Instant::now() + record.patience;
    let mut told_to_end = signal(SignalKind::terminate()).ok();
    note(records, record, Progress::Waiting { until })?;
    let end = async {
        match &mut told_to_end {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        answer = answer(records, record.begun, deadline) => Ok(match answer {
            Some(Answer::Confirm) => None,
            Some(Answer::Rollback) => Some("somebody asked for it"),
            None => Some("nobody confirmed it in time"),
        }),
        _ = end => Ok(Some("its process was told to end")),
    }
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

/// Finishes what an agent that died left behind; `None` when there is nothing, or the agent lives.
pub async fn recover(records: &Records) -> Option<Record> {
    let found = records.read().filter(|record| !record.progress.is_final())?;
    // Somebody holds the lock: the agent lives.
    let _lock = records.lock().ok()?;
    let mut record = records.read().filter(|record| record.begun == found.begun)?;
    if !record.progress.is_final() {
        undo(records, &mut record, "the process that carried it out is gone".to_owned()).await;
    }
    Some(record)
}

fn note(records: &Records, record: &mut Record, progress: Progress) -> Result<(), RecordError> {
    record.progress = progress;
    records.write(record)
}

/// Does the steps and waits for the proof; the error is why the change must be taken back.
async fn apply(plan: &BridgePlan) -> Result<(), String> {
    let kernel = Kernel::open().map_err(|error| error.to_string())?;
    for step in &plan.steps {
        kernel.run(step).await.map_err(|error| error.to_string())?;
    }
    seen(&plan.after, PROOF).await?;
    for gateway in &plan.gateways {
        answers(*gateway).await?;
    }
    Ok(())
}

/// Puts the old state back as far as it goes. A record that cannot be written must not keep it from that.
async fn undo(records: &Records, record: &mut Record, why: String) {
    let _ = note(records, record, Progress::RollingBack { why: why.clone() });
    let mut troubles = Vec::new();
    match Kernel::open() {
        Ok(kernel) => {
            for step in &record.plan.undo {
                if let Err(error) = kernel.run(step).await {
                    troubles.push(error.to_string());
                }
            }
        }
        Err(error) => troubles.push(error.to_string()),
    }
    if let Err(missing) = seen(&record.plan.before, PROOF_BACK).await {
        troubles.push(missing);
    }
    let progress = if troubles.is_empty() {
        Progress::RolledBack { why }
    } else {
        Progress::Failed { known: format!("{why}; {}", troubles.join("; ")) }
    };
    let _ = note(records, record, progress);
}

/// Waits until the kernel shows what is expected.
async fn seen(expect: &Expect, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        let missing = match netlink::read_once().await {
            Ok(facts) => expect.missing(&facts),
            Err(error) => Some(error.to_string()),
        };
        match missing {
            None => return Ok(()),
            Some(missing) if Instant::now() >= deadline => return Err(missing),
            Some(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Waits until a neighbour has told its MAC over the link that the route to it takes now: a datagram to
/// the discard port makes the kernel ask.
async fn answers(neighbour: IpAddr) -> Result<(), String> {
    const ANSWER: Duration = Duration::from_secs(5);
    let deadline = Instant::now() + ANSWER;
    while Instant::now() < deadline {
        let any: std::net::SocketAddr = match neighbour {
            IpAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
            IpAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        if let Ok(socket) = std::net::UdpSocket::bind(any) {
            // An unreachable port is an answer like any other.
            let _ = socket.send_to(&[], (neighbour, 9));
        }
        tokio::time::sleep(POLL).await;
        let facts = netlink::read_once().await.map_err(|error| error.to_string())?;
        let over: Option<IfIndex> = facts.route_to(neighbour).and_then(|route| route.oif);
        let known = facts.neighbours.iter().any(|seen| {
            Some(seen.index) == over
                && seen.address == neighbour
                && !matches!(seen.state.as_str(), "failed" | "incomplete")
        });
        if known {
            return Ok(());
        }
    }
    Err(format!("{neighbour}, which answered before, does not answer any more"))
}
