//! The duty to settle: every event handed to a sink ends in an outcome, by name or by being dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::outcome::Outcome;

/// Who is told once the last event of a frame has its outcome.
pub trait Settled: Send {
    /// Called exactly once a ticket, by whichever thread settled the last event: a sink's own, so it must
    /// be short and must not wait.
    fn settled(self: Box<Self>, frame: Settlement);

    /// Whether its events were acknowledged before they were handed over, so that nobody is left to hear of a refusal.
    /// Asked while a sink decides what becomes of one; must not wait.
    fn is_owed(&self) -> bool {
        false
    }
}

/// How the events of one frame that went to a sink have ended.
#[derive(Debug)]
pub struct Settlement {
    /// Events that are durable on all in-sync replicas.
    pub committed: u32,
    /// Events that are durable in the gateway's log.
    pub stored: u32,
    /// Events without a verdict: they must not be acknowledged.
    pub lost: u32,
    /// Lossy events for which there was no room.
    pub dropped: u32,
    /// Events that the destination refused for good.
    pub refused: Vec<Refused>,
}

/// One event that the destination refused for good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The event's position in its frame, from 0.
    pub index: u32,
    /// Why.
    pub outcome: Outcome,
    /// Why, for a person.
    pub message: String,
}

/// The duty to settle the events of one frame: one allocation a frame, one atomic an event.
///
/// Clones share the duty. Events still unsettled when the last clone is dropped are [`Outcome::Lost`].
#[derive(Clone)]
#[must_use = "its events must end in an outcome"]
pub struct Ticket(Arc<Duty>);

struct Duty {
    remaining: AtomicU32,
    /// Outcomes of events are counted by what is rare: the rest of `total` had the common one.
    total: u32,
    stored: AtomicU32,
    lost: AtomicU32,
    dropped: AtomicU32,
    refused: Mutex<Vec<Refused>>,
    owner: Mutex<Option<Box<dyn Settled>>>,
}

impl Ticket {
    /// A duty for `count` events; `owner` is told when all have ended. With none it is told at once.
    pub fn new(count: u32, owner: Box<dyn Settled>) -> Self {
        let ticket = Self(Arc::new(Duty {
            remaining: AtomicU32::new(count),
            total: count,
            stored: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            dropped: AtomicU32::new(0),
            refused: Mutex::default(),
            owner: Mutex::new(Some(owner)),
        }));
        if count == 0 {
            ticket.0.tell();
        }
        ticket
    }

    /// Whether the events were acknowledged already, from elsewhere: then a sink refuses none of them for what an
    /// operator can mend, such as a topic that is missing, but keeps them until it is mended.
    pub fn is_owed(&self) -> bool {
        let owner = self.0.owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.as_ref().is_some_and(|owner| owner.is_owed())
    }

    /// Settles `count` events as durable in Kafka.
    pub fn committed(&self, count: u32) {
        self.0.end(count);
    }

    /// Settles `count` events as durable in the gateway's log.
    pub fn stored(&self, count: u32) {
        self.0.stored.fetch_add(count, Ordering::Relaxed);
        self.0.end(count);
    }

    /// Settles one event as refused for good by the destination.
    pub fn refused(&self, index: u32, outcome: Outcome, message: String) {
        let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.push(Refused { index, outcome, message });
        drop(refused);
        self.0.end(1);
    }

    /// Settles `count` events as lost: their client will not be told that they are safe.
    pub fn lost(&self, count: u32) {
        self.0.lost.fetch_add(count, Ordering::Relaxed);
        self.0.end(count);
    }

    /// Settles `count` lossy events as dropped for want of room.
    pub fn dropped(&self, count: u32) {
        self.0.dropped.fetch_add(count, Ordering::Relaxed);
        self.0.end(count);
    }
}

impl Duty {
    fn end(&self, count: u32) {
        // Release publishes this event's outcome; Acquire in the last one reads everybody's.
        let before = self.remaining.fetch_sub(count, Ordering::AcqRel);
        debug_assert!(before >= count, "settled more events than the frame has");
        if before == count {
            self.tell();
        }
    }

    fn tell(&self) {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(owner) = owner else { return };
        let refused = std::mem::take(&mut *self.refused.lock().unwrap_or_else(PoisonError::into_inner));
        let stored = self.stored.load(Ordering::Relaxed);
        let lost = self.lost.load(Ordering::Relaxed);
        let dropped = self.dropped.load(Ordering::Relaxed);
        let rest = stored + lost + dropped + u32::try_from(refused.len()).unwrap_or(u32::MAX);
        let committed = self.total.saturating_sub(rest);
        owner.settled(Settlement { committed, stored, lost, dropped, refused });
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let remaining = *self.remaining.get_mut();
        if remaining > 0 {
            *self.lost.get_mut() += remaining;
            self.tell();
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests {
    use super::testing::ticket;
    use super::*;

    #[test]
    fn the_owner_is_told_once_and_only_after_the_last_event() {
        let (ticket, told) = ticket(4);
        ticket.committed(1);
        ticket.stored(1);
        ticket.refused(2, Outcome::BrokerRejected, "too large".into());
        assert!(told.try_recv().is_err());
        ticket.committed(1);
        let frame = told.try_recv().unwrap();
        assert_eq!((frame.committed, frame.stored, frame.lost), (2, 1, 0));
        assert_eq!(frame.refused[0].index, 2);
        drop(ticket);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn what_is_dropped_unsettled_is_lost() {
        let (ticket, told) = ticket(3);
        ticket.committed(1);
        drop(ticket.clone());
        assert!(told.try_recv().is_err());
        drop(ticket);
        let frame = told.try_recv().unwrap();
        assert_eq!((frame.committed, frame.lost), (1, 2));
    }

    #[test]
    fn a_frame_without_events_settles_at_once() {
        let (_ticket, told) = ticket(0);
        assert!(told.try_recv().is_ok());
    }
}
