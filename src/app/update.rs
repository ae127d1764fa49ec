//! PURE. Event + state → state + effects.

use super::action::{self, Action};
use super::form::SwitchForm;
use super::key::{Code, Key};
use super::rows::{self, RowId};
use super::state::{App, ChangeRun, Mouse, Overlay, Pane};
use super::{Context, Effect, Event};
use crate::change::journal::Record;
use crate::change::{Outcome, Plan, Progress, StepState};
use crate::ui::text::escape;

/// Takes an event in.
pub fn update(app: &mut App, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(key) => return on_key(app, key),
        Event::Paste(text) => {
            // Only a text field takes it, and a pasted line break confirms nothing.
            if app.filtering {
                app.filter.extend(text.chars().filter(|c| !c.is_control()));
            }
        }
        Event::Resize(columns, rows) => app.size = (columns, rows),
        Event::Snapshot(snapshot) => {
            for overlay in &mut app.overlays {
                if let Overlay::Switch(form) = overlay {
                    form.follow(&snapshot);
                }
            }
            app.take(snapshot);
        }
        Event::Clock(now) => app.now = now,
        Event::Progress(progress) => on_progress(app, progress),
        Event::Outcome(outcome) => return on_outcome(app, *outcome),
        Event::Undo(found) => match *found {
            Ok((record, plan)) => app.overlays.push(Overlay::Confirm {
                title: "Undo".to_owned(),
                plan: Box::new(plan),
                record: Some(Box::new(record)),
            }),
            Err(refusal) => app.say(format!("{refusal}; {}", refusal.way_out)),
        },
        Event::Message(text) => app.say(text),
    }
    Vec::new()
}

fn on_progress(app: &mut App, progress: Progress) {
    let Some(change) = &mut app.change else { return };
    if let Some((_, state)) = change.steps.iter_mut().find(|(step, _)| step.id == progress.step) {
        *state = Some(progress.state);
    }
}

fn on_outcome(app: &mut App, outcome: Outcome) -> Vec<Effect> {
    let Some(change) = &mut app.change else { return Vec::new() };
    let what = format!("{} {}: {}", change.plan.guest, change.plan.nic.mac, change.plan.title);
    let sentence = match &outcome {
        Outcome::Verified { address: Some(address) } => format!("verified: {what}, {address}"),
        Outcome::Verified { address: None } => format!("verified: {what}"),
        Outcome::Reverted { why } => format!("put back as it was: {what}: {why}"),
        Outcome::Refused(refusal) => format!("nothing was changed: {refusal}"),
        Outcome::Failed { why, state } => format!("failed: {what}: {why}; {state}"),
    };
    // A step that was waiting when the change ended has not happened.
    for (_, state) in &mut change.steps {
        if matches!(state, Some(StepState::Running | StepState::Waiting { .. })) {
            *state = Some(StepState::Failed { reason: "not done".to_owned() });
        }
    }
    change.outcome = Some(outcome);
    app.say(sentence);
    if app.quit_after_change { vec![Effect::Quit] } else { Vec::new() }
}

fn on_key(app: &mut App, key: Key) -> Vec<Effect> {
    app.message_shown = false;
    if app.filtering {
        return on_filter_key(app, key);
    }
    if app.context() == Context::Panes && key == Key::plain(Code::Esc) {
        app.filter.clear();
        return Vec::new();
    }
    // Ctrl-C always offers the way out, whatever is open.
    if key == (Key { code: Code::Char('c'), ctrl: true }) {
        return quit(app);
    }
    let Some(action) = action::find(key, app.context()) else { return Vec::new() };
    match action {
        Action::Help => app.overlays.push(Overlay::Help { scroll: 0 }),
        Action::Repaint => return vec![Effect::Repaint],
        Action::Suspend => return vec![Effect::Suspend],
        _ => {
            return match app.context() {
                Context::Panes | Context::Everywhere => on_panes(app, action),
                Context::Text => on_text(app, action),
                Context::Switch => on_switch(app, action),
                Context::Confirm => on_confirm(app, action),
                Context::Steps => on_steps(app, action),
            };
        }
    }
    Vec::new()
}

fn on_filter_key(app: &mut App, key: Key) -> Vec<Effect> {
    match key.code {
        Code::Enter => app.filtering = false,
        Code::Esc => {
            app.filtering = false;
            app.filter.clear();
        }
        Code::Backspace => {
            app.filter.pop();
        }
        Code::Char('c') if key.ctrl => return quit(app),
        Code::Char('u') if key.ctrl => app.filter.clear(),
        Code::Char(c) if !key.ctrl => app.filter.push(c),
        _ => {}
    }
    Vec::new()
}

fn quit(app: &mut App) -> Vec<Effect> {
    if !app.is_changing() {
        return vec![Effect::Quit];
    }
    if !app.overlays.iter().any(|overlay| matches!(overlay, Overlay::QuitWhileChanging)) {
        app.overlays.push(Overlay::QuitWhileChanging);
    }
    Vec::new()
}

fn on_panes(app: &mut App, action: Action) -> Vec<Effect> {
    let page = isize::try_from(app.size.1 / 3).unwrap_or(10);
    match action {
        Action::Quit => return quit(app),
        Action::Up => step(app, -1),
        Action::Down => step(app, 1),
        Action::PageUp => step(app, -page),
        Action::PageDown => step(app, page),
        Action::First => step(app, isize::MIN),
        Action::Last => step(app, isize::MAX),
        Action::NextPane => turn(app, 1),
        Action::PreviousPane => turn(app, 3),
        Action::Nics => app.focus = Pane::Nics,
        Action::Bridges => app.focus = Pane::Bridges,
        Action::Rules => app.focus = Pane::Rules,
        Action::Networks => app.focus = Pane::Networks,
        Action::Detail => {
            if let Some(row) = app.cursor(app.focus) {
                app.overlays.push(Overlay::Detail { row, scroll: 0 });
            }
        }
        Action::Switch => open_switch(app),
        Action::Undo => return undo(app),
        Action::Change => match app.change {
            Some(_) => app.overlays.push(Overlay::Steps),
            None => app.say("no change has been made in this session"),
        },
        Action::Filter => app.filtering = true,
        Action::Sort => app.sort = app.sort.next(),
        Action::Reverse => app.sort = app.sort.reversed(),
        Action::Freeze => app.freeze(),
        Action::Refresh => {
            app.say("reading everything again");
            return vec![Effect::Refresh];
        }
        Action::Messages => app.overlays.push(Overlay::Messages { scroll: 0 }),
        Action::Mouse => {
            app.mouse = match app.mouse {
                Mouse::Off => Mouse::On,
                Mouse::On => Mouse::Off,
            };
            return vec![Effect::Mouse(app.mouse)];
        }
        _ => {}
    }
    Vec::new()
}

fn step(app: &mut App, by: isize) {
    let rows = rows::rows(app, app.focus);
    let cursor = app.cursor(app.focus);
    let at = rows.iter().position(|row| Some(row) == cursor.as_ref()).unwrap_or(0);
    let to = at.saturating_add_signed(by).min(rows.len().saturating_sub(1));
    if let Some(selected) = app.selected.get_mut(app.focus.index()) {
        *selected = rows.get(to).cloned();
    }
}

fn turn(app: &mut App, by: usize) {
    let next = (app.focus.index() + by) % Pane::ALL.len();
    app.focus = *Pane::ALL.get(next).unwrap_or(&Pane::Nics);
}

/// The NIC that `s` means: the selected one, or the one behind the selected port.
fn open_switch(app: &mut App) {
    if app.is_changing() {
        app.say("a change is running; c shows it");
        return;
    }
    let snapshot = app.live();
    let nic = match app.cursor(app.focus) {
        Some(RowId::Nic(nic)) => Some(nic),
        Some(RowId::Port(bridge, port)) => snapshot
            .bridge_named(bridge)
            .and_then(|bridge| bridge.ports.iter().find(|other| other.name == port))
            .and_then(|port| port.nic),
        _ => None,
    };
    match nic.filter(|nic| snapshot.nic(*nic).is_some()) {
        Some(nic) => {
            let form = SwitchForm::new(snapshot, nic);
            app.overlays.push(Overlay::Switch(Box::new(form)));
        }
        None => app.say("choose a NIC first (1), then s"),
    }
}

fn undo(app: &mut App) -> Vec<Effect> {
    if app.is_changing() {
        app.say("a change is running; it can be taken back when it has ended");
        return Vec::new();
    }
    vec![Effect::PlanUndo]
}

fn on_text(app: &mut App, action: Action) -> Vec<Effect> {
    let page = usize::from(app.size.1 / 2).max(1);
    let Some(Overlay::Help { scroll } | Overlay::Detail { scroll, .. } | Overlay::Messages { scroll }) =
        app.overlays.last_mut()
    else {
        return Vec::new();
    };
    match action {
        Action::Up => *scroll = scroll.saturating_sub(1),
        Action::Down => *scroll = scroll.saturating_add(1),
        Action::PageUp => *scroll = scroll.saturating_sub(page),
        Action::PageDown => *scroll = scroll.saturating_add(page),
        Action::First => *scroll = 0,
        // The view stops at the end.
        Action::Last => *scroll = usize::MAX / 2,
        Action::Close => {
            app.overlays.pop();
        }
        _ => {}
    }
    Vec::new()
}

fn on_switch(app: &mut App, action: Action) -> Vec<Effect> {
    let snapshot = std::sync::Arc::clone(app.live());
    let Some(Overlay::Switch(form)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::Close => {
            app.overlays.pop();
        }
        Action::Up => form.step(&snapshot, -1),
        Action::Down => form.step(&snapshot, 1),
        Action::Apply => {
            let planned = form.plan.clone();
            match planned {
                Ok(plan) => {
                    app.overlays.pop();
                    return start(app, *plan, None);
                }
                Err(refusal) => app.say(format!("{}; {}", refusal.reason, refusal.way_out)),
            }
        }
        field => form.cycle(&snapshot, field),
    }
    Vec::new()
}

fn on_confirm(app: &mut App, action: Action) -> Vec<Effect> {
    let overlay = match action {
        Action::Apply | Action::Close => app.overlays.pop(),
        _ => None,
    };
    match (action, overlay) {
        (Action::Apply, Some(Overlay::Confirm { plan, record, .. })) => start(app, *plan, record),
        (Action::Apply, Some(Overlay::QuitWhileChanging)) => {
            app.quit_after_change = true;
            app.say("quits as soon as the change has ended");
            if app.is_changing() { Vec::new() } else { vec![Effect::Quit] }
        }
        _ => Vec::new(),
    }
}

fn on_steps(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Undo => undo(app),
        Action::Close => {
            app.overlays.pop();
            if app.is_changing() {
                app.say("the change goes on; c shows it");
            }
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn start(app: &mut App, plan: Plan, record: Option<Box<Record>>) -> Vec<Effect> {
    if app.is_changing() {
        app.say("a change is running already; c shows it");
        return Vec::new();
    }
    let steps = plan.steps.iter().map(|step| (step.clone(), None)).collect();
    app.change = Some(ChangeRun { plan: plan.clone(), steps, outcome: None });
    if !matches!(app.overlays.last(), Some(Overlay::Steps)) {
        app.overlays.push(Overlay::Steps);
    }
    tracing::info!(guest = %escape(&plan.guest), nic = %plan.nic.mac, to = %plan.to.words(), "change begins");
    vec![Effect::Apply(Box::new(plan), record)]
}
