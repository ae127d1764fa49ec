//! Keys on a recorded host: before, keys, after. No clock, no terminal: `update` is a plain function.
//!
//! A state is written `pane: row`, then what lies on top of it, innermost first, then what was said;
//! effects stand behind `!`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use virt_net::app::form::SwitchForm;
use virt_net::app::job::Job;
use virt_net::app::{App, Effect, Event, Key, Overlay, Pane, RowId, update};
use virt_net::change::{Bounce, Outcome};
use virt_net::model::facts::{Facts, Recording};
use virt_net::model::{Snapshot, Timestamp, topology};
use virt_net::source::replay;

pub(crate) const NOW: Timestamp = Timestamp(1_795_499_560_000);

pub(crate) fn recording() -> Recording {
    serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap()
}

/// The recorded host at its end, with rates.
pub(crate) fn host() -> Arc<Snapshot> {
    replay::snapshots(&recording()).pop().unwrap()
}

pub(crate) fn app(size: (u16, u16)) -> App {
    App::new(host(), NOW, size)
}

/// Presses keys, named as in the settings.
pub(crate) fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let keys = keys.split_whitespace().map(|name| Key::parse(name).unwrap_or_else(|| panic!("{name}")));
    keys.flat_map(|key| update(app, Event::Key(key))).collect()
}

fn row(app: &App, row: &RowId) -> String {
    let snapshot = app.snapshot();
    match row {
        RowId::Nic(id) => snapshot.nic(*id).map_or_else(
            || "gone".to_owned(),
            |nic| {
                let link = nic.link_name.map_or_else(|| "–".to_owned(), |name| name.to_string());
                format!("{} {link}", nic.guest)
            },
        ),
        RowId::Bridge(name) => name.to_string(),
        RowId::Port(bridge, port) => format!("{bridge}/{port}"),
        RowId::Lower(name) => format!("{name} below"),
        RowId::Upper(lower, name) => format!("{lower}/{name}"),
        RowId::Rule(chain, _) => format!("a rule of {}", chain.chain),
        RowId::Network(id) => snapshot.network(*id).map_or_else(|| "gone".to_owned(), |one| one.name.clone()),
    }
}

fn overlay(app: &App, overlay: &Overlay) -> String {
    match overlay {
        Overlay::Help { .. } => "help".to_owned(),
        Overlay::Detail { row: about, .. } => format!("details of {}", row(app, about)),
        Overlay::Switch(form) => {
            let target = form.target().map(|target| target.words()).unwrap_or_default();
            let plan = if form.planned.is_ok() { "planned" } else { "refused" };
            let bounce = match form.bounce {
                Bounce::Off => "no bounce".to_owned(),
                Bounce::Hold(hold) => format!("bounce {} s", hold.as_secs()),
            };
            let model = form.model.as_deref().unwrap_or("same model");
            format!("switch to {target}, {:?}, {model}, {bounce}, {plan}", form.when)
        }
        Overlay::Confirm { title, .. } => format!("question {title}"),
        Overlay::Steps { .. } => "steps".to_owned(),
        Overlay::Messages { .. } => "messages".to_owned(),
        Overlay::QuitWhileChanging => "quit?".to_owned(),
        Overlay::Menu(_) => "menu".to_owned(),
        Overlay::Form(_) => "form".to_owned(),
        Overlay::Doctor { .. } => "doctor".to_owned(),
        Overlay::Path(_) => "path".to_owned(),
    }
}

fn state(app: &App) -> String {
    let pane = match app.focus {
        Pane::Nics => "NICs",
        Pane::Bridges => "bridges",
        Pane::Rules => "rules",
        Pane::Networks => "networks",
    };
    let cursor = app.cursor(app.focus).map_or_else(|| "nothing".to_owned(), |at| row(app, &at));
    let mut text = format!("{pane}: {cursor}");
    if app.filtering || !app.filter.is_empty() {
        text += &format!(" /{}{}", app.filter, if app.filtering { "_" } else { "" });
    }
    if app.is_frozen() {
        text += " frozen";
    }
    for one in &app.overlays {
        text += &format!(" > {}", overlay(app, one));
    }
    if let Some(said) = &app.said {
        text += &format!(" \"{said}\"");
    }
    text
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Apply(job) => match job.as_ref() {
            Job::Nic(plan) => {
                format!("apply {}{}", plan.title, if plan.undoes.is_some() { ", an undo" } else { "" })
            }
            other => format!("apply {}", other.title()),
        },
        other => format!("{other:?}"),
    }
}

/// Each line goes on from where the one before ended; `before` must be that.
#[track_caller]
fn script(app: &mut App, lines: &[(&str, &str, &str)]) {
    for (before, keys, after) in lines {
        assert_eq!(state(app), *before, "before {keys}");
        let effects = press(app, keys);
        let mut now = state(app);
        for one in &effects {
            now += &format!(" ! {}", effect(one));
        }
        assert_eq!(now, *after, "after {keys}, from {before}");
    }
}

#[test]
fn the_cursor_moves_and_stays_where_it_is_possible() {
    let mut app = app((120, 40));
    script(
        &mut app,
        &[
            ("NICs: centos7 vnet0", "j", "NICs: db01 –"),
            ("NICs: db01 –", "Down Down", "NICs: web01 vnet2"),
            ("NICs: web01 vnet2", "j j j", "NICs: web01 vnet2"),
            ("NICs: web01 vnet2", "k", "NICs: web01 vnet1"),
            ("NICs: web01 vnet1", "g", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "k Up PageUp", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "G", "NICs: web01 vnet2"),
            ("NICs: web01 vnet2", "Ctrl-b", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "Tab", "bridges: virbr0"),
            ("bridges: virbr0", "j", "bridges: virbr0/vnet0"),
            ("bridges: virbr0/vnet0", "Tab", "rules: a rule of LIBVIRT_PRT"),
            ("rules: a rule of LIBVIRT_PRT", "l", "networks: default"),
            ("networks: default", "Right", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "Shift-Tab", "networks: default"),
            ("networks: default", "2", "bridges: virbr0/vnet0"),
            ("bridges: virbr0/vnet0", "1", "NICs: centos7 vnet0"),
        ],
    );
}

#[test]
fn the_selection_is_the_nic_not_its_place() {
    let mut app = app((120, 40));
    script(
        &mut app,
        &[
            ("NICs: centos7 vnet0", "G k", "NICs: web01 vnet1"),
            ("NICs: web01 vnet1", "O", "NICs: web01 vnet1"),
            ("NICs: web01 vnet1", "o o", "NICs: web01 vnet1"),
            ("NICs: web01 vnet1", "/ w e b 0 1 Enter", "NICs: web01 vnet1 /web01"),
            ("NICs: web01 vnet1 /web01", "Esc", "NICs: web01 vnet1"),
        ],
    );
    // The guest goes: the cursor is on what is there.
    let mut facts = app.live().facts.clone();
    Arc::make_mut(&mut facts.libvirt).guests.retain(|guest| guest.name != "web01");
    let snapshot = virt_net::model::topology::join(facts, Arc::default(), None);
    assert_eq!(update(&mut app, Event::Snapshot(Arc::new(snapshot))), []);
    let now = state(&app);
    assert!(now == "NICs: db01 –" || now == "NICs: centos7 vnet0", "{now}");
}

#[test]
fn the_filter_takes_text_and_only_text() {
    let mut app = app((120, 40));
    script(
        &mut app,
        &[
            ("NICs: centos7 vnet0", "/", "NICs: centos7 vnet0 /_"),
            // Keys of the panes are letters here.
            ("NICs: centos7 vnet0 /_", "q s", "NICs: nothing /qs_"),
            ("NICs: nothing /qs_", "Backspace Backspace", "NICs: centos7 vnet0 /_"),
            ("NICs: centos7 vnet0 /_", "o f f", "NICs: db01 – /off_"),
            ("NICs: db01 – /off_", "Enter", "NICs: db01 – /off"),
            ("NICs: db01 – /off", "?", "NICs: db01 – /off > help"),
            ("NICs: db01 – /off > help", "Esc", "NICs: db01 – /off"),
            ("NICs: db01 – /off", "Esc", "NICs: centos7 vnet0"),
        ],
    );
    press(&mut app, "/");
    update(&mut app, Event::Paste("we\u{1b}[2J\r\nb".to_owned()));
    assert_eq!(app.filter, "we[2Jb", "no control character, no line break that could be Enter");
    assert!(app.filtering);
}

#[test]
fn boxes_open_and_close_one_at_a_time() {
    let mut app = app((120, 40));
    script(
        &mut app,
        &[
            ("NICs: centos7 vnet0", "Enter", "NICs: centos7 vnet0 > details of centos7 vnet0"),
            (
                "NICs: centos7 vnet0 > details of centos7 vnet0",
                "?",
                "NICs: centos7 vnet0 > details of centos7 vnet0 > help",
            ),
            (
                "NICs: centos7 vnet0 > details of centos7 vnet0 > help",
                "q",
                "NICs: centos7 vnet0 > details of centos7 vnet0",
            ),
            ("NICs: centos7 vnet0 > details of centos7 vnet0", "Esc", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "m", "NICs: centos7 vnet0 > messages"),
            ("NICs: centos7 vnet0 > messages", "Enter", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "d", "NICs: centos7 vnet0 > doctor"),
            ("NICs: centos7 vnet0 > doctor", "q", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "a", "NICs: centos7 vnet0 > menu"),
            ("NICs: centos7 vnet0 > menu", "Esc", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "c", "NICs: centos7 vnet0 \"no change has been made in this session\""),
            (
                "NICs: centos7 vnet0 \"no change has been made in this session\"",
                "4 Enter",
                "networks: default > details of default",
            ),
            ("networks: default > details of default", "q", "networks: default"),
            ("networks: default", "s", "networks: default \"choose a NIC first (1), then s\""),
        ],
    );
}

#[test]
fn a_running_guests_console_gets_the_terminal_and_its_name_is_no_part_of_the_call() {
    let mut app = app((120, 40));
    let Some(RowId::Nic(nic)) = app.cursor(app.focus) else { panic!("no NIC is selected") };
    assert!(press(&mut app, "a").is_empty());
    let Some(Overlay::Menu(menu)) = app.overlays.last() else { panic!("{:?}", app.overlays) };
    let mut letters: Vec<char> = menu.items.iter().map(|item| item.key).collect();
    letters.sort_unstable();
    letters.dedup();
    assert_eq!(letters.len(), menu.items.len(), "a letter stands twice: {:?}", menu.items);
    let effects = press(&mut app, "c");
    let [Effect::Console(call)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(call.first().map(std::ffi::OsString::as_os_str), Some(std::ffi::OsStr::new("virsh")));
    let last: Vec<String> =
        call.iter().rev().take(2).map(|word| word.to_string_lossy().into_owned()).collect();
    assert_eq!(last, [nic.domain.to_string(), "console".to_owned()]);
    assert!(app.overlays.is_empty());
}

#[test]
fn keys_that_concern_the_terminal_are_effects() {
    let mut app = app((120, 40));
    script(
        &mut app,
        &[
            ("NICs: centos7 vnet0", "Ctrl-l", "NICs: centos7 vnet0 ! Repaint"),
            ("NICs: centos7 vnet0", "Ctrl-z", "NICs: centos7 vnet0 ! Suspend"),
            (
                "NICs: centos7 vnet0",
                "M",
                "NICs: centos7 vnet0 \"mouse wheel on; to copy, hold Shift\" ! Mouse(On)",
            ),
            (
                "NICs: centos7 vnet0 \"mouse wheel on; to copy, hold Shift\"",
                "M",
                "NICs: centos7 vnet0 \"mouse left to the terminal: copying works\" ! Mouse(Off)",
            ),
            (
                "NICs: centos7 vnet0 \"mouse left to the terminal: copying works\"",
                "r",
                "NICs: centos7 vnet0 \"reading everything again\" ! Refresh",
            ),
            ("NICs: centos7 vnet0 \"reading everything again\"", "u", "NICs: centos7 vnet0 ! PlanUndo"),
            ("NICs: centos7 vnet0", "Space", "NICs: centos7 vnet0 frozen"),
            ("NICs: centos7 vnet0 frozen", "Space", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "q", "NICs: centos7 vnet0 ! Quit"),
            ("NICs: centos7 vnet0", "Ctrl-c", "NICs: centos7 vnet0 ! Quit"),
            ("NICs: centos7 vnet0", "? Ctrl-c", "NICs: centos7 vnet0 > help ! Quit"),
        ],
    );
}

#[test]
fn the_switch_form_follows_its_keys_to_a_plan() {
    const FORM: &str = "NICs: centos7 vnet0 > switch to bridge virbr1, Now, same model, bounce 6 s, planned";
    let mut app = app((120, 40));
    press(&mut app, "s");
    let at_first = state(&app);
    // The first target that is possible, whatever it is; then to the bridge.
    assert!(at_first.starts_with("NICs: centos7 vnet0 > switch to "), "{at_first}");
    for _ in 0..10 {
        if state(&app).contains("switch to bridge virbr1,") {
            break;
        }
        press(&mut app, "j");
    }
    assert_eq!(state(&app), FORM);
    let mut others = Vec::new();
    for _ in 0..3 {
        press(&mut app, "w");
        others.push(state(&app).split(", ").nth(1).unwrap().to_owned());
    }
    assert_eq!(others, ["NextBoot", "Restart", "Now"]);
    press(&mut app, "b b b b");
    assert_eq!(state(&app), FORM.replace("bounce 6 s", "no bounce"));
    press(&mut app, "b");
    assert_eq!(state(&app), FORM);
    // A pasted line break is no Enter.
    update(&mut app, Event::Paste("\r\n".to_owned()));
    assert_eq!(state(&app), FORM);
    press(&mut app, "Esc");
    assert_eq!(state(&app), "NICs: centos7 vnet0");
}

fn form(app: &mut App) -> &mut SwitchForm {
    let Some(Overlay::Switch(form)) = app.overlays.last_mut() else { panic!("no form") };
    form
}

/// Enter never plugs a NIC into what nobody chose, and what is being read stays in sight.
#[test]
fn a_target_that_goes_away_is_not_exchanged_for_another() {
    let mut facts = recording().frames.pop().unwrap();
    let host = |facts: &Facts, before: Option<&Snapshot>| {
        Arc::new(topology::join(facts.clone(), Arc::default(), before))
    };
    let mut app = App::new(host(&facts, None), NOW, (120, 40));
    press(&mut app, "s");
    while !state(&app).contains("switch to bridge virbr1,") {
        press(&mut app, "j");
    }
    form(&mut app).scroll = 3;
    for gone in ["virbr1", "lo"] {
        Arc::make_mut(&mut facts.kernel).links.retain(|link| link.name.to_string() != gone);
        let now = host(&facts, Some(app.live()));
        update(&mut app, Event::Snapshot(now));
        assert!(state(&app).contains("switch to bridge virbr1,"), "{}", state(&app));
        assert!(state(&app).contains("refused"), "{}", state(&app));
        assert_eq!(form(&mut app).scroll, 3);
    }
    assert_eq!(press(&mut app, "Enter"), []);
    press(&mut app, "k");
    assert!(state(&app).contains("planned") || !state(&app).contains("virbr1"), "{}", state(&app));
}

/// There may be hundreds, each a call of its own: libvirt is asked for them by whoever shows them.
#[test]
fn the_hosts_devices_are_asked_for_by_their_form() {
    let mut app = app((120, 40));
    assert_eq!(press(&mut app, "Enter Esc s Esc"), []);
    assert_eq!(press(&mut app, "a a"), [Effect::Devices]);
}

/// From `s` to the end of the change, with a hand on the keys all the time.
#[test]
fn a_change_runs_beside_the_keys_and_ends_in_words() {
    let mut app = app((120, 40));
    press(&mut app, "s");
    while !state(&app).contains("switch to bridge virbr1,") {
        press(&mut app, "j");
    }
    let effects = press(&mut app, "Enter");
    assert_eq!(effects.iter().map(effect).collect::<Vec<_>>(), ["apply network default → bridge virbr1"]);
    script(
        &mut app,
        &[
            ("NICs: centos7 vnet0 > steps", "Esc", "NICs: centos7 vnet0 \"the change goes on; c shows it\""),
            (
                "NICs: centos7 vnet0 \"the change goes on; c shows it\"",
                "s",
                "NICs: centos7 vnet0 \"a change is running; c shows it\"",
            ),
            (
                "NICs: centos7 vnet0 \"a change is running; c shows it\"",
                "u",
                "NICs: centos7 vnet0 \"a change is running; it can be taken back when it has ended\"",
            ),
            (
                "NICs: centos7 vnet0 \"a change is running; it can be taken back when it has ended\"",
                "q",
                "NICs: centos7 vnet0 > quit?",
            ),
            ("NICs: centos7 vnet0 > quit?", "q", "NICs: centos7 vnet0"),
            ("NICs: centos7 vnet0", "j c", "NICs: db01 – > steps"),
        ],
    );
    let outcome = Outcome::Reverted { why: "the port did not forward".to_owned() };
    assert_eq!(update(&mut app, Event::Outcome(Box::new(outcome))), [Effect::Refresh]);
    let said = app.said.clone().unwrap_or_default();
    assert!(said.starts_with("put back as it was: ") && said.ends_with("the port did not forward"), "{said}");
    assert!(!app.is_changing());
}

#[test]
fn quitting_waits_for_the_change_and_then_happens() {
    let mut app = app((120, 40));
    press(&mut app, "s");
    while !state(&app).contains("switch to bridge virbr1,") {
        press(&mut app, "j");
    }
    press(&mut app, "Enter Esc q");
    script(
        &mut app,
        &[(
            "NICs: centos7 vnet0 > quit?",
            "Enter",
            "NICs: centos7 vnet0 \"quits as soon as the change has ended\"",
        )],
    );
    let outcome = Outcome::Verified { address: "10.0.0.208".parse().ok() };
    assert_eq!(update(&mut app, Event::Outcome(Box::new(outcome))), [Effect::Quit]);
}

#[test]
fn frozen_figures_stay_while_plans_are_made_from_new_ones() {
    let mut app = app((120, 40));
    let before = app.snapshot().generation;
    press(&mut app, "Space");
    let mut facts = app.live().facts.clone();
    Arc::make_mut(&mut facts.libvirt).guests.retain(|guest| guest.name == "web01");
    let newer =
        Snapshot { generation: before + 1, ..virt_net::model::topology::join(facts, Arc::default(), None) };
    update(&mut app, Event::Snapshot(Arc::new(newer)));
    assert_eq!(app.snapshot().generation, before);
    assert_eq!(app.live().generation, before + 1);
    assert_eq!(state(&app), "NICs: centos7 vnet0 frozen");
    // The NIC that is shown is gone: nothing can be done with it, in words.
    press(&mut app, "s");
    assert!(app.overlays.is_empty() && app.said.is_some(), "{}", state(&app));
    press(&mut app, "Space");
    assert_eq!(state(&app), "NICs: web01 vnet1");
}

#[test]
fn the_log_is_kept_without_a_word_in_the_footer() {
    let mut app = app((120, 40));
    update(&mut app, Event::Message("told".to_owned()));
    update(&mut app, Event::Log("noted".to_owned()));
    assert_eq!(app.said.as_deref(), Some("told"));
    let kept: Vec<&str> = app.messages.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(kept, ["told", "noted"]);
    for number in 0..2000 {
        update(&mut app, Event::Log(number.to_string()));
    }
    assert_eq!(app.messages.len(), 500, "the oldest make room");
}
