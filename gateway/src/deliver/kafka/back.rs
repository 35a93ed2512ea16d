//! What producers give back: kept in order until it is produced again, at once or when its topic can be written to.

use std::collections::{HashMap, HashSet};

use rdkafka::message::OwnedMessage;

use super::in_flight::InFlight;
use super::place::Place;
use super::topics::{Topic, Topics};

/// A record that came back, to be produced again.
pub(super) struct Returned {
    pub(super) place: Place,
    pub(super) record: OwnedMessage,
    order: u64,
}

impl InFlight {
    /// A record has come back, to be produced again at once, or when the topic that it waits for can be written to: until
    /// then what comes for that topic waits too.
    pub(super) fn gave_back(
        &self,
        generation: u32,
        place: Place,
        record: OwnedMessage,
        waits_for: Option<&Topic>,
    ) {
        let mut slots = self.lock();
        let frame = slots.frames.get(place.slot as usize).and_then(Option::as_ref);
        let Some(order) = frame.map(|frame| frame.order).filter(|_| generation == slots.generation) else {
            return;
        };
        let returned = Returned { place, record, order };
        match waits_for {
            None => slots.returned.push(returned),
            Some(topic) => {
                topic.hold(true);
                slots.held.entry(topic.config.name.clone()).or_default().push(returned);
            }
        }
    }

    /// Takes no more frames before the generation has ended. Returns whether that is new.
    pub(super) fn stop(&self, generation: u32) -> bool {
        let mut slots = self.lock();
        generation == slots.generation && !std::mem::replace(&mut slots.stopped, true)
    }

    /// Whether something has come back to be produced again at once.
    pub(super) fn is_back(&self) -> bool {
        !self.lock().returned.is_empty()
    }

    /// The topics that records wait for that came back.
    pub(super) fn held(&self) -> Vec<String> {
        self.lock().held.keys().cloned().collect()
    }

    /// What came back and waits for `topic`, in order. What comes for the topic waits until [`InFlight::hold_on`].
    pub(super) fn take_held(&self, topic: &str) -> Vec<Returned> {
        let mut taken = self.lock().held.remove(topic).unwrap_or_default();
        sort(&mut taken);
        taken
    }

    /// Those of [`InFlight::take_held`] that have to go on waiting.
    pub(super) fn hold_on(&self, topic: &Topic, returned: Vec<Returned>) {
        let mut slots = self.lock();
        if !returned.is_empty() {
            slots.held.entry(topic.config.name.clone()).or_default().extend(returned);
        }
        topic.hold(slots.held.contains_key(&topic.config.name));
    }

    /// Ends a generation: what came back, in the order in which it was submitted, and how many events did not come back
    /// and are lost. Nothing may be submitted meanwhile.
    pub(super) fn turn_over(&self, topics: &Topics) -> (Vec<Returned>, u64) {
        let mut slots = self.lock();
        slots.generation = slots.generation.wrapping_add(1);
        slots.stopped = false;
        let mut returned = std::mem::take(&mut slots.returned);
        for (name, held) in std::mem::take(&mut slots.held) {
            topics.by_name(&name).iter().for_each(|topic| topic.hold(false));
            returned.extend(held);
        }
        sort(&mut returned);
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
            if let Some(ticket) = self.end(self.lock(), slot, count, 0, true) {
                ticket.lost(count);
            }
        }
        (returned, lost)
    }
}

fn sort(returned: &mut [Returned]) {
    returned.sort_unstable_by_key(|returned| (returned.order, returned.place.index));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::room::Room;
    use super::super::testing::told;
    use super::super::topics::Absent;
    use super::*;
    use crate::config;
    use crate::ticket::testing::ticket;

    fn in_flight() -> InFlight {
        InFlight::new(1000, Arc::new(Room::default()))
    }

    fn topics() -> Topics {
        let defaults = config::Topics::default();
        let configured = ["a", "b"].map(|name| config::Topic::new(name, &defaults));
        Topics::new(configured.into(), defaults, |_| 0)
    }

    fn record(topic: &str) -> OwnedMessage {
        let timestamp = rdkafka::Timestamp::NotAvailable;
        OwnedMessage::new(Some(b"{}".to_vec()), None, topic.to_owned(), timestamp, 0, 0, None)
    }

    #[test]
    fn what_comes_back_is_handed_over_in_the_order_it_came_and_the_rest_is_lost() {
        let (in_flight, topics) = (in_flight(), topics());
        let ((first, first_told), (second, second_told)) = (ticket(3), ticket(2));
        let slots =
            [(&first, 3), (&second, 2)].map(|(ticket, count)| in_flight.enter(ticket, count, 10).unwrap());
        let place = |frame: usize, index| Place { slot: slots[frame], index };
        in_flight.delivered(0, place(0, 1));
        let a = topics.by_name("a").unwrap();
        for (place, waits_for) in [(place(1, 1), None), (place(0, 2), Some(&*a)), (place(1, 0), None)] {
            in_flight.gave_back(0, place, record("a"), waits_for);
        }
        assert!(in_flight.stop(0));
        assert!(in_flight.enter(&first, 1, 1).is_none(), "what comes now would overtake");
        let (returned, lost) = in_flight.turn_over(&topics);
        assert!(!in_flight.stop(0), "a late word of the old one");
        assert_eq!(a.absent(), None, "nothing waits any more");
        let order: Vec<_> = returned.iter().map(|returned| returned.place).collect();
        assert_eq!(order, [place(0, 2), place(1, 0), place(1, 1)]);
        assert_eq!(lost, 1, "event 0 of the first frame");
        // Late words of the producer that was replaced.
        in_flight.delivered(0, place(0, 2));
        in_flight.gave_back(0, place(0, 2), record("a"), Some(&a));
        assert!(in_flight.failed(0, place(0, 2)).is_none());
        assert_eq!(a.absent(), None);
        assert!(first_told.try_recv().is_err());
        order.iter().for_each(|place| in_flight.delivered(1, *place));
        let frame = told(&first_told);
        assert_eq!((frame.committed, frame.lost), (2, 1));
        assert_eq!(told(&second_told).committed, 2);
        assert!(!in_flight.is_back());
    }

    #[test]
    fn what_waits_for_a_topic_has_later_records_of_it_wait() {
        let (in_flight, topics) = (in_flight(), topics());
        let [a, b] = ["a", "b"].map(|name| topics.by_name(name).unwrap());
        let (ticket, _settled) = ticket(3);
        let slot = in_flight.enter(&ticket, 3, 10).unwrap();
        let place = |index| Place { slot, index };
        for (index, topic) in [(2, &a), (0, &a), (1, &b)] {
            in_flight.gave_back(0, place(index), record(&topic.config.name), Some(topic));
        }
        assert_eq!((a.absent(), b.absent()), (Some(Absent::Waits), Some(Absent::Waits)));
        let taken = in_flight.take_held("a");
        assert_eq!(taken.iter().map(|back| back.place.index).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(a.absent(), Some(Absent::Waits), "until it is known what becomes of them");
        in_flight.hold_on(&a, Vec::new());
        in_flight.hold_on(&b, in_flight.take_held("b"));
        assert_eq!((a.absent(), b.absent()), (None, Some(Absent::Waits)));
        assert!(!in_flight.is_back() && in_flight.held() == ["b"]);
    }
}
