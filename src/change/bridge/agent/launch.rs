//! WRITES. Starts the agent: as a transient unit where systemd runs, which systemd starts again when it is
//! killed; elsewhere, or where systemd refuses, as a process in a session of its own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{BEGUN, COMMAND, POLL, TAKE_LOCK};
use crate::change::bridge::record::{Progress, Record, RecordError, Records};
use crate::model::Timestamp;

/// Starts the agent for a change that was prepared; where systemd would not, that is noted in its record.
///
/// # Errors
/// The program cannot be started again; nothing was changed.
pub fn start(records: &Records, record: &Record, lock: File) -> io::Result<()> {
    let program = std::env::current_exe()?;
    if !Path::new("/run/systemd/system").is_dir() {
        return detach(&program, records, lock);
    }
    // systemd does not hand on a file: the unit takes the lock itself.
    drop(lock);
    let Err(why) = by_systemd(&unit(&program, records.directory(), record.begun)) else { return Ok(()) };
    // One that runs all the same, whatever was said, has the lock, or has had it.
    let Some(lock) = regain(records)? else { return Ok(()) };
    match records.read() {
        Some(mut found) if found.begun == record.begun && found.progress == Progress::Prepared => {
            found.alone = Some(why);
            let _ = records.write(&found);
            detach(&program, records, lock)
        }
        _ => Ok(()),
    }
}

fn detach(program: &Path, records: &Records, lock: File) -> io::Result<()> {
    let mut command = Command::new(program);
    command.arg(COMMAND).arg(records.directory()).current_dir("/");
    command.stdin(Stdio::from(lock)).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(drop)
}

/// The error is what was said.
fn by_systemd(argv: &[String]) -> Result<(), String> {
    let mut command = Command::new("systemd-run");
    let run = command.args(argv).env("LC_ALL", "C").stdin(Stdio::null()).output();
    let run = run.map_err(|error| format!("systemd-run: {error}"))?;
    if run.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(format!("systemd-run: {}: {}", run.status, said.join("; ")))
}

/// The lock, unless somebody else has it and keeps it.
fn regain(records: &Records) -> io::Result<Option<File>> {
    /// Who only looks lets it go sooner.
    const PATIENCE: Duration = Duration::from_secs(1);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match records.lock() {
            Ok(lock) => return Ok(Some(lock)),
            Err(RecordError::Busy) if Instant::now() < deadline => std::thread::sleep(POLL),
            Err(RecordError::Busy) => return Ok(None),
            Err(RecordError::Io { error, .. }) => return Err(error),
        }
    }
}

/// The arguments of `systemd-run`: killed, the unit is started again and takes everything back; told to end,
/// it gets the time for that; DHCP clients that it started outlive it, and with them its name, so that each
/// change has one of its own.
#[must_use]
pub fn unit(program: &Path, directory: &Path, begun: Timestamp) -> Vec<String> {
    let properties = [
        "Restart=on-failure",
        "RestartSec=1",
        "KillMode=process",
        "TimeoutStopSec=600",
        "OOMScoreAdjust=-900",
    ];
    let mut argv =
        vec!["--quiet".to_owned(), "--collect".to_owned(), format!("--unit=virt-net-bridge-{}", begun.0)];
    argv.push("--description=virt-net: a change of a bridge that waits for its confirmation".to_owned());
    argv.extend(properties.iter().map(|property| format!("--property={property}")));
    argv.push("--".to_owned());
    argv.push(program.display().to_string());
    argv.extend([COMMAND, TAKE_LOCK, BEGUN].map(str::to_owned));
    argv.extend([begun.0.to_string(), directory.display().to_string()]);
    argv
}
