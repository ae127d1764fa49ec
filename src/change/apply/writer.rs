//! WRITES. libvirt calls on one guest with a deadline each, on a writing connection of their own that is
//! opened at the first use and again after it was lost.

use std::time::{Duration, Instant};

use super::trouble::{CALL, DAEMON, Trouble};
use super::{Progress, StepState, Tell};
use crate::change::plan::StepId;
use crate::model::ids::DomainId;
use crate::source::libvirt::{Access, Connection, GuestHandle, LibvirtError};

/// The writing connection, for one guest.
pub(super) struct Writer {
    uri: String,
    guest: DomainId,
    connection: Option<Connection>,
    tell: Tell,
    /// The step that is under way: a daemon that is away is told as what it waits for.
    pub(super) step: Option<StepId>,
}

impl Writer {
    pub(super) fn new(uri: &str, guest: DomainId, tell: &Tell) -> Self {
        Self { uri: uri.to_owned(), guest, connection: None, tell: tell.clone(), step: None }
    }

    /// One call on a blocking thread. A thread that hangs is left behind: keepalive ends it.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        action: impl FnOnce(&GuestHandle) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (uri, guest, connection) = (self.uri.clone(), self.guest, self.connection.take());
        let task = tokio::task::spawn_blocking(move || {
            let connection = match connection {
                Some(connection) => connection,
                None => Connection::open(&uri, Access::ReadWrite)?,
            };
            let result = action(&connection.domain(guest)?);
            result.map(|value| (value, connection))
        });
        match tokio::time::timeout(CALL, task).await {
            Ok(Ok(Ok((value, connection)))) => {
                self.connection = Some(connection);
                Ok(value)
            }
            Ok(Ok(Err(error))) => Err(error.into()),
            Ok(Err(_)) | Err(_) => Err(Trouble::Hung),
        }
    }

    /// A call that only reads, repeated while the daemon is away.
    pub(super) async fn read<T: Send + 'static>(
        &mut self,
        action: impl Fn(&GuestHandle) -> Result<T, LibvirtError> + Clone + Send + 'static,
    ) -> Result<T, Trouble> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let trouble = match self.call(action.clone()).await {
                Ok(value) => return Ok(value),
                Err(trouble) => trouble,
            };
            if !trouble.is_transient() {
                return Err(trouble);
            }
            if begun.elapsed() > DAEMON {
                return Err(Trouble::Away);
            }
            if !std::mem::replace(&mut told, true) {
                self.waiting(format!("libvirt does not answer; waiting for it up to {} s", DAEMON.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Tells what the step under way waits for.
    pub(super) fn waiting(&self, text: String) {
        if let Some(step) = self.step {
            let _ = self.tell.send(Progress { step, state: StepState::Waiting { text } });
        }
    }
}
