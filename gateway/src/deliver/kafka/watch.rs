//! The watch over the producer: is Kafka there, do records become durable, must the producer be replaced.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;
use tidegate_wire::Reason;

use super::Shared;
use super::held;
use super::in_flight::Progress;
use super::inquiry::Inquiry;
use super::patience::Patience;
use super::plan::Plan;
use super::producer::Producer;
use super::replace::{Pauses, Replacement, Retire};
use super::stuck::Stand;
use super::tell::{Look, Trouble};
use crate::deliver::Health;
use crate::deliver::breaker::{Breaker, Seen, State};

/// How often the brokers are asked before a silence with nothing in flight counts: one of several may hang.
const QUESTIONS: u32 = 3;

/// The thread's state. It alone takes the producer away or puts one in place.
pub(super) struct Watch {
    pub(super) plan: Plan,
    pub(super) patience: Patience,
    pub(super) shared: Arc<Shared>,
    pub(super) breaker: Breaker,
    /// Why it is open, or was.
    pub(super) detail: String,
    /// The kind of trouble logged last, so that each is logged once.
    pub(super) logged: &'static str,
    progress: Progress,
    /// Whether librdkafka has any records.
    waits: bool,
    /// When there was a report last, or nothing that could be reported.
    moved_at: Instant,
    /// When Kafka showed that it is there last.
    answered_at: Instant,
    /// Since when brokers answer a producer to which they have given no id.
    nameless_at: Option<Instant>,
    pub(super) blocked: Option<(Instant, String)>,
    /// Since when the producer is in place.
    apart_at: Instant,
    pub(super) inquiry: Inquiry,
    pub(super) replacement: Option<Replacement>,
    pub(super) pauses: Pauses,
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
            waits: false,
            moved_at: now,
            answered_at: now,
            nameless_at: None,
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
        if let Some(topic) = held::settle(producer, &shared.in_flight, &self.plan.topics) {
            drop(live);
            let detail = format!("topic `{topic}` can be written to again, or is tried");
            return self.hand_over(Retire::gently("topic", detail));
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
        match found {
            _ if moved => Look::well(Seen::Progress, self.impaired()),
            Err(why) => {
                let brokers = &self.plan.brokers;
                Look::bad(Trouble::new("unreachable", format!("Kafka at {brokers} is unreachable: {why}")))
            }
            Ok(()) if !closed && !producer.has_producer_id() => {
                let is_fresh = producer.is_fresh();
                drop(live);
                self.nameless(is_fresh)
            }
            Ok(()) => {
                self.nameless_at = None;
                let is_empty = producer.is_empty();
                drop(live);
                self.answered(is_empty, closed)
            }
        }
    }

    /// Brokers answer, and the producer has no id, without which it sends nothing; a fresh one has never had any.
    fn nameless(&mut self, is_fresh: bool) -> Look {
        let waited = now().saturating_duration_since(*self.nameless_at.get_or_insert_with(now));
        if waited >= if is_fresh { self.patience.nameless } else { self.patience.wedged } {
            self.nameless_at = None;
            let detail = format!("Kafka has given the producer no id for {} s", waited.as_secs());
            return self.hand_over(Retire::firmly("wedged", detail));
        }
        let detail = "Kafka has given the producer no id yet".to_owned();
        Look { seen: Seen::Nothing, trouble: Some(Trouble::new("id", detail)), impaired: None }
    }

    /// Brokers answer, and nothing has moved.
    fn answered(&mut self, is_empty: bool, closed: bool) -> Look {
        let (stand, idle) = (self.stand(), self.idle());
        let seconds = idle.as_secs();
        if idle >= self.patience.wedged && !stand.is_apart {
            let detail = format!("the Kafka producer has reported nothing for {seconds} s");
            return self.hand_over(Retire::firmly("wedged", detail));
        }
        if closed && idle >= self.patience.still && !stand.is_apart {
            return Look::bad(Trouble::new(
                "still",
                format!("Kafka has acknowledged nothing for {seconds} s"),
            ));
        }
        // What has no leader is no trial of the rest.
        let waiting = !is_empty && (!stand.is_apart || stand.is_led);
        Look::well(Seen::Answer { waiting }, self.impaired())
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
            return Some(Retire::gently("suspect", why));
        }
        if self.plan.apart && self.apart_is_over(now()) {
            self.plan.apart = false;
            return Some(Retire::gently("together", "records travel together again".to_owned()));
        }
        let why = producer.take_again();
        if !has_stopped && !self.shared.in_flight.is_back() {
            return None;
        }
        Some(match &self.blocked {
            Some((_, text)) => Retire::firmly("blocked", text.clone()),
            None => Retire::gently("again", why.unwrap_or_else(|| "Kafka gave records back".to_owned())),
        })
    }

    /// Whether records have travelled alone for long enough.
    pub(super) fn apart_is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.apart_at) >= self.patience.apart
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
        let questions = if closed && producer.is_empty() { QUESTIONS } else { 1 };
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
        self.waits = !producer.is_empty();
        if !self.waits || progress.reports != self.progress.reports {
            self.moved_at = now();
        }
        self.progress = progress;
        moved
    }

    /// How long records have been with librdkafka without a report of any.
    fn idle(&self) -> Duration {
        if !self.waits {
            return Duration::ZERO;
        }
        now().saturating_duration_since(self.moved_at)
    }

    /// What waits for which part of Kafka, as far as librdkafka has told.
    pub(super) fn stand(&self) -> Stand {
        let generation = self.shared.in_flight.generation();
        self.plan.tally.stand(generation, self.patience.stuck, now()).unwrap_or_default()
    }

    /// A producer is in place: its silence counts from now, and so does how long its records travel apart.
    pub(super) fn begins_anew(&mut self) {
        self.moved_at = now();
        self.apart_at = self.moved_at;
    }

    pub(super) fn take(&self) -> Option<Producer> {
        self.shared.live.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn close(self, close_by: Instant) {
        let producer = self.take();
        let detail = "the gateway is closing".to_owned();
        self.shared.health.store(Arc::new(Health::Away { reason: Reason::Draining, detail }));
        if let Some(live) = &producer
            && !live.flush(close_by.saturating_duration_since(now()))
        {
            live.give_back(Duration::ZERO);
        }
        // Also what came back and waited: for another producer, or for its topic.
        self.shared.give_up();
        self.shared.closed.send_replace(true);
        // Only now: joining librdkafka's threads may take a while.
        drop(producer);
    }
}
