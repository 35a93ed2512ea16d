//! What one client holds of the budget, and what its next frame is taken to become.

use std::sync::atomic::{AtomicU64, Ordering};

/// The least that a frame with events is taken to become.
pub(super) const LEAST_BYTES: u64 = 1_024;
/// What a byte is taken to become before anything is known of the client.
const UNKNOWN_RATIO: u64 = 4;

/// What one client holds of the budget.
#[derive(Debug, Default)]
pub(in crate::session) struct Account {
    /// Changed under the budget's lock.
    held: AtomicU64,
    /// What a byte came to in the client's newest frame.
    ratio: AtomicU64,
    /// Its events that wait for the end of a window.
    in_window: AtomicU64,
}

impl Account {
    /// What `came_bytes` of this client may come to, going by its newest frame: at most `most_bytes`, which is what they
    /// can be decoded to. A small frame that came to much says nothing of a large one.
    pub(in crate::session) fn estimate(&self, came_bytes: usize, most_bytes: u64) -> u64 {
        let ratio = match self.ratio.load(Ordering::Relaxed) {
            0 => UNKNOWN_RATIO,
            ratio => ratio,
        };
        (came_bytes as u64).saturating_mul(ratio).max(LEAST_BYTES).min(most_bytes)
    }

    /// Says what `came_bytes` of this client came to.
    pub(in crate::session) fn learn(&self, came_bytes: u64, cost_bytes: u64) {
        self.ratio.store(cost_bytes.div_ceil(came_bytes.max(1)), Ordering::Relaxed);
    }

    /// Counts an event that waits for the end of a window from now on.
    pub(in crate::session) fn enters_window(&self) {
        self.in_window.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an event that does so no longer.
    pub(in crate::session) fn leaves_window(&self) {
        self.in_window.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether events of it wait for the end of a window.
    pub(in crate::session) fn is_in_window(&self) -> bool {
        self.in_window.load(Ordering::Relaxed) > 0
    }

    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Under the budget's lock alone.
    pub(super) fn set_held(&self, bytes: u64) {
        self.held.store(bytes, Ordering::Relaxed);
    }
}
