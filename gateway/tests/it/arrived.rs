//! What the demo page is shown of what arrives.

use std::path::Path;

use serde_json::{Value, json};

use crate::destination::Destination;
use crate::gateway::Gateway;

const PATH: &str = "/demo/arrived";

fn demo() -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web-client/demo");
    format!("demo.directory = \"{}\"", directory.display())
}

/// The lines of a stream as they come.
struct Lines {
    answer: reqwest::Response,
    rest: Vec<u8>,
}

impl Lines {
    async fn open(gateway: &Gateway) -> Self {
        Self::open_at(gateway, PATH).await
    }

    async fn open_at(gateway: &Gateway, path: &str) -> Self {
        let answer = gateway.http.get(gateway.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        Self { answer, rest: Vec::new() }
    }

    /// The next line that is not blank; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                if line.len() > 1 {
                    return Some(serde_json::from_slice(&line).unwrap());
                }
            }
            self.rest.extend_from_slice(&self.answer.chunk().await.unwrap()?);
        }
    }
}

async fn send(gateway: &Gateway, events: Value) {
    let answer = gateway.http.post(gateway.url("/v1/events")).json(&events).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_the_log_is_shown_until_the_gateway_ends() {
    let mut gateway = Gateway::start(&demo()).await;
    send(&gateway, json!([{"type": "before"}])).await;
    let mut lines = Lines::open(&gateway).await;
    let mut others = Lines::open(&gateway).await;
    send(&gateway, json!([{"type": "one", "id": "a"}, {"type": "two", "data": {"n": 2}}])).await;
    for lines in [&mut lines, &mut others] {
        let one = lines.next().await.unwrap();
        assert_eq!((&one["sequence"], &one["topic"]), (&json!(2), &json!("events")));
        assert_eq!((&one["event"]["type"], &one["event"]["id"]), (&json!("one"), &json!("a")));
        let two = lines.next().await.unwrap();
        assert_eq!((&two["sequence"], &two["event"]["data"]), (&json!(3), &json!({"n": 2})));
    }
    let shown = gateway.tail();
    assert_eq!(shown.len(), 3, "what is shown is in the log too");
    gateway.terminate();
    assert_eq!(lines.next().await, None);
    assert!(gateway.ended().await.success());

    gateway.launch();
    gateway.ready().await;
    let mut again = Lines::open_at(&gateway, "/demo/arrived?after=2").await;
    assert_eq!(again.next().await.unwrap()["sequence"], 3, "it goes on where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_shown_to_the_demo_page_alone() {
    let gateway = Gateway::start(&demo()).await;
    let get = |name, value| gateway.http.get(gateway.url(PATH)).header(name, value).send();
    for (name, value) in [
        ("origin", "http://localhost:5173"),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("host", "evil.example"),
    ] {
        let answer = get(name, value).await.unwrap();
        assert_eq!(answer.status(), 403, "{name}: {value}");
        assert!(answer.text().await.unwrap().contains("origins.allow"));
    }
    let secure = format!("https://localhost:{}{PATH}", gateway.secure.port());
    assert_eq!(gateway.http.get(secure).send().await.unwrap().status(), 404);
    assert_eq!(gateway.http.post(gateway.url(PATH)).send().await.unwrap().status(), 405);

    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(Lines::open(&gateway).await);
    }
    let one_more = get("sec-fetch-site", "same-origin").await.unwrap();
    assert_eq!(
        (one_more.status().as_u16(), &one_more.headers()["retry-after"]),
        (503, &"5".parse().unwrap())
    );
    drop(readers);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_demo_or_where_tokens_guard_events_nothing_is_shown() {
    let without = Gateway::start("").await;
    assert_eq!(without.http.get(without.url(PATH)).send().await.unwrap().status(), 404);

    let hash = format!("hmac-sha256:{}", "0".repeat(64));
    let tokens =
        format!("{}\n[auth]\nmode = \"tokens\"\n[[auth.tokens]]\nid = \"web\"\nhash = \"{hash}\"", demo());
    let guarded = Gateway::start(&tokens).await;
    let answer = guarded.http.get(guarded.url(PATH)).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await.unwrap().contains("tidegate tail"));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_kafka_it_says_where_to_look_instead() {
    let kafka = Destination::shared_kafka().await;
    let topic = kafka.topic(1).await;
    let route = format!("{}\n[[routes]]\ntopic = \"{topic}\"", demo());
    let gateway = Gateway::start_with_kafka(&kafka.brokers().brokers(), &route).await;
    let mut lines = Lines::open(&gateway).await;
    let line = lines.next().await.unwrap();
    assert!(line["elsewhere"].as_str().unwrap().contains("consumer"), "{line}");
    assert_eq!(lines.next().await, None);
}
