//! Schemas without which nothing may be taken: who sends waits, and holds nothing meanwhile.

use super::gateway::Gateway;
use crate::config::Config;
use crate::schema::{Format, Known, Schema};

const RULES: &str = r#"
    [schema_registry]
    url = "http://localhost:8081"
    [[routes]]
    topic = "events"
    validate = { registry = true, format = "json" }
"#;

fn gateway() -> Gateway {
    Gateway::with(Config::parse("t.toml", RULES).unwrap())
}

fn learn(gateway: &Gateway) {
    let schema = Schema::parse(Format::Json, "{}", &[]).unwrap();
    gateway.subjects.get("events-value").unwrap().confirm(Some(Known { id: 1, schema }), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_decoded_nor_held_while_schemas_are_waited_for() {
    let gateway = gateway();
    let (mut client, _) = gateway.client("a", 1).await;
    client.events(1, &[r#"{"type":"t","data":1}"#; 100]).await;
    gateway.settled_down().await;
    assert_eq!(gateway.metrics.bytes_in_flight.get(), 0);
    learn(&gateway);
    gateway.sink.holds(100).await;
    gateway.commit_all().await;
    client.acked(100).await;
    gateway.assert_accounted();
}
