//! Expressions in the file: they are compiled once to be judged, and again where they are used.

use serde::{Deserialize, Deserializer, de};
use tidegate_cel::{Compiler, Problem};

/// A condition of a route or a filter, in the part of CEL that Tidegate has.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(String);

impl Condition {
    /// Checks an expression.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        Compiler::default().condition(text).map(|_| Self(text.to_owned()))
    }

    /// The expression, known to compile.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .map_err(|problem| de::Error::custom(format!("{}\n{}", problem.message, problem.help)))
    }
}
