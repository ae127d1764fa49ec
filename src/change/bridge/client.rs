//! WRITES. The DHCP client of a NIC, where no network manager has one built in: a process that runs on
//! the link whose name is among its arguments. Moved to the bridge it keeps its address, for the bridge
//! has the NIC's MAC.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use tokio::time::Instant;

use super::persist::renamed;
use crate::model::IfName;
use crate::source::process;

/// Programs that are told their link by argument.
const CLIENTS: [&str; 3] = ["dhclient", "udhcpc", "dhcpcd"];

/// A DHCP client that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The process.
    pub pid: i32,
    /// The file that it runs.
    pub program: PathBuf,
    /// How it was started.
    pub argv: Vec<String>,
}

impl Client {
    /// What it asks for.
    #[must_use]
    pub fn families(&self) -> Families {
        Families::of(&self.program, &self.argv)
    }
}

/// What a client asks for: a link may have one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Families {
    /// An IPv4 address.
    pub v4: bool,
    /// An IPv6 address, or what goes with one.
    pub v6: bool,
}

impl Families {
    /// As the client was started.
    #[must_use]
    pub fn of(program: &Path, argv: &[String]) -> Self {
        let names = || named(argv).into_iter().chain(base(program));
        let says = |words: [&str; 2]| argv.iter().skip(1).any(|word| words.contains(&word.as_str()));
        let (only_v4, only_v6) = (says(["-4", "--ipv4only"]), says(["-6", "--ipv6only"]));
        if names().any(|name| name.starts_with("dhcpcd")) {
            return Self { v4: !only_v6, v6: !only_v4 };
        }
        let is_v6 = only_v6 || names().any(|name| name == "udhcpc6");
        Self { v4: !is_v6, v6: is_v6 }
    }

    /// Two that share one would fight for the link.
    #[must_use]
    pub const fn share(self, other: Self) -> bool {
        (self.v4 && other.v4) || (self.v6 && other.v6)
    }
}

/// The clients that run on a link of this network namespace, of root and from files that only root can
/// change: they are started again as root.
#[must_use]
pub fn running_on(link: IfName) -> Vec<Client> {
    let own = fs::read_link("/proc/self/ns/net").ok();
    let link = link.to_string();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let text = fs::read(entry.path().join("cmdline")).ok()?;
            let argv: Vec<String> = text
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty())
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            argv.iter().skip(1).any(|word| *word == link).then_some(())?;
            (fs::read_link(entry.path().join("ns/net")).ok() == own && process::is_of_root(pid))
                .then_some(())?;
            let program = process::program_of_root(pid)?;
            let pid = i32::try_from(pid).ok()?;
            is_client(&program, &argv).then_some(Client { pid, program, argv })
        })
        .collect()
}

/// By the file that runs: a process may call itself what it likes. busybox is told by name what to be.
fn is_client(program: &Path, argv: &[String]) -> bool {
    let Some(name) = base(program) else { return false };
    let is_known = |name: &str| CLIENTS.contains(&name.trim_end_matches(|c: char| c.is_ascii_digit()));
    is_known(&name)
        || (name.starts_with("busybox")
            && named(argv).iter().any(|name| name.starts_with("udhcpc") && is_known(name)))
}

/// What it calls itself: busybox names the program in its second word.
fn named(argv: &[String]) -> Vec<String> {
    argv.iter().take(2).filter_map(|word| base(Path::new(word))).collect()
}

fn base(path: &Path) -> Option<String> {
    path.file_name().map(|name| name.to_string_lossy().into_owned())
}

/// Ends the clients of a link that ask for any of this: at once, so that they neither release their lease
/// nor take the address away.
pub fn stop(link: IfName, families: Families) {
    for client in running_on(link).iter().filter(|client| client.families().share(families)) {
        let _ = kill(Pid::from_raw(client.pid), Signal::SIGKILL);
    }
}

/// Ends the client of a link and starts it on another link, unless one that asks for the same runs there. On
/// the same link it only sees that one runs.
///
/// Clients go into the background when they have a lease: so it is waited for. One that stays in the
/// foreground is given the time to begin.
///
/// # Errors
/// It cannot be started, or has found no server; the old one is ended then.
pub async fn hand_over(from: IfName, to: IfName, program: &Path, argv: &[String]) -> std::io::Result<()> {
    /// A server that is there answers within this time.
    const LEASE: Duration = Duration::from_secs(10);
    let families = Families::of(program, argv);
    if from != to {
        stop(from, families);
    }
    if running_on(to).iter().any(|client| client.families().share(families)) {
        return Ok(());
    }
    if families.v6 {
        wait_for_link_local(to).await;
    }
    carry_leases(from, to, argv);
    let Some(mut child) = start(program, argv)? else { return Ok(()) };
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

/// dhclient notes its identity (DUID) and its leases in a file that is named after the link: without it a
/// server would take it for another machine, and lend another address.
fn carry_leases(from: IfName, to: IfName, argv: &[String]) {
    let files = argv.windows(2).filter_map(|pair| match pair {
        [option, path] if matches!(option.as_str(), "-lf" | "-df") => Some(path),
        _ => None,
    });
    for path in files {
        let old = renamed(path, to, from);
        if old == *path {
            continue;
        }
        if let Ok(text) = fs::read_to_string(old) {
            let _ = fs::write(path, renamed(&text, from, to));
        }
    }
}

/// A client of IPv6 ends at once where the link has no address to ask from: the kernel first asks the
/// neighbours for about a second whether they have it.
async fn wait_for_link_local(link: IfName) {
    /// Longer takes none.
    const CHECKED: Duration = Duration::from_secs(4);
    let deadline = Instant::now() + CHECKED;
    let is_there = || {
        let text = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        text.lines().any(|line| is_link_local(line, &link.to_string()))
    };
    while !is_there() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `fe80…01 02 40 20 80 eth0`: address, index, prefix, scope, flags, link.
fn is_link_local(line: &str, wanted: &str) -> bool {
    const TENTATIVE: u32 = 0x40;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, _, _, "20", flags, name] = words.as_slice() else { return false };
    *name == wanted && u32::from_str_radix(flags, 16).is_ok_and(|flags| flags & TENTATIVE == 0)
}

fn start(program: &Path, argv: &[String]) -> std::io::Result<Option<Child>> {
    let Some((called, arguments)) = argv.split_first() else { return Ok(None) };
    // Records of old do not say it.
    let program = if program.as_os_str().is_empty() { Path::new(called) } else { program };
    let mut command = Command::new(program);
    // busybox goes by what it is called.
    command.arg0(called).args(arguments).current_dir("/").process_group(0);
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
