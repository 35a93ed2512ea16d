//! The frames a client sends, in both codings.

use crate::batch::{Batch, Structured};
use crate::control::{self, Close, Define, Hello, Ping, Reauth, Report};
use crate::frame::{Frame, kind};
use crate::json::{self, Kind, Token};
use crate::limits::{Limits, NUMBER_MAX};
use crate::refusal::{Violation, quoted};
use crate::tagged::tagged;

/// One frame of a client.
#[derive(Clone, Debug)]
pub enum ClientFrame<'a> {
    /// The first.
    Hello(Hello),
    /// Events.
    Events(Batch<'a>),
    /// Attributes by alias.
    Define(Define),
    /// Asks for a sign of life.
    Ping(Ping),
    /// Gives one.
    Pong(Ping),
    /// The end.
    Close(Close),
    /// What the client has seen.
    Report(Report),
    /// A fresh token.
    Reauth(Reauth),
    /// A frame of a later version.
    Ignored,
}

impl<'a> ClientFrame<'a> {
    /// Decodes a binary frame. A frame that only a gateway sends is a [`Violation`] too.
    pub fn from_binary(frame: Frame<'a>, limits: &Limits) -> Result<Self, Violation> {
        let body = frame.body;
        Ok(match frame.kind {
            kind::EVENTS => Self::Events(Batch::from_binary(body, limits)?),
            kind::HELLO => Self::Hello(Hello::decode(hello_text(text("HELLO", body)?, limits)?)?),
            kind::DEFINE => Self::Define(Define::decode(text("DEFINE", body)?)?),
            kind::PING => Self::Ping(Ping::decode_binary(body)?),
            kind::PONG => Self::Pong(Ping::decode_binary(body)?),
            kind::CLOSE => Self::Close(Close::decode(text("CLOSE", body)?)?),
            kind::REPORT => Self::Report(Report::decode(text("REPORT", body)?)?),
            kind::REAUTH => Self::Reauth(Reauth::decode(text("REAUTH", body)?)?),
            kind::WELCOME | kind::ACK | kind::GOAWAY => return Err(gateways(kind::name(frame.kind))),
            kind::IGNORED_FROM.. => Self::Ignored,
            other => return Err(Violation::bad_frame(format!("no frame has the type {other:#04x}"))),
        })
    }

    /// Decodes a JSON frame, one text message.
    pub fn from_json(text: &'a str, limits: &Limits) -> Result<Self, Violation> {
        if text.len() > limits.max_frame_bytes as usize {
            return Err(Violation::too_large(format!(
                "a frame has {} bytes, at most {} are allowed",
                text.len(),
                limits.max_frame_bytes
            )));
        }
        let outline = Outline::of(text, limits)?;
        Ok(match &*outline.name {
            "ev" => Self::Events(outline.batch(limits)?),
            "hello" => Self::Hello(Hello::decode(hello_text(text, limits)?)?),
            "ping" => Self::Ping(Ping::decode_json(text)?),
            "pong" => Self::Pong(Ping::decode_json(text)?),
            "close" => Self::Close(Close::decode(text)?),
            "report" => Self::Report(Report::decode(text)?),
            "reauth" => Self::Reauth(Reauth::decode(text)?),
            "welcome" | "ack" | "goaway" => return Err(gateways(&outline.name)),
            _ => Self::Ignored,
        })
    }

    /// Appends the frame in the binary coding; nothing for [`ClientFrame::Ignored`].
    pub fn to_binary(&self, out: &mut Vec<u8>) {
        let (kind, body) = match self {
            Self::Hello(hello) => (kind::HELLO, hello.encode().into_bytes()),
            Self::Events(batch) => return batch.write_binary(out),
            Self::Define(define) => (kind::DEFINE, define.encode().into_bytes()),
            Self::Ping(ping) => (kind::PING, ping.bytes()),
            Self::Pong(ping) => (kind::PONG, ping.bytes()),
            Self::Close(close) => (kind::CLOSE, close.encode().into_bytes()),
            Self::Report(report) => (kind::REPORT, control::encode(report).into_bytes()),
            Self::Reauth(reauth) => (kind::REAUTH, control::encode(reauth).into_bytes()),
            Self::Ignored => return,
        };
        Frame { kind, body: &body }.write(out);
    }

    /// The frame in the JSON coding. `None` for what has no such form: DEFINE, events by alias or that are
    /// not JSON, and ignored frames.
    pub fn to_json(&self) -> Option<String> {
        Some(match self {
            Self::Hello(hello) => tagged("hello", &hello.encode()),
            Self::Events(batch) => return batch.to_json(),
            Self::Ping(ping) => tagged("ping", &ping.encode_json()),
            Self::Pong(ping) => tagged("pong", &ping.encode_json()),
            Self::Close(close) => tagged("close", &close.encode()),
            Self::Report(report) => tagged("report", &control::encode(report)),
            Self::Reauth(reauth) => tagged("reauth", &control::encode(reauth)),
            Self::Define(_) | Self::Ignored => return None,
        })
    }
}

/// A JSON frame after one pass: its name, and the members of `ev`, whichever comes first.
struct Outline<'a> {
    name: String,
    s: Option<Token<'a>>,
    lossy: Option<Token<'a>>,
    /// What is in `e`, if it is a list.
    events: Option<Structured<'a>>,
}

impl<'a> Outline<'a> {
    fn of(text: &'a str, limits: &Limits) -> Result<Self, Violation> {
        let wrong = |error: json::Error| Violation::bad_frame(format!("a frame is a JSON object: {error}"));
        let mut outline = Self { name: String::new(), s: None, lossy: None, events: None };
        let mut name = None;
        // An event's depth is the event's own affair, so a frame's has no limit but its length.
        let mut members = json::members(text, u32::MAX).map_err(wrong)?;
        while let Some(member) = members.name().map_err(wrong)? {
            let slot = match &*member.string().unwrap_or_default() {
                "t" => &mut name,
                "s" => &mut outline.s,
                "lossy" => &mut outline.lossy,
                "e" => {
                    let mut events = Structured::default();
                    let e =
                        members.elements(|event| events.push(event.raw.as_bytes(), limits)).map_err(wrong)?;
                    outline.events = (e.kind == Kind::Array).then_some(events);
                    continue;
                }
                _ => &mut None,
            };
            *slot = Some(members.value().map_err(wrong)?);
        }
        let name = name.ok_or_else(|| Violation::bad_frame("`t` is missing, it names the frame"))?;
        outline.name = name
            .string()
            .ok_or_else(|| Violation::bad_frame("`t` is a string, it names the frame"))?
            .into_owned();
        Ok(outline)
    }

    fn batch(self, limits: &Limits) -> Result<Batch<'a>, Violation> {
        let events = self.events.ok_or_else(|| Violation::bad_frame("ev: `e` is a list of events"))?;
        let lossy = match self.lossy {
            None | Some(Token { kind: Kind::Null, .. }) => false,
            Some(Token { kind: Kind::Boolean, raw }) => raw == "true",
            Some(_) => return Err(Violation::bad_frame("ev: `lossy` is true or false")),
        };
        let first_seq = match self.s.filter(|s| s.kind != Kind::Null) {
            None if lossy => 0,
            None => {
                return Err(Violation::bad_frame("ev: `s` is missing, it is the number of the first event"));
            }
            Some(s) => s
                .integer()
                .filter(|s| *s <= NUMBER_MAX)
                .ok_or_else(|| Violation::bad_frame("ev: `s` is an integer from 1 to 2^53-1"))?,
        };
        Batch::from_json(first_seq, lossy, events, limits)
    }
}

fn hello_text<'a>(text: &'a str, limits: &Limits) -> Result<&'a str, Violation> {
    if text.len() > limits.max_hello_bytes as usize {
        return Err(Violation::too_large(format!(
            "HELLO has {} bytes, at most {} are allowed",
            text.len(),
            limits.max_hello_bytes
        )));
    }
    Ok(text)
}

fn text<'a>(frame: &str, body: &'a [u8]) -> Result<&'a str, Violation> {
    std::str::from_utf8(body).map_err(|_| Violation::bad_frame(format!("{frame} is not UTF-8")))
}

fn gateways(name: &str) -> Violation {
    Violation::bad_frame(format!("{} is sent by gateways only", quoted(name)))
}
