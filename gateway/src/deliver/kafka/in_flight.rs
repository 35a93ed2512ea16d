//! Which events a producer holds: one entry a frame, so that no event costs an allocation.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::room::Room;
use crate::ticket::Ticket;

/// Which event of which frame: what travels through librdkafka, as one number, and comes back in its report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) index: u32,
}

const _: () = assert!(usize::BITS >= 64, "a place is packed into a pointer");

impl Place {
    pub(super) fn pack(self) -> usize {
        (self.slot as usize) << 32 | self.index as usize
    }

    pub(super) fn unpack(packed: usize) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves are taken apart")]
        Self { slot: (packed >> 32) as u32, index: packed as u32 }
    }
}

/// The frames that one producer holds, and the bytes they may take.
///
/// Dropping it settles what was reported and gives up the rest as lost.
pub(super) struct InFlight {
    slots: Mutex<Slots>,
    limit_bytes: u64,
    room: Arc<Room>,
}

#[derive(Default)]
struct Slots {
    frames: Vec<Option<Frame>>,
    free: Vec<u32>,
    bytes: u64,
    reports: u64,
}

/// One call to submit.
struct Frame {
    ticket: Ticket,
    /// Events that have not been reported.
    left: u32,
    /// Reported as durable; the ticket is told when the frame is complete, which saves an atomic an event.
    committed: u32,
    bytes: u64,
}

/// How far a producer is: two equal ones in a row with `frames` above 0 are a producer that stands still.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Progress {
    /// Delivery reports so far.
    pub(super) reports: u64,
    /// Frames waiting for some.
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
        if slots.bytes >= self.limit_bytes {
            // Under the lock, so that no report can free room between the look and the stall.
            self.room.stall();
            return None;
        }
        slots.bytes += bytes;
        let frame = Some(Frame { ticket: ticket.clone(), left: count, committed: 0, bytes });
        let slot = slots.free.pop().unwrap_or(u32::MAX);
        if let Some(place) = slots.frames.get_mut(slot as usize) {
            *place = frame;
            return Some(slot);
        }
        let slot = u32::try_from(slots.frames.len()).ok()?;
        slots.frames.push(frame);
        Some(slot)
    }

    /// One event is durable.
    pub(super) fn delivered(&self, slot: u32) {
        self.report(slot, 1, 1, false);
    }

    /// One event is not durable, and the caller settles it by the ticket returned.
    pub(super) fn failed(&self, slot: u32) -> Option<Ticket> {
        self.report(slot, 1, 0, true)
    }

    /// `count` events of the frame are not librdkafka's after all.
    pub(super) fn forgo(&self, slot: u32, count: u32) {
        self.report(slot, count, 0, false);
    }

    /// Gives up everything: what was reported durable is settled so, the rest is lost. Returns how many were.
    pub(super) fn abandon(&self) -> u64 {
        let frames = {
            let mut slots = self.lock();
            slots.bytes = 0;
            slots.free.clear();
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
        Progress { reports: slots.reports, frames: slots.frames.len() - slots.free.len() }
    }

    fn report(&self, slot: u32, count: u32, committed: u32, wanted: bool) -> Option<Ticket> {
        let mut slots = self.lock();
        slots.reports += u64::from(count);
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

    fn lock(&self) -> MutexGuard<'_, Slots> {
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
    fn a_place_survives_the_way_through_librdkafka() {
        for place in [Place { slot: 0, index: 0 }, Place { slot: 7, index: u32::MAX }] {
            assert_eq!(Place::unpack(place.pack()), place);
        }
    }

    #[test]
    fn a_frame_is_settled_when_its_last_event_was_reported() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 100).unwrap();
        in_flight.delivered(slot);
        in_flight.failed(slot).unwrap().lost(1);
        assert!(settled.try_recv().is_err());
        in_flight.delivered(slot);
        let frame = told(&settled);
        assert_eq!((frame.committed, frame.lost), (2, 1));
        assert_eq!(in_flight.progress(), Progress { reports: 3, frames: 0 });
    }

    #[test]
    fn a_full_one_takes_no_frame_until_a_quarter_is_free_again() {
        let (in_flight, room) = in_flight(100);
        let (ticket, _settled) = ticket(4);
        let slots = [40, 40, 40].map(|bytes| in_flight.enter(&ticket, 1, bytes).unwrap());
        assert!(in_flight.enter(&ticket, 1, 1).is_none());
        assert!(room.is_stalled());
        in_flight.delivered(slots[0]);
        assert!(room.is_stalled(), "80 of 100 bytes are still held");
        in_flight.delivered(slots[1]);
        assert!(!room.is_stalled());
        assert!(in_flight.enter(&ticket, 1, 1).is_some());
    }

    #[test]
    fn what_is_abandoned_keeps_the_outcomes_it_has() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 100).unwrap();
        in_flight.delivered(slot);
        assert_eq!(in_flight.abandon(), 2);
        let frame = told(&settled);
        assert_eq!((frame.committed, frame.lost), (1, 2));
        in_flight.delivered(slot);
        assert_eq!(in_flight.progress().frames, 0);
    }
}
