//! The events of one frame, datagram or body: whole, or a [`Violation`], never half.

mod iter;
mod writer;

use std::borrow::Cow;

use crate::body::HttpEvent;
use crate::frame::{Frame, Frames, kind};
use crate::inflate::{self, Encoding, inflate};
use crate::limits::{Limits, NUMBER_MAX};
use crate::record::{Record, integer};
use crate::refusal::Violation;

pub use iter::Iter;
pub use writer::BatchWriter;

/// Bits of an EVENTS frame's first byte.
pub(crate) mod flags {
    pub(crate) const COMPRESSION: u8 = 3;
    pub(crate) const GZIP: u8 = 1;
    pub(crate) const ZSTD: u8 = 2;
    pub(crate) const LOSSY: u8 = 4;
}

/// The events of one frame, datagram or body. Every length is verified; what is inside an event is not judged yet.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// The number of the first event. With `count` 0 everything below it is given up. 0 only where events have no
    /// numbers: in JSON frames with `lossy` and in bodies.
    pub first_seq: u64,
    /// Not acknowledged; `first_seq` counts in a number space of its own.
    pub lossy: bool,
    /// How many events there are, at most [`Limits::max_batch_events`].
    pub count: u32,
    /// Payload bytes as credit counts them: uncompressed, without attributes; in JSON the events as sent.
    pub payload_bytes: u64,
    records: Records<'a>,
}

#[derive(Clone, Debug)]
enum Records<'a> {
    /// Records of a binary frame, inflated.
    Binary(Cow<'a, [u8]>),
    /// Structured events.
    Structured(Vec<&'a [u8]>),
    /// One event that is an HTTP request.
    Http(HttpEvent<'a>),
}

impl<'a> Batch<'a> {
    /// The events in order, exactly `count`.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.records)
    }

    /// Decodes the body of a binary EVENTS frame.
    pub(crate) fn from_binary(body: &'a [u8], limits: &Limits) -> Result<Self, Violation> {
        let Some((flags, first_seq, count, records)) = header(body) else {
            return Err(Violation::bad_frame("EVENTS is cut short: expected flags, first_seq and count"));
        };
        let encoding = match flags & flags::COMPRESSION {
            0 => None,
            flags::GZIP => Some(Encoding::Gzip),
            flags::ZSTD => Some(Encoding::Zstd),
            _ => {
                return Err(Violation::bad_frame(
                    "EVENTS: flags bits 0-1 are 0 (plain), 1 (gzip) or 2 (zstd)",
                ));
            }
        };
        if flags & !(flags::COMPRESSION | flags::LOSSY) != 0 {
            return Err(Violation::bad_frame(format!(
                "EVENTS: flags are {flags:#04x}, only bits 0-2 mean something"
            )));
        }
        let lossy = flags & flags::LOSSY != 0;
        let count = numbers(first_seq, count, lossy, limits)?;
        let records = match encoding {
            None => Cow::Borrowed(records),
            Some(encoding) => {
                Cow::Owned(inflate(encoding, records, limits.max_inflated_bytes).map_err(not_inflated)?)
            }
        };
        let payload_bytes = add_up(&records, count)?;
        Ok(Self { first_seq, lossy, count, payload_bytes, records: Records::Binary(records) })
    }

    /// Structured events of a JSON frame. `count` is how many there were, also beyond those that were kept.
    pub(crate) fn from_json(
        first_seq: u64,
        lossy: bool,
        found: Structured<'a>,
        limits: &Limits,
    ) -> Result<Self, Violation> {
        let count = numbers(first_seq, found.count, lossy, limits)?;
        let Structured { events, payload_bytes, .. } = found;
        Ok(Self { first_seq, lossy, count, payload_bytes, records: Records::Structured(events) })
    }

    /// Structured events of a body that are known to be within the limit.
    pub(crate) fn from_body(found: Structured<'a>) -> Self {
        let Structured { events, count, payload_bytes } = found;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self { first_seq: 0, lossy: false, count, payload_bytes, records: Records::Structured(events) }
    }

    /// The one event that a request is.
    pub(crate) fn from_http(event: HttpEvent<'a>) -> Self {
        Self {
            first_seq: 0,
            lossy: false,
            count: 1,
            payload_bytes: event.body.len() as u64,
            records: Records::Http(event),
        }
    }
}

impl<'b> IntoIterator for &'b Batch<'_> {
    type Item = crate::Raw<'b>;
    type IntoIter = Iter<'b>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What an EVENTS frame says of itself, before anything of it is decoded or checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced {
    /// How many events there are, at most [`Limits::max_batch_events`].
    pub count: u32,
    /// What the records can come to at most.
    pub records_most_bytes: u64,
    /// See [`Batch::lossy`].
    pub lossy: bool,
}

impl Announced {
    /// `None` for a frame that brings no events.
    #[inline]
    pub fn of(frame: &Frame<'_>, limits: &Limits) -> Option<Self> {
        if frame.kind != kind::EVENTS {
            return None;
        }
        let (flags, _, count, records) = header(frame.body)?;
        let records_most_bytes = match flags & flags::COMPRESSION {
            0 => records.len() as u64,
            _ => limits.max_inflated_bytes.into(),
        };
        let count =
            u32::try_from(count).map_or(limits.max_batch_events, |count| count.min(limits.max_batch_events));
        Some(Self { count, records_most_bytes, lossy: flags & flags::LOSSY != 0 })
    }
}

/// Decodes a datagram: exactly one EVENTS frame, lossy, its records with alias 0.
pub fn datagram<'a>(bytes: &'a [u8], limits: &'a Limits) -> Result<Batch<'a>, Violation> {
    let mut frames = Frames::new(bytes, limits);
    let (Some(frame), None) = (frames.next().transpose()?, frames.next()) else {
        return Err(Violation::bad_frame("a datagram is exactly one frame"));
    };
    if frame.kind != kind::EVENTS {
        return Err(Violation::bad_frame(format!(
            "a datagram is an EVENTS frame, not {}",
            kind::name(frame.kind)
        )));
    }
    let batch = Batch::from_binary(frame.body, limits)?;
    if !batch.lossy {
        return Err(Violation::bad_frame("EVENTS in a datagram must have the lossy flag"));
    }
    if batch.iter().any(|raw| !matches!(raw, crate::Raw::Structured(_))) {
        return Err(Violation::bad_frame("records in a datagram must have alias 0"));
    }
    Ok(batch)
}

/// Structured events while they are found: those within the limit of events are kept, all are counted.
#[derive(Debug, Default)]
pub(crate) struct Structured<'a> {
    pub(crate) events: Vec<&'a [u8]>,
    pub(crate) count: u64,
    pub(crate) payload_bytes: u64,
}

impl<'a> Structured<'a> {
    pub(crate) fn push(&mut self, event: &'a [u8], limits: &Limits) {
        if self.count < u64::from(limits.max_batch_events) {
            self.events.push(event);
        }
        self.count += 1;
        self.payload_bytes += event.len() as u64;
    }
}

fn header(body: &[u8]) -> Option<(u8, u64, u64, &[u8])> {
    let (&flags, rest) = body.split_first()?;
    let (first_seq, rest) = integer(rest)?;
    let (count, records) = integer(rest)?;
    Some((flags, first_seq, count, records))
}

fn numbers(first_seq: u64, count: u64, lossy: bool, limits: &Limits) -> Result<u32, Violation> {
    let within = u32::try_from(count).ok().filter(|count| *count <= limits.max_batch_events);
    let Some(count) = within else {
        return Err(Violation::too_large(format!(
            "{count} events in one frame, at most {} are allowed",
            limits.max_batch_events
        )));
    };
    if first_seq == 0 && !lossy {
        return Err(Violation::bad_frame("the number of the first event is 0, numbers start at 1"));
    }
    if first_seq.saturating_add(u64::from(count).saturating_sub(1)) > NUMBER_MAX {
        return Err(Violation::bad_frame(format!("event numbers go beyond {NUMBER_MAX}")));
    }
    Ok(count)
}

/// Walks all records once, so that iterating over them later cannot fail.
fn add_up(records: &[u8], count: u32) -> Result<u64, Violation> {
    let mut rest = records;
    let mut payload_bytes = 0;
    for at in 0..count {
        let Some((record, after)) = Record::split(rest) else {
            return Err(Violation::bad_frame(format!(
                "EVENTS: record {at} of {count} is cut short, its lengths go beyond the end"
            )));
        };
        payload_bytes += record.payload.len() as u64;
        rest = after;
    }
    if rest.is_empty() {
        Ok(payload_bytes)
    } else {
        Err(Violation::bad_frame(format!(
            "EVENTS: {} bytes are left after the last of {count} records",
            rest.len()
        )))
    }
}

fn not_inflated(error: inflate::Error) -> Violation {
    let message = format!("EVENTS: what is compressed {error}");
    match error {
        inflate::Error::Corrupt => Violation::bad_frame(message),
        inflate::Error::TooLarge { .. } => Violation::too_large(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::BodyKind;
    use crate::{BatchWriter, ClientFrame};

    #[test]
    fn a_frame_announces_what_it_can_come_to() {
        let limits = Limits::default();
        let announced = |lossy, compression| {
            let mut writer = BatchWriter::default();
            (0..3).for_each(|_| writer.structured(&[b'x'; 100]));
            let mut bytes = Vec::new();
            writer.finish(7, lossy, compression, &mut bytes).unwrap();
            let frame = Frames::new(&bytes, &limits).next().unwrap().unwrap();
            let Announced { count, records_most_bytes, lossy } = Announced::of(&frame, &limits).unwrap();
            (count, records_most_bytes, lossy)
        };
        assert_eq!(announced(false, None), (3, 3 * 104, false));
        assert_eq!(announced(true, Some(Encoding::Zstd)), (3, 4 << 20, true));
        let ping = Frame { kind: kind::PING, body: &[] };
        assert_eq!(Announced::of(&ping, &limits), None);
        let many = Frame { kind: kind::EVENTS, body: &[0, 1, 0xbf, 0xff, 0xff, 0xff] };
        assert_eq!(Announced::of(&many, &limits).unwrap().count, limits.max_batch_events);
    }

    const LIMITS: Limits = Limits {
        max_event_bytes: 1_000,
        max_frame_bytes: 1_000_000,
        max_batch_events: 8,
        max_inflated_bytes: 50_000,
        max_body_bytes: 1_000_000,
        max_inflated_body_bytes: 1_000_000,
        max_attributes_bytes: 1_000,
        max_json_depth: 8,
        max_hello_bytes: 1_000,
    };

    #[test]
    fn events_beyond_the_limit_are_counted_and_not_kept() {
        let mut found = Structured::default();
        (0..100_000).for_each(|_| found.push(b"{}", &LIMITS));
        assert_eq!((found.count, found.payload_bytes), (100_000, 200_000));
        assert!(found.events.capacity() <= LIMITS.max_batch_events as usize);
    }

    #[test]
    fn too_many_events_say_how_many_they_are() {
        let list = format!("[{}0]", "0,".repeat(99_999));
        let frame = format!(r#"{{"t":"ev","s":1,"e":{list}}}"#);
        let violation = ClientFrame::from_json(&frame, &LIMITS).unwrap_err();
        assert_eq!(violation.message, "100000 events in one frame, at most 8 are allowed");
        let error = BodyKind::Batch.parse(list.as_bytes(), &LIMITS).unwrap_err();
        assert_eq!(
            (error.status(), error.to_string().as_str()),
            (413, "100000 events in one body, at most 8 are allowed")
        );
    }

    #[test]
    fn inflated_records_take_no_more_than_their_limit() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            for (payload_bytes, fits) in [(49_994, true), (49_995, false), (5_000_000, false)] {
                let mut writer = BatchWriter::default();
                writer.record(&Record { alias: 1, payload: &vec![b' '; payload_bytes], ..Record::default() });
                let mut frame = Vec::new();
                writer.finish(1, false, Some(encoding), &mut frame).unwrap();
                let frame = Frames::new(&frame, &LIMITS).next().unwrap().unwrap();
                match Batch::from_binary(frame.body, &LIMITS) {
                    Ok(batch) => {
                        assert!(fits && batch.payload_bytes == payload_bytes as u64);
                        let Records::Binary(Cow::Owned(records)) = batch.records else {
                            panic!("compressed records are owned");
                        };
                        assert!(records.capacity() <= LIMITS.max_inflated_bytes as usize);
                    }
                    Err(violation) => {
                        assert!(!fits, "{violation}");
                        assert_eq!(violation.code, crate::CloseCode::TooLarge);
                    }
                }
            }
        }
    }
}
