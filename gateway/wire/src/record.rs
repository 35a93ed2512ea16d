//! One event as it came in, before anything of it is judged.

use crate::body::HttpEvent;
use crate::varint;

/// One event as it came in. [`crate::Event::parse`] judges it.
#[derive(Clone, Copy, Debug)]
pub enum Raw<'a> {
    /// A whole CloudEvent in JSON: a record with alias 0, an element of a JSON frame, a line or an element of a body.
    Structured(&'a [u8]),
    /// A record whose attributes are DEFINE'd, alias 1-255 (or an alias that cannot be).
    Record(Record<'a>),
    /// An HTTP request that is one event: headers or query are the attributes, the body is the data.
    Http(&'a HttpEvent<'a>),
}

impl Raw<'_> {
    /// Payload bytes as credit counts them, uncompressed.
    #[inline]
    pub fn payload_len(&self) -> usize {
        match self {
            Self::Structured(payload) => payload.len(),
            Self::Record(record) => record.payload.len(),
            Self::Http(event) => event.body.len(),
        }
    }
}

/// One record of an EVENTS frame. Its lengths add up; what is inside is not judged yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Record<'a> {
    /// 0: `payload` is a whole event; 1-255: as DEFINE'd; above: undefined.
    pub alias: u64,
    /// The byte that announces the optional fields, as sent.
    pub present: u8,
    /// Overrides `partitionkey`; UTF-8.
    pub key: Option<&'a [u8]>,
    /// Overrides `time`; Unix ms.
    pub time_ms: Option<u64>,
    /// Overrides `id`; UTF-8.
    pub id: Option<&'a [u8]>,
    /// Overrides attributes of the alias; a JSON object.
    pub attributes: Option<&'a [u8]>,
    /// The data.
    pub payload: &'a [u8],
}

/// Bits of [`Record::present`].
pub(crate) mod present {
    pub(crate) const KEY: u8 = 1;
    pub(crate) const TIME: u8 = 2;
    pub(crate) const ID: u8 = 4;
    pub(crate) const ATTRIBUTES: u8 = 8;
    pub(crate) const ALL: u8 = 15;
}

impl<'a> Record<'a> {
    /// The record at the start of `buf` and what follows it; `None` when its lengths go beyond the end.
    #[inline]
    pub(crate) fn split(buf: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (alias, mut rest) = integer(buf)?;
        let present;
        (present, rest) = rest.split_first().map(|(present, rest)| (*present, rest))?;
        let mut record = Self { alias, present, ..Self::default() };
        if present & present::ALL != 0 {
            if present & present::KEY != 0 {
                (record.key, rest) = bytes(rest).map(|(key, rest)| (Some(key), rest))?;
            }
            if present & present::TIME != 0 {
                (record.time_ms, rest) = integer(rest).map(|(time_ms, rest)| (Some(time_ms), rest))?;
            }
            if present & present::ID != 0 {
                (record.id, rest) = bytes(rest).map(|(id, rest)| (Some(id), rest))?;
            }
            if present & present::ATTRIBUTES != 0 {
                (record.attributes, rest) = bytes(rest).map(|(attributes, rest)| (Some(attributes), rest))?;
            }
        }
        (record.payload, rest) = bytes(rest)?;
        Some((record, rest))
    }

    /// Appends the record; `present` is made from the fields that are there.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        varint::write(self.alias, out);
        let announced = |is_there: bool, bit: u8| if is_there { bit } else { 0 };
        out.push(
            announced(self.key.is_some(), present::KEY)
                | announced(self.time_ms.is_some(), present::TIME)
                | announced(self.id.is_some(), present::ID)
                | announced(self.attributes.is_some(), present::ATTRIBUTES),
        );
        if let Some(key) = self.key {
            write_bytes(key, out);
        }
        if let Some(time_ms) = self.time_ms {
            varint::write(time_ms, out);
        }
        if let Some(id) = self.id {
            write_bytes(id, out);
        }
        if let Some(attributes) = self.attributes {
            write_bytes(attributes, out);
        }
        write_bytes(self.payload, out);
    }
}

/// A varint and what follows it.
#[inline]
pub(crate) fn integer(buf: &[u8]) -> Option<(u64, &[u8])> {
    let (value, size) = varint::read(buf)?;
    Some((value, buf.get(size..)?))
}

/// Length-prefixed bytes and what follows them.
#[inline]
pub(crate) fn bytes(buf: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = integer(buf)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

pub(crate) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint::write(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
