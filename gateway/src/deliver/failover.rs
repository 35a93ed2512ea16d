//! The mode `failover`: Kafka acknowledges, and while it is away the log does; then the log goes to Kafka first.
//!
//! ```text
//!            Kafka is away            all copied
//!   Kafka -----------------> copying -----------> log
//!     ^                                          |  ^
//!     | Kafka has all of it                      |  | Kafka is away, or it takes too long
//!     +------------------- returning <-----------+--+
//!                                     Kafka has all but a little
//! ```
//!
//! While copying and returning nothing new is taken. What Kafka was given and has not acknowledged stays with its producer
//! and is copied into the log before anything new: so its clients are acknowledged, and the log holds a client's events
//! in their order whatever becomes of the process. When Kafka is back, the producer says which of the copies it has
//! delivered after all; the others are forwarded. So none is written twice while the gateway lives.

mod direct;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tidegate_wire::{Level, Reason};
use tokio::sync::Notify;

use self::direct::{Direct, Frame};
use super::forward::{Duty, Forwarder, Forwarding, Standing};
use super::log::{Log, LogError};
use super::{Health, Pending, Sink, spool};
use crate::metrics::ForwardSeries;
use crate::record::Records;
use crate::ticket::Ticket;

/// How often Kafka's health is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// With so many records left in the log, new ones wait for the rest of them.
const NEARLY_ALL: u64 = 10_000;
/// How long they wait at most, and how long it is until that is tried again.
const RETURN_MAX: Duration = Duration::from_secs(2);
const RETURN_AGAIN: Duration = Duration::from_secs(5);

/// What new events do while Kafka is away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Away {
    /// They go to the log.
    Log,
    /// They wait; the log is forwarded first, at the start, and used no more.
    Wait,
}

/// Kafka, or the log in its place.
pub struct Failover {
    shared: Arc<Shared>,
    forwarding: Forwarding,
}

struct Shared {
    log: Arc<Log>,
    kafka: Arc<dyn Sink>,
    standing: Standing,
    away: Away,
    direct: Arc<Direct>,
    /// Read while records are handed over, so that a change finds nobody half-way.
    route: RwLock<Route>,
    changed: Notify,
    /// Records of the log that Kafka does not have.
    lag: AtomicU64,
    /// The gateway goes away, and nothing waits for Kafka any more.
    is_leaving: AtomicBool,
}

/// Where new records go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    Kafka,
    Log,
    Nowhere,
}

impl Failover {
    /// Begins to forward what `log` holds; new events go to Kafka when that is done.
    pub fn new(log: Log, kafka: Arc<dyn Sink>, away: Away, series: ForwardSeries) -> Result<Self, LogError> {
        let log = Arc::new(log);
        let forwarder = Forwarder::new(Arc::clone(&log), Arc::clone(&kafka), series.clone())?;
        let (shared, switch) = parts(&log, kafka, forwarder.standing(), away, series);
        let forwarding = Forwarding::start(forwarder, switch)
            .map_err(LogError::io("start a thread to forward", log.directory()))?;
        Ok(Self { shared, forwarding })
    }
}

fn parts(
    log: &Arc<Log>,
    kafka: Arc<dyn Sink>,
    standing: Standing,
    away: Away,
    series: ForwardSeries,
) -> (Arc<Shared>, Switch) {
    let (route, phase) = match away {
        Away::Log => (Route::Log, Phase::Log),
        Away::Wait => (Route::Nowhere, Phase::Returning(None)),
    };
    let shared = Arc::new(Shared {
        log: Arc::clone(log),
        kafka,
        standing,
        away,
        direct: Arc::new(Direct::new(log.bell())),
        route: RwLock::new(route),
        changed: Notify::new(),
        lag: AtomicU64::new(0),
        is_leaving: AtomicBool::new(false),
    });
    series.failed_over.set(i64::from(route == Route::Log));
    let switch = Switch {
        shared: Arc::clone(&shared),
        series,
        phase,
        copying: VecDeque::new(),
        return_at: None,
        was_on_kafka: false,
    };
    (shared, switch)
}

impl Shared {
    fn route(&self) -> Route {
        *self.route.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn go(&self, route: Route) {
        *self.route.write().unwrap_or_else(PoisonError::into_inner) = route;
        self.changed.notify_waiters();
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        let route = self.route.read().unwrap_or_else(PoisonError::into_inner);
        match (*route, self.away) {
            (Route::Kafka, Away::Log) => self.direct.submit(&*self.kafka, records, from, ticket),
            (Route::Kafka, Away::Wait) => self.kafka.submit(records, from, ticket),
            (Route::Log, _) => self.log.submit(records, from, ticket),
            (Route::Nowhere, _) => 0,
        }
    }

    async fn room(&self) {
        let mut changed = std::pin::pin!(self.changed.notified());
        // Registered before looking, so that a change in between is not missed.
        changed.as_mut().enable();
        let room = match self.route() {
            Route::Kafka => self.kafka.room(),
            Route::Log => self.log.room(),
            Route::Nowhere => return changed.await,
        };
        tokio::select! {
            () = changed => {}
            () = room => {}
        }
    }

    /// Resolves once what Kafka has not acknowledged is durable in the log, and its clients' tickets are settled.
    async fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
        self.log.bell().ring();
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.route() == Route::Log {
                return self.log.settled().await;
            }
            changed.await;
        }
    }

    fn health(&self) -> Health {
        match (self.route(), self.away) {
            (Route::Nowhere, Away::Wait) => {
                let lag = self.lag.load(Ordering::Relaxed);
                let why = self.standing.why(&*self.kafka).map_or(String::new(), |why| format!("; {why}"));
                let detail = format!(
                    "the log in {} goes to Kafka before anything new: {lag} records are left{why}",
                    self.log.directory().display()
                );
                Health::Away { reason: Reason::Broker, detail }
            }
            (Route::Kafka, away) => match self.kafka.health() {
                // The log takes over in an instant.
                Health::Away { .. } if away == Away::Log => self.log.health(),
                health => health,
            },
            (Route::Log | Route::Nowhere, _) => self.log.health(),
        }
    }

    fn note(&self) -> Option<String> {
        // Otherwise the health says it.
        let is_behind_log = self.away == Away::Log
            && (self.route() != Route::Kafka || matches!(self.kafka.health(), Health::Away { .. }));
        is_behind_log.then(|| self.standing.note(&*self.kafka)).flatten()
    }
}

impl Sink for Failover {
    fn level(&self) -> Level {
        match (self.shared.route(), self.shared.away) {
            (Route::Kafka, _) | (_, Away::Wait) => Level::Committed,
            _ => Level::Stored,
        }
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        self.shared.submit(records, from, ticket)
    }

    fn room(&self) -> Pending<'_, ()> {
        Box::pin(self.shared.room())
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn note(&self) -> Option<String> {
        self.shared.note()
    }

    fn hand_over(&self, deadline: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            if self.shared.away == Away::Log {
                // What the log has no room for in time stays with its clients.
                let _ = tokio::time::timeout(deadline, self.shared.leave()).await;
            }
        })
    }

    fn drain(&self, deadline: Duration) -> Pending<'_, ()> {
        let Shared { log, kafka, .. } = &*self.shared;
        Box::pin(spool::drain(log, &**kafka, &self.forwarding, deadline))
    }
}

/// Who decides where new records go.
struct Switch {
    shared: Arc<Shared>,
    series: ForwardSeries,
    phase: Phase,
    /// What is still to be copied into the log, in order.
    copying: VecDeque<Arc<Frame>>,
    /// When returning may be tried again.
    return_at: Option<Instant>,
    was_on_kafka: bool,
}

/// See the module.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Kafka,
    Copying,
    Log,
    /// Until then, if there is another way.
    Returning(Option<Instant>),
}

impl Duty for Switch {
    fn step(&mut self, forwarder: &mut Forwarder, now: Instant) -> bool {
        let before = self.phase;
        self.shared.lag.store(forwarder.lag(), Ordering::Relaxed);
        match self.phase {
            Phase::Kafka => self.leave_kafka(),
            Phase::Copying => {
                if self.copy(forwarder) {
                    self.shared.go(Route::Log);
                    self.phase = Phase::Log;
                }
            }
            Phase::Log => {
                // What is held up, for its topic perhaps, would hold up new events too, each time for nothing.
                let may_return = self.return_at.is_none_or(|return_at| now >= return_at)
                    && forwarder.lag() <= NEARLY_ALL
                    && forwarder.stalled(now) < RETURN_MAX;
                if may_return && !self.is_leaving() && self.is_kafka_there() {
                    self.shared.go(Route::Nowhere);
                    self.phase = Phase::Returning(Some(now + RETURN_MAX));
                }
            }
            Phase::Returning(until) => self.come_back(forwarder, until, now),
        }
        self.phase != before
    }

    fn patience(&self) -> Duration {
        match (self.phase, self.shared.away) {
            // It never leaves.
            (Phase::Kafka, Away::Wait) => Duration::MAX,
            _ => LOOK_EVERY,
        }
    }
}

impl Switch {
    fn is_kafka_there(&self) -> bool {
        !matches!(self.shared.kafka.health(), Health::Away { .. })
    }

    fn is_leaving(&self) -> bool {
        self.shared.is_leaving.load(Ordering::SeqCst)
    }

    fn leave_kafka(&mut self) {
        if self.shared.away == Away::Wait {
            return;
        }
        let detail = if self.is_leaving() {
            "the gateway is going away".to_owned()
        } else if let Health::Away { detail, .. } = self.shared.kafka.health() {
            detail
        } else {
            return;
        };
        self.shared.go(Route::Nowhere);
        self.copying = self.shared.direct.outstanding();
        self.phase = Phase::Copying;
        self.series.failovers.inc();
        self.series.failed_over.set(1);
        tracing::warn!(
            frames = self.copying.len(),
            "new events go to the log in {}, and first those that Kafka has not acknowledged: {detail}",
            self.shared.log.directory().display()
        );
    }

    /// Copies what the log has room for; whether that was all.
    fn copy(&mut self, forwarder: &mut Forwarder) -> bool {
        while let Some(frame) = self.copying.front() {
            if !frame.copy(&self.shared.log, forwarder) {
                return false;
            }
            self.copying.pop_front();
        }
        true
    }

    fn come_back(&mut self, forwarder: &Forwarder, until: Option<Instant>, now: Instant) {
        let is_late = until.is_some_and(|until| now >= until || !self.is_kafka_there() || self.is_leaving());
        if forwarder.has_all()
            && !self.is_leaving()
            && (self.shared.away == Away::Wait || self.is_kafka_there())
        {
            self.shared.go(Route::Kafka);
            self.phase = Phase::Kafka;
            self.series.failed_over.set(0);
            if std::mem::replace(&mut self.was_on_kafka, true) || self.shared.away == Away::Wait {
                tracing::info!("Kafka has all of the log; new events go to Kafka");
            }
        } else if is_late {
            self.shared.go(Route::Log);
            self.phase = Phase::Log;
            self.return_at = Some(now + RETURN_AGAIN);
        }
    }
}
