//! PURE. Routes as the kernel takes them, and the same routes over another link.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteProtocol, RouteScope,
    RouteType,
};

use crate::model::kernel::Route;

/// A route of the model as the kernel takes it.
pub(super) fn message_of(route: &Route, index: u32) -> RouteMessage {
    let address = |address: IpAddr| match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    };
    let mut message = RouteMessage::default();
    message.header.address_family =
        if route.destination.addr().is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.kind = RouteType::Unicast;
    if route.onlink {
        message.header.flags = RouteFlags::Onlink;
    }
    message.header.protocol = match route.protocol.as_str() {
        "static" => RouteProtocol::Static,
        "dhcp" => RouteProtocol::Dhcp,
        "ra" => RouteProtocol::Ra,
        _ => RouteProtocol::Boot,
    };
    message.header.scope = match (route.gateway, route.destination.addr()) {
        (None, IpAddr::V4(_)) => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    message.header.destination_prefix_length = route.destination.prefix_len();
    message.attributes.push(RouteAttribute::Table(route.table));
    message.attributes.push(RouteAttribute::Oif(index));
    if route.destination.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(address(route.destination.addr())));
    }
    message.attributes.extend(route.gateway.map(|gateway| RouteAttribute::Gateway(address(gateway))));
    message.attributes.extend(route.prefsrc.map(|source| RouteAttribute::PrefSource(address(source))));
    if route.metric > 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    message
}

pub(super) fn is_movable(route: &RouteMessage, index: u32) -> bool {
    let over = route.attributes.iter().any(|attribute| match attribute {
        RouteAttribute::Oif(oif) => *oif == index,
        RouteAttribute::MultiPath(hops) => hops.iter().any(|hop| hop.interface_index == index),
        _ => false,
    });
    over && route.header.kind == RouteType::Unicast && !is_link_local(route)
}

/// Every link makes `fe80::/64` itself.
fn is_link_local(route: &RouteMessage) -> bool {
    let local = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Destination(RouteAddress::Inet6(to)) if to.is_unicast_link_local());
    route.header.protocol == RouteProtocol::Kernel && route.attributes.iter().any(local)
}

/// The same route over another link; what the kernel only reports (cache data, most flags) is left out.
///
/// A router's announcement keeps its end. By one metric it goes behind the one that the kernel makes when it hears the
/// router on the new link: beside one of the same metric the kernel would take nothing of what the router says
/// (`ndisc_router_discovery`), no address either.
pub(super) fn moved(mut route: RouteMessage, from: u32, to: u32) -> RouteMessage {
    let seconds = seconds_left(&route);
    let is_announced = seconds.is_some() && route.header.protocol == RouteProtocol::Ra;
    route.header.flags &= RouteFlags::Onlink;
    route.attributes.retain(|attribute| !matches!(attribute, RouteAttribute::CacheInfo(_)));
    for attribute in &mut route.attributes {
        match attribute {
            RouteAttribute::Oif(oif) if *oif == from => *oif = to,
            RouteAttribute::Priority(metric) if is_announced => *metric = metric.saturating_add(1),
            RouteAttribute::MultiPath(hops) => {
                for hop in hops.iter_mut() {
                    hop.flags &= RouteNextHopFlags::Onlink;
                    if hop.interface_index == from {
                        hop.interface_index = to;
                    }
                }
            }
            _ => {}
        }
    }
    route.attributes.extend(seconds.map(RouteAttribute::Expires));
    route
}

/// How long an IPv6 route lasts; `None` where it has no end.
pub(super) fn seconds_left(route: &RouteMessage) -> Option<u32> {
    /// `rta_expires` counts these (`USER_HZ`).
    const TICKS: u32 = 100;
    let ticks = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::CacheInfo(cache) => Some(cache.expires),
        _ => None,
    })?;
    let is_ipv6 = route.header.address_family == AddressFamily::Inet6;
    // One that has just ended counts below zero.
    let seconds = if i32::try_from(ticks).is_ok() { ticks.div_ceil(TICKS) } else { 0 };
    (is_ipv6 && ticks != 0).then_some(seconds)
}

/// Whether it stands behind another one to the same router, for the time until the router is heard: it need not come
/// along once the router was.
pub(super) fn is_reserve(route: &RouteMessage, all: &[RouteMessage]) -> bool {
    let metric = |route: &RouteMessage| {
        route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        })
    };
    let way = |route: &RouteMessage| {
        let part = |attribute: &&RouteAttribute| {
            matches!(
                attribute,
                RouteAttribute::Destination(_) | RouteAttribute::Gateway(_) | RouteAttribute::Table(_)
            )
        };
        let parts: Vec<RouteAttribute> = route.attributes.iter().filter(part).cloned().collect();
        (route.header.destination_prefix_length, route.header.protocol, parts)
    };
    let is_announced = route.header.protocol == RouteProtocol::Ra && seconds_left(route).is_some();
    is_announced && all.iter().any(|other| way(other) == way(route) && metric(other) < metric(route))
}
