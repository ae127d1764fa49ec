//! Newtypes for what could be mixed up: indexes, names, addresses, identities and points in time.
//!
//! All of them are `Copy`, ordered and hashable, print as an administrator would type them, and
//! (de)serialise as that same text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::pci::PciAddress;

/// A text that is not the kind of identifier it was read as.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    /// What was given.
    pub text: String,
    /// What was expected, with its article (`a MAC address`).
    pub expected: &'static str,
}

fn parse_error(text: &str, expected: &'static str) -> ParseIdError {
    ParseIdError { text: text.to_owned(), expected }
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// The kernel's number of a link; never reused while the link lives, and a new one after hot-replug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A link's name: 1 to 15 bytes, not necessarily UTF-8 (`dev_valid_name` in the kernel).
///
/// Printed with every byte that is not printable ASCII, and the backslash, as `\xNN`, so that no
/// name can carry an escape sequence to a terminal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName {
    bytes: [u8; 15],
    len: u8,
}

impl IfName {
    /// The name in these bytes; `None` if they are empty, longer than 15, or hold `/`, NUL or space.
    #[must_use]
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        let valid = !name.is_empty()
            && name.len() <= 15
            && name != b"."
            && name != b".."
            && !name.iter().any(|b| matches!(b, b'/' | 0 | b':') || b.is_ascii_whitespace());
        if !valid {
            return None;
        }
        let mut bytes = [0; 15];
        bytes.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        Some(Self { bytes, len: u8::try_from(name.len()).ok()? })
    }

    /// The name as the kernel holds it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut text = String::with_capacity(15);
        for &byte in self.as_bytes() {
            if byte.is_ascii_graphic() && byte != b'\\' {
                text.push(char::from(byte));
            } else {
                write!(text, "\\x{byte:02x}")?;
            }
        }
        f.pad(&text)
    }
}

impl FromStr for IfName {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "an interface name (1 to 15 characters, no space, no slash)";
        let mut bytes = Vec::with_capacity(15);
        let mut rest = text.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            rest = tail;
            if let (b'\\', [b'x', high, low, tail @ ..]) = (first, tail) {
                let digits = [*high, *low];
                let hex = std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                bytes.push(hex.ok_or_else(|| parse_error(text, EXPECTED))?);
                rest = tail;
            } else {
                bytes.push(first);
            }
        }
        Self::from_bytes(&bytes).ok_or_else(|| parse_error(text, EXPECTED))
    }
}

as_text!(IfName);

/// An Ethernet address, printed in lower case with colons as `ip link` does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// No address: that of a NIC whose definition has none.
    pub const NONE: Self = Self([0; 6]);

    /// The first bytes of what stands for an address: multicast, which no NIC has.
    const PLACE: [u8; 2] = [0x03, 0x50];

    /// What stands for the address of a PCI NIC that a guest has whole and that only its place on the host
    /// names; prints as `pci@0000:03:00.0`. Of the domain only 16 bits count.
    #[must_use]
    pub fn of_place(place: PciAddress) -> Self {
        let ([.., high, low], [first, second]) = (place.domain.to_be_bytes(), Self::PLACE);
        Self([first, second, high, low, place.bus, place.slot << 3 | place.function & 7])
    }

    /// The place that stands for an address.
    const fn place(self) -> Option<PciAddress> {
        let [first, second, high, low, bus, rest] = self.0;
        if first != Self::PLACE[0] || second != Self::PLACE[1] {
            return None;
        }
        let domain = (high as u32) << 8 | low as u32;
        Some(PciAddress { domain, bus, slot: rest >> 3, function: rest & 7 })
    }

    /// Whether it is an address, and not what stands for one.
    #[must_use]
    pub fn is_real(self) -> bool {
        self != Self::NONE && self.place().is_none()
    }

    /// The address in these bytes, if there are exactly six.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Some(place) => f.pad(&format!("{PLACE}{place}")),
            None => f.pad(&self.0.map(|byte| format!("{byte:02x}")).join(":")),
        }
    }
}

impl FromStr for Mac {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(place) = text.strip_prefix(PLACE) {
            return place.parse().map(Self::of_place);
        }
        let error = || parse_error(text, "a MAC address like 52:54:00:aa:fc:1c");
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| matches!(p.len(), 1 | 2)).ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        if parts.next().is_some() { Err(error()) } else { Ok(Self(bytes)) }
    }
}

as_text!(Mac);

/// In front of the place that stands for a MAC address.
const PLACE: &str = "pci@";

macro_rules! uuid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for (index, byte) in self.0.iter().enumerate() {
                    if matches!(index, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let error = || parse_error(text, "a UUID");
                let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
                if digits.len() != 32 {
                    return Err(error());
                }
                let mut bytes = [0; 16];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
                    let pair = std::str::from_utf8(pair).map_err(|_| error())?;
                    *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
                }
                Ok(Self(bytes))
            }
        }

        as_text!($name);
    };
}

uuid_type!(
    /// A guest's UUID: survives renames, restarts and a daemon's restart, unlike libvirt's numeric id.
    DomainId
);
uuid_type!(
    /// A libvirt network's UUID.
    NetworkId
);

/// One NIC of one guest: what the selection, a plan and the journal hold on to.
///
/// The MAC names it as libvirt does; `nth` tells two NICs of one guest with the same MAC apart
/// (0 for the first in the definition), which libvirt allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NicId {
    /// The guest.
    pub domain: DomainId,
    /// The NIC's address as the definition gives it.
    pub mac: Mac,
    /// Which of the guest's NICs with this same address, from 0.
    pub nth: u8,
}

impl NicId {
    /// A text that no other NIC has.
    #[must_use]
    pub fn key(self) -> String {
        format!("{}/{}/{}", self.domain, self.mac, self.nth)
    }
}

/// Milliseconds since the Unix epoch, by the wall clock of the host that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds from `earlier` to this point; 0 if the clock went back.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
