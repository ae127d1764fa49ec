//! PURE. Forms: fields, and below them always the preview of what they would do. A form knows no
//! terminal; [`Form::plan`] is asked again at every change of a field or of the host.

pub(in crate::app) mod bridge;
mod device;
pub mod guest;
mod lease;
mod network;
pub(in crate::app) mod network_more;
mod nic;
mod shim;

use self::guest::On;
pub use self::network_more::More;
use super::form::Preview;
use super::job::Planned;
use crate::change::Refusal;
use crate::change::network::Mode;
use crate::change::new_guest::{Evidence, Question};
use crate::model::{DomainId, IfName, NetworkId, Snapshot};

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormKind {
    /// A new network, first shown in this mode.
    NetworkNew(Mode),
    /// What can be changed of a network.
    NetworkEdit(NetworkId),
    /// One of the rarely changed sides of a network.
    NetworkMore(NetworkId, More),
    /// A network like one that is there.
    NetworkClone(NetworkId),
    /// A static lease of a network.
    Lease(NetworkId),
    /// One more NIC for a guest.
    NicAdd(DomainId),
    /// A PCI NIC or VF of the host for a guest.
    NicDevice(DomainId),
    /// A bridge over a NIC of the host, first shown with this one.
    BridgeNew(Option<IfName>),
    /// One more port for a bridge of the host.
    BridgePort(IfName),
    /// A new guest.
    GuestNew(On),
    /// A shim between the host and the macvtaps on this NIC.
    Shim(IfName),
}

impl FormKind {
    /// What it is about is there.
    #[must_use]
    pub fn is_there(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::NetworkNew(_) | Self::BridgeNew(_) | Self::GuestNew(_) => true,
            Self::NetworkEdit(id) | Self::NetworkMore(id, _) | Self::NetworkClone(id) | Self::Lease(id) => {
                snapshot.network(id).is_some()
            }
            Self::NicAdd(id) | Self::NicDevice(id) => snapshot.guest(id).is_some(),
            Self::Shim(over) => snapshot.link_named(over).is_some(),
            Self::BridgePort(bridge) => snapshot.bridge_named(bridge).is_some(),
        }
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Typed.
    Text(String),
    /// One of several.
    Choice {
        /// What there is. May be hostile text.
        options: Vec<String>,
        /// Which one.
        at: usize,
    },
}

/// Whether a field is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It is.
    Yes,
    /// It means nothing with the other fields as they are.
    No,
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// What the form calls it.
    pub id: &'static str,
    /// What it is called on the screen.
    pub label: &'static str,
    /// Its value.
    pub value: Value,
    /// What may be typed.
    pub hint: &'static str,
    /// Whether it is there.
    pub shown: Shown,
}

/// A form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Which.
    pub kind: FormKind,
    /// Its title. May be hostile text.
    pub title: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The field with the cursor.
    pub cursor: usize,
    /// What of the plan is shown.
    pub preview: Preview,
    /// First line of the preview.
    pub scroll: usize,
    /// What would be done, or why nothing can be.
    pub planned: Planned,
    /// What the host's files say about it, as far as it was looked at.
    pub evidence: Option<Box<Evidence>>,
    asked: Option<Question>,
    structure: u64,
}

pub(super) fn text(
    id: &'static str,
    label: &'static str,
    value: impl Into<String>,
    hint: &'static str,
) -> Field {
    Field { id, label, value: Value::Text(value.into()), hint, shown: Shown::Yes }
}

pub(super) fn choice(id: &'static str, label: &'static str, options: Vec<String>, at: usize) -> Field {
    Field { id, label, value: Value::Choice { options, at }, hint: "", shown: Shown::Yes }
}

pub(super) fn refusal(what: &str, reason: impl Into<String>, way_out: &str) -> Refusal {
    Refusal { what: what.to_owned(), reason: reason.into(), way_out: way_out.to_owned() }
}

impl Form {
    /// The form with proposals from the host; `None` when what it is about is gone.
    #[must_use]
    pub fn new(snapshot: &Snapshot, kind: FormKind) -> Option<Self> {
        let (title, fields) = match kind {
            FormKind::NetworkNew(mode) => ("New network".to_owned(), network::fields(snapshot, mode)),
            FormKind::NetworkEdit(id) => network::edit_fields(snapshot, id)?,
            FormKind::NetworkMore(id, more) => network_more::fields(snapshot, id, more)?,
            FormKind::NetworkClone(id) => network::clone_fields(snapshot, id)?,
            FormKind::Lease(id) => lease::fields(snapshot, id)?,
            FormKind::NicAdd(id) => nic::fields(snapshot, id)?,
            FormKind::NicDevice(id) => device::fields(snapshot, id)?,
            FormKind::BridgeNew(port) => ("New bridge over a NIC".to_owned(), bridge::fields(snapshot, port)),
            FormKind::BridgePort(bridge) => bridge::port_fields(snapshot, bridge)?,
            FormKind::GuestNew(on) => ("New guest".to_owned(), guest::fields(snapshot, on)),
            FormKind::Shim(over) => {
                ("Shim: the host and guests on macvtaps talk".to_owned(), shim::fields(snapshot, over))
            }
        };
        let mut form = Self {
            kind,
            title,
            fields,
            cursor: 0,
            preview: Preview::default(),
            scroll: 0,
            planned: Err(refusal("", "", "")),
            evidence: None,
            asked: None,
            structure: snapshot.structure,
        };
        form.settle(snapshot);
        Some(form)
    }

    fn plan(&self, snapshot: &Snapshot) -> Planned {
        match self.kind {
            FormKind::NetworkNew(_) => network::plan(self, snapshot),
            FormKind::NetworkEdit(id) => network::plan_edit(self, snapshot, id),
            FormKind::NetworkMore(id, more) => network_more::plan(self, snapshot, id, more),
            FormKind::NetworkClone(id) => network::plan_clone(self, snapshot, id),
            FormKind::Lease(id) => lease::plan(self, snapshot, id),
            FormKind::NicAdd(id) => nic::plan(self, snapshot, id),
            FormKind::NicDevice(id) => device::plan(self, snapshot, id),
            FormKind::BridgeNew(_) => bridge::plan(self, snapshot),
            FormKind::BridgePort(name) => bridge::plan_port(self, snapshot, name),
            FormKind::GuestNew(_) => guest::plan(self, snapshot),
            FormKind::Shim(_) => shim::plan(self, snapshot),
        }
    }

    /// Fields that hang on others, and the plan.
    fn settle(&mut self, snapshot: &Snapshot) {
        match self.kind {
            FormKind::NetworkNew(_) => network::arrange(self, snapshot),
            FormKind::GuestNew(_) => guest::arrange(self),
            _ => {}
        }
        if let FormKind::NicDevice(_) = self.kind {
            device::arrange(self, snapshot);
        }
        self.planned = self.plan(snapshot);
        self.structure = snapshot.structure;
        self.scroll = 0;
    }

    /// Follows a new snapshot.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        if snapshot.structure != self.structure {
            let scroll = self.scroll;
            self.settle(snapshot);
            self.scroll = scroll;
        }
    }

    /// The next or previous field on the screen.
    pub fn step(&mut self, by: isize) {
        let shown: Vec<usize> = self.shown().map(|(at, _)| at).collect();
        let now = shown.iter().position(|at| *at == self.cursor).unwrap_or(0);
        let count = shown.len().max(1);
        let next = (now + count).saturating_add_signed(by) % count;
        self.cursor = shown.get(next).copied().unwrap_or(0);
    }

    /// The fields on the screen with their positions.
    pub fn shown(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().enumerate().filter(|(_, field)| field.shown == Shown::Yes)
    }

    /// Another value of the choice under the cursor.
    pub fn turn(&mut self, snapshot: &Snapshot, by: isize) {
        let Some(Value::Choice { options, at }) =
            self.fields.get_mut(self.cursor).map(|field| &mut field.value)
        else {
            return;
        };
        let count = options.len().max(1);
        *at = (*at + count).saturating_add_signed(by) % count;
        let turned = self.fields.get(self.cursor).map(|field| field.id);
        if matches!((self.kind, turned), (FormKind::GuestNew(_), Some("boot"))) {
            guest::follow_boot(self);
        }
        self.settle(snapshot);
    }

    /// What is to be looked at for the preview, once for each thing that is typed.
    pub(super) fn ask(&mut self, snapshot: &Snapshot) -> Option<Question> {
        let FormKind::GuestNew(_) = self.kind else { return None };
        let question = guest::question(self, snapshot).filter(|new| self.asked.as_ref() != Some(new))?;
        self.asked = Some(question.clone());
        Some(question)
    }

    /// Takes what was seen.
    pub(super) fn take(&mut self, snapshot: &Snapshot, evidence: Box<Evidence>) {
        if self.asked.as_ref() == Some(&evidence.question) {
            self.evidence = Some(evidence);
            let scroll = self.scroll;
            self.settle(snapshot);
            self.scroll = scroll;
        }
    }

    /// Changes the text under the cursor.
    pub fn edit(&mut self, snapshot: &Snapshot, change: impl FnOnce(&mut String)) {
        if let Some(Value::Text(text)) = self.fields.get_mut(self.cursor).map(|field| &mut field.value) {
            change(text);
            self.settle(snapshot);
        }
    }

    /// The text under the cursor can be typed.
    #[must_use]
    pub fn takes_text(&self) -> bool {
        matches!(self.fields.get(self.cursor).map(|field| &field.value), Some(Value::Text(_)))
    }

    /// What a field says; empty when it is not shown.
    #[must_use]
    pub fn get(&self, id: &str) -> &str {
        let field = self.fields.iter().find(|field| field.id == id && field.shown == Shown::Yes);
        match field.map(|field| &field.value) {
            Some(Value::Text(text)) => text.trim(),
            Some(Value::Choice { options, at }) => options.get(*at).map_or("", String::as_str),
            None => "",
        }
    }

    /// Which option of a choice.
    #[must_use]
    pub fn at(&self, id: &str) -> usize {
        match self.fields.iter().find(|field| field.id == id).map(|field| &field.value) {
            Some(Value::Choice { at, .. }) => *at,
            _ => 0,
        }
    }

    /// What a field says, understood; `None` when it is empty.
    ///
    /// # Errors
    /// A refusal that names the field.
    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        id: &str,
        expected: &str,
    ) -> Result<Option<T>, Refusal> {
        let said = self.get(id);
        if said.is_empty() {
            return Ok(None);
        }
        let label = self.fields.iter().find(|field| field.id == id).map_or(id, |field| field.label);
        let wrong =
            |_| refusal("", format!("{label}: {said} is not understood"), &format!("expected {expected}"));
        said.parse().map(Some).map_err(wrong)
    }

    pub(super) fn show(&mut self, id: &str, shown: Shown) {
        if let Some(field) = self.fields.iter_mut().find(|field| field.id == id) {
            field.shown = shown;
        }
    }
}
