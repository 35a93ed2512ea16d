use serde::{Deserialize, Serialize};

use crate::ack::Rejection;
use crate::codes::Level;

/// The gateway's answer to HELLO.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Welcome {
    /// The version, 1.
    pub v: u32,
    /// Names the session in ids and logs.
    pub session: String,
    /// The client's name; `None` when anonymous.
    pub client: Option<String>,
    /// The numbering in force.
    pub epoch: u64,
    /// Whether the gateway knew this client and epoch.
    pub resumed: bool,
    /// Settled up to here; the client sends again from the next one.
    pub upto: u64,
    /// The highest number the client may send.
    pub limit: u64,
    /// Payload bytes the client may send in this connection.
    pub limit_bytes: u64,
    /// What an acknowledgement is worth here.
    pub level: Level,
    /// Refusals of numbers in `next`..`upto`, the newest 1,000.
    pub rej: Vec<Rejection>,
    /// Whether older ones are forgotten.
    pub rej_more: bool,
    /// How often the gateway sends PING.
    pub ping_ms: u64,
    /// After how much silence it closes.
    pub idle_ms: u64,
    /// See [`crate::Limits::max_event_bytes`].
    pub max_event_bytes: u32,
    /// See [`crate::Limits::max_frame_bytes`].
    pub max_frame_bytes: u32,
    /// See [`crate::Limits::max_batch_events`].
    pub max_batch_events: u32,
    /// Whether datagrams are taken.
    pub datagrams: bool,
    /// The gateway's clock, Unix ms.
    pub server_time: u64,
}
