//! RFC 6455 as a [`Link`]: messages to frames and back. The handshake is HTTP's, in [`super::http`].

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tidegate_wire::CloseCode;
use tidegate_wire::limits::Limits;
use tidegate_wire::{Violation, frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::link::{Coding, Link, LinkError, LinkReader, LinkWriter, Packet};

/// Of each connection, all the time: what an idle one costs.
const BUFFER_BYTES: usize = 4 << 10;
/// The largest message that is sent, with its header.
const WRITE_BYTES_MAX: usize = 4 << 20;
/// How long a client is given to take the last frames and to answer the close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// A close frame holds 125 bytes, 2 of them for the code (RFC 6455 section 5.5).
const REASON_BYTES_MAX: usize = 123;

/// A WebSocket after its handshake, at the server's end.
#[derive(Debug)]
pub struct WebSocketLink<S> {
    socket: Arc<Shared<S>>,
    coding: Coding,
    limits: Limits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketLink<S> {
    /// Takes over the bytes after the handshake. Messages are bounded by `limits.max_frame_bytes`.
    pub async fn new(stream: S, coding: Coding, limits: Limits) -> Self {
        let most = Some(limits.max_frame_bytes as usize);
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(BUFFER_BYTES)
            .max_write_buffer_size(WRITE_BYTES_MAX)
            .max_message_size(most)
            .max_frame_size(most);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let state = State { socket, reader: None, closing: false };
        Self { socket: Arc::new(Shared(Mutex::new(state))), coding, limits }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link for WebSocketLink<S> {
    type Reader = WebSocketReader<S>;
    type Writer = WebSocketWriter<S>;

    fn split(self) -> (Self::Reader, Self::Writer) {
        let Self { socket, coding, limits } = self;
        let writer = WebSocketWriter { socket: Arc::clone(&socket), coding };
        (WebSocketReader { socket, coding, limits }, writer)
    }
}

/// What a server answers to a client's `Sec-WebSocket-Key` (RFC 6455 section 4.2.2).
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// What both halves share. Locked for the length of a poll, never while waiting: a client that takes nothing
/// stops its own writer alone.
#[derive(Debug)]
struct Shared<S>(Mutex<State<S>>);

#[derive(Debug)]
struct State<S> {
    socket: WebSocketStream<S>,
    /// Who waits for the next message: told when the writer closes, which then reads in its place.
    reader: Option<Waker>,
    closing: bool,
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The half that brings messages.
#[derive(Debug)]
pub struct WebSocketReader<S> {
    socket: Arc<Shared<S>>,
    coding: Coding,
    limits: Limits,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> LinkReader for WebSocketReader<S> {
    async fn next(&mut self) -> Result<Option<Packet>, LinkError> {
        let message = poll_fn(|context| self.poll_message(context)).await;
        match message {
            None => Ok(None),
            Some(Ok(message)) => self.packet(message).map(Some).map_err(LinkError::from),
            Some(Err(error)) => Err(self.fault(error)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketReader<S> {
    /// The next message that carries something. Control frames are answered by the poll after the one that
    /// read them, so this asks until the socket has nothing more.
    fn poll_message(&self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        let mut state = self.socket.lock();
        loop {
            if state.closing {
                return Poll::Ready(None);
            }
            match Pin::new(&mut state.socket).poll_next(context) {
                Poll::Ready(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)))) => {}
                Poll::Ready(message) => return Poll::Ready(message),
                Poll::Pending => {
                    if !state.reader.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                        state.reader = Some(context.waker().clone());
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    fn packet(&self, message: Message) -> Result<Packet, Violation> {
        match (self.coding, message) {
            (Coding::Binary, Message::Binary(bytes)) => {
                if bytes.is_empty() || frame::whole(&bytes, &self.limits)? != bytes.len() {
                    let message = "a binary message must hold one or more whole frames";
                    return Err(Violation::bad_frame(message));
                }
                Ok(Packet::Frames(bytes))
            }
            (Coding::Json | Coding::CloudEvents, Message::Text(text)) => Ok(Packet::Text(text.into())),
            (Coding::Binary, _) => {
                Err(Violation::bad_frame("a session of tidegate.v1 takes binary messages, not text"))
            }
            (Coding::Json | Coding::CloudEvents, _) => {
                Err(Violation::bad_frame("a JSON session takes text messages, not binary ones"))
            }
        }
    }

    fn fault(&self, error: Error) -> LinkError {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                let limit = self.limits.max_frame_bytes;
                Violation::too_large(format!("a message may hold at most {limit} bytes")).into()
            }
            Error::Utf8(_) => Violation::bad_frame("a text message must be UTF-8").into(),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                LinkError::Io(io::ErrorKind::UnexpectedEof.into())
            }
            Error::Protocol(error) => {
                Violation::bad_frame(format!("not WebSocket as RFC 6455 has it: {error}")).into()
            }
            error => LinkError::Io(io_error(error)),
        }
    }
}

/// The half that takes messages.
#[derive(Debug)]
pub struct WebSocketWriter<S> {
    socket: Arc<Shared<S>>,
    coding: Coding,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> LinkWriter for WebSocketWriter<S> {
    async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(frames);
        let message = match self.coding {
            Coding::Binary => Message::Binary(bytes),
            Coding::Json | Coding::CloudEvents => Utf8Bytes::try_from(bytes)
                .map(Message::Text)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        self.write(message).await.map_err(io_error)
    }

    async fn close(self, code: CloseCode, reason: &str) {
        {
            let mut state = self.socket.lock();
            state.closing = true;
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        let frame = CloseFrame { code: code.websocket().into(), reason: short(reason).into() };
        // Whoever does not take the rest in time has the connection cut off.
        let _ = timeout(CLOSE_PATIENCE, async {
            let _ = self.write(Message::Close(Some(frame))).await;
            self.part().await;
        })
        .await;
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketWriter<S> {
    async fn write(&self, message: Message) -> Result<(), Error> {
        poll_fn(|context| Pin::new(&mut self.socket.lock().socket).poll_ready(context)).await?;
        Pin::new(&mut self.socket.lock().socket).start_send(message)?;
        poll_fn(|context| Pin::new(&mut self.socket.lock().socket).poll_flush(context)).await
    }

    /// Reads until the client has answered the close, ends our direction, and reads on until it has ended its
    /// own: closing a socket with bytes unread would take back what was just sent.
    async fn part(&self) {
        poll_fn(|context| {
            let mut state = self.socket.lock();
            while let Some(Ok(_)) = ready!(Pin::new(&mut state.socket).poll_next(context)) {}
            Poll::Ready(())
        })
        .await;
        let _ = poll_fn(|context| Pin::new(self.socket.lock().socket.get_mut()).poll_shutdown(context)).await;
        poll_fn(|context| {
            let mut state = self.socket.lock();
            let mut bytes = [0; 1024];
            loop {
                let mut unread = ReadBuf::new(&mut bytes);
                match ready!(Pin::new(state.socket.get_mut()).poll_read(context, &mut unread)) {
                    Ok(()) if !unread.filled().is_empty() => {}
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::NotConnected.into(),
        error => io::Error::other(error),
    }
}

fn short(reason: &str) -> &str {
    let end = (0..=reason.len().min(REASON_BYTES_MAX)).rev().find(|&end| reason.is_char_boundary(end));
    end.and_then(|end| reason.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
