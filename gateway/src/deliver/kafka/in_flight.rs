//! Which events Kafka's producers hold: one entry a frame, so that no event costs an allocation. It outlives a producer
//! that is replaced: what that one gives back stays in its frame.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::message::{Message as _, OwnedMessage};

use super::room::Room;
use crate::outcome::Outcome;
use crate::ticket::Ticket;

/// Which event of which frame: what travels through librdkafka, as one number, and comes back in its report.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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

/// The frames that producers hold, and the bytes they may take.
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
    delivered: u64,
    entered: u64,
    /// Of the producers in use. What an older one reports late means nothing.
    generation: u32,
    /// Something came back that has to be written before anything else is.
    stopped: bool,
    returned: Vec<Returned>,
    /// Events on their way to a dead-letter topic, and what their clients will be told.
    dead: HashMap<Place, String>,
}

/// One call to submit.
struct Frame {
    ticket: Ticket,
    /// When it came, counted: the order of records is that of frames, and of events in a frame.
    order: u64,
    /// Events that have not been reported.
    left: u32,
    /// Reported as durable; the ticket is told when the frame is complete, which saves an atomic an event.
    committed: u32,
    bytes: u64,
}

/// A record that came back, to be produced again.
pub(super) struct Returned {
    pub(super) place: Place,
    pub(super) record: OwnedMessage,
    order: u64,
    /// A broker says that its topic does not exist.
    pub(super) is_missing: bool,
}

/// What came back and waits.
#[derive(Debug, Default)]
pub(super) struct Back {
    /// Some are to be produced again now.
    pub(super) again: bool,
    /// Topics of others, which do not exist.
    pub(super) missing: HashSet<String>,
}

/// How far a producer is: two equal ones in a row with `frames` above 0 are a producer that stands still.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Progress {
    /// Delivery reports so far.
    pub(super) reports: u64,
    /// Those of success.
    pub(super) delivered: u64,
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
        if slots.dead.is_empty() {
            return drop(self.report(slots, place.slot, 1, 1, false));
        }
        let Some(why) = slots.dead.remove(&place) else {
            return drop(self.report(slots, place.slot, 1, 1, false));
        };
        slots.delivered += 1;
        if let Some(ticket) = self.report(slots, place.slot, 1, 0, true) {
            ticket.refused(place.index, Outcome::DeadLettered, why);
        }
    }

    /// One event will not be durable, and the caller settles it by the ticket returned.
    pub(super) fn failed(&self, generation: u32, place: Place) -> Option<Ticket> {
        let slots = self.lock();
        if generation != slots.generation {
            return None;
        }
        self.report(slots, place.slot, 1, 0, true)
    }

    /// `count` events of the frame are not librdkafka's after all.
    pub(super) fn forgo(&self, slot: u32, count: u32) {
        drop(self.report(self.lock(), slot, count, 0, false));
    }

    /// A record has come back, to be produced again.
    pub(super) fn gave_back(&self, generation: u32, place: Place, record: OwnedMessage, is_missing: bool) {
        let mut slots = self.lock();
        let frame = slots.frames.get(place.slot as usize).and_then(Option::as_ref);
        let Some(order) = frame.map(|frame| frame.order).filter(|_| generation == slots.generation) else {
            return;
        };
        slots.reports += 1;
        slots.returned.push(Returned { place, record, order, is_missing });
    }

    /// Takes no more frames before the generation has ended. Returns whether that is new.
    pub(super) fn stop(&self, generation: u32) -> bool {
        let mut slots = self.lock();
        generation == slots.generation && !std::mem::replace(&mut slots.stopped, true)
    }

    /// What has come back.
    pub(super) fn back(&self) -> Back {
        let slots = self.lock();
        let mut back = Back::default();
        for returned in &slots.returned {
            if returned.is_missing {
                back.missing.insert(returned.record.topic().to_owned());
            } else {
                back.again = true;
            }
        }
        back
    }

    /// What came back because `topic` does not exist, in order.
    pub(super) fn take_missing(&self, topic: &str) -> Vec<Returned> {
        let mut slots = self.lock();
        let of_topic = |returned: &mut Returned| returned.is_missing && returned.record.topic() == topic;
        let mut taken: Vec<_> = slots.returned.extract_if(.., of_topic).collect();
        drop(slots);
        taken.sort_unstable_by_key(|returned| (returned.order, returned.place.index));
        taken
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

    /// Ends a generation: what came back, in the order in which it was submitted, and how many events did not come back
    /// and are lost. Nothing may be submitted meanwhile.
    pub(super) fn turn_over(&self) -> (Vec<Returned>, u64) {
        let mut slots = self.lock();
        slots.generation = slots.generation.wrapping_add(1);
        slots.stopped = false;
        let mut returned = std::mem::take(&mut slots.returned);
        returned.sort_unstable_by_key(|returned| (returned.order, returned.place.index));
        let mut back: HashMap<u32, u32> = HashMap::new();
        for returned in &returned {
            *back.entry(returned.place.slot).or_default() += 1;
        }
        if !slots.dead.is_empty() {
            let places: HashSet<Place> = returned.iter().map(|returned| returned.place).collect();
            slots.dead.retain(|place, _| places.contains(place));
        }
        let missing: Vec<(u32, u32)> = (0..)
            .zip(&slots.frames)
            .filter_map(|(slot, frame)| {
                Some((slot, frame.as_ref()?.left - back.get(&slot).copied().unwrap_or(0)))
            })
            .filter(|(_, missing)| *missing > 0)
            .collect();
        drop(slots);
        let mut lost = 0;
        for (slot, count) in missing {
            lost += u64::from(count);
            if let Some(ticket) = self.report(self.lock(), slot, count, 0, true) {
                ticket.lost(count);
            }
        }
        (returned, lost)
    }

    /// Gives up everything: what was reported durable is settled so, the rest is lost. Returns how many were.
    pub(super) fn abandon(&self) -> u64 {
        let frames = {
            let mut slots = self.lock();
            slots.bytes = 0;
            slots.free.clear();
            slots.returned.clear();
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

    fn report(
        &self,
        mut slots: MutexGuard<'_, Slots>,
        slot: u32,
        count: u32,
        committed: u32,
        wanted: bool,
    ) -> Option<Ticket> {
        slots.reports += u64::from(count);
        slots.delivered += u64::from(committed);
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
        in_flight.delivered(0, Place { slot, index: 0 });
        in_flight.failed(0, Place { slot, index: 1 }).unwrap().lost(1);
        assert!(settled.try_recv().is_err());
        in_flight.delivered(0, Place { slot, index: 0 });
        let frame = told(&settled);
        assert_eq!((frame.committed, frame.lost), (2, 1));
        assert_eq!(in_flight.progress(), Progress { reports: 3, delivered: 2, frames: 0 });
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

    fn record(topic: &str) -> OwnedMessage {
        let timestamp = rdkafka::Timestamp::NotAvailable;
        OwnedMessage::new(Some(b"{}".to_vec()), None, topic.to_owned(), timestamp, 0, 0, None)
    }

    #[test]
    fn what_comes_back_is_handed_over_in_the_order_it_came_and_the_rest_is_lost() {
        let (in_flight, _room) = in_flight(1000);
        let ((first, first_told), (second, second_told)) = (ticket(3), ticket(2));
        let slots =
            [(&first, 3), (&second, 2)].map(|(ticket, count)| in_flight.enter(ticket, count, 10).unwrap());
        let place = |frame: usize, index| Place { slot: slots[frame], index };
        in_flight.delivered(0, place(0, 1));
        for place in [place(1, 1), place(0, 2), place(1, 0)] {
            in_flight.gave_back(0, place, record("t"), false);
        }
        assert!(in_flight.stop(0));
        assert!(in_flight.enter(&first, 1, 1).is_none(), "what comes now would overtake");
        let (returned, lost) = in_flight.turn_over();
        assert!(!in_flight.stop(0), "a late word of the old one");
        let order: Vec<_> = returned.iter().map(|returned| returned.place).collect();
        assert_eq!(order, [place(0, 2), place(1, 0), place(1, 1)]);
        assert_eq!(lost, 1, "event 0 of the first frame");
        // Late words of the producer that was replaced.
        in_flight.delivered(0, place(0, 2));
        in_flight.gave_back(0, place(0, 2), record("t"), false);
        assert!(in_flight.failed(0, place(0, 2)).is_none());
        assert!(first_told.try_recv().is_err());
        order.iter().for_each(|place| in_flight.delivered(1, *place));
        let frame = told(&first_told);
        assert_eq!((frame.committed, frame.lost), (2, 1));
        assert_eq!(told(&second_told).committed, 2);
        assert!(!in_flight.back().again);
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
    fn what_waits_for_a_topic_is_taken_by_its_name() {
        let (in_flight, _room) = in_flight(1000);
        let (ticket, _settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 10).unwrap();
        in_flight.gave_back(0, Place { slot, index: 2 }, record("a"), true);
        in_flight.gave_back(0, Place { slot, index: 0 }, record("a"), true);
        in_flight.gave_back(0, Place { slot, index: 1 }, record("b"), true);
        assert_eq!(
            in_flight.take_missing("a").iter().map(|back| back.place.index).collect::<Vec<_>>(),
            [0, 2]
        );
        let back = in_flight.back();
        assert!(!back.again && back.missing.contains("b") && back.missing.len() == 1);
    }
}
