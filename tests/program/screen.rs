//! What the screen shows and sends, in a real terminal, on a recorded host.

use std::path::Path;
use std::time::{Duration, Instant};

use portable_pty::CommandBuilder;

use crate::pty::Terminal;

/// A recording of the lab's kvm1.
pub(crate) const KVM1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kvm1.json");

/// The program with these arguments, in an environment of its own.
pub(crate) fn program(home: &Path, arguments: &[&str]) -> CommandBuilder {
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_virt-net"));
    command.args(arguments);
    clean(&mut command, home);
    command
}

/// Nothing of the tester's own environment decides what is seen.
pub(crate) fn clean(command: &mut CommandBuilder, home: &Path) {
    for variable in
        ["NO_COLOR", "LC_ALL", "LC_CTYPE", "SSH_CONNECTION", "LIBVIRT_DEFAULT_URI", "RUST_BACKTRACE"]
    {
        command.env_remove(variable);
    }
    for (variable, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")] {
        command.env(variable, value);
    }
    for variable in ["HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
        command.env(variable, home);
    }
}

/// The recorded host on a screen of this size.
pub(crate) fn replay(home: &Path, columns: u16, rows: u16) -> Terminal {
    let terminal = Terminal::start(columns, rows, program(home, &["--replay", KVM1]));
    terminal.shows("centos7");
    terminal
}

#[test]
fn it_opens_answers_keys_and_closes() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 120, 40);
    for pane in ["1 NICs", "2 Bridges and ports", "3 NAT rules", "4 Networks"] {
        terminal.shows(pane);
    }
    let nic = terminal.row("52:54:00:aa:fc:1c");
    for cell in ["centos7", "running", "vnet0", "network default", "virtio", "192.168.122.208"] {
        assert!(nic.contains(cell), "{cell}: {nic}");
    }

    terminal.keys("?");
    terminal.shows("Keys");
    terminal.keys("\x1b");
    terminal.hides("╭ Keys");
    terminal.keys("\r");
    terminal.shows("NEXT BOOT");
    terminal.keys("q");
    terminal.until("the panes", |screen| !screen.contents().contains("centos7 · vnet0"));
    terminal.keys("s");
    terminal.shows("Switch centos7");
    terminal.keys("\x1b");
    terminal.hides("Switch centos7");
    terminal.keys("/web\r");
    terminal.hides("db01");
    terminal.keys("\x1b");
    terminal.shows("db01");

    // A change of a recording is refused in words, and nothing waits.
    terminal.keys("s\r");
    terminal.shows("nothing was changed");
    terminal.shows("this is a recording");
    terminal.keys("\x1b");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
    terminal.is_restored();
}

#[test]
fn a_key_is_answered_at_once() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 120, 40);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        terminal.keys("?");
        terminal.until("the help", |screen| screen.contents().contains("╭ Keys"));
        waits.push(begun.elapsed());
        terminal.keys("\x1b[F\x1b");
        terminal.until("no help", |screen| screen.contents().contains("db01"));
    }
    waits.sort();
    // A debug build on a busy machine: well below what a person sees as a wait.
    assert!(waits[5] < Duration::from_millis(700), "{waits:?}");
}

#[test]
fn the_size_decides_what_fits() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 120, 40);
    terminal.resize(80, 24);
    // One pane at a time: the others are tabs.
    terminal.hides("2 Bridges and ports");
    terminal.shows("2 Bridges");
    terminal.shows("vnet0 ─ virbr0");
    terminal.keys("2");
    terminal.shows("forwarding");
    terminal.keys("1");
    terminal.resize(60, 12);
    terminal.shows("centos7");
    terminal.until("a pane of 60 columns", |screen| {
        let mut rows = screen.rows(0, 60);
        rows.any(|row| row.starts_with('╭') && row.ends_with('╮') && row.chars().count() == 60)
    });
    terminal.resize(40, 10);
    terminal.shows("virt-net needs 60 x 12, this is 40 x 10");
    terminal.resize(120, 40);
    terminal.shows("4 Networks");
    terminal.keys("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn an_idle_screen_sends_the_clock_alone() {
    let home = tempfile::tempdir().unwrap();
    let terminal = replay(home.path(), 120, 40);
    // The recording ends after two seconds; then only time passes.
    std::thread::sleep(Duration::from_secs(4));
    let before = terminal.sent();
    std::thread::sleep(Duration::from_secs(3));
    let sent = terminal.bytes(before);
    let text = String::from_utf8_lossy(&sent).into_owned();
    // A frame of the clock's one or two digits is about 60 bytes.
    assert!((1..=400).contains(&sent.len()), "{} bytes in 3 s: {text:?}", sent.len());
    let mut blank = vt100::Parser::new(40, 120, 0);
    blank.process(&sent);
    let shown = blank.screen().contents();
    let elsewhere = shown.lines().enumerate().filter(|(row, text)| *row > 0 && !text.trim().is_empty());
    assert_eq!(elsewhere.count(), 0, "only the header's clock: {shown}");
    assert!(
        shown.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || c == ':' || c == 'Z'),
        "{shown}"
    );
}

#[test]
fn without_colour_the_selected_row_is_still_seen() {
    let home = tempfile::tempdir().unwrap();
    let mut command = program(home.path(), &["--replay", KVM1]);
    command.env("NO_COLOR", "1");
    let mut terminal = Terminal::start(120, 40, command);
    terminal.shows("web01");
    let selected = |name: &'static str| {
        move |screen: &vt100::Screen| {
            let row = screen.rows(0, 120).position(|row| row.contains(name)).unwrap_or(0);
            let cell = screen.cell(u16::try_from(row).unwrap(), 4).expect("a cell");
            cell.inverse()
        }
    };
    terminal.until("centos7 in reverse", selected("centos7"));
    terminal.keys("j");
    terminal.until("db01 in reverse", selected("db01"));
    let coloured = terminal.look(|screen| {
        let cells = (0..40).flat_map(|row| (0..120).filter_map(move |column| screen.cell(row, column)));
        cells
            .filter(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
            .count()
    });
    assert_eq!(coloured, 0, "cells with colour");
}

#[test]
fn a_plain_terminal_gets_ascii() {
    for (variable, value) in [("LANG", "C"), ("TERM", "vt220")] {
        let home = tempfile::tempdir().unwrap();
        let mut command = program(home.path(), &["--replay", KVM1]);
        command.env(variable, value);
        let mut terminal = Terminal::start(120, 40, command);
        terminal.shows("centos7");
        for keys in ["?", "\x1b", "\r", "\x1b", "s", "\x1b"] {
            terminal.keys(keys);
            std::thread::sleep(Duration::from_millis(200));
        }
        let sent = terminal.bytes(0);
        let other = sent.iter().position(|byte| !byte.is_ascii());
        let around = other.map(|at| {
            String::from_utf8_lossy(&sent[at.saturating_sub(30)..(at + 30).min(sent.len())]).into_owned()
        });
        assert_eq!(around, None, "{variable}={value}");
        let title = terminal.row("1 NICs");
        assert!(!title.contains('?'), "{variable}={value}: {title}");
    }
}

#[test]
fn pasted_text_confirms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 120, 40);
    terminal.keys("s");
    terminal.shows("Switch centos7");
    let form = terminal.text();
    terminal.keys("\x1b[200~y\r\n\r\x1b[201~");
    std::thread::sleep(Duration::from_millis(700));
    let without_clock = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_clock(&terminal.text()), without_clock(&form), "the form is as it was");
    terminal.keys("\x1b/");
    terminal.keys("\x1b[200~web\n\x1b[31m\x1b[201~");
    // A text field takes the text, without what could be a key.
    terminal.shows("/ web[31m");
}

#[test]
fn settings_change_keys_and_wrong_ones_are_told() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("settings.toml");
    let settings = file.to_str().unwrap();
    std::fs::write(&file, "glyphs = 'ascii'\n[keys.panes]\nquit = ['Z']\nhelp = ['h']\n").unwrap();
    let arguments = ["--replay", KVM1, "--config", settings];
    let mut wrong = Terminal::start(120, 40, program(home.path(), &arguments));
    assert_eq!(wrong.end(), 2);
    assert!(wrong.text().contains("keys.panes.help"), "{}", wrong.text());
    assert!(!wrong.look(vt100::Screen::alternate_screen));

    std::fs::write(&file, "glyphs = 'ascii'\n[keys.panes]\nquit = ['Z']\n").unwrap();
    let mut terminal = Terminal::start(160, 40, program(home.path(), &arguments));
    terminal.shows("Z quit");
    terminal.keys("q");
    std::thread::sleep(Duration::from_millis(300));
    terminal.keys("Z");
    assert_eq!(terminal.end(), 0);
}

/// What was dumped, replayed and dumped again is the same, and shows the same.
#[test]
fn a_recording_of_a_recording_is_the_same() {
    let run = |arguments: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_virt-net")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let read = |text: &str| serde_json::from_str::<virt_net::model::facts::Recording>(text).unwrap();
    let again = run(&["--replay", KVM1, "dump", "--frames", "1"]);
    let (mut first, mut second) = (read(&std::fs::read_to_string(KVM1).unwrap()), read(&again));
    // The version that wrote it is its own.
    first.program.clear();
    second.program.clear();
    assert_eq!(first, second);
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("again.json");
    std::fs::write(&file, again).unwrap();
    let show = |file: &str| run(&["--replay", file, "show", "--json"]);
    assert_eq!(show(KVM1), show(file.to_str().unwrap()));
}

#[test]
fn the_form_of_a_new_guest_is_filled_by_keys_and_makes_nothing_on_a_recording() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 80, 24);
    terminal.keys("ag");
    terminal.shows("New guest");
    terminal.shows("the guest has no name yet");
    // Pasted with its line break: typed, not confirmed.
    terminal.keys("\x1b[200~web02\r\n\x1b[201~");
    terminal.shows("virt-install --connect qemu:///system --name web02");
    terminal.shows("Before it runs are looked at");
    terminal.keys("\x1b[B\x1b[C");
    terminal.hides("network:default,model=virtio");
    terminal.keys("\x1b[D");
    terminal.shows("network:default,model=virtio");
    terminal.keys("\r");
    terminal.shows("nothing was changed");
    terminal.shows("this is a recording");
    terminal.keys("\x1bq");
    assert_eq!(terminal.end(), 0);
    terminal.is_restored();
}
