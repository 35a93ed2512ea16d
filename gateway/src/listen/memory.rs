//! A link without a socket: both ends in one process, for tests and benchmarks of sessions.

use std::io;

use bytes::Bytes;
use tidegate_wire::CloseCode;
use tokio::sync::{mpsc, oneshot};

use super::link::{Link, LinkError, LinkReader, LinkWriter, Packet};

/// Packets and frames that wait in each direction: as little as a socket that is not read.
const QUEUE: usize = 4;

/// The gateway's end.
#[derive(Debug)]
pub struct MemoryLink {
    reader: MemoryReader,
    writer: MemoryWriter,
}

/// The client's end.
#[derive(Debug)]
pub struct MemoryClient {
    /// What the client sends; dropping it is the end of its stream.
    pub packets: mpsc::Sender<Packet>,
    /// What the gateway sends, one call of `send` each.
    pub frames: mpsc::Receiver<Bytes>,
    /// How the gateway closed the link.
    pub closed: oneshot::Receiver<(CloseCode, String)>,
}

/// The half that brings packets.
#[derive(Debug)]
pub struct MemoryReader(mpsc::Receiver<Packet>);

/// The half that takes frames.
#[derive(Debug)]
pub struct MemoryWriter {
    frames: mpsc::Sender<Bytes>,
    closed: oneshot::Sender<(CloseCode, String)>,
}

/// Both ends of a new link.
pub fn pair() -> (MemoryLink, MemoryClient) {
    let (packets, incoming) = mpsc::channel(QUEUE);
    let (outgoing, frames) = mpsc::channel(QUEUE);
    let (close, closed) = oneshot::channel();
    let link = MemoryLink {
        reader: MemoryReader(incoming),
        writer: MemoryWriter { frames: outgoing, closed: close },
    };
    (link, MemoryClient { packets, frames, closed })
}

impl Link for MemoryLink {
    type Reader = MemoryReader;
    type Writer = MemoryWriter;

    fn split(self) -> (MemoryReader, MemoryWriter) {
        (self.reader, self.writer)
    }
}

impl LinkReader for MemoryReader {
    async fn next(&mut self) -> Result<Option<Packet>, LinkError> {
        Ok(self.0.recv().await)
    }
}

impl LinkWriter for MemoryWriter {
    async fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        let sent = self.frames.send(Bytes::copy_from_slice(frames)).await;
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    async fn close(self, code: CloseCode, reason: &str) {
        // A client that has gone does not ask how.
        let _ = self.closed.send((code, reason.to_owned()));
    }
}
