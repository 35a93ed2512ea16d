//! WebTransport over real sockets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_wire::CloseCode;
use wtransport::endpoint::{ConnectOptions, endpoint_side};
use wtransport::error::{ConnectingError, ConnectionError, StreamReadError};
use wtransport::tls::Sha256Digest;
use wtransport::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};

use crate::carrier::Carrier;
use crate::listen::link::{Coding, Packet};
use crate::listen::testing::{ASK_CLOSE, FRIEND, Options, PATIENCE, STRANGER, Seen, Server, within};
use crate::listen::udp::Patience;

fn endpoint(server: &Server) -> Endpoint<endpoint_side::Client> {
    let config = ClientConfig::builder()
        .with_bind_address(([127, 0, 0, 1], 0).into())
        .with_server_certificate_hashes([Sha256Digest::new(server.made.certificate_hash)])
        .build();
    Endpoint::client(config).unwrap()
}

async fn connect(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Connection, ConnectingError> {
    let url = format!("https://{}{path}", server.secure);
    let options = headers
        .iter()
        .fold(ConnectOptions::builder(url), |options, (name, value)| options.add_header(*name, *value));
    within(endpoint(server).connect(options.build())).await
}

/// A session whose stream the gate has.
async fn open(server: &mut Server) -> (Connection, SendStream, RecvStream) {
    let connection = connect(server, "/v1/stream", &[]).await.unwrap();
    let (mut send, recv) = connection.open_bi().await.unwrap().await.unwrap();
    send.write_all(&[0x07, 0x00]).await.unwrap();
    let Seen::Peer(peer) = server.seen().await else { panic!("expected a session") };
    assert_eq!((peer.carrier, peer.coding, peer.datagrams), (Carrier::WebTransport, Coding::Binary, true));
    assert_eq!(server.packet().await, Packet::Frames(vec![0x07, 0x00].into()));
    (connection, send, recv)
}

#[tokio::test]
async fn sessions_are_opened_where_and_by_whom_they_may_be() {
    let mut server = Server::start(Options { needs_token: true, ..Options::default() });
    let token = server.token.clone();
    let (bearer, lower) = (format!("Bearer {token}"), format!("bearer {token}"));
    let basic = format!("Basic {token}");
    let query = format!("/v1/stream?token={token}");
    for (what, path, headers, grants) in [
        ("no token yet", "/v1/stream", vec![], Some(false)),
        ("a token in the header", "/v1/stream", vec![("authorization", &*bearer)], Some(true)),
        ("the scheme in small letters", "/v1/stream", vec![("authorization", &*lower)], Some(true)),
        ("a token in the query", &*query, vec![], Some(true)),
        ("a friend's page", "/v1/stream", vec![("origin", FRIEND)], Some(false)),
        ("no scheme", "/v1/stream", vec![("authorization", &*token)], None),
        ("another scheme", "/v1/stream", vec![("authorization", &*basic)], None),
        ("another scheme beside the query", &*query, vec![("authorization", &*basic)], None),
        ("a wrong token", "/v1/stream?token=web.wrong", vec![], None),
        ("a foreign page", "/v1/stream", vec![("origin", STRANGER)], None),
        ("another path", "/v1/events", vec![], None),
    ] {
        let connection = connect(&server, path, &headers).await;
        let Some(grants) = grants else {
            assert!(matches!(connection, Err(ConnectingError::SessionRejected)), "{what}: {connection:?}");
            continue;
        };
        let connection = connection.unwrap_or_else(|error| panic!("{what}: {error}"));
        let (mut send, _recv) = connection.open_bi().await.unwrap().await.unwrap();
        send.write_all(&[0x07, 0x00]).await.unwrap();
        let peer = loop {
            if let Seen::Peer(peer) = server.seen().await {
                break peer;
            }
        };
        assert_eq!(peer.grant.is_some(), grants, "{what}");
    }
    for (reason, times) in [("auth", 4), ("origin", 1), ("not_found", 1)] {
        assert_eq!(server.refused("quic", reason), times, "{reason}");
    }
}

#[tokio::test]
async fn the_session_outlives_further_streams_and_gets_datagrams() {
    let mut server = Server::start(Options::default());
    let (connection, mut send, _recv) = open(&mut server).await;
    for _ in 0..10 {
        let (_second, mut answer) = within(connection.open_bi()).await.unwrap().await.unwrap();
        match within(answer.read(&mut [0; 1])).await {
            // The first of the codes that HTTP/3 sets aside for WebTransport's.
            Err(StreamReadError::Reset(code)) => assert_eq!(code.into_inner(), 0x52e4_a40f_a8db),
            other => panic!("a further stream is reset, not {other:?}"),
        }
    }
    connection.send_datagram(b"anything").unwrap();
    assert_eq!(server.packet().await, Packet::Datagram(b"anything"[..].into()));
    for byte in [0x80, 0x02, 0x17, 0x18] {
        send.write_all(&[byte]).await.unwrap();
    }
    assert_eq!(server.packet().await, Packet::Frames(vec![0x80, 0x02, 0x17, 0x18].into()));
}

#[tokio::test]
async fn the_application_code_is_that_of_close() {
    let mut server = Server::start(Options::default());
    let (connection, mut send, _recv) = open(&mut server).await;
    let [high, low] = CloseCode::Drain.number().to_be_bytes();
    send.write_all(&[ASK_CLOSE[0], ASK_CLOSE[1], high, low]).await.unwrap();
    match within(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => assert_eq!(close.code().into_inner(), 4000),
        other => panic!("closed otherwise: {other:?}"),
    }
}

#[tokio::test]
async fn the_connection_stays_until_the_client_has_read_its_close() {
    let patience = Patience { goodbye: PATIENCE, stream: PATIENCE, ..Patience::new(60_000) };
    let mut server = Server::start(Options { udp: patience, ..Options::default() });
    let (connection, mut send, mut recv) = open(&mut server).await;
    let [high, low] = CloseCode::Drain.number().to_be_bytes();
    send.write_all(&[ASK_CLOSE[0], ASK_CLOSE[1], high, low]).await.unwrap();
    let mut bytes = [0; 64];
    while within(recv.read(&mut bytes)).await.unwrap().is_some() {}
    // All was read, and the connection still answers.
    let (_second, mut answer) = within(connection.open_bi()).await.unwrap().await.unwrap();
    assert!(matches!(within(answer.read(&mut bytes)).await, Err(StreamReadError::Reset(_))));
}

#[tokio::test]
async fn a_client_that_takes_no_datagrams_worth_the_name_is_served() {
    let mut server = Server::start(Options::default());
    let mut transport = wtransport::config::QuicTransportConfig::default();
    transport.datagram_receive_buffer_size(Some(1));
    let config = ClientConfig::builder()
        .with_bind_address(([127, 0, 0, 1], 0).into())
        .with_custom_tls_and_transport(server.client(&["h3"]), transport)
        .build();
    let client = Endpoint::client(config).unwrap();
    let connection = within(client.connect(format!("https://{}/v1/stream", server.secure))).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap().await.unwrap();
    send.write_all(&[0x07, 0x00]).await.unwrap();
    assert_eq!(server.packet().await, Packet::Frames(vec![0x07, 0x00].into()));
}

#[tokio::test]
async fn a_session_without_a_stream_is_closed_in_time() {
    let patience = Patience { stream: Duration::from_millis(50), ..Patience::new(60_000) };
    let server = Server::start(Options { udp: patience, ..Options::default() });
    let connection = connect(&server, "/v1/stream", &[]).await.unwrap();
    match within(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => assert_eq!(close.code().into_inner(), 4005),
        other => panic!("closed otherwise: {other:?}"),
    }
    assert_eq!(server.refused("quic", "hello_timeout"), 1);
}

#[tokio::test]
async fn while_the_gateway_drains_no_session_is_opened() {
    let server = Server::start(Options::default());
    server.gate.draining.store(true, Ordering::Relaxed);
    assert!(connect(&server, "/v1/stream", &[]).await.is_err());
    assert_eq!(server.refused("quic", "drain"), 1);
}
