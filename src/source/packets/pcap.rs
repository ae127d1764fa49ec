//! PURE. The file format of tcpdump and Wireshark: a header, then each packet with its time and lengths
//! (draft-ietf-opsawg-pcap), little-endian, in microseconds.

use super::{SNAP, Seen};

/// The head of a file of Ethernet packets.
#[must_use]
pub fn header() -> Vec<u8> {
    const MAGIC: u32 = 0xa1b2_c3d4;
    const ETHERNET: u32 = 1;
    let mut bytes = Vec::with_capacity(24);
    bytes.extend(MAGIC.to_le_bytes());
    bytes.extend(2_u16.to_le_bytes());
    bytes.extend(4_u16.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(SNAP.to_le_bytes());
    bytes.extend(ETHERNET.to_le_bytes());
    bytes
}

/// One packet's record.
#[must_use]
pub fn record(seen: &Seen) -> Vec<u8> {
    let field = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    let micros = seen.at.0 % 1000 * 1000 + u64::from(seen.micros);
    let kept = u64::try_from(seen.bytes.len()).unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(16 + seen.bytes.len());
    bytes.extend(field(seen.at.0 / 1000));
    bytes.extend(field(micros));
    bytes.extend(field(kept));
    bytes.extend(seen.length.to_le_bytes());
    bytes.extend(&seen.bytes);
    bytes
}
