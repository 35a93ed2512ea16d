//! HTTP over real sockets: what each request earns, in the order of the checks.

mod bodies;

use std::io::Write as _;
use std::sync::atomic::Ordering;

use reqwest::{Method, RequestBuilder, Response};
use tidegate_wire::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::{self, ByteSize};
use crate::listen::testing::{FRIEND, Options, STRANGER, Seen, Server, within};

const EVENT: &str = r#"{"type":"t"}"#;

/// A server whose bodies are small.
fn small() -> Options {
    let limits = Limits { max_body_bytes: 64 << 10, max_inflated_body_bytes: 128 << 10, ..Limits::default() };
    Options { limits, ..Options::default() }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn status(request: RequestBuilder) -> (u16, Response) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer)
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Writes `request` on the plain listener, and reads until the server has closed.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.plain).await.unwrap();
    socket.write_all(request).await.unwrap();
    read(&mut socket).await
}

async fn read(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    within(socket.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn checks_come_in_the_order_of_the_contract() {
    let server = Server::start(Options { needs_token: true, ..small() });
    let faults = [
        (413, "size announced"),
        (401, "authorization"),
        (403, "origin"),
        (400, "session headers"),
        (415, "content type"),
        (415, "encoding"),
        (503, "draining"),
    ];
    server.gate.draining.store(true, Ordering::Relaxed);
    let http = server.http();
    for url in server.urls("/v1/events") {
        for (from, (expected, what)) in faults.into_iter().enumerate() {
            let has = |fault: usize| from <= fault;
            let length = if has(0) { 100 << 10 } else { 10 };
            let mut request = http.post(&url).body(vec![b' '; length]);
            if !has(1) {
                request = request.bearer_auth(&server.token);
            }
            request = request.header("origin", if has(2) { STRANGER } else { FRIEND });
            if has(3) {
                request = request.header("tidegate-seq", "1");
            }
            request = request.header("content-type", if has(4) { "image/png" } else { "application/json" });
            if has(5) {
                request = request.header("content-encoding", "br");
            }
            let (status, answer) = status(request).await;
            assert_eq!(status, expected, "{what} at {url}");
            let retry: u32 = header(&answer, "retry-after").parse().unwrap_or(0);
            assert_eq!(retry > 0, expected == 503, "{what} at {url}");
        }
    }
}

#[tokio::test]
async fn who_sends_too_fast_gets_429_with_where_it_stands_and_may_read_it_from_a_page() {
    let mut rates = config::Rates::default();
    rates.address.bytes_per_second = Some(ByteSize(1));
    let mut server = Server::start(Options { rates, ..Options::default() });
    let http = server.http();
    let [url, _] = server.urls("/v1/events");
    // It will have been made up for in a minute.
    let body = format!("{EVENT:60}");
    let request = || {
        let request = http.post(&url).header("content-type", "application/json").header("origin", FRIEND);
        request.body(body.clone())
    };
    let (taken, answer) = status(request()).await;
    let policy = r#""address-bytes";q=1;w=1;qu="content-bytes""#;
    assert_eq!((taken, header(&answer, "ratelimit-policy")), (200, policy));
    assert!(header(&answer, "ratelimit").starts_with(r#""address-bytes";r=0;t="#), "{answer:?}");
    assert!(matches!(server.seen().await, Seen::Post { .. }));
    let (refused_with, refused) = status(request()).await;
    assert_eq!((refused_with, header(&refused, "ratelimit-policy")), (429, policy));
    assert_eq!(header(&refused, "content-type"), "application/problem+json");
    assert_eq!(header(&refused, "access-control-allow-origin"), FRIEND);
    let exposed = header(&refused, "access-control-expose-headers");
    assert!(["retry-after", "ratelimit", "ratelimit-policy"].iter().all(|name| exposed.contains(name)));
    let standing = header(&refused, "ratelimit").to_owned();
    let reset: u64 = standing.strip_prefix(r#""address-bytes";r=0;t="#).unwrap().parse().unwrap();
    let retry: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!(reset >= 1 && (reset..=2 * reset + 2).contains(&retry), "{standing}, retry after {retry}");
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["reason"], "rate");
    server.refuses("http", "rate", 1).await;
    // Preflights are never limited, nor is what takes no events.
    let asks = http.post(&url).header("content-type", "application/json").body("");
    assert_ne!(status(asks).await.0, 429);
    let preflight = http.request(Method::OPTIONS, &url).header("origin", FRIEND);
    assert_eq!(status(preflight.header("access-control-request-method", "POST")).await.0, 204);
    assert_eq!(status(http.get(server.urls("/.well-known/tidegate")[0].as_str())).await.0, 200);
}

#[tokio::test]
async fn without_a_rate_nothing_is_said_of_it() {
    let server = Server::start(Options::default());
    for url in server.urls("/v1/events") {
        let request = server.http().post(url).header("content-type", "application/json").body(EVENT);
        let (status, answer) = status(request).await;
        assert_eq!(
            (status, header(&answer, "ratelimit"), header(&answer, "ratelimit-policy")),
            (200, "", "")
        );
    }
}

#[tokio::test]
async fn every_answer_says_for_which_origin_it_is() {
    let server = Server::start(Options { needs_token: true, ..small() });
    let http = server.http();
    for (method, path, expected) in [
        (Method::POST, "/v1/events", 401),
        (Method::PUT, "/v1/events", 405),
        (Method::OPTIONS, "/v1/events", 204),
        (Method::GET, "/v1/stream", 426),
        (Method::POST, "/v1/stream", 405),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/", 200),
    ] {
        for url in server.urls(path) {
            for (origin, allowed) in [(Some(FRIEND), FRIEND), (Some(STRANGER), ""), (None, "")] {
                let mut request = http.request(method.clone(), &url);
                if let Some(origin) = origin {
                    request = request.header("origin", origin);
                }
                let (status, answer) = status(request).await;
                let preflight_of_stranger = method == Method::OPTIONS && origin == Some(STRANGER);
                assert_eq!(status, if preflight_of_stranger { 403 } else { expected }, "{method} {url}");
                assert_eq!(header(&answer, "access-control-allow-origin"), allowed, "{method} {url}");
                assert_eq!(header(&answer, "vary"), "origin", "{method} {url}");
                assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{method} {url}");
            }
        }
    }
    for url in server.urls("/.well-known/tidegate") {
        let (status, answer) = status(http.get(&url).header("origin", STRANGER)).await;
        assert_eq!((status, header(&answer, "access-control-allow-origin")), (200, "*"));
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_told_to_upgrade() {
    let server = Server::start(small());
    // HTTP/2 has no such header (RFC 9113 section 8.2.2).
    for (url, upgrade) in server.urls("/v1/stream").into_iter().zip(["", "websocket"]) {
        let (status, answer) = status(server.http().get(url)).await;
        assert_eq!((status, header(&answer, "upgrade")), (426, upgrade));
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["title"], "Upgrade Required");
    }
}

#[tokio::test]
async fn a_preflight_allows_what_clients_send() {
    let server = Server::start(small());
    let http = server.http();
    for url in server.urls("/v1/events") {
        let request = http
            .request(Method::OPTIONS, &url)
            .header("origin", FRIEND)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,tidegate-new,x-other");
        let (status, answer) = status(request).await;
        assert_eq!((status, header(&answer, "access-control-allow-methods")), (204, "POST"));
        let allowed: Vec<_> = header(&answer, "access-control-allow-headers").split(", ").collect();
        for name in
            ["authorization", "content-type", "content-encoding", "prefer", "traceparent", "tidegate-new"]
        {
            assert!(allowed.contains(&name), "{name} is not in {allowed:?}");
        }
        assert!(!allowed.contains(&"x-other"));
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones_and_head_gets_no_body() {
    let server = Server::start(small());
    let http = server.http();
    for (method, path, expected, allow) in [
        (Method::GET, "/v1/events", 405, "POST, OPTIONS"),
        (Method::HEAD, "/v1/events", 405, "POST, OPTIONS"),
        (Method::DELETE, "/v1/stream", 405, "GET"),
        (Method::POST, "/.well-known/tidegate", 405, "GET, HEAD, OPTIONS"),
        (Method::HEAD, "/.well-known/tidegate", 200, ""),
        (Method::POST, "/", 405, "GET, HEAD"),
        (Method::HEAD, "/", 200, ""),
        (Method::HEAD, "/nothing", 404, ""),
    ] {
        for url in server.urls(path) {
            let (status, answer) = status(http.request(method.clone(), &url)).await;
            assert_eq!((status, header(&answer, "allow")), (expected, allow), "{method} {url}");
            let announced = header(&answer, "content-length").parse::<usize>().unwrap_or(0);
            let body = answer.bytes().await.unwrap();
            assert_eq!(body.is_empty(), method == Method::HEAD, "{method} {url}");
            assert!(announced > 0, "{method} {url}");
        }
    }
}

#[tokio::test]
async fn the_names_of_clients_that_a_token_is_not_for_are_not_kept() {
    let rates = config::Rates {
        client: config::Rate { events_per_second: Some(10), ..config::Rate::default() },
        ..config::Rates::default()
    };
    let server = Server::start(Options { needs_token: true, token_clients: Some("web-*"), rates, ..small() });
    let [url, _] = server.urls("/v1/events");
    for (client, expected) in [("stranger-1", 403), ("stranger-2", 403), ("web-1", 200)] {
        let request = server.http().post(&url).bearer_auth(&server.token).body(EVENT);
        let request = request.header("content-type", "application/json").header("tidegate-client", client);
        let request = request.header("tidegate-epoch", 1).header("tidegate-seq", 1);
        assert_eq!(status(request).await.0, expected, "{client}");
    }
    assert_eq!(server.metric("tidegate_rate_keys{limit=\"client\"}"), 1);
}

#[tokio::test]
async fn a_preference_is_seen_among_others() {
    let mut server = Server::start(small());
    let http = server.http();
    for (prefer, expected) in [
        ("respond-async", true),
        ("return=minimal, Respond-Async; wait=10", true),
        ("respond-asynchronously", false),
        ("wait=10", false),
    ] {
        let [url, _] = server.urls("/v1/events");
        let request = http.post(url).header("content-type", "application/json").header("prefer", prefer);
        assert_eq!(status(request.body(EVENT)).await.0, 200);
        let Seen::Post { respond_async, .. } = server.seen().await else { panic!("expected a request") };
        assert_eq!(respond_async, expected, "{prefer}");
    }
}

#[tokio::test]
async fn a_token_comes_by_header_or_query_and_nothing_else_is_one() {
    let server = Server::start(Options { needs_token: true, ..small() });
    let (http, token) = (server.http(), &server.token);
    for (authorization, query, expected) in [
        (Some(format!("Bearer {token}")), String::new(), 200),
        (Some(format!("bEARER {token}")), String::new(), 200),
        (None, format!("?token={token}"), 200),
        (Some(token.clone()), String::new(), 401),
        (Some(format!("Basic {token}")), String::new(), 401),
        (Some("Bearer web.wrong".to_owned()), format!("?token={token}"), 401),
        (None, String::new(), 401),
    ] {
        for url in server.urls("/v1/events") {
            let mut request = http.post(format!("{url}{query}")).header("content-type", "application/json");
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization);
            }
            let (status, answer) = status(request.body(EVENT)).await;
            assert_eq!(status, expected, "{authorization:?} {query}");
            let challenge = header(&answer, "www-authenticate");
            assert_eq!(challenge.starts_with("Bearer realm="), expected == 401, "{challenge}");
        }
    }
}

#[tokio::test]
async fn no_path_leads_out_of_the_demo() {
    let demo = tempfile::tempdir().unwrap();
    std::fs::write(demo.path().join("index.html"), "<p>").unwrap();
    let server = Server::start(Options { demo: Some(demo), ..small() });
    for (path, expected) in [
        ("/", 200),
        ("/index.html", 200),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("//etc/passwd", 404),
        ("/index.html/", 404),
        ("/index.html%00", 404),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = raw(&server, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{path}: {answer}");
    }
    // The demo is the plain listener's alone.
    let [secure, _] = server.urls("/index.html");
    assert_eq!(status(server.http().get(secure)).await.0, 404);
}
