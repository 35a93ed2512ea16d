//! What each rule has done: who it is, how often it did what.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_cel::Fault;
use tidegate_wire::{Code, Reject};

use crate::config::OnError;

/// The kinds of rules, in the order in which they meet an event.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operator {
    /// Events that are too old.
    Expire,
    /// More of a kind than may pass in a time.
    Throttle,
    /// Data that is not as its schema says.
    Validate,
    /// What a condition says.
    Filter,
    /// A share of all.
    Sample,
    /// What has been before.
    Dedup,
    /// Takes secrets out of the payload.
    Redact,
    /// Renames, sets and drops fields of the payload.
    Fields,
    /// Values that have hardly changed.
    Deadband,
    /// Many events to one.
    Aggregate,
}

impl Operator {
    /// What it is called in the file, in metrics and by `tidegate explain`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::Throttle => "throttle",
            Self::Validate => "validate",
            Self::Filter => "filter",
            Self::Sample => "sample",
            Self::Dedup => "dedup",
            Self::Redact => "redact",
            Self::Fields => "fields",
            Self::Deadband => "deadband",
            Self::Aggregate => "aggregate",
        }
    }
}

/// One rule of a route: who it is, and what it has done.
#[derive(Debug)]
pub struct Tally {
    operator: Operator,
    name: String,
    is_shadow: bool,
    /// Of the same rule before, too, where rules were replaced.
    counts: Arc<Counts>,
}

/// What a rule has done since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events that went on.
    pub kept: AtomicU64,
    /// Events that did not; of a shadow, those that would not have.
    pub dropped: AtomicU64,
    /// Events that went on otherwise than they came; they are not among the kept ones.
    pub changed: AtomicU64,
    /// Events for which it had no answer; they are among the others too.
    pub faults: AtomicU64,
    /// Events for which its time was taken.
    pub timed: AtomicU64,
    /// How long those took, in ns.
    pub timed_ns: AtomicU64,
}

/// What a rule did with one event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Did {
    /// What became of the event.
    pub verdict: Verdict,
    /// Why there was no answer, if there was none.
    pub fault: Option<Fault>,
}

/// What became of an event at a rule.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It goes on as it came.
    Kept,
    /// It goes on otherwise than it came.
    Changed,
    /// It does not go on.
    Dropped,
    /// It goes on, since the rule only counts.
    WouldDrop,
}

impl Did {
    /// Ends the event with `code` if it does not go on.
    #[inline]
    pub(super) fn or_refuse(self, code: Code) -> Result<(), Reject> {
        match self.verdict {
            Verdict::Dropped => Err(Reject { code, message: "".into() }),
            Verdict::Kept | Verdict::Changed | Verdict::WouldDrop => Ok(()),
        }
    }
}

impl Tally {
    /// `index` is the rule's position among those of its kind; it is its name if it was given none.
    pub(super) fn new(operator: Operator, name: Option<&str>, index: usize, is_shadow: bool) -> Self {
        let name = name.map_or_else(|| (index + 1).to_string(), str::to_owned);
        Self { operator, name, is_shadow, counts: Arc::default() }
    }

    /// Which kind of rule it is.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// Its name, or its position among those of its kind, from 1.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it only counts what it would drop.
    pub fn is_shadow(&self) -> bool {
        self.is_shadow
    }

    /// What it has done.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Adds how long the rule took for one event.
    pub fn took(&self, ns: u64) {
        self.counts.timed.fetch_add(1, Ordering::Relaxed);
        self.counts.timed_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// Whether `before` is a rule of the same kind and name.
    pub(super) fn is_named_as(&self, before: &Self) -> bool {
        self.operator == before.operator && self.name == before.name
    }

    /// Goes on counting where `before` is, which was written the same.
    pub(super) fn succeed(&mut self, before: &Self) {
        self.counts = Arc::clone(&before.counts);
    }

    /// Counts an event of which the rule says whether it drops it, and says what becomes of it.
    #[inline]
    pub(super) fn judge(&self, drops: Result<bool, Fault>, on_error: OnError) -> Did {
        let is_dropped = drops.unwrap_or(on_error == OnError::Drop);
        let verdict = match (is_dropped, self.is_shadow) {
            (false, _) => Verdict::Kept,
            (true, false) => Verdict::Dropped,
            (true, true) => Verdict::WouldDrop,
        };
        self.end(Did { verdict, fault: drops.err() })
    }

    /// Counts what it did.
    #[inline]
    pub(super) fn end(&self, did: Did) -> Did {
        let count = match did.verdict {
            Verdict::Kept => &self.counts.kept,
            Verdict::Changed => &self.counts.changed,
            Verdict::Dropped | Verdict::WouldDrop => &self.counts.dropped,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if did.fault.is_some() {
            self.counts.faults.fetch_add(1, Ordering::Relaxed);
        }
        did
    }
}
