//! `GET /demo/arrived`: what becomes durable, shown live to the demo page.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, unfold};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tidegate_wire::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::answer::Refusal;
use super::{Inner, request};
use crate::access::Access;
use crate::listen::link::Gate;
use crate::listen::tcp::{Busy, Connection};

/// Where it is.
pub(super) const PATH: &str = "/demo/arrived";
/// Pages that may watch at once.
const READERS: usize = 8;
/// After so much silence a blank line says that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Who takes nothing for so long makes place for others.
const PATIENCE: Duration = Duration::from_secs(30);
const DRAIN_RETRY_MS: u64 = 1_000;
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Reads back what becomes durable from now on, or since the record of that sequence: whole lines of JSON, several to an
/// item, and never more in memory than what a slow reader is allowed to miss. The error is a sentence for people.
pub type Arrivals =
    dyn Fn(Option<u64>) -> BoxFuture<'static, Result<BoxStream<'static, Bytes>, String>> + Send + Sync;

/// The body of an answer that goes on.
pub(super) type Lines = UnsyncBoxBody<Bytes, Infallible>;

/// The endpoint of one listener.
pub(super) struct Arrived {
    arrivals: Option<Arc<Arrivals>>,
    readers: Arc<Semaphore>,
}

impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrived").field("readers", &self.readers).finish_non_exhaustive()
    }
}

impl Arrived {
    /// Without `arrivals` it says that there are none to be read here.
    pub(super) fn new(arrivals: Option<Arc<Arrivals>>) -> Self {
        Self { arrivals, readers: Arc::new(Semaphore::new(READERS)) }
    }

    /// Streams until the reader leaves or the gateway drains.
    pub(super) async fn open<G: Gate>(
        &self,
        http: &Arc<Inner<G>>,
        request: &Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> Result<Response<Lines>, Refusal> {
        if *request.method() != Method::GET {
            return Err(Refusal::method("GET"));
        }
        from_own_page(request, &http.access)?;
        let after = after(request.uri().query())?;
        if http.access.needs_token() {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "what arrives is shown only where no token is needed to send: see it with `tidegate tail --follow`",
            ));
        }
        let Some(arrivals) = &self.arrivals else { return Ok(elsewhere()) };
        if http.gate.is_draining() {
            return Err(Refusal::busy(Reason::Draining, DRAIN_RETRY_MS));
        }
        let permit = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| {
            let detail = format!("{READERS} pages already watch what arrives, and no more may at once");
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "readers", detail);
            refusal.with(RETRY_AFTER, HeaderValue::from_static("5"))
        })?;
        let lines = arrivals(after)
            .await
            .map_err(|sentence| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable", sentence))?;
        // One item waits here; whatever else the reader has not taken is with `arrivals`.
        let (sender, receiver) = mpsc::channel(1);
        let held = (permit, connection.busy());
        let gate = http.gate.clone();
        connection.spawn(async move { feed(lines, sender, || gate.is_draining(), held).await });
        Ok(answer(receiver))
    }
}

/// The sequence in `?after=`: a reader that comes back has seen that record.
fn after(query: Option<&str>) -> Result<Option<u64>, Refusal> {
    let mut parts = query.unwrap_or_default().split('&');
    let Some(text) = parts.find_map(|part| part.strip_prefix("after=")) else { return Ok(None) };
    let sequence = text.parse();
    sequence.map(Some).map_err(|_| Refusal::bad("after: expected the sequence of a record, an integer"))
}

/// Hands lines on until somebody has enough.
async fn feed(
    mut lines: BoxStream<'static, Bytes>,
    reader: mpsc::Sender<Bytes>,
    is_draining: impl Fn() -> bool,
    _held: (OwnedSemaphorePermit, Busy),
) {
    while !is_draining() {
        let text = tokio::select! {
            () = reader.closed() => return,
            () = sleep(HEARTBEAT) => Bytes::from_static(b"\n"),
            text = lines.next() => match text {
                Some(text) => text,
                None => return,
            },
        };
        if !matches!(timeout(PATIENCE, reader.send(text)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Says that nothing is read back here, and ends: that is no fault of who asks.
fn elsewhere() -> Response<Lines> {
    let line = r#"{"elsewhere":"events go to Kafka here, and what arrives there is not read back: see it with a consumer"}"#;
    let (sender, receiver) = mpsc::channel(1);
    // There is room for one.
    let _ = sender.try_send(Bytes::from(format!("{line}\n")));
    answer(receiver)
}

fn answer(lines: mpsc::Receiver<Bytes>) -> Response<Lines> {
    let frames = unfold(lines, async |mut lines| {
        let text = lines.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(text)), lines))
    });
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// 403 unless a page of this very listener asks, or somebody who is no page. Its host must be that of an origin that may
/// send, so that no foreign name that was pointed at this address counts as its own.
fn from_own_page<B>(request: &Request<B>, access: &Access) -> Result<(), Refusal> {
    let headers = request.headers();
    let own = own_origins(request.uri().authority().map(hyper::http::uri::Authority::as_str), headers);
    let own_host = own.iter().any(|origin| access.allows_origin(origin));
    let own_origin = match request::origin(headers).transpose()? {
        Some(origin) => own.iter().any(|own| own == origin),
        None => true,
    };
    // `none`: typed into the address bar.
    let own_site = headers.get(SITE).is_none_or(|site| site == "same-origin" || site == "none");
    if own_host && own_origin && own_site {
        return Ok(());
    }
    let detail =
        "what arrives is shown to the demo page of this address alone, and origins.allow must let it send";
    Err(Refusal::new(StatusCode::FORBIDDEN, request::FOREIGN, detail))
}

/// The origins a page of this listener can have: its own, or that of a TLS proxy before it.
fn own_origins(authority: Option<&str>, headers: &HeaderMap) -> [String; 2] {
    let host =
        authority.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok())).unwrap_or_default();
    ["http", "https"].map(|scheme| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Auth, Origins};

    #[track_caller]
    fn may_see(allow: &[&str], headers: &[(&str, &str)], expected: bool) {
        let origins = Origins { allow: allow.iter().map(|&origin| origin.into()).collect() };
        let access = Access::new(&Auth::default(), &origins, &[]);
        let mut request = Request::get("/demo/arrived");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let judged = from_own_page(&request.body(()).unwrap(), &access);
        assert_eq!(judged.is_ok(), expected, "{allow:?} {headers:?}");
    }

    #[test]
    fn the_page_of_this_address_may_see_it_and_no_other() {
        let own = ("host", "localhost:8080");
        may_see(&[], &[own], true);
        may_see(&[], &[own, ("sec-fetch-site", "same-origin")], true);
        may_see(&[], &[own, ("origin", "http://localhost:8080")], true);
        may_see(&[], &[own, ("origin", "http://localhost:5173")], false);
        may_see(&["*"], &[own, ("origin", "https://evil.example")], false);
        may_see(&["*"], &[own, ("sec-fetch-site", "cross-site")], false);
        may_see(&[], &[own, ("sec-fetch-site", "same-site")], false);
        may_see(&[], &[], false);
    }

    #[test]
    fn who_comes_back_says_what_it_has_seen() {
        assert_eq!(after(None).unwrap(), None);
        assert_eq!(after(Some("x=1")).unwrap(), None);
        assert_eq!(after(Some("x=1&after=17")).unwrap(), Some(17));
        assert!(after(Some("after=")).is_err() && after(Some("after=-1")).is_err());
    }

    #[test]
    fn a_foreign_name_for_this_address_is_foreign() {
        let foreign = ("host", "evil.example:8080");
        may_see(&[], &[foreign, ("sec-fetch-site", "same-origin")], false);
        may_see(&["https://demo.example.com"], &[("host", "demo.example.com")], true);
        may_see(&["https://demo.example.com"], &[("host", "localhost:8080")], false);
    }
}
