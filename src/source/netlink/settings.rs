//! READS. What decides about packets but is not in netlink: sysctls and the Wi-Fi mark.

use std::path::Path;

use crate::model::IfName;
use crate::model::kernel::Settings;

/// Reads the sysctls; one that does not exist (module not loaded) is `None`.
pub(super) fn read() -> Settings {
    Settings {
        ip_forward: flag("/proc/sys/net/ipv4/ip_forward"),
        ip6_forward: flag("/proc/sys/net/ipv6/conf/all/forwarding"),
        nf_call_iptables: flag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        nf_call_ip6tables: flag("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
        nf_call_arptables: flag("/proc/sys/net/bridge/bridge-nf-call-arptables"),
        policy_routing: super::raw::has_own_rules().ok(),
    }
}

fn flag(path: &str) -> Option<bool> {
    std::fs::read_to_string(path).ok().map(|text| text.trim() != "0")
}

/// The kernel keeps a directory for the Wi-Fi side of a link.
pub(super) fn wireless(name: IfName) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let link = Path::new("/sys/class/net").join(std::ffi::OsStr::from_bytes(name.as_bytes()));
    link.join("phy80211").exists() || link.join("wireless").exists()
}
