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
mod given;
mod read;
mod thread;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub(super) use self::given::Verdict;
pub(super) use self::thread::{Alone, Duty, Forwarding};

use self::batch::{Batch, Offered, Passed, Topics};
use self::given::{Fate, Given};
use super::bell::Bell;
use super::log::{Cursor, Log, LogError, Watermark};
use super::{Health, Sink};
use crate::metrics::ForwardSeries;
use crate::outcome::Outcome;

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
    /// Records of the log that were given to Kafka before it had them.
    given: Given,
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
    /// When something settled last, or nothing was left to.
    moved_at: Option<Instant>,
    standing: Standing,
    is_closing: bool,
}

/// Why the log is not forwarded now, where it is the log's own fault: a sentence.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing(Arc<Mutex<Option<String>>>);

impl Standing {
    /// What an operator is told of the way from the log to `kafka`, if not all is well.
    pub(super) fn note(&self, kafka: &dyn Sink) -> Option<String> {
        self.why(kafka).map(|why| format!("the log is not forwarded, or not all of it: {why}"))
    }

    /// Why not all is well.
    pub(super) fn why(&self, kafka: &dyn Sink) -> Option<String> {
        let own = self.lock().clone();
        own.or_else(|| match kafka.health() {
            Health::Ready => None,
            Health::Away { detail, .. } | Health::Impaired { detail } | Health::Partly { detail } => {
                Some(detail)
            }
        })
    }

    /// Whether that is new.
    fn set(&self, sentence: Option<&str>) -> bool {
        let mut told = self.lock();
        let is_new = told.as_deref() != sentence;
        if is_new {
            *told = sentence.map(str::to_owned);
        }
        is_new
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Forwarder {
    /// Goes on where the directory's `forwarded` says. `log` and `kafka` must outlive what it hands over.
    pub(super) fn new(log: Arc<Log>, kafka: Arc<dyn Sink>, series: ForwardSeries) -> Result<Self, LogError> {
        let directory = log.directory();
        let failed = |action| LogError::io(action, directory);
        let rest = super::log::forwarded(directory, log.next())?;
        let begin = rest.begin;
        let mark = Watermark::forwarded(directory).map_err(failed("open the file `forwarded` in"))?;
        // Another log may have been here before.
        mark.publish(begin).and_then(|()| mark.sync()).map_err(failed("write the file `forwarded` in"))?;
        let cursor = Cursor::open(directory, begin)?.stopping_at_foreign();
        log.release(begin);
        read::count_missing(&series, rest.missing);
        let forwarder = Self {
            bell: log.bell(),
            topics: Topics::default(),
            mark,
            cursor,
            reopen_at: None,
            given: Given::default(),
            offered: None,
            under_way: VecDeque::new(),
            settled: begin,
            persisted: begin,
            persist_at: None,
            resume_at: None,
            pause: PAUSE.0,
            moved_at: None,
            standing: Standing::default(),
            is_closing: false,
            log,
            kafka,
            series,
        };
        forwarder.count_lag();
        Ok(forwarder)
    }

    /// The log's records `sequences` were given to Kafka before, under `indexes` (none: it is not clear which is which);
    /// they are forwarded only if it turns out not to have them. Must be told before they are durable in the log, or
    /// from the thread that calls [`Forwarder::step`].
    pub(super) fn was_given(&mut self, sequences: Range<u64>, indexes: Vec<u32>, verdict: Arc<Verdict>) {
        self.given.push(sequences, indexes, verdict);
    }

    /// Does what can be done now; whether that was anything.
    pub(super) fn step(&mut self, now: Instant) -> bool {
        let before = self.settled;
        let mut moved = self.settle();
        if self.is_closing {
            // What is not settled by then is forwarded after the next start.
            moved |= self.pass_given();
        } else if self.under_way.iter().any(Batch::is_lost) {
            moved |= self.repeat(now);
        } else if self.resume_at.is_none_or(|resume_at| now >= resume_at) {
            self.resume_at = None;
            match self.feed() {
                Ok(fed) => moved |= fed,
                Err(why) => self.stumble(now, &why),
            }
        }
        if self.persist_at.is_none_or(|persist_at| now >= persist_at) {
            self.persist(now);
        }
        self.count_lag();
        if self.settled > before || self.has_all() || self.moved_at.is_none() {
            self.moved_at = Some(now);
        }
        let stalled = self.stalled(now).as_secs();
        self.series.stalled_seconds.set(i64::try_from(stalled).unwrap_or(i64::MAX));
        moved
    }

    /// How long nothing has settled although something is left; 0 where nothing is.
    pub(super) fn stalled(&self, now: Instant) -> Duration {
        self.moved_at.map_or(Duration::ZERO, |moved_at| now.saturating_duration_since(moved_at))
    }

    /// What holds the log up.
    pub(super) fn standing(&self) -> Standing {
        self.standing.clone()
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

    /// Hands over nothing more; whether everything handed over has settled, and what Kafka was given before.
    pub(super) fn close(&mut self) -> bool {
        self.is_closing = true;
        self.offered = None;
        self.under_way.iter().all(Batch::is_settled) && self.given.is_known()
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
        while self.under_way.front().is_some_and(|batch| batch.is_settled() && !batch.is_lost()) {
            let Some(batch) = self.under_way.pop_front() else { break };
            self.settled = batch.end;
            self.pause = PAUSE.0;
            self.count(&batch);
        }
        self.given.forget(self.settled);
        self.settled > before
    }

    /// Moves on over what Kafka was given before the log had it, and has: it would be sent again after the next start.
    fn pass_given(&mut self) -> bool {
        let before = self.settled;
        let mut passed = Passed::default();
        while self.under_way.is_empty() && self.settled < self.log.durable() {
            match self.given.fate(self.settled) {
                Fate::Skip => passed.delivered += 1,
                Fate::DeadLettered => passed.dead_lettered += 1,
                Fate::Forward | Fate::Wait => break,
            }
            self.settled += 1;
        }
        self.count_passed(passed);
        self.given.forget(self.settled);
        self.settled > before
    }

    /// Counts how a batch has ended. Only here, so that what is read again is not counted again.
    fn count(&self, batch: &Batch) {
        let refused = batch.refused();
        let dead = refused.iter().filter(|one| one.outcome == Outcome::DeadLettered).count() as u64;
        let gone = refused.len() as u64 - dead;
        self.series.records.inc_by(u64::from(batch.count).saturating_sub(dead + gone));
        self.series.dead_lettered.inc_by(dead);
        self.series.refused.inc_by(gone);
        if let Some(first) = refused.iter().find(|one| one.outcome != Outcome::DeadLettered) {
            let why = &first.message;
            tracing::error!(
                records = gone,
                "Kafka has refused records of the log for good, and no dead-letter topic has them: {why}"
            );
        }
        self.count_passed(batch.passed);
    }

    fn count_passed(&self, passed: Passed) {
        self.series.records.inc_by(passed.delivered);
        self.series.dead_lettered.inc_by(passed.dead_lettered);
        self.series.damaged.inc_by(passed.damaged);
        read::count_missing(&self.series, passed.missing);
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

    /// Hands over what there is room for; whether that was anything, or what holds it up.
    fn feed(&mut self) -> Result<bool, String> {
        let mut moved = false;
        loop {
            if let Some(offered) = &mut self.offered {
                moved |= offered.forward(&*self.kafka);
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

    fn count_lag(&self) {
        let lag = self.log.durable().saturating_sub(self.settled);
        self.series.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }

    fn stumble(&mut self, now: Instant, why: &str) {
        if self.standing.set(Some(why)) {
            tracing::warn!("{why}; trying again");
        }
        self.rest(now);
        // Not where the cursor is: what was read before the error has not been handed over.
        self.reopen_at = Some(self.under_way.back().map_or(self.settled, |batch| batch.end));
    }

    fn rest(&mut self, now: Instant) {
        self.resume_at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(PAUSE.1);
    }
}
