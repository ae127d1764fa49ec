//! A probe that a key asked for, beside the loop; what it finds comes as an event.

use super::Session;
use crate::app::Event;
use crate::model::NicId;
use crate::source::probe::questions::{self, Scope};

impl Session {
    pub(super) fn probe(&self, nic: NicId) {
        let events = self.events.clone();
        if self.sources.updates.is_none() {
            let _ = events.send(Event::Probed(nic, Err("a recording cannot be asked".to_owned())));
            return;
        }
        let snapshot = self.sources.snapshots.borrow().clone();
        let uri = self.sources.uri.clone();
        tokio::task::spawn_blocking(move || {
            let rows = questions::ask(&snapshot, nic, &uri, Scope::HostAndGuest);
            let _ = events.send(Event::Probed(nic, Ok(rows)));
        });
    }
}
