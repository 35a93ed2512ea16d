//! The Kafka destination by itself against real brokers: what it writes, and what it says of brokers that hang.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use tidegate::config;
use tidegate::deliver::kafka::KafkaSink;
use tidegate::deliver::{Health, Sink as _};
use tidegate::metrics::KafkaSeries;
use tidegate::record::{Encoding, Records, TopicId};
use tidegate::ticket::{Settled, Settlement, Ticket};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::destination::Destination;
use crate::gateway::PATIENCE;
use crate::kafka::Consumed;

const TIME_MS: u64 = 1_700_000_000_000;

struct Owner(oneshot::Sender<Settlement>);

impl Settled for Owner {
    fn settled(self: Box<Self>, frame: Settlement) {
        let _ = self.0.send(frame);
    }
}

/// A sink for `topics` that has become ready.
async fn ready_sink(destination: &Destination, topics: &[&str]) -> KafkaSink {
    let kafka = config::Kafka::at(destination.brokers().brokers());
    let topics = topics.iter().map(|topic| config::Topic::new(topic, &kafka.topics)).collect();
    let sink = KafkaSink::new(&kafka, topics, KafkaSeries::default(), 64 << 20).unwrap();
    becomes(&sink, |health| *health == Health::Ready).await;
    sink
}

async fn becomes(sink: &KafkaSink, wanted: impl Fn(&Health) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !wanted(&sink.health()) {
        assert!(Instant::now() < deadline, "still {:?}", sink.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Hands all records over, waiting for room where there is none; how they end comes later.
async fn submit(sink: &KafkaSink, records: &Records) -> oneshot::Receiver<Settlement> {
    let (owner, settled) = oneshot::channel();
    let ticket = Ticket::new(u32::try_from(records.len()).unwrap(), Box::new(Owner(owner)));
    let mut taken = 0;
    while taken < records.len() {
        taken += sink.submit(records, taken, &ticket);
        if taken < records.len() {
            timeout(PATIENCE, sink.room()).await.expect("room in time");
        }
    }
    settled
}

async fn committed(settled: oneshot::Receiver<Settlement>) -> u32 {
    timeout(PATIENCE, settled).await.expect("settled in time").unwrap().committed
}

/// Records `first..first + 100`, under twenty keys in turn.
fn frame(first: usize, topic: u16, encoding: Encoding) -> Records {
    let mut records = Records::default();
    for n in first..first + 100 {
        let index = u32::try_from(n - first).unwrap();
        let mut draft = records.draft(index, TopicId(topic), encoding, TIME_MS);
        draft.key(|out| out.extend_from_slice(format!("client-{}", n % 20).as_bytes()));
        draft.value(|out| out.extend_from_slice(n.to_string().as_bytes()));
        if encoding == Encoding::Binary {
            draft.header(&["ce_", "type"], |out| out.extend_from_slice(b"count.up"));
        }
        draft.push();
    }
    records
}

/// Every number once, those of one key in one partition and in order.
fn assert_complete(consumed: &[Consumed], count: usize) {
    let mut by_key: HashMap<&[u8], (i32, Vec<usize>)> = HashMap::new();
    for record in consumed {
        let number = std::str::from_utf8(&record.value).unwrap().parse().unwrap();
        let key = record.key.as_deref().unwrap();
        let (partition, numbers) = by_key.entry(key).or_insert((record.partition, Vec::new()));
        assert_eq!(*partition, record.partition, "one key, one partition");
        numbers.push(number);
    }
    let numbers: BTreeSet<usize> = by_key.values().flat_map(|(_, numbers)| numbers.iter().copied()).collect();
    let missing: Vec<_> = (0..count).filter(|number| !numbers.contains(number)).collect();
    assert!(missing.is_empty(), "acknowledged and missing: {missing:?}");
    assert_eq!(consumed.len(), count, "some were written more than once");
    for (client, (_, numbers)) in by_key {
        assert!(numbers.is_sorted_by(|a, b| a < b), "out of order or twice: {client:?}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_arrives_once_and_in_order_as_it_was_written() {
    let kafka = Destination::shared_kafka().await;
    let (structured, binary) = (kafka.topic(6).await, kafka.topic(3).await);
    let sink = ready_sink(&kafka, &[&structured, &binary]).await;
    let mut settled = Vec::new();
    for first in (0..10_000).step_by(100) {
        settled.push(submit(&sink, &frame(first, 0, Encoding::Structured)).await);
    }
    settled.push(submit(&sink, &frame(0, 1, Encoding::Binary)).await);
    for frame in settled {
        assert_eq!(committed(frame).await, 100);
    }

    let consumed = kafka.brokers().consume(&structured).await;
    assert_complete(&consumed, 10_000);
    let partitions: HashSet<_> = consumed.iter().map(|record| record.partition).collect();
    assert!(partitions.len() > 1, "twenty keys all in one partition");
    let content_type = HashMap::from([(
        "content-type".to_owned(),
        "application/cloudevents+json; charset=UTF-8".to_owned(),
    )]);
    assert!(consumed.iter().all(|record| record.headers == content_type));
    assert!(consumed.iter().all(|record| record.timestamp_ms == i64::try_from(TIME_MS).unwrap()));

    let consumed = kafka.brokers().consume(&binary).await;
    assert_complete(&consumed, 100);
    let attributes = HashMap::from([("ce_type".to_owned(), "count.up".to_owned())]);
    assert!(consumed.iter().all(|record| record.headers == attributes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_hangs_is_noticed_and_its_events_arrive_once_when_it_goes_on() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(1).await;
    let sink = ready_sink(&kafka, &[&topic]).await;
    assert_eq!(committed(submit(&sink, &frame(0, 0, Encoding::Structured)).await).await, 100);
    // Connections stay up and nothing is answered: no error tells, only the silence.
    kafka.brokers().freeze(0);
    let settled = submit(&sink, &frame(100, 0, Encoding::Structured)).await;
    becomes(&sink, |health| matches!(health, Health::Away { .. })).await;
    kafka.brokers().thaw(0);
    assert_eq!(committed(settled).await, 100);
    becomes(&sink, |health| *health == Health::Ready).await;
    assert_complete(&kafka.brokers().consume(&topic).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_killed_one_after_the_other_cost_and_repeat_nothing() {
    let kafka = Destination::own_kafka(3).await;
    let topic = kafka.topic(6).await;
    let sink = ready_sink(&kafka, &[&topic]).await;
    let mut settled = Vec::new();
    for first in (0..6_000).step_by(100) {
        settled.push(submit(&sink, &frame(first, 0, Encoding::Structured)).await);
        if first % 2_000 == 1_000 {
            // With some of it on its way, and the rest while the broker is away.
            kafka.brokers().kill(first / 2_000);
        } else if first % 2_000 == 1_900 {
            for frame in settled.drain(..) {
                assert_eq!(committed(frame).await, 100);
            }
            kafka.brokers().restart(first / 2_000).await;
        }
    }
    assert!(settled.is_empty());
    assert_complete(&kafka.brokers().consume(&topic).await, 6_000);
}
