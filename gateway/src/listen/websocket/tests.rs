//! WebSocket over real sockets: both handshakes, each subprotocol, and how messages become frames.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tidegate_wire::{CloseCode, Frames, GatewayFrame, Limits};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::carrier::Carrier;
use crate::listen::link::{Coding, Packet};
use crate::listen::testing::{ASK_CLOSE, FRIEND, Options, STRANGER, Seen, Server, within};

/// Opens a session by HTTP/1.1; the status where it is refused.
async fn upgrade(
    server: &Server,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, u16> {
    let tcp = TcpStream::connect(server.plain).await.unwrap();
    let url = format!("ws://{}/v1/stream{query}", server.plain);
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match within(tokio_tungstenite::client_async(request, tcp)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn open(server: &Server, subprotocol: &str) -> WebSocketStream<TcpStream> {
    upgrade(server, "", &[("sec-websocket-protocol", subprotocol)]).await.unwrap()
}

/// The CLOSE frame that the gateway sends, and its WebSocket close code.
async fn closed<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> (CloseCode, u16) {
    let mut told = None;
    loop {
        match within(socket.next()).await.unwrap().unwrap() {
            Message::Binary(bytes) => {
                let limits = Limits::default();
                let frame = Frames::new(&bytes, &limits).last().unwrap().unwrap();
                told = GatewayFrame::from_binary(frame).unwrap();
            }
            Message::Text(text) => told = GatewayFrame::from_json(&text).unwrap(),
            Message::Close(Some(close)) => match told {
                Some(GatewayFrame::Close(frame)) => return (frame.code, close.code.into()),
                other => panic!("expected CLOSE before the close frame, got {other:?}"),
            },
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_first_known_subprotocol_is_taken() {
    let mut server = Server::start(Options::default());
    for (offered, coding) in [
        ("tidegate.v1", Coding::Binary),
        ("tidegate.v1.json", Coding::Json),
        ("cloudevents.json", Coding::CloudEvents),
        ("mqtt, tidegate.v1.json, tidegate.v1", Coding::Json),
    ] {
        let _socket = open(&server, offered).await;
        let Seen::Peer(peer) = server.seen().await else { panic!("expected a session") };
        assert_eq!((peer.carrier, peer.coding, peer.datagrams), (Carrier::WebSocket, coding, false));
    }
    assert_eq!(upgrade(&server, "", &[]).await.err(), Some(400));
    assert_eq!(upgrade(&server, "", &[("sec-websocket-protocol", "mqtt")]).await.err(), Some(400));
    let old = [("sec-websocket-protocol", "tidegate.v1"), ("sec-websocket-version", "8")];
    assert_eq!(upgrade(&server, "", &old).await.err(), Some(426));
}

#[tokio::test]
async fn tokens_and_origins_are_judged_by_the_handshake() {
    let mut server = Server::start(Options { needs_token: true, ..Options::default() });
    let token = server.token.clone();
    let (bearer, basic, query) =
        (format!("Bearer {token}"), format!("Basic {token}"), format!("?token={token}"));
    for (query, subprotocol, header, expected) in [
        ("", "tidegate.v1", None, Ok(false)),
        ("", "tidegate.v1", Some(("authorization", &*bearer)), Ok(true)),
        (&*query, "tidegate.v1", None, Ok(true)),
        (&*query, "cloudevents.json", Some(("origin", FRIEND)), Ok(true)),
        ("", "cloudevents.json", None, Err(401)),
        ("?token=web.wrong", "tidegate.v1", None, Err(401)),
        ("", "tidegate.v1", Some(("authorization", &*basic)), Err(401)),
        (&*query, "tidegate.v1", Some(("origin", STRANGER)), Err(403)),
    ] {
        let headers: Vec<_> =
            std::iter::once(("sec-websocket-protocol", subprotocol)).chain(header).collect();
        let socket = upgrade(&server, query, &headers).await;
        assert_eq!(socket.as_ref().err(), expected.err().as_ref(), "{query} {headers:?}");
        if let Ok(grants) = expected {
            let Seen::Peer(peer) = server.seen().await else { panic!("expected a session") };
            assert_eq!(peer.grant.is_some(), grants, "{query} {headers:?}");
        }
    }
}

#[tokio::test]
async fn messages_are_whole_frames_and_what_is_not_ends_the_session() {
    let limits = Limits { max_frame_bytes: 16 << 10, ..Limits::default() };
    let mut server = Server::start(Options { limits, ..Options::default() });
    let mut socket = open(&server, "tidegate.v1").await;
    let several = Bytes::from_static(&[0x80, 0x01, 0x17, 0x07, 0x00]);
    socket.send(Message::Binary(several.clone())).await.unwrap();
    assert_eq!(server.packet().await, Packet::Frames(several));
    let mut socket = open(&server, "tidegate.v1.json").await;
    socket.send(Message::text("{}")).await.unwrap();
    assert_eq!(server.packet().await, Packet::Text(Bytes::from_static(b"{}")));

    let long = vec![b' '; (16 << 10) + 1];
    for (what, subprotocol, message, code) in [
        ("half a frame", "tidegate.v1", Message::binary(vec![0x80, 0x02, 0x17]), CloseCode::BadFrame),
        ("one and a half", "tidegate.v1", Message::binary(vec![0x07, 0x00, 0x80]), CloseCode::BadFrame),
        ("no frame", "tidegate.v1", Message::binary(Vec::new()), CloseCode::BadFrame),
        ("no such type", "tidegate.v1", Message::binary(vec![0x0c, 0x00]), CloseCode::BadFrame),
        ("text", "tidegate.v1", Message::text("{}"), CloseCode::BadFrame),
        ("bytes", "tidegate.v1.json", Message::binary(b"{}".to_vec()), CloseCode::BadFrame),
        ("a long message", "tidegate.v1", Message::binary(long.clone()), CloseCode::TooLarge),
        ("a long text", "tidegate.v1.json", Message::text("x".repeat(long.len())), CloseCode::TooLarge),
    ] {
        let mut socket = open(&server, subprotocol).await;
        socket.send(message).await.unwrap();
        assert_eq!(closed(&mut socket).await, (code, code.number()), "{what}");
    }
}

#[tokio::test]
async fn close_codes_repeat_those_of_close_and_done_is_normal() {
    let server = Server::start(Options::default());
    for (code, expected) in [(CloseCode::Drain, 4000), (CloseCode::Auth, 4003), (CloseCode::Done, 1000)] {
        let mut socket = open(&server, "tidegate.v1").await;
        let [high, low] = code.number().to_be_bytes();
        socket.send(Message::binary(vec![ASK_CLOSE[0], ASK_CLOSE[1], high, low])).await.unwrap();
        assert_eq!(closed(&mut socket).await, (code, expected));
        assert!(within(socket.next()).await.is_none(), "the gateway ends the connection");
    }
}

#[tokio::test]
async fn control_frames_are_answered_while_nothing_else_goes_on() {
    let server = Server::start(Options::default());
    let mut socket = open(&server, "tidegate.v1").await;
    for n in 0..3u8 {
        socket.send(Message::Ping(vec![n].into())).await.unwrap();
        assert_eq!(within(socket.next()).await.unwrap().unwrap(), Message::Pong(vec![n].into()));
    }
    let farewell = CloseFrame { code: 1000.into(), reason: Utf8Bytes::from_static("bye") };
    socket.close(Some(farewell)).await.unwrap();
    let answer = within(socket.next()).await.unwrap().unwrap();
    assert!(matches!(answer, Message::Close(Some(close)) if u16::from(close.code) == 1000));
    assert!(within(socket.next()).await.is_none());
}

/// RFC 8441, over TLS.
#[tokio::test]
async fn http2_carries_sessions_beside_requests() {
    let mut server = Server::start(Options::default());
    let tcp = TcpStream::connect(server.secure).await.unwrap();
    let tls = tokio_rustls::TlsConnector::from(std::sync::Arc::new(server.client(&["h2"])));
    let tls = within(tls.connect("localhost".try_into().unwrap(), tcp)).await.unwrap();
    let (mut http, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    let url = format!("https://localhost:{}/v1/stream", server.secure.port());
    let request = |method: Method, headers: &[(&str, &str)]| {
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    // By then the client knows what the server can do.
    assert_eq!(within(http.send_request(request(Method::GET, &[]))).await.unwrap().status(), 426);

    let connect = |protocol: &'static str, headers: &[(&str, &str)]| {
        let mut request = request(Method::CONNECT, headers);
        request.extensions_mut().insert(hyper::ext::Protocol::from_static(protocol));
        request
    };
    let offer = [("sec-websocket-protocol", "tidegate.v1")];
    for (request, expected) in [
        (connect("websocket", &[]), 400),
        (connect("connect-udp", &offer), 400),
        (connect("websocket", &[offer[0], ("origin", STRANGER)]), 403),
    ] {
        assert_eq!(within(http.send_request(request)).await.unwrap().status(), expected);
    }
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let answer = within(http.send_request(connect("websocket", &offer))).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "tidegate.v1");
        let upgraded = TokioIo::new(within(hyper::upgrade::on(answer)).await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        socket.send(Message::binary(vec![0x80, 0x01, 0x17])).await.unwrap();
        assert_eq!(server.packet().await, Packet::Frames(vec![0x80, 0x01, 0x17].into()));
        sockets.push(socket);
    }
    let [high, low] = CloseCode::Drain.number().to_be_bytes();
    sockets[0].send(Message::binary(vec![ASK_CLOSE[0], ASK_CLOSE[1], high, low])).await.unwrap();
    assert_eq!(closed(&mut sockets[0]).await, (CloseCode::Drain, 4000));
    sockets[1].send(Message::Ping(Bytes::from_static(b"x"))).await.unwrap();
    let pong = within(sockets[1].next()).await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong(Bytes::from_static(b"x")));
}
