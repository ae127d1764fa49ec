//! For the lab's tests only, and not in a release build: holds a change at a step, so that a test can
//! kill or freeze what the step needs.

use std::time::Duration;

use crate::change::plan::StepId;

/// Waits before a step of a NIC's change if `VIRT_NET_TEST_PAUSE` says so: `unplug:3000` is 3 s before the
/// unplug.
pub(super) async fn before(step: StepId) {
    before_action(step.word()).await;
}

/// The same before a step of a network's change, `start:3000`, or of a bridge's, there and back: `bridge-1:3000`,
/// `bridge-back-1:3000`.
pub(in crate::change) async fn before_action(step: &str) {
    let Ok(wish) = std::env::var("VIRT_NET_TEST_PAUSE") else { return };
    let Some((word, millis)) = wish.split_once(':') else { return };
    if word.replace('-', " ") == step
        && let Ok(millis) = millis.parse()
    {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// How long a guest may take to shut down, if `VIRT_NET_TEST_SHUTDOWN` says other than `usual`: in seconds.
pub(super) fn shutdown(usual: Duration) -> Duration {
    let wish = std::env::var("VIRT_NET_TEST_SHUTDOWN").ok().and_then(|seconds| seconds.parse().ok());
    wish.map_or(usual, Duration::from_secs)
}
