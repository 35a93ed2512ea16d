use std::borrow::Cow;

/// An HTTP request that is one event: CloudEvents binary mode, or a webhook.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HttpEvent<'a> {
    /// Names and values of the attributes, decoded; `None` for a value that is not UTF-8. Names are not judged yet.
    pub(crate) attributes: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    /// The data.
    pub body: &'a [u8],
}

impl<'a> HttpEvent<'a> {
    /// The event whose attributes are `ce-` headers; `None` when there is no `ce-type`.
    pub(super) fn from_headers(
        content_type: Option<&'a str>,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Option<Self> {
        let mut attributes = Vec::new();
        let mut has_type = false;
        for (header, value) in headers {
            let Some((prefix, name)) = header.split_at_checked(3) else {
                continue;
            };
            if prefix.eq_ignore_ascii_case("ce-") {
                has_type |= name.eq_ignore_ascii_case("type");
                attributes.push((lower_case(name), decode(value)));
            }
        }
        has_type.then(|| Self { attributes, body: &[] }.with_content_type(content_type))
    }

    /// The event whose type stands in the query.
    pub(super) fn from_query(content_type: Option<&'a str>, query_type: &'a str) -> Self {
        let attributes = vec![("type".into(), Some(query_type.into()))];
        Self { attributes, body: &[] }.with_content_type(content_type)
    }

    fn with_content_type(mut self, content_type: Option<&'a str>) -> Self {
        if let Some(content_type) = content_type {
            self.attributes.push(("datacontenttype".into(), Some(content_type.into())));
        }
        self
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        name.to_ascii_lowercase().into()
    } else {
        name.into()
    }
}

/// Takes quotes and then percent-encoding off a header's value, as the CloudEvents HTTP binding has it. A `%` that
/// begins no encoding stands for itself.
fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    let unquoted = unquote(value.trim_ascii());
    if !unquoted.contains(&b'%') {
        return match unquoted {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
    }
    let mut decoded = Vec::with_capacity(unquoted.len());
    let mut rest = &*unquoted;
    while let Some((&byte, after)) = rest.split_first() {
        let encoded = if byte == b'%' { after.split_first_chunk::<2>() } else { None };
        match encoded.and_then(|(digits, after)| Some((hex(*digits)?, after))) {
            Some((byte, after)) => {
                decoded.push(byte);
                rest = after;
            }
            None => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// The contents of a quoted string of RFC 9110, or the value itself.
fn unquote(value: &[u8]) -> Cow<'_, [u8]> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
        return value.into();
    };
    if !inner.contains(&b'\\') {
        return inner.into();
    }
    let mut unquoted = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'\\' { bytes.next().copied().unwrap_or(byte) } else { byte };
        unquoted.push(byte);
    }
    unquoted.into()
}

fn hex([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_lose_quotes_and_percent_encoding() {
        for (value, decoded) in [
            (&b"plain"[..], Some("plain")),
            (b"a%20b%C3%A9", Some("a b\u{e9}")),
            (b"\"a \\\"b\\\" %22\"", Some("a \"b\" \"")),
            (b"100%", Some("100%")),
            (b"%zz%4", Some("%zz%4")),
            (b"%2b%2B", Some("++")),
            (b"%ff", None),
            (b"\xff", None),
            ("\u{e9}".as_bytes(), Some("\u{e9}")),
        ] {
            assert_eq!(decode(value).as_deref(), decoded, "{}", value.escape_ascii());
        }
    }
}
