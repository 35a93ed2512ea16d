//! Reconnects at random over changing carriers on a living gateway: no loss, no duplicate, order kept.

use crate::client::{Carrier, Sender};
use crate::destination::Destination;
use crate::faults::numbered_events;
use crate::gateway::Gateway;
use crate::random::Random;
use crate::recordings::members;

const EVENTS: usize = 5_000;

#[tokio::test(flavor = "multi_thread")]
async fn changing_carriers_lose_repeat_and_reorder_nothing() {
    let gateway = Gateway::start("").await;
    let mut random = Random::new(7);
    let events = numbered_events(EVENTS);
    let mut sender = Sender::new("phone-1", &events, 20);
    let mut connections = Vec::new();
    while !sender.is_done() {
        if random.below(5) == 0 {
            sender.upto = over_https(&gateway, &events, sender.upto + 1).await;
            connections.push("https");
            continue;
        }
        let carrier = random.pick(&Carrier::ALL);
        let until = sender.upto + 1 + random.below(400);
        sender.run(&gateway, carrier, until).await.unwrap();
        connections.push(carrier.label());
    }
    let produced = Destination::Log.produced(&gateway, "").await;
    let order: Vec<usize> = produced
        .iter()
        .map(|record| members(record.value.as_bytes())["data"].get().parse().unwrap())
        .collect();
    assert_eq!(order, (1..=EVENTS).collect::<Vec<_>>());
    for carrier in ["webtransport", "quic", "websocket", "https"] {
        assert!(connections.contains(&carrier), "{carrier} had no turn: {connections:?}");
    }
    gateway.assert_accounted().await;
}

/// The next hundred events in a request with session headers; returns up to where everything is settled.
async fn over_https(gateway: &Gateway, events: &[Vec<u8>], first: u64) -> u64 {
    let from = usize::try_from(first - 1).unwrap();
    let chunk = &events[from..events.len().min(from + 100)];
    let request = gateway
        .http
        .post(gateway.url("/v1/events"))
        .header("content-type", "application/x-ndjson")
        .header("tidegate-client", "phone-1")
        .header("tidegate-epoch", "1")
        .header("tidegate-seq", first.to_string());
    let answer = request.body(chunk.join(&b'\n')).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    let answer: serde_json::Value = answer.json().await.unwrap();
    answer["upto"].as_u64().unwrap()
}
