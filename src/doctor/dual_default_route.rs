//! PURE. Two default routes by different links that lead to the same place: the notes' route table, after a bridge
//! was made beside its NIC. Two different gateways (a second line as reserve) are no finding.

use super::finding::{Finding, Fix, Remedy, Severity, Subject};
use super::look;
use crate::change::host::HostWant;
use crate::model::Snapshot;
use crate::model::kernel::{Link, LinkKind, Route};

pub(super) fn check(snapshot: &Snapshot) -> Vec<Finding> {
    let defaults = look::defaults(snapshot);
    let twins = defaults.iter().enumerate().find_map(|(at, first)| {
        let second = defaults.iter().skip(at + 1).find(|second| is_twin(snapshot, first, second))?;
        Some((*first, *second))
    });
    twins.map(|(first, second)| finding(snapshot, first, second)).into_iter().collect()
}

type Default<'a> = (&'a Route, &'a Link);

fn is_twin(snapshot: &Snapshot, first: &Default<'_>, second: &Default<'_>) -> bool {
    if first.1.index == second.1.index {
        return false;
    }
    let port = |default: &Default<'_>| look::master(snapshot, default.1).is_some();
    (first.0.gateway.is_some() && first.0.gateway == second.0.gateway) || port(first) || port(second)
}

fn finding(snapshot: &Snapshot, first: Default<'_>, second: Default<'_>) -> Finding {
    let title = format!("two default routes to one place, by {} and {}", first.1.name, second.1.name);
    let wins = if first.0.metric == second.0.metric { "the first one" } else { "the lower metric" };
    let loser = loser(snapshot, first, second);
    let winner = if loser.1.index == first.1.index { second } else { first };
    let words = format!("keep the one by {}, remove the one by {}", winner.1.name, loser.1.name);
    let remedy = Remedy::Host(HostWant::RemoveDefault {
        link: loser.1.name,
        gateway: loser.0.gateway,
        metric: loser.0.metric,
    });
    Finding::new("dual-default-route", Severity::Warning, Subject::Link(loser.1.name), title)
        .kernel(format!("route {}", first.0.words(first.1.name)))
        .kernel(format!("route {}", second.0.words(second.1.name)))
        .means(format!(
            "Only {wins} is used: the host's packets leave by {}, whatever link the question came in by, and when that link \
             is the wrong one the host is cut off. After a bridge was made over a NIC, the route belongs to the bridge alone.",
            first.1.name
        ))
        .fix(Fix::by(words, remedy))
}

/// Which of the two must go: a port's; one whose link has no address towards the next hop; one by a bridge that leads
/// nowhere; then the NIC's rather than the bridge's; else the one that is not used now.
fn loser<'a>(snapshot: &Snapshot, first: Default<'a>, second: Default<'a>) -> Default<'a> {
    let is_port = |default: &Default<'_>| look::master(snapshot, default.1).is_some();
    let has_address = |default: &Default<'_>| {
        let Some(gateway) = default.0.gateway else { return true };
        look::global(snapshot, default.1.index).iter().any(|address| address.contains(&gateway))
    };
    let leads_out = |default: &Default<'_>| {
        snapshot.bridge_named(default.1.name).is_none_or(|bridge| bridge.uplinks().any(|port| port.carrier))
    };
    let is_bridge = |default: &Default<'_>| matches!(default.1.kind, LinkKind::Bridge(_));
    let unfit: [&dyn Fn(&Default<'_>) -> bool; 4] =
        [&is_port, &|default| !has_address(default), &|default| !leads_out(default), &|default| {
            !is_bridge(default)
        }];
    let pair = [(first, second), (second, first)];
    let worse = |is_unfit: &&dyn Fn(&Default<'_>) -> bool| {
        pair.iter().find(|(one, other)| is_unfit(one) && !is_unfit(other)).map(|(one, _)| *one)
    };
    unfit.iter().find_map(worse).unwrap_or(second)
}
