//! One connection that carries frames: whole frames out, decoded frames in.

mod stream;
mod websocket;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use tidegate_wire::{ClientFrame, GatewayFrame};

use self::stream::{StreamReceiver, StreamSender};
use self::websocket::{SocketReceiver, SocketSender};
use crate::target::{Carrier, Target};

/// Opens connections; one for each thread, because UDP endpoints belong to a runtime.
pub(crate) struct Dialer {
    pub(crate) target: Target,
    carrier: Carrier,
    token: Option<String>,
    endpoint: Endpoint,
}

enum Endpoint {
    Tcp(Option<tokio_rustls::TlsConnector>),
    Quic(quinn::Endpoint),
    WebTransport(wtransport::Endpoint<wtransport::endpoint::endpoint_side::Client>),
}

/// The two directions of a connection, which ends when both are dropped.
pub(crate) struct Link {
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
}

/// Frames out. Not cancel safe: a frame may be sent in part.
pub(crate) enum Sender {
    Stream(StreamSender),
    Socket(SocketSender),
}

/// Frames in. Cancel safe.
pub(crate) enum Receiver {
    Stream(StreamReceiver),
    Socket(SocketReceiver),
}

impl Dialer {
    /// A dialer of `carrier`; within a runtime.
    pub(crate) fn new(target: Target, carrier: Carrier, token: Option<String>) -> Result<Self> {
        let endpoint = match carrier {
            Carrier::Websocket | Carrier::WebsocketJson | Carrier::Https => {
                let tls = target.tls(&["http/1.1"])?;
                Endpoint::Tcp(target.url.secure.then(|| std::sync::Arc::new(tls).into()))
            }
            Carrier::Quic => Endpoint::Quic(stream::quic_endpoint(&target)?),
            Carrier::Webtransport => Endpoint::WebTransport(stream::webtransport_endpoint(&target)?),
        };
        Ok(Self { target, carrier, token, endpoint })
    }

    /// Opens a connection and its stream. Says nothing yet.
    pub(crate) async fn connect(&self) -> Result<Link> {
        let link = match &self.endpoint {
            Endpoint::Tcp(_) => websocket::connect(self, self.carrier == Carrier::WebsocketJson).await,
            Endpoint::Quic(endpoint) => stream::quic(endpoint, &self.target).await,
            Endpoint::WebTransport(endpoint) => stream::webtransport(endpoint, &self.target).await,
        };
        let what = || format!("cannot connect to {} over {}", self.target.url.authority(), self.carrier);
        link.map_err(|why| self.explained(why)).with_context(what)
    }

    /// In better words, where the URL has the wrong scheme for its port.
    pub(crate) fn explained(&self, why: anyhow::Error) -> anyhow::Error {
        let (is_secure, text) = (self.target.url.secure, format!("{why:#}"));
        // What either side says to the other's first bytes.
        if is_secure && text.contains("InvalidContentType") {
            anyhow!("this port speaks no TLS: write http://")
        } else if !is_secure && text.contains("HTTP version") {
            anyhow!("this port speaks TLS: write https://")
        } else {
            why
        }
    }

    /// A byte stream to the gateway: TCP, with TLS where the URL says so.
    pub(crate) async fn socket(&self) -> Result<Box<dyn Socket>> {
        let tcp = tokio::net::TcpStream::connect(self.target.address).await?;
        tcp.set_nodelay(true)?;
        Ok(match &self.endpoint {
            Endpoint::Tcp(Some(tls)) => {
                let name = self.target.url.host.clone().try_into().context("the host is no server name")?;
                Box::new(tls.connect(name, tcp).await?)
            }
            _ => Box::new(tcp),
        })
    }

    /// Once all connections are done: sees the last packets off. A process that just ends leaves the gateway to find out.
    pub(crate) async fn finish(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let idle = async {
            match &self.endpoint {
                Endpoint::Tcp(_) => {}
                Endpoint::Quic(endpoint) => endpoint.wait_idle().await,
                Endpoint::WebTransport(endpoint) => endpoint.wait_idle().await,
            }
        };
        let _ = tokio::time::timeout(PATIENCE, idle).await;
    }

    /// The token to show, if there is one.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

impl Sender {
    /// Sends bytes that are whole frames of the link's coding.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stream(stream) => stream.send(bytes).await,
            Self::Socket(socket) => socket.send(bytes).await,
        }
    }

    /// Sends one frame, encoded as the link has it.
    pub(crate) async fn frame(&mut self, frame: &ClientFrame<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        if self.is_json() {
            bytes.extend(frame.to_json().unwrap_or_default().into_bytes());
        } else {
            frame.to_binary(&mut bytes);
        }
        self.send(&bytes).await
    }

    /// Whether frames are JSON.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self, Self::Socket(socket) if socket.is_json())
    }
}

impl Receiver {
    /// Appends what comes next, one frame at least.
    pub(crate) async fn next(&mut self, frames: &mut Vec<GatewayFrame>) -> Result<()> {
        while frames.is_empty() {
            match self {
                Self::Stream(stream) => stream.next(frames).await?,
                Self::Socket(socket) => socket.next(frames).await?,
            }
        }
        Ok(())
    }
}

/// What a WebSocket or a request runs over.
pub(crate) trait Socket: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Socket for T {}

/// Decodes a run of whole binary frames.
fn decode(bytes: &[u8], frames: &mut Vec<GatewayFrame>) -> Result<()> {
    let limits = tidegate_wire::Limits::default();
    for frame in tidegate_wire::Frames::new(bytes, &limits) {
        frames.extend(GatewayFrame::from_binary(frame?)?);
    }
    Ok(())
}
