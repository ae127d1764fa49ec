//! A change of a bridge that waits for its confirmation, on the screen: told on every screen, kept or put
//! back by a key that is pressed after the change.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use virt_net::app::forms::Value;
use virt_net::app::job::{BridgeJob, Draft};
use virt_net::app::waiting::Waiting;
use virt_net::app::{App, Code, Effect, Event, Job, Key, Overlay, update};
use virt_net::change::bridge::BridgeWant;
use virt_net::change::bridge::record::{Answer, Progress};
use virt_net::change::{Outcome, Refusal};
use virt_net::model::facts::Recording;
use virt_net::model::rates::History;
use virt_net::model::{Timestamp, topology};
use virt_net::ui;
use virt_net::ui::glyphs::Glyphs;
use virt_net::ui::theme::Theme;

const NOW: Timestamp = Timestamp(1_000_000);

fn app() -> App {
    let recording: Recording = serde_json::from_str(include_str!("../fixtures/kvm1.json")).unwrap();
    let facts = recording.frames.into_iter().next().unwrap();
    App::new(Arc::new(topology::join(facts, Arc::new(History::default()), None)), NOW, (120, 40))
}

fn waits(app: &mut App, progress: Progress) {
    stands(app, Timestamp(7), progress);
}

fn stands(app: &mut App, begun: Timestamp, progress: Progress) {
    let title = "make bridge br7 over eth0".to_owned();
    let waiting = Waiting { begun, title, progress };
    assert_eq!(update(app, Event::Waiting(Some(Box::new(waiting)))), []);
}

fn done() -> Progress {
    Progress::Waiting { until: Timestamp(NOW.0 + 36_200), proofs: vec!["10.0.0.2 answers".to_owned()] }
}

fn press(app: &mut App, key: &str) -> Vec<Effect> {
    update(app, Event::Key(Key::parse(key).unwrap()))
}

fn screen(app: &App, columns: u16, rows: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| ui::draw(app, Theme::Mono, Glyphs::Unicode, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |row| (0..columns).map(|column| buffer[(column, row)].symbol()).collect::<String>();
    (0..rows).map(line).collect()
}

#[test]
fn every_screen_says_what_waits_and_for_how_long() {
    let mut app = app();
    assert!(!screen(&app, 120, 40)[1].contains("keep?"));
    waits(&mut app, done());
    let wide = " ▲ make bridge br7 over eth0: keep?  37 s until everything is put back   K keep  R put back now   10.0.0.2 answers ✔";
    assert_eq!(screen(&app, 120, 40)[1].trim_end(), wide);
    let narrow = screen(&app, 80, 24)[1].clone();
    assert_eq!(narrow.trim_end(), " ▲ make bridge br7 over eth0: keep?  37 s left   K keep  R put back now");
    for key in ["?", "m", "a"] {
        press(&mut app, key);
        assert_eq!(screen(&app, 120, 40)[1].trim_end(), wide, "with {key}");
    }
    update(&mut app, Event::Clock(Timestamp(NOW.0 + 30_000)));
    assert!(screen(&app, 120, 40)[1].contains("7 s until"));
}

#[test]
fn it_is_kept_by_a_key_after_the_change_and_by_nothing_else() {
    let mut app = app();
    assert_eq!(press(&mut app, "K"), []);
    // What somebody began just now is taken back before it is seen here.
    assert_eq!(press(&mut app, "R"), [Effect::Answer(Answer::Rollback)]);
    waits(&mut app, Progress::Applying { done: 1, doing: "make eth0 a port".to_owned() });
    assert_eq!(press(&mut app, "K"), [], "it is not done yet");
    assert_eq!(press(&mut app, "R"), [Effect::Answer(Answer::Rollback)]);
    waits(&mut app, done());
    assert_eq!(update(&mut app, Event::Paste("K".to_owned())), []);
    assert_eq!(press(&mut app, "K"), [Effect::Answer(Answer::Confirm)]);
    press(&mut app, "?");
    assert_eq!(press(&mut app, "K"), [Effect::Answer(Answer::Confirm)]);
    waits(
        &mut app,
        Progress::RollingBack {
            why: "nobody confirmed it in time".to_owned(),
            done: 0,
            doing: "delete bridge br0".to_owned(),
        },
    );
    assert_eq!(press(&mut app, "K"), []);
}

#[test]
fn in_a_form_letters_are_text_and_control_keeps() {
    let mut app = app();
    waits(&mut app, done());
    press(&mut app, "b");
    let Some(Overlay::Form(form)) = app.overlays.last() else { panic!("no form") };
    let Value::Text(before) = form.fields[0].value.clone() else { panic!("no text") };
    assert_eq!(press(&mut app, "K"), []);
    let Some(Overlay::Form(form)) = app.overlays.last() else { panic!("no form") };
    assert_eq!(form.fields[0].value, Value::Text(format!("{before}K")));
    assert_eq!(press(&mut app, "Ctrl-k"), [Effect::Answer(Answer::Confirm)]);
    assert_eq!(press(&mut app, "Ctrl-r"), [Effect::Answer(Answer::Rollback)]);
    assert!(screen(&app, 120, 40)[1].contains("Ctrl-k keep  Ctrl-r put back now"));
}

/// Fills the form of a bridge br7 over eth0 in; what its plan asks for.
fn wanted(app: &mut App) -> BridgeJob {
    press(app, "b");
    for _ in 0..6 {
        update(app, Event::Key(Key::plain(Code::Backspace)));
    }
    update(app, Event::Paste("br7\n".to_owned()));
    let Some(Effect::PlanBridge(job)) = press(app, "Enter").pop() else { panic!("no plan") };
    *job
}

/// The box of the change after it was seen to work.
fn worked() -> App {
    let mut app = app();
    let ready = BridgeJob { draft: Draft::No, ..wanted(&mut app) };
    update(&mut app, Event::Planned(Box::new(Ok(Job::from(ready)))));
    press(&mut app, "Enter");
    update(&mut app, Event::Outcome(Box::new(Outcome::Verified { address: None })));
    app
}

fn shows(app: &App, text: &str) {
    let lines = screen(app, 120, 40).join("\n");
    assert!(lines.contains(text), "{text}\n{lines}");
}

#[test]
fn the_box_of_the_change_says_that_it_waits_and_how_that_ended() {
    let mut app = worked();
    shows(&app, "◐ seen to work, and waits to be kept");
    // An earlier one of the same name is not this one.
    let why = "nobody confirmed it in time".to_owned();
    stands(&mut app, Timestamp(7), Progress::RolledBack { why: why.clone() });
    shows(&app, "◐ seen to work, and waits to be kept");
    stands(&mut app, NOW, done());
    shows(&app, "K keeps it, R puts everything back; else it is taken back in 37 s");
    stands(&mut app, NOW, Progress::Confirmed);
    shows(&app, "kept until the next boot");
    assert!(app.waiting.is_none());
    let mut app = worked();
    stands(&mut app, NOW, Progress::RollingBack { why: why.clone(), done: 0, doing: String::new() });
    shows(&app, "◐ being taken back, because");
    stands(&mut app, NOW, Progress::RolledBack { why: why.clone() });
    press(&mut app, "Esc");
    press(&mut app, "c");
    shows(&app, "▲ taken back, because");
    shows(&app, &why);
}

#[test]
fn the_form_asks_for_the_owner_before_anything_is_done() {
    let mut app = app();
    let job = wanted(&mut app);
    let BridgeWant::Create { bridge, port, .. } = &job.want else { panic!("{:?}", job.want) };
    assert_eq!((bridge.to_string(), port.to_string()), ("br7".to_owned(), "eth0".to_owned()));
    assert!(app.change.is_none(), "nothing is begun by a draft");
    let mut ready = job;
    ready.draft = Draft::No;
    update(&mut app, Event::Planned(Box::new(Ok(Job::from(ready)))));
    assert!(matches!(app.overlays.last(), Some(Overlay::Confirm { .. })));
    assert!(matches!(press(&mut app, "Enter").pop(), Some(Effect::Apply(_))), "not begun");
}

/// A no of the owner, or a change that is still running, must not cost what was typed.
#[test]
fn what_was_filled_in_stays_until_it_begins() {
    let mut app = app();
    let job = wanted(&mut app);
    let is_form = |app: &App| matches!(app.overlays.as_slice(), [Overlay::Form(_)]);
    assert!(is_form(&app));
    let refusal = Refusal { what: "make it".to_owned(), reason: "no".to_owned(), way_out: "wait".to_owned() };
    update(&mut app, Event::Planned(Box::new(Err(refusal))));
    assert!(is_form(&app));
    shows(&app, "br7");
    let ready = Job::from(BridgeJob { draft: Draft::No, ..job });
    // Enter pressed twice asks twice.
    update(&mut app, Event::Planned(Box::new(Ok(ready.clone()))));
    update(&mut app, Event::Planned(Box::new(Ok(ready.clone()))));
    press(&mut app, "Esc");
    assert!(is_form(&app));
    update(&mut app, Event::Planned(Box::new(Ok(ready))));
    assert!(matches!(press(&mut app, "Enter").pop(), Some(Effect::Apply(_))));
    assert!(matches!(app.overlays.as_slice(), [Overlay::Steps { .. }]));
    press(&mut app, "Esc");
    wanted_again(&mut app);
    assert!(is_form(&app));
    shows(&app, "a change is running already");
}

/// A second form, filled in while the first one's change is running.
fn wanted_again(app: &mut App) {
    press(app, "b");
    assert_eq!(press(app, "Enter"), []);
}
