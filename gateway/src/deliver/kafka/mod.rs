//! Kafka, by librdkafka. Nothing outside this module names it.
//!
//! A frame enters [`in_flight`], its records go to librdkafka one by one ([`producer`]), their delivery [`reports`]
//! settle its ticket by the table in [`verdict`]. A thread of its own ([`watch`]) judges whether records become
//! durable, asks for topics ([`inquiry`]), replaces a producer that is beyond repair ([`replace`]), and drains.
//! Another one ([`flush`]) spares records the linger while few come.

mod admin;
mod back;
mod busy;
mod draft;
mod flow;
mod flush;
mod held;
mod in_flight;
mod inquiry;
mod patience;
mod place;
mod plan;
mod producer;
mod refuse;
mod replace;
mod reports;
mod room;
mod settings;
mod statistics;
mod stuck;
mod tell;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod topics;
mod verdict;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tidegate_wire::{Level, Reason};

use self::in_flight::InFlight;
use self::patience::Patience;
use self::plan::Plan;
use self::producer::Producer;
use self::room::Room;
pub use self::settings::KafkaError;
use self::topics::Topics;
use self::watch::Watch;
use super::{Health, Pending, Sink};
use crate::config;
use crate::metrics::KafkaSeries;
use crate::record::{Records, TopicId};
use crate::ticket::Ticket;

/// Kafka as a destination: acknowledged by all in-sync replicas, written once and in order by an idempotent producer.
///
/// Events wait for ever while Kafka is away; what bounds them is the budget. Dropping the sink gives up what it
/// holds, as lost: [`Sink::drain`] first.
pub struct KafkaSink {
    shared: Arc<Shared>,
    watch: Thread,
}

/// What the sink, the watch and the callbacks share.
struct Shared {
    /// None while a producer is being replaced, and after the drain. Written by the watch alone.
    live: RwLock<Option<Producer>>,
    topics: Arc<Topics>,
    in_flight: Arc<InFlight>,
    room: Arc<Room>,
    series: KafkaSeries,
    health: ArcSwap<Health>,
    closing: AtomicBool,
    /// When the drain has to be over, once there is one.
    close_by: Mutex<Option<Instant>>,
    closed: tokio::sync::watch::Sender<bool>,
}

impl KafkaSink {
    /// A sink for `topics` ([`config::Config::kafka_topics`]), which [`crate::record::TopicId`]s are positions in. It holds about `budget_bytes`
    /// of records at most, librdkafka's overhead included.
    ///
    /// Connects in the background, for ever; [`Sink::health`] says how far it is. Errors are of the
    /// configuration alone.
    pub fn new(
        kafka: &config::Kafka,
        topics: Vec<config::Topic>,
        series: KafkaSeries,
        budget_bytes: u64,
    ) -> Result<Self, KafkaError> {
        Self::start(Plan::new(kafka, topics, series, budget_bytes)?, Patience::default())
    }

    /// Whether [`KafkaSink::new`] would take this configuration. Contacts nobody; may take a second.
    pub fn check(kafka: &config::Kafka, topics: &[config::Topic]) -> Result<(), KafkaError> {
        topics.iter().try_for_each(|topic| settings::check_topic(&topic.name))?;
        settings::try_out(kafka)
    }

    fn start(plan: Plan, patience: Patience) -> Result<Self, KafkaError> {
        let awake = Arc::clone(&plan.watch);
        let shared = Arc::new(Shared::new(&plan));
        let producer = Producer::new(&plan, &shared.in_flight, &shared.room)?;
        *shared.live.write().unwrap_or_else(PoisonError::into_inner) = Some(producer);
        let watch = Watch::new(plan, patience, Arc::clone(&shared));
        let watch = thread::Builder::new().name("kafka-watch".into()).spawn(move || watch.run())?;
        // Set once: this is the only place.
        let _ = awake.set(watch.thread().clone());
        Ok(Self { shared, watch: watch.thread().clone() })
    }

    /// Has the watch end by `deadline` from now; the first call counts.
    fn close(&self, deadline: Duration) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let mut close_by = self.shared.close_by.lock().unwrap_or_else(PoisonError::into_inner);
        if close_by.is_none() {
            *close_by = Some(watch::now() + deadline);
        }
        drop(close_by);
        self.watch.unpark();
    }
}

impl Shared {
    fn new(plan: &Plan) -> Self {
        let room = Arc::new(Room::default());
        let detail = format!("connecting to Kafka at {}", plan.brokers);
        Self {
            live: RwLock::default(),
            topics: Arc::clone(&plan.topics),
            in_flight: Arc::new(InFlight::new(plan.budget_bytes, Arc::clone(&room))),
            room,
            series: plan.series.clone(),
            health: ArcSwap::from_pointee(Health::Away { reason: Reason::Broker, detail }),
            closing: AtomicBool::new(false),
            close_by: Mutex::default(),
            closed: tokio::sync::watch::Sender::new(false),
        }
    }

    /// Gives up what has not settled: its clients are not told that it is safe, and are told no more.
    fn give_up(&self) {
        let lost = self.in_flight.abandon();
        self.series.failures.inc_by(lost);
        if lost > 0 {
            tracing::warn!(
                lost,
                "the gateway ends and Kafka has not taken all events; the rest are not acknowledged: their clients send \
                 them again"
            );
        }
    }
}

impl Sink for KafkaSink {
    fn level(&self) -> Level {
        Level::Committed
    }

    fn submit(&self, records: &Records, from: usize, ticket: &Ticket) -> usize {
        let live = self.shared.live.read().unwrap_or_else(PoisonError::into_inner);
        match live.as_ref() {
            Some(producer) if !self.shared.closing.load(Ordering::Relaxed) => {
                producer.submit(records, from, ticket)
            }
            _ => {
                self.shared.room.stall();
                0
            }
        }
    }

    fn topic(&self, name: &str) -> Option<TopicId> {
        settings::check_topic(name).ok()?;
        self.shared.topics.id(name)
    }

    fn room(&self) -> Pending<'_, ()> {
        Box::pin(self.shared.room.wait())
    }

    fn health(&self) -> Health {
        Health::clone(&self.shared.health.load())
    }

    fn drain(&self, deadline: Duration) -> Pending<'_, ()> {
        let mut closed = self.shared.closed.subscribe();
        self.close(deadline);
        Box::pin(async move {
            // The sender lives as long as the sink that is borrowed here.
            let closed = tokio::time::timeout(deadline, closed.wait_for(|closed| *closed)).await;
            if closed.is_err() {
                // The watch is at something that takes longer: nothing is waited for any more.
                self.shared.give_up();
            }
        })
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}
