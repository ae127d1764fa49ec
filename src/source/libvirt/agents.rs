//! READS. Addresses that guest agents report, asked on a thread and a connection of their own: an agent
//! that hangs blocks its call for 5 s and more, which must not hold up the inventory.
//!
//! libvirt asks agents only over the writing socket, so nobody is asked where opening that one needs a
//! right or a password.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::connection::{Access, Connection};
use super::pulse::Pulse;
use super::reader::Wake;
use crate::model::DomainId;
use crate::model::guest::AgentAddress;
use crate::source::supervise::{self, start};

/// Time between two rounds over all agents.
const ROUND: Duration = Duration::from_secs(10);

/// The thread that asks, and whom it asks.
pub(super) struct Agents {
    uri: String,
    pulse: Arc<Pulse>,
    wake: Sender<Wake>,
    asked: Vec<DomainId>,
    thread: Option<Sender<Vec<DomainId>>>,
}

impl Agents {
    pub(super) const fn new(uri: String, pulse: Arc<Pulse>, wake: Sender<Wake>) -> Self {
        Self { uri, pulse, wake, asked: Vec::new(), thread: None }
    }

    /// Asks the agents of these guests from now on, and at once when they are others than before. The
    /// thread starts with the first of them.
    pub(super) fn ask(&mut self, guests: Vec<DomainId>) {
        if guests == self.asked || !Access::ReadWrite.is_free_of_prompts(&self.uri) {
            return;
        }
        let thread = self.thread.get_or_insert_with(|| {
            let (sender, wanted) = channel();
            let (uri, pulse, wake) = (self.uri.clone(), Arc::clone(&self.pulse), self.wake.clone());
            start("libvirt-agents", move || {
                supervise::thread("libvirt-agents", drop, || run(&uri, &pulse, &wanted, &wake));
            });
            sender
        });
        self.asked.clone_from(&guests);
        let _ = thread.send(guests);
    }
}

fn run(uri: &str, pulse: &Pulse, wanted: &Receiver<Vec<DomainId>>, wake: &Sender<Wake>) {
    let mut connection = None;
    let mut guests = Vec::new();
    let mut answers = BTreeMap::new();
    loop {
        match wanted.recv_timeout(ROUND) {
            Ok(others) => guests = wanted.try_iter().last().unwrap_or(others),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if pulse.is_over() {
            return;
        }
        connection = connection.filter(Connection::is_alive).filter(|_| !guests.is_empty());
        if connection.is_none() && !guests.is_empty() {
            let opened = Connection::open(uri, Access::ReadWrite);
            connection = opened.inspect_err(|error| tracing::debug!("for the agents: {error}")).ok();
        }
        let found =
            connection.as_ref().map(|connection| round(connection, pulse, &guests)).unwrap_or_default();
        if found != answers {
            answers.clone_from(&found);
            let _ = wake.send(Wake::Agents(found));
        }
    }
}

/// One question to each agent; one that gives no answer has no addresses.
fn round(
    connection: &Connection,
    pulse: &Pulse,
    guests: &[DomainId],
) -> BTreeMap<DomainId, Vec<AgentAddress>> {
    let ask = |id: &DomainId| {
        let answer = connection.domain(*id).and_then(|guest| guest.agent_addresses());
        let answer = answer.inspect_err(|error| tracing::debug!("{error}")).ok()?;
        Some((*id, answer))
    };
    guests.iter().take_while(|_| !pulse.is_over()).filter_map(ask).collect()
}
