//! The path box: its keys, what it follows, and how it looks at two sizes and on a plain console.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use virt_net::app::path::{PathView, Probe};
use virt_net::app::{App, Code, Effect, Event, Key, Overlay, update};
use virt_net::model::{Snapshot, Timestamp, topology};
use virt_net::path::Answer;
use virt_net::path::probe::{Found, Judgement, Probed};
use virt_net::path::reach::{Direction, Peer};
use virt_net::source::replay;
use virt_net::ui;
use virt_net::ui::glyphs::Glyphs;
use virt_net::ui::theme::Theme;

fn snapshot() -> Arc<Snapshot> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/kvm1.json");
    let facts = replay::read(&file).unwrap().frames[0].clone();
    Arc::new(topology::join(facts, Arc::default(), None))
}

fn app(size: (u16, u16)) -> App {
    let snapshot = snapshot();
    let now = Timestamp(snapshot.taken_at.0);
    App::new(snapshot, now, size)
}

fn press(app: &mut App, keys: &str) -> Vec<Effect> {
    let keys = keys.split(' ').map(|name| Key::parse(name).unwrap());
    keys.flat_map(|key| update(app, Event::Key(key))).collect()
}

fn view(app: &App) -> &PathView {
    match app.overlays.last() {
        Some(Overlay::Path(view)) => view,
        other => panic!("{other:?}"),
    }
}

fn drawn(app: &App, theme: Theme, glyphs: Glyphs) -> String {
    let mut terminal = Terminal::new(TestBackend::new(app.size.0, app.size.1)).unwrap();
    terminal.draw(|frame| ui::draw(app, theme, glyphs, frame)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn p_opens_the_way_to_the_internet_and_tab_goes_round_all_relations() {
    let mut app = app((120, 40));
    assert_eq!(press(&mut app, "p"), []);
    let first = view(&app).path.clone().unwrap();
    assert_eq!((first.to.as_str(), first.answer), ("internet", Answer::Yes));
    let count = view(&app).matrix.as_ref().unwrap().cells.len();
    let mut seen = Vec::new();
    for _ in 0..count {
        let cell = view(&app).cell().unwrap().clone();
        if let Some(path) = &view(&app).path {
            assert_eq!((cell.answer, &cell.reason), (path.answer, &path.reason), "{cell:#?}");
        }
        seen.push((cell.direction, cell.peer, cell.address));
        press(&mut app, "Tab");
    }
    assert_eq!(view(&app).path.as_ref().unwrap(), &first, "all the way round");
    seen.dedup();
    assert_eq!(seen.len(), count);
    press(&mut app, "Shift-Tab Down");
    assert_eq!(view(&app).cell().unwrap().peer, Peer::Internet);
    press(&mut app, "Esc");
    assert!(app.overlays.is_empty());
}

#[test]
fn it_follows_the_host_and_keeps_its_relation() {
    let mut app = app((120, 40));
    press(&mut app, "p Tab");
    assert_eq!(view(&app).cell().unwrap().peer, Peer::Lan);
    let mut facts = snapshot().facts.clone();
    Arc::make_mut(&mut facts.kernel).settings.ip_forward = Some(false);
    let changed = Arc::new(topology::join(facts, Arc::default(), None));
    update(&mut app, Event::Snapshot(changed));
    let cell = view(&app).cell().unwrap();
    assert_eq!((cell.peer, cell.answer), (Peer::Lan, Answer::No), "{cell:#?}");
    let mut gone = snapshot().facts.clone();
    Arc::make_mut(&mut gone.libvirt).guests.clear();
    update(&mut app, Event::Snapshot(Arc::new(topology::join(gone, Arc::default(), None))));
    assert!(drawn(&app, Theme::Ansi, Glyphs::Unicode).contains("the NIC is gone"));
}

#[test]
fn the_doctors_word_stands_where_the_way_ends() {
    let mut app = app((120, 40));
    press(&mut app, "p");
    assert!(!drawn(&app, Theme::Ansi, Glyphs::Unicode).contains("doctor: "));
    let mut facts = snapshot().facts.clone();
    Arc::make_mut(&mut facts.kernel).settings.ip_forward = Some(false);
    let mut before = None;
    for _ in 0..4 {
        // A finding shows when it has lasted.
        facts.taken_at = Timestamp(facts.taken_at.0 + 30_000);
        let joined = Arc::new(topology::join(facts.clone(), Arc::default(), before.as_deref()));
        update(&mut app, Event::Snapshot(Arc::clone(&joined)));
        before = Some(joined);
    }
    let screen = drawn(&app, Theme::Ansi, Glyphs::Unicode);
    assert!(screen.contains("✖ doctor: ip-forward-off"), "{screen}");
    assert!(screen.contains("net.ipv4.ip_forward is 0: the host does not route"), "{screen}");
}

#[test]
fn a_probe_is_asked_for_once_and_its_contradiction_is_seen() {
    let mut app = app((120, 40));
    press(&mut app, "p");
    let nic = view(&app).nic;
    assert_eq!(press(&mut app, "p p"), [Effect::Probe(nic)]);
    assert!(drawn(&app, Theme::Ansi, Glyphs::Unicode).contains("asking for real"));
    let cells = view(&app).matrix.as_ref().unwrap().cells.clone();
    let cell =
        cells.iter().find(|cell| (cell.direction, cell.peer) == (Direction::From, Peer::Host)).unwrap();
    let row = Probed::new(cell.clone(), None, Found::Silent { arp: None });
    assert_eq!(row.judgement, Judgement::Contradicts);
    update(&mut app, Event::Probed(nic, Ok(vec![row])));
    assert!(matches!(view(&app).probe, Probe::Done { .. }));
    let screen = drawn(&app, Theme::Ansi, Glyphs::Unicode);
    assert!(screen.contains("silent!") && screen.contains("CONTRADICTION"), "{screen}");
    assert!(app.messages.back().unwrap().1.contains("contradicts"));
    // What was not asked says why, once for all of them.
    let reason = "no guest agent answers: nothing can be asked from inside";
    let not_asked = |cell| Probed::new(cell, None, Found::NotAsked { reason: reason.to_owned() });
    let to = cells.iter().filter(|cell| cell.direction == Direction::To).cloned().map(not_asked);
    update(&mut app, Event::Probed(nic, Ok(to.collect())));
    for size in [(120, 40), (80, 24)] {
        app.size = size;
        assert_eq!(drawn(&app, Theme::Ansi, Glyphs::Unicode).matches(reason).count(), 1);
    }
    // One that cannot be asked says why, and can be tried again.
    assert_eq!(press(&mut app, "p"), [Effect::Probe(nic)]);
    update(&mut app, Event::Probed(nic, Err("a recording cannot be asked".to_owned())));
    assert!(matches!(view(&app).probe, Probe::None));
}

#[test]
fn it_has_something_to_say_on_every_row_and_size() {
    for size in [(120, 40), (80, 24), (60, 18), (20, 6)] {
        let mut app = app(size);
        press(&mut app, "p");
        for _ in 0..8 {
            drawn(&app, Theme::Mono, Glyphs::Ascii);
            press(&mut app, "Tab PageDown PageDown");
        }
    }
    // A network's row has no NIC.
    let mut app = app((120, 40));
    press(&mut app, "4 p");
    assert!(app.overlays.is_empty() && app.messages.back().unwrap().1.contains("choose a NIC"));
    assert_eq!(Key::parse("p"), Some(Key::plain(Code::Char('p'))));
}

/// The box alone: header and footer belong to others.
fn boxed(app: &App, theme: Theme, glyphs: Glyphs) -> String {
    let screen = drawn(app, theme, glyphs);
    let lines: Vec<&str> = screen.lines().collect();
    lines[1..lines.len() - 1].join("\n")
}

#[test]
fn how_it_looks() {
    let mut wide = app((120, 40));
    press(&mut wide, "p");
    insta::assert_snapshot!("path_120x40", boxed(&wide, Theme::Ansi, Glyphs::Unicode));
    let mut narrow = app((80, 24));
    press(&mut narrow, "p Shift-Tab Shift-Tab");
    insta::assert_snapshot!("path_80x24", boxed(&narrow, Theme::Ansi, Glyphs::Unicode));
    insta::assert_snapshot!("path_80x24_ascii", boxed(&narrow, Theme::Mono, Glyphs::Ascii));
}
