//! PURE. Findings and rows: which row a finding is about, and how bad what is known of a row is.

use super::rows::{RowId, stack};
use super::state::{App, Pane};
use crate::doctor::{Finding, Severity, Subject};
use crate::model::{Snapshot, kernel::LinkKind};

/// The row of a finding's subject, and its pane; `None` for what has no row.
#[must_use]
pub fn row_of(snapshot: &Snapshot, subject: &Subject) -> Option<(Pane, RowId)> {
    match subject {
        Subject::Host => None,
        Subject::Nic(id) => snapshot.nic(*id).map(|nic| (Pane::Nics, RowId::Nic(nic.id))),
        Subject::Network(id) => Some((Pane::Networks, RowId::Network(*id))),
        Subject::Bridge(name) => Some((Pane::Bridges, RowId::Bridge(*name))),
        Subject::Link(name) => {
            let link = snapshot.link_named(*name)?;
            if matches!(link.kind, LinkKind::Bridge(_)) {
                return Some((Pane::Bridges, RowId::Bridge(*name)));
            }
            let stacked = stack::all(snapshot).find_map(|found| {
                let lower = found.lower.name;
                let is_on_it = found.uppers().any(|upper| upper.link().name == *name);
                let row = if lower == *name { Some(RowId::Lower(lower)) } else { None };
                row.or_else(|| is_on_it.then_some(RowId::Upper(lower, *name)))
            });
            if let Some(row) = stacked {
                return Some((Pane::Bridges, row));
            }
            let bridge = snapshot.bridge_named(snapshot.link(link.master?)?.name)?;
            Some((Pane::Bridges, RowId::Port(bridge.name, *name)))
        }
    }
}

impl App {
    /// How bad the worst is that is known of a row; notes mark no row.
    #[must_use]
    pub fn trouble(&self, row: &RowId) -> Option<Severity> {
        let nic_of_port = match row {
            RowId::Port(bridge, port) => self
                .snapshot()
                .bridge_named(*bridge)
                .and_then(|bridge| bridge.ports.iter().find(|other| other.name == *port))
                .and_then(|port| port.nic),
            RowId::Upper(lower, name) => stack::nic(self.snapshot(), *lower, *name).map(|nic| nic.id),
            _ => None,
        };
        let concerns = |finding: &&Finding| match (&finding.subject, row) {
            (Subject::Nic(a), RowId::Nic(b)) => a == b,
            (Subject::Nic(nic), RowId::Port(..) | RowId::Upper(..)) => nic_of_port == Some(*nic),
            (Subject::Network(a), RowId::Network(b)) => a == b,
            (Subject::Bridge(a) | Subject::Link(a), RowId::Bridge(b))
            | (Subject::Link(a), RowId::Port(_, b) | RowId::Lower(b) | RowId::Upper(_, b)) => a == b,
            _ => false,
        };
        let findings = self.doctor.report().findings.iter();
        findings
            .filter(concerns)
            .map(|finding| finding.severity)
            .max()
            .filter(|severity| *severity > Severity::Note)
    }

    /// The finding under the doctor's cursor, and its position: the one that was chosen, else the worst.
    #[must_use]
    pub fn chosen_finding(&self) -> Option<(usize, &Finding)> {
        let findings = &self.doctor.report().findings;
        let chosen =
            self.finding.as_ref().and_then(|key| findings.iter().position(|finding| finding.key() == *key));
        let at = chosen.unwrap_or(0);
        findings.get(at).map(|finding| (at, finding))
    }
}
