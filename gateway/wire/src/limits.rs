//! Every limit of the protocol: its default, and the largest value that may be configured.

/// Payload bytes of one event.
pub const EVENT_BYTES: u32 = 256 * 1024;
/// The most that [`EVENT_BYTES`] may be configured to.
pub const EVENT_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes of one frame, its header included, and of one WebSocket message.
pub const FRAME_BYTES: u32 = 512 * 1024;
/// The most that [`FRAME_BYTES`] may be configured to.
pub const FRAME_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// Events in one frame or body.
pub const BATCH_EVENTS: u32 = 1_000;
/// Bytes of a frame's records once inflated.
pub const INFLATED_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes of an HTTP body as sent.
pub const BODY_BYTES: u32 = 4 * 1024 * 1024;
/// Bytes of an HTTP body once inflated.
pub const INFLATED_BODY_BYTES: u32 = 16 * 1024 * 1024;
/// Bytes of the attributes of one event: names and values as sent.
pub const ATTRIBUTES_BYTES: u32 = 4 * 1024;
/// Nesting of one JSON value; `[]` has depth 1.
pub const JSON_DEPTH: u32 = 64;
/// Bytes of a HELLO body.
pub const HELLO_BYTES: u32 = 8 * 1024;
/// Opaque bytes of a PING.
pub const PING_BYTES: u32 = 8;
/// How often the gateway sends PING.
pub const PING_MS: u64 = 25_000;
/// A connection that sends nothing for this long is closed.
pub const IDLE_MS: u64 = 75_000;
/// A client must send HELLO within this time.
pub const HELLO_TIMEOUT_MS: u64 = 5_000;
/// A body must have arrived within this time.
pub const BODY_TIMEOUT_MS: u64 = 30_000;
/// Request headers must have arrived within this time.
pub const HEADER_TIMEOUT_MS: u64 = 10_000;
/// An HTTP request is answered within this time, if need be with 504.
pub const ANSWER_TIMEOUT_MS: u64 = 30_000;
/// Credit of a new connection in events.
pub const CREDIT_EVENTS: u32 = 1_024;
/// What credit in events may grow to.
pub const CREDIT_EVENTS_MAX: u32 = 16_384;
/// Credit of a new connection in payload bytes.
pub const CREDIT_BYTES: u32 = 256 * 1024;
/// What credit in payload bytes may grow to.
pub const CREDIT_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// How long a session is kept after its connection ended.
pub const SESSION_KEPT_MS: u64 = 600_000;
/// An ACK is sent when this many events have settled.
pub const ACK_EVENTS: u32 = 64;
/// An ACK is sent this long after the first unsent settlement.
pub const ACK_DELAY_MS: u64 = 10;
/// Refusals that WELCOME lists at most.
pub const WELCOME_REJECTIONS: usize = 1_000;
/// Aliases of one connection: 1 to this.
pub const ALIASES: u8 = 255;
/// Buckets in the `ack_ms` of a REPORT.
pub const REPORT_BUCKETS: usize = 64;
/// Characters of a client name.
pub const CLIENT_CHARS: usize = 128;
/// Event numbers, epochs and every other integer in JSON: the largest a double holds exactly, 2^53 - 1.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// The newest moment an event may name, 9999-12-31T23:59:59.999Z in Unix milliseconds.
pub const TIME_MS_MAX: u64 = 253_402_300_799_999;

/// The limits that decoding holds to. [`Limits::default`] is the protocol's defaults.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// See [`EVENT_BYTES`].
    pub max_event_bytes: u32,
    /// See [`FRAME_BYTES`].
    pub max_frame_bytes: u32,
    /// See [`BATCH_EVENTS`].
    pub max_batch_events: u32,
    /// See [`INFLATED_BYTES`].
    pub max_inflated_bytes: u32,
    /// See [`BODY_BYTES`].
    pub max_body_bytes: u32,
    /// See [`INFLATED_BODY_BYTES`].
    pub max_inflated_body_bytes: u32,
    /// See [`ATTRIBUTES_BYTES`].
    pub max_attributes_bytes: u32,
    /// See [`JSON_DEPTH`].
    pub max_json_depth: u32,
    /// See [`HELLO_BYTES`].
    pub max_hello_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_event_bytes: EVENT_BYTES,
            max_frame_bytes: FRAME_BYTES,
            max_batch_events: BATCH_EVENTS,
            max_inflated_bytes: INFLATED_BYTES,
            max_body_bytes: BODY_BYTES,
            max_inflated_body_bytes: INFLATED_BODY_BYTES,
            max_attributes_bytes: ATTRIBUTES_BYTES,
            max_json_depth: JSON_DEPTH,
            max_hello_bytes: HELLO_BYTES,
        }
    }
}
