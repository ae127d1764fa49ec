//! PURE. Keys of the doctor's box.

use std::sync::Arc;

use super::{consider, scroll};
use crate::app::action::Action;
use crate::app::findings::row_of;
use crate::app::menu::Menu;
use crate::app::{App, Effect, Overlay, remedy};

pub(super) fn on_doctor(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Up => step(app, -1),
        Action::Down => step(app, 1),
        Action::Jump => jump(app),
        Action::Fix => return fix(app),
        Action::Close => {
            app.overlays.pop();
        }
        _ => {
            scroll(app, action);
        }
    }
    Vec::new()
}

fn step(app: &mut App, by: isize) {
    let Some((at, _)) = app.chosen_finding() else { return };
    let findings = &app.doctor.report().findings;
    let to = at.saturating_add_signed(by).min(findings.len().saturating_sub(1));
    app.finding = findings.get(to).map(crate::doctor::Finding::key);
    if let Some(Overlay::Doctor { scroll }) = app.overlays.last_mut() {
        *scroll = 0;
    }
}

/// To the row that the finding is about; the doctor's key comes back to the finding.
fn jump(app: &mut App) {
    let Some((_, finding)) = app.chosen_finding() else { return };
    let key = finding.key();
    let Some((pane, row)) = row_of(app.live(), &key.subject) else {
        app.say("it is about the host itself: no row shows it");
        return;
    };
    app.finding = Some(key);
    app.overlays.pop();
    app.filter.clear();
    app.focus = pane;
    if let Some(selected) = app.selected.get_mut(pane.index()) {
        *selected = Some(row);
    }
}

/// The preview of what mends it; a choice first where there are several ways.
fn fix(app: &mut App) -> Vec<Effect> {
    if app.is_changing() {
        app.say("a change is running; c shows it");
        return Vec::new();
    }
    let snapshot = Arc::clone(app.live());
    let Some((_, finding)) = app.chosen_finding() else { return Vec::new() };
    let finding = finding.clone();
    app.finding = Some(finding.key());
    let remedies: Vec<_> = finding.fixes.iter().filter_map(|fix| fix.remedy.as_ref()).collect();
    match remedies.as_slice() {
        [] => app.say("this is mended by hand only: the commands are in the box"),
        [one] => match remedy::plan(&snapshot, one) {
            Ok(job) => return consider(app, "Fix", job),
            Err(refusal) => app.say(format!("{refusal}; {}", refusal.way_out)),
        },
        _ => app.overlays.push(Overlay::Menu(Menu::of_fixes(&snapshot, &finding))),
    }
    Vec::new()
}
