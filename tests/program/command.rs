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
