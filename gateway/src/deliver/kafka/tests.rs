//! The sink against librdkafka's mock cluster, with faults.

mod linger;

use rdkafka::bindings::rd_kafka_resp_err_t as MockError;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey;
use rdkafka::{Offset, TopicPartitionList};

use super::testing::{LONG, told};
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
    dead_letter: Option<&'static str>,
    missing: config::Missing,
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
            dead_letter: None,
            missing: config::Missing::Fail,
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
        let deadline = watch::now() + LONG;
        while self.sink.submit(&records([value]), 0, &ticket) == 0 {
            assert!(watch::now() < deadline, "no room");
            thread::sleep(Duration::from_millis(5));
        }
        told(&settled)
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
fn an_event_that_kafka_refuses_is_refused_alone() {
    let bench = Setup::default().ready();
    // Of a batch it is not known which event is to blame: each is tried alone.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let frame = bench.settles(b"{}");
    assert_eq!((frame.committed, frame.lost), (0, 0));
    assert_eq!((frame.refused[0].index, frame.refused[0].outcome), (0, Outcome::BrokerRejected));
    assert_eq!(bench.settles(b"{}").committed, 1);
    assert_eq!(bench.series.failures.get(), 1, "the batch; a refusal is not a failure");
}

#[test]
fn neighbours_of_an_event_that_kafka_refuses_are_not_refused() {
    let setup = Setup::default();
    let patience = Patience { apart: Duration::from_millis(100), ..setup.patience };
    let bench = Setup { patience, ..setup }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD]);
    let (ticket, settled) = ticket(3);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2", b"3"]), 0, &ticket), 3);
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost, frame.refused.len()), (3, 0, 0));
    assert_eq!(bench.written("events"), [1, 2, 3]);
    let deadline = watch::now() + LONG;
    while bench.sink.shared.in_flight.generation() < 2 {
        assert!(watch::now() < deadline, "records travel alone for ever");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(bench.settles(b"4").committed, 1);
}

#[test]
fn an_event_too_large_for_the_producer_is_refused_and_its_neighbours_are_not() {
    let setup = Setup::default();
    let properties = [setup.properties.clone(), vec![("message.max.bytes", "2000")]].concat();
    let bench = Setup { properties, ..setup }.ready();
    let (ticket, settled) = ticket(3);
    let large = vec![b'x'; 3000];
    assert_eq!(bench.sink.submit(&records([&b"{}"[..], &large, b"{}"]), 0, &ticket), 3);
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost), (2, 0));
    assert_eq!(frame.refused[0].index, 1);
    assert!(frame.refused[0].message.contains("message.max.bytes"), "{:?}", frame.refused);
}

#[test]
fn a_batch_too_large_is_taken_apart_until_the_event_to_blame_is_alone() {
    let bench = Setup::default().ready();
    let value = vec![b'x'; 300_000];
    // The first producer meets the error with a batch that others might be in, and hands over; the second knows that the
    // event was alone.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE; 2]);
    let frame = bench.settles(&value);
    assert_eq!((frame.refused.len(), frame.lost), (1, 0));
    assert!(frame.refused[0].message.contains("larger than its topic allows"), "{:?}", frame.refused);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn an_event_that_may_not_be_written_is_refused_and_readiness_says_so() {
    let bench = Setup::default().ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let frame = bench.settles(b"{}");
    assert_eq!((frame.committed, frame.lost, frame.refused.len()), (0, 0, 1));
    assert!(frame.refused[0].message.contains("may not write"), "{:?}", frame.refused);
    bench.becomes_away("may not write");
    bench.becomes("ready again", |health| *health == Health::Ready);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn errors_that_pass_are_retried_without_anybody_noticing() {
    let bench = Setup::default().ready();
    bench.produce_errors(&[
        MockError::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        MockError::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        MockError::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    ]);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn events_wait_while_brokers_are_away_and_flow_when_they_are_back() {
    let bench = Setup::default().ready();
    bench.brokers(false);
    bench.becomes_away("is unreachable");
    let (ticket, settled) = ticket(2);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2"]), 0, &ticket), 2);
    bench.brokers(true);
    assert_eq!(told(&settled).committed, 2);
    bench.becomes("ready again", |health| *health == Health::Ready);
}

#[test]
fn an_unreachable_kafka_is_named_with_the_reason() {
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kafka = config::Kafka::at(format!("127.0.0.1:{port}"));
    let topics = vec![config::Topic::new("events", &kafka.topics)];
    let sink = KafkaSink::new(&kafka, topics, KafkaSeries::default(), BUDGET).unwrap();
    let bench = Bench { cluster: MockCluster::new(1).unwrap(), sink, series: KafkaSeries::default() };
    bench.becomes_away(&format!("Kafka at 127.0.0.1:{port} is unreachable"));
    bench.becomes_away("Connection refused");
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
fn events_of_a_topic_that_does_not_exist_are_refused_until_it_does() {
    let bench = Setup { create_topic: false, ..Setup::default() }.start();
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    bench.becomes_away("topic `events` does not exist");
    let refused = || {
        let (ticket, settled) = ticket(1);
        (bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket) == 1).then(|| told(&settled).refused.len())
    };
    let deadline = watch::now() + LONG;
    while refused() != Some(1) {
        assert!(watch::now() < deadline, "not refused");
        thread::sleep(Duration::from_millis(10));
    }
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    bench.becomes("ready", |health| *health == Health::Ready);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn an_event_refused_for_good_goes_to_the_dead_letters_of_its_topic() {
    let bench = Setup { dead_letter: Some("events.dead"), ..Setup::default() }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let frame = bench.settles(b"{}");
    assert_eq!((frame.committed, frame.lost), (0, 0));
    assert_eq!(frame.refused[0].outcome, Outcome::DeadLettered);
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_INVALID_RECORD; 2]);
    let frame = bench.settles(b"{}");
    assert_eq!(frame.refused[0].outcome, Outcome::BrokerRejected);
    assert!(
        frame.refused[0].message.contains("dead-letter topic `events.dead` did not take it"),
        "{frame:?}"
    );
}

#[test]
fn a_producer_that_fails_for_good_is_replaced() {
    Setup::default().ready().replaces_its_producer();
}

#[test]
fn what_a_failed_producer_held_is_handed_over_in_order_and_nothing_is_lost() {
    const FRAMES: usize = 300;
    let bench = Setup::default().ready();
    assert_eq!(bench.settles(b"0").committed, 1);
    for broker in 1..=3 {
        bench.cluster.broker_round_trip_time(broker, Duration::from_millis(50)).unwrap();
    }
    // As many requests as may be on their way: what comes after a gap is refused by Kafka, which the mock does not do.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER; 5]);
    let (ticket, settled) = ticket(u32::try_from(FRAMES).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for n in 1..=FRAMES {
        let value = n.to_string();
        while bench.sink.submit(&records([value.as_bytes()]), 0, &ticket) == 0 {
            runtime.block_on(bench.sink.room());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let frame = told(&settled);
    assert_eq!((frame.committed, frame.lost), (u32::try_from(FRAMES).unwrap(), 0));
    assert!(bench.sink.shared.in_flight.generation() > 0, "the producer was to fail");
    let mut written = bench.written("events");
    // What the failed producer had on its way may have been written and is then written again.
    written.dedup();
    let mut once = written.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, (0..=FRAMES).collect::<Vec<_>>());
    let last_of = |n: &usize| written.iter().rposition(|other| other == n);
    assert!(once.is_sorted_by_key(last_of), "out of order: {written:?}");
}

#[test]
fn a_producer_that_reports_nothing_is_not_ready_and_recovers() {
    let short = Duration::from_millis(200);
    let patience = Patience { report: short, still: short, ..Setup::default().patience };
    let bench = Setup { patience, ..Setup::default() }.ready();
    // Metadata still answers: TCP looks healthy, but nothing is acknowledged.
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 50]);
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    bench.becomes_away("acknowledged nothing");
    bench.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    assert_eq!(told(&settled).committed, 1);
    bench.becomes("ready again", |health| *health == Health::Ready);
}

#[test]
fn a_wedged_producer_is_replaced_and_its_events_are_handed_over() {
    let short = Duration::from_millis(200);
    let patience = Patience { report: short, still: short, wedged: short * 2, ..Setup::default().patience };
    let bench = Setup { patience, ..Setup::default() }.ready();
    bench.produce_errors(&[MockError::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 50]);
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    let deadline = watch::now() + LONG;
    while bench.sink.shared.in_flight.generation() == 0 {
        assert!(watch::now() < deadline, "not replaced: {:?}", bench.sink.health());
        thread::sleep(Duration::from_millis(5));
    }
    bench.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    assert_eq!(told(&settled).committed, 1);
    bench.becomes("ready again", |health| *health == Health::Ready);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[tokio::test]
async fn a_drain_waits_for_what_is_on_its_way() {
    let bench = Setup::default().ready();
    for broker in 1..=3 {
        bench.cluster.broker_round_trip_time(broker, Duration::from_millis(200)).unwrap();
    }
    let (ticket, settled) = ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket), 1);
    bench.sink.drain(LONG).await;
    assert_eq!(told(&settled).committed, 1);
    let (after, _) = crate::ticket::testing::ticket(1);
    assert_eq!(bench.sink.submit(&records([&b"{}"[..]]), 0, &after), 0, "drained sinks take nothing");
}

#[tokio::test]
async fn a_drain_with_dead_brokers_ends_and_nothing_is_acknowledged() {
    let bench = Setup::default().ready();
    bench.brokers(false);
    let (ticket, settled) = ticket(2);
    assert_eq!(bench.sink.submit(&records([&b"1"[..], b"2"]), 0, &ticket), 2);
    bench.sink.drain(Duration::from_millis(100)).await;
    let frame = settled.try_recv().expect("settled when the drain ends");
    assert_eq!((frame.committed, frame.lost), (0, 2));
    assert_eq!(bench.series.failures.get(), 2);
}

#[test]
fn statistics_reach_the_metrics() {
    let bench = Setup::default().ready();
    assert!(bench.series.brokers_up.get() > 0);
    assert_eq!(bench.settles(b"{}").committed, 1);
}

#[test]
fn a_record_that_cannot_be_sent_now_is_waited_for_without_asking_all_the_time() {
    let bench = Setup { create_topic: false, missing: config::Missing::Wait, ..Setup::default() }.start();
    bench.cluster.topic_error("events", MockError::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let (ticket, _settled) = ticket(u32::MAX);
    let deadline = watch::now() + LONG;
    // Records are taken until it is certain that the topic does not exist.
    while bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket) != 0 {
        assert!(watch::now() < deadline, "records of a topic that does not exist are taken");
        thread::sleep(Duration::from_millis(10));
    }
    let offers = (0..1_000).filter(|_| {
        let refused = bench.sink.submit(&records([&b"{}"[..]]), 0, &ticket) == 0;
        refused && !bench.sink.shared.room.is_stalled()
    });
    assert_eq!(offers.count(), 0, "a refused record left the room open");
}
