use crate::json::{self, Kind, Token};
use crate::limits::PING_BYTES;
use crate::refusal::Violation;

use super::fields;

/// The longest a JSON number of eight bytes, a double, needs to be.
const NUMBER_CHARS: usize = 24;

/// PING, or the PONG that answers it with the same bytes. Empty by default.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ping {
    data: Opaque,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Opaque {
    #[default]
    Empty,
    /// At most eight.
    Bytes(Vec<u8>),
    /// `d` as sent, a string or a number.
    Json(String),
}

impl Ping {
    /// A PING with these bytes, of which eight count.
    pub fn new(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..PING_BYTES as usize).unwrap_or(bytes);
        Self { data: if bytes.is_empty() { Opaque::Empty } else { Opaque::Bytes(bytes.to_vec()) } }
    }

    pub(crate) fn decode_binary(body: &[u8]) -> Result<Self, Violation> {
        if body.len() > PING_BYTES as usize {
            return Err(Violation::too_large(format!(
                "PING or PONG has {} bytes, at most {PING_BYTES} are allowed",
                body.len()
            )));
        }
        Ok(Self::new(body))
    }

    pub(crate) fn decode_json(text: &str) -> Result<Self, Violation> {
        let mut ping = Self::default();
        for field in fields("PING or PONG", text)? {
            let field = field?;
            if field.name() != "d" || field.is_null() {
                continue;
            }
            let token = field.value();
            let fits = match token.kind {
                Kind::Number => token.raw.len() <= NUMBER_CHARS,
                Kind::String { .. } => {
                    token.string().ok_or_else(|| field.wrong("a string or a number"))?.len()
                        <= PING_BYTES as usize
                }
                _ => return Err(field.wrong("a string or a number")),
            };
            if !fits {
                return Err(Violation::too_large(format!(
                    "PING or PONG: `d` has more than {PING_BYTES} bytes"
                )));
            }
            ping.data = Opaque::Json(token.raw.to_owned());
        }
        Ok(ping)
    }

    /// The bytes in the binary coding: of a JSON string its text, of a JSON number the double it is.
    pub fn bytes(&self) -> Vec<u8> {
        match &self.data {
            Opaque::Empty => Vec::new(),
            Opaque::Bytes(bytes) => bytes.clone(),
            Opaque::Json(raw) => match raw.parse::<f64>() {
                Ok(number) => number.to_be_bytes().to_vec(),
                Err(_) => text(raw).into_bytes(),
            },
        }
    }

    /// The body in the JSON coding. Bytes that are not UTF-8 have no JSON form; each becomes the character of its number.
    pub(crate) fn encode_json(&self) -> String {
        let mut d = Vec::new();
        match &self.data {
            Opaque::Empty => return "{}".into(),
            Opaque::Json(raw) => d.extend_from_slice(raw.as_bytes()),
            Opaque::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => json::write_string(text, &mut d),
                Err(_) => json::write_string(
                    &bytes.iter().map(|byte| char::from(*byte)).collect::<String>(),
                    &mut d,
                ),
            },
        }
        format!(r#"{{"d":{}}}"#, String::from_utf8(d).unwrap_or_default())
    }
}

fn text(raw: &str) -> String {
    let token = Token { raw, kind: Kind::String { escaped: true } };
    token.string().unwrap_or_default().into_owned()
}
