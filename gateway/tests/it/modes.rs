//! Kafka and the log together: what is acknowledged, in which order it arrives, and what is left when.

use std::time::{Duration, Instant};

use crate::client::{Carrier, Client, Sender};
use crate::destination::{Destination, Produced};
use crate::faults::{assert_nothing_overtook, numbered_events, numbers, times_produced};
use crate::gateway::{Gateway, PATIENCE};

/// Waits until the log has been forwarded, and new events go to Kafka.
pub async fn forwarded(gateway: &Gateway) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = gateway.metrics().await;
        let (lag, failover) = (metrics.get("tidegate_forward_lag"), metrics.get("tidegate_failover"));
        if lag == 0.0 && failover == 0.0 {
            return;
        }
        assert!(Instant::now() < deadline, "{lag} records are left, failover {failover}");
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
async fn spool_acknowledges_from_the_log_and_kafka_gets_all_of_it() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(1).await;
    let mut gateway = kafka.gateway_with(&topic, "delivery.mode = \"spool\"").await;
    let events = numbered_events(3_000);
    let mut sender = Sender::new("device-1", &events, 50);
    sender.run(&gateway, Carrier::WebSocket, 1_000).await.unwrap();
    kafka.brokers().kill(0);
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    assert_eq!(gateway.readiness().await.0, 200);
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
    assert_eq!(client.welcome.level, tidegate_wire::Level::Stored);
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
