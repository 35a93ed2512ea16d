//! How much, how many, how long.

use serde::Deserialize;

use super::ByteSize;

/// What bounds memory and patience. Payload held is at most `budget_bytes`; each connection adds at most one frame.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest event; at most 1 MiB.
    pub max_event_bytes: ByteSize,
    /// The largest frame or WebSocket message; at most 2 MiB.
    pub max_frame_bytes: ByteSize,
    /// Events a frame or body may hold.
    pub max_batch_events: u32,
    /// The largest HTTP body as sent.
    pub max_body_bytes: ByteSize,
    /// The largest HTTP body inflated.
    pub max_inflated_body_bytes: ByteSize,
    /// Sessions served at once; further ones get CLOSE `overload`.
    pub sessions: u32,
    /// Connections open at once, before and after HELLO, over all carriers.
    pub connections: u32,
    /// Numberings kept for clients that are away; the longest away goes first.
    pub kept_sessions: u32,
    /// How long a numbering is kept.
    pub keep_seconds: u32,
    /// Payload bytes that may be in flight, over all clients.
    pub budget_bytes: ByteSize,
    /// Events one client may have unsettled.
    pub credit_events: u32,
    /// Payload bytes one client may have unsettled.
    pub credit_bytes: ByteSize,
    /// How often a session is pinged.
    pub ping_ms: u32,
    /// A session that was silent for so long is closed.
    pub idle_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_event_bytes: ByteSize(256 << 10),
            max_frame_bytes: ByteSize(512 << 10),
            max_batch_events: 1_000,
            max_body_bytes: ByteSize(4 << 20),
            max_inflated_body_bytes: ByteSize(16 << 20),
            sessions: 20_000,
            connections: 25_000,
            kept_sessions: 100_000,
            keep_seconds: 600,
            budget_bytes: ByteSize(256 << 20),
            credit_events: 1_024,
            credit_bytes: ByteSize(256 << 10),
            ping_ms: 25_000,
            idle_ms: 75_000,
        }
    }
}

/// How the gateway goes away on SIGTERM.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// The most that settling and closing may take.
    pub drain_ms: u32,
    /// When clients may reconnect, and over how long they spread.
    pub reconnect_after_ms: u32,
    /// A random part of this is added to `reconnect_after_ms`.
    pub reconnect_jitter_ms: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { drain_ms: 10_000, reconnect_after_ms: 500, reconnect_jitter_ms: 5_000 }
    }
}
