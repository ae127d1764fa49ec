//! PURE. Subnets and bridge names that nobody on this host has: what the forms and the command line propose.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::check::{overlap, taken_by, user_of};
use crate::model::{IfName, Snapshot};

/// A /24 that nobody on this host has: from libvirt's own 192.168 on, then 172.16 to 172.31, then 10.
#[must_use]
pub fn propose_subnet(snapshot: &Snapshot) -> Option<IpNet> {
    free_v4(snapshot, 24, &[])
}

/// A subnet of the same family and size that nobody on this host has, and that is none of `others`.
#[must_use]
pub fn propose_subnet_like(snapshot: &Snapshot, like: IpNet, others: &[IpNet]) -> Option<IpNet> {
    match like {
        IpNet::V4(v4) => free_v4(snapshot, v4.prefix_len(), others),
        IpNet::V6(v6) => free_v6(snapshot, v6.prefix_len(), others),
    }
}

/// An IPv6 /64 of this host's own unique local prefix (RFC 4193) that nobody on it has.
#[must_use]
pub fn propose_subnet6(snapshot: &Snapshot) -> Option<IpNet> {
    free_v6(snapshot, 64, &[])
}

fn free_v4(snapshot: &Snapshot, prefix: u8, others: &[IpNet]) -> Option<IpNet> {
    let first = (122..=254).map(|third| Ipv4Addr::new(192, 168, third, 0));
    let second =
        (16..=31).flat_map(|second| (0..=255).map(move |third| Ipv4Addr::new(172, second, third, 0)));
    let third = (0..=255).map(|second| Ipv4Addr::new(10, second, 122, 0));
    let subnets = first.chain(second).chain(third).filter_map(|network| Ipv4Net::new(network, prefix).ok());
    let subnets = subnets.map(|subnet| IpNet::V4(subnet.trunc())).filter(|subnet| is_private(*subnet));
    free(snapshot, subnets, others)
}

/// All of it is private, so that no address of the world becomes unreachable.
fn is_private(subnet: IpNet) -> bool {
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    private.iter().filter_map(|text| text.parse::<IpNet>().ok()).any(|private| private.contains(&subnet))
}

fn free_v6(snapshot: &Snapshot, prefix: u8, others: &[IpNet]) -> Option<IpNet> {
    if !(48..=126).contains(&prefix) {
        return None;
    }
    // FNV-1a over the host's name: two hosts rarely propose the same, one host always the same.
    let seed = snapshot.host.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let global = u128::from(seed >> 24);
    let base = 0xfd << 120 | global << 80;
    let subnets = (1_u128..=0xff).filter_map(|number| {
        let network = Ipv6Addr::from(base | number << 64);
        Ipv6Net::new(network, prefix).ok().map(|subnet| IpNet::V6(subnet.trunc()))
    });
    free(snapshot, subnets, others)
}

fn free(snapshot: &Snapshot, mut subnets: impl Iterator<Item = IpNet>, others: &[IpNet]) -> Option<IpNet> {
    subnets.find(|subnet| {
        taken_by(snapshot, *subnet, None).is_none() && !others.iter().any(|other| overlap(*other, *subnet))
    })
}

/// The first `virbrN` that no link and no network has.
#[must_use]
pub fn propose_bridge(snapshot: &Snapshot) -> Option<IfName> {
    let names = (0..1000).filter_map(|number| IfName::from_bytes(format!("virbr{number}").as_bytes()));
    let mut free =
        names.filter(|name| snapshot.link_named(*name).is_none() && user_of(snapshot, *name, None).is_none());
    free.next()
}
