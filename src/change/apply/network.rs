//! WRITES. Carries a network's plan out, each step proven by reading it again; a step that fails takes
//! everything before it back.

use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::change::Refusal;
use crate::change::network::{Action, Leash, NetworkPlan, NetworkStep};
use crate::model::kernel::KernelFacts;
use crate::model::{IfIndex, IfName, NetworkId};
use crate::source::libvirt::{
    Access, Autostart, Connection, ErrorKind, HostUpdate, LibvirtError, NetworkHandle, Scope,
};
use crate::source::netlink::{self, NetlinkError};

/// A single call; starting a network starts its DHCP server and writes its firewall rules.
const CALL: Duration = Duration::from_secs(30);
/// How long the kernel may take to have a bridge, or to lose it.
const KERNEL: Duration = Duration::from_secs(5);
/// A port of a bridge with spanning tree listens and learns for twice the forward delay, 15 s by default.
const FORWARDING: Duration = Duration::from_secs(40);

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
    #[error("the call ended in a panic: {0}")]
    Panic(#[from] JoinError),
    #[error("{0}")]
    Unproven(String),
}

/// Applies the plan with a connection of its own.
pub async fn run(uri: &str, plan: &NetworkPlan, tell: &UnboundedSender<NetworkProgress>) -> NetworkOutcome {
    let refused = |reason: String, way_out: &str| {
        NetworkOutcome::Refused(Refusal { what: plan.title.clone(), reason, way_out: way_out.to_owned() })
    };
    let mut hands = match Hands::open(uri, plan).await {
        Ok(hands) => hands,
        Err(Trouble::Libvirt(error)) => {
            return refused(error.to_string(), error.hint().unwrap_or("see virsh -c qemu:///system version"));
        }
        Err(trouble) => return refused(trouble.to_string(), "try again"),
    };
    match hands.has_definition_before(plan).await {
        Ok(true) => {}
        Ok(false) => {
            return refused("the network changed since the preview".to_owned(), "look at a fresh preview");
        }
        Err(trouble) => return refused(trouble.to_string(), "try again"),
    }
    for (position, step) in plan.steps.iter().enumerate() {
        let begun = Instant::now();
        let result = hands.act(&step.action).await.map_err(|trouble| trouble.to_string());
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let _ = tell.send(NetworkProgress { text: step.text.clone(), result: result.clone(), millis });
        if let Err(why) = result {
            // The step that failed may have done half of its work: its own way back comes first.
            let done = plan.steps.get(..=position).unwrap_or_default();
            return hands.back(plan, done, why).await;
        }
    }
    NetworkOutcome::Verified
}

struct Hands {
    connection: Connection,
    name: String,
    id: Option<NetworkId>,
}

impl Hands {
    async fn open(uri: &str, plan: &NetworkPlan) -> Result<Self, Trouble> {
        let uri = uri.to_owned();
        let open = spawn_blocking(move || Connection::open(&uri, Access::ReadWrite));
        let connection = timeout(CALL, open).await.map_err(|_| Trouble::Hung)???;
        Ok(Self { connection, name: plan.network.clone(), id: plan.id })
    }

    /// One call on a blocking thread.
    async fn call<T: Send + 'static>(
        &self,
        action: impl FnOnce(&Connection) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let connection = self.connection.clone();
        let call = spawn_blocking(move || action(&connection));
        Ok(timeout(CALL, call).await.map_err(|_| Trouble::Hung)???)
    }

    /// One call on the network.
    async fn on_network<T: Send + 'static>(
        &self,
        action: impl FnOnce(&NetworkHandle) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let id = self.id.ok_or_else(|| Trouble::Unproven("the network is not there".to_owned()))?;
        self.call(move |connection| action(&connection.network(id)?)).await
    }

    /// The definition is the one the plan was made from, or still none of that name.
    async fn has_definition_before(&self, plan: &NetworkPlan) -> Result<bool, Trouble> {
        if plan.id.is_none() {
            let name = self.name.clone();
            let taken = move |connection: &Connection| {
                Ok(connection.networks()?.iter().any(|network| network.name() == name))
            };
            return Ok(!self.call(taken).await?);
        }
        let Some(before) = &plan.before else { return Ok(true) };
        Ok(self.on_network(|network| network.xml(Scope::Config)).await? == *before)
    }

    /// Does one thing and proves it; the proof in words.
    async fn act(&mut self, action: &Action) -> Result<String, Trouble> {
        match action {
            Action::Define(xml) => {
                let xml = xml.clone();
                self.id = Some(self.call(move |connection| Ok(connection.define_network(&xml)?.id())).await?);
                self.on_network(|network| network.xml(Scope::Config)).await?;
                Ok("libvirt has it".to_owned())
            }
            Action::Undefine => {
                self.on_network(NetworkHandle::undefine).await?;
                match self.on_network(NetworkHandle::is_persistent).await {
                    Err(Trouble::Libvirt(error)) if error.kind == ErrorKind::Gone => Ok("gone".to_owned()),
                    Ok(false) => Ok("its definition is gone".to_owned()),
                    Ok(true) => Err(Trouble::Unproven("libvirt still has its definition".to_owned())),
                    Err(trouble) => Err(trouble),
                }
            }
            Action::SetAutostart => self.set_autostart(Autostart::On).await,
            Action::ClearAutostart => self.set_autostart(Autostart::Off).await,
            Action::Start { bridge } => {
                self.on_network(NetworkHandle::start).await?;
                self.is_active(true).await?;
                self.bridge_is(*bridge, true).await
            }
            Action::Stop { bridge } => {
                self.on_network(NetworkHandle::stop).await?;
                self.is_active(false).await?;
                self.bridge_is(*bridge, false).await
            }
            Action::Enslave(leashes) => enslave(leashes).await,
            Action::AddHost(host) => {
                let host = host.clone();
                self.on_network(move |network| network.update_host(HostUpdate::Add, &host)).await?;
                Ok("accepted by libvirt".to_owned())
            }
            Action::DeleteHost(host) => {
                let host = host.clone();
                self.on_network(move |network| network.update_host(HostUpdate::Delete, &host)).await?;
                Ok("accepted by libvirt".to_owned())
            }
        }
    }

    async fn set_autostart(&self, autostart: Autostart) -> Result<String, Trouble> {
        self.on_network(move |network| network.set_autostart(autostart)).await?;
        let on = self.on_network(NetworkHandle::autostart).await?;
        if on == (autostart == Autostart::On) {
            return Ok(if on { "autostart yes" } else { "autostart no" }.to_owned());
        }
        Err(Trouble::Unproven("libvirt's autostart is not what it was told".to_owned()))
    }

    async fn is_active(&self, wanted: bool) -> Result<(), Trouble> {
        match self.on_network(NetworkHandle::is_active).await {
            Ok(active) if active == wanted => Ok(()),
            // A transient network is gone when it is stopped.
            Err(Trouble::Libvirt(error)) if error.kind == ErrorKind::Gone && !wanted => Ok(()),
            Ok(_) => Err(Trouble::Unproven("libvirt says success, but its state is the old one".to_owned())),
            Err(trouble) => Err(trouble),
        }
    }

    /// The kernel has the bridge, up, or has it no more.
    async fn bridge_is(&self, bridge: Option<IfName>, wanted: bool) -> Result<String, Trouble> {
        let Some(bridge) = bridge else { return Ok("libvirt says so".to_owned()) };
        let is_as_wanted = |facts: &KernelFacts| {
            let link = facts.links.iter().find(|link| link.name == bridge);
            if wanted { link.is_some_and(|link| link.up) } else { link.is_none() }
        };
        let begun = Instant::now();
        while !is_as_wanted(&netlink::read_once().await?) {
            if begun.elapsed() > KERNEL {
                let has = if wanted { "has no" } else { "still has" };
                return Err(Trouble::Unproven(format!("the kernel {has} {bridge}")));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(format!("the kernel has {}{bridge}", if wanted { "" } else { "no " }))
    }

    /// Everything that was done, taken back, newest first. Taking back what was not done yet fails
    /// harmlessly: the state in the end decides.
    async fn back(&mut self, plan: &NetworkPlan, done: &[NetworkStep], why: String) -> NetworkOutcome {
        let mut trouble = Vec::new();
        for action in done.iter().rev().flat_map(|step| &step.undo) {
            if let Err(error) = self.act(action).await {
                trouble.push(error.to_string());
            }
        }
        match self.is_as_before(plan).await {
            Ok(true) => NetworkOutcome::Reverted { why },
            Ok(false) => {
                let state = format!("it is not as it was before ({})", trouble.join("; "));
                NetworkOutcome::Failed { why, state }
            }
            Err(error) => NetworkOutcome::Failed { why, state: format!("not known: {error}") },
        }
    }

    async fn is_as_before(&self, plan: &NetworkPlan) -> Result<bool, Trouble> {
        if plan.id.is_some() {
            let active = match self.on_network(NetworkHandle::is_active).await {
                Err(Trouble::Libvirt(error)) if error.kind == ErrorKind::Gone => return Ok(false),
                active => active?,
            };
            if active != plan.was_active {
                return Ok(false);
            }
        }
        let undone = plan.steps.iter().flat_map(|step| &step.undo);
        let leashes = undone.filter_map(|action| match action {
            Action::Enslave(leashes) => Some(leashes),
            _ => None,
        });
        let facts = netlink::read_once().await?;
        let mut leashes = leashes.flatten();
        Ok(self.has_definition_before(plan).await? && leashes.all(|leash| holds(&facts, leash)))
    }
}

/// Puts each tap on its bridge and waits until all ports forward.
async fn enslave(leashes: &[Leash]) -> Result<String, Trouble> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::from)?;
    let task = tokio::spawn(connection);
    let result = enslave_with(&handle, leashes).await;
    task.abort();
    result?;
    let begun = Instant::now();
    loop {
        let facts = netlink::read_once().await?;
        let waiting: Vec<String> =
            leashes.iter().filter(|leash| !holds(&facts, leash)).map(|leash| leash.tap.to_string()).collect();
        if waiting.is_empty() {
            return Ok(format!("the kernel has {} on it, forwarding", leashes.len()));
        }
        if begun.elapsed() > FORWARDING {
            return Err(Trouble::Unproven(format!("{} does not forward", waiting.join(" "))));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn enslave_with(handle: &rtnetlink::Handle, leashes: &[Leash]) -> Result<(), Trouble> {
    let facts = netlink::read_once().await?;
    for leash in leashes {
        // A guest that was shut down meanwhile took its tap along.
        let (Some(tap), Some(bridge)) = (index(&facts, leash.tap), index(&facts, leash.bridge)) else {
            continue;
        };
        let message = rtnetlink::LinkUnspec::new_with_index(tap.0).controller(bridge.0).build();
        let set = handle.link().set(message).execute().await;
        set.map_err(|error| Trouble::Enslave { tap: leash.tap, bridge: leash.bridge, error })?;
    }
    Ok(())
}

fn index(facts: &KernelFacts, name: IfName) -> Option<IfIndex> {
    facts.links.iter().find(|link| link.name == name).map(|link| link.index)
}

/// The tap is a forwarding port of its bridge, or gone with its guest.
fn holds(facts: &KernelFacts, leash: &Leash) -> bool {
    let bridge = index(facts, leash.bridge);
    facts
        .links
        .iter()
        .find(|link| link.name == leash.tap)
        .is_none_or(|link| link.master.is_some() && link.master == bridge && link.forwards())
}
