//! What an HTTP body is, by the table of the protocol, over HTTP/1.1 and HTTP/2; and curl.

use std::process::Command;

use serde_json::{Value, json};

use crate::gateway::Gateway;

/// A request by its headers and body, the status it earns, and of each event that arrives type, data and content type.
struct Case {
    what: &'static str,
    query: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    arrives: Value,
}

fn case(
    what: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    arrives: Value,
) -> Case {
    Case { what, query: "", headers, body, status, arrives }
}

const EVENT: &str = r#"{"type":"t","data":{"n":1}}"#;
const TWO: &str = r#"[{"type":"t","data":1},{"type":"u"}]"#;

// A case is a line.
#[rustfmt::skip]
fn table() -> Vec<Case> {
    let one = || json!([["t", {"n": 1}, "application/json"]]);
    let two = || json!([["t", 1, "application/json"], ["u", null, "application/json"]]);
    let none = || json!([]);
    vec![
        case("an event", &[("content-type", "application/cloudevents+json")], EVENT, 200, one()),
        case("an event in UTF-8", &[("content-type", "application/cloudevents+json; charset=utf-8")], EVENT, 200, one()),
        case("an array for one event", &[("content-type", "application/cloudevents+json")], TWO, 400, none()),
        case("a batch", &[("content-type", "application/cloudevents-batch+json")], TWO, 200, two()),
        case("an empty batch", &[("content-type", "application/cloudevents-batch+json")], "[]", 200, none()),
        case("one event for a batch", &[("content-type", "application/cloudevents-batch+json")], EVENT, 400, none()),
        case("binary mode", &[("ce-type", "b%20c"), ("ce-id", "1"), ("content-type", "text/csv")], "1,2", 200, json!([["b c", "MSwy", "text/csv"]])),
        case("binary mode with JSON", &[("ce-type", "b"), ("content-type", "application/json")], "[1]", 200, json!([["b", [1], "application/json"]])),
        case("binary mode without a body", &[("ce-type", "b")], "", 200, json!([["b", null, "application/json"]])),
        Case { query: "?type=hook", ..case("a webhook", &[("content-type", "application/json")], r#"{"a":1}"#, 200, json!([["hook", {"a": 1}, "application/json"]])) },
        Case { query: "?type=hook", ..case("a form", &[("content-type", "application/x-www-form-urlencoded")], "a=1", 200, json!([["hook", "YT0x", "application/x-www-form-urlencoded"]])) },
        Case { query: "?type=hook", ..case("headers before the query", &[("ce-type", "b"), ("content-type", "application/json")], "1", 200, json!([["b", 1, "application/json"]])) },
        Case { query: "?type=hook", ..case("structured before the query", &[("content-type", "application/cloudevents+json")], EVENT, 200, one()) },
        case("JSON, an event", &[("content-type", "application/json")], EVENT, 200, one()),
        case("JSON, an array", &[("content-type", "Application/JSON")], TWO, 200, two()),
        case("JSON, neither", &[("content-type", "application/json")], "17", 400, none()),
        case("lines", &[("content-type", "application/x-ndjson")], "{\"type\":\"t\",\"data\":1}\n\n{\"type\":\"u\"}\n", 200, two()),
        case("lines as a beacon", &[("content-type", "text/plain;charset=UTF-8")], EVENT, 200, one()),
        case("a good line and a bad one", &[("content-type", "application/x-ndjson")], "{\"type\":\"t\",\"data\":{\"n\":1}}\nx", 200, one()),
        case("bad lines alone", &[("content-type", "text/plain")], "x\ny", 422, none()),
        case("no content type", &[], EVENT, 415, none()),
        case("another content type", &[("content-type", "application/xml")], "<a/>", 415, none()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_what_the_table_says_over_both_versions() {
    let gateway = Gateway::start("").await;
    let mut expected = Vec::new();
    for case in table() {
        for (url, version) in [
            (gateway.url("/v1/events"), reqwest::Version::HTTP_11),
            (format!("https://{}/v1/events", gateway.secure), reqwest::Version::HTTP_2),
        ] {
            let mut request = gateway.http.post(format!("{url}{}", case.query)).body(case.body);
            for (name, value) in case.headers {
                request = request.header(*name, *value);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.version(), version);
            let status = answer.status().as_u16();
            assert_eq!(status, case.status, "{} over {version:?}: {:?}", case.what, answer.text().await);
            expected.extend(case.arrives.as_array().unwrap().iter().cloned());
        }
    }
    let arrived: Vec<Value> = gateway.tail().iter().map(brief).collect();
    assert_eq!(arrived, expected);
    gateway.assert_accounted().await;
}

fn brief(event: &Value) -> Value {
    let data = event.get("data").or_else(|| event.get("data_base64"));
    json!([event["type"], data, event.get("datacontenttype")])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_would_rather_not_wait_is_told_that_it_was_admitted() {
    let gateway = Gateway::start("").await;
    let request = gateway
        .http
        .post(gateway.url("/v1/events"))
        .header("content-type", "application/json")
        .header("prefer", "respond-async");
    let answer = request.body(r#"[{"type":"t"},{"data":1}]"#).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["preference-applied"]),
        (202, &"respond-async".parse().unwrap())
    );
    let answer: Value = answer.json().await.unwrap();
    assert_eq!((&answer["admitted"], &answer["rejected"][0]["index"]), (&json!(1), &json!(1)));
    gateway.assert_accounted().await;
    assert_eq!(gateway.tail().len(), 1);
}

/// Names of the headers of an answer that let pages do something.
fn permissions(answer: &reqwest::Response) -> Vec<&str> {
    answer
        .headers()
        .keys()
        .map(reqwest::header::HeaderName::as_str)
        .filter(|name| name.starts_with("access-control-"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_can_read_why_it_is_refused_and_may_do_nothing_else() {
    const FOREIGN: &str = "https://evil.example";
    let gateway = Gateway::start("").await;
    for base in [gateway.url(""), format!("https://{}", gateway.secure)] {
        let url = format!("{base}/v1/events");
        let of_page = |request: reqwest::RequestBuilder| request.header("origin", FOREIGN);
        // What needs no preflight, and what would need one.
        for content_type in ["text/plain", "application/json"] {
            let post = gateway.http.post(&url).header("content-type", content_type).body(EVENT);
            let answer = of_page(post).send().await.unwrap();
            assert_eq!(answer.status(), 403);
            assert_eq!(answer.headers()["access-control-allow-origin"], FOREIGN);
            assert_eq!(answer.headers()["vary"], "origin");
            assert_eq!(permissions(&answer), ["access-control-allow-origin"], "{content_type} to {url}");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["reason"], "origin");
            assert!(problem["detail"].as_str().unwrap().contains("origins.allow"), "{problem}");
        }
        let preflight = gateway.http.request(reqwest::Method::OPTIONS, &url);
        let preflight = preflight.header("access-control-request-method", "POST");
        let answer = of_page(preflight).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), permissions(&answer)), (403, vec![]), "{url}");
        let answer = of_page(gateway.http.get(format!("{base}/nothing"))).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), permissions(&answer)), (404, vec![]), "other refusals");
    }
    assert_eq!(gateway.tail().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_beyond_the_greatest_are_a_bad_request() {
    let gateway = Gateway::start("").await;
    for (seq, status) in
        [("9007199254740990", 200), ("9007199254740991", 400), ("9007199254740992", 400), ("0", 400)]
    {
        let request = gateway
            .http
            .post(gateway.url("/v1/events"))
            .header("content-type", "application/json")
            .header("tidegate-client", "a")
            .header("tidegate-epoch", "1")
            .header("tidegate-seq", seq);
        let answer = request.body(TWO).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{seq}");
    }
}

/// curl asks before it sends a large body.
#[tokio::test(flavor = "multi_thread")]
async fn curl_is_told_to_continue() {
    let gateway = Gateway::start("").await;
    let body = format!(r#"{{"type":"t","data":"{}"}}"#, "x".repeat(100 << 10));
    std::fs::write(gateway.path("body"), body).unwrap();
    let output = Command::new("curl")
        .args(["--silent", "--verbose", "--http1.1", "--noproxy", "*", "--max-time", "30"])
        .args(["--header", "content-type: application/json", "--header", "expect: 100-continue"])
        .arg("--data-binary")
        .arg(format!("@{}", gateway.path("body").display()))
        .arg(gateway.url("/v1/events"))
        .output()
        .expect("curl is installed");
    let (said, answer) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    assert!(said.contains("< HTTP/1.1 100 Continue") && said.contains("< HTTP/1.1 200 OK"), "{said}");
    assert!(answer.contains(r#""accepted":1"#), "{answer}");
}
