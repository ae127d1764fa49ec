//! PURE. The plan that takes a recorded change back, or puts a NIC right that an interrupted change left
//! half way: the very text that was there before, not only the same plug.

use serde::{Deserialize, Serialize};

use super::consequences;
use super::plan::{self, Bounce, Edit, Plan, Refusal, Verdict};
use super::splice::{self, LinkState, SpliceError};
use super::target::{self, Target};
use crate::model::guest::NicConfig;
use crate::model::{Nic, Snapshot};

/// How far the recorded change came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// To its end: what it made must still be there, else somebody changed the NIC since.
    Through,
    /// Nobody knows how far: the NIC may be as before, as planned, or gone.
    HalfWay,
}

/// Makes it; `None` when the NIC is as it was before already.
///
/// # Errors
/// The NIC was changed since, or cannot be unplugged now.
pub fn plan(snapshot: &Snapshot, done: &Plan, came: Came) -> Result<Option<Plan>, Refusal> {
    let refuse = |reason: &str, way_out: &str| Refusal {
        what: format!("take back {} {}: {}", done.guest, done.nic.mac, done.title),
        reason: reason.to_owned(),
        way_out: way_out.to_owned(),
    };
    let changed = || refuse("the NIC was changed since", "switch it to where it should be");
    let guest =
        snapshot.guest(done.nic.domain).ok_or_else(|| refuse("the guest is gone", "nothing to do"))?;
    let nic = snapshot.nic(done.nic);
    let current = |definition: Option<&crate::model::Definition>, config: Option<&NicConfig>| {
        definition.zip(config).map(|(definition, config)| definition.element(config).to_owned())
    };
    let next_now = current(guest.next.as_ref(), nic.and_then(|nic| nic.next.as_ref()));
    let live_now = current(guest.live.as_ref(), nic.and_then(|nic| nic.live.as_ref()));
    let edit = |now: Option<String>, edit: Option<&Edit>| match edit {
        Some(edit) => back(&now.unwrap_or_default(), edit, came),
        None => Ok(None),
    };
    let next = edit(next_now, done.next.as_ref()).map_err(|Changed| changed())?;
    let plugged = nic.and_then(Nic::source).and_then(Target::of);
    let named = |text: &str, target: &Target| {
        splice::out_of_pool(text, target).map_err(|error| refuse(&error.to_string(), "virsh edit"))
    };
    let live_seen = match (&live_now, &plugged) {
        (Some(now), Some(plugged)) => Some(named(now, plugged)?),
        _ => live_now.clone(),
    };
    let done_live = done.live.as_ref().filter(|_| guest.live.is_some());
    let mut live = edit(live_seen, done_live).map_err(|Changed| changed())?;
    if let (Some(live), Some(now)) = (&mut live, &live_now) {
        live.before.clone_from(now);
    }
    if let Some(live) = live.as_mut().filter(|live| !live.after.is_empty()) {
        live.after = named(&live.after, &done.from)?;
    }
    if done.verdict == Verdict::Restart {
        live = live_now.and_then(|now| since_restart(&now, done));
    }
    if next.is_none() && live.is_none() {
        return Ok(None);
    }
    let live = live.map(|live| at_device(&live)).transpose();
    let live = live.map_err(|error| refuse(&error.to_string(), "virsh edit"))?;
    let verdict = match &live {
        None => Verdict::NextBootOnly,
        Some(live) => verdict(snapshot, live),
    };
    if matches!(verdict, Verdict::HotReplug | Verdict::Unplug)
        && let Some(reason) =
            nic.and_then(Nic::config).and_then(|config| target::unfit_for_replug(guest, config))
    {
        return Err(refuse(&reason, "shut the guest down first"));
    }
    let expected = live.as_ref().and(plan::expected(snapshot, &done.from));
    let mut plan = Plan {
        nic: done.nic,
        guest: done.guest.clone(),
        title: title(done),
        from: done.to.clone(),
        to: done.from.clone(),
        structure: snapshot.structure,
        verdict,
        bounce: nic.map_or(Bounce::Off, |nic| plan::bounce(nic, verdict, Bounce::default())),
        steps: Vec::new(),
        expected,
        live,
        next,
        consequences: Vec::new(),
        commands: Vec::new(),
        group: None,
        undoes: None,
    };
    if !plan.moves() {
        plan.bounce = Bounce::Off;
    }
    plan.consequences = match nic {
        Some(nic) => consequences::of(snapshot, nic, &plan),
        None => vec!["The NIC is plugged in again as it was.".to_owned()],
    };
    Ok(Some(plan.complete()))
}

fn title(done: &Plan) -> String {
    if done.moves() {
        return format!("back: {} → {}", done.to.words(), done.from.words());
    }
    format!("take back: {}", done.title)
}

/// A change that took effect by a restart is taken back in the guest that runs now.
fn since_restart(now: &str, done: &Plan) -> Option<Edit> {
    let there = done.to.is(&NicConfig::parse(now).ok()?.source);
    let after = splice::replug(now, &done.from).ok()?;
    Edit::between(now, after).filter(|_| there)
}

struct Changed;

/// The edit that leads back from what is there now; `None` when it is as before already.
fn back(now: &str, done: &Edit, came: Came) -> Result<Option<Edit>, Changed> {
    if same(now, &done.before) {
        return Ok(None);
    }
    let half_way = came == Came::HalfWay && (now.is_empty() || done.before.is_empty());
    let in_bounce =
        came == Came::HalfWay && (but_for_link(now, &done.after) || but_for_link(now, &done.before));
    if same(now, &done.after) || half_way || in_bounce {
        return Ok(Edit::between(now, done.before.as_str()));
    }
    Err(Changed)
}

/// Whether two texts are the same NIC but for its cable: a change that was cut short in its bounce left it
/// pulled.
fn but_for_link(now: &str, then: &str) -> bool {
    let state = match NicConfig::parse(then) {
        Ok(then) if then.link_down => LinkState::Down,
        _ => LinkState::Up,
    };
    splice::set_link(now, state).is_ok_and(|now| same(&now, then))
}

/// Whether two texts are the same NIC; an empty one is none.
fn same(a: &str, b: &str) -> bool {
    if a.is_empty() || b.is_empty() {
        return a.is_empty() && b.is_empty();
    }
    match (NicConfig::parse(a), NicConfig::parse(b)) {
        (Ok(a), Ok(b)) => a.same_as(&b),
        _ => false,
    }
}

/// The old live text as libvirt takes it for the device that is there now.
fn at_device(live: &Edit) -> Result<Edit, SpliceError> {
    if live.after.is_empty() {
        return Ok(live.clone());
    }
    let old = splice::resend(&live.after)?;
    let after = if live.before.is_empty() {
        splice::for_attach(&old)?
    } else {
        splice::for_device(&old, &live.before)?
    };
    Ok(Edit { before: live.before.clone(), after })
}

fn verdict(snapshot: &Snapshot, live: &Edit) -> Verdict {
    let (now, then) = (NicConfig::parse(&live.before), NicConfig::parse(&live.after));
    match (now, then) {
        (Err(_), _) => Verdict::Plug,
        (_, Err(_)) => Verdict::Unplug,
        (Ok(now), Ok(then)) => plan::live_verdict(snapshot, &now, &then),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_that_a_cut_bounce_left_pulled_is_plugged_in_again() {
        let nic = |source: &str, link: &str| {
            format!(
                "<interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='{source}'/>{link}</interface>"
            )
        };
        let done = Edit { before: nic("br0", ""), after: nic("br1", "") };
        let pulled = nic("br1", "<link state='down'/>");
        let edit = back(&pulled, &done, Came::HalfWay).ok().flatten().unwrap();
        assert_eq!((edit.before, edit.after), (pulled.clone(), done.before.clone()));
        assert!(back(&pulled, &done, Came::Through).is_err(), "somebody else pulled it");
        assert!(back(&nic("br2", ""), &done, Came::HalfWay).is_err(), "somebody else moved it");
    }
}
