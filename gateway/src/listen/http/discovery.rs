//! `/.well-known/tidegate`: where and how clients may connect, in order of preference.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tidegate_wire::Limits;

use super::{Reply, answer, cors};
use crate::config::Exclude;

/// Where the document is.
pub(super) const PATH: &str = "/.well-known/tidegate";

/// The origin by which clients reach the gateway over TLS: the secure listener's, or a proxy's before the plain one.
#[derive(Clone, Debug)]
pub struct PublicUrl {
    /// Host, without port.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What the document is made of.
pub struct Discovery {
    /// As configured; absent: the request's host and `secure_port`.
    pub public: Option<PublicUrl>,
    /// The secure listener's port; absent where it is off.
    pub secure_port: Option<u16>,
    /// What the protocol's paths start with.
    pub prefix: String,
    /// Sizes that clients keep to.
    pub limits: Limits,
    /// Browsers that start elsewhere.
    pub exclude: Vec<Exclude>,
    /// SHA-256 of development certificates, asked for each time.
    pub hashes: Box<dyn Fn() -> Vec<[u8; 32]> + Send + Sync>,
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").field("public", &self.public).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    transports: Vec<Transport>,
    certificate_hashes: Vec<Hash>,
    limits: Sizes,
    exclude: &'a [Exclude],
}

#[derive(Serialize)]
struct Transport {
    r#type: &'static str,
    url: String,
}

#[derive(Serialize)]
struct Hash {
    algorithm: &'static str,
    value: String,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are the protocol's")]
struct Sizes {
    max_event_bytes: u32,
    max_frame_bytes: u32,
    max_batch_events: u32,
    max_body_bytes: u32,
}

impl Discovery {
    /// The document as the listener that was asked sees it.
    pub(super) fn reply(&self, request: &Request<Incoming>, secure: bool, local: SocketAddr) -> Reply {
        let authority = request.uri().authority().map(hyper::http::uri::Authority::as_str);
        let host = authority.or_else(|| request.headers().get(HOST).and_then(|host| host.to_str().ok()));
        let document = self.document(host.filter(|host| is_host(host)), secure, local);
        let mut reply = answer::document(StatusCode::OK, "application/json", &document);
        cors::public(reply.headers_mut());
        reply
    }

    fn document(&self, authority: Option<&str>, secure: bool, local: SocketAddr) -> Document<'_> {
        let name = authority.map_or_else(|| host_of(local), |authority| without_port(authority).to_owned());
        let mut transports = Vec::new();
        let prefix = self.prefix.trim_end_matches('/');
        let public = self.public.as_ref().map(|public| format!("{}:{}", public.host, public.port));
        let is_public = public.is_some();
        let safe = public.or_else(|| self.secure_port.map(|port| format!("{name}:{port}")));
        let mut add = |r#type, url| transports.push(Transport { r#type, url });
        // A TLS proxy before the plain listener carries no UDP.
        if let Some(safe) = safe.as_ref().filter(|_| self.secure_port.is_some()) {
            add("webtransport", format!("https://{safe}{prefix}/stream"));
            add("quic", format!("quic://{safe}"));
        }
        match safe.filter(|_| secure || is_public) {
            Some(safe) => {
                add("websocket", format!("wss://{safe}{prefix}/stream"));
                add("https", format!("https://{safe}{prefix}/events"));
            }
            None => {
                let plain = authority.map_or_else(|| format!("{name}:{}", local.port()), str::to_owned);
                add("websocket", format!("ws://{plain}{prefix}/stream"));
                add("https", format!("http://{plain}{prefix}/events"));
            }
        }
        let hashes = (self.hashes)().into_iter();
        let certificate_hashes =
            hashes.map(|hash| Hash { algorithm: "sha-256", value: STANDARD.encode(hash) }).collect();
        let limits = Sizes {
            max_event_bytes: self.limits.max_event_bytes,
            max_frame_bytes: self.limits.max_frame_bytes,
            max_batch_events: self.limits.max_batch_events,
            max_body_bytes: self.limits.max_body_bytes,
        };
        Document { v: 1, transports, certificate_hashes, limits, exclude: &self.exclude }
    }
}

/// Whether it is a host as URLs have it, so that it can be repeated in one.
fn is_host(host: &str) -> bool {
    const HOST_BYTES: usize = 255;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !host.is_empty() && host.len() <= HOST_BYTES && host.bytes().all(allowed)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

fn host_of(local: SocketAddr) -> String {
    match local {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discovery(public: Option<PublicUrl>, secure_port: Option<u16>) -> Discovery {
        Discovery {
            public,
            secure_port,
            prefix: "/v1".into(),
            limits: Limits::default(),
            exclude: Vec::new(),
            hashes: Box::new(|| vec![[0; 32]]),
        }
    }

    fn urls(discovery: &Discovery, authority: Option<&str>, secure: bool) -> Vec<String> {
        let document = discovery.document(authority, secure, ([127, 0, 0, 1], 8080).into());
        document.transports.into_iter().map(|transport| transport.url).collect()
    }

    #[test]
    fn the_plain_listener_names_its_own_urls_beside_the_secure_ones() {
        let expected = [
            "https://localhost:4433/v1/stream",
            "quic://localhost:4433",
            "ws://localhost:8080/v1/stream",
            "http://localhost:8080/v1/events",
        ];
        assert_eq!(urls(&discovery(None, Some(4433)), Some("localhost:8080"), false), expected);
    }

    #[test]
    fn the_secure_listener_names_itself_or_what_is_configured() {
        let expected = [
            "https://[::1]:4433/v1/stream",
            "quic://[::1]:4433",
            "wss://[::1]:4433/v1/stream",
            "https://[::1]:4433/v1/events",
        ];
        assert_eq!(urls(&discovery(None, Some(4433)), Some("[::1]:4433"), true), expected);
        let public = PublicUrl { host: "in.example.com".into(), port: 443 };
        let urls = urls(&discovery(Some(public), Some(4433)), Some("x"), true);
        assert!(urls.iter().all(|url| url.contains("in.example.com:443")), "{urls:?}");
    }

    #[test]
    fn behind_a_proxy_the_plain_listener_names_the_public_url() {
        let public = || Some(PublicUrl { host: "in.example.com".into(), port: 443 });
        let tcp = ["wss://in.example.com:443/v1/stream", "https://in.example.com:443/v1/events"];
        assert_eq!(urls(&discovery(public(), None), Some("10.0.0.7:8080"), false), tcp);
        let both = urls(&discovery(public(), Some(4433)), Some("10.0.0.7:8080"), false);
        assert_eq!(both[..2], ["https://in.example.com:443/v1/stream", "quic://in.example.com:443"]);
        assert_eq!(both[2..], tcp);
    }

    #[test]
    fn without_a_secure_listener_only_plain_urls_are_named() {
        let urls = urls(&discovery(None, None), None, false);
        assert_eq!(urls, ["ws://127.0.0.1:8080/v1/stream", "http://127.0.0.1:8080/v1/events"]);
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        assert!(is_host("localhost:8080") && is_host("[::1]:1"));
        assert!(!is_host("a/b") && !is_host("a\"b") && !is_host(""));
    }
}
