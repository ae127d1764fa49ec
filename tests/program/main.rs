//! The program as a process: command line and pty. No privilege needed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod command;
mod libvirt;
#[path = "../common/pty.rs"]
mod pty;
mod screen;
mod terminal;
