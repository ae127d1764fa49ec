//! The preview of a bridge's change as text.

use std::time::Duration;

use crate::change::bridge::{BridgePlan, by_hand};
use crate::cli::preview;
use crate::cli::table::Table;
use crate::ui::text::escape;

/// Title and risk first; then the table of before and after, the steps, the files as diffs.
pub(super) fn plan(plan: &BridgePlan, patience: Duration) -> String {
    let mut lines = vec![plan.title.clone()];
    if let Some(risk) = &plan.risk {
        lines.push(format!("! {risk}"));
    }
    lines.push(format!("  stall: {}", plan.stall));
    lines.extend(plan.consequences.iter().map(|consequence| format!("  • {consequence}")));
    lines.push("at boot".to_owned());
    lines.push(format!("  {}", plan.owner));
    let mut out = escaped(&lines);
    out.push_str(&files(plan));
    if !plan.picture.is_empty() {
        let mut table = Table::new(&["", "BEFORE", "AFTER"]);
        for row in &plan.picture {
            let dash = |text: &String| if text.is_empty() { "–".to_owned() } else { text.clone() };
            table.row(vec![row.what.clone(), dash(&row.before), dash(&row.after)]);
        }
        out.push_str(&table.print());
    }
    let mut lines = vec!["steps".to_owned()];
    lines.extend(plan.steps.iter().enumerate().map(|(at, step)| format!("  {}. {}", at + 1, step.text())));
    lines.extend(
        plan.after.addresses.iter().map(|(link, address)| format!("  proof: {address} is on {link}")),
    );
    lines.extend(plan.after.routes.iter().map(|way| format!("  proof: the route {way} is on {}", way.link)));
    lines.extend(
        plan.after.leased.iter().map(|link| format!("  proof: a DHCP server lends {link} an address")),
    );
    lines
        .extend(plan.gateways.iter().map(|gateway| format!("  proof: {gateway} answers, if it does before")));
    lines.push(format!("  taken back by itself after {} s unless confirmed", patience.as_secs()));
    if !plan.lasting.is_empty() {
        lines.push("  the files are put in place when it is confirmed".to_owned());
    }
    out + &escaped(&lines) + &preview::by_hand(&by_hand::commands(plan))
}

fn files(plan: &BridgePlan) -> String {
    let mut out = String::new();
    for file in &plan.lasting {
        let path = file.path.display().to_string();
        let what = match (&file.before, &file.after) {
            (None, _) => " (new)",
            (_, None) => " (goes)",
            _ => "",
        };
        out.push_str(&format!("  {}{what}\n", escape(&path)));
        let edit = crate::change::Edit::of(file.before.as_deref(), file.after.as_deref());
        for line in preview::diff(&edit).lines() {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

fn escaped(lines: &[String]) -> String {
    lines.iter().map(|line| escape(line).into_owned() + "\n").collect()
}
