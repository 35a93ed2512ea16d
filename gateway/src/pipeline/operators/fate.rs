//! What becomes of the events of one frame, for rules that remember them.
//!
//! A rule that drops an event because of an earlier one rests on that one: were it lost, both would be. So it may only rest on
//! an event that is durable; or on one of the same origin, since whoever hears that the later one is settled has
//! heard that the earlier one is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whose events settle together: what is acknowledged of them is acknowledged in their order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin(pub u64);

/// See the module.
#[derive(Debug)]
pub struct Fate {
    origin: Option<Origin>,
    state: AtomicU8,
}

const UNDER_WAY: u8 = 0;
const DURABLE: u8 = 1;
/// At least one of them is not, and nobody knows which.
const GONE: u8 = 2;

impl Fate {
    /// Of a frame that is under way; without an `origin` it rests on nobody else's.
    pub(in crate::pipeline) fn new(origin: Option<Origin>) -> Arc<Self> {
        Arc::new(Self { origin, state: AtomicU8::new(UNDER_WAY) })
    }

    /// The frame has ended; `is_durable` says that all of its events are that were not dropped by rules. To be said before
    /// anybody is told.
    pub fn settle(&self, is_durable: bool) {
        self.state.store(if is_durable { DURABLE } else { GONE }, Ordering::Release);
    }

    /// Whether a later event, of the frame `later`, may be dropped because of one of these.
    pub(super) fn carries(self: &Arc<Self>, later: &Arc<Self>) -> bool {
        match self.state.load(Ordering::Acquire) {
            DURABLE => true,
            UNDER_WAY => Arc::ptr_eq(self, later) || self.origin.is_some() && self.origin == later.origin,
            _ => false,
        }
    }
}

/// What one takes behind its `Arc`.
#[cfg(test)]
pub(super) const FATE_BYTES: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_its_counters_it_fits_what_allocators_give() {
        assert!((33..=FATE_BYTES).contains(&(size_of::<Fate>() + 16)));
    }

    #[test]
    fn only_what_is_durable_or_settles_together_carries_another() {
        let [a, b] = [1, 2].map(|origin| Some(Origin(origin)));
        for (earlier, later, state, expected) in [
            (a, a, UNDER_WAY, true),
            (a, b, UNDER_WAY, false),
            (a, None, UNDER_WAY, false),
            (None, None, UNDER_WAY, false),
            (a, b, DURABLE, true),
            (None, None, DURABLE, true),
            (a, a, GONE, false),
        ] {
            let earlier = Fate::new(earlier);
            if state != UNDER_WAY {
                earlier.settle(state == DURABLE);
            }
            assert_eq!(earlier.carries(&Fate::new(later)), expected, "{earlier:?} for {later:?}");
        }
        let nobodys = Fate::new(None);
        assert!(nobodys.carries(&nobodys), "within one frame");
    }
}
