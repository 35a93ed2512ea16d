//! Waiting for a full sink.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether records were turned away, and who waits for that to change.
#[derive(Default)]
pub(super) struct Room {
    stalled: AtomicBool,
    opened: Notify,
}

impl Room {
    /// Records were turned away: [`Room::wait`] waits from now on.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Ordering::SeqCst);
    }

    /// There may be room: wakes everybody who waits.
    pub(super) fn open(&self) {
        if self.stalled.load(Ordering::SeqCst) && self.stalled.swap(false, Ordering::SeqCst) {
            self.opened.notify_waiters();
        }
    }

    #[cfg(test)]
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst)
    }

    /// Resolves when there may be room. Cancel safe.
    pub(super) async fn wait(&self) {
        let opened = self.opened.notified();
        tokio::pin!(opened);
        // Enrolled before the look: an opening in between is not missed.
        opened.as_mut().enable();
        if self.stalled.load(Ordering::SeqCst) {
            opened.await;
        }
    }
}
