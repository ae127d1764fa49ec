//! PURE. Links, addresses and routes before and after a change of a bridge, side by side.

use serde::{Deserialize, Serialize};

use super::Addressing;
use super::step::Step;
use crate::model::kernel::{Link, LinkKind, Route};
use crate::model::{IfName, Snapshot};

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// `link`, `address` or `route`.
    pub what: String,
    /// How it is; empty when it is new.
    pub before: String,
    /// How it will be; empty when it goes.
    pub after: String,
}

fn row(what: &str, before: String, after: String) -> Row {
    Row { what: what.to_owned(), before, after }
}

/// The table of steps in the kernel's words, whoever carries them out.
#[must_use]
pub fn of(snapshot: &Snapshot, kernel_steps: &[Step], address: Addressing) -> Vec<Row> {
    let mut rows = Vec::new();
    for step in kernel_steps {
        match step {
            Step::AddBridge { bridge, mac, mtu, stp } => {
                let mac = mac.map(|mac| format!(" {mac}")).unwrap_or_default();
                rows.push(row(
                    "link",
                    String::new(),
                    format!("{bridge}{mac} mtu {mtu} stp {} up", stp.word()),
                ));
            }
            Step::DeleteBridge { bridge } => {
                rows.push(row("link", link_words(snapshot, *bridge), String::new()));
            }
            Step::Attach { port, bridge } => {
                let before = link_words(snapshot, *port);
                rows.push(row("link", before.clone(), format!("{before}, port of {bridge}")));
            }
            Step::Detach { port } => {
                let before = link_words(snapshot, *port);
                let after = before.split(", port of").next().unwrap_or_default().to_owned();
                rows.push(row("link", before, after));
            }
            Step::Move { from, to } => rows.extend(moved(snapshot, *from, *to, address)),
            _ => {}
        }
    }
    rows
}

fn link_words(snapshot: &Snapshot, name: IfName) -> String {
    let Some(link) = snapshot.link_named(name) else { return name.to_string() };
    let mac = link.mac.map(|mac| format!(" {mac}")).unwrap_or_default();
    let stp = match &link.kind {
        LinkKind::Bridge(info) => format!(" stp {}", if info.stp { "on" } else { "off" }),
        _ => String::new(),
    };
    let up = if link.up { "up" } else { "down" };
    let master = link.master.and_then(|master| snapshot.link(master));
    let port = master.map(|master| format!(", port of {}", master.name)).unwrap_or_default();
    format!("{name}{mac} mtu {}{stp} {up}{port}", link.mtu)
}

fn moved(snapshot: &Snapshot, from: IfName, to: IfName, address: Addressing) -> Vec<Row> {
    let Some(link) = snapshot.link_named(from) else { return Vec::new() };
    let mut rows = Vec::new();
    let of_link = snapshot.kernel.addresses.iter().filter(|found| found.index == link.index);
    for found in of_link.filter(|found| !(found.scope == "link" && found.address.addr().is_ipv6())) {
        let goes = match address {
            Addressing::Move => false,
            Addressing::Dhcp => found.address.addr().is_ipv4(),
            Addressing::Static(new) => found.address.addr().is_ipv4() == new.addr().is_ipv4(),
        };
        let lease = if found.permanent { "" } else { " (leased)" };
        let before = format!("{}{lease} on {from}", found.address);
        let after = if goes { String::new() } else { format!("{}{lease} on {to}", found.address) };
        rows.push(row("address", before, after));
    }
    match address {
        Addressing::Move => {}
        Addressing::Dhcp => rows.push(row("address", String::new(), format!("by DHCP on {to}"))),
        Addressing::Static(new) => rows.push(row("address", String::new(), format!("{new} on {to}"))),
    }
    for route in routes(snapshot, link) {
        // The kernel makes those of routers itself, as it hears them.
        let after = match (route.protocol.as_str(), route.gateway) {
            ("ra", Some(router)) => format!("as router {router} announces on {to}"),
            _ => route.words(to),
        };
        rows.push(row("route", route.words(from), after));
    }
    rows
}

/// Routes over a link that somebody made; those of the kernel follow the addresses.
pub(super) fn routes<'a>(snapshot: &'a Snapshot, link: &Link) -> impl Iterator<Item = &'a Route> {
    let index = link.index;
    let over = snapshot.kernel.routes.iter().filter(move |route| route.oif == Some(index));
    over.filter(|route| route.protocol != "kernel" && route.kind == "unicast")
}
