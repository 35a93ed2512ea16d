//! In place of the languages where the gateway is built without them.

use serde_json::Value;

use super::{Mismatch, Reference};

/// There are none.
#[derive(Debug)]
pub(super) enum JsonSchema {}

/// There are none.
#[derive(Debug)]
pub(super) enum AvroSchema {}

const ABSENT: &str = "this gateway was built without the feature `schemas`";

impl JsonSchema {
    pub(super) fn parse(_: &str, _: &[Reference]) -> Result<Self, String> {
        Err(ABSENT.into())
    }

    pub(super) fn check(&self, _: &Value) -> Result<(), Mismatch> {
        match *self {}
    }
}

impl AvroSchema {
    pub(super) fn parse(_: &str, _: &[Reference]) -> Result<Self, String> {
        Err(ABSENT.into())
    }

    pub(super) fn encode(&self, _: &Value, _: usize, _: &mut Vec<u8>) -> Result<(), Mismatch> {
        match *self {}
    }
}
