//! PURE. The other changes of a NIC, as plans of the same shape: cable in or out, a new NIC, a NIC that
//! goes, and a difference between now and the next boot applied or discarded.

use super::consequences;
use super::models;
use super::plan::{self, Bounce, Edit, Plan, Refusal, Verdict, When};
use super::splice::{self, LinkState, SpliceError};
use super::target::{self, Target};
use crate::model::guest::{Guest, NicConfig};
use crate::model::ids::{DomainId, Mac, NicId};
use crate::model::{Nic, Snapshot};

/// A NIC as it is, with both its texts.
struct Found<'a> {
    nic: &'a Nic,
    guest: &'a Guest,
    plug: Target,
    live: Option<&'a str>,
    next: Option<&'a str>,
}

fn find(snapshot: &Snapshot, id: NicId) -> Result<Found<'_>, Refusal> {
    let gone = || refusal("change the NIC", "it is not there any more", "look again");
    let nic = snapshot.nic(id).ok_or_else(gone)?;
    let guest = snapshot.guest(id.domain).ok_or_else(gone)?;
    let plug = nic.source().and_then(Target::of).ok_or_else(|| {
        let kind = nic.source().map_or("unknown", |source| source.kind_word()).to_owned();
        refusal("change the NIC", &format!("a NIC of type {kind} is not changed here"), "virsh edit")
    })?;
    let live = guest.live.as_ref().zip(nic.live.as_ref()).map(|(all, nic)| all.element(nic));
    let next = guest.next.as_ref().zip(nic.next.as_ref()).map(|(all, nic)| all.element(nic));
    Ok(Found { nic, guest, plug, live, next })
}

pub(super) fn refusal(what: &str, reason: &str, way_out: &str) -> Refusal {
    Refusal { what: what.to_owned(), reason: reason.to_owned(), way_out: way_out.to_owned() }
}

fn unreadable(error: &SpliceError) -> Refusal {
    refusal("change the NIC", &error.to_string(), "virsh edit")
}

/// What a plan is made of; the rest follows.
struct Draft {
    title: String,
    verdict: Verdict,
    to: Target,
    live: Option<Edit>,
    next: Option<Edit>,
    consequences: Vec<String>,
}

impl Found<'_> {
    fn plan(&self, snapshot: &Snapshot, draft: Draft) -> Plan {
        let moves = self.plug != draft.to;
        let mut plan = Plan {
            nic: self.nic.id,
            guest: self.guest.name.clone(),
            title: draft.title,
            from: self.plug.clone(),
            structure: snapshot.structure,
            verdict: draft.verdict,
            bounce: if moves {
                plan::bounce(self.nic, draft.verdict, Bounce::default())
            } else {
                Bounce::Off
            },
            steps: Vec::new(),
            expected: draft.live.as_ref().and(plan::expected(snapshot, &draft.to)),
            to: draft.to,
            live: draft.live,
            next: draft.next,
            consequences: draft.consequences,
            commands: Vec::new(),
            group: None,
            undoes: None,
        };
        if moves && plan.live.is_some() {
            let told = std::mem::take(&mut plan.consequences);
            plan.consequences = consequences::of(snapshot, self.nic, &plan);
            plan.consequences.extend(told);
        }
        plan.complete()
    }

    /// What a running guest must be able to do so that its device can be taken away.
    fn can_unplug(&self, what: &str) -> Result<(), Refusal> {
        let reason = self.nic.live.as_ref().and_then(|live| target::unfit_for_replug(self.guest, live));
        match reason {
            Some(reason) => Err(refusal(what, &reason, "do it for the next boot only")),
            None => Ok(()),
        }
    }
}

/// What libvirt does not do to a device that it has only handed on.
fn has_a_cable(found: &Found<'_>, what: &str) -> Result<(), Refusal> {
    if matches!(found.plug, Target::Pci { .. }) || found.nic.device.is_some() {
        let reason = "it is a device of the host: libvirt has no hold on its cable";
        return Err(refusal(what, reason, "pull the cable at the card or the switch, or remove the NIC"));
    }
    Ok(())
}

/// Pulls the cable or plugs it in, as `virsh domif-setlink` does.
///
/// # Errors
/// It is so already, or the NIC is gone.
pub fn link(snapshot: &Snapshot, id: NicId, state: LinkState, when: When) -> Result<Plan, Refusal> {
    let found = find(snapshot, id)?;
    let what = format!("link {} for {} {}", state.word(), found.guest.name, id.mac);
    has_a_cable(&found, &what)?;
    let edit = |text: Option<&str>, config: Option<&NicConfig>| {
        let differs = config.is_some_and(|config| config.link_down != (state == LinkState::Down));
        let Some(text) = text.filter(|_| differs) else { return Ok(None) };
        let after = splice::resend(text).and_then(|text| splice::set_link(&text, state));
        Ok(Edit::between(text, after.map_err(|error| unreadable(&error))?))
    };
    let next = edit(found.next, found.nic.next.as_ref())?;
    let live = edit(found.live.filter(|_| when == When::NowAndNextBoot), found.nic.live.as_ref())?;
    let title = format!("link {}", state.word());
    if live.is_none() && next.is_none() {
        return Err(refusal(&what, "it is so already", "nothing to do"));
    }
    let mut told = vec![consequences::of_cable(state).to_owned()];
    if live.is_none() && found.live.is_some() {
        told = vec!["The running guest is not touched.".to_owned()];
    }
    let verdict = if live.is_some() { Verdict::Live } else { Verdict::NextBootOnly };
    let to = found.plug.clone();
    Ok(found.plan(snapshot, Draft { title, verdict, to, live, next, consequences: told }))
}

/// Takes a NIC away.
///
/// # Errors
/// The running guest cannot let go of it, or the NIC is gone.
pub fn remove(snapshot: &Snapshot, id: NicId, when: When) -> Result<Plan, Refusal> {
    let found = find(snapshot, id)?;
    let what = format!("remove {} of {}", id.mac, found.guest.name);
    let next = found.next.and_then(|text| Edit::between(text, ""));
    let live = found.live.filter(|_| when == When::NowAndNextBoot).and_then(|text| Edit::between(text, ""));
    if live.is_some() {
        found.can_unplug(&what)?;
    } else if next.is_none() {
        return Err(refusal(&what, "the next boot does not have it", "remove it now"));
    }
    let mut told = match (&live, found.live) {
        (Some(_), _) => vec!["The guest loses this NIC now, and what goes over it breaks.".to_owned()],
        (None, Some(_)) => vec!["The running guest keeps it until it is shut down.".to_owned()],
        (None, None) => vec!["The guest is off: it starts without this NIC.".to_owned()],
    };
    if let (Some(device), Some(_)) = (found.nic.device, &live) {
        told.push(format!("{device} goes back to the host's own driver"));
    }
    let others = snapshot.nics.iter().filter(|nic| nic.id.domain == id.domain && nic.id != id).count();
    if others == 0 {
        told.push("it is the guest's only NIC: afterwards only its console reaches it".to_owned());
    }
    let verdict = if live.is_some() { Verdict::Unplug } else { Verdict::NextBootOnly };
    let title = format!("remove the NIC ({})", found.plug.words());
    let to = found.plug.clone();
    Ok(found.plan(snapshot, Draft { title, verdict, to, live, next, consequences: told }))
}

/// A NIC to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNic {
    /// For which guest.
    pub guest: DomainId,
    /// Plugged in where.
    pub target: Target,
    /// `virtio`, `e1000`, …
    pub model: String,
    /// Its address; `None`: one that no guest has yet is proposed.
    pub mac: Option<Mac>,
    /// When.
    pub when: When,
}

/// Adds a NIC.
///
/// # Errors
/// The target cannot be used, or another NIC has the MAC.
pub fn attach(snapshot: &Snapshot, new: &NewNic) -> Result<Plan, Refusal> {
    let what = format!("add a NIC on {}", new.target.words());
    let guest = snapshot
        .guest(new.guest)
        .ok_or_else(|| refusal(&what, "the guest is not there any more", "look again"))?;
    if let Some((reason, way_out)) = target::obstacle(snapshot, &new.target, None) {
        return Err(refusal(&what, &reason, &way_out));
    }
    // A device out of a pool is what its card is.
    let model = (!target::is_pool(snapshot, &new.target)).then_some(new.model.as_str());
    if let Some((reason, way_out)) = model.and_then(|model| models::unknown(snapshot, new.guest, model)) {
        return Err(refusal(&what, &reason, &way_out));
    }
    let mac = mac_for(snapshot, new.guest, new.mac, &what)?;
    let (model, named) = match model {
        Some(model) => (format!("  <model type='{}'/>\n", splice::escape(model)), format!(", {model}")),
        None => Default::default(),
    };
    let element = format!(
        "<interface type='{}'>\n  <mac address='{mac}'/>\n  {}\n{model}</interface>",
        new.target.interface_type(),
        new.target.source_element(),
    );
    let now = guest.live.is_some() && new.when == When::NowAndNextBoot;
    let live = now.then(|| Edit { before: String::new(), after: element.clone() });
    let next = guest.next.is_some().then(|| Edit { before: String::new(), after: element });
    if live.is_none() && next.is_none() {
        return Err(refusal(&what, "the guest is transient: it has no next boot", "add it now"));
    }
    let verdict = if now { Verdict::Plug } else { Verdict::NextBootOnly };
    let headline = match (now, guest.live.is_some()) {
        (true, _) => {
            "Plugged in now: the guest gets a new device; whether it asks for an address is its own affair."
        }
        (false, true) => {
            "The running guest is not touched: it gets the NIC when it is shut down and started."
        }
        (false, false) => "The guest is off: it starts with this NIC.",
    };
    let mut plan = Plan {
        nic: NicId { domain: new.guest, mac, nth: 0 },
        guest: guest.name.clone(),
        title: format!("new NIC, {}{named}", new.target.words()),
        from: new.target.clone(),
        to: new.target.clone(),
        structure: snapshot.structure,
        verdict,
        bounce: Bounce::Off,
        steps: Vec::new(),
        expected: live.as_ref().and(plan::expected(snapshot, &new.target)),
        live,
        next,
        consequences: vec![headline.to_owned()],
        commands: Vec::new(),
        group: None,
        undoes: None,
    };
    plan.consequences.extend(consequences::of_new(snapshot, &plan));
    Ok(plan.complete())
}

/// The address that was asked for, if a NIC can have it, else a free one.
pub(super) fn mac_for(
    snapshot: &Snapshot,
    guest: DomainId,
    wanted: Option<Mac>,
    what: &str,
) -> Result<Mac, Refusal> {
    let mac = wanted.unwrap_or_else(|| free_mac(snapshot, guest));
    if !mac.is_real() || mac.0.first().is_some_and(|first| first & 1 == 1) {
        return Err(refusal(what, &format!("{mac} is not the address of one NIC"), "leave --mac out"));
    }
    if let Some(other) = snapshot.nics.iter().find(|nic| nic.id.mac == mac) {
        let reason = format!("{mac} is the address of a NIC of {}", other.guest);
        return Err(refusal(what, &reason, "leave --mac out: a free one is proposed"));
    }
    Ok(mac)
}

/// An address of QEMU's range that no NIC of this host has. The same question has the same answer, so
/// that what was previewed is what is done.
pub(crate) fn free_mac(snapshot: &Snapshot, guest: DomainId) -> Mac {
    let taken = |mac: Mac| {
        snapshot.nics.iter().any(|nic| nic.id.mac == mac)
            || snapshot.kernel.neighbours.iter().any(|neighbour| neighbour.mac == mac)
    };
    // FNV-1a over the guest's id: spread well enough that two hosts rarely propose the same.
    let seed = guest
        .0
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    let mut number = seed;
    loop {
        let [_, a, b, c] = number.to_be_bytes();
        let mac = Mac([0x52, 0x54, 0, a, b, c]);
        if !taken(mac) {
            return mac;
        }
        number = number.wrapping_add(1);
    }
}

/// Puts a tap onto the bridge where libvirt believes it is: after a network's stop and start, or a
/// stranger's hand, libvirt itself would say "success" and leave it where it is.
///
/// # Errors
/// It is where it should be, or that bridge is gone.
pub fn reseat(snapshot: &Snapshot, id: NicId) -> Result<Plan, Refusal> {
    let found = find(snapshot, id)?;
    let what = format!("plug the tap of {} {} in again", found.guest.name, id.mac);
    if !found.nic.drifted() {
        return Err(refusal(&what, "it is where libvirt says", "nothing to do"));
    }
    let (Some(tap), Some(bridge)) = (found.nic.link_name, found.nic.expected_bridge) else {
        return Err(refusal(&what, "it has no tap", "look again"));
    };
    if snapshot.bridge_named(bridge).is_none() {
        return Err(refusal(
            &what,
            &format!("bridge {bridge} is not there"),
            "start its network, or create it",
        ));
    }
    let has = found.nic.bridge.map_or_else(|| "no bridge".to_owned(), |bridge| bridge.to_string());
    let title = format!("{tap} from {has} to {bridge} again");
    let told =
        vec!["Only the kernel's side changes: the guest sees nothing, its frames pass again.".to_owned()];
    let to = found.plug.clone();
    let draft = Draft { title, verdict: Verdict::Reseat, to, live: None, next: None, consequences: told };
    let mut plan = found.plan(snapshot, draft);
    plan.expected = Some(plan::Expected::OnBridge { bridge });
    let mut plan = plan.complete();
    plan.commands = vec![format!("ip link set {tap} master {bridge}")];
    Ok(plan)
}

/// Pulls the cable for a moment and plugs it in again: a guest whose tap was moved has no other reason to ask
/// for a new address.
///
/// # Errors
/// The guest is off, or its cable is pulled already.
pub fn bounce(snapshot: &Snapshot, id: NicId) -> Result<Plan, Refusal> {
    let found = find(snapshot, id)?;
    let what = format!("pull the cable of {} {} for a moment", found.guest.name, id.mac);
    has_a_cable(&found, &what)?;
    let (Some(live), Some(text)) = (&found.nic.live, found.live) else {
        return Err(refusal(&what, "the guest is off", "it asks for an address when it starts"));
    };
    if live.link_down {
        return Err(refusal(&what, "it is pulled already", "plug it in: virt-net nic up"));
    }
    let Bounce::Hold(hold) = Bounce::default() else {
        return Err(refusal(&what, "no time is set", "virsh domif-setlink"));
    };
    let told = vec![format!(
        "The guest's link goes down for {} s, so that it asks for a new address.",
        hold.as_secs()
    )];
    let title = format!("link down for {} s, then up", hold.as_secs());
    // Nothing shall differ in the end; the text is what a way back would put in again.
    let same = Some(Edit { before: text.to_owned(), after: text.to_owned() });
    let to = found.plug.clone();
    let draft = Draft { title, verdict: Verdict::Bounce, to, live: same, next: None, consequences: told };
    let mut plan = found.plan(snapshot, draft);
    plan.bounce = Bounce::default();
    Ok(plan.complete())
}

/// Makes the running guest's NIC what the next boot has.
///
/// # Errors
/// There is no difference, or the guest cannot follow while it runs.
pub fn apply_pending(snapshot: &Snapshot, id: NicId) -> Result<Plan, Refusal> {
    let found = pending(snapshot, id)?;
    let what = format!("apply the pending change of {} {}", found.guest.name, id.mac);
    let (verdict, live, to) = match (found.nic.live.as_ref(), found.nic.next.as_ref()) {
        (Some(_), None) => {
            (Verdict::Unplug, Edit::between(found.live.unwrap_or_default(), ""), found.plug.clone())
        }
        (None, Some(_)) => (
            Verdict::Plug,
            Edit::between(
                "",
                splice::for_attach(found.next.unwrap_or_default()).map_err(|e| unreadable(&e))?,
            ),
            found.plug.clone(),
        ),
        (Some(now), Some(next)) => {
            let to = Target::of(&next.source).ok_or_else(|| {
                refusal(&what, "its next kind is not plugged in here", "shut the guest down and start it")
            })?;
            let before = found.live.unwrap_or_default();
            let after = splice::for_device(found.next.unwrap_or_default(), before);
            let after = after.map_err(|error| unreadable(&error))?;
            (plan::live_verdict(snapshot, now, next), Edit::between(before, after), to)
        }
        (None, None) => return Err(refusal(&what, "the NIC is gone", "look again")),
    };
    if matches!(verdict, Verdict::HotReplug | Verdict::Unplug) {
        found.can_unplug(&what)?;
    }
    if verdict != Verdict::Unplug
        && let Some((reason, way_out)) = target::obstacle(snapshot, &to, found.nic.link)
    {
        return Err(refusal(&what, &reason, &way_out));
    }
    let told =
        vec!["The running guest gets what the next boot has; the next boot stays as it is.".to_owned()];
    let title = format!("apply the pending change ({})", to.words());
    Ok(found.plan(snapshot, Draft { title, verdict, to, live, next: None, consequences: told }))
}

/// Makes the next boot what the guest has now.
///
/// # Errors
/// There is no difference.
pub fn discard_pending(snapshot: &Snapshot, id: NicId) -> Result<Plan, Refusal> {
    let found = pending(snapshot, id)?;
    let after = match found.live {
        Some(live) => splice::resend(live).and_then(|text| splice::for_attach(&text)),
        None => Ok(String::new()),
    };
    let after = after.map_err(|error| unreadable(&error))?;
    let next = Edit::between(found.next.unwrap_or_default(), after);
    let told =
        vec!["The next boot gets what the guest has now; the running guest is not touched.".to_owned()];
    let title = "discard the pending change".to_owned();
    let to = found.plug.clone();
    let draft = Draft { title, verdict: Verdict::NextBootOnly, to, live: None, next, consequences: told };
    Ok(found.plan(snapshot, draft))
}

fn pending(snapshot: &Snapshot, id: NicId) -> Result<Found<'_>, Refusal> {
    let found = find(snapshot, id)?;
    if found.guest.live.is_none() || found.guest.next.is_none() || !found.nic.pending {
        let what = format!("change {} {}", found.guest.name, id.mac);
        return Err(refusal(&what, "now and the next boot do not differ", "nothing to do"));
    }
    Ok(found)
}
