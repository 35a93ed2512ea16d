//! One connection on any carrier: frames out, frames in.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use tidegate_wire::{BatchWriter, ClientFrame, Frames, GatewayFrame, Limits, varint, whole};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::gateway::Gateway;

pub type LinkError = Box<dyn std::error::Error + Send + Sync>;

/// How a test's client comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    WebTransport,
    Quic,
    /// Binary frames over TLS.
    WebSocket,
    /// JSON frames without TLS.
    WebSocketJson,
}

impl Carrier {
    pub const ALL: [Self; 4] = [Self::WebTransport, Self::Quic, Self::WebSocket, Self::WebSocketJson];

    /// The metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::WebTransport => "webtransport",
            Self::Quic => "quic",
            Self::WebSocket | Self::WebSocketJson => "websocket",
        }
    }
}

/// One connection.
pub enum Link {
    Stream(Box<Stream>),
    WebSocket { socket: Box<WebSocketStream<Box<dyn Socket>>>, json: bool, unread: Vec<GatewayFrame> },
}

/// A stream of frames, and the connection that must live as long.
pub struct Stream {
    write: Box<dyn AsyncWrite + Send + Unpin>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
    connection: Connection,
}

/// Kept alive, and a way to send datagrams.
pub enum Connection {
    Quic(#[expect(dead_code, reason = "it only has to live")] quinn::Endpoint, quinn::Connection),
    WebTransport(
        #[expect(dead_code, reason = "it only has to live")]
        wtransport::Endpoint<wtransport::endpoint::endpoint_side::Client>,
        wtransport::Connection,
    ),
}

pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Link {
    pub async fn connect(gateway: &Gateway, carrier: Carrier) -> Result<Self, LinkError> {
        match carrier {
            Carrier::Quic => quic(gateway).await,
            Carrier::WebTransport => webtransport(gateway).await,
            Carrier::WebSocket => websocket(gateway, false).await,
            Carrier::WebSocketJson => websocket(gateway, true).await,
        }
    }

    pub async fn send(&mut self, frame: &ClientFrame<'_>) -> Result<(), LinkError> {
        let mut bytes = Vec::new();
        frame.to_binary(&mut bytes);
        match self {
            Self::WebSocket { socket, json: true, .. } => {
                let text = frame.to_json().ok_or("this frame has no JSON coding")?;
                Ok(socket.send(Message::text(text)).await?)
            }
            _ => self.raw(&bytes).await,
        }
    }

    /// Sends bytes as they are: on a stream, or as one binary message.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        match self {
            Self::Stream(stream) => Ok(stream.write.write_all(bytes).await?),
            Self::WebSocket { socket, .. } => Ok(socket.send(Message::binary(bytes.to_vec())).await?),
        }
    }

    /// Sends a text message as it is.
    pub async fn text(&mut self, text: &str) -> Result<(), LinkError> {
        match self {
            Self::Stream(_) => Err("a stream has no text".into()),
            Self::WebSocket { socket, .. } => Ok(socket.send(Message::text(text)).await?),
        }
    }

    pub async fn events(&mut self, first_seq: u64, events: &[impl AsRef<[u8]>]) -> Result<(), LinkError> {
        if let Self::WebSocket { socket, json: true, .. } = self {
            let events: Vec<_> = events.iter().map(|event| String::from_utf8_lossy(event.as_ref())).collect();
            let frame = format!(r#"{{"t":"ev","s":{first_seq},"e":[{}]}}"#, events.join(","));
            return Ok(socket.send(Message::text(frame)).await?);
        }
        self.raw(&frame(first_seq, false, events)).await
    }

    /// What carries the stream.
    pub fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Stream(stream) => Some(&stream.connection),
            Self::WebSocket { .. } => None,
        }
    }

    pub async fn close_websocket(&mut self) -> Result<(), LinkError> {
        match self {
            Self::Stream(_) => Err("a stream is no WebSocket".into()),
            Self::WebSocket { socket, .. } => Ok(WebSocketStream::close(socket, None).await?),
        }
    }

    /// A QUIC connection without any stream.
    pub async fn quic_connection(
        gateway: &Gateway,
        alpn: &[&str],
    ) -> Result<(quinn::Endpoint, quinn::Connection), LinkError> {
        let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(gateway.authority.client(alpn))?;
        let mut endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into())?;
        endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
        let connection = endpoint.connect(gateway.secure, "localhost")?.await?;
        Ok((endpoint, connection))
    }

    /// A WebTransport endpoint that trusts the gateway.
    pub fn webtransport_endpoint(
        gateway: &Gateway,
    ) -> wtransport::Endpoint<wtransport::endpoint::endpoint_side::Client> {
        let hash = wtransport::tls::Sha256Digest::new(gateway.authority.hash());
        let config = wtransport::ClientConfig::builder()
            .with_bind_address(([127, 0, 0, 1], 0).into())
            .with_server_certificate_hashes([hash])
            .build();
        wtransport::Endpoint::client(config).unwrap()
    }

    /// Sends a datagram.
    pub fn datagram(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        match self.connection().ok_or("this carrier has no datagrams")? {
            Connection::Quic(_, connection) => Ok(connection.send_datagram(bytes.into())?),
            Connection::WebTransport(_, connection) => Ok(connection.send_datagram(bytes)?),
        }
    }

    pub async fn next(&mut self) -> Result<GatewayFrame, LinkError> {
        match self {
            Self::Stream(stream) => stream.next().await,
            Self::WebSocket { socket, unread, .. } => loop {
                if !unread.is_empty() {
                    return Ok(unread.remove(0));
                }
                match socket.next().await.ok_or("the gateway hung up")?? {
                    Message::Binary(bytes) => *unread = decode(&bytes)?,
                    Message::Text(text) => unread.extend(GatewayFrame::from_json(&text)?),
                    Message::Close(close) => return Err(format!("closed: {close:?}").into()),
                    _ => {}
                }
            },
        }
    }
}

impl Stream {
    async fn next(&mut self) -> Result<GatewayFrame, LinkError> {
        loop {
            let limits = Limits::default();
            let mut frames = Frames::new(&self.buffer, &limits);
            if whole(&self.buffer, &limits)? > 0
                && let Some(frame) = frames.next()
            {
                let frame = frame?;
                let size = 1 + varint::len(frame.body.len() as u64) + frame.body.len();
                let decoded = GatewayFrame::from_binary(frame)?;
                let _ = self.buffer.split_to(size);
                match decoded {
                    Some(frame) => return Ok(frame),
                    None => continue,
                }
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Err("the gateway finished its stream".into());
            }
        }
    }
}

/// An EVENTS frame of whole events.
pub fn frame(first_seq: u64, lossy: bool, events: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut writer = BatchWriter::default();
    events.iter().for_each(|event| writer.structured(event.as_ref()));
    let mut bytes = Vec::new();
    writer.finish(first_seq, lossy, None, &mut bytes).unwrap();
    bytes
}

fn decode(bytes: &[u8]) -> Result<Vec<GatewayFrame>, LinkError> {
    let mut frames = Vec::new();
    for frame in Frames::new(bytes, &Limits::default()) {
        frames.extend(GatewayFrame::from_binary(frame?)?);
    }
    Ok(frames)
}

async fn quic(gateway: &Gateway) -> Result<Link, LinkError> {
    let (endpoint, connection) = Link::quic_connection(gateway, &["tidegate.v1"]).await?;
    let (write, read) = connection.open_bi().await?;
    Ok(Link::Stream(Box::new(Stream {
        write: Box::new(write),
        read: Box::new(read),
        buffer: BytesMut::new(),
        connection: Connection::Quic(endpoint, connection),
    })))
}

async fn webtransport(gateway: &Gateway) -> Result<Link, LinkError> {
    let endpoint = Link::webtransport_endpoint(gateway);
    let url = format!("https://{}/v1/stream", gateway.secure);
    let connection = endpoint.connect(url).await?;
    let (write, read) = connection.open_bi().await?.await?;
    Ok(Link::Stream(Box::new(Stream {
        write: Box::new(write),
        read: Box::new(read),
        buffer: BytesMut::new(),
        connection: Connection::WebTransport(endpoint, connection),
    })))
}

async fn websocket(gateway: &Gateway, json: bool) -> Result<Link, LinkError> {
    let (scheme, address, protocol) = match json {
        true => ("ws", gateway.plain, "tidegate.v1.json"),
        false => ("wss", gateway.secure, "tidegate.v1"),
    };
    let mut request = format!("{scheme}://{address}/v1/stream").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse()?);
    let tcp = TcpStream::connect(address).await?;
    let socket: Box<dyn Socket> = if json {
        Box::new(tcp)
    } else {
        let tls = tokio_rustls::TlsConnector::from(Arc::new(gateway.authority.client(&["http/1.1"])));
        Box::new(tls.connect("localhost".try_into()?, tcp).await?)
    };
    let (socket, _) = tokio_tungstenite::client_async(request, socket).await?;
    Ok(Link::WebSocket { socket: Box::new(socket), json, unread: Vec::new() })
}
