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
        let _reading = spawn(lab.uri("kvm1"), updates);
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

const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
#[ignore = "needs root and the lab; assets/test runs it"]
async fn guests_and_networks_are_followed_by_events() {
    let lab = Lab::up("events", &[]);
    let mut watch = Watch::new(&lab);
    watch.until("everything", Duration::from_secs(20), |w| w.state.is_ok()).await;
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
    watch.until("everything", Duration::from_secs(20), |w| w.state.is_ok()).await;
    let before = Arc::clone(&watch.facts);

    lab.libvirtd("kvm1", "freeze");
    watch.until("stale", Duration::from_secs(15), |w| matches!(w.state, SourceState::Stale { .. })).await;
    lab.libvirtd("kvm1", "thaw");
    watch.until("thawed", Duration::from_secs(15), |w| w.state.is_ok()).await;
    // What the emulators can do, and what agents say, may be read anew meanwhile.
    let whole =
        |w: &Watch| w.facts.guests.len() == before.guests.len() && w.facts.networks == before.networks;
    watch.until("whole after the thaw", Duration::from_secs(15), whole).await;
    let before = Arc::clone(&watch.facts);

    lab.libvirtd("kvm1", "kill");
    watch.until("down", SOON, |w| matches!(w.state, SourceState::Down { .. })).await;
    let names = |facts: &LibvirtFacts| -> Vec<String> {
        let guests = facts.guests.iter().map(|guest| format!("{} {:?}", guest.name, guest.state));
        guests.chain(facts.networks.iter().map(|network| network.name.clone())).collect()
    };
    assert_eq!(names(&watch.facts), names(&before), "the last figures stay");
    lab.run("kvm1", "ip link show dev vnet0");
    lab.libvirtd("kvm1", "start");
    watch.until("back", Duration::from_secs(20), |w| w.state.is_ok()).await;
    assert_eq!(watch.facts.guests.len(), before.guests.len());
    lab.run("kvm1", "virsh suspend centos7");
    let paused = |w: &Watch| w.guest_state("centos7") == Some(DomainState::Paused);
    watch.until("events on the new connection", SOON, paused).await;

    // Longer than libvirt's own keepalive: the connection dies under the call, and the next one hangs too.
    lab.libvirtd("kvm1", "freeze");
    watch.until("stale", Duration::from_secs(15), |w| matches!(w.state, SourceState::Stale { .. })).await;
    watch.until("dead", Duration::from_secs(60), |w| matches!(w.state, SourceState::Down { .. })).await;
    lab.libvirtd("kvm1", "thaw");
    watch.until("whole again", Duration::from_secs(20), |w| w.state.is_ok()).await;
}

/// No event of libvirt tells of a lease, and the slow re-read comes every 5 s only. An agent that hangs must
/// not hold up any of this.
#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn a_lease_is_seen_at_once_while_an_agent_hangs() {
    let lab = Lab::up("leases", &[]);
    let agent = |nics: &serde_json::Value| nics.to_string().contains("guest agent");
    assert!(agent(&lab.json("kvm1", "virt-net show nics --json")), "the agent answers at first");
    lab.guest("kvm1", "web01", "kill -STOP $(pidof qemu-ga)");
    // What only it could tell is not known, which is not the same as that there is nothing.
    let shown = lab.run("kvm1", "virt-net show nics");
    let row = shown.lines().find(|row| row.contains("52:54:00:11:22:34")).expect("the NIC on a macvtap");
    assert!(row.contains("no answer of the agent yet"), "{shown}");
    let others = shown.lines().filter(|row| row.contains("no answer")).count();
    assert_eq!(others, 1, "{shown}");

    let dump = lab.start("kvm1", "virt-net dump --frames 11");
    let mut written = Vec::new();
    let mut leases = Vec::new();
    for (number, wait) in [(61, 2500), (62, 1300), (63, 3000)] {
        std::thread::sleep(Duration::from_millis(wait));
        leases.push(format!(
            r#"{{"ip-address":"192.168.122.{number}","mac-address":"52:54:00:00:00:{number}","expiry-time":4000000000}}"#
        ));
        let status = format!("[{}]", leases.join(","));
        lab.run("kvm1", &format!("printf '%s' '{status}' > /var/lib/libvirt/dnsmasq/virbr0.status"));
        written.push((format!("192.168.122.{number}/24"), virt_net::source::now()));
    }
    let output = dump.wait_with_output().unwrap();
    let recording: virt_net::model::facts::Recording = serde_json::from_slice(&output.stdout).unwrap();
    for (address, at) in written {
        let has = |facts: &&virt_net::model::Facts| {
            let networks = facts.libvirt.networks.iter();
            networks.flat_map(|network| &network.leases).any(|lease| lease.address.to_string() == address)
        };
        let seen = recording.frames.iter().find(has).unwrap_or_else(|| panic!("{address} is never seen"));
        // Frames are a second apart.
        assert!(
            seen.taken_at.millis_since(at) < 1800,
            "{address} after {} ms",
            seen.taken_at.millis_since(at)
        );
        assert!(seen.health.libvirt.is_ok());
    }
}

/// All sources together, read for 30 s with 3 guests: this process and the daemon it asks.
#[test]
#[ignore = "needs root and the lab; assets/test runs it"]
fn idle_costs_under_one_percent_of_a_core() {
    const SECONDS: f64 = 30.0;
    let lab = Lab::up("idle", &[]);
    let daemon = || -> f64 {
        let stat = lab.run("kvm1", "cat /proc/$(pidof libvirtd)/stat");
        let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        fields.map(|jiffies| jiffies.parse::<f64>().unwrap() / 100.0).sum()
    };
    // `times` prints the shell's own and then its children's user and system time.
    let dump = |frames: u32| -> f64 {
        let printed =
            lab.run("kvm1", &format!("bash -c 'virt-net dump --frames {frames} >/dev/null; times'"));
        let spent = printed.lines().nth(1).unwrap().split_whitespace().map(|time| {
            let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        });
        spent.sum()
    };
    // To start, and to ask for everything once, is not to idle.
    let start = dump(1);
    let before = daemon();
    let (own, daemon) = (dump(31) - start, daemon() - before);
    assert!(own < SECONDS / 100.0, "virt-net used {own} s of {SECONDS} s");
    assert!(daemon < SECONDS / 100.0, "libvirtd used {daemon} s of {SECONDS} s");
}
