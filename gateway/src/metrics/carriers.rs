//! What came in by each carrier, what became of it, and how long it took.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{Labels, Latency};
use crate::carrier::Carrier;
use crate::outcome::Outcome;

/// The series of one carrier.
#[derive(Clone, Debug)]
pub struct CarrierSeries {
    /// Events received; what has not ended in an outcome is in flight.
    pub received: Counter,
    /// Events received and without an outcome yet.
    pub in_flight: Gauge,
    /// Sessions open now.
    pub sessions: Gauge,
    /// Numbers that clients gave up: never received, so outside the equation.
    pub abandoned: Counter,
    outcomes: [Counter; Outcome::ALL.len()],
    latency: [Latency; Stage::ALL.len()],
}

impl CarrierSeries {
    /// Counts `count` events in: received, and in flight until [`CarrierSeries::ended`].
    pub fn came(&self, count: u32) {
        self.received.inc_by(u64::from(count));
        self.in_flight.inc_by(i64::from(count));
    }

    /// Counts `count` events out, with the outcome they ended in.
    pub fn ended(&self, outcome: Outcome, count: u32) {
        if count > 0 {
            if let Some(counter) = self.outcomes.get(outcome.index()) {
                counter.inc_by(u64::from(count));
            }
            self.in_flight.dec_by(i64::from(count));
        }
    }

    /// How many events ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome.index()).map_or(0, Counter::get)
    }

    /// The histogram of one stage.
    pub fn latency(&self, stage: Stage) -> &Latency {
        let [decode, pipeline, queue, durable, total] = &self.latency;
        match stage {
            Stage::Decode => decode,
            Stage::Pipeline => pipeline,
            Stage::Queue => queue,
            Stage::Durable => durable,
            Stage::Total => total,
        }
    }
}

/// A part of an event's way, as `tidegate_latency_seconds` names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    /// From the whole frame to its events' places in it, inflating included.
    Decode,
    /// Validating, routing and encoding.
    Pipeline,
    /// Waiting for room in the destination.
    Queue,
    /// From the destination taking the event to its being durable.
    Durable,
    /// From the whole frame to the last of its events being durable.
    Total,
}

impl Stage {
    const ALL: [Self; 5] = [Self::Decode, Self::Pipeline, Self::Queue, Self::Durable, Self::Total];

    const fn label(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Pipeline => "pipeline",
            Self::Queue => "queue",
            Self::Durable => "durable",
            Self::Total => "total",
        }
    }
}

/// The series of all carriers, in the order of [`Carrier::ALL`].
pub(super) fn register(registry: &mut Registry) -> [CarrierSeries; Carrier::ALL.len()] {
    let received = Family::<Labels<1>, Counter>::default();
    let outcomes = Family::<Labels<2>, Counter>::default();
    let in_flight = Family::<Labels<1>, Gauge>::default();
    let sessions = Family::<Labels<1>, Gauge>::default();
    let abandoned = Family::<Labels<1>, Counter>::default();
    let latency = Family::<Labels<2>, Latency>::default();
    registry.register("events_received", "Events received, by carrier", received.clone());
    registry.register(
        "events",
        "Events by what became of them; received = the sum over outcomes + in flight",
        outcomes.clone(),
    );
    registry.register("events_in_flight", "Events received and without an outcome yet", in_flight.clone());
    registry.register("sessions", "Sessions open", sessions.clone());
    registry.register("abandoned", "Numbers that clients gave up; never received", abandoned.clone());
    registry.register_with_unit(
        "latency",
        "Time of an event's frame in each stage, counted once an event",
        Unit::Seconds,
        latency.clone(),
    );
    Carrier::ALL.map(|carrier| {
        let by_carrier = ("carrier", carrier.label());
        CarrierSeries {
            received: received.get_or_create_owned(&[by_carrier]),
            in_flight: in_flight.get_or_create_owned(&[by_carrier]),
            sessions: sessions.get_or_create_owned(&[by_carrier]),
            abandoned: abandoned.get_or_create_owned(&[by_carrier]),
            outcomes: Outcome::ALL
                .map(|outcome| outcomes.get_or_create_owned(&[by_carrier, ("outcome", outcome.label())])),
            latency: Stage::ALL
                .map(|stage| latency.get_or_create_owned(&[by_carrier, ("stage", stage.label())])),
        }
    })
}
