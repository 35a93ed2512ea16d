//! What an event gives to an aggregate instead of becoming a record of its own.

use std::fmt;
use std::sync::Arc;

use super::{Encoding, TopicId};

/// What a group of events holds in memory beside its key and its numbers.
const GROUP_BYTES: u64 = 384;
/// What a group holds for each of its rule's values.
pub const GROUP_VALUE_BYTES: usize = 144;

/// What a group holds in memory beside its events. Its key is in its name too.
pub fn group_bytes(key_bytes: usize, values: usize) -> u64 {
    GROUP_BYTES + (2 * key_bytes + values * GROUP_VALUE_BYTES) as u64
}

/// A rule that makes one record of many events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Aggregation {
    /// The name of its route.
    pub route: String,
    /// The `type` of its records.
    pub kind: String,
    /// How its records are written.
    pub encoding: Encoding,
    /// How long its windows are, from midnight, 1 January 1970, UTC on.
    pub window_ms: u64,
    /// How many groups a window has at most.
    pub groups_max: usize,
    /// What its numbers are called.
    pub values: Vec<String>,
}

/// A number of an event. A double is never infinite, nor NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// Written as an integer.
    Int(i128),
    /// Any other.
    Double(f64),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value:?}"),
        }
    }
}

/// What one event gives to an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// The event's position in its frame, from 0; what [`crate::ticket::Ticket`] settles it by.
    pub index: u32,
    /// Of which rule.
    pub to: &'a Arc<Aggregation>,
    /// Where the aggregate goes.
    pub topic: TopicId,
    /// Which group; `None` is the group of those without a key.
    pub key: Option<&'a str>,
    /// A number for each of [`Aggregation::values`]; `None` where the event has none.
    pub numbers: &'a [Option<Number>],
}
