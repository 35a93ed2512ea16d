//! Schemas of payloads: JSON Schema and Avro, from files or from a schema registry that speaks Confluent's REST API.
//!
//! What judges events is pure; [`registry`] is the client that fetches, and who calls it decides when.

#[cfg(not(feature = "schemas"))]
mod absent;
#[cfg(feature = "schemas")]
mod avro;
mod http;
#[cfg(feature = "schemas")]
mod json;
mod mismatch;
pub mod registry;
mod subject;
mod value;

use serde::Deserialize;
use serde_json::Value;

#[cfg(not(feature = "schemas"))]
use self::absent::{AvroSchema, JsonSchema};
#[cfg(feature = "schemas")]
use self::{avro::AvroSchema, json::JsonSchema};

pub use self::mismatch::Mismatch;
pub use self::subject::{Known, Subject, SubjectState, Subjects, Unreachable, Wanted};
pub use self::value::read as read_value;

/// The largest schema, in bytes, be it in a file or in a registry; with everything that it refers to.
pub const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// Whether this gateway was built with schemas.
pub const IS_BUILT_IN: bool = cfg!(feature = "schemas");

/// A language of schemas.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JSON Schema: data is checked and stays as it is.
    Json,
    /// Avro: data is checked and written in Avro's binary encoding.
    Avro,
}

/// A schema that others refer to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reference {
    /// What the others call it.
    pub name: String,
    /// The schema.
    pub text: String,
}

/// A schema, ready to judge data.
#[derive(Debug)]
pub struct Schema(Kind);

#[derive(Debug)]
enum Kind {
    Json(JsonSchema),
    Avro(AvroSchema),
}

impl Schema {
    /// Reads a schema and those that it refers to; nothing is fetched from anywhere. The error says what is wrong, and where in
    /// the schema.
    pub fn parse(format: Format, text: &str, references: &[Reference]) -> Result<Self, String> {
        let size = text.len() + references.iter().map(|reference| reference.text.len()).sum::<usize>();
        if size > SCHEMA_BYTES_MAX {
            return Err(format!("it has {size} bytes, and {SCHEMA_BYTES_MAX} are the most"));
        }
        Ok(Self(match format {
            Format::Json => Kind::Json(JsonSchema::parse(text, references)?),
            Format::Avro => Kind::Avro(AvroSchema::parse(text, references)?),
        }))
    }

    /// Whether `data` fits. An Avro schema writes its encoding to the end of `out`, which is as it was if data does not fit; a
    /// JSON Schema writes nothing. `bytes_max` is how long the encoding may be, defaults included.
    pub fn judge(&self, data: &Value, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Mismatch> {
        match &self.0 {
            Kind::Json(schema) => schema.check(data),
            Kind::Avro(schema) => schema.encode(data, bytes_max, out),
        }
    }
}
