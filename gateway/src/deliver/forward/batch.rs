//! Records of the log on their way to Kafka.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use crate::deliver::Sink;
use crate::deliver::bell::Bell;
use crate::deliver::log::Stored;
use crate::record::{Records, TopicId};
use crate::ticket::{Refused, Settled, Settlement, Ticket};

/// Topics remembered by their names; more than any configuration has.
const TOPICS_MAX: usize = 1_000;

/// Consecutive records of the log, and how they ended.
#[derive(Debug)]
pub(super) struct Batch {
    /// The sequence after its last record.
    pub(super) end: u64,
    /// How many were handed over: those that Kafka has already are not.
    pub(super) count: u32,
    /// Of the others.
    pub(super) passed: Passed,
    settlement: Arc<OnceLock<Settlement>>,
}

/// Records of a batch that were not handed over, by why.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    /// Kafka has them already.
    pub(super) delivered: u64,
    /// Kafka has them already, as dead letters.
    pub(super) dead_lettered: u64,
    /// They cannot be read.
    pub(super) damaged: u64,
    /// They are in no segment.
    pub(super) missing: u64,
}

/// A batch that Kafka has not taken all of.
pub(super) struct Offered {
    records: Records,
    taken: usize,
    ticket: Ticket,
}

struct Owner {
    settlement: Arc<OnceLock<Settlement>>,
    bell: Arc<Bell>,
}

impl Settled for Owner {
    fn settled(self: Box<Self>, frame: Settlement) {
        // Called once.
        let _ = self.settlement.set(frame);
        self.bell.ring();
    }

    fn is_owed(&self) -> bool {
        true
    }
}

impl Batch {
    /// A batch up to the record `end` of which `records` are to be handed over: those, if there are any. `bell` rings
    /// when all of them have ended.
    pub(super) fn new(
        end: u64,
        records: Records,
        passed: Passed,
        bell: &Arc<Bell>,
    ) -> (Self, Option<Offered>) {
        let settlement = Arc::<OnceLock<Settlement>>::default();
        let count = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let owner = Owner { settlement: Arc::clone(&settlement), bell: Arc::clone(bell) };
        let ticket = Ticket::new(count, Box::new(owner));
        let offered = (count > 0).then_some(Offered { records, taken: 0, ticket });
        (Self { end, count, passed, settlement }, offered)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settlement.get().is_some()
    }

    /// Whether it is not known if Kafka has all of them.
    pub(super) fn is_lost(&self) -> bool {
        self.settlement.get().is_some_and(|frame| frame.lost > 0)
    }

    /// What Kafka refused for good.
    pub(super) fn refused(&self) -> &[Refused] {
        self.settlement.get().map_or(&[], |frame| &frame.refused)
    }
}

impl Offered {
    /// Hands over what there is room for; whether that was anything.
    pub(super) fn forward(&mut self, kafka: &dyn Sink) -> bool {
        let taken = kafka.submit(&self.records, self.taken, &self.ticket);
        self.taken += taken;
        taken > 0
    }

    pub(super) fn is_left(&self) -> bool {
        self.taken < self.records.len()
    }
}

/// The topics met in the log, by their names.
#[derive(Debug, Default)]
pub(super) struct Topics(HashMap<String, TopicId>);

impl Topics {
    /// Adds a record of the log to `records` as it is; not if `kafka` cannot tell a topic of that name.
    pub(super) fn copy(&mut self, record: &Stored<'_>, records: &mut Records, kafka: &dyn Sink) -> bool {
        let Some(topic) = self.id(record.topic, kafka) else { return false };
        let index = u32::try_from(records.len()).unwrap_or(u32::MAX);
        let mut draft = records.draft(index, topic, record.encoding, record.timestamp_ms);
        if let Some(key) = record.key {
            draft.key(|out| out.extend_from_slice(key));
        }
        if let Some(value) = record.value {
            draft.value(|out| out.extend_from_slice(value));
        }
        for (name, value) in record.headers() {
            draft.header(&[name], |out| out.extend_from_slice(value));
        }
        draft.push();
        true
    }

    fn id(&mut self, name: &str, kafka: &dyn Sink) -> Option<TopicId> {
        if let Some(id) = self.0.get(name) {
            return Some(*id);
        }
        let id = kafka.topic(name)?;
        if self.0.len() >= TOPICS_MAX {
            self.0.clear();
        }
        self.0.insert(name.to_owned(), id);
        Some(id)
    }
}
