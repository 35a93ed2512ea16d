use super::scan::plain;

/// The text that stands escaped between the quotes of a JSON string. `None` where a surrogate stands alone: such a
/// string has no text. `inner` must have been scanned before; what is no escape at all gives `None` too.
pub fn unescape(inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    append(inner, &mut text)?;
    Some(text)
}

/// As [`unescape`], appended to `text`, where something may be left when it returns `false`.
pub fn unescape_into(inner: &str, text: &mut String) -> bool {
    append(inner, text).is_some()
}

fn append(inner: &str, text: &mut String) -> Option<()> {
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut chars = escape.chars();
        let char = match chars.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (char, after) = unicode(chars.as_str())?;
                chars = after.chars();
                char
            }
            char @ ('"' | '\\' | '/') => char,
            _ => return None,
        };
        text.push(char);
        rest = chars.as_str();
    }
    text.push_str(rest);
    Some(())
}

/// The character after `\u`, which may take a second `\u`, and what follows it.
fn unicode(digits: &str) -> Option<(char, &str)> {
    let (first, rest) = hex4(digits)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, rest));
    }
    let (second, rest) = hex4(rest.strip_prefix("\\u")?)?;
    let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)?, rest))
}

fn hex4(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((before, [byte, after @ ..])) = rest.split_at_checked(plain(rest, 0)) {
        out.extend_from_slice(before);
        write_escaped(*byte, out);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escaped(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_become_text() {
        assert_eq!(
            unescape(r#"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z"#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}z"
        );
    }

    #[test]
    fn a_lone_surrogate_has_no_text() {
        for lone in [r"\ud800", r"\udc00", r"\ud800x", r"\ud800\n", r"\ud800\u0041", r"\ud800\ud800"] {
            assert_eq!(unescape(lone), None, "{lone}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            let token: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(&token, &text);
            let inner = std::str::from_utf8(&out[1..out.len() - 1]).unwrap();
            prop_assert_eq!(unescape(inner).unwrap(), text);
        }
    }
}
