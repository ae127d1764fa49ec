//! PURE. The words of the call.

use std::ffi::OsString;
use std::path::PathBuf;

use super::evidence::SPEAKS;
use super::{Boot, Disk, Graphics, NewGuest, PROGRAM};
use crate::change::target::Target;
use crate::model::Snapshot;

/// For a virt-install of this major version; one that is not known is taken for a new one.
pub(super) fn arguments(snapshot: &Snapshot, new: &NewGuest, version: Option<u32>) -> Vec<OsString> {
    let mut call: Vec<OsString> = vec![PROGRAM.into()];
    let mut say = |option: &str, value: OsString| call.extend([option.into(), value]);
    if !snapshot.host.uri.is_empty() {
        say("--connect", snapshot.host.uri.clone().into());
    }
    if let Some(kind) = &new.virt_type {
        say("--virt-type", kind.into());
    }
    say("--name", new.name.clone().into());
    say("--memory", new.memory.to_string().into());
    say("--vcpus", new.vcpus.to_string().into());
    say("--disk", disk(&new.disk));
    say("--network", format!("{},model={}", plug(&new.network), new.model).into());
    match &new.os {
        Some(os) => say("--os-variant", os.into()),
        // An older one takes this for the name of a system; it guesses unless it is told.
        None if version.is_some_and(|version| version < SPEAKS) => {}
        None => say("--os-variant", "detect=on,require=off".into()),
    }
    say(
        "--graphics",
        match new.graphics {
            Graphics::None => "none".into(),
            Graphics::Vnc(listen) => format!("vnc,listen={listen}").into(),
        },
    );
    match &new.boot {
        Boot::Pxe => call.push("--pxe".into()),
        Boot::Iso(path) => call.extend(["--cdrom".into(), path.into()]),
        Boot::Import => call.push("--import".into()),
        Boot::CloudImage => call.extend(["--import".into(), "--cloud-init".into()]),
    }
    call.push("--noautoconsole".into());
    call
}

fn disk(disk: &Disk) -> OsString {
    let at = |path: &PathBuf, rest: &str| {
        let mut text = OsString::from("path=");
        text.push(path);
        text.push(rest);
        text
    };
    match disk {
        Disk::New { path: Some(path), size } => at(path, &format!(",size={size},format=qcow2,bus=virtio")),
        Disk::New { path: None, size } => format!("size={size},bus=virtio").into(),
        Disk::Existing(path) => at(path, ",bus=virtio"),
        Disk::Diskless => "none".into(),
    }
}

fn plug(target: &Target) -> String {
    match target {
        Target::Network { network } => format!("network:{network}"),
        Target::Bridge { bridge } => format!("bridge:{bridge}"),
        // Not planned: the guest gets it afterwards.
        Target::Pci { device } => format!("type=hostdev,source={device}"),
        Target::Macvtap { lower, mode } => format!("type=direct,source={lower},source.mode={}", mode.word()),
    }
}
