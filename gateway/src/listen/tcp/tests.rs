//! TCP: who says nothing is let go, and holds up nobody.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Patience;
use crate::listen::testing::{Options, Server, within};

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
async fn a_connection_without_requests_is_asked_to_go() {
    let patience = Patience { idle: Duration::from_millis(50), ..Patience::default() };
    let server = Server::start(Options { tcp: patience, ..Options::default() });
    let mut socket = TcpStream::connect(server.plain).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    within(socket.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}
