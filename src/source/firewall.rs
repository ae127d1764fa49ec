//! READS. Firewall rules from nf_tables by netlink, on a thread of its own.
//!
//! One decoder reads native rules and those that `iptables-nft` wrote, whole and with counters, where
//! `nft -j` loses the ports and addresses of the latter. The kernel announces every commit with the
//! process that made it; counters are read again every two seconds. Tables of the old iptables, where there
//! are any, come from its own save program. Changes nothing.

mod attributes;
pub mod decode;
mod expression;
pub mod legacy;
mod raw;
mod socket;
mod stateful;
#[cfg(test)]
mod tests;
mod values;
mod xt;

use std::time::{Duration, Instant};

use self::socket::{FirewallError, Listener, Reader};
use super::{Backoff, Update, Updates, now, supervise};
use crate::model::SourceState;
use crate::model::firewall::{FirewallFacts, RuleOrigin, RulesChanged};

/// Counters are read again after this long without a change.
const COUNTERS: Duration = Duration::from_secs(2);
/// One `iptables` call commits several times.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Starts reading; an error is reported and tried again, it never ends by itself.
pub fn spawn(updates: Updates) {
    let down = {
        let updates = updates.clone();
        move |error| {
            let state = SourceState::Down { since: now(), error };
            let _ = updates.send(Update::Firewall { state, facts: None });
        }
    };
    supervise::start("firewall", move || supervise::thread("firewall", down, || keep_watching(&updates)));
}

fn keep_watching(updates: &Updates) {
    let mut backoff = Backoff::default();
    while !updates.is_closed() {
        let Err(error) = watch(updates, &mut backoff) else { return };
        let state = match error {
            FirewallError::Denied => SourceState::Denied { hint: FirewallError::HINT.to_owned() },
            error => SourceState::Down { since: now(), error: error.to_string() },
        };
        let _ = updates.send(Update::Firewall { state, facts: None });
        std::thread::sleep(backoff.next_wait());
    }
}

/// Reads until the collector is gone (`Ok`) or the socket fails.
fn watch(updates: &Updates, backoff: &mut Backoff) -> Result<(), FirewallError> {
    let mut listener = Listener::open()?;
    let mut reader = Reader::open()?;
    let mut last_change: Option<RulesChanged> = None;
    loop {
        let facts = with_legacy(reader.read()?);
        let facts = FirewallFacts { read_at: now(), last_change: last_change.clone(), ..facts };
        backoff.reset();
        let update = Some(facts.into());
        if updates.send(Update::Firewall { state: SourceState::Ok, facts: update }).is_err() {
            return Ok(());
        }
        let mut due = Instant::now() + COUNTERS;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            if let Some(change) = listener.wait(left)? {
                last_change = Some(RulesChanged { at: now(), pid: change.pid, process: change.process });
                due = due.min(Instant::now() + DEBOUNCE);
            }
            if updates.is_closed() {
                return Ok(());
            }
        }
    }
}

/// Reads the rules once.
///
/// # Errors
/// No right (`CAP_NET_ADMIN`), or the kernel refuses.
pub fn read_once() -> Result<FirewallFacts, FirewallError> {
    let facts = with_legacy(Reader::open()?.read()?);
    Ok(FirewallFacts { read_at: now(), ..facts })
}

/// Adds what the old iptables has beside nf_tables.
fn with_legacy(mut facts: FirewallFacts) -> FirewallFacts {
    let legacy = legacy::read();
    if facts.rules.is_empty() && !legacy.rules.is_empty() {
        facts.origin = RuleOrigin::IptablesSave;
    }
    facts.chains.extend(legacy.chains);
    facts.rules.extend(legacy.rules);
    facts.legacy_tables = legacy.unread;
    facts
}

pub use self::socket::FirewallError as Error;
