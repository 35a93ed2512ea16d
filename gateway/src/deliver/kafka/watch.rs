//! The watch over the producer: is Kafka there, do records become durable, must the producer be replaced.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use tidegate_wire::Reason;

use super::Shared;
use super::in_flight::Progress;
use super::producer::{Probe, Producer, TooLarge};
use super::room::Room;
use super::settings::{self, KafkaError, batch_bytes};
use crate::config::Kafka;
use crate::deliver::Health;
use crate::metrics::KafkaSeries;

/// How long the watch bears with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Between two looks; also the longest that a client waits for room that nobody announced.
    pub(super) look: Duration,
    /// For one answer of the brokers.
    pub(super) answer: Duration,
    /// With events in flight and no report: not ready.
    pub(super) report: Duration,
    /// The same although the cluster answers: the producer is replaced. Well beyond the minute in which
    /// librdkafka itself gives up a request and sends it again, since a new producer may write it twice.
    pub(super) wedged: Duration,
    /// For what else is on its way, when the producer is replaced by one with smaller batches.
    pub(super) shrink: Duration,
    /// How long an error that an operator has to repair is told after it was met.
    pub(super) blocked: Duration,
    /// Between two producers: at first, and doubled up to the second while none becomes ready.
    pub(super) replace: (Duration, Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            look: Duration::from_millis(250),
            answer: Duration::from_secs(1),
            report: Duration::from_secs(10),
            wedged: Duration::from_secs(150),
            shrink: Duration::from_secs(2),
            blocked: Duration::from_secs(5),
            replace: (Duration::from_millis(500), Duration::from_secs(30)),
        }
    }
}

/// What a producer is made of, again and again.
pub(super) struct Plan {
    pub(super) brokers: String,
    pub(super) client: ClientConfig,
    /// Records linger only where many come.
    pub(super) adaptive: bool,
    pub(super) topics: Arc<[String]>,
    pub(super) series: KafkaSeries,
    pub(super) budget_bytes: u64,
}

impl Plan {
    /// Judges the configuration; contacts nobody.
    pub(super) fn new(
        kafka: &Kafka,
        topics: Arc<[String]>,
        series: KafkaSeries,
        budget_bytes: u64,
    ) -> Result<Self, KafkaError> {
        topics.iter().try_for_each(|topic| settings::check_topic(topic))?;
        let client = settings::client(kafka, budget_bytes)?;
        let (brokers, adaptive) = (kafka.brokers.clone(), settings::is_adaptive(kafka));
        Ok(Self { brokers, client, adaptive, topics, series, budget_bytes })
    }

    pub(super) fn producer(&self, room: &Arc<Room>) -> Result<Producer, KafkaError> {
        let (topics, room) = (Arc::clone(&self.topics), Arc::clone(room));
        Producer::new(&self.client, self.adaptive, topics, self.series.clone(), self.budget_bytes, room)
    }
}

/// The thread's state. It alone takes the producer away or puts one in place.
pub(super) struct Watch {
    plan: Plan,
    patience: Patience,
    shared: Arc<Shared>,
    ready: bool,
    /// The kind of trouble logged last, so that each is logged once.
    logged: &'static str,
    progress: Progress,
    moved_at: Instant,
    blocked: Option<(Instant, String)>,
    replace_at: Option<Instant>,
    pause: Duration,
}

/// Why records do not become durable.
struct Trouble {
    kind: &'static str,
    detail: String,
}

impl Trouble {
    fn new(kind: &'static str, detail: String) -> Self {
        Self { kind, detail }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the watch owns a clock: a producer that stands still shows by nothing else"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Watch {
    pub(super) fn new(plan: Plan, patience: Patience, shared: Arc<Shared>) -> Self {
        Self {
            plan,
            patience,
            shared,
            ready: false,
            logged: "",
            progress: Progress::default(),
            moved_at: now(),
            blocked: None,
            replace_at: None,
            pause: patience.replace.0,
        }
    }

    /// Looks until the sink is closed.
    pub(super) fn run(mut self) {
        loop {
            let close_by = *self.shared.close_by.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(close_by) = close_by {
                return self.close(close_by);
            }
            let trouble = self.look();
            self.tell(trouble);
            // Whoever was turned away for a reason that no report ends tries again.
            self.shared.room.open();
            thread::park_timeout(self.patience.look);
        }
    }

    fn look(&mut self) -> Option<Trouble> {
        if let Some(replace_at) = self.replace_at {
            return Some(self.replace(replace_at));
        }
        let shared = Arc::clone(&self.shared);
        let live = shared.live.read().unwrap_or_else(PoisonError::into_inner);
        let producer = live.as_ref()?;
        if let Some(why) = producer.fatal() {
            drop(live);
            return Some(self.retire("fatal", format!("the Kafka producer failed for good: {why}")));
        }
        if let Some(too_large) = producer.notes().take_too_large() {
            drop(live);
            return Some(self.shrink(&too_large));
        }
        if let Some(text) = producer.notes().take_blocked() {
            self.blocked = Some((now(), text));
        }
        let idle = self.idle(producer);
        let stands_still = idle >= self.patience.report;
        if self.ready && !stands_still && !producer.notes().take_doubt() {
            return self.blocked();
        }
        match producer.probe(self.patience.answer) {
            Err(Probe::Unreachable(why)) => {
                let brokers = &self.plan.brokers;
                Some(Trouble::new("unreachable", format!("Kafka at {brokers} is unreachable: {why}")))
            }
            Err(Probe::Topic(detail)) => Some(Trouble::new("topic", detail)),
            Ok(()) if idle >= self.patience.wedged => {
                drop(live);
                let seconds = idle.as_secs();
                let detail =
                    format!("the Kafka producer has reported nothing for {seconds} s and is replaced");
                Some(self.retire("wedged", detail))
            }
            Ok(()) if stands_still => {
                let seconds = idle.as_secs();
                Some(Trouble::new("still", format!("Kafka has acknowledged nothing for {seconds} s")))
            }
            Ok(()) if !producer.notes().has_producer_id() => {
                Some(Trouble::new("id", "Kafka has given the producer no id yet".into()))
            }
            Ok(()) => self.blocked(),
        }
    }

    /// How long events have been in flight without a report.
    fn idle(&mut self, producer: &Producer) -> Duration {
        let progress = producer.progress();
        let now = now();
        if progress.frames == 0 || progress.reports != self.progress.reports {
            self.moved_at = now;
        }
        self.progress = progress;
        now.saturating_duration_since(self.moved_at)
    }

    fn blocked(&mut self) -> Option<Trouble> {
        let (at, text) = self.blocked.as_ref()?;
        if now().saturating_duration_since(*at) > self.patience.blocked {
            self.blocked = None;
            return None;
        }
        Some(Trouble::new("blocked", text.clone()))
    }

    /// A batch was too large, and which of its events is to blame is not known. Smaller batches tell: an event
    /// that is as large as a batch may be travels alone.
    fn shrink(&mut self, TooLarge { topic, bytes }: &TooLarge) -> Trouble {
        let bytes = (batch_bytes(&self.plan.client) / 2).max(*bytes);
        self.plan.client.set("batch.size", bytes.to_string());
        // Nothing is wrong with what else is on its way: it is waited for, and others only wait with it.
        let retired = self.take();
        if let Some(producer) = &retired {
            producer.flush(self.patience.shrink);
        }
        let detail = format!(
            "topic `{topic}` refused a batch as too large; batches are now of {bytes} bytes, for all topics. \
             Raise the topic's max.message.bytes, or set a lower `batch.size` in kafka.properties"
        );
        self.give_up(retired, "batch", detail)
    }

    /// Takes the producer away. What it held ends as lost before any other record is taken.
    fn retire(&mut self, kind: &'static str, detail: String) -> Trouble {
        let retired = self.take();
        self.give_up(retired, kind, detail)
    }

    fn take(&self) -> Option<Producer> {
        self.shared.live.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn give_up(&mut self, retired: Option<Producer>, kind: &'static str, detail: String) -> Trouble {
        if let Some(producer) = retired {
            let lost = producer.give_up();
            tracing::warn!(
                lost,
                "{detail}; the events it held are not acknowledged: their clients send them again"
            );
        }
        self.logged = kind;
        self.replace_at = Some(now() + self.pause);
        self.pause = (self.pause * 2).min(self.patience.replace.1);
        Trouble::new(kind, detail)
    }

    fn replace(&mut self, replace_at: Instant) -> Trouble {
        let now = now();
        if now < replace_at {
            return Trouble::new(self.logged, "the Kafka producer is being replaced".into());
        }
        match self.plan.producer(&self.shared.room) {
            Ok(producer) => {
                self.replace_at = None;
                self.progress = Progress::default();
                self.moved_at = now;
                *self.shared.live.write().unwrap_or_else(PoisonError::into_inner) = Some(producer);
                Trouble::new(self.logged, format!("connecting to Kafka at {}", self.plan.brokers))
            }
            Err(error) => {
                self.replace_at = Some(now + self.pause);
                self.pause = (self.pause * 2).min(self.patience.replace.1);
                Trouble::new("replace", error.to_string())
            }
        }
    }

    fn tell(&mut self, trouble: Option<Trouble>) {
        self.ready = trouble.is_none();
        let health = match trouble {
            None => {
                if self.logged != "ready" {
                    tracing::info!("Kafka at {} is ready", self.plan.brokers);
                }
                self.logged = "ready";
                self.pause = self.patience.replace.0;
                Health::Ready
            }
            Some(Trouble { kind, detail }) => {
                if self.logged != kind && kind != "id" {
                    tracing::warn!("{detail}");
                    self.logged = kind;
                }
                Health::Away { reason: Reason::Broker, detail }
            }
        };
        if **self.shared.health.load() != health {
            self.shared.health.store(Arc::new(health));
        }
    }

    fn close(self, close_by: Instant) {
        let producer = self.take();
        let detail = "the gateway is closing".to_owned();
        self.shared.health.store(Arc::new(Health::Away { reason: Reason::Draining, detail }));
        if let Some(producer) = &producer
            && !producer.flush(close_by.saturating_duration_since(now()))
        {
            let lost = producer.give_up();
            tracing::warn!(
                lost,
                "the gateway ends and Kafka has not taken all events; the rest are not acknowledged: their clients send \
                 them again"
            );
        }
        self.shared.closed.send_replace(true);
        // Only now: joining librdkafka's threads may take a while.
        drop(producer);
    }
}
