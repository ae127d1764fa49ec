//! PURE. Everything that can be done with a row, in one list: each line with its letter and, where it
//! cannot be done, with the reason. Choosing a line plans it; nothing happens without a preview.

use super::forms::guest::On;
use super::forms::{FormKind, More, bridge};
use super::job::{Job, Planned, ShimJob};
use super::remedy;
use super::rows::{RowId, stack};
use crate::change::bridge::{BridgeWant, Lasting};
use crate::change::network::{Autostart, NetworkWant};
use crate::change::shim::{self, ShimWant};
use crate::change::splice::LinkState;
use crate::change::{Power, Refusal, When, console, network, nic, power};
use crate::doctor::{Finding, Remedy};
use crate::model::{DomainId, IfName, Network, NetworkId, NicId, Snapshot};

/// What a line of the menu does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The switch form.
    Switch(NicId),
    /// A form.
    Form(FormKind),
    /// Cable in or out.
    Link(NicId, LinkState),
    /// Take the NIC away.
    Remove(NicId),
    /// Put the tap onto its bridge again.
    Reseat(NicId),
    /// Make the running guest's NIC what its next boot has.
    ApplyPending(NicId),
    /// Make the next boot what the guest has now.
    DiscardPending(NicId),
    /// The guest's serial console, in this terminal.
    Console(DomainId),
    /// A guest's power.
    Power(DomainId, Power),
    /// Something with a network.
    Network(NetworkDeed, NetworkId),
    /// What mends a finding.
    Fix(Remedy),
    /// A bridge of the host taken away.
    DeleteBridge(IfName),
    /// A port taken out of its bridge.
    RemovePort(IfName, IfName),
    /// A shim taken away.
    DeleteShim(IfName),
}

/// What can be done with a network without a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkDeed {
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Stop, start, and every guest back on it.
    Restart,
    /// Taps, rules and DHCP server put right.
    Repair,
    /// Forget it.
    Delete,
    /// Start it with the daemon, or no longer.
    Autostart(Autostart),
}

impl Deed {
    /// Plans it; `None` for what opens a form or a console.
    #[must_use]
    pub fn plan(&self, snapshot: &Snapshot) -> Option<Planned> {
        Some(match self {
            Self::Switch(_) | Self::Form(_) | Self::Console(_) => return None,
            Self::Link(id, state) => nic::link(snapshot, *id, *state, When::NowAndNextBoot).map(Job::from),
            Self::Remove(id) => nic::remove(snapshot, *id, When::NowAndNextBoot).map(Job::from),
            Self::Reseat(id) => nic::reseat(snapshot, *id).map(Job::from),
            Self::ApplyPending(id) => nic::apply_pending(snapshot, *id).map(Job::from),
            Self::DiscardPending(id) => nic::discard_pending(snapshot, *id).map(Job::from),
            Self::Power(id, what) => power::plan(snapshot, *id, *what).map(Job::from),
            Self::Network(what, id) => of_network(snapshot, *what, *id),
            Self::Fix(remedy) => remedy::plan(snapshot, remedy),
            Self::DeleteShim(shim) => {
                ShimJob::draft(snapshot, ShimWant::Delete { shim: *shim }).map(Job::from)
            }
            Self::DeleteBridge(bridge) => {
                let want = BridgeWant::Delete { bridge: *bridge, persist: Lasting::Auto };
                bridge::draft(snapshot, want, bridge::PATIENCE).map(Job::from)
            }
            Self::RemovePort(bridge, port) => {
                let (bridge, port, persist) = (*bridge, *port, Lasting::Auto);
                let want = BridgeWant::RemovePort { bridge, port, persist };
                bridge::draft(snapshot, want, bridge::PATIENCE).map(Job::from)
            }
        })
    }
}

fn of_network(snapshot: &Snapshot, what: NetworkDeed, id: NetworkId) -> Planned {
    let name = snapshot.network(id).map(|network| network.name.clone());
    let name = name.ok_or_else(|| Refusal {
        what: "change the network".to_owned(),
        reason: "it is not there any more".to_owned(),
        way_out: "look again".to_owned(),
    })?;
    let want = match what {
        NetworkDeed::Start => NetworkWant::Start { name },
        NetworkDeed::Stop => NetworkWant::Stop { name },
        NetworkDeed::Restart => NetworkWant::Restart { name },
        NetworkDeed::Repair => NetworkWant::Repair { name },
        NetworkDeed::Delete => NetworkWant::Delete { name },
        NetworkDeed::Autostart(autostart) => NetworkWant::Autostart { name, autostart },
    };
    network::plan(snapshot, &want).map(Job::from)
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The letter that does it at once.
    pub key: char,
    /// What it does, in words.
    pub text: String,
    /// What it does.
    pub deed: Deed,
    /// Why it cannot be done now.
    pub obstacle: Option<String>,
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu {
    /// What it is about.
    pub title: String,
    /// The lines; never empty.
    pub items: Vec<Item>,
    /// The line under the cursor.
    pub cursor: usize,
}

impl Menu {
    /// The menu of a row, or of a pane without rows; `None` when nothing can be done there.
    #[must_use]
    pub fn of(snapshot: &Snapshot, row: Option<&RowId>) -> Option<Self> {
        let mut lines = Lines { snapshot, items: Vec::new() };
        let title = match row {
            Some(RowId::Nic(id)) => lines.nic(*id),
            Some(RowId::Port(bridge, port)) => {
                let owner = snapshot.bridge_named(*bridge);
                let found = owner.and_then(|bridge| bridge.ports.iter().find(|other| other.name == *port));
                let guest = found.and_then(|port| port.nic).and_then(|nic| lines.nic(nic));
                guest.or_else(|| {
                    lines.port(*bridge, *port);
                    Some(format!("{port}, port of {bridge}"))
                })
            }
            Some(RowId::Network(id)) => lines.network(*id),
            Some(RowId::Bridge(name)) => snapshot.bridge_named(*name).map(|bridge| {
                match bridge.network {
                    Some(network) => drop(lines.network(network)),
                    None => lines.bridge(*name),
                }
                format!("bridge {name}")
            }),
            Some(RowId::Lower(lower)) => {
                lines.shim(*lower);
                Some(format!("{lower}, below macvtaps"))
            }
            Some(RowId::Upper(lower, name)) => {
                let guest = stack::nic(snapshot, *lower, *name).and_then(|nic| lines.nic(nic.id));
                guest.or_else(|| {
                    lines.shim(*lower);
                    Some(format!("shim {name} over {lower}"))
                })
            }
            Some(RowId::Rule(..)) | None => None,
        };
        lines.new_things(row);
        let Lines { items, .. } = lines;
        let title = title.unwrap_or_else(|| "this host".to_owned());
        let cursor = items.iter().position(|item| item.obstacle.is_none()).unwrap_or(0);
        (!items.is_empty()).then_some(Self { title, items, cursor })
    }

    /// The ways to mend a finding that virt-net can go itself.
    #[must_use]
    pub fn of_fixes(snapshot: &Snapshot, finding: &Finding) -> Self {
        let ways = finding.fixes.iter().filter_map(|fix| Some((&fix.words, fix.remedy.as_ref()?)));
        let items = ways.zip('1'..='9').map(|((words, remedy), key)| {
            let deed = Deed::Fix(remedy.clone());
            let obstacle = deed.plan(snapshot).and_then(Result::err).map(|refusal| refusal.reason);
            Item { key, text: words.clone(), deed, obstacle }
        });
        Self { title: finding.title.clone(), items: items.collect(), cursor: 0 }
    }

    /// Moves the cursor.
    pub fn step(&mut self, by: isize) {
        let last = self.items.len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(by).min(last);
    }
}

struct Lines<'a> {
    snapshot: &'a Snapshot,
    items: Vec<Item>,
}

impl Lines<'_> {
    fn add(&mut self, key: char, text: &str, deed: Deed) {
        let refusal = match &deed {
            Deed::Console(id) => console::plan(self.snapshot, *id).err(),
            deed => deed.plan(self.snapshot).and_then(Result::err),
        };
        let obstacle = refusal.map(|refusal| refusal.reason);
        self.items.push(Item { key, text: text.to_owned(), deed, obstacle });
    }

    fn nic(&mut self, id: NicId) -> Option<String> {
        let nic = self.snapshot.nic(id)?;
        let pulled = nic.config().is_some_and(|config| config.link_down);
        self.add('s', "NIC: switch it to another network, bridge or macvtap", Deed::Switch(id));
        if pulled {
            self.add('l', "NIC: plug its cable in (link up)", Deed::Link(id, LinkState::Up));
        } else {
            self.add('l', "NIC: pull its cable (link down)", Deed::Link(id, LinkState::Down));
        }
        if nic.pending {
            self.add('y', "NIC: apply what the next boot has, now", Deed::ApplyPending(id));
            self.add('z', "NIC: discard what the next boot has", Deed::DiscardPending(id));
        }
        if nic.drifted() {
            self.add('b', "NIC: put its tap back onto its bridge", Deed::Reseat(id));
        }
        if let Some(over) = nic.lower {
            self.shim(over);
        }
        self.add('n', "NIC: add another one to this guest", Deed::Form(FormKind::NicAdd(id.domain)));
        self.add('a', "NIC: assign a PCI NIC or VF of the host", Deed::Form(FormKind::NicDevice(id.domain)));
        self.add('v', "NIC: remove it", Deed::Remove(id));
        self.add('c', "guest: its serial console", Deed::Console(id.domain));
        self.power(id.domain);
        Some(format!("{} · {}", nic.guest, nic.mac_text()))
    }

    /// The host's own end on a NIC with macvtaps.
    fn shim(&mut self, over: IfName) {
        let found = shim::of_link(self.snapshot, over).map(|link| link.name);
        let text = match found {
            Some(_) => "shim: bring its routes to guests up to date",
            None => "shim: let this host and the guests on its NIC talk",
        };
        self.add('m', text, Deed::Form(FormKind::Shim(over)));
        if let Some(name) = found {
            self.add('k', "shim: delete it", Deed::DeleteShim(name));
        }
    }

    fn power(&mut self, id: DomainId) {
        let Some(guest) = self.snapshot.guest(id) else { return };
        if guest.autostart {
            self.add('o', "guest: do not start it with the host", Deed::Power(id, Power::AutostartOff));
        } else {
            self.add('o', "guest: start it with the host", Deed::Power(id, Power::AutostartOn));
        }
        let lines: &[(char, &str, Power)] = if guest.state.is_active() {
            &[
                ('d', "guest: shut it down", Power::Shutdown),
                ('r', "guest: reboot it", Power::Reboot),
                ('p', "guest: pause it", Power::Pause),
                ('u', "guest: resume it", Power::Resume),
                ('e', "guest: press its reset button", Power::Reset),
                ('f', "guest: pull its plug (force off)", Power::ForceOff),
            ]
        } else {
            &[('t', "guest: start it", Power::Start)]
        };
        for (key, text, what) in lines {
            let deed = Deed::Power(id, *what);
            // Either pause or resume: the one that does not fit is noise.
            if matches!(what, Power::Pause | Power::Resume)
                && deed.plan(self.snapshot).is_some_and(|planned| planned.is_err())
            {
                continue;
            }
            self.add(*key, text, deed);
        }
    }

    fn network(&mut self, id: NetworkId) -> Option<String> {
        let network = self.snapshot.network(id)?;
        let deed = |what| Deed::Network(what, id);
        self.add('e', "network: edit it", Deed::Form(FormKind::NetworkEdit(id)));
        if !network.active {
            self.add('t', "network: start it", deed(NetworkDeed::Start));
        }
        self.add('l', "network: give a guest a static lease", Deed::Form(FormKind::Lease(id)));
        self.more(network);
        self.add('c', "network: make another one like it", Deed::Form(FormKind::NetworkClone(id)));
        if network.autostart {
            let off = NetworkDeed::Autostart(Autostart::Off);
            self.add('o', "network: do not start it with the daemon", deed(off));
        } else {
            self.add('o', "network: start it with the daemon", deed(NetworkDeed::Autostart(Autostart::On)));
        }
        let lowers = network.current().map(|definition| &definition.forward_devs);
        let lower = lowers.into_iter().flatten().find(|_| network.bridge().is_none());
        if let Some(over) = lower.copied() {
            self.shim(over);
        }
        // What takes guests off their network comes last.
        if network.active {
            self.add(
                'f',
                "network: repair taps, rules and DHCP without a restart",
                deed(NetworkDeed::Repair),
            );
            self.add('r', "network: restart it, every guest put back on it", deed(NetworkDeed::Restart));
            self.add('p', "network: stop it", deed(NetworkDeed::Stop));
        }
        self.add('v', "network: delete it", deed(NetworkDeed::Delete));
        Some(format!("network {}", network.name))
    }

    /// What is rarely changed, with the reason where its mode has no such thing.
    fn more(&mut self, network: &Network) {
        let own = network.owns_bridge();
        let obstacle = |needs_bridge: bool| {
            let what = "libvirt makes no bridge for it";
            (needs_bridge && !own).then(|| format!("{what}: mode {}", network.forward().word()))
        };
        let hosts = network.current().map(|has| has.subnets.iter().any(|subnet| !subnet.hosts.is_empty()));
        for (key, text, more, obstacle) in [
            (
                'k',
                "network: take a static lease out…",
                More::Leases,
                (hosts != Some(true)).then(|| "it has none".to_owned()),
            ),
            ('n', "network: DNS names…", More::Names, obstacle(true)),
            ('6', "network: IPv6 and other subnets…", More::Subnets, obstacle(true)),
            ('b', "network: limits of its traffic…", More::Limits, obstacle(true)),
            ('u', "network: port groups…", More::Portgroups, None),
        ] {
            let deed = Deed::Form(FormKind::NetworkMore(network.id, more));
            self.items.push(Item { key, text: text.to_owned(), deed, obstacle });
        }
    }

    fn bridge(&mut self, name: IfName) {
        self.add('p', "bridge: add a port", Deed::Form(FormKind::BridgePort(name)));
        self.add('v', "bridge: delete it", Deed::DeleteBridge(name));
    }

    fn port(&mut self, bridge: IfName, port: IfName) {
        self.add('p', "bridge: add another port", Deed::Form(FormKind::BridgePort(bridge)));
        self.add('v', "port: take it out of the bridge", Deed::RemovePort(bridge, port));
    }

    fn new_things(&mut self, row: Option<&RowId>) {
        use crate::change::network::Mode;
        let on = On::of(self.snapshot, row);
        self.items.push(Item {
            key: 'g',
            text: on.words().to_owned(),
            deed: Deed::Form(FormKind::GuestNew(on)),
            obstacle: on.obstacle(self.snapshot),
        });
        self.add('h', "new bridge over a NIC of the host", Deed::Form(FormKind::BridgeNew(None)));
        self.add('w', "new network", Deed::Form(FormKind::NetworkNew(Mode::Nat)));
        self.add('i', "new isolated network", Deed::Form(FormKind::NetworkNew(Mode::Isolated)));
    }
}
