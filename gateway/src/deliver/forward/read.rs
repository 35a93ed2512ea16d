//! From the log into the next batch.

use super::batch::{Batch, Passed};
use super::given::Fate;
use super::{BATCH_BYTES, BATCH_RECORDS, Forwarder, SKIPPED};
use crate::deliver::log::{Cursor, LogError};
use crate::metrics::ForwardSeries;
use crate::record::Records;

/// A batch while it is read.
#[derive(Default)]
struct Read {
    records: Records,
    passed: Passed,
    /// After the last record that was read.
    end: u64,
}

/// Where reading has stopped.
enum Stop {
    /// Where the cursor is: the batch is full, or nothing more is there.
    Here,
    /// Before that record, which Kafka may yet turn out to have.
    Wait(u64),
    /// Before that record, whose topic Kafka's side cannot even name: why.
    Held(u64, String),
    Failed(LogError),
}

impl Forwarder {
    /// Reads the next batch; whether there was any, or why there can be none.
    pub(super) fn read(&mut self) -> Result<bool, String> {
        let unreadable = |error: LogError| format!("the log cannot be read to be forwarded: {error}");
        if let Some(at) = self.reopen_at {
            self.cursor = Cursor::open(self.log.directory(), at).map_err(unreadable)?.stopping_at_foreign();
            self.reopen_at = None;
        }
        let (first, damaged) = (self.cursor.position(), self.cursor.damaged());
        let mut read = Read { end: first, ..Read::default() };
        let (end, trouble) = match self.collect(&mut read) {
            Stop::Here => (self.cursor.position(), None),
            Stop::Wait(at) => (at, None),
            Stop::Held(at, why) => (at, Some(why)),
            // The cursor may be anywhere.
            Stop::Failed(error) => (read.end, Some(unreadable(error))),
        };
        if end != self.cursor.position() || trouble.is_some() {
            self.reopen_at = Some(end);
        }
        if end <= first {
            return trouble.map_or(Ok(false), Err);
        }
        self.standing.set(None);
        let Read { records, mut passed, .. } = read;
        let found = records.len() as u64 + passed.delivered + passed.dead_lettered;
        let absent = (end - first).saturating_sub(found);
        passed.damaged = (self.cursor.damaged() - damaged).min(absent);
        passed.missing = absent - passed.damaged;
        let (batch, offered) = Batch::new(end, records, passed, &self.bell);
        self.under_way.push_back(batch);
        self.offered = offered;
        Ok(true)
    }

    fn collect(&mut self, read: &mut Read) -> Stop {
        let durable = self.log.durable();
        let mut skipped = 0;
        while read.records.len() < BATCH_RECORDS
            && read.records.size_bytes() < BATCH_BYTES
            && skipped < SKIPPED
        {
            let at = self.cursor.position();
            if at >= durable || self.given.fate(at) == Fate::Wait {
                break;
            }
            let record = match self.cursor.next() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error) => return Stop::Failed(error),
            };
            let sequence = record.sequence;
            match self.given.fate(sequence) {
                Fate::Skip => read.passed.delivered += 1,
                Fate::DeadLettered => read.passed.dead_lettered += 1,
                // Those before it are damaged or missing.
                Fate::Wait => return Stop::Wait(sequence),
                Fate::Forward => {
                    if !self.topics.copy(&record, &mut read.records, &*self.kafka) {
                        let topic = record.topic;
                        let why = format!(
                            "records of the log are for topic `{topic}`, which Kafka would not take as a name, or there \
                             are too many topics: nothing behind them is forwarded"
                        );
                        return Stop::Held(sequence, why);
                    }
                }
            }
            skipped = read.passed.delivered + read.passed.dead_lettered;
            read.end = sequence + 1;
        }
        Stop::Here
    }
}

/// Counts records that the log should have and that are in no segment of it, and says so.
pub(super) fn count_missing(series: &ForwardSeries, missing: u64) {
    if missing > 0 {
        series.missing.inc_by(missing);
        tracing::error!(
            records = missing,
            "the log has lost records that Kafka does not have: their segments were moved away or deleted, and not by the \
             gateway"
        );
    }
}
