//! What the watch says: to the breaker, to operators by readiness and the log, to clients by the health.

use std::sync::Arc;

use tidegate_wire::Reason;

use super::watch::{Watch, now};
use crate::deliver::Health;
use crate::deliver::breaker::{Seen, State};

/// What a look has found.
pub(super) struct Look {
    pub(super) seen: Seen,
    /// Why no records become durable.
    pub(super) trouble: Option<Trouble>,
    /// Why those of a topic do not.
    pub(super) impaired: Option<Trouble>,
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

impl Watch {
    /// Has the breaker judge, and everybody told. Returns whether its state has changed.
    pub(super) fn tell(&mut self, look: Look) -> bool {
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
            (kind, detail)
        });
        let health = match (self.breaker.state(), impaired) {
            (State::Closed, None) => Health::Ready,
            (State::Closed, Some(("stuck", detail))) => Health::Partly { detail },
            (State::Closed, Some((_, detail))) => Health::Impaired { detail },
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

    /// Why records of some topic do not become durable, although others do.
    pub(super) fn impaired(&mut self) -> Option<Trouble> {
        let now = now();
        let barred = self.plan.topics.barred(now).map(|detail| Trouble::new("barred", detail));
        let unfit = || self.inquiry.unfit().map(|detail| Trouble::new("topic", detail));
        let stuck = || Some(Trouble::new("stuck", self.stand().stuck?));
        barred.or_else(unfit).or_else(stuck).or_else(|| self.blocked())
    }

    fn blocked(&mut self) -> Option<Trouble> {
        let (at, text) = self.blocked.as_ref()?;
        if now().saturating_duration_since(*at) > self.patience.blocked {
            self.blocked = None;
            return None;
        }
        Some(Trouble::new("blocked", text.clone()))
    }
}
