//! Events that Kafka will never take, and topics that are not there: refused alone, or buried; others go on.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Carrier, Sender};
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::{Cluster, Consumed};

async fn post(gateway: &Gateway, body: &str) -> Value {
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/x-ndjson");
    request.body(body.to_owned()).send().await.unwrap().json().await.unwrap()
}

fn rejected(answer: &Value) -> Vec<(u64, &str)> {
    let rejected = answer["rejected"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
    rejected.map(|one| (one["index"].as_u64().unwrap(), one["code"].as_str().unwrap())).collect()
}

async fn says(gateway: &Gateway, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, why) = gateway.readiness().await;
        if status == 503 && why.contains(what) {
            return;
        }
        assert!(Instant::now() < deadline, "{status} {why} says nothing of {what}:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Random letters: compression must not make it fit.
fn letters(count: usize) -> String {
    let mut random = crate::random::Random::new(7);
    (0..count).map(|_| char::from(b'a' + u8::try_from(random.below(26)).unwrap())).collect()
}

fn header<'a>(record: &'a Consumed, name: &str) -> &'a str {
    record.headers.get(name).map_or("", String::as_str)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_refuses_goes_to_the_dead_letters_with_the_reason_and_neighbours_keep_their_order() {
    const EVENTS: usize = 1_000;
    let kafka = Cluster::shared().await;
    // A compacted topic takes no record without a key, and a large one does not fit.
    let settings = [("cleanup.policy", "compact"), ("max.message.bytes", "20000")];
    kafka.create_topic_with("poison-strict", 1, &settings).await;
    kafka.create_topic("poison-dead", 1).await;
    let route = "[[routes]]\ntopic = \"poison-strict\"\ndead_letter = \"poison-dead\"\n";
    let gateway = Gateway::start_with_kafka(&kafka.brokers(), route).await;
    // A client with a name has keys; it sends on while others' events are refused beside its own.
    let events = crate::faults::numbered_events(EVENTS);
    let mut sender = Sender::new("poison-neighbour", &events, 5);
    sender.window = 100;
    let mut progress = sender.progress.subscribe();
    let poison = async {
        for (point, body) in [(100, r#"{"type":"keyless"}"#.to_owned()), (500, large())] {
            progress.wait_for(|upto| *upto >= point).await.unwrap();
            let answer = post(&gateway, &body).await;
            assert_eq!(rejected(&answer), [(0, "broker_rejected")], "{answer}");
        }
    };
    let (sent, ()) = tokio::join!(sender.run(&gateway, Carrier::WebSocket, u64::MAX), poison);
    sent.unwrap();
    assert!(sender.refused.is_empty(), "{:?}", sender.refused);

    let written = kafka.consume("poison-strict").await;
    let numbers: Vec<u64> = written
        .iter()
        .map(|record| serde_json::from_slice::<Value>(&record.value).unwrap()["data"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=EVENTS as u64).collect::<Vec<_>>(), "each once and in order");
    let dead = kafka.consume("poison-dead").await;
    let reasons: Vec<_> = dead
        .iter()
        .map(|record| (header(record, "tidegate-reason"), header(record, "tidegate-topic")))
        .collect();
    assert_eq!(reasons, [("invalid", "poison-strict"), ("too_large", "poison-strict")]);
    assert_eq!(header(&dead[0], "content-type"), "application/cloudevents+json; charset=UTF-8");
    assert_eq!(serde_json::from_slice::<Value>(&dead[0].value).unwrap()["type"], "keyless");
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.get("tidegate_events_total{carrier=\"https\",outcome=\"dead_lettered\"}"), 2.0);
    // Where its bytes went is shown.
    let deadline = Instant::now() + PATIENCE;
    let busiest = "tidegate_kafka_partition_bytes{topic=\"poison-strict\",partition=\"0\"}";
    while gateway.metrics().await.get(busiest) == 0.0 {
        assert!(Instant::now() < deadline, "no bytes of the partition");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gateway.assert_accounted().await;
}

fn large() -> String {
    format!(r#"{{"type":"large","data":"{}"}}"#, letters(100_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_topic_that_is_missing_are_refused_alone_until_it_is_there() {
    let kafka = Cluster::shared().await;
    kafka.create_topic("poison-there", 1).await;
    let routes = "[[routes]]\nwhen = 'type == \"lost\"'\ntopic = \"poison-missing\"\n[[routes]]\ntopic = \"poison-there\"\n";
    let mut gateway = Gateway::prepare(&format!("kafka.brokers = \"{}\"\n{routes}", kafka.brokers()));
    gateway.launch();
    gateway.answers().await;
    says(&gateway, "topic `poison-missing` does not exist").await;
    let body = "{\"type\":\"a\"}\n{\"type\":\"lost\"}\n{\"type\":\"b\"}";
    let answer = post(&gateway, body).await;
    assert_eq!(rejected(&answer), [(1, "broker_rejected")], "{answer}");
    assert_eq!(answer["accepted"], 2);
    assert!(answer["rejected"][0]["message"].as_str().unwrap().contains("does not exist"), "{answer}");

    kafka.create_topic("poison-missing", 1).await;
    gateway.ready().await;
    let answer = post(&gateway, body).await;
    assert_eq!((rejected(&answer), &answer["accepted"]), (vec![], &3.into()));
    assert_eq!(kafka.consume("poison-missing").await.len(), 1);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_created_as_its_route_says_and_records_travel_as_it_says() {
    let kafka = Cluster::shared().await;
    let routes = "[kafka.topics]\nmissing = \"create\"\npartitions = 2\nreplication = 1\n\
                  [[routes]]\nwhen = 'type == \"wide\"'\ntopic = \"poison-wide\"\npartitions = 5\nlinger_ms = 20\ncompression = \"zstd\"\n\
                  [[routes]]\ntopic = \"poison-made\"\n";
    let config = format!("kafka.brokers = \"{}\"\n{routes}", kafka.brokers());
    let gateway = Gateway::start(&config).await;
    assert_eq!((kafka.partitions("poison-wide").await, kafka.partitions("poison-made").await), (5, 2));
    let answer = post(&gateway, "{\"type\":\"wide\"}\n{\"type\":\"a\"}\n{\"type\":\"wide\"}").await;
    assert_eq!(answer["accepted"], 3, "{answer}");
    assert_eq!(kafka.consume("poison-wide").await.len(), 2);
    assert_eq!(kafka.consume("poison-made").await.len(), 1);
    gateway.assert_accounted().await;
}
