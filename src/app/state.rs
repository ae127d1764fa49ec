//! PURE. The state of the screen. Selection is by identity, overlays are a stack of one enum, a
//! question holds the plan it is about.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::form::{Preview, SwitchForm};
use super::forms::Form;
use super::job::{Job, JobStep};
use super::keymap::Keymap;
use super::menu::Menu;
use super::output::Output;
use super::path::PathView;
use super::rows::{self, RowId, stack};
use super::waiting::Waiting;
use crate::app::{Action, Context};
use crate::change::bridge::record::Progress;
use crate::change::{Bounce, Outcome};
use crate::doctor::{Key as FindingKey, Watch};
use crate::model::{NicId, Snapshot, Timestamp};

/// The panes, in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pane {
    /// Guests' NICs.
    Nics,
    /// Bridges and their ports.
    Bridges,
    /// Firewall rules.
    Rules,
    /// libvirt networks.
    Networks,
}

impl Pane {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Nics, Self::Bridges, Self::Rules, Self::Networks];

    /// Its position.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Nics => "NICs",
            Self::Bridges => "Bridges and ports",
            Self::Rules => "NAT rules",
            Self::Networks => "Networks",
        }
    }
}

/// Order of the NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// By guest.
    #[default]
    Guest,
    /// By guest, last first.
    GuestDown,
    /// By state.
    State,
    /// By state, last first.
    StateDown,
    /// Most received first.
    Rx,
    /// Least received first.
    RxDown,
    /// Most sent first.
    Tx,
    /// Least sent first.
    TxDown,
}

impl Sort {
    /// By the next column.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Guest | Self::GuestDown => Self::State,
            Self::State | Self::StateDown => Self::Rx,
            Self::Rx | Self::RxDown => Self::Tx,
            Self::Tx | Self::TxDown => Self::Guest,
        }
    }

    /// The other way round.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Guest => Self::GuestDown,
            Self::GuestDown => Self::Guest,
            Self::State => Self::StateDown,
            Self::StateDown => Self::State,
            Self::Rx => Self::RxDown,
            Self::RxDown => Self::Rx,
            Self::Tx => Self::TxDown,
            Self::TxDown => Self::Tx,
        }
    }

    /// For the title of the pane.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Guest => "guest ▲",
            Self::GuestDown => "guest ▼",
            Self::State => "state ▲",
            Self::StateDown => "state ▼",
            Self::Rx => "rx/s ▼",
            Self::RxDown => "rx/s ▲",
            Self::Tx => "tx/s ▼",
            Self::TxDown => "tx/s ▲",
        }
    }
}

/// Whether the terminal reports the mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mouse {
    /// It does not: the terminal's own selecting and copying works.
    #[default]
    Off,
    /// The wheel moves the cursor.
    On,
}

/// Something on top of the panes.
#[derive(Debug, Clone)]
pub enum Overlay {
    /// The keys.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// All about a row.
    Detail {
        /// Which.
        row: RowId,
        /// First line shown.
        scroll: usize,
    },
    /// What can be done with a row.
    Menu(Menu),
    /// A form.
    Form(Box<Form>),
    /// The switch form.
    Switch(Box<SwitchForm>),
    /// A question about a plan.
    Confirm {
        /// What is asked.
        title: String,
        /// What would be done.
        job: Box<Job>,
        /// What of it is shown.
        preview: Preview,
        /// First line shown.
        scroll: usize,
    },
    /// The steps of the running or last change.
    Steps {
        /// First line shown.
        scroll: usize,
    },
    /// What is wrong.
    Doctor {
        /// First line shown of the finding's text.
        scroll: usize,
    },
    /// The way of a NIC's packets.
    Path(Box<PathView>),
    /// Messages so far.
    Messages {
        /// First line shown.
        scroll: usize,
    },
    /// Quit although a change is running?
    QuitWhileChanging,
}

impl Overlay {
    /// The first line shown, of a box that can be scrolled.
    pub(super) const fn scroll(&mut self) -> Option<&mut usize> {
        match self {
            Self::Help { scroll }
            | Self::Detail { scroll, .. }
            | Self::Messages { scroll }
            | Self::Confirm { scroll, .. }
            | Self::Doctor { scroll }
            | Self::Steps { scroll } => Some(scroll),
            Self::Path(view) => Some(&mut view.scroll),
            Self::Form(form) => Some(&mut form.scroll),
            Self::Switch(form) => Some(&mut form.scroll),
            Self::Menu(_) | Self::QuitWhileChanging => None,
        }
    }

    /// Which keys count.
    #[must_use]
    pub const fn context(&self) -> Context {
        match self {
            Self::Help { .. } | Self::Detail { .. } | Self::Messages { .. } => Context::Text,
            Self::Menu(_) => Context::Menu,
            Self::Form(_) => Context::Form,
            Self::Switch(_) => Context::Switch,
            Self::Confirm { .. } | Self::QuitWhileChanging => Context::Confirm,
            Self::Steps { .. } => Context::Steps,
            Self::Doctor { .. } => Context::Doctor,
            Self::Path(_) => Context::Path,
        }
    }
}

/// A change that runs or ran.
#[derive(Debug, Clone)]
pub struct ChangeRun {
    /// What is done.
    pub job: Job,
    /// When it was begun.
    pub begun: Timestamp,
    /// Each step and how it stands.
    pub steps: Vec<JobStep>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// What the program that does it says; `None` where no program does it.
    pub output: Option<Output>,
    /// How far a bridge's change has come by its record, which goes on after the proof: it waits to be kept.
    pub record: Option<Progress>,
}

impl ChangeRun {
    /// Takes in what the record of a bridge's change says, if it is this one's.
    pub(super) fn follow(&mut self, now: &Waiting) {
        let is_this = matches!(&self.job, Job::Bridge(job) if job.plan.title == now.title);
        if is_this && now.begun >= self.begun {
            self.record = Some(now.progress.clone());
        }
    }

    /// It has ended, and `u` takes back what it has done.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        let did_something = matches!(self.outcome, Some(Outcome::Verified { .. } | Outcome::Failed { .. }));
        did_something && self.job.can_be_undone()
    }
}

/// The whole state.
#[derive(Debug)]
pub struct App {
    pub(super) live: Arc<Snapshot>,
    frozen: Option<Arc<Snapshot>>,
    /// The wall clock.
    pub now: Timestamp,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The pane with the cursor.
    pub focus: Pane,
    /// The selected row of each pane.
    pub selected: [Option<RowId>; 4],
    /// NICs that are switched together.
    pub marked: BTreeSet<NicId>,
    /// Only rows with this text.
    pub filter: String,
    /// The filter is being typed.
    pub filtering: bool,
    /// Order of the NICs.
    pub sort: Sort,
    /// On top of the panes, the last one topmost.
    pub overlays: Vec<Overlay>,
    /// How many lines the topmost box can be scrolled: only the view knows, and notes it as it draws.
    pub scroll_end: Cell<usize>,
    /// The running or last change.
    pub change: Option<ChangeRun>,
    /// What was said, newest last.
    pub messages: VecDeque<(Timestamp, String)>,
    /// What was said last, until a key is pressed: shown in the footer.
    pub said: Option<String>,
    /// Whether the mouse is reported.
    pub mouse: Mouse,
    /// Quit as soon as the change ends.
    pub quit_after_change: bool,
    /// What is wrong, as far as it has lasted.
    pub doctor: Watch,
    /// The guest that is selected as soon as it is there: the one that was just made.
    pub(super) awaited: Option<String>,
    /// The finding under the doctor's cursor.
    pub finding: Option<FindingKey>,
    /// The change of a bridge that is under way, whoever began it.
    pub waiting: Option<Box<Waiting>>,
    /// Which key does what.
    pub keymap: Keymap,
    /// The link bounce that the switch form begins with.
    pub bounce: Bounce,
}

impl App {
    /// Messages kept.
    const MESSAGES: usize = 500;

    /// The state at start.
    #[must_use]
    pub fn new(snapshot: Arc<Snapshot>, now: Timestamp, size: (u16, u16)) -> Self {
        Self {
            live: snapshot,
            frozen: None,
            now,
            size,
            focus: Pane::Nics,
            selected: [const { None }; 4],
            marked: BTreeSet::new(),
            filter: String::new(),
            filtering: false,
            sort: Sort::default(),
            overlays: Vec::new(),
            scroll_end: Cell::new(usize::MAX),
            change: None,
            messages: VecDeque::new(),
            said: None,
            mouse: Mouse::default(),
            quit_after_change: false,
            doctor: Watch::default(),
            awaited: None,
            finding: None,
            waiting: None,
            keymap: Keymap::default(),
            bounce: Bounce::default(),
        }
    }

    /// What is shown: the newest snapshot, or the one that was frozen.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        self.frozen.as_ref().unwrap_or(&self.live)
    }

    /// The newest snapshot, whatever is shown: what plans are made from.
    #[must_use]
    pub const fn live(&self) -> &Arc<Snapshot> {
        &self.live
    }

    /// The figures are stopped.
    #[must_use]
    pub const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    pub(super) fn take(&mut self, snapshot: Arc<Snapshot>) {
        self.doctor.follow(&snapshot);
        self.live = snapshot;
    }

    pub(super) fn freeze(&mut self) {
        self.frozen = match self.frozen {
            None => Some(Arc::clone(&self.live)),
            Some(_) => None,
        };
    }

    /// The selected row of a pane: what was chosen, or the first one when that is gone.
    #[must_use]
    pub fn cursor(&self, pane: Pane) -> Option<RowId> {
        let rows = rows::rows(self, pane);
        let chosen = self.selected.get(pane.index()).and_then(Option::as_ref);
        chosen.filter(|chosen| rows.contains(chosen)).or_else(|| rows.first()).cloned()
    }

    /// A change is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.change.as_ref().is_some_and(|change| change.outcome.is_none())
    }

    /// The NIC of the selected row, if it has one that is there.
    #[must_use]
    pub fn nic_of_row(&self, snapshot: &Snapshot) -> Option<NicId> {
        let nic = match self.cursor(self.focus)? {
            RowId::Nic(nic) => Some(nic),
            RowId::Port(bridge, port) => snapshot
                .bridge_named(bridge)
                .and_then(|bridge| bridge.ports.iter().find(|other| other.name == port))
                .and_then(|port| port.nic),
            RowId::Upper(lower, name) => stack::nic(snapshot, lower, name).map(|nic| nic.id),
            _ => None,
        };
        nic.filter(|nic| snapshot.nic(*nic).is_some())
    }

    /// Which keys count now.
    #[must_use]
    pub fn context(&self) -> Context {
        self.overlays.last().map_or(Context::Panes, Overlay::context)
    }

    /// Whether the key of this action does something here and now: what is refused can neither be done nor
    /// looked at.
    #[must_use]
    pub fn offers(&self, context: Context, action: Action) -> bool {
        let planned = match self.overlays.last() {
            Some(Overlay::Form(form)) => Some(&form.planned),
            Some(Overlay::Switch(form)) => Some(&form.planned),
            _ => None,
        };
        match (context, action) {
            (Context::Steps, Action::Undo) => self.change.as_ref().is_some_and(ChangeRun::can_be_undone),
            (Context::Form | Context::Switch, Action::Apply | Action::Diff | Action::Commands) => {
                planned.is_none_or(Result::is_ok)
            }
            _ => true,
        }
    }

    pub(super) fn say(&mut self, text: impl Into<String>) {
        let text = text.into();
        self.note(text.clone());
        self.said = Some(text);
    }

    /// Keeps a message without showing it by itself.
    pub(super) fn note(&mut self, text: String) {
        if self.messages.len() == Self::MESSAGES {
            self.messages.pop_front();
        }
        self.messages.push_back((self.now, text));
    }
}
