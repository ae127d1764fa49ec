//! A command that changes nothing, or nothing yet, ends when a signal asks for it, by the same way as at its end:
//! cut off in the middle it would leave libvirt with a call that nobody waits for.

use std::sync::atomic::{AtomicBool, Ordering};

use color_eyre::eyre::{Result, WrapErr as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::ExitStatus;

const SIGNALS: [(SignalKind, ExitStatus); 3] = [
    (SignalKind::hangup(), ExitStatus::HungUp),
    (SignalKind::interrupt(), ExitStatus::Interrupted),
    (SignalKind::terminate(), ExitStatus::Terminated),
];

/// A change has begun: what becomes of signals is its own matter.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// From here on no signal ends the command by itself.
pub(super) fn change_begins() {
    BEGUN.store(true, Ordering::Relaxed);
}

/// The command's own end, or the signal's if it comes before a change begins.
pub(super) async fn unless_told(command: impl Future<Output = Result<ExitStatus>>) -> Result<ExitStatus> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let (tell, mut told) = mpsc::unbounded_channel();
    // nohup, and a shell's `&`, mean it: what is ignored stays so.
    for (kind, status) in SIGNALS.into_iter().filter(|(kind, _)| !is_ignored(&status, *kind)) {
        let mut signals = signal(kind).wrap_err("listen to signals")?;
        let tell = tell.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && tell.send(status).is_ok() {} });
    }
    let told = async {
        while let Some(status) = told.recv().await {
            if !BEGUN.load(Ordering::Relaxed) {
                return status;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        result = command => result,
        status = told => Ok(status),
    }
}

/// `SigIgn` of `/proc/self/status`: a bit for each signal, the first for signal 1.
fn is_ignored(status: &str, kind: SignalKind) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_caller_ignores_is_a_bit() {
        let nohup = "Name:\tvirt-net\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00000000000005fe\n";
        assert!(is_ignored(nohup, SignalKind::hangup()));
        assert!(!is_ignored(nohup, SignalKind::interrupt()) && !is_ignored(nohup, SignalKind::terminate()));
        assert!(!is_ignored("", SignalKind::hangup()));
    }
}
