//! Expressions in the file: they are compiled once to be judged, and again where they are used.

use serde::Deserialize;
use tidegate_cel::{Compiler, Problem};

use super::findings::Findings;

/// An expression that gives a value, in the part of CEL that Tidegate has.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Expression(String);

impl From<&str> for Expression {
    /// Without checking it.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Expression {
    /// The expression; in a configuration that was accepted it compiles.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Refuses it where it does not compile.
    pub(super) fn check(&self, path: &str, findings: &mut Findings<'_>) {
        if let Err(problem) = Compiler::default().value(&self.0) {
            findings.refuse_within(path, &problem.at, problem.message, problem.help);
        }
    }
}

impl Expression {
    /// The expression without line breaks.
    pub fn one_line(&self) -> String {
        self.0.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Refuses it where it does not compile, or can give no number.
    pub(super) fn check_number(&self, path: &str, findings: &mut Findings<'_>) {
        if let Err(problem) = Compiler::default().number(&self.0) {
            findings.refuse_within(path, &problem.at, problem.message, problem.help);
        }
    }
}

/// A condition of a route or a filter, in the part of CEL that Tidegate has.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Condition(String);

impl Condition {
    /// Checks an expression.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        Compiler::default().condition(text).map(|_| Self(text.to_owned()))
    }

    /// The expression; in a configuration that was accepted it compiles.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The expression without line breaks.
    pub fn one_line(&self) -> String {
        self.0.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Refuses it where it does not compile.
    pub(super) fn check(&self, path: &str, findings: &mut Findings<'_>) {
        if let Err(problem) = Self::parse(&self.0) {
            findings.refuse_within(path, &problem.at, problem.message, problem.help);
        }
    }
}
