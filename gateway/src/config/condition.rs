//! The language of a route's `when`: `type == "x"`, `type.startsWith("x")`, joined by `&&`. It is a part of CEL,
//! so what is written for it stays valid when more of CEL is understood.

use std::ops::Range;

use serde::{Deserialize, Deserializer, de};

/// The most tests that one condition may join.
const TESTS_MAX: usize = 64;
/// What the language has, for every refusal.
const SUPPORTED: &str =
    "supported are type, source and topic, each with == \"...\" or .startsWith(\"...\"), joined by &&";

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
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attribute {
    /// The event's `type`.
    Type,
    /// The event's `source`.
    Source,
    /// The event's logical `topic`; an event without one has `""`.
    Topic,
}

/// Why an expression is not a condition.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Fault {
    /// Which bytes of the expression.
    pub(super) at: Range<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What would be right.
    pub(super) help: String,
}

impl Condition {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut cursor = Cursor { text, at: 0 };
        let mut all = vec![cursor.test()?];
        while !cursor.rest().is_empty() {
            if !cursor.takes("&&") {
                return Err(cursor.unexpected("`&&` or the end"));
            }
            if all.len() == TESTS_MAX {
                return Err(cursor.fault(0, &format!("more than {TESTS_MAX} tests"), "use several routes"));
            }
            all.push(cursor.test()?);
        }
        Ok(Self { all })
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(|fault| de::Error::custom(format!("{}\n{}", fault.message, fault.help)))
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn test(&mut self) -> Result<Test, Fault> {
        let attribute = self.attribute()?;
        if self.takes("==") {
            return Ok(Test::Equals(attribute, self.string()?));
        }
        if !self.takes(".") {
            return Err(self.unexpected("`==` or `.startsWith(...)`"));
        }
        if self.word() != "startsWith" {
            return Err(self.unexpected("`startsWith`"));
        }
        self.at += "startsWith".len();
        if !self.takes("(") {
            return Err(self.unexpected("`(`"));
        }
        let prefix = self.string()?;
        if !self.takes(")") {
            return Err(self.unexpected("`)`"));
        }
        Ok(Test::StartsWith(attribute, prefix))
    }

    fn attribute(&mut self) -> Result<Attribute, Fault> {
        let word = self.word();
        let attribute = match word {
            "type" => Attribute::Type,
            "source" => Attribute::Source,
            "topic" => Attribute::Topic,
            "" => return Err(self.unexpected("`type`, `source` or `topic`")),
            _ => {
                return Err(self.fault(word.len(), &format!("`{word}` cannot be asked for"), SUPPORTED));
            }
        };
        self.at += word.len();
        Ok(attribute)
    }

    /// A string in double or single quotes, with `\\`, `\"` and `\'` as the only escapes.
    fn string(&mut self) -> Result<String, Fault> {
        let rest = self.rest();
        let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Err(self.unexpected("text in quotes"));
        };
        let mut value = String::new();
        let mut escaped = false;
        for (offset, c) in rest.char_indices().skip(1) {
            if escaped && !matches!(c, '\\' | '"' | '\'') {
                self.at += offset - 1;
                return Err(self.fault(1 + c.len_utf8(), "unknown escape", "escapes are \\\\, \\\" and \\'"));
            }
            match c {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                c if c == quote && !escaped => {
                    self.at += offset + 1;
                    return Ok(value);
                }
                c => value.push(c),
            }
            escaped = false;
        }
        Err(self.fault(rest.len(), "text without its closing quote", &format!("end the text with {quote}")))
    }

    /// What is left, without blanks in front.
    fn rest(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn takes(&mut self, token: &str) -> bool {
        let takes = self.rest().starts_with(token);
        self.at += if takes { token.len() } else { 0 };
        takes
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest.get(..length).unwrap_or_default()
    }

    fn unexpected(&mut self, expected: &str) -> Fault {
        let rest = self.rest();
        let (length, message) = match (self.word(), rest.chars().next()) {
            (_, None) => (0, format!("the expression ends where {expected} is due")),
            ("", Some(_)) => {
                let end =
                    rest.find(|c: char| c.is_alphanumeric() || c.is_whitespace() || "\"'()".contains(c));
                let end = end.filter(|end| *end > 0).or_else(|| rest.chars().next().map(char::len_utf8));
                let sign = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
                (sign.len(), format!("`{sign}` where {expected} is due"))
            }
            (word, Some(_)) => (word.len(), format!("`{word}` where {expected} is due")),
        };
        self.fault(length, &message, SUPPORTED)
    }

    fn fault(&self, length: usize, message: &str, help: &str) -> Fault {
        Fault {
            at: self.at..(self.at + length).min(self.text.len()),
            message: format!("condition: {message}"),
            help: help.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read() {
        let equals = |attribute, text: &str| Test::Equals(attribute, text.into());
        for (text, expected) in [
            ("type == \"a\"", vec![equals(Attribute::Type, "a")]),
            ("type=='it\\'s'", vec![equals(Attribute::Type, "it's")]),
            (
                " source.startsWith( \"/x\" ) && topic == '' ",
                vec![Test::StartsWith(Attribute::Source, "/x".into()), equals(Attribute::Topic, "")],
            ),
        ] {
            assert_eq!(Condition::parse(text), Ok(Condition { all: expected }), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        for (text, at, expected) in [
            ("", 0..0, "ends where `type`"),
            ("type", 4..4, "ends where `==`"),
            ("type != \"a\"", 5..7, "`!=` where"),
            ("subject == \"a\"", 0..7, "`subject` cannot be asked for"),
            ("type == \"a\" || type == \"b\"", 12..14, "`||` where `&&`"),
            ("type.endsWith(\"a\")", 5..13, "`endsWith` where `startsWith`"),
            ("type.startsWith \"a\"", 16..17, "`\"` where `(`"),
            ("type.startsWith(\"a\"", 19..19, "ends where `)`"),
            ("type == a", 8..9, "`a` where text in quotes"),
            ("type == 5", 8..9, "`5` where text in quotes"),
            ("type == \"a", 8..10, "closing quote"),
            ("type == \"a\\n\"", 10..12, "unknown escape"),
            ("(type == \"a\")", 0..1, "`(` where"),
            ("é == \"a\"", 0..2, "`é` where"),
        ] {
            let fault = Condition::parse(text).unwrap_err();
            assert_eq!(fault.at, at, "{text}: {}", fault.message);
            assert!(fault.message.contains(expected), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn the_number_of_tests_is_bounded() {
        let join = |tests: usize| vec!["type == 'a'"; tests].join(" && ");
        assert_eq!(Condition::parse(&join(TESTS_MAX)).unwrap().all.len(), TESTS_MAX);
        assert!(Condition::parse(&join(TESTS_MAX + 1)).unwrap_err().message.contains("more than 64"));
    }
}
