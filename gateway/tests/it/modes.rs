//! Kafka and the log together: what is acknowledged, in which order it arrives, and what is left when.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tidegate_wire::{GatewayFrame, Level};

use crate::client::{Carrier, Client, Sender};
use crate::destination::{Destination, Produced};
use crate::faults::{assert_nothing_overtook, numbered_events, numbers, times_produced};
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::{Cluster, Consumed};
use crate::recordings::members;

/// Waits until the log has been forwarded, and new events go to Kafka.
pub async fn forwarded(gateway: &Gateway) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = gateway.metrics().await;
        let (lag, failover) = (metrics.get("tidegate_forward_lag"), metrics.get("tidegate_failover"));
        if lag == 0.0 && failover == 0.0 {
            return;
        }
        assert!(Instant::now() < deadline, "{lag} records are left, failover {failover}:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until `/readyz` is 200 and yet says that.
async fn ready_but(gateway: &Gateway, what: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (status, why) = gateway.readiness().await;
        assert_eq!(status, 200, "{why}");
        if why.contains(what) {
            return;
        }
        assert!(Instant::now() < deadline, "{why} says nothing of {what}:\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn assert_once_and_in_order(produced: &[Produced], count: u64) {
    assert_eq!(numbers(produced), (1..=count).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_acknowledges_at_once_while_kafka_is_away_and_keeps_the_order() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(1).await;
    let gateway = kafka.gateway_with(&topic, "delivery.mode = \"failover\"").await;
    forwarded(&gateway).await;
    let events = numbered_events(5_000);
    let mut sender = Sender::new("device-1", &events, 20);
    sender.run(&gateway, Carrier::WebSocket, 500).await.unwrap();
    assert_eq!(gateway.metrics().await.get("tidegate_failovers_total"), 0.0);

    // Frozen with some of them on their way: nothing is answered, and nothing breaks.
    kafka.brokers().freeze(0);
    sender.run(&gateway, Carrier::Quic, 1_500).await.unwrap();
    assert_eq!(gateway.readiness().await.0, 200, "the log takes what comes");
    kafka.brokers().thaw(0);
    sender.run(&gateway, Carrier::WebSocket, 2_500).await.unwrap();
    forwarded(&gateway).await;
    sender.run(&gateway, Carrier::WebTransport, 3_000).await.unwrap();

    kafka.brokers().kill(0);
    sender.run(&gateway, Carrier::WebSocket, 4_000).await.unwrap();
    kafka.brokers().restart(0).await;
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    forwarded(&gateway).await;

    assert_once_and_in_order(&kafka.produced(&gateway, &topic).await, 5_000);
    let metrics = gateway.metrics().await;
    assert!(metrics.get("tidegate_failovers_total") >= 2.0);
    assert!(metrics.sum("tidegate_events_total", "outcome=\"stored\"") >= 1_000.0);
    assert!(metrics.sum("tidegate_events_total", "outcome=\"committed\"") >= 500.0);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_comes_back_to_kafka_under_load() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    // It begins with the log, and changes to Kafka as soon as that is there, whatever comes in meanwhile.
    let mut gateway = Gateway::prepare(&format!(
        "kafka.brokers = \"{}\"\ndelivery.mode = \"failover\"\n[[routes]]\ntopic = \"{topic}\"\n",
        kafka.brokers().brokers()
    ));
    gateway.launch();
    gateway.ready().await;
    let events = numbered_events(200_000);
    let mut sender = Sender::new("device-1", &events, 20);
    let came_back = async {
        let deadline = Instant::now() + PATIENCE;
        while gateway.metrics().await.sum("tidegate_events_total", "outcome=\"committed\"") < 1_000.0 {
            assert!(Instant::now() < deadline, "Kafka acknowledges nothing yet");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        // Where a busy machine forwards more slowly than one client sends, it is back once that has sent all.
        ended = sender.run(&gateway, Carrier::WebSocket, u64::MAX) => {
            ended.unwrap();
            forwarded(&gateway).await;
        }
        () = came_back => {}
    }
    assert!(gateway.metrics().await.sum("tidegate_events_total", "outcome=\"stored\"") > 0.0);
    gateway.idle().await;
    gateway.assert_accounted().await;
    let arrived = numbers(&kafka.produced(&gateway, &topic).await);
    assert_eq!(arrived, (1..=arrived.len() as u64).collect::<Vec<_>>(), "once, and in order");
}

/// 64 events of about 200 bytes.
fn batch() -> Vec<Vec<u8>> {
    vec![format!(r#"{{"type":"flood","data":"{}"}}"#, "x".repeat(160)).into_bytes(); 64]
}

/// A client that has sent one batch and heard that it is safe. What QUIC buffers of each connection would be beside the
/// budget.
async fn flooder(gateway: &Gateway, number: usize) -> Client {
    let mut client = Client::open(gateway, Carrier::WebSocket, &format!("flooder-{number}"), 1).await;
    client.events(1, &batch()).await.unwrap();
    loop {
        match client.next().await.unwrap() {
            GatewayFrame::Ack(ack) if ack.upto == 64 => return client,
            GatewayFrame::Ack(_) | GatewayFrame::Pong(_) => {}
            other => panic!("expected ACK, got {other:?}"),
        }
    }
}

/// Sends whatever the connection takes, and never reads.
async fn flood(mut client: Client) {
    let batch = batch();
    let mut next = 65;
    // Until the gateway hangs up.
    while client.events(next, &batch).await.is_ok() {
        next += batch.len() as u64;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_frozen_and_the_log_full_memory_stays_within_its_cap() {
    const CAP_BYTES: f64 = 32.0 * 1024.0 * 1024.0;
    let kafka = Destination::own_kafka(1).await;
    for mode in ["spool", "failover"] {
        let topic = kafka.topic(1).await;
        let more = format!(
            "delivery.mode = \"{mode}\"\nlimits.budget_bytes = \"32MiB\"\nlog.max_bytes = \"64MiB\"\n"
        );
        let gateway = kafka.gateway_with(&topic, &more).await;
        forwarded(&gateway).await;
        let flooders = join_all((0..20).map(|number| flooder(&gateway, number))).await;
        let resident = async || gateway.metrics().await.get("tidegate_process_resident_memory_bytes");
        let idle = resident().await;

        kafka.brokers().freeze(0);
        let mut largest: f64 = 0.0;
        let until_full = async {
            let deadline = Instant::now() + PATIENCE;
            while gateway.readiness().await.0 == 200 {
                assert!(Instant::now() < deadline, "the log is not full yet");
                largest = largest.max(resident().await);
            }
            // Everybody goes on sending.
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                largest = largest.max(resident().await);
            }
        };
        tokio::select! {
            _ = join_all(flooders.into_iter().map(flood)) => panic!("the gateway has hung up"),
            () = until_full => {}
        }
        println!("{mode}: grown by {:.2} of the cap", (largest - idle) / CAP_BYTES);
        assert!(largest <= idle + 1.1 * CAP_BYTES, "{mode}: {largest} bytes resident, {idle} before");
        let (_, why) = gateway.readiness().await;
        assert!(why.contains("is at its cap"), "{why}");
        kafka.brokers().thaw(0);
        forwarded(&gateway).await;
        assert_eq!(gateway.readiness().await.0, 200, "what Kafka has makes room");
        gateway.idle().await;
        gateway.assert_accounted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spool_acknowledges_from_the_log_and_kafka_gets_all_of_it() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(1).await;
    let mut gateway = kafka.gateway_with(&topic, "delivery.mode = \"spool\"").await;
    let events = numbered_events(3_000);
    let mut sender = Sender::new("device-1", &events, 50);
    sender.run(&gateway, Carrier::WebSocket, 1_000).await.unwrap();
    kafka.brokers().kill(0);
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    ready_but(&gateway, "the log is not forwarded, or not all of it: ").await;
    assert!(!gateway.tail().is_empty(), "what Kafka does not have is in the log");
    // What is left is forwarded by the next one.
    gateway.terminate();
    assert!(gateway.ended().await.success());
    kafka.brokers().restart(0).await;
    gateway.launch();
    gateway.ready().await;
    forwarded(&gateway).await;
    let times = times_produced(&kafka.produced(&gateway, &topic).await);
    assert_eq!(times.len(), 3_000);
    gateway.assert_accounted().await;

    let client = Client::open(&gateway, Carrier::Quic, "device-2", 1).await;
    assert_eq!(client.welcome.level, Level::Stored);
    client.done().await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    gateway.launch();
    gateway.ready().await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    assert!(gateway.tail().is_empty(), "what Kafka has is deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_to_which_brokers_are_added_goes_to_kafka_first() {
    let mut gateway = Gateway::start("").await;
    let events = numbered_events(2_000);
    let mut sender = Sender::new("device-1", &events, 50);
    sender.run(&gateway, Carrier::WebSocket, 1_000).await.unwrap();
    gateway.terminate();
    assert!(gateway.ended().await.success());

    let kafka = Destination::shared_kafka().await;
    gateway.configure(&format!("kafka.brokers = \"{}\"", kafka.brokers().brokers()));
    kafka.brokers().create_topic("events", 1).await;
    gateway.launch();
    gateway.ready().await;
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    let produced = kafka.produced(&gateway, "events").await;
    assert_eq!(times_produced(&produced).len(), 2_000);
    assert_nothing_overtook(&produced);
    assert_eq!(gateway.metrics().await.get("tidegate_forward_lag"), 0.0);
    assert!(gateway.log().contains("goes to Kafka before anything new"), "{}", gateway.log());
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_waits_for_its_topic_and_is_neither_refused_nor_lost() {
    let kafka = Cluster::shared().await;
    for missing in ["fail", "wait"] {
        let topic = format!("stored-{missing}");
        let gateway = Gateway::start(&format!(
            "kafka.brokers = \"{}\"\nkafka.topics.missing = \"{missing}\"\ndelivery.mode = \"spool\"\n\
             [[routes]]\ntopic = \"{topic}\"\n",
            kafka.brokers()
        ))
        .await;
        let events = numbered_events(300);
        let mut sender = Sender::new("device-1", &events, 50);
        sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
        assert!(sender.refused.is_empty(), "{:?}", sender.refused);
        ready_but(&gateway, &format!("topic `{topic}` does not exist")).await;
        // Longer than it takes to be certain that the topic is missing.
        let deadline = Instant::now() + PATIENCE;
        while gateway.metrics().await.get("tidegate_forward_stalled_seconds") < 5.0 {
            assert!(Instant::now() < deadline, "{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        kafka.create_topic(&topic, 1).await;
        forwarded(&gateway).await;
        let events: Vec<_> = kafka.consume(&topic).await.iter().map(number).collect();
        assert_eq!(events, (1..=300).collect::<Vec<_>>(), "{missing}: each once and in order");
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.get("tidegate_forward_refused_total"), 0.0);
        gateway.assert_accounted().await;
    }
}

fn number(record: &Consumed) -> u64 {
    members(&record.value)["data"].get().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_an_earlier_configuration_are_made_as_configured() {
    let mut gateway = Gateway::start("[[routes]]\ntopic = \"earlier\"\n").await;
    let events = numbered_events(100);
    Sender::new("device-1", &events, 50).run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    gateway.terminate();
    assert!(gateway.ended().await.success());

    let kafka = Cluster::shared().await;
    kafka.create_topic("later", 1).await;
    let path = gateway.path("tidegate.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, config.replace("earlier", "later")).unwrap();
    gateway.configure(&format!(
        "kafka.brokers = \"{}\"\nkafka.topics = {{ missing = \"create\", partitions = 3, replication = 1 }}",
        kafka.brokers()
    ));
    gateway.launch();
    gateway.ready().await;
    assert_eq!(kafka.partitions("earlier").await, 3);
    assert_eq!(kafka.consume("earlier").await.len(), 100);
    gateway.assert_accounted().await;
}
