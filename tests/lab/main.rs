//! The real lab: libvirtd, guests, nftables. Needs root; `assets/test` runs it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod boot;
mod bridge;
mod bridge_addresses;
mod bridge_back;
mod bridge_clients;
mod bridge_guests;
mod bridge_meanwhile;
mod bridge_owners;
mod cards;
mod closing;
mod devices;
mod doctor;
mod hostdev;
mod lab;
mod libvirt;
mod machine;
mod netlink;
mod network;
mod network_meanwhile;
mod new_guest;
mod path;
#[path = "../common/picture.rs"]
mod picture;
#[expect(dead_code, reason = "shared with the tests of the program, which need more of it")]
#[path = "../common/pty.rs"]
mod pty;
mod reading;
mod screen;
mod shim;
mod switch;
mod vlan_bond;
