//! `virt-net new`: a new guest by `virt-install`, shown before it runs.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use color_eyre::eyre::{Result, WrapErr as _};

use super::switch::{Consent, agreed, parse_target, unreadable};
use super::{ExitStatus, complain, json_text, preview, print, select};
use crate::change::Target;
use crate::change::new_guest::{self, Boot, Disk, Graphics, NewGuest};
use crate::change::target::quote;
use crate::source::{self, SourceOptions};
use crate::term::lend;
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
    /// A disk image that is there, or with --size where a new one is made
    #[arg(long, value_name = "PATH")]
    disk: Option<PathBuf>,
    /// GiB of a new disk [default without --disk: 20]
    #[arg(long, value_name = "GIB")]
    size: Option<u32>,
    /// Boot an installer from the network
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
    let call = match new_guest::plan(&snapshot, &args.wanted()) {
        Ok(call) => call,
        Err(refusal) => {
            preview::refused(&refusal);
            return Ok(ExitStatus::Refused);
        }
    };
    if args.consent.json {
        let words: Vec<_> = call.iter().map(|word| word.to_string_lossy()).collect();
        print(&json_text(&serde_json::json!({ "command": words }))?)?;
    } else {
        print(&format!("{}\n", line(&call)))?;
    }
    if args.consent.dry_run {
        return Ok(ExitStatus::Done);
    }
    if sources.updates.is_none() {
        complain("a recording cannot be changed");
        return Ok(ExitStatus::Refused);
    }
    if !args.consent.yes && !agreed().await? {
        return Ok(ExitStatus::Refused);
    }
    let ended = match tokio::task::spawn_blocking(move || lend(&call)).await? {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            complain(&format!("{} is not there; nothing was changed", new_guest::PROGRAM));
            complain(new_guest::PACKAGE);
            return Ok(ExitStatus::Refused);
        }
        ended => ended.wrap_err("run virt-install")?,
    };
    let there = |snapshot: &crate::model::Snapshot| {
        snapshot.libvirt.guests.iter().any(|guest| guest.name == args.name)
    };
    sources.refresh();
    let made = there(&*sources.until(Duration::from_secs(10), there).await);
    if !ended.success() || !made {
        complain(&format!("virt-install ended with {ended}; see its own words above"));
        return Ok(ExitStatus::Failed);
    }
    print(&format!("guest {} is there\n", escape(&args.name)))?;
    Ok(ExitStatus::Done)
}

/// The call as a shell line to read.
fn line(call: &[OsString]) -> String {
    let words: Vec<String> =
        call.iter().map(|word| escape(&quote(&word.to_string_lossy())).into_owned()).collect();
    words.join(" ")
}
