//! The segment format, version 1. Numbers are little endian.
//!
//! A segment is a file named after the sequence of its first record, `00000000000000000001.segment`:
//! a header, records back to back with dense sequences, and then zeros up to its preallocated size.
//!
//! | header, 32 bytes | |
//! |---|---|
//! | magic | 8 bytes `TIDEGATE` |
//! | version | u32, 1 |
//! | reserved | u32, 0 |
//! | first sequence | u64 |
//! | reserved | u32, 0 |
//! | CRC32C | u32 of the 28 bytes before it |
//!
//! | record | |
//! |---|---|
//! | CRC32C | u32 of everything after it |
//! | length | u32, bytes after this field |
//! | sequence | u64 |
//! | timestamp | u64, Unix milliseconds |
//! | encoding | u8: 0 structured, 1 binary |
//! | topic length | u8 |
//! | header count | u16 |
//! | key length | u32, all ones: no key |
//! | value length | u32, all ones: no value |
//! | topic, key, value | bytes |
//! | headers | each: name length u16, value length u32, name, value |
//!
//! The topic is written out in every record, so no damage elsewhere can make a record unreadable.

use std::ops::Range;

use crate::record::{Encoding, Record};

/// Bytes before the first record.
pub(super) const HEADER_BYTES: u64 = 32;
/// The smallest record.
pub(super) const RECORD_BYTES_MIN: u64 = PREFIX as u64;
/// The largest record, far above what the protocol lets an event have.
pub(super) const RECORD_BYTES_MAX: usize = 8 << 20;

const MAGIC: &[u8; 8] = b"TIDEGATE";
const VERSION: u32 = 1;
/// Fields of fixed size at the start of a record.
const PREFIX: usize = 36;
/// Checksum and length: what the length does not count.
const UNCOUNTED: usize = 8;
const NONE: u32 = u32::MAX;

/// The header of the segment that begins with sequence `first`.
pub(super) fn header(first: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(32);
    header.extend_from_slice(MAGIC);
    header.extend_from_slice(&VERSION.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    header.extend_from_slice(&first.to_le_bytes());
    header.extend_from_slice(&[0; 4]);
    let sum = crc32c::crc32c(&header);
    header.extend_from_slice(&sum.to_le_bytes());
    header
}

/// The version a header names, or `None` for a damaged one, which does not keep its records from being read.
pub(super) fn version(header: &[u8]) -> Option<u32> {
    let (fields, sum) = header.split_at_checked(28)?;
    let rest = fields.strip_prefix(MAGIC)?;
    let whole = crc32c::crc32c(fields) == u32::from_le_bytes(*sum.first_chunk()?);
    whole.then_some(u32::from_le_bytes(*rest.first_chunk()?))
}

/// Whether this build reads segments of that version.
pub(super) const fn is_known(version: u32) -> bool {
    version == VERSION
}

/// Bytes that a record takes in a segment.
pub(super) fn size(topic: &str, record: &Record<'_>) -> usize {
    PREFIX + topic.len() + record.size_bytes() + record.headers().len() * 6
}

/// Appends a record whose [`size`] is `size`, without sequence and checksum, which [`number`] fills in.
/// Returns whether it could: names too long for their length fields leave `out` as it was.
pub(super) fn append(out: &mut Vec<u8>, topic: &str, record: &Record<'_>, size: usize) -> bool {
    let headers = record.headers();
    let fields = (
        u32::try_from(size - UNCOUNTED),
        u8::try_from(topic.len()),
        u16::try_from(headers.len()),
        length(record.key),
        length(record.value),
    );
    let (Ok(counted), Ok(topic_length), Ok(header_count), Some(key), Some(value)) = fields else {
        return false;
    };
    if record.headers().any(|(name, _)| u16::try_from(name.len()).is_err()) {
        return false;
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&counted.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&record.timestamp_ms.to_le_bytes());
    out.extend_from_slice(&[u8::from(record.encoding == Encoding::Binary), topic_length]);
    out.extend_from_slice(&header_count.to_le_bytes());
    out.extend_from_slice(&key.to_le_bytes());
    out.extend_from_slice(&value.to_le_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(record.key.unwrap_or_default());
    out.extend_from_slice(record.value.unwrap_or_default());
    for (name, value) in headers {
        out.extend_from_slice(&u16::try_from(name.len()).unwrap_or_default().to_le_bytes());
        out.extend_from_slice(&u32::try_from(value.len()).unwrap_or_default().to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value);
    }
    true
}

/// `None` for what does not fit.
fn length(bytes: Option<&[u8]>) -> Option<u32> {
    match bytes {
        None => Some(NONE),
        Some(bytes) => u32::try_from(bytes.len()).ok().filter(|length| *length != NONE),
    }
}

/// Gives the appended records sequences from `first` on and their checksums; returns the next sequence.
pub(super) fn number(group: &mut [u8], first: u64) -> u64 {
    let mut next = first;
    let mut rest = group;
    while let Some(length) = rest.get(4..8).and_then(|length| length.first_chunk()) {
        let length = u32::from_le_bytes(*length) as usize;
        let Some((record, after)) = rest.split_at_mut_checked(UNCOUNTED + length) else { break };
        if let Some(sequence) = record.get_mut(8..16) {
            sequence.copy_from_slice(&next.to_le_bytes());
        }
        if let Some((sum, covered)) = record.split_first_chunk_mut::<4>() {
            *sum = crc32c::crc32c(covered).to_le_bytes();
        }
        next += 1;
        rest = after;
    }
    next
}

/// What the bytes at a place are.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Check {
    /// A whole record.
    Record {
        /// Its number.
        sequence: u64,
        /// Its bytes.
        size: usize,
    },
    /// The start of a record, perhaps: it takes this many bytes to know.
    Short(usize),
    /// No record.
    Invalid,
}

/// What `bytes` start with, if a record may have only one of `sequences` there.
pub(super) fn check(bytes: &[u8], sequences: &Range<u64>) -> Check {
    let Some((prefix, _)) = bytes.split_first_chunk::<PREFIX>() else { return Check::Short(PREFIX) };
    let mut prefix = Fields(prefix);
    let (Some(sum), Some(length), Some(sequence)) = (prefix.u32(), prefix.u32(), prefix.u64()) else {
        return Check::Invalid;
    };
    let size = UNCOUNTED + length as usize;
    if !(PREFIX..=RECORD_BYTES_MAX).contains(&size) || !sequences.contains(&sequence) {
        return Check::Invalid;
    }
    let Some(record) = bytes.get(..size) else { return Check::Short(size) };
    let covered = record.get(4..).unwrap_or_default();
    if crc32c::crc32c(covered) != sum || decode(record).is_none() {
        return Check::Invalid;
    }
    Check::Record { sequence, size }
}

/// A record read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored<'a> {
    /// Its number in the log, from 1, rising by one.
    pub sequence: u64,
    /// Where it goes.
    pub topic: &'a str,
    /// How the value is written.
    pub encoding: Encoding,
    /// Unix milliseconds.
    pub timestamp_ms: u64,
    /// The Kafka key.
    pub key: Option<&'a [u8]>,
    /// The Kafka value.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Names and values of the binary encoding's headers; empty for the structured one.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut rest = Fields(self.headers);
        std::iter::from_fn(move || rest.header())
    }
}

/// Reads a whole record that [`check`] found.
pub(super) fn decode(record: &[u8]) -> Option<Stored<'_>> {
    let mut fields = Fields(record.get(UNCOUNTED..)?);
    let sequence = fields.u64()?;
    let timestamp_ms = fields.u64()?;
    let encoding = match fields.take(1)? {
        [0] => Encoding::Structured,
        [1] => Encoding::Binary,
        _ => return None,
    };
    let topic = usize::from(*fields.take(1)?.first()?);
    let count = fields.u16()?;
    let (key, value) = (fields.u32()?, fields.u32()?);
    let topic = std::str::from_utf8(fields.take(topic)?).ok()?;
    let key = if key == NONE { None } else { Some(fields.take(key as usize)?) };
    let value = if value == NONE { None } else { Some(fields.take(value as usize)?) };
    let headers = fields.0;
    for _ in 0..count {
        fields.header()?;
    }
    let stored = Stored { sequence, topic, encoding, timestamp_ms, key, value, headers };
    fields.0.is_empty().then_some(stored)
}

/// Bytes being taken apart from the front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn header(&mut self) -> Option<(&'a str, &'a [u8])> {
        let name = usize::from(self.u16()?);
        let value = self.u32()? as usize;
        Some((std::str::from_utf8(self.take(name)?).ok()?, self.take(value)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Records, TopicId};

    const ANY: Range<u64> = 0..u64::MAX;

    fn appended(records: &Records, topic: &str) -> Vec<u8> {
        let mut group = Vec::new();
        for record in records.iter_from(0) {
            let size = size(topic, &record);
            let before = group.len();
            assert!(append(&mut group, topic, &record, size));
            assert_eq!(group.len() - before, size);
        }
        group
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_went_in(
            topic in "[a-z.]{0,249}",
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..400)),
            headers in proptest::collection::vec(("[a-z_]{0,20}", proptest::collection::vec(any::<u8>(), 0..20)), 0..6),
            timestamp_ms: u64,
            sequence in 0..u64::MAX,
        ) {
            let encoding = if headers.is_empty() { Encoding::Structured } else { Encoding::Binary };
            let mut records = Records::default();
            let mut draft = records.draft(0, TopicId(0), encoding, timestamp_ms);
            if let Some(key) = &key { draft.key(|out| out.extend_from_slice(key)); }
            if let Some(value) = &value { draft.value(|out| out.extend_from_slice(value)); }
            for (name, value) in &headers { draft.header(&[name], |out| out.extend_from_slice(value)); }
            draft.push();

            let mut group = appended(&records, &topic);
            prop_assert_eq!(number(&mut group, sequence), sequence + 1);
            prop_assert_eq!(check(&group, &ANY), Check::Record { sequence, size: group.len() });
            let stored = decode(&group).unwrap();
            prop_assert_eq!((stored.sequence, stored.topic, stored.encoding), (sequence, topic.as_str(), encoding));
            prop_assert_eq!((stored.key, stored.value), (key.as_deref(), value.as_deref()));
            prop_assert_eq!(stored.timestamp_ms, timestamp_ms);
            let back: Vec<_> = stored.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
            prop_assert_eq!(back, headers);
        }

        #[test]
        fn garbage_is_never_a_record(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let is_record = matches!(check(&bytes, &ANY), Check::Record { .. });
            prop_assert!(!is_record);
        }
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let mut records = Records::default();
        let mut draft = records.draft(0, TopicId(0), Encoding::Structured, 7);
        draft.value(|out| out.extend_from_slice(b"{\"type\":\"a\"}"));
        draft.push();
        let mut group = appended(&records, "events");
        number(&mut group, 1);
        for bit in 0..group.len() * 8 {
            let mut flipped = group.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(check(&flipped, &ANY), Check::Record { .. }), "bit {bit}");
        }
    }

    #[test]
    fn a_header_names_its_version_unless_it_is_damaged() {
        let mut header = header(17);
        assert_eq!(header.len() as u64, HEADER_BYTES);
        assert!(version(&header).is_some_and(is_known));
        header[17] ^= 1;
        assert_eq!(version(&header), None);
    }

    #[test]
    fn what_does_not_fit_its_length_field_is_left_out() {
        let mut records = Records::default();
        records.draft(0, TopicId(0), Encoding::Structured, 7).push();
        let topic = "t".repeat(256);
        let record = records.get(0).unwrap();
        let mut group = Vec::new();
        assert!(!append(&mut group, &topic, &record, size(&topic, &record)));
        assert!(group.is_empty());
    }
}
