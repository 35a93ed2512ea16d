//! Rates as clients meet them: over real sockets nothing is lost for being too fast, and who heeds what it is told gets
//! everything through.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Carrier, Link, Sender};
use crate::gateway::{Gateway, PATIENCE};
use crate::loadtest::loadtest;

fn events(count: usize) -> Vec<Vec<u8>> {
    (1..=count).map(|n| format!(r#"{{"type":"t","data":{{"n":{n}}}}}"#).into_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_any_carrier_waits_for_its_rate_and_all_of_it_arrives_in_order() {
    let gateway = Gateway::start("rates.client.events_per_second = 200\n").await;
    let events = events(700);
    let began = Instant::now();
    let run = async |carrier: Carrier| {
        let mut sender = Sender::new(&format!("{carrier:?}"), &events, 50);
        sender.run(&gateway, carrier, u64::MAX).await.unwrap();
        assert!(sender.is_done() && sender.refused.is_empty());
    };
    let [a, b, c, d] = Carrier::ALL;
    tokio::join!(run(a), run(b), run(c), run(d));
    // A burst and a window of as much again are ahead of the rate.
    assert!(began.elapsed() >= Duration::from_millis(1_500), "{:?}", began.elapsed());
    let metrics = gateway.metrics().await;
    assert!(metrics.get("tidegate_rate_limited_total{limit=\"client\"}") >= 4.0);
    assert!(metrics.get("tidegate_credit_stalls_total{reason=\"rate\"}") >= 4.0);
    assert_eq!(metrics.get("tidegate_rate_keys{limit=\"client\"}"), 4.0);
    let stored = gateway.tail();
    for carrier in Carrier::ALL {
        let source = format!("/default/{carrier:?}");
        let numbers = stored.iter().filter(|event| event["source"] == source.as_str());
        let numbers: Vec<u64> = numbers.map(|event| event["data"]["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (1..=700).collect::<Vec<_>>(), "{carrier:?}");
    }
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_too_soon_is_told_when_to_come_and_is_taken_then() {
    let gateway = Gateway::start("rates.tenant.events_per_second = 2\n").await;
    let post = async |body: String| {
        let request =
            gateway.http.post(gateway.url("/v1/events")).header("content-type", "application/x-ndjson");
        request.body(body).send().await.unwrap()
    };
    let field = |answer: &reqwest::Response, name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    let (eight, one) = ("{\"type\":\"a\"}\n".repeat(8), "{\"type\":\"b\"}".to_owned());
    let mut expected = Vec::new();
    // What exceeds the burst is made up for in 3 s; a machine that takes as long for a request is given another try.
    let refused = loop {
        let taken = post(eight.clone()).await;
        if taken.status() == 200 {
            expected.extend(["a"; 8]);
            assert_eq!(field(&taken, "ratelimit-policy"), r#""tenant-events";q=2;w=1;qu="events""#);
            assert!(field(&taken, "ratelimit").starts_with(r#""tenant-events";r="#));
        }
        let answer = post(one.clone()).await;
        match answer.status().as_u16() {
            429 => break answer,
            _ => expected.push("b"),
        }
    };
    let retry_after: u64 = field(&refused, "retry-after").parse().unwrap();
    assert!((1..=6).contains(&retry_after), "{retry_after}");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!((problem["status"].as_u64(), problem["reason"].as_str()), (Some(429), Some("quota")));
    tokio::time::sleep(Duration::from_secs(retry_after)).await;
    assert_eq!(post(one).await.status(), 200);
    expected.push("b");
    let stored: Vec<_> = gateway.tail().into_iter().map(|event| event["type"].clone()).collect();
    assert_eq!(stored, expected, "what was refused was not taken");
    let refusals = "tidegate_refused_total{surface=\"http\",reason=\"quota\"}";
    assert!(gateway.metrics().await.get(refusals) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_over_all_carriers_and_the_operators_are_not_concerned() {
    let gateway = Gateway::start("rates.address.connections = 3\n").await;
    let mut open = Vec::new();
    for carrier in [Carrier::Quic, Carrier::WebSocket, Carrier::WebTransport] {
        open.push(Link::connect(&gateway, carrier).await.unwrap());
    }
    for carrier in Carrier::ALL {
        assert!(Link::connect(&gateway, carrier).await.is_err(), "{carrier:?}");
    }
    let metrics = gateway.metrics().await;
    for (surface, refused) in [("quic", 2.0), ("tcp", 2.0)] {
        let series = format!("tidegate_refused_total{{surface=\"{surface}\",reason=\"address\"}}");
        assert_eq!(metrics.get(&series), refused, "{surface}");
    }
    open.clear();
    let deadline = Instant::now() + PATIENCE;
    while Link::connect(&gateway, Carrier::WebSocketJson).await.is_err() {
        assert!(Instant::now() < deadline, "whoever went has made room");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_generator_obeys_and_gets_everything_through() {
    let gateway =
        Gateway::start("rates.client.events_per_second = 150\nrates.address.events_per_second = 200\n").await;
    let run = async |events: u64, more: &str| {
        let url = gateway.plain;
        let run = format!("run http://{url} --clients 2 --events {events} --json {more}");
        let report = loadtest(&run).await.faultless();
        report.assert_accounted();
        assert_eq!(report.count("acknowledged"), events, "{more}: {:#}", report.0);
        report
    };
    // Of which no number fills a window: what is left of it while credit is held back is less than a frame.
    run(840, "--carrier websocket --batch 70").await;
    let limited = "tidegate_rate_limited_total{limit=\"address\"}";
    assert!(gateway.metrics().await.get(limited) > 0.0, "200 events a second were more than it had");
    let report = run(320, "--carrier https --numbered --batch 20").await;
    assert!(report.0["statuses"]["429"].as_u64().is_some_and(|times| times > 0), "{:#}", report.0);
    assert_eq!(gateway.tail().len(), 1_160);
    gateway.assert_accounted().await;
}
