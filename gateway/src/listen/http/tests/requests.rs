use tidegate_wire::inflate::{Encoding, deflate};
use tidegate_wire::{Level, Reason, Reject};

use super::*;
use crate::listen::link::Standing;

const JSON: &str = "POST /v1/events HTTP/1.1\nContent-Type: application/json\n";

#[tokio::test]
async fn a_bad_request_gets_its_status_its_problem_and_its_count() {
    let site = Site::start_with(|setup| setup.tokens = true).await;
    let auth = format!("Authorization: Bearer {}\n", site.token);
    let good = format!("{JSON}{auth}");
    let cases = [
        ("GET /v2 HTTP/1.1".to_owned(), 404, "not_found"),
        ("POST / HTTP/1.1".to_owned(), 405, "method"),
        ("GET /v1/events HTTP/1.1".to_owned(), 405, "method"),
        ("POST /v1/stream HTTP/1.1".to_owned(), 405, "method"),
        ("POST /.well-known/tidegate HTTP/1.1".to_owned(), 405, "method"),
        (JSON.to_owned(), 401, "auth"),
        (format!("{JSON}Authorization: Bearer any.wrong"), 401, "auth"),
        (format!("{JSON}Authorization: Basic x"), 401, "auth"),
        ("POST /v1/events?token=any.wrong HTTP/1.1".to_owned(), 401, "auth"),
        (format!("{good}Origin: {FOREIGN}"), 403, "origin"),
        (format!("{good}Content-Encoding: br"), 415, "encoding"),
        (format!("POST /v1/events HTTP/1.1\n{auth}"), 415, "content_type"),
        (format!("POST /v1/events HTTP/1.1\n{auth}Content-Type: image/png"), 415, "content_type"),
        (format!("{good}Tidegate-Client: a"), 400, "bad_request"),
        (format!("{good}Tidegate-Client: a\nTidegate-Epoch: x\nTidegate-Seq: 1"), 400, "bad_request"),
        (format!("{good}Tidegate-Client: a b\nTidegate-Epoch: 1\nTidegate-Seq: 1"), 400, "bad_request"),
        (format!("{good}Tidegate-Client: a\nTidegate-Epoch: 1\nTidegate-Seq: 0"), 400, "bad_request"),
        (format!("{good}Content-Encoding: gzip"), 400, "bad_body"),
        (format!("{good}X-Large: {}", "x".repeat(20_000)), 431, "head_too_large"),
    ];
    for (head, expected, reason) in cases {
        let answer = site.ask(&head, "x").await;
        let about = format!("{head:.120}: {answer}");
        assert_eq!(status(&answer), expected, "{about}");
        assert_eq!(header(&answer, "content-type"), Some("application/problem+json"), "{about}");
        let problem = document(&answer);
        assert_eq!(problem["status"], expected, "{about}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{about}");
        assert_ne!(problem["title"], "Internal Server Error", "{about}");
        assert_eq!(header(&answer, "allow").is_some(), expected == 405, "{about}");
        assert_eq!(header(&answer, "www-authenticate").is_some(), expected == 401, "{about}");
        site.assert_refused("http", reason);
    }
    assert_eq!(status(&site.ask(&good, "{}").await), 200);
    let by_query = format!("POST /v1/events?token={} HTTP/1.1\nContent-Type: text/plain", site.token);
    assert_eq!(status(&site.ask(&by_query, "{}").await), 200);
}

#[tokio::test]
async fn the_checks_come_in_their_order() {
    let site = Site::start_with(|setup| setup.tokens = true).await;
    let head = format!("POST /v1/events HTTP/1.1\nOrigin: {FOREIGN}\n");
    assert_eq!(status(&site.ask(&head, &"x".repeat(70 << 10)).await), 413);
    assert_eq!(status(&site.ask(&head, "x").await), 401);
    let head = format!("{head}Authorization: Bearer {}\n", site.token);
    assert_eq!(status(&site.ask(&head, "x").await), 403);
    let head = head.replace(FOREIGN, OURS);
    assert_eq!(status(&site.ask(&head, "x").await), 415);
}

#[tokio::test]
async fn each_kind_of_body_reaches_the_gate_as_what_it_is() {
    let site = Site::start().await;
    for (head, kind) in [
        ("POST /v1/events HTTP/1.1\nContent-Type: application/cloudevents+json; charset=utf-8", "Event"),
        ("POST /v1/events HTTP/1.1\nContent-Type: application/cloudevents-batch+json", "Batch"),
        ("POST /v1/events HTTP/1.1\nContent-Type: Application/JSON", "EventOrBatch"),
        ("POST /v1/events HTTP/1.1\nContent-Type: application/x-ndjson", "Lines"),
        ("POST /v1/events HTTP/1.1\nContent-Type: text/plain;charset=UTF-8", "Lines"),
        ("POST /v1/events HTTP/1.1\nCE-Type: a%20b\nContent-Type: image/png", "Data"),
        ("POST /v1/events?type=a.b HTTP/1.1\nContent-Type: application/json", "Data"),
    ] {
        assert_eq!(status(&site.ask(head, "{\"type\":\"t\"}").await), 200, "{head}");
        let posted = site.gate.posted();
        assert!(posted.kind.starts_with(kind), "{head}: {}", posted.kind);
        assert_eq!(posted.body, "{\"type\":\"t\"}");
        assert!(posted.numbering.is_none() && !posted.respond_async);
    }
}

#[tokio::test]
async fn a_request_that_only_asks_needs_no_content_type() {
    let site = Site::start().await;
    let head = "POST /v1/events HTTP/1.1\nTidegate-Client: a\nTidegate-Epoch: 5\nTidegate-Seq: 8\n";
    let standing = Some(Standing { upto: 7, limit: 1031, limit_bytes: 9 });
    let answer = Answer::Durable { accepted: 0, rejected: Vec::new(), level: Level::Committed, standing };
    site.gate.will_answer(answer);
    let answer = site.ask(head, "").await;
    assert_eq!(status(&answer), 200);
    let expected = serde_json::json!({
        "accepted": 0, "rejected": [], "level": "committed", "upto": 7, "limit": 1031, "limit_bytes": 9
    });
    assert_eq!(document(&answer), expected);
    let posted = site.gate.posted();
    assert_eq!(posted.numbering, Some(("a".into(), 5, 8)));
    assert_eq!((posted.kind.as_str(), posted.body.as_str()), ("Lines", ""));
    // The body of this one has begun before anybody knows that it is not empty.
    let chunked = "Host: x\nConnection: close\nTransfer-Encoding: chunked\n\n2\n{}\n0\n\n";
    let answer = site.raw(&format!("{head}{chunked}").replace('\n', "\r\n")).await;
    assert_eq!(status(&answer), 415);
}

#[tokio::test]
async fn answers_carry_what_the_gate_says() {
    let site = Site::start().await;
    let refused = vec![(3, Reject::malformed("no type"))];
    site.gate.will_answer(Answer::Durable {
        accepted: 0,
        rejected: refused,
        level: Level::Stored,
        standing: None,
    });
    let answer = site.ask(JSON, "{}").await;
    assert_eq!(status(&answer), 422);
    let expected = serde_json::json!([{"index": 3, "code": "malformed", "message": "no type"}]);
    assert_eq!(document(&answer)["rejected"], expected);

    site.gate.will_answer(Answer::Admitted { admitted: 2, rejected: Vec::new() });
    let answer = site.ask(&format!("{JSON}Prefer: wait=5, respond-async"), "{}").await;
    assert_eq!(status(&answer), 202);
    assert_eq!(header(&answer, "preference-applied"), Some("respond-async"));
    assert_eq!(document(&answer), serde_json::json!({"admitted": 2, "rejected": []}));
    assert!(site.gate.posted().respond_async);

    site.gate.will_answer(Answer::Busy { reason: Reason::Quota, retry_ms: 2_500 });
    let answer = site.ask(JSON, "{}").await;
    assert_eq!(status(&answer), 429);
    assert_eq!(document(&answer)["reason"], "quota");
    let retry: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
    assert!((3..=6).contains(&retry), "{retry}");
    site.assert_refused("http", "quota");
}

#[tokio::test]
async fn while_draining_requests_and_sessions_get_503() {
    let site = Site::start().await;
    site.gate.drain();
    let stream = "GET /v1/stream HTTP/1.1\nConnection: upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Protocol: tidegate.v1";
    for head in [JSON, stream] {
        let answer = site.ask(head, "").await;
        assert_eq!((status(&answer), document(&answer)["reason"].as_str()), (503, Some("draining")));
        assert!(header(&answer, "retry-after").is_some());
    }
}

#[tokio::test]
async fn bodies_inflate_within_the_limit_over_http_1_and_2() {
    let site = Site::start().await;
    for (client, version) in [(client(false), "HTTP/1.1"), (client(true), "HTTP/2.0")] {
        for (encoding, name) in [(Encoding::Gzip, "gzip"), (Encoding::Zstd, "zstd")] {
            for (size, expected) in [(128 << 10, 200), ((128 << 10) + 1, 413)] {
                let body = deflate(encoding, &vec![b' '; size]).unwrap();
                let request = client.post(format!("http://{}/v1/events", site.plain));
                let request =
                    request.header("content-type", "application/x-ndjson").header("content-encoding", name);
                let response = within(request.body(body).send()).await.unwrap();
                assert_eq!(format!("{:?}", response.version()), version);
                assert_eq!(response.status(), expected, "{name} {size}");
                if expected == 200 {
                    assert_eq!(site.gate.posted().body.len(), size);
                }
            }
        }
    }
}

#[tokio::test]
async fn who_sends_too_much_gets_to_read_why() {
    let site = Site::start().await;
    let mut stream = narrow(site.plain).await;
    let request = one("POST /v1/events HTTP/1.1\nContent-Type: text/plain", &"x".repeat(1 << 20));
    within(stream.write_all(request.as_bytes())).await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 413);
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_the_limit() {
    let site = Site::start().await;
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000)).repeat(5);
    let head = "POST /v1/events HTTP/1.1\nHost: x\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\
                Connection: close\n\n";
    let answer = site.raw(&format!("{}{chunk}0\r\n\r\n", head.replace('\n', "\r\n"))).await;
    assert_eq!(status(&answer), 413);
}

#[tokio::test]
async fn preflights_are_answered_for_our_pages_alone() {
    let site = Site::start_with(|setup| setup.tokens = true).await;
    let preflight = |origin: &str| {
        format!(
            "OPTIONS /v1/events HTTP/1.1\nOrigin: {origin}\nAccess-Control-Request-Method: POST\n\
             Access-Control-Request-Headers: content-type,tidegate-new,x-other"
        )
    };
    let answer = site.ask(&preflight(OURS), "").await;
    assert_eq!(status(&answer), 204);
    assert_eq!(header(&answer, "access-control-allow-origin"), Some(OURS));
    assert_eq!(header(&answer, "access-control-allow-methods"), Some("POST"));
    assert!(header(&answer, "access-control-max-age").is_some());
    let allowed: Vec<&str> = header(&answer, "access-control-allow-headers").unwrap().split(", ").collect();
    for name in [
        "authorization",
        "content-type",
        "content-encoding",
        "prefer",
        "traceparent",
        "tidegate-client",
        "tidegate-epoch",
        "tidegate-seq",
        "tidegate-new",
    ] {
        assert!(allowed.contains(&name), "{name} is not in {allowed:?}");
    }
    assert!(!allowed.contains(&"x-other"));
    let answer = site.ask(&preflight(FOREIGN), "").await;
    assert_eq!(status(&answer), 403);
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
}

#[tokio::test]
async fn our_pages_can_read_every_answer_and_foreign_ones_none() {
    let site = Site::start_with(|setup| setup.tokens = true).await;
    for (head, expected) in [
        (format!("{JSON}Authorization: Bearer {}\nOrigin: {OURS}", site.token), 200),
        (format!("{JSON}Origin: {OURS}"), 401),
        (format!("GET /v1/events HTTP/1.1\nOrigin: {OURS}"), 405),
        (format!("{JSON}Origin: {OURS}\nX-Large: {}", "x".repeat(20_000)), 431),
    ] {
        let answer = site.ask(&head, "{}").await;
        assert_eq!(status(&answer), expected);
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(OURS), "{answer}");
        assert_eq!(header(&answer, "vary"), Some("origin"));
        assert!(header(&answer, "access-control-expose-headers").unwrap().contains("retry-after"));
    }
    let answer = site.ask(&format!("{JSON}Origin: {FOREIGN}"), "{}").await;
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
}

#[tokio::test]
async fn both_listeners_say_where_the_gateway_is() {
    let site = Site::start().await;
    let (plain, secure) = (site.plain, site.secure);
    for (asked, own, tls) in [(plain, plain, ""), (secure, secure, "s")] {
        let url = format!("http://{asked}/.well-known/tidegate");
        let client = client(false);
        let response = client.get(url).header("origin", FOREIGN).send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let document: serde_json::Value = response.json().await.unwrap();
        let expected = serde_json::json!({
            "v": 1,
            "transports": [
                {"type": "webtransport", "url": format!("https://{secure}/v1/stream")},
                {"type": "quic", "url": format!("quic://{secure}")},
                {"type": "websocket", "url": format!("ws{tls}://{own}/v1/stream")},
                {"type": "https", "url": format!("http{tls}://{own}/v1/events")},
            ],
            "certificate_hashes": [
                {"algorithm": "sha-256", "value": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="}
            ],
            "limits": {
                "max_event_bytes": 256 << 10, "max_frame_bytes": 512 << 10, "max_batch_events": 1000,
                "max_body_bytes": 64 << 10
            },
            "exclude": [],
        });
        assert_eq!(document, expected);
    }
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let site = Site::start().await;
    let whole = site.ask("GET / HTTP/1.1", "").await;
    let head = site.ask("HEAD / HTTP/1.1", "").await;
    assert_eq!(header(&head, "content-length"), header(&whole, "content-length"));
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(header(&whole, "alt-svc"), None);
}

#[tokio::test]
async fn the_demo_is_on_the_plain_listener_and_leads_nowhere_else() {
    let around = tempfile::tempdir().unwrap();
    let root = around.path().join("demo");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("index.html"), "<p>demo</p>").unwrap();
    std::fs::write(around.path().join("secret"), "secret").unwrap();
    let site = Site::start_with(|setup| setup.demo = Some(root)).await;
    let page = site.ask("GET / HTTP/1.1", "").await;
    assert!(page.ends_with("<p>demo</p>"), "{page}");
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(header(&page, name), Some(value));
    }
    assert!(header(&page, "content-security-policy").unwrap().contains("connect-src *"));
    for path in ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "//etc/passwd", "/none"] {
        assert_eq!(status(&site.ask(&format!("GET {path} HTTP/1.1"), "").await), 404, "{path}");
    }
    let mut stream = TcpStream::connect(site.secure).await.unwrap();
    stream.write_all(one("GET /index.html HTTP/1.1", "").as_bytes()).await.unwrap();
    assert_eq!(status(&rest(&mut stream).await), 404);
}
