//! The netlink source against a real kernel, in network namespaces of their own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use tokio::sync::mpsc;
use virt_net::model::{KernelFacts, LinkKind, SourceState};
use virt_net::source::{Update, netlink};

/// Runs a future on a thread that has a network namespace of its own; it goes with the thread.
pub(crate) fn in_namespace<F: Future>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("unshare needs root");
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn run(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

fn set_up() {
    run(&format!("sh {}/tests/fixtures/netlink/setup", env!("CARGO_MANIFEST_DIR")));
}

fn json(command: &str) -> Vec<Value> {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits for facts that fulfil the condition; how many reads it took.
async fn until(
    updates: &mut mpsc::UnboundedReceiver<Update>,
    condition: impl Fn(&KernelFacts) -> bool,
) -> (Arc<KernelFacts>, usize) {
    let mut reads = 0;
    let wait = async {
        loop {
            if let Some(Update::Kernel { state: SourceState::Ok, facts: Some(facts) }) = updates.recv().await
            {
                reads += 1;
                if condition(&facts) {
                    return facts;
                }
            }
        }
    };
    let facts = tokio::time::timeout(Duration::from_secs(5), wait).await.expect("not seen within 5 s");
    (facts, reads)
}

#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn what_is_read_equals_what_ip_prints() {
    in_namespace(|| async {
        set_up();
        let facts = netlink::read_once().await.unwrap();
        let name =
            |index| facts.links.iter().find(|link| link.index == index).map(|link| link.name.to_string());
        // ip prints invalid JSON for names that are not UTF-8.
        run("ip link delete \"$(printf 'bad\\377name')\"; ip link set peer1 alias text");
        for link in json("ip -j -d link") {
            let index = u32::try_from(link["ifindex"].as_u64().unwrap()).unwrap();
            let mine = facts.links.iter().find(|mine| mine.index.0 == index).unwrap();
            assert_eq!(Some(mine.name.to_string().as_str()), link["ifname"].as_str());
            assert_eq!(
                mine.mac.map(|mac| mac.to_string()).as_deref().unwrap_or(""),
                mac(&link),
                "{}",
                mine.name
            );
            assert_eq!(Some(u64::from(mine.mtu)), link["mtu"].as_u64(), "{}", mine.name);
            assert_eq!(
                Some(mine.oper_state.to_uppercase().as_str()),
                link["operstate"].as_str(),
                "{}",
                mine.name
            );
            assert_eq!(mine.master.and_then(name).as_deref(), link["master"].as_str(), "{}", mine.name);
            assert_eq!(mine.lower.and_then(name).as_deref(), link["link"].as_str(), "{}", mine.name);
            let info = &link["linkinfo"];
            let kind = info["info_data"]["type"].as_str().or(info["info_kind"].as_str()).unwrap_or("device");
            assert_eq!(mine.kind.word(), kind, "{}", mine.name);
            let state = info["info_slave_data"]["state"].as_str();
            assert_eq!(mine.port.as_ref().map(|port| port.state.word()), state, "{}", mine.name);
        }
        let mut mine: Vec<String> = facts
            .addresses
            .iter()
            .map(|a| {
                format!(
                    "{} {}/{} {}",
                    name(a.index).unwrap(),
                    a.address.addr(),
                    a.address.prefix_len(),
                    a.scope
                )
            })
            .collect();
        let mut theirs = Vec::new();
        for link in json("ip -j address") {
            for a in link["addr_info"].as_array().unwrap() {
                let (name, local) = (link["ifname"].as_str().unwrap(), a["local"].as_str().unwrap());
                theirs.push(format!("{name} {local}/{} {}", a["prefixlen"], a["scope"].as_str().unwrap()));
            }
        }
        mine.retain(|line| !line.starts_with("bad") && !line.starts_with("esc"));
        mine.sort();
        theirs.sort();
        assert_eq!(mine, theirs);
        let routes: Vec<&str> = facts
            .routes
            .iter()
            .filter(|route| route.table == 254 && route.destination.addr().is_ipv4())
            .map(|route| route.protocol.as_str())
            .collect();
        assert_eq!(routes.len(), json("ip -j -4 route").len());
        for (mine, theirs) in routes.iter().zip(json("ip -j -d -4 route")) {
            assert_eq!(Some(*mine), theirs["protocol"].as_str());
        }
    });
}

fn mac(link: &Value) -> &str {
    match link["link_type"].as_str() {
        Some("none") => "",
        _ => link["address"].as_str().unwrap_or(""),
    }
}

#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn a_moved_port_is_told_by_its_notice_and_a_burst_is_one_read() {
    in_namespace(|| async {
        set_up();
        run("ip link add br1 type bridge && ip link set br1 up");
        let (sender, mut updates) = mpsc::unbounded_channel();
        let _refresh = netlink::spawn(sender, Duration::from_secs(1));
        let index = |facts: &KernelFacts, name: &str| {
            facts.links.iter().find(|link| link.name.to_string() == name).map(|link| link.index)
        };
        let master = |facts: &KernelFacts, name: &str| {
            facts.links.iter().find(|link| link.name.to_string() == name).and_then(|link| link.master)
        };
        until(&mut updates, |facts| master(facts, "vnet0") == index(facts, "br0")).await;
        // Without its notice it would be found 30 s later, long after `until` has given up.
        run("ip link set vnet0 master br1");
        until(&mut updates, |facts| master(facts, "vnet0") == index(facts, "br1")).await;
        // Leaving a bridge is announced as DELLINK of family bridge: the link must still be there.
        run("ip link set vnet0 nomaster");
        until(&mut updates, |facts| master(facts, "vnet0").is_none() && index(facts, "vnet0").is_some())
            .await;
        run("for n in $(seq 0 39); do echo link add x$n type veth peer name y$n; done | ip -batch -");
        let (_, reads) = until(&mut updates, |facts| index(facts, "y39").is_some()).await;
        assert!(reads <= 8, "{reads} reads for one burst");
    });
}

#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn lost_notices_lead_to_a_new_read() {
    in_namespace(|| async {
        let (sender, mut updates) = mpsc::unbounded_channel();
        let _refresh = netlink::spawn(sender, Duration::from_secs(1));
        until(&mut updates, |facts| !facts.links.is_empty()).await;
        // The runtime has one thread: while it runs these commands nothing reads the socket, and its
        // buffer (some 200 KiB) overflows.
        run("for n in $(seq 600); do
                 echo link add x$n type veth peer name y$n; echo link set x$n up; echo link set y$n up
             done | ip -batch - && ip link add last type bridge");
        let (facts, _) =
            until(&mut updates, |facts| facts.links.iter().any(|link| link.name.to_string() == "last")).await;
        assert_eq!(facts.links.iter().filter(|link| link.kind == LinkKind::Veth).count(), 1200);
    });
}

#[test]
#[ignore = "needs root: makes links in a network namespace of its own"]
fn counters_of_all_links_come_by_one_call() {
    in_namespace(|| async {
        set_up();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3 {
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        }
        let (sender, mut updates) = mpsc::unbounded_channel();
        let _refresh = netlink::spawn(sender, Duration::from_millis(200));
        let links = netlink::read_once().await.unwrap().links.len();
        loop {
            if let Some(Update::Counters { table, .. }) = updates.recv().await {
                assert_eq!(table.len(), links);
                let lo = table.get(&virt_net::model::IfIndex(1)).unwrap();
                assert_eq!((lo.rx_packets, lo.tx_packets), (3, 3));
                break;
            }
        }
    });
}

#[test]
#[ignore = "needs root: becomes nobody to show that reading works without rights"]
fn reading_needs_no_right() {
    in_namespace(|| async {
        set_up();
        // This thread only: the raw call does not do what libc's wrapper does for the whole process.
        let program = Path::new(env!("CARGO_BIN_EXE_virt-net"));
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"])
            .arg(program)
            .args(["-c", "test:///default", "show", "bridges", "--json"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("br0"),
            "{text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
}
