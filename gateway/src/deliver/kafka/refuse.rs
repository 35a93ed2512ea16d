//! Refusing an event for good, by way of its topic's dead-letter topic if there is one.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::Producer as _;

use super::draft::Draft;
use super::in_flight::InFlight;
use super::place::Place;
use super::producer::Client;
use super::topics::Topics;
use super::verdict::{self, Poison, Verdict};
use crate::outcome::Outcome;

/// Refuses an event, or buries it first. One that is owed waits for its dead-letter topic if that cannot be written to.
pub(super) fn refuse(
    client: &Client,
    in_flight: &InFlight,
    topics: &Topics,
    place: Place,
    poison: Poison,
    why: String,
    draft: Draft<'_>,
) {
    let generation = client.client().context().generation;
    let tell = |why: String| {
        if let Some(ticket) = in_flight.failed(generation, place) {
            ticket.refused(place.index, Outcome::BrokerRejected, why);
        }
    };
    if let Some(first) = in_flight.exhume(place) {
        return tell(format!("{first}, and its dead-letter topic `{}` did not take it: {why}", draft.topic));
    }
    let topic = topics.by_name(draft.topic);
    let dead_letter = topic.as_ref().and_then(|topic| topic.config.dead_letter.as_deref());
    let Some(dead_letter) = dead_letter.filter(|_| poison != Poison::TOO_LARGE_HERE) else {
        return tell(why);
    };
    let headers = draft.headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(2));
    let headers = headers
        .insert(Header { key: "tidegate-reason", value: Some(poison.reason) })
        .insert(Header { key: "tidegate-topic", value: Some(draft.topic) });
    let draft = Draft { topic: dead_letter, headers: Some(headers), ..draft };
    // Before it is sent: its report may come at once.
    in_flight.bury(place, why);
    let letter = draft.detach();
    let Err(code) = draft.send(client, place) else { return };
    match verdict::at_send(code) {
        // This producer has stopped, perhaps at this very record: another one sends it.
        Verdict::Again => in_flight.gave_back(generation, place, letter, None),
        Verdict::Missing | Verdict::Barred(_) if in_flight.is_owed(place) => {
            let topic = topics.by_name(dead_letter);
            topic.iter().for_each(|topic| topics.doubt(topic));
            in_flight.gave_back(generation, place, letter, topic.as_deref());
        }
        _ => {
            if let Some(why) = in_flight.exhume(place) {
                tell(format!("{why}, and its dead-letter topic `{dead_letter}` did not take it: {code}"));
            }
        }
    }
}
