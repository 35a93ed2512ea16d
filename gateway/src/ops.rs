//! The operators' port: `/metrics`, `/healthz`, `/readyz`.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use prometheus_client::registry::Registry;
use serde::Serialize;

use crate::listen::tcp::{Connection, Respond};
use crate::metrics;

/// What `prometheus-client` writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the gateway can make events durable now, and if not, why.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether a load balancer may send clients.
    pub ready: bool,
    /// Why not, or what else is amiss: a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// What answers on the operators' port.
#[derive(Clone)]
pub struct Ops {
    registry: Arc<Registry>,
    readiness: Arc<dyn Fn() -> Readiness + Send + Sync>,
}

impl Ops {
    /// `readiness` is asked for each request.
    pub fn new(registry: Registry, readiness: Arc<dyn Fn() -> Readiness + Send + Sync>) -> Self {
        Self { registry: Arc::new(registry), readiness }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let known = matches!(path, "/metrics" | "/healthz" | "/readyz");
        if known && !matches!(*method, Method::GET | Method::HEAD) {
            let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return reply;
        }
        match path {
            "/metrics" => match metrics::text(&self.registry) {
                Ok(body) => reply(StatusCode::OK, OPENMETRICS, body),
                Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
            },
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let readiness = (self.readiness)();
                let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                // A struct of a boolean and strings always serialises.
                let body = serde_json::to_string(&readiness).unwrap_or_default();
                reply(status, "application/json", body)
            }
            _ => text(StatusCode::NOT_FOUND, "nothing is here; there are /metrics, /healthz and /readyz\n"),
        }
    }
}

impl Respond for Ops {
    type Body = Full<Bytes>;

    async fn respond(
        &self,
        request: Request<Incoming>,
        _connection: Arc<Connection>,
    ) -> Response<Full<Bytes>> {
        let mut reply = self.answer(request.method(), request.uri().path());
        if request.method() == Method::HEAD {
            *reply.body_mut() = Full::default();
        }
        reply
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    reply(status, "text/plain; charset=utf-8", body)
}

fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::metrics::Metrics;

    async fn ask(ready: bool, method: Method, path: &str) -> (u16, String) {
        let (_metrics, registry) = Metrics::register();
        let why = if ready { vec![] } else { vec!["Kafka at localhost:9092 is unreachable".to_owned()] };
        let readiness = Readiness { ready, why };
        let ops = Ops::new(registry, Arc::new(move || readiness.clone()));
        let reply = ops.answer(&method, path);
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn each_path_has_its_answer() {
        assert_eq!(ask(true, Method::GET, "/healthz").await.0, 200);
        assert_eq!(ask(true, Method::GET, "/readyz").await, (200, r#"{"ready":true}"#.into()));
        let why = r#"{"ready":false,"why":["Kafka at localhost:9092 is unreachable"]}"#;
        assert_eq!(ask(false, Method::GET, "/readyz").await, (503, why.into()));
        assert!(ask(true, Method::GET, "/metrics").await.1.ends_with("# EOF\n"));
        assert_eq!(ask(true, Method::GET, "/").await.0, 404);
        assert_eq!(ask(true, Method::POST, "/metrics").await.0, 405);
    }
}
