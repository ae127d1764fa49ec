//! Counters become rates, and five minutes of them are kept.
//!
//! A rate is only ever made of two samples of the same link (same index) with rising counters and a
//! believable distance in time; anything else starts afresh rather than show a spike that never was.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::ids::{IfIndex, Timestamp};
use super::kernel::{CounterTable, Counters};

/// Rates of one link from the host's side, averaged between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkRate {
    /// Bytes per second received by the host.
    pub rx_bytes: f64,
    /// Bytes per second sent by the host.
    pub tx_bytes: f64,
    /// Packets per second received.
    pub rx_packets: f64,
    /// Packets per second sent.
    pub tx_packets: f64,
}

impl LinkRate {
    /// The same with the directions changed.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self {
            rx_bytes: self.tx_bytes,
            tx_bytes: self.rx_bytes,
            rx_packets: self.tx_packets,
            tx_packets: self.rx_packets,
        }
    }

    /// Both directions together, bytes per second.
    #[must_use]
    pub fn total_bytes(self) -> f64 {
        self.rx_bytes + self.tx_bytes
    }

    /// The rate between two samples `millis` apart; `None` when they cannot be compared (time stood
    /// still or a counter fell: the link was made anew or its counters were reset).
    #[must_use]
    pub fn between(before: &Counters, after: &Counters, millis: u64) -> Option<Self> {
        if millis == 0 {
            return None;
        }
        Some(Self {
            rx_bytes: per_second(before.rx_bytes, after.rx_bytes, millis)?,
            tx_bytes: per_second(before.tx_bytes, after.tx_bytes, millis)?,
            rx_packets: per_second(before.rx_packets, after.rx_packets, millis)?,
            tx_packets: per_second(before.tx_packets, after.tx_packets, millis)?,
        })
    }
}

/// Units per second between two readings of a counter that only rises; `None` if it fell.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown with three digits; 2^53 bytes between samples are not reached"
)]
pub fn per_second(before: u64, after: u64, millis: u64) -> Option<f64> {
    let delta = after.checked_sub(before)?;
    (millis > 0).then(|| delta as f64 * 1000.0 / millis as f64)
}

/// The last five minutes of every link. Cheap to clone: the samples are shared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    last: Option<(Timestamp, CounterTable)>,
    /// One entry per sample, oldest first; a link is missing where it had no believable rate.
    samples: VecDeque<Arc<BTreeMap<IfIndex, LinkRate>>>,
}

impl History {
    /// Samples kept per link: five minutes of one a second.
    pub const SAMPLES: usize = 300;
    /// A sample closer to the last one is ignored, since its rate would be noise.
    const CLOSEST: u64 = 200;
    /// Over a longer time (the program was stopped) no rate is made, and the past is forgotten.
    const LONGEST: u64 = 60_000;

    /// Takes the next sample.
    pub fn push(&mut self, at: Timestamp, counters: &CounterTable) {
        let Some((before_at, before)) = &self.last else {
            self.last = Some((at, counters.clone()));
            return;
        };
        let millis = at.millis_since(*before_at);
        if at >= *before_at && millis < Self::CLOSEST {
            return;
        }
        if millis > Self::LONGEST {
            self.samples.clear();
        } else if at > *before_at {
            let rate = |(index, after): (&IfIndex, &Counters)| {
                Some((*index, LinkRate::between(before.get(index)?, after, millis)?))
            };
            let rates = counters.iter().filter_map(rate).collect();
            if self.samples.len() == Self::SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(Arc::new(rates));
        }
        // Where the clock was put back, this sample is only the start of the next rate.
        self.last = Some((at, counters.clone()));
    }

    /// The current rate of a link from the host's side.
    #[must_use]
    pub fn rate(&self, index: IfIndex) -> Option<LinkRate> {
        self.samples.back()?.get(&index).copied()
    }

    /// The samples of a link up to now without a gap, oldest first, from the host's side.
    #[must_use]
    pub fn samples(&self, index: IfIndex) -> impl ExactSizeIterator<Item = &LinkRate> + DoubleEndedIterator {
        const NONE: &LinkRate = &LinkRate { rx_bytes: 0.0, tx_bytes: 0.0, rx_packets: 0.0, tx_packets: 0.0 };
        let gap = self.samples.iter().rposition(|rates| !rates.contains_key(&index));
        let start = gap.map_or(0, |gap| gap + 1);
        self.samples.range(start..).map(move |rates| rates.get(&index).unwrap_or(NONE))
    }
}
