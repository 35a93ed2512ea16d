//! The sink against librdkafka's mock cluster, with faults.

mod away;
mod drain;
mod linger;
mod replace;
mod topics;
mod verdicts;

use rdkafka::bindings::rd_kafka_resp_err_t as MockError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey;
use rdkafka::{Offset, TopicPartitionList};

use super::testing::{LONG, owed, told};
use super::*;
use crate::metrics::KafkaSeries;
use crate::outcome::Outcome;
use crate::record::testing::structured as records;
use crate::ticket::testing::ticket;

const BUDGET: u64 = 64 << 20;

struct Bench {
    cluster: MockCluster<'static, DefaultProducerContext>,
    sink: KafkaSink,
    series: KafkaSeries,
}

/// Three mock brokers with topic `events`, and a sink that looks often.
struct Setup {
    budget: u64,
    patience: Patience,
    properties: Vec<(&'static str, &'static str)>,
    create_topic: bool,
    /// How often a producer is refused its id.
    refused_ids: usize,
    dead_letter: Option<&'static str>,
    missing: config::Missing,
    maker: admin::Maker,
    /// How long records linger where many come; not as an operator sets it, which is for every record.
    linger_ms: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        let look = Duration::from_millis(20);
        let (report, quiet) = (Duration::from_millis(500), Duration::from_secs(1));
        let inquiry = look;
        let patience =
            Patience { look, report, quiet, inquiry, replace: (look, look), ..Patience::default() };
        Self {
            budget: BUDGET,
            patience,
            properties: vec![("statistics.interval.ms", "20")],
            create_topic: true,
            refused_ids: 0,
            dead_letter: None,
            missing: config::Missing::Fail,
            maker: admin::create,
            linger_ms: "5",
        }
    }
}

impl Setup {
    fn start(self) -> Bench {
        let cluster = MockCluster::new(3).unwrap();
        if self.create_topic {
            cluster.create_topic("events", 4, 3).unwrap();
        }
        let refusal = MockError::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
        cluster.request_errors(RDKafkaApiKey::InitProducerId, &vec![refusal; self.refused_ids]);
        let series = KafkaSeries::default();
        let properties =
            self.properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let kafka = config::Kafka { properties, ..config::Kafka::at(cluster.bootstrap_servers()) };
        let events = config::Topic::new("events", &kafka.topics);
        let dead_letter = self.dead_letter.map(str::to_owned);
        let events = config::Topic { dead_letter, missing: self.missing, ..events };
        let mut plan = Plan::new(&kafka, vec![events], series.clone(), self.budget).unwrap();
        if plan.lanes[0].adaptive {
            plan.lanes[0].client.set("linger.ms", self.linger_ms);
        }
        plan.maker = self.maker;
        let sink = KafkaSink::start(plan, self.patience).unwrap();
        Bench { cluster, sink, series }
    }

    fn ready(self) -> Bench {
        let bench = self.start();
        bench.becomes("ready", |health| *health == Health::Ready);
        bench
    }
}

impl Bench {
    #[track_caller]
    fn becomes(&self, what: &str, wanted: impl Fn(&Health) -> bool) -> Health {
        let until = watch::now() + LONG;
        loop {
            let health = self.sink.health();
            if wanted(&health) {
                return health;
            }
            assert!(watch::now() < until, "not {what}: {health:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn becomes_away(&self, saying: &str) {
        self.becomes(
            saying,
            |health| matches!(health, Health::Away { detail, .. } | Health::Impaired { detail } if detail.contains(saying)),
        );
    }

    #[track_caller]
    fn becomes_impaired(&self, saying: &str) {
        let says = |health: &Health| matches!(health, Health::Impaired { detail } if detail.contains(saying));
        self.becomes(saying, says);
    }

    fn produce_errors(&self, errors: &[MockError]) {
        self.cluster.request_errors(RDKafkaApiKey::Produce, errors);
    }

    fn brokers(&self, up: bool) {
        for broker in 1..=3 {
            if up { self.cluster.broker_up(broker) } else { self.cluster.broker_down(broker) }.unwrap();
        }
    }

    /// The producer fails for good, and another one takes its place.
    fn replaces_its_producer(&self) {
        let before = self.sink.shared.in_flight.generation();
        self.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER]);
        assert_eq!(self.settles(b"{}").committed, 1, "handed over to the new one");
        assert_eq!(self.sink.shared.in_flight.generation(), before + 1);
        self.becomes("ready again", |health| *health == Health::Ready);
        assert_eq!(self.settles(b"{}").committed, 1);
    }

    /// How many records a partition of `events` has been given.
    fn high(&self, partition: i32) -> i64 {
        let brokers = self.cluster.bootstrap_servers();
        let consumer: BaseConsumer =
            rdkafka::ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
        consumer.fetch_watermarks("events", partition, LONG).unwrap().1
    }

    /// The numbers that were written to a topic, all of them to the partition of their one key.
    fn written(&self, topic: &str) -> Vec<usize> {
        let consumer: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "tests")
            .create()
            .unwrap();
        let mut written = Vec::new();
        for partition in 0..4 {
            let (low, high) = consumer.fetch_watermarks(topic, partition, LONG).unwrap();
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(topic, partition, Offset::Offset(low)).unwrap();
            consumer.assign(&assignment).unwrap();
            for _ in low..high {
                let message = consumer.poll(LONG).unwrap().unwrap();
                written.push(std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap());
            }
        }
        written
    }

    /// Submits one event, once there is room, and returns how it ended.
    #[track_caller]
    fn settles(&self, value: &[u8]) -> crate::ticket::Settlement {
        let (ticket, settled) = ticket(1);
        self.takes(&records([value]), &ticket);
        told(&settled)
    }

    /// Submits one event, once there is room.
    #[track_caller]
    fn takes(&self, event: &Records, ticket: &Ticket) {
        let deadline = watch::now() + LONG;
        while self.sink.submit(event, 0, ticket) == 0 {
            assert!(watch::now() < deadline, "no room: {:?}", self.sink.health());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn events_are_committed_once_brokers_acknowledged_them() {
    let bench = Setup::default().ready();
    let values: Vec<Vec<u8>> = (0..1000).map(|n| format!("{{\"n\":{n}}}").into_bytes()).collect();
    let (ticket, settled) = ticket(1000);
    assert_eq!(bench.sink.submit(&records(values.iter().map(Vec::as_slice)), 0, &ticket), 1000);
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost, frame.refused.len()), (1000, 0, 0));
    assert_eq!(bench.series.failures.get(), 0);
}

#[test]
fn a_full_sink_takes_no_more_until_reports_make_room() {
    let bench = Setup { budget: 1, ..Setup::default() }.ready();
    bench.brokers(false);
    let (first, first_settled) = ticket(1);
    let (second, second_settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"1"[..]]), 0, &first), 1);
    assert_eq!(bench.sink.submit(&records([&b"2"[..]]), 0, &second), 0);
    bench.brokers(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    while bench.sink.submit(&records([&b"2"[..]]), 0, &second) == 0 {
        runtime.block_on(async { tokio::time::timeout(LONG, bench.sink.room()).await }).expect("woken");
    }
    assert_eq!(told(&first_settled).committed, 1);
    assert_eq!(told(&second_settled).committed, 1);
}

#[test]
fn statistics_reach_the_metrics() {
    let bench = Setup::default().ready();
    assert!(bench.series.brokers_up.get() > 0);
    assert_eq!(bench.settles(b"{}").committed, 1);
}
