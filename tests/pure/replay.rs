//! A recording plays through the same join as the live host, and a bad one says what is wrong and where.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use virt_net::model::facts::Recording;
use virt_net::model::ids::IfIndex;
use virt_net::model::kernel::Counters;
use virt_net::model::{Facts, Timestamp};
use virt_net::source::replay;

fn recording() -> Recording {
    let frame = |at: u64, rx_bytes: u64| Facts {
        taken_at: Timestamp(at),
        counters: std::sync::Arc::new([(IfIndex(2), Counters { rx_bytes, ..Counters::default() })].into()),
        ..Facts::default()
    };
    Recording {
        schema: Recording::SCHEMA,
        program: "0.1.0".to_owned(),
        frames: vec![frame(1_000, 0), frame(2_000, 300), frame(3_000, 300)],
    }
}

fn refused(text: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let message = replay::read(file.path()).unwrap_err().to_string();
    assert!(message.contains(&file.path().display().to_string()), "{message}");
    message
}

#[test]
fn what_was_written_is_read_again() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::to_string(&recording()).unwrap()).unwrap();
    assert_eq!(replay::read(file.path()).unwrap(), recording());
}

#[test]
fn rates_come_from_the_recorded_times() {
    let snapshots = replay::snapshots(&recording());
    let rates: Vec<_> = snapshots.iter().map(|snapshot| snapshot.history.rate(IfIndex(2))).collect();
    assert_eq!(rates[0], None);
    assert_eq!(rates[1].map(|rate| rate.rx_bytes), Some(300.0));
    assert_eq!(rates[2].map(|rate| rate.rx_bytes), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn it_plays_in_its_own_time_and_stays_on_the_last_frame() {
    let mut frames = replay::play(&recording());
    assert_eq!(frames.borrow_and_update().taken_at, Timestamp(1_000));
    let started = tokio::time::Instant::now();
    frames.wait_for(|frame| frame.taken_at == Timestamp(3_000)).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 2);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert!(frames.has_changed().is_ok(), "the player must not go away");
}

#[test]
fn a_missing_file_is_named() {
    let message = replay::read(&PathBuf::from("/nonexistent/x.json")).unwrap_err().to_string();
    assert!(message.contains("/nonexistent/x.json") && message.contains("No such file"), "{message}");
}

#[test]
fn broken_json_has_a_line_and_a_column() {
    let message = refused("{\n  \"schema\": 1,\n  \"program\": oops\n}");
    assert!(message.contains("line 3, column"), "{message}");
}

#[test]
fn another_schema_and_no_frames_are_refused() {
    let mut other = recording();
    other.schema = 99;
    let message = refused(&serde_json::to_string(&other).unwrap());
    assert!(message.contains("schema 99") && message.contains("0.1.0"), "{message}");
    other.schema = Recording::SCHEMA;
    other.frames.clear();
    let message = refused(&serde_json::to_string(&other).unwrap());
    assert!(message.contains("no frames"), "{message}");
}
