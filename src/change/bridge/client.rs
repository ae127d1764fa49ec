//! WRITES. The DHCP client of a NIC, where no network manager has one built in: a process that runs on
//! the link whose name is among its arguments. Moved to the bridge it keeps its address, for the bridge
//! has the NIC's MAC.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tokio::time::Instant;

use crate::model::IfName;

/// Programs that are told their link by argument.
const CLIENTS: [&str; 3] = ["dhclient", "udhcpc", "dhcpcd"];

/// A DHCP client that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The process.
    pub pid: i32,
    /// How it was started.
    pub argv: Vec<String>,
}

/// The clients that run on a link of this network namespace.
#[must_use]
pub fn running_on(link: IfName) -> Vec<Client> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let link = link.to_string();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read(entry.path().join("cmdline")).ok()?;
            let argv: Vec<String> = text
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty())
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            (is_client(&argv, &link) && fs::read_link(entry.path().join("ns/net")).ok() == own)
                .then_some(Client { pid, argv })
        })
        .collect()
}

fn is_client(argv: &[String], link: &str) -> bool {
    let name = |word: &String| Path::new(word).file_name().map(|name| name.to_string_lossy().into_owned());
    // busybox names the program in its second word.
    let named = argv.iter().take(2).filter_map(name).any(|name| CLIENTS.contains(&name.as_str()));
    named && argv.iter().skip(1).any(|word| word == link)
}

/// Ends the clients of a link: at once, so that they neither release their lease nor take the address
/// away.
pub fn stop(link: IfName) {
    for client in running_on(link) {
        let _ = kill(Pid::from_raw(client.pid), Signal::SIGKILL);
    }
}

/// Ends the clients of a link and starts one on another link, unless one runs there.
///
/// Clients go into the background when they have a lease: so it is waited for. One that stays in the
/// foreground is given the time to begin.
///
/// # Errors
/// It cannot be started, or has found no server; the old one is ended then.
pub async fn hand_over(from: IfName, to: IfName, argv: &[String]) -> std::io::Result<()> {
    /// A server that is there answers within this time.
    const LEASE: Duration = Duration::from_secs(10);
    stop(from);
    if !running_on(to).is_empty() {
        return Ok(());
    }
    let Some(mut child) = start(argv)? else { return Ok(()) };
    let deadline = Instant::now() + LEASE;
    while Instant::now() < deadline {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => {
                return Err(std::io::Error::other(format!("it has found no DHCP server: {status}")));
            }
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    Ok(())
}

fn start(argv: &[String]) -> std::io::Result<Option<Child>> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(None) };
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(Some)
}

/// How a client is started that ends its start when it has a lease, or fails.
#[must_use]
pub fn command(link: IfName) -> Option<Vec<String>> {
    let link = link.to_string();
    let found = |name: &str| {
        ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].iter().any(|place| Path::new(place).join(name).exists())
    };
    let words: &[&str] = if found("dhclient") {
        &["dhclient", "-4", "-1"]
    } else if found("udhcpc") {
        &["udhcpc", "-n", "-i"]
    } else if found("dhcpcd") {
        &["dhcpcd", "-4", "-w"]
    } else {
        return None;
    };
    Some(words.iter().map(|word| (*word).to_owned()).chain([link]).collect())
}
