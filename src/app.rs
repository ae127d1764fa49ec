//! PURE. What the screen is about: state, events, the one table of actions, and `update`, which turns
//! an event into a new state and effects. No I/O, no clock (time comes in with events), no ratatui.

pub mod action;
pub mod findings;
pub mod form;
pub mod forms;
pub mod job;
pub mod key;
pub mod keymap;
pub mod menu;
pub mod output;
pub mod path;
pub mod remedy;
pub mod rows;
pub mod state;
pub mod update;
pub mod waiting;

use std::sync::Arc;

use crate::change::{Outcome, Refusal};
use crate::model::{Snapshot, Timestamp};

pub use action::{ACTIONS, Action, Context};
pub use job::Job;
pub use key::{Code, Key};
pub use keymap::Keymap;
pub use rows::RowId;
pub use state::{App, Overlay, Pane};
pub use update::update;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The terminal has another size, in columns and rows.
    Resize(u16, u16),
    /// The host was read.
    Snapshot(Arc<Snapshot>),
    /// A second passed.
    Clock(Timestamp),
    /// A running change has news.
    Progress(job::News),
    /// The running change ended.
    Outcome(Box<Outcome>),
    /// What the last change's undo would be.
    Undo(Box<Result<Job, Refusal>>),
    /// A change that was wanted is planned, with all that was found out for it.
    Planned(Box<Result<Job, Refusal>>),
    /// How the last change of a bridge stands, whoever began it; `None` when there was none.
    Waiting(Option<Box<waiting::Waiting>>),
    /// What asking for real found for a NIC, or why nothing could be asked.
    Probed(crate::model::NicId, Result<Vec<crate::path::probe::Probed>, String>),
    /// What virt-install says while it makes a guest.
    Said(crate::change::new_guest::said::Said),
    /// What the host's files say about the guest in the form.
    Looked(Box<crate::change::new_guest::Evidence>),
    /// Something the operator should know.
    Message(String),
    /// The program's own log: kept with the messages, not shown by itself.
    Log(String),
}

/// What the outside shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// End the program.
    Quit,
    /// Stop as ctrl-Z does.
    Suspend,
    /// Ask the terminal for its size and draw everything anew.
    Repaint,
    /// Read everything again.
    Refresh,
    /// Ask libvirt for the host's devices.
    Devices,
    /// Carry a change out.
    Apply(Box<Job>),
    /// Find out what the undo of the last change would be.
    PlanUndo,
    /// Find out about the NIC's owner, and plan a change of a bridge.
    PlanBridge(Box<job::BridgeJob>),
    /// Find out about the NIC's owner, and plan a change of a shim.
    PlanShim(Box<job::ShimJob>),
    /// Keep the change of a bridge that waits, or take it back.
    Answer(crate::change::bridge::record::Answer),
    /// Ask for real what is derived for a NIC.
    Probe(crate::model::NicId),
    /// Look at what the guest in the form hangs on.
    Look(Box<crate::change::new_guest::Question>),
    /// Stop virt-install.
    Stop,
    /// Lend the terminal to this call, a guest's console, until it ends.
    Console(Vec<std::ffi::OsString>),
    /// Let the terminal report the mouse, or no more.
    Mouse(state::Mouse),
}
