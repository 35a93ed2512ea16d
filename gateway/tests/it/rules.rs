//! Rules as operators and clients meet them: what they drop is acknowledged and goes nowhere, and they change while
//! events pass.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use tidegate::deliver::log::Cursor;
use tidegate_wire::Code;

use crate::client::{Carrier, Sender};
use crate::gateway::{Gateway, PATIENCE};
use crate::recordings::recording;

/// Drops events whose `x` or `y` is `letter`.
fn drops(letter: &str) -> String {
    format!(
        "[[routes]]\ntopic = \"events\"\n[[routes.filters]]\nname = \"x\"\ndrop = 'data.x == \"{letter}\"'\n\
         [[routes.filters]]\nname = \"y\"\ndrop = 'data.y == \"{letter}\"'\n"
    )
}

fn event(n: usize, x: &str, y: &str) -> Vec<u8> {
    format!(r#"{{"type":"t","data":{{"n":{n},"x":"{x}","y":"{y}"}}}}"#).into_bytes()
}

/// Waits until the series has this value.
async fn until(gateway: &Gateway, series: &str, value: f64) {
    let reached = async {
        while gateway.metrics().await.get(series) != value {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{series} is not {value}"));
}

/// A gateway's file, to be written again with other rules.
struct File {
    path: PathBuf,
    base: String,
}

impl File {
    fn of(gateway: &Gateway) -> Self {
        let path = gateway.path("tidegate.toml");
        Self { base: std::fs::read_to_string(&path).unwrap(), path }
    }

    /// In one step, so that nobody reads half of it.
    fn write(&self, before: &str, rules: &str) {
        let aside = self.path.with_extension("new");
        std::fs::write(&aside, format!("{before}\n{}\n{rules}", self.base)).unwrap();
        std::fs::rename(aside, &self.path).unwrap();
    }
}

fn hang_up(gateway: &Gateway) {
    kill_process(gateway.pid(), Signal::HUP).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_judged_by_one_set_of_rules_while_they_change_and_none_is_lost() {
    let gateway = Gateway::start("").await;
    let file = File::of(&gateway);
    let applied = async |times: u32| {
        until(&gateway, "tidegate_config_reloads_total{result=\"applied\"}", f64::from(times)).await;
    };
    file.write("", &drops("a"));
    applied(1).await;
    // Both sets drop every other event, for different fields: only half of each would let it pass.
    let events: Vec<_> =
        (0..40_000).map(|n| if n % 2 == 0 { event(n, "c", "c") } else { event(n, "a", "b") }).collect();
    let mut sender = Sender::new("web-1", &events, 20);
    let sent = sender.run(&gateway, Carrier::WebSocket, u64::MAX);
    let changed = async {
        for round in 2..=20u32 {
            file.write("", &drops(if round % 2 == 0 { "b" } else { "a" }));
            hang_up(&gateway);
            applied(round).await;
        }
    };
    let (sent, ()) = tokio::join!(sent, changed);
    sent.unwrap();
    assert!(sender.is_done());
    // This client said `verbose`, so it hears of them.
    assert_eq!(sender.refused.len(), 20_000);
    assert!(sender.refused.values().all(|code| *code == Code::Filtered));
    let numbers: Vec<_> = gateway.tail().iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..40_000).step_by(2).collect::<Vec<u64>>());
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.get("tidegate_events_total{carrier=\"websocket\",outcome=\"filtered\"}"), 20_000.0);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_leaves_the_rules_as_they_are_and_operators_are_told() {
    let gateway = Gateway::start("").await;
    let (file, stale) = (File::of(&gateway), "tidegate_config_stale");
    file.write("", &drops("a"));
    until(&gateway, "tidegate_config_reloads_total{result=\"applied\"}", 1.0).await;
    let wrong = drops("b").replace("data.y ==", "data.y =");
    for (before, rules, said) in [
        ("", wrong, "is not part of the language"),
        ("limits.sessions = 7", drops("b"), "[limits] has changed"),
        ("", drops("b").replace("events", "others"), "the topic `others` is new"),
    ] {
        // Nobody has to say so: the file has changed.
        file.write(before, &rules);
        until(&gateway, stale, 1.0).await;
        let (status, readiness) = gateway.readiness().await;
        assert_eq!(status, 200);
        assert!(readiness.contains("the configuration file is not what is in use"), "{readiness}");
        assert!(gateway.log().contains(said), "{said} is not in\n{}", gateway.log());
        file.write("", &drops("a"));
        until(&gateway, stale, 0.0).await;
        assert!(!gateway.readiness().await.1.contains("in use"));
    }
    let events = [event(1, "a", "c"), event(2, "b", "c")];
    let mut sender = Sender::new("web-2", &events, 2);
    sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    let stored = gateway.tail();
    assert_eq!(stored.iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect::<Vec<_>>(), [2]);
    let metrics = gateway.metrics().await;
    assert_eq!(
        metrics
            .get("tidegate_rule_events_total{route=\"1\",operator=\"filter\",rule=\"x\",result=\"dropped\"}"),
        1.0
    );
    assert_eq!(metrics.get("tidegate_config_reloads_total{result=\"refused\"}"), 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_remember_outlives_a_change_of_others() {
    let dedup = |window: &str| {
        format!("[[routes]]\ntopic = \"events\"\ndedup = {{ key = 'data.n', window = \"{window}\" }}\n")
    };
    let gateway = Gateway::start("").await;
    let (file, events) = (File::of(&gateway), [event(1, "a", "a")]);
    let other = "[[routes.filters]]\ndrop = 'data.x == \"z\"'\n";
    for (round, rules, passes) in
        [(1, dedup("1h"), true), (2, dedup("1h") + other, false), (3, dedup("2h") + other, true)]
    {
        file.write("", &rules);
        until(&gateway, "tidegate_config_reloads_total{result=\"applied\"}", f64::from(round)).await;
        let name = format!("web-{round}");
        let mut sender = Sender::new(&name, &events, 1);
        sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
        assert_eq!(sender.refused.is_empty(), passes, "{rules}");
    }
    assert_eq!(gateway.tail().len(), 2);
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_keeps_of_recorded_events_what_it_says() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/rules.toml");
    let gateway = Gateway::start(&std::fs::read_to_string(example).unwrap()).await;
    let (quakes, weather) = (recording("earthquakes"), recording("weather"));
    for (name, events) in [("quakes", &quakes), ("weather", &weather)] {
        let mut sender = Sender::new(name, events, 100);
        sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
        assert!(sender.is_done());
    }
    let field = |event: &Value, name: &str| event["data"][name].clone();
    let number = |event: &Value, name: &str| field(event, name).as_f64();
    let is_kept = |event: &Value| match event["type"].as_str() {
        Some("quake.detected") => {
            let is_felt = number(event, "magnitude").is_some_and(|magnitude| magnitude >= 2.5)
                || number(event, "significance").unwrap() > 100.0;
            is_felt && !(field(event, "status") == "automatic" && field(event, "stations").is_null())
        }
        _ => {
            number(event, "wind").unwrap() > 4.5
                || number(event, "temperature").unwrap() < 4.0
                || number(event, "pressure").unwrap() < 1010.0
        }
    };
    let sent = quakes.iter().chain(&weather).map(|event| serde_json::from_slice::<Value>(event).unwrap());
    let expected: Vec<_> = sent.filter(|event| is_kept(event)).map(|event| event["data"].clone()).collect();
    let stored: Vec<_> = gateway.tail().iter().map(|event| event["data"].clone()).collect();
    assert_eq!(stored, expected);
    let metrics = gateway.metrics().await;
    for (route, rule, result, count) in [
        ("quakes", "felt", "dropped", 1_409.0),
        ("quakes", "felt", "kept", 298.0),
        ("quakes", "unconfirmed", "dropped", 32.0),
        ("quakes", "region", "would_drop", 201.0),
        ("weather", "alarming", "kept", 308.0),
        ("weather", "alarming", "dropped", 8_451.0),
    ] {
        let series = format!(
            "tidegate_rule_events_total{{route=\"{route}\",operator=\"filter\",rule=\"{rule}\",result=\"{result}\"}}"
        );
        assert_eq!(metrics.get(&series), count, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_an_event_gives_is_one_of_the_list() {
    let rules = "[[routes]]\ntopic = \"web-{shop}\"\ntopics = [\"web-a\", \"web-b\"]\n";
    let gateway = Gateway::start(rules).await;
    let shops = ["a", "b", "c", "a"];
    let events = shops.map(|shop| format!(r#"{{"type":"t","shop":"{shop}","data":1}}"#).into_bytes());
    let mut sender = Sender::new("web-1", &events, 2);
    sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    assert_eq!(sender.refused.values().copied().collect::<Vec<_>>(), [Code::Unrouted]);
    let mut cursor = Cursor::open(&gateway.path("log"), 1).unwrap();
    let mut topics = Vec::new();
    while let Some(record) = cursor.next().unwrap() {
        topics.push(record.topic.to_owned());
    }
    assert_eq!(topics, ["web-a", "web-b", "web-a"]);
    gateway.assert_accounted().await;
}
