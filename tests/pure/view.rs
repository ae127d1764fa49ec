//! What the screens look like: a recorded host, a fixed clock, the picture as text. The footer is left
//! out: it is the table of actions, which has tests of its own.
//!
//! After a wanted change: `INSTA_UPDATE=always cargo test --test pure view::`, and look at each picture.

use std::sync::Arc;

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};
use virt_net::app::job::News;
use virt_net::app::{Action, App, Context, Event, Job, Overlay, update};
use virt_net::change::apply::{self, Way};
use virt_net::change::{Edit, Outcome, Progress, StepId, StepState};
use virt_net::model::kernel::LinkKind;
use virt_net::model::{Facts, MacvtapMode, SourceState, Timestamp, topology};
use virt_net::ui;
use virt_net::ui::glyphs::Glyphs;
use virt_net::ui::theme::Theme;

use crate::update::{NOW, app, host, press};

pub(crate) fn buffer(app: &App, theme: Theme, glyphs: Glyphs) -> Buffer {
    let (columns, rows) = app.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| ui::draw(app, theme, glyphs, frame)).unwrap();
    terminal.backend().buffer().clone()
}

pub(crate) fn text(buffer: &Buffer) -> String {
    let area = buffer.area;
    let line = |row: u16| {
        let mut line = String::new();
        let mut skip = 0;
        for column in 0..area.width {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer[(column, row)].symbol();
            skip = ui::text::width(symbol).saturating_sub(1);
            line.push_str(symbol);
        }
        line.trim_end().to_owned()
    };
    (0..area.height - 1).map(line).collect::<Vec<_>>().join("\n")
}

/// Without colour, in Unicode.
fn picture(app: &App) -> String {
    text(&buffer(app, Theme::Mono, Glyphs::Unicode))
}

/// The host after this change of its facts.
fn changed(size: (u16, u16), change: impl FnOnce(&mut Facts)) -> App {
    let mut facts = host().facts.clone();
    change(&mut facts);
    App::new(Arc::new(topology::join(facts, Arc::clone(&host().history), None)), NOW, size)
}

#[test]
fn the_overview() {
    assert_snapshot!(picture(&app((120, 40))));
}

#[test]
fn the_overview_in_ascii() {
    let drawn = buffer(&app((120, 40)), Theme::Mono, Glyphs::Ascii);
    let text = text(&drawn);
    assert!(text.is_ascii());
    assert_snapshot!(text);
}

#[test]
fn the_panes_as_tabs() {
    let mut app = app((80, 24));
    for name in ["nics", "bridges", "rules", "networks"] {
        assert_snapshot!(format!("tab_{name}"), picture(&app));
        press(&mut app, "Tab");
    }
}

#[test]
fn the_smallest_and_too_small() {
    assert_snapshot!("smallest", picture(&app((60, 12))));
    assert_snapshot!("too_small", picture(&app((59, 12))));
}

#[test]
fn the_details_of_each_kind_of_row() {
    for (keys, name) in [
        ("Enter", "nic"),
        ("2 Enter", "bridge"),
        ("2 j Enter", "port"),
        ("3 Enter", "rule"),
        ("4 Enter", "network"),
    ] {
        let mut app = app((100, 34));
        press(&mut app, keys);
        assert_snapshot!(format!("details_{name}"), picture(&app));
    }
}

#[test]
fn a_shim_stands_beside_the_macvtaps_of_its_nic() {
    let stacked = |size, keys| {
        let mut app = changed(size, |facts| {
            crate::shim::with_shim(facts, &["10.0.0.208/32"]);
            let kernel = Arc::make_mut(&mut facts.kernel);
            let eth0 = kernel.links.iter().find(|link| link.name.to_string() == "eth0").unwrap().index;
            let tap = kernel.links.iter_mut().find(|link| link.name.to_string() == "vnet2").unwrap();
            tap.kind = LinkKind::Macvtap { mode: MacvtapMode::Bridge };
            (tap.lower, tap.master, tap.port) = (Some(eth0), None, None);
        });
        press(&mut app, keys);
        picture(&app)
    };
    assert_snapshot!("stack_120x40", stacked((120, 40), "2 G"));
    assert_snapshot!("stack_80x24", stacked((80, 24), "2 G"));
    assert_snapshot!("stack_nic", stacked((100, 34), "2 G k k Enter"));
    assert_snapshot!("stack_shim", stacked((100, 34), "2 G Enter"));
    assert_snapshot!("stack_menu", stacked((100, 34), "2 G a"));
    assert_snapshot!("stack_found", stacked((80, 24), "2 / 2 0 8 Enter"));
}

#[test]
fn the_switch_form() {
    let mut wide = app((120, 40));
    press(&mut wide, "s");
    assert_snapshot!("switch_120x40", picture(&wide));
    let mut narrow = app((80, 24));
    press(&mut narrow, "s");
    assert_snapshot!("switch_80x24", picture(&narrow));
}

#[test]
fn a_change_and_its_end() {
    let mut app = app((100, 30));
    press(&mut app, "s Enter");
    assert_snapshot!("change_begun", picture(&app));
    let outcome = Outcome::Reverted { why: "the port did not forward within 30 s".to_owned() };
    update(&mut app, Event::Outcome(Box::new(outcome)));
    assert_snapshot!("change_reverted", picture(&app));
}

/// A daemon that is gone: the figures stay, with their age.
#[test]
fn a_daemon_that_is_down() {
    let since = Timestamp(NOW.0 - 75_000);
    let app = changed((120, 40), |facts| {
        facts.health.libvirt = SourceState::Down { since, error: "Connection refused".to_owned() };
        facts.health.firewall = SourceState::Denied { hint: "run as root".to_owned() };
    });
    assert_snapshot!(picture(&app));
}

/// Whoever may name a guest chooses this text.
#[test]
fn hostile_and_wide_names() {
    let app = changed((120, 40), |facts| {
        for guest in &mut Arc::make_mut(&mut facts.libvirt).guests {
            match guest.name.as_str() {
                "web01" => guest.name = "漢字漢字漢字".to_owned(),
                "db01" => guest.name = "x\u{1b}[31m\u{202e}".to_owned(),
                _ => {}
            }
        }
    });
    let picture = picture(&app);
    let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!picture.contains(raw), "{picture}");
    for row in picture.lines() {
        assert!(ui::text::width(row) <= 120, "{row}");
    }
    assert_snapshot!(picture);
}

/// What a state says is never said by colour alone, and the default theme has only the sixteen colours.
#[test]
fn colour_only_adds() {
    let mut one = app((120, 40));
    for keys in ["", "s", "Esc Enter", "Esc ?", "Esc d"] {
        press(&mut one, keys);
        let (ansi, mono) =
            (buffer(&one, Theme::Ansi, Glyphs::Unicode), buffer(&one, Theme::Mono, Glyphs::Unicode));
        assert_eq!(text(&ansi), text(&mono));
        for cell in &mono.content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset));
        }
        for cell in &ansi.content {
            let basic = |colour| !matches!(colour, Color::Rgb(..) | Color::Indexed(_));
            assert!(basic(cell.fg) && basic(cell.bg), "{cell:?}");
        }
    }
}

#[test]
fn the_cursor_and_what_belongs_to_it_are_marked_without_colour() {
    let mut app = app((120, 40));
    let drawn = buffer(&app, Theme::Mono, Glyphs::Unicode);
    let picture = text(&drawn);
    let row_of =
        |text: &str| u16::try_from(picture.lines().position(|row| row.contains(text)).unwrap()).unwrap();
    let nic = row_of("52:54:00:aa:fc:1c");
    assert!(drawn[(4, nic)].modifier.contains(Modifier::REVERSED));
    for linked in ["▸├─ vnet0", "▸default", "▸virbr0"] {
        assert!(picture.contains(linked), "{linked}\n{picture}");
    }
    // And the other way round: from the port to its NIC.
    press(&mut app, "2 j");
    let row = text(&buffer(&app, Theme::Mono, Glyphs::Unicode));
    let row = row.lines().find(|row| row.contains("52:54:00:aa:fc:1c")).unwrap().to_owned();
    assert!(row.contains('▸'), "{row}");
}

/// Every size a terminal may have draws something and never panics.
#[test]
fn every_size_is_drawn() {
    for keys in ["", "s", "Enter", "?", "d", "a", "m", "a g", "a g w Enter"] {
        for (columns, rows) in [
            (0, 0),
            (1, 1),
            (20, 5),
            (59, 12),
            (60, 12),
            (61, 13),
            (79, 24),
            (100, 26),
            (101, 25),
            (250, 80),
            (300, 12),
        ] {
            let mut app = app((columns, rows));
            press(&mut app, keys);
            let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
            terminal.draw(|frame| ui::draw(&app, Theme::Ansi, Glyphs::Unicode, frame)).unwrap();
        }
    }
}

/// A right is missing: what is known without it, and what to do.
#[test]
fn rules_that_may_not_be_read() {
    let mut app = changed((80, 24), |facts| {
        facts.health.firewall = SourceState::Denied { hint: "run as root".to_owned() };
        facts.firewall = Arc::default();
    });
    press(&mut app, "3");
    assert_snapshot!(picture(&app));
}

#[test]
fn the_footer_always_has_the_key_that_lists_the_others() {
    for columns in [60, 80, 120] {
        for keys in ["", "Enter", "s", "d", "m", "a"] {
            let mut app = app((columns, 24));
            press(&mut app, keys);
            let drawn = buffer(&app, Theme::Mono, Glyphs::Unicode);
            let footer: String = (0..columns).map(|column| drawn[(column, 23)].symbol()).collect();
            assert!(footer.contains("? all keys"), "{columns} {keys:?}: {footer}");
        }
    }
}

/// Names of guests, networks, host names and comments, all hostile at once, in every box.
#[test]
fn no_screen_lets_hostile_text_through() {
    const HOSTILE: &str = "e\u{1b}[2J\u{9b}1m\u{202e}\u{200b}\u{7}l";
    let mut facts = host().facts.clone();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    for guest in &mut libvirt.guests {
        guest.name = format!("{}{HOSTILE}", guest.name);
    }
    for network in &mut libvirt.networks {
        network.name = format!("{}{HOSTILE}", network.name);
        for lease in &mut network.leases {
            lease.hostname = Some(HOSTILE.to_owned());
        }
    }
    let firewall = Arc::make_mut(&mut facts.firewall);
    for rule in &mut firewall.rules {
        rule.comment = Some(HOSTILE.to_owned());
        rule.raw = format!("{} comment {HOSTILE}", rule.raw);
    }
    facts.host.name = HOSTILE.to_owned();
    facts.health.kernel = SourceState::Down { since: NOW, error: HOSTILE.to_owned() };
    let snapshot = Arc::new(topology::join(facts, Arc::default(), None));
    let mut seen = 0;
    for size in [(120, 40), (80, 24)] {
        for pane in ["1", "2", "2 j", "3", "4"] {
            for keys in
                ["", "Enter", "s", "s x", "s c", "a", "p", "d", "?", "m", "a Enter", "s Enter", "a g w"]
            {
                let mut app = App::new(Arc::clone(&snapshot), NOW, size);
                update(&mut app, Event::Message(HOSTILE.to_owned()));
                press(&mut app, pane);
                press(&mut app, keys);
                let drawn = buffer(&app, Theme::Ansi, Glyphs::Unicode);
                for cell in &drawn.content {
                    let bad =
                        |c: char| c.is_control() || matches!(u32::from(c), 0x200b..=0x200f | 0x202a..=0x202e);
                    assert!(!cell.symbol().contains(bad), "{pane} {keys}: {:?}", text(&drawn));
                }
                // The buffer drops control characters: what was not escaped would stand there without them.
                assert!(!text(&drawn).contains("e[2J"), "{pane} {keys}: {}", text(&drawn));
                seen += usize::from(text(&drawn).contains("\\x1b[2J"));
            }
        }
    }
    assert!(seen > 60, "it is shown, escaped: {seen}");
}

/// Fifty guests with eight NICs each.
fn four_hundred_nics(size: (u16, u16)) -> App {
    let mut facts = host().facts.clone();
    let libvirt = Arc::make_mut(&mut facts.libvirt);
    let Some(model) = libvirt.guests.iter().find(|guest| guest.name == "web01").cloned() else {
        panic!("the recorded host has web01");
    };
    libvirt.guests = (0..50_u32)
        .map(|number| {
            let mut guest = model.clone();
            guest.name = format!("guest{number:02}");
            if let Ok(id) = format!("00000000-0000-0000-0000-{number:012}").parse() {
                guest.id = id;
            }
            for definition in [&mut guest.live, &mut guest.next].into_iter().flatten() {
                let nic = definition.nics[0].clone();
                definition.nics = (0..8_u32)
                    .map(|position| {
                        let mut nic = nic.clone();
                        nic.mac = format!("52:54:00:00:{number:02x}:{position:02x}").parse().ok();
                        nic
                    })
                    .collect();
            }
            guest
        })
        .collect();
    let snapshot = Arc::new(topology::join(facts, Arc::default(), None));
    assert_eq!(snapshot.nics.len(), 400);
    App::new(snapshot, NOW, size)
}

#[test]
fn of_four_hundred_nics_the_last_is_a_key_away() {
    let mut app = four_hundred_nics((120, 40));
    assert!(!picture(&app).contains("guest49"));
    press(&mut app, "G");
    assert!(picture(&app).contains("▸guest49"), "{}", picture(&app));
}

/// The first line of the help's box that is in sight.
fn top_of_help(app: &App) -> String {
    let drawn = picture(app);
    let mut lines = drawn.lines().skip_while(|line| !line.contains("╭ Keys"));
    lines.nth(1).unwrap_or_default().to_owned()
}

/// At the end of a box one key up is one line up.
#[test]
fn back_from_the_end_of_a_box() {
    let mut app = app((80, 24));
    press(&mut app, "?");
    let top = top_of_help(&app);
    press(&mut app, "G");
    let end = top_of_help(&app);
    press(&mut app, "k");
    let above = top_of_help(&app);
    assert!(top != end && end != above, "{top}\n{end}\n{above}");
    press(&mut app, "j");
    assert_eq!(top_of_help(&app), end);
}

/// Where the steps do not fit, the one under way and the end stay in sight.
#[test]
fn a_change_of_more_nics_than_rows() {
    let mut app = four_hundred_nics((80, 24));
    press(&mut app, "X s Enter");
    let steps = app.change.as_ref().unwrap().steps.clone();
    assert!(steps.len() > 100, "{}", steps.len());
    let last = steps.last().unwrap();
    let state = StepState::Waiting { text: "the very last".to_owned() };
    let news = News { key: last.key.clone(), label: last.label.clone(), text: last.text.clone(), state };
    update(&mut app, Event::Progress(news));
    let drawn = picture(&app);
    assert!(drawn.contains("◐ guest49") && drawn.contains("the very last"), "{drawn}");
    assert!(drawn.contains("running; Esc closes this"), "{drawn}");
    assert!(!app.offers(Context::Steps, Action::Undo));
    update(&mut app, Event::Outcome(Box::new(Outcome::Verified { address: None })));
    assert!(picture(&app).contains("✔ verified by the kernel; u takes it back"), "{}", picture(&app));
    assert!(app.offers(Context::Steps, Action::Undo));
}

/// What nobody had planned is called by its name, and what cannot be undone is not offered to be.
#[test]
fn a_change_of_many_that_was_taken_back() {
    let mut app = four_hundred_nics((120, 40));
    press(&mut app, "X s Enter");
    let Some(Job::Many(many)) = app.change.as_ref().map(|change| change.job.clone()) else { panic!() };
    let news = |way, step, proof: &str| {
        let plan = &many.plans[0];
        let state = StepState::Done { proof: proof.to_owned(), millis: 3 };
        let progress = Progress { step, state };
        let news = apply::News { nic: plan.nic, guest: plan.guest.clone(), way, progress };
        Event::Progress(News::of_many(news))
    };
    update(&mut app, news(Way::There, StepId::Live, "it was there"));
    update(&mut app, news(Way::Back, StepId::Live, "it is back"));
    update(&mut app, Event::Outcome(Box::new(Outcome::Reverted { why: "another one failed".to_owned() })));
    let steps = &app.change.as_ref().unwrap().steps;
    let done: Vec<&str> =
        steps.iter().filter(|step| step.state.is_some()).map(|step| step.label.as_str()).collect();
    let guest = &many.plans[0].guest;
    assert_eq!(done, [guest.as_str(), &format!("back {guest}")]);
    assert!(!app.offers(Context::Steps, Action::Undo));
    assert_eq!(press(&mut app, "u"), []);
    assert!(app.said.as_deref().is_some_and(|said| said.starts_with("u does not take this one back")));
}

/// The last rows, where messages and keys stand.
fn footer(app: &App) -> String {
    let drawn = buffer(app, Theme::Mono, Glyphs::Unicode);
    let (columns, rows) = app.size;
    let line = |row| (0..columns).map(|column| drawn[(column, row)].symbol()).collect::<String>();
    (rows - rows / 4..rows).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_long_message_is_read_to_its_end() {
    let mut app = app((80, 24));
    let reason = "take network default → bridge virbr1 back: the NIC is no longer what that change made \
                  of it; look at it with virt-net show nics, then change it by s";
    update(&mut app, Event::Message(reason.to_owned()));
    let shown = footer(&app).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains(reason), "{shown}");
    press(&mut app, "j");
    assert!(footer(&app).contains("? all keys"));
    update(&mut app, Event::Message("word ".repeat(400)));
    assert!(picture(&app).contains("centos7"), "the panes keep their place");
}

/// What is refused can neither be applied nor looked at.
#[test]
fn the_footer_offers_what_can_be_done() {
    let mut app = app((120, 40));
    press(&mut app, "s");
    assert!(footer(&app).contains("Enter apply") && footer(&app).contains("x diff"));
    while !matches!(app.overlays.last(), Some(Overlay::Switch(form)) if form.planned.is_err()) {
        press(&mut app, "j");
    }
    let refused = footer(&app);
    assert!(!refused.contains("apply") && !refused.contains("diff"), "{refused}");
    assert!(refused.contains("Esc leave everything as it is"), "{refused}");
}

#[test]
fn without_a_free_nic_the_form_says_whose_ports_they_are() {
    let mut app = changed((120, 40), |facts| {
        let kernel = Arc::make_mut(&mut facts.kernel);
        let bridge = kernel.links.iter().find(|link| link.name.to_string() == "nobr0").unwrap().index;
        let eth0 = kernel.links.iter_mut().find(|link| link.name.to_string() == "eth0").unwrap();
        eth0.master = Some(bridge);
    });
    press(&mut app, "b");
    let drawn = picture(&app);
    assert!(drawn.contains("eth0 is a port of nobr0, eth1 of virbr1: no NIC is left"), "{drawn}");
    assert!(!footer(&app).contains("apply"), "{}", footer(&app));
}

/// A pulled cable, a tap off its bridge and a next boot that differs are said in words, on the row and below it.
#[test]
fn what_is_wrong_with_a_nic_is_said_first() {
    let wrong = |size| {
        changed(size, |facts| {
            for guest in &mut Arc::make_mut(&mut facts.libvirt).guests {
                let definitions = guest.live.iter_mut().filter(|_| guest.name == "centos7");
                definitions.for_each(|definition| definition.nics[0].link_down = true);
            }
            let kernel = Arc::make_mut(&mut facts.kernel);
            let tap = kernel.links.iter_mut().find(|link| link.name.to_string() == "vnet2").unwrap();
            (tap.master, tap.port) = (None, None);
        })
    };
    let narrow = picture(&wrong((80, 24)));
    assert!(narrow.contains(" ▲ cable pulled  ⧗ the next boot differs  192.168.122.208 L"), "{narrow}");
    for size in [(80, 24), (120, 40)] {
        let drawn = picture(&wrong(size));
        assert!(drawn.contains("running vnet0  ▲ cable pulled"), "{drawn}");
        assert!(drawn.contains("running vnet2  ▲ no bridge"), "{drawn}");
    }
}

/// No key is cut in the list of all keys, and every sign is explained.
#[test]
fn the_help_is_whole() {
    let mut app = app((80, 250));
    press(&mut app, "?");
    let drawn = picture(&app);
    assert!(drawn.contains("PageDown Ctrl-f Space a page down"), "{drawn}");
    for (sign, _) in ui::words::SIGNS {
        assert!(drawn.contains(&format!("│  {sign} ")), "{sign}: {drawn}");
    }
}

/// Elements in another order: the summary has nothing to tell, the whole texts are there.
#[test]
fn what_means_the_same_is_in_the_whole_text_only() {
    let mut app = app((120, 40));
    press(&mut app, "a l");
    let Some(Overlay::Confirm { job, .. }) = app.overlays.last_mut() else { panic!("no question") };
    let Job::Nic(plan) = job.as_mut() else { panic!("{}", job.title()) };
    let text = |elements: &str| format!("<interface>\n{elements}</interface>\n");
    let (mac, model) = ("  <mac address='52:54:00:aa:fc:1c'/>\n", "  <model type='virtio'/>\n");
    let (before, after) = (text(&format!("{mac}{model}")), text(&format!("{model}{mac}")));
    plan.next = Some(Edit { before, after });
    let summary = picture(&app);
    assert!(summary.contains("live              + <link state='down'/>"), "{summary}");
    assert!(!summary.contains("next boot"), "{summary}");
    press(&mut app, "x");
    let whole = picture(&app);
    assert!(whole.contains("next boot") && whole.contains("-   <model "), "{whole}");
}

#[test]
fn forms_in_the_smallest_terminal() {
    for (keys, name) in [("s", "switch"), ("a", "actions"), ("d", "doctor"), ("p", "path")] {
        let mut app = app((60, 12));
        press(&mut app, keys);
        assert_snapshot!(format!("smallest_{name}"), picture(&app));
    }
}

#[test]
fn the_small_forms_of_a_network() {
    for size in [(120, 40), (80, 24)] {
        let columns = size.0;
        for (letter, typed, name) in [
            ("k", "", "leases"),
            ("n", "1 9 2 . 1 6 8 . 1 2 2 . 9 Tab p r i n t e r", "names"),
            ("b", "1 0 0 0 , 2 0 0 0", "limits"),
            ("u", "s l o w Tab Right Tab 5 0 0", "portgroups"),
            ("6", "Tab o f f", "subnets"),
        ] {
            let mut app = app(size);
            press(&mut app, "4 a");
            press(&mut app, letter);
            press(&mut app, typed);
            assert_snapshot!(format!("network_{name}_{columns}"), picture(&app));
        }
        let mut app = app(size);
        press(&mut app, "4 a");
        assert_snapshot!(format!("network_menu_{columns}"), picture(&app));
    }
}
