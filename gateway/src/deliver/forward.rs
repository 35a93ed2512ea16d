//! From the log to Kafka: in order, nothing left out, and again rather than not at all.
//!
//! ```text
//! log -> Cursor -> batch (500 records) -> Kafka -> settled in any order
//!                                                    |
//!                       the file `forwarded` <- settled in order: what is before it is deleted
//! ```
//!
//! [`Forwarder`] is one step of it after the other, without a clock; `thread` has it work.

mod batch;
mod thread;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub(super) use self::thread::{Alone, Duty, Forwarding};

use self::batch::{Batch, Offered, Topics};
use super::Sink;
use super::bell::Bell;
use super::log::{Cursor, Log, LogError, Watermark};
use crate::metrics::ForwardSeries;
use crate::record::Records;

/// Records and bytes of a batch; the last record may go beyond the latter.
const BATCH_RECORDS: usize = 500;
const BATCH_BYTES: usize = 256 << 10;
/// Records passed over in one go because Kafka has them.
const SKIPPED: u64 = 10_000;
/// Batches on their way; the sink's own limit may be reached before.
const BATCHES: usize = 64;
/// How often the file is written.
const PERSIST_EVERY: Duration = Duration::from_millis(100);
/// Before trying again what Kafka gave no verdict on, or what could not be read: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often a sink that was full is asked again, if nothing else happens.
const FULL: Duration = Duration::from_millis(20);
/// How often anything is looked at, if nothing happens.
const IDLE: Duration = Duration::from_secs(1);

/// Whether Kafka has what was given to it before the log had it too.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    is_known: AtomicBool,
    is_delivered: AtomicBool,
}

impl Verdict {
    /// It has, or has refused for good what it has not; or it is not known.
    pub(super) fn tell(&self, is_delivered: bool) {
        self.is_delivered.store(is_delivered, Ordering::Relaxed);
        self.is_known.store(true, Ordering::Release);
    }

    fn get(&self) -> Option<bool> {
        self.is_known.load(Ordering::Acquire).then(|| self.is_delivered.load(Ordering::Relaxed))
    }
}

/// What is done with a record of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Forward,
    /// Kafka has it.
    Skip,
    /// Kafka may yet turn out to have it.
    Wait,
}

/// Reads the log and hands it to Kafka.
pub(super) struct Forwarder {
    log: Arc<Log>,
    kafka: Arc<dyn Sink>,
    series: ForwardSeries,
    bell: Arc<Bell>,
    topics: Topics,
    /// The file `forwarded`.
    mark: Watermark,
    cursor: Cursor,
    /// Where the cursor has to be before anything more is read.
    reopen_at: Option<u64>,
    /// How many damaged records of this cursor are counted.
    damaged: u64,
    /// Records of the log that were given to Kafka before, in their order.
    given: VecDeque<(Range<u64>, Arc<Verdict>)>,
    /// The newest batch, while Kafka has not taken all of it.
    offered: Option<Offered>,
    /// In their order.
    under_way: VecDeque<Batch>,
    /// Kafka has everything before it, or has refused it.
    settled: u64,
    /// What the file says.
    persisted: u64,
    persist_at: Option<Instant>,
    /// Nothing is handed over before.
    resume_at: Option<Instant>,
    pause: Duration,
    is_closing: bool,
}

impl Forwarder {
    /// Goes on where the directory's `forwarded` says. `log` and `kafka` must outlive what it hands over.
    pub(super) fn new(log: Arc<Log>, kafka: Arc<dyn Sink>, series: ForwardSeries) -> Result<Self, LogError> {
        let directory = log.directory();
        let failed = |action| LogError::io(action, directory);
        let begin = super::log::forwarded(directory, log.next())?.unwrap_or(log.next());
        let mark = Watermark::forwarded(directory).map_err(failed("open the file `forwarded` in"))?;
        // Another log may have been here before.
        mark.publish(begin).and_then(|()| mark.sync()).map_err(failed("write the file `forwarded` in"))?;
        let cursor = Cursor::open(directory, begin)?;
        log.release(begin);
        let forwarder = Self {
            bell: log.bell(),
            topics: Topics::default(),
            mark,
            cursor,
            reopen_at: None,
            damaged: 0,
            given: VecDeque::new(),
            offered: None,
            under_way: VecDeque::new(),
            settled: begin,
            persisted: begin,
            persist_at: None,
            resume_at: None,
            pause: PAUSE.0,
            is_closing: false,
            log,
            kafka,
            series,
        };
        forwarder.count_lag();
        Ok(forwarder)
    }

    /// The log's records `sequences` were given to Kafka before; they are forwarded only if it turns out to have lost
    /// them. Must be told before they are durable in the log, or from the thread that calls [`Forwarder::step`].
    pub(super) fn was_given(&mut self, sequences: Range<u64>, verdict: Arc<Verdict>) {
        if !sequences.is_empty() {
            self.given.push_back((sequences, verdict));
        }
    }

    /// Does what can be done now; whether that was anything.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        let mut moved = self.settle();
        if self.is_closing {
            // What is not settled by then is forwarded after the next start.
        } else if self.under_way.iter().any(Batch::is_lost) {
            moved |= self.repeat(now);
        } else if self.resume_at.is_none_or(|resume_at| now >= resume_at) {
            self.resume_at = None;
            match self.feed() {
                Ok(fed) => moved |= fed,
                Err(error) => self.stumble(now, &error),
            }
        }
        if self.persist_at.is_none_or(|persist_at| now >= persist_at) {
            self.persist(now);
        }
        self.count_lag();
        moved
    }

    /// How long nothing need be done if the bell does not ring.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let full = self.offered.as_ref().map(|_| FULL);
        let until = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(now));
        let persist = until(self.persist_at).filter(|_| self.settled > self.persisted);
        [full, persist, until(self.resume_at)].into_iter().flatten().min().unwrap_or(IDLE).min(IDLE)
    }

    /// Whether Kafka has everything that the log was ever given.
    pub(super) fn has_all(&self) -> bool {
        self.under_way.is_empty() && self.settled >= self.log.next()
    }

    /// How many records of the log Kafka does not have.
    pub(super) fn lag(&self) -> u64 {
        self.log.next().saturating_sub(self.settled)
    }

    /// Hands over nothing more; whether everything handed over has settled.
    pub(super) fn close(&mut self) -> bool {
        self.is_closing = true;
        self.offered = None;
        self.under_way.iter().all(Batch::is_settled)
    }

    /// Writes down how far it is, at once.
    pub(super) fn persist(&mut self, now: Instant) {
        self.persist_at = Some(now + PERSIST_EVERY);
        if self.settled == self.persisted {
            return;
        }
        match self.mark.publish(self.settled).and_then(|()| self.mark.sync()) {
            Ok(()) => {
                self.persisted = self.settled;
                self.log.release(self.settled);
            }
            // A full disk, perhaps, and then this is tried again soon; until then more would be repeated.
            Err(error) => tracing::warn!(%error, "how far the log is forwarded could not be written down"),
        }
    }

    /// Moves over what has settled in order.
    fn settle(&mut self) -> bool {
        let before = self.settled;
        while let Some(batch) = self.under_way.front().filter(|batch| batch.is_settled() && !batch.is_lost())
        {
            self.settled = batch.end;
            self.series.records.inc_by(u64::from(batch.count - batch.refused().min(batch.count)));
            self.series.refused.inc_by(u64::from(batch.refused()));
            self.pause = PAUSE.0;
            self.under_way.pop_front();
        }
        let past = self.given.partition_point(|(range, _)| range.end <= self.settled);
        self.given.drain(..past);
        self.settled > before
    }

    /// Kafka gave no verdict on some records: once all are in that state or settled, everything from them on is handed
    /// over again.
    fn repeat(&mut self, now: Instant) -> bool {
        self.offered = None;
        if !self.under_way.iter().all(Batch::is_settled) {
            return false;
        }
        let again: u64 = self.under_way.iter().map(|batch| u64::from(batch.count)).sum();
        self.series.repeated.inc_by(again);
        self.under_way.clear();
        tracing::warn!(records = again, "Kafka gave no verdict on records of the log: they are sent again");
        self.rest(now);
        self.reopen_at = Some(self.settled);
        true
    }

    fn feed(&mut self) -> Result<bool, LogError> {
        let mut moved = false;
        loop {
            if let Some(offered) = &mut self.offered {
                moved |= offered.submit(&*self.kafka);
                if offered.is_left() {
                    return Ok(moved);
                }
                self.offered = None;
            }
            if self.under_way.len() >= BATCHES || !self.read()? {
                return Ok(moved);
            }
            moved = true;
        }
    }

    /// Reads the next batch; whether there was any.
    fn read(&mut self) -> Result<bool, LogError> {
        if let Some(at) = self.reopen_at {
            (self.cursor, self.damaged) = (Cursor::open(self.log.directory(), at)?, 0);
            self.reopen_at = None;
        }
        let first = self.cursor.position();
        let durable = self.log.durable();
        let mut records = Records::default();
        let (mut skipped, mut unknown) = (0, 0);
        while records.len() < BATCH_RECORDS && records.size_bytes() < BATCH_BYTES && skipped < SKIPPED {
            let at = self.cursor.position();
            if at >= durable || self.fate(at) == Fate::Wait {
                break;
            }
            let Some(record) = self.cursor.next()? else { break };
            let sequence = record.sequence;
            match fate(&self.given, sequence) {
                Fate::Skip => skipped += 1,
                Fate::Forward if self.topics.copy(&record, &mut records, &*self.kafka) => {}
                Fate::Forward => unknown += 1,
                // Those before it are damaged.
                Fate::Wait => {
                    self.count_damaged();
                    self.reopen_at = Some(sequence);
                    break;
                }
            }
        }
        self.count_damaged();
        self.series.refused.inc_by(unknown);
        self.series.records.inc_by(skipped);
        let end = self.reopen_at.unwrap_or_else(|| self.cursor.position());
        if end > first {
            let (batch, offered) = Batch::new(end, records, &self.bell);
            self.under_way.push_back(batch);
            self.offered = offered;
        }
        Ok(end > first)
    }

    fn fate(&self, sequence: u64) -> Fate {
        fate(&self.given, sequence)
    }

    fn count_lag(&self) {
        let lag = self.log.durable().saturating_sub(self.settled);
        self.series.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    fn count_damaged(&mut self) {
        let damaged = self.cursor.damaged();
        self.series.damaged.inc_by(damaged - self.damaged);
        self.damaged = damaged;
    }

    fn stumble(&mut self, now: Instant, error: &LogError) {
        tracing::warn!(%error, "the log cannot be read to be forwarded; trying again");
        self.rest(now);
        // Not where the cursor is: what was read before the error has not been handed over.
        self.reopen_at = Some(self.under_way.back().map_or(self.settled, |batch| batch.end));
    }

    fn rest(&mut self, now: Instant) {
        self.resume_at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
    }
}

fn fate(given: &VecDeque<(Range<u64>, Arc<Verdict>)>, sequence: u64) -> Fate {
    let at = given.partition_point(|(range, _)| range.end <= sequence);
    match given.get(at).filter(|(range, _)| range.contains(&sequence)).map(|(_, verdict)| verdict.get()) {
        None | Some(Some(false)) => Fate::Forward,
        Some(Some(true)) => Fate::Skip,
        Some(None) => Fate::Wait,
    }
}
