//! What is particular to a carrier: datagrams, one stream and no more, refusals before a session, and what a client of a
//! gateway that was killed notices.

use std::time::{Duration, Instant};

use tidegate_wire::{ClientFrame, CloseCode, Hello};

use crate::client::{Carrier, Client, Connection, Link, frame, hello, within};
use crate::gateway::{Gateway, PATIENCE};

const EVENT: &str = r#"{"type":"tick"}"#;

/// Sends the same datagram until the gateway has counted `wanted`: datagrams may be lost, even on loopback.
async fn counted(gateway: &Gateway, client: &Client, bytes: &[u8], wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    while gateway.metrics().await.get(wanted) == 0.0 {
        client.datagram(bytes.to_vec()).unwrap();
        assert!(Instant::now() < deadline, "{wanted} stays 0");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_are_taken_lossily_and_bad_ones_are_counted() {
    let gateway = Gateway::start("").await;
    for carrier in [Carrier::Quic, Carrier::WebTransport] {
        let client = Client::open(&gateway, carrier, &format!("{carrier:?}"), 1).await;
        assert!(client.welcome.datagrams, "{carrier:?}");
        let event = format!(r#"{{"type":"tick","data":"{carrier:?}"}}"#);
        let before =
            gateway.metrics().await.get("tidegate_events_total{carrier=\"datagram\",outcome=\"stored\"}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            client.datagram(frame(1, true, &[&event])).unwrap();
            let stored =
                gateway.metrics().await.get("tidegate_events_total{carrier=\"datagram\",outcome=\"stored\"}");
            if stored > before {
                break;
            }
            assert!(Instant::now() < deadline, "no datagram of {carrier:?} arrived");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tail = gateway.tail();
        assert!(tail.iter().any(|event| event["data"] == format!("{carrier:?}")), "{tail:?}");
        let refused = "tidegate_refused_total{surface=\"datagram\",reason=\"bad_frame\"}";
        counted(&gateway, &client, b"no frame", refused).await;
        client.done().await;
    }
    gateway.assert_accounted().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stream_is_reset_and_the_first_goes_on() {
    let gateway = Gateway::start("").await;
    for carrier in [Carrier::Quic, Carrier::WebTransport] {
        let mut client = Client::open(&gateway, carrier, "device-1", 1).await;
        let ended = match client.connection() {
            Connection::Quic(_, connection) => {
                let (mut send, mut recv) = connection.open_bi().await.unwrap();
                // It may be refused before it has said anything.
                let _ = send.write_all(b"\x01\x07{\"v\":1}").await;
                within(recv.read_to_end(100)).await.unwrap().is_err()
            }
            Connection::WebTransport(_, connection) => {
                let (mut send, mut recv) = connection.open_bi().await.unwrap().await.unwrap();
                // It may be refused before it has said anything.
                let _ = send.write_all(b"\x01\x07{\"v\":1}").await;
                within(recv.read(&mut [0; 100])).await.unwrap().is_err()
            }
        };
        assert!(ended, "a second stream of {carrier:?} was served");
        client.events(client.welcome.upto + 1, &[EVENT]).await.unwrap();
        client.done().await;
    }
    assert_eq!(gateway.tail().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_close_code_is_the_connections_too() {
    let gateway = Gateway::start("").await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    client.raw(b"\x04\x00").await.unwrap();
    let Connection::Quic(_, connection) = client.connection() else { panic!("not QUIC") };
    let connection = connection.clone();
    match within(connection.closed()).await.unwrap() {
        quinn::ConnectionError::ApplicationClosed(close) => {
            assert_eq!(close.error_code.into_inner(), u64::from(CloseCode::BadFrame.number()));
            assert!(!close.reason.is_empty());
        }
        other => panic!("expected an application's close, got {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webtransport_is_refused_where_it_should_be() {
    let gateway = Gateway::start("").await;
    let mut refused = 0.0;
    for (path, origin, reason) in [
        ("/v1/nothing", None, "not_found"),
        ("/", None, "not_found"),
        ("/v1/stream", Some("https://evil.example"), "origin"),
    ] {
        let endpoint = Link::webtransport_endpoint(&gateway);
        let url = format!("https://{}{path}", gateway.secure);
        let mut request = wtransport::endpoint::ConnectOptions::builder(url);
        if let Some(origin) = origin {
            request = request.add_header("origin", origin);
        }
        let session = within(endpoint.connect(request.build())).await.unwrap();
        assert!(session.is_err(), "{path} from {origin:?} was accepted");
        let count = format!("tidegate_refused_total{{surface=\"quic\",reason=\"{reason}\"}}");
        refused += 1.0;
        let deadline = Instant::now() + PATIENCE;
        while gateway.metrics().await.sum("tidegate_refused_total", "quic") < refused {
            assert!(Instant::now() < deadline, "{count} does not rise");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(gateway.metrics().await.get(&count) > 0.0, "{count}");
    }
    Client::open(&gateway, Carrier::WebTransport, "good", 1).await.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_protocol_and_a_client_without_a_stream_do_not_stay() {
    let gateway = Gateway::start("").await;
    let connection = Link::quic_connection(&gateway, &["h2"]).await;
    assert!(connection.is_err(), "a client of another protocol was let in");
    let (_endpoint, silent) = Link::quic_connection(&gateway, &["tidegate.v1"]).await.unwrap();
    match within(silent.closed()).await.unwrap() {
        quinn::ConnectionError::ApplicationClosed(close) => {
            assert_eq!(close.error_code.into_inner(), u64::from(CloseCode::HelloTimeout.number()));
        }
        other => panic!("expected an application's close, got {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_a_killed_gateway_learns_of_it_from_the_one_that_comes_after() {
    let mut gateway = Gateway::start("").await;
    let mut client = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    let Connection::Quic(_, connection) = client.connection() else { panic!("not QUIC") };
    let connection = connection.clone();
    gateway.kill();
    gateway.launch();
    gateway.ready().await;
    // It keeps talking to a connection that nobody knows any more.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let _ = client.send(&ClientFrame::Ping(tidegate_wire::Ping::new(b"there?"))).await;
        if let Ok(why) = tokio::time::timeout(Duration::from_millis(200), connection.closed()).await {
            assert!(matches!(why, quinn::ConnectionError::Reset), "expected a stateless reset, got {why}");
            break;
        }
        assert!(Instant::now() < deadline, "it never learned");
    }
    Client::open(&gateway, Carrier::Quic, "device-1", 1).await.done().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_cap_are_refused_and_counted() {
    let gateway = Gateway::start("limits.connections = 2\nlimits.sessions = 2").await;
    let first = Client::open(&gateway, Carrier::Quic, "a", 1).await;
    let second = Client::open(&gateway, Carrier::WebSocketJson, "b", 1).await;
    for carrier in Carrier::ALL {
        let third = Client::try_open(&gateway, carrier, hello("c", 1)).await;
        assert!(third.is_err(), "{carrier:?} was let in");
    }
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.get("tidegate_refused_total{surface=\"quic\",reason=\"connections\"}"), 2.0);
    assert_eq!(metrics.get("tidegate_refused_total{surface=\"tcp\",reason=\"connections\"}"), 2.0);
    first.done().await;
    second.done().await;
    // Those who left have made room.
    let deadline = Instant::now() + PATIENCE;
    while Client::try_open(&gateway, Carrier::WebTransport, Hello::default()).await.is_err() {
        assert!(Instant::now() < deadline, "nobody is let in any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_closes_by_itself_still_settles() {
    let gateway = Gateway::start("").await;
    let mut client = Client::open(&gateway, Carrier::WebSocketJson, "device-1", 1).await;
    client.events(1, &[EVENT]).await.unwrap();
    client.close_websocket().await.unwrap();
    gateway.idle().await;
    assert_eq!(gateway.tail().len(), 1);
    let again = Client::open(&gateway, Carrier::Quic, "device-1", 1).await;
    assert_eq!(again.welcome.upto, 1);
    gateway.assert_accounted().await;
}
