//! The libvirt source against libvirt's own test driver: a whole host inside this process, no daemon, no
//! right. What that driver lacks (leases, agents, keepalive) must be absent, not an error.
//!
//! `test:///default` is one host per process, so these tests use objects of their own in it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use virt_net::model::facts::LibvirtFacts;
use virt_net::model::{DomainState, ForwardMode, SourceState};
use virt_net::source::Update;
use virt_net::source::libvirt::{Access, Connection, ErrorKind, Event, spawn};

const URI: &str = "test:///default";

fn network_xml(name: &str, bridge: &str) -> String {
    format!(
        "<network><name>{name}</name><bridge name='{bridge}'/><ip address='10.99.0.1' prefix='24'/></network>"
    )
}

/// The next facts for which `wanted` holds.
async fn facts_with(
    inbox: &mut UnboundedReceiver<Update>,
    wanted: impl Fn(&LibvirtFacts) -> bool,
) -> Arc<LibvirtFacts> {
    let found = timeout(Duration::from_secs(5), async {
        loop {
            let Some(Update::Libvirt { state, facts, .. }) = inbox.recv().await else { panic!("it ended") };
            assert_eq!(state, SourceState::Ok);
            if let Some(facts) = facts.filter(|facts| wanted(facts)) {
                return facts;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("not told in time"))
}

#[tokio::test]
async fn it_lists_what_the_test_driver_has() {
    let (updates, mut inbox) = unbounded_channel();
    let _reading = spawn(URI.to_owned(), updates);
    let facts = facts_with(&mut inbox, |_| true).await;

    let guest = facts.guests.iter().find(|guest| guest.name == "test").expect("the driver's guest");
    assert_eq!(guest.state, DomainState::Running);
    assert!(guest.live.is_some() && guest.next.is_some() && guest.persistent);
    assert!(!guest.agent && guest.agent_addresses.is_empty());
    let network = facts.networks.iter().find(|network| network.name == "default").expect("its network");
    assert_eq!(network.forward(), ForwardMode::Nat);
    assert!(network.active && network.leases.is_empty());
}

#[tokio::test]
async fn a_network_that_comes_starts_and_goes_is_told_by_events() {
    let (updates, mut inbox) = unbounded_channel();
    let _reading = spawn(URI.to_owned(), updates);
    facts_with(&mut inbox, |_| true).await;

    let writer = Connection::open(URI, Access::ReadWrite).expect("opens");
    let handle = writer.define_network(&network_xml("lv-events", "virbr77")).expect("defines");
    let find = |facts: &LibvirtFacts| facts.networks.iter().find(|n| n.name == "lv-events").cloned();
    // Faster than the slow re-read, so only an event can have told it.
    let soon = Duration::from_secs(2);
    let defined = timeout(soon, facts_with(&mut inbox, |f| find(f).is_some_and(|n| !n.active)));
    let defined = find(&defined.await.expect("by event")).expect("there");
    assert_eq!(defined.bridge().map(|name| name.to_string()).as_deref(), Some("virbr77"));
    assert!(defined.live.is_none());

    handle.start().expect("starts");
    timeout(soon, facts_with(&mut inbox, |f| find(f).is_some_and(|n| n.active && n.live.is_some())))
        .await
        .expect("by event");
    handle.stop().expect("stops");
    handle.undefine().expect("goes");
    timeout(soon, facts_with(&mut inbox, |f| find(f).is_none())).await.expect("by event");
}

#[tokio::test]
async fn what_did_not_change_is_not_told_again() {
    let (updates, mut inbox) = unbounded_channel();
    // A host of its own: the other tests change the default one.
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("node.xml");
    std::fs::write(&path, "<node/>").expect("written");
    let reading = spawn(format!("test://{}", path.display()), updates);
    let facts = facts_with(&mut inbox, |_| true).await;
    assert!(facts.guests.is_empty() && facts.networks.is_empty(), "an empty host is told too");
    assert!(facts.node_nics.is_none(), "nobody needs the host's devices yet");
    reading.node_devices();
    facts_with(&mut inbox, |facts| facts.node_nics.is_some()).await;
    reading.refresh();
    let more = timeout(Duration::from_millis(1500), inbox.recv()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_down_and_tried_again() {
    let (updates, mut inbox) = unbounded_channel();
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("no-socket");
    let _reading = spawn(format!("qemu+unix:///system?socket={}", socket.display()), updates);
    let Some(Update::Libvirt { state, facts, .. }) = inbox.recv().await else { panic!("it ended") };
    let SourceState::Down { error, .. } = state else { panic!("{state:?}") };
    assert!(error.contains("no-socket"), "{error}");
    assert!(facts.is_none());
    // Still down for the same reason: nothing new to tell.
    assert!(timeout(Duration::from_millis(1200), inbox.recv()).await.is_err());
}

#[test]
fn errors_say_what_was_asked_of_what() {
    let reader = Connection::open(URI, Access::ReadOnly).expect("opens");
    let error = reader.define_network(&network_xml("denied", "virbr78")).expect_err("read-only");
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.to_string().starts_with("define a network on test:///default: "), "{error}");
    assert!(error.hint().is_some() && !error.is_transient());

    let error = reader.define_network("<a\0b>").expect_err("no C string");
    assert!(error.to_string().contains("NUL"), "{error}");

    let missing = "00000000-0000-0000-0000-000000000001".parse().expect("a UUID");
    assert_eq!(reader.domain(missing).expect_err("none").kind, ErrorKind::Gone);
}

#[test]
fn a_dropped_subscription_is_silent() {
    let connection = Connection::open(URI, Access::ReadWrite).expect("opens");
    let (sender, events) = std::sync::mpsc::channel();
    let subscription = connection.subscribe(move |event| drop(sender.send(event)));
    let handle = connection.define_network(&network_xml("lv-silence", "virbr79")).expect("defines");
    let mine = |event: &Event| *event == Event::Network(handle.id());
    let told = events.recv_timeout(Duration::from_secs(2)).expect("an event");
    assert!(mine(&told) || events.iter().any(|event| mine(&event)));
    drop(subscription);
    handle.undefine().expect("goes");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!events.try_iter().any(|event| mine(&event)));
}
