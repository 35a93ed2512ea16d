//! Which event goes to which topic.

use serde::Deserialize;

use crate::record::Encoding;

/// One route; the first that takes an event decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What it takes; `None` takes everything.
    pub when: Option<Condition>,
    /// The Kafka topic.
    pub topic: String,
    /// How records are written.
    pub encoding: Encoding,
    /// How far an event's `time` may lie from the gateway's clock and still be the record's timestamp.
    pub tolerance_ms: u64,
}

/// All of its tests must hold (`a && b`).
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// At least one.
    pub all: Vec<Test>,
}

/// One test of one attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `type == "x"`.
    Equals(Attribute, String),
    /// `type.startsWith("x")`.
    StartsWith(Attribute, String),
}

/// What a condition may ask.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Attribute {
    /// The event's `type`.
    Type,
    /// The event's `source`.
    Source,
    /// The event's logical `topic`; an event without one has `""`.
    Topic,
}
