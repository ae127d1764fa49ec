//! PURE. The form of a guest's new NIC.

use super::{Field, Form, choice, refusal, text};
use crate::app::job::{Job, Planned};
use crate::change::nic::{self, NewNic};
use crate::change::{When, models, target};
use crate::model::{DomainId, Snapshot};

const WHEN: [(&str, When); 2] =
    [("now and at next boot", When::NowAndNextBoot), ("next boot only", When::NextBoot)];

pub(super) fn fields(snapshot: &Snapshot, id: DomainId) -> Option<(String, Vec<Field>)> {
    let guest = snapshot.guest(id)?;
    let places = target::places(snapshot).iter().map(target::Target::words).collect();
    let models = models::offered(snapshot, id);
    let when = WHEN.map(|(word, _)| word.to_owned()).to_vec();
    let at = usize::from(guest.live.is_none());
    let fields = vec![
        choice("to", "plug into", places, 0),
        choice("model", "model", models, 0),
        text("mac", "MAC", "", "empty: one that no guest has"),
        choice("when", "when", when, at),
    ];
    Some((format!("New NIC for {}", guest.name), fields))
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot, guest: DomainId) -> Planned {
    let said = form.get("to");
    let target = target::places(snapshot).into_iter().find(|place| place.words() == said);
    let new = NewNic {
        guest,
        target: target
            .ok_or_else(|| refusal("", format!("{said} is not open any more"), "choose another place"))?,
        model: form.get("model").to_owned(),
        mac: form.parsed("mac", "six bytes as 52:54:00:12:34:56")?,
        when: WHEN.get(form.at("when")).map_or(When::NowAndNextBoot, |(_, when)| *when),
    };
    nic::attach(snapshot, &new).map(Job::from)
}
