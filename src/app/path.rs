//! PURE. The path box of one NIC: which relation is followed, its way, the matrix, and what a probe found.

use std::net::IpAddr;

use crate::model::{NicId, Snapshot, Timestamp};
use crate::path::probe::Probed;
use crate::path::reach::{self, Cell, Direction, Peer, Reach};
use crate::path::{self, Path, Protocol, Question, Way};

/// The box.
#[derive(Debug, Clone)]
pub struct PathView {
    /// The NIC.
    pub nic: NicId,
    /// Who can reach whom; `None` when the NIC is gone.
    pub matrix: Option<Reach>,
    /// The way of the chosen relation; `None` when it has no address to go to.
    pub path: Option<Path>,
    /// First line shown of the way.
    pub scroll: usize,
    /// What asking for real found.
    pub probe: Probe,
    chosen: Relation,
}

/// Asking for real.
#[derive(Debug, Clone, Default)]
pub enum Probe {
    /// Not wanted yet.
    #[default]
    None,
    /// Under way.
    Running,
    /// Found.
    Done {
        /// When.
        at: Timestamp,
        /// Each relation that could be asked.
        rows: Vec<Probed>,
    },
}

/// What names a relation, whatever address stands for it at the moment.
type Relation = (Direction, Peer, Option<String>, Option<IpAddr>);

fn relation(cell: &Cell) -> Relation {
    // A guest may have several addresses, each a relation of its own.
    let address = cell.address.filter(|_| cell.peer == Peer::Guest);
    (cell.direction, cell.peer, cell.guest.clone(), address)
}

impl PathView {
    /// The way to the internet first.
    #[must_use]
    pub fn new(snapshot: &Snapshot, nic: NicId) -> Self {
        let mut view = Self {
            nic,
            matrix: None,
            path: None,
            scroll: 0,
            probe: Probe::None,
            chosen: (Direction::To, Peer::Internet, None, None),
        };
        view.follow(snapshot);
        view
    }

    /// Derives everything anew.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        self.matrix = reach::matrix(snapshot, self.nic);
        self.path = self.cell().and_then(|cell| {
            let address = cell.address?;
            let way = match cell.direction {
                Direction::To => Way::To(address),
                Direction::From => Way::From(address),
            };
            path::trace(snapshot, &Question { nic: self.nic, way, protocol: Protocol::Ping })
        });
    }

    /// Where the chosen relation is in the matrix.
    #[must_use]
    pub fn cursor(&self) -> usize {
        let cells = self.matrix.as_ref().map_or(&[][..], |matrix| &matrix.cells);
        cells.iter().position(|cell| relation(cell) == self.chosen).unwrap_or(0)
    }

    /// The chosen relation.
    #[must_use]
    pub fn cell(&self) -> Option<&Cell> {
        self.matrix.as_ref()?.cells.get(self.cursor())
    }

    /// What a probe found for a relation.
    #[must_use]
    pub fn found(&self, cell: &Cell) -> Option<&Probed> {
        let Probe::Done { rows, .. } = &self.probe else { return None };
        rows.iter().find(|row| relation(&row.cell) == relation(cell))
    }

    pub(super) fn step(&mut self, by: isize, snapshot: &Snapshot) {
        let Some(matrix) = &self.matrix else { return };
        let count = matrix.cells.len();
        let to = (self.cursor() + count).saturating_add_signed(by).checked_rem(count).unwrap_or(0);
        if let Some(cell) = matrix.cells.get(to) {
            self.chosen = relation(cell);
            self.scroll = 0;
            self.follow(snapshot);
        }
    }
}
