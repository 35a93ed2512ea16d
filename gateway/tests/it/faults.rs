//! kill -9 of gateway and brokers at random points under load: nothing acknowledged is ever missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::client::{Carrier, Client, Sender};
use crate::destination::{Destination, Produced};
use crate::gateway::{Gateway, PATIENCE};
use crate::kafka::Cluster;
use crate::modes::forwarded;
use crate::random::Random;
use crate::recordings::members;

const EVENTS: usize = 6_000;
const KILLS: usize = 5;

/// Events that say which one they are.
pub fn numbered_events(count: usize) -> Vec<Vec<u8>> {
    (1..=count).map(|n| format!(r#"{{"type":"count.up","data":{n}}}"#).into_bytes()).collect()
}

/// The numbers that arrived, in their order.
pub fn numbers(produced: &[Produced]) -> Vec<u64> {
    produced.iter().map(|record| members(record.value.as_bytes())["data"].get().parse().unwrap()).collect()
}

/// How often each number was produced.
pub fn times_produced(produced: &[Produced]) -> BTreeMap<u64, usize> {
    let mut times = BTreeMap::new();
    for number in numbers(produced) {
        *times.entry(number).or_default() += 1;
    }
    times
}

/// Sends everything over changing carriers, while the gateway is killed and started again at random points.
async fn killed_at_random(mut gateway: Gateway, seed: u64) -> Gateway {
    let mut random = Random::new(seed);
    let events = numbered_events(EVENTS);
    let mut sender = Sender::new("device-1", &events, 50);
    for _kill in 0..KILLS {
        // The point is counted in acknowledged events, whatever the machine's speed.
        let point = (sender.upto + random.below(EVENTS as u64 / 6)).min(EVENTS as u64 - 1);
        let mut progress = sender.progress.subscribe();
        let pid = gateway.pid();
        let kill = async {
            progress.wait_for(|upto| *upto >= point).await.unwrap();
            kill_process(pid, Signal::KILL).unwrap();
        };
        let carrier = random.pick(&Carrier::ALL);
        tokio::select! {
            ended = sender.run(&gateway, carrier, u64::MAX) => panic!("ended before its gateway: {ended:?}"),
            () = kill => {}
        }
        gateway.ended().await;
        gateway.launch();
        gateway.ready().await;
    }
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    gateway
}

fn assert_nothing_missing(produced: &[Produced]) {
    let times = times_produced(produced);
    let missing: BTreeSet<_> = (1..=EVENTS as u64).filter(|n| !times.contains_key(n)).collect();
    assert!(missing.is_empty(), "acknowledged and missing: {missing:?}");
}

/// Whatever is repeated, each number comes for the first time after those before it.
pub fn assert_nothing_overtook(produced: &[Produced]) {
    let mut next = 1;
    for number in numbers(produced) {
        assert!(number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_keeps_everything_acknowledged_over_kills() {
    let gateway = Gateway::start("").await;
    let gateway = killed_at_random(gateway, 1).await;
    assert_nothing_missing(&Destination::Log.produced(&gateway, "").await);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_has_everything_acknowledged_over_kills_in_every_mode() {
    let kafka = Destination::own_kafka(3).await;
    for (seed, mode) in (2..).zip(["direct", "spool", "failover"]) {
        let topic = kafka.topic(3).await;
        let gateway = kafka.gateway_with(&topic, &format!("delivery.mode = \"{mode}\"")).await;
        let gateway = killed_at_random(gateway, seed).await;
        forwarded(&gateway).await;
        let produced = kafka.produced(&gateway, &topic).await;
        assert_nothing_missing(&produced);
        assert_nothing_overtook(&produced);
        gateway.assert_accounted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_and_returned_loses_and_repeats_nothing() {
    let kafka = Destination::own_kafka(3).await;
    let topic = kafka.topic(3).await;
    let gateway = kafka.gateway(&topic).await;
    let events = numbered_events(EVENTS);
    let mut sender = Sender::new("device-1", &events, 50);
    sender.run(&gateway, Carrier::WebSocket, 1_000).await.unwrap();
    kafka.brokers().kill(0);
    sender.run(&gateway, Carrier::Quic, 4_000).await.unwrap();
    kafka.brokers().restart(0).await;
    sender.run(&gateway, Carrier::WebTransport, u64::MAX).await.unwrap();
    let times = times_produced(&kafka.produced(&gateway, &topic).await);
    assert_eq!(times.len(), EVENTS);
    assert!(times.values().all(|times| *times == 1), "produced more than once: {times:?}");
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_kafka_that_swallows_everything_acknowledges_nothing_and_flow_resumes() {
    let kafka = Cluster::start_behind_proxies(1).await;
    kafka.create_topic("events", 1).await;
    let mut gateway = Gateway::start_with_kafka(&kafka.proxied_brokers(), "").await;
    let events = numbered_events(200);
    let mut sender = Sender::new("device-1", &events, 10);
    sender.run(&gateway, Carrier::WebSocket, 50).await.unwrap();
    kafka.proxies[0].swallow();
    let settled = sender.upto;
    let mut progress = sender.progress.subscribe();
    {
        let sending = sender.run(&gateway, Carrier::WebSocket, u64::MAX);
        tokio::pin!(sending);
        // What was on its way before may still be told.
        let beyond = async { drop(progress.wait_for(|upto| *upto > settled + 100).await.unwrap()) };
        tokio::select! {
            ended = &mut sending => panic!("ended without Kafka: {ended:?}"),
            () = beyond => panic!("acknowledged without Kafka"),
            () = not_ready(&gateway) => {}
        }
        kafka.proxies[0].pass();
        // The gateway may give up what it cannot know the fate of: then it says so, and it is sent again.
        let _ = sending.await;
    }
    gateway.ready().await;
    while !sender.is_done() {
        let _ = sender.run(&gateway, Carrier::WebSocket, u64::MAX).await;
    }
    let produced = kafka.consume("events").await;
    let numbers = produced.iter().map(|record| members(&record.value)["data"].get().parse::<u64>().unwrap());
    assert_eq!(numbers.collect::<BTreeSet<_>>(), (1..=200).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_of_kafka_is_away_events_wait_and_flow_resumes() {
    let kafka = Destination::own_kafka(1).await;
    let topic = kafka.topic(1).await;
    let gateway = kafka.gateway(&topic).await;
    let events = numbered_events(500);
    let mut sender = Sender::new("device-1", &events, 10);
    sender.run(&gateway, Carrier::WebSocket, 100).await.unwrap();
    kafka.brokers().kill(0);
    not_ready(&gateway).await;
    let answer = gateway
        .http
        .post(gateway.url("/v1/events"))
        .header("content-type", "application/json")
        .body(r#"{"type":"t"}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    // A client within its credit is read all the while, and hears what it waits for.
    let mut client = Client::open(&gateway, Carrier::Quic, "device-2", 1).await;
    client.events(1, &events[..1]).await.unwrap();
    loop {
        if let tidegate_wire::GatewayFrame::Ack(ack) = client.next().await.unwrap()
            && ack.reason == tidegate_wire::Reason::Broker
        {
            assert_eq!(ack.upto, 0);
            break;
        }
    }
    kafka.brokers().restart(0).await;
    loop {
        if let tidegate_wire::GatewayFrame::Ack(ack) = client.next().await.unwrap()
            && ack.upto == 1
        {
            break;
        }
    }
    sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    let times = times_produced(&kafka.produced(&gateway, &topic).await);
    assert_eq!(times.len(), 500);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_log_is_told_once_and_so_is_that_there_is_room_again() {
    let mut gateway = Gateway::start("log.max_bytes = \"4MiB\"").await;
    let event = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(200_000));
    let post = || async {
        let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/json");
        request.body(event.clone()).timeout(Duration::from_secs(2)).send().await.map(|answer| answer.status())
    };
    // The one that does not fit waits for room; whoever comes after it is turned away.
    while gateway.readiness().await.0 == 200 {
        let _ = post().await;
    }
    let (status, why) = gateway.readiness().await;
    assert_eq!(status, 503);
    told(&gateway, "is at its cap of 4MiB: raise log.max_bytes, or move its oldest .segment files").await;
    assert!(why.contains("move its oldest .segment files elsewhere"), "{why}");
    assert_eq!(post().await.unwrap(), 503);

    let segments = std::fs::read_dir(gateway.path("log")).unwrap().map(|entry| entry.unwrap().path());
    for segment in segments.filter(|path| path.extension().is_some_and(|kind| kind == "segment")) {
        std::fs::rename(&segment, gateway.path(segment.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    gateway.ready().await;
    told(&gateway, "has room again").await;
    let warnings = gateway.log().matches("is at its cap").count();
    assert_eq!(warnings, 1, "{}", gateway.log());
}

/// Waits until the gateway is not ready, and says why.
async fn not_ready(gateway: &Gateway) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let (status, why) = gateway.readiness().await;
        if status == 503 {
            return assert!(why.to_lowercase().contains("kafka"), "{why}");
        }
        assert!(std::time::Instant::now() < deadline, "still ready without Kafka");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the gateway's own log says so.
async fn told(gateway: &Gateway, what: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !gateway.log().contains(what) {
        assert!(std::time::Instant::now() < deadline, "`{what}` is not in\n{}", gateway.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
