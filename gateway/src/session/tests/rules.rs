//! Rules that remember events, and the promise that what is acknowledged is not lost: nothing is dropped because of an event
//! that does not become durable.

use tidegate_wire::{CloseCode, Code};

use super::gateway::Gateway;
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
