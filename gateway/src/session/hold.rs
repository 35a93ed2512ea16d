//! What the halves of a connection, and whoever settles its events, tell each other.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use tidegate_wire::Reason;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::credit::Amount;

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
    /// Looked at for every packet, so the lock is taken only where there is something to read.
    is_held_back: AtomicBool,
    hold: Mutex<Option<Hold>>,
    most: OnceLock<Amount>,
}

/// Why no credit is renewed for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Hold {
    pub(super) reason: Reason,
    pub(super) until: Instant,
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

    /// Says how much credit the connection may have at most, before it has any; else there is no bound.
    pub(super) fn bound(&self, most: Amount) {
        // It is said once.
        let _ = self.most.set(most);
    }

    /// `credit`, or what of it the connection may have.
    pub(super) fn bounded(&self, credit: Amount) -> Amount {
        self.most.get().map_or(credit, |most| Amount {
            events: credit.events.min(most.events),
            bytes: credit.bytes.min(most.bytes),
        })
    }

    /// Renews no credit until `until`: the client is told `reason` and how long it lasts, and within the credit it has
    /// it is read as before. The newest call holds; `Reason::Ok` ends it.
    pub(super) fn hold_back(&self, reason: Reason, until: Instant) {
        let hold = (reason != Reason::Ok).then_some(Hold { reason, until });
        let mut current = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if *current == hold {
            return;
        }
        *current = hold;
        self.is_held_back.store(hold.is_some(), Ordering::Relaxed);
        drop(current);
        self.settled.notify_one();
        self.credit.notify_one();
    }

    /// What holds the credit back now, if it has not passed.
    pub(super) fn held_back(&self) -> Option<Hold> {
        if !self.is_held_back.load(Ordering::Relaxed) {
            return None;
        }
        let mut current = self.hold.lock().unwrap_or_else(PoisonError::into_inner);
        if current.is_some_and(|hold| hold.until <= super::now()) {
            *current = None;
            self.is_held_back.store(false, Ordering::Relaxed);
        }
        *current
    }

    /// Resolves when credit may have come back. Cancel safe.
    pub(super) async fn renewed(&self) {
        match self.held_back() {
            None => self.credit.notified().await,
            Some(hold) => tokio::select! {
                () = self.credit.notified() => {}
                () = sleep_until(hold.until.into()) => {}
            },
        }
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
