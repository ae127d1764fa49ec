//! WRITES. libvirt calls on one network with a deadline each, on a writing connection that is opened at the
//! first use and again after it was lost.

use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{CALL, Trouble};
use crate::model::NetworkId;
use crate::source::libvirt::{Access, Connection, LibvirtError, NetworkHandle};

/// How long a daemon may be away (restarted, frozen) before we give up on it.
const DAEMON: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    uri: String,
    connection: Option<Connection>,
    /// The network, once it is there.
    pub(super) network: Option<NetworkId>,
}

impl Writer {
    pub(super) fn new(uri: &str, network: Option<NetworkId>) -> Self {
        Self { uri: uri.to_owned(), connection: None, network }
    }

    /// One call on a blocking thread. A thread that hangs is left behind: keepalive ends it.
    pub(super) async fn call<T: Send + 'static>(
        &mut self,
        action: impl FnOnce(&Connection) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (uri, connection) = (self.uri.clone(), self.connection.take());
        let call = spawn_blocking(move || {
            let connection = match connection.filter(Connection::is_alive) {
                Some(connection) => connection,
                None => Connection::open(&uri, Access::ReadWrite)?,
            };
            let result = action(&connection);
            Ok::<_, LibvirtError>((result, connection))
        });
        let (result, connection) = timeout(CALL, call).await.map_err(|_| Trouble::Hung)???;
        self.connection = Some(connection);
        Ok(result?)
    }

    /// One call on the network.
    pub(super) async fn on_network<T: Send + 'static>(
        &mut self,
        action: impl FnOnce(&NetworkHandle) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let id = self.network.ok_or(Trouble::NotThere)?;
        self.call(move |connection| action(&connection.network(id)?)).await
    }

    /// A call that only reads, repeated while the daemon is away.
    pub(super) async fn read<T: Send + 'static>(
        &mut self,
        action: impl Fn(&Connection) -> Result<T, LibvirtError> + Clone + Send + 'static,
    ) -> Result<T, Trouble> {
        let begun = Instant::now();
        loop {
            match self.call(action.clone()).await {
                Err(trouble) if trouble.is_transient() && begun.elapsed() < DAEMON => {}
                result => return result,
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// A reading of the network; `None` when there is no such network (any more).
    pub(super) async fn read_network<T: Send + 'static>(
        &mut self,
        action: impl Fn(&NetworkHandle) -> Result<T, LibvirtError> + Clone + Send + 'static,
    ) -> Result<Option<T>, Trouble> {
        let Some(id) = self.network else { return Ok(None) };
        let read = move |connection: &Connection| action(&connection.network(id)?);
        match self.read(read).await {
            Err(trouble) if trouble.is_gone() => Ok(None),
            result => result.map(Some),
        }
    }
}
