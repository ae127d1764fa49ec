//! PURE. What was derived beside what was found out by asking.

use std::net::IpAddr;

use serde::Serialize;

use super::Answer;
use super::reach::{Cell, Direction};
use crate::model::Mac;

/// What asking found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "probe", rename_all = "kebab-case")]
pub enum Found {
    /// An echo came back.
    Answered {
        /// After so many microseconds, where that was measured.
        micros: Option<u64>,
    },
    /// No echo came back.
    Silent {
        /// Who answered for the address by ARP all the same.
        arp: Option<Mac>,
    },
    /// Nothing could be asked.
    NotAsked {
        /// Why.
        reason: String,
    },
}

/// How the two go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judgement {
    /// They say the same.
    Agrees,
    /// They contradict each other: something is not seen from this host, or derived wrongly.
    Contradicts,
    /// What could not be derived is known now.
    Decides,
    /// Nothing was asked.
    Nothing,
}

/// One relation, derived and probed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Probed {
    /// What was derived.
    pub cell: Cell,
    /// The address that was asked.
    pub asked: Option<IpAddr>,
    /// What asking found.
    pub found: Found,
    /// How the two go together.
    pub judgement: Judgement,
}

impl Probed {
    /// Puts them side by side.
    #[must_use]
    pub fn new(cell: Cell, asked: Option<IpAddr>, found: Found) -> Self {
        let judgement = match (&found, cell.answer) {
            (Found::NotAsked { .. }, _) => Judgement::Nothing,
            (_, Answer::Unknown) => Judgement::Decides,
            (Found::Answered { .. }, Answer::Yes) | (Found::Silent { .. }, Answer::No) => Judgement::Agrees,
            _ => Judgement::Contradicts,
        };
        Self { cell, asked, found, judgement }
    }

    /// What it means, in one line.
    #[must_use]
    pub fn meaning(&self) -> String {
        match (self.judgement, &self.found) {
            (Judgement::Agrees, _) => "as derived".to_owned(),
            (Judgement::Decides, Found::Answered { .. }) => "now known: yes".to_owned(),
            (Judgement::Decides, _) => "now known: no answer".to_owned(),
            (Judgement::Nothing, Found::NotAsked { reason }) => reason.clone(),
            (Judgement::Nothing, _) => String::new(),
            (Judgement::Contradicts, Found::Silent { arp: Some(mac) }) => format!(
                "CONTRADICTION: nothing on this host stops it and {mac} answers ARP, but no echo came back: look at \
                 the firewall inside the guest"
            ),
            (Judgement::Contradicts, Found::Silent { arp: None }) if self.cell.direction == Direction::From => {
                "CONTRADICTION: nothing on this host stops it, but nobody answers, not even ARP: the guest does not \
                 have this address (any more), or its NIC is down inside"
                    .to_owned()
            }
            (Judgement::Contradicts, Found::Silent { .. }) => {
                "CONTRADICTION: nothing on this host stops it, but no echo came back: look beyond this host, and at \
                 the guest's own routes and firewall"
                    .to_owned()
            }
            (Judgement::Contradicts, _) => {
                format!("CONTRADICTION: it answers although: {}", self.cell.reason)
            }
        }
    }
}
