//! What the gateway adds to the events of one frame: when, from whom, under which names.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use tidegate_wire::{Attribute, Event, Value, json};
use uuid::Uuid;

use super::operators::{Fate, Origin};

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

/// What the gateway adds to the events of one frame. Texts are kept as JSON, since most records copy them as that.
#[derive(Debug)]
pub struct Stamp<'a> {
    now_ms: u64,
    recorded: String,
    source: String,
    key: Option<&'a str>,
    ids: Ids<'a>,
    /// `"`, the prefix, and what follows for the event at hand.
    id: String,
    /// How much of `id` stays.
    prefix_bytes: usize,
    origin: Option<Origin>,
    /// Once a rule asked.
    fate: OnceCell<Arc<Fate>>,
}

impl<'a> Stamp<'a> {
    /// `source` and `key` are for events that bring none; without `key` such events have no record key.
    pub fn new(now_ms: u64, source: &str, key: Option<&'a str>, ids: Ids<'a>) -> Self {
        let mut id = match ids {
            Ids::Numbered { prefix, .. } => quoted(prefix),
            Ids::Unnumbered(_) => quoted(""),
        };
        id.pop();
        let prefix_bytes = id.len();
        let mut recorded = Vec::with_capacity(32);
        Value::Millis(now_ms).write_json(&mut recorded);
        let recorded = String::from_utf8(recorded).unwrap_or_default();
        let (source, fate) = (quoted(source), OnceCell::new());
        Self { now_ms, recorded, source, key, ids, id, prefix_bytes, origin: None, fate }
    }

    /// Says that the events settle together with all of `origin`, in the order in which they are stamped.
    #[must_use]
    pub fn of(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// What becomes of the events, for rules that remember them.
    pub(super) fn fate(&self) -> &Arc<Fate> {
        self.fate.get_or_init(|| Fate::new(self.origin))
    }

    /// The same, if rules remember any: whoever knows what becomes of the frame says so there, before anybody is told.
    pub fn take_fate(&mut self) -> Option<Arc<Fate>> {
        self.fate.take()
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

    /// Gives the event what its client left out, and says what its record key is. The stamp is the event's from then on.
    pub(super) fn complete<'e>(
        &'e mut self,
        event: &mut Event<'e>,
        index: u32,
    ) -> (&'e Self, Option<Cow<'e, str>>) {
        if event.get(Attribute::Id).is_none() {
            self.name(index);
        }
        let this = &*self;
        let fill = [
            (Attribute::Specversion, "\"1.0\""),
            (Attribute::Id, &this.id),
            (Attribute::Source, &this.source),
            (Attribute::Time, &this.recorded),
            (Attribute::Datacontenttype, "\"application/json\""),
        ];
        for (attribute, json) in fill {
            if event.get(attribute).is_none() {
                event.set(attribute, Value::Json(json));
            }
        }
        event.set(Attribute::Recordedtime, Value::Json(&this.recorded));
        let own_key = event.get(Attribute::Partitionkey).map(|key| key.text());
        (this, own_key.or(this.key.map(Cow::Borrowed)))
    }

    fn name(&mut self, index: u32) {
        self.id.truncate(self.prefix_bytes);
        match self.ids {
            Ids::Numbered { first_seq, .. } => push_number(first_seq + u64::from(index), &mut self.id),
            Ids::Unnumbered(first) => {
                let uuid = Uuid::from_u128(first.as_u128().wrapping_add(u128::from(index)));
                self.id.push_str(uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            }
        }
        self.id.push('"');
    }
}

/// `text` as a JSON string.
fn quoted(text: &str) -> String {
    let mut json = Vec::with_capacity(text.len() + 24);
    json::write_string(text, &mut json);
    String::from_utf8(json).unwrap_or_default()
}

/// What [`std::fmt`] does, in a quarter of the instructions.
fn push_number(number: u64, out: &mut String) {
    let mut digits = [b'0'; 20];
    let mut begin = digits.len();
    let mut rest = number;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            begin = at;
            break;
        }
    }
    out.push_str(digits.get(begin..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default());
}
