//! WebTransport over HTTP/3: the one file that names the library.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quinn::Connecting;
use tidegate_wire::CloseCode;
use tokio::time::timeout;
use wtransport::endpoint::SessionRequest;
use wtransport::{Connection, RecvStream, SendStream, VarInt};

use super::http::{Query, bearer};
use super::link::{Coding, Gate, Peer};
use super::stream::{AsMutRecv, AsMutSend, StreamLink, Transport, short};
use super::udp::{Door, Handshake};
use crate::access::Grant;
use crate::carrier::Carrier;
use crate::metrics::Surface;

/// What streams beyond the first are reset with: WebTransport's code 0, where HTTP/3 has a place for it
/// (draft-ietf-webtrans-http3 section 4.4).
const NOT_WANTED: VarInt = match VarInt::try_from_u64(0x52e4_a40f_a8db) {
    Ok(code) => code,
    Err(_) => VarInt::MAX,
};

/// Serves one connection, from the end of its handshake.
pub(super) async fn serve<G: Gate>(door: &Door<G>, connecting: Connecting, handshake: Handshake) {
    // Boxed, so that a session does not hold the room of its opening, nor the opening that of a session.
    let Some((link, peer)) = Box::pin(open(door, connecting, handshake)).await else { return };
    let connection = Arc::clone(&link.transport.0);
    let session = async {
        tokio::select! {
            () = door.gate.serve(link, peer) => {}
            () = turn_away(&connection) => {}
        }
    };
    Box::pin(session).await;
}

/// From the handshake to the session's stream; `None` where there is none to serve, and why is counted.
async fn open<G: Gate>(
    door: &Door<G>,
    connecting: Connecting,
    handshake: Handshake,
) -> Option<(StreamLink<WebTransport>, Peer)> {
    let session = wtransport::endpoint::IncomingSessionFuture::with_quic_connecting(connecting);
    let requested = door.wait(door.patience.handshake, session).await;
    drop(handshake);
    let request = match requested {
        Ok(Ok(request)) => request,
        Ok(Err(_)) => {
            door.metrics.refused(Surface::Quic, "http3");
            return None;
        }
        Err(cut) => {
            door.cut(cut, "http3_timeout");
            return None;
        }
    };
    let remote = request.remote_address();
    let grant = match judge(door, &request) {
        Ok(grant) => grant,
        Err(refusal) => {
            refuse(door, request, refusal).await;
            return None;
        }
    };
    let Ok(Ok(connection)) = timeout(door.patience.handshake, request.accept()).await else {
        door.metrics.refused(Surface::Quic, "http3");
        return None;
    };
    let (send, recv) = match door.wait(door.patience.stream, connection.accept_bi()).await {
        Ok(stream) => stream.ok()?,
        Err(cut) => {
            let (close, reason) = door.without_stream(cut);
            connection.close(code(close), reason.as_bytes());
            return None;
        }
    };
    let connection = Arc::new(connection);
    let peer = Peer {
        carrier: Carrier::WebTransport,
        coding: Coding::Binary,
        remote,
        grant,
        // Not the library's own figure, which subtracts its header from whatever a client announces.
        datagrams: connection.quic_connection().max_datagram_size().is_some(),
    };
    let link = StreamLink {
        transport: WebTransport(connection),
        send,
        recv,
        limits: door.limits,
        goodbye: door.patience.goodbye,
        metrics: door.metrics.clone(),
    };
    Some((link, peer))
}

/// Why a request opens no session.
enum Refusal {
    NotFound,
    Origin,
    Auth,
    Drain,
}

fn judge<G: Gate>(door: &Door<G>, request: &SessionRequest) -> Result<Option<Arc<Grant>>, Refusal> {
    let (path, query) = request.path().split_once('?').unwrap_or((request.path(), ""));
    if path != door.path {
        return Err(Refusal::NotFound);
    }
    if door.gate.is_draining() {
        return Err(Refusal::Drain);
    }
    let query = Query::parse(Some(query));
    let token = match request.headers().get("authorization") {
        Some(header) => Some(bearer(header).ok_or(Refusal::Auth)?),
        None => query.token.as_deref(),
    };
    // Without a token it is HELLO's to bring one.
    let grant =
        token.map(|token| door.access.authenticate(Some(token)).map_err(|_| Refusal::Auth)).transpose()?;
    if request.origin().is_some_and(|origin| !door.access.allows_origin(origin)) {
        return Err(Refusal::Origin);
    }
    Ok(grant)
}

async fn refuse<G: Gate>(door: &Door<G>, request: SessionRequest, refusal: Refusal) {
    let (reason, answer) = match refusal {
        Refusal::NotFound => ("not_found", Answer::NotFound),
        Refusal::Origin => ("origin", Answer::Forbidden),
        Refusal::Auth => ("auth", Answer::Forbidden),
        Refusal::Drain => ("drain", Answer::TooMany),
    };
    door.metrics.refused(Surface::Quic, reason);
    let answered = async {
        match answer {
            Answer::NotFound => request.not_found().await,
            Answer::Forbidden => request.forbidden().await,
            Answer::TooMany => request.too_many_requests().await,
        }
    };
    // A client that does not read its answer has the connection's end for one.
    let _ = timeout(door.patience.goodbye, answered).await;
}

/// What the library can say.
enum Answer {
    NotFound,
    Forbidden,
    TooMany,
}

/// Resets every further stream. Never returns while the connection lives.
async fn turn_away(connection: &Connection) {
    loop {
        tokio::select! {
            stream = connection.accept_bi() => match stream {
                Ok((mut send, recv)) => {
                    // A stream that is gone already needs no reset.
                    let _ = send.reset(NOT_WANTED);
                    recv.stop(NOT_WANTED);
                }
                Err(_) => return std::future::pending().await,
            },
            stream = connection.accept_uni() => match stream {
                Ok(recv) => recv.stop(NOT_WANTED),
                Err(_) => return std::future::pending().await,
            },
        }
    }
}

/// The library's connection, shared by the halves of a link.
#[derive(Clone)]
pub(super) struct WebTransport(Arc<Connection>);

impl Transport for WebTransport {
    type Send = SendStream;
    type Recv = RecvStream;

    fn quic(&self) -> &quinn::Connection {
        self.0.quic_connection()
    }

    async fn datagram(&self) -> io::Result<Bytes> {
        let datagram = self.0.receive_datagram().await.map_err(io::Error::other)?;
        Ok(datagram.payload())
    }

    /// Browsers throw away what a page has not read when the connection ends: the page hangs up once it has.
    async fn read_by_client(&self) {
        self.0.closed().await;
    }

    fn close(&self, close: CloseCode, reason: &str) {
        self.0.close(code(close), short(reason));
    }
}

impl AsMutSend for SendStream {
    fn quic(&mut self) -> &mut quinn::SendStream {
        self.quic_stream_mut()
    }
}

impl AsMutRecv for RecvStream {
    fn quic(&mut self) -> &mut quinn::RecvStream {
        self.quic_stream_mut()
    }
}

fn code(code: CloseCode) -> VarInt {
    VarInt::from_u32(u32::from(code.number()))
}

#[cfg(test)]
mod tests;
