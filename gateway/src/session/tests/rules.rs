//! Rules that remember events, and the promise that what is acknowledged is not lost: nothing is dropped because of an event
//! that does not become durable.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_wire::{CloseCode, Code, GatewayFrame};

use super::gateway::{Client, Gateway};
use crate::carrier::Carrier;
use crate::config::Config;
use crate::outcome::Outcome;

const EVENT: &str = r#"{"type":"t","source":"/a","id":"1","data":20}"#;

/// With each rule that drops the second of two such events, and with what it says then.
const RULES: [(&str, Code); 2] = [
    ("dedup = { window = \"1h\" }", Code::Duplicate),
    ("deadband = { key = 'source', value = 'data', change = 0.5 }", Code::Filtered),
];

fn gateway(rule: &str) -> Gateway {
    let text = format!("shutdown.spread_ms = 0\n[[routes]]\ntopic = \"events\"\n{rule}");
    Gateway::with(Config::parse("t.toml", &text).unwrap())
}

/// So many events, and no more, are on their way.
async fn has_arrived(gateway: &Gateway, count: usize) {
    gateway.settled_down().await;
    assert_eq!(gateway.sink.values().len(), count);
}

#[tokio::test(start_paused = true)]
async fn what_rests_on_a_lost_event_is_not_acknowledged_and_both_may_be_sent_again() {
    for (rule, code) in RULES {
        let gateway = gateway(rule);
        let (mut client, _) = gateway.client("a", 1).await;
        client.events(1, &[EVENT]).await;
        client.events(2, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        assert_eq!(gateway.count(Carrier::Quic, Outcome::from(code)), 1, "{rule}");
        gateway.sink.lose();
        assert_eq!(client.close_code().await, CloseCode::Internal);

        let (mut client, welcome) = gateway.client("a", 1).await;
        assert_eq!(welcome.upto, 0, "neither of the two: {rule}");
        client.events(1, &[EVENT]).await;
        client.events(2, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        gateway.sink.commit(1);
        client.acked(2).await;
        gateway.assert_accounted();
    }
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_a_lost_event_gets_the_next_one_like_it_through() {
    for (rule, _) in RULES {
        let gateway = gateway(rule);
        let (mut client, _) = gateway.client("a", 1).await;
        client.events(1, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        gateway.sink.lose();
        assert_eq!(client.close_code().await, CloseCode::Internal);
        let (mut client, _) = gateway.client("a", 2).await;
        client.events(2, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        gateway.sink.commit(1);
        client.acked(2).await;
        gateway.assert_accounted();
    }
}

#[tokio::test(start_paused = true)]
async fn another_client_does_not_rest_on_what_is_under_way() {
    for (rule, code) in RULES {
        let gateway = gateway(rule);
        let (mut first, _) = gateway.client("a", 1).await;
        first.events(1, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        let (mut second, _) = gateway.client("b", 1).await;
        second.events(1, &[EVENT]).await;
        has_arrived(&gateway, 2).await;
        // That of the first is lost; the second's is not, and was told so.
        gateway.sink.commit_last(1);
        second.acked(1).await;
        gateway.sink.lose();
        assert_eq!(first.close_code().await, CloseCode::Internal);
        let (mut first, _) = gateway.client("a", 1).await;
        first.events(1, &[EVENT]).await;
        first.acked(1).await;
        assert_eq!(gateway.count(Carrier::Quic, Outcome::from(code)), 1, "it is durable: {rule}");
        assert_eq!(gateway.count(Carrier::Quic, Outcome::Committed), 1, "{rule}");
        gateway.assert_accounted();
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_kafka_refused_makes_no_other_a_duplicate() {
    for (rule, _) in RULES {
        let gateway = gateway(rule);
        let (mut client, _) = gateway.client("a", 1).await;
        client.events(1, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        gateway.sink.refuse("no");
        client.acked(1).await;
        client.events(2, &[EVENT]).await;
        has_arrived(&gateway, 1).await;
        gateway.sink.commit(1);
        client.acked(2).await;
        gateway.assert_accounted();
    }
}

/// A client that sends again what was not acknowledged, and holds the gateway to what was.
struct Holder {
    name: &'static str,
    client: Client,
    /// The keys of all its events, from number 1.
    sent: Vec<u64>,
    acked: u64,
}

impl Holder {
    async fn new(gateway: &Gateway, name: &'static str) -> Self {
        Self { name, client: gateway.client(name, 1).await.0, sent: Vec::new(), acked: 0 }
    }

    async fn send(&mut self, keys: &[u64]) {
        let first = self.sent.len() as u64 + 1;
        self.sent.extend(keys);
        self.transmit(first).await;
    }

    async fn transmit(&mut self, first: u64) {
        let from = usize::try_from(first - 1).unwrap();
        let events: Vec<_> = self.sent[from..].iter().map(|key| event(*key)).collect();
        self.client.events(first, &events.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }

    /// Reads what there is to read. What is acknowledged has another one with its key that is durable, or is that.
    async fn hears(&mut self, gateway: &Gateway, durable: &BTreeSet<u64>) {
        const SOON: Duration = Duration::from_millis(100);
        while let Ok(frame) = tokio::time::timeout(SOON, self.client.next()).await {
            match frame {
                Some(GatewayFrame::Ack(ack)) => self.is_told(ack.upto, durable),
                Some(GatewayFrame::Close(_)) | None => {
                    let (client, welcome) = gateway.client(self.name, self.acked + 1).await;
                    self.client = client;
                    self.is_told(welcome.upto, durable);
                    if self.acked < self.sent.len() as u64 {
                        self.transmit(self.acked + 1).await;
                    }
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    fn is_told(&mut self, upto: u64, durable: &BTreeSet<u64>) {
        for number in self.acked + 1..=upto {
            let key = self.sent[usize::try_from(number - 1).unwrap()];
            assert!(durable.contains(&key), "{} {number} is acknowledged, and {key} is nowhere", self.name);
        }
        self.acked = upto;
    }
}

fn event(key: u64) -> String {
    format!(r#"{{"type":"t","source":"/a","id":"{key}","data":1}}"#)
}

fn key(value: &str) -> u64 {
    let id = value.split("\"id\":\"").nth(1).unwrap();
    id.split('"').next().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn whatever_is_lost_what_is_acknowledged_is_there() {
    for seed in 0..60 {
        let (rule, _) = [RULES[0], ("deadband = { key = 'id', value = 'data', change = 0 }", Code::Filtered)]
            [usize::from(seed % 2 == 1)];
        let gateway = gateway(rule);
        let mut holders = [Holder::new(&gateway, "a").await, Holder::new(&gateway, "b").await];
        let mut durable = BTreeSet::new();
        let mut state: u64 = seed;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for step in 0..30 {
            let held = gateway.sink.values();
            match random(5) {
                which @ 0..=2 => {
                    // Later steps have keys of their own: what was durable long ago proves nothing.
                    let keys: Vec<_> = (0..=random(3)).map(|_| step / 6 * 10 + random(3)).collect();
                    holders[usize::from(which == 2)].send(&keys).await;
                }
                3 if !held.is_empty() => {
                    let count = usize::try_from(random(held.len() as u64) + 1).unwrap();
                    durable.extend(held.iter().take(count).map(|value| key(value)));
                    gateway.sink.commit(count);
                }
                _ => gateway.sink.lose(),
            }
            gateway.settled_down().await;
            for holder in &mut holders {
                holder.hears(&gateway, &durable).await;
            }
        }
        gateway.settled_down().await;
        while !gateway.sink.values().is_empty() {
            let held = gateway.sink.values();
            durable.extend(held.iter().map(|value| key(value)));
            gateway.sink.commit(held.len());
            for holder in &mut holders {
                holder.hears(&gateway, &durable).await;
            }
        }
        assert!(holders.iter().all(|holder| holder.acked == holder.sent.len() as u64), "seed {seed}");
        gateway.assert_accounted();
    }
}
