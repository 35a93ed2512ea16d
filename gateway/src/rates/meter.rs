//! What one session or request takes of the limits that it falls under.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_wire::Reason;

use super::bucket::{Bucket, Level};
use super::{Levels, Limit, Plan, nanos};

/// The limits of one session or request. Cheap where there are none.
#[derive(Clone, Debug)]
pub struct Meter {
    shares: Arc<[(Arc<Plan>, Arc<Levels>)]>,
    started: Instant,
}

/// Something is owed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wait {
    /// To which limit.
    pub limit: Limit,
    /// When nothing is owed any more.
    pub until: Instant,
}

impl Wait {
    /// What a client is told.
    pub fn reason(&self) -> Reason {
        self.limit.reason()
    }

    /// How long it is to wait, in milliseconds, rounded up.
    pub fn retry_ms(&self, now: Instant) -> u64 {
        let left = self.until.saturating_duration_since(now);
        u64::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
    }
}

/// Where one limit stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Whose.
    pub limit: Limit,
    /// `true`: of bytes; else of events.
    pub is_bytes: bool,
    /// The most at once.
    pub burst: u64,
    /// How long that takes to come back.
    pub window: Duration,
    /// What can be taken now.
    pub free: u64,
    /// How long until nothing is owed, or where nothing is, until everything has come back.
    pub reset: Duration,
}

impl Meter {
    pub(super) fn new(shares: Arc<[(Arc<Plan>, Arc<Levels>)]>, started: Instant) -> Self {
        Self { shares, started }
    }

    /// All limits but `limit`.
    pub(super) fn others(&self, limit: Limit) -> impl Iterator<Item = (Arc<Plan>, Arc<Levels>)> {
        self.shares.iter().filter(move |(plan, _)| plan.limit != limit).cloned()
    }

    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        !self.shares.is_empty()
    }

    /// The smallest burst of events, and of bytes: what should not be taken at once by one; `u64::MAX` without a limit.
    pub fn bursts(&self) -> (u64, u64) {
        let least = |of_bytes: bool| {
            let bursts = self.buckets().filter(|(_, is_bytes, ..)| *is_bytes == of_bytes);
            bursts.map(|(_, _, bucket, _)| bucket.burst()).min().unwrap_or(u64::MAX)
        };
        (least(false), least(true))
    }

    /// Takes `events` with `bytes` of payload, and says how long to wait if that, or what was taken before, is more than
    /// there was.
    pub fn charge(&self, events: u64, bytes: u64, now: Instant) -> Option<Wait> {
        let now = nanos(now, self.started);
        self.longest(now, |bucket, level, is_bytes| {
            bucket.take(level, if is_bytes { bytes } else { events }, now);
            bucket.owed_until(level)
        })
    }

    /// How long to wait if something is owed; takes nothing.
    pub fn owed(&self, now: Instant) -> Option<Wait> {
        let now = nanos(now, self.started);
        self.longest(now, |bucket, level, _| bucket.owed_until(level))
    }

    /// Takes `events` with `bytes` of payload if nothing is owed: for requests, which are taken whole or not at all.
    pub fn admit(&self, events: u64, bytes: u64, now: Instant) -> Result<(), Wait> {
        match self.owed(now) {
            // Who brings nothing takes nothing.
            Some(wait) if events > 0 => Err(wait),
            _ => {
                self.charge(events, bytes, now);
                Ok(())
            }
        }
    }

    /// Takes `events` with `bytes` of payload if nothing will be owed for it; else the limit that has no room: for
    /// lossy events, which must not cost reliable ones their turn.
    pub fn spare(&self, events: u64, bytes: u64, now: Instant) -> Result<(), Limit> {
        let at = nanos(now, self.started);
        let full = self.buckets().find(|(_, is_bytes, bucket, level)| {
            let amount = if *is_bytes { bytes } else { events };
            bucket.free(level, at) < amount
        });
        match full {
            Some((limit, ..)) => Err(limit),
            None => {
                self.charge(events, bytes, now);
                Ok(())
            }
        }
    }

    /// Where every limit stands.
    pub fn standings(&self, now: Instant) -> Vec<Standing> {
        let now = nanos(now, self.started);
        let standing = |(limit, is_bytes, bucket, level): (Limit, bool, &Bucket, &Level)| {
            let owed = bucket.owed_until(level).saturating_sub(now);
            let until_full = level.full_at().saturating_sub(now);
            Standing {
                limit,
                is_bytes,
                burst: bucket.burst(),
                window: Duration::from_nanos(bucket.fill_ns()),
                free: bucket.free(level, now),
                reset: Duration::from_nanos(if owed > 0 { owed } else { until_full }),
            }
        };
        self.buckets().map(standing).collect()
    }

    fn buckets(&self) -> impl Iterator<Item = (Limit, bool, &Bucket, &Level)> {
        self.shares.iter().flat_map(|(plan, levels)| {
            let events = plan.events.as_ref().map(|bucket| (plan.limit, false, bucket, &levels.events));
            let bytes = plan.bytes.as_ref().map(|bucket| (plan.limit, true, bucket, &levels.bytes));
            events.into_iter().chain(bytes)
        })
    }

    fn longest(&self, now: u64, until: impl Fn(&Bucket, &Level, bool) -> u64) -> Option<Wait> {
        let waits =
            self.buckets().map(|(limit, is_bytes, bucket, level)| (until(bucket, level, is_bytes), limit));
        // All are asked, since asking may be taking.
        let (until, limit) = waits.max_by_key(|(until, _)| *until).filter(|(until, _)| *until > now)?;
        Some(Wait { limit, until: self.started + Duration::from_nanos(until) })
    }
}
