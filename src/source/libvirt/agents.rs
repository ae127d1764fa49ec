//! READS. Addresses that guest agents report, asked on threads and a connection of their own: an agent that
//! hangs blocks its call for 5 s and more, which must hold up neither the inventory nor the other agents.
//!
//! libvirt asks agents only over the writing socket, so nobody is asked where opening that one needs a
//! right or a password.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::connection::{Access, Connection};
use super::error::{ErrorKind, LibvirtError};
use super::pulse::Pulse;
use super::reader::Wake;
use crate::model::DomainId;
use crate::model::guest::AgentAddress;
use crate::source::supervise::{self, start};

/// Time between two rounds over all agents.
const ROUND: Duration = Duration::from_secs(10);
/// One that did not answer is asked again in every so many rounds only: each time it costs libvirt a thread
/// for 5 s.
const SILENT_ROUND: u32 = 6;
/// How many are asked at a time; libvirt takes 5 calls of one client.
const ASKERS: usize = 3;

/// What the agents answered. One that refuses has no addresses; one that is not in it has not answered.
pub(super) type Answers = BTreeMap<DomainId, Vec<AgentAddress>>;

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
    /// thread starts with the first of them. Returns those who are asked: nobody without the right to.
    pub(super) fn ask(&mut self, guests: Vec<DomainId>) -> &[DomainId] {
        if guests == self.asked || !Access::ReadWrite.is_free_of_prompts(&self.uri) {
            return &self.asked;
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
        &self.asked
    }
}

fn run(uri: &str, pulse: &Pulse, wanted: &Receiver<Vec<DomainId>>, wake: &Sender<Wake>) {
    let mut connection = None;
    let mut guests = Vec::new();
    let heard = Heard { answers: Mutex::default(), wake: wake.clone() };
    for number in 0_u32.. {
        let is_new = match wanted.recv_timeout(ROUND) {
            Ok(others) => {
                guests = wanted.try_iter().last().unwrap_or(others);
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if pulse.is_over() {
            return;
        }
        heard.forget_others(&guests);
        connection = connection.filter(Connection::is_alive).filter(|_| !guests.is_empty());
        if connection.is_none() && !guests.is_empty() {
            let opened = Connection::open(uri, Access::ReadWrite);
            connection = opened.inspect_err(|error| tracing::debug!("for the agents: {error}")).ok();
        }
        if let Some(connection) = &connection {
            let everybody = is_new || number.is_multiple_of(SILENT_ROUND);
            let round = guests.iter().filter(|id| everybody || heard.has_answered(**id));
            ask_all(connection, pulse, &round.copied().collect::<Vec<_>>(), &heard);
        }
    }
}

/// One question to each agent, some of them at a time.
fn ask_all(connection: &Connection, pulse: &Pulse, guests: &[DomainId], heard: &Heard) {
    let waiting = Mutex::new(guests.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next().filter(|_| !pulse.is_over());
    let asker = || {
        while let Some(id) = next() {
            let answer = connection.domain(*id).and_then(|guest| guest.agent_addresses());
            heard.take(*id, answer);
        }
    };
    thread::scope(|scope| {
        for _ in 0..guests.len().min(ASKERS) {
            scope.spawn(asker);
        }
    });
}

/// What came so far; every news wakes the reader.
struct Heard {
    answers: Mutex<Answers>,
    wake: Sender<Wake>,
}

impl Heard {
    fn take(&self, id: DomainId, answer: Result<Vec<AgentAddress>, LibvirtError>) {
        let answer = match answer {
            Ok(addresses) => Some(addresses),
            Err(error) => {
                tracing::debug!("{error}");
                // Not silent, but it does not tell.
                (error.kind == ErrorKind::Other || error.kind == ErrorKind::Unsupported).then(Vec::new)
            }
        };
        self.change(|answers| match answer {
            Some(addresses) => drop(answers.insert(id, addresses)),
            None => drop(answers.remove(&id)),
        });
    }

    fn forget_others(&self, guests: &[DomainId]) {
        let guests: BTreeSet<&DomainId> = guests.iter().collect();
        self.change(|answers| answers.retain(|id, _| guests.contains(id)));
    }

    fn has_answered(&self, id: DomainId) -> bool {
        self.lock().contains_key(&id)
    }

    fn change(&self, change: impl FnOnce(&mut Answers)) {
        let mut answers = self.lock();
        let before = answers.clone();
        change(&mut answers);
        if *answers != before {
            let _ = self.wake.send(Wake::Agents(answers.clone()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
