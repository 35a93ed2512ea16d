//! What an HTTP request's body is, and the events in it.

mod answer;
mod http_event;

use crate::attribute::essence;
use crate::batch::{Batch, Structured};
use crate::json;
use crate::limits::Limits;

pub use answer::{Accepted, Admitted, Numbers, Problem, Refused};
pub use http_event::HttpEvent;

/// What a body is, by the first match of the protocol's table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BodyKind<'a> {
    /// One structured event.
    Event,
    /// An array of structured events.
    Batch,
    /// One structured event or an array of them.
    EventOrBatch,
    /// One structured event per line that is not blank.
    Lines,
    /// The data of one event, whose attributes these are.
    Data(HttpEvent<'a>),
}

/// A content type that is none of the table: 415.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "Content-Type: expected application/cloudevents+json, application/cloudevents-batch+json, application/json, application/x-ndjson or text/plain, or a ce-type header, or ?type= in the query"
)]
pub struct Unsupported;

/// Why a body is refused as a whole.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// Not JSON, or neither object nor array where one is due: 400.
    #[error("{0}")]
    NotTheFormat(String),
    /// More than the limit of events: 413.
    #[error("{count} events in one body, at most {limit} are allowed")]
    TooManyEvents {
        /// How many there are.
        count: u64,
        /// How many there may be.
        limit: u32,
    },
}

impl BodyError {
    /// The status to answer with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotTheFormat(_) => 400,
            Self::TooManyEvents { .. } => 413,
        }
    }
}

/// Tells what a body is. `query_type` is the decoded `type` of the query. `headers` may be all headers of the request,
/// names in any case; those that begin with `ce-` count.
pub fn kind<'a>(
    content_type: Option<&'a str>,
    query_type: Option<&'a str>,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<BodyKind<'a>, Unsupported> {
    let media_type = essence(content_type.unwrap_or_default());
    let is = |name: &str| media_type.eq_ignore_ascii_case(name);
    if is("application/cloudevents+json") {
        return Ok(BodyKind::Event);
    }
    if is("application/cloudevents-batch+json") {
        return Ok(BodyKind::Batch);
    }
    if let Some(event) = HttpEvent::from_headers(content_type, headers) {
        return Ok(BodyKind::Data(event));
    }
    if let Some(query_type) = query_type {
        return Ok(BodyKind::Data(HttpEvent::from_query(content_type, query_type)));
    }
    if is("application/json") {
        return Ok(BodyKind::EventOrBatch);
    }
    if is("application/x-ndjson") || is("text/plain") {
        return Ok(BodyKind::Lines);
    }
    Err(Unsupported)
}

impl<'a> BodyKind<'a> {
    /// Finds the events in an inflated body. What is wrong with one of them alone shows when it is parsed.
    ///
    /// The batch has no numbers; set `first_seq` where the session headers give one.
    pub fn parse(self, body: &'a [u8], limits: &Limits) -> Result<Batch<'a>, BodyError> {
        let mut found = Structured::default();
        match self {
            Self::Data(event) => return Ok(Batch::from_http(HttpEvent { body, ..event })),
            Self::Lines => {
                let mut rest = body;
                while !rest.is_empty() {
                    let (line, after) = split_line(rest);
                    let line = line.trim_ascii();
                    if !line.is_empty() {
                        found.push(line, limits);
                    }
                    rest = after;
                }
            }
            Self::Event | Self::Batch | Self::EventOrBatch => {
                let text = json::utf8(body).map_err(|error| not_the_format(&error))?;
                let first = text.trim_ascii_start().as_bytes().first();
                match (self, first) {
                    (Self::Event | Self::EventOrBatch, Some(b'{')) => {
                        json::check(body, u32::MAX).map_err(|error| not_the_format(&error))?;
                        found.push(body.trim_ascii(), limits);
                    }
                    (Self::Batch | Self::EventOrBatch, Some(b'[')) => elements(text, &mut found, limits)?,
                    (kind, _) => return Err(kind.not_due()),
                }
            }
        }
        if found.count > u64::from(limits.max_batch_events) {
            return Err(BodyError::TooManyEvents { count: found.count, limit: limits.max_batch_events });
        }
        Ok(Batch::from_body(found))
    }

    fn not_due(&self) -> BodyError {
        let due = match self {
            Self::Event => "one event, a JSON object",
            Self::Batch => "a JSON array of events",
            _ => "one event, a JSON object, or an array of them",
        };
        BodyError::NotTheFormat(format!("the body must be {due}"))
    }
}

/// The first line, and what follows its end. Looks at 32 bytes at a time, which the compiler makes vectors of.
fn split_line(body: &[u8]) -> (&[u8], &[u8]) {
    const AT_ONCE: usize = 32;
    let is_end = |byte: u8| byte == b'\n';
    let blocks = body.chunks_exact(AT_ONCE);
    let without = blocks.take_while(|block| !block.iter().fold(false, |any, byte| any | is_end(*byte)));
    let skipped = AT_ONCE * without.count();
    let end = body.get(skipped..).and_then(|rest| rest.iter().position(|byte| is_end(*byte)));
    match end.and_then(|end| body.split_at_checked(skipped + end)) {
        Some((line, after)) => (line, after.get(1..).unwrap_or_default()),
        None => (body, &[]),
    }
}

fn elements<'a>(text: &'a str, found: &mut Structured<'a>, limits: &Limits) -> Result<(), BodyError> {
    for element in json::elements(text, u32::MAX).map_err(|error| not_the_format(&error))? {
        let element = element.map_err(|error| not_the_format(&error))?;
        found.push(element.raw.as_bytes(), limits);
    }
    Ok(())
}

fn not_the_format(error: &json::Error) -> BodyError {
    BodyError::NotTheFormat(format!("the body is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_line_ends_at_the_first_line_end(body in r"[a\n]{0,4}a{0,70}[a\n]{0,40}") {
            let (line, after) = split_line(body.as_bytes());
            let (expected, rest) = body.split_once('\n').unwrap_or((&body, ""));
            prop_assert_eq!((line, after), (expected.as_bytes(), rest.as_bytes()));
        }
    }
}
