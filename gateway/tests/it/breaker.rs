//! The breaker to Kafka: however Kafka goes away, the gateway says so soon, turns new work away at once, and goes on by
//! itself.

use std::time::{Duration, Instant};

use crate::client::{Carrier, Client};
use crate::faults::numbered_events;
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::Cluster;

/// Twice what is promised (10 s): a busy machine may take its time.
const NOT_READY: Duration = Duration::from_secs(20);

/// Waits until `/readyz` has that status; how long that took, and what it says.
async fn becomes(gateway: &Gateway, wanted: u16) -> (Duration, String) {
    let since = Instant::now();
    loop {
        let (status, why) = gateway.readiness().await;
        if status == wanted {
            return (since.elapsed(), why);
        }
        assert!(since.elapsed() < PATIENCE, "still {status}: {why}\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Posts an event; the status, and how long the answer took.
async fn post(gateway: &Gateway) -> (u16, Duration) {
    let since = Instant::now();
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/json");
    let answer = request.body(r#"{"type":"t"}"#).send().await.unwrap();
    (answer.status().as_u16(), since.elapsed())
}

async fn acknowledged(client: &mut Client, upto: u64) {
    loop {
        if let tidegate_wire::GatewayFrame::Ack(ack) = client.next().await.unwrap()
            && ack.upto >= upto
        {
            return;
        }
    }
}

/// Kafka goes away and comes back; with `load`, events are on their way meanwhile.
async fn goes_and_returns(gateway: &Gateway, what: &str, load: bool, away: impl Fn(bool)) {
    let before = gateway.metrics().await;
    let mut client = Client::open(gateway, Carrier::WebSocket, &what.replace([',', ' '], ""), 1).await;
    away(true);
    if load {
        client.events(1, &numbered_events(100)).await.unwrap();
    }
    let (noticed, why) = becomes(gateway, 503).await;
    assert!(noticed < NOT_READY, "{what}: not noticed within {NOT_READY:?}");
    assert!(why.contains("Kafka"), "{why}");
    let mut answers = Vec::new();
    for _ in 0..10 {
        let (status, took) = post(gateway).await;
        assert_eq!(status, 503);
        answers.push(took);
    }
    let fastest = *answers.iter().min().unwrap();
    assert!(fastest < Duration::from_millis(10), "{what}: refusals take {answers:?}");
    let open = gateway.metrics().await;
    assert_eq!(open.get("tidegate_kafka_breaker_state"), 2.0);

    away(false);
    let since = Instant::now();
    if load {
        acknowledged(&mut client, 100).await;
    }
    let flows = since.elapsed();
    becomes(gateway, 200).await;
    eprintln!(
        "{what}: not ready after {noticed:?}, refused in {fastest:?}, flows after {flows:?}, ready after {:?}",
        since.elapsed()
    );
    let after = gateway.metrics().await;
    assert_eq!(after.get("tidegate_kafka_breaker_state"), 0.0);
    for to in ["open", "closed"] {
        let changes = format!("tidegate_kafka_breaker_transitions_total{{to=\"{to}\"}}");
        assert!(after.get(&changes) > before.get(&changes), "{what}: {changes} did not move");
    }
    assert_eq!(post(gateway).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn however_kafka_goes_away_it_is_noticed_new_work_is_refused_at_once_and_flow_resumes() {
    let kafka = Cluster::start_behind_proxies(3).await;
    kafka.create_topic("events", 6).await;
    let gateway = Gateway::start_with_kafka(&kafka.proxied_brokers(), "").await;
    let frozen = |away| (0..3).for_each(|node| if away { kafka.freeze(node) } else { kafka.thaw(node) });
    let swallowed = |away| {
        kafka.proxies.iter().for_each(|proxy| if away { proxy.swallow() } else { proxy.pass() });
    };
    goes_and_returns(&gateway, "frozen, idle", false, frozen).await;
    goes_and_returns(&gateway, "frozen, under load", true, frozen).await;
    goes_and_returns(&gateway, "swallowed, idle", false, swallowed).await;
    goes_and_returns(&gateway, "swallowed, under load", true, swallowed).await;
    // Once each, whatever happened to a message.
    let log = gateway.log();
    assert!(log.matches("the breaker to Kafka").count() <= 8, "{log}");
    gateway.assert_accounted().await;
}
