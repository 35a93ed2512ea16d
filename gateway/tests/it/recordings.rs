//! Two real recordings, complete, over each carrier, into Kafka and into the log: nothing missing, nothing changed.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::client::{Carrier, Sender};
use crate::destination::{Destination, Produced};
use crate::gateway::Gateway;

/// The lines of a recording: one event each.
pub fn recording(name: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/tests/data/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

/// Attributes and `data` of a structured event, each as its JSON text.
pub type Members<'a> = BTreeMap<&'a str, &'a RawValue>;

pub fn members(event: &[u8]) -> Members<'_> {
    serde_json::from_slice(event).unwrap()
}

/// Holds what was produced against what was sent: count, order per key, bytes of `data`, attributes.
pub fn assert_complete(sent: &[Vec<u8>], produced: &[Produced], id_prefix: Option<&str>) {
    assert_eq!(produced.len(), sent.len(), "as many records as events");
    let mut by_key: BTreeMap<String, Vec<&Produced>> = BTreeMap::new();
    for record in produced {
        by_key.entry(record.key.clone().expect("a key")).or_default().push(record);
    }
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for (at, event) in sent.iter().enumerate() {
        let event = members(event);
        let key: String = serde_json::from_str(event["partitionkey"].get()).unwrap();
        let position = next.entry(key.clone()).or_default();
        let record = by_key.get(&key).and_then(|records| records.get(*position));
        let record = members(record.expect("a record of this key").value.as_bytes());
        *position += 1;
        assert_event(&event, &record, id_prefix.map(|prefix| format!("\"{prefix}{}\"", at + 1)));
    }
}

fn assert_event(event: &Members<'_>, record: &Members<'_>, id: Option<String>) {
    for (name, value) in event {
        assert_eq!(record[name].get(), value.get(), "`{name}` is byte for byte what was sent");
    }
    assert_eq!(record["specversion"].get(), "\"1.0\"");
    assert_eq!(record["datacontenttype"].get(), "\"application/json\"");
    let recorded = record["recordedtime"].get();
    assert!(
        recorded.len() == "\"2026-01-31T09:30:00.000Z\"".len() && recorded.ends_with("Z\""),
        "{recorded}"
    );
    if !event.contains_key("id") {
        match id {
            Some(id) => assert_eq!(record["id"].get(), id),
            None => assert_eq!(record["id"].get().as_bytes()[15], b'7', "a UUIDv7: {}", record["id"]),
        }
    }
}

async fn over_carrier(carrier: Carrier, destination: Destination) {
    for (name, batch) in [("earthquakes", 64), ("weather", 1_000)] {
        let topic = destination.topic(3).await;
        let gateway = destination.gateway(&topic).await;
        let events = recording(name);
        let mut sender = Sender::new("station-1", &events, batch);
        sender.run(&gateway, carrier, u64::MAX).await.unwrap();
        assert!(sender.is_done() && sender.refused.is_empty());
        assert_complete(&events, &destination.produced(&gateway, &topic).await, Some("station-1-1-"));
        gateway.assert_accounted().await;
    }
}

async fn over_https(destination: Destination) {
    for name in ["earthquakes", "weather"] {
        let topic = destination.topic(3).await;
        let gateway = destination.gateway(&topic).await;
        let events = recording(name);
        for chunk in events.chunks(1_000) {
            post(&gateway, chunk).await;
        }
        assert_complete(&events, &destination.produced(&gateway, &topic).await, None);
        gateway.assert_accounted().await;
    }
}

async fn post(gateway: &Gateway, events: &[Vec<u8>]) {
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/x-ndjson");
    let answer = request.body(events.join(&b'\n')).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(answer["accepted"], events.len());
}

macro_rules! over {
    ($($name:ident: $carrier:expr;)*) => {
        mod log {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                over_carrier($carrier, Destination::Log).await;
            })*
            #[tokio::test(flavor = "multi_thread")]
            async fn https() {
                over_https(Destination::Log).await;
            }
        }
        mod kafka {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                over_carrier($carrier, Destination::shared_kafka().await).await;
            })*
            #[tokio::test(flavor = "multi_thread")]
            async fn https() {
                over_https(Destination::shared_kafka().await).await;
            }
        }
    };
}

over! {
    webtransport: Carrier::WebTransport;
    quic: Carrier::Quic;
    websocket: Carrier::WebSocket;
    websocket_json: Carrier::WebSocketJson;
}
