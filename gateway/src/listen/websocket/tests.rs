//! Sessions as a client meets them: handshakes over HTTP/1.1 and HTTP/2, then messages.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::carrier::Carrier;
use crate::listen::http::tests::{FOREIGN, OURS, Site, header, narrow, status, within};
use crate::listen::link::Coding;

/// A PING frame of ours.
const PING: &[u8] = b"\x06\x01x";

async fn open(
    site: &Site,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = format!("ws://{}/v1/stream{query}", site.plain).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = narrow(site.plain).await;
    match within(client_async(request, stream)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn speaking(site: &Site, subprotocol: &str) -> WebSocketStream<TcpStream> {
    open(site, "", &[("sec-websocket-protocol", subprotocol)]).await.unwrap()
}

async fn next<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Message {
    within(socket.next()).await.expect("the gateway has ended").unwrap()
}

async fn closed_after(site: &Site, subprotocol: &str, message: Message) -> u16 {
    let mut socket = speaking(site, subprotocol).await;
    within(socket.send(message)).await.unwrap();
    let Message::Close(Some(CloseFrame { code, reason })) = next(&mut socket).await else {
        panic!("expected a close")
    };
    assert_eq!(reason.is_empty(), u16::from(code) == 1000);
    code.into()
}

#[tokio::test]
async fn each_subprotocol_has_its_coding_and_the_first_known_one_counts() {
    let site = Site::start().await;
    for (offered, coding) in [
        ("tidegate.v1", Coding::Binary),
        ("tidegate.v1.json", Coding::Json),
        ("cloudevents.json", Coding::CloudEvents),
        ("mqtt, tidegate.v1.json, tidegate.v1", Coding::Json),
    ] {
        let mut socket = speaking(&site, offered).await;
        let message = match coding {
            Coding::Binary => Message::Binary(Bytes::from([PING, PING].concat())),
            _ => Message::Text("{}".into()),
        };
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, message, "{offered}");
        let peer = site.gate.peer();
        assert_eq!((peer.carrier, peer.coding), (Carrier::WebSocket, coding));
        assert_eq!(peer.remote, socket.get_ref().local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_handshake_that_is_not_in_order_is_refused() {
    let site = Site::start().await;
    assert_eq!(open(&site, "", &[("sec-websocket-protocol", "mqtt")]).await.unwrap_err(), 400);
    let from = |origin| [("sec-websocket-protocol", "tidegate.v1"), ("origin", origin)];
    assert_eq!(open(&site, "", &from(FOREIGN)).await.unwrap_err(), 403);
    open(&site, "", &from(OURS)).await.unwrap();
    let bare = site.ask("GET /v1/stream HTTP/1.1", "").await;
    assert_eq!(header(&bare, "upgrade"), Some("websocket"), "{bare}");
    let offered = "GET /v1/stream HTTP/1.1\nUpgrade: websocket\nConnection: upgrade\nSec-WebSocket-Protocol: tidegate.v1\n";
    for wrong in
        ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    {
        let answer = site.ask(&format!("{offered}{wrong}"), "").await;
        assert!((400..=426).contains(&status(&answer)), "{answer}");
    }
}

#[tokio::test]
async fn a_token_is_judged_at_the_request_or_left_to_hello() {
    let site = Site::start_with(|setup| setup.tokens = true).await;
    let v1 = ("sec-websocket-protocol", "tidegate.v1");
    let bearer = format!("Bearer {}", site.token);
    let by_query = format!("?token={}", site.token);
    assert_eq!(open(&site, "?token=any.wrong", &[v1]).await.unwrap_err(), 401);
    assert_eq!(open(&site, "", &[v1, ("authorization", "Bearer any.wrong")]).await.unwrap_err(), 401);
    for (query, headers) in
        [(by_query.as_str(), vec![v1]), ("", vec![v1, ("authorization", bearer.as_str())])]
    {
        let mut socket = open(&site, query, &headers).await.unwrap();
        socket.send(Message::Binary(PING.into())).await.unwrap();
        next(&mut socket).await;
        assert_eq!(site.gate.peer().grant.unwrap().tenant.as_ref(), "shop");
    }
    let mut socket = open(&site, "", &[v1]).await.unwrap();
    socket.send(Message::Binary(PING.into())).await.unwrap();
    next(&mut socket).await;
    assert!(site.gate.peer().grant.is_none());

    // No HELLO follows there.
    let events = ("sec-websocket-protocol", "cloudevents.json");
    assert_eq!(open(&site, "", &[events]).await.unwrap_err(), 401);
    open(&site, &by_query, &[events]).await.unwrap();
}

#[tokio::test]
async fn a_message_out_of_place_closes_with_its_code() {
    let site = Site::start_with(|setup| setup.limits.max_frame_bytes = 4 << 10).await;
    let text = || Message::Text("{}".into());
    let binary = |bytes: &[u8]| Message::Binary(Bytes::copy_from_slice(bytes));
    assert_eq!(closed_after(&site, "tidegate.v1", text()).await, 4001);
    assert_eq!(closed_after(&site, "tidegate.v1", binary(b"")).await, 4001);
    assert_eq!(closed_after(&site, "tidegate.v1", binary(&[PING, b"\x06"].concat())).await, 4001);
    assert_eq!(closed_after(&site, "tidegate.v1", binary(&[PING, b"\x06\x02x"].concat())).await, 4001);
    for json in ["tidegate.v1.json", "cloudevents.json"] {
        assert_eq!(closed_after(&site, json, binary(PING)).await, 4001);
        assert_eq!(closed_after(&site, json, Message::Text("x".repeat(5 << 10).into())).await, 4008);
    }
    // Far more than fits into the socket: the code comes through all the same.
    assert_eq!(closed_after(&site, "tidegate.v1", binary(&vec![0x80; 1 << 20])).await, 4008);
    assert_eq!(closed_after(&site, "tidegate.v1.json", Message::Text("bye".into())).await, 1000);
}

#[tokio::test]
async fn pings_are_answered_in_a_quiet_session_and_a_close_is_returned() {
    let site = Site::start().await;
    let mut socket = speaking(&site, "tidegate.v1").await;
    socket.send(Message::Ping("are you there".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong("are you there".into()));
    socket.close(None).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Close(None));
    assert!(within(socket.next()).await.is_none());
    drop(socket);
    let all = u32::try_from(site.connections.available_permits()).unwrap().max(100);
    let _all = within(site.connections.acquire_many(all)).await.unwrap();
}

#[tokio::test]
async fn a_session_counts_as_a_connection_and_outlives_a_shutdown() {
    let site = Site::start_with(|setup| setup.connections = 1).await;
    let mut socket = speaking(&site, "tidegate.v1.json").await;
    site.shutdown.cancel();
    socket.send(Message::Text("{}".into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Text("{}".into()));
    assert_eq!(site.connections.available_permits(), 0);
    socket.send(Message::Text("bye".into())).await.unwrap();
    assert!(matches!(next(&mut socket).await, Message::Close(Some(_))));
    site.ended().await;
}

#[tokio::test]
async fn http_2_opens_sessions_by_extended_connect_beside_requests() {
    let site = Site::start().await;
    let stream = TcpStream::connect(site.plain).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    // An answer proves that the gateway's settings have come, extended CONNECT among them.
    let root = Request::get(format!("http://{}/", site.plain)).body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(within(sender.send_request(root)).await.unwrap().status(), 200);
    let connect = |protocol: &'static str, subprotocol: &str| {
        Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/v1/stream", site.plain))
            .extension(Protocol::from_static(protocol))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", subprotocol)
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    for (protocol, subprotocol) in [("connect-udp", "tidegate.v1"), ("websocket", "mqtt")] {
        let response = within(sender.send_request(connect(protocol, subprotocol))).await.unwrap();
        assert_eq!(response.status(), 400);
    }
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut response = within(sender.send_request(connect("websocket", "tidegate.v1"))).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["sec-websocket-protocol"], "tidegate.v1");
        let upgraded = within(hyper::upgrade::on(&mut response)).await.unwrap();
        sockets.push(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await);
    }
    for socket in &mut sockets {
        socket.send(Message::Binary(PING.into())).await.unwrap();
        assert_eq!(next(socket).await, Message::Binary(PING.into()));
    }
    // A shutdown takes no session away.
    site.shutdown.cancel();
    for socket in &mut sockets {
        socket.send(Message::Binary(PING.into())).await.unwrap();
        assert_eq!(next(socket).await, Message::Binary(PING.into()));
        socket.send(Message::Text("{}".into())).await.unwrap();
        let Message::Close(Some(CloseFrame { code, .. })) = next(socket).await else {
            panic!("expected a close")
        };
        assert_eq!(u16::from(code), 4001);
        assert!(!matches!(within(socket.next()).await, Some(Ok(_))));
    }
    drop((sockets, sender));
    site.ended().await;
    let _ = within(connection).await;
}
