//! Rates are never negative, absurd or invented, whatever the counters and the clock do.
#![expect(clippy::cast_precision_loss, reason = "the figures are small")]

use proptest::prelude::*;
use virt_net::model::Timestamp;
use virt_net::model::ids::IfIndex;
use virt_net::model::kernel::{CounterTable, Counters};
use virt_net::model::rates::{History, LinkRate};

const LINK: IfIndex = IfIndex(3);

fn table(rx_bytes: u64) -> CounterTable {
    [(LINK, Counters { rx_bytes, ..Counters::default() })].into()
}

fn history(samples: &[(u64, u64)]) -> History {
    let mut history = History::default();
    for (at, rx_bytes) in samples {
        history.push(Timestamp(*at), &table(*rx_bytes));
    }
    history
}

fn rx(history: &History) -> Vec<f64> {
    history.samples(LINK).map(|rate| rate.rx_bytes).collect()
}

#[test]
fn a_rate_is_per_second() {
    assert_eq!(rx(&history(&[(1_000, 100), (3_000, 1_100)])), [500.0]);
}

#[test]
fn one_sample_is_no_rate() {
    assert_eq!(history(&[(1_000, 100)]).rate(LINK), None);
}

#[test]
fn counters_that_fell_start_afresh() {
    let history = history(&[(1_000, 100), (2_000, 200), (3_000, 50), (4_000, 60)]);
    assert_eq!(rx(&history), [10.0]);
}

#[test]
fn a_clock_that_goes_back_loses_one_rate_and_no_past() {
    let history = history(&[(9_000, 0), (10_000, 10), (2_000, 20), (3_000, 40)]);
    assert_eq!(rx(&history), [10.0, 20.0]);
}

#[test]
fn after_a_long_stop_the_past_is_forgotten() {
    let history = history(&[(1_000, 0), (2_000, 10), (3_600_000, 1_000_000), (3_601_000, 1_000_005)]);
    assert_eq!(rx(&history), [5.0]);
}

#[test]
fn samples_too_close_are_one() {
    let history = history(&[(1_000, 0), (1_010, 1_000_000), (2_000, 1_000)]);
    assert_eq!(rx(&history), [1_000.0]);
}

#[test]
fn a_link_that_went_is_forgotten() {
    let mut history = history(&[(1_000, 0), (2_000, 10)]);
    history.push(Timestamp(3_000), &CounterTable::new());
    assert_eq!(history.rate(LINK), None);
    assert_eq!(history.samples(LINK).len(), 0);
}

#[test]
fn five_minutes_are_kept() {
    let samples: Vec<(u64, u64)> = (0..1_000).map(|second| (second * 1_000, second * 7)).collect();
    assert_eq!(rx(&history(&samples)), [7.0; History::SAMPLES]);
}

proptest! {
    /// Between any two readings a rate is absent or finite, not negative, and no more than what was counted.
    #[test]
    fn a_rate_is_never_negative_or_absurd(before: [u64; 4], after: [u64; 4], millis: u64) {
        let counters = |[rx_bytes, tx_bytes, rx_packets, tx_packets]: [u64; 4]| {
            Counters { rx_bytes, tx_bytes, rx_packets, tx_packets, ..Counters::default() }
        };
        if let Some(rate) = LinkRate::between(&counters(before), &counters(after), millis) {
            for value in [rate.rx_bytes, rate.tx_bytes, rate.rx_packets, rate.tx_packets] {
                prop_assert!(value.is_finite() && value >= 0.0);
            }
            let counted = (after[0] - before[0]) as f64;
            prop_assert!(rate.rx_bytes * millis as f64 / 1_000.0 <= counted * 1.000_001);
        }
    }

    /// Whatever times and counters arrive, no sample shows more than the counter rose between two reads.
    #[test]
    fn no_history_shows_a_spike(samples in prop::collection::vec((0_u64..100_000, 0_u64..1_000_000), 1..40)) {
        let most = samples.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0) as f64;
        for rate in rx(&history(&samples)) {
            prop_assert!((0.0..=most * 5.0).contains(&rate));
        }
    }
}
