//! QUIC over real sockets: one port for both protocols, one stream for each client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use tidegate_wire::{CloseCode, Frames, GatewayFrame, Limits};
use tokio::net::UdpSocket;

use super::{Patience, UNVALIDATED_HANDSHAKES};
use crate::carrier::Carrier;
use crate::config;
use crate::listen::link::{Coding, Packet};
use crate::listen::testing::{ASK_CLOSE, Options, Seen, Server, within};

fn endpoint(server: &Server, alpn: &str) -> Endpoint {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(server.client(&[alpn])).unwrap();
    let mut endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    endpoint.set_default_client_config(ClientConfig::new(Arc::new(crypto)));
    endpoint
}

async fn connect(server: &Server, alpn: &str) -> Result<Connection, ConnectionError> {
    within(endpoint(server, alpn).connect(server.secure, "localhost").unwrap()).await
}

/// A connection whose stream the gate has.
async fn open(server: &mut Server) -> (Connection, SendStream, RecvStream) {
    let connection = connect(server, "tidegate.v1").await.unwrap();
    let (mut send, recv) = connection.open_bi().await.unwrap();
    // PONG without anything: a stream is opened by what is written.
    send.write_all(&[0x07, 0x00]).await.unwrap();
    assert!(matches!(server.seen().await, Seen::Peer(_)));
    assert_eq!(server.packet().await, Packet::Frames(vec![0x07, 0x00].into()));
    (connection, send, recv)
}

fn application_code(ended: &ConnectionError) -> u64 {
    match ended {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("closed otherwise: {other:?}"),
    }
}

/// The CLOSE that is the last frame of the stream.
async fn close_frame(recv: &mut RecvStream) -> CloseCode {
    let bytes = within(recv.read_to_end(1 << 16)).await.unwrap();
    let limits = Limits::default();
    let last = Frames::new(&bytes, &limits).last().unwrap().unwrap();
    match GatewayFrame::from_binary(last).unwrap() {
        Some(GatewayFrame::Close(close)) => close.code,
        other => panic!("expected CLOSE, got {other:?}"),
    }
}

#[tokio::test]
async fn what_a_client_is_comes_from_its_alpn_and_others_are_refused() {
    let mut server = Server::start(Options::default());
    let connection = connect(&server, "tidegate.v1").await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[0x07, 0x00]).await.unwrap();
    let Seen::Peer(peer) = server.seen().await else { panic!("expected a session") };
    assert_eq!((peer.carrier, peer.coding, peer.datagrams), (Carrier::Quic, Coding::Binary, true));
    assert!(peer.grant.is_none() && peer.remote.ip().is_loopback());
    // HTTP/3 is served too; [`webtransport`] tests how.
    assert!(connect(&server, "h3").await.is_ok());
    assert!(connect(&server, "doq").await.is_err());
    server.refuses("quic", "handshake", 1).await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_shows_that_it_is_there_beyond_half_of_them() {
    let mut rates = config::Rates::default();
    rates.address.connections = Some(4);
    let server = Server::start(Options { rates, ..Options::default() });
    let mut open = Vec::new();
    for _ in 0..4 {
        // The third and fourth are sent a Retry first, which a client obeys by itself.
        open.push(connect(&server, "tidegate.v1").await.unwrap());
    }
    assert!(connect(&server, "tidegate.v1").await.is_err(), "a fifth one is refused");
    server.refuses("quic", "address", 1).await;
    open.pop().unwrap().close(0_u8.into(), b"");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while connect(&server, "tidegate.v1").await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "there is room again");
    }
}

#[tokio::test]
async fn frames_are_put_together_from_small_pieces() {
    let mut server = Server::start(Options::default());
    let (_connection, mut send, mut recv) = open(&mut server).await;
    let frames: Vec<u8> = (0..20u8).flat_map(|n| [0x80, 0x03, n, n, n]).collect();
    let pieces = async {
        for byte in &frames {
            send.write_all(std::slice::from_ref(byte)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let arrived = async {
        let mut arrived = Vec::new();
        while arrived.len() < frames.len() {
            let Packet::Frames(bytes) = server.packet().await else { panic!("expected frames") };
            assert_eq!(bytes.len() % 5, 0, "only whole frames");
            arrived.extend_from_slice(&bytes);
        }
        arrived
    };
    let (arrived, ()) = tokio::join!(arrived, pieces);
    assert_eq!(arrived, frames);
    // The end of a stream within a frame is an offence, between frames it is a farewell.
    send.write_all(&[0x80, 0x03, 1]).await.unwrap();
    send.finish().unwrap();
    assert_eq!(close_frame(&mut recv).await, CloseCode::BadFrame);
    let (connection, mut send, mut recv) = open(&mut server).await;
    send.finish().unwrap();
    assert_eq!(close_frame(&mut recv).await, CloseCode::Done);
    assert_eq!(application_code(&connection.closed().await), 4013);
}

#[tokio::test]
async fn further_streams_are_reset_and_the_first_lives_on() {
    let mut server = Server::start(Options::default());
    let (connection, mut send, _recv) = open(&mut server).await;
    // More than may be open at once: each one that was reset makes room for another.
    for _ in 0..20 {
        let (mut second, mut answer) = within(connection.open_bi()).await.unwrap();
        // It may have been reset before it was written to.
        let _ = second.write_all(b"x").await;
        assert!(matches!(within(answer.read_to_end(1)).await, Err(quinn::ReadToEndError::Read(_))));
        let mut one_way = within(connection.open_uni()).await.unwrap();
        let _ = one_way.write_all(b"x").await;
        assert!(matches!(within(one_way.stopped()).await, Ok(Some(_))));
    }
    send.write_all(&[0x80, 0x01, 0x17]).await.unwrap();
    assert_eq!(server.packet().await, Packet::Frames(vec![0x80, 0x01, 0x17].into()));
}

#[tokio::test]
async fn datagrams_arrive_as_they_are() {
    let mut server = Server::start(Options::default());
    let (connection, _send, _recv) = open(&mut server).await;
    for bytes in [&b"anything"[..], &[0x03, 0x03, 0x04, 0x00, 0x00]] {
        connection.send_datagram(bytes.to_vec().into()).unwrap();
        assert_eq!(server.packet().await, Packet::Datagram(bytes.to_vec().into()));
    }
}

#[tokio::test]
async fn the_application_code_is_that_of_close() {
    let mut server = Server::start(Options::default());
    for code in [CloseCode::Drain, CloseCode::BadFrame, CloseCode::Auth, CloseCode::TakenOver] {
        let (connection, mut send, mut recv) = open(&mut server).await;
        let [high, low] = code.number().to_be_bytes();
        send.write_all(&[ASK_CLOSE[0], ASK_CLOSE[1], high, low]).await.unwrap();
        assert_eq!(close_frame(&mut recv).await, code);
        assert_eq!(application_code(&within(connection.closed()).await), u64::from(code.number()));
    }
}

#[tokio::test]
async fn a_client_without_a_stream_is_closed_in_time() {
    let patience = Patience { stream: Duration::from_millis(50), ..Patience::new(60_000) };
    let server = Server::start(Options { udp: patience, ..Options::default() });
    let connection = connect(&server, "tidegate.v1").await.unwrap();
    assert_eq!(application_code(&within(connection.closed()).await), 4005);
    assert_eq!(server.refused("quic", "hello_timeout"), 1);
}

#[tokio::test]
async fn beyond_the_cap_connections_are_refused_and_counted_until_one_leaves() {
    let mut server = Server::start(Options { connections: 2, ..Options::default() });
    let (first, second) = (open(&mut server).await, open(&mut server).await);
    assert!(matches!(connect(&server, "tidegate.v1").await, Err(ConnectionError::ConnectionClosed(_))));
    assert_eq!(server.refused("quic", "connections"), 1);
    // The cap is that of TCP too.
    assert!(server.http().get(&server.urls("/")[1]).send().await.is_err());
    assert_eq!(server.refused("tcp", "connections"), 1);
    first.0.close(0u32.into(), b"");
    let again = async { while connect(&server, "tidegate.v1").await.is_err() {} };
    within(again).await;
    drop(second);
}

#[tokio::test]
async fn datagrams_that_nobody_read_are_counted() {
    let mut server = Server::start(Options::default());
    let (connection, stream, _recv) = open(&mut server).await;
    // As many as the test keeps waiting, as the connection does, and some.
    let total = 1_000 + 64 + 100;
    for _ in 0..total {
        within(connection.send_datagram_wait(vec![0; 1_000].into())).await.unwrap();
    }
    // What has not left by then is dropped by the end of the connection.
    let left = async {
        while connection.stats().frame_tx.datagram < total {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    within(left).await;
    drop(stream);
    connection.close(0u32.into(), b"");
    let mut read = 0;
    let counted = async {
        loop {
            while let Ok(seen) = server.seen.try_recv() {
                read += u64::from(matches!(seen, Seen::Packet(Packet::Datagram(_))));
            }
            match server.refused("datagram", "unread") {
                0 => tokio::time::sleep(Duration::from_millis(2)).await,
                unread => return unread,
            }
        }
    };
    let unread = within(counted).await;
    assert!(read > 0 && read + unread <= total, "{read} read, {unread} not");
}

#[tokio::test]
async fn shutting_down_waits_for_sessions_alone_and_refuses_newcomers() {
    let mut server = Server::start(Options::default());
    let silent = connect(&server, "tidegate.v1").await.unwrap();
    let (session, _send, _recv) = open(&mut server).await;
    let (newcomer, address) = (endpoint(&server, "tidegate.v1"), server.secure);
    drop(server);
    assert_eq!(application_code(&within(silent.closed()).await), 4000);
    match within(newcomer.connect(address, "localhost").unwrap()).await {
        Err(ConnectionError::ConnectionClosed(close)) => {
            assert_eq!(close.error_code, quinn::TransportErrorCode::CONNECTION_REFUSED);
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
    assert!(session.close_reason().is_none());
}

#[tokio::test]
async fn while_the_gateway_drains_connections_are_refused() {
    let server = Server::start(Options::default());
    server.gate.draining.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(connect(&server, "tidegate.v1").await, Err(ConnectionError::ConnectionClosed(_))));
    assert_eq!(server.refused("quic", "drain"), 1);
}

/// Lets through what clients send, and keeps what the server answers from them: their handshakes never end.
async fn one_way(server: SocketAddr) -> (SocketAddr, tokio::sync::mpsc::Receiver<u8>) {
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap();
    let (answers, receiver) = tokio::sync::mpsc::channel(10_000);
    tokio::spawn(async move {
        let mut bytes = [0; 2_048];
        while let Ok((size, from)) = relay.recv_from(&mut bytes).await {
            if from == server {
                // A test that no longer looks does not care.
                let _ = answers.try_send(bytes[0]);
            } else {
                relay.send_to(&bytes[..size], server).await.unwrap();
            }
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn many_handshakes_that_do_not_end_make_newcomers_show_where_they_are_and_block_nobody() {
    let mut server = Server::start(Options { connections: 2_000, ..Options::default() });
    let (relay, mut answers) = one_way(server.secure).await;
    let silent = endpoint(&server, "tidegate.v1");
    let mut handshakes = Vec::new();
    // The first byte of a Retry packet (RFC 9000 section 17.2.5).
    let is_retry = |first: u8| first & 0xf0 == 0xf0;
    let retry = async {
        loop {
            handshakes.push(silent.connect(relay, "localhost").unwrap());
            // One at a time, or sockets would overflow.
            let mut retried = is_retry(answers.recv().await.unwrap());
            while let Ok(first) = answers.try_recv() {
                retried |= is_retry(first);
            }
            if retried {
                return;
            }
        }
    };
    within(retry).await;
    assert!(handshakes.len() > UNVALIDATED_HANDSHAKES, "a Retry costs a round trip: not without need");
    // Who answers the Retry is served.
    open(&mut server).await;
    drop(handshakes);
}
