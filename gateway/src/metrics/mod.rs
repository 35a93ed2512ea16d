//! Every series the gateway exports, declared once; nothing else registers one.
//!
//! Labels come from enums and static words, never from what a client sent. Handles are looked up once
//! and cost one atomic each after that.

mod aggregates;
mod carriers;
mod clients;
mod latency;
mod process;
mod rates;
mod refusals;
pub mod rules;
pub mod schemas;

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tidegate_wire::Reason;

pub use self::aggregates::AggregateSeries;
pub use self::carriers::{CarrierSeries, Stage};
pub use self::clients::ClientSeries;
pub use self::latency::Latency;
pub use self::rates::RateSeries;
use self::refusals::Refusals;
pub use self::refusals::Surface;
use self::rules::ReloadSeries;
use self::schemas::SchemaSeries;
use crate::carrier::Carrier;

/// A gauge of fractions of seconds.
pub type SecondsGauge = Gauge<f64, AtomicU64>;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All series. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    carriers: [CarrierSeries; Carrier::ALL.len()],
    refused: Refusals,
    stalls: Family<Labels<1>, Counter>,
    /// Payload bytes received and not yet settled.
    pub bytes_in_flight: Gauge,
    /// The most that [`Metrics::bytes_in_flight`] may be.
    pub bytes_budget: Gauge,
    /// Numberings kept for clients that are away.
    pub sessions_kept: Gauge,
    /// What the embedded log holds and does.
    pub log: LogSeries,
    /// What goes from the log to Kafka.
    pub forward: ForwardSeries,
    /// What librdkafka says of itself.
    pub kafka: KafkaSeries,
    /// What clients say of themselves.
    pub clients: ClientSeries,
    /// Who came up against a rate.
    pub rates: RateSeries,
    /// What became of configuration files that changed.
    pub reloads: ReloadSeries,
    /// What came of asking a schema registry.
    pub schemas: SchemaSeries,
    /// Windows in which events wait to become one record.
    pub aggregates: AggregateSeries,
}

/// The series of the embedded log.
#[derive(Clone, Debug, Default)]
pub struct LogSeries {
    /// Bytes on disk.
    pub bytes: Gauge,
    /// Segment files.
    pub segments: Gauge,
    /// Groups written and fsynced.
    pub fsyncs: Counter,
    /// Records skipped because their checksum or framing was broken.
    pub damaged: Counter,
    /// Writes or fsyncs that failed and are tried again.
    pub failures: Counter,
    /// Records deleted because of their age that were not forwarded.
    pub expired: Counter,
}

/// The series of what goes from the log to Kafka, and of who is given new events.
#[derive(Clone, Debug, Default)]
pub struct ForwardSeries {
    /// Records of the log that Kafka has.
    pub records: Counter,
    /// Records of the log that Kafka refused for good, and that no dead-letter topic has.
    pub refused: Counter,
    /// Records of the log that Kafka refused for good, and that are in a dead-letter topic.
    pub dead_lettered: Counter,
    /// Records of the log whose segments were moved away or deleted before Kafka had them.
    pub missing: Counter,
    /// Records of the log that could not be read back.
    pub damaged: Counter,
    /// Records of the log handed to Kafka again, because it is not known whether it had them.
    pub repeated: Counter,
    /// Records of the log that Kafka does not have yet.
    pub lag: Gauge,
    /// Since when none of them has got there.
    pub stalled_seconds: Gauge,
    /// 1 while new events go to the log because Kafka is away.
    pub failed_over: Gauge,
    /// Times that new events changed from Kafka to the log.
    pub failovers: Counter,
}

/// librdkafka's own figures, from its statistics, and what the gateway makes of them.
#[derive(Clone, Debug, Default)]
pub struct KafkaSeries {
    /// The breaker: 0 closed, 1 half-open, 2 open.
    pub breaker_state: Gauge,
    /// Changes of the breaker, by the state it came to.
    pub breaker_transitions: Family<Labels<1>, Counter>,
    /// Bytes sent to the busiest partitions of each topic in about the last minute.
    pub partition_bytes: Family<[(&'static str, String); 2], Gauge>,
    /// Records in librdkafka's queues.
    pub queue_messages: Gauge,
    /// Bytes in librdkafka's queues.
    pub queue_bytes: Gauge,
    /// Brokers connected now.
    pub brokers_up: Gauge,
    /// Mean round trip of the slowest connected broker.
    pub broker_rtt: SecondsGauge,
    /// Mean time a record waits in librdkafka before it is sent.
    pub internal_latency: SecondsGauge,
    /// Mean records a batch.
    pub batch_messages: Gauge<f64, AtomicU64>,
    /// Requests that failed.
    pub transmit_errors: Gauge,
    /// Delivery reports without success that were not permanent refusals.
    pub failures: Counter,
}

impl Metrics {
    /// All series, registered, and the registry that writes them.
    pub fn register() -> (Self, Registry) {
        let mut registry = Registry::with_prefix("tidegate");
        let metrics = Self {
            carriers: carriers::register(&mut registry),
            refused: Refusals::new(),
            stalls: stalls(),
            bytes_in_flight: Gauge::default(),
            bytes_budget: Gauge::default(),
            sessions_kept: Gauge::default(),
            log: LogSeries::default(),
            forward: ForwardSeries::default(),
            kafka: KafkaSeries::default(),
            clients: ClientSeries::default(),
            rates: RateSeries::default(),
            reloads: ReloadSeries::default(),
            schemas: SchemaSeries::default(),
            aggregates: AggregateSeries::default(),
        };
        metrics.register_gateway(&mut registry);
        metrics.register_log(&mut registry);
        metrics.register_forward(&mut registry);
        metrics.register_kafka(&mut registry);
        metrics.clients.register(&mut registry);
        metrics.rates.register(&mut registry);
        metrics.reloads.register(&mut registry);
        metrics.schemas.register(&mut registry);
        metrics.aggregates.register(&mut registry);
        process::register(&mut registry);
        (metrics, registry)
    }

    /// The series of one carrier.
    pub fn carrier(&self, carrier: Carrier) -> &CarrierSeries {
        let [webtransport, quic, datagram, websocket, https] = &self.carriers;
        match carrier {
            Carrier::WebTransport => webtransport,
            Carrier::Quic => quic,
            Carrier::Datagram => datagram,
            Carrier::WebSocket => websocket,
            Carrier::Https => https,
        }
    }

    /// Counts a connection, request, datagram or session refused as a whole.
    pub fn refused(&self, surface: Surface, reason: &'static str) {
        self.refused_times(surface, reason, 1);
    }

    /// The same, `times` at once.
    pub fn refused_times(&self, surface: Surface, reason: &'static str, times: u64) {
        self.refused.add(surface, reason, times);
    }

    /// Counts a client made to wait.
    pub fn stalled(&self, reason: Reason) {
        self.stalls.get_or_create(&[("reason", reason.name())]).inc();
    }

    fn register_gateway(&self, registry: &mut Registry) {
        registry.register(
            "refused",
            "Connections, requests, datagrams and sessions refused as a whole",
            self.refused.0.clone(),
        );
        registry.register(
            "credit_stalls",
            "Times a client used up its credit or was made to wait, by reason",
            self.stalls.clone(),
        );
        registry.register(
            "bytes_in_flight",
            "Payload bytes received and not yet settled",
            self.bytes_in_flight.clone(),
        );
        registry.register(
            "bytes_budget",
            "The most payload bytes that may be in flight",
            self.bytes_budget.clone(),
        );
        registry.register(
            "sessions_kept",
            "Numberings kept for clients that are disconnected",
            self.sessions_kept.clone(),
        );
        registry.register(
            "build",
            "Version of the gateway",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
    }

    fn register_log(&self, registry: &mut Registry) {
        let log = &self.log;
        registry.register("log_bytes", "Bytes on disk in the embedded log", log.bytes.clone());
        registry.register("log_segments", "Segment files of the embedded log", log.segments.clone());
        registry.register("log_fsyncs", "Groups of records written and fsynced", log.fsyncs.clone());
        registry.register("log_damaged_records", "Records skipped as damaged", log.damaged.clone());
        registry.register(
            "log_failures",
            "Writes or fsyncs that failed and are retried",
            log.failures.clone(),
        );
        registry.register(
            "log_expired",
            "Records deleted because of their age and not forwarded",
            log.expired.clone(),
        );
    }

    fn register_forward(&self, registry: &mut Registry) {
        let forward = &self.forward;
        registry.register("forward_records", "Records of the log that Kafka has", forward.records.clone());
        registry.register(
            "forward_refused",
            "Records of the log that Kafka refused for good and that are nowhere",
            forward.refused.clone(),
        );
        registry.register(
            "forward_dead_lettered",
            "Records of the log that Kafka refused for good and that are in a dead-letter topic",
            forward.dead_lettered.clone(),
        );
        registry.register(
            "forward_missing",
            "Records of the log whose segments were gone before Kafka had them",
            forward.missing.clone(),
        );
        registry.register(
            "forward_damaged",
            "Records of the log that could not be read back",
            forward.damaged.clone(),
        );
        registry.register(
            "forward_repeated",
            "Records of the log handed to Kafka again",
            forward.repeated.clone(),
        );
        registry.register(
            "forward_lag",
            "Records of the log that Kafka does not have yet",
            forward.lag.clone(),
        );
        registry.register(
            "forward_stalled_seconds",
            "Time in which nothing of the log has got to Kafka although something is left",
            forward.stalled_seconds.clone(),
        );
        registry.register(
            "failover",
            "1 while new events go to the log because Kafka is away",
            forward.failed_over.clone(),
        );
        registry.register(
            "failovers",
            "Times that new events changed from Kafka to the log",
            forward.failovers.clone(),
        );
    }

    fn register_kafka(&self, registry: &mut Registry) {
        let kafka = &self.kafka;
        registry.register(
            "kafka_breaker_state",
            "Whether work is offered to Kafka: 0 closed (it is), 1 half-open, 2 open",
            kafka.breaker_state.clone(),
        );
        for state in ["closed", "half_open", "open"] {
            drop(kafka.breaker_transitions.get_or_create(&[("to", state)]));
        }
        registry.register(
            "kafka_breaker_transitions",
            "Changes of the breaker to Kafka, by the state it came to",
            kafka.breaker_transitions.clone(),
        );
        registry.register(
            "kafka_partition_bytes",
            "Bytes sent to the busiest partitions of each topic in about the last minute",
            kafka.partition_bytes.clone(),
        );
        registry.register(
            "kafka_queue_messages",
            "Records in librdkafka's queues",
            kafka.queue_messages.clone(),
        );
        registry.register("kafka_queue_bytes", "Bytes in librdkafka's queues", kafka.queue_bytes.clone());
        registry.register("kafka_brokers_up", "Brokers connected", kafka.brokers_up.clone());
        registry.register_with_unit(
            "kafka_broker_rtt",
            "Mean round trip of the slowest connected broker",
            Unit::Seconds,
            kafka.broker_rtt.clone(),
        );
        registry.register_with_unit(
            "kafka_internal_latency",
            "Mean time a record waits in librdkafka before it is sent",
            Unit::Seconds,
            kafka.internal_latency.clone(),
        );
        registry.register("kafka_batch_messages", "Mean records a batch", kafka.batch_messages.clone());
        registry.register(
            "kafka_transmit_errors",
            "Requests to brokers that failed since the producer was made",
            kafka.transmit_errors.clone(),
        );
        registry.register(
            "kafka_failures",
            "Delivery reports without success that were not permanent refusals",
            kafka.failures.clone(),
        );
    }
}

/// What this version makes clients wait for; all are there from the start, at 0.
fn stalls() -> Family<Labels<1>, Counter> {
    let stalls = Family::<Labels<1>, Counter>::default();
    for reason in [
        Reason::Ok,
        Reason::Rate,
        Reason::Broker,
        Reason::Full,
        Reason::Draining,
        Reason::Quota,
        Reason::Memory,
    ] {
        drop(stalls.get_or_create(&[("reason", reason.name())]));
    }
    stalls
}

/// The registry as `OpenMetrics` text.
pub fn text(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn every_carrier_and_outcome_is_there_from_the_start() {
        let (_metrics, registry) = Metrics::register();
        let text = text(&registry).unwrap();
        for carrier in Carrier::ALL {
            for outcome in Outcome::ALL {
                let series = format!(
                    "tidegate_events_total{{carrier=\"{}\",outcome=\"{}\"}} 0",
                    carrier.label(),
                    outcome.label()
                );
                assert!(text.contains(&series), "{series} is not in\n{text}");
            }
        }
    }

    #[test]
    fn what_came_and_has_not_ended_is_in_flight() {
        let (metrics, _registry) = Metrics::register();
        let series = metrics.carrier(Carrier::WebSocket);
        series.came(5);
        series.ended(Outcome::Committed, 3);
        series.ended(Outcome::Malformed, 1);
        assert_eq!((series.received.get(), series.in_flight.get()), (5, 1));
    }
}
