//! What the gateway adds to the events of one frame: when, from whom, under which names.

use std::fmt::Write as _;

use tidegate_wire::{Attribute, Event, Value, time};
use uuid::Uuid;

/// Kafka refuses records from more than an hour ahead, and the batch around them with them.
const AHEAD_MS: u64 = 30 * 60 * 1_000;

/// The ids of events that bring none.
#[derive(Clone, Copy, Debug)]
pub enum Ids<'a> {
    /// `prefix` and the event's number.
    Numbered {
        /// `<client>-<epoch>-` or `<session>-`.
        prefix: &'a str,
        /// The number of the frame's first event.
        first_seq: u64,
    },
    /// Without numbers: a `UUIDv7` for the frame's first event, counted up for those after it
    /// (RFC 9562 section 6.2, method 2).
    Unnumbered(Uuid),
}

/// What the gateway adds to the events of one frame.
#[derive(Debug)]
pub struct Stamp<'a> {
    now_ms: u64,
    recorded: String,
    source: &'a str,
    key: Option<&'a str>,
    ids: Ids<'a>,
    id: String,
}

impl<'a> Stamp<'a> {
    /// `source` and `key` are for events that bring none; without `key` such events have no record key.
    pub fn new(now_ms: u64, source: &'a str, key: Option<&'a str>, ids: Ids<'a>) -> Self {
        Self { now_ms, recorded: time::format(now_ms), source, key, ids, id: String::new() }
    }

    /// When the frame was received, Unix ms.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The record's timestamp: the event's own time where it is near enough, else when it was received.
    pub(super) fn timestamp_ms(&self, time_ms: Option<i64>, tolerance_ms: u64) -> u64 {
        let near = time_ms.and_then(|time_ms| u64::try_from(time_ms).ok());
        let latest_ms = self.now_ms + tolerance_ms.min(AHEAD_MS);
        near.filter(|time_ms| (self.now_ms.saturating_sub(tolerance_ms)..=latest_ms).contains(time_ms))
            .unwrap_or(self.now_ms)
    }

    /// Gives the event what its client left out, and hands it on with its record key.
    pub(super) fn complete<'e>(
        &'e mut self,
        mut event: Event<'e>,
        index: u32,
        go: impl FnOnce(&Event<'e>, Option<&str>),
    ) {
        self.name(index);
        let this = &*self;
        let fill = [
            (Attribute::Specversion, "1.0"),
            (Attribute::Id, &this.id),
            (Attribute::Source, this.source),
            (Attribute::Time, &this.recorded),
            (Attribute::Datacontenttype, "application/json"),
        ];
        for (attribute, text) in fill {
            if event.get(attribute).is_none() {
                event.set(attribute, Value::Text(text));
            }
        }
        event.set(Attribute::Recordedtime, Value::Text(&this.recorded));
        let own_key = event.get(Attribute::Partitionkey).map(|key| key.text());
        go(&event, own_key.as_deref().or(this.key));
    }

    fn name(&mut self, index: u32) {
        self.id.clear();
        // Writing to a String cannot fail.
        let _ = match self.ids {
            Ids::Numbered { prefix, first_seq } => {
                self.id.push_str(prefix);
                write!(self.id, "{}", first_seq + u64::from(index))
            }
            Ids::Unnumbered(first) => {
                write!(self.id, "{}", Uuid::from_u128(first.as_u128().wrapping_add(u128::from(index))))
            }
        };
    }
}
