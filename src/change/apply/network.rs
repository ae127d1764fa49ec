//! WRITES. Carries a network's plan out, each step proven by reading it again; a step that fails takes
//! everything before it back.

mod daemon;
mod links;
mod plugs;
mod room;
mod writer;

use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinError;
use tokio::time::sleep;

pub(super) use self::links::may_be_changed as may_change_links;
use self::writer::Writer;
use crate::change::Refusal;
use crate::change::journal::unfinished::{About, Note};
use crate::change::journal::{Journal, JournalError, Lock};
use crate::change::network::{Action, NetworkPlan, NetworkStep};
use crate::model::IfName;
use crate::model::kernel::KernelFacts;
use crate::model::network::NetworkDefinition;
use crate::model::network_update::{Update, UpdateChange};
use crate::model::unfinished::Changed;
use crate::source;
use crate::source::libvirt::{Autostart, Connection, ErrorKind, LibvirtError, NetworkHandle, Scope};
use crate::source::netlink::{self, NetlinkError};

/// A single call; starting a network starts its DHCP server and writes its firewall rules.
const CALL: Duration = Duration::from_secs(30);
/// How long the kernel may take to have a bridge, or to lose it.
const KERNEL: Duration = Duration::from_secs(5);
/// How often a call is made whose answer was lost and whose effect is not there.
const TRIES: u8 = 3;

/// News of a running change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkProgress {
    /// The step's text in the plan.
    pub text: String,
    /// What proves it, or why it failed.
    pub result: Result<String, String>,
    /// How long it took.
    pub millis: u64,
}

/// How a change of a network ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkOutcome {
    /// Done, and read again.
    Verified,
    /// Nothing was changed.
    Refused(Refusal),
    /// It failed, and everything is as it was.
    Reverted {
        /// What failed.
        why: String,
    },
    /// It failed, and so did the way back.
    Failed {
        /// What failed.
        why: String,
        /// What is not as it was.
        state: String,
    },
}

#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Libvirt(#[from] LibvirtError),
    #[error(transparent)]
    Kernel(#[from] NetlinkError),
    #[error("put {tap} on {bridge}: {error}")]
    Enslave { tap: IfName, bridge: IfName, error: rtnetlink::Error },
    #[error("libvirt did not answer within {} s", CALL.as_secs())]
    Hung,
    #[error("remove the half-made bridge {bridge}: {error}")]
    Remove { bridge: IfName, error: rtnetlink::Error },
    #[error("the call ended in a panic: {0}")]
    Panic(#[from] JoinError),
    #[error("the network is not there")]
    NotThere,
    #[error("{0}")]
    Unproven(String),
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

    fn is_gone(&self) -> bool {
        matches!(self, Self::Libvirt(error) if error.kind == ErrorKind::Gone)
    }
}

/// Applies the plan with a connection of its own.
pub async fn run(uri: &str, plan: &NetworkPlan, tell: &UnboundedSender<NetworkProgress>) -> NetworkOutcome {
    let refused = |reason: String, way_out: &str| {
        let what = plan.title.clone();
        NetworkOutcome::Refused(Refusal { what, reason, way_out: way_out.to_owned() })
    };
    // Without this right a restart would lose every guest of the network for good.
    let moves_links = |action: &Action| matches!(action, Action::Enslave(_));
    let mut actions = plan.steps.iter().flat_map(|step| step.undo.iter().chain([&step.action]));
    if actions.any(moves_links) && !links::may_be_changed() {
        let reason = "putting taps on a bridge needs the right CAP_NET_ADMIN".to_owned();
        return refused(reason, "run as root");
    }
    let opened = Journal::open().and_then(|journal| Ok((locks(&journal, plan)?, journal)));
    let (_locks, journal) = match opened {
        Ok(opened) => opened,
        Err(error) => return refused(error.to_string(), "free it and try again"),
    };
    if let Some(reason) = room::lacking(uri) {
        return refused(reason, "make room, or make it writable, and try again");
    }
    let mut change = Change { plan, writer: Writer::new(uri, plan.id) };
    if let Err(refusal) = change.still_as_previewed().await {
        return NetworkOutcome::Refused(refusal);
    }
    // What puts an interrupted change right leaves that one's record until it is done.
    let mut record = None;
    let changed = Changed::Network(plan.network.clone());
    if plan.mends.is_none() {
        let steps = plan.steps.iter().map(|step| step.text.clone()).collect();
        let about = About { of: changed.clone(), title: &plan.title, steps, plan };
        match journal.note(about, source::now()) {
            Ok(begun) => record = Some(begun),
            Err(error) => return refused(error.to_string(), "make room, or make it writable, and try again"),
        }
    }
    let outcome = change.steps(&mut record, tell).await;
    match (&outcome, record) {
        (NetworkOutcome::Failed { why, state }, Some(record)) => record.fail(&format!("{why}; {state}")),
        (_, Some(record)) => record.clear(),
        (_, None) => {}
    }
    if outcome == NetworkOutcome::Verified && plan.settles() {
        journal.settle(&changed);
    }
    outcome
}

/// The networks, and every guest whose tap is put back: no other virt-net plugs it elsewhere meanwhile.
fn locks(journal: &Journal, plan: &NetworkPlan) -> Result<Vec<Lock>, JournalError> {
    let mut locks = vec![journal.lock_networks()?];
    for guest in links::guests(plan) {
        locks.push(journal.lock(guest)?);
    }
    Ok(locks)
}

struct Change<'a> {
    plan: &'a NetworkPlan,
    writer: Writer,
}

impl Change<'_> {
    async fn steps(
        &mut self,
        record: &mut Option<Note>,
        tell: &UnboundedSender<NetworkProgress>,
    ) -> NetworkOutcome {
        let plan = self.plan;
        for (position, step) in plan.steps.iter().enumerate() {
            let begun = Instant::now();
            let noted = record.as_mut().map_or(Ok(()), |record| record.step(position, &step.text));
            #[cfg(debug_assertions)]
            super::pause::before_action(step.action.word()).await;
            let result = match noted {
                Ok(()) => self.act(&step.action).await.map_err(|trouble| trouble.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let _ = tell.send(NetworkProgress { text: step.text.clone(), result: result.clone(), millis });
            if let Err(why) = result {
                // The step that failed may have done half of its work: its own way back comes first.
                return self.back(plan.steps.get(..=position).unwrap_or_default(), why).await;
            }
        }
        NetworkOutcome::Verified
    }

    async fn still_as_previewed(&mut self) -> Result<(), Refusal> {
        let refuse = |reason: String, way_out: &str| Refusal {
            what: self.plan.title.clone(),
            reason,
            way_out: way_out.to_owned(),
        };
        // Opened here, once, so that a missing right or daemon refuses at once instead of being waited for.
        match self.writer.call(Connection::version).await {
            Ok(_) => {}
            Err(Trouble::Libvirt(error)) => {
                return Err(refuse(error.to_string(), error.hint().unwrap_or("see whether libvirt runs")));
            }
            Err(trouble) => return Err(refuse(trouble.to_string(), "try again")),
        }
        match self.has_definition_before().await {
            Ok(true) => {}
            Ok(false) => {
                let reason = "the network changed since the preview".to_owned();
                return Err(refuse(reason, "look at a fresh preview"));
            }
            Err(trouble) => return Err(refuse(trouble.to_string(), "try again")),
        }
        match links::moved(&mut self.writer, self.plan).await {
            Ok(moved) if moved.is_empty() => {}
            Ok(moved) => {
                let reason = format!("{}: that changed since the preview", moved.join(", "));
                return Err(refuse(reason, "look at a fresh preview"));
            }
            Err(trouble) => return Err(refuse(trouble.to_string(), "try again")),
        }
        match links::newcomers(self.plan).await {
            Ok(newcomers) if newcomers.is_empty() => Ok(()),
            Ok(newcomers) => {
                let reason = format!("{} came onto its bridge since the preview", newcomers.join(" "));
                Err(refuse(reason, "look at a fresh preview"))
            }
            Err(trouble) => Err(refuse(trouble.to_string(), "try again")),
        }
    }

    /// Does one thing until its effect can be read; what was read, in words. The effect decides, not
    /// libvirt's answer: the answer may be lost with the daemon.
    async fn act(&mut self, action: &Action) -> Result<String, Trouble> {
        match action {
            Action::Enslave(leashes) => {
                return links::enslave(&mut self.writer, &self.plan.network, leashes).await;
            }
            Action::Reload(services) => return daemon::reload(&self.plan.network, services).await,
            _ => {}
        }
        for attempt in 1.. {
            if let (Action::Start { bridge: Some(bridge) }, 2..) = (action, attempt) {
                links::remove_half_made(*bridge).await?;
            }
            let called = self.call(action).await;
            // What the proof compares is not all that a definition says: a refused one is not there.
            if let (Action::Define(_), Err(trouble)) = (action, &called)
                && !trouble.is_transient()
            {
                return called.map(|()| String::new());
            }
            if let Some(proof) = self.proof(action).await? {
                return Ok(proof);
            }
            match called {
                Err(trouble) if !trouble.is_transient() || attempt >= TRIES => return Err(trouble),
                Ok(()) if attempt >= TRIES => break,
                _ => sleep(Duration::from_millis(300)).await,
            }
        }
        Err(Trouble::Unproven("libvirt says success, but it is not so".to_owned()))
    }

    async fn call(&mut self, action: &Action) -> Result<(), Trouble> {
        let writer = &mut self.writer;
        match action.clone() {
            Action::Define(xml) => {
                let define = move |connection: &Connection| Ok(connection.define_network(&xml)?.id());
                writer.network = Some(writer.call(define).await?);
                Ok(())
            }
            Action::Undefine => writer.on_network(NetworkHandle::undefine).await,
            Action::SetAutostart => writer.on_network(|network| network.set_autostart(Autostart::On)).await,
            Action::ClearAutostart => {
                writer.on_network(|network| network.set_autostart(Autostart::Off)).await
            }
            Action::Start { .. } => writer.on_network(NetworkHandle::start).await,
            Action::Stop { .. } => writer.on_network(NetworkHandle::stop).await,
            Action::Enslave(_) | Action::Reload(_) => Ok(()),
            Action::Update(update) => writer.on_network(move |network| network.update(&update)).await,
        }
    }

    /// What shows that the action has its effect; `None` when it has not.
    async fn proof(&mut self, action: &Action) -> Result<Option<String>, Trouble> {
        let writer = &mut self.writer;
        let proof = |holds: bool, words: &str| Ok(holds.then(|| words.to_owned()));
        match action {
            Action::Define(xml) => {
                let has = writer.read_network(|network| network.xml(Scope::Config)).await?;
                proof(has.is_some_and(|has| same_definition(&has, xml)), "libvirt has it")
            }
            Action::Undefine => {
                let persistent = writer.read_network(NetworkHandle::is_persistent).await?;
                proof(persistent != Some(true), "libvirt has it no more")
            }
            Action::SetAutostart => {
                proof(writer.read_network(NetworkHandle::autostart).await? == Some(true), "autostart yes")
            }
            Action::ClearAutostart => {
                proof(writer.read_network(NetworkHandle::autostart).await? == Some(false), "autostart no")
            }
            Action::Start { bridge } => {
                let active = writer.read_network(NetworkHandle::is_active).await?;
                if active == Some(true) { bridge_is(*bridge, Presence::There).await } else { Ok(None) }
            }
            Action::Stop { bridge } => {
                // A transient network is gone when it is stopped.
                let active = writer.read_network(NetworkHandle::is_active).await?;
                if active == Some(true) { Ok(None) } else { bridge_is(*bridge, Presence::Gone).await }
            }
            Action::Enslave(_) | Action::Reload(_) => Ok(None),
            Action::Update(update) => {
                let words = match update.change {
                    UpdateChange::Add => "the running network and the definition have it",
                    UpdateChange::Delete => "it is gone",
                };
                proof(self.is_updated(update).await?, words)
            }
        }
    }

    /// Whether the running network and its definition both are as after this update.
    async fn is_updated(&mut self, update: &Update) -> Result<bool, Trouble> {
        let read = |network: &NetworkHandle| {
            let mut definitions = vec![network.xml(Scope::Live)?];
            if network.is_persistent()? {
                definitions.push(network.xml(Scope::Config)?);
            }
            Ok(definitions)
        };
        let definitions = self.writer.read_network(read).await?.ok_or(Trouble::NotThere)?;
        let done = |xml: &String| NetworkDefinition::parse(xml).is_ok_and(|has| update.is_done_in(&has));
        Ok(definitions.iter().all(done))
    }

    /// The definition is the one the plan was made from, or there is still none of that name.
    async fn has_definition_before(&mut self) -> Result<bool, Trouble> {
        if self.plan.id.is_none() {
            let name = self.plan.network.clone();
            let taken = move |connection: &Connection| {
                Ok(connection.networks()?.iter().any(|network| network.name() == name))
            };
            return Ok(!self.writer.read(taken).await?);
        }
        let has = self.writer.read_network(|network| network.xml(Scope::Config)).await?;
        Ok(has == self.plan.before)
    }

    /// Everything that was done, taken back, newest first. Taking back what was not done yet fails
    /// harmlessly: the state in the end decides.
    async fn back(&mut self, done: &[NetworkStep], why: String) -> NetworkOutcome {
        let mut trouble = Vec::new();
        for action in done.iter().rev().flat_map(|step| &step.undo) {
            if let Err(error) = self.act(action).await {
                trouble.push(error.to_string());
            }
        }
        match self.is_as_before().await {
            Ok(true) => NetworkOutcome::Reverted { why },
            Ok(false) => {
                let state = format!("it is not as it was before ({})", trouble.join("; "));
                NetworkOutcome::Failed { why, state }
            }
            Err(error) => NetworkOutcome::Failed { why, state: format!("not known: {error}") },
        }
    }

    async fn is_as_before(&mut self) -> Result<bool, Trouble> {
        let active = match self.plan.id {
            Some(_) => self.writer.read_network(NetworkHandle::is_active).await?,
            None => Some(false),
        };
        let held = links::are_back(&mut self.writer, self.plan).await?;
        Ok(held && active == Some(self.plan.was_active) && self.has_definition_before().await?)
    }
}

/// Whether libvirt has what it was given. It adds a UUID and a MAC and writes in its own order, so what it
/// says about packets is compared.
fn same_definition(has: &str, given: &str) -> bool {
    let (Ok(has), Ok(given)) = (NetworkDefinition::parse(has), NetworkDefinition::parse(given)) else {
        return false;
    };
    has.forward == given.forward
        && has.subnets == given.subnets
        && has.forward_devs == given.forward_devs
        && (has.nat_ports == given.nat_ports || given.nat_ports.is_none())
        && (&has.mtu, &has.domain, has.bandwidth) == (&given.mtu, &given.domain, given.bandwidth)
        && (&has.dns_hosts, &has.portgroups) == (&given.dns_hosts, &given.portgroups)
        && (has.bridge == given.bridge || given.bridge.is_none())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Gone,
}

/// Waits until the kernel has the bridge, up, or has it no more; what was read, in words.
async fn bridge_is(bridge: Option<IfName>, wanted: Presence) -> Result<Option<String>, Trouble> {
    let Some(bridge) = bridge else { return Ok(Some("libvirt says so".to_owned())) };
    let is_as_wanted = |facts: &KernelFacts| {
        let link = facts.links.iter().find(|link| link.name == bridge);
        match wanted {
            Presence::There => link.is_some_and(|link| link.up),
            Presence::Gone => link.is_none(),
        }
    };
    let begun = Instant::now();
    while !is_as_wanted(&netlink::read_once().await?) {
        if begun.elapsed() > KERNEL {
            let has = if wanted == Presence::There { "has no" } else { "still has" };
            return Err(Trouble::Unproven(format!("the kernel {has} {bridge}")));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(Some(format!("the kernel has {}{bridge}", if wanted == Presence::There { "" } else { "no " })))
}
