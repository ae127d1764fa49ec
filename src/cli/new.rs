//! `virt-net new`: a new guest by `virt-install`, shown before it runs.

use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use tokio::signal::unix::{SignalKind, signal};

use super::switch::{Agreed, Consent, agree, parse_target, status_of, unreadable};
use super::{ExitStatus, complain, preview, print, select};
use crate::change::apply::{self, Tools};
use crate::change::new_guest::said::Said;
use crate::change::new_guest::{self, Boot, Disk, Graphics, GuestPlan, NewGuest};
use crate::change::{Outcome, Progress, Target};
use crate::source::{self, SourceOptions};
use crate::ui::text::escape;

/// Arguments of `new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// Its name
    name: String,
    /// Where its NIC is plugged in: network=NAME, bridge=NAME or macvtap=LINK[,mode=bridge|vepa|private|passthrough]
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    to: Target,
    /// The NIC's model
    #[arg(long, default_value = "virtio")]
    model: String,
    /// Memory in MiB
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Processors
    #[arg(long, default_value_t = 2)]
    vcpus: u32,
    /// A disk image that is there, or with --size where a new one is made; none for a guest without a disk
    #[arg(long, value_name = "PATH|none")]
    disk: Option<PathBuf>,
    /// GiB of a new disk [default without --disk: 20]
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(u32).range(1..))]
    size: Option<u32>,
    /// Boot an installer from the network [default]
    #[arg(long, group = "first")]
    pxe: bool,
    /// Boot this installer
    #[arg(long, value_name = "PATH", group = "first")]
    iso: Option<PathBuf>,
    /// Boot the system on its disk
    #[arg(long, group = "first")]
    import: bool,
    /// Boot the cloud image on its disk, with a root password that virt-install tells
    #[arg(long, group = "first")]
    cloud_image: bool,
    /// VNC at this address of the host, or none for the serial console alone
    #[arg(long, value_name = "ADDRESS|none", value_parser = parse_graphics, default_value = "127.0.0.1")]
    graphics: Graphics,
    /// kvm, qemu, … [default: virt-install's choice]
    #[arg(long)]
    virt_type: Option<String>,
    /// The system in it, as osinfo-query names it [default: guessed]
    #[arg(long)]
    os: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

fn parse_graphics(text: &str) -> Result<Graphics, String> {
    if text == "none" {
        return Ok(Graphics::None);
    }
    text.parse::<IpAddr>()
        .map(Graphics::Vnc)
        .map_err(|_| "expected an address of the host, or none".to_owned())
}

impl NewArgs {
    fn wanted(&self) -> NewGuest {
        let disk = match (&self.disk, self.size) {
            (Some(path), None) if path.as_os_str() == "none" => Disk::Diskless,
            (Some(path), None) => Disk::Existing(path.clone()),
            (path, size) => Disk::New { path: path.clone(), size: size.unwrap_or(20) },
        };
        let boot = match &self.iso {
            Some(path) => Boot::Iso(path.clone()),
            None if self.import => Boot::Import,
            None if self.cloud_image => Boot::CloudImage,
            None => Boot::Pxe,
        };
        NewGuest {
            name: self.name.clone(),
            memory: self.memory,
            vcpus: self.vcpus,
            disk,
            network: self.to.clone(),
            model: self.model.clone(),
            boot,
            graphics: self.graphics.clone(),
            virt_type: self.virt_type.clone(),
            os: self.os.clone(),
        }
    }
}

pub(super) async fn run(args: &NewArgs, options: &SourceOptions) -> Result<ExitStatus> {
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(sentence) = unreadable(&snapshot) {
        complain(&sentence);
        return Ok(ExitStatus::Refused);
    }
    if let Some(sentence) = select::unknown_target(&snapshot, &args.to) {
        complain(&sentence);
        return Ok(ExitStatus::Usage);
    }
    let new = args.wanted();
    let mut planned = new_guest::plan(&snapshot, &new, None);
    if let (Ok(plan), Some(_)) = (&planned, &sources.updates) {
        let question = plan.question.clone();
        // Files that never answer are waited for no longer than this; they are looked at again before it runs.
        let look = tokio::task::spawn_blocking(move || apply::guest::look(&question));
        if let Ok(Ok(evidence)) = tokio::time::timeout(Duration::from_secs(10), look).await {
            planned = new_guest::plan(&snapshot, &new, Some(&evidence));
        }
    }
    let plan = match planned {
        Ok(plan) => plan,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    match agree(&preview::new_guest(&plan), &plan, &args.consent, &sources).await? {
        Agreed::Not(status) => Ok(status),
        Agreed::With(tools) => Ok(status_of(&follow(&plan, &tools, &args.consent).await?)),
    }
}

/// Runs it and prints what virt-install says, cleaned; ctrl-C stops virt-install, and what it leaves is told.
async fn follow(plan: &GuestPlan, tools: &Tools, consent: &Consent) -> Result<Outcome> {
    let (tell, mut news) = tokio::sync::mpsc::unbounded_channel();
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let hear = |said: Said| {
        let Said::Line(line) = said else { return };
        let line = format!("  {}\n", escape(&line));
        // A reader that is gone ends nothing in the middle; with --json standard output is for the object.
        if consent.json {
            let _ = std::io::stderr().write_all(line.as_bytes());
        } else {
            let _ = print(&line);
        }
    };
    super::ending::change_begins();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // A terminal that is gone must not end it in the middle.
    let _hang_up = signal(SignalKind::hangup())?;
    let mut told = Vec::new();
    let mut note = |progress: Progress| {
        if !consent.json {
            let _ = print(&preview::progress(&progress));
        }
        told.push(progress);
    };
    let halt = || {
        complain("stopping virt-install; what it leaves is told");
        let _ = stop.send(true);
    };
    let change = apply::guest::run(plan, tools, &tell, &hear, stopping);
    tokio::pin!(change);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(progress) = news.recv() => note(progress),
            Some(()) = interrupt.recv() => halt(),
            Some(()) = terminate.recv() => halt(),
            outcome = &mut change => break outcome,
        }
    };
    while let Ok(progress) = news.try_recv() {
        note(progress);
    }
    if consent.json {
        print(&preview::json(plan, &told, Some(&outcome))?)?;
    } else {
        preview::outcome(&outcome)?;
    }
    Ok(outcome)
}
