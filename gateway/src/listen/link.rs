//! The port between carriers and sessions: whole frames in, frames out. Carriers know nothing of what
//! frames mean; sessions know nothing of sockets.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use tidegate_wire::body::BodyKind;
use tidegate_wire::{CloseCode, Level, Reason};
use tidegate_wire::{Reject, Violation};

use crate::access::Grant;
use crate::carrier::Carrier;
use crate::rates::Meter;

/// What a carrier brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet {
    /// One or more whole binary frames, back to back.
    Frames(Bytes),
    /// One text message, valid UTF-8: a JSON frame, or an event of a `cloudevents.json` session.
    Text(Bytes),
    /// One datagram: not checked, may be anything.
    Datagram(Bytes),
}

impl Packet {
    /// Its bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Frames(bytes) | Self::Text(bytes) | Self::Datagram(bytes) => bytes.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How the frames of a session are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    /// `tidegate.v1`.
    Binary,
    /// `tidegate.v1.json`.
    Json,
    /// `cloudevents.json`: events without frames or acknowledgements.
    CloudEvents,
}

/// What is known of a client before its first frame.
#[derive(Clone, Debug)]
pub struct Peer {
    /// How it came.
    pub carrier: Carrier,
    /// How it writes.
    pub coding: Coding,
    /// From where.
    pub remote: SocketAddr,
    /// What the request that opened the carrier was authorised for; `None` leaves it to HELLO.
    pub grant: Option<Arc<Grant>>,
    /// Whether the carrier also takes datagrams.
    pub datagrams: bool,
}

/// Why a carrier brings nothing more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The client broke the protocol in a way that shows before a frame is whole: it is told by CLOSE.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The connection is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// One client connection, whatever carries it.
pub trait Link: Send + 'static {
    /// The half that brings frames.
    type Reader: LinkReader;
    /// The half that takes frames.
    type Writer: LinkWriter;

    /// The halves are driven side by side in one task, and one that waits does not hold up the other: a client that
    /// stops reading cannot stop its own frames being read.
    fn split(self) -> (Self::Reader, Self::Writer);
}

/// The half of a link that brings frames.
pub trait LinkReader: Send + 'static {
    /// The next packet, or `None` once the client has finished. Not asking is backpressure: at most one
    /// frame and the carrier's own window wait meanwhile.
    ///
    /// Cancel safe: dropping the future loses no bytes.
    fn next(&mut self) -> impl Future<Output = Result<Option<Packet>, LinkError>> + Send;
}

/// The half of a link that takes frames.
pub trait LinkWriter: Send + 'static {
    /// Writes whole frames of the session's coding: any number of binary frames, or exactly one JSON frame.
    /// Waits while the client does not read. Not cancel safe: a dropped future leaves the link unusable.
    fn send(&mut self, frames: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    /// Ends the connection after what was sent: `code` becomes the WebSocket close code (`done`: 1000) or the
    /// QUIC or WebTransport application code. Waits a bounded time for the client to have read the rest.
    fn close(self, code: CloseCode, reason: &str) -> impl Future<Output = ()> + Send;
}

/// What carriers hand their clients to. One for the whole process.
pub trait Gate: Clone + Send + Sync + 'static {
    /// Serves one client from HELLO to CLOSE; returns when the connection has ended. Refuses by CLOSE what
    /// cannot be served (too many sessions, draining), so callers only bound connections, not sessions.
    fn serve<L: Link>(&self, link: L, peer: Peer) -> impl Future<Output = ()> + Send;

    /// Takes the events of one HTTP request. Waits until they are durable, or 30 s.
    ///
    /// Cancel safe: what was received settles all the same.
    fn post(&self, post: Post<'_>) -> impl Future<Output = Answer> + Send;

    /// Whether the gateway is shutting down and takes no new connections.
    fn is_draining(&self) -> bool;
}

/// The events of one HTTP request: authorised, complete, inflated, and of a known kind.
#[derive(Debug)]
pub struct Post<'a> {
    /// What the body is.
    pub kind: BodyKind<'a>,
    /// The inflated body.
    pub body: &'a [u8],
    /// The session headers, if there were any.
    pub numbering: Option<Numbering<'a>>,
    /// Whether to answer at admission (`Prefer: respond-async`).
    pub respond_async: bool,
    /// What the request is authorised for.
    pub grant: &'a Arc<Grant>,
    /// The rates that it falls under.
    pub meter: &'a Meter,
    /// Where it comes from.
    pub from: IpAddr,
}

/// `Tidegate-Client`, `Tidegate-Epoch` and `Tidegate-Seq`.
#[derive(Clone, Copy, Debug)]
pub struct Numbering<'a> {
    /// The client's name, checked for its alphabet and length.
    pub client: &'a str,
    /// Its numbering's epoch.
    pub epoch: u64,
    /// The number of the first event.
    pub first_seq: u64,
}

/// What became of an HTTP request.
#[derive(Debug)]
pub enum Answer {
    /// 200, or 422 when there were events and every one was refused.
    Durable {
        /// Events that are durable; repeated ones count.
        accepted: u32,
        /// Events refused for good, by their position in the body.
        rejected: Vec<(u32, Reject)>,
        /// What `accepted` is worth.
        level: Level,
        /// With session headers: where the numbering stands.
        standing: Option<Standing>,
    },
    /// 202: admitted, and not waited for.
    Admitted {
        /// Events on their way.
        admitted: u32,
        /// Events refused at once.
        rejected: Vec<(u32, Reject)>,
    },
    /// 400: the body as a whole is not what it was announced to be.
    BadBody(String),
    /// 403: the grant does not cover this client name, or an anonymous request.
    Forbidden(String),
    /// 409: the numbering is not this request's.
    Conflict(Conflict),
    /// 413: more events than a body may hold.
    TooLarge(String),
    /// 429 or 503, by the reason.
    Busy {
        /// Why there is no room.
        reason: Reason,
        /// When to try again; the listener adds jitter.
        retry_ms: u64,
    },
    /// 504: not durable in time; the outcome is unknown.
    Timeout,
    /// 500: events were dropped without a verdict; none may be taken for safe.
    Lost,
}

/// Why a request may not have its client's numbering.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conflict {
    /// Another request of this client is under way.
    Busy,
    /// The client has begun a newer numbering.
    StaleEpoch {
        /// The newer one's epoch.
        known: u64,
    },
    /// A newer connection of this client has it now.
    TakenOver,
}

/// Where a client's numbering stands after a request with session headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Settled up to here.
    pub upto: u64,
    /// The highest number that may be sent.
    pub limit: u64,
    /// Bytes that one request may hold.
    pub limit_bytes: u64,
}
