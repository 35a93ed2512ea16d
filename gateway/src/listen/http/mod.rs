//! HTTP/1.1 and HTTP/2: which request goes where, and what every answer has in common.

mod answer;
mod arrived;
mod bodies;
mod body;
mod cors;
mod demo;
mod discovery;
mod events;
mod query;
mod ratelimit;
mod request;
mod stream;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, Request, Response, StatusCode};
use tidegate_wire::Limits;

use self::answer::Refusal;
pub use self::arrived::Arrivals;
use self::arrived::{Arrived, Lines};
use self::bodies::Bodies;
use self::demo::Demo;
pub use self::discovery::{Discovery, PublicUrl};
pub(super) use self::query::Query;
pub(super) use self::request::bearer;
use super::link::Gate;
use super::tcp::{Connection, Respond};
use crate::access::Access;
use crate::metrics::{Metrics, Surface};
use crate::rates::Rates;

/// An answer, complete.
type Reply = Response<Full<Bytes>>;

/// An answer, complete or going on.
type AnyReply = Response<Either<Full<Bytes>, Lines>>;

/// What a visitor of `/` is told where there is no demo.
const ABOUT: &str =
    "Tidegate takes events. POST them, or open a session: /.well-known/tidegate says where.\n";

/// What HTTP needs to know; plain data.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the paths of the protocol start with, such as `/v1`.
    pub prefix: String,
    /// Sizes of events, frames and bodies.
    pub limits: Limits,
    /// Bytes of bodies, as sent and inflated, that requests may hold at once, and 4 KiB for each request; past it
    /// they get 503, and what needs more than that by itself 413. It lies beside the budget of events: a body is held until its events are durable.
    pub bodies_bytes: u64,
    /// How long a body may take to arrive: 30 s by the protocol.
    pub body_patience: Duration,
}

/// The HTTP of the whole gateway. Cheap to clone; its listeners are made from it.
#[derive(Clone, Debug)]
pub struct Http<G>(Arc<Inner<G>>);

#[derive(Debug)]
struct Inner<G> {
    gate: G,
    access: Arc<Access>,
    rates: Arc<Rates>,
    metrics: Metrics,
    discovery: Discovery,
    limits: Limits,
    bodies: Bodies,
    body_patience: Duration,
    events_path: String,
    stream_path: String,
}

impl<G: Gate> Http<G> {
    /// All listeners share what is given here, the budget of bodies too.
    pub fn new(
        gate: G,
        access: Arc<Access>,
        rates: Arc<Rates>,
        metrics: Metrics,
        discovery: Discovery,
        settings: Settings,
    ) -> Self {
        let Settings { prefix, limits, bodies_bytes, body_patience } = settings;
        let prefix = prefix.trim_end_matches('/');
        Self(Arc::new(Inner {
            gate,
            access,
            rates,
            metrics,
            discovery,
            limits,
            bodies: Bodies::new(bodies_bytes),
            body_patience,
            events_path: format!("{prefix}/events"),
            stream_path: format!("{prefix}/stream"),
        }))
    }

    /// What answers on the listener with TLS.
    pub fn secure(&self) -> Listener<G> {
        Listener { http: Arc::clone(&self.0), secure: true, demo: None }
    }

    /// What answers on the listener without TLS, which also serves the files under `demo`, and to the page there what
    /// becomes durable.
    pub fn plain(&self, demo: Option<&Path>, arrivals: Option<Arc<Arrivals>>) -> Listener<G> {
        let demo = demo.map(|root| Arc::new((Demo::new(root), Arrived::new(arrivals))));
        Listener { http: Arc::clone(&self.0), secure: false, demo }
    }
}

/// What answers the requests of one listener.
#[derive(Debug)]
pub struct Listener<G> {
    http: Arc<Inner<G>>,
    secure: bool,
    demo: Option<Arc<(Demo, Arrived)>>,
}

impl<G> Clone for Listener<G> {
    fn clone(&self) -> Self {
        Self { http: Arc::clone(&self.http), secure: self.secure, demo: self.demo.clone() }
    }
}

impl<G: Gate> Respond for Listener<G> {
    type Body = Either<Full<Bytes>, Lines>;

    async fn respond(&self, request: Request<Incoming>, connection: Arc<Connection>) -> AnyReply {
        let head_only = request.method() == Method::HEAD;
        let is_preflight = request.method() == Method::OPTIONS;
        let origin = request::origin(request.headers()).and_then(Result::ok).map(str::to_owned);
        let (mut reply, is_foreign) = match self.answer(request, connection).await {
            Ok(reply) => (reply, false),
            Err(refusal) => {
                self.http.metrics.refused(Surface::Http, refusal.reason());
                let is_foreign = refusal.reason() == request::FOREIGN;
                (refusal.into_reply().map(Either::Left), is_foreign)
            }
        };
        let allowed = origin.as_deref().filter(|origin| self.http.access.allows_origin(origin));
        cors::expose(reply.headers_mut(), allowed);
        if let Some(origin) = origin.filter(|_| is_foreign && !is_preflight) {
            cors::tell_foreign(reply.headers_mut(), &origin);
        }
        reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if head_only { answer::without_body(reply).map(Either::Left) } else { reply }
    }
}

impl<G: Gate> Listener<G> {
    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Result<AnyReply, Refusal> {
        request::head_size(&request)?;
        match &self.demo {
            Some(demo) if request.uri().path() == arrived::PATH => {
                let answer = demo.1.open(&self.http, &request, &connection).await?;
                Ok(answer.map(Either::Right))
            }
            _ => Ok(self.route(request, connection).await?.map(Either::Left)),
        }
    }

    async fn route(&self, request: Request<Incoming>, connection: Arc<Connection>) -> Result<Reply, Refusal> {
        let http = &self.http;
        let path = request.uri().path();
        if path == http.events_path {
            match *request.method() {
                Method::POST => Box::pin(events::post(http, request, &connection)).await,
                Method::OPTIONS => cors::preflight(request.headers(), "POST", &http.access),
                _ => Err(Refusal::method("POST, OPTIONS")),
            }
        } else if path == http.stream_path {
            match *request.method() {
                Method::GET | Method::CONNECT => stream::open(http, request, &connection),
                _ => Err(Refusal::method("GET")),
            }
        } else if path == discovery::PATH {
            match *request.method() {
                Method::GET | Method::HEAD => {
                    Ok(http.discovery.reply(&request, self.secure, connection.local))
                }
                Method::OPTIONS => Ok(cors::public_preflight()),
                _ => Err(Refusal::method("GET, HEAD, OPTIONS")),
            }
        } else {
            self.page(&request).await
        }
    }

    async fn page(&self, request: &Request<Incoming>) -> Result<Reply, Refusal> {
        let path = request.uri().path();
        let readable = matches!(*request.method(), Method::GET | Method::HEAD);
        match &self.demo {
            _ if !readable && path == "/" => Err(Refusal::method("GET, HEAD")),
            _ if !readable => Err(self.nothing_here()),
            Some(demo) => demo.0.reply(path).await?.ok_or_else(|| self.nothing_here()),
            None if path == "/" => Ok(answer::text(ABOUT)),
            None => Err(self.nothing_here()),
        }
    }

    fn nothing_here(&self) -> Refusal {
        let (events, stream) = (&self.http.events_path, &self.http.stream_path);
        let detail = format!(
            "nothing is here; there are {events} for events and {stream} for sessions, see {}",
            discovery::PATH
        );
        Refusal::new(StatusCode::NOT_FOUND, "not_found", detail)
    }
}

fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}
