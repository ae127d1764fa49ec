//! PURE. Keys of the path box.

use std::sync::Arc;

use super::boxes::nic_of;
use super::scroll;
use crate::app::action::Action;
use crate::app::path::{PathView, Probe};
use crate::app::{App, Effect, Overlay};
use crate::model::NicId;
use crate::path::probe::{Judgement, Probed};

pub(super) fn open(app: &mut App) {
    match nic_of(app) {
        Some(nic) => {
            let view = PathView::new(app.snapshot(), nic);
            app.overlays.push(Overlay::Path(Box::new(view)));
        }
        None => app.say("choose a NIC first (1), then p"),
    }
}

pub(super) fn on_path(app: &mut App, action: Action) -> Vec<Effect> {
    let snapshot = app.is_frozen().then(|| app.snapshot().clone());
    let live = Arc::clone(app.live());
    let snapshot = snapshot.as_ref().unwrap_or(&live);
    let Some(Overlay::Path(view)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::Down | Action::NextField => view.step(1, snapshot),
        Action::Up | Action::PreviousField => view.step(-1, snapshot),
        Action::Probe => {
            if matches!(view.probe, Probe::Running) {
                return Vec::new();
            }
            view.probe = Probe::Running;
            return vec![Effect::Probe(view.nic)];
        }
        Action::Close => {
            app.overlays.pop();
        }
        _ => {
            scroll(app, action);
        }
    }
    Vec::new()
}

/// What asking found, or why nothing could be asked.
pub(super) fn probed(app: &mut App, nic: NicId, found: Result<Vec<Probed>, String>) {
    let now = app.now;
    let mut views = app.overlays.iter_mut().filter_map(|overlay| match overlay {
        Overlay::Path(view) if view.nic == nic => Some(view),
        _ => None,
    });
    let view = views.next();
    match found {
        Ok(rows) => {
            let contradicts = rows.iter().filter(|row| row.judgement == Judgement::Contradicts).count();
            if let Some(view) = view {
                view.probe = Probe::Done { at: now, rows };
            }
            if contradicts > 0 {
                app.say(format!("the probe contradicts what is derived in {contradicts} of its questions"));
            }
        }
        Err(reason) => {
            if let Some(view) = view {
                view.probe = Probe::None;
            }
            app.say(reason);
        }
    }
}
