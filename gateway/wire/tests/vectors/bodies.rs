use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tidegate_wire::body::{BodyKind, kind};
use tidegate_wire::{Aliases, Batch, Limits};

use super::events::Outcome;
use super::{Fill, entries, unhex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    request: Request,
    body: Option<String>,
    body_hex: Option<String>,
    fill: Option<Fill>,
    status: Option<u16>,
    message_has: Option<String>,
    kind: Option<String>,
    events: Option<Vec<Outcome>>,
    count: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    query_type: Option<String>,
}

fn name(kind: &BodyKind<'_>) -> &'static str {
    match kind {
        BodyKind::Event => "event",
        BodyKind::Batch => "batch",
        BodyKind::EventOrBatch => "event_or_batch",
        BodyKind::Lines => "lines",
        BodyKind::Data(_) => "data",
    }
}

impl Vector {
    fn check(&self) {
        let filled = |text: &String| Fill::apply(self.fill.as_ref(), text);
        let headers: Vec<(&str, String)> =
            self.request.headers.iter().map(|(name, value)| (&**name, filled(value))).collect();
        let body = self.body.as_ref().map(|body| filled(body).into_bytes());
        let body = body.unwrap_or_else(|| unhex(self.body_hex.as_deref().unwrap()));
        let found = kind(
            self.request.content_type.as_deref(),
            self.request.query_type.as_deref(),
            headers.iter().map(|(name, value)| (*name, value.as_bytes())),
        );
        let limits = Limits::default();
        let parsed = match found {
            Err(unsupported) => Err((415, unsupported.to_string())),
            Ok(found) => {
                let found_name = name(&found);
                let parsed = found.parse(&body, &limits).map_err(|error| (error.status(), error.to_string()));
                parsed.map(|batch| (found_name, batch))
            }
        };
        match (parsed, self.status) {
            (Ok((found, batch)), None) => {
                assert_eq!(Some(found), self.kind.as_deref(), "{}", self.name);
                self.check_events(&batch);
            }
            (Err((found, message)), Some(status)) => {
                assert_eq!(found, status, "{}: {message}", self.name);
                assert!(message.contains(self.message_has.as_deref().unwrap()), "{}: {message}", self.name);
            }
            (Ok(_), Some(status)) => panic!("{}: was taken, expected {status}", self.name),
            (Err((status, message)), None) => panic!("{}: {status} {message}", self.name),
        }
    }

    fn check_events(&self, batch: &Batch<'_>) {
        assert_eq!((batch.first_seq, batch.lossy), (0, false), "{}", self.name);
        let count = match (&self.events, self.count) {
            (Some(events), None) => events.len(),
            (None, Some(count)) => count as usize,
            _ => panic!("{}: `events` or `count`", self.name),
        };
        assert_eq!((batch.count as usize, batch.iter().count()), (count, count), "{}", self.name);
        let aliases = Aliases::default();
        for (at, (raw, outcome)) in batch.iter().zip(self.events.iter().flatten()).enumerate() {
            outcome.check(&format!("{}, event {at}", self.name), &raw, &aliases);
        }
    }
}

#[test]
fn every_body_is_what_it_says() {
    let vectors = entries::<Vector>("bodies.json");
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len(), "a name is there twice");
    vectors.iter().for_each(Vector::check);
}
