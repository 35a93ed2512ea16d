//! Many events to one record: of what clients were told is safe nothing is missing, and every event counts once.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidegate_wire::GatewayFrame;

use crate::client::{Carrier, Client, Sender};
use crate::destination::Destination;
use crate::gateway::{Gateway, PATIENCE};

fn rule(window: &str) -> String {
    format!(
        "shutdown.spread_ms = 0\n[[routes]]\nname = \"sums\"\nwhen = 'type == \"n\"'\ntopic = \"events\"\n\
         aggregate = {{ key = 'data.k', window = \"{window}\", values = {{ n = 'data.n' }} }}\n\
         [[routes]]\ntopic = \"events\"\n"
    )
}

/// Events 1 to `count`, in five groups.
fn numbered(count: u64) -> Vec<Vec<u8>> {
    let event = |n: u64| format!(r#"{{"type":"n","data":{{"k":"k{}","n":{n}}}}}"#, n % 5).into_bytes();
    (1..=count).map(event).collect()
}

/// Of all records together: by key, how many events and their sum.
fn totals(records: &[Value]) -> BTreeMap<String, (u64, u64)> {
    let mut totals = BTreeMap::new();
    for record in records {
        let data = &record["data"];
        let (count, sum) = totals.entry(data["key"].as_str().unwrap().to_owned()).or_insert((0, 0));
        *count += data["count"].as_u64().unwrap();
        *sum += data["values"]["n"]["sum"].as_u64().unwrap();
        assert_eq!(data["values"]["n"]["count"], data["count"]);
    }
    totals
}

/// What [`totals`] must be of [`numbered`] events, each counted `times`.
fn expected(count: u64, times: u64) -> BTreeMap<String, (u64, u64)> {
    let mut expected = BTreeMap::new();
    for n in 1..=count {
        let (count, sum) = expected.entry(format!("k{}", n % 5)).or_insert((0, 0));
        *count += times;
        *sum += times * n;
    }
    expected
}

/// Waits until no window of `seconds` ends soon.
async fn well_within_a_window(seconds: u64) {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    while now() % seconds > seconds - 60 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until so many events are in windows.
async fn waiting(gateway: &Gateway, events: f64) {
    let reached = async {
        while gateway.metrics().await.get("tidegate_aggregate_events") != events {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("not {events} in windows"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_counts_once_whatever_carries_it_and_requests_have_their_answer() {
    let gateway = Gateway::start(&rule("1s")).await;
    let events = numbered(3_000);
    let sending = Carrier::ALL.iter().enumerate().map(async |(index, carrier)| {
        let mut sender = Sender::new(&format!("device-{index}"), &events, 50);
        sender.run(&gateway, *carrier, u64::MAX).await.unwrap();
        assert!(sender.is_done());
    });
    let body =
        format!("[{},{}]", r#"{"type":"n","data":{"k":"k0","n":0}}"#, r#"{"type":"n","data":{"k":"k0"}}"#);
    let request = gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/json");
    let (_, answer) = tokio::join!(futures_util::future::join_all(sending), request.body(body).send());
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["accepted"], 2, "{answer}");
    let mut records = gateway.tail();
    let without = records.iter_mut().map(|record| &mut record["data"]);
    let mut without_number = 0;
    for data in without {
        let (all, with) = (data["count"].as_u64().unwrap(), data["values"]["n"]["count"].as_u64().unwrap());
        without_number += all - with;
        data["count"] = json!(with);
    }
    assert_eq!(without_number, 1);
    let mut expected = expected(3_000, 4);
    expected.get_mut("k0").unwrap().0 += 1;
    assert_eq!(totals(&records), expected);
    gateway.assert_accounted().await;
    let metrics = gateway.metrics().await;
    let rule = "route=\"sums\",operator=\"aggregate\",rule=\"1\"";
    let changed = metrics.get(&format!("tidegate_rule_events_total{{{rule},result=\"changed\"}}"));
    assert_eq!(changed, 12_002.0);
    assert_eq!(metrics.get(&format!("tidegate_rule_faults_total{{{rule}}}")), 1.0);
    let told = f64::from(u32::try_from(records.len()).unwrap());
    assert_eq!(metrics.sum("tidegate_aggregates_total", "sums"), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_window_loses_nothing_and_counts_nothing_twice() {
    let mut gateway = Gateway::start(&rule("5m")).await;
    let events = numbered(400);
    well_within_a_window(300).await;
    for _ in 0..2 {
        let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
        assert_eq!(client.welcome.upto, 0, "nothing was acknowledged before");
        client.events(1, &events).await.unwrap();
        waiting(&gateway, 400.0).await;
        gateway.kill();
        client.vanish();
        gateway.launch();
        gateway.ready().await;
        assert_eq!(gateway.tail().len(), 0);
    }
    let mut client = Client::open(&gateway, Carrier::WebSocket, "device-1", 1).await;
    client.events(1, &events).await.unwrap();
    waiting(&gateway, 400.0).await;
    // Now it goes in good order, which closes the window: what was told is safe is there.
    gateway.terminate();
    loop {
        match client.next().await.unwrap() {
            GatewayFrame::Ack(ack) if ack.upto == 400 => break,
            GatewayFrame::Ack(_) | GatewayFrame::Goaway(_) => {}
            other => panic!("expected ACK, got {other:?}"),
        }
    }
    assert!(gateway.ended().await.success());
    let records = gateway.tail();
    assert_eq!(records.len(), 5);
    assert_eq!(totals(&records), expected(400, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_under_load_lose_nothing_that_was_acknowledged() {
    let mut gateway = Gateway::start(&rule("1s")).await;
    let events = numbered(6_000);
    let mut sender = Sender::new("device-1", &events, 20);
    let mut acknowledged_before = 0;
    for kill in 1..=3 {
        let mut progress = sender.progress.subscribe();
        let sending = sender.run(&gateway, Carrier::WebSocket, u64::MAX);
        let pid = gateway.pid();
        let killing = async {
            progress.wait_for(|upto| *upto > acknowledged_before).await.unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        };
        let (sent, ()) = tokio::join!(sending, killing);
        assert!(sent.is_err(), "all was sent before kill {kill}");
        acknowledged_before = sender.upto;
        gateway.ended().await;
        gateway.launch();
        gateway.ready().await;
    }
    sender.run(&gateway, Carrier::WebSocket, u64::MAX).await.unwrap();
    assert!(sender.is_done());
    let (told, expected) = (totals(&gateway.tail()), expected(6_000, 1));
    for (key, (count, sum)) in &expected {
        let (counted, summed) = told[key];
        // What was durable and not acknowledged before a kill counts again.
        assert!(counted >= *count && summed >= *sum, "{key}: {counted} of {count}");
    }
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_kafka_the_key_of_a_record_is_that_of_its_group() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(2).await;
    let more = rule("1s").replace("\"events\"", &format!("\"{topic}\""));
    let more = more.rsplit_once("[[routes]]").unwrap().0;
    let gateway = kafka.gateway_with(&topic, more).await;
    let events = numbered(500);
    let mut sender = Sender::new("device-1", &events, 50);
    sender.run(&gateway, Carrier::Quic, u64::MAX).await.unwrap();
    let produced = kafka.produced(&gateway, &topic).await;
    let mut records = Vec::new();
    for record in produced {
        let event: Value = serde_json::from_str(&record.value).unwrap();
        assert_eq!(record.key.as_deref(), event["data"]["key"].as_str());
        records.push(event);
    }
    assert_eq!(totals(&records), expected(500, 1));
    gateway.assert_accounted().await;
}
