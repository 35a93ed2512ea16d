//! What an event leaves behind in the memory of a rule, for later ones to be judged by.

use std::sync::Arc;

use super::fate::Fate;
use super::keyed::{Hashed, Keyed};

/// Something remembered of an event.
pub(in crate::pipeline) trait OfEvent {
    /// What becomes of its frame.
    fn fate(&self) -> &Arc<Fate>;
}

/// What an event has left: gone when this is dropped, unless the event goes on. So a rule drops nothing because of an event
/// that another rule refused.
#[derive(Debug)]
#[must_use = "dropped, it is forgotten"]
pub(in crate::pipeline) struct Mark<'a, T: OfEvent> {
    memory: &'a Keyed<T>,
    key: Hashed,
    fate: &'a Arc<Fate>,
    stays: bool,
}

impl<'a, T: OfEvent> Mark<'a, T> {
    pub(super) fn new(memory: &'a Keyed<T>, key: Hashed, fate: &'a Arc<Fate>) -> Self {
        Self { memory, key, fate, stays: false }
    }

    /// The event goes on.
    pub(in crate::pipeline) fn stay(mut self) {
        self.stays = true;
    }
}

impl<T: OfEvent> Drop for Mark<'_, T> {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        let mut place = self.memory.of(self.key);
        // Meanwhile another event may have left something there.
        if place.get().is_some_and(|kept| Arc::ptr_eq(kept.fate(), self.fate)) {
            place.forget();
        }
    }
}
