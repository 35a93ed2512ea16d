//! Rates over HTTP: 429, and the `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers (revision 11). Events are a
//! unit of ours; the draft's registry has none for them.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{HeaderName, HeaderValue};

use super::Reply;
use super::answer::Refusal;
use crate::access::Grant;
use crate::listen::link::Numbering;
use crate::metrics::Metrics;
use crate::rates::{Client, Meter, Rates, Standing, Who};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The rates that a request falls under.
pub(super) fn meter(rates: &Rates, grant: &Grant, numbering: Option<&Numbering<'_>>, from: IpAddr) -> Meter {
    let client = numbering.map_or(Client::Unknown, |numbering| Client::Named(numbering.client));
    let who = Who { tenant: &grant.tenant, token: grant.token.as_deref(), client, address: from };
    rates.meter(&who, now())
}

/// 429 for a request that comes while something is owed, before its body is read. One with an empty body brings no
/// events, and only asks.
pub(super) fn check(meter: &Meter, body: &Incoming, metrics: &Metrics) -> Result<(), Refusal> {
    let now = now();
    let is_empty = body.is_end_stream() || body.size_hint().exact() == Some(0);
    let Some(wait) = meter.owed(now).filter(|_| !is_empty) else { return Ok(()) };
    metrics.rates.limited(wait.limit.label());
    Err(with_fields(Refusal::busy(wait.reason(), wait.retry_ms(now)), meter, now))
}

/// Adds where the rates stand to an answer of 2xx or 429.
pub(super) fn tell(answer: Result<Reply, Refusal>, meter: &Meter) -> Result<Reply, Refusal> {
    if !meter.is_limited() {
        return answer;
    }
    match answer {
        Ok(mut reply) => {
            if reply.status().is_success() {
                reply.headers_mut().extend(fields(&meter.standings(now())));
            }
            Ok(reply)
        }
        Err(refusal) if refusal.status() == StatusCode::TOO_MANY_REQUESTS => {
            Err(with_fields(refusal, meter, now()))
        }
        Err(refusal) => Err(refusal),
    }
}

fn with_fields(refusal: Refusal, meter: &Meter, now: Instant) -> Refusal {
    fields(&meter.standings(now))
        .into_iter()
        .fold(refusal, |refusal, (name, value)| refusal.with(name, value))
}

/// Both fields: what may be sent in which time, and what is left of it.
fn fields(standings: &[Standing]) -> Vec<(HeaderName, HeaderValue)> {
    let (mut policy, mut limit) = (String::new(), String::new());
    for standing in standings {
        let separator = if policy.is_empty() { "" } else { ", " };
        let (what, unit) = if standing.is_bytes { ("bytes", "content-bytes") } else { ("events", "events") };
        let name = standing.limit.label();
        let Standing { burst, free, window, reset, .. } = *standing;
        let window = seconds(window).max(1);
        // Writing to a String does not fail.
        let _ = write!(policy, r#"{separator}"{name}-{what}";q={burst};w={window};qu="{unit}""#);
        let _ = write!(limit, r#"{separator}"{name}-{what}";r={free};t={}"#, seconds(reset));
    }
    let value = |text: String| HeaderValue::try_from(text).ok();
    [(POLICY, value(policy)), (LIMIT, value(limit))]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Whole seconds, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rates::Limit;

    #[test]
    fn the_fields_are_lists_of_strings_with_integers() {
        let standing = |limit, is_bytes, burst, free, reset_ms| Standing {
            limit,
            is_bytes,
            burst,
            window: Duration::from_millis(1_500),
            free,
            reset: Duration::from_millis(reset_ms),
        };
        let standings =
            [standing(Limit::Client, false, 100, 40, 300), standing(Limit::Tenant, true, 65_536, 0, 9_001)];
        let fields = fields(&standings);
        let text = |name: &HeaderName| {
            let (_, value) = fields.iter().find(|(known, _)| known == name).unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(
            text(&POLICY),
            r#""client-events";q=100;w=2;qu="events", "tenant-bytes";q=65536;w=2;qu="content-bytes""#
        );
        assert_eq!(text(&LIMIT), r#""client-events";r=40;t=1, "tenant-bytes";r=0;t=10"#);
    }

    #[test]
    fn no_time_is_told_too_short() {
        for (ms, expected) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2)] {
            assert_eq!(seconds(Duration::from_millis(ms)), expected);
        }
    }
}
