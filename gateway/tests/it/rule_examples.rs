//! The example rule sets, as their comments say: which of their events arrive, where, and what is left of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use tidegate_wire::Code;

use crate::client::{Carrier, Sender};
use crate::gateway::{self, Gateway};
use crate::kafka::Cluster;

/// The key that the expected hashes are made with.
const KEY: &str = "0123456789abcdef0123456789abcdef";
const SUMMARY: &str = "sensor.vibration.summary";

struct Example(&'static str);

impl Example {
    fn path(&self, file: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples").join(self.0).join(file)
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn events(&self) -> Vec<Vec<u8>> {
        let events: Vec<_> =
            self.text("events.ndjson").lines().map(|line| line.as_bytes().to_vec()).collect();
        assert!((20..=200).contains(&events.len()), "{} events", events.len());
        events
    }

    fn expected(&self) -> Vec<Value> {
        self.text("expected.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a command of the gateway prints of the file as it stands.
    fn printed(&self, command: &str, events: &[PathBuf]) -> String {
        let mut process = gateway::command();
        process.env("PSEUDONYM_KEY", KEY).arg(command).arg("--config").arg(self.path("tidegate.toml"));
        let output = process.args(events).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every record that the events would become, with its topic and key.
    fn explained(&self) -> Vec<Value> {
        let mut records = Vec::new();
        let mut target = None;
        for line in self.printed("explain", &[self.path("events.ndjson")]).lines().map(str::trim) {
            if let Some((topic, rest)) =
                line.strip_prefix("record for topic ").and_then(|rest| rest.split_once(", "))
            {
                target = Some((topic.to_owned(), rest.split('`').nth(1).unwrap().to_owned()));
            } else if let Some((topic, key)) = target.take() {
                let mut record: Value = serde_json::from_str(line).unwrap();
                (record["topic"], record["key"]) = (json!(topic), json!(key));
                records.push(record);
            }
        }
        records
    }

    /// A gateway with its rules, on other ports and in another directory.
    async fn gateway(&self, more: &str) -> Gateway {
        self.printed("check", &[]);
        let rules = self.text("tidegate.toml").replace("${PSEUDONYM_KEY}", KEY);
        let mut gateway = Gateway::prepare(&format!("{more}\n{rules}"));
        for file in std::fs::read_dir(self.path("")).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".schema.json") {
                std::fs::copy(self.path(&name), gateway.path(&name)).unwrap();
            }
        }
        gateway.launch();
        gateway.ready().await;
        gateway
    }
}

/// Sends all in order; how often each code was told.
async fn send(gateway: &Gateway, carrier: Carrier, events: &[Vec<u8>]) -> BTreeMap<&'static str, usize> {
    let mut sender = Sender::new("site-1", events, 7);
    sender.run(gateway, carrier, u64::MAX).await.unwrap();
    assert!(sender.is_done());
    let mut codes = BTreeMap::new();
    for code in sender.refused.values().copied().map(Code::name) {
        *codes.entry(code).or_default() += 1;
    }
    codes
}

/// Holds records to what is expected of them: those and no others, in this order, each with these members.
fn assert_as_expected(records: &[Value], expected: &[Value], but: &[&str]) {
    let ids = |all: &[Value]| all.iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(records), ids(expected));
    for (record, expected) in records.iter().zip(expected) {
        for (name, value) in
            expected.as_object().unwrap().iter().filter(|(name, _)| !but.contains(&name.as_str()))
        {
            assert_eq!(&record[name], value, "`{name}` of {record}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn web_analytics_learn_what_was_done_and_not_who_did_it() {
    let example = Example("web-analytics");
    let expected = example.expected();
    assert_as_expected(&example.explained(), &expected, &[]);

    let gateway = example.gateway("").await;
    let refused = send(&gateway, Carrier::WebTransport, &example.events()).await;
    let due = [
        ("duplicate", 2),
        ("filtered", 2),
        ("malformed", 1),
        ("sampled", 19),
        ("schema", 1),
        ("unrouted", 1),
    ];
    assert_eq!(refused, BTreeMap::from(due));
    assert_as_expected(&gateway.tail(), &expected, &["topic", "key"]);
    let stored = gateway.tail_raw();
    for secret in
        ["@", "%40", "ann-4711", "bob-12", "dora-9", "203.0.113.77", "8d3:1319", "token", "Mozilla", "debug"]
    {
        assert!(!stored.contains(secret), "{secret} is in\n{stored}");
    }
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_iot_fleet_arrive_changes_sums_and_alarms_and_nothing_stale_or_broken() {
    let example = Example("iot-fleet");
    let (sums, single): (Vec<_>, Vec<_>) =
        example.expected().into_iter().partition(|record| record["type"] == SUMMARY);
    assert_as_expected(&example.explained(), &single, &[]);

    let gateway = example.gateway("").await;
    let events = example.events();
    let refused = send(&gateway, Carrier::Quic, &events).await;
    let in_sums: u64 = sums.iter().map(|sum| sum["data"]["count"].as_u64().unwrap()).sum();
    let unchanged = events.len() - single.len() - usize::try_from(in_sums).unwrap() - 7 - 4;
    assert_eq!(refused, BTreeMap::from([("expired", 7), ("filtered", unchanged), ("schema", 4)]));
    let (parts, stored): (Vec<_>, Vec<_>) =
        gateway.tail().into_iter().partition(|record| record["type"] == SUMMARY);
    assert_as_expected(&stored, &single, &["topic", "key"]);
    let sums: Vec<_> = sums.iter().map(|sum| sum["data"].clone()).collect();
    assert_eq!(joined(&parts), sums);
    gateway.assert_accounted().await;
}

/// The parts of each group in one, by key.
fn joined(parts: &[Value]) -> Vec<Value> {
    let mut groups = BTreeMap::<String, Value>::new();
    for part in parts.iter().map(|part| &part["data"]) {
        let key = part["key"].as_str().unwrap();
        let group =
            groups.entry(key.to_owned()).or_insert_with(|| json!({"key": key, "count": 0, "values": {}}));
        group["count"] = add(&group["count"], &part["count"]);
        for (name, value) in part["values"].as_object().unwrap() {
            let none = json!({"count": 0, "sum": 0, "min": i64::MAX, "max": i64::MIN});
            let before = group["values"].get(name).unwrap_or(&none).clone();
            if value["count"] == 0 {
                continue;
            }
            let number = |of: &Value, name: &str| of[name].as_i64().unwrap();
            group["values"][name] = json!({
                "count": add(&before["count"], &value["count"]),
                "sum": add(&before["sum"], &value["sum"]),
                "min": number(&before, "min").min(number(value, "min")),
                "max": number(&before, "max").max(number(value, "max")),
            });
        }
    }
    groups.into_values().collect()
}

fn add(a: &Value, b: &Value) -> Value {
    json!(a.as_i64().unwrap() + b.as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_noisy_client_gets_its_share_and_no_other_notices() {
    let example = Example("noisy-client");
    let (events, expected) = (example.events(), example.expected());
    let gateway = example.gateway("").await;
    let begun = Instant::now();
    let refused = send(&gateway, Carrier::WebSocket, &events).await;
    // Beyond its burst a source gets a tenth of an event for each second that has passed.
    let more = usize::try_from(begun.elapsed().as_secs() / 10).unwrap();

    let stored = gateway.tail();
    assert_eq!(stored.len() + refused.values().sum::<usize>(), events.len(), "{refused:?}");
    assert_eq!((refused["schema"], refused["filtered"]), (2, 11));
    assert!(refused.keys().all(|code| ["schema", "filtered", "throttled"].contains(code)), "{refused:?}");
    let is_due = |record: &Value| expected.iter().any(|due| due["id"] == record["id"]);
    let (due, others): (Vec<_>, Vec<_>) = stored.into_iter().partition(is_due);
    assert_as_expected(&due, &expected, &["topic", "key"]);
    assert!(others.len() <= more, "{others:?}");
    assert!(others.iter().all(|other| other["source"] == "/apps/cart"), "{others:?}");

    let metrics = gateway.metrics().await;
    let trial = |result: &str| {
        metrics.get(&format!(
            "tidegate_rule_events_total{{route=\"errors\",operator=\"throttle\",rule=\"trial\",result=\"{result}\"}}"
        ))
    };
    let errors = expected.iter().filter(|due| due["topic"] == "log-errors").count();
    assert_eq!(trial("kept") + trial("would_drop"), f64::from(u32::try_from(errors).unwrap()));
    assert!(trial("would_drop") <= 2.0 && (more > 0 || trial("would_drop") == 2.0));
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_the_noisy_clients_records_are_in_their_topics_and_what_does_not_fit_is_a_dead_letter() {
    let example = Example("noisy-client");
    let (events, expected) = (example.events(), example.expected());
    let kafka = Cluster::shared().await;
    for topic in ["log-errors", "log-details", "logs", "logs-dead"] {
        kafka.create_topic(topic, 1).await;
    }
    let gateway = example.gateway(&format!("kafka.brokers = \"{}\"", kafka.brokers())).await;
    send(&gateway, Carrier::WebSocketJson, &events).await;
    for topic in ["log-errors", "log-details", "logs"] {
        let due: Vec<_> = expected.iter().filter(|due| due["topic"] == topic).cloned().collect();
        let records = kafka.consume(topic).await.into_iter().map(|record| {
            let mut event: Value = serde_json::from_slice(&record.value).unwrap();
            event["key"] = json!(record.key.map(|key| String::from_utf8(key).unwrap()));
            event
        });
        // A busy machine takes seconds, in which a source may send once more.
        let is_due = |event: &Value| due.iter().any(|due| due["id"] == event["id"]);
        let records: Vec<_> = records.filter(is_due).collect();
        assert_as_expected(&records, &due, &["topic"]);
    }
    let dead = kafka.consume("logs-dead").await;
    assert_eq!(dead.len(), 2);
    for (record, why) in dead.iter().zip(["/required", "/properties/severity/enum"]) {
        assert_eq!(record.headers["tidegate-reason"], "schema");
        assert_eq!(record.headers["tidegate-topic"], "logs");
        assert!(record.headers["tidegate-message"].contains(why), "{:?}", record.headers);
    }
    gateway.assert_accounted().await;
}
