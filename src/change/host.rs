//! PURE. Small changes of the kernel's side: a link switched on, an address taken off, a sysctl set. Want +
//! snapshot → plan; [`apply::host`](super::apply::host) carries it out, reads it again and puts it back when
//! it is not so. No file is changed: what must last over a boot of the host is told.

use std::net::IpAddr;

use ipnet::IpNet;

use super::plan::Refusal;
use crate::model::kernel::{KernelFacts, Link, LinkKind, Settings};
use crate::model::{IfName, Snapshot};

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostWant {
    /// A link is switched on.
    SwitchOn {
        /// Which.
        link: IfName,
    },
    /// A link gets another MTU.
    Mtu {
        /// Which.
        link: IfName,
        /// Bytes.
        mtu: u32,
    },
    /// A port talks to non-isolated ports only.
    Isolate {
        /// Which.
        port: IfName,
    },
    /// A bridge runs no spanning tree.
    StpOff {
        /// Which.
        bridge: IfName,
    },
    /// A bridge's forward delay becomes the shortest that spanning tree allows.
    ShortDelay {
        /// Which.
        bridge: IfName,
    },
    /// A sysctl changes.
    Sysctl {
        /// Which.
        key: SysctlKey,
        /// Its value.
        value: u8,
    },
    /// Addresses go from a link.
    RemoveAddresses {
        /// The link.
        link: IfName,
        /// The addresses.
        addresses: Vec<IpNet>,
    },
    /// A default route goes.
    RemoveDefault {
        /// By which link.
        link: IfName,
        /// By which next hop.
        gateway: Option<IpAddr>,
        /// With which metric.
        metric: u32,
    },
}

/// The sysctls that are ever written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SysctlKey {
    /// `net.ipv4.ip_forward`.
    IpForward,
    /// `net.ipv6.conf.all.forwarding`.
    Ip6Forward,
    /// `net.bridge.bridge-nf-call-iptables`.
    NfCallIptables,
}

impl SysctlKey {
    /// The name `sysctl` uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpForward => "net.ipv4.ip_forward",
            Self::Ip6Forward => "net.ipv6.conf.all.forwarding",
            Self::NfCallIptables => "net.bridge.bridge-nf-call-iptables",
        }
    }

    /// Its file below `/proc/sys`.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::IpForward => "/proc/sys/net/ipv4/ip_forward",
            Self::Ip6Forward => "/proc/sys/net/ipv6/conf/all/forwarding",
            Self::NfCallIptables => "/proc/sys/net/bridge/bridge-nf-call-iptables",
        }
    }

    /// Its value in what was read.
    #[must_use]
    pub const fn value(self, settings: &Settings) -> Option<bool> {
        match self {
            Self::IpForward => settings.ip_forward,
            Self::Ip6Forward => settings.ip6_forward,
            Self::NfCallIptables => settings.nf_call_iptables,
        }
    }
}

/// The least forward delay that the kernel takes with STP on, in hundredths of a second.
pub const LEAST_DELAY: u32 = 200;

/// Everything that will be done: one want, one step.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlan {
    /// What it is called.
    pub title: String,
    /// What is done.
    pub want: HostWant,
    /// The step, in words.
    pub step: String,
    /// What people will notice.
    pub consequences: Vec<String>,
    /// The same by hand.
    pub commands: Vec<String>,
}

/// Makes the plan.
///
/// # Errors
/// It is so already, what it is about is gone, or it would cut the operator off.
pub fn plan(snapshot: &Snapshot, want: &HostWant) -> Result<HostPlan, Refusal> {
    let (title, consequences, commands) = words(snapshot, want);
    let refuse =
        |reason: String, way_out: &str| Refusal { what: title.clone(), reason, way_out: way_out.to_owned() };
    if let Some(missing) = links_of(want).into_iter().find(|name| snapshot.link_named(*name).is_none()) {
        return Err(refuse(format!("there is no link {missing}"), "look again"));
    }
    if holds(&snapshot.kernel, want) {
        return Err(refuse("it is so already".to_owned(), "nothing to do"));
    }
    if let Some(link) = cuts_off(snapshot, want) {
        let reason = format!("your own session comes by {link}");
        return Err(refuse(reason, "log in by another way first, or do it by hand at the console"));
    }
    Ok(HostPlan { step: title.clone(), title, want: want.clone(), consequences, commands })
}

/// The link that the session uses and that would lose what the session needs.
fn cuts_off(snapshot: &Snapshot, want: &HostWant) -> Option<IfName> {
    let takes = match want {
        HostWant::RemoveAddresses { link, .. } | HostWant::RemoveDefault { link, .. } => *link,
        _ => return None,
    };
    snapshot.host.ssh_link.filter(|link| *link == takes)
}

fn links_of(want: &HostWant) -> Vec<IfName> {
    match want {
        HostWant::SwitchOn { link }
        | HostWant::Mtu { link, .. }
        | HostWant::RemoveAddresses { link, .. }
        | HostWant::RemoveDefault { link, .. } => vec![*link],
        HostWant::Isolate { port } => vec![*port],
        HostWant::StpOff { bridge } | HostWant::ShortDelay { bridge } => vec![*bridge],
        HostWant::Sysctl { .. } => Vec::new(),
    }
}

/// Whether the kernel has it as wanted.
#[must_use]
pub fn holds(facts: &KernelFacts, want: &HostWant) -> bool {
    let link = |name: IfName| facts.links.iter().find(|link| link.name == name);
    let stp = |name: IfName| match link(name).map(|link| &link.kind) {
        Some(LinkKind::Bridge(info)) => Some((info.stp, info.forward_delay)),
        _ => None,
    };
    match want {
        HostWant::SwitchOn { link: name } => link(*name).is_some_and(|link| link.up),
        HostWant::Mtu { link: name, mtu } => link(*name).is_some_and(|link| link.mtu == *mtu),
        HostWant::Isolate { port } => {
            link(*port).and_then(|link| link.port.as_ref()).is_some_and(|port| port.isolated)
        }
        HostWant::StpOff { bridge } => stp(*bridge).is_some_and(|(on, _)| !on),
        HostWant::ShortDelay { bridge } => {
            stp(*bridge).is_some_and(|(on, delay)| !on || delay <= LEAST_DELAY)
        }
        HostWant::Sysctl { key, value } => key.value(&facts.settings) == Some(*value != 0),
        HostWant::RemoveAddresses { link: name, addresses } => {
            link(*name).is_some_and(|link| !has_any(facts, link, addresses))
        }
        HostWant::RemoveDefault { link: name, gateway, metric } => link(*name).is_some_and(|link| {
            !facts.routes.iter().any(|route| {
                let default = route.destination.prefix_len() == 0 && route.destination.addr().is_ipv4();
                default
                    && route.oif == Some(link.index)
                    && route.gateway == *gateway
                    && route.metric == *metric
            })
        }),
    }
}

fn has_any(facts: &KernelFacts, link: &Link, addresses: &[IpNet]) -> bool {
    facts.addresses.iter().any(|address| address.index == link.index && addresses.contains(&address.address))
}

/// Title, consequences, commands.
type Words = (String, Vec<String>, Vec<String>);

fn until_boot(for_good: &str) -> String {
    format!("It lasts until the next boot of the host: for good, {for_good}.")
}

fn words(snapshot: &Snapshot, want: &HostWant) -> Words {
    let one = |title: String, consequence: String, command: String| (title, vec![consequence], vec![command]);
    match want {
        HostWant::SwitchOn { link } => one(
            format!("switch {link} on"),
            format!("{link} passes packets again as soon as it has carrier."),
            format!("ip link set {link} up"),
        ),
        HostWant::Mtu { link, mtu } => one(
            format!("set the MTU of {link} to {mtu}"),
            "The host's side alone changes: a guest keeps the MTU that its device was started with."
                .to_owned(),
            format!("ip link set {link} mtu {mtu}"),
        ),
        HostWant::Isolate { port } => one(
            format!("isolate port {port}"),
            "This guest then reaches only ports that are not isolated: the uplink and the host.".to_owned(),
            format!("bridge link set dev {port} isolated on"),
        ),
        HostWant::StpOff { bridge } => (
            format!("switch spanning tree off on {bridge}"),
            vec![
                "New ports pass frames at once, and those that wait now go on.".to_owned(),
                until_boot("set it where the bridge is made (STP=no, stp: false)"),
            ],
            vec![format!("ip link set {bridge} type bridge stp_state 0")],
        ),
        HostWant::ShortDelay { bridge } => (
            format!("shorten the forward delay of {bridge} to 2 s"),
            vec![
                "A new port passes frames after 4 s; loops are still found.".to_owned(),
                until_boot("set it where the bridge is made (DELAY=2, forward-delay: 2)"),
            ],
            vec![format!("ip link set {bridge} type bridge forward_delay {LEAST_DELAY}")],
        ),
        HostWant::Sysctl { key, value } => (
            format!("set {} to {value}", key.name()),
            vec![
                match key {
                    SysctlKey::NfCallIptables => {
                        "Bridged frames of all bridges pass without the host's firewall; filters of Docker \
                         or Kubernetes on bridged frames no longer count."
                            .to_owned()
                    }
                    _ => {
                        "The host forwards between all its links, as far as its firewall lets it.".to_owned()
                    }
                },
                until_boot("a file in /etc/sysctl.d"),
            ],
            vec![format!("sysctl -w {}={value}", key.name())],
        ),
        HostWant::RemoveAddresses { link, addresses } => words_of_removal(snapshot, *link, addresses),
        HostWant::RemoveDefault { link, gateway, metric } => {
            let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            let metric = if *metric == 0 { String::new() } else { format!(" metric {metric}") };
            (
                format!("remove the default route by {link}"),
                vec![
                    "The other default route is the only one then.".to_owned(),
                    until_boot("remove the gateway where the link is configured"),
                ],
                vec![format!("ip route del default{via} dev {link}{metric}")],
            )
        }
    }
}

/// Addresses of a link that others can reach it by.
fn global(snapshot: &Snapshot, name: IfName) -> Vec<IpNet> {
    let index = snapshot.link_named(name).map(|link| link.index);
    let of_link = snapshot
        .kernel
        .addresses
        .iter()
        .filter(|address| Some(address.index) == index && address.is_global());
    of_link.map(|address| address.address).collect()
}

fn words_of_removal(snapshot: &Snapshot, link: IfName, addresses: &[IpNet]) -> Words {
    let listed: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let mut told = vec![format!("The host no longer answers at {}.", listed.join(", "))];
    if global(snapshot, link).iter().all(|address| addresses.contains(address)) {
        told.push(format!("All routes by {link} go with it, a default route too."));
    }
    told.push(until_boot("remove it where the link is configured"));
    let commands = listed.iter().map(|address| format!("ip address del {address} dev {link}")).collect();
    (format!("take {} off {link}", listed.join(", ")), told, commands)
}
