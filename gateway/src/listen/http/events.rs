//! `POST /v1/events`: the checks in their order, the body, and the answer.

use std::net::IpAddr;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Request, Version};
use tidegate_wire::Reason;
use tidegate_wire::body::{self as wire_body, BodyKind};

use super::answer::{self, Refusal};
use super::bodies::Owner;
use super::query::Query;
use super::{Inner, Reply, body, ratelimit, request};
use crate::listen::link::{Gate, Post};
use crate::listen::tcp::Connection;

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// When a request that came during a shutdown may try again, elsewhere.
const DRAIN_RETRY_MS: u64 = 1_000;

/// Takes the events of one request.
pub(super) async fn post<G: Gate>(
    http: &Inner<G>,
    request: Request<Incoming>,
    connection: &Connection,
) -> Result<Reply, Refusal> {
    let (head, mut incoming) = request.into_parts();
    let answer = take(http, &head, &mut incoming, connection.remote.ip()).await;
    if answer.is_err() && head.version < Version::HTTP_2 && !head.headers.contains_key(EXPECT) {
        connection.spawn(body::discard(incoming));
    }
    answer
}

async fn take<G: Gate>(
    http: &Inner<G>,
    head: &Parts,
    incoming: &mut Incoming,
    from: IpAddr,
) -> Result<Reply, Refusal> {
    body::announced(incoming, &http.limits)?;
    let query = Query::parse(head.uri.query());
    let grant = request::authenticate(&http.access, request::token(&head.headers, &query)?)?;
    request::allowed_origin(&head.headers, &http.access)?;
    let numbering = request::numbering(&head.headers)?;
    request::name(&grant, numbering.as_ref())?;
    let kind = kind(head, &query);
    // A request that only asks needs no content type; whether it is one shows when the body has been read.
    if numbering.is_none()
        && let Err(unsupported) = kind
    {
        return Err(unsupported_type(unsupported));
    }
    let encoding = body::encoding(&head.headers)?;
    if http.gate.is_draining() {
        return Err(Refusal::busy(Reason::Draining, DRAIN_RETRY_MS));
    }
    let meter = ratelimit::meter(&http.rates, &grant, numbering.as_ref(), from);
    ratelimit::check(&meter, incoming, &http.metrics)?;
    let share = http.bodies.begin(Owner::of(&grant, numbering.as_ref(), &http.rates, from))?;
    let body = body::read(incoming, &http.limits, share, http.body_patience).await?;
    let body = body.inflated(encoding, &http.limits, &http.bodies).await?;
    let kind = match kind {
        _ if numbering.is_some() && body.bytes.is_empty() => BodyKind::Lines,
        Ok(kind) => kind,
        Err(unsupported) => return Err(unsupported_type(unsupported)),
    };
    let post = Post {
        kind,
        body: &Bytes::clone(&body.bytes),
        numbering,
        respond_async: respond_async(&head.headers),
        grant: &grant,
        meter: &meter,
        from,
    };
    ratelimit::tell(answer::reply(http.gate.post(post).await), &meter)
}

fn kind<'a>(head: &'a Parts, query: &'a Query<'_>) -> Result<BodyKind<'a>, wire_body::Unsupported> {
    let content_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let headers = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    wire_body::kind(content_type, query.event_type.as_deref(), headers)
}

fn unsupported_type(unsupported: wire_body::Unsupported) -> Refusal {
    Refusal::new(hyper::StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", unsupported.to_string())
}

/// RFC 7240: preferences are separated by commas, their parameters by semicolons.
fn respond_async(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .filter_map(|preference| preference.split(';').next())
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}
