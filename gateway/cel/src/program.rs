//! An expression, compiled: operations in a flat list, each naming those it takes its operands from.

use std::collections::HashSet;
use std::ops::Range;

use regex::Regex;

use crate::compare::Relation;
use crate::moment::Moment;
use crate::plan::Place;
use crate::value::{Text, Value};

/// An operation, by its position in the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct At(pub(crate) u16);

/// What one operation does. Operands stand before it.
#[derive(Debug)]
pub(crate) enum Op {
    Constant(Constant),
    /// A field of the payload.
    Field(Place),
    /// An attribute, by its position among those the program asks for.
    Attribute(u16),
    /// An attribute or a string as a point in time.
    Moment(At),
    /// A string as a duration.
    Duration(At),
    /// Whether a field is there, and the value it would be in.
    HasField(Place, Place),
    HasAttribute(u16),
    Not(At),
    And(At, At),
    Or(At, At),
    Choice(At, At, At),
    Relate(Relation, At, At),
    /// A field against a constant: what most rules are made of.
    RelateField(Relation, Place, Constant),
    /// Among constants.
    Among(At, Box<Set>),
    /// In a list, or a name in a map, of the payload.
    In(At, At),
    Negative(At),
    Add(At, At),
    Subtract(At, At),
    Multiply(At, At),
    Divide(At, At),
    Remainder(At, At),
    Size(At),
    StartsWith(At, At),
    EndsWith(At, At),
    Contains(At, At),
    Matches(At, Box<Regex>),
    /// Whether the condition holds for any, or for all, elements of the list at the first place, each put at the second.
    Any(Place, Place, At),
    All(Place, Place, At),
}

/// A value of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Box<str>),
    Moment(Moment),
    Duration(i64),
}

impl Constant {
    #[inline]
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Uint(value) => Value::Uint(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(text) => Value::Text(Text::plain(text)),
            Self::Moment(moment) => Value::Moment(*moment),
            Self::Duration(nanos) => Value::Duration(*nanos),
        }
    }
}

/// Constants to be found among.
#[derive(Debug, Default)]
pub(crate) struct Set {
    pub(crate) texts: HashSet<Box<str>>,
    pub(crate) others: Vec<Constant>,
}

/// An expression of CEL, ready to be evaluated. See [`crate::Compiler`].
#[derive(Debug)]
pub struct Program {
    pub(crate) ops: Vec<Op>,
    pub(crate) last: At,
    pub(crate) cost: u32,
    pub(crate) looks_at_payload: bool,
}

impl Program {
    /// Whether it looks into the payload.
    pub fn looks_at_payload(&self) -> bool {
        self.looks_at_payload
    }

    /// How many operations it takes at most, a text's search counting as eight.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    #[inline]
    pub(crate) fn op(&self, at: At) -> Option<&Op> {
        self.ops.get(usize::from(at.0))
    }
}

/// Where something stands in the text.
pub(crate) type Span = Range<usize>;
