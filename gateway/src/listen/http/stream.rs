//! WebSocket handshakes: the upgrade of HTTP/1.1 (RFC 6455) and the extended CONNECT of HTTP/2 (RFC 8441).

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use super::answer::Refusal;
use super::query::Query;
use super::{Inner, Reply, request};
use crate::access::Grant;
use crate::carrier::Carrier;
use crate::listen::link::{Coding, Gate, Peer};
use crate::listen::tcp::Connection;
use crate::listen::websocket::{WebSocketLink, accept_key};

/// Subprotocols and what they mean.
const SUBPROTOCOLS: [(&str, Coding); 3] = [
    ("tidegate.v1", Coding::Binary),
    ("tidegate.v1.json", Coding::Json),
    ("cloudevents.json", Coding::CloudEvents),
];

/// Answers a handshake, and serves the session beside the connection.
pub(super) fn open<G: Gate>(
    http: &Arc<Inner<G>>,
    request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> Result<Reply, Refusal> {
    let mut reply = handshake(&request)?;
    let grant = authorise(http, &request)?;
    request::allowed_origin(request.headers(), &http.access)?;
    let (name, coding) = subprotocol(request.headers())?;
    let grant = match grant {
        // Where there is no HELLO, a token must have come with the request.
        None if coding == Coding::CloudEvents && http.access.needs_token() => {
            Some(request::authenticate(&http.access, None)?)
        }
        grant => grant,
    };
    if http.gate.is_draining() {
        return Err(Refusal::busy(tidegate_wire::Reason::Draining, 1_000));
    }
    reply.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    let peer =
        Peer { carrier: Carrier::WebSocket, coding, remote: connection.remote, grant, datagrams: false };
    let (http, limits, busy) = (Arc::clone(http), http.limits, connection.busy());
    connection.spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => {
                let link = WebSocketLink::new(TokioIo::new(upgraded), coding, limits).await;
                http.gate.serve(link, peer).await;
            }
            Err(error) => tracing::debug!(%error, "the client left during its handshake"),
        }
        drop(busy);
    });
    Ok(reply)
}

/// The answer to a handshake that is in order, but for its subprotocol.
fn handshake(request: &Request<Incoming>) -> Result<Reply, Refusal> {
    let headers = request.headers();
    if request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<Protocol>().map(Protocol::as_str);
        return match protocol {
            Some("websocket") => Ok(Response::default()),
            _ => Err(Refusal::bad(
                "CONNECT here is for WebSocket: expected `:protocol` = websocket (RFC 8441)",
            )),
        };
    }
    if !has_word(headers, &CONNECTION, "upgrade") || !has_word(headers, &UPGRADE, "websocket") {
        return Err(Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade",
            "sessions are opened by WebSocket: expected `Connection: upgrade` and `Upgrade: websocket`",
        )
        .with(UPGRADE, HeaderValue::from_static("websocket")));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade",
            "expected `Sec-WebSocket-Version: 13`",
        )
        .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| Refusal::bad("`Sec-WebSocket-Key` is missing"))?;
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::try_from(accept_key(key.as_bytes()));
    let answer = reply.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer
        .insert(SEC_WEBSOCKET_ACCEPT, accept.map_err(|_| Refusal::bad("`Sec-WebSocket-Key` is not a key"))?);
    Ok(reply)
}

fn authorise<G: Gate>(http: &Inner<G>, request: &Request<Incoming>) -> Result<Option<Arc<Grant>>, Refusal> {
    let query = Query::parse(request.uri().query());
    match request::token(request.headers(), &query)? {
        Some(token) => request::authenticate(&http.access, Some(token)).map(Some),
        // HELLO may bring it.
        None => Ok(None),
    }
}

/// The first subprotocol offered that is spoken here.
fn subprotocol(headers: &HeaderMap) -> Result<(&'static str, Coding), Refusal> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered
        .flat_map(|value| value.split(','))
        .find_map(|name| SUBPROTOCOLS.into_iter().find(|(known, _)| *known == name.trim()))
        .ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "subprotocol",
                "expected `Sec-WebSocket-Protocol` to offer tidegate.v1, tidegate.v1.json or cloudevents.json",
            )
        })
}

fn has_word(headers: &HeaderMap, name: &hyper::header::HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|value| value.trim().eq_ignore_ascii_case(word))
}
