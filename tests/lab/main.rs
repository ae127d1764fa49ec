//! The real lab: libvirtd, guests, nftables. Needs root; `assets/test` runs it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bridge;
mod bridge_guests;
mod bridge_owners;
mod devices;
mod doctor;
mod lab;
mod libvirt;
mod netlink;
mod network;
mod path;
mod reading;
mod switch;
