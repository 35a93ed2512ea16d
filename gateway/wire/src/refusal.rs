//! The two ways to say no: to one event, and to a whole connection.

use std::borrow::Cow;

use crate::codes::{CloseCode, Code};

/// The refusal of one event: a value, not an error. It never blocks the events beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reject {
    /// What the client is told by number.
    pub code: Code,
    /// A sentence for people: what was wrong, and what would be right.
    pub message: Cow<'static, str>,
}

impl Reject {
    /// Refuses an event for what it is.
    pub fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Code::Malformed, message: message.into() }
    }

    /// Refuses an event for its size.
    pub fn too_large(message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Code::TooLarge, message: message.into() }
    }
}

/// What ends a connection: the client broke the protocol or a limit of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Violation {
    /// What CLOSE says: `bad_frame`, `too_large` or `version`.
    pub code: CloseCode,
    /// A sentence for people: what was wrong, and what would be right.
    pub message: String,
}

impl Violation {
    /// The frame is not one of the protocol.
    pub fn bad_frame(message: impl Into<String>) -> Self {
        Self { code: CloseCode::BadFrame, message: message.into() }
    }

    /// The frame is beyond a limit.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { code: CloseCode::TooLarge, message: message.into() }
    }

    /// The client speaks another version.
    pub fn version(message: impl Into<String>) -> Self {
        Self { code: CloseCode::Version, message: message.into() }
    }
}

/// Text of a client as it may stand in a message: its first 40 characters, controls escaped.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("`");
    quoted.extend(text.chars().take(40).flat_map(char::escape_debug));
    quoted.push_str(if text.chars().nth(40).is_some() { "...`" } else { "`" });
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_quoted_short_and_harmless() {
        assert_eq!(quoted("temp"), "`temp`");
        assert_eq!(quoted("a\n\u{7}"), r"`a\n\u{7}`");
        assert_eq!(quoted(&"\u{e9}".repeat(40)), format!("`{}`", "\u{e9}".repeat(40)));
        assert_eq!(quoted(&"x".repeat(41)), format!("`{}...`", "x".repeat(40)));
    }
}
