//! READS. libvirt, rtnetlink and nf_tables, and a recording in their place; the collector joins what
//! they hand in and publishes whole snapshots. Changes nothing on the host.

pub mod collector;
pub mod firewall;
pub mod libvirt;
pub mod netlink;
pub mod replay;
