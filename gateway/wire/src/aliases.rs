//! The attributes a connection has DEFINE'd, by alias.

use std::ops::Range;

use crate::attribute::{Attribute, Value};
use crate::codes::Code;
use crate::control::Define;
use crate::event::Attributes;
use crate::json;
use crate::limits::{ALIASES, Limits};
use crate::refusal::Violation;

/// The DEFINE table of one connection: at most 255 aliases, each parsed once.
///
/// One alias holds at most [`Limits::max_attributes_bytes`] of text and three times that in places within it.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    defined: Vec<Option<Box<Defined>>>,
}

impl Aliases {
    /// Sets or replaces one alias. [`Violation`] `too_large` beyond the limit of attributes, `bad_frame` for what no
    /// event could carry.
    pub fn define(&mut self, define: &Define, limits: &Limits) -> Result<(), Violation> {
        if define.alias == 0 {
            return Err(Violation::bad_frame(format!("DEFINE: `alias` is a number from 1 to {ALIASES}")));
        }
        let defined = Defined::parse(&define.attributes, limits)?;
        let at = usize::from(define.alias);
        if self.defined.len() <= at {
            self.defined.resize(at + 1, None);
        }
        if let Some(slot) = self.defined.get_mut(at) {
            *slot = Some(Box::new(defined));
        }
        Ok(())
    }

    /// Bytes on the heap, for whoever keeps a budget.
    pub fn heap_bytes(&self) -> usize {
        let each = |defined: &Defined| {
            size_of::<Defined>() + defined.text.len() + defined.extensions.len() * size_of::<Place>()
        };
        self.defined.capacity() * size_of::<usize>()
            + self.defined.iter().flatten().map(|defined| each(defined)).sum::<usize>()
    }

    #[inline]
    pub(crate) fn get(&self, alias: u64) -> Option<&Defined> {
        self.defined.get(usize::try_from(alias).ok()?)?.as_deref()
    }
}

/// Where something stands in [`Defined::text`].
type Span = Range<u32>;

#[derive(Clone, Debug)]
struct Place {
    name: Span,
    value: Span,
}

/// The attributes of one alias.
#[derive(Clone, Debug)]
pub(crate) struct Defined {
    text: Box<str>,
    known: [Option<Span>; Attribute::ALL.len()],
    extensions: Box<[Place]>,
    pub(crate) time_ms: Option<i64>,
    pub(crate) expiry_ms: Option<i64>,
}

impl Defined {
    /// How many bytes its attributes take, as sent.
    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    #[inline]
    pub(crate) fn known(&self, attribute: Attribute) -> Option<Value<'_>> {
        let span = self.known.get(attribute as usize)?.as_ref()?;
        Some(Value::Json(self.at(span)))
    }

    pub(crate) fn extensions(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.extensions.iter().map(|place| (self.at(&place.name), Value::Json(self.at(&place.value))))
    }

    fn parse(text: &str, limits: &Limits) -> Result<Self, Violation> {
        let wrong = |message: &str| Violation::bad_frame(format!("DEFINE: `attributes`: {message}"));
        if text.len() > limits.max_attributes_bytes as usize {
            return Err(Violation::too_large(format!(
                "DEFINE: `attributes` has {} bytes, at most {} are allowed",
                text.len(),
                limits.max_attributes_bytes
            )));
        }
        let mut attributes = Attributes::default();
        let mut extensions = Vec::new();
        let mut known = [const { None }; Attribute::ALL.len()];
        // Brackets and commas are not attributes, so what lies within the limit cannot go beyond it here.
        for member in json::members(text, limits.max_json_depth).map_err(|error| wrong(&error.to_string()))? {
            let member = member.map_err(|error| wrong(&error.to_string()))?;
            let name = member.name.inner();
            attributes.add(name.into(), &member, limits).map_err(|reject| match reject.code {
                Code::TooLarge => Violation::too_large(format!("DEFINE: {}", reject.message)),
                _ => wrong(&reject.message),
            })?;
            if member.value.kind == json::Kind::Null {
                continue;
            }
            let value = span(text, member.value.raw);
            match Attribute::from_name(name) {
                Some(Attribute::Recordedtime) => {}
                Some(attribute) => {
                    if let Some(slot) = known.get_mut(attribute as usize) {
                        *slot = Some(value);
                    }
                }
                None => extensions.push(Place { name: span(text, name), value }),
            }
        }
        attributes.finish().map_err(|reject| wrong(&reject.message))?;
        let (time_ms, expiry_ms) = (attributes.time_ms, attributes.expiry_ms);
        Ok(Self { text: text.into(), known, extensions: extensions.into(), time_ms, expiry_ms })
    }

    #[inline]
    fn at(&self, span: &Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// Where `part`, a slice of `text`, stands in it. DEFINE's text is far shorter than 4 GiB.
fn span(text: &str, part: &str) -> Span {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the text is within the limit of attributes, which is a u32"
    )]
    let place = |at: usize| at as u32;
    place(start)..place(start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::CloseCode;

    fn define(alias: u8, attributes: &str) -> Define {
        Define { alias, attributes: attributes.into() }
    }

    #[track_caller]
    fn refused(attributes: &str, code: CloseCode, message_has: &str) {
        let violation = Aliases::default().define(&define(1, attributes), &Limits::default()).unwrap_err();
        assert_eq!(violation.code, code);
        assert!(violation.message.contains(message_has), "{}", violation.message);
    }

    #[test]
    fn an_alias_is_replaced_whole() {
        let mut aliases = Aliases::default();
        let limits = Limits::default();
        aliases.define(&define(255, r#"{"type":"a","x":1}"#), &limits).unwrap();
        aliases.define(&define(255, r#"{"source":"/b","y":null,"recordedtime":"no"}"#), &limits).unwrap();
        let defined = aliases.get(255).unwrap();
        assert_eq!(defined.known(Attribute::Type), None);
        assert_eq!(defined.known(Attribute::Source), Some(Value::Json("\"/b\"")));
        assert_eq!(defined.known(Attribute::Recordedtime), None);
        assert_eq!(defined.extensions().count(), 0);
        assert!(aliases.get(254).is_none() && aliases.get(256).is_none() && aliases.get(u64::MAX).is_none());
    }

    #[test]
    fn what_no_event_could_carry_ends_the_connection() {
        refused("[]", CloseCode::BadFrame, "expected an object");
        refused(r#"{"a":{}}"#, CloseCode::BadFrame, "`a` is a string, a number or a boolean");
        refused(r#"{"data":1}"#, CloseCode::BadFrame, "`data` cannot be the name");
        refused(r#"{"time":"noon"}"#, CloseCode::BadFrame, "`time` is a date and time of RFC 3339");
        refused(r#"{"a":1,"a":2}"#, CloseCode::BadFrame, "`a` is there twice");
        refused(r#"{"\u0061":1}"#, CloseCode::BadFrame, "cannot be the name");
        refused(&format!(r#"{{"a":"{}"}}"#, "x".repeat(4096)), CloseCode::TooLarge, "at most 4096");
        assert!(Aliases::default().define(&define(0, "{}"), &Limits::default()).is_err());
    }

    #[test]
    fn memory_stays_within_a_few_times_the_text() {
        let mut aliases = Aliases::default();
        let members: Vec<String> = (0..500).map(|n| format!("\"{n}\":1")).collect();
        let text = format!("{{{}}}", members.join(","));
        let limits = Limits::default();
        assert!(text.len() > limits.max_attributes_bytes as usize * 9 / 10);
        for alias in 1..=255 {
            aliases.define(&define(alias, &text), &limits).unwrap();
        }
        assert!(aliases.heap_bytes() < 255 * text.len() * 5, "{}", aliases.heap_bytes());
    }
}
