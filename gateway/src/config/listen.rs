//! Addresses, certificates and what is served beside ingestion.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the gateway listens. `localhost` binds 127.0.0.1 and `::1`; `""` turns a listener off; port 0 picks a free one.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// HTTPS and WebSocket on TCP, WebTransport and QUIC on UDP: the same port.
    pub secure: String,
    /// HTTP and WebSocket without TLS: for local use and behind a TLS proxy.
    pub plain: String,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub ops: String,
    /// What the paths of the protocol start with.
    pub prefix: String,
    /// The secure listener's origin as clients see it, such as `https://ingest.example.com`; empty: the
    /// request's host with the listener's port.
    pub public_url: String,
    /// Where the key for QUIC stateless resets is kept over restarts; it is made when missing.
    pub quic_key: PathBuf,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            secure: "localhost:4433".into(),
            plain: "localhost:8080".into(),
            ops: "localhost:9600".into(),
            prefix: "/v1".into(),
            public_url: String::new(),
            quic_key: "data/quic.key".into(),
        }
    }
}

/// The certificate of the secure listener, watched and reloaded.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM: the chain, the server's own first.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
}

/// What the discovery document adds.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// Browsers that should not start on a transport.
    pub exclude: Vec<Exclude>,
}

/// One browser that should not start on one transport.
#[derive(Clone, Debug, Deserialize, PartialEq, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// `webtransport` or `websocket`.
    pub transport: String,
    /// `safari`, `firefox`, `chrome`, ...
    pub browser: String,
    /// Only versions below this one; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<String>,
}

/// The demo page, on the plain listener.
#[derive(Clone, Debug, Deserialize, PartialEq, Default)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    /// The directory served at `/`; absent: none.
    pub directory: Option<PathBuf>,
}
