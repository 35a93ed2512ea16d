//! One pass over a payload that finds what a [`Plan`] looks for.
//!
//! The payload was checked to be JSON before. What is not looked for is passed over by its brackets and quotes alone.
//! If a name that is looked for occurs twice in an object, the payload means one thing to some readers and another to
//! others: it is refused.

use crate::plan::{Node, Place, Plan};
use crate::value::{Text, Value};

/// An object names a member twice that is looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the payload has the same name twice in one object, at byte {at}")]
pub struct Duplicate {
    /// Bytes before the second one.
    pub at: usize,
}

/// What was found at a place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    kind: Kind,
    start: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Kind {
    #[default]
    Absent,
    Null,
    True,
    False,
    Number,
    Text,
    Escaped,
    Object,
    Array,
}

impl Found {
    #[inline]
    pub(crate) fn is_there(self) -> bool {
        self.kind != Kind::Absent
    }

    #[inline]
    pub(crate) fn is_object(self) -> bool {
        self.kind == Kind::Object
    }

    /// Where it stands: without the quotes if it is a string.
    #[inline]
    fn of(self, payload: &str) -> &str {
        payload.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn value(self, payload: &str) -> Option<Value<'_>> {
        Some(match self.kind {
            Kind::Absent => return None,
            Kind::Null => Value::Null,
            Kind::True => Value::Bool(true),
            Kind::False => Value::Bool(false),
            Kind::Number => Value::number(self.of(payload)),
            Kind::Text => Value::Text(Text::plain(self.of(payload))),
            Kind::Escaped => Value::Text(Text::json(self.of(payload), true)),
            Kind::Object => Value::Map(self.of(payload)),
            Kind::Array => Value::List(self.of(payload)),
        })
    }
}

/// Finds what `plan` looks for in the value that begins at `at` and stands at `place`; where it ends. Names with escapes
/// are written into `buffer`.
pub(crate) fn scan(
    plan: &Plan,
    payload: &str,
    at: usize,
    place: Place,
    found: &mut [Found],
    buffer: &mut String,
) -> Result<usize, Duplicate> {
    let mut scan = Scan { plan, payload, found, buffer, cursor: Cursor { bytes: payload.as_bytes(), at } };
    scan.cursor.blank();
    scan.value(place)?;
    Ok(scan.cursor.at)
}

/// Forgets what was found at `place` and below.
pub(crate) fn clear(plan: &Plan, place: Place, found: &mut [Found]) {
    if let Some(found) = found.get_mut(place.index()) {
        *found = Found::default();
    }
    let Some(Node { keys, indexes }) = plan.node(place) else { return };
    let places = keys.iter().map(|(_, place)| place).chain(indexes.iter().map(|(_, place)| place));
    places.for_each(|place| clear(plan, *place, found));
}

/// The elements of an array, or the names and values of an object, whose bracket stands at `start` of a checked payload.
#[derive(Debug)]
pub(crate) struct Inside<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Inside<'a> {
    pub(crate) fn new(payload: &'a str, start: usize) -> Self {
        Self { cursor: Cursor { bytes: payload.as_bytes(), at: start + 1 } }
    }

    /// Where the next one begins, if there is one.
    pub(crate) fn next(&mut self) -> Option<usize> {
        self.cursor.blank();
        if self.cursor.peek() == b',' {
            self.cursor.at += 1;
            self.cursor.blank();
        }
        (!matches!(self.cursor.peek(), b']' | b'}' | 0)).then_some(self.cursor.at)
    }

    /// The next one ends at `end`.
    pub(crate) fn resume(&mut self, end: usize) {
        self.cursor.at = end;
    }

    /// Passes over the next one, and says what it is.
    pub(crate) fn take(&mut self) -> Found {
        self.cursor.value()
    }

    /// Passes over the name that is next, and its colon.
    pub(crate) fn name(&mut self) -> Found {
        let name = self.cursor.value();
        self.cursor.blank();
        self.cursor.at += 1;
        self.cursor.blank();
        name
    }
}

impl Found {
    /// Where its bracket is, if it is a list or a map.
    pub(crate) fn bracket(self) -> Option<usize> {
        matches!(self.kind, Kind::Array | Kind::Object).then_some(self.start as usize)
    }

    pub(crate) fn is_array(self) -> bool {
        self.kind == Kind::Array
    }
}

struct Scan<'a> {
    plan: &'a Plan,
    payload: &'a str,
    cursor: Cursor<'a>,
    found: &'a mut [Found],
    buffer: &'a mut String,
}

impl Scan<'_> {
    fn value(&mut self, place: Place) -> Result<(), Duplicate> {
        let start = self.cursor.at;
        let node = self.plan.node(place);
        let found = match (self.cursor.peek(), node) {
            (b'{', Some(node)) if !node.keys.is_empty() => {
                self.members(node)?;
                self.cursor.found(Kind::Object, start)
            }
            (b'[', Some(node)) if !node.indexes.is_empty() => {
                self.elements(node)?;
                self.cursor.found(Kind::Array, start)
            }
            _ => self.cursor.value(),
        };
        if let Some(place) = self.found.get_mut(place.index()) {
            *place = found;
        }
        Ok(())
    }

    fn members(&mut self, node: &Node) -> Result<(), Duplicate> {
        self.cursor.at += 1;
        loop {
            self.cursor.blank();
            let at = self.cursor.at;
            if self.cursor.peek() != b'"' {
                // An empty object, or one that ends here.
                self.cursor.at += 1;
                return Ok(());
            }
            let name = self.cursor.value();
            self.cursor.blank();
            self.cursor.at += 1;
            self.cursor.blank();
            match self.named(node, name) {
                Some(place) if self.found.get(place.index()).is_some_and(|found| found.is_there()) => {
                    return Err(Duplicate { at });
                }
                Some(place) => self.value(place)?,
                None => {
                    self.cursor.value();
                }
            }
            self.cursor.blank();
            let next = self.cursor.peek();
            self.cursor.at += 1;
            if next != b',' {
                return Ok(());
            }
        }
    }

    #[inline]
    fn named(&mut self, node: &Node, name: Found) -> Option<Place> {
        if name.kind == Kind::Escaped {
            let text = Text::json(name.of(self.payload), true);
            return node.named(text.read(self.buffer).ok()?);
        }
        node.named(name.of(self.payload))
    }

    /// Elements after the last that is looked for are passed over.
    fn elements(&mut self, node: &Node) -> Result<(), Duplicate> {
        let start = self.cursor.at;
        let mut inside = Inside::new(self.payload, start);
        let mut wanted = node.indexes.iter().peekable();
        let mut index = 0;
        while let (Some((next, place)), Some(at)) = (wanted.peek(), inside.next()) {
            if *next == index {
                self.cursor.at = at;
                self.value(*place)?;
                inside.resume(self.cursor.at);
                wanted.next();
            } else {
                inside.take();
            }
            index += 1;
        }
        self.cursor.at = inside.cursor.at;
        self.cursor.close();
        Ok(())
    }
}

/// A place in a checked payload.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte, 0 at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Passes over a value.
    #[inline]
    fn value(&mut self) -> Found {
        let start = self.at;
        match self.peek() {
            b'"' => return self.string(),
            b'{' => return self.container(Kind::Object),
            b'[' => return self.container(Kind::Array),
            b't' => self.at += 4,
            b'f' => self.at += 5,
            b'n' => self.at += 4,
            _ => {
                while matches!(self.peek(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
                    self.at += 1;
                }
                return self.found(Kind::Number, start);
            }
        }
        let kind = match self.bytes.get(start) {
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            _ => Kind::Null,
        };
        self.found(kind, start)
    }

    fn string(&mut self) -> Found {
        let start = self.at + 1;
        let mut kind = Kind::Text;
        self.at = quote(self.bytes, start);
        while self.peek() == b'\\' {
            kind = Kind::Escaped;
            self.at = quote(self.bytes, self.at + 2);
        }
        let found = self.found(kind, start);
        self.at += 1;
        found
    }

    fn container(&mut self, kind: Kind) -> Found {
        let start = self.at;
        self.at += 1;
        self.close();
        self.found(kind, start)
    }

    /// Passes over what is left of a container, its bracket included.
    fn close(&mut self) {
        let mut depth = 1;
        while depth > 0 {
            self.at = mark(self.bytes, self.at);
            match self.peek() {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                // The end, which a checked payload does not have here.
                _ => return,
            }
            self.at += 1;
        }
    }

    #[inline]
    fn found(&self, kind: Kind, start: usize) -> Found {
        let offset = |at: usize| u32::try_from(at.min(self.bytes.len())).unwrap_or(u32::MAX);
        Found { kind, start: offset(start), end: offset(self.at) }
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;

const fn all(byte: u8) -> u64 {
    ONES * byte as u64
}

/// The high bit of every byte that is zero; above the lowest of them it may be wrong.
#[inline]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & all(0x80)
}

/// Where the first quote or backslash is, or the end.
#[inline]
fn quote(bytes: &[u8], at: usize) -> usize {
    first(bytes, at, |word| zeros(word ^ all(b'"')) | zeros(word ^ all(b'\\')))
}

/// Where the first quote or bracket is, or the end.
#[inline]
fn mark(bytes: &[u8], at: usize) -> usize {
    // Square and curly brackets differ in one bit.
    first(bytes, at, |word| {
        let either = word | all(0x20);
        zeros(word ^ all(b'"')) | zeros(either ^ all(b'{')) | zeros(either ^ all(b'}'))
    })
}

#[inline]
fn first(bytes: &[u8], mut at: usize, hits: impl Fn(u64) -> u64) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let hits = hits(u64::from_le_bytes(*chunk));
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    // What is missing of the last word is no mark.
    let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let hits = hits(word);
    if hits != 0 { at + (hits.trailing_zeros() / 8) as usize } else { bytes.len().max(at) }
}
