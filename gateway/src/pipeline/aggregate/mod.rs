//! Many events to one record: which are together, what is said of their numbers, and the record. Pure.

mod stats;
mod windows;

use tidegate_wire::{Attribute, Data, Event, Value, json, time};

pub use self::windows::{Closed, Group, Windows};
use super::encode;
use crate::record::{Encoding, Records};

impl<M> Group<M> {
    /// Adds its record, at index 0: an event by the name of `id`, of when its window begins, made at `now_ms`.
    pub fn write(&self, id: &str, now_ms: u64, encoding: Encoding, records: &mut Records) {
        let source = format!("/aggregate/{}", self.rule.route);
        let mut data = Vec::with_capacity(256);
        self.write_data(&mut data);
        let mut event = Event::default();
        for (attribute, value) in [
            (Attribute::Specversion, Value::Text("1.0")),
            (Attribute::Id, Value::Text(id)),
            (Attribute::Source, Value::Text(&source)),
            (Attribute::Type, Value::Text(&self.rule.kind)),
            (Attribute::Time, Value::Millis(self.from_ms)),
            (Attribute::Datacontenttype, Value::Text("application/json")),
            (Attribute::Recordedtime, Value::Millis(now_ms)),
        ] {
            event.set(attribute, value);
        }
        event.data = Data::Json(&data);
        let draft = records.draft(0, self.topic, encoding, self.from_ms);
        encode::encode(draft, encoding, &event, None, self.key.as_deref());
    }

    fn write_data(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"key\":");
        match &self.key {
            Some(key) => json::write_string(key, out),
            None => out.extend_from_slice(b"null"),
        }
        for (name, unix_ms) in [("from", self.from_ms), ("to", self.to_ms)] {
            out.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
            time::write(unix_ms, out);
            out.push(b'"');
        }
        out.extend_from_slice(format!(",\"count\":{},\"values\":{{", self.members.len()).as_bytes());
        for (index, (name, stats)) in self.rule.values.iter().zip(&self.stats).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::write_string(name, out);
            out.push(b':');
            stats.write(out);
        }
        out.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::record::{Aggregation, Contribution, Number, TopicId};

    fn group(encoding: Encoding, key: Option<&str>) -> Group<()> {
        let rule = Arc::new(Aggregation {
            route: "sensors".into(),
            kind: "tidegate.aggregate".into(),
            encoding,
            window_ms: 60_000,
            groups_max: 1,
            values: vec!["celsius".into(), "a \"b\"".into()],
        });
        let mut windows = Windows::default();
        for celsius in [20.5, 21.5] {
            let numbers = [Some(Number::Double(celsius)), None];
            let contribution =
                Contribution { index: 0, to: &rule, topic: TopicId(3), key, numbers: &numbers };
            windows.add(&contribution, 1_790_000_030_000, (), 0);
        }
        windows.close(Closed::Shutdown, |_| true);
        windows.take_closed().unwrap().1
    }

    fn data(key: &Value) -> Value {
        json!({
            "key": key, "from": "2026-09-21T14:13:00.000Z", "to": "2026-09-21T14:14:00.000Z", "count": 2,
            "values": {
                "celsius": {"count": 2, "sum": 42.0, "min": 20.5, "max": 21.5, "mean": 21.0, "last": 21.5},
                "a \"b\"": {"count": 0}
            }
        })
    }

    #[test]
    fn a_group_is_an_event_of_its_own() {
        for (key, told) in [(Some("/a\"b"), json!("/a\"b")), (None, json!(null))] {
            let mut records = Records::default();
            let group = group(Encoding::Structured, key);
            group.write("i-1", 1_790_000_040_123, Encoding::Structured, &mut records);
            let record = records.get(0).unwrap();
            assert_eq!(
                (record.index, record.topic, record.timestamp_ms),
                (0, TopicId(3), 1_790_000_000_000 - 20_000)
            );
            assert_eq!(record.key, key.map(str::as_bytes));
            let event: Value = serde_json::from_slice(record.value.unwrap()).unwrap();
            let expected = json!({
                "specversion": "1.0", "id": "i-1", "source": "/aggregate/sensors", "type": "tidegate.aggregate",
                "time": "2026-09-21T14:13:00.000Z", "datacontenttype": "application/json",
                "recordedtime": "2026-09-21T14:14:00.123Z", "data": data(&told)
            });
            assert_eq!(event, expected);
        }
    }

    #[test]
    fn in_the_binary_encoding_its_data_is_the_value() {
        let mut records = Records::default();
        group(Encoding::Binary, Some("a")).write("i-1", 0, Encoding::Binary, &mut records);
        let record = records.get(0).unwrap();
        let value: Value = serde_json::from_slice(record.value.unwrap()).unwrap();
        assert_eq!(value, data(&json!("a")));
        assert!(record.headers().any(|(name, value)| (name, value) == ("ce_id", b"i-1".as_slice())));
    }
}
