//! A client of the protocol on any carrier, as somebody would write it from the contract.

mod link;
mod sender;

use tidegate_wire::{ClientFrame, Close, CloseCode, GatewayFrame, Hello, Welcome};

pub use self::link::{Carrier, Connection, Link, LinkError, frame};
pub use self::sender::Sender;
use crate::gateway::{Gateway, PATIENCE};

/// A session that has been welcomed.
pub struct Client {
    link: Link,
    pub welcome: Welcome,
}

impl Client {
    /// Connects and says HELLO as `name`, whose lowest unacknowledged number is `next`.
    pub async fn open(gateway: &Gateway, carrier: Carrier, name: &str, next: u64) -> Self {
        Self::try_open(gateway, carrier, hello(name, next)).await.expect("welcomed")
    }

    /// Connects and says HELLO.
    pub async fn try_open(gateway: &Gateway, carrier: Carrier, hello: Hello) -> Result<Self, LinkError> {
        let mut link = Link::connect(gateway, carrier).await?;
        link.send(&ClientFrame::Hello(hello)).await?;
        match within(link.next()).await?? {
            GatewayFrame::Welcome(welcome) => Ok(Self { link, welcome: *welcome }),
            other => Err(format!("expected WELCOME, got {other:?}").into()),
        }
    }

    pub async fn send(&mut self, frame: &ClientFrame<'_>) -> Result<(), LinkError> {
        self.link.send(frame).await
    }

    /// Sends whole events, numbered from `first_seq`.
    pub async fn events(&mut self, first_seq: u64, events: &[impl AsRef<[u8]>]) -> Result<(), LinkError> {
        self.link.events(first_seq, events).await
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.link.raw(bytes).await
    }

    /// Sends a text message as it is.
    pub async fn text(&mut self, text: &str) -> Result<(), LinkError> {
        self.link.text(text).await
    }

    /// What carries the stream, of a carrier that has streams.
    pub fn connection(&self) -> &Connection {
        self.link.connection().expect("a carrier with streams")
    }

    /// Closes a WebSocket as RFC 6455 has it, without CLOSE.
    pub async fn close_websocket(&mut self) -> Result<(), LinkError> {
        self.link.close_websocket().await
    }

    /// Sends a datagram as it is.
    pub fn datagram(&self, bytes: Vec<u8>) -> Result<(), LinkError> {
        self.link.datagram(bytes)
    }

    /// The next frame that is not PING; PING is answered.
    pub async fn next(&mut self) -> Result<GatewayFrame, LinkError> {
        loop {
            match within(self.link.next()).await?? {
                GatewayFrame::Ping(ping) => self.link.send(&ClientFrame::Pong(ping)).await?,
                frame => return Ok(frame),
            }
        }
    }

    /// Says that it is done, and waits for the gateway to say so too.
    pub async fn done(mut self) {
        self.send(&ClientFrame::Close(Close::new(CloseCode::Done))).await.unwrap();
        loop {
            match self.next().await.unwrap() {
                // A gateway that is just leaving says so too.
                GatewayFrame::Close(close) => {
                    return assert!(matches!(close.code, CloseCode::Done | CloseCode::Drain), "{close:?}");
                }
                GatewayFrame::Ack(_) | GatewayFrame::Goaway(_) => {}
                other => panic!("expected CLOSE, got {other:?}"),
            }
        }
    }

    /// Goes away without a word.
    pub fn vanish(self) {
        drop(self);
    }
}

/// HELLO of a client that keeps its numbers.
pub fn hello(name: &str, next: u64) -> Hello {
    Hello { client: Some(name.to_owned()), epoch: Some(1), next: Some(next), ..Hello::default() }
}

/// The future's result, or an error where it takes longer than anything here should.
pub async fn within<T>(future: impl Future<Output = T>) -> Result<T, LinkError> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| "nothing came in time".into())
}
