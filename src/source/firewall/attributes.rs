//! PURE. Netlink attributes: a length, a type, a value, padded to four bytes. Never panics, whatever
//! the bytes: what does not fit is left out.

/// The attributes in these bytes, as (type without flags, value).
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    const FLAGS: u16 = 0xc000;
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (kind, _) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_ne_bytes(*length));
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes(*kind) & !FLAGS, value))
    })
}

/// The first attribute of this type.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(other, _)| *other == kind).map(|(_, value)| value)
}

/// A big-endian number, as nf_tables writes its own.
pub(super) fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

/// A big-endian number of eight bytes.
pub(super) fn be64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.first_chunk()?))
}

/// A NUL-terminated string; bytes that are not UTF-8 become U+FFFD.
pub(super) fn string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// A number in an attribute of this type.
pub(super) fn find_be32(bytes: &[u8], kind: u16) -> Option<u32> {
    be32(find(bytes, kind)?)
}

/// A string in an attribute of this type.
pub(super) fn find_string(bytes: &[u8], kind: u16) -> Option<String> {
    find(bytes, kind).map(string)
}

/// Appends an attribute with a NUL-terminated string.
pub(super) fn push_string(bytes: &mut Vec<u8>, kind: u16, text: &str) {
    let length = u16::try_from(text.len() + 5).unwrap_or(u16::MAX);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(text.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}
