//! JSON (RFC 8259) without building anything: a value is checked in one pass, and members and elements are found where they stand.
//!
//! Names that occur twice are not looked for here. `\u` escapes that pair up wrongly are grammar all the same; they
//! show when text is asked for.

mod scan;
mod text;

use std::borrow::Cow;

pub use scan::Scanner;
pub use text::{unescape, unescape_into, write_string};

/// Why something is not JSON, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Error {
    /// What was wrong, in a few words.
    pub what: &'static str,
    /// Bytes before the offence.
    pub at: usize,
}

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`; whether it holds escapes
    String {
        /// The text differs from what stands between the quotes.
        escaped: bool,
    },
    /// A number
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

/// One value as it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Token<'a> {
    /// Its text, nothing around it.
    pub raw: &'a str,
    /// What it is.
    pub kind: Kind,
}

impl<'a> Token<'a> {
    /// What stands between the quotes of a string, escapes and all; empty for any other value.
    pub fn inner(&self) -> &'a str {
        self.raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or_default()
    }

    /// The text of a string without escapes; `None` for any other value.
    #[inline]
    pub(crate) fn plain(&self) -> Option<&'a str> {
        if self.kind == (Kind::String { escaped: false }) { Some(self.inner()) } else { None }
    }

    /// The text of a string; `None` for any other value and where a surrogate stands alone.
    #[inline]
    pub fn string(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::String { escaped: false } => Some(Cow::Borrowed(self.inner())),
            Kind::String { escaped: true } => unescape(self.inner()).map(Cow::Owned),
            _ => None,
        }
    }

    /// The value of a number that is written as a non-negative integer and fits.
    pub fn integer(&self) -> Option<u64> {
        if self.kind == Kind::Number { self.raw.parse().ok() } else { None }
    }
}

/// One member of an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Member<'a> {
    /// The name as sent, with its quotes.
    pub name: Token<'a>,
    /// The value.
    pub value: Token<'a>,
}

/// Checks that `bytes` is one JSON value in UTF-8, nested at most `max_depth` deep, and says of what kind.
pub fn check(bytes: &[u8], max_depth: u32) -> Result<Kind, Error> {
    check_text(utf8(bytes)?, max_depth)
}

/// As [`check`], of text.
pub fn check_text(text: &str, max_depth: u32) -> Result<Kind, Error> {
    let mut scanner = Scanner::new(text);
    let kind = scanner.value(max_depth)?.kind;
    scanner.end()?;
    Ok(kind)
}

/// The members of the object that `text` is, in their order, nothing beside it. Values are nested at most `max_depth` deep.
pub fn members(text: &str, max_depth: u32) -> Result<Members<'_>, Error> {
    let mut scanner = Scanner::new(text);
    scanner.open(b'{', "expected an object")?;
    Ok(Members { scanner, max_depth, state: State::First })
}

/// The elements of the array that `text` is, in their order, nothing beside it. Values are nested at most `max_depth` deep.
pub fn elements(text: &str, max_depth: u32) -> Result<Elements<'_>, Error> {
    let mut scanner = Scanner::new(text);
    scanner.open(b'[', "expected an array")?;
    Ok(Elements { scanner, max_depth, state: State::First })
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| Error { what: "not UTF-8", at: error.valid_up_to() })
}

/// See [`Members::at_the_end`].
fn before_the_end(rest: &str) -> Option<&str> {
    const WHITE: [char; 4] = [' ', '\n', '\r', '\t'];
    let value = rest.trim_end_matches(WHITE).strip_suffix('}')?.trim_matches(WHITE);
    (value.starts_with(['{', '[']) && value.ends_with(['}', ']'])).then_some(value)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    First,
    Next,
    Over,
}

/// See [`members`]. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    scanner: Scanner<'a>,
    max_depth: u32,
    state: State,
}

#[expect(
    clippy::inline_always,
    reason = "inlined, a member stays in registers, which saves 20 instructions each"
)]
impl<'a> Members<'a> {
    /// The next member's name. Take its value before the next one.
    #[inline(always)]
    pub(crate) fn name(&mut self) -> Result<Option<Token<'a>>, Error> {
        let mut scanner = self.scanner;
        let first = std::mem::replace(&mut self.state, State::Over) == State::First;
        if !scanner.another(b'}', first, "expected `,` or `}`")? {
            scanner.end()?;
            return Ok(None);
        }
        let name = scanner.name()?;
        (self.scanner, self.state) = (scanner, State::Next);
        Ok(Some(name))
    }

    /// The value after a name.
    #[inline(always)]
    pub(crate) fn value(&mut self) -> Result<Token<'a>, Error> {
        self.scanner.value(self.max_depth)
    }

    /// The value after a name, unchecked, taking it to be the object's last: where it is an object or an array, and so is
    /// what stands last. It is what it is taken for exactly if it is one JSON value.
    #[inline(always)]
    pub(crate) fn at_the_end(&self) -> Option<&'a str> {
        before_the_end(self.scanner.rest())
    }

    /// The value after a name; if it is an array, its elements on the way, some of them also where it is not whole.
    pub(crate) fn elements(&mut self, each: impl FnMut(Token<'a>)) -> Result<Token<'a>, Error> {
        self.scanner.elements(self.max_depth, each)
    }

    #[inline(always)]
    fn step(&mut self) -> Result<Option<Member<'a>>, Error> {
        let Some(name) = self.name()? else { return Ok(None) };
        let value = self.value().inspect_err(|_| self.state = State::Over)?;
        Ok(Some(Member { name, value }))
    }
}

#[expect(clippy::inline_always, reason = "as above")]
impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over { None } else { self.step().transpose() }
    }
}

/// See [`elements`]. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    scanner: Scanner<'a>,
    max_depth: u32,
    state: State,
}

impl<'a> Elements<'a> {
    #[inline]
    fn step(&mut self) -> Result<Option<Token<'a>>, Error> {
        let mut scanner = self.scanner;
        if !scanner.another(b']', self.state == State::First, "expected `,` or `]`")? {
            scanner.end()?;
            return Ok(None);
        }
        let value = scanner.value(self.max_depth)?;
        self.scanner = scanner;
        Ok(Some(value))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Token<'a>, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Over {
            return None;
        }
        let step = self.step();
        self.state = if matches!(step, Ok(Some(_))) { State::Next } else { State::Over };
        step.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn agrees(text: &[u8]) {
        let ours = check(text, 64).is_ok();
        let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok();
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(text));
    }

    #[test]
    fn one_value_and_nothing_else() {
        for text in [
            "null",
            "true",
            "false",
            "0",
            "-0",
            "-1.5e+10",
            "1E5",
            "10",
            "\"\"",
            "\"a\\u00e9\\n\\/\"",
            "[]",
            "{}",
            " [ 1 , 2 ] ",
            "\t\r\n{ \"a\" : [ { } ] }\n",
            "{\"a\":1,\"a\":2}",
            "\"0123456789abcdef0123456789\"",
            "\"\u{7f}\u{e9}\u{1f600}\"",
            "[[],[[]],{\"a\":{\"b\":[]}}]",
        ] {
            assert!(check(text.as_bytes(), 64).is_ok(), "{text}");
            agrees(text.as_bytes());
        }
    }

    #[test]
    fn all_else_is_not() {
        for text in [
            "",
            " ",
            "nul",
            "nulll",
            "True",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "NaN",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u12\"",
            "\"\n\"",
            "\"0123456\u{1}\"",
            "[",
            "]",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "{1:1}",
            "{\"a\":1]",
            "[1}",
            "1 1",
            "{}{}",
            "\u{feff}1",
        ] {
            assert!(check(text.as_bytes(), 64).is_err(), "{text}");
            agrees(text.as_bytes());
        }
        assert_eq!(check(b"\"\xff\"", 64).unwrap_err(), Error { what: "not UTF-8", at: 1 });
    }

    #[test]
    fn depth_is_counted_and_may_be_large() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(check(&nested(64), 64).is_ok());
        assert_eq!(check(&nested(65), 64).unwrap_err().what, "nested too deep");
        assert!(check(&nested(100_000), u32::MAX).is_ok());
        assert!(check(&nested(100_000)[..199_999], u32::MAX).is_err());
        let mixed = [b"[{\"a\":".repeat(200), b"1".to_vec(), b"}]".repeat(200)].concat();
        assert!(check(&mixed, u32::MAX).is_ok());
        let crossed = [b"[{\"a\":".repeat(200), b"1".to_vec(), b"}]".repeat(100), b"]}".repeat(100)].concat();
        assert!(check(&crossed, u32::MAX).is_err());
    }

    #[test]
    fn members_stand_where_they_were_sent() {
        let text = r#" { "a" : [1, 2] , "b":"x\ty","c":-1.0 } "#;
        let found: Vec<_> = members(text, 64)
            .unwrap()
            .map(|member| member.map(|m| (m.name.inner(), m.value.raw)))
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(found, [("a", "[1, 2]"), ("b", r#""x\ty""#), ("c", "-1.0")]);
        assert!(members("[]", 64).is_err());
        assert_eq!(members("{}", 64).unwrap().count(), 0);
        let after = members(r#"{"a":1} x"#, 64).unwrap().last().unwrap().unwrap_err();
        assert_eq!(after.what, "expected nothing more");
    }

    #[test]
    fn elements_stand_where_they_were_sent() {
        let found: Vec<_> = elements(r#"[ {"a":[]} ,"x", 3]"#, 64)
            .unwrap()
            .map(|element| element.map(|token| token.raw))
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(found, [r#"{"a":[]}"#, "\"x\"", "3"]);
        assert!(elements("[1,]", 64).unwrap().last().unwrap().is_err());
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_anything(text in r#"[\[\]{}:,"\\u0-9a-fe+\-.truefalsn \n]{0,24}"#) {
            agrees(text.as_bytes());
        }

        #[test]
        fn brackets_close_in_turn_however_many(objects in prop::collection::vec(any::<bool>(), 1..200), wrong in any::<prop::sample::Index>()) {
            let opening: String = objects.iter().map(|object| if *object { "{\"a\":" } else { "[" }).collect();
            let mut closing: Vec<u8> = objects.iter().rev().map(|object| if *object { b'}' } else { b']' }).collect();
            let text = |closing: &[u8]| [opening.as_bytes(), b"1", closing].concat();
            prop_assert!(check(&text(&closing), 200).is_ok());
            let depth = u32::try_from(objects.len()).unwrap();
            prop_assert_eq!(check(&text(&closing), depth - 1).unwrap_err().what, "nested too deep");
            let wrong = wrong.index(closing.len());
            closing[wrong] ^= b'}' ^ b']';
            prop_assert!(check(&text(&closing), 200).is_err());
        }

        #[test]
        fn agrees_with_serde_json_on_damaged_json(at in 0usize..120, byte in any::<u8>()) {
            let mut text = br#"{"id":"a-1","type":"x.y","data":{"t":21.5e-3,"ok":[true,false,null],"s":"\u00e9\\\"\ud83d\ude00 text longer than a word"}}"#.to_vec();
            text[at] = byte;
            agrees(&text);
        }
    }
}
