//! Holds the crate to the files in `vectors/`, which are the protocol by example for the authors of clients.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail")]

mod bodies;
mod events;
mod frames;
mod fuzzing;
mod neutral;
mod schema;
mod violations;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Every entry of one of the files.
fn entries<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = format!("{}/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let entries: Vec<T> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(!entries.is_empty());
    entries
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "an odd number of digits: {text}");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}

/// What stands for `<fill>`, where an entry would be too long to read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fill {
    with: String,
    times: usize,
}

impl Fill {
    fn apply(fill: Option<&Self>, text: &str) -> String {
        fill.map_or_else(|| text.to_owned(), |fill| text.replace("<fill>", &fill.with.repeat(fill.times)))
    }
}
