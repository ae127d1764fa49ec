//! PURE. A change of a bridge as shell lines, to read and to copy: what no command stands for is a comment.

use ipnet::IpNet;

use super::{BridgePlan, FileChange, Step, Stp};
use crate::change::target::{line, quote};
use crate::model::IfName;

/// One line or more for each step, then what must be so afterwards.
#[must_use]
pub fn commands(plan: &BridgePlan) -> Vec<String> {
    let mut lines: Vec<String> = plan.steps.iter().flat_map(|step| of_step(plan, step)).collect();
    lines.extend(plan.lasting.iter().map(file));
    lines.extend(
        plan.gateways.iter().map(|gateway| format!("ping -c 1 {gateway}   # must answer afterwards")),
    );
    lines
}

fn of_step(plan: &BridgePlan, step: &Step) -> Vec<String> {
    match step {
        Step::AddBridge { bridge, mac, mtu, stp } => {
            let address = mac.map(|mac| format!(" address {mac}")).unwrap_or_default();
            let tree = match stp {
                Stp::On { forward_delay } => format!("stp_state 1 forward_delay {forward_delay}"),
                Stp::Off => "stp_state 0".to_owned(),
            };
            vec![
                format!("ip link add {bridge}{address} mtu {mtu} type bridge {tree}"),
                format!("ip link set {bridge} up"),
            ]
        }
        Step::DeleteBridge { bridge } => vec![format!("ip link del {bridge} type bridge")],
        Step::Attach { port, bridge } => vec![format!("ip link set {port} master {bridge} up")],
        Step::Detach { port } => vec![format!("ip link set {port} nomaster")],
        Step::Move { from, to } => moved(plan, *from, *to),
        Step::AddAddress { link, address } => vec![format!("ip address add {address} dev {link}")],
        Step::DropAddress { link, address } => vec![format!("ip address del {address} dev {link}")],
        Step::Call { argv, .. } => vec![line(argv)],
        Step::MoveClient { from, argv, .. } => vec![
            format!("# end the DHCP client of {from} without a release (kill its process), then"),
            line(argv),
        ],
        Step::Put { file: change } => vec![file(change)],
        Step::DropOthers { .. }
        | Step::Restore { .. }
        | Step::SetPort { .. }
        | Step::PutBack { .. }
        | Step::StopClient { .. }
        | Step::Checkpoint
        | Step::EndCheckpoint
        | Step::Settle => vec![format!("# {}", step.text())],
    }
}

/// All in one line, for a session over the link would be cut between two of them: its routes go with the addresses.
fn moved(plan: &BridgePlan, from: IfName, to: IfName) -> Vec<String> {
    let here = plan.before.addresses.iter().filter(|(link, _)| *link == from);
    let addresses: Vec<IpNet> = here.map(|(_, address)| *address).collect();
    let each = |verb: &'static str, link: IfName| {
        addresses.iter().map(move |address| format!("ip address {verb} {address} dev {link}; "))
    };
    let over = |link: IfName| format!(" dev {link}");
    let routes = plan.picture.iter().filter(|row| row.what == "route" && row.before.contains(&over(from)));
    let routes = routes.filter(|row| row.after.contains(&over(to)));
    let routes = routes.map(|row| format!("ip route add {}; ", row.after));
    let moves: String = each("del", from).chain(each("add", to)).chain(routes).collect();
    vec![moves.trim_end_matches("; ").to_owned()]
}

fn file(change: &FileChange) -> String {
    let path = quote(&change.path.display().to_string());
    match change.after {
        Some(_) => format!("$EDITOR {path}   # as in the diff"),
        None => format!("rm {path}"),
    }
}
