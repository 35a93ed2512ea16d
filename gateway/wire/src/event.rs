//! What one event is: its attributes found, its data untouched.

mod attributes;
mod data;
mod parse;

pub(crate) use attributes::Attributes;
pub use data::Data;

use crate::attribute::{Attribute, Value};

/// One event that may go on. Everything is as the client sent it; what it left out is still missing.
///
/// By default there is nothing in it. It is some 500 bytes, so on the hot path it is filled where it stays.
#[derive(Clone, Debug, Default)]
pub struct Event<'a> {
    attributes: Attributes<'a>,
    /// The payload.
    pub data: Data<'a>,
    /// The payload, where it is known to be text.
    text: Option<&'a str>,
    /// The structured event whose data was left unchecked.
    whole: Option<&'a str>,
}

impl<'a> Event<'a> {
    /// An attribute this protocol knows. `type` is always there.
    #[inline]
    pub fn get(&self, attribute: Attribute) -> Option<Value<'a>> {
        self.attributes.get(attribute)
    }

    /// Gives an attribute a value: what the client left out, or what the gateway adds. The value is not judged, and
    /// `time_ms` and `expiry_ms` stay what the client said.
    #[inline]
    pub fn set(&mut self, attribute: Attribute, value: Value<'a>) {
        self.attributes.put(attribute, value);
    }

    /// Takes an attribute away.
    pub fn unset(&mut self, attribute: Attribute) {
        self.attributes.take_away(attribute);
    }

    /// Gives an extension a value, whatever the client said of it. `name` must be one that [`crate::is_name`] allows and
    /// that is not known here; the value is not judged.
    pub fn set_extension(&mut self, name: &'a str, value: Value<'a>) {
        self.attributes.put_extension(name, value);
    }

    /// Takes an extension away; whether it was there.
    pub fn remove_extension(&mut self, name: &'a str) -> bool {
        self.attributes.take_extension_away(name)
    }

    /// Any attribute by its name.
    pub fn attribute(&self, name: &str) -> Option<Value<'a>> {
        match Attribute::from_name(name) {
            Some(attribute) => self.get(attribute),
            None => self.extensions().find(|(other, _)| *other == name).map(|(_, value)| value),
        }
    }

    /// Every attribute that is there: those known here in their order, then extensions.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        let known =
            Attribute::ALL.into_iter().filter_map(|attribute| Some((attribute.name(), self.get(attribute)?)));
        known.chain(self.extensions())
    }

    /// The attributes this protocol does not know.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.attributes.extensions()
    }

    /// `time` as sent by the client, in Unix ms, negative before 1970.
    #[inline]
    pub fn time_ms(&self) -> Option<i64> {
        self.attributes.time_ms
    }

    /// `expirytime` in Unix ms, negative before 1970.
    #[inline]
    pub fn expiry_ms(&self) -> Option<i64> {
        self.attributes.expiry_ms
    }

    /// The data, if it is JSON or is to be and is text; it may be unchecked yet.
    #[inline]
    pub fn json(&self) -> Option<&'a str> {
        let (Data::Json(json) | Data::Unchecked(json)) = self.data else { return None };
        match self.text {
            Some(text) if std::ptr::eq(text.as_bytes(), json) => Some(text),
            _ => std::str::from_utf8(json).ok(),
        }
    }

    /// Whether the content type says that the data is JSON; without one it is.
    #[inline]
    pub fn is_json(&self) -> bool {
        self.attributes.is_json()
    }

    /// Appends the event as a structured CloudEvent in JSON: the attributes that are there, then the data byte for byte.
    pub fn write_structured(&self, out: &mut Vec<u8>) {
        let start = out.len();
        for attribute in &Attribute::ALL {
            if let Some(value) = self.get(*attribute) {
                out.extend_from_slice(attribute.member().as_bytes());
                value.write_json(out);
            }
        }
        for (name, value) in self.extensions() {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            value.write_json(out);
        }
        self.data.write_member(out);
        match out.get_mut(start) {
            Some(first) => *first = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Aliases, Define, Limits, Raw, Record};

    #[test]
    fn what_an_alias_gave_can_be_replaced_and_taken_away() {
        let limits = Limits::default();
        let mut aliases = Aliases::default();
        let attributes = r#"{"type":"a","subject":"b","topic":"c"}"#.into();
        aliases.define(&Define { alias: 1, attributes }, &limits).unwrap();
        let raw = Raw::Record(Record { alias: 1, payload: b"1", ..Record::default() });
        let mut event = Event::parse(&raw, &aliases, &limits).unwrap();
        event.unset(Attribute::Subject);
        event.set(Attribute::Topic, Value::Text("d"));
        let mut written = Vec::new();
        event.write_structured(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), r#"{"type":"a","topic":"d","data":1}"#);
        event.set(Attribute::Subject, Value::Text("e"));
        assert_eq!(event.attribute("subject"), Some(Value::Text("e")));
    }

    #[test]
    fn extensions_can_be_replaced_and_taken_away_whoever_gave_them() {
        let limits = Limits::default();
        let mut aliases = Aliases::default();
        let attributes = r#"{"type":"a","x":"inherited","y":"inherited"}"#.into();
        aliases.define(&Define { alias: 1, attributes }, &limits).unwrap();
        let raw = Raw::Record(Record { alias: 1, payload: b"1", ..Record::default() });
        let mut event = Event::parse(&raw, &aliases, &limits).unwrap();
        event.set_extension("x", Value::Text("own"));
        assert!(event.remove_extension("y") && !event.remove_extension("y") && !event.remove_extension("z"));
        event.set_extension("z", Value::Text("new"));
        let written = |event: &Event<'_>| {
            let mut written = Vec::new();
            event.write_structured(&mut written);
            String::from_utf8(written).unwrap()
        };
        assert_eq!(written(&event), r#"{"type":"a","x":"own","z":"new","data":1}"#);
        assert!(event.remove_extension("x") && event.remove_extension("z"));
        assert_eq!(written(&event), r#"{"type":"a","data":1}"#);
        event.set_extension("y", Value::Text("again"));
        assert_eq!(written(&event), r#"{"type":"a","y":"again","data":1}"#);
    }

    #[test]
    fn extensions_are_found_however_many_there_are() {
        // Around the number from which on they are kept sorted.
        for count in [0, 1, 15, 16, 17, 40] {
            let others: Vec<_> = (0..count).rev().map(|n| format!(",\"n{n}\":{n}")).collect();
            let others = others.concat();
            let text = format!(r#"{{"type":"a","m":"theirs"{others}}}"#);
            let (aliases, limits) = (Aliases::default(), Limits::default());
            let mut event = Event::parse(&Raw::Structured(text.as_bytes()), &aliases, &limits).unwrap();
            for name in ["m", "a", "z", "n5x"] {
                event.set_extension(name, Value::Text("ours"));
                event.set_extension(name, Value::Text("ours"));
                assert_eq!(event.attribute(name), Some(Value::Text("ours")), "{count} {name}");
            }
            assert_eq!(event.extensions().count(), count + 4);
            for name in ["m", "a", "z", "n5x"] {
                assert!(event.remove_extension(name), "{count} {name}");
                assert_eq!(event.attribute(name), None);
            }
            assert!((0..count).all(|n| event.attribute(&format!("n{n}")).is_some()), "{count}");
        }
    }
}
