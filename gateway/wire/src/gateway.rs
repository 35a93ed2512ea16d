//! The frames a gateway sends, in both codings.

use serde::Deserialize;

use crate::ack::Ack;
use crate::control::{self, Close, Goaway, Ping, Welcome};
use crate::frame::{Frame, kind};
use crate::refusal::Violation;
use crate::tagged::tagged;

/// One frame of a gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GatewayFrame {
    /// The answer to HELLO.
    Welcome(Box<Welcome>),
    /// What has settled.
    Ack(Ack),
    /// Asks for a sign of life.
    Ping(Ping),
    /// Gives one.
    Pong(Ping),
    /// The gateway is about to leave.
    Goaway(Goaway),
    /// The end.
    Close(Close),
}

impl GatewayFrame {
    /// Appends the frame in the binary coding.
    pub fn to_binary(&self, out: &mut Vec<u8>) {
        let (kind, body) = match self {
            Self::Welcome(welcome) => (kind::WELCOME, control::encode(welcome).into_bytes()),
            Self::Ack(ack) => {
                let mut body = Vec::with_capacity(32);
                ack.encode_binary(&mut body);
                (kind::ACK, body)
            }
            Self::Ping(ping) => (kind::PING, ping.bytes()),
            Self::Pong(ping) => (kind::PONG, ping.bytes()),
            Self::Goaway(goaway) => (kind::GOAWAY, control::encode(goaway).into_bytes()),
            Self::Close(close) => (kind::CLOSE, close.encode().into_bytes()),
        };
        Frame { kind, body: &body }.write(out);
    }

    /// The frame in the JSON coding.
    pub fn to_json(&self) -> String {
        match self {
            Self::Welcome(welcome) => tagged("welcome", &control::encode(welcome)),
            Self::Ack(ack) => tagged("ack", &ack.encode_json()),
            Self::Ping(ping) => tagged("ping", &ping.encode_json()),
            Self::Pong(ping) => tagged("pong", &ping.encode_json()),
            Self::Goaway(goaway) => tagged("goaway", &control::encode(goaway)),
            Self::Close(close) => tagged("close", &close.encode()),
        }
    }

    /// Decodes a binary frame, for clients. `None` for a frame of a later version.
    pub fn from_binary(frame: Frame<'_>) -> Result<Option<Self>, Violation> {
        let body = frame.body;
        let name = kind::name(frame.kind);
        let text =
            || std::str::from_utf8(body).map_err(|_| Violation::bad_frame(format!("{name} is not UTF-8")));
        Ok(Some(match frame.kind {
            kind::WELCOME => Self::Welcome(control::decode(name, text()?)?),
            kind::ACK => Self::Ack(Ack::decode_binary(body)?),
            kind::PING => Self::Ping(Ping::decode_binary(body)?),
            kind::PONG => Self::Pong(Ping::decode_binary(body)?),
            kind::GOAWAY => Self::Goaway(control::decode(name, text()?)?),
            kind::CLOSE => Self::Close(Close::decode(text()?)?),
            kind::IGNORED_FROM.. => return Ok(None),
            other => {
                return Err(Violation::bad_frame(format!(
                    "a gateway sends no frame of the type {other:#04x}"
                )));
            }
        }))
    }

    /// Decodes a JSON frame, for clients. `None` for a frame of a later version.
    pub fn from_json(text: &str) -> Result<Option<Self>, Violation> {
        #[derive(Deserialize)]
        struct Tag {
            t: String,
        }
        let Tag { t } = control::decode("a frame", text)?;
        Ok(Some(match t.as_str() {
            "welcome" => Self::Welcome(control::decode("welcome", text)?),
            "ack" => Self::Ack(Ack::decode_json(text)?),
            "ping" => Self::Ping(Ping::decode_json(text)?),
            "pong" => Self::Pong(Ping::decode_json(text)?),
            "goaway" => Self::Goaway(control::decode("goaway", text)?),
            "close" => Self::Close(Close::decode(text)?),
            _ => return Ok(None),
        }))
    }
}
