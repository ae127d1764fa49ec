//! PURE. The form of a shim between the host and the macvtaps on a NIC.
//!
//! ```text
//!  over       ◂ eth0 ▸        address    a spare one for the host's end
//!  also to    10.0.0.77       at boot    ◂ auto ▸
//! ```

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::{Field, Form, choice, refusal, text};
use crate::app::job::{Job, Planned, ShimJob};
use crate::change::bridge::{Backend, Lasting};
use crate::change::shim::ShimWant;
use crate::model::{IfName, Snapshot};

/// NICs with macvtaps on them.
fn lowers(snapshot: &Snapshot) -> Vec<String> {
    let mut names: Vec<String> =
        snapshot.nics.iter().filter_map(|nic| nic.lower).map(|name| name.to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn fields(snapshot: &Snapshot, over: IfName) -> Vec<Field> {
    let lowers = lowers(snapshot);
    let at = lowers.iter().position(|name| *name == over.to_string()).unwrap_or(0);
    let backends = Backend::ALL.iter().map(|backend| backend.word().to_owned());
    let boot = ["auto".to_owned(), "none".to_owned()].into_iter().chain(backends).collect();
    vec![
        choice("over", "over", lowers, at),
        text("address", "address", "", "empty: the NIC's own; else a spare one of the LAN"),
        text("to", "also to", "", "guests whose address is not known"),
        choice("persist", "at boot", boot, 0),
    ]
}

pub(super) fn plan(form: &Form, snapshot: &Snapshot) -> Planned {
    let none = || refusal("", "no guest's macvtap is on a NIC of this host", "switch a NIC to macvtap first");
    let over = form.parsed::<IfName>("over", "a link")?.ok_or_else(none)?;
    let addresses = list::<IpAddr>(form, "address", "addresses as 10.0.0.99")?;
    let net = |Net(net): Net| net;
    let to = list::<Net>(form, "to", "addresses as 10.0.0.77")?.into_iter().map(net).collect();
    let persist = form.parsed::<Lasting>("persist", "auto, none or who")?.unwrap_or_default();
    let job = ShimJob::draft(snapshot, ShimWant::Create { over, addresses, to, persist })?;
    Ok(Job::from(if persist == Lasting::No { job.until_boot() } else { job }))
}

/// An address, or a net.
struct Net(IpNet);

impl FromStr for Net {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address.or_else(|_| text.parse()).map(Self).map_err(|_| ())
    }
}

fn list<T: FromStr>(form: &Form, id: &str, expected: &str) -> Result<Vec<T>, crate::change::Refusal> {
    let words = form.get(id).split([' ', ',']).filter(|word| !word.is_empty());
    let wrong =
        |word: &str| refusal("", format!("{word} is not understood"), &format!("expected {expected}"));
    words.map(|word| word.parse().map_err(|_| wrong(word))).collect()
}
