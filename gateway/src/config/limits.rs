//! How much, how many, how long.

use serde::Deserialize;

use super::ByteSize;
use super::findings::Findings;

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
    /// What may be in flight over all clients: events as they are encoded, and what the destination's queue adds.
    pub budget_bytes: ByteSize,
    /// Events that every client may have unsettled.
    pub credit_events: u32,
    /// Payload bytes that every client may have unsettled.
    pub credit_bytes: ByteSize,
    /// What [`Limits::credit_events`] grows to for a client that uses it, while there is memory.
    pub credit_events_max: u32,
    /// What [`Limits::credit_bytes`] grows to.
    pub credit_bytes_max: ByteSize,
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
            credit_events_max: 16_384,
            credit_bytes_max: ByteSize(4 << 20),
            ping_ms: 25_000,
            idle_ms: 75_000,
        }
    }
}

/// What the protocol allows at most, in bytes where the key ends so.
mod most {
    use tidegate_wire::limits as wire;

    pub(super) const EVENT_BYTES: u64 = wire::EVENT_BYTES_MAX as u64;
    pub(super) const FRAME_BYTES: u64 = wire::FRAME_BYTES_MAX as u64;
    pub(super) const BATCH_EVENTS: u64 = wire::BATCH_EVENTS as u64;
    pub(super) const BODY_BYTES: u64 = wire::BODY_BYTES as u64;
    pub(super) const INFLATED_BODY_BYTES: u64 = wire::INFLATED_BODY_BYTES as u64;
    pub(super) const CREDIT_EVENTS: u64 = wire::CREDIT_EVENTS_MAX as u64;
    pub(super) const CREDIT_BYTES: u64 = wire::CREDIT_BYTES_MAX as u64;
    pub(super) const CONNECTIONS: u64 = 1_000_000;
    pub(super) const KEPT_SESSIONS: u64 = 10_000_000;
    pub(super) const BUDGET_BYTES: u64 = 1 << 40;
    pub(super) const MILLISECONDS: u64 = 24 * 60 * 60 * 1_000;
    pub(super) const KEEP_SECONDS: u64 = 30 * 24 * 60 * 60;
}

impl Limits {
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        self.check_ranges(findings);
        self.check_order(findings);
    }

    fn check_ranges(&self, findings: &mut Findings<'_>) {
        for (key, size, most) in [
            ("max_event_bytes", self.max_event_bytes, most::EVENT_BYTES),
            ("max_frame_bytes", self.max_frame_bytes, most::FRAME_BYTES),
            ("max_body_bytes", self.max_body_bytes, most::BODY_BYTES),
            ("max_inflated_body_bytes", self.max_inflated_body_bytes, most::INFLATED_BODY_BYTES),
            ("credit_bytes", self.credit_bytes, most::CREDIT_BYTES),
            ("credit_bytes_max", self.credit_bytes_max, most::CREDIT_BYTES),
            ("budget_bytes", self.budget_bytes, most::BUDGET_BYTES),
        ] {
            if !(1..=most).contains(&size.0) {
                let help = format!("write a size from 1B to {}", ByteSize(most));
                findings.refuse(&format!("limits.{key}"), format!("{key} cannot be {size}"), help);
            }
        }
        for (key, number, least, most) in [
            ("max_batch_events", self.max_batch_events, 1, most::BATCH_EVENTS),
            ("sessions", self.sessions, 1, most::CONNECTIONS),
            ("connections", self.connections, 1, most::CONNECTIONS),
            ("kept_sessions", self.kept_sessions, 0, most::KEPT_SESSIONS),
            ("keep_seconds", self.keep_seconds, 0, most::KEEP_SECONDS),
            ("credit_events", self.credit_events, 1, most::CREDIT_EVENTS),
            ("credit_events_max", self.credit_events_max, 1, most::CREDIT_EVENTS),
            ("ping_ms", self.ping_ms, 1, most::MILLISECONDS),
            ("idle_ms", self.idle_ms, 1, most::MILLISECONDS),
        ] {
            if !(least..=most).contains(&u64::from(number)) {
                let help = format!("write a number from {least} to {most}");
                findings.refuse(&format!("limits.{key}"), format!("{key} cannot be {number}"), help);
            }
        }
    }

    /// What must not be larger than something else, and why.
    fn check_order(&self, findings: &mut Findings<'_>) {
        for ((small, less), (large, more), why) in [
            (
                ("max_event_bytes", self.max_event_bytes),
                ("max_body_bytes", self.max_body_bytes),
                "an event must fit into a body",
            ),
            (
                ("max_event_bytes", self.max_event_bytes),
                ("credit_bytes", self.credit_bytes),
                "a client's credit must hold one event",
            ),
            (
                ("max_body_bytes", self.max_body_bytes),
                ("max_inflated_body_bytes", self.max_inflated_body_bytes),
                "a body that is not compressed is as large inflated",
            ),
            (
                ("max_inflated_body_bytes", self.max_inflated_body_bytes),
                ("budget_bytes", self.budget_bytes),
                "the budget must hold one body",
            ),
            (
                ("credit_bytes", self.credit_bytes),
                ("credit_bytes_max", self.credit_bytes_max),
                "credit starts with the one and grows to the other",
            ),
            (
                ("credit_bytes_max", self.credit_bytes_max),
                ("budget_bytes", self.budget_bytes),
                "the budget must hold one client's credit",
            ),
        ] {
            if less > more {
                let message = format!("{small} ({less}) is larger than {large} ({more})");
                let help = format!("{why}: raise {large} or lower {small}");
                let paths = [format!("limits.{large}"), format!("limits.{small}")];
                findings.refuse_together(&paths.each_ref().map(String::as_str), message, help);
            }
        }
        if self.credit_events > self.credit_events_max {
            findings.refuse_together(
                &["limits.credit_events_max", "limits.credit_events"],
                format!(
                    "credit_events ({}) is larger than credit_events_max ({})",
                    self.credit_events, self.credit_events_max
                ),
                "credit starts with the one and grows to the other: raise credit_events_max or lower credit_events",
            );
        }
        if self.max_event_bytes >= self.max_frame_bytes {
            findings.refuse_together(
                &["limits.max_frame_bytes", "limits.max_event_bytes"],
                format!(
                    "max_frame_bytes ({}) is not larger than max_event_bytes ({})",
                    self.max_frame_bytes, self.max_event_bytes
                ),
                "a frame holds an event and what describes it: raise max_frame_bytes or lower max_event_bytes",
            );
        }
        if self.idle_ms <= self.ping_ms {
            findings.refuse_together(
                &["limits.idle_ms", "limits.ping_ms"],
                format!("idle_ms ({}) is not longer than ping_ms ({})", self.idle_ms, self.ping_ms),
                "a quiet client must be pinged before it counts as idle: three times ping_ms is usual",
            );
        }
    }
}

/// How the gateway goes away on SIGTERM.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// The most that going away may take, from the signal on and in all.
    pub drain_ms: u32,
    /// Of it, how long newcomers are still served while `/readyz` fails already: for whoever sends traffic here to
    /// notice.
    pub grace_ms: u32,
    /// After that, the time over which clients are asked to leave.
    pub spread_ms: u32,
    /// When clients may reconnect, and over how long they spread.
    pub reconnect_after_ms: u32,
    /// A random part of this is added to `reconnect_after_ms`.
    pub reconnect_jitter_ms: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain_ms: 10_000,
            grace_ms: 0,
            spread_ms: 1_000,
            reconnect_after_ms: 500,
            reconnect_jitter_ms: 5_000,
        }
    }
}

/// Of the drain's time, the least that grace and spread must leave for events to settle.
const SETTLE_MS: u32 = 500;

impl Shutdown {
    /// What is left of the drain's time once everybody was asked to leave.
    pub fn settle_ms(&self) -> u32 {
        self.drain_ms.saturating_sub(self.grace_ms).saturating_sub(self.spread_ms)
    }

    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        for (key, ms) in [
            ("drain_ms", self.drain_ms),
            ("grace_ms", self.grace_ms),
            ("spread_ms", self.spread_ms),
            ("reconnect_after_ms", self.reconnect_after_ms),
            ("reconnect_jitter_ms", self.reconnect_jitter_ms),
        ] {
            if u64::from(ms) > most::MILLISECONDS {
                let help = format!("write milliseconds, at most {} (a day)", most::MILLISECONDS);
                findings.refuse(&format!("shutdown.{key}"), format!("{key} cannot be {ms}"), help);
            }
        }
        if self.settle_ms() < SETTLE_MS {
            let (grace, spread, drain) = (self.grace_ms, self.spread_ms, self.drain_ms);
            findings.refuse_together(
                &["shutdown.drain_ms", "shutdown.grace_ms", "shutdown.spread_ms"],
                format!(
                    "grace_ms ({grace}) and spread_ms ({spread}) leave {} of drain_ms ({drain})",
                    self.settle_ms()
                ),
                format!("at least {SETTLE_MS} ms must be left for events to settle: raise drain_ms or lower the others"),
            );
        }
    }
}
