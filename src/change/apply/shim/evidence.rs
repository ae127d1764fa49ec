//! READS. What a shim's plan must know that no snapshot has: the NIC's owner, and files of earlier shims.

use std::fs;
use std::path::{Path, PathBuf};

use crate::change::bridge::evidence::{fresh_uuid, owners};
use crate::change::bridge::files;
use crate::change::bridge::persist::{Owner, Text};
use crate::change::shim::{ShimEvidence, ShimWant, persist};
use crate::model::{IfName, Snapshot};

/// Looks at what the change would meet.
#[must_use]
pub fn read(snapshot: &Snapshot, want: &ShimWant) -> ShimEvidence {
    let mut evidence = ShimEvidence { uuid: fresh_uuid(), ..ShimEvidence::default() };
    let (Some(over), Some(shim)) = (want.over(snapshot), want.shim(snapshot)) else { return evidence };
    if let Some(link) = snapshot.link_named(over) {
        evidence.owners = owners(Path::new("/"), over, link.index);
    }
    evidence.ifup_local = files::read(Path::new(persist::IFUP_LOCAL)).ok().flatten();
    evidence.own_files = own_files(shim, &evidence.owners);
    evidence.arp_filter = super::arp_filter(shim);
    if let ShimWant::Back { done, .. } = want {
        let now = done.lasting.iter().map(|file| (file.path.clone(), files::read(&file.path).ok().flatten()));
        evidence.written = now.collect();
    }
    evidence
}

fn own_files(shim: IfName, owners: &[Owner]) -> Vec<Text> {
    let mut paths: Vec<PathBuf> = vec![
        persist::sysctl_file(shim).into(),
        persist::profile(shim).into(),
        persist::dispatcher(shim).into(),
        persist::IFUP_LOCAL.into(),
        persist::networkd_file(shim, "network").into(),
        persist::networkd_file(shim, "netdev").into(),
    ];
    // Drop-ins of whatever file the NIC had then.
    let directories = fs::read_dir("/etc/systemd/network").into_iter().flatten().flatten();
    paths.extend(directories.map(|entry| entry.path().join(persist::drop_in(shim))));
    paths.extend(owners.iter().filter_map(|owner| match owner {
        Owner::Ifupdown { file, .. } => Some(file.path.clone()),
        _ => None,
    }));
    let begin = persist::mark(shim) + " ";
    let marked = |text: &String| text.lines().any(|line| line.trim_start().starts_with(&begin));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok().filter(marked)?;
        Some(Text { path, text })
    };
    paths.into_iter().filter_map(read).collect()
}
