//! The frames whose body is a JSON object.

mod field;
mod hello;
mod ping;
mod report;
mod welcome;

use serde::{Deserialize, Serialize};

use crate::codes::CloseCode;
use crate::limits::{ALIASES, NUMBER_MAX};
use crate::refusal::Violation;

pub(crate) use field::fields;
pub use hello::{Hello, is_client_name};
pub use ping::Ping;
pub use report::{Dropped, Report};
pub use welcome::Welcome;

/// Attributes under an alias, for the rest of this connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Define {
    /// 1 to 255.
    pub alias: u8,
    /// A JSON object as sent; [`crate::Aliases::define`] judges what is in it.
    pub attributes: String,
}

impl Define {
    pub(crate) fn decode(text: &str) -> Result<Self, Violation> {
        let (mut alias, mut attributes) = (None, None);
        for field in fields("DEFINE", text)? {
            let field = field?;
            match field.name() {
                "alias" => alias = field.integer(1, u64::from(ALIASES))?,
                "attributes" => attributes = field.object()?,
                _ => {}
            }
        }
        let missing = |member: &str| Violation::bad_frame(format!("DEFINE: `{member}` is missing"));
        Ok(Self {
            alias: alias.and_then(|alias| u8::try_from(alias).ok()).ok_or_else(|| missing("alias"))?,
            attributes: attributes.ok_or_else(|| missing("attributes"))?.to_owned(),
        })
    }

    pub(crate) fn encode(&self) -> String {
        format!(r#"{{"alias":{},"attributes":{}}}"#, self.alias, self.attributes)
    }
}

/// A fresh token.
#[derive(Clone, Eq, PartialEq, Serialize)]
pub struct Reauth {
    /// The token; it is a secret and never shown.
    pub token: String,
}

impl std::fmt::Debug for Reauth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reauth").finish_non_exhaustive()
    }
}

impl Reauth {
    pub(crate) fn decode(text: &str) -> Result<Self, Violation> {
        let mut token = None;
        for field in fields("REAUTH", text)? {
            let field = field?;
            if field.name() == "token" {
                token = field.string()?;
            }
        }
        token.map(|token| Self { token }).ok_or_else(|| Violation::bad_frame("REAUTH: `token` is missing"))
    }
}

/// The end of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Close {
    /// Why.
    pub code: CloseCode,
    /// A sentence for people.
    pub msg: Option<String>,
    /// When to come back, for `overload`.
    pub retry_ms: Option<u64>,
}

impl Close {
    /// A CLOSE with nothing but its code.
    pub fn new(code: CloseCode) -> Self {
        Self { code, msg: None, retry_ms: None }
    }

    pub(crate) fn decode(text: &str) -> Result<Self, Violation> {
        let (mut code, mut msg, mut retry_ms) = (None, None, None);
        for field in fields("CLOSE", text)? {
            let field = field?;
            match field.name() {
                "code" => code = field.integer(0, NUMBER_MAX)?,
                // The number says it; the name is for people.
                "reason" => drop(field.string()?),
                "msg" => msg = field.string()?,
                "retry_ms" => retry_ms = field.integer(0, NUMBER_MAX)?,
                _ => {}
            }
        }
        let number = code.ok_or_else(|| Violation::bad_frame("CLOSE: `code` is missing"))?;
        let code = u16::try_from(number).ok().and_then(CloseCode::from_number);
        let code = code.ok_or_else(|| Violation::bad_frame("CLOSE: `code` is a number from 4000 to 4013"))?;
        Ok(Self { code, msg, retry_ms })
    }

    pub(crate) fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            code: u16,
            reason: CloseCode,
            #[serde(skip_serializing_if = "Option::is_none")]
            msg: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_ms: Option<u64>,
        }
        encode(&Body {
            code: self.code.number(),
            reason: self.code,
            msg: self.msg.as_deref(),
            retry_ms: self.retry_ms,
        })
    }
}

impl From<Violation> for Close {
    fn from(violation: Violation) -> Self {
        Self { code: violation.code, msg: Some(violation.message), retry_ms: None }
    }
}

/// The gateway is about to leave: stop sending, wait for acknowledgements, come back.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Goaway {
    /// Come back after this long,
    pub after_ms: u64,
    /// plus a random part of this.
    pub jitter_ms: u64,
    /// Where to, if not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The JSON of a body that cannot fail to serialize: plain structs of numbers, strings and lists.
pub(crate) fn encode(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_default()
}

/// Decodes what a gateway sends, for clients.
pub(crate) fn decode<'a, T: Deserialize<'a>>(frame: &str, text: &'a str) -> Result<T, Violation> {
    serde_json::from_str(text).map_err(|error| Violation::bad_frame(format!("{frame}: {error}")))
}
