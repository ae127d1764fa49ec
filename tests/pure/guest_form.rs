//! The form of a new guest: from a row to the call, what is looked at meanwhile, what virt-install says
//! while it runs, and the guest selected afterwards.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use insta::assert_snapshot;
use virt_net::app::job::{Job, News};
use virt_net::app::menu::Menu;
use virt_net::app::{App, Effect, Event, Overlay, RowId, rows, update};
use virt_net::change::new_guest::evidence::{Evidence, Question, Seen};
use virt_net::change::new_guest::said::Said;
use virt_net::change::{Outcome, StepState};
use virt_net::model::{Definition, Guest, Snapshot, topology};
use virt_net::ui::glyphs::Glyphs;
use virt_net::ui::theme::Theme;

use crate::update::{app, host, press};
use crate::view::{buffer, text};

fn picture(app: &App) -> String {
    text(&buffer(app, Theme::Mono, Glyphs::Unicode))
}

/// Types into the field under the cursor.
fn write(app: &mut App, text: &str) -> Vec<Effect> {
    update(app, Event::Paste(text.to_owned()))
}

/// The newest question among these effects.
fn asked(effects: &[Effect]) -> Question {
    let asked = effects.iter().rev().find_map(|effect| match effect {
        Effect::Look(question) => Some(question.as_ref().clone()),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("nothing is to be looked at: {effects:?}"))
}

fn seen(question: Question) -> Evidence {
    Evidence {
        question,
        program: Some("/usr/bin/virt-install".into()),
        version: Some(4),
        kvm: true,
        disk: None,
        iso: None,
        free: Some(50 << 30),
        closed: None,
        pools: Some(Vec::new()),
        files: Vec::new(),
    }
}

fn call(app: &App) -> Result<String, String> {
    let Some(Overlay::Form(form)) = app.overlays.last() else { panic!("{:?}", app.overlays) };
    match &form.planned {
        Ok(Job::Guest(plan)) => Ok(plan.line()),
        Ok(other) => panic!("{}", other.title()),
        Err(refusal) => Err(refusal.reason.clone()),
    }
}

#[test]
fn every_row_has_it_and_no_letter_stands_twice() {
    let app = app((120, 40));
    let mut all = vec![None];
    for pane in virt_net::app::Pane::ALL {
        all.extend(rows::rows(&app, pane).into_iter().map(Some));
    }
    for row in all {
        let menu = Menu::of(app.live(), row.as_ref()).expect("a menu");
        let mut letters: Vec<char> = menu.items.iter().map(|item| item.key).collect();
        assert!(letters.contains(&'g'), "{row:?}: {:?}", menu.items);
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), menu.items.len(), "{row:?}: a letter stands twice: {:?}", menu.items);
    }
}

#[test]
fn the_row_says_where_the_guest_goes() {
    let plugged = |keys: &str| {
        let mut app = app((120, 40));
        press(&mut app, keys);
        press(&mut app, "a g");
        write(&mut app, "web02");
        call(&app).expect("planned")
    };
    assert!(plugged("1").contains("--network network:default,model=virtio"));
    assert!(plugged("4").contains("--network network:default,model=virtio"));
    // virbr0 is the network's own bridge; below it virbr1, which is the host's.
    assert!(plugged("2").contains("--network network:default,model=virtio"));
    let mut app = app((120, 40));
    press(&mut app, "2");
    while app.cursor(app.focus) != Some(RowId::Bridge("virbr1".parse().expect("a name"))) {
        press(&mut app, "j");
    }
    press(&mut app, "a g");
    assert_eq!(call(&app).expect_err("no name"), "the guest has no name yet");
    write(&mut app, "web02");
    assert!(call(&app).expect("planned").contains("--network bridge:virbr1,model=virtio"));
}

/// A network that is off would make the form begin with another one.
#[test]
fn a_place_that_is_closed_is_told_in_the_menu() {
    let mut app = app((120, 40));
    press(&mut app, "4 / l a b - i s o Enter a");
    assert!(picture(&app).contains("g  new guest on this network"), "{}", picture(&app));
    assert!(picture(&app).contains("inactive"), "{}", picture(&app));
    press(&mut app, "g");
    assert_eq!(app.said.as_deref(), Some("new guest on this network: inactive"));
    assert!(matches!(app.overlays.last(), Some(Overlay::Menu(_))));
}

#[test]
fn the_fields_follow_each_other_to_the_call_of_the_notes() {
    let mut app = app((120, 40));
    press(&mut app, "a g");
    write(&mut app, "centos7-pxe");
    // A name that is taken is told at once.
    press(&mut app, "Backspace Backspace Backspace Backspace");
    assert_eq!(call(&app).expect_err("taken"), "there is a guest of this name");
    write(&mut app, "-pxe");
    // To `installs`, and there round all of them: whoever imports has a disk.
    press(&mut app, "Down Down Down");
    assert!(call(&app).expect("planned").contains("--pxe --noautoconsole"));
    press(&mut app, "Right");
    assert_eq!(call(&app).expect_err("no ISO"), "the path of a file is missing");
    press(&mut app, "Down");
    write(&mut app, "/srv/debian.iso");
    assert!(call(&app).expect("planned").contains("--disk size=20,bus=virtio"));
    assert!(call(&app).expect("planned").contains("--cdrom /srv/debian.iso"));
    press(&mut app, "Up Right Right");
    assert_eq!(call(&app).expect_err("no disk"), "the path of a file is missing");
    press(&mut app, "Down Down");
    write(&mut app, "/var/lib/libvirt/images/c.qcow2");
    let line = call(&app).expect("planned");
    assert!(line.contains("--disk path=/var/lib/libvirt/images/c.qcow2,bus=virtio"), "{line}");
    assert!(line.contains("--import --cloud-init"), "{line}");
    // No disk at all, started from the network.
    press(&mut app, "Up Up Right Down Right");
    let line = call(&app).expect("planned");
    assert!(line.contains("--disk none") && line.contains("--pxe"), "{line}");
    press(&mut app, "Down Down Down");
    for screen in ["--graphics vnc,listen=0.0.0.0", "--graphics none", "--graphics vnc,listen=127.0.0.1"] {
        press(&mut app, "Right");
        assert!(call(&app).expect("planned").contains(screen));
    }
    press(&mut app, "Down");
    write(&mut app, "debian12");
    press(&mut app, "Down Right");
    let line = call(&app).expect("planned");
    assert!(line.contains("--virt-type kvm") && line.contains("--os-variant debian12"), "{line}");
}

/// Nobody fills a form in that cannot be carried out.
#[test]
fn a_host_without_virt_install_is_told_as_the_form_opens() {
    let mut app = app((120, 40));
    let question = asked(&press(&mut app, "a g"));
    assert_eq!(call(&app).expect_err("no name"), "the guest has no name yet");
    let none = Evidence { program: None, ..seen(question) };
    update(&mut app, Event::Looked(Box::new(none)));
    assert_eq!(call(&app).expect_err("missing"), "virt-install is not there");
}

#[test]
fn what_it_hangs_on_is_looked_at_once_for_each_thing_that_is_typed() {
    let mut app = app((120, 40));
    press(&mut app, "a g");
    let question = asked(&write(&mut app, "web02"));
    assert_eq!(press(&mut app, "Down"), [], "nothing new is said");
    assert!(picture(&app).contains("Before it runs are looked at"));
    update(&mut app, Event::Looked(Box::new(seen(question.clone()))));
    assert!(picture(&app).contains("50 GiB are free for its disk"), "{}", picture(&app));
    // What comes too late for the newest question is not taken for its answer.
    press(&mut app, "Up");
    write(&mut app, "b");
    let none = Evidence { program: None, ..seen(question) };
    update(&mut app, Event::Looked(Box::new(none.clone())));
    assert!(call(&app).is_ok());
    let newest = asked(&write(&mut app, "c"));
    update(&mut app, Event::Looked(Box::new(Evidence { question: newest, ..none })));
    assert_eq!(call(&app).expect_err("missing"), "virt-install is not there");
    let told = picture(&app);
    assert!(told.contains("virtinst on Debian and Ubuntu"), "{told}");
    assert_eq!(press(&mut app, "Enter"), [], "nothing is begun");
}

#[test]
fn the_form_at_two_sizes() {
    for (size, name) in [((120, 40), "guest_120x40"), ((80, 24), "guest_80x24")] {
        let mut app = app(size);
        press(&mut app, "a g");
        write(&mut app, "web02");
        press(&mut app, "Down Down Down Right Right Down Down");
        let question = asked(&write(&mut app, "/srv/web02.qcow2"));
        let evidence = Evidence { disk: Some(Seen::There { bytes: 5 << 30 }), ..seen(question) };
        update(&mut app, Event::Looked(Box::new(evidence)));
        assert_snapshot!(name, picture(&app));
    }
}

/// The host with one guest more, as web01 is.
fn with(name: &str) -> Snapshot {
    let mut facts = host().facts.clone();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let old = libvirt.guests.iter().find(|guest| guest.name == "web01").expect("web01").clone();
    let again = |definition: &Definition| {
        let xml = definition.xml.replace("52:54:00:11:22:3", "52:54:00:99:22:3");
        Definition::parse(&xml).expect("a definition")
    };
    libvirt.guests.push(Guest {
        id: "00000000-0000-0000-0000-000000000077".parse().expect("an id"),
        name: name.to_owned(),
        live: old.live.as_ref().map(again),
        next: old.next.as_ref().map(again),
        ..old
    });
    topology::join(facts, Arc::default(), None)
}

fn begun(size: (u16, u16)) -> App {
    let mut app = app(size);
    press(&mut app, "a g");
    write(&mut app, "web02");
    let effects = press(&mut app, "Enter");
    let [Effect::Apply(job)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(job.title(), "new guest web02 on network default");
    app
}

fn says(app: &mut App, text: &str) {
    update(app, Event::Said(Said::Line(text.to_owned())));
}

#[test]
fn what_virt_install_says_is_shown_as_it_says_it_and_the_guest_is_selected() {
    let mut app = begun((120, 40));
    let done = StepState::Done { proof: "ready".to_owned(), millis: 41 };
    let news =
        News { key: "check".to_owned(), label: "check".to_owned(), text: "check".to_owned(), state: done };
    update(&mut app, Event::Progress(news));
    says(&mut app, "WARNING  KVM acceleration not available, using 'qemu'");
    says(&mut app, "Starting \u{1b}[2J\u{202e}install...");
    update(&mut app, Event::Said(Said::Part("Allocating 'web02.qcow2' | 1.2 GB".to_owned())));
    assert_snapshot!("guest_runs", picture(&app));
    says(&mut app, "Allocating 'web02.qcow2' | 20 GB");
    let shown = picture(&app);
    assert!(shown.contains("| 20 GB") && !shown.contains("1.2 GB"), "{shown}");
    // It goes on without the box; its name hides behind a filter until it is there.
    press(&mut app, "Esc / d b Enter");
    update(&mut app, Event::Outcome(Box::new(Outcome::Verified { address: None })));
    assert!(!app.filter.is_empty(), "the guest is not there yet");
    update(&mut app, Event::Snapshot(Arc::new(with("web02"))));
    let Some(RowId::Nic(nic)) = app.cursor(app.focus) else { panic!("{:?}", app.cursor(app.focus)) };
    assert_eq!(app.live().nic(nic).map(|nic| nic.guest.as_str()), Some("web02"));
    // Once: the next picture of the host leaves the cursor alone.
    press(&mut app, "g");
    update(&mut app, Event::Snapshot(Arc::new(with("web02"))));
    assert_ne!(app.cursor(app.focus), Some(RowId::Nic(nic)));
}

#[test]
fn its_output_is_scrolled_and_stays_where_it_is_looked_at() {
    let mut app = begun((80, 24));
    for number in 0..100 {
        says(&mut app, &format!("line {number:03}"));
    }
    assert!(picture(&app).contains("line 099"));
    press(&mut app, "PageUp k k");
    let looked_at = picture(&app);
    assert!(!looked_at.contains("line 099") && looked_at.contains("below ▼"), "{looked_at}");
    let last = |picture: &str| picture.lines().rfind(|row| row.contains("line 0")).map(str::to_owned);
    says(&mut app, "line 100");
    assert_eq!(last(&picture(&app)), last(&looked_at));
    press(&mut app, "g");
    assert!(picture(&app).contains("line 000"));
    press(&mut app, "j G");
    assert!(picture(&app).contains("line 100"));
}

#[test]
fn it_is_stopped_by_a_key_and_by_nothing_else() {
    let mut app = begun((80, 24));
    assert_eq!(press(&mut app, "S"), [Effect::Stop]);
    let outcome =
        Outcome::Failed { why: "it was stopped".to_owned(), state: "its disk /x is there".to_owned() };
    assert_eq!(update(&mut app, Event::Outcome(Box::new(outcome))), [Effect::Refresh]);
    assert_snapshot!("guest_stopped_80x24", picture(&app));
    assert_eq!(press(&mut app, "S"), []);
    assert_eq!(app.said.as_deref(), Some("nothing runs that could be stopped"));
    // Quitting asks first, as for every change.
    let mut app = begun((80, 24));
    assert_eq!(press(&mut app, "Ctrl-c"), []);
    assert!(matches!(app.overlays.last(), Some(Overlay::QuitWhileChanging)));
    // Another kind of change puts itself back: it is not stopped in the middle.
    let mut app = crate::update::app((120, 40));
    press(&mut app, "s Enter");
    assert_eq!(press(&mut app, "S"), []);
}
