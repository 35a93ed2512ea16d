//! The attributes of events: those this protocol knows, and the values all of them have.

use std::borrow::Cow;

use crate::json::{self, write_string};
use crate::time;

/// An attribute that has a meaning here, in the order in which events are written. Any other is an extension.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
pub enum Attribute {
    /// The version of CloudEvents, `1.0`.
    Specversion,
    /// With `source`, what the event is known by.
    Id,
    /// Where it comes from, a URI reference.
    Source,
    /// What kind of thing happened. The only one a client must send.
    Type,
    /// When it happened, RFC 3339.
    Time,
    /// The media type of the data.
    Datacontenttype,
    /// The schema of the data, a URI.
    Dataschema,
    /// What it is about, within the source.
    Subject,
    /// The Kafka record key.
    Partitionkey,
    /// The logical topic for routes.
    Topic,
    /// Past it the event is dropped, RFC 3339.
    Expirytime,
    /// W3C trace context.
    Traceparent,
    /// W3C trace context.
    Tracestate,
    /// When the gateway received it; never taken from a client.
    Recordedtime,
    /// One in how many the gateway keeps.
    Sampledrate,
}

impl Attribute {
    /// Every one of them, in order.
    pub const ALL: [Self; 15] = [
        Self::Specversion,
        Self::Id,
        Self::Source,
        Self::Type,
        Self::Time,
        Self::Datacontenttype,
        Self::Dataschema,
        Self::Subject,
        Self::Partitionkey,
        Self::Topic,
        Self::Expirytime,
        Self::Traceparent,
        Self::Tracestate,
        Self::Recordedtime,
        Self::Sampledrate,
    ];

    /// The name in CloudEvents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Specversion => "specversion",
            Self::Id => "id",
            Self::Source => "source",
            Self::Type => "type",
            Self::Time => "time",
            Self::Datacontenttype => "datacontenttype",
            Self::Dataschema => "dataschema",
            Self::Subject => "subject",
            Self::Partitionkey => "partitionkey",
            Self::Topic => "topic",
            Self::Expirytime => "expirytime",
            Self::Traceparent => "traceparent",
            Self::Tracestate => "tracestate",
            Self::Recordedtime => "recordedtime",
            Self::Sampledrate => "sampledrate",
        }
    }

    /// What a member of a structured event begins with, after another one.
    pub(crate) const fn member(self) -> &'static str {
        match self {
            Self::Specversion => ",\"specversion\":",
            Self::Id => ",\"id\":",
            Self::Source => ",\"source\":",
            Self::Type => ",\"type\":",
            Self::Time => ",\"time\":",
            Self::Datacontenttype => ",\"datacontenttype\":",
            Self::Dataschema => ",\"dataschema\":",
            Self::Subject => ",\"subject\":",
            Self::Partitionkey => ",\"partitionkey\":",
            Self::Topic => ",\"topic\":",
            Self::Expirytime => ",\"expirytime\":",
            Self::Traceparent => ",\"traceparent\":",
            Self::Tracestate => ",\"tracestate\":",
            Self::Recordedtime => ",\"recordedtime\":",
            Self::Sampledrate => ",\"sampledrate\":",
        }
    }

    /// The one with this name.
    #[inline]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "specversion" => Self::Specversion,
            "id" => Self::Id,
            "source" => Self::Source,
            "type" => Self::Type,
            "time" => Self::Time,
            "datacontenttype" => Self::Datacontenttype,
            "dataschema" => Self::Dataschema,
            "subject" => Self::Subject,
            "partitionkey" => Self::Partitionkey,
            "topic" => Self::Topic,
            "expirytime" => Self::Expirytime,
            "traceparent" => Self::Traceparent,
            "tracestate" => Self::Tracestate,
            "recordedtime" => Self::Recordedtime,
            "sampledrate" => Self::Sampledrate,
            _ => return None,
        })
    }

    /// Its bit in a set of attributes.
    #[inline]
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// Whether CloudEvents allows an attribute to be called `name`: lower-case letters and digits, and not `data`.
#[inline]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && name != "data"
}

/// The value of an attribute, as it came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Value<'a> {
    /// A JSON string, number or boolean as sent, to be copied. A string's escapes are known to be text.
    Json(&'a str),
    /// Plain text, to be escaped.
    Text(&'a str),
    /// A moment in Unix milliseconds, within the year 9999.
    Millis(u64),
    /// A number.
    Integer(u64),
}

impl<'a> Value<'a> {
    /// Its text: a string without quotes and escapes, a number or boolean as sent, a moment as `time` is written.
    pub fn text(&self) -> Cow<'a, str> {
        match *self {
            Self::Json(raw) => match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
                Some(inner) if inner.contains('\\') => Cow::Owned(json::unescape(inner).unwrap_or_default()),
                Some(inner) => Cow::Borrowed(inner),
                None => Cow::Borrowed(raw),
            },
            Self::Text(text) => Cow::Borrowed(text),
            Self::Millis(unix_ms) => Cow::Owned(time::format(unix_ms)),
            Self::Integer(number) => Cow::Owned(number.to_string()),
        }
    }

    /// Whether it is text or a moment, not a number or a boolean.
    pub fn is_string(&self) -> bool {
        match self {
            Self::Json(raw) => raw.starts_with('"'),
            Self::Text(_) | Self::Millis(_) => true,
            Self::Integer(_) => false,
        }
    }

    /// Appends it as a JSON value.
    #[inline]
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Json(raw) => out.extend_from_slice(raw.as_bytes()),
            Self::Text(text) => write_string(text, out),
            Self::Millis(unix_ms) => write_moment(unix_ms, out),
            Self::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        }
    }
}

fn write_moment(unix_ms: u64, out: &mut Vec<u8>) {
    out.push(b'"');
    time::write(unix_ms, out);
    out.push(b'"');
}

/// Whether data of this media type is JSON: `application/json` or any `+json`, in any case, whatever the parameters.
#[inline]
pub fn is_json_content_type(content_type: &str) -> bool {
    const SUFFIX: &[u8] = b"+json";
    if content_type == "application/json" {
        return true;
    }
    let essence = essence(content_type).as_bytes();
    essence.eq_ignore_ascii_case(b"application/json")
        || essence
            .len()
            .checked_sub(SUFFIX.len())
            .and_then(|at| essence.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX))
}

/// A media type without its parameters.
pub(crate) fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (at, attribute) in Attribute::ALL.into_iter().enumerate() {
            assert_eq!(Attribute::from_name(attribute.name()), Some(attribute));
            assert_eq!(attribute.member(), format!(",\"{}\":", attribute.name()));
            assert_eq!(attribute as usize, at);
            assert!(is_name(attribute.name()));
        }
    }

    #[test]
    fn names_are_lower_case_letters_and_digits() {
        assert!(is_name("a1") && is_name("1a"));
        for name in ["", "A", "a_b", "a-b", "\u{e9}", "data", "a b"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn json_types_are_told_by_name_and_suffix() {
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            " application/json ;x",
            "application/vnd.x+json",
            "image/x+JSON;q=1",
        ] {
            assert!(is_json_content_type(json), "{json}");
        }
        for other in
            ["", "text/plain", "application/jsonx", "text/json", "application/x-ndjson", "a;+json", "json"]
        {
            assert!(!is_json_content_type(other), "{other}");
        }
    }

    #[test]
    fn values_have_text_and_json() {
        for (value, text, json) in [
            (Value::Json(r#""a\u0062""#), "ab", r#""a\u0062""#),
            (Value::Json("12"), "12", "12"),
            (Value::Json("true"), "true", "true"),
            (Value::Text("a\"b"), "a\"b", r#""a\"b""#),
            (Value::Integer(12), "12", "12"),
            (Value::Millis(0), "1970-01-01T00:00:00.000Z", "\"1970-01-01T00:00:00.000Z\""),
        ] {
            assert_eq!(value.text(), text);
            let mut out = Vec::new();
            value.write_json(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }
}
