use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json;

/// The payload of an event, as it came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Data<'a> {
    /// There is none.
    #[default]
    None,
    /// One JSON value in UTF-8, checked.
    Json(&'a [u8]),
    /// To be one JSON value, not checked yet: see [`Event::check`](crate::Event::check).
    Unchecked(&'a [u8]),
    /// The `data` of a structured event whose content type is not JSON: the JSON string as sent, quotes and escapes
    /// included, whose text is the data.
    Text(&'a str),
    /// Bytes of a content type that is not JSON.
    Bytes(&'a [u8]),
    /// Base64 of RFC 4648, checked: what `data_base64` held.
    Base64(Cow<'a, str>),
}

impl Data<'_> {
    /// Whether there is none.
    #[inline]
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The data itself, as it travels outside of a structured event.
    pub fn bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::None => None,
            Self::Json(json) | Self::Unchecked(json) => Some(Cow::Borrowed(json)),
            Self::Text(token) => {
                let inner =
                    token.strip_prefix('"').and_then(|token| token.strip_suffix('"')).unwrap_or_default();
                Some(match inner.contains('\\') {
                    true => Cow::Owned(json::unescape(inner).unwrap_or_default().into_bytes()),
                    false => Cow::Borrowed(inner.as_bytes()),
                })
            }
            Self::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Base64(text) => Some(Cow::Owned(STANDARD.decode(&**text).unwrap_or_default())),
        }
    }

    /// Appends the member of a structured event, `,"data":...` or `,"data_base64":"..."`; nothing for no data.
    pub fn write_member(&self, out: &mut Vec<u8>) {
        let (name, value): (&[u8], &[u8]) = match self {
            Self::None => return,
            Self::Json(json) | Self::Unchecked(json) => (b",\"data\":", json),
            Self::Text(token) => (b",\"data\":", token.as_bytes()),
            Self::Bytes(bytes) => return write_base64(&STANDARD.encode(bytes), out),
            Self::Base64(text) => return write_base64(text, out),
        };
        out.extend_from_slice(name);
        out.extend_from_slice(value);
    }
}

fn write_base64(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"data_base64\":\"");
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether `text` is base64 with padding and no bits left over. Nothing is allocated.
pub(super) fn is_base64(text: &str) -> bool {
    const CHUNK_CHARS: usize = 4096;
    let mut decoded = [0; CHUNK_CHARS / 4 * 3];
    let mut chunks = text.as_bytes().chunks(CHUNK_CHARS).peekable();
    while let Some(chunk) = chunks.next() {
        let padded_within = chunks.peek().is_some() && chunk.last() == Some(&b'=');
        if padded_within || STANDARD.decode_slice(chunk, &mut decoded).is_err() {
            return false;
        }
    }
    true
}

pub(super) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn base64_is_strict() {
        for good in ["", "AA==", "AAE=", "AAEC", "+/+/", &"AAEC".repeat(3000)] {
            assert!(is_base64(good), "{good}");
        }
        let padded_within = format!("{}AA=={}", "AAEC".repeat(1023), "AAEC".repeat(3));
        for bad in ["A", "AA", "AA=", "AB==", "A A=", "AA==AAEC", "_-_-", "\u{e9}", &padded_within] {
            assert!(!is_base64(bad), "{bad}");
        }
    }

    #[test]
    fn data_has_bytes_and_a_member() {
        for (data, bytes, member) in [
            (Data::Json(b" 1 "), &b" 1 "[..], r#","data": 1 "#),
            (Data::Text(r#""a\n""#), b"a\n", r#","data":"a\n""#),
            (Data::Text(r#""a""#), b"a", r#","data":"a""#),
            (Data::Bytes(b"\0\x01\x02"), b"\0\x01\x02", r#","data_base64":"AAEC""#),
            (Data::Base64("AAEC".into()), b"\0\x01\x02", r#","data_base64":"AAEC""#),
        ] {
            assert_eq!(data.bytes().unwrap(), bytes);
            let mut out = Vec::new();
            data.write_member(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), member);
        }
        assert_eq!(Data::None.bytes(), None);
    }

    proptest! {
        #[test]
        fn base64_agrees_with_decoding(text in "[A-Za-c0-1+/=]{0,12}") {
            prop_assert_eq!(is_base64(&text), decode_base64(&text).is_some());
        }
    }
}
