//! What a sink gets: the records of one frame, encoded, in one buffer.

mod contribution;

use std::ops::Range;
use std::sync::Arc;

pub use self::contribution::{Aggregation, Contribution, GROUP_VALUE_BYTES, Number, group_bytes};

/// What an event costs in memory that waits for the end of a window: its place in a group, and of a frame the part that
/// is its own.
pub const CONTRIBUTION_BYTES: u64 = 64;

/// What a record costs in memory beyond its bytes while it is on its way: librdkafka's message, its copy's and its
/// headers' allocations, and a part of the requests that are being sent. The budget and the Kafka sink count by it.
pub const RECORD_OVERHEAD_BYTES: u64 = 512;

/// How a record's value is written (`CloudEvents` Kafka protocol binding 1.0).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// The value is the event as JSON; one `content-type` header says so.
    #[default]
    Structured,
    /// The value is `data`; attributes are `ce_*` headers.
    Binary,
}

/// A topic by its position in the table that the routes and the sink were built from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TopicId(pub u16);

/// The records of one frame, in order, encoded back to back: one allocation for all of them, reusable. Beside them stands
/// what events of the frame give to aggregates.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    headers: Vec<(Range<u32>, Range<u32>)>,
    contributed: Vec<Contributed>,
    numbers: Vec<Option<Number>>,
}

#[derive(Debug)]
struct Contributed {
    index: u32,
    to: Arc<Aggregation>,
    topic: TopicId,
    key: Option<Range<u32>>,
    numbers: Range<u32>,
}

#[derive(Clone, Debug)]
struct Entry {
    index: u32,
    topic: TopicId,
    encoding: Encoding,
    timestamp_ms: u64,
    key: Option<Range<u32>>,
    value: Option<Range<u32>>,
    headers: Range<u32>,
}

/// One record, borrowed from [`Records`].
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The event's position in its frame, from 0; what [`crate::ticket::Ticket`] settles it by.
    pub index: u32,
    /// Where it goes.
    pub topic: TopicId,
    /// How the value is written; says whether [`Record::headers`] has any.
    pub encoding: Encoding,
    /// Unix milliseconds.
    pub timestamp_ms: u64,
    /// The Kafka key.
    pub key: Option<&'a [u8]>,
    /// The Kafka value; `None` is a binary-mode event without data.
    pub value: Option<&'a [u8]>,
    bytes: &'a [u8],
    headers: &'a [(Range<u32>, Range<u32>)],
}

impl<'a> Record<'a> {
    /// Names and values of the binary encoding's headers; empty for the structured one.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.headers.iter().map(move |(name, value)| {
            (std::str::from_utf8(slice(bytes, name)).unwrap_or_default(), slice(bytes, value))
        })
    }

    /// What the record holds in memory while it is on its way.
    pub fn cost_bytes(&self) -> u64 {
        self.size_bytes() as u64 + RECORD_OVERHEAD_BYTES
    }

    /// Bytes of key, value and headers together.
    pub fn size_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

impl Records {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The record at `position`, which is not its index in the frame: refused events leave gaps there.
    pub fn get(&self, position: usize) -> Option<Record<'_>> {
        self.entries.get(position).map(|entry| self.view(entry))
    }

    /// The records from `position` on.
    pub fn iter_from(&self, position: usize) -> impl Iterator<Item = Record<'_>> {
        self.entries.iter().skip(position).map(|entry| self.view(entry))
    }

    /// Bytes held for all records.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What all records hold in memory while they are on their way.
    pub fn cost_bytes(&self) -> u64 {
        self.size_bytes() as u64 + RECORD_OVERHEAD_BYTES * self.len() as u64 + self.contributed_cost_bytes()
    }

    /// What the groups hold at most that begin with events of the frame: as if each event began one.
    pub fn groups_most_bytes(&self) -> u64 {
        let of = |contributed: &Contributed| {
            group_bytes(contributed.key.as_ref().map_or(0, Range::len), contributed.numbers.len())
        };
        self.contributed.iter().map(of).sum()
    }

    /// Adds what the event at `index` gives to an aggregate.
    pub fn contribute(&mut self, contribution: &Contribution<'_>) {
        let Contribution { index, to, topic, key, numbers } = *contribution;
        let key = key.map(|key| {
            let start = end(&self.bytes);
            self.bytes.extend_from_slice(key.as_bytes());
            start..end(&self.bytes)
        });
        let first = end(&self.numbers);
        self.numbers.extend_from_slice(numbers);
        let numbers = first..end(&self.numbers);
        self.contributed.push(Contributed { index, to: Arc::clone(to), topic, key, numbers });
    }

    /// What events of the frame give to aggregates, in their order.
    pub fn contributions(&self) -> impl ExactSizeIterator<Item = Contribution<'_>> {
        self.contributed.iter().map(|contributed| {
            let numbers = contributed.numbers.start as usize..contributed.numbers.end as usize;
            Contribution {
                index: contributed.index,
                to: &contributed.to,
                topic: contributed.topic,
                key: contributed
                    .key
                    .as_ref()
                    .map(|key| std::str::from_utf8(slice(&self.bytes, key)).unwrap_or_default()),
                numbers: self.numbers.get(numbers).unwrap_or_default(),
            }
        })
    }

    /// What holds memory of the frame until its windows end.
    fn contributed_cost_bytes(&self) -> u64 {
        match self.contributed.len() as u64 {
            0 => 0,
            count => RECORD_OVERHEAD_BYTES + CONTRIBUTION_BYTES * count,
        }
    }

    /// Forgets the records; keeps at most `keep_bytes` of the buffer for the next frame.
    pub fn reset(&mut self, keep_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep_bytes);
        self.entries.clear();
        self.headers.clear();
        self.contributed.clear();
        self.numbers.clear();
    }

    /// The `count` records from position `from` on, by themselves.
    #[must_use]
    pub fn copy(&self, from: usize, count: usize) -> Self {
        let entries = self.entries.iter().skip(from).take(count).cloned().collect();
        Self { bytes: self.bytes.clone(), entries, headers: self.headers.clone(), ..Self::default() }
    }

    /// Starts the record of the event at `index`; finish it with [`Draft::push`].
    pub fn draft(&mut self, index: u32, topic: TopicId, encoding: Encoding, timestamp_ms: u64) -> Draft<'_> {
        let header = end(&self.headers);
        let entry =
            Entry { index, topic, encoding, timestamp_ms, key: None, value: None, headers: header..header };
        Draft { records: self, entry }
    }

    fn view(&self, entry: &Entry) -> Record<'_> {
        let headers = self.headers.get(entry.headers.start as usize..entry.headers.end as usize);
        Record {
            index: entry.index,
            topic: entry.topic,
            encoding: entry.encoding,
            timestamp_ms: entry.timestamp_ms,
            key: entry.key.as_ref().map(|range| slice(&self.bytes, range)),
            value: entry.value.as_ref().map(|range| slice(&self.bytes, range)),
            bytes: &self.bytes,
            headers: headers.unwrap_or_default(),
        }
    }
}

/// A record being written. Dropping it leaves the records as they were, but for unused bytes.
#[derive(Debug)]
pub struct Draft<'a> {
    records: &'a mut Records,
    entry: Entry,
}

impl Draft<'_> {
    /// Writes the key.
    pub fn key(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.entry.key = Some(self.write(write));
    }

    /// Writes the value.
    pub fn value(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.entry.value = Some(self.write(write));
    }

    /// Adds a header.
    pub fn header(&mut self, name: &[&str], write: impl FnOnce(&mut Vec<u8>)) {
        let name = self.write(|out| name.iter().for_each(|part| out.extend_from_slice(part.as_bytes())));
        let value = self.write(write);
        self.records.headers.push((name, value));
        self.entry.headers.end = end(&self.records.headers);
    }

    /// Completes the record.
    pub fn push(self) {
        self.records.entries.push(self.entry);
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Range<u32> {
        let start = end(&self.records.bytes);
        write(&mut self.records.bytes);
        start..end(&self.records.bytes)
    }
}

/// Frames are at most a few MiB inflated, so offsets fit; saturating keeps a fault from wrapping into another record.
fn end<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).unwrap_or(u32::MAX)
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u32>) -> &'a [u8] {
    bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_written() {
        let mut records = Records::default();
        let mut draft = records.draft(2, TopicId(0), Encoding::Structured, 7);
        draft.key(|out| out.extend_from_slice(b"k"));
        draft.value(|out| out.extend_from_slice(b"{}"));
        draft.push();
        let mut draft = records.draft(5, TopicId(1), Encoding::Binary, 8);
        draft.header(&["ce_", "type"], |out| out.extend_from_slice(b"a"));
        draft.push();

        let first = records.get(0).unwrap();
        assert_eq!((first.index, first.key, first.value), (2, Some(&b"k"[..]), Some(&b"{}"[..])));
        assert_eq!(first.headers().len(), 0);
        let second = records.get(1).unwrap();
        assert_eq!((second.topic, second.key, second.value), (TopicId(1), None, None));
        assert_eq!(second.headers().collect::<Vec<_>>(), [("ce_type", &b"a"[..])]);
        assert_eq!(records.iter_from(1).count(), 1);
    }

    #[test]
    fn a_dropped_draft_is_no_record() {
        let mut records = Records::default();
        records.draft(0, TopicId(0), Encoding::Structured, 0).value(|out| out.push(b'x'));
        assert!(records.is_empty());
    }
}
