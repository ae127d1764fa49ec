//! stub
use super::Updates;
/// Starts.
pub fn spawn(_updates: Updates) {}
