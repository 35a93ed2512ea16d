//! One UDP port for browsers and devices: QUIC connections are told apart by ALPN after the handshake.

use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Endpoint, Incoming, TransportConfig, VarInt};
use tidegate_wire::{CloseCode, Limits, limits};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::link::Gate;
use super::quic_key::QuicKey;
use super::{quic, webtransport};
use crate::access::Access;
use crate::metrics::{Metrics, Surface};
use crate::rates::{Crowded, Rates};

/// ALPN of the raw protocol.
pub const ALPN: &[u8] = b"tidegate.v1";
/// ALPN of HTTP/3, which carries WebTransport.
const HTTP3: &[u8] = b"h3";
/// Beyond this many handshakes under way, a client must first show that it is where it says (address validation).
const UNVALIDATED_HANDSHAKES: usize = 256;
/// What one stream may send ahead of being read.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// The same for all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 384 << 10;
/// What may wait for one client to read it.
const SEND_WINDOW_BYTES: u64 = 256 << 10;
/// Streams a client may have open: HTTP/3 needs one, its control streams three, WebTransport one; the rest is reset.
const BIDIRECTIONAL_STREAMS: u32 = 4;
const UNIDIRECTIONAL_STREAMS: u32 = 8;
/// Datagrams that wait to be read; further ones push the oldest out.
const DATAGRAM_BYTES: usize = 64 << 10;
/// The connection outlives the session's own idle limit by this, so that CLOSE can be sent.
const IDLE_MARGIN: Duration = Duration::from_secs(10);

/// How long a client is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the QUIC handshake, and for HTTP/3 up to the CONNECT request.
    pub handshake: Duration,
    /// From there to its stream.
    pub stream: Duration,
    /// For what was sent last to be read.
    pub goodbye: Duration,
    /// Without anything from the client, by the session's own clock.
    pub idle: Duration,
}

impl Patience {
    /// The protocol's times.
    pub fn new(idle_ms: u32) -> Self {
        Self {
            handshake: Duration::from_secs(10),
            stream: Duration::from_millis(limits::HELLO_TIMEOUT_MS),
            goodbye: Duration::from_secs(1),
            idle: Duration::from_millis(u64::from(idle_ms)),
        }
    }
}

/// Where connections come from, and what bounds them.
pub struct Entrance {
    /// One for each address.
    pub sockets: Vec<UdpSocket>,
    /// TLS with both protocols.
    pub tls: quinn::ServerConfig,
    /// What stateless resets and connection ids are made from.
    pub key: QuicKey,
    /// Connections open at once; may be shared with other carriers. Further ones are refused.
    pub connections: Arc<Semaphore>,
    /// How many of them one address may have and open.
    pub rates: Arc<Rates>,
    /// Sizes of frames.
    pub limits: Limits,
    /// What the protocol's paths start with.
    pub prefix: String,
    /// How long clients are waited for.
    pub patience: Patience,
}

/// What all connections share.
pub(super) struct Door<G> {
    pub(super) gate: G,
    pub(super) access: Arc<Access>,
    /// Shared: by value it is over a KiB, which every session would hold several times.
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: Limits,
    pub(super) patience: Patience,
    /// Where WebTransport sessions are opened.
    pub(super) path: String,
    connections: Arc<Semaphore>,
    rates: Arc<Rates>,
    handshakes: Arc<AtomicUsize>,
    shutdown: CancellationToken,
}

/// Why a client without a session is waited for no longer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// It took too long.
    Late,
    /// The gateway shuts down.
    Shutdown,
}

/// One handshake under way, until dropped.
pub(super) struct Handshake(Arc<AtomicUsize>);

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until `shutdown`; then refuses newcomers and whoever has no session yet, and returns when the sessions under way have ended. What must not
/// take that long is to be ended by dropping the future.
pub async fn serve<G: Gate>(
    entrance: Entrance,
    gate: G,
    access: Arc<Access>,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let mut server = entrance.tls;
    server.transport_config(Arc::new(transport(&entrance.patience)));
    let door = Arc::new(Door {
        gate,
        access,
        metrics: Arc::new(metrics),
        limits: entrance.limits,
        patience: entrance.patience,
        path: format!("{}/stream", entrance.prefix.trim_end_matches('/')),
        connections: entrance.connections,
        rates: entrance.rates,
        handshakes: Arc::default(),
        shutdown: shutdown.clone(),
    });
    let tasks = TaskTracker::new();
    // They go on until the end, so that newcomers are refused and not left to wait.
    let mut doors = JoinSet::new();
    let mut endpoints = Vec::new();
    for socket in entrance.sockets {
        let config = entrance.key.endpoint_config();
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(config, Some(server.clone()), socket, runtime)?;
        doors.spawn(accept(endpoint.clone(), Arc::clone(&door), tasks.clone()));
        endpoints.push(endpoint);
    }
    shutdown.cancelled().await;
    tasks.close();
    tasks.wait().await;
    for endpoint in endpoints {
        // Closing packets that are still under way.
        let _ = timeout(Duration::from_secs(1), endpoint.wait_idle()).await;
    }
    Ok(())
}

async fn accept<G: Gate>(endpoint: Endpoint, door: Arc<Door<G>>, tasks: TaskTracker) {
    while let Some(incoming) = endpoint.accept().await {
        door.enter(incoming, &tasks);
    }
}

impl<G: Gate> Door<G> {
    fn enter(self: &Arc<Self>, incoming: Incoming, tasks: &TaskTracker) {
        if self.gate.is_draining() || self.shutdown.is_cancelled() {
            self.metrics.refused(Surface::Quic, "drain");
            return incoming.refuse();
        }
        let busy = self.handshakes.load(Ordering::Relaxed) >= UNVALIDATED_HANDSHAKES;
        let is_verified = incoming.remote_address_validated() || !incoming.may_retry();
        if busy && !is_verified {
            return verify(incoming);
        }
        let address = incoming.remote_address().ip();
        let of_address = match self.rates.connect(address, is_verified, Instant::now().into_std()) {
            Ok(of_address) => of_address,
            Err(Crowded::Verify) => return verify(incoming),
            Err(Crowded::Full) => {
                self.metrics.refused(Surface::Quic, "address");
                return incoming.refuse();
            }
        };
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.metrics.refused(Surface::Quic, "connections");
            return incoming.refuse();
        };
        let door = Arc::clone(self);
        self.handshakes.fetch_add(1, Ordering::Relaxed);
        let handshake = Handshake(Arc::clone(&self.handshakes));
        tasks.spawn(async move {
            match door.wait(door.patience.handshake, protocol(incoming)).await {
                Ok(Ok((connecting, protocol))) if protocol == ALPN => {
                    Box::pin(quic::serve(&door, connecting, handshake)).await;
                }
                Ok(Ok((connecting, protocol))) if protocol == HTTP3 => {
                    webtransport::serve(&door, connecting, handshake).await;
                }
                Ok(Ok(_)) => door.metrics.refused(Surface::Quic, "alpn"),
                Ok(Err(_)) => door.metrics.refused(Surface::Quic, "handshake"),
                Err(cut) => door.cut(cut, "handshake_timeout"),
            }
            drop((permit, of_address));
        });
    }

    /// What comes of `step`, unless it takes longer than `patience` or the gateway shuts down.
    pub(super) async fn wait<T>(&self, patience: Duration, step: impl Future<Output = T>) -> Result<T, Cut> {
        tokio::select! {
            done = timeout(patience, step) => done.map_err(|_| Cut::Late),
            () = self.shutdown.cancelled() => Err(Cut::Shutdown),
        }
    }

    /// Counts a client that was waited for no longer: as `late`, if that was why.
    pub(super) fn cut(&self, cut: Cut, late: &'static str) {
        let reason = match cut {
            Cut::Late => late,
            Cut::Shutdown => CloseCode::Drain.name(),
        };
        self.metrics.refused(Surface::Quic, reason);
    }

    /// Counts a client that opened no stream; what its connection is to be closed with.
    pub(super) fn without_stream(&self, cut: Cut) -> (CloseCode, &'static str) {
        self.cut(cut, CloseCode::HelloTimeout.name());
        match cut {
            Cut::Late => (CloseCode::HelloTimeout, "no stream was opened in time"),
            Cut::Shutdown => (CloseCode::Drain, "the gateway shuts down"),
        }
    }
}

/// Has a client show that it is where it says, by coming again with what it is sent there.
fn verify(incoming: Incoming) {
    // It was asked whether it may, so it can.
    let _ = incoming.retry();
}

async fn protocol(incoming: Incoming) -> Result<(Connecting, Vec<u8>), quinn::ConnectionError> {
    let mut connecting = incoming.accept()?;
    let data = connecting.handshake_data().await?;
    let data = data.downcast::<HandshakeData>().ok();
    Ok((connecting, data.and_then(|data| data.protocol).unwrap_or_default()))
}

fn transport(patience: &Patience) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .stream_receive_window(STREAM_WINDOW_BYTES.into())
        .receive_window(CONNECTION_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .max_concurrent_bidi_streams(BIDIRECTIONAL_STREAMS.into())
        .max_concurrent_uni_streams(UNIDIRECTIONAL_STREAMS.into())
        .datagram_receive_buffer_size(Some(DATAGRAM_BYTES))
        .datagram_send_buffer_size(0);
    // Whatever does not fit into QUIC's milliseconds is no limit, and there is always one.
    let idle = (patience.idle + IDLE_MARGIN).as_millis().try_into().unwrap_or(VarInt::MAX.into_inner());
    transport.max_idle_timeout(VarInt::from_u64(idle).ok().map(Into::into));
    transport
}

#[cfg(test)]
mod tests;
