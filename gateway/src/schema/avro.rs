//! Avro: JSON as clients write it, into Avro's binary encoding by the writer's schema (Avro 1.12). docs/rules.md says what
//! becomes what.

mod encode;
mod logical;
mod parse;

use serde_json::Value;

use self::logical::Tick;
use super::{Mismatch, Reference};

/// A writer's schema, compiled: nodes that name each other by their position, since schemas may be recursive.
#[derive(Debug)]
pub(super) struct AvroSchema {
    nodes: Vec<Node>,
    root: usize,
}

#[derive(Debug)]
enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    Record {
        name: String,
        fields: Vec<Field>,
    },
    Enum(Vec<String>),
    Fixed(usize),
    /// Digits in all and after the point; bytes of a fixed one.
    Decimal {
        precision: usize,
        scale: usize,
        size: Option<usize>,
    },
    /// A text, or 16 bytes with or without their number before them.
    Uuid(UuidForm),
    Date,
    /// A moment, or the time of a day, counted in ticks.
    Moment(Tick),
    LocalMoment(Tick),
    TimeOfDay(Tick),
}

#[derive(Clone, Copy, Debug)]
enum UuidForm {
    Text,
    Bytes,
    Fixed,
}

#[derive(Debug)]
struct Field {
    name: String,
    node: usize,
    default: Option<Value>,
}

impl AvroSchema {
    pub(super) fn parse(text: &str, references: &[Reference]) -> Result<Self, String> {
        parse::parse(text, references)
    }

    pub(super) fn encode(&self, data: &Value, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Mismatch> {
        encode::encode(&self.nodes, self.root, data, bytes_max, out)
    }
}

#[cfg(test)]
mod tests;
