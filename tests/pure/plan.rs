//! What is planned for which want, on a recorded host: kvm1 of the lab with bridge virbr1 over eth1, and
//! networks default (NAT), lan (over virbr1) and lab-iso (inactive).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::change::journal::{Journal, Record, State};
use virt_net::change::splice::LinkState;
use virt_net::change::undo::{self, Came};
use virt_net::change::{Availability, Bounce, Plan, Refusal, StepId, Target, Verdict, Want, When};
use virt_net::change::{nic, plan, target};
use virt_net::model::facts::{Facts, Recording};
use virt_net::model::guest::{Definition, Guest};
use virt_net::model::rates::History;
use virt_net::model::{DomainState, MacvtapMode, NicId, Snapshot, Timestamp, topology};

fn facts() -> Facts {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    recording.frames.into_iter().next().unwrap()
}

fn host(facts: Facts) -> Snapshot {
    topology::join(facts, Arc::new(History::default()), None)
}

/// The recorded host with one guest changed.
fn host_with(guest: &str, change: impl FnOnce(&mut Guest)) -> Snapshot {
    let mut facts = facts();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    change(libvirt.guests.iter_mut().find(|other| other.name == guest).unwrap());
    host(facts)
}

fn edit(definition: &mut Option<Definition>, from: &str, to: &str) {
    let xml = definition.as_ref().unwrap().xml.replace(from, to);
    *definition = Some(Definition::parse(&xml).unwrap());
}

fn nic_of(snapshot: &Snapshot, guest: &str) -> NicId {
    snapshot.nics.iter().find(|nic| nic.guest == guest).unwrap().id
}

fn bridge(name: &str) -> Target {
    Target::Bridge { bridge: name.parse().unwrap() }
}

fn network(name: &str) -> Target {
    Target::Network { network: name.to_owned() }
}

fn macvtap(lower: &str) -> Target {
    Target::Macvtap { lower: lower.parse().unwrap(), mode: MacvtapMode::Bridge }
}

fn want(nic: NicId, target: Target) -> Want {
    Want { nic, target, model: None, when: When::NowAndNextBoot, bounce: Bounce::default() }
}

fn switch(snapshot: &Snapshot, guest: &str, target: Target) -> Result<Plan, Refusal> {
    plan::plan(snapshot, &want(nic_of(snapshot, guest), target))
}

/// The plan as somebody reads it.
pub(crate) fn told(plan: &Plan) -> String {
    let mut text = format!("{} {}\n{:?}, {:?}\n", plan.guest, plan.title, plan.verdict, plan.bounce);
    for step in &plan.steps {
        text.push_str(&format!("  {}: {}\n", step.id.word(), step.text));
    }
    for sentence in &plan.consequences {
        text.push_str(&format!("  • {sentence}\n"));
    }
    for (name, edit) in [("live", &plan.live), ("next", &plan.next)] {
        if let Some(edit) = edit {
            text.push_str(&format!("{name}\n- {}\n+ {}\n", edit.before.trim(), edit.after.trim()));
        }
    }
    text + &plan.commands.join("\n")
}

#[track_caller]
fn refused(result: Result<Plan, Refusal>, reason: &str, way_out: &str) {
    let refusal = result.unwrap_err();
    assert!(refusal.reason.contains(reason), "{refusal}");
    assert!(refusal.way_out.contains(way_out), "{}", refusal.way_out);
}

#[test]
fn nat_to_bridge_is_live_with_a_bounce() {
    insta::assert_snapshot!(told(&switch(&host(facts()), "centos7", bridge("virbr1")).unwrap()));
}

#[test]
fn nat_to_macvtap_is_a_hot_replug() {
    insta::assert_snapshot!(told(&switch(&host(facts()), "centos7", macvtap("eth0")).unwrap()));
}

#[test]
fn a_guest_that_is_off_changes_at_its_next_boot() {
    insta::assert_snapshot!(told(&switch(&host(facts()), "db01", network("lan")).unwrap()));
}

#[test]
fn every_place_is_listed_with_what_it_takes() {
    let snapshot = host(facts());
    let choices = target::choices(&snapshot, nic_of(&snapshot, "centos7"));
    let lines: Vec<String> = choices
        .iter()
        .map(|choice| format!("{} | {} | {:?}", choice.target.words(), choice.detail, choice.availability))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_cannot_be_says_why_and_what_instead() {
    let snapshot = host(facts());
    refused(switch(&snapshot, "centos7", network("default")), "plugged there already", "");
    refused(switch(&snapshot, "centos7", network("lab-iso")), "inactive", "virsh net-start lab-iso");
    refused(
        switch(&snapshot, "centos7", bridge("virbr0")),
        "the bridge of network default",
        "network default",
    );
    refused(switch(&snapshot, "centos7", bridge("nope0")), "no such bridge", "");
    refused(switch(&snapshot, "centos7", macvtap("eth1")), "port of virbr1", "plug into virbr1 instead");
}

#[test]
fn a_guest_that_cannot_let_go_gets_no_hot_replug() {
    let paused = host_with("centos7", |guest| guest.state = DomainState::Paused);
    refused(switch(&paused, "centos7", macvtap("eth0")), "paused", "next boot only");
    assert_eq!(switch(&paused, "centos7", bridge("virbr1")).unwrap().verdict, Verdict::Live);
    let dull = host_with("centos7", |guest| edit(&mut guest.live, "<acpi/>", ""));
    refused(switch(&dull, "centos7", macvtap("eth0")), "no ACPI", "next boot only");
    let later = Want { when: When::NextBoot, ..want(nic_of(&paused, "centos7"), macvtap("eth0")) };
    assert_eq!(plan::plan(&paused, &later).unwrap().verdict, Verdict::NextBootOnly);
}

#[test]
fn a_transient_guest_has_no_next_boot() {
    let snapshot = host_with("centos7", |guest| {
        guest.next = None;
        guest.persistent = false;
    });
    let plan = switch(&snapshot, "centos7", bridge("virbr1")).unwrap();
    assert!(plan.next.is_none() && plan.live.is_some() && !plan.has(StepId::NextBoot));
    let later = Want { when: When::NextBoot, ..want(nic_of(&snapshot, "centos7"), bridge("virbr1")) };
    refused(plan::plan(&snapshot, &later), "does not have this NIC", "switch it now");
}

#[test]
fn only_what_differs_is_changed() {
    let pending = host_with("centos7", |guest| {
        edit(&mut guest.next, "type='network'>", "type='bridge'>");
        edit(&mut guest.next, "<source network='default'/>", "<source bridge='virbr1'/>");
    });
    let id = nic_of(&pending, "centos7");
    let back = switch(&pending, "centos7", network("default")).unwrap();
    assert_eq!((back.verdict, back.live.is_none()), (Verdict::NextBootOnly, true));
    let on = switch(&pending, "centos7", bridge("virbr1")).unwrap();
    assert_eq!((on.verdict, on.next.is_none()), (Verdict::Live, true));
    insta::assert_snapshot!(told(&nic::apply_pending(&pending, id).unwrap()));
    let discarded = nic::discard_pending(&pending, id).unwrap().next.unwrap().after;
    assert!(discarded.contains("<source network='default'/>"), "{discarded}");
    assert!(!discarded.contains("vnet") && !discarded.contains("portid"), "{discarded}");
    let same = host(facts());
    refused(nic::apply_pending(&same, id), "do not differ", "");
}

#[test]
fn another_model_takes_a_hot_replug() {
    let snapshot = host(facts());
    let id = nic_of(&snapshot, "centos7");
    let model = |model: &str, target| Want { model: Some(model.to_owned()), ..want(id, target) };
    assert_eq!(plan::plan(&snapshot, &model("e1000", bridge("virbr1"))).unwrap().verdict, Verdict::HotReplug);
    assert_eq!(
        plan::plan(&snapshot, &model("e1000", network("default"))).unwrap().verdict,
        Verdict::HotReplug
    );
    assert_eq!(plan::plan(&snapshot, &model("virtio", bridge("virbr1"))).unwrap().verdict, Verdict::Live);
    refused(plan::plan(&snapshot, &model("virtio", network("default"))), "plugged there already", "");
}

#[test]
fn the_cable_goes_out_and_in() {
    let snapshot = host(facts());
    let id = nic_of(&snapshot, "centos7");
    insta::assert_snapshot!(told(&nic::link(&snapshot, id, LinkState::Down, When::NowAndNextBoot).unwrap()));
    refused(nic::link(&snapshot, id, LinkState::Up, When::NowAndNextBoot), "so already", "");
}

#[test]
fn a_nic_is_added_and_removed() {
    let snapshot = host(facts());
    let id = nic_of(&snapshot, "centos7");
    let new = nic::NewNic {
        guest: id.domain,
        target: bridge("virbr1"),
        model: "virtio".to_owned(),
        mac: None,
        when: When::NowAndNextBoot,
    };
    insta::assert_snapshot!(told(&nic::attach(&snapshot, &new).unwrap()));
    let taken = nic::NewNic { mac: Some(id.mac), ..new.clone() };
    refused(nic::attach(&snapshot, &taken), "is the address of a NIC of centos7", "");
    let nowhere = nic::NewNic { target: network("lab-iso"), ..new };
    refused(nic::attach(&snapshot, &nowhere), "inactive", "");
    insta::assert_snapshot!(told(&nic::remove(&snapshot, id, When::NowAndNextBoot).unwrap()));
}

/// The host as it is when a plan has been done: what libvirt would then report.
fn after(plan: &Plan) -> Snapshot {
    host_with(&plan.guest, |guest| {
        for (definition, edit) in [(&mut guest.live, &plan.live), (&mut guest.next, &plan.next)] {
            if let (Some(text), Some(done)) = (definition.as_ref().map(|text| text.xml.clone()), edit) {
                let text = text.replace(&done.before, &done.after);
                *definition = Some(Definition::parse(&text).unwrap());
            }
        }
    })
}

#[test]
fn undo_leads_back_to_the_very_text() {
    for target in [bridge("virbr1"), network("lan"), macvtap("eth0")] {
        let done = switch(&host(facts()), "centos7", target).unwrap();
        let undo = undo::plan(&after(&done), &done, Came::Through).unwrap().unwrap();
        assert_eq!(undo.next.as_ref().unwrap().after, done.next.as_ref().unwrap().before);
        assert_eq!((&undo.from, &undo.to), (&done.to, &done.from));
        assert_eq!(undo.verdict, done.verdict);
    }
}

#[test]
fn undo_is_refused_when_somebody_changed_the_nic_since() {
    let done = switch(&host(facts()), "centos7", bridge("virbr1")).unwrap();
    let other = after(&switch(&host(facts()), "centos7", network("lan")).unwrap());
    assert!(undo::plan(&other, &done, Came::Through).unwrap_err().reason.contains("changed since"));
    assert_eq!(undo::plan(&host(facts()), &done, Came::Through).unwrap(), None);
}

#[test]
fn an_interrupted_replug_is_put_right() {
    let done = switch(&host(facts()), "centos7", macvtap("eth0")).unwrap();
    let unplugged = host_with("centos7", |guest| {
        let live = done.live.as_ref().unwrap();
        edit(&mut guest.live, &live.before, "");
    });
    let undo = undo::plan(&unplugged, &done, Came::HalfWay).unwrap().unwrap();
    assert_eq!(undo.verdict, Verdict::Plug);
    let again = undo.live.unwrap().after;
    assert!(again.contains("<source network='default'/>") && again.contains("52:54:00:aa:fc:1c"), "{again}");
    assert!(undo::plan(&unplugged, &done, Came::Through).is_err());
}

#[test]
fn a_passthrough_macvtap_keeps_its_link_to_itself() {
    let snapshot = host(facts());
    let id = nic_of(&snapshot, "centos7");
    let mut taken = facts();
    let kernel = Arc::make_mut(&mut taken.kernel);
    let eth0 = kernel.links.iter().find(|link| link.name.to_string() == "eth0").unwrap().clone();
    let mut tap = eth0.clone();
    tap.index = virt_net::model::IfIndex(9999);
    tap.name = "macvtap7".parse().unwrap();
    tap.lower = Some(eth0.index);
    tap.lower_elsewhere = false;
    tap.kind = virt_net::model::LinkKind::Macvtap { mode: MacvtapMode::Passthrough };
    kernel.links.push(tap);
    let snapshot = host(taken);
    let Availability::Refused { reason, .. } =
        target::availability(&snapshot, snapshot.nic(id).unwrap(), &macvtap("eth0"))
    else {
        panic!("it is free");
    };
    assert!(reason.contains("macvtap7 has it to itself"), "{reason}");
}

#[test]
fn two_changes_of_one_moment_have_a_record_each() {
    let snapshot = host(facts());
    let plan = switch(&snapshot, &snapshot.nics[0].guest, bridge("virbr1"))
        .or_else(|_| switch(&snapshot, &snapshot.nics[0].guest, network("default")))
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::at(directory.path()).unwrap();
    let [first, second] = [(); 2].map(|()| journal.begin(&plan, Timestamp(7)).unwrap());
    assert_eq!(journal.records(), [first.clone(), second]);
    journal.finish(first.clone(), State::Verified).unwrap();
    let states: Vec<State> = journal.records().into_iter().map(|record| record.state).collect();
    assert_eq!(states, [State::Verified, State::Running]);
}

#[test]
fn a_process_is_told_from_a_later_one_with_its_number() {
    let snapshot = host(facts());
    let plan = switch(&snapshot, &snapshot.nics[0].guest, bridge("virbr1"))
        .or_else(|_| switch(&snapshot, &snapshot.nics[0].guest, network("default")))
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let record = Journal::at(directory.path()).unwrap().begin(&plan, Timestamp(7)).unwrap();
    assert!(!record.is_interrupted());
    let other = Record { started: record.started.map(|ticks| ticks + 1), ..record.clone() };
    assert!(other.is_interrupted());
    assert!(Record { boot: "an earlier one".to_owned(), ..record.clone() }.is_interrupted());
    // Records of old know the number only.
    let old = Record { started: None, boot: String::new(), ..record };
    assert!(!old.is_interrupted());
    assert!(Record { pid: u32::MAX, ..old }.is_interrupted());
}

#[test]
fn a_nic_whose_cable_is_pulled_gets_no_address_and_nobody_waits_for_one() {
    let pulled = |guest: &mut Guest| {
        for definition in [&mut guest.live, &mut guest.next] {
            edit(definition, "</interface>", "<link state='down'/></interface>");
        }
    };
    let snapshot = host_with("centos7", pulled);
    let plan = switch(&snapshot, "centos7", bridge("virbr1")).unwrap();
    assert!(!plan.has(StepId::Address) && plan.has(StepId::Port) && plan.bounce == Bounce::Off);
    assert!(plan.consequences.iter().any(|told| told.contains("its cable is pulled")), "{}", told(&plan));
    // What takes a cable's change back is told as a change of the cable.
    let centos7 = nic_of(&snapshot, "centos7");
    let done = nic::link(&host(facts()), centos7, LinkState::Down, When::NowAndNextBoot).unwrap();
    let after = |edit: &Option<virt_net::change::Edit>| edit.as_ref().unwrap().after.clone();
    let now = host_with("centos7", |guest| {
        for (definition, text) in [(&mut guest.live, after(&done.live)), (&mut guest.next, after(&done.next))]
        {
            let whole = definition.as_ref().unwrap();
            let nic = whole.nics.first().unwrap();
            let xml = whole.xml.replace(whole.element(nic), &text);
            *definition = Some(Definition::parse(&xml).unwrap());
        }
    });
    let back = undo::plan(&now, &done, Came::Through).unwrap().unwrap();
    assert_eq!(back.consequences, ["The guest sees its cable plugged in, and asks for an address."]);
}
