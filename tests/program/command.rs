//! What the command line says, on a recorded host.

use crate::pty::Terminal;
use crate::screen::{KVM1, program};

fn said(arguments: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = ["--replay", KVM1].into_iter().chain(arguments.split(' ')).collect();
    let mut terminal = Terminal::start(200, 24, program(home.path(), &arguments));
    assert_eq!(terminal.end(), 2);
    terminal.text()
}

#[test]
fn an_unknown_guest_is_told_with_those_there_are_and_no_word_of_a_change() {
    let said = said("path nosuch");
    assert!(said.contains("there is no guest nosuch; there are: centos7, db01, web01"), "{said}");
    assert!(!said.contains("changed"), "{said}");
}

#[test]
fn of_several_nics_one_is_named_by_an_example() {
    for command in ["path", "switch", "nic down"] {
        let rest = if command == "switch" { " --to network=default" } else { "" };
        let said = said(&format!("{command} web01{rest}"));
        assert!(said.contains("guest web01 has several NICs: 0 52:54:00:11:22:33 vnet1, 1 "), "{said}");
        assert!(said.contains(&format!("as in: virt-net {command} web01 vnet1")), "{said}");
    }
}

/// The exit handlers of the C libraries would run beside libvirt's threads.
#[test]
fn the_process_ends_without_the_exit_handlers_of_c_libraries() {
    let home = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_virt-net"))
        .args(["--replay", KVM1, "show", "bridges"])
        .env("HOME", home.path())
        .env("LD_DEBUG", "files")
        .output()
        .unwrap();
    let (printed, loader) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && printed.contains("virbr0"), "{printed}{loader}");
    assert!(loader.contains("calling init: ") && !loader.contains("calling fini: "), "{loader}");
}
