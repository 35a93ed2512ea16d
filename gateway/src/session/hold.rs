//! What the halves of a connection, and whoever settles its events, tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tidegate_wire::Reason;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// One connection's hold on its numbering, seen from all sides.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// There may be an ACK to send.
    pub(super) settled: Notify,
    /// Credit may have come back to a reader that waits for it.
    pub(super) credit: Notify,
    /// Another connection has taken the numbering over.
    pub(super) taken_over: CancellationToken,
    /// Events were lost, so numbers cannot be acknowledged in order any more.
    pub(super) broken: CancellationToken,
    /// The client had its GOAWAY and nothing of it is unsettled.
    pub(super) drained: CancellationToken,
    /// The client had its GOAWAY long ago: no more events of it are taken.
    pub(super) overstays: AtomicBool,
    repeat_ack: AtomicBool,
    paused: AtomicBool,
    stalled_by: AtomicU8,
}

impl Connection {
    /// Asks for an ACK although nothing has settled: the client has sent numbers that were acknowledged before.
    pub(super) fn acknowledge_again(&self) {
        self.repeat_ack.store(true, Ordering::Relaxed);
        self.settled.notify_one();
    }

    /// Whether an ACK was asked for since the last time.
    pub(super) fn take_repeat_ack(&self) -> bool {
        self.repeat_ack.swap(false, Ordering::Relaxed)
    }

    /// Says whether the client is not being read for want of credit.
    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        self.settled.notify_one();
    }

    /// Says what the reader waits for with a frame in its hands; `Ok` once it is over.
    pub(super) fn stall(&self, reason: Reason) {
        self.stalled_by.store(reason.as_u8(), Ordering::Relaxed);
        self.settled.notify_one();
    }

    /// What the reader waits for with a frame in its hands.
    pub(super) fn stalled_by(&self) -> Reason {
        Reason::from_u8(self.stalled_by.load(Ordering::Relaxed)).unwrap_or(Reason::Ok)
    }

    /// Whether the client is not being read, for whatever reason.
    pub(super) fn is_not_read(&self) -> bool {
        self.paused.load(Ordering::Relaxed) || self.stalled_by() != Reason::Ok
    }
}
