mod open;
mod string;

use self::open::Open;
pub(super) use self::string::plain;
use self::string::{chunk, escaped};
use super::{Error, Kind, Token};

// Steps are taken by a copy that is written back: a place whose address nobody knows stays in a register.
/// A place in a JSON text, and the steps from there. After an error there are none.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

#[expect(
    clippy::inline_always,
    reason = "inlined, the place stays in a register, which saves 3 of 10 instructions"
)]
impl<'a> Scanner<'a> {
    /// Before a value.
    #[inline]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// After so many bytes of a text.
    #[inline]
    pub fn at(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// Steps over an opening bracket.
    #[inline]
    pub fn open(&mut self, bracket: u8, otherwise: &'static str) -> Result<(), Error> {
        if self.space() != Some(bracket) {
            return Err(self.error(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    /// Whether another member or element follows, stepping over the comma, or else over the closing bracket.
    #[inline(always)]
    pub fn another(&mut self, close: u8, first: bool, otherwise: &'static str) -> Result<bool, Error> {
        match self.space() {
            Some(b',') if !first => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            _ => Err(self.error(otherwise)),
        }
    }

    /// A member's name and the colon after it.
    #[inline(always)]
    pub fn name(&mut self) -> Result<Token<'a>, Error> {
        if self.peek() != Some(b'"') && self.space() != Some(b'"') {
            return Err(self.error("expected a member name in quotes"));
        }
        let start = self.at;
        self.at = plain(self.bytes(), start + 1);
        // Most often, and then this is the shortest way, nothing stands between a name and its colon.
        if chunk(self.bytes(), self.at) == Some(b"\":") {
            self.at += 1;
            let name = Token { raw: self.since(start), kind: Kind::String { escaped: false } };
            self.at += 1;
            return Ok(name);
        }
        self.at = start;
        let escaped = self.string()?;
        let name = Token { raw: self.since(start), kind: Kind::String { escaped } };
        if self.space() != Some(b':') {
            return Err(self.error("expected `:`"));
        }
        self.at += 1;
        Ok(name)
    }

    /// One whole value, nested at most `max_depth` deep.
    #[inline(always)]
    pub fn value(&mut self, max_depth: u32) -> Result<Token<'a>, Error> {
        let first = self.space();
        let start = self.at;
        let kind = match first {
            Some(b'{' | b'[') => {
                self.at = nested(self.text, self.at, max_depth)?;
                if first == Some(b'{') { Kind::Object } else { Kind::Array }
            }
            _ => self.scalar(first)?,
        };
        Ok(Token { raw: self.since(start), kind })
    }

    /// One whole value as [`Self::value`]; if it is an array, its elements on the way.
    pub(crate) fn elements(
        &mut self,
        max_depth: u32,
        mut each: impl FnMut(Token<'a>),
    ) -> Result<Token<'a>, Error> {
        if self.space() != Some(b'[') {
            return self.value(max_depth);
        }
        let mut here = *self;
        let inner_depth = max_depth.checked_sub(1).ok_or_else(|| here.error("nested too deep"))?;
        here.at += 1;
        let mut first = true;
        while here.another(b']', first, "expected `,` or `]`")? {
            each(here.value(inner_depth)?);
            first = false;
        }
        let start = std::mem::replace(&mut self.at, here.at);
        Ok(Token { raw: self.since(start), kind: Kind::Array })
    }

    /// Checks that only white space is left.
    #[inline]
    pub fn end(&mut self) -> Result<(), Error> {
        match self.space() {
            None => Ok(()),
            Some(_) => Err(self.error("expected nothing more")),
        }
    }

    #[inline(always)]
    fn scalar(&mut self, first: Option<u8>) -> Result<Kind, Error> {
        match first {
            Some(b'"') => self.string().map(|escaped| Kind::String { escaped }),
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| Kind::Number),
            Some(b't') => self.literal(b"true").map(|()| Kind::Boolean),
            Some(b'f') => self.literal(b"false").map(|()| Kind::Boolean),
            Some(b'n') => self.literal(b"null").map(|()| Kind::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// The next byte that is not white space, and what is before it passed over.
    #[inline(always)]
    pub fn ahead(&mut self) -> Option<u8> {
        self.space()
    }

    /// How many bytes are before it.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.at
    }

    /// What is not yet passed over.
    #[inline(always)]
    pub(crate) fn rest(self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Steps over a string, from quote to quote; whether it holds escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Error> {
        self.at += 1;
        self.at = plain(self.bytes(), self.at);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.at = escaped(self.text, self.at)?;
        Ok(true)
    }

    #[inline(always)]
    fn number(&mut self) -> Result<(), Error> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    #[inline(always)]
    fn literal<const N: usize>(&mut self, word: &[u8; N]) -> Result<(), Error> {
        if self.chunk() == Some(word) {
            self.at += N;
            Ok(())
        } else {
            Err(self.error("expected a value"))
        }
    }

    /// Steps over white space; the byte after it.
    #[inline(always)]
    fn space(&mut self) -> Option<u8> {
        let next = self.peek()?;
        if next > b' ' {
            return Some(next);
        }
        self.at = spaces(self.text, self.at);
        self.peek()
    }

    #[inline(always)]
    fn chunk<const N: usize>(self) -> Option<&'a [u8; N]> {
        chunk(self.bytes(), self.at)
    }

    #[inline(always)]
    fn peek(self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn bytes(self) -> &'a [u8] {
        self.text.as_bytes()
    }

    #[inline]
    fn since(self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    #[inline(always)]
    fn error(self, what: &'static str) -> Error {
        error(what, self.at)
    }
}

#[cold]
fn error(what: &'static str, at: usize) -> Error {
    Error { what, at }
}

/// Where the white space ends that begins at `at`.
#[inline(never)]
fn spaces(text: &str, at: usize) -> usize {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count()
}

/// Where the object or array ends that begins at `at`. Without recursion: what a client nests costs it bytes and us bits.
fn nested(text: &str, at: usize, max_depth: u32) -> Result<usize, Error> {
    let mut here = Scanner { text, at };
    let mut open = Open::default();
    let mut levels_left = max_depth;
    let mut in_object = false;
    loop {
        // At a member or an element; at first at the bracket itself.
        if in_object {
            here.name()?;
        }
        match here.space() {
            Some(bracket @ (b'{' | b'[')) => {
                let Some(left) = levels_left.checked_sub(1) else {
                    return Err(here.error("nested too deep"));
                };
                levels_left = left;
                here.at += 1;
                in_object = bracket == b'{';
                open.push(in_object);
                if here.space() != Some(closing(in_object)) {
                    continue;
                }
            }
            first => drop(here.scalar(first)?),
        }
        // After a member or an element, or at the end of what is empty.
        loop {
            match here.peek() {
                Some(b',') => {
                    here.at += 1;
                    break;
                }
                Some(byte) if byte == closing(in_object) => {
                    here.at += 1;
                    levels_left += 1;
                    let Some(outer) = open.pop() else { return Ok(here.at) };
                    in_object = outer;
                }
                Some(b' ' | b'\n' | b'\r' | b'\t') => here.at += 1,
                _ if in_object => return Err(here.error("expected `,` or `}`")),
                _ => return Err(here.error("expected `,` or `]`")),
            }
        }
    }
}

#[inline]
fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}
