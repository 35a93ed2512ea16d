//! Where strings end.

use super::{Error, Scanner};

/// Where the string ends that is not plain at `at`.
#[inline(never)]
pub(super) fn escaped(text: &str, at: usize) -> Result<usize, Error> {
    let mut here = Scanner { text, at };
    loop {
        match here.peek() {
            Some(b'"') => return Ok(here.at + 1),
            Some(b'\\') => here.at = escape(here)?,
            Some(_) => return Err(here.error("a control character in a string must be escaped")),
            None => return Err(here.error("the string does not end")),
        }
        here.at = plain(here.bytes(), here.at);
    }
}

fn escape(mut here: Scanner<'_>) -> Result<usize, Error> {
    here.at += 1;
    match here.peek() {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(here.at + 1),
        Some(b'u') => {
            let digits = here.bytes().get(here.at + 1..).and_then(<[u8]>::first_chunk::<4>);
            if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                return Err(here.error("expected four hexadecimal digits"));
            }
            Ok(here.at + 5)
        }
        _ => Err(here.error("no such escape")),
    }
}

/// Where what a string can simply go on over ends, from `at` on.
#[expect(clippy::inline_always, reason = "the place stays in a register")]
#[inline(always)]
pub(in crate::json) fn plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = chunk(bytes, at) {
        let special = specials(u64::from_le_bytes(*word));
        at += (special.trailing_zeros() / 8) as usize;
        if special != 0 {
            return at;
        }
        // The compiler makes vectors of this, but takes long to find a place in one: so words come first and last.
        while chunk::<16>(bytes, at)
            .is_some_and(|chunk| !chunk.iter().fold(false, |any, byte| any | is_special(*byte)))
        {
            at += 16;
        }
    }
    while bytes.get(at).is_some_and(|byte| !is_special(*byte)) {
        at += 1;
    }
    at
}

#[expect(clippy::inline_always, reason = "the place stays in a register")]
#[inline(always)]
pub(super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// Whether a string cannot simply go on over `byte`: quote, backslash, controls.
#[inline]
fn is_special(byte: u8) -> bool {
    // The quote changes places with the space, and all controls are below it.
    byte ^ (b'"' ^ b' ') <= b' ' || byte == b'\\'
}

/// Marks the bytes of `word` that are special. The lowest mark is exact; above it a borrow may mark more.
#[inline]
fn specials(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let each = |byte: u8| ONES * u64::from(byte);
    // Where the subtraction borrows, the byte was less. Bytes beyond ASCII are not special.
    let quote_or_control = (word ^ each(b'"' ^ b' ')).wrapping_sub(each(b' ' + 1));
    let backslash = (word ^ each(b'\\')).wrapping_sub(ONES);
    (quote_or_control | backslash) & !word & HIGH
}
