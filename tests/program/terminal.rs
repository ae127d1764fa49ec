//! The terminal is as it was, however the program ends; and the program ends when its terminal does.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use portable_pty::CommandBuilder;

use crate::pty::Terminal;
use crate::screen::{KVM1, clean, program, replay};

#[test]
fn signals_end_it_with_the_terminal_restored() {
    for (signal, status) in
        [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGQUIT, 143), (Signal::SIGHUP, 129)]
    {
        let home = tempfile::tempdir().unwrap();
        let mut terminal = replay(home.path(), 120, 40);
        terminal.keys("M");
        terminal.until("the mouse", |screen| screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None);
        terminal.signal(signal);
        assert_eq!(terminal.end(), status, "{signal}");
        terminal.is_restored();
    }
}

#[test]
fn a_terminal_that_goes_takes_the_program_with_it() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 120, 40);
    let stat = format!("/proc/{}/stat", terminal.pid());
    let spent = || -> u64 {
        let stat = std::fs::read_to_string(&stat).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        fields.filter_map(|jiffies| jiffies.parse::<u64>().ok()).sum()
    };
    let before = spent();
    terminal.hang_up();
    let begun = Instant::now();
    // The figure of a process that has ended is there until it is waited for.
    while spent() < before + 100 && begun.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let spent = spent() - before;
    assert_eq!(terminal.end(), 129);
    assert!(spent < 100, "{spent} ticks of 10 ms");
}

/// A hang-up that nobody tells of (`nohup`, a lost session leader): the failing terminal ends it.
#[test]
fn a_terminal_that_goes_in_silence_ends_it_too() {
    let home = tempfile::tempdir().unwrap();
    let mut command = CommandBuilder::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" --replay \"$1\"", env!("CARGO_BIN_EXE_virt-net"), KVM1]);
    clean(&mut command, home.path());
    let mut terminal = Terminal::start(120, 40, command);
    terminal.shows("centos7");
    terminal.hang_up();
    assert_eq!(terminal.end(), 129);
}

#[test]
fn ctrl_z_gives_the_shell_back_and_fg_the_screen() {
    let home = tempfile::tempdir().unwrap();
    let mut command = CommandBuilder::new("bash");
    command.args(["--norc", "--noprofile", "--noediting", "-i"]);
    clean(&mut command, home.path());
    command.env("PS1", "ready> ");
    let mut shell = Terminal::start(100, 30, command);
    shell.shows("ready>");
    shell.keys(&format!("{} --replay {KVM1}\n", env!("CARGO_BIN_EXE_virt-net")));
    shell.shows("192.168.122.208");
    for _ in 0..2 {
        shell.keys("\x1a");
        shell
            .until("the shell", |screen| !screen.alternate_screen() && screen.contents().contains("Stopped"));
        assert!(shell.look(|screen| !screen.hide_cursor() && !screen.bracketed_paste()));
        shell.keys("clear; echo still here\n");
        shell.shows("still here");
        shell.keys("fg\n");
        shell.until("the screen", |screen| {
            screen.alternate_screen() && screen.contents().contains("192.168.122.208")
        });
        shell.keys("?");
        shell.shows("╭ Keys");
        shell.keys("\x1b");
        shell.hides("╭ Keys");
    }
    shell.keys("q");
    shell.until("the shell", |screen| !screen.alternate_screen());
    shell.keys("echo status $?\n");
    shell.shows("status 0");
}

#[test]
fn a_panic_of_the_screen_is_readable() {
    let home = tempfile::tempdir().unwrap();
    let mut command = program(home.path(), &["--replay", KVM1]);
    command.env("VIRT_NET_TEST_PANIC", "screen");
    let mut terminal = Terminal::start(120, 40, command);
    assert_eq!(terminal.end(), 101);
    terminal.is_restored();
    let shown = terminal.text();
    assert!(shown.contains("forced by VIRT_NET_TEST_PANIC=screen"), "{shown}");
    assert!(!shown.contains("1 NICs"), "{shown}");
}

/// The test driver's host and this machine's kernel: each source panics once.
#[test]
fn a_background_task_that_panics_starts_again() {
    for task in ["kernel", "libvirt", "collector"] {
        let home = tempfile::tempdir().unwrap();
        let mut command = program(home.path(), &["-c", "test:///default"]);
        command.env("VIRT_NET_TEST_PANIC", task);
        let mut terminal = Terminal::start(160, 40, command);
        let banner = format!("a bug: the {task} reader stopped");
        terminal.shows(&banner);
        assert!(terminal.look(vt100::Screen::alternate_screen), "the screen goes on");
        // It comes back by itself: the driver's one guest, and no source that is down.
        terminal.until("everything is read", |screen| {
            let header = screen.rows(0, 160).next().unwrap_or_default();
            header.contains("libvirt ●") && header.contains("kernel ●") && header.contains("1 guest")
        });
        terminal.keys("m");
        terminal.shows(&banner);
        terminal.shows("a background task panicked at src/source/supervise.rs");
        terminal.keys("\x1bq");
        assert_eq!(terminal.end(), 0, "{task}");
        terminal.is_restored();
        let log = std::fs::read_to_string(home.path().join("virt-net/virt-net.log")).unwrap();
        assert!(log.contains(&banner) && log.contains("ERROR"), "{log}");
    }
}

#[test]
fn without_a_terminal_it_refuses_in_one_sentence() {
    for stdin in [Stdio::null(), Stdio::piped()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_virt-net"));
        let output = command.args(["--replay", KVM1]).stdin(stdin).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told, "virt-net: the screen needs a terminal; `virt-net show` prints the same\n");
    }
}

/// A serial console tells no size.
#[test]
fn a_terminal_without_a_size_is_taken_for_80_by_24() {
    let home = tempfile::tempdir().unwrap();
    let terminal = Terminal::start(0, 0, program(home.path(), &["--replay", KVM1]));
    terminal.shows("centos7");
    terminal.shows("2 Bridges");
}

/// A line that hangs: the program goes on, ends when it is told to, and shows the newest when it can again.
#[test]
fn a_terminal_that_takes_nothing_holds_nothing_up() {
    let fill = |terminal: &mut Terminal| {
        terminal.takes_nothing(true);
        // Whole frames, more than any buffer on the way holds.
        for _ in 0..40 {
            terminal.keys("?");
            std::thread::sleep(Duration::from_millis(45));
            terminal.keys("\x1b\x0c");
            std::thread::sleep(Duration::from_millis(45));
        }
    };
    let home = tempfile::tempdir().unwrap();
    let mut terminal = replay(home.path(), 120, 40);
    fill(&mut terminal);
    terminal.keys("/web\r");
    terminal.takes_nothing(false);
    terminal.until("the newest frame", |screen| {
        let text = screen.contents();
        text.contains("web01") && !text.contains("db01")
    });

    fill(&mut terminal);
    let begun = Instant::now();
    terminal.signal(Signal::SIGTERM);
    assert_eq!(terminal.end(), 143);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
