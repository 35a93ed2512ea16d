//! CORS: which pages may call, and which headers they may send and see. The list of origins is [`Access`]'s.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW, HeaderMap,
    HeaderValue, VARY,
};
use hyper::{Response, StatusCode};

use super::answer::Refusal;
use super::{Reply, request};
use crate::access::Access;

/// Beside these every header that begins with `tidegate-` may be sent.
const ALLOWED: &str = "authorization, content-type, content-encoding, prefer, traceparent, tidegate-client, \
                       tidegate-epoch, tidegate-seq";
const OURS: &str = "tidegate-";
/// Further `tidegate-` headers that one preflight may ask for.
const ASKED_MAX: usize = 16;
const EXPOSED: &str = "retry-after, preference-applied, ratelimit, ratelimit-policy";
/// The longest that browsers keep a preflight's answer (Chromium).
const MAX_AGE_SECONDS: &str = "7200";

/// Answers `OPTIONS`. A foreign page is told 403.
pub(super) fn preflight(
    headers: &HeaderMap,
    methods: &'static str,
    access: &Access,
) -> Result<Reply, Refusal> {
    request::allowed_origin(headers, access)?;
    let mut reply = no_content();
    let answer = reply.headers_mut();
    answer.insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed(headers));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    Ok(reply)
}

/// Answers `OPTIONS` for what every page may read.
pub(super) fn public_preflight() -> Reply {
    let mut reply = no_content();
    let answer = reply.headers_mut();
    answer.insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    public(answer);
    reply
}

/// Lets every page read the answer.
pub(super) fn public(answer: &mut HeaderMap) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Lets a page of an allowed origin read the answer, errors too. What every page may read stays as it is; everything
/// else says that it is another one for another origin.
pub(super) fn expose(answer: &mut HeaderMap, allowed: Option<&str>) {
    if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    answer.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed.and_then(|origin| HeaderValue::from_str(origin).ok()) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Lets a page of a foreign origin read this refusal, and nothing more: else all it gets to know is that something failed.
/// Not in answer to a preflight, which allows requests.
pub(super) fn tell_foreign(refusal: &mut HeaderMap, origin: &str) {
    if let Ok(origin) = HeaderValue::from_str(origin) {
        refusal.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

fn allowed(headers: &HeaderMap) -> HeaderValue {
    let mut allowed = ALLOWED.to_owned();
    let asked =
        headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|value| value.to_str().ok());
    let ours = asked.flat_map(|names| names.split(',')).map(|name| name.trim().to_ascii_lowercase()).filter(
        |name| {
            name.starts_with(OURS) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        },
    );
    for name in ours.take(ASKED_MAX) {
        if !allowed.split(", ").any(|known| known == name) {
            allowed.push_str(", ");
            allowed.push_str(&name);
        }
    }
    HeaderValue::try_from(allowed).unwrap_or_else(|_| HeaderValue::from_static(ALLOWED))
}

fn no_content() -> Reply {
    let mut reply = Response::default();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}
