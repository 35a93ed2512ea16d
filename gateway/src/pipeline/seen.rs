//! What expressions see of an event.

use tidegate_cel::{Attributes, Moment, Text, Value};
use tidegate_wire::{Attribute, Event, Value as Sent};

/// An attribute that an expression asks for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Known(Attribute),
    Extension(Box<str>),
}

impl Asked {
    pub(super) fn new(name: &str) -> Self {
        match Attribute::from_name(name) {
            Some(attribute) => Self::Known(attribute),
            None => Self::Extension(name.into()),
        }
    }

    /// Its value, if the event has it.
    #[inline]
    pub(super) fn of<'e>(&self, event: &Event<'e>) -> Option<Sent<'e>> {
        match self {
            Self::Known(attribute) => event.get(*attribute),
            Self::Extension(name) => event.attribute(name),
        }
    }
}

/// An event, and the attributes that are asked for by their position.
pub(super) struct Seen<'s, 'e>(pub(super) &'s Event<'e>, pub(super) &'s [Asked]);

impl<'e> Attributes<'e> for Seen<'_, 'e> {
    #[inline]
    fn get(&self, position: u16) -> Option<Value<'e>> {
        let Self(event, asked) = self;
        asked.get(usize::from(position))?.of(event).map(value)
    }
}

#[inline]
fn value(sent: Sent<'_>) -> Value<'_> {
    match sent {
        Sent::Text(text) => Value::Text(Text::plain(text)),
        Sent::Millis(unix_ms) => {
            Value::Moment(Moment::from_millis(i64::try_from(unix_ms).unwrap_or(i64::MAX)))
        }
        Sent::Integer(number) => i64::try_from(number).map_or(Value::Uint(number), Value::Int),
        Sent::Json("true") => Value::Bool(true),
        Sent::Json("false") => Value::Bool(false),
        Sent::Json(raw) => match raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')) {
            Some(inner) => Value::Text(Text::json(inner, has_escapes(inner))),
            None => Value::number(raw),
        },
    }
}

/// Attributes are short: looking at every byte, which makes vectors, is less than looking for the first.
#[inline]
fn has_escapes(inner: &str) -> bool {
    inner.bytes().fold(0, |any, byte| any | u8::from(byte == b'\\')) != 0
}

/// The payload, if it is JSON.
#[inline]
pub(super) fn payload<'e>(event: &Event<'e>) -> Option<&'e str> {
    event.json()
}
