//! One pass over a payload: checks that it is JSON and finds what a [`Plan`] looks for.
//!
//! If a name that is looked for occurs twice in an object, the payload means one thing to some readers and another to
//! others: it is refused.

use tidegate_wire::json::{self, Scanner, Token};

use crate::plan::{Node, Place, Plan};
use crate::value::{Text, Value};

/// Why a payload is not to be judged by rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// An object names a member twice that rules look for; so many bytes before the second one's value.
    #[error("the same name twice in one object at byte {0}")]
    Duplicate(usize),
}

/// The longest payload that is looked into.
const PAYLOAD_BYTES_MAX: usize = u32::MAX as usize;

/// What was found at a place; text by where it begins and ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Found {
    #[default]
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    /// Between the quotes.
    Text(u32, u32),
    /// Likewise, with escapes.
    Escaped(u32, u32),
    Object(u32, u32),
    Array(u32, u32),
}

impl Found {
    /// `token` ends at `end`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "no longer payload is read")]
    fn new(token: Token<'_>, end: usize) -> Self {
        let (start, end) = ((end - token.raw.len()) as u32, end as u32);
        match token.kind {
            json::Kind::Null => Self::Null,
            json::Kind::Boolean => Self::Bool(token.raw == "true"),
            json::Kind::Number => match Value::number(token.raw) {
                Value::Int(value) => Self::Int(value),
                Value::Uint(value) => Self::Uint(value),
                Value::Double(value) => Self::Double(value),
                _ => Self::Absent,
            },
            json::Kind::String { escaped: false } => Self::Text(start + 1, end - 1),
            json::Kind::String { escaped: true } => Self::Escaped(start + 1, end - 1),
            json::Kind::Object => Self::Object(start, end),
            json::Kind::Array => Self::Array(start, end),
        }
    }

    #[inline]
    pub(crate) fn is_there(self) -> bool {
        !matches!(self, Self::Absent)
    }

    #[inline]
    pub(crate) fn is_object(self) -> bool {
        matches!(self, Self::Object(..))
    }

    #[inline]
    pub(crate) fn value(self, payload: &str) -> Option<Value<'_>> {
        let text = |start, end| payload.get(start as usize..end as usize).unwrap_or_default();
        Some(match self {
            Self::Absent => return None,
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Double(value) => Value::Double(value),
            Self::Text(start, end) => Value::Text(Text::plain(text(start, end))),
            Self::Escaped(start, end) => Value::Text(Text::json(text(start, end), true)),
            Self::Object(start, end) => Value::Map(text(start, end)),
            Self::Array(start, end) => Value::List(text(start, end)),
        })
    }
}

/// The value of a token.
pub(crate) fn value(token: Token<'_>) -> Option<Value<'_>> {
    Found::new(token, token.raw.len()).value(token.raw)
}

/// Checks that `payload` is JSON, nested at most `max_depth` deep, and finds what `plan` looks for in it. Names with escapes
/// are written into `buffer`.
pub(crate) fn scan(
    plan: &Plan,
    payload: &str,
    max_depth: u32,
    found: &mut [Found],
    buffer: &mut String,
) -> Result<(), Malformed> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(json::Error { what: "too long", at: PAYLOAD_BYTES_MAX }.into());
    }
    let mut scan = Scan { plan, found, buffer, scanner: Scanner::new(payload) };
    scan.value(Place::ROOT, max_depth)?;
    Ok(scan.scanner.end()?)
}

/// Finds what `plan` looks for in `element`, a part of `payload` that was checked, which is put at `place`.
pub(crate) fn put(
    plan: &Plan,
    payload: &str,
    element: Token<'_>,
    place: Place,
    found: &mut [Found],
    buffer: &mut String,
) -> Result<(), Malformed> {
    clear(plan, place, found);
    // Its distance from the beginning; both are in one piece of memory.
    let start = element.raw.as_ptr().addr().saturating_sub(payload.as_ptr().addr());
    let up_to_its_end = payload.get(..start + element.raw.len()).unwrap_or_default();
    let mut scanner = Scanner::at(up_to_its_end, start);
    scanner.ahead();
    Scan { plan, scanner, found, buffer }.value(place, u32::MAX)
}

/// Forgets what was found at `place` and below.
fn clear(plan: &Plan, place: Place, found: &mut [Found]) {
    if let Some(found) = found.get_mut(place.index()) {
        *found = Found::default();
    }
    let Some(node) = plan.node(place) else { return };
    node.places().for_each(|place| clear(plan, place, found));
}

struct Scan<'a, 'f> {
    plan: &'f Plan,
    scanner: Scanner<'a>,
    found: &'f mut [Found],
    buffer: &'f mut String,
}

impl<'a> Scan<'a, '_> {
    /// The value that is next stands at `place`.
    fn value(&mut self, place: Place, max_depth: u32) -> Result<(), Malformed> {
        let Some(node) = self.plan.node(place) else { return Ok(()) };
        let found = match self.scanner.ahead() {
            Some(b'{') if !node.keys.is_empty() => self.members(node, max_depth)?,
            Some(b'[') if !node.indexes.is_empty() => self.elements(node, max_depth)?,
            _ => Found::new(self.scanner.value(max_depth)?, self.scanner.position()),
        };
        if let Some(kept) = self.found.get_mut(place.index()) {
            *kept = found;
        }
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, reason = "no longer payload is read")]
    fn members(&mut self, node: &Node, max_depth: u32) -> Result<Found, Malformed> {
        let mut scanner = self.scanner;
        let start = scanner.position();
        let depth = deeper(max_depth, start)?;
        scanner.open(b'{', "expected an object")?;
        let mut first = true;
        while scanner.another(b'}', first, "expected `,` or `}`")? {
            first = false;
            let name = scanner.name()?;
            let Some(place) = self.named(node, name) else {
                scanner.value(depth)?;
                continue;
            };
            if self.found.get(place.index()).is_some_and(|found| found.is_there()) {
                return Err(Malformed::Duplicate(scanner.position()));
            }
            self.scanner = scanner;
            self.value(place, depth)?;
            scanner = self.scanner;
        }
        self.scanner = scanner;
        Ok(Found::Object(start as u32, self.scanner.position() as u32))
    }

    #[expect(clippy::cast_possible_truncation, reason = "no longer payload is read")]
    fn elements(&mut self, node: &Node, max_depth: u32) -> Result<Found, Malformed> {
        let start = self.scanner.position();
        let depth = deeper(max_depth, start)?;
        self.scanner.open(b'[', "expected an array")?;
        let mut wanted = node.indexes.iter().peekable();
        let mut index = 0;
        while self.scanner.another(b']', index == 0, "expected `,` or `]`")? {
            match wanted.next_if(|(wanted, _)| *wanted == index) {
                Some((_, place)) => self.value(*place, depth)?,
                None => drop(self.scanner.value(depth)?),
            }
            index = index.saturating_add(1);
        }
        Ok(Found::Array(start as u32, self.scanner.position() as u32))
    }

    #[inline]
    fn named(&mut self, node: &Node, name: Token<'a>) -> Option<Place> {
        match name.kind {
            json::Kind::String { escaped: true } => {
                let text = Text::json(name.inner(), true);
                node.named(text.read(self.buffer).ok()?.as_bytes())
            }
            _ => node.named(name.raw.as_bytes().get(1..name.raw.len() - 1)?),
        }
    }
}

pub(crate) fn deeper(max_depth: u32, at: usize) -> Result<u32, json::Error> {
    max_depth.checked_sub(1).ok_or(json::Error { what: "nested too deep", at })
}
