//! A lab of its own for one test: `assets/lab up`, taken down when the test ends, however it ends.

use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running lab.
pub(crate) struct Lab {
    instance: String,
}

impl Lab {
    /// Starts the lab `name` with these arguments of `assets/lab up`; about 15 s.
    pub(crate) fn up(name: &str, arguments: &[&str]) -> Self {
        let lab = Self { instance: format!("test-{name}-{}", checkout()) };
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_virt-net")).parent().expect("a directory");
        let mut command = lab.command("up");
        succeed(command.args(arguments).arg("--bin").arg(binary));
        lab
    }

    /// Its name for `assets/lab`.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The process id of a host's first process, as seen from here.
    pub(crate) fn pid(&self, host: &str) -> u32 {
        let path = format!("/run/virt-net-lab/{}/{host}.pid", self.instance);
        let noted = std::fs::read_to_string(&path).expect("the host's pid file");
        noted.split_whitespace().next().and_then(|pid| pid.parse().ok()).expect("a pid")
    }

    /// The URI of a host's read-only libvirt socket, for this process outside of the lab.
    pub(crate) fn uri(&self, host: &str) -> String {
        let pid = self.pid(host);
        format!("qemu+unix:///system?socket=/proc/{pid}/root/run/libvirt/libvirt-sock-ro")
    }

    /// What a shell command prints on a host, or on `lan` or `pc`; it must succeed.
    pub(crate) fn run(&self, host: &str, command: &str) -> String {
        succeed(self.command("exec").args([host, "--", "sh", "-c", command]))
    }

    /// Starts a shell command on a host; its output and errors come through one pipe.
    pub(crate) fn start(&self, host: &str, command: &str) -> Child {
        let command = format!("exec 2>&1; {command}");
        let mut process = self.command("exec");
        process.args([host, "--", "sh", "-c", &command]).stdin(Stdio::null()).stdout(Stdio::piped());
        process.spawn().expect("starts")
    }

    /// What a command prints as JSON.
    pub(crate) fn json(&self, host: &str, command: &str) -> Value {
        let text = self.run(host, command);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}\n{text}"))
    }

    /// Runs a shell command inside a guest.
    pub(crate) fn guest(&self, host: &str, guest: &str, command: &str) -> String {
        succeed(self.command("guest").args([host, guest, command]))
    }

    /// Does something to a host's libvirtd: `start stop restart kill freeze thaw`.
    pub(crate) fn libvirtd(&self, host: &str, what: &str) {
        succeed(self.command("libvirtd").args([host, what]));
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/lab"));
        command.arg(subcommand).env("VIRT_NET_LAB", &self.instance);
        command
    }
}

/// The directory's name of this checkout: two of them may be tested at the same time.
fn checkout() -> &'static str {
    env!("CARGO_MANIFEST_DIR").rsplit('/').next().unwrap_or_default()
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.command("down").output();
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}{errors}", output.status);
    text
}
