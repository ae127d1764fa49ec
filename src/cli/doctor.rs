//! `virt-net doctor`: findings as text or JSON, and their fixes.

pub(super) mod fix;

use std::time::Duration;

use clap::Args;
use color_eyre::eyre::Result;
use serde_json::{Value, json};

use super::switch::Consent;
use super::{ExitStatus, print};
use crate::app::remedy;
use crate::doctor::{self, CHECKS, Finding, Fix, Report, Severity, Subject};
use crate::model::Snapshot;
use crate::source::{self, SourceOptions};
use crate::ui::text::{escape, wrap};

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Only these checks [default: all]
    #[arg(value_name = "CHECK", value_parser = known_check)]
    checks: Vec<&'static str>,
    /// Print the checks, and what each finds
    #[arg(long)]
    list: bool,
    /// Mend what this check finds, with preview and proof, one finding after the other
    #[arg(long, value_name = "CHECK", value_parser = known_check, conflicts_with_all = ["checks", "list"])]
    fix: Option<&'static str>,
    /// Which of several ways to mend it, from 1
    #[arg(long, value_name = "N", default_value = "1", requires = "fix")]
    way: usize,
    #[command(flatten)]
    consent: Consent,
}

/// Columns of the text: what fits on any terminal and in a mail.
const COLUMNS: usize = 100;

fn known_check(word: &str) -> Result<&'static str, String> {
    if let Some(check) = CHECKS.iter().find(|check| check.id == word) {
        return Ok(check.id);
    }
    let mut near: Vec<&str> = CHECKS.iter().map(|check| check.id).collect();
    near.sort_by_key(|id| (!id.contains(word), strsim::damerau_levenshtein(word, id)));
    near.truncate(3);
    Err(format!("there is no such check; nearest: {}; --list has all", near.join(", ")))
}

pub(super) async fn run(args: &DoctorArgs, options: &SourceOptions) -> Result<ExitStatus> {
    if args.list {
        let line = |check: &doctor::Check| format!("{:<26}{}\n", check.id, check.doc);
        print(&CHECKS.iter().map(line).collect::<String>())?;
        return Ok(ExitStatus::Done);
    }
    let mut sources = source::start(options)?;
    let snapshot = sources.settled(Duration::from_secs(10)).await;
    if let Some(check) = args.fix {
        return fix::run(check, args.way, &args.consent, &mut sources, &snapshot).await;
    }
    let report = doctor::examine(&snapshot, &args.checks);
    let text = if args.consent.json {
        super::json_text(&value(&snapshot, &report))?
    } else {
        text(&snapshot, &report, args)
    };
    print(&text)?;
    Ok(status(&report))
}

fn status(report: &Report) -> ExitStatus {
    match report.findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Error) => ExitStatus::Usage,
        Some(Severity::Warning) => ExitStatus::Failed,
        Some(Severity::Note) | None => ExitStatus::Done,
    }
}

/// ```text
/// ✖ nat-rules-missing        network default has no masquerade rule
///   evidence  libvirt: network default active, nat, 192.168.122.0/24
///   meaning   Packets of these guests leave with their private address, …
///   fix       have libvirt write its rules again: guests stay up
/// ```
fn text(snapshot: &Snapshot, report: &Report, args: &DoctorArgs) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        out.push_str(&finding_text(snapshot, finding));
        out.push('\n');
    }
    let made = if args.checks.is_empty() { CHECKS.len() } else { args.checks.len() } - report.unchecked.len();
    let checks = if made == 1 { "check" } else { "checks" };
    out.push_str(&format!("{made} {checks} made: {}\n", report.words()));
    for (why, checks) in report.unchecked_by_reason() {
        out.push_str(&labelled("not checked:", &format!("{}: {why}", checks.join(", ")), 13));
    }
    out
}

fn finding_text(snapshot: &Snapshot, finding: &Finding) -> String {
    let mut out = format!("{} {:<26}{}\n", finding.severity.glyph(), finding.check, escape(&finding.title));
    for (at, evidence) in finding.evidence.iter().enumerate() {
        let label = if at == 0 { "  evidence" } else { "" };
        out.push_str(&labelled(label, &format!("{}: {}", evidence.source, evidence.text), 12));
    }
    out.push_str(&labelled("  meaning", &finding.meaning, 12));
    for (at, fix) in finding.fixes.iter().enumerate() {
        out.push_str(&labelled("  fix", &fix.words, 12));
        if fix.remedy.is_some() {
            let way = if at == 0 { String::new() } else { format!(" --way {}", at + 1) };
            out.push_str(&format!("{:14}virt-net doctor --fix {}{way}\n", "", finding.check));
        }
        for command in commands(snapshot, fix).iter().filter(|command| !command.starts_with("cat >")) {
            out.push_str(&format!("{:14}{}\n", "", escape(command)));
        }
    }
    out
}

/// By hand: the fix's own lines, or those of the plan that it would be.
fn commands(snapshot: &Snapshot, fix: &Fix) -> Vec<String> {
    let Some(remedy) = &fix.remedy else { return fix.commands.clone() };
    match remedy::plan(snapshot, remedy) {
        Ok(job) => job.preview().commands,
        Err(refusal) => vec![format!("# not now: {}; {}", refusal.reason, refusal.way_out)],
    }
}

fn labelled(label: &str, text: &str, indent: usize) -> String {
    let lines = wrap(&escape(text), COLUMNS - indent);
    let line =
        |(at, line): (usize, &String)| format!("{:<indent$}{line}\n", if at == 0 { label } else { "" });
    lines.iter().enumerate().map(line).collect()
}

fn value(snapshot: &Snapshot, report: &Report) -> Value {
    let fixes = |finding: &Finding| -> Vec<Value> {
        let fix = |(at, fix): (usize, &Fix)| {
            json!({
                "way": at + 1, "words": fix.words, "by_hand_only": fix.remedy.is_none(),
                "commands": commands(snapshot, fix),
            })
        };
        finding.fixes.iter().enumerate().map(fix).collect()
    };
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check, "severity": finding.severity, "subject": subject(snapshot, &finding.subject),
                "title": finding.title, "evidence": finding.evidence, "meaning": finding.meaning, "fixes": fixes(finding),
            })
        })
        .collect();
    json!({"findings": findings, "unchecked": report.unchecked})
}

/// The subject with the names people know it by.
fn subject(snapshot: &Snapshot, subject: &Subject) -> Value {
    match subject {
        Subject::Host => json!({"kind": "host", "name": snapshot.host.name}),
        Subject::Link(name) => json!({"kind": "link", "name": name}),
        Subject::Bridge(name) => json!({"kind": "bridge", "name": name}),
        Subject::Nic(id) => {
            let nic = snapshot.nic(*id);
            json!({
                "kind": "nic", "guest": nic.map(|nic| nic.guest.as_str()), "mac": id.mac,
                "link": nic.and_then(|nic| nic.link_name),
            })
        }
        Subject::Network(id) => {
            json!({"kind": "network", "name": snapshot.network(*id).map(|network| network.name.as_str())})
        }
    }
}
