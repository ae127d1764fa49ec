//! stub
use super::Updates;
/// Asks again.
#[derive(Debug, Clone)]
pub struct Refresh;
impl Refresh {
    /// Now.
    pub fn now(&self) {}
}
/// Starts.
pub fn spawn(_uri: String, _updates: Updates) -> Refresh {
    Refresh
}
