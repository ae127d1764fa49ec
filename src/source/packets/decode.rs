//! PURE. A packet in one line, as `tcpdump -e` would say it but shorter. The bytes are whatever a guest sent:
//! nothing here panics on any of them, and texts in them are given as they are (escape them).

use std::net::{IpAddr, Ipv4Addr};

use etherparse::{
    ArpOperation, ArpPacketSlice, Icmpv4Slice, Icmpv6Slice, LaxNetSlice, LaxSlicedPacket, LinkSlice,
    TcpSlice, TransportSlice, UdpSlice,
};

use crate::model::Mac;

/// What a packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// From which station.
    pub from: Option<Mac>,
    /// To which station.
    pub to: Option<Mac>,
    /// `ARP`, `DHCP`, `ICMP`, `TCP`, …
    pub kind: String,
    /// The rest; may hold what the guest wrote.
    pub text: String,
}

/// An address that a packet shows its sender to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The station.
    pub mac: Mac,
    /// Its address.
    pub address: IpAddr,
}

/// Reads a packet from its Ethernet header on.
#[must_use]
pub fn summary(bytes: &[u8]) -> Summary {
    let Ok(packet) = LaxSlicedPacket::from_ethernet(bytes) else {
        return Summary {
            from: None,
            to: None,
            kind: "?".to_owned(),
            text: format!("{} bytes", bytes.len()),
        };
    };
    let (from, to) = stations(&packet);
    let (kind, mut text) = body(&packet);
    for id in packet.vlan_ids() {
        text = format!("vlan {} {text}", id.value());
    }
    if packet.stop_err.is_some() {
        text.push_str(" (cut short or malformed)");
    }
    Summary { from, to, kind, text }
}

fn stations(packet: &LaxSlicedPacket<'_>) -> (Option<Mac>, Option<Mac>) {
    match &packet.link {
        Some(LinkSlice::Ethernet2(ethernet)) => {
            (Some(Mac(ethernet.source())), Some(Mac(ethernet.destination())))
        }
        _ => (None, None),
    }
}

fn body(packet: &LaxSlicedPacket<'_>) -> (String, String) {
    let ends = match &packet.net {
        None => {
            /// `IEEE 802.1D` BPDUs are for this station.
            const SPANNING_TREE: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);
            if stations(packet).1 == Some(SPANNING_TREE) {
                return ("STP".to_owned(), String::new());
            }
            let kind = packet.ether_payload().map_or(0, |payload| payload.ether_type.0);
            return (format!("{kind:#06x}"), String::new());
        }
        Some(LaxNetSlice::Arp(arp)) => return ("ARP".to_owned(), arp_words(arp)),
        Some(LaxNetSlice::Ipv4(ip)) => {
            (IpAddr::from(ip.header().source()), IpAddr::from(ip.header().destination()))
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            (ip.header().source_addr().into(), ip.header().destination_addr().into())
        }
    };
    let plain = |rest: &str| format!("{} > {} {rest}", ends.0, ends.1).trim_end().to_owned();
    match &packet.transport {
        Some(TransportSlice::Icmpv4(icmp)) => ("ICMP".to_owned(), plain(&icmp4_words(icmp))),
        Some(TransportSlice::Icmpv6(icmp)) => ("ICMPv6".to_owned(), plain(&icmp6_words(icmp))),
        Some(TransportSlice::Igmp(_)) => ("IGMP".to_owned(), plain("")),
        Some(TransportSlice::Udp(udp)) => udp_words(udp, ends),
        Some(TransportSlice::Tcp(tcp)) => ("TCP".to_owned(), tcp_words(tcp, ends)),
        None => {
            let number = packet.ip_payload().map(|payload| (payload.ip_number.0, payload.fragmented));
            let (number, fragmented) = number.unwrap_or_default();
            let rest = if fragmented { "fragment" } else { "" };
            (format!("IP proto {number}"), plain(rest))
        }
    }
}

fn arp_words(arp: &ArpPacketSlice<'_>) -> String {
    let ip = |bytes: &[u8]| {
        <[u8; 4]>::try_from(bytes).map_or_else(|_| "?".to_owned(), |bytes| Ipv4Addr::from(bytes).to_string())
    };
    let (sender, target) = (ip(arp.sender_protocol_addr()), ip(arp.target_protocol_addr()));
    match arp.operation() {
        ArpOperation::REQUEST => format!("who has {target}? tell {sender}"),
        ArpOperation::REPLY => {
            let mac =
                Mac::from_slice(arp.sender_hw_addr()).map_or_else(|| "?".to_owned(), |mac| mac.to_string());
            format!("{sender} is at {mac}")
        }
        other => format!("operation {} {sender} {target}", other.0),
    }
}

fn icmp4_words(icmp: &Icmpv4Slice<'_>) -> String {
    let [a, b, c, d] = icmp.bytes5to8();
    let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    match (icmp.type_u8(), icmp.code_u8()) {
        (8, _) => format!("echo request, id {id}, seq {sequence}"),
        (0, _) => format!("echo reply, id {id}, seq {sequence}"),
        (3, 0) => "net unreachable".to_owned(),
        (3, 1) => "host unreachable".to_owned(),
        (3, 3) => "port unreachable".to_owned(),
        (3, 4) => format!("needs fragmentation, mtu {sequence}"),
        (3, 10 | 13) => "administratively prohibited".to_owned(),
        (3, code) => format!("unreachable, code {code}"),
        (5, _) => "redirect".to_owned(),
        (11, _) => "time exceeded".to_owned(),
        (kind, code) => format!("type {kind}, code {code}"),
    }
}

fn icmp6_words(icmp: &Icmpv6Slice<'_>) -> String {
    let target = || {
        let bytes: Option<[u8; 16]> = icmp.payload().first_chunk().copied();
        bytes.map_or_else(|| "?".to_owned(), |bytes| std::net::Ipv6Addr::from(bytes).to_string())
    };
    match (icmp.type_u8(), icmp.code_u8()) {
        (128, _) => "echo request".to_owned(),
        (129, _) => "echo reply".to_owned(),
        (133, _) => "router solicitation".to_owned(),
        (134, _) => "router advertisement".to_owned(),
        (135, _) => format!("who has {}?", target()),
        (136, _) => format!("{} is here", target()),
        (1, code) => format!("unreachable, code {code}"),
        (2, _) => "packet too big".to_owned(),
        (3, _) => "time exceeded".to_owned(),
        (kind, code) => format!("type {kind}, code {code}"),
    }
}

fn udp_words(udp: &UdpSlice<'_>, (from, to): (IpAddr, IpAddr)) -> (String, String) {
    let ports = (udp.source_port(), udp.destination_port());
    if matches!(ports, (67 | 68, 67 | 68))
        && let Some(words) = dhcp_words(udp.payload())
    {
        return ("DHCP".to_owned(), words);
    }
    let kind = if ports.0 == 53 || ports.1 == 53 { "DNS" } else { "UDP" };
    let length = udp.payload().len();
    (kind.to_owned(), format!("{}.{} > {}.{} length {length}", from, ports.0, to, ports.1))
}

fn tcp_words(tcp: &TcpSlice<'_>, (from, to): (IpAddr, IpAddr)) -> String {
    let flags: String = [
        (tcp.syn(), 'S'),
        (tcp.fin(), 'F'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.urg(), 'U'),
        (tcp.ack(), '.'),
    ]
    .into_iter()
    .filter_map(|(set, letter)| set.then_some(letter))
    .collect();
    let length = tcp.payload().len();
    format!("{from}.{} > {to}.{} [{flags}] length {length}", tcp.source_port(), tcp.destination_port())
}

/// A BOOTP message's options (RFC 2131, 2132), as far as they are of interest.
struct Dhcp<'a> {
    kind: u8,
    client: Mac,
    /// `ciaddr`, `yiaddr`.
    client_address: Ipv4Addr,
    your_address: Ipv4Addr,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    hostname: Option<&'a [u8]>,
}

fn dhcp(bytes: &[u8]) -> Option<Dhcp<'_>> {
    const COOKIE: [u8; 4] = [99, 130, 83, 99];
    let address = |at: usize| Some(Ipv4Addr::from(*bytes.get(at..)?.first_chunk::<4>()?));
    if bytes.get(236..240)? != COOKIE {
        return None;
    }
    let mut found = Dhcp {
        kind: 0,
        client: Mac::from_slice(bytes.get(28..34)?)?,
        client_address: address(12)?,
        your_address: address(16)?,
        requested: None,
        server: None,
        hostname: None,
    };
    let mut options = bytes.get(240..)?;
    loop {
        match options {
            [0, rest @ ..] => options = rest,
            [255, ..] | [] | [_] => break,
            [code, length, rest @ ..] => {
                let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
                let ip = || value.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes));
                match code {
                    12 => found.hostname = Some(value),
                    50 => found.requested = ip(),
                    53 => found.kind = value.first().copied().unwrap_or(0),
                    54 => found.server = ip(),
                    _ => {}
                }
                options = rest;
            }
        }
    }
    Some(found)
}

fn dhcp_words(bytes: &[u8]) -> Option<String> {
    let dhcp = dhcp(bytes)?;
    let names = ["discover", "offer", "request", "decline", "ack", "nak", "release", "inform"];
    let name = usize::from(dhcp.kind).checked_sub(1).and_then(|at| names.get(at)).copied();
    let mut words = format!("{} {}", name.unwrap_or("message"), dhcp.client);
    if let Some(address) = dhcp.requested {
        words.push_str(&format!(" asks for {address}"));
    }
    if !dhcp.your_address.is_unspecified() {
        words.push_str(&format!(" gets {}", dhcp.your_address));
    }
    if let Some(server) = dhcp.server {
        words.push_str(&format!(" server {server}"));
    }
    if let Some(name) = dhcp.hostname {
        words.push_str(&format!(" name {}", String::from_utf8_lossy(name)));
    }
    Some(words)
}

/// The address that a packet's ARP or DHCP shows its station to have, if it does.
#[must_use]
pub fn shown(bytes: &[u8]) -> Option<Shown> {
    let packet = LaxSlicedPacket::from_ethernet(bytes).ok()?;
    match (&packet.net, &packet.transport) {
        (Some(LaxNetSlice::Arp(arp)), _) => {
            let mac = Mac::from_slice(arp.sender_hw_addr())?;
            let address = Ipv4Addr::from(<[u8; 4]>::try_from(arp.sender_protocol_addr()).ok()?);
            // A probe (RFC 5227) has no sender address yet; one that speaks for another station is not believed.
            let own = stations(&packet).0 == Some(mac) && !address.is_unspecified();
            own.then_some(Shown { mac, address: address.into() })
        }
        (_, Some(TransportSlice::Udp(udp))) => {
            const ACK: u8 = 5;
            let dhcp = dhcp(udp.payload())?;
            let address =
                if dhcp.your_address.is_unspecified() { dhcp.client_address } else { dhcp.your_address };
            let given = dhcp.kind == ACK && !address.is_unspecified();
            given.then_some(Shown { mac: dhcp.client, address: address.into() })
        }
        _ => None,
    }
}
