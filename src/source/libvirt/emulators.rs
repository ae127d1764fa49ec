//! READS. The NIC models of the guests' emulators, once per emulator and machine, on a thread of its own:
//! libvirt may probe an emulator for seconds before it answers.
//!
//! libvirt gives domain capabilities only over its writing socket. Where they list no models, or that socket
//! would need a password, the emulator itself is asked for its devices: only one that root alone may write,
//! on this host, as nobody, with an empty environment and a deadline.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::connection::{Access, Connection};
use super::pulse::Pulse;
use super::reader::Wake;
use crate::model::emulator::{DomainCapabilities, Emulator, EmulatorKey, models_of_device_help};
use crate::source::supervise::{self, start};

/// How long an emulator may take to list its devices.
const LISTING: Duration = Duration::from_secs(10);

/// The thread that finds out, and what it was asked.
pub(super) struct Emulators {
    uri: String,
    pulse: Arc<Pulse>,
    wake: Sender<Wake>,
    asked: Vec<EmulatorKey>,
    thread: Option<Sender<Vec<EmulatorKey>>>,
}

impl Emulators {
    pub(super) const fn new(uri: String, pulse: Arc<Pulse>, wake: Sender<Wake>) -> Self {
        Self { uri, pulse, wake, asked: Vec::new(), thread: None }
    }

    /// Finds out about those that were not asked for before.
    pub(super) fn ask(&mut self, keys: Vec<EmulatorKey>) {
        let new: Vec<EmulatorKey> = keys.into_iter().filter(|key| !self.asked.contains(key)).collect();
        if new.is_empty() {
            return;
        }
        let thread = self.thread.get_or_insert_with(|| {
            let (sender, wanted) = channel();
            let (uri, pulse, wake) = (self.uri.clone(), Arc::clone(&self.pulse), self.wake.clone());
            start("libvirt-emulators", move || {
                supervise::thread("libvirt-emulators", drop, || run(&uri, &pulse, &wanted, &wake));
            });
            sender
        });
        self.asked.extend(new.iter().cloned());
        let _ = thread.send(new);
    }
}

fn run(uri: &str, pulse: &Pulse, wanted: &Receiver<Vec<EmulatorKey>>, wake: &Sender<Wake>) {
    let mut lists = BTreeMap::new();
    while let Ok(keys) = wanted.recv() {
        let connection = Access::ReadWrite.is_free_of_prompts(uri).then(|| {
            let opened = Connection::open(uri, Access::ReadWrite);
            opened.inspect_err(|error| tracing::debug!("for the emulators: {error}")).ok()
        });
        let connection = connection.flatten();
        let emulators = keys.into_iter().take_while(|_| !pulse.is_over()).map(|key| {
            let models = models(uri, connection.as_ref(), &key, &mut lists, pulse);
            Emulator { key, models }
        });
        if wake.send(Wake::Emulators(emulators.collect())).is_err() {
            return;
        }
    }
}

fn models(
    uri: &str,
    connection: Option<&Connection>,
    key: &EmulatorKey,
    lists: &mut BTreeMap<String, Vec<String>>,
    pulse: &Pulse,
) -> Vec<String> {
    let said = connection.and_then(|connection| {
        let xml = connection.domain_capabilities(key);
        let xml = xml.inspect_err(|error| tracing::debug!("{error}")).ok()?;
        DomainCapabilities::parse(&xml).inspect_err(|error| tracing::warn!("{error}")).ok()
    });
    let said = said.unwrap_or_default();
    if !said.models.is_empty() {
        return said.models;
    }
    let path = said.path.or_else(|| key.emulator.clone()).filter(|_| is_here(uri));
    let Some(path) = path else { return Vec::new() };
    lists.entry(path).or_insert_with_key(|path| device_help(path, pulse).unwrap_or_default()).clone()
}

/// The daemon's paths are this process's paths.
fn is_here(uri: &str) -> bool {
    uri.starts_with("qemu:///") && !uri.contains("socket=")
}

fn device_help(path: &str, pulse: &Pulse) -> Option<Vec<String>> {
    let path = Path::new(path);
    let file = path.metadata().ok()?;
    if !path.is_absolute() || file.uid() != 0 || file.mode() & 0o022 != 0 {
        tracing::warn!("{path:?} is not asked for its NIC models: others than root may write it");
        return None;
    }
    let mut command = Command::new(path);
    command.args(["-machine", "none", "-nodefaults", "-display", "none", "-device", "help"]);
    command.env_clear().current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    if nix::unistd::geteuid().is_root() {
        // The kernel's overflow ids: nobody and nogroup, whatever they are called here.
        command.uid(65534).gid(65534);
    }
    let mut child = command.spawn().inspect_err(|error| tracing::debug!("run {path:?}: {error}")).ok()?;
    // Read on another thread: a full pipe would keep the emulator from ending.
    let mut output = child.stdout.take()?;
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut output, &mut text).map(|_| text)
    });
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(None) if begun.elapsed() < LISTING && !pulse.is_over() => {
                std::thread::sleep(Duration::from_millis(10));
            }
            ended => {
                tracing::debug!("{path:?} lists no devices: {ended:?}");
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
    let text = reader.join().ok()?.ok()?;
    Some(models_of_device_help(&String::from_utf8_lossy(&text)))
}
