//! What is asked of every request before anybody looks at what it brings.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, ORIGIN};
use hyper::{Request, StatusCode};

use super::answer::Refusal;
use super::query::Query;
use crate::access::{Access, Grant};
use crate::listen::link::Numbering;
use crate::listen::tcp::HEAD_BYTES;

const CLIENT: HeaderName = HeaderName::from_static("tidegate-client");
const EPOCH: HeaderName = HeaderName::from_static("tidegate-epoch");
const SEQ: HeaderName = HeaderName::from_static("tidegate-seq");
/// Numbers and epochs are JSON integers of any language.
const NUMBER_MAX: u64 = tidegate_wire::limits::NUMBER_MAX;

/// Why a page is refused for its origin: the one refusal that a foreign page may read.
pub(super) const FOREIGN: &str = "origin";

/// 431 for a head that is half of what would be cut off without a reason.
pub(super) fn head_size(request: &Request<Incoming>) -> Result<(), Refusal> {
    let most = HEAD_BYTES as usize / 2;
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let path = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if headers.sum::<usize>() + path > most {
        return Err(Refusal::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "head_too_large",
            format!("the path and the headers have more than {most} bytes"),
        ));
    }
    Ok(())
}

/// The `Origin` header: absent where the client is no browser, an error where it is not text.
pub(super) fn origin(headers: &HeaderMap) -> Option<Result<&str, Refusal>> {
    headers.get(ORIGIN).map(|value| value.to_str().map_err(|_| foreign("?")))
}

/// 403 for a page of a foreign origin.
pub(super) fn allowed_origin(headers: &HeaderMap, access: &Access) -> Result<(), Refusal> {
    match origin(headers).transpose()? {
        Some(origin) if !access.allows_origin(origin) => Err(foreign(origin)),
        _ => Ok(()),
    }
}

fn foreign(origin: &str) -> Refusal {
    let detail = format!("pages of origin {origin} may not send here: origins.allow lists those that may");
    Refusal::new(StatusCode::FORBIDDEN, FOREIGN, detail)
}

/// The token of the `Authorization` header or, failing that, of the query.
pub(super) fn token<'a>(headers: &'a HeaderMap, query: &'a Query<'_>) -> Result<Option<&'a str>, Refusal> {
    let Some(header) = headers.get(AUTHORIZATION) else { return Ok(query.token.as_deref()) };
    match header.to_str().ok().and_then(bearer) {
        Some(token) => Ok(Some(token)),
        None => {
            Err(Refusal::unauthenticated("malformed", "expected `Authorization: Bearer <token>`".to_owned()))
        }
    }
}

/// The token in the value of an `Authorization` header (RFC 6750); `None` where it is of another scheme.
pub(in crate::listen) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What the token is good for; 401 where it is good for nothing.
pub(super) fn authenticate(access: &Access, token: Option<&str>) -> Result<Arc<Grant>, Refusal> {
    access.authenticate(token).map_err(|denied| Refusal::unauthenticated(denied.reason, denied.message))
}

/// The session headers: all three or none.
pub(super) fn numbering(headers: &HeaderMap) -> Result<Option<Numbering<'_>>, Refusal> {
    let all = [&CLIENT, &EPOCH, &SEQ].map(|name| headers.get(name));
    let [Some(client), Some(epoch), Some(seq)] = all else {
        return match all {
            [None, None, None] => Ok(None),
            _ => Err(Refusal::bad(
                "Tidegate-Client, Tidegate-Epoch and Tidegate-Seq go together: all three or none",
            )),
        };
    };
    let client = client.to_str().ok().filter(|name| tidegate_wire::is_client_name(name));
    let client =
        client.ok_or_else(|| Refusal::bad("Tidegate-Client: expected 1 to 128 of A-Z a-z 0-9 . _ : -"))?;
    let epoch = number(epoch.as_bytes(), 0)
        .ok_or_else(|| Refusal::bad(format!("Tidegate-Epoch: expected an integer from 0 to {NUMBER_MAX}")))?;
    let first_seq = number(seq.as_bytes(), 1)
        .ok_or_else(|| Refusal::bad(format!("Tidegate-Seq: expected an integer from 1 to {NUMBER_MAX}")))?;
    Ok(Some(Numbering { client, epoch, first_seq }))
}

/// 403 where the token is not good for the client's name, or for none: before the name is looked up anywhere.
pub(super) fn name(grant: &Grant, numbering: Option<&Numbering<'_>>) -> Result<(), Refusal> {
    let refused = match numbering {
        Some(numbering) => grant.refuses_client(numbering.client),
        None => grant.refuses_anonymous("send Tidegate-Client, -Epoch and -Seq"),
    };
    refused.map_or(Ok(()), |why| Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", why)))
}

fn number(text: &[u8], least: u64) -> Option<u64> {
    let digits =
        std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|number| (least..=NUMBER_MAX).contains(number))
}
