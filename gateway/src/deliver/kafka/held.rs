//! What came back and waits for its topic.

use super::in_flight::InFlight;
use super::producer::Producer;
use super::topics::{Absent, Presence, Topics};

/// Refuses what came back once it is certain that its topic does not take it, unless that is owed. Returns a topic that
/// can be written to after all, or may be tried again: its records are to be produced again.
pub(super) fn settle(producer: &Producer, in_flight: &InFlight, topics: &Topics) -> Option<String> {
    for name in in_flight.held() {
        // None but the sink's own topics are written to.
        let Some(topic) = topics.by_name(&name) else { continue };
        match topic.absent_itself() {
            None if topic.presence() == Presence::There => return Some(name),
            None | Some(Absent::Waits) => {}
            Some(Absent::Refused(poison)) => {
                let mut owed = Vec::new();
                for returned in in_flight.take_held(&name) {
                    if in_flight.is_owed(returned.place) {
                        owed.push(returned);
                    } else {
                        producer.refuse(returned.place, &returned.record, poison);
                    }
                }
                in_flight.hold_on(&topic, owed);
            }
        }
    }
    None
}
