//! PURE. A shim as it is to be: its steps when it is new, and links, addresses and routes before and after.

use std::net::IpAddr;

use ipnet::IpNet;

use super::targets::Sources;
use crate::change::bridge::Row;
use crate::change::shim::step::V6;
use crate::change::shim::{ShimPlan, ShimStep};
use crate::model::IfName;

/// A shim that is to be.
#[derive(Debug, Clone)]
pub(in crate::change::shim) struct Spec {
    pub(in crate::change::shim) shim: IfName,
    pub(in crate::change::shim) over: IfName,
    pub(super) sources: Sources,
    pub(in crate::change::shim) nets: Vec<IpNet>,
}

impl Spec {
    pub(in crate::change::shim) fn addresses(&self) -> Vec<IpNet> {
        [self.sources.spare_v4, self.sources.spare_v6].into_iter().flatten().map(IpNet::from).collect()
    }

    /// The source of packets to a net; IPv6 takes the shim's own by itself.
    pub(in crate::change::shim) fn source(&self, net: IpNet) -> Option<IpAddr> {
        self.sources.v4.filter(|_| net.addr().is_ipv4())
    }

    pub(in crate::change::shim) fn v6(&self) -> V6 {
        if self.sources.spare_v6.is_some() { V6::On } else { V6::Off }
    }
}

pub(super) fn make(plan: &mut ShimPlan, spec: &Spec) {
    let shim = spec.shim;
    plan.steps =
        vec![ShimStep::Hold { shim }, ShimStep::Make { shim, over: spec.over, mac: None, v6: spec.v6() }];
    plan.steps.extend(spec.addresses().into_iter().map(|address| ShimStep::Address { shim, address }));
    plan.steps.push(ShimStep::Up { shim });
    let route = |to: &IpNet| ShimStep::Route { shim, to: *to, source: spec.source(*to) };
    plan.steps.extend(spec.nets.iter().map(route));
    plan.undo = vec![ShimStep::Remove { shim }, ShimStep::Release { shim }];
}

pub(super) fn picture(steps: &[&ShimStep]) -> Vec<Row> {
    let row = |what: &str, before: String, after: String| Row { what: what.to_owned(), before, after };
    let by = |to: &IpNet, shim: &IfName, source: &Option<IpAddr>| {
        let source = source.map(|source| format!(" src {source}")).unwrap_or_default();
        format!("{to} dev {shim}{source}")
    };
    let one = |step: &&ShimStep| match step {
        ShimStep::Make { shim, over, .. } => {
            Some(row("link", String::new(), format!("{shim}, macvlan in mode bridge on {over}, up")))
        }
        ShimStep::Remove { shim } => Some(row("link", shim.to_string(), String::new())),
        ShimStep::Address { shim, address } => {
            Some(row("address", String::new(), format!("{address} on {shim}")))
        }
        ShimStep::DropAddress { shim, address } => {
            Some(row("address", format!("{address} on {shim}"), String::new()))
        }
        ShimStep::Route { shim, to, source } => Some(row("route", String::new(), by(to, shim, source))),
        ShimStep::DropRoute { shim, to } => Some(row("route", by(to, shim, &None), String::new())),
        _ => None,
    };
    steps.iter().filter_map(one).collect()
}

pub(super) fn listed(nets: &[IpNet]) -> String {
    let word = |net: &IpNet| {
        if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
    };
    match nets {
        [a, b, c, rest @ ..] if !rest.is_empty() => {
            format!("{}, {}, {} and {} more", word(a), word(b), word(c), rest.len())
        }
        all => all.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}
