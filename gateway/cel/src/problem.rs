use std::ops::Range;

/// Why an expression is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct Problem {
    /// Which bytes of the expression.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl Problem {
    pub(crate) fn new(at: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: help.into() }
    }
}
