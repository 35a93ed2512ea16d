//! The watch over the producer: is Kafka there, do records become durable, must the producer be replaced.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;
use tidegate_wire::Reason;

use super::Shared;
use super::in_flight::Progress;
use super::inquiry::{self, Inquiry};
use super::plan::Plan;
use super::producer::Producer;
use super::replace::{Pauses, Replacement, Retire};
use crate::deliver::Health;
use crate::deliver::breaker::{Breaker, Seen, State};

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
    /// How long records travel one by one after Kafka has refused a batch for one of them.
    pub(super) apart: Duration,
    /// Between two rounds in which brokers are asked for every topic, while one of them is unfit.
    pub(super) inquiry: Duration,
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
            apart: Duration::from_secs(1),
            inquiry: Duration::from_secs(1),
            blocked: Duration::from_secs(5),
            replace: (Duration::from_millis(500), Duration::from_secs(30)),
        }
    }
}

/// How often the brokers are asked before a silence with nothing in flight counts: one of several may hang.
const QUESTIONS: u32 = 3;

/// The thread's state. It alone takes the producer away or puts one in place.
pub(super) struct Watch {
    pub(super) plan: Plan,
    pub(super) patience: Patience,
    pub(super) shared: Arc<Shared>,
    breaker: Breaker,
    /// Why it is open, or was.
    detail: String,
    /// The kind of trouble logged last, so that each is logged once.
    pub(super) logged: &'static str,
    progress: Progress,
    /// When there was a report last, or nothing that could be reported.
    moved_at: Instant,
    /// When Kafka showed that it is there last.
    answered_at: Instant,
    blocked: Option<(Instant, String)>,
    /// Since when records travel alone, while they do.
    apart_at: Instant,
    inquiry: Inquiry,
    pub(super) replacement: Option<Replacement>,
    pub(super) pauses: Pauses,
}

/// What a look has found.
pub(super) struct Look {
    seen: Seen,
    /// Why no records become durable.
    trouble: Option<Trouble>,
    /// Why those of a topic do not.
    impaired: Option<Trouble>,
}

impl Look {
    pub(super) fn well(seen: Seen, impaired: Option<Trouble>) -> Self {
        Self { seen, trouble: None, impaired }
    }

    pub(super) fn bad(trouble: Trouble) -> Self {
        Self { seen: Seen::Trouble, trouble: Some(trouble), impaired: None }
    }
}

/// Why records do not become durable.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) kind: &'static str,
    pub(super) detail: String,
}

impl Trouble {
    pub(super) fn new(kind: &'static str, detail: String) -> Self {
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
            apart_at: now,
            inquiry: Inquiry::new(patience.inquiry, now),
            replacement: None,
            pauses: Pauses::new(patience.replace),
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
        if self.replacement.is_some() {
            return self.replace();
        }
        let shared = Arc::clone(&self.shared);
        let live = shared.live.read().unwrap_or_else(PoisonError::into_inner);
        let Some(producer) = live.as_ref() else { return Look::well(Seen::Nothing, None) };
        if let Some(text) = producer.take_blocked() {
            self.blocked = Some((now(), text));
        }
        if let Some(retire) = self.retires(producer) {
            drop(live);
            return self.hand_over(retire);
        }
        let moved = self.moved(producer);
        let closed = self.breaker.state() == State::Closed;
        if closed && !self.asks(producer) {
            let seen = if moved { Seen::Progress } else { Seen::Nothing };
            return Look::well(seen, self.impaired());
        }
        let found = self.probe(producer);
        if let Some(topic) = inquiry::settle_missing(producer, &shared.in_flight, &self.plan.topics) {
            drop(live);
            let detail = format!("topic `{topic}` exists again");
            return self.hand_over(Retire::gently("topic", detail));
        }
        // What was reported meanwhile says more than the answer.
        let moved = self.moved(producer) || moved;
        let (waiting, idle) = (self.progress.frames > 0, self.idle());
        match found {
            _ if moved => Look::well(Seen::Progress, self.impaired()),
            Err(why) => {
                let brokers = &self.plan.brokers;
                Look::bad(Trouble::new("unreachable", format!("Kafka at {brokers} is unreachable: {why}")))
            }
            Ok(()) if idle >= self.patience.wedged => {
                drop(live);
                let seconds = idle.as_secs();
                let detail = format!("the Kafka producer has reported nothing for {seconds} s");
                self.hand_over(Retire::firmly("wedged", detail))
            }
            Ok(()) if closed && idle >= self.patience.still => {
                let seconds = idle.as_secs();
                Look::bad(Trouble::new("still", format!("Kafka has acknowledged nothing for {seconds} s")))
            }
            Ok(()) if !closed && !producer.has_producer_id() => {
                let detail = "Kafka has given the producer no id yet".to_owned();
                Look { seen: Seen::Nothing, trouble: Some(Trouble::new("id", detail)), impaired: None }
            }
            Ok(()) => Look::well(Seen::Answer { waiting }, self.impaired()),
        }
    }

    /// Why the producer has to be replaced, as far as it says so itself.
    fn retires(&mut self, producer: &Producer) -> Option<Retire> {
        let fatal = producer.fatal();
        // A producer that has stopped at a batch that was refused has done what it was told.
        let has_stopped = matches!(fatal, Some((RDKafkaErrorCode::GaplessGuarantee, _)));
        if let Some((code, why)) = fatal.filter(|_| !has_stopped) {
            return Some(Retire::firmly(
                "fatal",
                format!("the Kafka producer failed for good: {code}: {why}"),
            ));
        }
        if let Some((lane, too_large)) = producer.take_too_large() {
            return Some(self.shrink(lane, &too_large));
        }
        if let Some(why) = producer.take_suspect() {
            self.plan.apart = true;
            self.apart_at = now();
            return Some(Retire::gently("suspect", why));
        }
        if self.plan.apart && now().saturating_duration_since(self.apart_at) >= self.patience.apart {
            self.plan.apart = false;
            return Some(Retire::gently("together", "records travel together again".to_owned()));
        }
        let why = producer.take_again();
        if !has_stopped && !self.shared.in_flight.back().again {
            return None;
        }
        Some(match &self.blocked {
            Some((_, text)) => Retire::firmly("blocked", text.clone()),
            None => Retire::gently("again", why.unwrap_or_else(|| "Kafka gave records back".to_owned())),
        })
    }

    /// Whether there is reason to ask the brokers although they did well until now.
    fn asks(&self, producer: &Producer) -> bool {
        let now = now();
        let quiet = now.saturating_duration_since(self.answered_at);
        let in_doubt = producer.take_doubt() || self.inquiry.is_due(&self.plan.topics, now);
        in_doubt || self.idle() >= self.patience.report || quiet >= self.patience.quiet
    }

    /// Asks the brokers, again where nothing in flight tells anything either.
    fn probe(&mut self, producer: &Producer) -> Result<(), String> {
        let closed = self.breaker.state() == State::Closed;
        let questions = if closed && self.progress.frames == 0 { QUESTIONS } else { 1 };
        let mut found = Ok(());
        for _question in 0..questions {
            found = self.inquiry.ask(producer, &self.plan, self.patience.answer);
            if found.is_ok() || self.shared.closing.load(Ordering::SeqCst) {
                break;
            }
        }
        if found.is_ok() {
            self.answered_at = now();
        }
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
        let unfit = self.inquiry.unfit().map(|detail| Trouble::new("topic", detail));
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

    /// A producer is in place: its silence counts from now.
    pub(super) fn begins_anew(&mut self) {
        self.moved_at = now();
    }

    pub(super) fn take(&self) -> Option<Producer> {
        self.shared.live.write().unwrap_or_else(PoisonError::into_inner).take()
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
            }
            State::HalfOpen => tracing::info!("Kafka at {brokers} answers; what waits for it is tried"),
            State::Open => tracing::warn!("the breaker to Kafka at {brokers} is open: {}", self.detail),
        }
    }

    fn close(self, close_by: Instant) {
        let producer = self.take();
        let detail = "the gateway is closing".to_owned();
        self.shared.health.store(Arc::new(Health::Away { reason: Reason::Draining, detail }));
        let flushed =
            producer.as_ref().is_none_or(|live| live.flush(close_by.saturating_duration_since(now())));
        let lost = match &producer {
            Some(live) if !flushed => live.give_up(),
            // What came back and waited: for another producer, or for its topic.
            _ => self.shared.in_flight.abandon(),
        };
        if lost > 0 {
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
