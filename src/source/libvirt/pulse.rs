//! The health of the libvirt source, seen from outside the thread that may hang in a call.
//!
//! All updates go out under one lock, so that "stale" can never overtake the "ok" that follows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{ErrorKind, LibvirtError};
use crate::model::facts::LibvirtFacts;
use crate::model::{SourceState, Timestamp};
use crate::source::{Update, Updates, now};

/// A call that takes longer than this is shown as a hung daemon.
const HUNG: Duration = Duration::from_millis(2500);
/// How often the watch looks.
const LOOK: Duration = Duration::from_millis(250);

/// What the reader does now, and what was last said about it.
#[derive(Debug)]
pub(super) struct Pulse {
    inner: Mutex<Inner>,
    updates: Updates,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    /// The call that is under way.
    asking: Option<(Instant, &'static str)>,
    /// When libvirt last answered.
    good: Option<Timestamp>,
    /// What the collector was told.
    told: SourceState,
}

impl Pulse {
    pub(super) fn new(updates: Updates) -> Self {
        Self { inner: Mutex::default(), updates, over: AtomicBool::new(false) }
    }

    /// Whoever reads shall stop after the call under way.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Nobody listens any more.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.updates.is_closed()
    }

    /// A call begins; `what` completes "waiting to …".
    pub(super) fn asking(&self, what: &'static str) {
        self.lock().asking = Some((Instant::now(), what));
    }

    /// The calls ended well: tells the collector, unless it knows and nothing changed.
    pub(super) fn rest(&self, changed: Option<Arc<LibvirtFacts>>, version: Option<&str>) {
        let mut inner = self.lock();
        inner.asking = None;
        inner.good = Some(now());
        if changed.is_some() || !inner.told.is_ok() {
            self.tell(&mut inner, SourceState::Ok, changed, version);
        }
    }

    /// The connection is gone or could not be opened; the last figures stay.
    pub(super) fn lost(&self, error: &LibvirtError) {
        let mut inner = self.lock();
        inner.asking = None;
        let state = match (error.kind, error.hint()) {
            (ErrorKind::Denied, Some(hint)) => SourceState::Denied { hint: format!("{error}; {hint}") },
            _ => SourceState::Down {
                since: match inner.told {
                    SourceState::Down { since, .. } => since,
                    _ => now(),
                },
                error: error.to_string(),
            },
        };
        if inner.told != state {
            self.tell(&mut inner, state, None, None);
        }
    }

    /// The reader is gone, and comes again.
    pub(super) fn stopped(&self, error: String) {
        let mut inner = self.lock();
        inner.asking = None;
        self.tell(&mut inner, SourceState::Down { since: now(), error }, None, None);
    }

    /// Looks at the reader until nobody listens any more.
    pub(super) fn watch(&self) {
        while !self.is_over() {
            thread::sleep(LOOK);
            self.look();
        }
    }

    fn look(&self) {
        let mut inner = self.lock();
        let Some((since, what)) = inner.asking.filter(|(since, _)| since.elapsed() > HUNG) else { return };
        if matches!(inner.told, SourceState::Stale { .. }) {
            return;
        }
        let began = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let state = SourceState::Stale {
            since: inner.good.unwrap_or(Timestamp(now().0.saturating_sub(began))),
            reason: format!("libvirt does not answer: waiting to {what}"),
        };
        self.tell(&mut inner, state, None, None);
    }

    fn tell(
        &self,
        inner: &mut Inner,
        state: SourceState,
        facts: Option<Arc<LibvirtFacts>>,
        version: Option<&str>,
    ) {
        inner.told = state.clone();
        let _ = self.updates.send(Update::Libvirt { state, facts, version: version.map(str::to_owned) });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every write leaves the data whole, so a holder that panicked does no harm.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
