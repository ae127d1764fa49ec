//! The libvirt source against a real libvirtd that starts, stops, hangs and dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use virt_net::model::facts::LibvirtFacts;
use virt_net::model::{DomainState, SourceState};
use virt_net::source::Update;
use virt_net::source::libvirt::spawn;

use crate::lab::Lab;

/// The source's last word and last figures, as the collector keeps them.
struct Watch {
    inbox: UnboundedReceiver<Update>,
    state: SourceState,
    facts: Arc<LibvirtFacts>,
}

impl Watch {
    fn new(lab: &Lab) -> Self {
        let (updates, inbox) = unbounded_channel();
        let _refresh = spawn(lab.uri("kvm1"), updates);
        Self { inbox, state: SourceState::Starting, facts: Arc::default() }
    }

    /// Takes updates until `wanted` holds; how long that took.
    async fn until(&mut self, what: &str, within: Duration, wanted: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !wanted(self) {
            let left = within.saturating_sub(begun.elapsed());
            let update = tokio::time::timeout(left, self.inbox.recv()).await;
            let Ok(Some(Update::Libvirt { state, facts, .. })) = update else {
                panic!("{what}: not within {within:?}, but {:?}", self.state);
            };
            self.state = state;
            self.facts = facts.unwrap_or_else(|| Arc::clone(&self.facts));
        }
        begun.elapsed()
    }

    fn guest_state(&self, name: &str) -> Option<DomainState> {
        self.facts.guests.iter().find(|guest| guest.name == name).map(|guest| guest.state)
    }

    fn is_active(&self, network: &str) -> Option<bool> {
        self.facts.networks.iter().find(|known| known.name == network).map(|known| known.active)
    }
}

const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
#[ignore = "needs root and the lab; assets/test runs it"]
async fn guests_and_networks_are_followed_by_events() {
    let lab = Lab::up("events", &[]);
    let mut watch = Watch::new(&lab);
    watch.until("everything", Duration::from_secs(5), |w| w.state.is_ok()).await;
    assert_eq!(watch.guest_state("centos7"), Some(DomainState::Running));

    // An event must tell each of these: the slow re-read may come 5 s later.
    lab.run("kvm1", "virsh suspend centos7");
    watch.until("paused", SOON, |w| w.guest_state("centos7") == Some(DomainState::Paused)).await;
    lab.run("kvm1", "virsh resume centos7");
    watch.until("runs", SOON, |w| w.guest_state("centos7") == Some(DomainState::Running)).await;
    lab.run("kvm1", "virsh destroy centos7");
    watch.until("off", SOON, |w| w.guest_state("centos7") == Some(DomainState::Off)).await;
    let guest = watch.facts.guests.iter().find(|guest| guest.name == "centos7").unwrap();
    assert!(guest.live.is_none() && guest.next.is_some());
    lab.run("kvm1", "virsh start centos7");
    watch.until("runs", SOON, |w| w.guest_state("centos7") == Some(DomainState::Running)).await;

    let xml = "<network><name>lv</name><bridge name='virbr9'/></network>";
    lab.run("kvm1", &format!("echo \"{xml}\" > /tmp/lv.xml; virsh net-define /tmp/lv.xml"));
    watch.until("defined", SOON, |w| w.is_active("lv") == Some(false)).await;
    lab.run("kvm1", "virsh net-start lv");
    watch.until("started", SOON, |w| w.is_active("lv") == Some(true)).await;
    lab.run("kvm1", "virsh net-destroy lv");
    watch.until("stopped", SOON, |w| w.is_active("lv") == Some(false)).await;
    lab.run("kvm1", "virsh net-undefine lv");
    watch.until("gone", SOON, |w| w.is_active("lv").is_none()).await;

    // No event at all: the slow re-read finds it.
    lab.run("kvm1", "virsh domif-setlink centos7 52:54:00:aa:fc:1c down");
    let pulled = |w: &Watch| {
        let guest = w.facts.guests.iter().find(|guest| guest.name == "centos7");
        guest.and_then(|guest| guest.live.as_ref()).is_some_and(|live| live.nics[0].link_down)
    };
    watch.until("the pulled cable", Duration::from_secs(7), pulled).await;
}

#[tokio::test]
#[ignore = "needs root and the lab; assets/test runs it"]
async fn a_daemon_that_dies_or_hangs_is_told_and_comes_back_whole() {
    let lab = Lab::up("daemon", &[]);
    let mut watch = Watch::new(&lab);
    watch.until("everything", Duration::from_secs(5), |w| w.state.is_ok()).await;
    let before = Arc::clone(&watch.facts);

    lab.libvirtd("kvm1", "freeze");
    let took =
        watch.until("stale", Duration::from_secs(5), |w| matches!(w.state, SourceState::Stale { .. })).await;
    assert!(took < Duration::from_secs(4), "stale after {took:?}");
    lab.libvirtd("kvm1", "thaw");
    watch.until("thawed", SOON, |w| w.state.is_ok()).await;
    assert_eq!(watch.facts, before);

    lab.libvirtd("kvm1", "kill");
    watch.until("down", SOON, |w| matches!(w.state, SourceState::Down { .. })).await;
    assert_eq!(watch.facts, before, "the last figures stay");
    lab.run("kvm1", "ip link show dev vnet0");
    lab.libvirtd("kvm1", "start");
    watch.until("back", Duration::from_secs(8), |w| w.state.is_ok()).await;
    assert_eq!(watch.facts.guests.len(), before.guests.len());
    lab.run("kvm1", "virsh suspend centos7");
    let paused = |w: &Watch| w.guest_state("centos7") == Some(DomainState::Paused);
    watch.until("events on the new connection", SOON, paused).await;

    // Longer than libvirt's own keepalive: the connection dies under the call, and the next one hangs too.
    lab.libvirtd("kvm1", "freeze");
    watch.until("stale", Duration::from_secs(5), |w| matches!(w.state, SourceState::Stale { .. })).await;
    watch.until("dead", Duration::from_secs(30), |w| matches!(w.state, SourceState::Down { .. })).await;
    lab.libvirtd("kvm1", "thaw");
    watch.until("whole again", Duration::from_secs(8), |w| w.state.is_ok()).await;
}
