//! PURE. What is wrong with the guests' network, why, and what mends it: one file per check, each a function
//! from a snapshot to findings. A host in order has none: a false alarm is a defect.
//!
//! A check whose sources cannot be read says nothing; [`examine`] lists it as unchecked, with the reason.

mod address_on_port;
mod bridge_lockout;
mod bridge_nf_call;
mod bridge_without_uplink;
mod change_interrupted;
mod device_next_boot;
mod dnsmasq_dead;
mod dual_default_route;
mod duplicate_mac;
mod finding;
mod forward_policy_drop;
mod guest_ip_unknown;
mod ip_forward_off;
mod look;
mod macvtap_host_isolation;
mod macvtap_lower_busy;
mod missing_bridge_next_boot;
mod mtu_mismatch;
mod nat_rules_missing;
mod network_unguarded;
mod nic_link_down;
mod no_input_for_dhcp;
mod pending_change;
mod port_isolation_lie;
mod rules;
mod slow_nic_model;
mod stale_lease;
mod stp_delay;
mod subnet_overlap;
mod tap_down;
mod tap_orphaned;
mod uplink_no_carrier;
mod watch;
mod wifi_uplink;

use serde::Serialize;

pub use finding::{Evidence, Finding, Fix, Key, Remedy, Severity, Subject};
pub use watch::Watch;

use crate::model::{Snapshot, SourceState};

/// A check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name on the command line and in `shared` tables.
    pub id: &'static str,
    /// What it finds, in one line.
    pub doc: &'static str,
    needs: &'static [Need],
    run: fn(&Snapshot) -> Vec<Finding>,
}

impl Check {
    /// How long what it finds must last before it is shown beside running sources, in milliseconds: they are
    /// read one after the other, and guests need their time.
    #[must_use]
    pub fn patience(&self) -> u64 {
        match self.id {
            // A guest that was just plugged or booted asks for an address, and gets one, or is asked by its agent.
            "stale-lease" => 20_000,
            "guest-ip-unknown" => 60_000,
            // Processes are looked at every five seconds.
            _ if self.needs.contains(&Need::Processes) => 8_000,
            _ => 2_000,
        }
    }
}

/// What a check must be able to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Libvirt,
    Kernel,
    Firewall,
    Processes,
}

const fn check(
    id: &'static str,
    needs: &'static [Need],
    run: fn(&Snapshot) -> Vec<Finding>,
    doc: &'static str,
) -> Check {
    Check { id, doc, needs, run }
}

use Need::{Firewall, Kernel, Libvirt, Processes};

/// All checks.
pub const CHECKS: &[Check] = &[
    check(
        "change-interrupted",
        &[Libvirt],
        change_interrupted::check,
        "a change of a network that was interrupted",
    ),
    check(
        "nat-rules-missing",
        &[Libvirt, Kernel, Firewall],
        nat_rules_missing::check,
        "an active NAT network without masquerade rules",
    ),
    check(
        "network-unguarded",
        &[Libvirt, Kernel, Firewall],
        network_unguarded::check,
        "an isolated or NAT network whose rules nothing jumps to",
    ),
    check(
        "dnsmasq-dead",
        &[Libvirt, Kernel, Processes],
        dnsmasq_dead::check,
        "an active network with DHCP and no dnsmasq",
    ),
    check(
        "ip-forward-off",
        &[Libvirt, Kernel],
        ip_forward_off::check,
        "a NAT or routed network on a host that does not forward",
    ),
    check(
        "forward-policy-drop",
        &[Libvirt, Kernel, Firewall],
        forward_policy_drop::check,
        "another table drops what guests send through the host",
    ),
    check(
        "no-input-for-dhcp",
        &[Libvirt, Kernel, Firewall],
        no_input_for_dhcp::check,
        "the host's firewall keeps guests from its DHCP and DNS server",
    ),
    check(
        "bridge-nf-call",
        &[Libvirt, Kernel, Firewall],
        bridge_nf_call::check,
        "the host's firewall drops frames between ports of a bridge",
    ),
    check(
        "tap-orphaned",
        &[Libvirt, Kernel],
        tap_orphaned::check,
        "a tap that is not on the bridge libvirt says",
    ),
    check(
        "tap-down",
        &[Libvirt, Kernel],
        tap_down::check,
        "a tap or bridge of running guests that is switched off",
    ),
    check("nic-link-down", &[Libvirt], nic_link_down::check, "a running guest's NIC with its cable pulled"),
    check(
        "uplink-no-carrier",
        &[Libvirt, Kernel],
        uplink_no_carrier::check,
        "a bridge's or macvtap's way out without carrier",
    ),
    check(
        "bridge-lockout",
        &[Libvirt, Kernel],
        bridge_lockout::check,
        "a bridge without a port takes the replies of the host's own LAN",
    ),
    check(
        "address-on-port",
        &[Kernel],
        address_on_port::check,
        "an address left on a NIC that is a bridge's port",
    ),
    check(
        "dual-default-route",
        &[Kernel],
        dual_default_route::check,
        "two default routes to the same gateway, or one by a bridge's port",
    ),
    check(
        "subnet-overlap",
        &[Libvirt, Kernel],
        subnet_overlap::check,
        "a network whose subnet the host uses otherwise",
    ),
    check(
        "duplicate-mac",
        &[Libvirt, Kernel],
        duplicate_mac::check,
        "one MAC address on two NICs or behind two ports",
    ),
    check("mtu-mismatch", &[Libvirt, Kernel], mtu_mismatch::check, "ports of one bridge with different MTUs"),
    check(
        "stp-delay",
        &[Libvirt, Kernel],
        stp_delay::check,
        "a spanning tree that keeps guests waiting after each plug",
    ),
    check(
        "port-isolation-lie",
        &[Libvirt, Kernel],
        port_isolation_lie::check,
        "a NIC isolated for libvirt and not for the kernel",
    ),
    check(
        "pending-change",
        &[Libvirt],
        pending_change::check,
        "a running guest's NIC that differs at the next boot",
    ),
    check(
        "missing-bridge-next-boot",
        &[Libvirt, Kernel],
        missing_bridge_next_boot::check,
        "a NIC whose next boot names a bridge or network that is not there",
    ),
    check(
        "device-next-boot",
        &[Libvirt, Kernel],
        device_next_boot::check,
        "a PCI NIC that a guest cannot have at its next boot, or that the host would lose",
    ),
    check(
        "macvtap-lower-busy",
        &[Libvirt, Kernel],
        macvtap_lower_busy::check,
        "a macvtap on a link that is a bridge's port or taken",
    ),
    check(
        "macvtap-host-isolation",
        &[Libvirt, Kernel],
        macvtap_host_isolation::check,
        "a macvtap guest and the host cannot reach each other",
    ),
    check("wifi-uplink", &[Libvirt, Kernel], wifi_uplink::check, "guests bridged over Wi-Fi"),
    check(
        "stale-lease",
        &[Libvirt, Kernel],
        stale_lease::check,
        "a guest that keeps its address of another network",
    ),
    check(
        "guest-ip-unknown",
        &[Libvirt, Kernel],
        guest_ip_unknown::check,
        "a running guest whose address nobody here can tell",
    ),
    check(
        "bridge-without-uplink",
        &[Libvirt, Kernel],
        bridge_without_uplink::check,
        "guests on a bridge that leads nowhere",
    ),
    check("slow-nic-model", &[Libvirt], slow_nic_model::check, "an emulated NIC where virtio would do"),
];

/// A check that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// Its id.
    pub check: &'static str,
    /// What is missing, in a sentence.
    pub why: String,
}

/// What the checks said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Worst first, then in the order of the checks.
    pub findings: Vec<Finding>,
    /// What could not be checked, and why.
    pub unchecked: Vec<Unchecked>,
}

impl Report {
    /// How many findings are this bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// `1 error, 2 warnings`.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<String> = [Severity::Error, Severity::Warning, Severity::Note]
            .into_iter()
            .map(|severity| (self.count(severity), severity.word()))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
            .collect();
        match (words.is_empty(), self.unchecked.is_empty()) {
            (true, true) => "nothing is wrong".to_owned(),
            (true, false) => "nothing found as far as it could be checked".to_owned(),
            (false, _) => words.join(", "),
        }
    }

    /// What could not be checked, once per reason.
    #[must_use]
    pub fn unchecked_by_reason(&self) -> Vec<(&str, Vec<&str>)> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for one in &self.unchecked {
            match reasons.iter_mut().find(|(why, _)| *why == one.why) {
                Some((_, checks)) => checks.push(one.check),
                None => reasons.push((&one.why, vec![one.check])),
            }
        }
        reasons
    }
}

/// Makes these checks; all of them if none is named.
#[must_use]
pub fn examine(snapshot: &Snapshot, only: &[&str]) -> Report {
    let mut report = Report::default();
    for check in CHECKS.iter().filter(|check| only.is_empty() || only.contains(&check.id)) {
        match check.needs.iter().find_map(|need| need.missing(snapshot)) {
            Some(why) => report.unchecked.push(Unchecked { check: check.id, why }),
            None => report.findings.extend((check.run)(snapshot)),
        }
    }
    report.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    report
}

impl Need {
    /// Why it cannot be read; `None` when it can.
    fn missing(self, snapshot: &Snapshot) -> Option<String> {
        let health = &snapshot.health;
        let (name, state) = match self {
            Self::Libvirt => ("libvirt", &health.libvirt),
            Self::Kernel => ("the kernel's links", &health.kernel),
            Self::Firewall => ("the firewall's rules", &health.firewall),
            Self::Processes => return processes_missing(snapshot),
        };
        let foreign = self != Self::Libvirt && snapshot.host.foreign_namespace;
        if foreign {
            return Some("libvirtd runs on another machine or in another network namespace".to_owned());
        }
        let legacy = &snapshot.firewall.legacy_tables;
        if self == Self::Firewall && !legacy.is_empty() {
            return Some(format!("legacy iptables rules (table {}) cannot be read", legacy.join(", ")));
        }
        match state {
            SourceState::Ok => None,
            SourceState::Starting => Some(format!("{name} have not been read yet")),
            SourceState::Stale { reason, .. } => Some(format!("{name}: no answer ({reason})")),
            SourceState::Denied { hint } => Some(format!("{name}: a right is missing; {hint}")),
            SourceState::Down { error, .. } => Some(format!("{name}: {error}")),
        }
    }
}

fn processes_missing(snapshot: &Snapshot) -> Option<String> {
    if snapshot.host.foreign_namespace {
        return Some("libvirtd runs on another machine or in another network namespace".to_owned());
    }
    let services = &snapshot.services;
    if services.read_at.0 == 0 {
        return Some("the host's processes have not been read yet".to_owned());
    }
    services
        .dnsmasq
        .is_none()
        .then(|| "processes of other users are hidden (hidepid); run as root".to_owned())
}
