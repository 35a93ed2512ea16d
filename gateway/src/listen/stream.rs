//! Frames over one bidirectional QUIC stream, whichever protocol opened it, and datagrams beside it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quinn::{RecvStream, SendStream};
use tidegate_wire::{CloseCode, Limits, Violation, whole};
use tokio::time::timeout;

use super::link::{Link, LinkError, LinkReader, LinkWriter, Packet};
use crate::metrics::{Metrics, Surface};

/// What is taken from the stream at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A QUIC connection with one stream, as raw QUIC or as WebTransport has it.
pub(super) trait Transport: Clone + Send + Sync + 'static {
    /// The stream's sending half.
    type Send: AsMutSend + Send + 'static;
    /// The stream's receiving half.
    type Recv: AsMutRecv + Send + 'static;

    /// The connection at heart.
    fn quic(&self) -> &quinn::Connection;

    /// The next datagram. Cancel safe.
    fn datagram(&self) -> impl Future<Output = io::Result<Bytes>> + Send;

    /// Waits until closing takes nothing from the client of what has reached it; for ever, if it does not say.
    fn read_by_client(&self) -> impl Future<Output = ()> + Send;

    /// Closes the connection.
    fn close(&self, code: CloseCode, reason: &str);
}

/// A sending half that is QUIC's at heart.
pub(super) trait AsMutSend {
    fn quic(&mut self) -> &mut SendStream;
}

/// A receiving half that is QUIC's at heart.
pub(super) trait AsMutRecv {
    fn quic(&mut self) -> &mut RecvStream;
}

/// One client's stream and connection.
pub(super) struct StreamLink<T: Transport> {
    pub(super) transport: T,
    pub(super) send: T::Send,
    pub(super) recv: T::Recv,
    pub(super) limits: Limits,
    /// For what was sent last to be read.
    pub(super) goodbye: Duration,
    pub(super) metrics: Arc<Metrics>,
}

/// The half that brings frames.
pub(super) struct StreamReader<T: Transport> {
    transport: T,
    recv: T::Recv,
    limits: Limits,
    /// The beginning of a frame that is not whole; empty, and without memory, between frames.
    partial: BytesMut,
    is_finished: bool,
    /// Datagrams that were handed on.
    datagrams: u64,
    metrics: Arc<Metrics>,
}

/// The half that takes frames.
pub(super) struct StreamWriter<T: Transport> {
    transport: T,
    send: T::Send,
    goodbye: Duration,
}

impl<T: Transport> Link for StreamLink<T> {
    type Reader = StreamReader<T>;
    type Writer = StreamWriter<T>;

    fn split(self) -> (StreamReader<T>, StreamWriter<T>) {
        let Self { transport, send, recv, limits, goodbye, metrics } = self;
        let reader = StreamReader {
            transport: transport.clone(),
            recv,
            limits,
            partial: BytesMut::new(),
            is_finished: false,
            datagrams: 0,
            metrics,
        };
        (reader, StreamWriter { transport, send, goodbye })
    }
}

impl<T: Transport> LinkReader for StreamReader<T> {
    async fn next(&mut self) -> Result<Option<Packet>, LinkError> {
        loop {
            if self.is_finished {
                return self.end();
            }
            let chunk = tokio::select! {
                chunk = self.recv.quic().read_chunk(CHUNK_BYTES, true) => chunk.map_err(io::Error::from)?,
                datagram = self.transport.datagram() => {
                    let datagram = datagram?;
                    self.datagrams += 1;
                    return Ok(Some(Packet::Datagram(datagram)));
                }
            };
            match chunk {
                None => self.is_finished = true,
                Some(chunk) => {
                    if let Some(frames) = self.take(chunk.bytes)? {
                        return Ok(Some(Packet::Frames(frames)));
                    }
                }
            }
        }
    }
}

/// Datagrams that came faster than they were read were pushed out of the connection's buffer without a word.
impl<T: Transport> Drop for StreamReader<T> {
    fn drop(&mut self) {
        let received = self.transport.quic().stats().frame_rx.datagram;
        self.metrics.refused_times(Surface::Datagram, "unread", received.saturating_sub(self.datagrams));
    }
}

impl<T: Transport> StreamReader<T> {
    /// Adds what has arrived, and takes off what is whole.
    fn take(&mut self, mut chunk: Bytes) -> Result<Option<Bytes>, Violation> {
        if self.partial.is_empty() {
            // Frames that arrive in one piece are not copied.
            let frames = chunk.split_to(whole(&chunk, &self.limits)?);
            self.partial.extend_from_slice(&chunk);
            return Ok(Some(frames).filter(|frames| !frames.is_empty()));
        }
        self.partial.extend_from_slice(&chunk);
        let size = whole(&self.partial, &self.limits)?;
        if size == 0 {
            return Ok(None);
        }
        let frames = self.partial.split_to(size).freeze();
        if self.partial.is_empty() {
            self.partial = BytesMut::new();
        }
        Ok(Some(frames))
    }

    fn end(&mut self) -> Result<Option<Packet>, LinkError> {
        if self.partial.is_empty() {
            return Ok(None);
        }
        self.partial = BytesMut::new();
        Err(Violation::bad_frame("the stream ended in the middle of a frame").into())
    }
}

impl<T: Transport> LinkWriter for StreamWriter<T> {
    async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        Ok(self.send.quic().write_all(frames).await?)
    }

    async fn close(mut self, code: CloseCode, reason: &str) {
        // A stream that was reset has nothing left to be read.
        if self.send.quic().finish().is_ok() {
            let stopped = self.send.quic().stopped();
            let read = async {
                // The client has it, wants no more of it, or has gone.
                let _ = stopped.await;
                self.transport.read_by_client().await;
            };
            let _ = timeout(self.goodbye, read).await;
        }
        self.transport.close(code, reason);
    }
}

/// QUIC takes reasons of any length, but one packet must hold it.
pub(super) fn short(reason: &str) -> &[u8] {
    const REASON_BYTES: usize = 120;
    let bytes = reason.as_bytes();
    bytes.get(..REASON_BYTES).unwrap_or(bytes)
}
