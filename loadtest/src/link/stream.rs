//! Raw QUIC and WebTransport: frames back to back on one stream.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::BytesMut;
use socket2::{Domain, Socket, Type};
use tidegate_wire::{GatewayFrame, Limits, whole};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wtransport::config::{DnsLookupFuture, DnsResolver};

use super::{Link, Receiver, Sender, decode};
use crate::target::Target;

pub(crate) struct StreamSender {
    stream: Box<dyn AsyncWrite + Unpin>,
    _connection: Connection,
}

pub(crate) struct StreamReceiver {
    stream: Box<dyn AsyncRead + Unpin>,
    buffer: BytesMut,
}

/// Kept, because a connection ends with its last handle.
enum Connection {
    Quic(#[expect(dead_code, reason = "it only has to live")] quinn::Connection),
    WebTransport(#[expect(dead_code, reason = "it only has to live")] wtransport::Connection),
}

pub(super) fn quic_endpoint(target: &Target) -> Result<quinn::Endpoint> {
    if !target.url.secure {
        bail!("QUIC needs https://");
    }
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(target.tls(&["tidegate.v1"])?)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let mut endpoint =
        quinn::Endpoint::new(quinn::EndpointConfig::default(), None, socket(target)?, runtime)?;
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    Ok(endpoint)
}

pub(super) async fn quic(endpoint: &quinn::Endpoint, target: &Target) -> Result<Link> {
    let connection = endpoint.connect(target.address, &target.url.host)?.await?;
    let (send, receive) = connection.open_bi().await?;
    Ok(link(Box::new(send), Box::new(receive), Connection::Quic(connection)))
}

pub(super) fn webtransport_endpoint(
    target: &Target,
) -> Result<wtransport::Endpoint<wtransport::endpoint::endpoint_side::Client>> {
    if !target.url.secure {
        bail!("WebTransport needs https://");
    }
    let config = wtransport::ClientConfig::builder()
        .with_bind_socket(socket(target)?)
        .with_custom_tls(target.tls(&["h3"])?)
        .dns_resolver(Resolved(target.address))
        .build();
    Ok(wtransport::Endpoint::client(config)?)
}

pub(super) async fn webtransport(
    endpoint: &wtransport::Endpoint<wtransport::endpoint::endpoint_side::Client>,
    target: &Target,
) -> Result<Link> {
    let connection = endpoint.connect(format!("https://{}/v1/stream", target.url.authority())).await?;
    let (send, receive) = connection.open_bi().await?.await?;
    Ok(link(Box::new(send), Box::new(receive), Connection::WebTransport(connection)))
}

fn link(
    send: Box<dyn AsyncWrite + Unpin>,
    receive: Box<dyn AsyncRead + Unpin>,
    connection: Connection,
) -> Link {
    Link {
        sender: Sender::Stream(StreamSender { stream: send, _connection: connection }),
        receiver: Receiver::Stream(StreamReceiver { stream: receive, buffer: BytesMut::new() }),
    }
}

/// The socket of all clients of one thread, with room for answers to many of them at once.
fn socket(target: &Target) -> Result<UdpSocket> {
    const BUFFER_BYTES: usize = 4 << 20;
    let unspecified: SocketAddr = if target.address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (Ipv6Addr::UNSPECIFIED, 0).into()
    };
    let socket = Socket::new(Domain::for_address(target.address), Type::DGRAM, None)?;
    // The kernel may give less.
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.bind(&unspecified.into())?;
    Ok(socket.into())
}

/// The name is looked up once, and not again for each connection.
#[derive(Debug)]
struct Resolved(SocketAddr);

impl DnsResolver for Resolved {
    fn resolve(&self, _: &str) -> Pin<Box<dyn DnsLookupFuture>> {
        Box::pin(std::future::ready(Ok(Some(self.0))))
    }
}

impl StreamSender {
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }
}

impl StreamReceiver {
    pub(super) async fn next(&mut self, frames: &mut Vec<GatewayFrame>) -> Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.context("the connection broke")?;
        if read == 0 {
            bail!("the gateway finished its stream");
        }
        let complete = whole(&self.buffer, &Limits::default())?;
        decode(&self.buffer.split_to(complete), frames)
    }
}
