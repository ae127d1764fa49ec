//! PURE. Event + state → state + effects.

mod boxes;
mod findings;
mod path;

use super::action::Action;
use super::form::Preview;
use super::forms::FormKind;
use super::job::{Draft, Job, JobStep, News};
use super::key::{Code, Key};
use super::output::Output;
use super::rows;
use super::state::{App, ChangeRun, Mouse, Overlay, Pane};
use super::{Context, Effect, Event};
use crate::change::bridge::record::{Answer, Progress};
use crate::change::{Outcome, StepState};
use crate::ui::text::escape;

/// Takes an event in.
pub fn update(app: &mut App, event: Event) -> Vec<Effect> {
    let mut effects = on_event(app, event);
    effects.extend(boxes::look(app));
    effects
}

fn on_event(app: &mut App, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(key) => return on_key(app, key),
        Event::Paste(text) => {
            // Only a text field takes it, and a pasted line break confirms nothing.
            let text = text.chars().filter(|c| !c.is_control());
            if app.filtering {
                app.filter.extend(text);
            } else {
                boxes::type_into_form(app, text);
            }
        }
        Event::Resize(columns, rows) => app.size = (columns, rows),
        Event::Snapshot(snapshot) => {
            let frozen = app.is_frozen();
            for overlay in &mut app.overlays {
                match overlay {
                    Overlay::Switch(form) => form.follow(&snapshot),
                    Overlay::Form(form) => form.follow(&snapshot),
                    Overlay::Path(view) if !frozen => view.follow(&snapshot),
                    _ => {}
                }
            }
            app.take(snapshot);
            select_awaited(app);
            boxes::forget_gone(app);
            boxes::close_gone(app);
        }
        Event::Clock(now) => app.now = now,
        Event::Progress(progress) => on_progress(app, progress),
        Event::Outcome(outcome) => return on_outcome(app, *outcome),
        Event::Undo(found) => match *found {
            Ok(job) => ask(app, "Undo", job),
            Err(refusal) => app.say(format!("{refusal}; {}", refusal.way_out)),
        },
        Event::Planned(planned) => match *planned {
            Ok(job) => {
                // Enter was pressed again meanwhile.
                if matches!(app.overlays.last(), Some(Overlay::Confirm { .. })) {
                    app.overlays.pop();
                }
                ask(app, job.kind(), job);
            }
            Err(refusal) => app.say(format!("{refusal}; {}", refusal.way_out)),
        },
        Event::Waiting(waiting) => {
            if let (Some(change), Some(now)) = (&mut app.change, &waiting) {
                change.follow(now);
            }
            app.waiting = waiting.filter(|waiting| waiting.is_under_way());
        }
        Event::Probed(nic, found) => path::probed(app, nic, found),
        Event::Said(said) => {
            let size = app.size;
            if let Some(output) = app.change.as_mut().and_then(|change| change.output.as_mut()) {
                output.take(said, size);
            }
        }
        Event::Looked(evidence) => boxes::looked(app, evidence),
        Event::Message(text) => app.say(text),
        Event::Log(text) => app.note(text),
    }
    Vec::new()
}

/// A question about a change.
fn ask(app: &mut App, title: &str, job: Job) {
    app.overlays.push(Overlay::Confirm {
        title: title.to_owned(),
        job: Box::new(job),
        preview: Preview::default(),
        scroll: 0,
    });
}

/// The question about a change; a draft is planned to its end first.
pub(super) fn consider(app: &mut App, title: &str, job: Job) -> Vec<Effect> {
    if let Some(effect) = beyond_draft(&job) {
        return vec![effect];
    }
    ask(app, title, job);
    Vec::new()
}

fn beyond_draft(job: &Job) -> Option<Effect> {
    match job {
        Job::Bridge(job) if job.draft == Draft::Yes => Some(Effect::PlanBridge(job.clone())),
        Job::Shim(job) if job.draft == Draft::Yes => Some(Effect::PlanShim(job.clone())),
        _ => None,
    }
}

fn on_progress(app: &mut App, News { key, label, text, state }: News) {
    let Some(change) = &mut app.change else { return };
    match change.steps.iter_mut().find(|step| step.key == key) {
        Some(step) => step.state = Some(state),
        None => change.steps.push(JobStep { key, label, text, state: Some(state) }),
    }
}

fn on_outcome(app: &mut App, outcome: Outcome) -> Vec<Effect> {
    let Some(change) = &mut app.change else { return Vec::new() };
    let what = change.job.title();
    let sentence = match &outcome {
        Outcome::Verified { address: Some(address) } => format!("verified: {what}, {address}"),
        Outcome::Verified { .. } if matches!(change.job, Job::Bridge(_)) => {
            format!("seen to work, and waits to be kept (K; c shows it): {what}")
        }
        Outcome::Verified { address: None } => format!("verified: {what}"),
        Outcome::Reverted { why } => format!("put back as it was: {what}: {why}"),
        Outcome::Refused(refusal) => format!("nothing was changed: {refusal}"),
        Outcome::Failed { why, state } => format!("failed: {what}: {why}; {state}"),
    };
    // A step that was waiting when the change ended has not happened.
    for step in &mut change.steps {
        if matches!(step.state, Some(StepState::Running | StepState::Waiting { .. })) {
            step.state = Some(StepState::Failed { reason: "not done".to_owned() });
        }
    }
    if let (Job::Guest(plan), Outcome::Verified { .. }) = (&change.job, &outcome) {
        app.awaited = Some(plan.name.clone());
    }
    change.outcome = Some(outcome);
    app.say(sentence);
    select_awaited(app);
    // No event of libvirt tells of a cable or a definition; what was done is to be seen at once.
    if app.quit_after_change { vec![Effect::Quit] } else { vec![Effect::Refresh] }
}

/// Puts the cursor on the guest that was just made, once it is there.
fn select_awaited(app: &mut App) {
    let Some(name) = &app.awaited else { return };
    let Some(nic) = app.live.nics.iter().find(|nic| nic.guest == *name).map(|nic| nic.id) else { return };
    app.awaited = None;
    // What hides it would make the cursor lie.
    app.filter.clear();
    app.filtering = false;
    app.focus = Pane::Nics;
    if let Some(selected) = app.selected.get_mut(Pane::Nics.index()) {
        *selected = Some(super::RowId::Nic(nic));
    }
}

fn on_key(app: &mut App, key: Key) -> Vec<Effect> {
    app.said = None;
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
    let Some(action) = app.keymap.find(key, app.context()) else {
        return boxes::other_key(app, key);
    };
    match action {
        Action::Help => app.overlays.push(Overlay::Help { scroll: 0 }),
        Action::Repaint => return vec![Effect::Repaint],
        // A stopped process would leave the guest where the change stands.
        Action::Suspend if app.is_changing() => app.say("a change is running; suspend when it has ended (c)"),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Keep => return answer(app, Answer::Confirm),
        Action::PutBack => return answer(app, Answer::Rollback),
        _ => {
            return match app.context() {
                Context::Panes | Context::Everywhere => on_panes(app, action),
                Context::Text | Context::Scroll => on_text(app, action),
                Context::Menu => boxes::on_menu(app, action),
                Context::Form => boxes::on_form(app, action),
                Context::Switch => boxes::on_switch(app, action),
                Context::Confirm => on_confirm(app, action),
                Context::Steps => on_steps(app, action),
                Context::Doctor => findings::on_doctor(app, action),
                Context::Path => path::on_path(app, action),
            };
        }
    }
    Vec::new()
}

/// Keeps what waits, or takes it back.
fn answer(app: &mut App, answer: Answer) -> Vec<Effect> {
    match app.waiting.as_ref().map(|waiting| &waiting.progress) {
        // One that somebody began just now is not seen yet, and taking it back is safe.
        None if answer == Answer::Rollback => return vec![Effect::Answer(answer)],
        None => app.say("nothing waits to be kept"),
        Some(Progress::Prepared | Progress::Applying { .. }) if answer == Answer::Confirm => {
            app.say("it is not done yet: it can be kept when it is seen to work");
        }
        Some(Progress::Keeping) => app.say("it is being kept already"),
        Some(Progress::RollingBack { .. }) => app.say("it is being put back already"),
        Some(_) => return vec![Effect::Answer(answer)],
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
        Action::Detail => return boxes::open_detail(app),
        Action::Switch => boxes::open_switch(app, None),
        Action::Menu => boxes::open_menu(app),
        Action::NewBridge => return boxes::open_form(app, FormKind::BridgeNew(boxes::uplink_of(app))),
        Action::Mark => boxes::mark(app),
        Action::MarkAll => boxes::mark_all(app),
        Action::Undo => return undo(app),
        Action::Change => match app.change {
            Some(_) => app.overlays.push(Overlay::Steps { scroll: 0 }),
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
        Action::Path => path::open(app),
        Action::Doctor => app.overlays.push(Overlay::Doctor { scroll: 0 }),
        Action::Mouse => {
            app.mouse = match app.mouse {
                Mouse::Off => Mouse::On,
                Mouse::On => Mouse::Off,
            };
            app.say(match app.mouse {
                Mouse::On => "mouse wheel on; to copy, hold Shift",
                Mouse::Off => "mouse left to the terminal: copying works",
            });
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

fn undo(app: &mut App) -> Vec<Effect> {
    if app.is_changing() {
        app.say("a change is running; it can be taken back when it has ended");
        return Vec::new();
    }
    vec![Effect::PlanUndo]
}

fn on_text(app: &mut App, action: Action) -> Vec<Effect> {
    if action == Action::Close {
        app.overlays.pop();
    } else {
        scroll(app, action);
    }
    Vec::new()
}

/// Moves the text of the topmost box; false when the key means something else.
pub(super) fn scroll(app: &mut App, action: Action) -> bool {
    let page = usize::from(app.size.1 / 2).max(1);
    let end = app.scroll_end.get();
    let Some(scroll) = app.overlays.last_mut().and_then(Overlay::scroll) else { return false };
    // From beyond the end the first steps back would not be seen.
    *scroll = (*scroll).min(end);
    *scroll = match action {
        Action::Up => scroll.saturating_sub(1),
        Action::Down => scroll.saturating_add(1),
        Action::PageUp => scroll.saturating_sub(page),
        Action::PageDown => scroll.saturating_add(page),
        Action::First => 0,
        // The view stops at the end.
        Action::Last => usize::MAX / 2,
        _ => return false,
    };
    true
}

fn on_confirm(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Apply if matches!(app.overlays.last(), Some(Overlay::Confirm { .. })) && is_busy(app) => {}
        Action::Apply => match app.overlays.pop() {
            Some(Overlay::Confirm { job, .. }) => {
                // The form that it was filled in.
                if matches!(app.overlays.last(), Some(Overlay::Form(_))) {
                    app.overlays.pop();
                }
                return start(app, *job);
            }
            Some(Overlay::QuitWhileChanging) => {
                app.quit_after_change = true;
                app.say("quits as soon as the change has ended");
                return if app.is_changing() { Vec::new() } else { vec![Effect::Quit] };
            }
            Some(other) => app.overlays.push(other),
            None => {}
        },
        Action::Close => {
            app.overlays.pop();
        }
        Action::Diff | Action::Commands => {
            if let Some(Overlay::Confirm { preview, scroll, .. }) = app.overlays.last_mut() {
                *preview = preview.turn(action);
                *scroll = 0;
            }
        }
        _ => {
            scroll(app, action);
        }
    }
    Vec::new()
}

fn on_steps(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Undo if app.is_changing() || app.offers(Context::Steps, action) => return undo(app),
        Action::Undo => {
            app.say(
                "u does not take this one back; with the box closed it takes back the last change of a NIC",
            );
        }
        Action::Stop => return stop(app),
        Action::Close => {
            app.overlays.pop();
            if app.is_changing() {
                app.say("the change goes on; c shows it");
            }
        }
        _ => {
            if !scroll_output(app, action) {
                scroll(app, action);
            }
        }
    }
    Vec::new()
}

/// Only virt-install can be stopped in the middle: every other change puts itself back.
fn stop(app: &mut App) -> Vec<Effect> {
    let makes_a_guest = app.change.as_ref().is_some_and(|change| matches!(change.job, Job::Guest(_)));
    if makes_a_guest && app.is_changing() {
        app.say("stopping virt-install");
        return vec![Effect::Stop];
    }
    app.say("nothing runs that could be stopped");
    Vec::new()
}

/// Moves what a program says; false when none does it, or the key means something else.
fn scroll_output(app: &mut App, action: Action) -> bool {
    let size = app.size;
    let page = isize::try_from(super::output::rows(size)).unwrap_or(1);
    let Some(output) = app.change.as_mut().and_then(|change| change.output.as_mut()) else { return false };
    let by = match action {
        Action::Up => 1,
        Action::Down => -1,
        Action::PageUp => page,
        Action::PageDown => -page,
        Action::First => isize::MAX,
        Action::Last => isize::MIN,
        _ => return false,
    };
    output.scroll(size, by);
    true
}

/// Whether a change keeps the next one waiting, which is said.
fn is_busy(app: &mut App) -> bool {
    let is_changing = app.is_changing();
    if is_changing {
        app.say("a change is running already; c shows it");
    }
    is_changing
}

/// Begins a change that was agreed to.
pub(super) fn start(app: &mut App, job: Job) -> Vec<Effect> {
    if is_busy(app) {
        return Vec::new();
    }
    if let Some(effect) = beyond_draft(&job) {
        return vec![effect];
    }
    let output = matches!(job, Job::Guest(_)).then(Output::default);
    app.change = Some(ChangeRun {
        job: job.clone(),
        begun: app.now,
        steps: job.steps(),
        outcome: None,
        output,
        record: None,
    });
    if !matches!(app.overlays.last(), Some(Overlay::Steps { .. })) {
        app.overlays.push(Overlay::Steps { scroll: 0 });
    }
    tracing::info!("begun: {}", escape(&job.title()));
    vec![Effect::Apply(Box::new(job))]
}
