//! Raw QUIC: ALPN `tidegate.v1`, one bidirectional stream of frames, and datagrams.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quinn::{Connecting, Connection, RecvStream, SendStream, VarInt};
use tidegate_wire::CloseCode;

use super::link::{Coding, Gate, Peer};
use super::stream::{AsMutRecv, AsMutSend, StreamLink, Transport, short};
use super::udp::{Door, Handshake};
use crate::carrier::Carrier;
use crate::metrics::Surface;

/// What streams beyond the first are reset with.
const NOT_WANTED: VarInt = VarInt::from_u32(0);

/// Serves one connection, from the end of its handshake.
pub(super) async fn serve<G: Gate>(door: &Door<G>, connecting: Connecting, handshake: Handshake) {
    let connected = door.wait(door.patience.handshake, connecting).await;
    drop(handshake);
    let connection = match connected {
        Ok(Ok(connection)) => connection,
        Ok(Err(_)) => return door.metrics.refused(Surface::Quic, "handshake"),
        Err(cut) => return door.cut(cut, "handshake_timeout"),
    };
    let (send, recv) = match door.wait(door.patience.stream, connection.accept_bi()).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return,
        Err(cut) => {
            let (close, reason) = door.without_stream(cut);
            return connection.close(code(close), reason.as_bytes());
        }
    };
    let peer = Peer {
        carrier: Carrier::Quic,
        coding: Coding::Binary,
        remote: connection.remote_address(),
        grant: None,
        datagrams: connection.max_datagram_size().is_some(),
    };
    let link = StreamLink {
        transport: connection.clone(),
        send,
        recv,
        limits: door.limits,
        goodbye: door.patience.goodbye,
        metrics: Arc::clone(&door.metrics),
    };
    tokio::select! {
        () = door.gate.serve(link, peer) => {}
        () = turn_away(&connection) => {}
    }
}

/// Resets every further stream. Never returns while the connection lives.
async fn turn_away(connection: &Connection) {
    loop {
        tokio::select! {
            stream = connection.accept_bi() => match stream {
                Ok((mut send, mut recv)) => {
                    // A stream that is gone already needs no reset.
                    let _ = (send.reset(NOT_WANTED), recv.stop(NOT_WANTED));
                }
                Err(_) => return std::future::pending().await,
            },
            stream = connection.accept_uni() => match stream {
                Ok(mut recv) => drop(recv.stop(NOT_WANTED)),
                Err(_) => return std::future::pending().await,
            },
        }
    }
}

impl Transport for Connection {
    type Send = SendStream;
    type Recv = RecvStream;

    fn quic(&self) -> &Connection {
        self
    }

    async fn datagram(&self) -> io::Result<Bytes> {
        Ok(self.read_datagram().await?)
    }

    /// What has reached a native client can be read after the end of its connection.
    async fn read_by_client(&self) {}

    fn close(&self, close: CloseCode, reason: &str) {
        Connection::close(self, code(close), short(reason));
    }
}

impl AsMutSend for SendStream {
    fn quic(&mut self) -> &mut SendStream {
        self
    }
}

impl AsMutRecv for RecvStream {
    fn quic(&mut self) -> &mut RecvStream {
        self
    }
}

fn code(code: CloseCode) -> VarInt {
    VarInt::from_u32(u32::from(code.number()))
}
