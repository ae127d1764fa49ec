//! The terminal lent to another program (`virsh console`, `virt-install`), and as it was afterwards, however
//! that program ended. The screen must have been left before.

use std::ffi::OsString;
use std::io::{self, stdin};
use std::process::{Command, ExitStatus};

use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};

/// Runs the call with this process's terminal and waits for its end.
///
/// # Errors
/// The program is not there or cannot be started.
pub fn lend(call: &[OsString]) -> io::Result<ExitStatus> {
    let Some((program, arguments)) = call.split_first() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to run"));
    };
    let before = tcgetattr(stdin()).ok();
    let ended = Command::new(program).args(arguments).status();
    if let Some(before) = before {
        // A program that was killed leaves the terminal raw.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &before);
    }
    ended
}
