//! Changes of a payload that leave every other byte as it was sent: values are redacted, members renamed, set and dropped.
//!
//! ```text
//! text -> Path -> Tree (all paths of a route) -> Redactor
//! payload -> Redactor::run (one pass, which checks it as well) -> spliced into a buffer
//! ```
//!
//! Nothing is built of the payload, and with buffers that have grown to their size nothing is allocated.

mod field;
mod path;
mod redact;
mod rewrite;
mod splice;
mod tree;
mod walk;
mod write;

pub use field::{Edited, Field};
pub use path::Path;
pub use redact::{Action, Digest, Done, Pattern, Redaction, Redactor};

use crate::scan::Malformed;

/// Why a payload cannot be edited.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EditError {
    /// It is not JSON, or names twice what is looked for.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It would be longer than it may be.
    #[error("the edited payload is too long")]
    TooLong,
}

impl From<tidegate_wire::json::Error> for EditError {
    fn from(error: tidegate_wire::json::Error) -> Self {
        Self::Malformed(error.into())
    }
}

/// What edits need for a payload; to be used again for the next one.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Nodes of the tree that lead on from where the pass is.
    active: Vec<u16>,
    /// Names that the objects around have had.
    seen: Vec<u16>,
    name: String,
    texts: rewrite::Texts,
}

#[cfg(test)]
mod tests;
