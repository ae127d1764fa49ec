//! READS. Whether the agent was told to end: by systemd, by the end of a session, or by hand. A signal
//! must not end it with half a change: told while it goes forward it takes everything back, and what it
//! takes back or keeps it brings to its end.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// What is said then.
const WHY: &str = "its process was told to end";

/// Hears the signals.
#[derive(Debug)]
pub(super) struct Told(watch::Receiver<bool>);

impl Told {
    /// From here on no signal that asks for the end does it by itself.
    pub(super) fn listen() -> Self {
        // Neither the hang-up of a terminal is meant for it, nor what its session does among itself.
        for kind in [SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::user_defined2()] {
            let _ignored = signal(kind);
        }
        let (tell, told) = watch::channel(false);
        for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()] {
            let Ok(mut signals) = signal(kind) else { continue };
            let tell = tell.clone();
            tokio::spawn(async move { while signals.recv().await.is_some() && tell.send(true).is_ok() {} });
        }
        Self(told)
    }

    /// # Errors
    /// It was told to end.
    pub(super) fn go_on(&self) -> Result<(), String> {
        if *self.0.borrow() { Err(WHY.to_owned()) } else { Ok(()) }
    }

    /// Why it is to end, when it is told so.
    pub(super) async fn heard(&mut self) -> String {
        if self.0.wait_for(|is_told| *is_told).await.is_err() {
            std::future::pending::<()>().await;
        }
        WHY.to_owned()
    }

    /// Waits for something only as long as it is not told to end.
    ///
    /// # Errors
    /// What was waited for went wrong, or it was told to end.
    pub(super) async fn unless<T>(
        &mut self,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        tokio::select! {
            result = work => result,
            why = self.heard() => Err(why),
        }
    }
}
