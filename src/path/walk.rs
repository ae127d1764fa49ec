//! PURE. Hop by hop through the host, in either direction.

mod bridge;
mod ends;
mod host;
mod nat;

use std::net::IpAddr;

use ipnet::IpNet;

pub(super) use self::ends::bridged_out;
use self::ends::{End, guess_source};
use super::hooks::{self, Crossed, Rules, cross};
use super::packet::{Answer, Flow, Packet, Place};
use super::{Counted, Hop, HopKind, HopState, Leg, Path, Question, Side, Way};
use crate::model::firewall::{ChainId, Family, Hook};
use crate::model::{IfIndex, Link, Nic, NicId, Snapshot};

/// The packet goes no further: the last hop says why.
pub(super) struct Ended;

/// On to the next hop, or not.
pub(super) type Step = Result<(), Ended>;

/// A packet on its way.
pub(super) struct Walk<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) packet: Packet,
    pub(super) hops: Vec<Hop>,
    /// The destination that is seen before an answer's address is translated back.
    pub(super) outer: Option<IpNet>,
    /// The address its source was translated to.
    pub(super) seen_as: Option<IpAddr>,
    /// The packet leaves by routing, with this address.
    pub(super) left_as: Option<IpNet>,
    /// The NIC it is for, whose address may not be known.
    pub(super) goal: Option<NicId>,
}

/// Follows the packet there and back.
pub(super) fn trace(rules: &Rules<'_>, nic: &Nic, question: &Question) -> Path {
    let snapshot = rules.snapshot;
    let peer = question.way.peer();
    let own = guess_source(snapshot, nic, peer);
    let far = End::of(snapshot, peer, nic);
    let far_net = IpNet::from(peer);
    let (source, destination) = match question.way {
        Way::To(_) => (own, far_net),
        Way::From(_) => (far_net, own),
    };
    let mut there = Walk::new(rules, Packet::new(source, destination, question.protocol, Flow::New));
    let arrived = match question.way {
        Way::To(_) => there.guest_sends(nic),
        Way::From(_) => {
            there.goal = Some(nic.id);
            there.answer_from(far, nic, None)
        }
    };
    let (seen_as, left_as, reached) = (there.seen_as, there.left_as, there.packet.destination);
    let translated = there.packet.translated;
    // An answer is followed from where the packet came to; a guest that answers is known without that.
    let starts = arrived.is_ok() || matches!(question.way, Way::From(_));
    let there = there.finish(arrived);
    let back = (there.answer != Answer::No && starts).then(|| {
        let packet = Packet { translated, ..Packet::new(reached, source, question.protocol, Flow::Reply) };
        let mut back = Walk::new(rules, packet);
        back.outer = seen_as.map(IpNet::from);
        let arrived = match question.way {
            Way::To(_) => {
                back.goal = Some(nic.id);
                back.answer_from(End::of(snapshot, reached.addr(), nic), nic, left_as)
            }
            Way::From(_) => back.guest_sends(nic),
        };
        back.finish(arrived)
    });
    let none = if starts { Answer::No } else { Answer::Unknown };
    let answer = there.answer.and(back.as_ref().map_or(none, |back| back.answer));
    let reason = reason(&there, back.as_ref(), seen_as);
    let (guest, far) = (nic.guest.clone(), far.words(snapshot));
    let (from, to) = match question.way {
        Way::To(_) => (guest, far),
        Way::From(_) => (far, guest),
    };
    let protocol = question.protocol;
    Path { from, source, to, destination, protocol, seen_as, there, back, answer, reason }
}

fn reason(there: &Leg, back: Option<&Leg>, seen_as: Option<IpAddr>) -> String {
    let told = |leg: &Leg| leg.trouble().and_then(|hop| hop.state.reason()).map(str::to_owned);
    let stopped = |leg: &&Leg| leg.answer == Answer::No;
    if let Some(back) = back.filter(stopped) {
        return format!("the answer does not come back: {}", told(back).unwrap_or_default());
    }
    if let Some(reason) = told(there) {
        return reason;
    }
    if let Some(reason) = back.and_then(told) {
        return format!("on the way back: {reason}");
    }
    let names: Vec<&str> = there
        .hops
        .iter()
        .filter(|hop| !matches!(hop.kind, HopKind::Hook { .. } | HopKind::Route | HopKind::Guest))
        .map(|hop| hop.name.as_str())
        .collect();
    let seen = seen_as.map(|address| format!(", seen outside as {address}")).unwrap_or_default();
    format!("by {}{seen}", names.join(", "))
}

impl<'a> Walk<'a> {
    fn new(rules: &'a Rules<'a>, packet: Packet) -> Self {
        Self {
            rules,
            snapshot: rules.snapshot,
            packet,
            hops: Vec::new(),
            outer: None,
            seen_as: None,
            left_as: None,
            goal: None,
        }
    }

    /// What the destination is, as it is written in the packet now.
    fn end(&self) -> End<'a> {
        let goal = self.goal.filter(|_| self.outer.is_none()).and_then(|id| self.snapshot.nic(id));
        goal.map_or_else(|| End::of_target(self.snapshot, self.to()), End::Guest)
    }

    fn finish(self, arrived: Step) -> Leg {
        let undecided = self.hops.iter().any(|hop| matches!(hop.state, HopState::Undecided { .. }));
        let stopped = self.hops.iter().any(|hop| matches!(hop.state, HopState::Stops { .. }));
        let answer = match (stopped, arrived) {
            (true, _) => Answer::No,
            (false, Ok(())) if !undecided => Answer::Yes,
            _ => Answer::Unknown,
        };
        Leg { hops: self.hops, answer }
    }

    /// The next hop; it passes unless said otherwise.
    pub(super) fn hop(&mut self, kind: HopKind, name: impl std::fmt::Display, detail: impl Into<String>) {
        self.hops.push(Hop {
            kind,
            name: name.to_string(),
            detail: detail.into(),
            link: None,
            rules: Vec::new(),
            state: HopState::Passes,
        });
    }

    /// The last hop is counted by this link.
    pub(super) fn counted(&mut self, index: IfIndex, side: Side) {
        let counted = Counted::of(self.snapshot, index, side);
        if let Some(hop) = self.hops.last_mut() {
            hop.link = Some(counted);
        }
        self.doubt_ingress(index);
    }

    /// Rules at one link's ingress or egress see the packet before and after everything else.
    fn doubt_ingress(&mut self, index: IfIndex) {
        let snapshot = self.snapshot;
        let Some(name) = snapshot.link(index).map(|link| link.name.to_string()) else { return };
        let chains = snapshot.firewall.chains.iter().filter(|chain| {
            let hook = chain.hook.as_ref();
            hook.is_some_and(|hook| {
                matches!(hook.hook, Hook::Ingress | Hook::Egress) && hook.devices.contains(&name)
            })
        });
        let asked = |id: &ChainId| snapshot.firewall.rules.iter().any(|rule| rule.chain == *id);
        if let Some(chain) = chains.map(|chain| &chain.id).find(|id| asked(id)) {
            self.doubt(format!("the rules of {} at {name} are not followed", hooks::words(chain)));
        }
    }

    /// The packet stops at the last hop.
    pub(super) fn stop(&mut self, reason: impl Into<String>) -> Step {
        if let Some(hop) = self.hops.last_mut() {
            hop.state = HopState::Stops { reason: reason.into() };
        }
        Err(Ended)
    }

    /// The last hop may stop the packet; it is followed as if it did not.
    pub(super) fn doubt(&mut self, reason: impl Into<String>) {
        if let Some(hop) = self.hops.last_mut().filter(|hop| hop.state == HopState::Passes) {
            hop.state = HopState::Undecided { reason: reason.into() };
        }
    }

    /// The packet cannot be followed beyond the last hop.
    pub(super) fn lose(&mut self, reason: impl Into<String>) -> Step {
        self.doubt(reason);
        Err(Ended)
    }

    /// A link must be up with a carrier, and lead somewhere.
    pub(super) fn check_link(&mut self, link: &Link) -> Step {
        if !link.up {
            return self.stop(format!("{} is down", link.name));
        }
        if !link.carrier {
            return self.stop(format!("{} has no carrier", link.name));
        }
        if link.is_dummy() {
            return self.stop(format!("{} is a dummy: it discards whatever is sent by it", link.name));
        }
        Ok(())
    }

    /// The rules of one hook, as a hop of its own where there are any.
    pub(super) fn cross(&mut self, place: &Place, hook: Hook, layer: Family) -> Result<Crossed, Ended> {
        let outer = self.outer.filter(|_| hook == Hook::Prerouting);
        let crossed = cross(self.rules, &mut self.packet, place, hook, layer, outer);
        if !crossed.any && crossed.answer == Answer::Yes {
            return Ok(crossed);
        }
        // A hook that only counts in base chains of policy accept is no station.
        let quiet = crossed.passed.is_empty() && crossed.answer == Answer::Yes && hook != Hook::Forward;
        if quiet {
            return Ok(crossed);
        }
        let name = match layer {
            Family::Bridge => format!("bridge {}", hook.word()),
            _ => hook.word().to_owned(),
        };
        let detail = if crossed.passed.is_empty() { "no rule matches" } else { "" };
        self.hop(HopKind::Hook { hook }, name, detail);
        if let Some(hop) = self.hops.last_mut() {
            hop.rules.clone_from(&crossed.passed);
        }
        let reason = crossed.reason.clone().unwrap_or_default();
        match crossed.answer {
            Answer::Yes => {}
            Answer::Unknown => self.doubt(reason),
            Answer::No => {
                self.stop(reason)?;
            }
        }
        Ok(crossed)
    }

    /// The IP family of the packet, as chains name it.
    pub(super) fn layer(&self) -> Family {
        self.packet.family()
    }

    /// The destination as it is written in the packet now: an answer has the translated one until the
    /// host's connection tracking puts the guest's back.
    pub(super) fn to(&self) -> IpAddr {
        self.outer.unwrap_or(self.packet.destination).addr()
    }
}
