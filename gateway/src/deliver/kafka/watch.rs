//! The watch over the producer: is Kafka there, do records become durable, must the producer be replaced.

use std::sync::atomic::Ordering;
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
use crate::deliver::breaker::{Breaker, Seen, State};
use crate::metrics::KafkaSeries;

/// How long the watch bears with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Between two looks; also the longest that a client waits for room that nobody announced.
    pub(super) look: Duration,
    /// For one answer of the brokers.
    pub(super) answer: Duration,
    /// With events in flight and no report: the brokers are asked.
    pub(super) report: Duration,
    /// The same although they answer: not ready.
    pub(super) still: Duration,
    /// With nothing in flight: the brokers are asked.
    pub(super) quiet: Duration,
    /// As `still`, and the producer is replaced. Well beyond the time in which librdkafka itself gives up a request and
    /// sends it again, since a new producer may write it twice.
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
            report: Duration::from_millis(1_500),
            still: Duration::from_secs(5),
            quiet: Duration::from_secs(3),
            wedged: Duration::from_secs(90),
            shrink: Duration::from_secs(2),
            blocked: Duration::from_secs(5),
            replace: (Duration::from_millis(500), Duration::from_secs(30)),
        }
    }
}

/// How often the brokers are asked before a silence with nothing in flight counts: one of several may hang.
const QUESTIONS: u32 = 3;

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
    breaker: Breaker,
    /// Why it is open, or was.
    detail: String,
    /// The kind of trouble logged last, so that each is logged once.
    logged: &'static str,
    progress: Progress,
    /// When there was a report last, or nothing that could be reported.
    moved_at: Instant,
    /// When Kafka showed that it is there last.
    answered_at: Instant,
    blocked: Option<(Instant, String)>,
    /// A topic that the brokers found unfit when they were last asked.
    unfit: Option<String>,
    replace_at: Option<Instant>,
    pause: Duration,
}

/// What a look has found.
struct Look {
    seen: Seen,
    /// Why no records become durable.
    trouble: Option<Trouble>,
    /// Why those of a topic do not.
    impaired: Option<Trouble>,
}

impl Look {
    fn well(seen: Seen, impaired: Option<Trouble>) -> Self {
        Self { seen, trouble: None, impaired }
    }

    fn bad(trouble: Trouble) -> Self {
        Self { seen: Seen::Trouble, trouble: Some(trouble), impaired: None }
    }
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
        let now = now();
        plan.series.breaker_state.set(State::Open as i64);
        Self {
            detail: format!("connecting to Kafka at {}", plan.brokers),
            plan,
            patience,
            shared,
            breaker: Breaker::new(now),
            logged: "",
            progress: Progress::default(),
            moved_at: now,
            answered_at: now,
            blocked: None,
            unfit: None,
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
            let look = self.look();
            let changed = self.tell(look);
            // Whoever was turned away for a reason that no report ends tries again.
            self.shared.room.open();
            if !changed {
                thread::park_timeout(self.patience.look);
            }
        }
    }

    fn look(&mut self) -> Look {
        if let Some(replace_at) = self.replace_at {
            return Look::bad(self.replace(replace_at));
        }
        let shared = Arc::clone(&self.shared);
        let live = shared.live.read().unwrap_or_else(PoisonError::into_inner);
        let Some(producer) = live.as_ref() else { return Look::well(Seen::Nothing, None) };
        if let Some(why) = producer.fatal() {
            drop(live);
            let detail = format!("the Kafka producer failed for good: {why}");
            return Look::bad(self.retire("fatal", detail));
        }
        if let Some(too_large) = producer.notes().take_too_large() {
            drop(live);
            return Look::bad(self.shrink(&too_large));
        }
        if let Some(text) = producer.notes().take_blocked() {
            self.blocked = Some((now(), text));
        }
        let moved = self.moved(producer);
        let closed = self.breaker.state() == State::Closed;
        if closed && !self.asks(producer) {
            let seen = if moved { Seen::Progress } else { Seen::Nothing };
            return Look::well(seen, self.impaired());
        }
        let found = self.probe(producer);
        // What was reported meanwhile says more than the answer.
        let moved = self.moved(producer) || moved;
        let (waiting, idle) = (self.progress.frames > 0, self.idle());
        match found {
            _ if moved => Look::well(Seen::Progress, self.impaired()),
            Err(Probe::Unreachable(why)) => {
                let brokers = &self.plan.brokers;
                Look::bad(Trouble::new("unreachable", format!("Kafka at {brokers} is unreachable: {why}")))
            }
            _ if idle >= self.patience.wedged => {
                drop(live);
                let seconds = idle.as_secs();
                let detail =
                    format!("the Kafka producer has reported nothing for {seconds} s and is replaced");
                Look::bad(self.retire("wedged", detail))
            }
            _ if closed && idle >= self.patience.still => {
                let seconds = idle.as_secs();
                Look::bad(Trouble::new("still", format!("Kafka has acknowledged nothing for {seconds} s")))
            }
            _ if !closed && !producer.notes().has_producer_id() => {
                let detail = "Kafka has given the producer no id yet".to_owned();
                Look { seen: Seen::Nothing, trouble: Some(Trouble::new("id", detail)), impaired: None }
            }
            _ => Look::well(Seen::Answer { waiting }, self.impaired()),
        }
    }

    /// Whether there is reason to ask the brokers although they did well until now.
    fn asks(&self, producer: &Producer) -> bool {
        let quiet = now().saturating_duration_since(self.answered_at);
        let in_doubt = producer.notes().take_doubt() || self.unfit.is_some();
        in_doubt || self.idle() >= self.patience.report || quiet >= self.patience.quiet
    }

    /// Asks the brokers, again where nothing in flight tells anything either.
    fn probe(&mut self, producer: &Producer) -> Result<(), Probe> {
        let closed = self.breaker.state() == State::Closed;
        let questions = if closed && self.progress.frames == 0 { QUESTIONS } else { 1 };
        let mut found = producer.probe(self.patience.answer);
        for _again in 1..questions {
            let is_silent = matches!(found, Err(Probe::Unreachable(_)));
            if !is_silent || self.shared.closing.load(Ordering::SeqCst) {
                break;
            }
            found = producer.probe(self.patience.answer);
        }
        self.unfit = match &found {
            Err(Probe::Unreachable(_)) => return found,
            Err(Probe::Topic(detail)) => Some(detail.clone()),
            Ok(()) => None,
        };
        self.answered_at = now();
        found
    }

    /// Whether something has become durable since the last call.
    fn moved(&mut self, producer: &Producer) -> bool {
        let progress = producer.progress();
        let moved = progress.delivered != self.progress.delivered;
        if moved {
            self.answered_at = now();
        }
        if progress.frames == 0 || progress.reports != self.progress.reports {
            self.moved_at = now();
        }
        self.progress = progress;
        moved
    }

    /// How long events have been in flight without a report.
    fn idle(&self) -> Duration {
        if self.progress.frames == 0 {
            return Duration::ZERO;
        }
        now().saturating_duration_since(self.moved_at)
    }

    fn impaired(&mut self) -> Option<Trouble> {
        let unfit = self.unfit.clone().map(|detail| Trouble::new("topic", detail));
        unfit.or_else(|| self.blocked())
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

    /// Has the breaker judge, and everybody told. Returns whether its state has changed.
    fn tell(&mut self, look: Look) -> bool {
        let change = self.breaker.look(look.seen, now());
        if let Some(Trouble { kind, detail }) = look.trouble {
            if self.logged != kind && kind != "id" {
                tracing::warn!("{detail}");
                self.logged = kind;
            }
            self.detail = detail;
        }
        if let Some(state) = change {
            self.changed(state);
        }
        let impaired = look.impaired.map(|Trouble { kind, detail }| {
            if self.logged != kind {
                tracing::warn!("{detail}");
                self.logged = kind;
            }
            detail
        });
        let health = match (self.breaker.state(), impaired) {
            (State::Closed, None) => Health::Ready,
            (State::Closed, Some(detail)) => Health::Impaired { detail },
            (State::HalfOpen | State::Open, _) => {
                Health::Away { reason: Reason::Broker, detail: self.detail.clone() }
            }
        };
        let told = self.shared.health.load();
        if **told != health {
            if health == Health::Ready && change.is_none() {
                tracing::info!("every topic in Kafka at {} can be written again", self.plan.brokers);
                self.logged = "";
            }
            self.shared.health.store(Arc::new(health));
        }
        change.is_some()
    }

    fn changed(&mut self, state: State) {
        let (series, brokers) = (&self.plan.series, &self.plan.brokers);
        series.breaker_state.set(state as i64);
        series.breaker_transitions.get_or_create(&[("to", state.label())]).inc();
        match state {
            State::Closed => {
                tracing::info!("Kafka at {brokers} is ready");
                self.logged = "";
                self.pause = self.patience.replace.0;
            }
            State::HalfOpen => tracing::info!("Kafka at {brokers} answers; what waits for it is tried"),
            State::Open => tracing::warn!("the breaker to Kafka at {brokers} is open: {}", self.detail),
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
