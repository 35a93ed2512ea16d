//! TCP: who says nothing is let go, and holds up nobody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Connection, Entrance, Patience, Respond, serve};
use crate::config;
use crate::listen::testing::{Options, Server, within};
use crate::metrics::Metrics;
use crate::rates::Rates;

#[tokio::test]
async fn handshakes_that_do_not_end_hold_up_nobody_and_are_cut_off() {
    let patience = Patience { handshake: Duration::from_millis(300), ..Patience::default() };
    let server = Server::start(Options { tcp: patience, ..Options::default() });
    let mut silent = Vec::new();
    for n in 0..50 {
        let mut socket = TcpStream::connect(server.secure).await.unwrap();
        // The beginning of a ClientHello that does not come, from every other one.
        if n % 2 == 0 {
            socket.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        }
        silent.push(socket);
    }
    let [url, _] = server.urls("/");
    assert_eq!(server.http().get(url).send().await.unwrap().status(), 200);
    for mut socket in silent {
        // A reset is an end too.
        let _ = within(socket.read_to_end(&mut Vec::new())).await;
    }
    server.refuses("tcp", "tls_timeout", 50).await;
}

#[tokio::test]
async fn what_is_no_tls_is_refused_and_counted() {
    let server = Server::start(Options::default());
    let mut socket = TcpStream::connect(server.secure).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let _ = within(socket.read_to_end(&mut Vec::new())).await;
    server.refuses("tcp", "tls", 1).await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_a_new_one_when_one_has_gone() {
    let mut rates = config::Rates::default();
    rates.address.connections = Some(2);
    let server = Server::start(Options { rates, ..Options::default() });
    let ask = async |socket: &mut TcpStream| {
        let asked = socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut answer = [0; 12];
        asked.is_ok() && within(socket.read_exact(&mut answer)).await.is_ok() && answer.ends_with(b"200")
    };
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = TcpStream::connect(server.plain).await.unwrap();
        assert!(ask(&mut socket).await);
        open.push(socket);
    }
    // Both listeners count as one.
    for at in [server.plain, server.secure] {
        let mut refused = TcpStream::connect(at).await.unwrap();
        assert!(!ask(&mut refused).await, "a third one is closed unserved");
    }
    server.refuses("tcp", "address", 2).await;
    open.pop();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !ask(&mut TcpStream::connect(server.plain).await.unwrap()).await {
        assert!(tokio::time::Instant::now() < deadline, "there is room again");
    }
}

#[tokio::test]
async fn a_connection_without_requests_is_asked_to_go() {
    let patience = Patience { idle: Duration::from_millis(50), ..Patience::default() };
    let server = Server::start(Options { tcp: patience, ..Options::default() });
    let mut socket = TcpStream::connect(server.plain).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    within(socket.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

#[derive(Clone)]
struct Nobody;

impl Respond for Nobody {
    type Body = Full<Bytes>;

    async fn respond(&self, _: Request<Incoming>, _: Arc<Connection>) -> Response<Full<Bytes>> {
        Response::default()
    }
}

#[tokio::test]
async fn a_listener_that_ends_leaves_the_others_alone() {
    let shutdown = CancellationToken::new();
    let (connections, patience) = (Arc::new(Semaphore::new(1)), Patience::default());
    // One that is turned off has no sockets.
    let rates = Arc::new(Rates::none(tokio::time::Instant::now().into_std()));
    let entrance = Entrance { listeners: Vec::new(), tls: None, connections, rates, patience };
    serve(entrance, Nobody, Metrics::register().0, shutdown.clone()).await;
    assert!(!shutdown.is_cancelled());
}
