//! PURE. Keys of the boxes that lead to a change: the menu of a row, forms, the switch form; and marks.

use std::sync::Arc;

use super::{beyond_draft, consider, is_busy, scroll, start};
use crate::app::action::Action;
use crate::app::form::SwitchForm;
use crate::app::forms::{Form, FormKind};
use crate::app::menu::{Deed, Menu};
use crate::app::{App, Code, Effect, Key, Overlay, RowId};
use crate::change::console;
use crate::model::guest::NicSource;
use crate::model::{DomainId, NicId};

/// The NIC of the selected row, if it has one.
pub(super) fn nic_of(app: &App) -> Option<NicId> {
    app.nic_of_row(app.live())
}

pub(super) fn open_switch(app: &mut App, nic: Option<NicId>) {
    if app.is_changing() {
        app.say("a change is running; c shows it");
        return;
    }
    let snapshot = app.live();
    let marked: Vec<NicId> =
        snapshot.nics.iter().map(|nic| nic.id).filter(|id| app.marked.contains(id)).collect();
    // A NIC that was named is meant alone.
    let marked = if nic.is_some() { Vec::new() } else { marked };
    match nic.or_else(|| marked.first().copied()).or_else(|| nic_of(app)) {
        Some(nic) => {
            let form = SwitchForm::new(snapshot, nic, marked).with_bounce(snapshot, app.bounce);
            app.overlays.push(Overlay::Switch(Box::new(form)));
        }
        None => app.say("choose a NIC first (1), then s"),
    }
}

pub(super) fn mark(app: &mut App) {
    match nic_of(app) {
        Some(nic) => {
            if !app.marked.remove(&nic) {
                app.marked.insert(nic);
            }
            super::step(app, 1);
        }
        None => app.say("only NICs are marked"),
    }
}

/// All NICs where the selected one is plugged; a second time none.
pub(super) fn mark_all(app: &mut App) {
    let snapshot = Arc::clone(app.live());
    let source = nic_of(app).and_then(|nic| snapshot.nic(nic)?.source().cloned());
    let Some(source) = source else {
        app.marked.clear();
        return;
    };
    let there = |nic: &&crate::model::Nic| nic.source().is_some_and(|other| other.same_plug(&source));
    let all: std::collections::BTreeSet<NicId> =
        snapshot.nics.iter().filter(there).map(|nic| nic.id).collect();
    app.marked = if app.marked == all { std::collections::BTreeSet::new() } else { all };
}

pub(super) fn open_menu(app: &mut App) {
    let row = app.cursor(app.focus);
    match Menu::of(app.live(), row.as_ref()) {
        Some(menu) => app.overlays.push(Overlay::Menu(menu)),
        None => app.say("nothing can be done with this row"),
    }
}

pub(super) fn on_menu(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(Overlay::Menu(menu)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::Up => menu.step(-1),
        Action::Down => menu.step(1),
        Action::Apply => {
            let at = menu.cursor;
            return choose(app, at);
        }
        _ => {
            app.overlays.pop();
        }
    }
    Vec::new()
}

/// The uplink of the selected row, for a bridge over it.
pub(super) fn uplink_of(app: &App) -> Option<crate::model::IfName> {
    match app.cursor(app.focus) {
        Some(RowId::Port(_, port)) => Some(port),
        Some(RowId::Lower(nic)) => Some(nic),
        _ => None,
    }
}

/// Does the line: its form, or its preview, or a word on why not.
fn choose(app: &mut App, at: usize) -> Vec<Effect> {
    let Some(Overlay::Menu(menu)) = app.overlays.last() else { return Vec::new() };
    let Some(item) = menu.items.get(at).cloned() else { return Vec::new() };
    let snapshot = Arc::clone(app.live());
    match item.deed.plan(&snapshot) {
        Some(Ok(job)) => {
            app.overlays.pop();
            return consider(app, &menu_title(&item.text), job);
        }
        Some(Err(refusal)) => app.say(format!("{}: {}; {}", refusal.what, refusal.reason, refusal.way_out)),
        // A form that could only begin with another place than the line says.
        None if item.obstacle.is_some() && matches!(item.deed, Deed::Form(_)) => {
            app.say(format!("{}: {}", item.text, item.obstacle.unwrap_or_default()));
        }
        None => {
            app.overlays.pop();
            match item.deed {
                Deed::Switch(nic) => open_switch(app, Some(nic)),
                Deed::Form(kind) => return open_form(app, kind),
                Deed::Console(guest) => return open_console(app, guest),
                _ => {}
            }
        }
    }
    Vec::new()
}

/// The terminal goes to the guest's console; not while a change runs, whose steps would not be seen.
fn open_console(app: &mut App, guest: DomainId) -> Vec<Effect> {
    if app.is_changing() {
        app.say("a change is running; c shows it");
        return Vec::new();
    }
    match console::plan(app.live(), guest) {
        Ok(call) => return vec![Effect::Console(call)],
        Err(refusal) => app.say(format!("{}: {}; {}", refusal.what, refusal.reason, refusal.way_out)),
    }
    Vec::new()
}

/// `NIC: remove it` → `Remove it`.
fn menu_title(text: &str) -> String {
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

pub(super) fn open_form(app: &mut App, kind: FormKind) -> Vec<Effect> {
    match Form::new(app.live(), kind) {
        Some(form) => app.overlays.push(Overlay::Form(Box::new(form))),
        None => app.say("that is not there any more"),
    }
    if matches!(kind, FormKind::NicDevice(_)) { vec![Effect::Devices] } else { Vec::new() }
}

/// All about the selected row. Of a device that a guest has, only libvirt knows the name.
pub(super) fn open_detail(app: &mut App) -> Vec<Effect> {
    let Some(row) = app.cursor(app.focus) else { return Vec::new() };
    let snapshot = app.live();
    let is_device = match &row {
        RowId::Nic(nic) => {
            matches!(snapshot.nic(*nic).and_then(|nic| nic.source()), Some(NicSource::Hostdev { .. }))
        }
        _ => false,
    };
    app.overlays.push(Overlay::Detail { row, scroll: 0 });
    if is_device { vec![Effect::Devices] } else { Vec::new() }
}

pub(super) fn on_form(app: &mut App, action: Action) -> Vec<Effect> {
    let snapshot = Arc::clone(app.live());
    if matches!(action, Action::PageUp | Action::PageDown) {
        scroll(app, action);
        return Vec::new();
    }
    let Some(Overlay::Form(form)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::NextField => form.step(1),
        Action::PreviousField => form.step(-1),
        Action::NextValue => form.turn(&snapshot, 1),
        Action::PreviousValue => form.turn(&snapshot, -1),
        Action::Diff | Action::Commands => {
            form.preview = form.preview.turn(action);
            form.scroll = 0;
        }
        Action::Apply => match form.planned.clone() {
            Ok(_) if is_busy(app) => {}
            // It stays until the owner's answer is there, which may be a no.
            Ok(job) => {
                if let Some(effect) = beyond_draft(&job) {
                    return vec![effect];
                }
                app.overlays.pop();
                return start(app, job);
            }
            Err(refusal) => app.say(format!("{}; {}", refusal.reason, refusal.way_out)),
        },
        _ => {
            app.overlays.pop();
        }
    }
    Vec::new()
}

/// Keys that no table knows: the letters of a menu, and what is typed into a form.
pub(super) fn other_key(app: &mut App, key: Key) -> Vec<Effect> {
    match app.overlays.last_mut() {
        Some(Overlay::Menu(menu)) => {
            let Code::Char(letter) = key.code else { return Vec::new() };
            if let Some(at) = menu.items.iter().position(|item| item.key == letter && !key.ctrl) {
                menu.cursor = at;
                return choose(app, at);
            }
        }
        Some(Overlay::Form(form)) => {
            let snapshot = Arc::clone(&app.live);
            match key.code {
                Code::Backspace => form.edit(&snapshot, |text| {
                    text.pop();
                }),
                Code::Char('u') if key.ctrl => form.edit(&snapshot, String::clear),
                // In a choice the space bar is the next value.
                Code::Char(' ') if !form.takes_text() => form.turn(&snapshot, 1),
                Code::Char(c) if !key.ctrl => form.edit(&snapshot, |text| text.push(c)),
                _ => {}
            }
        }
        _ => {}
    }
    Vec::new()
}

/// The form of a new guest asks for what it hangs on, as soon as its fields say something new.
pub(super) fn look(app: &mut App) -> Option<Effect> {
    let live = Arc::clone(&app.live);
    let Some(Overlay::Form(form)) = app.overlays.last_mut() else { return None };
    form.ask(&live).map(|question| Effect::Look(Box::new(question)))
}

/// What was seen goes to the form that asked.
pub(super) fn looked(app: &mut App, evidence: Box<crate::change::new_guest::Evidence>) {
    let live = Arc::clone(&app.live);
    let form = app.overlays.iter_mut().rev().find_map(|overlay| match overlay {
        Overlay::Form(form) => Some(form),
        _ => None,
    });
    if let Some(form) = form {
        form.take(&live, evidence);
    }
}

/// Pasted text, without control characters.
pub(super) fn type_into_form(app: &mut App, text: impl Iterator<Item = char>) {
    let snapshot = Arc::clone(&app.live);
    if let Some(Overlay::Form(form)) = app.overlays.last_mut() {
        form.edit(&snapshot, |value| value.extend(text));
    }
}

pub(super) fn on_switch(app: &mut App, action: Action) -> Vec<Effect> {
    if matches!(action, Action::PageUp | Action::PageDown) {
        scroll(app, action);
        return Vec::new();
    }
    let snapshot = Arc::clone(app.live());
    let Some(Overlay::Switch(form)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::Close => {
            app.overlays.pop();
        }
        Action::Up => form.step(&snapshot, -1),
        Action::Down => form.step(&snapshot, 1),
        Action::Apply => match form.planned.clone() {
            Ok(_) if is_busy(app) => {}
            Ok(job) => {
                app.overlays.pop();
                app.marked.clear();
                return start(app, job);
            }
            Err(refusal) => app.say(format!("{}; {}", refusal.reason, refusal.way_out)),
        },
        field => form.cycle(&snapshot, field),
    }
    Vec::new()
}

/// A box about what is gone goes too, and says so: it could only mislead.
pub(super) fn close_gone(app: &mut App) {
    let live = Arc::clone(&app.live);
    let before = app.overlays.len();
    app.overlays.retain(|overlay| match overlay {
        Overlay::Switch(form) => live.nic(form.nic).is_some(),
        Overlay::Form(form) => form.kind.is_there(&live),
        _ => true,
    });
    if app.overlays.len() < before {
        app.say("what the form was about is gone; nothing was changed");
    }
}

/// NICs that are gone are not marked any more.
pub(super) fn forget_gone(app: &mut App) {
    let App { marked, live, .. } = app;
    marked.retain(|nic| live.nic(*nic).is_some());
}
