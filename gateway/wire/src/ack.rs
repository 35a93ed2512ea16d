//! ACK: what has settled, and how much more may be sent.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::codes::{Code, Level, Reason};
use crate::record::{bytes, integer, write_bytes};
use crate::refusal::Violation;
use crate::varint;

/// A cumulative acknowledgement, with credit and what did not go the ordinary way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ack {
    /// Every event up to here is settled.
    pub upto: u64,
    /// The weakest among the events newly covered.
    pub level: Level,
    /// The highest number the client may send.
    pub limit: u64,
    /// Payload bytes the client may send in this connection.
    pub limit_bytes: u64,
    /// What holds credit back.
    pub reason: Reason,
    /// When to try again, for [`Reason::Rate`]; else 0.
    pub retry_ms: u64,
    /// Events that did not go the ordinary way. The JSON coding lists informative codes apart, after the others.
    pub list: Vec<Rejection>,
}

/// What became of one event.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rejection {
    /// Its number.
    #[serde(rename = "s")]
    pub seq: u64,
    /// Why.
    pub code: Code,
    /// A sentence for people; may be empty.
    #[serde(rename = "msg", default)]
    pub message: Cow<'static, str>,
}

#[derive(Deserialize, Serialize)]
struct Body<L> {
    upto: u64,
    level: Level,
    limit: u64,
    limit_bytes: u64,
    reason: Reason,
    retry_ms: u64,
    #[serde(default = "Vec::new")]
    rej: Vec<L>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    info: Vec<L>,
}

impl Ack {
    pub(crate) fn encode_binary(&self, out: &mut Vec<u8>) {
        varint::write(self.upto, out);
        out.push(self.level.as_u8());
        varint::write(self.limit, out);
        varint::write(self.limit_bytes, out);
        out.push(self.reason.as_u8());
        varint::write(self.retry_ms, out);
        varint::write(self.list.len() as u64, out);
        for rejection in &self.list {
            varint::write(rejection.seq, out);
            out.push(rejection.code.as_u8());
            write_bytes(rejection.message.as_bytes(), out);
        }
    }

    pub(crate) fn decode_binary(body: &[u8]) -> Result<Self, Violation> {
        let (mut ack, count, mut rest) =
            head(body).ok_or_else(|| wrong("its numbers do not add up, or level or reason do not exist"))?;
        for _ in 0..count {
            let (rejection, after) = rejection(rest)
                .ok_or_else(|| wrong("its list does not add up, or has a code that does not exist"))?;
            ack.list.push(rejection);
            rest = after;
        }
        if rest.is_empty() { Ok(ack) } else { Err(wrong("bytes are left after its list")) }
    }

    pub(crate) fn encode_json(&self) -> String {
        let (info, rej) = self.list.iter().partition(|rejection| rejection.code.is_informative());
        let Self { upto, level, limit, limit_bytes, reason, retry_ms, .. } = *self;
        crate::control::encode(&Body { upto, level, limit, limit_bytes, reason, retry_ms, rej, info })
    }

    pub(crate) fn decode_json(text: &str) -> Result<Self, Violation> {
        let Body { upto, level, limit, limit_bytes, reason, retry_ms, rej, info } =
            crate::control::decode::<Body<Rejection>>("ACK", text)?;
        let list = rej.into_iter().chain(info).collect();
        Ok(Self { upto, level, limit, limit_bytes, reason, retry_ms, list })
    }
}

fn head(body: &[u8]) -> Option<(Ack, u64, &[u8])> {
    let (upto, rest) = integer(body)?;
    let (&level, rest) = rest.split_first()?;
    let (limit, rest) = integer(rest)?;
    let (limit_bytes, rest) = integer(rest)?;
    let (&reason, rest) = rest.split_first()?;
    let (retry_ms, rest) = integer(rest)?;
    let (count, rest) = integer(rest)?;
    let (level, reason) = (Level::from_u8(level)?, Reason::from_u8(reason)?);
    Some((Ack { upto, level, limit, limit_bytes, reason, retry_ms, list: Vec::new() }, count, rest))
}

fn rejection(buf: &[u8]) -> Option<(Rejection, &[u8])> {
    let (seq, rest) = integer(buf)?;
    let (&code, rest) = rest.split_first()?;
    let (message, rest) = bytes(rest)?;
    let message = std::str::from_utf8(message).ok()?.to_owned().into();
    Some((Rejection { seq, code: Code::from_u8(code)?, message }, rest))
}

fn wrong(what: &str) -> Violation {
    Violation::bad_frame(format!("ACK: {what}"))
}
