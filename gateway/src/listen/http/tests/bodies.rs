//! Bodies over real sockets: their sizes, how they are compressed, how slowly they may come, and what they may hold.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{EVENT, gzip, header, raw, read, small, status};
use crate::listen::testing::{Options, Seen, Server, within};

#[tokio::test]
async fn bodies_are_inflated_and_bombs_are_not() {
    let mut server = Server::start(small());
    let http = server.http();
    let bomb = vec![b' '; 1 << 20];
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 3).unwrap();
    for url in server.urls("/v1/events") {
        for (encoding, body, expected) in [
            ("identity", EVENT.as_bytes().to_vec(), 200),
            ("gzip", gzip(EVENT.as_bytes()), 200),
            ("zstd", zstd(EVENT.as_bytes()), 200),
            ("gzip", gzip(&bomb), 413),
            ("zstd", zstd(&bomb), 413),
            ("gzip", EVENT.as_bytes().to_vec(), 400),
            ("br", EVENT.as_bytes().to_vec(), 415),
        ] {
            let request = http.post(&url).header("content-type", "application/json");
            let (status, answer) = status(request.header("content-encoding", encoding).body(body)).await;
            assert_eq!(status, expected, "{encoding} to {url}");
            match expected {
                200 => assert!(matches!(server.seen().await, Seen::Post { body, .. } if body == EVENT)),
                415 => assert_eq!(header(&answer, "accept-encoding"), "gzip, zstd"),
                _ => assert_eq!(header(&answer, "content-type"), "application/problem+json"),
            }
        }
    }
}

/// Each case has its own fault and all those after it.
#[tokio::test]
async fn a_body_without_a_length_is_taken_and_one_beyond_the_limit_is_told_so() {
    let mut server = Server::start(small());
    let head =
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n4\r\n{{\"ty\r\n8\r\npe\":\"t\"}}\r\n0\r\n\r\n");
    let answer = raw(&server, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(matches!(server.seen().await, Seen::Post { body, .. } if body == EVENT));

    // Far more than the limit, and than what sockets hold: the client reads nothing before it has written all.
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let streamed = format!("{head}transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(100));
    let answer = raw(&server, streamed.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let announced = format!("{head}content-length: 6553600\r\n\r\n{}", " ".repeat(6_553_600));
    let answer = raw(&server, announced.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_before_it_sends() {
    let server = Server::start(small());
    let ask = |length: u32, headers: &str| {
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n{headers}\r\n"
        )
    };
    let answer = raw(&server, ask(1 << 20, "content-type: application/json\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let answer = raw(&server, ask(12, "content-type: image/png\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    let mut socket = TcpStream::connect(server.plain).await.unwrap();
    socket.write_all(ask(12, "content-type: application/json\r\n").as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    within(socket.read_exact(&mut interim)).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(EVENT.as_bytes()).await.unwrap();
    let answer = read(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn what_comes_too_slowly_or_is_too_long_is_ended() {
    let mut options = Options { body_patience: Duration::from_millis(50), ..small() };
    options.tcp.first_request = Duration::from_millis(100);
    let server = Server::start(options);
    let post =
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let long =
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: {}\r\n\r\n", "x".repeat(17 << 10));
    let longer =
        format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: {}\r\n\r\n", "x".repeat(30 << 10));
    for (what, request, expected) in [
        ("half of a body", format!("{post}content-length: 12\r\n\r\n{{"), "HTTP/1.1 408"),
        ("a long head", long, "HTTP/1.1 431"),
        ("a head near what is cut off", longer, "HTTP/1.1 431"),
        ("half of a head", "POST /v1/events HTTP/1.1\r\nhost:".to_owned(), ""),
        ("nothing", String::new(), ""),
    ] {
        let answer = raw(&server, request.as_bytes()).await;
        assert!(answer.starts_with(expected), "{what}: {answer}");
        assert_eq!(answer.is_empty(), expected.is_empty(), "{what}: {answer}");
    }
    assert_eq!(server.refused("tcp", "silent"), 2);
    assert_eq!(server.refused("http", "body_timeout"), 1);
    assert_eq!(server.refused("http", "head_too_large"), 2);
}

#[tokio::test]
async fn bodies_share_a_budget_and_announcing_takes_none_of_it() {
    let mut server = Server::start(Options { bodies_bytes: 48 << 10, ..small() });
    let http = server.http();
    let [url, _] = server.urls("/v1/events");
    let named = |client: &'static str| {
        let request = http.post(&url).header("content-type", "application/json");
        request.header("tidegate-client", client).header("tidegate-epoch", 1).header("tidegate-seq", 1)
    };
    let post = |bytes: usize, client| named(client).body(vec![b' '; bytes]);
    // It announces nearly all there is, sends nothing, and holds what every request holds.
    let mut slow = TcpStream::connect(server.plain).await.unwrap();
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 40000\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    within(slow.read_exact(&mut [0; 25])).await.unwrap();

    server.gate.holds.send_replace(true);
    let first = tokio::spawn(post(30 << 10, "a").send());
    assert!(matches!(server.seen().await, Seen::Post { .. }));
    let (status_of_second, answer) = status(post(30 << 10, "b")).await;
    assert_eq!(status_of_second, 503);
    assert_ne!(header(&answer, "retry-after"), "");
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(problem["reason"], "memory");
    server.gate.holds.send_replace(false);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(status(post(30 << 10, "b")).await.0, 200, "what was held comes back");
}

#[tokio::test]
async fn a_body_for_which_there_is_never_room_is_told_so() {
    let server = Server::start(Options { bodies_bytes: 48 << 10, ..small() });
    let [url, _] = server.urls("/v1/events");
    let post = server.http().post(&url).header("content-type", "application/json");
    let (status, answer) = status(post.body(vec![b' '; 50 << 10])).await;
    assert_eq!(status, 413);
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("49152 for all bodies"), "{problem}");
}
