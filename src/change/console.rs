//! PURE. The call of `virsh console` that shows a guest's serial console.

use std::ffi::OsString;

use super::Refusal;
use crate::model::{DomainId, DomainState, Snapshot};

/// How the console is left.
pub const LEAVE: &str = "Ctrl-] leaves the console";

/// What is said where virsh is not there.
pub const MISSING: &str = "virsh is not there: install libvirt-clients (Debian, Ubuntu), libvirt-client (Fedora, RHEL) \
     or libvirt (Arch)";

/// The call, an argument each, no shell; the guest by its UUID, whatever its name.
///
/// # Errors
/// The guest is off, or has no console.
pub fn plan(snapshot: &Snapshot, guest: DomainId) -> Result<Vec<OsString>, Refusal> {
    let refuse = |name: &str, reason: &str, way_out: &str| Refusal {
        what: format!("show the console of {name}"),
        reason: reason.to_owned(),
        way_out: way_out.to_owned(),
    };
    let gone = || refuse("the guest", "it is not there any more", "look again");
    let found = snapshot.guest(guest).ok_or_else(gone)?;
    let Some(live) = found.live.as_ref().filter(|_| found.state != DomainState::Off) else {
        return Err(refuse(&found.name, "it is off", "start it first: virt-net guest start"));
    };
    if !live.xml.contains("<console ") && !live.xml.contains("<serial ") {
        let way_out = "virt-xml --add-device --console pty, or its graphics";
        return Err(refuse(&found.name, "it has no serial console", way_out));
    }
    let mut call: Vec<OsString> = vec!["virsh".into()];
    if !snapshot.host.uri.is_empty() {
        call.extend(["--connect".into(), snapshot.host.uri.clone().into()]);
    }
    call.extend(["console".into(), guest.to_string().into()]);
    Ok(call)
}
