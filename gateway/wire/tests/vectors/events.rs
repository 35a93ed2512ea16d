use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_wire::{Aliases, Data, Define, Event, Limits, Raw, Record};

use super::{Fill, entries, hex, unhex};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    input: Input,
    fill: Option<Fill>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What becomes of one event.
#[derive(Deserialize)]
pub(crate) struct Outcome {
    reject: Option<String>,
    message_has: Option<String>,
    attributes: Option<Map<String, Value>>,
    #[serde(default)]
    data_hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Structured(String),
    Bytes { hex: String },
    Record { record: Box<Fields>, define: Option<Attributes> },
}

#[derive(Deserialize)]
struct Attributes {
    alias: u8,
    attributes: Value,
}

/// A record; each field as text or, where it is none, in hexadecimal digits.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    alias: u64,
    present: Option<u8>,
    key: Option<String>,
    key_hex: Option<String>,
    time: Option<u64>,
    id: Option<String>,
    id_hex: Option<String>,
    attributes: Option<String>,
    attributes_hex: Option<String>,
    payload_hex: String,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn check(&self, name: &str, raw: &Raw<'_>, aliases: &Aliases) {
        match (Event::parse(raw, aliases, &Limits::default()), &self.reject) {
            (Ok(event), None) => self.check_event(name, &event),
            (Err(reject), Some(code)) => {
                let message_has = self.message_has.as_deref().unwrap();
                assert_eq!(reject.code.name(), code, "{name}: {}", reject.message);
                assert!(reject.message.contains(message_has), "{name}: {}", reject.message);
                assert!(reject.message.len() < 300, "{name}: {}", reject.message);
            }
            (Ok(_), Some(code)) => panic!("{name}: was accepted, expected {code}"),
            (Err(reject), None) => panic!("{name}: {}", reject.message),
        }
    }

    fn check_event(&self, name: &str, event: &Event<'_>) {
        let mut found = Map::new();
        for (attribute, value) in event.attributes() {
            let mut json = Vec::new();
            value.write_json(&mut json);
            let twice = found.insert(attribute.to_owned(), serde_json::from_slice(&json).unwrap());
            assert!(twice.is_none(), "{name}: {attribute} is written twice");
        }
        assert_eq!(Some(&found), self.attributes.as_ref(), "{name}");
        assert_eq!(event.data.bytes().map(|data| hex(&data)), self.data_hex, "{name}");
        check_written(name, event);
    }
}

/// What is written is an event again, and the same.
fn check_written(name: &str, event: &Event<'_>) {
    let mut written = Vec::new();
    event.write_structured(&mut written);
    let aliases = Aliases::default();
    // Base64 takes a third more room.
    let limits = Limits { max_event_bytes: u32::MAX, ..Limits::default() };
    let again = Event::parse(&Raw::Structured(&written), &aliases, &limits).unwrap();
    assert_eq!(again.attributes().count(), event.attributes().count(), "{name}");
    assert_eq!(plain(&again), plain(event), "{name}");
    assert_eq!(again.time_ms(), event.time_ms(), "{name}");
    assert_eq!(again.expiry_ms(), event.expiry_ms(), "{name}");
}

/// The data; white space around JSON is none of it once it stands in a structured event.
fn plain(event: &Event<'_>) -> Option<Vec<u8>> {
    let data = event.data.bytes()?;
    Some(if matches!(event.data, Data::Json(_)) { data.trim_ascii().to_vec() } else { data.into_owned() })
}

impl Vector {
    fn text(&self, text: Option<&String>, hex: Option<&String>) -> Option<Vec<u8>> {
        let plain = text.map(|text| self.filled(text).into_bytes());
        plain.or_else(|| hex.map(|hex| unhex(&self.filled(hex))))
    }

    fn filled(&self, text: &str) -> String {
        Fill::apply(self.fill.as_ref(), text)
    }

    fn check(&self) {
        let mut aliases = Aliases::default();
        match &self.input {
            Input::Structured(text) => {
                self.outcome.check(&self.name, &Raw::Structured(self.filled(text).as_bytes()), &aliases);
            }
            Input::Bytes { hex } => self.outcome.check(&self.name, &Raw::Structured(&unhex(hex)), &aliases),
            Input::Record { record, define } => {
                if let Some(Attributes { alias, attributes }) = define {
                    let define = Define { alias: *alias, attributes: self.filled(&attributes.to_string()) };
                    aliases.define(&define, &Limits::default()).unwrap();
                }
                let key = self.text(record.key.as_ref(), record.key_hex.as_ref());
                let id = self.text(record.id.as_ref(), record.id_hex.as_ref());
                let attributes = self.text(record.attributes.as_ref(), record.attributes_hex.as_ref());
                let there = [
                    (key.is_some(), 1),
                    (record.time.is_some(), 2),
                    (id.is_some(), 4),
                    (attributes.is_some(), 8),
                ];
                let present = there.iter().map(|(is_there, bit)| if *is_there { *bit } else { 0 }).sum();
                let raw = Raw::Record(Record {
                    alias: record.alias,
                    present: record.present.unwrap_or(present),
                    key: key.as_deref(),
                    time_ms: record.time,
                    id: id.as_deref(),
                    attributes: attributes.as_deref(),
                    payload: &unhex(&self.filled(&record.payload_hex)),
                });
                self.outcome.check(&self.name, &raw, &aliases);
            }
        }
    }
}

#[test]
fn every_event_is_judged_as_it_says() {
    let vectors = entries::<Vector>("events.json");
    let names: BTreeSet<&str> = vectors.iter().map(|vector| &*vector.name).collect();
    assert_eq!(names.len(), vectors.len(), "a name is there twice");
    vectors.iter().for_each(Vector::check);
}
