//! What a client gets back: the documents of the protocol, and refusals as RFC 9457 problems.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tidegate_wire::body::{Accepted, Admitted, Numbers, Problem, Refused};
use tidegate_wire::{CloseCode, Reason, Reject};

use super::{Reply, typed};
use crate::listen::link::{Answer, Conflict, Standing};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A request refused as a whole: nothing of it was accepted.
#[derive(Debug)]
pub(super) struct Refusal(Box<Details>);

#[derive(Debug)]
struct Details {
    status: StatusCode,
    reason: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// `reason` is a word for programs and the metric's label, `detail` a sentence for people.
    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Details { status, reason, detail: detail.into(), headers: Vec::new() }))
    }

    /// 400: something is not as the protocol has it.
    pub(super) fn bad(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401 with what to authenticate by.
    pub(super) fn unauthenticated(reason: &'static str, detail: String) -> Self {
        let challenge = if reason == "missing" {
            r#"Bearer realm="tidegate""#
        } else {
            r#"Bearer realm="tidegate", error="invalid_token""#
        };
        Self::new(StatusCode::UNAUTHORIZED, "auth", detail)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 405 with what would do.
    pub(super) fn method(allow: &'static str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", format!("only {allow} is served here"))
            .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// 413.
    pub(super) fn too_large(detail: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 415 for a `Content-Encoding`.
    pub(super) fn encoding(detail: String) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "encoding", detail)
            .with(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"))
    }

    /// 429 or 503, to be tried again after about `retry_ms`.
    pub(super) fn busy(reason: Reason, retry_ms: u64) -> Self {
        let (status, detail) = match reason {
            Reason::Rate => (StatusCode::TOO_MANY_REQUESTS, "this client sends faster than it may"),
            Reason::Quota => (StatusCode::TOO_MANY_REQUESTS, "this tenant sends more than it may"),
            Reason::Full => (StatusCode::SERVICE_UNAVAILABLE, "the gateway's log is at its cap"),
            Reason::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the gateway is shutting down"),
            Reason::Memory => (StatusCode::SERVICE_UNAVAILABLE, "the gateway holds all the events it may"),
            Reason::Broker | Reason::Ok => {
                (StatusCode::SERVICE_UNAVAILABLE, "the destination is slow or away")
            }
        };
        Self::new(status, reason.name(), detail)
            .with(RETRY_AFTER, HeaderValue::from(jittered_seconds(retry_ms, random())))
    }

    /// 409.
    fn conflict(conflict: Conflict) -> Self {
        let (reason, detail) = match conflict {
            Conflict::Busy => ("busy", "another request of this client is under way".into()),
            Conflict::StaleEpoch { known } => {
                (CloseCode::StaleEpoch.name(), format!("epoch {known} of this client is known already"))
            }
            Conflict::TakenOver => {
                (CloseCode::TakenOver.name(), "a newer connection of this client has taken over".into())
            }
        };
        Self::new(StatusCode::CONFLICT, reason, detail)
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    pub(super) fn reason(&self) -> &'static str {
        self.0.reason
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(super) fn into_reply(self) -> Reply {
        let Details { status, reason, detail, headers } = *self.0;
        let problem = Problem::new(status.as_u16(), reason, detail);
        let mut reply = document(status, Problem::CONTENT_TYPE, &problem);
        reply.headers_mut().extend(headers);
        reply
    }
}

/// The status and document of what became of a request's events.
pub(super) fn reply(answer: Answer) -> Result<Reply, Refusal> {
    match answer {
        Answer::Durable { accepted, rejected, level, standing } => {
            let numbers =
                standing.map(|Standing { upto, limit, limit_bytes }| Numbers { upto, limit, limit_bytes });
            let accepted = Accepted { accepted, rejected: listed(rejected), level, numbers };
            let status = StatusCode::from_u16(accepted.status()).unwrap_or(StatusCode::OK);
            Ok(document(status, "application/json", &accepted))
        }
        Answer::Admitted { admitted, rejected } => {
            let admitted = Admitted { admitted, rejected: listed(rejected) };
            let mut reply = document(StatusCode::ACCEPTED, "application/json", &admitted);
            reply.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
            Ok(reply)
        }
        Answer::BadBody(detail) => Err(Refusal::new(StatusCode::BAD_REQUEST, "bad_body", detail)),
        Answer::Forbidden(detail) => Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", detail)),
        Answer::Conflict(conflict) => Err(Refusal::conflict(conflict)),
        Answer::TooLarge(detail) => Err(Refusal::too_large(detail)),
        Answer::Busy { reason, retry_ms } => Err(Refusal::busy(reason, retry_ms)),
        Answer::Timeout => Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "the events are not durable yet and may become so; repeat only events with an id of their own, or sent \
             with session headers",
        )),
        Answer::Lost => Err(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "lost",
            "some events ended without a verdict: take none of them for safe",
        )),
    }
}

/// 200 with text.
pub(super) fn text(text: &'static str) -> Reply {
    typed(StatusCode::OK, "text/plain; charset=utf-8", text)
}

/// A JSON document that is about this moment.
pub(super) fn document(status: StatusCode, content_type: &'static str, value: &impl Serialize) -> Reply {
    // Structs of strings and numbers always serialise.
    let mut reply = typed(status, content_type, serde_json::to_vec(value).unwrap_or_default());
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// What HEAD gets: the same but the body.
pub(super) fn without_body(reply: Response<impl Body>) -> Reply {
    let (mut head, body) = reply.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Full::new(Bytes::new()))
}

fn listed(rejected: Vec<(u32, Reject)>) -> Vec<Refused> {
    rejected.into_iter().map(|(index, reject)| Refused::new(index, reject)).collect()
}

/// Whole seconds, at least `retry_ms` and up to twice it: those refused together do not come back together.
fn jittered_seconds(retry_ms: u64, random: u64) -> u64 {
    let seconds = retry_ms.div_ceil(1_000).clamp(1, 600);
    seconds + random % (seconds + 1)
}

/// Seeded by the system once a thread: to spread clients, not to keep secrets.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use tidegate_wire::Level;

    use super::*;

    fn status(answer: Answer) -> u16 {
        reply(answer).unwrap_or_else(Refusal::into_reply).status().as_u16()
    }

    #[test]
    fn every_answer_has_its_status() {
        let durable =
            |accepted, rejected| Answer::Durable { accepted, rejected, level: Level::Stored, standing: None };
        let refused = || vec![(0, Reject::malformed("no type"))];
        assert_eq!(status(durable(0, vec![])), 200);
        assert_eq!(status(durable(1, refused())), 200);
        assert_eq!(status(durable(0, refused())), 422);
        assert_eq!(status(Answer::Admitted { admitted: 0, rejected: refused() }), 202);
        assert_eq!(status(Answer::BadBody(String::new())), 400);
        assert_eq!(status(Answer::Forbidden(String::new())), 403);
        assert_eq!(status(Answer::Conflict(Conflict::Busy)), 409);
        assert_eq!(status(Answer::TooLarge(String::new())), 413);
        assert_eq!(status(Answer::Timeout), 504);
        assert_eq!(status(Answer::Lost), 500);
        for (reason, expected) in [
            ("rate", 429),
            ("quota", 429),
            ("broker", 503),
            ("full", 503),
            ("memory", 503),
            ("draining", 503),
        ] {
            let reason = Reason::from_name(reason).unwrap();
            assert_eq!(status(Answer::Busy { reason, retry_ms: 0 }), expected, "{reason}");
        }
    }

    #[test]
    fn a_conflict_says_whether_waiting_helps() {
        for (conflict, reason) in [
            (Conflict::Busy, "busy"),
            (Conflict::StaleEpoch { known: 7 }, "stale_epoch"),
            (Conflict::TakenOver, "taken_over"),
        ] {
            assert_eq!(Refusal::conflict(conflict).reason(), reason);
        }
    }

    #[test]
    fn retry_after_is_never_early_and_at_most_twice_as_late() {
        for (retry_ms, earliest) in [(0, 1), (1_000, 1), (1_001, 2), (9_000, 9)] {
            let all: Vec<u64> = (0..100).map(|random| jittered_seconds(retry_ms, random)).collect();
            assert_eq!(all.iter().min(), Some(&earliest));
            assert_eq!(all.iter().max(), Some(&(earliest * 2)));
        }
    }
}
