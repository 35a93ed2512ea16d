//! What all sessions share.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tidegate_wire::{Level, Reason};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::accounts::Accounts;
use super::aggregates::Aggregates;
use super::budget::Budget;
use super::credit::{Amount, Windows};
use super::registry::Registry;
use crate::access::Access;
use crate::config::{Limits, Shutdown};
use crate::deliver::{Health, Sink};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::rates::Rates;

/// The parts that sessions are made from.
pub struct Parts {
    /// Every series.
    pub metrics: Arc<Metrics>,
    /// The rules.
    pub pipeline: Arc<Pipeline>,
    /// The destination.
    pub sink: Arc<dyn Sink>,
    /// Tokens and origins.
    pub access: Arc<Access>,
    /// How fast.
    pub rates: Arc<Rates>,
    /// How much, how many, how long.
    pub limits: Limits,
    /// How the gateway goes away.
    pub shutdown: Shutdown,
    /// What holds credit back now: `ok` while the destination makes progress.
    pub reason: watch::Receiver<Reason>,
}

/// What all sessions share.
pub(super) struct Core {
    pub(super) metrics: Arc<Metrics>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) access: Arc<Access>,
    pub(super) rates: Arc<Rates>,
    pub(super) limits: Limits,
    pub(super) shutdown: Shutdown,
    pub(super) reason: watch::Receiver<Reason>,
    pub(super) registry: Registry,
    pub(super) budget: Budget,
    pub(super) aggregates: Aggregates,
    /// Of requests.
    pub(super) accounts: Accounts,
    pub(super) sessions: Arc<Semaphore>,
    /// SIGTERM has come: sessions get GOAWAY, nothing new is taken.
    pub(super) draining: CancellationToken,
    /// The drain deadline has come: sessions end whatever they wait for.
    pub(super) closing: CancellationToken,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { metrics, pipeline, sink, access, rates, limits, shutdown, reason } = parts;
        let windows = Windows {
            first: Amount { events: u64::from(limits.credit_events), bytes: limits.credit_bytes.0 },
            most: Amount { events: u64::from(limits.credit_events_max), bytes: limits.credit_bytes_max.0 },
        };
        let budget = Budget::new(limits.budget_bytes.0, &metrics);
        let keep = Duration::from_secs(u64::from(limits.keep_seconds));
        let kept = metrics.sessions_kept.clone();
        Self {
            registry: Registry::new(keep, limits.kept_sessions as usize, (windows, budget.clone()), kept),
            aggregates: Aggregates::new(&budget),
            budget,
            accounts: Accounts::default(),
            sessions: Arc::new(Semaphore::new(limits.sessions as usize)),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            metrics,
            pipeline,
            sink,
            access,
            rates,
            limits,
            shutdown,
            reason,
        }
    }

    /// How long after the drain began one client is asked to leave: each at a moment of its own, so that they do not all
    /// come to another gateway at once.
    pub(super) fn until_goaway(&self) -> Duration {
        // Seeded by the system: to spread clients, not to keep secrets.
        let random = RandomState::new().hash_one(0);
        Duration::from_millis(random % (u64::from(self.shutdown.spread_ms) + 1))
    }

    /// What held credit back when the destination was last looked at.
    pub(super) fn reason(&self) -> Reason {
        *self.reason.borrow()
    }

    /// Why the destination takes nothing more now. It may be full and well, and then it is slow.
    pub(super) fn why_full(&self) -> Reason {
        match (self.reason_now(), self.sink.level()) {
            (Reason::Ok, Level::Committed) => Reason::Broker,
            (Reason::Ok, Level::Stored) => Reason::Full,
            (reason, _) => reason,
        }
    }

    /// What holds credit back this moment: for those who come with nothing in flight and would rather be told.
    pub(super) fn reason_now(&self) -> Reason {
        match self.sink.health() {
            _ if self.draining.is_cancelled() => Reason::Draining,
            // What events are judged by is a part of the way to their destination.
            _ if self.pipeline.is_awaiting() => Reason::Broker,
            Health::Ready | Health::Impaired { .. } | Health::Partly { .. } => Reason::Ok,
            Health::Away { reason, .. } => reason,
        }
    }
}
