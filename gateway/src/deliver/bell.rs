//! Wakes a thread that works for others.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung by whoever has something new; a ring that nobody waited for is not lost.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    waiting: Condvar,
}

impl Bell {
    /// Wakes the thread, or has it not wait the next time.
    pub(super) fn ring(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *rung, true) {
            self.waiting.notify_one();
        }
    }

    /// Waits for a ring, at most `patience`.
    pub(super) fn wait(&self, patience: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.waiting.wait_timeout_while(rung, patience, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
