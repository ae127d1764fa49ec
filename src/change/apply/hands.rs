//! WRITES. libvirt calls with a deadline each, on a connection of their own that is opened at the
//! first use and again after it was lost.
//!
//! A write whose answer never came may have happened: it is not repeated blindly, its effect is read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::change::splice::SpliceError;
use crate::change::target::Target;
use crate::model::guest::{Definition, NicConfig};
use crate::model::ids::NicId;
use crate::source::libvirt::{Access, Connection, GuestHandle, LibvirtError, Scope};
use crate::source::netlink::NetlinkError;

/// A single call; a detach job takes libvirt five seconds when the guest does not answer.
const CALL: Duration = Duration::from_secs(20);
/// How long a daemon may be away (restarted, frozen) before we give up on it.
const DAEMON: Duration = Duration::from_secs(60);

/// What can go wrong in a step.
#[derive(Debug, Error)]
pub(super) enum Trouble {
    #[error("{}{}", .0, hint(.0))]
    Libvirt(#[from] LibvirtError),
    #[error("libvirt did not answer within {} s", CALL.as_secs())]
    Hung,
    #[error("libvirt was away for more than {} s", DAEMON.as_secs())]
    Away,
    #[error(transparent)]
    Kernel(#[from] NetlinkError),
    #[error(transparent)]
    Splice(#[from] SpliceError),
    #[error("{0}")]
    Changed(String),
    #[error("the NIC is not in the definition any more")]
    Missing,
    #[error("the guest did not let go of the NIC; it may still do so later (virsh domiflist)")]
    NotReleased,
    #[error("the kernel does not have it there: {0}")]
    Mismatch(String),
}

fn hint(error: &LibvirtError) -> String {
    error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

impl Trouble {
    /// The daemon is the problem, not the request: whether the request was carried out is not known.
    fn is_transient(&self) -> bool {
        match self {
            Self::Hung => true,
            Self::Libvirt(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// The writing connection, for one NIC.
pub(super) struct Hands {
    uri: String,
    nic: NicId,
    connection: Option<Arc<Connection>>,
}

impl Hands {
    pub(super) fn new(uri: &str, nic: NicId) -> Self {
        Self { uri: uri.to_owned(), nic, connection: None }
    }

    /// One call on a blocking thread. A thread that hangs is left behind: keepalive ends it.
    async fn call<T: Send + 'static>(
        &mut self,
        action: impl FnOnce(&GuestHandle) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (uri, domain, connection) = (self.uri.clone(), self.nic.domain, self.connection.take());
        let task = tokio::task::spawn_blocking(move || {
            let connection = match connection {
                Some(connection) => connection,
                None => Arc::new(Connection::open(&uri, Access::ReadWrite)?),
            };
            let result = action(&connection.domain(domain)?);
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

    /// The NIC's element as libvirt has it now; `None` when it has none. Waits for a daemon that is away.
    pub(super) async fn element(&mut self, scope: Scope) -> Result<Option<String>, Trouble> {
        let begun = Instant::now();
        let xml = loop {
            match self.call(move |guest| guest.xml(scope)).await {
                Ok(xml) => break xml,
                Err(trouble) if !trouble.is_transient() => return Err(trouble),
                Err(_) if begun.elapsed() > DAEMON => return Err(Trouble::Away),
                Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        };
        let definition = Definition::parse(&xml).map_err(|error| Trouble::Changed(error.to_string()))?;
        let mut same = definition.nics.iter().filter(|nic| nic.mac == Some(self.nic.mac));
        let nic = same.nth(usize::from(self.nic.nth));
        Ok(nic.and_then(|nic| xml.get(nic.span.clone())).map(str::to_owned))
    }

    /// Changes the NIC. When the answer is lost, what libvirt has afterwards decides.
    pub(super) async fn update(&mut self, xml: &str, scope: Scope, to: &Target) -> Result<(), Trouble> {
        for attempt in 0.. {
            let text = xml.to_owned();
            match self.call(move |guest| guest.update_device(&text, scope)).await {
                Ok(()) => return Ok(()),
                Err(trouble) if !trouble.is_transient() || attempt >= 2 => return Err(trouble),
                Err(_) => {
                    let element = self.element(scope).await?.ok_or(Trouble::Missing)?;
                    let (asked, now) = (config(xml)?, config(&element)?);
                    if plugged(&element, to).is_ok() && asked.link_down == now.link_down {
                        return Ok(());
                    }
                }
            }
        }
        Err(Trouble::Hung)
    }

    /// Asks the guest to let go. When the answer is lost, the caller's wait for its absence decides.
    pub(super) async fn detach(&mut self, xml: &str) -> Result<(), Trouble> {
        for attempt in 0.. {
            let text = xml.to_owned();
            match self.call(move |guest| guest.detach_device(&text, Scope::Live)).await {
                Ok(()) => return Ok(()),
                Err(trouble) if !trouble.is_transient() || attempt >= 2 => return Err(trouble),
                Err(_) => {
                    if self.element(Scope::Live).await?.is_none() {
                        return Ok(());
                    }
                }
            }
        }
        Err(Trouble::Hung)
    }

    /// Plugs a new device in. When the answer is lost, its presence decides.
    pub(super) async fn attach(&mut self, xml: &str) -> Result<(), Trouble> {
        for attempt in 0.. {
            let text = xml.to_owned();
            match self.call(move |guest| guest.attach_device(&text, Scope::Live)).await {
                Ok(()) => return Ok(()),
                Err(trouble) if !trouble.is_transient() || attempt >= 2 => return Err(trouble),
                Err(_) => {
                    if self.element(Scope::Live).await?.is_some() {
                        return Ok(());
                    }
                }
            }
        }
        Err(Trouble::Hung)
    }
}

/// What an element says.
pub(super) fn config(element: &str) -> Result<NicConfig, Trouble> {
    let wrapped = format!("<domain><devices>{element}</devices></domain>");
    let definition = Definition::parse(&wrapped).map_err(|error| Trouble::Changed(error.to_string()))?;
    definition.nics.into_iter().next().ok_or(Trouble::Missing)
}

/// Whether an element is plugged there.
pub(super) fn plugged(element: &str, to: &Target) -> Result<(), Trouble> {
    let source = config(element)?.source;
    if to.is(&source) {
        return Ok(());
    }
    Err(Trouble::Changed(format!(
        "libvirt has {} {} instead of {}",
        source.kind_word(),
        source.plug(),
        to.words()
    )))
}
