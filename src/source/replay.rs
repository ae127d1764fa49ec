//! READS. A recording in place of the host: the same collector, the same join.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;

use super::collector::Collector;
use super::{Sources, Update};
use crate::model::facts::Recording;
use crate::model::{Facts, Snapshot};

/// Why a recording cannot be played.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("read the recording {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is not a recording.
    #[error("read the recording {}: line {}, column {}: {error}", path.display(), error.line(), error.column())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        error: serde_json::Error,
    },
    /// It was written by another version, or holds nothing.
    #[error("read the recording {}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Reads a recording that `virt-net dump` wrote.
///
/// # Errors
/// A file that cannot be read, is not JSON of this shape, or has no frames.
pub fn read(path: &Path) -> Result<Recording, ReplayError> {
    let path_buf = || path.to_path_buf();
    let text =
        std::fs::read_to_string(path).map_err(|error| ReplayError::Read { path: path_buf(), error })?;
    let recording: Recording =
        serde_json::from_str(&text).map_err(|error| ReplayError::Parse { path: path_buf(), error })?;
    let content = |reason| Err(ReplayError::Content { path: path_buf(), reason });
    if recording.schema != Recording::SCHEMA {
        return content(format!(
            "it has schema {}, this program reads {}; use virt-net {}",
            recording.schema,
            Recording::SCHEMA,
            recording.program
        ));
    }
    if recording.frames.is_empty() {
        return content("it holds no frames".to_owned());
    }
    Ok(recording)
}

/// All snapshots of a recording, in order.
#[must_use]
pub fn snapshots(recording: &Recording) -> Vec<Arc<Snapshot>> {
    let Some(first) = recording.frames.first() else { return Vec::new() };
    let mut collector = Collector::new(first.host.clone());
    recording.frames.iter().map(|frame| step(&mut collector, frame)).collect()
}

fn step(collector: &mut Collector, frame: &Facts) -> Arc<Snapshot> {
    collector.take(Update::Libvirt {
        state: frame.health.libvirt.clone(),
        facts: Some(Arc::clone(&frame.libvirt)),
        version: frame.host.libvirt_version.clone(),
    });
    collector
        .take(Update::Kernel { state: frame.health.kernel.clone(), facts: Some(Arc::clone(&frame.kernel)) });
    collector.take(Update::Counters { at: frame.taken_at, table: Arc::clone(&frame.counters) });
    collector.take(Update::Firewall {
        state: frame.health.firewall.clone(),
        facts: Some(Arc::clone(&frame.firewall)),
    });
    collector.take(Update::Services(Arc::clone(&frame.services)));
    collector.join()
}

/// Plays a recording in its own time, then stays on its last frame.
#[must_use]
pub fn play(recording: &Recording) -> watch::Receiver<Arc<Snapshot>> {
    let frames = snapshots(recording);
    let mut frames = frames.into_iter();
    let first =
        frames.next().unwrap_or_else(|| Collector::new(crate::model::facts::HostFacts::default()).join());
    let mut before = first.taken_at;
    let (publish, receiver) = watch::channel(first);
    tokio::spawn(async move {
        for frame in frames {
            tokio::time::sleep(Duration::from_millis(frame.taken_at.millis_since(before).min(5_000))).await;
            before = frame.taken_at;
            if publish.send(frame).is_err() {
                return;
            }
        }
        publish.closed().await;
    });
    receiver
}

/// Records `frames` snapshots of the running sources, one per tick.
pub async fn record(sources: &mut Sources, frames: usize) -> Recording {
    let mut recording = Recording {
        schema: Recording::SCHEMA,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        frames: Vec::new(),
    };
    sources.with_devices().await;
    let first = sources.with_emulators().await;
    recording.frames.push(first.facts.clone());
    while recording.frames.len() < frames {
        let last = recording.frames.last().map(|frame| frame.taken_at).unwrap_or_default();
        let next = sources.snapshots.wait_for(|snapshot| snapshot.taken_at > last);
        match tokio::time::timeout(Duration::from_secs(5), next).await {
            Ok(Ok(snapshot)) => {
                let facts = snapshot.facts.clone();
                recording.frames.push(facts);
            }
            _ => break,
        }
    }
    recording
}
