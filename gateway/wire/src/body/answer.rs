use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use crate::codes::{Code, Level};
use crate::refusal::Reject;

/// The answer once the events are durable: 200, or 422 when every one was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Accepted {
    /// Events that are durable, repeated ones included.
    pub accepted: u32,
    /// Events that were refused.
    pub rejected: Vec<Refused>,
    /// What `accepted` is worth.
    pub level: Level,
    /// With session headers.
    #[serde(flatten)]
    pub numbers: Option<Numbers>,
}

impl Accepted {
    /// 422 when there were events and every one was refused, else 200: also when a rule dropped one, of which its sender has
    /// nothing to mend.
    pub fn status(&self) -> u16 {
        let is_refused = |event: &Refused| !event.code.is_informative();
        if self.accepted == 0 && !self.rejected.is_empty() && self.rejected.iter().all(is_refused) {
            422
        } else {
            200
        }
    }
}

/// The answer at admission, 202.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Admitted {
    /// Events that are on their way.
    pub admitted: u32,
    /// Events that were refused.
    pub rejected: Vec<Refused>,
}

/// What a request with session headers learns about its numbers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Numbers {
    /// Every event up to here is settled.
    pub upto: u64,
    /// The highest number the client may send.
    pub limit: u64,
    /// Bytes that one request may hold.
    pub limit_bytes: u64,
}

/// One event of a body that was refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Refused {
    /// Its place among the events of the body, from 0.
    pub index: u32,
    /// Why.
    pub code: Code,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

impl Refused {
    /// The refusal of the event at `index`.
    pub fn new(index: u32, reject: Reject) -> Self {
        Self { index, code: reject.code, message: reject.message }
    }
}

/// Why a request was refused as a whole: RFC 9457, `application/problem+json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    pub r#type: Cow<'static, str>,
    /// The status in words.
    pub title: Cow<'static, str>,
    /// The status.
    pub status: u16,
    /// What was wrong, and what would be right.
    pub detail: Cow<'static, str>,
    /// One word for programs: for 429 and 503 the name of the [`crate::Reason`].
    pub reason: Cow<'static, str>,
}

impl Problem {
    /// The media type of the document.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// A problem with a status of this protocol.
    pub fn new(
        status: u16,
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let title = title(status).into();
        Self { r#type: "about:blank".into(), title, status, detail: detail.into(), reason: reason.into() }
    }
}

const fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_read_as_the_protocol_writes_them() {
        let refused =
            Refused::new(3, Reject { code: Code::Schema, message: "temp: expected a number".into() });
        let mut accepted =
            Accepted { accepted: 2, rejected: vec![refused.clone()], level: Level::Committed, numbers: None };
        assert_eq!(
            serde_json::to_string(&accepted).unwrap(),
            r#"{"accepted":2,"rejected":[{"index":3,"code":"schema","message":"temp: expected a number"}],"level":"committed"}"#
        );
        assert_eq!(accepted.status(), 200);
        accepted.accepted = 0;
        assert_eq!(accepted.status(), 422);
        let repeated = Reject { code: Code::Duplicate, message: "".into() };
        accepted.rejected.push(Refused::new(0, repeated));
        assert_eq!(accepted.status(), 200, "there is nothing to mend");
        let answer = Accepted {
            accepted: 0,
            rejected: Vec::new(),
            level: Level::Stored,
            numbers: Some(Numbers { upto: 7, limit: 9, limit_bytes: 10 }),
        };
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(
            json,
            r#"{"accepted":0,"rejected":[],"level":"stored","upto":7,"limit":9,"limit_bytes":10}"#
        );
        assert_eq!(serde_json::from_str::<Accepted>(&json).unwrap(), answer);
        assert_eq!(answer.status(), 200);
        let admitted = Admitted { admitted: 1, rejected: vec![refused] };
        assert!(serde_json::to_string(&admitted).unwrap().starts_with(r#"{"admitted":1,"rejected":[{"#));
    }

    #[test]
    fn problems_are_rfc_9457() {
        let problem = Problem::new(503, crate::Reason::Broker.name(), "Kafka is away");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"Kafka is away","reason":"broker"}"#
        );
    }
}
