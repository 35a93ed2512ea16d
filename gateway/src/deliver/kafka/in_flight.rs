//! Which events Kafka's producers hold: one entry a frame, so that no event costs an allocation. It outlives a producer
//! that is replaced: what that one gives back ([`super::back`]) stays in its frame.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::back::Returned;
use super::place::Place;
use super::room::Room;
use crate::outcome::Outcome;
use crate::ticket::Ticket;

/// The frames that producers hold, and the bytes they may take.
///
/// Dropping it settles what was reported and gives up the rest as lost.
pub(super) struct InFlight {
    slots: Mutex<Slots>,
    limit_bytes: u64,
    room: Arc<Room>,
}

#[derive(Default)]
pub(super) struct Slots {
    pub(super) frames: Vec<Option<Frame>>,
    free: Vec<u32>,
    bytes: u64,
    reports: u64,
    delivered: u64,
    entered: u64,
    /// Of the producers in use. What an older one reports late means nothing.
    pub(super) generation: u32,
    /// Something came back that has to be written before anything else is.
    pub(super) stopped: bool,
    /// What came back to be produced again at once.
    pub(super) returned: Vec<Returned>,
    /// What came back and waits for its topic, by its name.
    pub(super) held: BTreeMap<String, Vec<Returned>>,
    /// Events on their way to a dead-letter topic, and what their clients will be told.
    pub(super) dead: HashMap<Place, String>,
}

/// One call to submit.
pub(super) struct Frame {
    ticket: Ticket,
    /// When it came, counted: the order of records is that of frames, and of events in a frame.
    pub(super) order: u64,
    /// Events that have not ended.
    pub(super) left: u32,
    /// Reported as durable; the ticket is told when the frame is complete, which saves an atomic an event.
    committed: u32,
    bytes: u64,
}

/// How far the producers are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Progress {
    /// Delivery reports so far, without those of what was taken back.
    pub(super) reports: u64,
    /// Those of success.
    pub(super) delivered: u64,
    /// Frames with events that have not ended.
    pub(super) frames: usize,
}

impl InFlight {
    pub(super) fn new(limit_bytes: u64, room: Arc<Room>) -> Self {
        Self { slots: Mutex::default(), limit_bytes: limit_bytes.max(1), room }
    }

    /// A slot for `count` events of `bytes` in all, or none when the limit is reached: then the room is stalled.
    /// A frame that begins below the limit is taken whole, so the limit is exceeded by one frame at most.
    pub(super) fn enter(&self, ticket: &Ticket, count: u32, bytes: u64) -> Option<u32> {
        let mut slots = self.lock();
        if slots.bytes >= self.limit_bytes || slots.stopped {
            // Under the lock, so that no report can free room between the look and the stall.
            self.room.stall();
            return None;
        }
        slots.bytes += bytes;
        slots.entered += 1;
        let order = slots.entered;
        let frame = Some(Frame { ticket: ticket.clone(), order, left: count, committed: 0, bytes });
        let slot = slots.free.pop().unwrap_or(u32::MAX);
        if let Some(place) = slots.frames.get_mut(slot as usize) {
            *place = frame;
            return Some(slot);
        }
        let slot = u32::try_from(slots.frames.len()).ok()?;
        slots.frames.push(frame);
        Some(slot)
    }

    /// What producers made from now on report under.
    pub(super) fn generation(&self) -> u32 {
        self.lock().generation
    }

    /// One event is durable, in its topic or as a dead letter.
    pub(super) fn delivered(&self, generation: u32, place: Place) {
        let mut slots = self.lock();
        if generation != slots.generation {
            return;
        }
        slots.reports += 1;
        slots.delivered += 1;
        let why = if slots.dead.is_empty() { None } else { slots.dead.remove(&place) };
        let Some(why) = why else { return drop(self.end(slots, place.slot, 1, 1, false)) };
        if let Some(ticket) = self.end(slots, place.slot, 1, 0, true) {
            ticket.refused(place.index, Outcome::DeadLettered, why);
        }
    }

    /// One event will not be durable, and the caller settles it by the ticket returned.
    pub(super) fn failed(&self, generation: u32, place: Place) -> Option<Ticket> {
        let slots = self.lock();
        if generation != slots.generation {
            return None;
        }
        self.end(slots, place.slot, 1, 0, true)
    }

    /// Kafka has said something of an event other than that it is durable.
    pub(super) fn heard(&self, generation: u32) {
        let mut slots = self.lock();
        slots.reports += u64::from(generation == slots.generation);
    }

    /// `count` events of the frame are not librdkafka's after all.
    pub(super) fn forgo(&self, slot: u32, count: u32) {
        drop(self.end(self.lock(), slot, count, 0, false));
    }

    /// Whether the event was acknowledged already, as [`Ticket::is_owed`].
    pub(super) fn is_owed(&self, place: Place) -> bool {
        let ticket = {
            let slots = self.lock();
            let frame = slots.frames.get(place.slot as usize).and_then(Option::as_ref);
            frame.map(|frame| frame.ticket.clone())
        };
        // Outside the lock: whoever answers may have one of their own.
        ticket.is_some_and(|ticket| ticket.is_owed())
    }

    /// An event goes to a dead-letter topic; `why` is what its client is told when it is there.
    pub(super) fn bury(&self, place: Place, why: String) {
        self.lock().dead.insert(place, why);
    }

    /// The event was on its way to a dead-letter topic, and is not any more: what its client would have been told.
    pub(super) fn exhume(&self, place: Place) -> Option<String> {
        let mut slots = self.lock();
        if slots.dead.is_empty() { None } else { slots.dead.remove(&place) }
    }

    /// Gives up everything: what was reported durable is settled so, the rest is lost. Returns how many were.
    pub(super) fn abandon(&self) -> u64 {
        let frames = {
            let mut slots = self.lock();
            slots.bytes = 0;
            slots.free.clear();
            slots.returned.clear();
            slots.held.clear();
            slots.dead.clear();
            slots.generation = slots.generation.wrapping_add(1);
            std::mem::take(&mut slots.frames)
        };
        let mut lost = 0;
        for frame in frames.into_iter().flatten() {
            lost += u64::from(frame.left);
            if frame.committed > 0 {
                frame.ticket.committed(frame.committed);
            }
            frame.ticket.lost(frame.left);
        }
        self.room.open();
        lost
    }

    pub(super) fn progress(&self) -> Progress {
        let slots = self.lock();
        Progress {
            reports: slots.reports,
            delivered: slots.delivered,
            frames: slots.frames.len() - slots.free.len(),
        }
    }

    /// `count` events of a frame have ended; with `wanted`, the ticket, for the caller to settle them.
    pub(super) fn end(
        &self,
        mut slots: MutexGuard<'_, Slots>,
        slot: u32,
        count: u32,
        committed: u32,
        wanted: bool,
    ) -> Option<Ticket> {
        let place = slots.frames.get_mut(slot as usize)?;
        let frame = place.as_mut()?;
        frame.left = frame.left.saturating_sub(count);
        frame.committed += committed;
        let ticket = wanted.then(|| frame.ticket.clone());
        if frame.left > 0 {
            return ticket;
        }
        let done = place.take()?;
        slots.free.push(slot);
        slots.bytes = slots.bytes.saturating_sub(done.bytes);
        // A quarter of the limit at a time, or each report would wake every client that waits.
        let opened = slots.bytes <= self.limit_bytes / 4 * 3;
        drop(slots);
        if opened {
            self.room.open();
        }
        // Outside the lock: the owner of the ticket may run at once.
        if done.committed > 0 {
            done.ticket.committed(done.committed);
        }
        ticket
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;
    use crate::ticket::testing::ticket;

    fn in_flight(limit_bytes: u64) -> (InFlight, Arc<Room>) {
        let room = Arc::new(Room::default());
        (InFlight::new(limit_bytes, Arc::clone(&room)), room)
    }

    #[test]
    fn a_frame_is_settled_when_its_last_event_was_reported() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 100).unwrap();
        in_flight.delivered(0, Place { slot, index: 0 });
        in_flight.failed(0, Place { slot, index: 1 }).unwrap().lost(1);
        assert!(settled.try_recv().is_err());
        in_flight.delivered(0, Place { slot, index: 0 });
        let frame = told(&settled);
        assert_eq!((frame.committed, frame.lost), (2, 1));
        assert_eq!(in_flight.progress(), Progress { reports: 2, delivered: 2, frames: 0 });
    }

    #[test]
    fn a_full_one_takes_no_frame_until_a_quarter_is_free_again() {
        let (in_flight, room) = in_flight(100);
        let (ticket, _settled) = ticket(4);
        let slots = [40, 40, 40].map(|bytes| in_flight.enter(&ticket, 1, bytes).unwrap());
        assert!(in_flight.enter(&ticket, 1, 1).is_none());
        assert!(room.is_stalled());
        in_flight.delivered(0, Place { slot: slots[0], index: 0 });
        assert!(room.is_stalled(), "80 of 100 bytes are still held");
        in_flight.delivered(0, Place { slot: slots[1], index: 0 });
        assert!(!room.is_stalled());
        assert!(in_flight.enter(&ticket, 1, 1).is_some());
    }

    #[test]
    fn what_is_abandoned_keeps_the_outcomes_it_has() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 100).unwrap();
        in_flight.delivered(0, Place { slot, index: 0 });
        assert_eq!(in_flight.abandon(), 2);
        let frame = told(&settled);
        assert_eq!((frame.committed, frame.lost), (1, 2));
        in_flight.delivered(0, Place { slot, index: 0 });
        assert_eq!(in_flight.progress().frames, 0);
    }

    #[test]
    fn a_dead_letter_is_a_refusal_once_it_is_durable() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, settled) = ticket(2);
        let slot = in_flight.enter(&ticket, 2, 10).unwrap();
        in_flight.bury(Place { slot, index: 1 }, "too large".into());
        in_flight.delivered(0, Place { slot, index: 0 });
        assert!(settled.try_recv().is_err());
        in_flight.delivered(0, Place { slot, index: 1 });
        let frame = told(&settled);
        assert_eq!((frame.committed, frame.lost), (1, 0));
        assert_eq!((frame.refused[0].index, frame.refused[0].outcome), (1, Outcome::DeadLettered));
        assert_eq!(frame.refused[0].message, "too large");
    }

    #[test]
    fn what_kafka_was_never_asked_is_no_word_of_it() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 10).unwrap();
        in_flight.forgo(slot, 1);
        in_flight.failed(0, Place { slot, index: 0 }).unwrap().lost(1);
        assert_eq!(in_flight.progress().reports, 0, "turned away, and refused unasked");
        in_flight.heard(0);
        in_flight.failed(0, Place { slot, index: 1 }).unwrap().lost(1);
        assert_eq!(in_flight.progress(), Progress { reports: 1, delivered: 0, frames: 0 });
        in_flight.heard(1);
        assert_eq!(in_flight.progress().reports, 1, "of another producer");
        ticket.lost(1);
        assert_eq!(told(&settled).lost, 3);
    }
}
