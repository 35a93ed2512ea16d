use serde::Serialize;

use super::fields;
use crate::limits::{CLIENT_CHARS, NUMBER_MAX};
use crate::refusal::Violation;

/// The first frame of a client. `v` is 1 and not kept.
#[derive(Clone, Default, Eq, PartialEq, Serialize)]
pub struct Hello {
    /// A secret, never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// 1-128 of `[A-Za-z0-9._:-]`. Without it the session is anonymous, and `epoch` and `next` mean nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Names the numbering to resume; without it the gateway starts a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// The lowest number the client has not seen acknowledged, from 1; left out: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// When it was sent, Unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<u64>,
    /// What sent it, for the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<String>,
    /// Whether to list informative codes too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub verbose: bool,
}

impl std::fmt::Debug for Hello {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello")
            .field("client", &self.client)
            .field("epoch", &self.epoch)
            .field("next", &self.next)
            .field("sdk", &self.sdk)
            .field("verbose", &self.verbose)
            .finish_non_exhaustive()
    }
}

impl Hello {
    pub(crate) fn decode(text: &str) -> Result<Self, Violation> {
        // Another version may mean other things by the same members, so it is judged before them.
        version(text)?;
        let mut hello = Self::default();
        for field in fields("HELLO", text)? {
            let field = field?;
            match field.name() {
                "token" => hello.token = field.string()?,
                "client" => {
                    hello.client = field.string()?;
                    if hello.client.as_deref().is_some_and(|name| !is_client_name(name)) {
                        return Err(field.wrong("1 to 128 characters of A-Z a-z 0-9 . _ : -"));
                    }
                }
                "epoch" => hello.epoch = field.integer(0, NUMBER_MAX)?,
                "next" => hello.next = field.integer(1, NUMBER_MAX)?,
                "sent_at" => hello.sent_at = field.integer(0, NUMBER_MAX)?,
                "sdk" => hello.sdk = field.string()?,
                "verbose" => hello.verbose = field.boolean()?.unwrap_or(false),
                _ => {}
            }
        }
        Ok(hello)
    }

    pub(crate) fn encode(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            v: u8,
            #[serde(flatten)]
            hello: &'a Hello,
        }
        super::encode(&Body { v: 1, hello: self })
    }
}

/// Whether a client may be called so: 1-128 of `[A-Za-z0-9._:-]`.
pub fn is_client_name(name: &str) -> bool {
    (1..=CLIENT_CHARS).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-'))
}

fn version(text: &str) -> Result<(), Violation> {
    let mut version = None;
    for field in fields("HELLO", text)? {
        let field = field?;
        if field.name() == "v" {
            version = field.integer(0, NUMBER_MAX)?;
        }
    }
    match version {
        Some(1) => Ok(()),
        Some(other) => {
            Err(Violation::version(format!("HELLO: `v` is {other}, only version 1 is spoken here")))
        }
        None => Err(Violation::bad_frame("HELLO: `v` is missing, it is 1")),
    }
}
