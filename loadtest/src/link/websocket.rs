//! WebSocket: one frame a message, one write a message.

use anyhow::{Context as _, Result, bail};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tidegate_wire::GatewayFrame;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Dialer, Link, Receiver, Sender, Socket, decode};

type Stream = WebSocketStream<Box<dyn Socket>>;

pub(crate) struct SocketSender {
    sink: SplitSink<Stream, Message>,
    json: bool,
}

pub(crate) struct SocketReceiver(SplitStream<Stream>);

pub(super) async fn connect(dialer: &Dialer, json: bool) -> Result<Link> {
    let url = &dialer.target.url;
    let scheme = if url.secure { "wss" } else { "ws" };
    let mut request = format!("{scheme}://{}/v1/stream", url.authority()).into_client_request()?;
    let protocol = if json { "tidegate.v1.json" } else { "tidegate.v1" };
    request.headers_mut().insert("sec-websocket-protocol", protocol.parse()?);
    let config = WebSocketConfig::default().read_buffer_size(4_096).write_buffer_size(4_096);
    let connecting =
        tokio_tungstenite::client_async_with_config(request, dialer.socket().await?, Some(config));
    let (stream, _) = match connecting.await {
        Ok(connected) => connected,
        Err(Error::Http(answer)) => bail!("the gateway answered {}", answer.status()),
        Err(error) => return Err(error.into()),
    };
    let (sink, stream) = stream.split();
    let sender = Sender::Socket(SocketSender { sink, json });
    Ok(Link { sender, receiver: Receiver::Socket(SocketReceiver(stream)) })
}

impl SocketSender {
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let message = if self.json {
            Message::text(std::str::from_utf8(bytes).context("a JSON frame is text")?)
        } else {
            Message::binary(bytes.to_vec())
        };
        Ok(self.sink.send(message).await?)
    }
}

impl SocketReceiver {
    pub(super) async fn next(&mut self, frames: &mut Vec<GatewayFrame>) -> Result<()> {
        match self.0.next().await.context("the gateway hung up")?? {
            Message::Binary(bytes) => decode(&bytes, frames)?,
            Message::Text(text) => frames.extend(GatewayFrame::from_json(&text)?),
            Message::Close(_) => bail!("the gateway closed the WebSocket"),
            _ => {}
        }
        Ok(())
    }
}
